/*
 * NFSv3 (RFC 1813) as a server speaks it, over one file system: a call's
 * bytes in, steps, a reply's bytes out. Each step is one system call of a
 * server like Ganesha (LAB.md): CREATE is openat, fchown, utimensat; SETATTR
 * is ftruncate, fchmod, fchown, utimensat. What lies between steps is what a
 * cut can leave. nfsd.c, nfsd_xdr.c
 */
#ifndef HANFS_SIM_NFSD_H
#define HANFS_SIM_NFSD_H

#include "fs.h"
#include "hanfs/nfs3.h"

enum nfs_status {
	NFS_OK = 0,
	NFS_NOENT = 2,
	NFS_IO = 5,
	NFS_EXIST = 17,
	NFS_NOTDIR = 20,
	NFS_ISDIR = 21,
	NFS_INVAL = 22,
	NFS_NOTEMPTY = 66,
	NFS_STALE = 70,
	NFS_NOT_SYNC = 10002,
};

enum { NFS_HANDLE_LEN = 16, NFSD_REPLY_MAX = 512 };

struct nfs_handle {
	uint32_t volume, inode, gen;
};
void nfs_handle_put(uint8_t p[NFS_HANDLE_LEN], const struct nfs_handle *h);
bool nfs_handle_get(const uint8_t *p, size_t len, struct nfs_handle *h);

/* sattr3; what is set, in the order in which a server does it. */
enum {
	SET_SIZE = 1,
	SET_MODE = 2,
	SET_OWNER = 4,
	SET_TIMES = 8,
};
struct nfs_sattr {
	uint32_t set; /* of these */
	bool set_uid, set_gid;
	uint32_t mode, uid, gid;
	uint64_t size;
	uint32_t atime_how, mtime_how; /* 0 no, 1 server's, 2 client's */
	uint64_t atime, mtime;
};

enum create_how { UNCHECKED, GUARDED, EXCLUSIVE };
enum stable_how { UNSTABLE, DATA_SYNC, FILE_SYNC };

struct nfsd_call {
	/* decoded */
	uint32_t xid, proc;
	uint32_t client; /* as the credential says; NOBODY: it says nothing */
	struct nfs_handle fh, fh2;
	uint64_t name, name2;
	struct nfs_sattr sattr;
	enum create_how how;
	uint64_t verf, guard, target;
	bool guarded;
	enum fs_type type; /* of what is made */
	uint64_t offset, value;
	uint32_t count;
	enum stable_how stable;
	/* while it runs */
	uint32_t dir, dir2, obj;
	uint32_t todo; /* SET_* that are still to be done */
	enum nfs_status status;
	bool changed;         /* names or attributes */
	bool trace;           /* and it can be seen */
	bool sync;            /* answer only when it is on the disk */
	uint64_t first, last; /* places of its steps in the journal */
	uint64_t saw;         /* the place of what it found */
};
#define NOBODY UINT32_MAX

/* False: nothing that a client of this world sends. */
bool nfsd_decode(const uint8_t *p, size_t len, struct nfsd_call *c);
/* The first step; there are more while todo != 0. */
void nfsd_begin(struct fs *fs, uint32_t volume, struct nfsd_call *c);
void nfsd_go_on(struct fs *fs, struct nfsd_call *c);
size_t nfsd_reply(const struct fs *fs, const struct nfsd_call *c,
    uint32_t volume, uint64_t verf, uint8_t out[NFSD_REPLY_MAX]);

/* --- bytes, for both sides (nfsd_xdr.c) */

uint8_t *nfs_put(uint8_t *p, uint32_t v);
uint8_t *nfs_put64(uint8_t *p, uint64_t v);
uint8_t *nfs_put_text(uint8_t *p, uint64_t text);
uint8_t *nfs_put_fh(uint8_t *p, const struct nfs_handle *h);
uint8_t *nfs_put_sattr(uint8_t *p, const struct nfs_sattr *s);
/* A call's header with an AUTH_SYS credential of that client. */
uint8_t *nfs_put_call(uint8_t *p, uint32_t xid, uint32_t proc, uint32_t client);

#endif
