/*
 * The gate: what has changed and is not durable yet, as a counting filter of
 * the handles of the objects that running and uncommitted calls name. A
 * reply that may show one of them waits for a sync. A hash that two handles
 * share only makes one wait that need not.
 *
 * Also: handles that no client may use.
 */
#include <stdlib.h>
#include <string.h>

#include "hanfs/nfs3_reply.h"
#include "server-agent/relay_log.h"

uint32_t
gate_hash(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t h = 0x9e3779b97f4a7c15u ^ len;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3u;
	return (uint32_t)((h ^ h >> 29) * 0x9e3779b97f4a7c15u >> 32);
}

void
gate_name(struct relay_entry *e, const void *fh, size_t len)
{
	if (fh != NULL && e->ngate < GATE_MAX)
		e->gate[e->ngate++] = gate_hash(fh, len);
}

void
gate_enter(struct vlog *v, struct relay_entry *e)
{
	if (e->pending || v->r->cfg.rules.no_gate)
		return;
	e->pending = true;
	v->pending++;
	for (unsigned i = 0; i < e->ngate; i++)
		v->filter[e->gate[i] % GATE_SIZE]++;
}

void
gate_leave(struct vlog *v, struct relay_entry *e)
{
	if (!e->pending)
		return;
	e->pending = false;
	v->pending--;
	for (unsigned i = 0; i < e->ngate; i++)
		v->filter[e->gate[i] % GATE_SIZE]--;
}

static bool
in_filter(const struct vlog *v, uint32_t hash)
{
	return v->filter[hash % GATE_SIZE] > 0;
}

/* --- handles in replies */

/* The handle of a successful LOOKUP, or of what was made. */
static bool
reply_handle(const struct relay_entry *e, const uint8_t **fh, uint32_t *len)
{
	struct rpc_reply reply;
	struct cursor c;
	const uint8_t *p;

	if (rpc_reply_parse(rec_head(e->rec), e->rec->head_len, &reply) == -1)
		return false;
	c = reply.results;
	if (!cursor_take(&c, 4, &p) || be32_get(p) != NFS3_OK)
		return false;
	/* Of what is made the handle is optional. */
	if (e->id.proc != NFS3_LOOKUP &&
	    (!cursor_take(&c, 4, &p) || be32_get(p) != 1))
		return false;
	if (!cursor_take(&c, 4, &p))
		return false;
	*len = be32_get(p);
	return *len <= NFS3_FHSIZE && cursor_take(&c, *len, fh);
}

void
gate_made(struct vlog *v, struct relay_entry *e)
{
	const uint8_t *fh;
	uint32_t len;

	if (!e->pending || e->ngate == GATE_MAX ||
	    (e->id.proc != NFS3_CREATE && e->id.proc != NFS3_MKDIR &&
		e->id.proc != NFS3_SYMLINK && e->id.proc != NFS3_MKNOD) ||
	    !reply_handle(e, &fh, &len))
		return;
	gate_name(e, fh, len);
	v->filter[e->gate[e->ngate - 1] % GATE_SIZE]++;
}

bool
gate_shut_early(const struct vlog *v, const struct relay_entry *e)
{
	if (v->pending == 0 || v->r->cfg.rules.no_gate)
		return false;
	/* It shows any number of objects; so does READDIR, but only names. */
	if (e->id.proc == NFS3_READDIRPLUS)
		return true;
	for (unsigned i = 0; i < e->ngate; i++)
		if (in_filter(v, e->gate[i]))
			return true;
	return false;
}

bool
gate_shut(const struct vlog *v, struct relay_entry *e)
{
	const uint8_t *fh;
	uint32_t len;

	if (v->pending == 0 || v->r->cfg.rules.no_gate)
		return false;
	if (gate_shut_early(v, e))
		return true;
	return e->id.proc == NFS3_LOOKUP && reply_handle(e, &fh, &len) &&
	       in_filter(v, gate_hash(fh, len));
}

/* --- handles that lead into the volume's own directories */

struct forbidden {
	struct forbidden *next;
	unsigned offset, len;
	uint8_t b[RELAY_FORBID_MAX];
};

void
relay_forbid(struct relay *r, unsigned volume, unsigned offset,
    const uint8_t *bytes, unsigned len)
{
	struct forbidden *f;

	assert(volume < r->cfg.volumes && len <= RELAY_FORBID_MAX);
	while (len == 0 && (f = r->forbidden[volume]) != NULL) {
		r->forbidden[volume] = f->next;
		free(f);
	}
	if (len == 0)
		return;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		abort(); /* at start-up of a volume, a few bytes */
	f->next = r->forbidden[volume];
	f->offset = offset;
	f->len = len;
	memcpy(f->b, bytes, len);
	r->forbidden[volume] = f;
}

static bool
is_forbidden(const struct forbidden *f, const struct nfs3_bytes *fh)
{
	for (; fh->p != NULL && f != NULL; f = f->next)
		if (fh->len >= f->len && f->offset <= fh->len - f->len &&
		    memcmp(fh->p + f->offset, f->b, f->len) == 0)
			return true;
	return false;
}

bool
gate_forbids(
    const struct relay *r, unsigned volume, const struct call_info *info)
{
	const struct forbidden *f = r->forbidden[volume];

	return f != NULL && info->id.prog == RPC_PROG_NFS &&
	       (is_forbidden(f, &info->nfs.fh) ||
		   is_forbidden(f, &info->nfs.fh2));
}

/* Every procedure's failure: a status, then attributes that are left out
 * (RFC 1813, section 3.3): post_op_attr is one word, wcc_data two. */
static size_t
refusal_write(uint8_t *buf, uint32_t xid, uint32_t proc)
{
	static const uint8_t words[NFS3_NPROC] = {
	    [NFS3_GETATTR] = 0,
	    [NFS3_SETATTR] = 2,
	    [NFS3_LOOKUP] = 1,
	    [NFS3_ACCESS] = 1,
	    [NFS3_READLINK] = 1,
	    [NFS3_READ] = 1,
	    [NFS3_WRITE] = 2,
	    [NFS3_CREATE] = 2,
	    [NFS3_MKDIR] = 2,
	    [NFS3_SYMLINK] = 2,
	    [NFS3_MKNOD] = 2,
	    [NFS3_REMOVE] = 2,
	    [NFS3_RMDIR] = 2,
	    [NFS3_RENAME] = 4,
	    [NFS3_LINK] = 3,
	    [NFS3_READDIR] = 1,
	    [NFS3_READDIRPLUS] = 1,
	    [NFS3_FSSTAT] = 1,
	    [NFS3_FSINFO] = 1,
	    [NFS3_PATHCONF] = 1,
	    [NFS3_COMMIT] = 2,
	};
	size_t n = rpc_answer_write(buf, xid, RPC_ANSWER_SUCCESS, 0, 0);

	be32_put(buf + n, NFS3ERR_BADHANDLE);
	n += 4;
	memset(buf + n, 0, 4u * words[proc]);
	return n + 4u * words[proc];
}

void
gate_refuse(struct relay_conn *c, struct rec *rec, const struct call_info *info)
{
	struct rec_pool *pool = rec->pool;
	uint8_t buf[RPC_ANSWER_MAX + 20];
	size_t n = refusal_write(buf, info->id.xid, info->id.proc);

	rec_unref(rec); /* so that the pool has one */
	rec = rec_from(pool, buf, n);
	assert(rec != NULL);
	c->r->n.forbidden++;
	relay_act(c->r, (struct relay_action){
			    .type = RELAY_SEND_CONN, .conn = c, .rec = rec});
}
