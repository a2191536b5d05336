/*
 * A file system in memory. See minifs.h; its server is miniserver.c.
 */
#include <assert.h>
#include <stdio.h>

#include "tests/unit/minifs.h"

/* --- inodes and names */

void
mini_stamp(struct minifs *fs, struct nfs3_time *t)
{
	*t = (struct nfs3_time){++fs->clock, MINI_SERVER_NSEC};
}

unsigned
mini_inode_new(struct minifs *fs, uint32_t type, uint32_t uid, uint32_t mode)
{
	unsigned i = 0;
	struct mini_inode *n;

	while (fs->inode[i].used)
		i++;
	assert(i < MINI_INODES);
	n = &fs->inode[i];
	memset(n, 0, sizeof(*n));
	n->used = true;
	n->gen = ++fs->last_gen;
	n->type = type;
	n->uid = uid;
	n->mode = mode & 07777 & ~fs->masked;
	mini_stamp(fs, &n->atime);
	n->mtime = n->ctime = n->atime;
	return i;
}

struct mini_entry *
mini_entry_find(const struct minifs *fs, unsigned dir, const char *name)
{
	for (unsigned i = 0; i < MINI_ENTRIES; i++) {
		const struct mini_entry *e = &fs->entry[i];

		if (e->used && e->dir == dir && strcmp(e->name, name) == 0)
			return (struct mini_entry *)(uintptr_t)e;
	}
	return NULL;
}

bool
mini_dir_is_empty(const struct minifs *fs, unsigned dir)
{
	for (unsigned i = 0; i < MINI_ENTRIES; i++)
		if (fs->entry[i].used && fs->entry[i].dir == dir)
			return false;
	return true;
}

static void
dir_touch(struct minifs *fs, unsigned dir)
{
	mini_stamp(fs, &fs->inode[dir].mtime);
	fs->inode[dir].ctime = fs->inode[dir].mtime;
}

void
mini_entry_add(struct minifs *fs, unsigned dir, const char *name, unsigned ino)
{
	unsigned i = 0;
	struct mini_entry *e;

	while (fs->entry[i].used)
		i++;
	assert(i < MINI_ENTRIES);
	e = &fs->entry[i];
	memset(e, 0, sizeof(*e));
	e->used = true;
	e->dir = dir;
	e->ino = ino;
	snprintf(e->name, sizeof(e->name), "%s", name);
	fs->inode[ino].nlink++;
	mini_stamp(fs, &fs->inode[ino].ctime);
	dir_touch(fs, dir);
}

void
mini_entry_remove(struct minifs *fs, struct mini_entry *e)
{
	struct mini_inode *n = &fs->inode[e->ino];

	e->used = false;
	dir_touch(fs, e->dir);
	mini_stamp(fs, &n->ctime);
	if (--n->nlink == 0)
		n->used = false;
}

void
mini_init(struct minifs *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->clock = 1000;
	mini_inode_new(fs, NF3DIR, 0, 0755);
	fs->inode[0].nlink = 1;
	mini_put(fs, 0, "1", NF3DIR, 1, 0777);
	mini_put(fs, 0, "2", NF3DIR, 1, 02777);
	fs->inode[2].gid = 7;
}

void
mini_fh(const struct minifs *fs, unsigned ino, struct nfs3_fh *fh)
{
	memset(fh, 0, sizeof(*fh));
	fh->len = 12;
	memcpy(fh->b, "mini", 4);
	be32_put(fh->b + 4, ino);
	be32_put(fh->b + 8, fs->inode[ino].gen);
}

int
mini_by_fh(const struct minifs *fs, const struct nfs3_bytes *fh)
{
	uint32_t ino;

	if (fh->len != 12 || memcmp(fh->p, "mini", 4) != 0)
		return -1;
	ino = be32_get(fh->p + 4);
	if (ino >= MINI_INODES || !fs->inode[ino].used ||
	    fs->inode[ino].gen != be32_get(fh->p + 8))
		return -1;
	return (int)ino;
}

int
mini_lookup(const struct minifs *fs, unsigned dir, const char *name)
{
	const struct mini_entry *e = mini_entry_find(fs, dir, name);

	return e != NULL ? (int)e->ino : -1;
}

unsigned
mini_put(struct minifs *fs, unsigned dir, const char *name, uint32_t type,
    uint32_t uid, uint32_t mode)
{
	unsigned ino = mini_inode_new(fs, type, uid, mode);

	mini_entry_add(fs, dir, name, ino);
	return ino;
}

void
mini_put_link(struct minifs *fs, unsigned dir, const char *name, unsigned ino)
{
	mini_entry_add(fs, dir, name, ino);
}

void
mini_drop(struct minifs *fs, unsigned dir, const char *name)
{
	mini_entry_remove(fs, mini_entry_find(fs, dir, name));
}

/* --- data, cuts */

void
mini_write(struct minifs *fs, unsigned ino, uint64_t end, bool size)
{
	struct mini_inode *n = &fs->inode[ino];

	mini_stamp(fs, &n->mtime);
	n->ctime = n->mtime;
	n->mode &= ~06000u;
	if (size && n->size < end)
		n->size = end;
}

void
mini_writeback(struct minifs *fs)
{
	for (unsigned i = 0; i < MINI_INODES; i++)
		fs->inode[i].disk_size = fs->inode[i].size;
}

void
mini_cut(struct minifs *fs)
{
	for (unsigned i = 0; i < MINI_INODES; i++)
		fs->inode[i].size = fs->inode[i].disk_size;
}

/* --- comparing */

static bool
time_alike(const struct nfs3_time *a, const struct nfs3_time *b)
{
	if (a->nsec == MINI_SERVER_NSEC || b->nsec == MINI_SERVER_NSEC)
		return a->nsec == b->nsec;
	return a->sec == b->sec && a->nsec == b->nsec;
}

static const char *
inode_differs(const struct mini_inode *a, const struct mini_inode *b)
{
	if (a->type != b->type)
		return "type";
	if (a->mode != b->mode)
		return "mode";
	if (a->uid != b->uid || a->gid != b->gid)
		return "owner";
	if (a->nlink != b->nlink)
		return "links";
	if (a->size != b->size)
		return "size";
	if (!time_alike(&a->atime, &b->atime))
		return "atime";
	if (!time_alike(&a->mtime, &b->mtime))
		return "mtime";
	return strcmp(a->target, b->target) != 0 ? "target" : NULL;
}

struct twins {
	const struct minifs *a, *b;
	int of[MINI_INODES]; /* of a's inode in b; -1: none yet */
};

static const char *
twins_differ(struct twins *t, unsigned ia, unsigned ib)
{
	const char *what;

	if (t->of[ia] != -1)
		return t->of[ia] == (int)ib ? NULL : "which inode";
	t->of[ia] = (int)ib;
	what = inode_differs(&t->a->inode[ia], &t->b->inode[ib]);
	for (unsigned i = 0; what == NULL && i < MINI_ENTRIES; i++) {
		const struct mini_entry *e = &t->a->entry[i];
		int other;

		if (!e->used || e->dir != ia)
			continue;
		other = mini_lookup(t->b, ib, e->name);
		what = other == -1 ? "a name"
				   : twins_differ(t, e->ino, (unsigned)other);
	}
	return what;
}

const char *
mini_differ(const struct minifs *a, const struct minifs *b)
{
	struct twins t = {.a = a, .b = b};
	unsigned na = 0, nb = 0;

	memset(t.of, -1, sizeof(t.of));
	for (unsigned i = 0; i < MINI_ENTRIES; i++) {
		na += a->entry[i].used;
		nb += b->entry[i].used;
	}
	return na != nb ? "how many names" : twins_differ(&t, 0, 0);
}
