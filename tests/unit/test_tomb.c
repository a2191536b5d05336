/*
 * Replies that expired unacknowledged, and calls in doubt: what the log says
 * of them after a crash.
 */
#include "hanfs/crc32c.h"
#include "tests/unit/logbed.h"

static const uint32_t xid0 = 100;

/* The i-th call: a directory of its own. */
static void
make_nth(struct bytes *call, const struct lb *b, unsigned i)
{
	char name[MINI_NAME];

	snprintf(name, sizeof(name), "n%u", i);
	make_call(call, &b->d.fs, NFS3_MKDIR, name);
	set_xid(call, xid0 + i);
}

static void
put_nth(struct lb *b, struct lb_conn *c, unsigned i)
{
	struct bytes call;

	make_nth(&call, b, i);
	lb_put(b, c, &call);
}

/* n calls ran, their replies were not acknowledged, and have expired. */
static struct lb *
expired_bed(unsigned n)
{
	struct lb *b = lb_new();
	struct lb_conn c;

	b->cfg.retain_ms = 1000;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	for (unsigned i = 0; i < n; i++)
		put_nth(b, &c, i);
	assert_int_equal(c.sent, n);
	lb_gone(b, &c);
	lb_pass(b, 2000);
	return b;
}

/* Power is cut after change i; the clients' next server. */
static void
cut_at(struct lb *b, unsigned i)
{
	struct lb_disk left = b->snap[i];

	lb_cut(b, &left);
}

/* --- slots */

/* What an older incarnation of a proxy left does not stop the next one's
 * calls, and can still be asked for. */
static void
orphans_give_slots(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;
	char name[MINI_NAME];

	(void)state;
	b->client_slots = 4;
	lb_start(b);
	for (unsigned i = 0; i < 8; i++) {
		if (i % 4 == 0)
			lb_hello_of(b, &c, 1, 1 + i / 4, 1, NULL, 0);
		snprintf(name, sizeof(name), "n%u", i);
		make_call(&call, &b->d.fs, NFS3_MKDIR, name);
		set_xid(&call, 100 + i);
		/* One slot stays as a tomb. */
		lb_put(b, &c, &call);
		if (i == 6)
			break;
		if (i == 3)
			lb_gone(b, &c);
	}
	assert_int_equal(c.sent, 3);
	assert_int_equal(lb_count(b).tombs, 1);
	make_call(&call, &b->d.fs, NFS3_MKDIR, "n0");
	set_xid(&call, 100);
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 4);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(b->mutations, 7);
	lb_gone(b, &c);
	lb_free(b);
}

/* The slot of a reply is free for another call when the tomb that names its
 * call is in the log, not before. */
static void
tomb_comes_first(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;

	(void)state;
	b->client_slots = 4;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	for (unsigned i = 0; i < 4; i++)
		put_nth(b, &c, i);
	lb_gone(b, &c);
	lb_hello_of(b, &c, 1, 2, 1, NULL, 0);
	b->hold_writes = true;
	put_nth(b, &c, 4);
	assert_non_null(c.held);
	assert_int_equal(b->nwrites, 1);
	lb_written(b); /* the tomb that one reply becomes */
	assert_non_null(c.held);
	assert_int_equal(b->nwrites, 1);
	lb_written(b); /* it names the second */
	assert_null(c.held);
	b->hold_writes = false;
	lb_settle(b);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_count(b).slots, 4);
	lb_gone(b, &c);
	lb_free(b);
}

/* --- tombs */

static void
tombs(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call, fresh;
	struct lb_disk left;
	uint32_t xid = 0x500 + NFS3_MKDIR;

	(void)state;
	b->cfg.retain_ms = 1000;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	make_call(&call, &b->d.fs, NFS3_MKDIR, "new");
	lb_put(b, &c, &call);
	lb_gone(b, &c);
	lb_pass(b, 2000);
	assert_int_equal(lb_count(b).tombs, 1);
	/* The same owner still has the reply. */
	lb_hello(b, &c, 1, 2, &xid, 1);
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(b->mutations, 1);
	lb_gone(b, &c);
	left = b->snap[b->nsnaps - 1];
	lb_cut(b, &left);
	assert_int_equal(b->found.tombs, 1);
	lb_hello(b, &c, 1, 3, &xid, 1);
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 0);
	assert_int_equal(b->mutations, 0);
	assert_int_equal(lb_count(b).undecided, 1);
	/* What was not sent before runs. */
	make_call(&fresh, &b->d.fs, NFS3_MKDIR, "more");
	set_xid(&fresh, 9);
	lb_put(b, &c, &fresh);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), NFS3_OK);
	lb_pass(b, 61000);
	assert_int_equal(c.sent, 2);
	assert_int_equal(lb_status(&c), NFS3ERR_IO);
	assert_int_equal(b->mutations, 1);
	lb_put(b, &c, &call); /* that answer stays */
	assert_int_equal(c.sent, 3);
	assert_int_equal(lb_status(&c), NFS3ERR_IO);
	assert_int_equal(lb_count(b).undecided, 0);
	lb_gone(b, &c);
	lb_free(b);
}

/* A tomb is no reason to refuse what it does not name. */
static void
never_ran(void **state)
{
	static const uint32_t sent[] = {100, 101, 102};
	struct lb *b = expired_bed(2);
	struct lb_conn c;

	(void)state;
	cut_at(b, b->nsnaps - 1);
	assert_int_equal(b->found.tombs, 1);
	lb_hello(b, &c, 1, 2, sent, 3);
	put_nth(b, &c, 2);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(b->mutations, 1);
	assert_int_equal(lb_count(b).undecidable, 0);
	/* The reply of the one is where the tomb is now. No record says yet
	 * that the other's slot is free. */
	put_nth(b, &c, 0);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_count(b).undecidable, 1);
	put_nth(b, &c, 1);
	assert_int_equal(c.sent, 2);
	assert_int_equal(b->mutations, 1);
	lb_gone(b, &c);
	lb_free(b);
}

/* The client's proxy was killed, and the next one does not know what it had
 * sent: what the tomb names is not run all the same. */
static void
sent_by_another(void **state)
{
	struct lb *b = expired_bed(1);
	struct lb_conn c;

	(void)state;
	cut_at(b, b->nsnaps - 1);
	lb_hello_of(b, &c, 1, 2, 1, NULL, 0);
	put_nth(b, &c, 0);
	assert_int_equal(c.sent, 0);
	assert_int_equal(b->mutations, 0);
	assert_int_equal(lb_count(b).undecided, 1);
	lb_gone(b, &c);
	lb_free(b);
}

/* What ran does not run again, wherever the cut comes while replies expire,
 * and their slots are used anew. */
static void
cut_anywhere(void **state)
{
	enum { CALLS = 4, MORE = 3 };
	unsigned cuts = 0;
	bool more = true;

	(void)state;
	for (; more; cuts++) {
		struct lb *b = expired_bed(CALLS);
		struct lb_conn c;
		unsigned first = b->durable, before;

		lb_hello(b, &c, 1, 2, NULL, 0);
		for (unsigned k = 0; k < MORE; k++)
			put_nth(b, &c, CALLS + k);
		lb_gone(b, &c);
		more = first + cuts + 1 < b->nsnaps;
		cut_at(b, first + cuts);
		before = b->mutations; /* recovery's own */
		lb_hello_of(b, &c, 1, 2, 1, NULL, 0);
		for (unsigned k = 0; k < CALLS; k++)
			put_nth(b, &c, k);
		assert_int_equal(b->mutations, before);
		assert_int_equal(lb_count(b).undecided, CALLS - c.sent);
		lb_gone(b, &c);
		lb_free(b);
	}
	assert_true(cuts > 2 + 3 * MORE);
}

/* More calls than one tomb has room for: none is left out, also for the next
 * proxy, which cannot list what the one before it had sent; what was listed
 * and never ran does run. */
static void
no_name_left_out(void **state)
{
	enum { CALLS = LOGREC_NAMES_MAX + 1 };
	static const uint32_t sent[] = {7};
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;

	(void)state;
	b->cfg.retain_ms = 1000;
	lb_start(b);
	for (unsigned i = 0; i < CALLS; i++) {
		b->nsnaps = b->durable = 0;
		lb_snap(b);
		lb_hello(b, &c, 1, 1 + i, NULL, 0);
		make_call(
		    &call, &b->d.fs, i % 2 ? NFS3_RMDIR : NFS3_MKDIR, "new");
		set_xid(&call, xid0 + i);
		lb_put(b, &c, &call);
		lb_gone(b, &c);
		lb_pass(b, 2000);
		assert_int_equal(
		    lb_count(b).slots, 1 + i / LOGREC_NAMES_MAX);
	}
	cut_at(b, b->nsnaps - 1);
	assert_int_equal(b->found.tombs, 2);
	lb_hello_of(b, &c, 1, 2, 1, sent, 1);
	for (unsigned i = 0; i < 3; i++) { /* the oldest */
		make_call(
		    &call, &b->d.fs, i % 2 ? NFS3_RMDIR : NFS3_MKDIR, "new");
		set_xid(&call, xid0 + i);
		lb_put(b, &c, &call);
		assert_int_equal(lb_count(b).undecided, i + 1);
	}
	assert_int_equal(b->mutations, 0);
	make_call(&call, &b->d.fs, NFS3_MKDIR, "seven");
	set_xid(&call, 7);
	lb_put(b, &c, &call);
	assert_int_equal(b->mutations, 1);
	lb_gone(b, &c);
	lb_free(b);
}

/* As hanfs wrote it before tombs had names. */
static void
put_old_tomb(struct lb *b, uint32_t slot)
{
	struct logrec r = {.kind = LOGREC_TOMB,
	    .volume = LB_VOLUME,
	    .seq = LB_SLOTS + 1,
	    .write = 1,
	    .incarnation = 1,
	    .class = CALL_LOGGED,
	    .expired = 1};
	uint8_t *v = b->d.slot[slot];

	memset(r.client, 1, sizeof(r.client));
	memset(r.map.bits, 0xff, sizeof(r.map.bits));
	assert_int_equal(logrec_encode(&r, &slot, v), 1);
	assert_int_equal(v[4], 2);
	v[4] = 1;
	be32_put(v + 20, be32_get(v + 20) - 4); /* the names' length */
	be32_put(v + LOGSLOT_LEN - 4, crc32c(0, v, LOGSLOT_LEN - 4));
}

static void
old_tomb(void **state)
{
	static const uint32_t sent[] = {100};
	struct lb *b = lb_new();
	struct lb_conn c;

	(void)state;
	put_old_tomb(b, 3);
	lb_start(b);
	assert_int_equal(b->found.tombs, 1);
	lb_hello(b, &c, 1, 1, sent, 1);
	put_nth(b, &c, 0);
	put_nth(b, &c, 1);
	assert_int_equal(c.sent, 1);
	assert_int_equal(b->mutations, 1);
	assert_int_equal(lb_count(b).undecided, 1);
	lb_gone(b, &c);
	lb_free(b);
}

/* --- undecidable */

/* Two crashes: tombs of one call each become one that names both, and no
 * cut leaves less. */
static void
tombs_join(void **state)
{
	unsigned cuts = 1;

	(void)state;
	for (unsigned i = 0; i < cuts; i++) {
		struct bytes one, two;
		struct lb *b = lb_new();
		struct lb_conn c;
		struct lb_disk left;

		lb_start(b);
		lb_hello(b, &c, 1, 1, NULL, 0);
		b->hold_backend = true;
		make_call(&one, &b->d.fs, NFS3_MKDIR, "one");
		make_call(&two, &b->d.fs, NFS3_MKDIR, "two");
		set_xid(&two, 2);
		lb_put(b, &c, &one);
		lb_put(b, &c, &two);
		lb_gone(b, &c);
		left = b->snap[b->nsnaps - 1];
		mini_put(&left.fs, 1, "one", NF3REG, 0, 0644);
		mini_put(&left.fs, 1, "two", NF3REG, 0, 0644);
		lb_cut(b, &left);
		assert_int_equal(b->found.undecidable, 2);
		assert_int_equal(lb_count(b).slots, 2);
		cut_at(b, b->nsnaps - 1);
		assert_int_equal(b->found.tombs, 1);
		assert_int_equal(lb_count(b).slots, 1);
		/* A call takes the slot that is free now. */
		lb_hello(b, &c, 1, 2, NULL, 0);
		put_nth(b, &c, 0);
		assert_int_equal(c.sent, 1);
		lb_gone(b, &c);
		cuts = b->nsnaps;
		cut_at(b, i);
		lb_hello(b, &c, 1, 3, NULL, 0);
		lb_put(b, &c, &one);
		lb_put(b, &c, &two);
		assert_int_equal(c.sent, 0);
		assert_int_equal(lb_count(b).undecided, 2);
		lb_gone(b, &c);
		lb_free(b);
	}
	assert_true(cuts > 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(orphans_give_slots),
	    cmocka_unit_test(tomb_comes_first),
	    cmocka_unit_test(tombs),
	    cmocka_unit_test(never_ran),
	    cmocka_unit_test(sent_by_another),
	    cmocka_unit_test(cut_anywhere),
	    cmocka_unit_test(no_name_left_out),
	    cmocka_unit_test(old_tomb),
	    cmocka_unit_test(tombs_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
