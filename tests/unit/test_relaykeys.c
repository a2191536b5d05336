/*
 * A RENAME from one directory to another has both to itself: NFS-Ganesha
 * sleeps for a second when it finds somebody in one of them.
 */
#include "tests/unit/logbed.h"

static void
make_rename(struct bytes *c, const struct minifs *fs, unsigned to)
{
	vb_put_call(c, NFS3_RENAME, 0);
	vb_put_dirop(c, fs, 1, "from");
	vb_put_dirop(c, fs, to, "to");
}

static void
make_read(struct bytes *c, const struct minifs *fs, uint32_t proc,
    unsigned dir)
{
	vb_put_call(c, proc, 0);
	if (proc == NFS3_LOOKUP) {
		vb_put_dirop(c, fs, dir, "some");
		return;
	}
	vb_put_fh(c, fs, dir);
	put64(c, 0);
	put64(c, 0);
	if (proc == NFS3_READDIRPLUS)
		put32(c, 4096);
	put32(c, 4096);
}

static void
make_mkdir(struct bytes *c, const struct minifs *fs, unsigned dir)
{
	static const struct nfs3_sattr mode = {.set_mode = true, .mode = 0750};

	vb_put_call(c, NFS3_MKDIR, 0);
	vb_put_dirop(c, fs, dir, "new");
	vb_put_sattr(c, &mode);
}

static struct lb *
start(struct lb_conn *c, bool knfsd)
{
	struct lb *b = lb_new();

	mini_put(&b->d.fs, 1, "from", NF3REG, 0, 0644);
	b->knfsd = knfsd;
	lb_start(b);
	lb_hello(b, c, 1, 1, NULL, 0);
	return b;
}

/* Offers a call; the backend does not get to run it. How many are there. */
static unsigned
offer(struct lb *b, struct lb_conn *c, const struct bytes *call)
{
	struct rec *rec = rec_new(b->pool);

	assert_non_null(rec);
	assert_int_equal(rec_append(rec, call->p, call->len), 0);
	lb_offer(b, c, rec);
	lb_act(b);
	return b->ncalls;
}

static void
end(struct lb *b, struct lb_conn *c, unsigned sent)
{
	b->hold_backend = false;
	lb_settle(b);
	assert_int_equal(c->sent, sent);
	assert_int_equal(lb_count(b).waiting, 0);
	lb_gone(b, c);
	lb_free(b);
}

static const uint32_t readers[] = {
    NFS3_LOOKUP, NFS3_READDIR, NFS3_READDIRPLUS};

/* What reads a directory's names waits for the RENAME, in either. */
static void
readers_wait(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (unsigned dir = 1; dir <= 2; dir++) {
			struct lb_conn c;
			struct lb *b = start(&c, false);
			struct bytes call;

			b->hold_backend = true;
			make_rename(&call, &b->d.fs, 2);
			lb_put(b, &c, &call);
			assert_int_equal(b->ncalls, 1); /* it runs */
			make_read(&call, &b->d.fs, readers[i], dir);
			assert_int_equal(offer(b, &c, &call), 1);
			make_mkdir(&call, &b->d.fs, dir);
			assert_int_equal(offer(b, &c, &call), 1);
			end(b, &c, 3);
		}
}

/* And it waits for them: not even its own pre-state is asked. */
static void
waits_for_readers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (unsigned dir = 1; dir <= 2; dir++) {
			struct lb_conn c;
			struct lb *b = start(&c, false);
			struct bytes call;

			make_read(&call, &b->d.fs, readers[i], dir);
			assert_int_equal(offer(b, &c, &call), 1);
			make_rename(&call, &b->d.fs, 2);
			assert_int_equal(offer(b, &c, &call), 1);
			end(b, &c, 2);
		}
}

/* What the backend has begun to answer is in no directory any more. */
static void
reply_begins(void **state)
{
	struct lb_conn c;
	struct lb *b = start(&c, false);
	struct bytes call;
	uint8_t reply[RPC_ANSWER_MAX];
	struct rec *rec;
	size_t n;

	(void)state;
	make_read(&call, &b->d.fs, NFS3_READDIR, 1);
	assert_int_equal(offer(b, &c, &call), 1);
	make_rename(&call, &b->d.fs, 2);
	assert_int_equal(offer(b, &c, &call), 1);
	n = rpc_answer_write(reply, be32_get(b->call[0].rec.p),
	    RPC_ANSWER_SUCCESS, 0, 0);
	rec = rec_from(b->pool, reply, n);
	assert_ptr_equal(relay_reply_begun(b->call[0].link, rec), c.rc);
	lb_act(b);
	assert_true(b->ncalls > 1);
	assert_true(relay_reply(b->call[0].link, rec, b->now));
	b->ncalls--;
	memmove(&b->call[0], &b->call[1], b->ncalls * sizeof(b->call[0]));
	end(b, &c, 1); /* the other one was passed on as it came */
}

/* Inside one directory, or at a backend that does not sleep, nobody waits. */
static void
nobody_waits(void **state)
{
	(void)state;
	for (unsigned knfsd = 0; knfsd < 2; knfsd++) {
		struct lb_conn c;
		struct lb *b = start(&c, knfsd != 0);
		struct bytes call;

		b->hold_backend = true;
		make_rename(&call, &b->d.fs, knfsd ? 2 : 1);
		lb_put(b, &c, &call);
		assert_int_equal(b->ncalls, 1);
		make_read(&call, &b->d.fs, NFS3_LOOKUP, 1);
		assert_int_equal(offer(b, &c, &call), 2);
		make_mkdir(&call, &b->d.fs, 1);
		assert_int_equal(offer(b, &c, &call), 3);
		end(b, &c, 3);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(readers_wait),
	    cmocka_unit_test(waits_for_readers),
	    cmocka_unit_test(reply_begins),
	    cmocka_unit_test(nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
