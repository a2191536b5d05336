/*
 * For tests of verdicts: one call against a minifs, asked about before and
 * after through real query and reply records.
 */
#ifndef HANFS_TESTS_VERDICTBED_H
#define HANFS_TESTS_VERDICTBED_H

#include "tests/unit/minifs.h"
#include "tests/unit/nfscall.h"
#include "server-agent/prestate.h"
#include "server-agent/verdict.h"

struct vbed {
	struct minifs fs;
	struct bytes record; /* the call */
	struct prestate_call call;
	struct prestate before, now;
	struct verdict v;
};

/* Asks until all is known. */
static inline void
vb_look(struct minifs *fs, const struct prestate_call *call,
    struct prestate *ps, bool now)
{
	struct prestate_query q[PRESTATE_QUERIES_MAX];
	uint8_t ask[PRESTATE_QUERY_MAX], reply[NFS3_REPLY_MAX];
	unsigned n, rounds = 0;
	size_t len;

	prestate_begin(ps, call, now);
	while ((n = prestate_queries(ps, call, q)) > 0) {
		assert_true(rounds++ < 3);
		for (unsigned i = 0; i < n; i++) {
			len = prestate_query_write(
			    &q[i], call, 0x700 + i, ask, sizeof(ask));
			assert_true(len > 0);
			len = mini_call(fs, ask, len, reply);
			assert_int_equal(
			    prestate_answer(ps, call, &q[i], reply, len),
			    PRESTATE_TAKEN);
		}
	}
}

/* As it comes back from the log. */
static inline void
vb_through_log(struct prestate *ps)
{
	uint8_t buf[PRESTATE_BYTES_MAX];
	size_t len = prestate_encode(ps, buf);

	assert_int_equal(prestate_decode(ps, buf, len), 0);
}

static inline void
vb_parse(struct prestate_call *call, const struct bytes *record)
{
	struct rpc_call rpc;
	struct nfs3_bytes cred, args;

	assert_int_equal(
	    rpc_call_parse(record->p, record->len, &rpc), RPC_PARSE_OK);
	cred = (struct nfs3_bytes){rpc.cred, rpc.cred_len};
	args = (struct nfs3_bytes){rpc.args.p, (uint32_t)rpc.args.left};
	assert_int_equal(prestate_call_parse(call, rpc.xid, rpc.proc,
			     rpc.cred_flavor, &cred, &args, args.len, NULL),
	    0);
}

/* HALF: sends the SETATTR; its status. */
static inline uint32_t
vb_finish(struct minifs *fs, struct verdict *v,
    const struct prestate_call *call, enum verdict_take *take)
{
	uint8_t ask[PRESTATE_QUERY_MAX], reply[NFS3_REPLY_MAX];
	size_t len = verdict_finish_write(v, call, 0x800, ask, sizeof(ask));

	assert_true(len > 0);
	len = mini_call(fs, ask, len, reply);
	*take = verdict_finished(v, reply, len);
	return v->status;
}

static inline uint32_t
vb_status(const uint8_t *reply, size_t len)
{
	struct rpc_reply r;
	uint32_t status;

	assert_int_equal(rpc_reply_parse(reply, len, &r), 0);
	assert_int_equal(nfs3_status_parse(r.results, &status), 0);
	return status;
}

/* --- arguments */

static inline void
vb_put_fh(struct bytes *b, const struct minifs *fs, unsigned ino)
{
	struct nfs3_fh fh;

	mini_fh(fs, ino, &fh);
	put_opaque(b, fh.b, fh.len);
}

static inline void
vb_put_dirop(
    struct bytes *b, const struct minifs *fs, unsigned dir, const char *name)
{
	vb_put_fh(b, fs, dir);
	put_string(b, name);
}

static inline void
vb_put_sattr(struct bytes *b, const struct nfs3_sattr *s)
{
	struct nfs3_out o = {.p = b->p + b->len, .left = sizeof(b->p) - b->len};

	nfs3_put_sattr(&o, s);
	b->len = sizeof(b->p) - o.left;
}

static inline void
vb_put_call(struct bytes *b, uint32_t proc, uint32_t uid)
{
	b->len = 0;
	put_call(b, 0x500 + proc, RPC_PROG_NFS, 3, proc, uid);
}

#endif
