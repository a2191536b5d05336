/*
 * Calls that are here for long: what they wait for is told.
 */
#include <stdio.h>

#include "tests/unit/logbed.h"

static char said[8][256];
static unsigned nsaid;

static void
note(void *arg, const char *line)
{
	(void)arg;
	if (strstr(line, "volume 0: ") == line && nsaid < 8)
		(void)snprintf(said[nsaid++], sizeof(said[0]), "%s", line);
}

static void
make_mkdir(struct bytes *c, const struct minifs *fs, const char *name)
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

	nsaid = 0;
	b->cfg.note = note;
	lb_start(b);
	lb_hello(b, c, 1, 1, NULL, 0);
	return b;
}

static void
offer(struct lb *b, struct lb_conn *c, const struct bytes *call)
{
	struct rec *rec = rec_new(b->pool);

	assert_non_null(rec);
	assert_int_equal(rec_append(rec, call->p, call->len), 0);
	lb_offer(b, c, rec);
	lb_act(b);
}

static void
see(void *arg, const struct relay_call_view *v)
{
	if (v->holder != NULL)
		*(uint32_t *)arg = v->holder->xid;
}

/* Two make one name: the second waits for the first, at the backend. */
static void
whose_keys(void **state)
{
	struct lb_conn c;
	struct lb *b = start(&c);
	struct bytes call;
	uint32_t holder = 0, xid;
	char want[64];

	(void)state;
	b->hold_backend = true;
	make_mkdir(&call, &b->d.fs, "new");
	xid = be32_get(call.p);
	lb_put(b, &c, &call);
	assert_int_equal(b->ncalls, 1);
	be32_put(call.p, xid + 100);
	offer(b, &c, &call);
	assert_int_equal(lb_count(b).waiting, 1);
	relay_each_call(b->r, see, &holder);
	assert_int_equal(holder, xid);
	lb_pass(b, 5000);
	assert_int_equal(nsaid, 0);
	lb_pass(b, 6000);
	assert_int_equal(nsaid, 1);
	(void)snprintf(want, sizeof(want), "MKDIR xid %08x of", xid);
	assert_non_null(strstr(said[0], want));
	assert_non_null(strstr(said[0], "here for 11 s: at the backend"));
	assert_non_null(strstr(said[0], "2 calls for so long"));
	/* Once a minute. */
	lb_pass(b, 30000);
	assert_int_equal(nsaid, 1);
	lb_pass(b, 31000);
	assert_int_equal(nsaid, 2);
	b->hold_backend = false;
	lb_settle(b);
	assert_int_equal(c.sent, 2);
	lb_pass(b, 100000);
	assert_int_equal(nsaid, 2);
	lb_gone(b, &c);
	lb_free(b);
}

/* The oldest gave its keys up for those of an inode that a younger one has. */
static void
waits_for_whom(void **state)
{
	static const struct nfs3_sattr mode = {.set_mode = true, .mode = 0600};
	struct lb_conn c;
	struct lb *b = start(&c);
	unsigned ino = mini_put(&b->d.fs, 1, "file", NF3REG, 0, 0644);
	struct bytes call;

	(void)state;
	vb_put_call(&call, NFS3_REMOVE, 0);
	vb_put_dirop(&call, &b->d.fs, 1, "file");
	offer(b, &c, &call);
	vb_put_call(&call, NFS3_SETATTR, 0);
	vb_put_fh(&call, &b->d.fs, ino);
	vb_put_sattr(&call, &mode);
	put32(&call, 0);
	offer(b, &c, &call);
	b->hold_backend = true;
	lb_settle(b);
	assert_int_equal(lb_count(b).waiting, 1);
	lb_pass(b, 11000);
	assert_int_equal(nsaid, 1);
	assert_non_null(strstr(said[0],
	    "REMOVE xid 0000050c of client 01010101 is here for 11 s: waits "
	    "for its keys, which SETATTR xid 00000502 of client 01010101 "
	    "has: at the backend"));
	b->hold_backend = false;
	lb_settle(b);
	assert_int_equal(c.sent, 2);
	lb_gone(b, &c);
	lb_free(b);
}

/* It has run, and the disk does not get on. */
static void
waits_for_the_log(void **state)
{
	struct lb_conn c;
	struct lb *b = start(&c);
	struct bytes call;

	(void)state;
	b->hold_syncs = true;
	make_mkdir(&call, &b->d.fs, "new");
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 0);
	lb_pass(b, 11000);
	assert_int_equal(nsaid, 1);
	assert_non_null(strstr(said[0], "11 s: waits for the commit;"));
	b->hold_syncs = false;
	lb_settle(b);
	assert_int_equal(c.sent, 1);
	lb_gone(b, &c);
	lb_free(b);
}

/* What is held while the volume is handed over, which does not get on. */
static void
held_by_a_drain(void **state)
{
	struct lb_conn c;
	struct lb *b = start(&c);
	struct bytes call;

	(void)state;
	relay_volume_drain(b->r, 0, b->now);
	make_mkdir(&call, &b->d.fs, "new");
	offer(b, &c, &call);
	assert_non_null(c.held);
	lb_pass(b, 11000);
	assert_int_equal(nsaid, 1);
	assert_non_null(strstr(said[0], "have found no room for 11 s"));
	assert_non_null(strstr(said[0], "the volume is handed over"));
	relay_volume_set(b->r, 0, true, b->now);
	lb_settle(b);
	assert_int_equal(lb_status(&c), NFS3_OK);
	lb_pass(b, 100000);
	assert_int_equal(nsaid, 1);
	lb_gone(b, &c);
	lb_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whose_keys),
	    cmocka_unit_test(waits_for_whom),
	    cmocka_unit_test(waits_for_the_log),
	    cmocka_unit_test(held_by_a_drain),
	};

	return cmocka_run_group_tests_name("relaylate", tests, NULL, NULL);
}
