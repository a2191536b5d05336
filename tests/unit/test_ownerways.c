/* A volume is handed over: how often it is written back while it is served,
 * and what goes on beside the way down. One that failed: when it is tried
 * again. */
#include "ownerbed.h"

struct story {
	struct bed bed; /* for its configuration alone */
	struct owner *o;
	unsigned ran[OWNER_ACTIONS];
	unsigned n; /* actions so far */
	unsigned at[OWNER_ACTIONS]; /* when each came last */
	char text[OWNER_TEXT_MAX]; /* of the last note */
	uint64_t now;
};

static void
take_actions(struct story *s)
{
	struct owner_action a;

	while (owner_next(s->o, &a)) {
		s->ran[a.type]++;
		s->at[a.type] = ++s->n;
		if (a.type == OWNER_NOTE)
			memcpy(s->text, a.text, sizeof(s->text));
	}
}

static void
feed(struct story *s, struct owner_event ev)
{
	s->now += 5;
	owner_event(s->o, &ev, s->now);
	take_actions(s);
}

static void
feed_type(struct story *s, enum owner_event_type type, int peer)
{
	feed(s, (struct owner_event){.type = type, .peer = peer});
}

/* s1 serves, s2 lives, and the volume is to go there. */
static void
begin(struct story *s, unsigned syncs_max)
{
	struct owner_event ev = {.type = OWNER_EV_LOOKED, .peer = -1};
	struct owner_config c;

	memset(s, 0, sizeof(*s));
	bed_init(&s->bed, 2, 1);
	bed_config(&s->bed, &c, 0);
	c.syncs_max = syncs_max;
	c.unmount_ms = 30000;
	c.stuck_ms = 10000;
	s->now = 1000;
	s->o = owner_new(&c, s->now);
	feed_type(s, OWNER_EV_DONE, -1);
	ev.look = (struct owner_look){0, 7, -1};
	feed(s, ev);
	feed_type(s, OWNER_EV_WON, -1);
	feed(s, (struct owner_event){
		    .type = OWNER_EV_TAKEN, .peer = -1, .epoch = 8});
	while (owner_state(s->o) != OWNER_SERVING) {
		assert_true(s->n < 100);
		feed_type(s, OWNER_EV_DONE, -1);
	}
	feed(s, (struct owner_event){.type = OWNER_EV_PEER,
		    .peer = 1,
		    .verdict = SUSPECT_ALIVE});
	feed_type(s, OWNER_EV_MOVE, 1);
	assert_int_equal(s->ran[OWNER_SYNC], 1);
}

static void
end(struct story *s)
{
	owner_free(s->o);
	bed_free(&s->bed);
}

static void
synced(struct story *s, uint64_t kib, uint64_t ms)
{
	assert_int_equal(owner_state(s->o), OWNER_SYNCING);
	feed(s, (struct owner_event){.type = OWNER_EV_DONE,
		    .peer = -1,
		    .dirty_kib = kib,
		    .sync_ms = ms});
}

/* As long as it gets less, and the last round was long. */
static void
test_less_each_time(void **state)
{
	struct story s;

	(void)state;
	begin(&s, 40);
	synced(&s, 262144, 2600);
	synced(&s, 130000, 1300);
	synced(&s, 26000, 260);
	assert_int_equal(s.ran[OWNER_SYNC], 4);
	assert_int_equal(s.ran[OWNER_DRAIN], 0);
	synced(&s, 6000, 60);
	assert_int_equal(s.ran[OWNER_SYNC], 4);
	assert_int_equal(s.ran[OWNER_DRAIN], 1);
	end(&s);
}

/* A slow machine, not a slow disk. */
static void
test_little_but_long(void **state)
{
	struct story s;

	(void)state;
	begin(&s, 40);
	synced(&s, 90, 700);
	assert_int_equal(s.ran[OWNER_DRAIN], 1);
	end(&s);
}

/* Clients write as fast as the disk: more rounds gain nothing. */
static void
test_never_less(void **state)
{
	struct story s;

	(void)state;
	begin(&s, 40);
	synced(&s, 100000, 1000);
	synced(&s, 90000, 900);
	synced(&s, 40000, 400); /* it does, after all */
	synced(&s, 41000, 410);
	assert_int_equal(s.ran[OWNER_DRAIN], 0);
	synced(&s, 39000, 400);
	assert_int_equal(s.ran[OWNER_SYNC], 5);
	assert_int_equal(s.ran[OWNER_DRAIN], 1);
	end(&s);
}

static void
test_bound(void **state)
{
	uint64_t kib = 1u << 30;
	struct story s;

	(void)state;
	begin(&s, 6);
	for (unsigned i = 0; i < 6; i++, kib /= 2)
		synced(&s, kib, 10000);
	assert_int_equal(s.ran[OWNER_SYNC], 6);
	assert_int_equal(s.ran[OWNER_DRAIN], 1);
	end(&s);
}

static void
was_cut(struct story *s, enum owner_event_type type)
{
	assert_int_equal(owner_state(s->o), OWNER_SYNCING);
	feed(s, (struct owner_event){.type = type,
		    .peer = -1,
		    .dirty_kib = 1536000,
		    .sync_ms = 15000,
		    .cut = true,
		    .left_kib = 9000000});
}

/* More than a round has time for: each of them writes the same, and all are
 * needed. What follows counts anew. */
static void
test_cut_short(void **state)
{
	struct story s;

	(void)state;
	begin(&s, 40);
	for (unsigned i = 0; i < 20; i++)
		was_cut(&s, OWNER_EV_DONE);
	assert_int_equal(s.ran[OWNER_DRAIN], 0);
	synced(&s, 1500000, 15000);
	synced(&s, 150000, 1500);
	assert_int_equal(s.ran[OWNER_DRAIN], 0);
	synced(&s, 1000, 10);
	assert_int_equal(s.ran[OWNER_SYNC], 23);
	assert_int_equal(s.ran[OWNER_DRAIN], 1);
	end(&s);
}

/* But not for ever; what is left is said. */
static void
test_cut_bound(void **state)
{
	struct story s;

	(void)state;
	begin(&s, 5);
	for (unsigned i = 0; i < 5; i++)
		was_cut(&s, OWNER_EV_DONE);
	assert_int_equal(s.ran[OWNER_SYNC], 5);
	assert_int_equal(s.ran[OWNER_DRAIN], 1);
	assert_non_null(strstr(s.text, "9000000 KiB are dirty still"));
	end(&s);
}

/* A round that says nothing, by itself or within its second more, is tried
 * once more; an error is not. */
static void
test_sync_fails(void **state)
{
	struct story s;

	(void)state;
	begin(&s, 40);
	s.now += 31000;
	owner_tick(s.o, s.now);
	take_actions(&s);
	assert_int_equal(s.ran[OWNER_CANCEL], 1);
	assert_int_equal(s.ran[OWNER_SYNC], 2);
	assert_int_equal(s.ran[OWNER_DRAIN], 0);
	was_cut(&s, OWNER_EV_FAILED);
	assert_int_equal(s.ran[OWNER_SYNC], 2);
	assert_int_equal(s.ran[OWNER_DRAIN], 1);
	end(&s);
	begin(&s, 40);
	feed_type(&s, OWNER_EV_FAILED, -1);
	assert_int_equal(s.ran[OWNER_SYNC], 1);
	assert_int_equal(s.ran[OWNER_DRAIN], 1);
	end(&s);
}

static void
pass(struct story *s, uint64_t ms)
{
	for (; ms > 0; ms -= 100) {
		s->now += 100;
		owner_tick(s->o, s->now);
		take_actions(s);
	}
}

static void
go_unmounting(struct story *s)
{
	begin(s, 40);
	synced(s, 10, 1);
	while (s->ran[OWNER_UNMOUNT] == 0) {
		assert_true(s->n < 100);
		feed_type(s, OWNER_EV_DONE, -1);
	}
}

/* An unmount that has much to write is not stuck while the disk takes it;
 * its own time begins when the flush is at its end. */
static void
test_flush_takes_long(void **state)
{
	struct story s;

	(void)state;
	go_unmounting(&s);
	for (unsigned i = 0; i < 60; i++) {
		pass(&s, 5000);
		feed_type(&s, OWNER_EV_FLUSHES, -1);
	}
	pass(&s, 29000);
	assert_int_equal(owner_state(s.o), OWNER_UNMOUNTING);
	assert_int_equal(s.ran[OWNER_UNMOUNT], 1);
	assert_int_equal(s.ran[OWNER_CANCEL] + s.ran[OWNER_DROP], 0);
	/* cut off while it wrote: it is tried again */
	feed_type(&s, OWNER_EV_FLUSHES, -1);
	feed_type(&s, OWNER_EV_FAILED, -1);
	feed_type(&s, OWNER_EV_FLUSHES, -1);
	pass(&s, 600);
	assert_int_equal(s.ran[OWNER_UNMOUNT], 2);
	feed_type(&s, OWNER_EV_DONE, -1);
	feed_type(&s, OWNER_EV_DONE, -1);
	assert_int_equal(s.ran[OWNER_RELEASE], 1);
	end(&s);
}

/* One that the disk takes nothing of is. */
static void
test_flush_hangs(void **state)
{
	struct story s;

	(void)state;
	go_unmounting(&s);
	pass(&s, 20000);
	feed_type(&s, OWNER_EV_FLUSHES, -1);
	pass(&s, 30000);
	assert_int_equal(s.ran[OWNER_DROP], 0);
	pass(&s, 2000);
	assert_int_equal(s.ran[OWNER_DROP], 1);
	assert_int_equal(owner_state(s.o), OWNER_STUCK);
	end(&s);
}

/* Somebody else writes, and so keeps it mounted: that has an end. */
static void
test_never_unmounted(void **state)
{
	struct story s;
	uint64_t began;

	(void)state;
	go_unmounting(&s);
	began = s.now;
	while (owner_state(s.o) == OWNER_UNMOUNTING) {
		assert_true(s.now - began < 700000);
		pass(&s, 1000);
		feed_type(&s, OWNER_EV_FLUSHES, -1);
		if ((s.now - began) / 1000 % 30 == 0)
			feed_type(&s, OWNER_EV_FAILED, -1);
	}
	assert_true(s.now - began > 600000);
	assert_int_equal(owner_state(s.o), OWNER_STUCK);
	assert_int_equal(s.ran[OWNER_DROP], 1);
	end(&s);
}

/* Once no call runs, what is dirty goes to the disk beside the steps that
 * need no disk. */
static void
test_flush_beside(void **state)
{
	struct story s;

	(void)state;
	begin(&s, 40);
	synced(&s, 10, 1);
	assert_int_equal(s.ran[OWNER_FLUSH], 0);
	feed_type(&s, OWNER_EV_DONE, -1);
	assert_int_equal(s.ran[OWNER_FLUSH], 1);
	assert_int_equal(s.ran[OWNER_UNMOUNT], 0);
	while (s.ran[OWNER_UNMOUNT] == 0) {
		assert_true(s.n < 100);
		feed_type(&s, OWNER_EV_DONE, -1);
	}
	assert_true(s.at[OWNER_FLUSH] < s.at[OWNER_CLOSE]);
	assert_true(s.at[OWNER_CLOSE] < s.at[OWNER_STOP_BACKEND]);
	assert_true(s.at[OWNER_STOP_BACKEND] < s.at[OWNER_UNMOUNT]);
	assert_int_equal(s.ran[OWNER_FLUSH], 1);
	end(&s);
}

/* Calls that do not end: it stays, and is served on. */
static void
test_no_flush_when_it_stays(void **state)
{
	struct story s;

	(void)state;
	begin(&s, 40);
	synced(&s, 10, 1);
	feed_type(&s, OWNER_EV_FAILED, -1);
	assert_int_equal(owner_state(s.o), OWNER_SERVING);
	assert_int_equal(s.ran[OWNER_FLUSH], 0);
	assert_int_equal(s.ran[OWNER_RESUME], 1);
	end(&s);
}

/* "Nothing more may be written" comes while the unmount waits for the flush,
 * or tries: it is not done in good order after all. Told twice, it is
 * abandoned once. */
static void
test_unmount_given_up(void **state)
{
	static const enum owner_event_type why[] = {
	    OWNER_EV_LOST, OWNER_EV_DISK_LOST};
	struct story s;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		go_unmounting(&s);
		if (i >= 2) /* it failed, and is to be tried again */
			feed_type(&s, OWNER_EV_FAILED, -1);
		feed_type(&s, why[i % 2], 1);
		assert_int_equal(s.ran[OWNER_CANCEL], 1);
		assert_int_equal(s.ran[OWNER_ABANDON], 1);
		assert_true(s.at[OWNER_CANCEL] < s.at[OWNER_ABANDON]);
		feed_type(&s, OWNER_EV_LOST, 1);
		while (owner_state(s.o) != OWNER_FAILED) {
			assert_true(s.n < 100);
			feed_type(&s, OWNER_EV_DONE, -1);
		}
		assert_int_equal(s.ran[OWNER_ABANDON], 1);
		assert_int_equal(s.ran[OWNER_UNMOUNT], 1);
		assert_int_equal(s.ran[OWNER_RELEASE], 0);
		end(&s);
	}
}

/* --- what failed is tried again */

static uint64_t
fails_for(struct story *s)
{
	uint64_t at;

	feed_type(s, OWNER_EV_FAILED, -1);
	while (owner_state(s->o) != OWNER_FAILED) {
		assert_true(s->n < 1000);
		feed_type(s, OWNER_EV_DONE, -1);
	}
	at = s->now;
	while (owner_state(s->o) != OWNER_CLAIMING) {
		assert_true(s->now < at + 100000);
		s->now++;
		owner_tick(s->o, s->now);
		take_actions(s);
		if (s->ran[OWNER_LOOK] > 0)
			feed(s, (struct owner_event){.type = OWNER_EV_LOOKED,
				    .peer = -1,
				    .look = {-1, 0, -1}});
		s->ran[OWNER_LOOK] = 0;
	}
	return s->now - at;
}

/* Alone: soon, and less and less often. Where another could take it, it is
 * left to that one for a while. */
static void
test_again_after_failure(void **state)
{
	struct owner_event alive = {.type = OWNER_EV_PEER,
	    .peer = 1,
	    .verdict = SUSPECT_ALIVE};
	struct owner_event ev = {.type = OWNER_EV_LOOKED,
	    .peer = -1,
	    .look = {-1, 0, -1}};
	struct owner_config c;
	struct story s;

	(void)state;
	memset(&s, 0, sizeof(s));
	bed_init(&s.bed, 2, 1);
	bed_config(&s.bed, &c, 0);
	c.alone_ms = 500;
	s.now = 1000;
	s.o = owner_new(&c, s.now);
	feed_type(&s, OWNER_EV_DONE, -1);
	feed(&s, ev);
	assert_int_equal(owner_state(s.o), OWNER_CLAIMING);
	assert_in_range(fails_for(&s), 400, 600);
	assert_in_range(fails_for(&s), 900, 1100);
	assert_in_range(fails_for(&s), 1900, 2100);
	feed(&s, alive);
	assert_in_range(fails_for(&s), c.retry_ms, c.retry_max_ms + 100);
	end(&s);
}

/* The backend dies, or is in doubt, while the lease is lapsed, and then the
 * agent ends: what it left is ended before the unmount, which it would keep
 * from its end for ever. */
static void
test_died_suspended(void **state)
{
	struct story s;

	(void)state;
	begin(&s, 40);
	feed_type(&s, OWNER_EV_LAPSED, -1);
	feed_type(&s, OWNER_EV_BACKEND_DIED, -1);
	feed_type(&s, OWNER_EV_STOP, -1);
	while (s.ran[OWNER_UNMOUNT] == 0) {
		assert_true(s.n < 100);
		feed_type(&s, OWNER_EV_DONE, -1);
	}
	assert_int_equal(s.ran[OWNER_STOP_BACKEND], 1);
	assert_true(s.at[OWNER_STOP_BACKEND] < s.at[OWNER_UNMOUNT]);
	end(&s);
}

/* We were started anew over our own mount of epoch 7, and our claim was slow:
 * s2 has taken epoch 8 meanwhile. It is not fenced, and the mount, whose
 * blocks s2 has written since, is given up. */
static void
overtaken(bool told)
{
	struct owner_event ev = {.type = OWNER_EV_LOOKED, .peer = -1};
	struct owner_config c;
	struct story s;

	memset(&s, 0, sizeof(s));
	bed_init(&s.bed, 2, 1);
	bed_config(&s.bed, &c, 0);
	s.now = 1000;
	s.o = owner_new(&c, s.now);
	feed(&s, (struct owner_event){
		     .type = OWNER_EV_DONE, .peer = -1, .mounted = true});
	ev.look = (struct owner_look){0, 7, -1};
	feed(&s, ev);
	assert_int_equal(owner_state(s.o), OWNER_CLAIMING);
	ev.look = (struct owner_look){1, 8, -1};
	if (told)
		feed(&s, ev);
	feed_type(&s, OWNER_EV_WON, 1);
	assert_int_equal(owner_state(s.o), OWNER_RELEASING);
	feed_type(&s, OWNER_EV_DONE, -1);
	feed(&s, ev);
	assert_int_equal(s.ran[OWNER_FENCE], 0);
	assert_int_equal(s.ran[OWNER_TAKE], 0);
	assert_int_equal(s.ran[OWNER_ABANDON], 1);
	end(&s);
}

static void
test_overtaken(void **state)
{
	(void)state;
	overtaken(true);  /* by the claim's own read of the slots */
	overtaken(false); /* by whom it would have to fence */
}

/* Another has the claim while ours is fencing: the tool is not let go on. */
static void
test_lost_while_fencing(void **state)
{
	struct owner_event ev = {.type = OWNER_EV_LOOKED, .peer = -1};
	struct owner_config c;
	struct story s;

	(void)state;
	memset(&s, 0, sizeof(s));
	bed_init(&s.bed, 2, 1);
	bed_config(&s.bed, &c, 1);
	s.now = 1000;
	s.o = owner_new(&c, s.now);
	feed_type(&s, OWNER_EV_DONE, -1);
	ev.look = (struct owner_look){0, 7, -1};
	feed(&s, ev);
	feed(&s, (struct owner_event){.type = OWNER_EV_PEER,
		     .peer = 0,
		     .verdict = SUSPECT_DEAD});
	assert_int_equal(owner_state(s.o), OWNER_CLAIMING);
	feed_type(&s, OWNER_EV_WON, 0);
	assert_int_equal(owner_state(s.o), OWNER_FENCING);
	feed_type(&s, OWNER_EV_LOST_CLAIM, -1);
	assert_int_equal(owner_state(s.o), OWNER_STANDBY);
	assert_int_equal(s.ran[OWNER_CANCEL], 1);
	assert_true(s.at[OWNER_CANCEL] > s.at[OWNER_FENCE]);
	end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_less_each_time),
	    cmocka_unit_test(test_little_but_long),
	    cmocka_unit_test(test_never_less),
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_cut_short),
	    cmocka_unit_test(test_cut_bound),
	    cmocka_unit_test(test_sync_fails),
	    cmocka_unit_test(test_flush_takes_long),
	    cmocka_unit_test(test_flush_hangs),
	    cmocka_unit_test(test_never_unmounted),
	    cmocka_unit_test(test_flush_beside),
	    cmocka_unit_test(test_no_flush_when_it_stays),
	    cmocka_unit_test(test_unmount_given_up),
	    cmocka_unit_test(test_again_after_failure),
	    cmocka_unit_test(test_died_suspended),
	    cmocka_unit_test(test_overtaken),
	    cmocka_unit_test(test_lost_while_fencing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
