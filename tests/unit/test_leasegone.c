/*
 * The lease: a server that is gone, as suspicion says, is not waited for;
 * one that is not is, and what it writes says more.
 */
#include "leasebed.h"

/* The volume was granted to s3, which died. */
static void
test_granted_to_the_dead(void **state)
{
	(void)state;
	other(1, CTL_RELEASED, 8)->granted_to = 13;
	start();
	lease_peer(b.l, 12, true); /* who released it does not matter */
	claim(false);
	assert_refused(LEASE_WHY_GRANT);
	lease_peer(b.l, 13, true);
	claim(false);
	assert_int_equal(heard(LEASE_WON)->server_id, 0);
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_int_equal(heard(LEASE_GAINED)->epoch, 9);
}

/* It was thought dead, but writes its slot: the grant is its. */
static void
test_granted_and_alive(void **state)
{
	(void)state;
	other(1, CTL_RELEASED, 8)->granted_to = 13;
	other(2, CTL_NOTHING, 0);
	start();
	lease_peer(b.l, 13, true);
	other(2, CTL_NOTHING, 0);
	run_for(RENEW);
	claim(false);
	assert_refused(LEASE_WHY_GRANT);
	lease_peer(b.l, 13, true);
	lease_peer(b.l, 13, false);
	claim(false);
	assert_refused(LEASE_WHY_GRANT);
}

/* A claim that its server left behind when it died. */
static void
test_claim_of_the_dead(void **state)
{
	struct ctl_lease *it = other(1, CTL_NOTHING, 0);

	(void)state;
	it->claim_epoch = 1;
	it->claim_ballot = 9;
	start();
	claim(false);
	assert_refused(LEASE_WHY_RIVAL);
	lease_peer(b.l, 12, true);
	claim(false);
	assert_non_null(heard(LEASE_WON));
	assert_true(b.disk[0].lease.claim_ballot > 9);
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_non_null(heard(LEASE_GAINED));
}

/* The same, but it lives and claims on: one of the two withdraws. */
static void
test_claim_of_the_living(void **state)
{
	struct ctl_lease *it = other(1, CTL_NOTHING, 0);

	(void)state;
	it->claim_epoch = 1;
	it->claim_ballot = 9;
	start();
	lease_peer(b.l, 12, true);
	claim(false);
	assert_non_null(heard(LEASE_WON));
	it->claim_ballot = b.disk[0].lease.claim_ballot + CTL_SLOTS;
	it->seq++;
	forget();
	run_for(RENEW);
	assert_refused(LEASE_WHY_RIVAL);
}

/* To be thought gone is no fence. */
static void
test_gone_is_not_fenced(void **state)
{
	(void)state;
	other(1, CTL_HELD, 8);
	start();
	lease_peer(b.l, 12, true);
	claim(true);
	assert_int_equal(heard(LEASE_WON)->server_id, 12);
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_refused(LEASE_WHY_UNFENCED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_granted_to_the_dead),
	    T(test_granted_and_alive),
	    T(test_claim_of_the_dead),
	    T(test_claim_of_the_living),
	    T(test_gone_is_not_fenced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
