/*
 * The table of verdict.h, row by row (verdictrows.h): a call begun on a small
 * file system, cut after some of its steps, judged.
 */
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/verdictbed.h"
#include "tests/unit/verdictrows.h"

static void
prepare(struct vbed *b, const struct row *r)
{
	unsigned f;

	memset(b, 0, sizeof(*b));
	mini_init(&b->fs);
	f = mini_put(&b->fs, DIR, "f", NF3REG, UID, 0600);
	b->fs.inode[f].size = b->fs.inode[f].disk_size = 100;
	if (r->prepare != NULL)
		r->prepare(&b->fs);
	r->call(b);
	vb_parse(&b->call, &b->record);
	vb_look(&b->fs, &b->call, &b->before, false);
	vb_through_log(&b->before);
}

static void
run_and_cut(struct vbed *b, const struct row *r)
{
	struct mini_run run;

	mini_begin(&run, b->record.p, b->record.len);
	for (unsigned i = 0; i < r->steps && !run.finished; i++)
		mini_step(&b->fs, &run);
	if (r->meanwhile != NULL)
		r->meanwhile(&b->fs);
	mini_cut(&b->fs);
}

static void
judge_row(
    struct vbed *b, const struct row *r, const struct verdict_options *opt)
{
	prepare(b, r);
	run_and_cut(b, r);
	vb_look(&b->fs, &b->call, &b->now, true);
	verdict_judge(&b->v, &b->call, &b->before, &b->now, opt);
}

/* What a whole execution leaves, for comparison; its status. */
static uint32_t
whole(struct minifs *fs, const struct row *r)
{
	struct vbed b;
	uint8_t reply[NFS3_REPLY_MAX];
	size_t len;

	prepare(&b, r);
	len = mini_call(&b.fs, b.record.p, b.record.len, reply);
	*fs = b.fs;
	return vb_status(reply, len);
}

static void
table(void **state)
{
	static struct vbed b;

	(void)state;
	for (unsigned i = 0; i < NROWS; i++) {
		const struct row *r = &rows[i];

		judge_row(&b, r, NULL);
		if (b.v.kind != r->kind || b.v.reason != r->reason)
			fail_msg("%s: %s, %s", r->name,
			    verdict_kind_names[b.v.kind],
			    verdict_reason_names[b.v.reason]);
	}
}

/* Each row is carried on to its end: file system and reply must be those of
 * one whole execution. */
static void
table_to_the_end(void **state)
{
	static struct vbed b;
	static struct minifs want;
	uint8_t reply[NFS3_REPLY_MAX];
	enum verdict_take take;
	uint32_t status, got;
	const char *differ;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < NROWS; i++) {
		const struct row *r = &rows[i];

		if (r->kind == UNDECIDABLE || r->meanwhile != NULL)
			continue;
		status = whole(&want, r);
		judge_row(&b, r, NULL);
		if (b.v.kind == HALF) {
			vb_finish(&b.fs, &b.v, &b.call, &take);
			assert_int_equal(take, VERDICT_TAKEN);
			vb_look(&b.fs, &b.call, &b.now, true);
			verdict_settle(&b.v, &b.call, &b.now);
			assert_int_equal(b.v.kind, DONE);
			assert_int_equal(b.v.reason, V_FINISHED);
		}
		if (b.v.kind == DONE)
			len = verdict_reply_write(
			    &b.v, &b.call, &b.now, reply, sizeof(reply));
		else
			len = mini_call(&b.fs, b.record.p, b.record.len, reply);
		got = vb_status(reply, len);
		differ = mini_differ(&b.fs, &want);
		if (got != status || differ != NULL)
			fail_msg("%s: %s, %s", r->name, nfs3_status_name(got),
			    differ != NULL ? differ : "no difference");
	}
}

static void
no_before_no_guess(void **state)
{
	static struct vbed b;

	(void)state;
	judge_row(&b, &rows[0], NULL);
	verdict_judge(&b.v, &b.call, NULL, &b.now, NULL);
	assert_int_equal(b.v.kind, UNDECIDABLE);
	assert_int_equal(b.v.reason, V_NO_BEFORE);
	b.before.n = 2;
	verdict_judge(&b.v, &b.call, &b.before, &b.now, NULL);
	assert_int_equal(b.v.reason, V_NO_BEFORE);
	b.before.n = 1;
	b.before.obj[0].known = PRESTATE_FAILED;
	b.before.obj[0].status = NFS3ERR_IO;
	verdict_judge(&b.v, &b.call, &b.before, &b.now, NULL);
	assert_int_equal(b.v.kind, UNDECIDABLE);
	assert_int_equal(b.v.reason, V_SICK);
}

static const struct row *
row_named(const char *name)
{
	for (unsigned i = 0; i < NROWS; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	fail_msg("no row %s", name);
	return NULL;
}

/* Neither server's form of the verifier is taken for a lack; what is set is
 * in the form of the server that there is. */
static void
verifiers(void **state)
{
	static struct vbed b;
	static const uint32_t first = 0x80070605, second = 0x04030201;
	const struct verdict_options knfsd = {.verifier = VERDICT_VERF_KNFSD};
	struct mini_inode *n;
	enum verdict_take take;

	(void)state;
	judge_row(&b, row_named("exclusive, made"), &knfsd);
	assert_int_equal(b.v.kind, HALF);
	vb_finish(&b.fs, &b.v, &b.call, &take);
	n = &b.fs.inode[mini_lookup(&b.fs, DIR, "a")];
	assert_int_equal(n->mtime.sec, first & INT32_MAX);
	assert_int_equal(n->atime.sec, second);
	vb_look(&b.fs, &b.call, &b.now, true);
	verdict_judge(&b.v, &b.call, &b.before, &b.now, NULL);
	assert_int_equal(b.v.kind, DONE);

	judge_row(&b, row_named("exclusive, made"), NULL);
	vb_finish(&b.fs, &b.v, &b.call, &take);
	n = &b.fs.inode[mini_lookup(&b.fs, DIR, "a")];
	assert_int_equal(n->atime.sec, first);
	assert_int_equal(n->mtime.sec, second);
	n->atime.sec &= INT32_MAX; /* a file system that keeps 31 bits */
	vb_look(&b.fs, &b.call, &b.now, true);
	verdict_judge(&b.v, &b.call, &b.before, &b.now, NULL);
	assert_int_equal(b.v.kind, DONE);
	n->atime.sec ^= 1;
	vb_look(&b.fs, &b.call, &b.now, true);
	verdict_judge(&b.v, &b.call, &b.before, &b.now, NULL);
	assert_int_equal(b.v.kind, HALF);
}

/* What the server never shows is asked for once, no more. */
static void
never_shown(void **state)
{
	static struct vbed b;
	static const struct nfs3_sattr odd = {.set_mode = true,
	    .mode = 07644,
	    .set_uid = true,
	    .uid = UID,
	    .set_mtime = NFS3_CLIENT_TIME,
	    .mtime = {77, 500}};
	enum verdict_take take;

	(void)state;
	prepare(&b, row_named("set"));
	b.fs.masked = 01000;
	b.fs.coarse = true;
	setattr(&b, &odd, 0);
	vb_parse(&b.call, &b.record);
	vb_look(&b.fs, &b.call, &b.before, false);
	vb_finish(&b.fs,
	    &(struct verdict){
		.kind = HALF, .fh = b.before.obj[0].fh, .set = odd},
	    &b.call, &take); /* it ran */
	vb_look(&b.fs, &b.call, &b.now, true);
	verdict_judge(&b.v, &b.call, &b.before, &b.now, NULL);
	assert_int_equal(b.v.kind, HALF);
	vb_finish(&b.fs, &b.v, &b.call, &take);
	vb_look(&b.fs, &b.call, &b.now, true);
	verdict_settle(&b.v, &b.call, &b.now);
	assert_int_equal(b.v.kind, DONE);
	assert_int_equal(b.v.status, NFS3_OK);
	assert_int_equal(b.now.obj[0].attr.mode, 0644);
}

static void
finish_answers(void **state)
{
	static const struct {
		uint32_t status;
		enum verdict_take take;
	} answers[] = {
	    {NFS3_OK, VERDICT_TAKEN},
	    {NFS3ERR_PERM, VERDICT_TAKEN},
	    {NFS3ERR_DQUOT, VERDICT_TAKEN},
	    {NFS3ERR_JUKEBOX, VERDICT_AGAIN},
	    {NFS3ERR_IO, VERDICT_HELD},
	    {NFS3ERR_ROFS, VERDICT_HELD},
	    {NFS3ERR_STALE, VERDICT_HELD},
	    {NFS3ERR_SERVERFAULT, VERDICT_HELD},
	};
	static struct vbed b;

	(void)state;
	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct nfs3_reply r = {
		    .proc = NFS3_SETATTR, .status = answers[i].status};
		uint8_t buf[NFS3_REPLY_MAX];
		size_t len = nfs3_reply_write(buf, sizeof(buf), &r);

		judge_row(&b, row_named("set, size"), NULL);
		assert_int_equal(
		    verdict_finished(&b.v, buf, len), answers[i].take);
		assert_int_equal(verdict_finished(&b.v, buf, 27), VERDICT_BAD);
		(void)verdict_finished(&b.v, buf, len);
		/* SETATTR: the answer is the answer */
		verdict_settle(&b.v, &b.call, &b.now);
		assert_int_equal(b.v.kind, DONE);
		assert_int_equal(b.v.status, answers[i].status);
		/* CREATE: it is not */
		judge_row(&b, row_named("guarded, made"), NULL);
		(void)verdict_finished(&b.v, buf, len);
		verdict_settle(&b.v, &b.call, &b.now);
		assert_int_equal(b.v.kind, i == 0 ? DONE : UNDECIDABLE);
		assert_int_equal(
		    b.v.reason, i == 0 ? V_FINISHED : V_FINISH_REFUSED);
	}
	judge_row(&b, row_named("guarded, made"), NULL);
	b.v.status = NFS3_OK;
	b.now.obj[0].known = PRESTATE_ABSENT;
	verdict_settle(&b.v, &b.call, &b.now);
	assert_int_equal(b.v.reason, V_FINISH_VANISHED);
}

/* The rebuilt reply is the one that the server itself would have given but
 * for what cannot be known any more. */
static void
replies(void **state)
{
	static struct vbed b;
	uint8_t buf[NFS3_REPLY_MAX];
	struct nfs3_reply r;
	struct nfs3_fh fh;
	uint8_t want[NFS3_REPLY_MAX];
	size_t len;

	(void)state;
	judge_row(&b, row_named("guarded, all"), NULL);
	len = verdict_reply_write(&b.v, &b.call, &b.now, buf, sizeof(buf));
	mini_fh(&b.fs, (unsigned)mini_lookup(&b.fs, DIR, "a"), &fh);
	r = (struct nfs3_reply){.xid = 0x500 + NFS3_CREATE,
	    .proc = NFS3_CREATE,
	    .fh = &fh,
	    .attr = &b.now.obj[0].attr,
	    .dir = &b.now.obj[0].dir};
	assert_int_equal(b.now.obj[0].dir.fileid, DIR);
	assert_int_equal(nfs3_reply_write(want, sizeof(want), &r), len);
	assert_memory_equal(buf, want, len);

	judge_row(&b, row_named("rename over, all"), NULL);
	len = verdict_reply_write(&b.v, &b.call, &b.now, buf, sizeof(buf));
	r = (struct nfs3_reply){.xid = 0x500 + NFS3_RENAME,
	    .proc = NFS3_RENAME,
	    .dir = &b.now.obj[0].dir,
	    .dir2 = &b.now.obj[1].dir};
	assert_int_equal(b.now.obj[1].dir.fileid, DIR2);
	assert_int_equal(nfs3_reply_write(want, sizeof(want), &r), len);
	assert_memory_equal(buf, want, len);

	judge_row(&b, row_named("link, all"), NULL);
	len = verdict_reply_write(&b.v, &b.call, &b.now, buf, sizeof(buf));
	r = (struct nfs3_reply){.xid = 0x500 + NFS3_LINK,
	    .proc = NFS3_LINK,
	    .attr = &b.now.obj[0].attr,
	    .dir = &b.now.obj[1].dir};
	assert_int_equal(b.now.obj[0].attr.nlink, 2);
	assert_int_equal(nfs3_reply_write(want, sizeof(want), &r), len);
	assert_memory_equal(buf, want, len);

	len = verdict_error_write(&b.call, NFS3ERR_IO, buf, sizeof(buf));
	assert_int_equal(vb_status(buf, len), NFS3ERR_IO);
}

static void
names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VERDICT_KINDS; i++)
		assert_non_null(verdict_kind_names[i]);
	for (unsigned i = 0; i < VERDICT_REASONS; i++)
		assert_non_null(verdict_reason_names[i]);
	assert_string_equal(verdict_reason_names[V_NOW_FAILED],
	    "what worked before it fails now");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(table_to_the_end),
	    cmocka_unit_test(no_before_no_guess),
	    cmocka_unit_test(verifiers),
	    cmocka_unit_test(never_shown),
	    cmocka_unit_test(finish_answers),
	    cmocka_unit_test(replies),
	    cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
