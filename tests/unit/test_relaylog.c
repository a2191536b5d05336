/*
 * The log in the relay's core: the order of its stages, what waits for
 * what, and what is left to a client after a crash at each of them.
 */
#include <errno.h>

#include "tests/unit/logbed.h"

/* --- calls */

static void
make_getattr(struct bytes *c, const struct minifs *fs, unsigned ino)
{
	vb_put_call(c, NFS3_GETATTR, 0);
	vb_put_fh(c, fs, ino);
}

static void
make_lookup(struct bytes *c, const struct minifs *fs, unsigned dir,
    const char *name)
{
	vb_put_call(c, NFS3_LOOKUP, 0);
	vb_put_dirop(c, fs, dir, name);
}

/* --- stages */

static void
stages_in_order(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;
	struct relay_counts n;

	(void)state;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->events[0] = '\0';
	make_call(&call, &b->d.fs, NFS3_CREATE, "new");
	lb_put(b, &c, &call);
	assert_string_equal(b->events, "qIxDsr");
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), NFS3_OK);
	n = lb_count(b);
	assert_int_equal(n.slots, 1);
	/* A replay is answered from the table; an ACK frees the slot, and
	 * the reply lingers. */
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 2);
	assert_int_equal(b->mutations, 1);
	lb_ack(b, &c, 1, 0x500 + NFS3_CREATE);
	n = lb_count(b);
	assert_int_equal(n.slots, 0);
	assert_int_equal(n.kept, 1);
	lb_gone(b, &c);
	lb_free(b);
}

/* Nothing goes on before what it waits for is there. */
static void
each_stage_waits(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;

	(void)state;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->hold_writes = b->hold_backend = b->hold_syncs = true;
	make_call(&call, &b->d.fs, NFS3_MKDIR, "new");
	lb_put(b, &c, &call);
	assert_int_equal(b->nwrites, 1);
	assert_int_equal(b->ncalls, 0); /* no intent, no call */
	lb_written(b);
	lb_settle(b);
	assert_int_equal(b->ncalls, 1);
	lb_run(b, 0);
	lb_settle(b);
	assert_int_equal(b->nwrites, 1);
	assert_true(b->sync_wanted); /* to begin once it is given */
	lb_written(b);
	lb_settle(b);
	assert_int_equal(c.sent, 0);
	lb_sync_begin(b);
	lb_settle(b);
	assert_int_equal(c.sent, 0);
	lb_sync_end(b);
	lb_settle(b);
	assert_int_equal(c.sent, 1);
	lb_gone(b, &c);
	lb_free(b);
}

/* What is completed while a sync runs shares the next one. */
static void
group_commit(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;

	(void)state;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->hold_syncs = true;
	b->syncs = 0;
	for (unsigned i = 0; i < 5; i++) {
		make_call(&call, &b->d.fs, NFS3_MKDIR, names[i]);
		set_xid(&call, 100 + i);
		lb_put(b, &c, &call);
		if (i == 0)
			lb_sync_begin(b);
	}
	assert_int_equal(c.sent, 0);
	lb_sync_end(b);
	lb_settle(b);
	assert_int_equal(c.sent, 1);
	lb_sync_begin(b);
	lb_sync_end(b);
	lb_settle(b);
	assert_int_equal(c.sent, 5);
	assert_int_equal(b->syncs, 2);
	assert_false(b->sync_wanted);
	lb_gone(b, &c);
	lb_free(b);
}

/* --- a crash at every moment, and again at every moment of the recovery */

struct story {
	uint32_t proc;
	const char *what;
	void (*make)(struct bytes *c, struct minifs *fs);
};

static void
story_create(struct bytes *c, struct minifs *fs)
{
	make_call(c, fs, NFS3_CREATE, "new");
}

static void
story_mkdir(struct bytes *c, struct minifs *fs)
{
	make_call(c, fs, NFS3_MKDIR, "new");
}

static void
story_remove(struct bytes *c, struct minifs *fs)
{
	mini_put(fs, 1, "old", NF3REG, 0, 0644);
	make_call(c, fs, NFS3_REMOVE, "old");
}

static void
story_rmdir(struct bytes *c, struct minifs *fs)
{
	mini_put(fs, 1, "old", NF3DIR, 0, 0755);
	make_call(c, fs, NFS3_RMDIR, "old");
}

static void
story_exists(struct bytes *c, struct minifs *fs)
{
	mini_put(fs, 1, "old", NF3DIR, 0, 0755);
	make_call(c, fs, NFS3_MKDIR, "old");
}

static void
story_rename(struct bytes *c, struct minifs *fs)
{
	mini_put(fs, 1, "from", NF3REG, 0, 0644);
	mini_put(fs, 2, "to", NF3REG, 0, 0600);
	vb_put_call(c, NFS3_RENAME, 0);
	vb_put_dirop(c, fs, 1, "from");
	vb_put_dirop(c, fs, 2, "to");
}

static void
story_link(struct bytes *c, struct minifs *fs)
{
	unsigned ino = mini_put(fs, 1, "from", NF3REG, 0, 0644);

	vb_put_call(c, NFS3_LINK, 0);
	vb_put_fh(c, fs, ino);
	vb_put_dirop(c, fs, 2, "to");
}

static void
story_symlink(struct bytes *c, struct minifs *fs)
{
	static const struct nfs3_sattr none = {.set_uid = true};

	vb_put_call(c, NFS3_SYMLINK, 0);
	vb_put_dirop(c, fs, 1, "sym");
	vb_put_sattr(c, &none);
	put_string(c, "target");
}

static void
story_setattr(struct bytes *c, struct minifs *fs)
{
	unsigned ino = mini_put(fs, 1, "f", NF3REG, 0, 0644);
	struct nfs3_sattr set = {.set_mode = true,
	    .mode = 0600,
	    .set_uid = true,
	    .uid = 5,
	    .set_size = true,
	    .size = 10};

	vb_put_call(c, NFS3_SETATTR, 0);
	vb_put_fh(c, fs, ino);
	vb_put_sattr(c, &set);
	put32(c, 0);
}

static const struct story stories[] = {
    {NFS3_CREATE, "CREATE", story_create},
    {NFS3_MKDIR, "MKDIR", story_mkdir},
    {NFS3_REMOVE, "REMOVE", story_remove},
    {NFS3_RMDIR, "RMDIR", story_rmdir},
    {NFS3_MKDIR, "MKDIR there", story_exists},
    {NFS3_RENAME, "RENAME", story_rename},
    {NFS3_LINK, "LINK", story_link},
    {NFS3_SYMLINK, "SYMLINK", story_symlink},
    {NFS3_SETATTR, "SETATTR", story_setattr},
};

struct outcome {
	struct minifs fs;
	uint32_t status;
	unsigned nsnaps;
	struct lb_disk snap[LB_SNAPS];
};

/* Runs the call to its end, over what is on the disk. */
static void
play(struct lb *b, const struct bytes *call, struct outcome *out)
{
	uint32_t xid = be32_get(call->p);
	struct lb_conn c;

	lb_hello(b, &c, 1, 1, &xid, 1);
	lb_put(b, &c, call);
	assert_int_equal(c.sent, 1);
	out->status = lb_status(&c);
	out->fs = b->d.fs;
	out->nsnaps = b->nsnaps;
	memcpy(out->snap, b->snap, b->nsnaps * sizeof(*b->snap));
	lb_gone(b, &c);
}

static void
check_outcome(const struct story *s, unsigned i, unsigned k,
    const struct outcome *want, const struct outcome *got)
{
	const char *differs = mini_differ(&want->fs, &got->fs);

	if (want->status == got->status && differs == NULL)
		return;
	fail_msg("%s cut after change %u, then %u: status %u, not %u; %s",
	    s->what, i, k, got->status, want->status,
	    differs != NULL ? differs : "same files");
}

static void
crash_everywhere(void **state)
{
	struct outcome *want = calloc(1, sizeof(*want));
	struct outcome *once = calloc(1, sizeof(*once));
	struct outcome *twice = calloc(1, sizeof(*twice));
	unsigned n = sizeof(stories) / sizeof(stories[0]), cuts = 0;

	(void)state;
	assert_true(want != NULL && once != NULL && twice != NULL);
	for (unsigned s = 0; s < n; s++) {
		struct lb *b = lb_new();
		struct bytes call;

		stories[s].make(&call, &b->d.fs);
		lb_start(b);
		play(b, &call, want);
		for (unsigned i = 0; i < want->nsnaps; i++) {
			lb_cut(b, &want->snap[i]);
			play(b, &call, once);
			assert_int_equal(lb_count(b).undecidable, 0);
			check_outcome(&stories[s], i, 0, want, once);
			for (unsigned k = 0; k < once->nsnaps; k++) {
				lb_cut(b, &once->snap[k]);
				play(b, &call, twice);
				check_outcome(
				    &stories[s], i, k, want, twice);
				cuts++;
			}
		}
		lb_free(b);
	}
	assert_true(cuts > 100);
	free(want);
	free(once);
	free(twice);
}

/* Without the log the same cuts show wrong answers: the oracle works. */
static void
crash_without_judging(void **state)
{
	struct outcome *want = calloc(1, sizeof(*want));
	struct outcome *once = calloc(1, sizeof(*once));
	struct lb *b = lb_new();
	struct bytes call;
	unsigned wrong = 0;

	(void)state;
	b->cfg.rules.no_judge = true;
	story_mkdir(&call, &b->d.fs);
	lb_start(b);
	play(b, &call, want);
	for (unsigned i = 0; i < want->nsnaps; i++) {
		lb_cut(b, &want->snap[i]);
		play(b, &call, once);
		wrong += once->status != want->status;
	}
	assert_true(wrong > 0);
	lb_free(b);
	free(want);
	free(once);
}

/* --- gating */

static void
gate(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c, o;
	struct bytes call;
	unsigned other;

	(void)state;
	other = mini_put(&b->d.fs, 2, "other", NF3REG, 0, 0644);
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	lb_hello(b, &o, 2, 1, NULL, 0);
	b->hold_syncs = true;
	make_call(&call, &b->d.fs, NFS3_CREATE, "new");
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 0);
	/* What it does not touch is answered at once. */
	make_getattr(&call, &b->d.fs, other);
	lb_put(b, &o, &call);
	assert_int_equal(o.sent, 1);
	/* The directory, the name, and the new file by its handle. */
	make_getattr(&call, &b->d.fs, 1);
	set_xid(&call, 11);
	lb_put(b, &o, &call);
	make_lookup(&call, &b->d.fs, 1, "new");
	set_xid(&call, 12);
	lb_put(b, &o, &call);
	make_getattr(
	    &call, &b->d.fs, (unsigned)mini_lookup(&b->d.fs, 1, "new"));
	set_xid(&call, 13);
	lb_put(b, &o, &call);
	assert_int_equal(o.sent, 1);
	assert_int_equal(lb_count(b).gated, 3);
	b->hold_syncs = false;
	lb_settle(b);
	assert_int_equal(c.sent, 1);
	assert_int_equal(o.sent, 4);
	/* Nothing pending, nothing waits. */
	b->hold_syncs = true;
	make_getattr(&call, &b->d.fs, 1);
	set_xid(&call, 14);
	lb_put(b, &o, &call);
	assert_int_equal(o.sent, 5);
	lb_gone(b, &c);
	lb_gone(b, &o);
	lb_free(b);
}

/* --- errors */

static void
errors_are_held(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;

	(void)state;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->hold_syncs = true;
	b->status = NFS3ERR_IO;
	make_call(&call, &b->d.fs, NFS3_MKDIR, "new");
	lb_put(b, &c, &call);
	/* No completion before the disk is known to be well. */
	assert_int_equal(b->nwrites, 0);
	assert_int_equal(lb_count(b).completions, 0);
	b->hold_syncs = false;
	lb_settle(b);
	assert_int_equal(c.sent, 1);
	assert_int_equal(lb_status(&c), NFS3ERR_IO);
	lb_gone(b, &c);
	lb_free(b);
}

/* The disk dies: the client sees no error, and the next owner runs it. */
static void
dying_disk(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;
	struct lb_disk left;

	(void)state;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->status = NFS3ERR_IO;
	b->sync_error = EIO;
	make_call(&call, &b->d.fs, NFS3_MKDIR, "new");
	lb_put(b, &c, &call);
	assert_int_equal(c.sent, 0);
	assert_int_equal(b->give_ups, 1);
	/* Nothing leaves any more, and new calls wait. */
	make_call(&call, &b->d.fs, NFS3_MKDIR, "more");
	set_xid(&call, 99);
	lb_put(b, &c, &call);
	assert_int_equal(b->mutations, 1);
	lb_gone(b, &c);
	left = b->snap[b->nsnaps - 1];
	b->sync_error = 0;
	lb_cut(b, &left);
	make_call(&call, &b->d.fs, NFS3_MKDIR, "new");
	lb_hello(b, &c, 1, 2, NULL, 0);
	lb_put(b, &c, &call);
	assert_int_equal(lb_status(&c), NFS3_OK);
	lb_gone(b, &c);
	lb_free(b);
}

static void
failed_write(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;

	(void)state;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->write_error = EIO;
	make_call(&call, &b->d.fs, NFS3_MKDIR, "new");
	lb_put(b, &c, &call);
	assert_int_equal(b->give_ups, 1);
	assert_int_equal(b->mutations, 0);
	assert_int_equal(c.sent, 0);
	lb_gone(b, &c);
	lb_free(b);
}

/* --- a backend that dies */

static void
suspect_backend(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;

	(void)state;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->hold_backend = true;
	make_call(&call, &b->d.fs, NFS3_MKDIR, "new");
	lb_put(b, &c, &call);
	assert_int_equal(b->ncalls, 1);
	lb_run(b, 0); /* it runs; the reply is lost: */
	lb_gone(b, &c);
	lb_hello(b, &c, 1, 2, NULL, 0);
	make_call(&call, &b->d.fs, NFS3_MKDIR, "two");
	set_xid(&call, 77);
	lb_put(b, &c, &call);
	assert_int_equal(b->ncalls, 1);
	relay_link_down(b->call[0].link, "reset", b->now);
	lb_settle(b);
	assert_int_equal(b->suspects, 1);
	assert_int_equal(c.sent, 0);
	/* The old backend ends; it may have run the call before. */
	lb_gone(b, &c);
	mini_put(&b->d.fs, 1, "two", NF3DIR, 0, 0640);
	b->hold_backend = false;
	b->mutations = 0;
	assert_true(lb_recover(b));
	assert_int_equal(b->found.finished, 1);
	assert_int_equal(b->found.replies, 1);
	assert_int_equal(b->mutations, 1); /* the group was not set yet */
	lb_hello(b, &c, 1, 3, NULL, 0);
	lb_put(b, &c, &call);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(b->mutations, 1);
	lb_gone(b, &c);
	lb_free(b);
}

/* --- slots */

static void
slots_run_out(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c, o;
	struct bytes call;
	char name[MINI_NAME];

	(void)state;
	b->client_slots = 6;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	lb_hello(b, &o, 2, 1, NULL, 0);
	for (unsigned i = 0; i < 7; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		make_call(&call, &b->d.fs, NFS3_MKDIR, name);
		set_xid(&call, 100 + i);
		lb_put(b, &c, &call);
	}
	assert_int_equal(c.sent, 6);
	assert_non_null(c.held);
	assert_int_equal(lb_count(b).slot_waits, 1);
	/* Another client has its own. */
	make_call(&call, &b->d.fs, NFS3_MKDIR, "other");
	lb_put(b, &o, &call);
	assert_int_equal(o.sent, 1);
	/* Acknowledged replies make room. */
	for (unsigned i = 0; i < 4; i++)
		lb_ack(b, &c, 1, 100 + i);
	assert_int_equal(c.sent, 7);
	assert_null(c.held);
	lb_gone(b, &c);
	lb_gone(b, &o);
	lb_free(b);
}

/* --- the rest */

/* What HELLO does not name has been answered: its slot is free again. */
static void
lost_acks(void **state)
{
	struct lb *b = lb_new();
	struct bytes one, two;
	struct lb_conn c;
	struct lb_disk left;
	uint32_t xid = 2;

	(void)state;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	make_call(&one, &b->d.fs, NFS3_MKDIR, "one");
	set_xid(&one, 1);
	lb_put(b, &c, &one);
	make_call(&two, &b->d.fs, NFS3_MKDIR, "two");
	set_xid(&two, 2);
	lb_put(b, &c, &two);
	lb_gone(b, &c);
	left = b->snap[b->nsnaps - 1];
	lb_cut(b, &left);
	assert_int_equal(lb_count(b).slots, 2);
	lb_hello(b, &c, 1, 2, &xid, 1);
	assert_int_equal(lb_count(b).slots, 1);
	lb_put(b, &c, &two);
	lb_put(b, &c, &one); /* in memory it lingers all the same */
	assert_int_equal(c.sent, 2);
	assert_int_equal(b->mutations, 0);
	lb_gone(b, &c);
	lb_free(b);
}

static void
drains(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;

	(void)state;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->hold_backend = true;
	make_call(&call, &b->d.fs, NFS3_MKDIR, "one");
	set_xid(&call, 1);
	lb_put(b, &c, &call);
	relay_volume_drain(b->r, 0, b->now);
	make_call(&call, &b->d.fs, NFS3_MKDIR, "two");
	set_xid(&call, 2);
	lb_put(b, &c, &call);
	assert_non_null(c.held);
	assert_int_equal(b->drained, 0);
	b->hold_backend = false;
	lb_settle(b);
	assert_int_equal(c.sent, 1);
	assert_int_equal(b->drained, 1);
	assert_int_equal(b->mutations, 1);
	/* It stays after all. */
	relay_volume_set(b->r, 0, true, b->now);
	lb_settle(b);
	assert_int_equal(c.sent, 2);
	lb_gone(b, &c);
	lb_free(b);
}

static void
forged_handles(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c;
	struct bytes call;
	struct nfs3_fh fh;

	(void)state;
	lb_start(b);
	mini_fh(&b->d.fs, 1, &fh);
	relay_forbid(b->r, 0, 4, fh.b + 4, fh.len - 4);
	lb_hello(b, &c, 1, 1, NULL, 0);
	make_call(&call, &b->d.fs, NFS3_MKDIR, "new");
	lb_put(b, &c, &call);
	assert_int_equal(lb_status(&c), NFS3ERR_BADHANDLE);
	make_getattr(&call, &b->d.fs, 1);
	lb_put(b, &c, &call);
	assert_int_equal(lb_status(&c), NFS3ERR_BADHANDLE);
	make_getattr(&call, &b->d.fs, 2);
	lb_put(b, &c, &call);
	assert_int_equal(lb_status(&c), NFS3_OK);
	assert_int_equal(lb_count(b).forbidden, 2);
	lb_gone(b, &c);
	lb_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stages_in_order),
	    cmocka_unit_test(each_stage_waits),
	    cmocka_unit_test(group_commit),
	    cmocka_unit_test(crash_everywhere),
	    cmocka_unit_test(crash_without_judging),
	    cmocka_unit_test(gate),
	    cmocka_unit_test(errors_are_held),
	    cmocka_unit_test(dying_disk),
	    cmocka_unit_test(failed_write),
	    cmocka_unit_test(suspect_backend),
	    cmocka_unit_test(slots_run_out),
	    cmocka_unit_test(lost_acks),
	    cmocka_unit_test(drains),
	    cmocka_unit_test(forged_handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
