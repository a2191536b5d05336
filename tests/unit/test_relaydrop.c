/*
 * A backend that drops a logged call and says nothing: it is ended, and the
 * log says whether the call ran.
 */
#include <errno.h>

#include "tests/unit/logbed.h"

static void
make_dir(struct bytes *c, const struct minifs *fs, const char *name)
{
	static const struct nfs3_sattr mode = {.set_mode = true, .mode = 0750};

	vb_put_call(c, NFS3_MKDIR, 0);
	vb_put_dirop(c, fs, 1, name);
	vb_put_sattr(c, &mode);
}

static struct lb *
start(struct lb_conn *c)
{
	struct lb *b = lb_new();

	b->cfg.answer_ms = 300000;
	lb_start(b);
	lb_hello(b, c, 1, 1, NULL, 0);
	return b;
}

/* After `ms` without a reply. */
static struct lb *
drop(struct lb_conn *c, struct bytes *call, uint64_t ms)
{
	struct lb *b = start(c);

	b->hold_backend = true;
	make_dir(call, &b->d.fs, "new");
	lb_put(b, c, call);
	assert_int_equal(b->ncalls, 1);
	lb_pass(b, 1000);
	lb_pass(b, ms);
	return b;
}

/* Its client sends it again, and it has not run before. */
static void
runs_now(struct lb *b, struct lb_conn *c, const struct bytes *call)
{
	lb_hello(b, c, 1, 2, NULL, 0);
	lb_put(b, c, call);
	assert_int_equal(lb_status(c), NFS3_OK);
	assert_int_equal(b->mutations, 1);
	lb_free(b);
}

static void
slow_is_not_dropped(void **state)
{
	struct lb_conn c;
	struct bytes call;
	struct lb *b = drop(&c, &call, 299000);

	(void)state;
	assert_int_equal(b->suspects, 0);
	b->hold_backend = false;
	lb_settle(b);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(b->mutations, 1);
	lb_pass(b, 400000);
	lb_pass(b, 1000);
	assert_int_equal(b->suspects, 0);
	lb_free(b);
}

static void
dropped_is_judged(void **state)
{
	struct lb_conn c;
	struct bytes call;
	struct lb *b = drop(&c, &call, 301000);

	(void)state;
	assert_int_equal(b->suspects, 1);
	assert_int_equal(c.sent, 0);
	/* the backend was ended, and nothing had run */
	lb_gone(b, &c);
	b->hold_backend = false;
	assert_true(lb_recover(b));
	runs_now(b, &c, &call);
}

/* The question before a call, what there is of its name: nothing has run. */
static void
dropped_question(void **state)
{
	struct lb_conn c;
	struct lb *b = start(&c);
	struct bytes call;

	(void)state;
	make_dir(&call, &b->d.fs, "new");
	lb_offer(b, &c, rec_from(b->pool, call.p, call.len));
	lb_act(b);
	assert_int_equal(b->ncalls, 1);
	assert_true(lb_is_query(&b->call[0]));
	b->ncalls = 0;
	lb_pass(b, 1000);
	assert_non_null(c.rc);
	lb_pass(b, 301000);
	assert_int_equal(b->suspects, 0);
	assert_int_equal(lb_count(b).unanswered, 1);
	lb_gone(b, &c);
	lb_pass(b, 1000);
	runs_now(b, &c, &call);
}

/* A WRITE is not in the log, but may still be inside as well. */
static void
dropped_write(void **state)
{
	struct lb_conn c;
	struct lb *b = start(&c);
	struct bytes call;

	(void)state;
	b->hold_backend = true;
	vb_put_call(&call, NFS3_WRITE, 0);
	vb_put_fh(&call, &b->d.fs, 2);
	put64(&call, 0);
	put32(&call, 4);
	put32(&call, 0);
	put_opaque(&call, "data", 4);
	lb_put(b, &c, &call);
	assert_int_equal(b->ncalls, 1);
	lb_pass(b, 1000);
	lb_pass(b, 301000);
	assert_int_equal(b->suspects, 1);
	assert_int_equal(c.sent, 0);
	lb_gone(b, &c);
	lb_free(b);
}

/* With the rule switched off that a lost link makes the backend suspect: a
 * call whose intent is being written is dropped when it is. */
static void
lost_and_not_suspect(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;

	(void)state;
	b->cfg.rules.no_suspect = true;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->hold_writes = true;
	make_dir(&call, &b->d.fs, "new");
	lb_put(b, &c, &call);
	assert_int_equal(b->nwrites, 1);
	relay_link_down(b->link, "reset", b->now);
	lb_settle(b);
	b->hold_writes = false;
	lb_settle(b);
	lb_gone(b, &c);
	assert_int_equal(lb_count(b).in_progress, 0);
	assert_int_equal(lb_count(b).slots, 0);
	assert_int_equal(b->mutations, 0);
	lb_pass(b, 1000);
	lb_hello(b, &c, 1, 2, NULL, 0);
	lb_put(b, &c, &call);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(b->mutations, 1);
	lb_gone(b, &c);
	lb_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slow_is_not_dropped),
	    cmocka_unit_test(dropped_is_judged),
	    cmocka_unit_test(dropped_question),
	    cmocka_unit_test(dropped_write),
	    cmocka_unit_test(lost_and_not_suspect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
