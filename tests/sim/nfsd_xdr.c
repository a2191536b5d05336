/* Calls and replies of a server as bytes. See nfsd.h. */
#include <assert.h>
#include <string.h>

#include "hanfs/rpc.h"
#include "nfsd.h"

enum { MACHINE_LEN = 4, CRED_LEN = 5 * 4 + MACHINE_LEN };

uint8_t *
nfs_put(uint8_t *p, uint32_t v)
{
	be32_put(p, v);
	return p + 4;
}

uint8_t *
nfs_put64(uint8_t *p, uint64_t v)
{
	return nfs_put(nfs_put(p, (uint32_t)(v >> 32)), (uint32_t)v);
}

uint8_t *
nfs_put_text(uint8_t *p, uint64_t text)
{
	uint8_t name[FS_NAME_LEN] = {0};
	size_t n = fs_text_put(text, name);

	p = nfs_put(p, (uint32_t)n);
	n = (n + 3) & ~(size_t)3;
	memcpy(p, name, n);
	return p + n;
}

void
nfs_handle_put(uint8_t p[NFS_HANDLE_LEN], const struct nfs_handle *h)
{
	nfs_put(nfs_put(nfs_put(nfs_put(p, 0x73696d00), h->volume), h->inode),
	    h->gen);
}

bool
nfs_handle_get(const uint8_t *p, size_t len, struct nfs_handle *h)
{
	if (len != NFS_HANDLE_LEN || be32_get(p) != 0x73696d00)
		return false;
	*h = (struct nfs_handle){
	    be32_get(p + 4), be32_get(p + 8), be32_get(p + 12)};
	return true;
}

uint8_t *
nfs_put_fh(uint8_t *p, const struct nfs_handle *h)
{
	p = nfs_put(p, NFS_HANDLE_LEN);
	nfs_handle_put(p, h);
	return p + NFS_HANDLE_LEN;
}

uint8_t *
nfs_put_sattr(uint8_t *p, const struct nfs_sattr *s)
{
	p = nfs_put(p, (s->set & SET_MODE) != 0);
	if (s->set & SET_MODE)
		p = nfs_put(p, s->mode);
	p = nfs_put(p, s->set_uid);
	if (s->set_uid)
		p = nfs_put(p, s->uid);
	p = nfs_put(p, s->set_gid);
	if (s->set_gid)
		p = nfs_put(p, s->gid);
	p = nfs_put(p, (s->set & SET_SIZE) != 0);
	if (s->set & SET_SIZE)
		p = nfs_put64(p, s->size);
	p = nfs_put(p, s->atime_how);
	if (s->atime_how == 2)
		p = nfs_put64(p, s->atime);
	p = nfs_put(p, s->mtime_how);
	if (s->mtime_how == 2)
		p = nfs_put64(p, s->mtime);
	return p;
}

uint8_t *
nfs_put_call(uint8_t *p, uint32_t xid, uint32_t proc, uint32_t client)
{
	p = nfs_put(nfs_put(nfs_put(p, xid), 0), 2);
	p = nfs_put(nfs_put(nfs_put(p, RPC_PROG_NFS), 3), proc);
	p = nfs_put(nfs_put(p, RPC_AUTH_SYS), CRED_LEN);
	p = nfs_put(nfs_put(p, 0), MACHINE_LEN); /* stamp, machine's name */
	memcpy(p, "host", MACHINE_LEN);
	p += MACHINE_LEN;
	p = nfs_put(nfs_put(nfs_put(p, 1000 + client), 0), 0);
	return nfs_put(nfs_put(p, RPC_AUTH_NONE), 0);
}

/* --- calls */

static bool
take_fh(struct cursor *c, struct nfs_handle *h)
{
	const uint8_t *p;
	uint32_t len;

	return cursor_opaque(c, NFS3_FHSIZE, &p, &len) &&
	       nfs_handle_get(p, len, h);
}

static bool
take_text(struct cursor *c, uint64_t *text)
{
	const uint8_t *p;
	uint32_t len;

	if (!cursor_opaque(c, FS_NAME_LEN, &p, &len))
		return false;
	*text = fs_text(p, len);
	return true;
}

static bool
take_time(struct cursor *c, uint32_t *how, uint64_t *t)
{
	return cursor_u32(c, how) && *how <= 2 &&
	       (*how != 2 || cursor_u64(c, t));
}

static bool
take_opt(struct cursor *c, bool *set, uint32_t *v)
{
	uint32_t is;

	if (!cursor_u32(c, &is))
		return false;
	*set = is != 0;
	return !*set || cursor_u32(c, v);
}

static bool
take_sattr(struct cursor *c, struct nfs_sattr *s)
{
	bool mode;
	uint32_t size;

	if (!take_opt(c, &mode, &s->mode) ||
	    !take_opt(c, &s->set_uid, &s->uid) ||
	    !take_opt(c, &s->set_gid, &s->gid) || !cursor_u32(c, &size) ||
	    (size != 0 && !cursor_u64(c, &s->size)) ||
	    !take_time(c, &s->atime_how, &s->atime) ||
	    !take_time(c, &s->mtime_how, &s->mtime))
		return false;
	s->set = (mode ? SET_MODE : 0u) | (size != 0 ? SET_SIZE : 0u) |
		 (s->set_uid || s->set_gid ? SET_OWNER : 0u) |
		 (s->atime_how != 0 || s->mtime_how != 0 ? SET_TIMES : 0u);
	return true;
}

static bool
take_create(struct cursor *c, struct nfsd_call *n)
{
	uint32_t how;

	if (!take_fh(c, &n->fh) || !take_text(c, &n->name) ||
	    !cursor_u32(c, &how) || how > EXCLUSIVE)
		return false;
	n->how = (enum create_how)how;
	n->type = FS_REG;
	return how == EXCLUSIVE ? cursor_u64(c, &n->verf)
				: take_sattr(c, &n->sattr);
}

static bool
take_made(struct cursor *c, struct nfsd_call *n)
{
	uint32_t type;

	if (!take_fh(c, &n->fh) || !take_text(c, &n->name))
		return false;
	n->type = FS_DIR;
	if (n->proc == NFS3_MKNOD) {
		n->type = FS_FIFO;
		if (!cursor_u32(c, &type) || type != FS_FIFO)
			return false;
	}
	if (!take_sattr(c, &n->sattr))
		return false;
	if (n->proc != NFS3_SYMLINK)
		return true;
	n->type = FS_LNK;
	return take_text(c, &n->target);
}

static bool
take_write(struct cursor *c, struct nfsd_call *n)
{
	const uint8_t *p;
	uint32_t len, stable;

	if (!take_fh(c, &n->fh) || !cursor_u64(c, &n->offset) ||
	    !cursor_u32(c, &n->count) || !cursor_u32(c, &stable) ||
	    !cursor_opaque(c, FS_BLOCK_LEN, &p, &len) || len != FS_BLOCK_LEN)
		return false;
	n->stable = (enum stable_how)stable;
	n->value = (uint64_t)be32_get(p) << 32 | be32_get(p + 4);
	return true;
}

static bool
take_args(struct cursor *c, struct nfsd_call *n)
{
	uint32_t guard;

	switch (n->proc) {
	case NFS3_SETATTR:
		if (!take_fh(c, &n->fh) || !take_sattr(c, &n->sattr) ||
		    !cursor_u32(c, &guard))
			return false;
		n->guarded = guard != 0;
		return guard == 0 || cursor_u64(c, &n->guard);
	case NFS3_GETATTR:
	case NFS3_READLINK:
		return take_fh(c, &n->fh);
	case NFS3_ACCESS:
		return take_fh(c, &n->fh) && cursor_u32(c, &n->count);
	case NFS3_READ:
	case NFS3_COMMIT:
		return take_fh(c, &n->fh) && cursor_u64(c, &n->offset) &&
		       cursor_u32(c, &n->count);
	case NFS3_WRITE:
		return take_write(c, n);
	case NFS3_CREATE:
		return take_create(c, n);
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
	case NFS3_MKNOD:
		return take_made(c, n);
	case NFS3_LOOKUP:
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		return take_fh(c, &n->fh) && take_text(c, &n->name);
	case NFS3_RENAME:
		return take_fh(c, &n->fh) && take_text(c, &n->name) &&
		       take_fh(c, &n->fh2) && take_text(c, &n->name2);
	case NFS3_LINK:
		return take_fh(c, &n->fh) && take_fh(c, &n->fh2) &&
		       take_text(c, &n->name2);
	default:
		return false;
	}
}

bool
nfsd_decode(const uint8_t *p, size_t len, struct nfsd_call *n)
{
	struct rpc_call rpc;
	struct cursor cred;
	uint32_t v;

	memset(n, 0, sizeof(*n));
	n->client = NOBODY;
	if (rpc_call_parse(p, len, &rpc) != RPC_PARSE_OK ||
	    rpc.prog != RPC_PROG_NFS || rpc.vers != 3)
		return false;
	n->xid = rpc.xid;
	n->proc = rpc.proc;
	if (rpc.cred_flavor == RPC_AUTH_SYS) {
		cred = cursor_make(rpc.cred, rpc.cred_len);
		if (rpc.cred_len == CRED_LEN &&
		    cursor_take(&cred, 8 + MACHINE_LEN, &p) &&
		    cursor_u32(&cred, &v))
			n->client = v - 1000;
	}
	return take_args(&rpc.args, n) && rpc.args.left == 0;
}

/* --- replies */

static uint8_t *
put_attr(uint8_t *p, const struct fs *fs, uint32_t inode)
{
	const struct fs_inode *i = &fs->inode[inode];

	p = nfs_put(nfs_put(p, i->type), i->mode);
	p = nfs_put(nfs_put(nfs_put(p, i->nlink), i->uid), i->gid);
	p = nfs_put64(nfs_put64(p, fs_data(i)->size), fs_data(i)->size);
	p = nfs_put64(nfs_put64(p, 0), 77); /* device, file system */
	p = nfs_put64(p, inode);
	return nfs_put64(nfs_put64(nfs_put64(p, i->atime), i->mtime), i->ctime);
}

static uint8_t *
put_post(uint8_t *p, const struct fs *fs, uint32_t inode)
{
	if (inode == 0 || fs->inode[inode].type == FS_FREE)
		return nfs_put(p, 0);
	return put_attr(nfs_put(p, 1), fs, inode);
}

static uint8_t *
put_wcc(uint8_t *p, const struct fs *fs, uint32_t inode)
{
	return put_post(nfs_put(p, 0), fs, inode);
}

static uint8_t *
put_obj_fh(uint8_t *p, const struct fs *fs, uint32_t volume, uint32_t inode)
{
	const struct nfs_handle h = {volume, inode, fs->inode[inode].gen};

	return nfs_put_fh(p, &h);
}

static uint8_t *
put_read(uint8_t *p, const struct fs *fs, const struct nfsd_call *c)
{
	const struct fs_data *d = fs_data(&fs->inode[c->obj]);
	uint32_t n = 0;

	for (uint64_t o = c->offset; o < d->size && n < c->count;
	     o += FS_BLOCK_LEN)
		n += FS_BLOCK_LEN;
	p = put_post(p, fs, c->obj);
	p = nfs_put(nfs_put(p, n), c->offset + n >= d->size);
	p = nfs_put(p, n);
	for (uint32_t i = 0; i < n / FS_BLOCK_LEN; i++)
		p = nfs_put64(p, d->block[c->offset / FS_BLOCK_LEN + i]);
	return p;
}

static uint8_t *
put_good(uint8_t *p, const struct fs *fs, const struct nfsd_call *c,
    uint32_t volume, uint64_t verf)
{
	switch (c->proc) {
	case NFS3_GETATTR:
		return put_attr(p, fs, c->obj);
	case NFS3_SETATTR:
		return put_wcc(p, fs, c->obj);
	case NFS3_LOOKUP:
		p = put_obj_fh(p, fs, volume, c->obj);
		return put_post(put_post(p, fs, c->obj), fs, c->dir);
	case NFS3_ACCESS:
		return nfs_put(put_post(p, fs, c->obj), c->count);
	case NFS3_READLINK:
		return nfs_put_text(
		    put_post(p, fs, c->obj), fs->inode[c->obj].target);
	case NFS3_READ:
		return put_read(p, fs, c);
	case NFS3_WRITE:
		p = nfs_put(put_wcc(p, fs, c->obj), c->count);
		return nfs_put64(nfs_put(p, c->stable), verf);
	case NFS3_COMMIT:
		return nfs_put64(put_wcc(p, fs, c->obj), verf);
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		return put_wcc(p, fs, c->dir);
	case NFS3_RENAME:
		return put_wcc(put_wcc(p, fs, c->dir), fs, c->dir2);
	case NFS3_LINK:
		return put_wcc(put_post(p, fs, c->obj), fs, c->dir2);
	default: /* what makes something */
		p = put_obj_fh(nfs_put(p, 1), fs, volume, c->obj);
		return put_wcc(put_post(p, fs, c->obj), fs, c->dir);
	}
}

static uint8_t *
put_bad(uint8_t *p, const struct fs *fs, const struct nfsd_call *c)
{
	switch (c->proc) {
	case NFS3_GETATTR:
		return p;
	case NFS3_LOOKUP:
		return put_post(p, fs, c->dir);
	case NFS3_ACCESS:
	case NFS3_READLINK:
	case NFS3_READ:
		return put_post(p, fs, c->obj);
	case NFS3_SETATTR:
	case NFS3_WRITE:
	case NFS3_COMMIT:
		return put_wcc(p, fs, c->obj);
	case NFS3_RENAME:
		return put_wcc(put_wcc(p, fs, c->dir), fs, c->dir2);
	case NFS3_LINK:
		return put_wcc(put_post(p, fs, c->obj), fs, c->dir2);
	default:
		return put_wcc(p, fs, c->dir);
	}
}

size_t
nfsd_reply(const struct fs *fs, const struct nfsd_call *c, uint32_t volume,
    uint64_t verf, uint8_t out[NFSD_REPLY_MAX])
{
	uint8_t *p =
	    out + rpc_answer_write(out, c->xid, RPC_ANSWER_SUCCESS, 0, 0);

	p = nfs_put(p, c->status);
	p = c->status == NFS_OK ? put_good(p, fs, c, volume, verf)
				: put_bad(p, fs, c);
	assert(p - out <= NFSD_REPLY_MAX);
	return (size_t)(p - out);
}
