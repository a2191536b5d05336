/* What calls do to the file system, in steps. See nfsd.h. */
#include <assert.h>

#include "nfsd.h"

static uint32_t
resolve(const struct fs *fs, uint32_t volume, const struct nfs_handle *h)
{
	if (h->volume != volume || h->inode == 0 || h->inode >= fs->ninodes ||
	    fs->inode[h->inode].type == FS_FREE ||
	    fs->inode[h->inode].gen != h->gen)
		return 0;
	return h->inode;
}

/* What a name stands for, 0: nothing; its place counts as seen. */
static uint32_t
find(const struct fs *fs, struct nfsd_call *c, uint32_t dir, uint64_t name)
{
	const struct fs_name *n = fs_look(fs, dir, name);

	if (n == NULL)
		return 0;
	if (n->pos > c->saw)
		c->saw = n->pos;
	return n->inode;
}

static void
saw_inode(const struct fs *fs, struct nfsd_call *c, uint32_t inode)
{
	if (fs->inode[inode].attr_pos > c->saw)
		c->saw = fs->inode[inode].attr_pos;
}

static void
step(struct fs *fs, struct nfsd_call *c)
{
	fs_step(fs);
	if (!c->changed)
		c->first = fs->end;
	c->changed = true;
	c->last = fs->end;
}

/* --- attributes */

static void
set_size(struct fs_inode *i, uint64_t size)
{
	struct fs_data *both[2] = {&i->data, &i->cached};

	for (int k = 0; k < 2; k++) {
		both[k]->size = size;
		for (uint64_t b = size / FS_BLOCK_LEN; b < FS_BLOCKS; b++)
			both[k]->block[b] = 0;
	}
	if (size == 0)
		i->dirty = false;
	i->mtime = i->ctime;
}

static bool
differs(const struct fs_inode *i, const struct nfs_sattr *s, uint32_t what)
{
	if (what == SET_SIZE)
		return s->size != fs_data(i)->size;
	if (what == SET_MODE)
		return s->mode != i->mode;
	return what != SET_OWNER || (s->set_uid && s->uid != i->uid) ||
	       (s->set_gid && s->gid != i->gid);
}

void
nfsd_go_on(struct fs *fs, struct nfsd_call *c)
{
	const struct nfs_sattr *s = &c->sattr;
	uint32_t what = c->todo & (~c->todo + 1); /* the lowest */
	struct fs_inode *i;

	assert(what != 0);
	c->todo &= ~what;
	step(fs, c);
	i = fs_attr(fs, c->obj);
	c->trace = c->trace || differs(i, s, what);
	switch (what) {
	case SET_SIZE:
		set_size(i, s->size);
		break;
	case SET_MODE:
		i->mode = s->mode;
		break;
	case SET_OWNER:
		i->uid = s->set_uid ? s->uid : i->uid;
		i->gid = s->set_gid ? s->gid : i->gid;
		break;
	case SET_TIMES:
		if (s->atime_how != 0)
			i->atime = s->atime_how == 2 ? s->atime : i->ctime;
		if (s->mtime_how != 0)
			i->mtime = s->mtime_how == 2 ? s->mtime : i->ctime;
		break;
	default:
		assert(0);
	}
}

static void
run_setattr(struct fs *fs, struct nfsd_call *c)
{
	const struct fs_inode *i = &fs->inode[c->obj];

	saw_inode(fs, c, c->obj);
	if (c->guarded && c->guard != i->ctime) {
		c->status = NFS_NOT_SYNC;
		return;
	}
	if ((c->sattr.set & SET_SIZE) && i->type != FS_REG) {
		c->status = i->type == FS_DIR ? NFS_ISDIR : NFS_INVAL;
		return;
	}
	c->todo = c->sattr.set;
	if (c->todo != 0)
		nfsd_go_on(fs, c);
}

/* --- names */

/* An exclusive CREATE's verifier is kept in the seconds of two times, as
 * Ganesha does it on a little-endian host. */
static uint64_t
verf_atime(const struct nfsd_call *c)
{
	return (uint64_t)__builtin_bswap32((uint32_t)(c->verf >> 32)) << 32;
}

static uint64_t
verf_mtime(const struct nfsd_call *c)
{
	return (uint64_t)__builtin_bswap32((uint32_t)c->verf) << 32;
}

/* A CREATE that finds what it would make. */
static void
create_found(struct fs *fs, struct nfsd_call *c)
{
	const struct fs_inode *i = &fs->inode[c->obj];

	if (i->type != FS_REG || c->how == GUARDED) {
		c->status = NFS_EXIST;
	} else if (c->how == EXCLUSIVE) {
		saw_inode(fs, c, c->obj);
		if (i->atime != verf_atime(c) || i->mtime != verf_mtime(c))
			c->status = NFS_EXIST;
	} else {
		c->todo = c->sattr.set & SET_SIZE; /* and no more */
		if (c->todo != 0)
			nfsd_go_on(fs, c);
	}
}

static void
run_make(struct fs *fs, struct nfsd_call *c)
{
	struct fs_inode *i;

	c->obj = find(fs, c, c->dir, c->name);
	if (c->obj != 0) {
		if (c->proc == NFS3_CREATE)
			create_found(fs, c);
		else
			c->status = NFS_EXIST;
		return;
	}
	step(fs, c);
	c->trace = true;
	c->obj = fs_make(fs, c->type);
	fs_link(fs, c->dir, c->name, c->obj);
	i = fs_change(fs, c->obj);
	i->target = c->target;
	i->mode = (c->sattr.set & SET_MODE) ? c->sattr.mode : 0600;
	c->todo = c->sattr.set & (SET_OWNER | SET_TIMES);
	if ((c->sattr.set & SET_SIZE) && c->sattr.size > 0)
		c->todo |= SET_SIZE;
	if (c->how == EXCLUSIVE) {
		c->todo = SET_TIMES;
		c->sattr.atime_how = c->sattr.mtime_how = 2;
		c->sattr.atime = verf_atime(c);
		c->sattr.mtime = verf_mtime(c);
	}
}

static void
run_remove(struct fs *fs, struct nfsd_call *c)
{
	bool dir;

	c->obj = find(fs, c, c->dir, c->name);
	if (c->obj == 0) {
		c->status = NFS_NOENT;
		return;
	}
	dir = fs->inode[c->obj].type == FS_DIR;
	if (dir != (c->proc == NFS3_RMDIR)) {
		c->status = dir ? NFS_ISDIR : NFS_NOTDIR;
		return;
	}
	if (dir && !fs_dir_empty(fs, c->obj)) {
		c->status = NFS_NOTEMPTY;
		return;
	}
	step(fs, c);
	c->trace = true;
	fs_link(fs, c->dir, c->name, 0);
	fs_unmake(fs, c->obj);
}

static void
run_rename(struct fs *fs, struct nfsd_call *c)
{
	uint32_t over = find(fs, c, c->dir2, c->name2);
	bool dir, over_dir;

	c->obj = find(fs, c, c->dir, c->name);
	if (c->obj == 0) {
		c->status = NFS_NOENT;
		return;
	}
	if (over == c->obj)
		return; /* POSIX: two links to one file both stay */
	dir = fs->inode[c->obj].type == FS_DIR;
	over_dir = over != 0 && fs->inode[over].type == FS_DIR;
	if (over != 0 && dir != over_dir) {
		c->status = dir ? NFS_NOTDIR : NFS_ISDIR;
		return;
	}
	if (over_dir && !fs_dir_empty(fs, over)) {
		c->status = NFS_NOTEMPTY;
		return;
	}
	step(fs, c);
	c->trace = true;
	fs_link(fs, c->dir, c->name, 0);
	fs_link(fs, c->dir2, c->name2, c->obj);
	fs_attr(fs, c->obj); /* ctime */
	if (over != 0)
		fs_unmake(fs, over);
}

static void
run_link(struct fs *fs, struct nfsd_call *c)
{
	if (fs->inode[c->obj].type == FS_DIR) {
		c->status = NFS_ISDIR;
		return;
	}
	if (find(fs, c, c->dir2, c->name2) != 0) {
		c->status = NFS_EXIST;
		return;
	}
	step(fs, c);
	c->trace = true;
	fs_link(fs, c->dir2, c->name2, c->obj);
	fs_attr(fs, c->obj)->nlink++;
}

/* --- data */

static void
run_data(struct fs *fs, struct nfsd_call *c)
{
	uint64_t block = c->offset / FS_BLOCK_LEN;

	if (fs->inode[c->obj].type != FS_REG || block >= FS_BLOCKS) {
		c->status = NFS_INVAL;
		return;
	}
	if (c->proc == NFS3_READ)
		return;
	if (c->proc == NFS3_WRITE)
		fs_write(fs, c->obj, (uint32_t)block, c->value);
	if (c->proc == NFS3_WRITE && c->stable == UNSTABLE)
		return;
	c->sync = true;
	if (!fs->inode[c->obj].dirty)
		return;
	fs_step(fs);
	fs_flush(fs, c->obj);
	c->last = fs->end;
}

static bool
resolve_all(struct fs *fs, uint32_t volume, struct nfsd_call *c)
{
	uint32_t *first = &c->obj;

	switch (c->proc) {
	case NFS3_LINK:
		c->dir2 = resolve(fs, volume, &c->fh2);
		if (c->dir2 == 0)
			return false;
		break;
	case NFS3_RENAME:
		c->dir2 = resolve(fs, volume, &c->fh2);
		if (c->dir2 == 0)
			return false;
		first = &c->dir;
		break;
	case NFS3_LOOKUP:
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
	case NFS3_MKNOD:
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		first = &c->dir;
		break;
	default:
		break;
	}
	*first = resolve(fs, volume, &c->fh);
	return *first != 0;
}

void
nfsd_begin(struct fs *fs, uint32_t volume, struct nfsd_call *c)
{
	c->status = NFS_OK;
	if (!resolve_all(fs, volume, c)) {
		c->status = NFS_STALE;
		return;
	}
	if (c->dir != 0 && fs->inode[c->dir].type != FS_DIR) {
		c->status = NFS_NOTDIR;
		return;
	}
	switch (c->proc) {
	case NFS3_SETATTR:
		run_setattr(fs, c);
		break;
	case NFS3_LOOKUP:
		c->obj = find(fs, c, c->dir, c->name);
		if (c->obj == 0)
			c->status = NFS_NOENT;
		break;
	case NFS3_GETATTR:
	case NFS3_ACCESS:
		saw_inode(fs, c, c->obj);
		break;
	case NFS3_READLINK:
		if (fs->inode[c->obj].type != FS_LNK)
			c->status = NFS_INVAL;
		break;
	case NFS3_READ:
	case NFS3_WRITE:
	case NFS3_COMMIT:
		run_data(fs, c);
		break;
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		run_remove(fs, c);
		break;
	case NFS3_RENAME:
		run_rename(fs, c);
		break;
	case NFS3_LINK:
		run_link(fs, c);
		break;
	default:
		run_make(fs, c);
	}
}
