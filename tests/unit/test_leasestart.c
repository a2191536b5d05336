/* The lease of an agent that starts: what it says, and when. */
#include "leasebed.h"

static void
test_free_start(void **state)
{
	(void)state;
	start();
	assert_non_null(heard(LEASE_READY));
	assert_int_equal(b.disk[0].lease.boot, 7);
	assert_int_equal(b.disk[0].lease.server_id, 11);
	claim(false);
	assert_int_equal(heard(LEASE_WON)->server_id, 0);
	assert_int_equal(heard(LEASE_WON)->epoch, 1);
	assert_int_equal(b.disk[0].lease.claim_epoch, 1);
	assert_int_equal(b.disk[0].lease.owned_epoch, 0);
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 1);
	assert_int_equal(lease_epoch(b.l), 1);
	assert_int_equal(lease_valid_until_ms(b.l), b.now + LEASE - MARGIN);
	assert_int_equal(b.disk[0].lease.holding, CTL_HELD);
}

static void
test_epoch_floor(void **state)
{
	struct lease_config cfg = {.server_id = {11},
	    .server = {"s1"},
	    .boot = 1,
	    .instance = 1,
	    .epoch_floor = 500};

	(void)state;
	lease_config_times(&cfg, LEASE, RENEW);
	b.l = lease_new(&cfg, b.now);
	settle();
	become_owner();
	assert_int_equal(lease_epoch(b.l), 501);
}

/* Asked while the own slot is being written for the first time: answered as
 * soon as that has landed, when a claim is possible, not at the next poll. */
static void
test_look(void **state)
{
	struct lease_config cfg = {.slot = 0,
	    .server_id = {11, 12},
	    .server = {"s1", "s2"},
	    .boot = 7,
	    .instance = 99};

	(void)state;
	lease_config_times(&cfg, LEASE, RENEW);
	b.hold_writes = true;
	b.l = lease_new(&cfg, b.now);
	settle();
	lease_look(b.l, b.now);
	settle();
	assert_true(b.writing);
	assert_null(heard(LEASE_READY));
	assert_null(heard(LEASE_LOOKED));
	b.hold_writes = false;
	settle();
	assert_non_null(heard(LEASE_READY));
	assert_non_null(heard(LEASE_LOOKED));
	claim(false);
	assert_non_null(heard(LEASE_WON));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_free_start),
	    T(test_epoch_floor),
	    T(test_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
