/*
 * What the arguments of a logged NFSv3 call give (RFC 1813, section 3.3):
 * handles, names and values. See hanfs/nfs3_reply.h. Pure.
 */
#include "hanfs/nfs3_reply.h"

bool
nfs3_fh_equal(const struct nfs3_fh *a, const struct nfs3_fh *b)
{
	return a->len == b->len && memcmp(a->b, b->b, a->len) == 0;
}

bool
nfs3_fh_set(struct nfs3_fh *fh, const struct nfs3_bytes *bytes)
{
	if (bytes->len > NFS3_FHSIZE)
		return false;
	memset(fh, 0, sizeof(*fh));
	fh->len = bytes->len;
	if (bytes->len > 0)
		memcpy(fh->b, bytes->p, bytes->len);
	return true;
}

struct nfs3_bytes
nfs3_fh_bytes(const struct nfs3_fh *fh)
{
	return (struct nfs3_bytes){fh->b, fh->len};
}

static bool
take_fh(struct cursor *c, struct nfs3_bytes *fh)
{
	return cursor_opaque(c, NFS3_FHSIZE, &fh->p, &fh->len);
}

static bool
take_dirop(struct cursor *c, struct nfs3_bytes *fh, struct nfs3_bytes *name)
{
	return take_fh(c, fh) &&
	       cursor_opaque(c, NFS3_NAMEMAX, &name->p, &name->len);
}

static bool
take_bool(struct cursor *c, bool *on)
{
	uint32_t v;

	if (!cursor_u32(c, &v) || v > 1)
		return false;
	*on = v == 1;
	return true;
}

static bool
take_optional_u32(struct cursor *c, bool *set, uint32_t *v)
{
	return take_bool(c, set) && (!*set || cursor_u32(c, v));
}

static bool
take_time(struct cursor *c, struct nfs3_time *t)
{
	return cursor_u32(c, &t->sec) && cursor_u32(c, &t->nsec);
}

static bool
take_set_time(struct cursor *c, enum nfs3_time_how *how, struct nfs3_time *t)
{
	uint32_t v;

	if (!cursor_u32(c, &v) || v > NFS3_CLIENT_TIME)
		return false;
	*how = (enum nfs3_time_how)v;
	return v != NFS3_CLIENT_TIME || take_time(c, t);
}

static bool
take_sattr(struct cursor *c, struct nfs3_sattr *s)
{
	return take_optional_u32(c, &s->set_mode, &s->mode) &&
	       take_optional_u32(c, &s->set_uid, &s->uid) &&
	       take_optional_u32(c, &s->set_gid, &s->gid) &&
	       take_bool(c, &s->set_size) &&
	       (!s->set_size || cursor_u64(c, &s->size)) &&
	       take_set_time(c, &s->set_atime, &s->atime) &&
	       take_set_time(c, &s->set_mtime, &s->mtime);
}

static bool
take_setattr(struct cursor *c, struct nfs3_values *v)
{
	return take_sattr(c, &v->sattr) && take_bool(c, &v->guard) &&
	       (!v->guard || take_time(c, &v->guard_ctime));
}

static bool
take_create(struct cursor *c, struct nfs3_values *v)
{
	const uint8_t *verf;
	uint32_t how;

	if (!cursor_u32(c, &how) || how > NFS3_EXCLUSIVE)
		return false;
	v->how = (enum nfs3_createmode)how;
	if (v->how != NFS3_EXCLUSIVE)
		return take_sattr(c, &v->sattr);
	if (!cursor_take(c, sizeof(v->verf), &verf))
		return false;
	memcpy(v->verf, verf, sizeof(v->verf));
	return true;
}

static bool
take_mknod(struct cursor *c, struct nfs3_values *v)
{
	if (!cursor_u32(c, &v->type))
		return false;
	switch (v->type) {
	case NF3BLK:
	case NF3CHR:
		return take_sattr(c, &v->sattr) && cursor_u32(c, &v->rdev[0]) &&
		       cursor_u32(c, &v->rdev[1]);
	case NF3SOCK:
	case NF3FIFO:
		return take_sattr(c, &v->sattr);
	}
	return true; /* no values: NFS3ERR_BADTYPE */
}

/* The target may be cut short: missing bytes of the arguments are not in c. */
static bool
take_symlink(struct cursor *c, uint32_t missing, struct nfs3_values *v)
{
	const uint8_t *p;
	uint64_t padded;

	if (!take_sattr(c, &v->sattr) || !cursor_u32(c, &v->target_len) ||
	    v->target_len > NFS3_PATHMAX)
		return false;
	padded = (uint64_t)v->target_len + ((0u - v->target_len) & 3u);
	if (padded != c->left + missing)
		return false;
	v->target.p = c->p;
	v->target.len =
	    c->left < v->target_len ? (uint32_t)c->left : v->target_len;
	return cursor_take(c, c->left, &p);
}

static bool
take_values(uint32_t proc, struct cursor *c, uint32_t missing,
    struct nfs3_args *n, struct nfs3_values *v)
{
	switch (proc) {
	case NFS3_SETATTR:
		return take_fh(c, &n->fh) && take_setattr(c, v);
	case NFS3_CREATE:
		return take_dirop(c, &n->fh, &n->name) && take_create(c, v);
	case NFS3_MKDIR:
		return take_dirop(c, &n->fh, &n->name) &&
		       take_sattr(c, &v->sattr);
	case NFS3_SYMLINK:
		return take_dirop(c, &n->fh, &n->name) &&
		       take_symlink(c, missing, v);
	case NFS3_MKNOD:
		return take_dirop(c, &n->fh, &n->name) && take_mknod(c, v);
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		return take_dirop(c, &n->fh, &n->name);
	case NFS3_RENAME:
		return take_dirop(c, &n->fh, &n->name) &&
		       take_dirop(c, &n->fh2, &n->name2);
	case NFS3_LINK:
		return take_fh(c, &n->fh) && take_dirop(c, &n->fh2, &n->name2);
	}
	return false;
}

int
nfs3_values_parse(uint32_t proc, struct cursor args, uint32_t args_len,
    struct nfs3_args *names, struct nfs3_values *values)
{
	uint32_t missing;

	memset(names, 0, sizeof(*names));
	memset(values, 0, sizeof(*values));
	if (args.left > args_len)
		return -1;
	missing = args_len - (uint32_t)args.left;
	if ((missing > 0 && proc != NFS3_SYMLINK) ||
	    !take_values(proc, &args, missing, names, values) || args.left > 0)
		return -1;
	names->target = values->target;
	names->sets_size = values->sattr.set_size;
	names->size = values->sattr.size;
	names->identity_len = args_len;
	return 0;
}
