/*
 * Calls without a reply for long: they are told of, and what an agent that
 * answers has lost is sent again.
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

static struct px_config
config(void)
{
	struct px_config cfg = pxbed_config();

	cfg.resend_ms = 30000;
	return cfg;
}

/* Time passes in ticks, with heartbeats and answered probes. */
static void
pass(uint64_t ms)
{
	static uint64_t seq;

	for (uint64_t end = bed.now + ms; bed.now < end;) {
		bed.now += PX_TICK_MS;
		for (uint32_t n = A; n <= B; n++)
			px_heartbeat(bed.px, 0, n, BOOT, ++seq, 50, 3, bed.now);
		px_tick(bed.px, bed.now);
		if (bed.now >= end)
			return; /* the caller takes the last actions */
		for (struct kconn *k = px_kconns(bed.px); k; k = k->next)
			assert_int_not_equal(k->u[A].state, UCONN_NONE);
		pxbed_take(&bed);
	}
}

/* How many events speak of late calls; *text: the last one's. */
static unsigned
told(char text[200])
{
	static struct px_event e[PX_EVENTS];
	size_t n = px_events(bed.px, 0, e, PX_EVENTS);
	unsigned late = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (e[i].id == PX_EV_LATE) {
			late++;
			memcpy(text, e[i].text, 200);
		}
	return late;
}

static void
the_oldest_is_told(void **state)
{
	struct px_config cfg = config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	struct px_oldest o;
	char text[200];

	(void)state;
	pxbed_call(&bed, k, 0xabcd, NFS3_READ);
	pxbed_take(&bed);
	pass(5000);
	pxbed_call(&bed, k, 2, NFS3_GETATTR);
	pass(4000);
	assert_int_equal(told(text), 0);
	pass(2500);
	assert_int_equal(told(text), 1);
	assert_non_null(strstr(text, "volume home: READ xid 0000abcd"));
	assert_non_null(strstr(text, "a reply of s1 over netA"));
	assert_non_null(strstr(text, "1 wait so long"));
	px_oldest(bed.px, 0, &o, bed.now);
	assert_int_equal(o.call->id.xid, 0xabcd);
	assert_int_equal(o.n, 2);
	assert_int_equal(o.late, 1);
	/* Not each second; and its end is told. */
	pass(10000);
	assert_int_equal(told(text), 1);
	assert_true(pxbed_reply(&bed, &k->u[A], 0xabcd));
	assert_true(pxbed_reply(&bed, &k->u[A], 2));
	pass(1200);
	assert_int_equal(told(text), 2);
	assert_non_null(strstr(text, "no call waits for long any more"));
	px_oldest(bed.px, 0, &o, bed.now);
	assert_null(o.call);
}

static void
why_it_is_held(void **state)
{
	struct px_config cfg = config();
	struct kconn *k;
	char text[200];
	struct px_oldest o;

	(void)state;
	pxbed_up(&bed, &cfg);
	k = pxbed_open(&bed, 0);
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	px_oldest(bed.px, 0, &o, bed.now);
	px_waits_for(bed.px, o.call, bed.now, text, sizeof(text));
	assert_string_equal(text, "a path that is up");
	pxbed_path_up(&bed, 0, A, BOOT);
	px_waits_for(bed.px, o.call, bed.now, text, sizeof(text));
	assert_string_equal(text, "a connection that the agent accepts");
	px_told(bed.px, 0, 0, false, 1, bed.now);
	px_waits_for(bed.px, o.call, bed.now, text, sizeof(text));
	assert_string_equal(text, "a server that serves the volume");
	px_told(bed.px, 0, 0, true, 1, bed.now);
	pxbed_take(&bed);
	pxbed_ready(&bed, k, A);
	pxbed_path_up(&bed, 0, B, BOOT);
	pxbed_take(&bed);
	pxbed_ready(&bed, k, B);
	/* It was sent, and may have changed something. */
	pxbed_carrier(&bed, A, false);
	px_waits_for(bed.px, o.call, bed.now, text, sizeof(text));
	assert_string_equal(text, "a FENCE");
	pxbed_take(&bed);
}

/* Other calls are answered, this one is not: a new connection asks again. */
static void
lost_call_is_sent_again(void **state)
{
	struct px_config cfg = config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	char text[200];

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_READ);
	pxbed_take(&bed);
	for (uint32_t xid = 2; xid < 31; xid++) {
		pxbed_call(&bed, k, xid, NFS3_GETATTR);
		pxbed_take(&bed);
		assert_true(pxbed_reply(&bed, &k->u[A], xid));
		pass(1000);
	}
	assert_int_equal(px_counters(bed.px)->resent, 0);
	pass(2500);
	assert_int_equal(px_counters(bed.px)->resent, 1);
	told(text);
	assert_non_null(strstr(text, "READ xid 00000001"));
	assert_non_null(strstr(text, "sent again over a new connection"));
	pxbed_take(&bed);
	/* The other network has it at once. */
	assert_int_equal(k->u[B].calls.n, 1);
	assert_int_equal(k->u[B].calls.first->sends, 2);
	assert_int_equal(k->u[A].state, UCONN_CONNECTING);
	assert_true(pxbed_reply(&bed, &k->u[B], 1));
}

/* A WRITE that may still land waits for its fence first (I4). */
static void
lost_write_is_fenced(void **state)
{
	struct px_config cfg = config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	uint64_t gen = k->u[A].generation;
	uint64_t before;

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_take(&bed);
	before = px_counters(bed.px)->fences;
	for (int i = 0; i < 40 && px_counters(bed.px)->resent == 0; i++)
		pass(1000);
	assert_int_equal(px_counters(bed.px)->resent, 1);
	assert_int_equal(k->held.n, 1);
	assert_int_equal(px_counters(bed.px)->fences, before + 1);
	pxbed_take(&bed);
	px_fence_done(
	    bed.px, px_path_index(&cfg, 0, B), 0, k->id, A, gen, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(k->u[B].calls.n, 1);
	assert_true(pxbed_reply(&bed, &k->u[B], 1));
}

/* A slow backend: each time it has twice as long. */
static void
slow_is_asked_less_often(void **state)
{
	struct px_config cfg = config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	unsigned again[6] = {0}, n = 0;

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_READ);
	pxbed_take(&bed);
	for (unsigned s = 1; s <= 500; s++) {
		uint64_t was = px_counters(bed.px)->resent;

		pass(1000);
		pxbed_take(&bed);
		for (uint32_t net = A; net <= B; net++)
			if (k->u[net].state == UCONN_CONNECTING)
				pxbed_ready(&bed, k, net);
		pxbed_take(&bed);
		if (px_counters(bed.px)->resent != was && n < 6)
			again[n++] = s;
	}
	assert_int_equal(n, 4);
	assert_in_range(again[0], 30, 32);
	assert_in_range(again[1] - again[0], 60, 63);
	assert_in_range(again[2] - again[1], 120, 123);
	assert_in_range(again[3] - again[2], 240, 243);
}

/* An agent that is stopped has the call in its socket: nothing is gained. */
static void
silent_agent_is_waited_for(void **state)
{
	struct px_config cfg = config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_READ);
	pxbed_take(&bed);
	for (uint32_t path = 0; path < PX_PATHS; path++)
		bed.dead[path] = true;
	for (unsigned i = 0; i < 3000; i++) {
		bed.now += PX_TICK_MS;
		px_tick(bed.px, bed.now);
		pxbed_take(&bed);
		for (uint32_t path = 0; path < 2; path++)
			if (px_path(bed.px, path)->probe_ms != 0)
				px_probe_acked(bed.px, path, bed.now);
	}
	assert_int_equal(px_counters(bed.px)->resent, 0);
	assert_int_equal(k->u[A].calls.n, 1);
}

/* Replays that the agent does not answer, since they are slow, hold up others
 * for a second or two, not until one of them is answered. */
static void
slow_replays_let_others_by(void **state)
{
	struct px_config cfg = config();
	struct kconn *k;

	(void)state;
	cfg.replay_calls = 2;
	k = pxbed_start(&bed, &cfg);
	for (uint32_t xid = 1; xid <= 5; xid++)
		pxbed_call(&bed, k, xid, NFS3_READ);
	pxbed_take(&bed);
	px_uconn_lost(bed.px, &k->u[A], "reset", ++bed.now);
	pxbed_call(&bed, k, 6, NFS3_GETATTR);
	pxbed_take(&bed);
	assert_int_equal(k->u[B].calls.n, 2);
	assert_int_equal(k->held.n, 4);
	pass(900);
	assert_int_equal(k->u[B].calls.n, 2);
	pass(200);
	assert_int_equal(k->u[B].calls.n, 4);
	pass(1000);
	assert_int_equal(k->held.n, 0);
	assert_int_equal(k->u[B].calls.last->id.xid, 6);
}

/* Those that are sent again are at the agent: others do not wait for them. */
static void
others_go_on_beside(void **state)
{
	struct px_config cfg = config();
	struct kconn *k;

	(void)state;
	cfg.replay_calls = 2;
	k = pxbed_start(&bed, &cfg);
	for (uint32_t xid = 1; xid <= 9; xid++)
		pxbed_call(&bed, k, xid, NFS3_READ);
	pxbed_take(&bed);
	for (unsigned i = 0; i < 40 && px_counters(bed.px)->resent == 0; i++)
		pass(1000);
	assert_int_equal(px_counters(bed.px)->resent, 1);
	pxbed_call(&bed, k, 10, NFS3_GETATTR);
	assert_int_equal(k->held.n, 0);
	assert_int_equal(k->u[B].calls.n, 10);
	pxbed_take(&bed);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_oldest_is_told),
	    TEST(why_it_is_held),
	    TEST(lost_call_is_sent_again),
	    TEST(lost_write_is_fenced),
	    TEST(slow_is_asked_less_often),
	    TEST(silent_agent_is_waited_for),
	    TEST(slow_replays_let_others_by),
	    TEST(others_go_on_beside),
	};

	return cmocka_run_group_tests_name("pxlate", tests, NULL, NULL);
}
