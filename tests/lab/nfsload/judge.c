/*
 * Is this answer the right one?  If it is, the model follows the call; if it
 * is not, that is a violation and the slot begins anew with other names.
 */
#include <string.h>

#include "nfsload.h"

static bool
is_shared(const struct load *l, const struct object *o)
{
	return o >= l->shared && o < l->shared + SHARED_DIRS;
}

/* An object's attributes as the model has them. */
static bool
judge_attr(struct load *l, struct slot *s, const struct object *o,
    const struct answer *a)
{
	const char *what = kind_name(s->op.kind);

	if (!a->has_attr) {
		stats_count("no_attributes");
		return true;
	}
	if (a->attr.type != o->type) {
		violation(s, "%s: type %d, not %d", what, (int)a->attr.type,
		    (int)o->type);
		return false;
	}
	if (is_shared(l, o))
		return true;
	if (a->attr.fileid != o->fileid) {
		violation(s, "%s: another file id", what);
		return false;
	}
	if (a->attr.nlink != o->nlink) {
		violation(
		    s, "%s: nlink %u, not %u", what, a->attr.nlink, o->nlink);
		return false;
	}
	if (o->type == NF3REG && a->attr.size != o->size) {
		violation(s, "%s: size %llu, not %llu", what,
		    (unsigned long long)a->attr.size,
		    (unsigned long long)o->size);
		return false;
	}
	if (o->mode_known && (a->attr.mode & 07777) != o->mode) {
		violation(s, "%s: mode %o, not %o", what, a->attr.mode & 07777,
		    o->mode);
		return false;
	}
	return true;
}

static bool
same_handle(const struct handle *a, const struct handle *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static bool
judge_handle(struct slot *s, const struct object *o, const struct answer *a)
{
	if (!a->has_fh || same_handle(&o->fh, &a->fh))
		return true;
	violation(s, "%s %s: another file handle", kind_name(s->op.kind),
	    s->op.place->name);
	return false;
}

/* What a CREATE, MKDIR or SYMLINK made gets its handle here. */
static bool
judge_made(struct slot *s, const struct answer *a)
{
	struct object *o = s->op.made;

	if (!a->has_fh || !a->has_attr) {
		violation(
		    s, "%s: no handle or no attributes", kind_name(s->op.kind));
		return false;
	}
	o->fh = a->fh;
	o->fileid = a->attr.fileid;
	return true;
}

static bool
judge_read(struct slot *s, const struct answer *a)
{
	const struct op *op = &s->op;
	const struct object *o = op->object;
	uint64_t left = o->size > op->offset ? o->size - op->offset : 0;
	uint32_t want = left < op->count ? (uint32_t)left : op->count;
	int64_t bad;

	if (a->count != want || a->data_len != want) {
		violation(s, "READ: %u bytes, not %u", a->count, want);
		return false;
	}
	if (a->eof != (op->offset + op->count >= o->size)) {
		violation(s, "READ: eof %d", a->eof);
		return false;
	}
	bad = content_check(a->data, a->data_len, o->id, o->blocks, op->offset);
	if (bad >= 0) {
		violation(s, "READ: wrong data at %llu (read at %llu)",
		    (unsigned long long)(op->offset + (uint64_t)bad),
		    (unsigned long long)op->offset);
		return false;
	}
	return true;
}

static bool
judge_verf(struct load *l, struct slot *s, const struct answer *a)
{
	if (l->crash)
		return true;
	if (!l->have_verf)
		memcpy(l->verf, a->verf, sizeof l->verf);
	l->have_verf = true;
	if (memcmp(l->verf, a->verf, sizeof l->verf) == 0)
		return true;
	violation(s, "%s: the write verifier changed", kind_name(s->op.kind));
	return false;
}

static bool
judge_write(struct load *l, struct slot *s, const struct answer *a)
{
	if (a->count != s->op.count || a->committed < s->op.stable) {
		violation(s, "WRITE: %u of %u bytes, committed %u of %u",
		    a->count, s->op.count, a->committed, s->op.stable);
		return false;
	}
	return judge_verf(l, s, a);
}

/* All names of this slot that are in a directory, and no other of its. */
static bool
judge_readdir(struct load *l, struct slot *s, const struct answer *a)
{
	const struct object *dir = s->op.object;
	struct place *own[64];
	int n = model_places(s, own, 64);

	(void)l;
	if (!a->entries.eof) {
		stats_count("partial_readdir");
		return true;
	}
	for (int i = 0; i < n; i++) {
		const entry3 *e = a->entries.first;

		if (own[i]->dir != dir)
			continue;
		while (e != NULL && strcmp(e->name, own[i]->name) != 0)
			e = e->nextentry;
		if ((e != NULL) == (own[i]->object != NULL) &&
		    (e == NULL || e->fileid == own[i]->object->fileid))
			continue;
		violation(s, "READDIR: %s %s", own[i]->name,
		    e == NULL                ? "is missing"
		    : own[i]->object == NULL ? "should not be there"
					     : "is another file");
		return false;
	}
	return true;
}

/* The object whose attributes the reply carries, after the call. */
static const struct object *
attr_object(const struct op *op)
{
	switch (op->kind) {
	case NFS3_LOOKUP:
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
		return op->place->object;
	case NFS3_REMOVE:
	case NFS3_RMDIR:
	case NFS3_RENAME:
		return NULL;
	default:
		return op->object;
	}
}

static bool
judge_success(struct load *l, struct slot *s, const struct answer *a)
{
	struct op *op = &s->op;
	const struct object *o;
	bool sure = true; /* of the attributes */

	if (op->made != NULL && !judge_made(s, a))
		return false;
	model_apply(s, op);
	o = attr_object(op);
	if (l->crash && (op->kind == NFS3_WRITE || op->kind == NFS3_COMMIT))
		sure = pending_judge(s, a);
	if (o != NULL && sure && !judge_attr(l, s, o, a))
		return false;
	if (o != NULL && op->place != NULL && op->kind != NFS3_LINK &&
	    !judge_handle(s, o, a))
		return false;
	switch (op->kind) {
	case NFS3_READ:
		return judge_read(s, a);
	case NFS3_WRITE:
		return judge_write(l, s, a);
	case NFS3_COMMIT:
		return judge_verf(l, s, a);
	case NFS3_READDIR:
		return judge_readdir(l, s, a);
	case NFS3_READLINK:
		if (a->target != NULL && strcmp(a->target, o->target) == 0)
			return true;
		violation(s, "READLINK: another target");
		return false;
	default:
		return true;
	}
}

static bool
judge_status(struct slot *s, const struct answer *a)
{
	const struct op *op = &s->op;

	if (a->rpc_error != 0) {
		violation(s, "%s: refused by RPC, %u", kind_name(op->kind),
		    a->rpc_error);
		return false;
	}
	if (a->status == op->want || a->status == op->want_too)
		return true;
	violation(s, "%s%s%s: status %d, not %d", kind_name(op->kind),
	    op->place ? " " : "", op->place ? op->place->name : "",
	    (int)a->status, (int)op->want);
	return false;
}

/*
 * With --full: no space is an honest answer.  What is there afterwards is
 * not known (RFC 1813 has no word on half a WRITE): the slot begins anew.
 */
static bool
no_space(const struct load *l, const struct slot *s, const struct answer *a)
{
	if (!l->full || a->rpc_error != 0)
		return false;
	return a->status == NFS3ERR_NOSPC ||
	       (a->status == NFS3_OK && s->op.kind == NFS3_WRITE &&
		   a->count < s->op.count);
}

void
judge(struct load *l, struct slot *s, const struct answer *a)
{
	bool good;

	if (no_space(l, s, a)) {
		stats_count("no_space");
		s->generation++;
		model_reset(l, s);
		return;
	}
	good = judge_status(s, a);

	if (good && a->status == NFS3_OK)
		good = judge_success(l, s, a);
	if (good) {
		model_object_free(s->op.made);
		s->op.made = NULL;
		return;
	}
	s->generation++;
	model_reset(l, s);
}
