/*
 * A call's life in the proxy core: held, sent, fenced, replayed, answered;
 * and what a kernel connection leaves behind.
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
held_without_a_path(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;

	(void)state;
	pxbed_up(&bed, &cfg);
	k = pxbed_open(&bed, 0);
	assert_int_equal(pxbed_call(&bed, k, 1, NFS3_READ), PX_TOOK);
	assert_int_equal(pxbed_call(&bed, k, 2, NFS3_WRITE), PX_TOOK);
	assert_int_equal(pxbed_take(&bed), 0);
	assert_int_equal(k->held.n, 2);
	pxbed_path_up(&bed, 0, B, BOOT);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 1);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 0);
	pxbed_ready(&bed, k, B);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 2);
	assert_int_equal(pxbed_get(&bed, PX_SEND, 0)->call->id.xid, 1);
	assert_int_equal(pxbed_get(&bed, PX_SEND, 1)->call->id.xid, 2);
	assert_int_equal(px_counters(bed.px)->replays, 0);
}

static void
sent_on_the_best_and_answered(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	for (uint32_t xid = 1; xid <= 10; xid++) {
		pxbed_call(&bed, k, xid, NFS3_CREATE);
		assert_int_equal(pxbed_take(&bed), 1);
		assert_ptr_equal(pxbed_get(&bed, PX_SEND, 0)->uconn, &k->u[A]);
	}
	assert_int_equal(k->ncalls, 10);
	for (uint32_t xid = 10; xid >= 1; xid--)
		assert_true(pxbed_reply(&bed, &k->u[A], xid));
	assert_int_equal(k->ncalls, 0);
	assert_int_equal(k->u[A].cost, 0);
	/* What nobody waits for is dropped. */
	assert_false(pxbed_reply(&bed, &k->u[A], 3));
	assert_false(pxbed_reply(&bed, &k->u[A], 99));
	assert_int_equal(px_counters(bed.px)->stray_replies, 2);
}

/* Carrier gone: abort, FENCE over the other path, and only then what may
 * have changed something; what reads goes at once. */
static void
fence_before_replay(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	const struct px_action *fence;
	uint64_t gen = k->u[A].generation;

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_call(&bed, k, 2, NFS3_READ);
	pxbed_call(&bed, k, 3, NFS3_RENAME);
	pxbed_take(&bed);
	pxbed_carrier(&bed, A, false);
	pxbed_take(&bed);
	assert_ptr_equal(pxbed_get(&bed, PX_ABORT, 0)->uconn, &k->u[A]);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
	fence = pxbed_get(&bed, PX_FENCE, 0);
	assert_int_equal(fence->path, px_path_index(&cfg, 0, B));
	assert_int_equal(fence->network, A);
	assert_int_equal(fence->floor, gen);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
	assert_int_equal(pxbed_get(&bed, PX_SEND, 0)->call->id.xid, 2);
	assert_ptr_equal(pxbed_get(&bed, PX_SEND, 0)->uconn, &k->u[B]);
	/* A new call needs no fence, and does not ask for another one. */
	pxbed_call(&bed, k, 4, NFS3_WRITE);
	assert_int_equal(pxbed_take(&bed), 1);
	px_fence_done(bed.px, fence->path, 0, k->id, A, gen, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 2);
	assert_int_equal(pxbed_get(&bed, PX_SEND, 0)->call->id.xid, 1);
	assert_int_equal(pxbed_get(&bed, PX_SEND, 1)->call->id.xid, 3);
	for (uint32_t xid = 1; xid <= 4; xid++)
		assert_true(pxbed_reply(&bed, &k->u[B], xid));
	assert_int_equal(px_counters(bed.px)->answered_sent_twice, 3);
	assert_int_equal(k->replaying, 0);
}

/* HELLO of a higher generation on the same network is a fence too. */
static void
hello_is_a_fence(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;

	(void)state;
	pxbed_up(&bed, &cfg);
	pxbed_path_up(&bed, 0, A, BOOT);
	k = pxbed_open(&bed, 0);
	pxbed_ready(&bed, k, A);
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_take(&bed);
	px_uconn_lost(bed.px, &k->u[A], "reset", ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 1);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 0);
	/* A floor below what was sent would not do. */
	px_uconn_ready(
	    bed.px, &k->u[A], BOOT, k->u[A].generation - 2, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 0);
	px_uconn_lost(bed.px, &k->u[A], "reset", ++bed.now);
	bed.now += 1000;
	px_tick(bed.px, bed.now);
	pxbed_ready(&bed, k, A);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
}

/* Sent over both networks: both must be fenced. */
static void
every_network_it_went_over(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	uint64_t gen[2] = {k->u[A].generation, k->u[B].generation};
	uint32_t path_a = px_path_index(&cfg, 0, A);
	uint32_t path_b = px_path_index(&cfg, 0, B);

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_carrier(&bed, A, false);
	px_fence_done(bed.px, path_b, 0, k->id, A, gen[A], ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 2);
	pxbed_carrier(&bed, B, false);
	pxbed_carrier(&bed, A, true);
	pxbed_path_up(&bed, 0, A, BOOT);
	pxbed_take(&bed);
	/* A new connection on A: its own past is fenced, that on B is not. */
	pxbed_ready(&bed, k, A);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 0);
	px_fence_done(bed.px, path_a, 0, k->id, B, gen[B], ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
	assert_ptr_equal(pxbed_get(&bed, PX_SEND, 0)->uconn, &k->u[A]);
	assert_int_equal(pxbed_get(&bed, PX_SEND, 0)->call->sends, 3);
}

static void
control_lost_during_fence_asks_again(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	uint32_t path_b = px_path_index(&cfg, 0, B);

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_carrier(&bed, A, false);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
	px_control_lost(bed.px, path_b, PX_LOST_CLOSED, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 0); /* no way to ask */
	pxbed_path_up(&bed, 0, B, BOOT);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 0);
}

/* The agent started anew: what was sent to the old one died with it. */
static void
new_boot_needs_no_fence(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_carrier(&bed, A, false);
	pxbed_take(&bed);
	px_control_lost(
	    bed.px, px_path_index(&cfg, 0, B), PX_LOST_CLOSED, ++bed.now);
	px_uconn_lost(bed.px, &k->u[B], "closed", ++bed.now);
	pxbed_path_up(&bed, 0, B, BOOT + 1);
	pxbed_take(&bed);
	px_uconn_ready(bed.px, &k->u[B], BOOT + 1, 0, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 0);
	/* But what is sent to the new one is fenced there again. */
	px_uconn_lost(bed.px, &k->u[B], "reset", ++bed.now);
	bed.now += 100;
	px_tick(bed.px, bed.now);
	pxbed_take(&bed);
	px_uconn_ready(bed.px, &k->u[B], BOOT + 1, 0, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 0);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
}

static void
duplicates_linger_and_clash(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	struct kconn *other = pxbed_open(&bed, 1);

	(void)state;
	assert_int_equal(pxbed_call(&bed, k, 5, NFS3_CREATE), PX_TOOK);
	assert_int_equal(pxbed_call(&bed, k, 5, NFS3_CREATE), PX_DUPLICATE);
	assert_int_equal(pxbed_call(&bed, k, 5, NFS3_REMOVE), PX_CLASH);
	assert_int_equal(pxbed_call(&bed, other, 5, NFS3_CREATE), PX_TOOK);
	assert_int_equal(k->ncalls, 1);
	assert_true(pxbed_reply(&bed, &k->u[A], 5));
	assert_int_equal(pxbed_call(&bed, k, 5, NFS3_CREATE), PX_DUPLICATE);
	/* The XID may come round for another call... */
	assert_int_equal(pxbed_call(&bed, k, 5, NFS3_REMOVE), PX_TOOK);
	assert_true(pxbed_reply(&bed, &k->u[A], 5));
	/* ... and for the same one after a while. */
	bed.now += cfg.linger_ms;
	assert_int_equal(pxbed_call(&bed, k, 5, NFS3_REMOVE), PX_TOOK);
	assert_int_equal(px_counters(bed.px)->duplicates, 1);
	assert_int_equal(px_counters(bed.px)->lingered, 1);
}

static void
full_and_empty_again(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;

	(void)state;
	cfg.calls_max = 4;
	k = pxbed_start(&bed, &cfg);
	for (uint32_t xid = 1; xid <= 4; xid++)
		assert_int_equal(pxbed_call(&bed, k, xid, NFS3_READ), PX_TOOK);
	assert_int_equal(pxbed_call(&bed, k, 5, NFS3_READ), PX_FULL);
	assert_true(pxbed_reply(&bed, &k->u[A], 2));
	assert_int_equal(pxbed_call(&bed, k, 5, NFS3_READ), PX_TOOK);
	assert_int_equal(pxbed_call(&bed, k, 6, NFS3_READ), PX_FULL);
}

/* Replays start few and grow with each that is answered. */
static void
replay_is_paced(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;
	uint32_t sent, answered = 0;

	(void)state;
	cfg.replay_calls = 2;
	k = pxbed_start(&bed, &cfg);
	for (uint32_t xid = 1; xid <= 32; xid++)
		pxbed_call(&bed, k, xid, NFS3_READ);
	pxbed_take(&bed);
	pxbed_carrier(&bed, A, false);
	pxbed_take(&bed);
	sent = pxbed_count(&bed, PX_SEND);
	assert_int_equal(sent, 2);
	while (answered < 32) {
		assert_true(pxbed_reply(&bed, &k->u[B], ++answered));
		pxbed_take(&bed);
		sent += pxbed_count(&bed, PX_SEND);
		assert_in_range(sent, 0, 2 + 2 * answered);
	}
	assert_int_equal(sent, 32);
	pxbed_call(&bed, k, 33, NFS3_READ);
	assert_int_equal(k->replay_limit, 2);
}

static void
all_paths_share(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;
	unsigned on[2] = {0};

	(void)state;
	cfg.paths = PX_ALL_PATHS;
	k = pxbed_start(&bed, &cfg);
	for (uint32_t xid = 1; xid <= 100; xid++)
		pxbed_call(&bed, k, xid, NFS3_READ);
	pxbed_take(&bed);
	for (unsigned i = 0; i < 100; i++)
		on[pxbed_get(&bed, PX_SEND, i)->uconn->network]++;
	assert_int_equal(on[A], 50);
	assert_int_equal(on[B], 50);
	/* One down: the other carries all, and each call once. */
	pxbed_carrier(&bed, A, false);
	for (uint32_t xid = 1; xid <= 100; xid++)
		assert_true(
		    pxbed_reply(&bed, &k->u[B], k->u[B].calls.first->id.xid));
	assert_int_equal(k->ncalls, 0);
}

/* The kernel closed a connection with calls on it. What changes something
 * waits, on every connection of the volume, until the old one is fenced. */
static void
closed_connection_gates(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg), *k2, *other;
	uint64_t id = k->id;

	(void)state;
	k2 = pxbed_open(&bed, 0);
	pxbed_ready(&bed, k2, A);
	other = pxbed_open(&bed, 1);
	pxbed_ready(&bed, other, A);
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_take(&bed);
	px_kconn_close(bed.px, k, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_ABORT), 2);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
	assert_int_equal(pxbed_get(&bed, PX_FENCE, 0)->network, PX_NONE);
	assert_true(pxbed_get(&bed, PX_FENCE, 0)->floor == UINT64_MAX);
	pxbed_call(&bed, k2, 1, NFS3_WRITE);
	assert_int_equal(pxbed_take(&bed), 0);
	pxbed_call(&bed, k2, 2, NFS3_READ);
	assert_int_equal(pxbed_take(&bed), 1);
	pxbed_call(&bed, other, 3, NFS3_WRITE); /* another volume */
	assert_int_equal(pxbed_take(&bed), 1);
	px_fence_done(bed.px, px_path_index(&cfg, 0, A), 0, id, PX_NONE,
	    UINT64_MAX, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_KCONN_FREE), 1);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
	assert_int_equal(px_volume(bed.px, 0)->retired, 0);
}

/* One with nothing that could land stops nobody. */
static void
idle_closed_connection_does_not_gate(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg), *k2;

	(void)state;
	k2 = pxbed_open(&bed, 0);
	pxbed_ready(&bed, k2, A);
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	assert_true(pxbed_reply(&bed, &k->u[A], 1));
	pxbed_call(&bed, k, 2, NFS3_READ);
	pxbed_take(&bed);
	px_kconn_close(bed.px, k, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1); /* tidies up */
	pxbed_call(&bed, k2, 9, NFS3_WRITE);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
}

/* A call that waits for its fence, and whose connection is closed then. */
static void
held_call_of_a_closed_connection_gates(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg), *k2;

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_take(&bed);
	pxbed_carrier(&bed, A, false);
	pxbed_take(&bed);
	px_kconn_close(bed.px, k, ++bed.now);
	assert_int_equal(px_volume(bed.px, 0)->retired, 1);
	k2 = pxbed_open(&bed, 0);
	pxbed_ready(&bed, k2, B);
	pxbed_call(&bed, k2, 1, NFS3_WRITE);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 0);
	/* Its fence is lost with the control connection: asked again. */
	px_control_lost(
	    bed.px, px_path_index(&cfg, 0, B), PX_LOST_CLOSED, ++bed.now);
	pxbed_path_up(&bed, 0, B, BOOT);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
	assert_int_equal(pxbed_get(&bed, PX_FENCE, 0)->kconn_id, 1);
	px_fence_done(bed.px, px_path_index(&cfg, 0, B), 0, 1, PX_NONE,
	    UINT64_MAX, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(held_without_a_path),
	    TEST(sent_on_the_best_and_answered),
	    TEST(fence_before_replay),
	    TEST(hello_is_a_fence),
	    TEST(every_network_it_went_over),
	    TEST(control_lost_during_fence_asks_again),
	    TEST(new_boot_needs_no_fence),
	    TEST(duplicates_linger_and_clash),
	    TEST(full_and_empty_again),
	    TEST(replay_is_paced),
	    TEST(all_paths_share),
	    TEST(closed_connection_gates),
	    TEST(idle_closed_connection_does_not_gate),
	    TEST(held_call_of_a_closed_connection_gates),
	};

	return cmocka_run_group_tests_name("pxcore", tests, NULL, NULL);
}
