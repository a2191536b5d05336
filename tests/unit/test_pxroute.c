/*
 * Paths, choice and connections of the proxy core: which network, when a
 * connection is made again, interfaces, boots of agents.
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

/* Ticks for ms, taking actions; counts those of one type. */
static unsigned
ticks(uint64_t ms, enum px_action_type type)
{
	uint64_t end = bed.now + ms;
	unsigned n = 0;

	for (; bed.now < end; bed.now += PX_TICK_MS) {
		px_tick(bed.px, bed.now);
		pxbed_take(&bed);
		n += pxbed_count(&bed, type);
	}
	return n;
}

static void
beat(uint32_t network)
{
	static uint64_t seq;

	px_heartbeat(bed.px, 0, network, BOOT, ++seq, 50, 3, bed.now);
}

static unsigned
events_of(enum px_event_id id)
{
	static struct px_event ev[PX_EVENTS];
	size_t n = px_events(bed.px, 0, ev, PX_EVENTS);
	unsigned found = 0;

	for (size_t i = 0; i < n; i++)
		found += ev[i].id == id;
	return found;
}

static void
configured_order_when_equal(void **state)
{
	struct px_config cfg = pxbed_config();

	(void)state;
	pxbed_up(&bed, &cfg);
	assert_int_equal(px_volume(bed.px, 0)->best, PX_NONE);
	pxbed_path_up(&bed, 0, B, BOOT);
	assert_int_equal(px_volume(bed.px, 0)->best, B);
	pxbed_path_up(&bed, 0, A, BOOT);
	assert_int_equal(px_volume(bed.px, 0)->best, A);
	assert_string_equal(px_rule_name(px_volume(bed.px, 0)->best_rule),
	    "rule 4: configured order");
	assert_int_equal(px_volume(bed.px, 0)->switches, 1);
}

/* After a fault the preferred network comes back, but is held down first. */
static void
back_only_after_the_hold_down(void **state)
{
	struct px_config cfg = pxbed_config();

	(void)state;
	pxbed_start(&bed, &cfg);
	pxbed_carrier(&bed, A, false);
	assert_int_equal(px_volume(bed.px, 0)->best, B);
	pxbed_carrier(&bed, A, true);
	pxbed_path_up(&bed, 0, A, BOOT);
	assert_int_equal(px_volume(bed.px, 0)->best, B);
	ticks(px_path(bed.px, 0)->hold_until_ms - bed.now, PX_PROBE);
	assert_int_equal(px_volume(bed.px, 0)->best, B);
	ticks(2 * PX_TICK_MS, PX_PROBE);
	assert_int_equal(px_volume(bed.px, 0)->best, A);
	/* But when the other fails meanwhile, it is better than none. */
	pxbed_carrier(&bed, A, false);
	pxbed_carrier(&bed, A, true);
	pxbed_path_up(&bed, 0, A, BOOT);
	pxbed_carrier(&bed, B, false);
	assert_int_equal(px_volume(bed.px, 0)->best, A);
}

static void
lossy_is_left_and_said(void **state)
{
	struct px_config cfg = pxbed_config();
	uint64_t seq = 1000000;

	(void)state;
	pxbed_start(&bed, &cfg);
	for (unsigned i = 0; i < 40; i++) {
		if (i % 3 != 0)
			px_heartbeat(
			    bed.px, 0, A, BOOT, seq + i, 50, 3, bed.now);
		px_heartbeat(bed.px, 0, B, BOOT, seq + i, 50, 3, bed.now);
		ticks(50, PX_PROBE);
	}
	assert_int_equal(px_path(bed.px, 0)->lossy, true);
	assert_int_equal(px_volume(bed.px, 0)->best, B);
	assert_int_equal(events_of(PX_EV_PATH_LOSSY), 1);
	assert_int_equal(events_of(PX_EV_PATH_CLEAN), 0);
}

/* A silent death: heartbeats stop on A, B goes on. */
static void
silent_death_is_noticed(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	uint64_t died;

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	for (unsigned i = 0; i < 20; i++) {
		beat(A);
		beat(B);
		ticks(40, PX_PROBE);
	}
	died = bed.now;
	bed.dead[0] = true;
	while (k->u[A].state == UCONN_READY && bed.now < died + 1000) {
		beat(B);
		ticks(20, PX_PROBE);
	}
	assert_in_range(bed.now - died, 100, 200);
	assert_int_equal(px_volume(bed.px, 0)->best, B);
	pxbed_call(&bed, k, 2, NFS3_WRITE);
	assert_int_equal(pxbed_take(&bed), 1);
	assert_ptr_equal(pxbed_get(&bed, PX_SEND, 0)->uconn, &k->u[B]);
}

static void
address_change_begins_anew(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_READ);
	pxbed_take(&bed);
	px_interface(bed.px, A, true, PATH_ADDRESS, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_ABORT), 1);
	/* The controls of both servers: one was made, one being made. */
	assert_int_equal(pxbed_count(&bed, PX_CONTROL_ABORT), 2);
	assert_int_equal(pxbed_count(&bed, PX_CONTROL_OPEN), 2);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
	px_control_ready(bed.px, 0, BOOT, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONNECT), 1);
}

/* An attempt made over an interface that goes away is given up with it,
 * else its end would be waited for when the interface is back. */
static void
interface_gone_ends_attempts(void **state)
{
	struct px_config cfg = pxbed_config();

	(void)state;
	pxbed_up(&bed, &cfg);
	px_interface(bed.px, A, true, PATH_NEW, bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONTROL_OPEN), 2);
	pxbed_carrier(&bed, A, false);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONTROL_ABORT), 2);
	pxbed_carrier(&bed, A, true);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_CONTROL_OPEN), 2);
}

static void
refused_connections_back_off(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;
	unsigned attempts = 1;

	(void)state;
	pxbed_up(&bed, &cfg);
	pxbed_path_up(&bed, 0, A, BOOT);
	k = pxbed_open(&bed, 0);
	pxbed_take(&bed);
	for (unsigned i = 0; i < 500; i++) {
		if (k->u[A].state == UCONN_CONNECTING) {
			attempts++;
			px_uconn_lost(bed.px, &k->u[A], "refused", bed.now);
		}
		ticks(20, PX_CONNECT);
	}
	assert_in_range(attempts, 12, 16); /* 10 s: 50, 100, ... 1000 ms */
}

/* A connection that is accepted and closed at once, again and again. */
static void
closed_at_once_backs_off(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;
	unsigned attempts = 1;

	(void)state;
	pxbed_up(&bed, &cfg);
	pxbed_path_up(&bed, 0, A, BOOT);
	k = pxbed_open(&bed, 0);
	pxbed_call(&bed, k, 1, NFS3_READ);
	for (unsigned i = 0; i < 500; i++) {
		if (k->u[A].state == UCONN_CONNECTING) {
			attempts++;
			pxbed_ready(&bed, k, A);
			pxbed_take(&bed);
			px_uconn_lost(bed.px, &k->u[A], "closed", bed.now);
		}
		ticks(20, PX_CONNECT);
	}
	assert_in_range(attempts, 12, 17);
	/* One that works again is trusted again. */
	ticks(1000, PX_CONNECT);
	pxbed_ready(&bed, k, A);
	pxbed_take(&bed);
	assert_true(pxbed_reply(&bed, &k->u[A], 1));
	px_uconn_lost(bed.px, &k->u[A], "closed", ++bed.now);
	assert_int_equal(k->u[A].state, UCONN_CONNECTING);
}

/* An attempt that nobody answers ends, and another is made. */
static void
attempts_end(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;

	(void)state;
	pxbed_up(&bed, &cfg);
	pxbed_path_up(&bed, 0, A, BOOT);
	k = pxbed_open(&bed, 0);
	pxbed_take(&bed);
	for (unsigned i = 0; k->u[A].state != UCONN_NONE && i < 200; i++)
		ticks(20, PX_ABORT);
	assert_int_equal(pxbed_count(&bed, PX_ABORT), 1);
	assert_int_equal(ticks(100, PX_CONNECT), 1);
}

/* The control connection of a silent path is refused and made again
 * sooner than its back-off says: that is all there is to probe with. */
static void
silent_path_without_control_goes_down(void **state)
{
	struct px_config cfg = pxbed_config();
	uint64_t died;

	(void)state;
	cfg.retry_max_ms = 10000;
	pxbed_start(&bed, &cfg);
	px_control_lost(bed.px, 0, PX_LOST_CLOSED, bed.now);
	for (unsigned i = 0; i < 500; i++) { /* the agent is dead */
		ticks(20, PX_CONTROL_OPEN);
		if (px_control(bed.px, 0)->state == UCONN_CONNECTING)
			px_control_lost(bed.px, 0, PX_LOST_REFUSED, bed.now);
	}
	assert_int_equal(px_path(bed.px, 0)->state, PATH_UP);
	died = bed.now; /* and now its network */
	while (px_path(bed.px, 0)->state == PATH_UP && bed.now < died + 20000) {
		ticks(20, PX_CONTROL_OPEN);
	}
	assert_in_range(bed.now - died, 100, 300);
}

/* Once the agent answers, connections need not sit out their back-off. */
static void
agent_back_ends_the_back_off(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	px_control_lost(bed.px, 0, PX_LOST_CLOSED, ++bed.now);
	for (unsigned i = 0; i < 100; i++) {
		if (k->u[A].state != UCONN_NONE)
			px_uconn_lost(bed.px, &k->u[A], "refused", bed.now);
		if (px_control(bed.px, 0)->state == UCONN_CONNECTING)
			px_control_lost(bed.px, 0, PX_LOST_REFUSED, bed.now);
		ticks(20, PX_CONNECT);
	}
	while (px_control(bed.px, 0)->state != UCONN_CONNECTING) {
		if (k->u[A].state != UCONN_NONE)
			px_uconn_lost(bed.px, &k->u[A], "refused", bed.now);
		ticks(20, PX_CONNECT);
	}
	if (k->u[A].state != UCONN_NONE)
		px_uconn_lost(bed.px, &k->u[A], "refused", bed.now);
	assert_int_equal(k->u[A].state, UCONN_NONE);
	pxbed_take(&bed);
	px_control_ready(bed.px, 0, BOOT + 1, ++bed.now);
	pxbed_take(&bed);
	assert_in_range(pxbed_count(&bed, PX_CONNECT), 1, 2);
	assert_int_equal(k->u[A].state, UCONN_CONNECTING);
}

/* No heartbeats: asks for unicast ones, and again before they lapse. */
static void
subscribes_while_unheard(void **state)
{
	struct px_config cfg = pxbed_config();
	unsigned n = 0;

	(void)state;
	pxbed_up(&bed, &cfg);
	pxbed_path_up(&bed, 0, A, BOOT);
	for (unsigned i = 0; i < 1000; i++) {
		n += ticks(20, PX_SUBSCRIBE);
		if (n > 0 && i % 3 == 0) /* it works */
			beat(A);
	}
	assert_in_range(n, 4, 5); /* 20 s */
	assert_int_equal(px_path(bed.px, 0)->state, PATH_UP);
}

/* Heartbeats come over B, but what is sent over it does not arrive: a FENCE
 * that waits shows it, though no call does. */
static void
fence_over_a_one_way_path(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);
	uint64_t asked;

	(void)state;
	ticks(100, PX_PROBE);
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_take(&bed);
	pxbed_carrier(&bed, A, false);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_FENCE), 1);
	assert_int_equal(pxbed_get(&bed, PX_FENCE, 0)->path, 1);
	asked = bed.now;
	bed.dead[1] = true;
	pxbed_carrier(&bed, A, true);
	pxbed_path_up(&bed, 0, A, BOOT);
	pxbed_take(&bed);
	while (px_path(bed.px, 1)->state == PATH_UP &&
	    bed.now < asked + 10000) {
		beat(B);
		px_tick(bed.px, bed.now += PX_TICK_MS);
		pxbed_take(&bed);
	}
	assert_in_range(bed.now - asked, 600, 800);
	assert_int_equal(px_path(bed.px, 1)->reason, PATH_ONE_WAY);
	pxbed_ready(&bed, k, A);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
}

/*
 * The agent dies with its answer to a HELLO on the way, and another one is
 * there by the time it arrives: it must not be taken for the present one,
 * or what is sent to that would be replayed without a fence.
 */
static void
late_answer_of_a_dead_agent(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;

	(void)state;
	pxbed_up(&bed, &cfg);
	pxbed_path_up(&bed, 0, A, BOOT);
	k = pxbed_open(&bed, 0);
	pxbed_take(&bed);
	assert_int_equal(k->u[A].state, UCONN_CONNECTING);
	pxbed_path_up(&bed, 0, B, BOOT + 1);
	pxbed_take(&bed);
	px_uconn_ready(bed.px, &k->u[A], BOOT, 0, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_ABORT), 1);
	assert_int_equal(bed.px->boot[0], BOOT + 1);
	/* And a control connection's likewise. */
	px_control_lost(bed.px, 0, PX_LOST_CLOSED, ++bed.now);
	ticks(1500, PX_CONTROL_OPEN);
	assert_int_equal(px_control(bed.px, 0)->state, UCONN_CONNECTING);
	px_control_lost(bed.px, 1, PX_LOST_CLOSED, ++bed.now);
	ticks(100, PX_CONTROL_OPEN);
	px_control_ready(bed.px, 1, BOOT + 2, ++bed.now);
	px_control_ready(bed.px, 0, BOOT + 1, ++bed.now);
	assert_int_equal(bed.px->boot[0], BOOT + 2);
	assert_int_equal(px_control(bed.px, 0)->state, UCONN_NONE);
}

/* A new boot: every connection to the old one is dead, whatever TCP says. */
static void
new_boot_ends_old_connections(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k = pxbed_start(&bed, &cfg);

	(void)state;
	pxbed_call(&bed, k, 1, NFS3_WRITE);
	pxbed_take(&bed);
	px_control_lost(bed.px, 1, PX_LOST_CLOSED, ++bed.now);
	pxbed_path_up(&bed, 0, B, BOOT + 1);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_ABORT), 2);
	assert_int_equal(pxbed_count(&bed, PX_CONTROL_ABORT), 1);
	assert_int_equal(k->u[A].state, UCONN_CONNECTING);
	assert_int_equal(k->held.n, 1);
	px_uconn_ready(bed.px, &k->u[A], BOOT + 1, 0, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(pxbed_count(&bed, PX_SEND), 1);
}

/* An agent that says the highest floor there is: no number follows it. */
static void
highest_floor_is_no_generation(void **state)
{
	struct px_config cfg = pxbed_config();
	struct kconn *k;
	uint64_t before;

	(void)state;
	pxbed_up(&bed, &cfg);
	pxbed_path_up(&bed, 0, A, BOOT);
	k = pxbed_open(&bed, 0);
	px_uconn_fenced(bed.px, &k->u[A], k->u[A].generation + 10, ++bed.now);
	assert_int_equal(k->u[A].state, UCONN_CONNECTING);
	assert_int_equal(k->u[A].generation, k->u[A].floor + 1);
	before = k->u[A].generation;
	px_uconn_fenced(bed.px, &k->u[A], UINT64_MAX, ++bed.now);
	pxbed_take(&bed);
	assert_int_equal(k->u[A].state, UCONN_NONE);
	bed.now += 100;
	px_tick(bed.px, bed.now);
	assert_int_equal(k->u[A].state, UCONN_CONNECTING);
	assert_true(k->u[A].generation > before);
}

/* A kernel connection that never reached an agent leaves nothing there. */
static void
unsent_kconn_goes_at_once(void **state)
{
	struct px_config cfg = pxbed_config();

	(void)state;
	pxbed_up(&bed, &cfg);
	for (unsigned i = 0; i < 1000; i++) {
		struct kconn *k = pxbed_open(&bed, 0);

		pxbed_call(&bed, k, 1, NFS3_WRITE);
		px_kconn_close(bed.px, k, ++bed.now);
		pxbed_take(&bed);
		assert_int_equal(pxbed_count(&bed, PX_KCONN_FREE), 1);
	}
	assert_int_equal(px_volume(bed.px, 0)->retired, 0);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(configured_order_when_equal),
	    TEST(back_only_after_the_hold_down),
	    TEST(lossy_is_left_and_said),
	    TEST(silent_death_is_noticed),
	    TEST(address_change_begins_anew),
	    TEST(interface_gone_ends_attempts),
	    TEST(refused_connections_back_off),
	    TEST(closed_at_once_backs_off),
	    TEST(attempts_end),
	    TEST(silent_path_without_control_goes_down),
	    TEST(agent_back_ends_the_back_off),
	    TEST(subscribes_while_unheard),
	    TEST(fence_over_a_one_way_path),
	    TEST(late_answer_of_a_dead_agent),
	    TEST(new_boot_ends_old_connections),
	    TEST(highest_floor_is_no_generation),
	    TEST(unsent_kconn_goes_at_once),
	};

	return cmocka_run_group_tests_name("pxroute", tests, NULL, NULL);
}
