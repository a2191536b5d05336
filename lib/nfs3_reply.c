/*
 * Replies of NFS version 3, and attributes (RFC 1813, sections 2.6 and 3.3).
 * See hanfs/nfs3_reply.h. Pure.
 */
#include <stdio.h>

#include "hanfs/nfs3_reply.h"

const char *
nfs3_status_name(uint32_t status)
{
	static const struct {
		uint32_t status;
		const char *name;
	} names[] = {
	    {NFS3_OK, "NFS3_OK"},
	    {NFS3ERR_PERM, "NFS3ERR_PERM"},
	    {NFS3ERR_NOENT, "NFS3ERR_NOENT"},
	    {NFS3ERR_IO, "NFS3ERR_IO"},
	    {NFS3ERR_NXIO, "NFS3ERR_NXIO"},
	    {NFS3ERR_ACCES, "NFS3ERR_ACCES"},
	    {NFS3ERR_EXIST, "NFS3ERR_EXIST"},
	    {NFS3ERR_XDEV, "NFS3ERR_XDEV"},
	    {NFS3ERR_NODEV, "NFS3ERR_NODEV"},
	    {NFS3ERR_NOTDIR, "NFS3ERR_NOTDIR"},
	    {NFS3ERR_ISDIR, "NFS3ERR_ISDIR"},
	    {NFS3ERR_INVAL, "NFS3ERR_INVAL"},
	    {NFS3ERR_FBIG, "NFS3ERR_FBIG"},
	    {NFS3ERR_NOSPC, "NFS3ERR_NOSPC"},
	    {NFS3ERR_ROFS, "NFS3ERR_ROFS"},
	    {NFS3ERR_MLINK, "NFS3ERR_MLINK"},
	    {NFS3ERR_NAMETOOLONG, "NFS3ERR_NAMETOOLONG"},
	    {NFS3ERR_NOTEMPTY, "NFS3ERR_NOTEMPTY"},
	    {NFS3ERR_DQUOT, "NFS3ERR_DQUOT"},
	    {NFS3ERR_STALE, "NFS3ERR_STALE"},
	    {NFS3ERR_REMOTE, "NFS3ERR_REMOTE"},
	    {NFS3ERR_BADHANDLE, "NFS3ERR_BADHANDLE"},
	    {NFS3ERR_NOT_SYNC, "NFS3ERR_NOT_SYNC"},
	    {NFS3ERR_BAD_COOKIE, "NFS3ERR_BAD_COOKIE"},
	    {NFS3ERR_NOTSUPP, "NFS3ERR_NOTSUPP"},
	    {NFS3ERR_TOOSMALL, "NFS3ERR_TOOSMALL"},
	    {NFS3ERR_SERVERFAULT, "NFS3ERR_SERVERFAULT"},
	    {NFS3ERR_BADTYPE, "NFS3ERR_BADTYPE"},
	    {NFS3ERR_JUKEBOX, "NFS3ERR_JUKEBOX"},
	};
	static _Thread_local char number[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].status == status)
			return names[i].name;
	snprintf(number, sizeof(number), "status %u", status);
	return number;
}

/* --- reading */

static bool
take_time(struct cursor *c, struct nfs3_time *t)
{
	return cursor_u32(c, &t->sec) && cursor_u32(c, &t->nsec);
}

bool
nfs3_fattr_take(struct cursor *c, struct nfs3_fattr *a)
{
	return cursor_u32(c, &a->type) && a->type >= NF3REG &&
	       a->type <= NF3FIFO && cursor_u32(c, &a->mode) &&
	       cursor_u32(c, &a->nlink) && cursor_u32(c, &a->uid) &&
	       cursor_u32(c, &a->gid) && cursor_u64(c, &a->size) &&
	       cursor_u64(c, &a->used) && cursor_u32(c, &a->rdev[0]) &&
	       cursor_u32(c, &a->rdev[1]) && cursor_u64(c, &a->fsid) &&
	       cursor_u64(c, &a->fileid) && take_time(c, &a->atime) &&
	       take_time(c, &a->mtime) && take_time(c, &a->ctime);
}

bool
nfs3_post_attr_take(struct cursor *c, bool *has, struct nfs3_fattr *a)
{
	uint32_t follows;

	if (!cursor_u32(c, &follows) || follows > 1)
		return false;
	*has = follows == 1;
	return !*has || nfs3_fattr_take(c, a);
}

static bool
take_lookup(struct cursor *c, struct nfs3_found *f)
{
	struct nfs3_bytes fh;

	if (f->status != NFS3_OK)
		return nfs3_post_attr_take(c, &f->has_dir, &f->dir);
	return cursor_opaque(c, NFS3_FHSIZE, &fh.p, &fh.len) &&
	       nfs3_fh_set(&f->fh, &fh) &&
	       nfs3_post_attr_take(c, &f->has_attr, &f->attr) &&
	       nfs3_post_attr_take(c, &f->has_dir, &f->dir);
}

static bool
take_getattr(struct cursor *c, struct nfs3_found *f)
{
	f->has_attr = f->status == NFS3_OK;
	return !f->has_attr || nfs3_fattr_take(c, &f->attr);
}

static bool
take_readlink(struct cursor *c, struct nfs3_found *f)
{
	return nfs3_post_attr_take(c, &f->has_attr, &f->attr) &&
	       (f->status != NFS3_OK || cursor_opaque(c, NFS3_PATHMAX,
					    &f->target.p, &f->target.len));
}

int
nfs3_found_parse(uint32_t proc, struct cursor c, struct nfs3_found *out)
{
	bool ok = false;

	memset(out, 0, sizeof(*out));
	if (nfs3_status_parse(c, &out->status) == -1)
		return -1;
	c = cursor_make(c.p + 4, c.left - 4);
	switch (proc) {
	case NFS3_LOOKUP:
		ok = take_lookup(&c, out);
		break;
	case NFS3_GETATTR:
		ok = take_getattr(&c, out);
		break;
	case NFS3_READLINK:
		ok = take_readlink(&c, out);
		break;
	}
	return ok && c.left == 0 ? 0 : -1;
}

int
nfs3_status_parse(struct cursor results, uint32_t *status)
{
	return cursor_u32(&results, status) ? 0 : -1;
}

/* --- writing */

static uint8_t *
room(struct nfs3_out *o, size_t n)
{
	uint8_t *p = o->p;

	if (o->short_of || n > o->left) {
		o->short_of = true;
		return NULL;
	}
	o->p += n;
	o->left -= n;
	return p;
}

void
nfs3_put_u32(struct nfs3_out *o, uint32_t v)
{
	uint8_t *p = room(o, 4);

	if (p != NULL)
		be32_put(p, v);
}

void
nfs3_put_u64(struct nfs3_out *o, uint64_t v)
{
	nfs3_put_u32(o, (uint32_t)(v >> 32));
	nfs3_put_u32(o, (uint32_t)v);
}

void
nfs3_put_opaque(struct nfs3_out *o, const void *bytes, uint32_t len)
{
	uint32_t pad = (0u - len) & 3u;
	uint8_t *p;

	nfs3_put_u32(o, len);
	p = room(o, (size_t)len + pad);
	if (p == NULL || len == 0)
		return;
	memcpy(p, bytes, len);
	memset(p + len, 0, pad);
}

static void
put_time(struct nfs3_out *o, const struct nfs3_time *t)
{
	nfs3_put_u32(o, t->sec);
	nfs3_put_u32(o, t->nsec);
}

void
nfs3_put_fattr(struct nfs3_out *o, const struct nfs3_fattr *a)
{
	nfs3_put_u32(o, a->type);
	nfs3_put_u32(o, a->mode);
	nfs3_put_u32(o, a->nlink);
	nfs3_put_u32(o, a->uid);
	nfs3_put_u32(o, a->gid);
	nfs3_put_u64(o, a->size);
	nfs3_put_u64(o, a->used);
	nfs3_put_u32(o, a->rdev[0]);
	nfs3_put_u32(o, a->rdev[1]);
	nfs3_put_u64(o, a->fsid);
	nfs3_put_u64(o, a->fileid);
	put_time(o, &a->atime);
	put_time(o, &a->mtime);
	put_time(o, &a->ctime);
}

void
nfs3_put_post_attr(struct nfs3_out *o, const struct nfs3_fattr *a)
{
	nfs3_put_u32(o, a != NULL);
	if (a != NULL)
		nfs3_put_fattr(o, a);
}

void
nfs3_put_wcc(struct nfs3_out *o, const struct nfs3_fattr *after)
{
	nfs3_put_u32(o, 0); /* pre_op_attr: none */
	nfs3_put_post_attr(o, after);
}

static void
put_optional_u32(struct nfs3_out *o, bool set, uint32_t v)
{
	nfs3_put_u32(o, set);
	if (set)
		nfs3_put_u32(o, v);
}

static void
put_set_time(
    struct nfs3_out *o, enum nfs3_time_how how, const struct nfs3_time *t)
{
	nfs3_put_u32(o, how);
	if (how == NFS3_CLIENT_TIME)
		put_time(o, t);
}

void
nfs3_put_sattr(struct nfs3_out *o, const struct nfs3_sattr *s)
{
	put_optional_u32(o, s->set_mode, s->mode);
	put_optional_u32(o, s->set_uid, s->uid);
	put_optional_u32(o, s->set_gid, s->gid);
	nfs3_put_u32(o, s->set_size);
	if (s->set_size)
		nfs3_put_u64(o, s->size);
	put_set_time(o, s->set_atime, &s->atime);
	put_set_time(o, s->set_mtime, &s->mtime);
}

static void
put_post_fh(struct nfs3_out *o, const struct nfs3_fh *fh)
{
	nfs3_put_u32(o, fh != NULL);
	if (fh != NULL)
		nfs3_put_opaque(o, fh->b, fh->len);
}

/* The results behind the status; section 3.3, each XXXres of that name. */
static bool
put_results(struct nfs3_out *o, const struct nfs3_reply *r)
{
	switch (r->proc) {
	case NFS3_SETATTR:
		nfs3_put_wcc(o, r->attr);
		return true;
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
	case NFS3_MKNOD:
		if (r->status == NFS3_OK) {
			put_post_fh(o, r->fh);
			nfs3_put_post_attr(o, r->attr);
		}
		nfs3_put_wcc(o, r->dir);
		return true;
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		nfs3_put_wcc(o, r->dir);
		return true;
	case NFS3_RENAME:
		nfs3_put_wcc(o, r->dir);
		nfs3_put_wcc(o, r->dir2);
		return true;
	case NFS3_LINK:
		nfs3_put_post_attr(o, r->attr);
		nfs3_put_wcc(o, r->dir);
		return true;
	}
	return false;
}

size_t
nfs3_reply_write(void *buf, size_t size, const struct nfs3_reply *r)
{
	struct nfs3_out o = {.p = buf, .left = size};
	size_t head;

	if (size < RPC_ANSWER_MAX)
		return 0;
	head = rpc_answer_write(buf, r->xid, RPC_ANSWER_SUCCESS, 0, 0);
	(void)room(&o, head);
	nfs3_put_u32(&o, r->status);
	if (!put_results(&o, r) || o.short_of)
		return 0;
	return size - o.left;
}

bool
nfs3_call_begin(struct nfs3_out *o, uint32_t xid, uint32_t proc,
    uint32_t cred_flavor, const struct nfs3_bytes *cred)
{
	nfs3_put_u32(o, xid);
	nfs3_put_u32(o, 0); /* CALL */
	nfs3_put_u32(o, 2); /* of RPC */
	nfs3_put_u32(o, RPC_PROG_NFS);
	nfs3_put_u32(o, 3);
	nfs3_put_u32(o, proc);
	nfs3_put_u32(o, cred_flavor);
	nfs3_put_opaque(o, cred->p, cred->len);
	nfs3_put_u32(o, RPC_AUTH_NONE);
	nfs3_put_u32(o, 0);
	return !o->short_of;
}
