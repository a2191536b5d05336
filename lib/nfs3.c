/*
 * NFSv3 argument layouts (RFC 1813, section 3.3), as far as hanfs looks.
 * No I/O, no memory of its own.
 */
#include "hanfs/nfs3.h"

const char *const nfs3_proc_names[NFS3_NPROC] = {
    "NULL",    "GETATTR", "SETATTR", "LOOKUP",	   "ACCESS", "READLINK",
    "READ",    "WRITE",	  "CREATE",  "MKDIR",	   "SYMLINK", "MKNOD",
    "REMOVE",  "RMDIR",	  "RENAME",  "LINK",	   "READDIR", "READDIRPLUS",
    "FSSTAT",  "FSINFO",  "PATHCONF", "COMMIT",
};

const char *const call_class_names[3] = {"passed", "tracked", "logged"};

enum { SMALL_REPLY = 1024 };

enum call_class
nfs3_class(uint32_t proc)
{
	switch (proc) {
	case NFS3_WRITE:
	case NFS3_COMMIT:
		return CALL_TRACKED;
	case NFS3_SETATTR:
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
	case NFS3_MKNOD:
	case NFS3_REMOVE:
	case NFS3_RMDIR:
	case NFS3_RENAME:
	case NFS3_LINK:
		return CALL_LOGGED;
	}
	return CALL_PASSED;
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

/* A discriminated union of void or n bytes: set_mode3 and its like. */
static bool
take_optional(struct cursor *c, size_t n, bool *set)
{
	const uint8_t *p;
	uint32_t on;

	if (!cursor_u32(c, &on) || on > 1)
		return false;
	*set = on == 1;
	return !*set || cursor_take(c, n, &p);
}

/* set_atime, set_mtime: DONT_CHANGE, SET_TO_SERVER_TIME, SET_TO_CLIENT_TIME */
static bool
take_time(struct cursor *c)
{
	const uint8_t *p;
	uint32_t how;

	if (!cursor_u32(c, &how) || how > 2)
		return false;
	return how != 2 || cursor_take(c, 8, &p);
}

static bool
take_sattr(struct cursor *c, struct nfs3_args *a)
{
	uint32_t on;
	bool set;

	if (!take_optional(c, 4, &set) || !take_optional(c, 4, &set) ||
	    !take_optional(c, 4, &set) || !cursor_u32(c, &on) || on > 1)
		return false;
	a->sets_size = on == 1;
	if (a->sets_size && !cursor_u64(c, &a->size))
		return false;
	return take_time(c) && take_time(c);
}

static bool
take_setattr(struct cursor *c, struct nfs3_args *a)
{
	bool guard;

	return take_fh(c, &a->fh) && take_sattr(c, a) &&
	    take_optional(c, 8, &guard);
}

static bool
take_create(struct cursor *c, struct nfs3_args *a)
{
	const uint8_t *verf;
	uint32_t how;

	if (!take_dirop(c, &a->fh, &a->name) || !cursor_u32(c, &how))
		return false;
	if (how <= 1) /* UNCHECKED, GUARDED */
		return take_sattr(c, a);
	return how == 2 && cursor_take(c, 8, &verf); /* EXCLUSIVE */
}

static bool
take_mknod(struct cursor *c, struct nfs3_args *a)
{
	const uint8_t *spec;
	uint32_t type;

	if (!take_dirop(c, &a->fh, &a->name) || !cursor_u32(c, &type))
		return false;
	switch (type) {
	case 3: /* NF3BLK */
	case 4: /* NF3CHR */
		return take_sattr(c, a) && cursor_take(c, 8, &spec);
	case 6: /* NF3SOCK */
	case 7: /* NF3FIFO */
		return take_sattr(c, a);
	}
	return true; /* others carry nothing; the server says NFS3ERR_BADTYPE */
}

static bool
take_symlink(struct cursor *c, struct nfs3_args *a)
{
	return take_dirop(c, &a->fh, &a->name) && take_sattr(c, a) &&
	    cursor_opaque(c, NFS3_PATHMAX, &a->target.p, &a->target.len);
}

static bool
take_readdir(struct cursor *c, struct nfs3_args *a, bool plus)
{
	const uint8_t *verf;
	uint64_t cookie;
	uint32_t dircount;

	return take_fh(c, &a->fh) && cursor_u64(c, &cookie) &&
	    cursor_take(c, 8, &verf) && (!plus || cursor_u32(c, &dircount)) &&
	    cursor_u32(c, &a->count);
}

/* The data of a WRITE: c ends after what of it was given. */
static bool
take_write(struct cursor *c, struct nfs3_args *a, const uint8_t *start,
    uint32_t args_len)
{
	uint32_t stable, data_len, head;
	uint64_t rest;

	if (!take_fh(c, &a->fh) || !cursor_u64(c, &a->offset) ||
	    !cursor_u32(c, &a->count) || !cursor_u32(c, &stable) ||
	    !cursor_u32(c, &data_len) || stable > 2)
		return false;
	head = (uint32_t)(c->p - start);
	a->identity_len = head;
	rest = (uint64_t)data_len + ((0u - data_len) & 3u);
	if (a->count > data_len || rest != args_len - head)
		return false;
	c->p += c->left;
	c->left = 0;
	return true;
}

static bool
take_args(uint32_t proc, struct cursor *c, struct nfs3_args *a,
    uint32_t args_len)
{
	uint32_t access;

	switch (proc) {
	case NFS3_NULL:
		return true;
	case NFS3_GETATTR:
	case NFS3_READLINK:
	case NFS3_FSSTAT:
	case NFS3_FSINFO:
	case NFS3_PATHCONF:
		return take_fh(c, &a->fh);
	case NFS3_ACCESS:
		return take_fh(c, &a->fh) && cursor_u32(c, &access);
	case NFS3_READ:
	case NFS3_COMMIT:
		return take_fh(c, &a->fh) && cursor_u64(c, &a->offset) &&
		    cursor_u32(c, &a->count);
	case NFS3_WRITE:
		return take_write(c, a, c->p, args_len);
	case NFS3_SETATTR:
		return take_setattr(c, a);
	case NFS3_CREATE:
		return take_create(c, a);
	case NFS3_MKDIR:
		return take_dirop(c, &a->fh, &a->name) && take_sattr(c, a);
	case NFS3_SYMLINK:
		return take_symlink(c, a);
	case NFS3_MKNOD:
		return take_mknod(c, a);
	case NFS3_LOOKUP:
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		return take_dirop(c, &a->fh, &a->name);
	case NFS3_RENAME:
		return take_dirop(c, &a->fh, &a->name) &&
		    take_dirop(c, &a->fh2, &a->name2);
	case NFS3_LINK:
		return take_fh(c, &a->fh) && take_dirop(c, &a->fh2, &a->name2);
	case NFS3_READDIR:
		return take_readdir(c, a, false);
	case NFS3_READDIRPLUS:
		return take_readdir(c, a, true);
	}
	return false;
}

int
nfs3_args_parse(uint32_t proc, struct cursor args, uint32_t args_len,
    struct nfs3_args *out)
{
	const uint8_t *start = args.p;

	memset(out, 0, sizeof(*out));
	out->identity_len = args_len;
	out->reply_max = SMALL_REPLY;
	if (args.left > args_len || !take_args(proc, &args, out, args_len))
		return -1;
	/* But for WRITE all arguments must be here, and nothing after them. */
	if (args.left != 0 ||
	    (proc != NFS3_WRITE && (size_t)(args.p - start) != args_len))
		return -1;
	switch (proc) {
	case NFS3_READ:
	case NFS3_READDIR:
	case NFS3_READDIRPLUS:
		out->reply_max = out->count <= UINT32_MAX - SMALL_REPLY
		    ? SMALL_REPLY + out->count
		    : UINT32_MAX;
		break;
	case NFS3_READLINK:
		out->reply_max = SMALL_REPLY + NFS3_PATHMAX;
		break;
	}
	return 0;
}
