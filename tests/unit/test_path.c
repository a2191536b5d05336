/* One path's rules: what takes it down, what brings it up, what holds it
 * back, when it is probed. */
#include "proxy/path.h"
#include "unit.h"

static const struct path_config cfg = {
    .interval_ms = 50,
    .multiplier = 3,
    .probe_after_ms = 300,
    .oneway_ms = 400,
    .hold_ms = 1000,
    .hold_max_ms = 60000,
    .calm_ms = 30000,
};

enum { T0 = 1000000, STEP = 5 };

struct bed {
	struct path p;
	uint64_t now, seq;
};

static void
bed_up(struct bed *b)
{
	path_init(&b->p, &cfg, true);
	b->now = T0;
	b->seq = 0;
	assert_int_equal(b->p.state, PATH_DOWN);
	assert_false(path_interface(&b->p, &cfg, true, PATH_NEW, b->now));
	assert_int_equal(b->p.state, PATH_DOWN); /* an interface is no path */
	assert_true(path_control_up(&b->p, b->now));
	path_probe_answered(&b->p, 500, b->now);
	assert_int_equal(b->p.state, PATH_UP);
}

static void
beat(struct bed *b)
{
	path_heartbeat(&b->p, &cfg, 7, ++b->seq, 50, 3, b->now);
}

/* Runs until the path goes down or until_ms have passed, as the core does;
 * heartbeats and the peer's answers to probes as said. */
struct weather {
	bool heartbeats, acks, answers;
	uint32_t rtt_ms;
	uint64_t oldest_sent_ms;
};

static bool
runs(struct bed *b, struct weather w, uint64_t for_ms)
{
	uint64_t end = b->now + for_ms, probe = 0;

	for (; b->now < end; b->now += STEP) {
		if (w.heartbeats && b->now % 50 == 0)
			beat(b);
		if (probe != 0 && b->now - probe >= w.rtt_ms) {
			if (w.answers)
				path_probe_answered(
				    &b->p, w.rtt_ms * 1000, b->now);
			else if (w.acks)
				path_probe_acked(&b->p, b->now);
			probe = 0;
		}
		if (path_tick(&b->p, &cfg, b->now))
			return false;
		if (path_wants_probe(&b->p, &cfg, w.oldest_sent_ms, b->now)) {
			path_probe_sent(&b->p, b->now);
			probe = b->now;
		}
	}
	return true;
}

static void
heartbeats_keep_it_up_without_probes(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_true(runs(&b, (struct weather){.heartbeats = true}, 60000));
	assert_int_equal(b.p.probes, 0);
}

static void
silence_takes_it_down_in_time(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_true(runs(&b, (struct weather){.heartbeats = true}, 1000));
	assert_false(runs(&b, (struct weather){0}, 1000));
	assert_int_equal(b.p.state, PATH_DOWN);
	assert_int_equal(b.p.reason, PATH_SILENT);
	assert_in_range(b.now - b.p.heard_ms, 150, 160);
	assert_int_equal(b.p.downs, 1);
	assert_int_equal(b.p.probe_ms, 0);
}

/* Two heartbeats lost in a row, and the third in time: nothing. */
static void
two_missed_are_no_fault(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	for (unsigned i = 0; i < 100; i++) {
		beat(&b);
		assert_true(runs(
		    &b, (struct weather){.answers = true, .rtt_ms = 5}, 145));
	}
}

static void
probes_alone_keep_it_up(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_true(
	    runs(&b, (struct weather){.answers = true, .rtt_ms = 5}, 60000));
	assert_in_range(b.p.probes, 60000 / 100, 60000 / 70);
}

/* An agent that is stopped: its kernel acknowledges, nobody answers. */
static void
acknowledged_probes_keep_it_up(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_true(
	    runs(&b, (struct weather){.acks = true, .rtt_ms = 5}, 60000));
	assert_int_equal(b.p.state, PATH_UP);
}

/* Heartbeats come, what we send does not arrive. */
static void
one_way(void **state)
{
	struct bed b;
	struct weather w = {.heartbeats = true};

	(void)state;
	bed_up(&b);
	assert_true(runs(&b, w, 5000)); /* nothing to send, nothing seen */
	w.oldest_sent_ms = b.now;
	assert_false(runs(&b, w, 5000));
	assert_int_equal(b.p.reason, PATH_ONE_WAY);
	assert_in_range(b.now - w.oldest_sent_ms, 700, 720);
}

/* A call that takes long at the server is asked after, and no fault. */
static void
slow_call_is_no_fault(void **state)
{
	struct bed b;
	struct weather w = {.heartbeats = true, .answers = true, .rtt_ms = 2};

	(void)state;
	bed_up(&b);
	w.oldest_sent_ms = b.now;
	assert_true(runs(&b, w, 10000));
	assert_in_range(b.p.probes, 20, 40);
}

/* 400 ms away, no heartbeats, so that probes alone show it. */
static void
far_is_not_down(void **state)
{
	struct bed b;

	(void)state;
	path_init(&b.p, &cfg, true);
	b.now = T0;
	path_interface(&b.p, &cfg, true, PATH_NEW, b.now);
	path_connected(&b.p, 800, b.now);
	path_control_up(&b.p, b.now);
	assert_true(
	    runs(&b, (struct weather){.answers = true, .rtt_ms = 400}, 60000));
	assert_false(runs(&b, (struct weather){.rtt_ms = 400}, 60000));
	assert_int_equal(b.p.reason, PATH_SILENT);
}

static void
interface_is_believed_at_once(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_true(path_interface(&b.p, &cfg, false, PATH_CARRIER, b.now));
	assert_int_equal(b.p.state, PATH_DOWN);
	assert_false(path_interface(&b.p, &cfg, false, PATH_NO_ADDRESS, b.now));
	assert_int_equal(b.p.reason, PATH_NO_ADDRESS);
	assert_int_equal(b.p.downs, 1);
	assert_false(path_interface(&b.p, &cfg, true, PATH_NEW, b.now));
	assert_int_equal(b.p.state, PATH_DOWN); /* until it answers */
	assert_true(path_control_up(&b.p, b.now));
	/* Another address: what is connected from the old one is dead. */
	assert_true(path_interface(&b.p, &cfg, true, PATH_ADDRESS, b.now));
	assert_int_equal(b.p.reason, PATH_ADDRESS);
	assert_true(b.p.interface_up);
}

static void
kernel_says_unreachable(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	beat(&b);
	assert_false(path_control_lost(&b.p, &cfg, true, b.now + 10));
	assert_int_equal(b.p.state, PATH_UP); /* it was just heard */
	assert_false(path_control_lost(&b.p, &cfg, false, b.now + 200));
	assert_int_equal(b.p.state, PATH_UP); /* the agent, not the way */
	assert_true(path_control_lost(&b.p, &cfg, true, b.now + 200));
	assert_int_equal(b.p.reason, PATH_UNREACHABLE);
}

static uint64_t
flap(struct bed *b)
{
	assert_true(path_interface(&b->p, &cfg, false, PATH_CARRIER, b->now));
	b->now += 100;
	path_interface(&b->p, &cfg, true, PATH_NEW, b->now);
	assert_true(path_control_up(&b->p, b->now));
	return b->p.hold_until_ms - b->now;
}

static void
damping_doubles_to_its_bound(void **state)
{
	struct bed b;
	uint64_t want = cfg.hold_ms;

	(void)state;
	bed_up(&b);
	assert_false(path_held(&b.p, b.now)); /* the first start is no flap */
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(flap(&b), want);
		assert_true(path_held(&b.p, b.now));
		want = want * 2 < cfg.hold_max_ms ? want * 2 : cfg.hold_max_ms;
	}
	b.now += cfg.hold_max_ms;
	assert_false(path_held(&b.p, b.now));
	/* However long it flapped, some minutes of calm are enough. */
	for (unsigned i = 0; i < 100000; i++)
		flap(&b);
	assert_true(runs(&b, (struct weather){.heartbeats = true},
	    cfg.hold_max_ms + 8 * cfg.calm_ms));
	assert_int_equal(flap(&b), cfg.hold_ms);
}

static void
damping_forgives_with_time(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	for (unsigned i = 0; i < 3; i++)
		flap(&b);
	assert_int_equal(b.p.flaps, 3);
	assert_true(
	    runs(&b, (struct weather){.heartbeats = true}, cfg.calm_ms + 100));
	assert_int_equal(b.p.flaps, 2);
	assert_true(
	    runs(&b, (struct weather){.heartbeats = true}, 2 * cfg.calm_ms));
	assert_int_equal(b.p.flaps, 0);
	assert_int_equal(flap(&b), cfg.hold_ms);
}

/* Every lost-th heartbeat is lost, for n. */
static void
lose(struct bed *b, unsigned lost, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		b->now += 50;
		if (lost != 0 && i % lost == 0)
			b->seq++;
		else
			beat(b);
		path_tick(&b->p, &cfg, b->now);
	}
}

static void
loss_marks_and_calm_clears(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	lose(&b, 0, 100);
	assert_false(b.p.lossy);
	lose(&b, 3, 40); /* 33%, two seconds */
	assert_true(b.p.lossy);
	lose(&b, 0, 60);
	assert_true(b.p.lossy); /* 3 s are too short */
	lose(&b, 0, 60);
	assert_false(b.p.lossy);
	/* The second time it takes longer to be trusted again. */
	lose(&b, 3, 40);
	lose(&b, 0, 150);
	assert_true(b.p.lossy);
	lose(&b, 0, 100);
	assert_false(b.p.lossy);
	/* Which is forgotten after a while, too. */
	assert_int_equal(b.p.lossy_times, 2);
	lose(&b, 0, 2 * cfg.calm_ms / 50 + 10);
	assert_int_equal(b.p.lossy_times, 0);
}

static void
single_losses_and_outages_are_not_lossy(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	lose(&b, 25, 400); /* 4% */
	assert_false(b.p.lossy);
	for (unsigned i = 0; i < 10; i++) { /* outages have their own rule */
		b.seq += 20;
		b.now += 1000;
		beat(&b);
		assert_false(b.p.lossy);
	}
}

static void
late_and_repeated_heartbeats_are_ignored(void **state)
{
	struct bed b;
	uint64_t heard;

	(void)state;
	bed_up(&b);
	lose(&b, 0, 10);
	heard = b.p.heard_ms;
	path_heartbeat(&b.p, &cfg, 7, b.seq, 50, 3, b.now + 100);
	path_heartbeat(&b.p, &cfg, 7, b.seq - 5, 50, 3, b.now + 100);
	assert_int_equal(b.p.heard_ms, heard);
	/* Another boot counts anew, whatever its numbers. */
	path_heartbeat(&b.p, &cfg, 8, 1, 100, 5, b.now + 100);
	assert_int_equal(b.p.heard_ms, b.now + 100);
	assert_int_equal(path_detect_ms(&b.p), 500);
	assert_false(b.p.lossy);
}

static void
retransmissions_mark_loss(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	path_retransmits(&b.p, 2, 4, b.now);     /* of a handful */
	path_retransmits(&b.p, 10, 1000, b.now); /* 1% */
	assert_false(b.p.lossy);
	path_retransmits(&b.p, 10, 100, b.now);
	assert_true(b.p.lossy);
}

/*
 * The connection's making took 3 s, since the first SYNs were lost: that is
 * no measure of the distance. A silent path must be seen as fast as ever.
 */
static void
slow_connect_is_not_far(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	path_interface(&b.p, &cfg, false, PATH_CARRIER, b.now);
	path_interface(&b.p, &cfg, true, PATH_NEW, b.now);
	path_connected(&b.p, 3000, b.now);
	assert_true(path_control_up(&b.p, b.now));
	assert_true(runs(&b,
	    (struct weather){.heartbeats = true, .answers = true, .rtt_ms = 1},
	    1000));
	assert_false(runs(&b, (struct weather){0}, 5000));
	assert_in_range(b.now - b.p.heard_ms, 150, 200);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(heartbeats_keep_it_up_without_probes),
	    cmocka_unit_test(silence_takes_it_down_in_time),
	    cmocka_unit_test(two_missed_are_no_fault),
	    cmocka_unit_test(probes_alone_keep_it_up),
	    cmocka_unit_test(acknowledged_probes_keep_it_up),
	    cmocka_unit_test(one_way),
	    cmocka_unit_test(slow_call_is_no_fault),
	    cmocka_unit_test(far_is_not_down),
	    cmocka_unit_test(interface_is_believed_at_once),
	    cmocka_unit_test(kernel_says_unreachable),
	    cmocka_unit_test(damping_doubles_to_its_bound),
	    cmocka_unit_test(damping_forgives_with_time),
	    cmocka_unit_test(loss_marks_and_calm_clears),
	    cmocka_unit_test(single_losses_and_outages_are_not_lossy),
	    cmocka_unit_test(late_and_repeated_heartbeats_are_ignored),
	    cmocka_unit_test(retransmissions_mark_loss),
	    cmocka_unit_test(slow_connect_is_not_far),
	};

	return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
