/*
 * What becomes of tombs: those of clients that went away are joined and take
 * no client's place;
 * those of clients that live stay while there is room.
 */
#include "tests/unit/logbed.h"

enum { RETAIN = 1000, HOUR = 3600000, MINUTE = 60000 };

static void
forget_snaps(struct lb *b)
{
	b->nsnaps = b->durable = 0;
	lb_snap(b);
}

static void
cut_at(struct lb *b, unsigned i)
{
	struct lb_disk left = b->snap[i];

	lb_cut(b, &left);
}

static struct lb *
bed_of(unsigned clients_max, uint32_t client_slots)
{
	struct lb *b = lb_new();

	b->client_slots = client_slots;

	b->cfg.retain_ms = RETAIN;
	b->cfg.clients_max = clients_max;
	lb_start(b);
	return b;
}

static struct lb *
bed(unsigned clients_max)
{
	return bed_of(clients_max, LB_SLOTS);
}

/* A call of a client: it makes or removes a directory. */
static void
make_nth(struct bytes *call, const struct lb *b, uint32_t xid)
{
	make_call(
	    call, &b->d.fs, xid % 2 ? NFS3_MKDIR : NFS3_RMDIR, "new");
	set_xid(call, xid);
}

static void
put_nth(struct lb *b, struct lb_conn *c, uint32_t xid)
{
	struct bytes call;

	make_nth(&call, b, xid);
	lb_put(b, c, &call);
}

/* A client makes a call, takes no reply, and is switched off. */
static void
switch_off(struct lb *b, uint8_t client, uint32_t xid)
{
	struct lb_conn c;

	lb_hello(b, &c, client, 1, NULL, 0);
	put_nth(b, &c, xid);
	assert_int_equal(c.sent, 1);
	lb_gone(b, &c);
}

/* Its reply expires; then its kernel connection counts as over. */
static void
stays_away(struct lb *b)
{
	lb_pass(b, 2 * RETAIN);
	lb_pass(b, b->cfg.kconn_idle_ms);
	lb_pass(b, 100);
}

/* The call ran, and does not again. Is it undecidable? Else a cut left its
 * reply, whose slot no later record says is free. */
static bool
is_undecidable(struct lb *b, uint8_t client, uint32_t xid)
{
	unsigned before = b->mutations, undecided = lb_count(b).undecided;
	struct lb_conn c;

	lb_hello_of(b, &c, client, 2, 1, NULL, 0);
	put_nth(b, &c, xid);
	assert_int_equal(b->mutations, before);
	assert_int_equal(lb_count(b).undecided + c.sent, undecided + 1);
	if (c.sent > 0)
		assert_int_equal(lb_status(&c), NFS3_OK);
	lb_gone(b, &c);
	return c.sent == 0;
}

/* --- clients that went away */

/* Many of them: the next one is served, the slots do not run out, and none
 * of their calls runs again. */
static void
switched_off(void **state)
{
	enum { CLIENTS = 3 * LB_SLOTS, AGAIN = 4 };
	struct lb *b = bed(4);

	(void)state;
	for (uint8_t i = 1; i <= CLIENTS; i++) {
		forget_snaps(b);
		switch_off(b, i, i);
		stays_away(b);
		assert_int_equal(lb_count(b).slots, 1);
		assert_true(lb_count(b).clients <= 4);
	}
	cut_at(b, b->nsnaps - 1);
	assert_in_range(b->found.tombs, 1, 2); /* the last one's own */
	for (uint8_t i = 0; i < AGAIN; i++) {
		uint8_t n = 1 + i * (CLIENTS / AGAIN);

		assert_true(is_undecidable(b, n, n));
	}
	lb_free(b);
}

/* Wherever a cut comes while a tomb goes into a common one; also when the
 * next owner joins what it found, and is cut itself. */
static void
cut_while_joined(void **state)
{
	unsigned cuts = 1;

	(void)state;
	for (unsigned i = 0; i < 2 * cuts; i++) {
		struct lb *b = bed(8);

		switch_off(b, 1, 1);
		switch_off(b, 2, 2);
		forget_snaps(b);
		stays_away(b);
		switch_off(b, 3, 3);
		stays_away(b);
		assert_int_equal(lb_count(b).slots, 1);
		cuts = b->nsnaps;
		cut_at(b, i / 2);
		if (i % 2 == 1) {
			stays_away(b);
			cut_at(b, b->nsnaps - 1);
		}
		is_undecidable(b, 1, 1);
		is_undecidable(b, 2, 2);
		lb_free(b);
	}
	assert_true(cuts > 6);
}

/* A recovery finds more clients than clients_max: they are all known. */
static void
more_than_places(void **state)
{
	struct lb *b = bed(8);

	(void)state;
	for (uint8_t i = 1; i <= 5; i++)
		switch_off(b, i, i);
	b->cfg.clients_max = 2;
	cut_at(b, b->nsnaps - 1);
	assert_int_equal(b->found.replies, 5);
	lb_pass(b, 2 * RETAIN);
	assert_int_equal(lb_count(b).clients, 5);
	switch_off(b, 6, 9);
	lb_free(b);
}

/* What an older incarnation left does not hold its slots for ever when the
 * client does not come back to let its clock run. */
static void
orphans_of_one_away(void **state)
{
	struct lb *b = bed(8);
	struct lb_conn c;

	(void)state;
	lb_hello(b, &c, 1, 1, NULL, 0);
	for (uint32_t i = 1; i <= 4; i++)
		put_nth(b, &c, i);
	lb_gone(b, &c);
	lb_hello_of(b, &c, 1, 2, 1, NULL, 0);
	lb_gone(b, &c);
	assert_int_equal(lb_count(b).slots, 4);
	stays_away(b);
	assert_int_equal(lb_count(b).slots, 1);
	cut_at(b, b->nsnaps - 1);
	assert_true(is_undecidable(b, 1, 1));
	lb_free(b);
}

/* --- clients that live */

enum { CALLS = LOGREC_NAMES_MAX + 2 };

/* More calls of client 1 than a tomb has names; then it is away. */
static struct lb *
two_tombs_bed(unsigned clients_max, uint32_t client_slots)
{
	struct lb *b = bed_of(clients_max, client_slots);
	struct lb_conn c;

	for (uint32_t i = 1; i <= CALLS; i++) {
		forget_snaps(b);
		lb_hello(b, &c, 1, i, NULL, 0);
		put_nth(b, &c, i);
		lb_gone(b, &c);
		lb_pass(b, 2 * RETAIN);
	}
	assert_int_equal(lb_count(b).slots, 2);
	return b;
}

/* Away for good, it needs no place, however many calls it left. */
static void
two_and_away(void **state)
{
	struct lb *b = two_tombs_bed(1, LB_SLOTS);

	(void)state;
	stays_away(b);
	forget_snaps(b);
	switch_off(b, 2, 1);
	assert_int_equal(lb_count(b).slots, 3);
	b->cfg.clients_max = 8;
	cut_at(b, b->nsnaps - 1);
	assert_true(is_undecidable(b, 1, 1));
	assert_true(is_undecidable(b, 1, LOGREC_NAMES_MAX + 1));
	lb_free(b);
}

/* Calls and ACKs, every step_ms; how many calls. */
static void
live(struct lb *b, struct lb_conn *c, unsigned calls, uint64_t step_ms)
{
	static uint32_t xid = 10001;

	for (unsigned i = 0; i < calls; i++) {
		forget_snaps(b);
		put_nth(b, c, xid);
		lb_ack(b, c, 1, xid++);
		lb_pass(b, step_ms);
	}
}

/* An hour with calls and ACKs; the process that made the first call was frozen
 * inside it, and goes on after a crash. */
static void
frozen(void **state)
{
	struct lb *b = two_tombs_bed(8, LB_SLOTS);
	struct lb_conn c;

	(void)state;
	lb_hello(b, &c, 1, 1000, NULL, 0);
	live(b, &c, 2 * HOUR / MINUTE, MINUTE);
	assert_int_equal(lb_count(b).slots, 2);
	lb_gone(b, &c);
	cut_at(b, b->nsnaps - 1);
	assert_true(is_undecidable(b, 1, 1));
	lb_free(b);
}

/* The same where room is wanted: they go, the oldest first. */
static void
lives_crowded(void **state)
{
	struct lb *b = two_tombs_bed(8, 8);
	struct lb_conn c;

	(void)state;
	lb_hello(b, &c, 1, 1000, NULL, 0);
	live(b, &c, HOUR / MINUTE + 3, MINUTE);
	assert_int_equal(lb_count(b).slots, 1);
	lb_gone(b, &c);
	cut_at(b, b->nsnaps - 1);
	assert_true(is_undecidable(b, 1, CALLS - 2 + 1));
	lb_free(b);
}

/* An hour that is not over, and hours in which the proxy says nothing. */
static void
lives_too_short(void **state)
{
	struct lb *b = two_tombs_bed(8, 4);
	struct lb_conn c;

	(void)state;
	lb_hello(b, &c, 1, 1000, NULL, 0);
	live(b, &c, HOUR / MINUTE / 2, 2 * HOUR);
	lb_gone(b, &c);
	cut_at(b, b->nsnaps - 1);
	assert_true(is_undecidable(b, 1, 1));
	lb_free(b);
}

/* --- an operator */

static void
count_calls(void *arg, const struct relay_tomb_view *v)
{
	uint64_t *calls = arg;

	calls[v->client == NULL] += v->calls;
	assert_int_equal(v->volume, 0);
}

static void
forgotten(void **state)
{
	const bool *away = *state;
	struct lb *b = two_tombs_bed(8, LB_SLOTS);
	static const uint8_t one[CLIENT_ID_LEN] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	    1, 1, 1, 1, 1, 1};
	static const uint8_t two[CLIENT_ID_LEN] = {2};
	uint64_t calls[2] = {0, 0}, n = 9;
	struct lb_conn c;

	if (*away)
		stays_away(b);
	relay_each_tomb(b->r, count_calls, calls);
	assert_int_equal(calls[*away], CALLS);
	assert_int_equal(calls[!*away], 0);
	/* Not another's; not while it is written. */
	assert_int_equal(relay_tombs_forget(b->r, 0, two, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(
	    relay_tombs_forget(b->r, 0, *away ? one : NULL, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(
	    relay_tombs_forget(b->r, 0, *away ? NULL : one, &n), 0);
	assert_int_equal(n, CALLS);
	assert_int_equal(lb_count(b).slots, 0);
	forget_snaps(b);
	switch_off(b, 2, 1); /* that record says which slots are free */
	cut_at(b, b->nsnaps - 1);
	lb_hello_of(b, &c, 1, 2, 1, NULL, 0);
	put_nth(b, &c, 2);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_count(b).undecidable, 0);
	lb_gone(b, &c);
	lb_free(b);
}

/* --- */

/* The id of common tombs is nobody's. */
static void
nobody_is_refused(void **state)
{
	struct relay_hello h = {.kconn = 5, .generation = 1, .peer = "peer"};
	struct lb *b = bed(8);
	struct lb_conn c = {0};

	(void)state;
	c.rc = relay_conn_new(b->r, &c);
	h.who.incarnation = 1;
	relay_hello(c.rc, &h, b->now);
	lb_settle(b);
	assert_true(c.hello_answered);
	assert_int_equal(c.status, HANFS_BAD_ARGUMENT);
	assert_int_equal(lb_count(b).clients, 0);
	lb_gone(b, &c);
	lb_free(b);
}

/*
 * A HELLO was on its way when a call was sent over another network and ran,
 * and comes after a recovery: that the call is not in its list says nothing.
 */
static void
late_hello(void **state)
{
	const bool *late = *state;
	struct relay_hello h = {.kconn = 5, .generation = 7, .network = 1,
	    .peer = "peer", .peer_len = 4};
	struct lb *b = bed(8);
	struct lb_conn c, d = {0};

	if (*late)
		d.rc = relay_conn_new(b->r, &d);
	lb_hello(b, &c, 1, 1, NULL, 0);
	put_nth(b, &c, 1);
	lb_gone(b, &c);
	assert_true(lb_recover(b)); /* the same agent's, as when suspect */
	if (!*late)
		d.rc = relay_conn_new(b->r, &d);
	memset(h.who.client, 1, sizeof(h.who.client));
	memset(h.who.token, 101, sizeof(h.who.token));
	h.who.incarnation = 1;
	relay_hello(d.rc, &h, b->now);
	lb_settle(b);
	assert_int_equal(d.status, HANFS_OK);
	assert_int_equal(lb_count(b).slots, *late);
	lb_gone(b, &d);
	lb_free(b);
}

int
main(void)
{
	static bool no = false, yes = true;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(switched_off),
	    cmocka_unit_test(cut_while_joined),
	    cmocka_unit_test(more_than_places),
	    cmocka_unit_test(orphans_of_one_away),
	    cmocka_unit_test(two_and_away),
	    cmocka_unit_test(frozen),
	    cmocka_unit_test(lives_crowded),
	    cmocka_unit_test(lives_too_short),
	    cmocka_unit_test_prestate(forgotten, &yes),
	    cmocka_unit_test_prestate(forgotten, &no),
	    cmocka_unit_test(nobody_is_refused),
	    cmocka_unit_test_prestate(late_hello, &yes),
	    cmocka_unit_test_prestate(late_hello, &no),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
