/*
 * What follows from a verdict: the SETATTR that finishes a half-done call,
 * and the reply of one that is done. See verdict.h. Pure.
 */
#include <assert.h>

#include "server-agent/verdict.h"

size_t
verdict_finish_write(const struct verdict *v, const struct prestate_call *call,
    uint32_t xid, void *buf, size_t size)
{
	const struct nfs3_time *guard = &call->values.guard_ctime;
	struct nfs3_out o = {.p = buf, .left = size};

	assert(v->kind == VERDICT_HALF);
	if (!prestate_can_ask(call))
		return 0;
	nfs3_call_begin(&o, xid, NFS3_SETATTR, call->cred_flavor, &call->cred);
	nfs3_put_opaque(&o, v->fh.b, v->fh.len);
	nfs3_put_sattr(&o, &v->set);
	nfs3_put_u32(&o, v->guard);
	if (v->guard) {
		nfs3_put_u32(&o, guard->sec);
		nfs3_put_u32(&o, guard->nsec);
	}
	return o.short_of ? 0 : size - o.left;
}

enum verdict_take
verdict_finished(struct verdict *v, const void *reply, size_t len)
{
	struct rpc_reply r;

	assert(v->kind == VERDICT_HALF);
	if (rpc_reply_parse(reply, len, &r) == -1 || r.reply_stat != 0 ||
	    r.accept_stat != 0 ||
	    nfs3_status_parse(r.results, &v->status) == -1)
		return VERDICT_BAD;
	switch (v->status) {
	case NFS3ERR_JUKEBOX:
		return VERDICT_AGAIN;
	case NFS3ERR_IO:
	case NFS3ERR_ROFS:
	case NFS3ERR_STALE:
	case NFS3ERR_SERVERFAULT:
		return VERDICT_HELD;
	}
	return VERDICT_TAKEN;
}

void
verdict_settle(struct verdict *v, const struct prestate_call *call,
    const struct prestate *now)
{
	const struct prestate_object *o = &now->obj[0];
	bool perhaps = v->reason == V_PERHAPS;

	assert(v->kind == VERDICT_HALF);
	/* A SETATTR was repeated whole: its answer is the answer. */
	v->kind = VERDICT_DONE;
	v->reason = V_FINISHED;
	if (call->proc == NFS3_SETATTR)
		return;
	if (v->status != NFS3_OK && perhaps) {
		v->kind = VERDICT_NOT_DONE;
		v->reason = V_WOULD_FAIL;
	} else if (v->status != NFS3_OK) {
		v->kind = VERDICT_UNDECIDABLE;
		v->reason = V_FINISH_REFUSED;
	} else if (o->known != PRESTATE_EXISTS ||
		   !nfs3_fh_equal(&o->fh, &v->fh)) {
		v->kind = VERDICT_UNDECIDABLE;
		v->reason = V_FINISH_VANISHED;
	}
}

static void
reply_of(struct nfs3_reply *r, const struct prestate_call *call,
    const struct prestate *now)
{
	const struct prestate_object *a = &now->obj[0], *b = &now->obj[1];

	if (a->known == PRESTATE_EXISTS && a->has_attr)
		r->attr = &a->attr;
	if (a->has_dir)
		r->dir = &a->dir;
	switch (call->proc) {
	case NFS3_RENAME:
		r->dir2 = b->has_dir ? &b->dir : NULL;
		break;
	case NFS3_LINK:
		r->dir = b->has_dir ? &b->dir : NULL;
		break;
	default:
		if (a->known == PRESTATE_EXISTS)
			r->fh = &a->fh;
		break;
	}
}

size_t
verdict_reply_write(const struct verdict *v, const struct prestate_call *call,
    const struct prestate *now, void *buf, size_t size)
{
	struct nfs3_reply r = {
	    .xid = call->xid, .proc = call->proc, .status = v->status};

	assert(v->kind == VERDICT_DONE);
	reply_of(&r, call, now);
	return nfs3_reply_write(buf, size, &r);
}

size_t
verdict_error_write(
    const struct prestate_call *call, uint32_t status, void *buf, size_t size)
{
	struct nfs3_reply r = {
	    .xid = call->xid, .proc = call->proc, .status = status};

	assert(status != NFS3_OK);
	return nfs3_reply_write(buf, size, &r);
}
