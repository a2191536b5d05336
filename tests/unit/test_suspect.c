/* Is a peer alive? Which evidence leads to which verdict, and when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/suspect.h"
#include "unit.h"

/* One peer (1) of server 0, two networks, two addresses, volume 5's disk. */
struct bed {
	struct suspect *s;
	uint64_t now;
	bool heartbeats, echoes, mailbox, leases;
	uint64_t mail_at; /* a message's end is due; 0: none is out */
	unsigned echoes_sent, mails_sent, verdicts;
	uint32_t timeout_ms;
	enum suspect_state last;
	char evidence[SUSPECT_EVIDENCE_MAX];
};

static void
init(struct bed *b, uint64_t disks)
{
	struct suspect_config c = {.nservers = 2,
	    .nnetworks = 2,
	    .suspicion_ms = 300,
	    .start_ms = 3000,
	    .silent_ms = 10000,
	    .echo_ms = 50,
	    .mail_ms = 120};

	c.servers[1].wanted = true;
	c.servers[1].naddrs = 2;
	c.servers[1].disks = disks;
	memset(b, 0, sizeof(*b));
	b->now = 1000;
	b->s = suspect_new(&c, b->now);
	assert_non_null(b->s);
	b->heartbeats = b->echoes = b->mailbox = true;
}

static void
take(struct bed *b)
{
	struct suspect_action a;

	while (suspect_next(b->s, &a)) {
		assert_int_equal(a.peer, 1);
		switch (a.type) {
		case SUSPECT_ECHO:
			b->echoes_sent++;
			if (b->echoes)
				suspect_echo(b->s, 1, a.addr, b->now);
			break;
		case SUSPECT_MAIL:
			assert_int_equal(a.volume, 5);
			assert_int_equal(b->mail_at, 0);
			b->mails_sent++;
			b->timeout_ms = a.timeout_ms;
			b->mail_at =
			    b->now + (b->mailbox ? 30 : a.timeout_ms);
			break;
		case SUSPECT_VERDICT:
			b->verdicts++;
			b->last = a.state;
			memcpy(b->evidence, a.evidence, sizeof(b->evidence));
			break;
		}
	}
}

static void
step(struct bed *b)
{
	b->now++;
	if (b->heartbeats && b->now % 50 == 0)
		suspect_heard(b->s, 1, b->now / 50 % 2, b->now);
	if (b->leases && b->now % 500 == 0)
		suspect_lease(b->s, 1, 5, b->now);
	if (b->mail_at != 0 && b->now >= b->mail_at) {
		b->mail_at = 0;
		suspect_mail_end(b->s, 1, 5, b->mailbox, b->now);
	}
	if (b->now >= suspect_next_ms(b->s))
		suspect_tick(b->s, b->now);
	take(b);
}

static void
run(struct bed *b, uint64_t ms)
{
	for (uint64_t end = b->now + ms; b->now < end;)
		step(b);
}

/* Milliseconds until the state is reached. */
static unsigned
until(struct bed *b, enum suspect_state state, unsigned most)
{
	uint64_t began = b->now;

	while (suspect_peer(b->s, 1) != state) {
		if (b->now >= began + most)
			fail_msg("still %s after %u ms: %s",
			    suspect_state_names[suspect_peer(b->s, 1)], most,
			    b->evidence);
		step(b);
	}
	return (unsigned)(b->now - began);
}

static void
test_alive(void **state)
{
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	assert_int_equal(suspect_peer(b.s, 1), SUSPECT_UNKNOWN);
	run(&b, 5000);
	assert_int_equal(suspect_peer(b.s, 1), SUSPECT_ALIVE);
	assert_int_equal(b.echoes_sent + b.mails_sent, 0);
	assert_int_equal(b.verdicts, 1);
	assert_int_equal(suspect_networks(b.s, 1, b.now), 3);
	suspect_free(b.s);
}

/* The power goes: dead at the end of the suspicion time, not later. */
static void
test_power_cut(void **state)
{
	unsigned ms;
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	run(&b, 1000);
	b.heartbeats = b.echoes = b.mailbox = false;
	ms = until(&b, SUSPECT_DEAD, 400);
	assert_in_range(ms, 250, 305);
	assert_non_null(strstr(b.evidence, "no heartbeat on any network for "
					   "300 ms"));
	assert_non_null(strstr(b.evidence, "2 addresses pinged, 0 answered"));
	assert_non_null(strstr(b.evidence, "mailbox on disk is unanswered"));
	/* It is asked on, but more seldom; and one heartbeat is enough. */
	b.echoes_sent = 0;
	run(&b, 1000);
	assert_in_range(b.echoes_sent, 6, 12);
	b.heartbeats = true;
	assert_true(until(&b, SUSPECT_ALIVE, 100) <= 50);
	suspect_free(b.s);
}

/* The networks are split, the disk works. */
static void
test_cut_off(void **state)
{
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	run(&b, 1000);
	b.heartbeats = b.echoes = false;
	until(&b, SUSPECT_CUT_OFF, 400);
	run(&b, 60000);
	assert_int_equal(suspect_peer(b.s, 1), SUSPECT_CUT_OFF);
	/* Then its power goes, too. */
	b.mailbox = false;
	until(&b, SUSPECT_DEAD, 1500);
	suspect_free(b.s);
}

/* Its kernel answers, its agent is stopped. */
static void
test_agent_silent(void **state)
{
	unsigned ms;
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	run(&b, 1000);
	b.heartbeats = b.mailbox = false;
	until(&b, SUSPECT_KERNEL, 400);
	ms = until(&b, SUSPECT_SILENT, 12000);
	assert_in_range(ms, 9500, 10000);
	/* A lease that is renewed is a sign of life. */
	b.heartbeats = true;
	run(&b, 200);
	b.heartbeats = false;
	b.leases = true;
	run(&b, 2000);
	assert_int_equal(suspect_peer(b.s, 1), SUSPECT_CUT_OFF);
	run(&b, 30000);
	assert_int_equal(suspect_peer(b.s, 1), SUSPECT_CUT_OFF);
	suspect_free(b.s);
}

/* A renewal from before the silence, read in it, is none. */
static void
test_late_lease(void **state)
{
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	run(&b, 1000);
	b.heartbeats = b.echoes = b.mailbox = false;
	until(&b, SUSPECT_PROBING, 300);
	suspect_lease(b.s, 1, 5, b.now + 1);
	assert_true(until(&b, SUSPECT_DEAD, 300) <= 160);
	suspect_free(b.s);
}

/* We ourselves have no carrier, or no disk: no verdict on others. */
static void
test_isolated(void **state)
{
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	run(&b, 1000);
	b.heartbeats = b.echoes = b.mailbox = false;
	suspect_carrier(b.s, 0, false, b.now);
	suspect_carrier(b.s, 1, false, b.now);
	assert_true(suspect_isolated(b.s));
	until(&b, SUSPECT_ISOLATED, 400);
	run(&b, 20000);
	assert_int_equal(suspect_peer(b.s, 1), SUSPECT_ISOLATED);
	assert_non_null(strstr(b.evidence, "none of our own networks"));
	suspect_carrier(b.s, 1, true, b.now);
	assert_int_equal(suspect_peer(b.s, 1), SUSPECT_DEAD);
	suspect_free(b.s);

	init(&b, 1u << 5);
	run(&b, 1000);
	b.heartbeats = b.echoes = b.mailbox = false;
	suspect_disk(b.s, 5, false, 0, b.now);
	until(&b, SUSPECT_ISOLATED, 400);
	assert_non_null(strstr(b.evidence, "our own disk does not answer"));
	suspect_free(b.s);
}

/* A slow disk gives the answer more time. */
static void
test_slow_disk(void **state)
{
	unsigned ms;
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	run(&b, 1000);
	suspect_disk(b.s, 5, true, 500, b.now);
	b.heartbeats = b.echoes = b.mailbox = false;
	ms = until(&b, SUSPECT_DEAD, 3000);
	assert_int_equal(b.timeout_ms, 2000);
	assert_in_range(ms, 2000, 2200);
	suspect_free(b.s);
}

/* A message whose end never comes: no verdict. */
static void
test_message_under_way(void **state)
{
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	run(&b, 1000);
	b.heartbeats = b.echoes = b.mailbox = false;
	until(&b, SUSPECT_PROBING, 300);
	b.mail_at = UINT64_MAX;
	run(&b, 5000);
	assert_int_equal(suspect_peer(b.s, 1), SUSPECT_PROBING);
	suspect_free(b.s);
}

/* No shared mailbox (another cluster manager is the arbiter). */
static void
test_no_mailbox(void **state)
{
	struct bed b;

	(void)state;
	init(&b, 0);
	run(&b, 1000);
	b.heartbeats = b.echoes = false;
	until(&b, SUSPECT_DEAD, 310);
	assert_int_equal(b.mails_sent, 0);
	suspect_free(b.s);
}

/* At our start a peer has more time: its network may be slower than ours. */
static void
test_never_heard(void **state)
{
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	b.heartbeats = b.echoes = b.mailbox = false;
	assert_in_range(until(&b, SUSPECT_DEAD, 4000), 2990, 3010);
	suspect_free(b.s);
}

/* Between ticks that it did not ask for nothing is due: no busy loop. */
static void
test_ticks(void **state)
{
	unsigned ticks = 0;
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	run(&b, 1000);
	b.heartbeats = b.echoes = b.mailbox = false;
	for (unsigned i = 0; i < 2000; i++) {
		ticks += b.now + 1 >= suspect_next_ms(b.s);
		step(&b);
		assert_true(suspect_next_ms(b.s) > b.now);
	}
	assert_in_range(ticks, 5, 60);
	suspect_free(b.s);
}

/* Our own disk fails each message at once: they are paced all the same. */
static void
test_disk_fails_at_once(void **state)
{
	struct bed b;

	(void)state;
	init(&b, 1u << 5);
	run(&b, 1000);
	b.heartbeats = b.echoes = b.mailbox = false;
	for (unsigned i = 0; i < 2000; i++) {
		step(&b);
		if (b.mail_at != 0) {
			b.mail_at = 0;
			suspect_disk(b.s, 5, false, 0, b.now);
			take(&b);
		}
	}
	assert_in_range(b.mails_sent, 2, 2000 / 120 + 2);
	suspect_free(b.s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_alive),
	    cmocka_unit_test(test_power_cut),
	    cmocka_unit_test(test_cut_off),
	    cmocka_unit_test(test_agent_silent),
	    cmocka_unit_test(test_late_lease),
	    cmocka_unit_test(test_isolated),
	    cmocka_unit_test(test_slow_disk),
	    cmocka_unit_test(test_message_under_way),
	    cmocka_unit_test(test_no_mailbox),
	    cmocka_unit_test(test_never_heard),
	    cmocka_unit_test(test_ticks),
	    cmocka_unit_test(test_disk_fails_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
