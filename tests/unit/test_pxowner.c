/*
 * Who serves a volume, as the proxy core learns it: owners that move, are
 * away, renew, or are guessed.
 */
#include "pxbed.h"

static struct pxbed bed;

static int
teardown(void **state)
{
	(void)state;
	pxbed_down(&bed);
	return 0;
}

static void
owner_moves(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	pxbed_path_up(&bed, 1, A, 70);
	pxbed_path_up(&bed, 1, B, 70);
	px_owner(bed.px, 0, 0, 5, ++bed.now);
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_take(&bed);
	px_owner(bed.px, 0, 1, 4, ++bed.now); /* old news */
	assert_int_equal(pxbed_take(&bed), 0);
	px_owner(bed.px, 0, 1, 6, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_ABORT), 2);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 2);
	px_uconn_ready(bed.px, &k->u[A], 70, 0, ++bed.now);
	pxbed_take(&bed);
	/* The old owner is fenced as a whole. */
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
	assert_true(pxbed_reply(&bed, &k->u[A], 1));
}

/* While the owner says that it does not serve, nobody knocks; when it says
 * that it does, all knock at once, however long they were to wait. */
static void
owner_is_away(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	px_told(bed.px, 0, 0, true, 5, ++bed.now);
	pxbed_call(&bed, k, 1, NFS3_MKDIR);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
	px_told(bed.px, 0, 0, false, 5, ++bed.now);
	px_uconn_lost(bed.px, &k->u[A], "closed", ++bed.now);
	px_uconn_lost(bed.px, &k->u[B], "closed", ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 0);
	for (unsigned i = 0; i < 100; i++) {
		bed.now += PX_TICK_MS;
		px_told(bed.px, 0, 0, false, 5, bed.now);
		px_tick(bed.px, bed.now);
		pxbed_take(&bed);
		assert_int_equal(pxbed_count(&bed, PX_CONNECT), 0);
	}
	px_told(bed.px, 0, 0, true, 6, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 2);
}

/* The word of an owner that has fallen silent since does not hold for ever. */
static void
owner_was_away(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	px_told(bed.px, 0, 0, false, 5, ++bed.now);
	px_uconn_lost(bed.px, &k->u[A], "closed", ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 0);
	bed.now += 1001;
	px_tick(bed.px, bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 1);
}

/* The same server serves again under a new epoch, its backend was started
 * anew: attempts that were refused meanwhile delay nothing. */
static void
owner_renews(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	px_told(bed.px, 0, 0, true, 5, ++bed.now);
	for (unsigned i = 0; i < 6; i++) {
		px_uconn_lost(bed.px, &k->u[A], "refused", ++bed.now);
		px_uconn_lost(bed.px, &k->u[B], "refused", bed.now);
		bed.now += 400;
		px_tick(bed.px, bed.now);
		pxbed_take(&bed);
	}
	px_uconn_lost(bed.px, &k->u[A], "refused", ++bed.now);
	px_uconn_lost(bed.px, &k->u[B], "refused", bed.now);
	pxbed_take(&bed);
	px_told(bed.px, 0, 0, true, 6, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 2);
}

/* No detector runs: who was refused asks the next candidate; a FENCE is
 * believed from the owner alone, and the gate opens when it is found. */
static void
owner_is_guessed(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg), *old;

	(void)state;
	pxbed_path_up(&bed, 1, A, 70);
	pxbed_path_up(&bed, 1, B, 70);
	px_told(bed.px, 0, 0, true, 5, ++bed.now);
	old = px_kconn_open(bed.px, 0, 77, NULL, bed.now);
	pxbed_take(&bed);
	px_uconn_ready(bed.px, &old->u[A], BOOT, 0, ++bed.now);
	pxbed_call(&bed, old, 1, NFS3_MKDIR);
	pxbed_take(&bed);
	px_kconn_close(bed.px, old, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
	px_not_owner(bed.px, 0, 0, ++bed.now); /* a heartbeat was just here */
	assert_int_equal(px_volume(bed.px, 0)->owner, 0);
	bed.now += 1000;
	px_not_owner(bed.px, 0, 0, bed.now);
	pxbed_take(&bed);
	assert_int_equal(px_volume(bed.px, 0)->owner, 1);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 2);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 0);
	px_fence_done(bed.px, px_path_index(&cfg, 1, A), 0, 77, PX_NONE,
	    UINT64_MAX, ++bed.now);
	assert_int_equal(px_volume(bed.px, 0)->retired, 1);
	/* It serves under a newer epoch: the old owner can write no more. */
	px_owner(bed.px, 0, 1, 6, ++bed.now);
	px_uconn_ready(bed.px, &k->u[A], 70, 0, bed.now);
	pxbed_take(&bed);
	assert_int_equal(px_volume(bed.px, 0)->retired, 0);
	assert_false(px_volume(bed.px, 0)->guessed);
}

/* A wrong guess goes on to the next candidate, and back. */
static void
owner_is_guessed_back(void **state)
{
	struct px_config cfg = pxbed_config();

	(void)state;
	pxbed_start(&bed, &cfg);
	px_told(bed.px, 0, 0, true, 5, ++bed.now);
	bed.now += 1000;
	px_not_owner(bed.px, 0, 0, bed.now);
	px_not_owner(bed.px, 0, 1, bed.now + 100); /* not so fast */
	assert_int_equal(px_volume(bed.px, 0)->owner, 1);
	px_not_owner(bed.px, 0, 1, bed.now + 300);
	assert_int_equal(px_volume(bed.px, 0)->owner, 0);
	px_owner(bed.px, 0, 0, 5, bed.now + 310);
	assert_false(px_volume(bed.px, 0)->guessed);
	px_owner(bed.px, 0, 1, 5, bed.now + 320); /* cannot be */
	assert_int_equal(px_volume(bed.px, 0)->owner, 0);
	pxbed_take(&bed);
}

/* A FENCE asked of the old owner must not keep one from the new one. */
static void
owner_moves_during_a_fence(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	pxbed_path_up(&bed, 1, A, 70);
	pxbed_path_up(&bed, 1, B, 70);
	pxbed_take(&bed);
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_take(&bed);
	px_uconn_lost(bed.px, &k->u[A], "reset", ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
	px_owner(bed.px, 0, 1, 6, ++bed.now);
	pxbed_take(&bed);
	px_uconn_ready(bed.px, &k->u[A], 70, 0, ++bed.now);
	px_uconn_ready(bed.px, &k->u[B], 70, 0, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
	px_uconn_lost(bed.px, &k->u[A], "reset", ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
	assert_int_equal(
	    pxbed_get(&bed, PX_FENCE, 0)->path, px_path_index(&cfg, 1, A));
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(owner_moves),
	    TEST(owner_is_away),
	    TEST(owner_was_away),
	    TEST(owner_renews),
	    TEST(owner_is_guessed),
	    TEST(owner_is_guessed_back),
	    TEST(owner_moves_during_a_fence),
	};

	return cmocka_run_group_tests_name("pxowner", tests, NULL, NULL);
}
