/*
 * minifs: an NFSv3 server and its file system, in memory, for tests of
 * recovery. It is given whole RPC calls and gives whole RPC replies. A call
 * runs in the steps in which a real server runs it, one system call each
 * (LAB: CREATE is openat, fchown, utimensat; SETATTR is ftruncate, fchmod,
 * fchown, utimensat), and the whole is one struct: a copy is a snapshot, and
 * what is on the disk after a cut is the snapshot after one of the steps.
 */
#ifndef HANFS_TESTS_MINIFS_H
#define HANFS_TESTS_MINIFS_H

#include "hanfs/nfs3_reply.h"

enum {
	MINI_INODES = 24,
	MINI_ENTRIES = 32,
	MINI_NAME = 8,
	MINI_TARGET = 16,
	MINI_NOBODY = 65534,
	/* nsec of a time that the server's clock set */
	MINI_SERVER_NSEC = 1,
};

struct mini_inode {
	bool used;
	uint32_t gen;
	uint32_t type, mode, nlink, uid, gid;
	uint64_t size;      /* in memory */
	uint64_t disk_size; /* in the journal: WRITE changes it late */
	struct nfs3_time atime, mtime, ctime;
	char target[MINI_TARGET];
};

struct mini_entry {
	bool used;
	unsigned dir, ino;
	char name[MINI_NAME];
};

struct minifs {
	struct mini_inode inode[MINI_INODES]; /* 0 is the root */
	struct mini_entry entry[MINI_ENTRIES];
	uint32_t clock, last_gen;
	/* what servers do differently */
	bool squash;     /* root is nobody, as owner too */
	bool no_attr;    /* LOOKUP comes without attributes */
	bool coarse;     /* client's times lose their nanoseconds */
	bool knfsd;      /* verifier; unchecked CREATE sets any size */
	uint32_t masked; /* mode bits that are never kept */
};

struct mini_run {
	uint32_t xid, proc, uid, gid;
	bool denied; /* the call does not decode */
	struct nfs3_args names;
	struct nfs3_values values;
	unsigned pc; /* the next step */
	bool finished;
	uint32_t status;
	unsigned ino; /* the object */
	bool found;
};

/* A root, two directories /1 and /2 (inodes 1 and 2). */
void mini_init(struct minifs *fs);
void mini_fh(const struct minifs *fs, unsigned ino, struct nfs3_fh *fh);
/* Index, or -1: stale. */
int mini_by_fh(const struct minifs *fs, const struct nfs3_bytes *fh);
/* Index of the inode, or -1. */
int mini_lookup(const struct minifs *fs, unsigned dir, const char *name);
/* Puts an object there, as if long ago; its inode's index. */
unsigned mini_put(struct minifs *fs, unsigned dir, const char *name,
    uint32_t type, uint32_t uid, uint32_t mode);
void mini_put_link(
    struct minifs *fs, unsigned dir, const char *name, unsigned ino);
void mini_drop(struct minifs *fs, unsigned dir, const char *name);

/* The call's bytes are borrowed. */
void mini_begin(struct mini_run *run, const uint8_t *call, size_t len);
/* One step; true: it changed the file system. run->finished says whether
 * more follow. */
bool mini_step(struct minifs *fs, struct mini_run *run);
/* The reply of a finished call; its length. */
size_t mini_reply(const struct minifs *fs, const struct mini_run *run,
    uint8_t buf[NFS3_REPLY_MAX]);
/* All of the above at once. */
size_t mini_call(struct minifs *fs, const uint8_t *call, size_t len,
    uint8_t reply[NFS3_REPLY_MAX]);

/* What a WRITE that ends at `end` does, and how much of it a cut leaves. */
void mini_write(struct minifs *fs, unsigned ino, uint64_t end, bool size);
/* Data are written back: sizes reach the journal. */
void mini_writeback(struct minifs *fs);
/* What a cut leaves of this moment. */
void mini_cut(struct minifs *fs);

/*
 * Are the two the same to a client: every name, what it stands for, its
 * attributes? Times that the server's clock set are equal. NULL: yes, else
 * what differs.
 */
const char *mini_differ(const struct minifs *a, const struct minifs *b);

/* --- between minifs.c and miniserver.c */

void mini_stamp(struct minifs *fs, struct nfs3_time *t);
unsigned mini_inode_new(
    struct minifs *fs, uint32_t type, uint32_t uid, uint32_t mode);
struct mini_entry *mini_entry_find(
    const struct minifs *fs, unsigned dir, const char *name);
bool mini_dir_is_empty(const struct minifs *fs, unsigned dir);
void mini_entry_add(
    struct minifs *fs, unsigned dir, const char *name, unsigned ino);
void mini_entry_remove(struct minifs *fs, struct mini_entry *e);

#endif
