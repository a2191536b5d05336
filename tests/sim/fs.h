/*
 * A journaled file system, as far as a power cut can tell (LAB.md's order):
 * names and attributes change in steps, each a place in the journal's order;
 * a commit makes everything up to a place durable; a cut leaves the durable
 * part and some more of the rest, in order, never a hole. The log's slots
 * (server-agent/store.h) are attributes of this file system and change in
 * the same order. Data written UNSTABLE is beside that until it is flushed.
 *
 * Knows no NFS, no host, no time. fs.c
 */
#ifndef HANFS_SIM_FS_H
#define HANFS_SIM_FS_H

#include "sim.h"

enum { FS_INODES = 384, FS_NAMES = 512, FS_SLOTS = 128, FS_BLOCKS = 2 };
enum { FS_BLOCK_LEN = 8, FS_NAME_LEN = 8 };

/* The numbers of ftype3, RFC 1813. */
enum fs_type { FS_FREE = 0, FS_REG = 1, FS_DIR = 2, FS_LNK = 5, FS_FIFO = 7 };

struct fs_data {
	uint64_t size, block[FS_BLOCKS];
};

struct fs_inode {
	uint32_t gen; /* of this number; never used twice */
	enum fs_type type;
	uint32_t mode, uid, gid, nlink;
	uint64_t target;              /* of a symbolic link */
	uint64_t atime, mtime, ctime; /* as in nfstime3 */
	struct fs_data data;
	bool dirty; /* and what only memory has: */
	struct fs_data cached;
	uint64_t pos;      /* of the last change */
	uint64_t attr_pos; /* of the last that a call made */
	uint64_t number;   /* of the newest SETATTR of a client */
};

struct fs_name {
	uint64_t text;       /* 0: not in use */
	uint32_t dir, inode; /* inode 0: not there */
	uint64_t pos;
};

struct fs_undo;

struct fs {
	struct world *w;
	struct fs_inode inode[FS_INODES]; /* 1 is the export's root */
	uint32_t ninodes, free_hint;
	struct fs_name name[FS_NAMES];
	const uint8_t *slot[FS_SLOTS]; /* LOGSLOT_LEN bytes, or NULL */
	uint64_t end, durable;         /* places in the journal's order */
	struct fs_undo *undo;
	uint32_t nundo, undo_room;
};

struct fs *fs_new(struct world *w);
/* The same, to be changed apart from it. */
struct fs *fs_copy(const struct fs *fs);

/* An nfstime3 of now, unlike any other. */
uint64_t fs_clock(struct world *w);
/* A step begins: what is changed until the next is atomic. */
void fs_step(struct fs *fs);
/* To be changed in this step; fs_attr: because a call says so. */
struct fs_inode *fs_change(struct fs *fs, uint32_t inode);
struct fs_inode *fs_attr(struct fs *fs, uint32_t inode);
uint32_t fs_make(struct fs *fs, enum fs_type type);
void fs_unmake(struct fs *fs, uint32_t inode); /* one link less */
void fs_link(struct fs *fs, uint32_t dir, uint64_t text, uint32_t inode);
void fs_slot_set(struct fs *fs, uint32_t slot, const uint8_t *value);

/* NULL: there never was one. inode may be 0 in it. */
const struct fs_name *fs_look(const struct fs *fs, uint32_t dir, uint64_t text);
bool fs_dir_empty(const struct fs *fs, uint32_t dir);
const struct fs_data *fs_data(const struct fs_inode *i);
/* Data alone, in memory. */
void fs_write(struct fs *fs, uint32_t inode, uint32_t block, uint64_t value);
/* What memory has of a file becomes a step of the journal. */
void fs_flush(struct fs *fs, uint32_t inode);

/* Everything up to there is on the disk. */
void fs_durable(struct fs *fs, uint64_t pos);
/* What a cut leaves: up to there. pos >= durable. */
void fs_cut(struct fs *fs, uint64_t pos);

/* Names: up to eight characters. */
uint64_t fs_text(const uint8_t *p, size_t len);
size_t fs_text_put(uint64_t text, uint8_t out[FS_NAME_LEN]);

#endif
