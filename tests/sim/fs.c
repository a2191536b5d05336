/* The journaled file system. See fs.h. */
#include <assert.h>
#include <string.h>

#include "fs.h"
#include "world.h"

enum undo_kind { UNDO_INODE, UNDO_NAME, UNDO_SLOT };

struct fs_undo {
	uint64_t pos;
	enum undo_kind kind;
	uint32_t at;
	union {
		struct fs_inode *inode;
		struct fs_name name;
		const uint8_t *slot;
	};
};

struct fs *
fs_new(struct world *w)
{
	struct fs *fs = sim_alloc(w, sizeof(*fs));

	fs->w = w;
	fs->ninodes = 1; /* 0 is none */
	return fs;
}

struct fs *
fs_copy(const struct fs *fs)
{
	struct fs *to = sim_alloc(fs->w, sizeof(*to));

	*to = *fs;
	to->undo_room = fs->nundo;
	to->undo = sim_alloc(fs->w, (fs->nundo + 1) * sizeof(*to->undo));
	if (fs->nundo > 0)
		memcpy(to->undo, fs->undo, fs->nundo * sizeof(*to->undo));
	return to;
}

/* --- changes */

uint64_t
fs_clock(struct world *w)
{
	uint64_t sec = 1000000000u + w->now / SEC;

	return sec << 32 | ((w->now % SEC) * 1000 + ++w->ran % 1000);
}

void
fs_step(struct fs *fs)
{
	fs->end++;
}

static struct fs_undo *
remember(struct fs *fs, enum undo_kind kind, uint32_t at)
{
	struct fs_undo *u;

	fs->undo = sim_grow(
	    fs->w, fs->undo, fs->nundo, &fs->undo_room, sizeof(*fs->undo));
	u = &fs->undo[fs->nundo++];
	u->pos = fs->end;
	u->kind = kind;
	u->at = at;
	return u;
}

struct fs_inode *
fs_change(struct fs *fs, uint32_t inode)
{
	struct fs_inode *i = &fs->inode[inode], *old;

	assert(inode > 0 && inode < fs->ninodes);
	if (i->pos == fs->end)
		return i; /* in this step already */
	old = sim_alloc(fs->w, sizeof(*old));
	*old = *i;
	remember(fs, UNDO_INODE, inode)->inode = old;
	i->pos = fs->end;
	i->ctime = fs_clock(fs->w);
	return i;
}

struct fs_inode *
fs_attr(struct fs *fs, uint32_t inode)
{
	struct fs_inode *i = fs_change(fs, inode);

	i->attr_pos = fs->end;
	return i;
}

uint32_t
fs_make(struct fs *fs, enum fs_type type)
{
	struct fs_inode *i;
	uint32_t n;

	/* Numbers are used again, as file systems do. */
	for (n = fs->free_hint; n < fs->ninodes; n++)
		if (n > 0 && fs->inode[n].type == FS_FREE)
			break;
	if (n == fs->ninodes) {
		assert(n < FS_INODES);
		fs->ninodes++;
	}
	fs->free_hint = n + 1;
	i = fs_change(fs, n);
	*i = (struct fs_inode){.gen = (uint32_t)++fs->w->ran,
	    .type = type,
	    .nlink = type == FS_DIR ? 2 : 1,
	    .ctime = i->ctime,
	    .atime = i->ctime,
	    .mtime = i->ctime,
	    .pos = i->pos,
	    .attr_pos = i->pos};
	return n;
}

void
fs_unmake(struct fs *fs, uint32_t inode)
{
	struct fs_inode *i = fs_change(fs, inode);

	i->nlink = i->type == FS_DIR ? 0 : i->nlink - 1;
	if (i->nlink > 0)
		return;
	i->type = FS_FREE;
	i->dirty = false;
	if (inode < fs->free_hint)
		fs->free_hint = inode;
}

/* Where the name is, or would be. */
static struct fs_name *
place(const struct fs *fs, uint32_t dir, uint64_t text)
{
	uint64_t h = (text ^ (uint64_t)dir << 59) * 0x9e3779b97f4a7c15u;
	const struct fs_name *n;

	for (uint32_t i = (uint32_t)(h >> 40), tries = 0;; i++, tries++) {
		assert(tries < FS_NAMES);
		n = &fs->name[i % FS_NAMES];
		if (n->text == 0 || (n->text == text && n->dir == dir))
			return (struct fs_name *)(uintptr_t)n;
	}
}

const struct fs_name *
fs_look(const struct fs *fs, uint32_t dir, uint64_t text)
{
	const struct fs_name *n = place(fs, dir, text);

	return n->text != 0 ? n : NULL;
}

void
fs_link(struct fs *fs, uint32_t dir, uint64_t text, uint32_t inode)
{
	struct fs_name *n = place(fs, dir, text);
	struct fs_inode *d = fs_change(fs, dir);

	d->mtime = d->ctime;
	n->text = text;
	n->dir = dir;
	remember(fs, UNDO_NAME, (uint32_t)(n - fs->name))->name = *n;
	n->inode = inode;
	n->pos = fs->end;
}

bool
fs_dir_empty(const struct fs *fs, uint32_t dir)
{
	for (uint32_t i = 0; i < FS_NAMES; i++)
		if (fs->name[i].dir == dir && fs->name[i].inode != 0)
			return false;
	return true;
}

void
fs_slot_set(struct fs *fs, uint32_t slot, const uint8_t *value)
{
	assert(slot < FS_SLOTS);
	remember(fs, UNDO_SLOT, slot)->slot = fs->slot[slot];
	fs->slot[slot] = value;
}

/* --- data */

const struct fs_data *
fs_data(const struct fs_inode *i)
{
	return i->dirty ? &i->cached : &i->data;
}

void
fs_write(struct fs *fs, uint32_t inode, uint32_t block, uint64_t value)
{
	struct fs_inode *i = &fs->inode[inode];
	uint64_t size = (block + 1) * FS_BLOCK_LEN;

	if (!i->dirty)
		i->cached = i->data;
	i->dirty = true;
	i->cached.block[block] = value;
	if (size > i->cached.size)
		i->cached.size = size;
}

void
fs_flush(struct fs *fs, uint32_t inode)
{
	struct fs_inode *i = &fs->inode[inode];

	if (!i->dirty)
		return;
	i = fs_change(fs, inode);
	i->data = i->cached;
	i->dirty = false;
	i->mtime = i->ctime;
}

/* --- what a disk has */

void
fs_durable(struct fs *fs, uint64_t pos)
{
	uint32_t n = 0;

	if (pos > fs->end)
		pos = fs->end;
	if (pos <= fs->durable)
		return;
	fs->durable = pos;
	while (n < fs->nundo && fs->undo[n].pos <= pos)
		n++;
	fs->nundo -= n;
	memmove(fs->undo, fs->undo + n, fs->nundo * sizeof(*fs->undo));
}

void
fs_cut(struct fs *fs, uint64_t pos)
{
	assert(pos >= fs->durable);
	while (fs->nundo > 0 && fs->undo[fs->nundo - 1].pos > pos) {
		const struct fs_undo *u = &fs->undo[--fs->nundo];

		switch (u->kind) {
		case UNDO_INODE:
			fs->inode[u->at] = *u->inode;
			break;
		case UNDO_NAME:
			fs->name[u->at] = u->name;
			break;
		case UNDO_SLOT:
			fs->slot[u->at] = u->slot;
			break;
		}
	}
	fs->end = fs->durable = pos;
	fs->nundo = 0;
	fs->free_hint = 0;
	for (uint32_t i = 1; i < fs->ninodes; i++)
		fs->inode[i].dirty = false;
}

/* --- names */

uint64_t
fs_text(const uint8_t *p, size_t len)
{
	uint64_t text = 0;

	if (len > FS_NAME_LEN)
		return 0;
	for (size_t i = 0; i < len; i++)
		text = text << 8 | p[i];
	return text;
}

size_t
fs_text_put(uint64_t text, uint8_t out[FS_NAME_LEN])
{
	size_t n = 0;

	for (int shift = 56; shift >= 0; shift -= 8)
		if ((text >> shift & 0xff) != 0)
			out[n++] = (uint8_t)(text >> shift);
	return n;
}
