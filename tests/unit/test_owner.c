/* Who serves a volume: the ways up, down and back, and that never two do. */
#include "ownerbed.h"

static void
expect_server(struct bed *b, int server, uint64_t within_ms)
{
	uint64_t end = b->now + within_ms;

	while (b->now < end && bed_server(b) != server)
		bed_step(b);
	if (bed_server(b) == server)
		return;
	for (unsigned i = 0; i < b->told && i < 256; i++)
		fprintf(stderr, "%s\n", b->story[i]);
	fail_msg("s%d does not serve; s%d does", server + 1,
	    bed_server(b) + 1);
}

static struct owner_event
event(enum owner_event_type type, int peer)
{
	return (struct owner_event){.type = type, .peer = peer};
}

static void
test_first_start(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 3, 1);
	expect_server(&b, 0, 500);
	assert_int_equal(owner_epoch(b.s[0].o), 1);
	bed_run(&b, 20000);
	assert_int_equal(b.epoch, 1);
	assert_int_equal(b.s[0].told, HB_SERVING);
	assert_int_equal(b.s[0].ran[OWNER_FENCE], 0);
	bed_free(&b);
}

/* The first candidate does not come: the second waits its turn. */
static void
test_first_is_missing(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 3, 1);
	bed_cut(&b, 0);
	b.s[0].down_ms = b.now;
	bed_run(&b, 200);
	assert_int_equal(bed_server(&b), -1);
	expect_server(&b, 1, 1000);
	bed_free(&b);
}

static void
test_power_cut(void **state)
{
	const struct owner_report *r;
	struct bed b;

	(void)state;
	bed_init(&b, 3, 1);
	expect_server(&b, 0, 500);
	bed_cut(&b, 0);
	expect_server(&b, 1, BED_DEAD_MS + 300);
	assert_int_equal(b.epoch, 2);
	assert_int_equal(b.s[1].ran[OWNER_FENCE], 1);
	assert_int_equal(b.s[2].ran[OWNER_CLAIM], 0);
	r = owner_report(b.s[1].o, 0);
	assert_non_null(r);
	assert_true(r->ok);
	assert_int_equal(r->trip, OWNER_TRIP_UP);
	assert_int_equal(r->steps[0].state, OWNER_CLAIMING);
	assert_int_equal(r->steps[1].state, OWNER_FENCING);
	assert_int_equal(r->nsteps, 8);
	assert_non_null(strstr(r->cause, "s1, the owner in epoch 1, is dead"));
	/* Repaired: it comes back, stands by, asks, and gets it. */
	bed_boot(&b, 0);
	expect_server(&b, 0, 3000);
	assert_int_equal(b.epoch, 3);
	assert_int_equal(b.s[0].ran[OWNER_FENCE], 0);
	bed_free(&b);
}

/* No confirmed fence, no takeover; the claim is not kept. */
static void
test_no_fence(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	b.no_fence = true;
	bed_cut(&b, 0);
	bed_run(&b, 2000);
	assert_int_equal(bed_server(&b), -1);
	assert_int_equal(owner_state(b.s[1].o), OWNER_FAILED);
	assert_int_equal(b.claimer, -1);
	assert_int_equal(owner_have(b.s[1].o), 0);
	bed_run(&b, 10000); /* tried again, not all the time */
	assert_in_range(b.s[1].ran[OWNER_FENCE], 2, 3);
	b.no_fence = false;
	expect_server(&b, 1, 20000);
	bed_free(&b);
}

/* Each step of the way up fails: all is undone, the next candidate gets it,
 * and nothing is left behind. */
static void
test_each_step_up_fails(void **state)
{
	static const enum owner_action_type steps[] = {OWNER_CLAIM, OWNER_FENCE,
	    OWNER_TAKE, OWNER_ASSEMBLE, OWNER_MOUNT, OWNER_START_BACKEND,
	    OWNER_VERIFY, OWNER_RECOVER};

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct bed b;
		struct bed_server *s1 = &b.s[1];

		bed_init(&b, 3, 1);
		expect_server(&b, 0, 500);
		b.fail = steps[i];
		bed_cut(&b, 0);
		while (owner_state(s1->o) != OWNER_FAILED) {
			bed_step(&b);
			assert_true(b.now < 20000);
		}
		b.fail = OWNER_ACTIONS;
		bed_settle(&b);
		assert_int_equal(owner_have(s1->o), 0);
		assert_false(s1->mounted);
		assert_int_equal(s1->ran[OWNER_UNMOUNT],
		    s1->ran[OWNER_MOUNT]);
		assert_int_equal(s1->ran[OWNER_STOP_BACKEND],
		    s1->ran[OWNER_START_BACKEND]);
		assert_false(owner_report(s1->o, 0)->ok);
		expect_server(&b, 2, 3000);
		bed_free(&b);
	}
}

/* A volume that cannot be unmounted is never released. */
static void
test_stuck(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	bed_run(&b, 100);
	b.fail = OWNER_UNMOUNT;
	bed_event(&b, 0, event(OWNER_EV_MOVE, 1));
	bed_run(&b, 2000);
	assert_int_equal(b.holder, 0);
	assert_int_equal(b.s[0].told, HB_DRAINING);
	bed_run(&b, 2500);
	assert_int_equal(b.s[0].ran[OWNER_DROP], 1);
	assert_int_equal(b.s[0].ran[OWNER_RELEASE], 0);
	/* And the other one gets it by a fence. */
	expect_server(&b, 1, 1000);
	assert_null(b.s[0].o);
	assert_int_equal(b.s[1].ran[OWNER_FENCE], 1);
	bed_free(&b);
}

static void
test_move_and_no_failback(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 3, 1);
	expect_server(&b, 0, 500);
	bed_run(&b, 100);
	assert_non_null(owner_refuses(b.s[0].o, OWNER_EV_MOVE, 7));
	assert_non_null(owner_refuses(b.s[1].o, OWNER_EV_MOVE, 0));
	assert_null(owner_refuses(b.s[0].o, OWNER_EV_MOVE, 2));
	bed_event(&b, 0, event(OWNER_EV_MOVE, 2));
	expect_server(&b, 2, 600);
	assert_int_equal(b.s[2].ran[OWNER_FENCE], 0);
	assert_int_equal(b.s[1].ran[OWNER_CLAIM], 0);
	assert_in_range(b.s[0].ran[OWNER_SYNC], 1, 3);
	bed_run(&b, 10000);
	/* s2 stands before s3 and was not told to stay away. */
	assert_int_equal(bed_server(&b), 1);
	assert_int_equal(b.s[0].ran[OWNER_ASK], 0);
	/* An operator fetches it. */
	bed_event(&b, 0, event(OWNER_EV_MOVE, 0));
	expect_server(&b, 0, 1000);
	bed_free(&b);
}

static void
test_drill(void **state)
{
	const struct owner_report *r;
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	bed_run(&b, 100);
	bed_event(&b, 0, event(OWNER_EV_DRILL, -1));
	expect_server(&b, 1, 1000);
	expect_server(&b, 0, 1000);
	r = owner_report(b.s[0].o, 0);
	assert_int_equal(r->trip, OWNER_TRIP_DRILL);
	assert_true(r->ok);
	assert_false(r->running);
	assert_int_equal(b.epoch, 3);
	bed_free(&b);
}

static void
test_stop_hands_over(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	bed_run(&b, 100);
	bed_event(&b, 0, event(OWNER_EV_STOP, -1));
	while (!b.s[0].stopped) {
		bed_step(&b);
		assert_true(b.now < 5000);
	}
	assert_int_equal(owner_have(b.s[0].o), 0);
	expect_server(&b, 1, 500);
	assert_int_equal(b.s[1].ran[OWNER_FENCE], 0);
	bed_free(&b);
}

/* STOP at any moment of the way up or down ends in nothing being held. */
static void
test_stop_at_any_time(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 100; after++) {
		struct bed b;

		bed_init(&b, 2, after);
		if (after >= 50) {
			expect_server(&b, 0, 500);
			bed_run(&b, 100);
			bed_event(&b, 0, event(OWNER_EV_MOVE, 1));
		}
		bed_run(&b, 5 * (after % 50));
		bed_event(&b, 0, event(OWNER_EV_STOP, -1));
		while (!b.s[0].stopped) {
			bed_step(&b);
			assert_true(b.now < 9000);
		}
		assert_int_equal(owner_have(b.s[0].o), 0);
		assert_false(b.s[0].mounted);
		bed_run(&b, 3000);
		assert_false(b.s[0].serving);
		bed_free(&b);
	}
}

static void
test_backend_died(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	bed_event(&b, 0, event(OWNER_EV_BACKEND_DIED, -1));
	bed_settle(&b);
	assert_false(b.s[0].serving);
	expect_server(&b, 0, 200);
	assert_int_equal(b.epoch, 2);
	assert_int_equal(b.s[0].ran[OWNER_MOUNT], 1);
	assert_int_equal(b.s[0].ran[OWNER_START_BACKEND], 2);
	assert_int_equal(b.s[0].ran[OWNER_RECOVER], 2);
	for (int i = 0; i < 3; i++) {
		bed_event(&b, 0, event(OWNER_EV_BACKEND_DIED, -1));
		bed_run(&b, 300);
	}
	/* Too often: it is left to the other one. */
	expect_server(&b, 1, 3000);
	bed_free(&b);
}

static void
test_lapse(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	bed_event(&b, 0, event(OWNER_EV_LAPSED, -1));
	bed_settle(&b);
	assert_false(b.s[0].serving);
	assert_int_equal(owner_state(b.s[0].o), OWNER_SUSPENDED);
	bed_event(&b, 0, event(OWNER_EV_RESUMED, -1));
	bed_settle(&b);
	assert_true(b.s[0].serving);
	bed_event(&b, 0, event(OWNER_EV_LAPSED, -1));
	b.holder = 1;
	b.epoch++;
	bed_event(&b, 0, event(OWNER_EV_LOST, 1));
	bed_run(&b, 100);
	assert_int_equal(b.s[0].ran[OWNER_ABANDON], 1);
	assert_int_equal(b.s[0].ran[OWNER_UNMOUNT], 0);
	assert_int_equal(b.s[0].ran[OWNER_RELEASE], 0);
	assert_int_equal(owner_have(b.s[0].o), 0);
	bed_free(&b);
}

/* Started anew while what was mounted has become another's. */
static void
test_earlier_mount(void **state)
{
	struct owner_event ev = event(OWNER_EV_DONE, -1);
	struct owner_config c;
	struct owner_action a;
	struct bed b;
	struct owner *o;
	unsigned ran[OWNER_ACTIONS] = {0};

	(void)state;
	bed_init(&b, 2, 1);
	bed_config(&b, &c, 0);
	o = owner_new(&c, 1000);
	ev.mounted = true;
	owner_event(o, &ev, 1010);
	ev = event(OWNER_EV_LOOKED, -1);
	ev.look = (struct owner_look){1, 7, -1};
	owner_event(o, &ev, 1020);
	while (owner_next(o, &a))
		ran[a.type]++;
	/* What another may own is never unmounted in good order. */
	assert_int_equal(ran[OWNER_ABANDON], 1);
	assert_int_equal(ran[OWNER_UNMOUNT] + ran[OWNER_CLAIM], 0);
	owner_free(o);
	bed_free(&b);
}

/* The same, but another takes it only after we were started: the mount must
 * not be used again when the volume comes back one day. */
static void
test_earlier_mount_taken(void **state)
{
	struct owner_event ev = event(OWNER_EV_DONE, -1);
	unsigned ran[OWNER_ACTIONS] = {0};
	struct owner_config c;
	struct owner_action a;
	struct owner *o;
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	bed_config(&b, &c, 0);
	o = owner_new(&c, 1000);
	ev.mounted = true;
	owner_event(o, &ev, 1010);
	ev = event(OWNER_EV_LOOKED, -1);
	ev.look = (struct owner_look){0, 7, -1};
	owner_event(o, &ev, 1020);
	assert_int_equal(owner_state(o), OWNER_CLAIMING);
	ev = event(OWNER_EV_LOST_CLAIM, 1);
	owner_event(o, &ev, 1030);
	while (owner_next(o, &a))
		ran[a.type]++;
	assert_int_equal(ran[OWNER_ABANDON], 0);
	ev = event(OWNER_EV_LOOKED, -1);
	ev.look = (struct owner_look){1, 8, -1};
	owner_event(o, &ev, 1040);
	while (owner_next(o, &a))
		ran[a.type]++;
	assert_int_equal(ran[OWNER_ABANDON], 1);
	assert_int_equal(ran[OWNER_UNMOUNT], 0);
	owner_free(o);
	bed_free(&b);
}

/* A backend dies, and the next epoch is not to be had: what the old one left
 * is ended before the file system is unmounted. */
static void
test_retake_fails(void **state)
{
	unsigned ran[OWNER_ACTIONS] = {0};
	struct owner_event ev;
	struct owner_action a;
	bool stopped = false;
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	owner_event(b.s[0].o, &(struct owner_event){
	    .type = OWNER_EV_BACKEND_DIED, .peer = -1}, b.now + 1);
	assert_int_equal(owner_state(b.s[0].o), OWNER_TAKING);
	ev = event(OWNER_EV_FAILED, -1);
	owner_event(b.s[0].o, &ev, b.now + 2);
	for (unsigned i = 0; i < 8; i++) {
		while (owner_next(b.s[0].o, &a)) {
			ran[a.type]++;
			if (a.type == OWNER_UNMOUNT)
				assert_true(stopped);
			stopped = stopped || a.type == OWNER_STOP_BACKEND;
		}
		ev = event(OWNER_EV_DONE, -1);
		owner_event(b.s[0].o, &ev, b.now + 3 + i);
	}
	assert_int_equal(ran[OWNER_STOP_BACKEND], 1);
	assert_int_equal(ran[OWNER_UNMOUNT], 1);
	bed_free(&b);
}

/* The owner loses its disk: it says standby of its epoch, and is fenced. */
static void
test_disk_lost(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	bed_event(&b, 0, event(OWNER_EV_DISK_LOST, -1));
	expect_server(&b, 1, 1000);
	assert_int_equal(b.s[1].ran[OWNER_FENCE], 1);
	bed_free(&b);
}

static void
test_networks_lost(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	bed_run(&b, 100);
	b.s[0].cut_off = true;
	bed_run(&b, 3000); /* a split network moves nothing */
	assert_int_equal(bed_server(&b), 0);
	bed_event(&b, 0, event(OWNER_EV_NETS_LOST, -1));
	expect_server(&b, 1, 1000);
	assert_int_equal(b.s[1].ran[OWNER_FENCE], 0);
	bed_free(&b);
}

/* Calls that do not end: a move is given up, a stop is not. */
static void
test_not_drained(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, 2, 1);
	expect_server(&b, 0, 500);
	bed_run(&b, 100);
	b.fail = OWNER_DRAIN;
	bed_event(&b, 0, event(OWNER_EV_MOVE, 1));
	bed_run(&b, 500);
	assert_int_equal(bed_server(&b), 0);
	assert_int_equal(owner_state(b.s[0].o), OWNER_SERVING);
	bed_event(&b, 0, event(OWNER_EV_STOP, -1));
	expect_server(&b, 1, 1000);
	bed_free(&b);
}

static void
disturb(struct bed *b)
{
	unsigned i = (unsigned)bed_random(b, (int)b->n);
	int peer = bed_random(b, (int)b->n + 1) - 1;
	static const enum owner_event_type types[] = {OWNER_EV_MOVE,
	    OWNER_EV_DRILL, OWNER_EV_BACKEND_DIED, OWNER_EV_LAPSED,
	    OWNER_EV_RESUMED, OWNER_EV_DISK_LOST, OWNER_EV_NETS_LOST,
	    OWNER_EV_NETS_BACK, OWNER_EV_ASKED, OWNER_EV_STOP, OWNER_EV_LOST};
	enum owner_event_type type;

	switch (bed_random(b, 6)) {
	case 0:
		if (b->s[i].o != NULL)
			bed_cut(b, i);
		return;
	case 1:
	case 2:
		if (b->s[i].o == NULL || b->s[i].stopped) {
			if (b->s[i].o != NULL)
				bed_cut(b, i);
			bed_boot(b, i);
		}
		return;
	case 3:
		b->s[i].cut_off = !b->s[i].cut_off;
		return;
	}
	type = types[bed_random(b, sizeof(types) / sizeof(types[0]))];
	/* LOST is only said of what is another's. */
	if (type == OWNER_EV_LOST && b->holder == (int)i)
		return;
	bed_say(b, i, "event", owner_event_names[type]);
	bed_event(b, i, event(type, peer));
	bed_settle(b);
}

/* Whatever happens: never two; and when it ends, one serves. */
static void
test_random(void **state)
{
	unsigned seeds = 400;

	(void)state;
	for (unsigned seed = 1; seed <= seeds; seed++) {
		struct bed b;

		bed_init(&b, 2 + seed % 2, seed * 7919);
		b.fail_percent = seed % 3 == 0 ? 10 : 0;
		b.step_ms = 10 + seed % 200;
		for (int k = 0; k < 30; k++) {
			bed_run(&b, (uint64_t)bed_random(&b, 1500));
			disturb(&b);
		}
		b.fail_percent = 0;
		for (unsigned i = 0; i < b.n; i++) {
			b.s[i].cut_off = false;
			if (b.s[i].stopped)
				bed_cut(&b, i);
			if (b.s[i].o == NULL)
				bed_boot(&b, i);
			bed_event(&b, i, event(OWNER_EV_NETS_BACK, -1));
			bed_event(&b, i, event(OWNER_EV_RESUMED, -1));
		}
		bed_run(&b, 60000);
		if (bed_server(&b) == -1)
			for (unsigned i = 0; i < 256 && i < b.told; i++)
				fprintf(stderr, "%s\n",
				    b.story[(b.told + i) % 256]);
		assert_int_not_equal(bed_server(&b), -1);
		bed_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_start),
	    cmocka_unit_test(test_first_is_missing),
	    cmocka_unit_test(test_power_cut),
	    cmocka_unit_test(test_no_fence),
	    cmocka_unit_test(test_each_step_up_fails),
	    cmocka_unit_test(test_stuck),
	    cmocka_unit_test(test_move_and_no_failback),
	    cmocka_unit_test(test_drill),
	    cmocka_unit_test(test_stop_hands_over),
	    cmocka_unit_test(test_stop_at_any_time),
	    cmocka_unit_test(test_backend_died),
	    cmocka_unit_test(test_lapse),
	    cmocka_unit_test(test_earlier_mount),
	    cmocka_unit_test(test_earlier_mount_taken),
	    cmocka_unit_test(test_retake_fails),
	    cmocka_unit_test(test_disk_lost),
	    cmocka_unit_test(test_networks_lost),
	    cmocka_unit_test(test_not_drained),
	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
