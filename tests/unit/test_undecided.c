/*
 * Calls that nobody can answer for: what an operator says of one holds, and
 * stands, whatever comes between: no memory for a reply, a lost link.
 */
#include "tests/unit/logbed.h"

static const uint8_t client[CLIENT_ID_LEN] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static bool
verdict(struct lb *b, const struct bytes *call, bool done)
{
	bool known =
	    relay_verdict(b->r, 0, client, be32_get(call->p), done, b->now);

	lb_settle(b);
	return known;
}

static void
lose_link(struct lb *b, struct lb_conn *c)
{
	relay_link_down(b->link, "reset", b->now);
	lb_settle(b);
	lb_gone(b, c);
	b->now += 1000;
}

static void
operator_says(void **state)
{
	const bool *done = *state;
	struct bytes call;
	struct lb *b = lb_undecidable(&call);
	uint32_t xid = be32_get(call.p);
	struct lb_conn c;

	lb_hello(b, &c, 1, 2, &xid, 1);
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 0);
	assert_false(relay_verdict(b->r, 0, client, xid + 1, *done, b->now));
	assert_true(verdict(b, &call, *done));
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), *done ? NFS3_OK : NFS3ERR_EXIST);
	assert_int_equal(b->mutations, *done ? 0 : 1);
	assert_int_equal(lb_count(b).undecided, 0);
	lb_gone(b, &c);
	lb_free(b);
}

/* The verdict comes before the client does; its link dies meanwhile. */
static void
operator_is_early(void **state)
{
	struct bytes call;
	struct lb *b = lb_undecidable(&call);
	struct lb_conn c;

	(void)state;
	lb_hello(b, &c, 1, 2, NULL, 0);
	lb_put(b, &c, &call);
	lose_link(b, &c);
	assert_int_equal(b->suspects, 0);
	assert_int_equal(lb_count(b).undecided, 1);
	assert_true(verdict(b, &call, true));
	lb_hello(b, &c, 1, 3, NULL, 0);
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), NFS3_OK);
	lb_gone(b, &c);
	lb_free(b);
}

enum { POOL = 128 };

static unsigned
take_pool(struct lb *b, struct rec *taken[POOL])
{
	unsigned n = 0;

	while (n < POOL && (taken[n] = rec_from(b->pool, "x", 1)) != NULL)
		n++;
	assert_true(n > 0 && n < POOL);
	return n;
}

/* "It has run", and no memory for the reply: the answer is not NFS3ERR_IO
 * when its time is over, but comes when there is memory. */
static void
no_memory(void **state)
{
	struct rec *taken[POOL];
	struct bytes call;
	struct lb *b = lb_undecidable(&call);
	struct lb_conn c;
	unsigned n;

	(void)state;
	lb_hello(b, &c, 1, 2, NULL, 0);
	lb_put(b, &c, &call);
	n = take_pool(b, taken);
	assert_true(verdict(b, &call, true));
	lb_pass(b, b->cfg.undecidable_ms);
	assert_int_equal(c.sent, 0);
	while (n > 0)
		rec_unref(taken[--n]);
	lb_pass(b, 100);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(lb_count(b).undecided, 0);
	lb_put(b, &c, &call); /* asked for again, it is the same */
	assert_int_equal(c.sent, 2);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(b->mutations, 0);
	lb_gone(b, &c);
	lb_free(b);
}

/* The same, and the link is lost before there is. */
static void
no_memory_no_link(void **state)
{
	struct rec *taken[POOL];
	struct bytes call;
	struct lb *b = lb_undecidable(&call);
	struct lb_conn c;
	unsigned n;

	(void)state;
	lb_hello(b, &c, 1, 2, NULL, 0);
	lb_put(b, &c, &call);
	n = take_pool(b, taken);
	assert_true(verdict(b, &call, true));
	lose_link(b, &c);
	while (n > 0)
		rec_unref(taken[--n]);
	assert_int_equal(lb_count(b).undecided, 0);
	lb_hello(b, &c, 1, 3, NULL, 0);
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(lb_count(b).undecided, 0);
	lb_gone(b, &c);
	lb_free(b);
}

/* "It has not run", and the link is lost before its intent is written. */
static void
not_run_and_link_lost(void **state)
{
	const bool *again = *state;
	struct bytes call;
	struct lb *b = lb_undecidable(&call);
	unsigned slots = lb_count(b).slots;
	struct lb_conn c;

	lb_hello(b, &c, 1, 2, NULL, 0);
	lb_put(b, &c, &call);
	assert_true(
	    relay_verdict(b->r, 0, client, be32_get(call.p), false, b->now));
	for (unsigned i = 0; i < 1u + *again; i++) {
		lb_act(b); /* its pre-state is asked, and not answered */
		assert_true(b->ncalls > 0);
		b->ncalls = 0;
		lose_link(b, &c);
		assert_int_equal(b->suspects, 0);
		assert_int_equal(lb_count(b).in_progress, 0);
		assert_int_equal(lb_count(b).undecided, 0);
		assert_int_equal(lb_count(b).slots, slots);
		lb_hello(b, &c, 1, 3 + i, NULL, 0);
		lb_offer(b, &c, rec_from(b->pool, call.p, call.len));
	}
	lb_settle(b);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), NFS3ERR_EXIST);
	assert_int_equal(b->mutations, 1);
	assert_int_equal(lb_count(b).undecided, 0);
	lb_gone(b, &c);
	lb_free(b);
}

int
main(void)
{
	static bool no = false, yes = true;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate(operator_says, &yes),
	    cmocka_unit_test_prestate(operator_says, &no),
	    cmocka_unit_test(operator_is_early),
	    cmocka_unit_test(no_memory),
	    cmocka_unit_test(no_memory_no_link),
	    cmocka_unit_test_prestate(not_run_and_link_lost, &no),
	    cmocka_unit_test_prestate(not_run_and_link_lost, &yes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
