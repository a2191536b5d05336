/*
 * The lease, step by step: what it takes to become owner, what ends it, and
 * what is said about it. (All interleavings at random: test_leasemodel.c.)
 */
#include <errno.h>
#include <string.h>

#include "leasebed.h"

/* --- becoming owner */

static void
test_fenced(void **state)
{
	(void)state;
	other(1, CTL_HELD, 41);
	start();
	claim(false);
	assert_int_equal(heard(LEASE_WON)->server_id, 12);
	assert_int_equal(heard(LEASE_WON)->old_epoch, 41);
	assert_int_equal(heard(LEASE_WON)->epoch, 42);
	take(LEASE_FENCED, 12, 41);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 42);
}

/* A fence of somebody else, or of an epoch long past, is no evidence. */
static void
test_unfenced(void **state)
{
	static const struct {
		enum lease_evidence evidence;
		uint32_t server;
		uint64_t epoch;
	} wrong[] = {{LEASE_NO_EVIDENCE, 0, 0}, {LEASE_FENCED, 13, 41},
	    {LEASE_FENCED, 12, 40}, {LEASE_FENCED, 12, 42},
	    {LEASE_WATCHDOG, 12, 41}};

	(void)state;
	other(1, CTL_HELD, 41);
	start();
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		claim(false);
		assert_non_null(heard(LEASE_WON));
		take(wrong[i].evidence, wrong[i].server, wrong[i].epoch);
		assert_refused(LEASE_WHY_UNFENCED);
		assert_int_equal(lease_state(b.l), LEASE_STANDBY);
	}
}

/* Someone whose agent was started anew holds it still. */
static void
test_stale_needs_fence(void **state)
{
	(void)state;
	other(1, CTL_STALE, 41);
	start();
	claim(false);
	assert_int_equal(heard(LEASE_WON)->server_id, 12);
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_refused(LEASE_WHY_UNFENCED);
}

/* The lease must have ended by our clock since we saw its last renewal. */
static void
test_lease_end(void **state)
{
	uint64_t seen;

	(void)state;
	other(1, CTL_HELD, 41);
	start();
	seen = b.now;
	run_until(b.now + 1000);
	claim(false);
	take(LEASE_END, 0, 0);
	assert_int_equal(heard(LEASE_WAITING)->why, LEASE_WHY_LEASE_END);
	assert_int_equal(heard(LEASE_WAITING)->until_ms, seen + LEASE + MARGIN);
	run_for((unsigned)(seen + LEASE + MARGIN - 1 - b.now));
	assert_null(heard(LEASE_GAINED));
	run_until(seen + LEASE + MARGIN);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 42);
}

static void
test_watchdog(void **state)
{
	uint64_t until;

	(void)state;
	other(1, CTL_HELD, 41)->watchdog_ms = 10000;
	start();
	until = b.now + LEASE + MARGIN + 10000 + 500;
	claim(false);
	take(LEASE_WATCHDOG, 0, 0);
	assert_int_equal(heard(LEASE_WAITING)->until_ms, until);
	run_for((unsigned)(until - 1 - b.now));
	assert_null(heard(LEASE_GAINED));
	run_until(until);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 42);
}

/* What an earlier process had armed stands until this one takes. */
static void
test_watchdog_of_before(void **state)
{
	(void)state;
	other(0, CTL_HELD, 41)->watchdog_ms = 7000;
	start();
	assert_int_equal(b.disk[0].lease.holding, CTL_STALE);
	assert_int_equal(b.disk[0].lease.watchdog_ms, 7000);
	claim(false);
	lease_watchdog(b.l, 9000);
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 42);
	assert_int_equal(b.disk[0].lease.watchdog_ms, 9000);
}

/* Who has armed none says so, whatever its slot said before. */
static void
test_watchdog_unarmed(void **state)
{
	(void)state;
	other(0, CTL_RELEASED, 41)->watchdog_ms = 7000;
	start();
	assert_int_equal(b.disk[0].lease.watchdog_ms, 0);
	claim(false);
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 42);
	assert_int_equal(b.disk[0].lease.watchdog_ms, 0);
}

/* A renewal during the wait: it lives. */
static void
test_alive_while_waiting(void **state)
{
	(void)state;
	other(1, CTL_HELD, 41);
	start();
	claim(false);
	take(LEASE_END, 0, 0);
	run_for(3000);
	other(1, CTL_HELD, 41);
	run_for(RENEW);
	assert_refused(LEASE_WHY_ALIVE);
}

/* A lease that advances between the reads of a claim, and of a take. */
static void
test_alive(void **state)
{
	(void)state;
	other(1, CTL_HELD, 41);
	start();
	b.hold_writes = true;
	claim(false);
	other(1, CTL_HELD, 41);
	end_write(0);
	settle();
	b.hold_writes = false;
	settle();
	assert_refused(LEASE_WHY_ALIVE);

	b.hold_writes = true;
	claim(true); /* by force */
	other(1, CTL_HELD, 41);
	b.hold_writes = false;
	settle();
	assert_non_null(heard(LEASE_WON));
	b.hold_writes = true;
	take(LEASE_FENCED, 12, 41);
	other(1, CTL_HELD, 41); /* the fence does not work */
	b.hold_writes = false;
	settle();
	assert_refused(LEASE_WHY_ALIVE);
	assert_int_equal(b.disk[0].lease.owned_epoch, 0);
}

/* A claim that stands is left alone as long as it is rewritten. */
static void
test_rival(void **state)
{
	struct ctl_lease *it = other(1, CTL_NOTHING, 0);

	(void)state;
	it->claim_epoch = 1;
	it->claim_ballot = 9;
	start();
	claim(false);
	assert_refused(LEASE_WHY_RIVAL);
	assert_int_equal(heard(LEASE_REFUSED)->server_id, 12);
	run_for(LEASE - 10);
	it->seq++;
	run_for(LEASE - 10);
	claim(false);
	assert_refused(LEASE_WHY_RIVAL);
	run_for(LEASE);
	claim(false);
	assert_non_null(heard(LEASE_WON));
	assert_true(b.disk[0].lease.claim_ballot > 9);
	/* Ours is rewritten too, until it is taken; only what has landed
	 * counts. */
	run_for(3 * LEASE);
	assert_in_range(lease_landed_ms(b.l), b.now - 2 * RENEW, b.now);
	b.hold_writes = true;
	run_for(LEASE);
	assert_true(lease_landed_ms(b.l) <= b.now - LEASE + RENEW);
}

/* A higher claim that comes between. */
static void
test_rival_between(void **state)
{
	struct ctl_lease *it;

	(void)state;
	start();
	b.hold_writes = true;
	claim(false);
	it = other(1, CTL_NOTHING, 0);
	it->claim_epoch = 1;
	it->claim_ballot = 17;
	b.hold_writes = false;
	settle();
	assert_refused(LEASE_WHY_RIVAL);

	it->claim_epoch = it->claim_ballot = 0;
	it->seq++;
	claim(false);
	assert_non_null(heard(LEASE_WON));
	other(2, CTL_HELD, 1); /* somebody is owner of that epoch */
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_refused(LEASE_WHY_NEWER);
	assert_int_equal(heard(LEASE_REFUSED)->server_id, 13);
}

static void
test_granted(void **state)
{
	(void)state;
	other(1, CTL_RELEASED, 8)->granted_to = 13;
	start();
	lease_look(b.l, b.now);
	settle();
	assert_int_equal(heard(LEASE_LOOKED)->granted_to, 13);
	assert_int_equal(heard(LEASE_LOOKED)->server_id, 12);
	assert_int_equal(heard(LEASE_LOOKED)->epoch, 8);
	claim(false);
	assert_refused(LEASE_WHY_GRANT);
	run_for(LEASE + 1); /* it does not come */
	claim(false);
	assert_int_equal(heard(LEASE_WON)->server_id, 0);

	lease_unclaim(b.l, b.now);
	settle();
	assert_int_equal(b.disk[0].lease.claim_epoch, 0);
	other(1, CTL_RELEASED, 9)->granted_to = 11; /* to us: at once */
	claim(false);
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 10);
}

/* --- being owner */

static void
test_renews(void **state)
{
	uint64_t seq, until;

	(void)state;
	start();
	become_owner();
	seq = b.disk[0].lease.seq;
	until = lease_valid_until_ms(b.l);
	run_until(b.now + 10 * RENEW);
	assert_int_equal(b.disk[0].lease.seq, seq + 10);
	assert_true(lease_valid_until_ms(b.l) >= until + 9 * RENEW);
	assert_null(heard(LEASE_SUSPENDED));
}

/* The validity of a renewal counts from the issue of its write. */
static void
test_slow_disk(void **state)
{
	uint64_t issued;

	(void)state;
	start();
	become_owner();
	b.hold_writes = true;
	run_until(b.now + RENEW);
	assert_true(b.writing);
	issued = b.write_ms;
	run_until(b.now + 400);
	end_write(0);
	settle();
	assert_int_equal(lease_valid_until_ms(b.l), issued + LEASE - MARGIN);
}

static void
test_lapse(void **state)
{
	uint64_t until;

	(void)state;
	start();
	become_owner();
	b.hold_writes = true;
	run_until(b.now + RENEW);
	until = lease_valid_until_ms(b.l);
	run_until(until - 1);
	assert_true(lease_valid(b.l, b.now));
	assert_null(heard(LEASE_SUSPENDED));
	assert_non_null(heard(LEASE_DISK_LOST));
	run_until(until);
	assert_non_null(heard(LEASE_SUSPENDED));
	assert_false(lease_valid(b.l, b.now));

	/* What was under way all the time is no renewal any more; the next
	 * one is, but all slots must be read after it. */
	forget();
	b.hold_reads = true;
	end_write(0);
	settle();
	run_until(b.now + 10);
	assert_null(heard(LEASE_RESUMED));
	b.hold_writes = false;
	settle();
	while (!b.reading)
		run_until(b.now + 1);
	assert_null(heard(LEASE_RESUMED));
	b.hold_reads = false;
	settle();
	run_until(b.now + 1);
	assert_non_null(heard(LEASE_DISK_BACK));
	assert_int_equal(heard(LEASE_RESUMED)->epoch, 1);
	assert_true(lease_valid(b.l, b.now));
}

/* Somebody else took it meanwhile. */
static void
test_lapse_and_lost(void **state)
{
	(void)state;
	start();
	become_owner();
	b.hold_writes = true;
	run_until(b.now + LEASE);
	assert_int_equal(lease_state(b.l), LEASE_LAPSED);
	other(1, CTL_HELD, 2);
	b.hold_writes = false;
	forget();
	settle();
	run_until(b.now + 2);
	assert_null(heard(LEASE_RESUMED));
	assert_int_equal(heard(LEASE_LOST)->server_id, 12);
	assert_int_equal(heard(LEASE_LOST)->old_epoch, 1);
	assert_int_equal(lease_state(b.l), LEASE_STANDBY);
	assert_int_equal(lease_epoch(b.l), 0);
}

/* A living owner that was fenced hears of the new one by its next read. */
static void
test_lost(void **state)
{
	(void)state;
	start();
	become_owner();
	other(1, CTL_HELD, 2);
	run_until(b.now + RENEW + 1);
	assert_int_equal(heard(LEASE_LOST)->server_id, 12);
}

static void
test_next_epoch(void **state)
{
	(void)state;
	start();
	become_owner();
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 2);
	assert_null(heard(LEASE_SUSPENDED));
	assert_int_equal(lease_epoch(b.l), 2);
	run_until(b.now + 4 * RENEW);
	assert_true(lease_valid(b.l, b.now));
}

static void
test_restart(void **state)
{
	(void)state;
	start();
	become_owner();
	start();
	assert_int_equal(b.disk[0].lease.holding, CTL_STALE);
	assert_int_equal(lease_epoch(b.l), 0);
	claim(false);
	assert_int_equal(heard(LEASE_WON)->server_id, 0);
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 2);
}

static void
test_release(void **state)
{
	(void)state;
	start();
	become_owner();
	forget();
	b.hold_writes = true;
	lease_release(b.l, 12, b.now);
	assert_false(lease_valid(b.l, b.now));
	settle();
	assert_null(heard(LEASE_GIVEN_UP));
	end_write(EIO); /* it tries again */
	b.hold_writes = false;
	run_until(b.now + RENEW);
	assert_non_null(heard(LEASE_GIVEN_UP));
	assert_int_equal(b.disk[0].lease.holding, CTL_RELEASED);
	assert_int_equal(b.disk[0].lease.granted_to, 12);
	run_until(b.now + 2 * LEASE);
	assert_int_equal(lease_state(b.l), LEASE_STANDBY);
}

static void
test_drop(void **state)
{
	uint64_t seq;

	(void)state;
	start();
	become_owner();
	run_until(b.now + RENEW - 1);
	seq = b.disk[0].lease.seq;
	lease_drop(b.l, b.now);
	run_until(b.now + LEASE);
	assert_false(lease_valid(b.l, b.now));
	assert_int_equal(b.disk[0].lease.seq, seq);
	assert_int_equal(b.disk[0].lease.holding, CTL_HELD);
}

/* --- what is wrong */

static void
test_damaged(void **state)
{
	(void)state;
	b.disk[1].status = CTL_DAMAGED;
	start();
	assert_int_equal(heard(LEASE_TROUBLE)->why, LEASE_WHY_DAMAGED);
	claim(false);
	assert_refused(LEASE_WHY_DAMAGED);

	b.disk[0].status = CTL_DAMAGED;
	start();
	assert_int_equal(lease_state(b.l), LEASE_BROKEN);
	claim(false);
	assert_refused(LEASE_WHY_BUSY);
}

static void
test_twin(void **state)
{
	(void)state;
	start();
	become_owner();
	forget();
	b.disk[0].lease.instance = 98;
	b.disk[0].lease.seq += 5;
	b.hold_writes = true;
	run_until(b.now + RENEW);
	lease_look(b.l, b.now);
	settle();
	assert_int_equal(heard(LEASE_TROUBLE)->why, LEASE_WHY_TWIN);
	assert_int_equal(heard(LEASE_LOST)->why, LEASE_WHY_TWIN);
	assert_int_equal(lease_state(b.l), LEASE_BROKEN);
}

static void
test_formatted(void **state)
{
	(void)state;
	start();
	b.disk[0].status = CTL_EMPTY;
	run_until(b.now + RENEW);
	assert_int_equal(heard(LEASE_TROUBLE)->why, LEASE_WHY_FORMATTED);
}

static void
test_disk_errors(void **state)
{
	(void)state;
	start();
	b.hold_reads = true;
	forget();
	lease_claim(b.l, false, b.now);
	settle();
	end_read(EIO);
	settle();
	assert_refused(LEASE_WHY_DISK);
	assert_int_equal(heard(LEASE_DISK_LOST)->errno_, EIO);
	lease_look(b.l, b.now);
	settle();
	end_read(EIO);
	settle();
	assert_int_equal(heard(LEASE_LOOKED)->errno_, EIO);
}

static void
test_events(void **state)
{
	struct lease_event ev[8];

	(void)state;
	start();
	become_owner();
	run_until(b.now + LEASE);
	assert_int_equal(lease_events(b.l, 0, ev, 8), 4);
	assert_int_equal(ev[0].news, LEASE_READY);
	assert_int_equal(ev[1].news, LEASE_WON);
	assert_int_equal(ev[2].news, LEASE_GAINED);
	assert_int_equal(ev[3].news, LEASE_NEWEST);
	assert_int_equal(lease_events(b.l, 3, ev, 8), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_fenced),
	    T(test_unfenced),
	    T(test_stale_needs_fence),
	    T(test_lease_end),
	    T(test_watchdog),
	    T(test_watchdog_of_before),
	    T(test_watchdog_unarmed),
	    T(test_alive_while_waiting),
	    T(test_alive),
	    T(test_rival),
	    T(test_rival_between),
	    T(test_granted),
	    T(test_renews),
	    T(test_slow_disk),
	    T(test_lapse),
	    T(test_lapse_and_lost),
	    T(test_lost),
	    T(test_next_epoch),
	    T(test_restart),
	    T(test_release),
	    T(test_drop),
	    T(test_damaged),
	    T(test_twin),
	    T(test_formatted),
	    T(test_disk_errors),
	    T(test_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
