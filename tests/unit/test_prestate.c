/*
 * Pre-state: which queries, their bytes, what replies mean, and the way
 * through the log.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/nfsargs.h"
#include "tests/unit/verdictbed.h"
#include "server-agent/logrec.h"

static void
call_of(
    struct prestate_call *call, struct bytes *record, const struct sample *s)
{
	record->len = 0;
	put_call(record, 0x77, RPC_PROG_NFS, 3, s->proc, 1000);
	put_raw(record, s->args.p, s->args.len);
	vb_parse(call, record);
}

static unsigned
first_round(const struct prestate_call *call, struct prestate *ps,
    struct prestate_query q[PRESTATE_QUERIES_MAX])
{
	prestate_begin(ps, call, false);
	return prestate_queries(ps, call, q);
}

/* Whatever call it is: the queries of its row, with its credential. */
static void
queries_by_procedure(void **state)
{
	static struct bytes record;
	struct samples all;

	(void)state;
	samples_make(&all);
	for (unsigned i = 0; i < all.n; i++) {
		const struct sample *s = &all.s[i];
		bool object = s->proc == NFS3_SETATTR || s->proc == NFS3_LINK;
		bool two = s->proc == NFS3_RENAME || s->proc == NFS3_LINK;
		struct prestate_query q[PRESTATE_QUERIES_MAX];
		struct prestate_call call;
		struct prestate ps;
		struct rpc_call rpc, own;
		struct nfs3_args a;
		uint8_t buf[PRESTATE_QUERY_MAX];
		size_t len;

		if (nfs3_class(s->proc) != CALL_LOGGED)
			continue;
		call_of(&call, &record, s);
		assert_int_equal(first_round(&call, &ps, q), two ? 2 : 1);
		assert_int_equal(
		    q[0].proc, object ? NFS3_GETATTR : NFS3_LOOKUP);
		assert_int_equal(q[0].fh.p[0], s->fh);
		if (two) {
			assert_int_equal(q[1].proc, NFS3_LOOKUP);
			assert_int_equal(q[1].fh.p[0], s->fh2);
			assert_memory_equal(
			    q[1].name.p, s->name2, strlen(s->name2));
		}
		len =
		    prestate_query_write(&q[0], &call, 0xabc, buf, sizeof(buf));
		assert_int_equal(rpc_call_parse(buf, len, &rpc), RPC_PARSE_OK);
		assert_int_equal(rpc.xid, 0xabc);
		assert_int_equal(rpc.prog, RPC_PROG_NFS);
		assert_int_equal(rpc.proc, q[0].proc);
		rpc_call_parse(record.p, record.len, &own);
		assert_int_equal(rpc.cred_flavor, own.cred_flavor);
		assert_int_equal(rpc.cred_len, own.cred_len);
		assert_memory_equal(rpc.cred, own.cred, own.cred_len);
		assert_int_equal(nfs3_args_parse(rpc.proc, rpc.args,
				     (uint32_t)rpc.args.left, &a),
		    0);
		assert_int_equal(a.fh.p[0], s->fh);
		for (size_t n = 0; n < len; n++)
			assert_int_equal(
			    prestate_query_write(&q[0], &call, 1, buf, n), 0);
	}
}

static void
longest_query_fits(void **state)
{
	static struct bytes record;
	static char name[NFS3_NAMEMAX];
	static uint8_t cred[RPC_AUTH_MAX], fh[NFS3_FHSIZE];
	uint8_t buf[PRESTATE_QUERY_MAX];
	struct prestate_query q[PRESTATE_QUERIES_MAX];
	struct prestate_call call;
	struct prestate ps;
	struct nfs3_bytes c = {cred, sizeof(cred)}, args;

	(void)state;
	record.len = 0;
	put_opaque(&record, fh, sizeof(fh));
	put_opaque(&record, name, sizeof(name));
	args = (struct nfs3_bytes){record.p, (uint32_t)record.len};
	assert_int_equal(prestate_call_parse(&call, 1, NFS3_REMOVE,
			     RPC_AUTH_SYS, &c, &args, args.len, NULL),
	    0);
	assert_int_equal(first_round(&call, &ps, q), 1);
	assert_true(
	    prestate_query_write(&q[0], &call, 1, buf, sizeof(buf)) > 0);
}

static void
gss_cannot_be_asked_with(void **state)
{
	static struct bytes record;
	struct samples all;
	struct prestate_query q[PRESTATE_QUERIES_MAX];
	struct prestate_call call;
	struct prestate ps;
	uint8_t buf[PRESTATE_QUERY_MAX];

	(void)state;
	samples_make(&all);
	for (unsigned i = 0; all.s[i].proc != NFS3_SETATTR; i++)
		all.s[0] = all.s[i + 1];
	call_of(&call, &record, &all.s[0]);
	assert_true(prestate_can_ask(&call));
	call.cred_flavor = RPC_AUTH_NONE;
	assert_true(prestate_can_ask(&call));
	call.cred_flavor = RPC_AUTH_GSS;
	assert_false(prestate_can_ask(&call));
	assert_int_equal(first_round(&call, &ps, q), 1);
	assert_int_equal(
	    prestate_query_write(&q[0], &call, 1, buf, sizeof(buf)), 0);
}

/* --- replies */

struct bed {
	struct minifs fs;
	struct bytes record;
	struct prestate_call call;
	struct prestate ps;
	struct prestate_query q[PRESTATE_QUERIES_MAX];
};

static void
bed_remove(struct bed *b)
{
	memset(b, 0, sizeof(*b));
	mini_init(&b->fs);
	mini_put(&b->fs, 1, "a", NF3REG, 1, 0644);
	vb_put_call(&b->record, NFS3_REMOVE, 1);
	vb_put_dirop(&b->record, &b->fs, 1, "a");
	vb_parse(&b->call, &b->record);
	assert_int_equal(first_round(&b->call, &b->ps, b->q), 1);
}

static enum prestate_take
answer(struct bed *b, const void *reply, size_t len)
{
	return prestate_answer(&b->ps, &b->call, &b->q[0], reply, len);
}

static enum prestate_take
answer_status(struct bed *b, uint32_t status)
{
	struct bytes r = {.len = 0};

	put_reply(&r, 1, 0);
	put32(&r, status);
	put32(&r, 0);
	return answer(b, r.p, r.len);
}

static void
replies(void **state)
{
	static struct bed b;
	uint8_t buf[RPC_ANSWER_MAX];
	size_t len;

	(void)state;
	bed_remove(&b);
	assert_int_equal(answer_status(&b, NFS3ERR_JUKEBOX), PRESTATE_AGAIN);
	assert_int_equal(b.ps.obj[0].known, PRESTATE_UNASKED);
	assert_int_equal(answer(&b, "nonsense", 8), PRESTATE_BAD);
	len = rpc_answer_write(buf, 1, RPC_ANSWER_SUCCESS, 0, 0);
	assert_int_equal(answer(&b, buf, len), PRESTATE_BAD);
	assert_int_equal(b.ps.obj[0].known, PRESTATE_UNASKED);
	assert_int_equal(answer_status(&b, NFS3ERR_NOENT), PRESTATE_TAKEN);
	assert_int_equal(b.ps.obj[0].known, PRESTATE_ABSENT);
	assert_int_equal(prestate_queries(&b.ps, &b.call, b.q), 0);

	bed_remove(&b);
	assert_int_equal(answer_status(&b, NFS3ERR_ACCES), PRESTATE_TAKEN);
	assert_int_equal(b.ps.obj[0].known, PRESTATE_FAILED);
	assert_int_equal(b.ps.obj[0].status, NFS3ERR_ACCES);
	assert_false(prestate_is_sick(&b.ps));

	bed_remove(&b);
	len = rpc_answer_write(buf, 1, RPC_ANSWER_AUTH_TOOWEAK, 0, 0);
	assert_int_equal(answer(&b, buf, len), PRESTATE_TAKEN);
	assert_int_equal(b.ps.obj[0].status, NFS3ERR_ACCES);

	bed_remove(&b);
	len = rpc_answer_write(buf, 1, RPC_ANSWER_SYSTEM_ERR, 0, 0);
	assert_int_equal(answer(&b, buf, len), PRESTATE_TAKEN);
	assert_true(prestate_is_sick(&b.ps));
}

static void
sick_ones(void **state)
{
	static struct bed b;
	static const struct {
		uint32_t status;
		bool sick;
	} all[] = {
	    {NFS3ERR_IO, true},
	    {NFS3ERR_ROFS, true},
	    {NFS3ERR_SERVERFAULT, true},
	    {NFS3ERR_STALE, false},
	    {NFS3ERR_NOTDIR, false},
	    {NFS3ERR_NAMETOOLONG, false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		bed_remove(&b);
		answer_status(&b, all[i].status);
		assert_int_equal(prestate_is_sick(&b.ps), all[i].sick);
	}
}

/* A server that gives no attributes with a LOOKUP is asked for them. */
static void
second_round(void **state)
{
	static struct bed b;
	struct prestate with;

	(void)state;
	bed_remove(&b);
	vb_look(&b.fs, &b.call, &with, false);
	b.fs.no_attr = true;
	vb_look(&b.fs, &b.call, &b.ps, false);
	assert_true(
	    b.ps.obj[0].has_attr && prestate_same(&b.ps.obj[0], &with.obj[0]));
	assert_memory_equal(
	    &b.ps.obj[0].attr, &with.obj[0].attr, sizeof(with.obj[0].attr));
}

/* --- SYMLINK's target, whole and as a digest */

static void
targets(void **state)
{
	static struct bed b;
	struct prestate_call cut;
	struct nfs3_bytes cred = {NULL, 0}, args;
	struct rpc_call rpc;
	uint8_t rest[LOGREC_REST_LEN];
	struct nfs3_sattr none = {.set_mode = false};

	(void)state;
	bed_remove(&b);
	vb_put_call(&b.record, NFS3_SYMLINK, 1);
	vb_put_dirop(&b.record, &b.fs, 1, "l");
	vb_put_sattr(&b.record, &none);
	put_string(&b.record, "../over");
	vb_parse(&b.call, &b.record);
	vb_look(&b.fs, &b.call, &b.ps, true);
	assert_int_equal(b.ps.obj[0].known, PRESTATE_ABSENT);
	strcpy(b.fs.inode[mini_put(&b.fs, 1, "l", NF3LNK, 1, 0777)].target,
	    "../over");
	vb_look(&b.fs, &b.call, &b.ps, false);
	assert_false(b.ps.obj[0].read);
	vb_look(&b.fs, &b.call, &b.ps, true);
	assert_true(b.ps.obj[0].read && b.ps.obj[0].target_same);

	rpc_call_parse(b.record.p, b.record.len, &rpc);
	cred = (struct nfs3_bytes){rpc.cred, rpc.cred_len};
	args = (struct nfs3_bytes){rpc.args.p, (uint32_t)rpc.args.left - 8};
	logrec_rest(rest, (const uint8_t *)"../over", 7);
	assert_int_equal(prestate_call_parse(&cut, 1, NFS3_SYMLINK,
			     RPC_AUTH_SYS, &cred, &args, args.len + 8, NULL),
	    -1);
	assert_int_equal(prestate_call_parse(&cut, 1, NFS3_SYMLINK,
			     RPC_AUTH_SYS, &cred, &args, args.len + 8, rest),
	    0);
	vb_look(&b.fs, &cut, &b.ps, true);
	assert_true(b.ps.obj[0].target_same);
	b.fs.inode[mini_lookup(&b.fs, 1, "l")].target[0] = '/';
	vb_look(&b.fs, &cut, &b.ps, true);
	assert_true(b.ps.obj[0].read && !b.ps.obj[0].target_same);
	vb_look(&b.fs, &b.call, &b.ps, true);
	assert_false(b.ps.obj[0].target_same);
}

/* --- the log */

static void
random_object(struct prestate_object *o)
{
	memset(o, 0, sizeof(*o));
	o->known = (enum prestate_known)(1 + rand() % 3);
	if (o->known == PRESTATE_FAILED)
		o->status = (uint32_t)rand();
	if (o->known != PRESTATE_EXISTS)
		return;
	o->has_attr = true;
	o->fh.len = (uint32_t)rand() % (NFS3_FHSIZE + 1);
	for (unsigned i = 0; i < o->fh.len; i++)
		o->fh.b[i] = (uint8_t)rand();
	o->attr = (struct nfs3_fattr){.type = 1 + (uint32_t)rand() % 7,
	    .mode = (uint32_t)rand(),
	    .nlink = (uint32_t)rand(),
	    .uid = (uint32_t)rand(),
	    .gid = (uint32_t)rand(),
	    .size = (uint64_t)rand() << 32 | 5,
	    .fileid = (uint64_t)rand() << 32 | 6,
	    .atime = {1, (uint32_t)rand()},
	    .mtime = {(uint32_t)rand(), 3},
	    .ctime = {4, (uint32_t)rand()}};
}

static void
there_and_back(void **state)
{
	uint8_t buf[PRESTATE_BYTES_MAX], bent[PRESTATE_BYTES_MAX];
	struct prestate ps, got;
	size_t most = 0;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 3000; i++) {
		size_t len;

		memset(&ps, 0, sizeof(ps));
		ps.n = 1 + i % 2;
		ps.peer_len = (uint32_t)rand() % (PRESTATE_PEER_MAX + 1);
		memset(ps.peer, 'p', ps.peer_len);
		for (unsigned k = 0; k < ps.n; k++)
			random_object(&ps.obj[k]);
		len = prestate_encode(&ps, buf);
		most = len > most ? len : most;
		assert_int_equal(prestate_decode(&got, buf, len), 0);
		assert_memory_equal(&got, &ps, sizeof(ps));
		for (size_t n = 0; n < len; n++)
			assert_int_equal(prestate_decode(&got, buf, n), -1);
		memcpy(bent, buf, len);
		bent[0]++; /* a later version */
		assert_int_equal(prestate_decode(&got, bent, len), -1);
		bent[0]--;
		bent[1] = PRESTATE_OBJECTS + 1;
		assert_int_equal(prestate_decode(&got, bent, len), -1);
	}
	assert_true(most <= 450 && most > 250);
	assert_true(sizeof(buf) <= LOGREC_PRE_MAX);
}

static void
which_inode(void **state)
{
	static struct bed b;
	struct prestate again;

	(void)state;
	bed_remove(&b);
	vb_look(&b.fs, &b.call, &b.ps, false);
	vb_look(&b.fs, &b.call, &again, false);
	assert_true(prestate_same(&b.ps.obj[0], &again.obj[0]));
	/* the same inode number, used again */
	mini_drop(&b.fs, 1, "a");
	mini_put(&b.fs, 1, "a", NF3REG, 1, 0644);
	vb_look(&b.fs, &b.call, &again, false);
	assert_int_equal(again.obj[0].attr.fileid, b.ps.obj[0].attr.fileid);
	assert_false(prestate_same(&b.ps.obj[0], &again.obj[0]));
	again = b.ps;
	again.obj[0].known = PRESTATE_ABSENT;
	assert_false(prestate_same(&b.ps.obj[0], &again.obj[0]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(queries_by_procedure),
	    cmocka_unit_test(longest_query_fits),
	    cmocka_unit_test(gss_cannot_be_asked_with),
	    cmocka_unit_test(replies),
	    cmocka_unit_test(sick_ones),
	    cmocka_unit_test(second_round),
	    cmocka_unit_test(targets),
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(which_inode),
	};

	return cmocka_run_group_tests_name("prestate", tests, NULL, NULL);
}
