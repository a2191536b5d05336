/*
 * What is known of the objects of a logged call. See prestate.h. Pure.
 */
#include <assert.h>

#include "server-agent/logrec.h"
#include "server-agent/prestate.h"

enum { MSG_ACCEPTED = 0, SUCCESS = 0, SYSTEM_ERR = 5 }; /* RFC 5531, 9 */

const char *const prestate_known_names[PRESTATE_KNOWN] = {
    "unasked", "absent", "exists", "failed"};

/* --- calls */

int
prestate_call_parse(struct prestate_call *call, uint32_t xid, uint32_t proc,
    uint32_t cred_flavor, const struct nfs3_bytes *cred,
    const struct nfs3_bytes *args, uint32_t args_len, const uint8_t *rest)
{
	memset(call, 0, sizeof(*call));
	call->xid = xid;
	call->proc = proc;
	call->cred_flavor = cred_flavor;
	call->cred = *cred;
	if (args->len < args_len) {
		if (rest == NULL)
			return -1;
		call->rest = rest;
	}
	return nfs3_values_parse(proc, cursor_make(args->p, args->len),
	    args_len, &call->names, &call->values);
}

int
prestate_call_of(struct prestate_call *call, const struct call_info *info)
{
	struct nfs3_bytes cred = {info->rpc.cred, info->rpc.cred_len};
	struct nfs3_bytes args = {
	    info->rpc.args.p, (uint32_t)info->rpc.args.left};

	if (info->id.prog != RPC_PROG_NFS ||
	    info->rpc.args.left != info->nfs.identity_len)
		return -1;
	return prestate_call_parse(call, info->id.xid, info->id.proc,
	    info->rpc.cred_flavor, &cred, &args, args.len, NULL);
}

bool
prestate_can_ask(const struct prestate_call *call)
{
	return call->cred_flavor == RPC_AUTH_SYS ||
	       call->cred_flavor == RPC_AUTH_NONE;
}

/* --- what is known */

bool
prestate_same(const struct prestate_object *a, const struct prestate_object *b)
{
	return a->known == PRESTATE_EXISTS && b->known == PRESTATE_EXISTS &&
	       a->attr.fileid == b->attr.fileid &&
	       nfs3_fh_equal(&a->fh, &b->fh);
}

/* Whose failure says nothing of the call: a dying disk's. */
static bool
is_sick(uint32_t status)
{
	return status == NFS3ERR_IO || status == NFS3ERR_ROFS ||
	       status == NFS3ERR_SERVERFAULT;
}

bool
prestate_is_sick(const struct prestate *ps)
{
	for (unsigned i = 0; i < ps->n; i++)
		if (ps->obj[i].known == PRESTATE_FAILED &&
		    is_sick(ps->obj[i].status))
			return true;
	return false;
}

/* --- asking */

void
prestate_begin(struct prestate *ps, const struct prestate_call *call, bool now)
{
	memset(ps, 0, sizeof(*ps));
	ps->now = now;
	ps->n = call->proc == NFS3_RENAME || call->proc == NFS3_LINK ? 2 : 1;
	if (call->proc == NFS3_SETATTR || call->proc == NFS3_LINK)
		(void)nfs3_fh_set(&ps->obj[0].fh, &call->names.fh);
}

static struct prestate_query
query_first(const struct prestate_call *call, unsigned i)
{
	const struct nfs3_args *a = &call->names;
	struct prestate_query q = {.proc = NFS3_LOOKUP, .object = i};

	if (i == 1) {
		q.fh = a->fh2;
		q.name = a->name2;
		return q;
	}
	q.fh = a->fh;
	if (call->proc == NFS3_SETATTR || call->proc == NFS3_LINK)
		q.proc = NFS3_GETATTR;
	else
		q.name = a->name;
	return q;
}

/* Does an object that is there need a second look? */
static bool
query_second(const struct prestate *ps, const struct prestate_call *call,
    unsigned i, struct prestate_query *q)
{
	const struct prestate_object *o = &ps->obj[i];

	if (o->known != PRESTATE_EXISTS)
		return false;
	q->object = i;
	q->fh = nfs3_fh_bytes(&o->fh);
	q->name = (struct nfs3_bytes){NULL, 0};
	q->proc = NFS3_GETATTR;
	if (!o->has_attr)
		return true;
	q->proc = NFS3_READLINK;
	return ps->now && call->proc == NFS3_SYMLINK &&
	       o->attr.type == NF3LNK && !o->read;
}

unsigned
prestate_queries(const struct prestate *ps, const struct prestate_call *call,
    struct prestate_query q[PRESTATE_QUERIES_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < ps->n; i++)
		if (ps->obj[i].known == PRESTATE_UNASKED)
			q[n++] = query_first(call, i);
		else if (query_second(ps, call, i, &q[n]))
			n++;
	return n;
}

size_t
prestate_query_write(const struct prestate_query *q,
    const struct prestate_call *call, uint32_t xid, void *buf, size_t size)
{
	struct nfs3_out o = {.p = buf, .left = size};

	if (!prestate_can_ask(call))
		return 0;
	nfs3_call_begin(&o, xid, q->proc, call->cred_flavor, &call->cred);
	nfs3_put_opaque(&o, q->fh.p, q->fh.len);
	if (q->proc == NFS3_LOOKUP)
		nfs3_put_opaque(&o, q->name.p, q->name.len);
	return o.short_of ? 0 : size - o.left;
}

/* --- answers */

static bool
is_target(const struct prestate_call *call, const struct nfs3_bytes *target)
{
	const struct nfs3_values *v = &call->values;
	uint8_t rest[LOGREC_REST_LEN];

	if (target->len != v->target_len)
		return false;
	if (call->rest == NULL)
		return memcmp(target->p, v->target.p, target->len) == 0;
	logrec_rest(rest, target->p, target->len);
	return memcmp(rest, call->rest, sizeof(rest)) == 0;
}

static void
failed(struct prestate_object *o, uint32_t status)
{
	o->known = PRESTATE_FAILED;
	o->status = status;
}

static void
take_found(struct prestate_object *o, const struct prestate_call *call,
    const struct prestate_query *q, const struct nfs3_found *f)
{
	if (f->has_dir) {
		o->has_dir = true;
		o->dir = f->dir;
	}
	if (f->status == NFS3ERR_NOENT && q->proc == NFS3_LOOKUP) {
		o->known = PRESTATE_ABSENT;
		return;
	}
	if (f->status != NFS3_OK) {
		failed(o, f->status);
		return;
	}
	o->known = PRESTATE_EXISTS;
	if (q->proc == NFS3_LOOKUP)
		o->fh = f->fh;
	if (q->proc == NFS3_READLINK) {
		o->read = true;
		o->target_same = is_target(call, &f->target);
	} else if (f->has_attr) {
		o->has_attr = true;
		o->attr = f->attr;
	}
}

enum prestate_take
prestate_answer(struct prestate *ps, const struct prestate_call *call,
    const struct prestate_query *q, const void *reply, size_t len)
{
	struct prestate_object *o = &ps->obj[q->object];
	struct nfs3_found found;
	struct rpc_reply r;

	assert(q->object < ps->n);
	if (rpc_reply_parse(reply, len, &r) == -1)
		return PRESTATE_BAD;
	if (r.reply_stat != MSG_ACCEPTED || r.accept_stat != SUCCESS) {
		failed(o, r.accept_stat == SYSTEM_ERR ? NFS3ERR_SERVERFAULT
						      : NFS3ERR_ACCES);
		return PRESTATE_TAKEN;
	}
	if (nfs3_found_parse(q->proc, r.results, &found) == -1)
		return PRESTATE_BAD;
	if (found.status == NFS3ERR_JUKEBOX)
		return PRESTATE_AGAIN;
	take_found(o, call, q, &found);
	return PRESTATE_TAKEN;
}

/* --- in the log */

static void
put_attr(struct nfs3_out *w, const struct nfs3_fattr *a)
{
	nfs3_put_u32(w, a->type);
	nfs3_put_u32(w, a->mode);
	nfs3_put_u32(w, a->nlink);
	nfs3_put_u32(w, a->uid);
	nfs3_put_u32(w, a->gid);
	nfs3_put_u64(w, a->size);
	nfs3_put_u64(w, a->fileid);
	nfs3_put_u32(w, a->atime.sec);
	nfs3_put_u32(w, a->atime.nsec);
	nfs3_put_u32(w, a->mtime.sec);
	nfs3_put_u32(w, a->mtime.nsec);
	nfs3_put_u32(w, a->ctime.sec);
	nfs3_put_u32(w, a->ctime.nsec);
}

static bool
take_attr(struct cursor *c, struct nfs3_fattr *a)
{
	return cursor_u32(c, &a->type) && a->type >= NF3REG &&
	       a->type <= NF3FIFO && cursor_u32(c, &a->mode) &&
	       cursor_u32(c, &a->nlink) && cursor_u32(c, &a->uid) &&
	       cursor_u32(c, &a->gid) && cursor_u64(c, &a->size) &&
	       cursor_u64(c, &a->fileid) && cursor_u32(c, &a->atime.sec) &&
	       cursor_u32(c, &a->atime.nsec) && cursor_u32(c, &a->mtime.sec) &&
	       cursor_u32(c, &a->mtime.nsec) && cursor_u32(c, &a->ctime.sec) &&
	       cursor_u32(c, &a->ctime.nsec);
}

size_t
prestate_encode(const struct prestate *ps, uint8_t buf[PRESTATE_BYTES_MAX])
{
	struct nfs3_out w = {.p = buf, .left = PRESTATE_BYTES_MAX};

	nfs3_put_u32(&w, PRESTATE_VERSION << 24 | ps->n << 16);
	nfs3_put_opaque(&w, ps->peer, ps->peer_len);
	for (unsigned i = 0; i < ps->n; i++) {
		const struct prestate_object *o = &ps->obj[i];

		assert(o->known != PRESTATE_UNASKED &&
		       (o->known != PRESTATE_EXISTS || o->has_attr));
		nfs3_put_u32(&w, o->known);
		nfs3_put_u32(&w, o->status);
		if (o->known != PRESTATE_EXISTS)
			continue;
		nfs3_put_opaque(&w, o->fh.b, o->fh.len);
		put_attr(&w, &o->attr);
	}
	assert(!w.short_of);
	return PRESTATE_BYTES_MAX - w.left;
}

static bool
take_object(struct cursor *c, struct prestate_object *o)
{
	struct nfs3_bytes fh;
	uint32_t known;

	if (!cursor_u32(c, &known) || known <= PRESTATE_UNASKED ||
	    known >= PRESTATE_KNOWN || !cursor_u32(c, &o->status))
		return false;
	o->known = (enum prestate_known)known;
	if (o->known != PRESTATE_EXISTS)
		return true;
	o->has_attr = true;
	return cursor_opaque(c, NFS3_FHSIZE, &fh.p, &fh.len) &&
	       nfs3_fh_set(&o->fh, &fh) && take_attr(c, &o->attr);
}

int
prestate_decode(struct prestate *ps, const uint8_t *p, size_t len)
{
	struct cursor c = cursor_make(p, len);
	const uint8_t *peer;
	uint32_t head;

	memset(ps, 0, sizeof(*ps));
	if (!cursor_u32(&c, &head) || head >> 24 != PRESTATE_VERSION ||
	    (head & 0xffff) != 0)
		return -1;
	ps->n = head >> 16 & 0xff;
	if (ps->n == 0 || ps->n > PRESTATE_OBJECTS ||
	    !cursor_opaque(&c, PRESTATE_PEER_MAX, &peer, &ps->peer_len))
		return -1;
	memcpy(ps->peer, peer, ps->peer_len);
	for (unsigned i = 0; i < ps->n; i++)
		if (!take_object(&c, &ps->obj[i]))
			return -1;
	return c.left == 0 ? 0 : -1;
}
