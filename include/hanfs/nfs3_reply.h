/*
 * NFS version 3 as data (RFC 1813, sections 2.5, 2.6 and 3.3): attributes
 * and what sets them, the values that a logged call gives, and replies,
 * read and written whole with their RPC header (RFC 5531, section 9).
 *
 * Everything is bounded: reading fails on bytes that do not decode, writing
 * on a buffer that is too short. Nothing is allocated; no I/O.
 */
#ifndef HANFS_NFS3_REPLY_H
#define HANFS_NFS3_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "hanfs/nfs3.h"
#include "hanfs/rpc.h"

/* nfsstat3 as far as decisions name it (RFC 1813, section 2.6) */
enum nfs3_status {
	NFS3_OK = 0,
	NFS3ERR_PERM = 1,
	NFS3ERR_NOENT = 2,
	NFS3ERR_IO = 5,
	NFS3ERR_NXIO = 6,
	NFS3ERR_ACCES = 13,
	NFS3ERR_EXIST = 17,
	NFS3ERR_XDEV = 18,
	NFS3ERR_NODEV = 19,
	NFS3ERR_NOTDIR = 20,
	NFS3ERR_ISDIR = 21,
	NFS3ERR_INVAL = 22,
	NFS3ERR_FBIG = 27,
	NFS3ERR_NOSPC = 28,
	NFS3ERR_ROFS = 30,
	NFS3ERR_MLINK = 31,
	NFS3ERR_NAMETOOLONG = 63,
	NFS3ERR_NOTEMPTY = 66,
	NFS3ERR_DQUOT = 69,
	NFS3ERR_STALE = 70,
	NFS3ERR_REMOTE = 71,
	NFS3ERR_BADHANDLE = 10001,
	NFS3ERR_NOT_SYNC = 10002,
	NFS3ERR_BAD_COOKIE = 10003,
	NFS3ERR_NOTSUPP = 10004,
	NFS3ERR_TOOSMALL = 10005,
	NFS3ERR_SERVERFAULT = 10006,
	NFS3ERR_BADTYPE = 10007,
	NFS3ERR_JUKEBOX = 10008,
};

/* "NFS3ERR_STALE", or "status N" in thread-local storage. */
const char *nfs3_status_name(uint32_t status);

enum nfs3_type {
	NF3REG = 1,
	NF3DIR = 2,
	NF3BLK = 3,
	NF3CHR = 4,
	NF3LNK = 5,
	NF3SOCK = 6,
	NF3FIFO = 7,
};

/* A file handle that is the holder's own. */
struct nfs3_fh {
	uint32_t len;
	uint8_t b[NFS3_FHSIZE];
};

bool nfs3_fh_equal(const struct nfs3_fh *a, const struct nfs3_fh *b);
/* False: longer than NFS3_FHSIZE. */
bool nfs3_fh_set(struct nfs3_fh *fh, const struct nfs3_bytes *bytes);
struct nfs3_bytes nfs3_fh_bytes(const struct nfs3_fh *fh);

struct nfs3_time {
	uint32_t sec, nsec;
};

#define NFS3_FATTR_LEN 84u
struct nfs3_fattr { /* fattr3, in the order of the wire */
	uint32_t type, mode, nlink, uid, gid;
	uint64_t size, used;
	uint32_t rdev[2];
	uint64_t fsid, fileid;
	struct nfs3_time atime, mtime, ctime;
};

enum nfs3_time_how {
	NFS3_DONT_CHANGE,
	NFS3_SERVER_TIME, /* SET_TO_SERVER_TIME */
	NFS3_CLIENT_TIME, /* SET_TO_CLIENT_TIME */
};

struct nfs3_sattr { /* sattr3 */
	bool set_mode, set_uid, set_gid, set_size;
	enum nfs3_time_how set_atime, set_mtime;
	uint32_t mode, uid, gid;
	uint64_t size;
	struct nfs3_time atime, mtime;
};

enum nfs3_createmode { NFS3_UNCHECKED, NFS3_GUARDED, NFS3_EXCLUSIVE };

/* What a logged call's arguments hold beside handles and names. */
struct nfs3_values {
	struct nfs3_sattr sattr;
	bool guard; /* SETATTR: only if ctime is guard_ctime */
	struct nfs3_time guard_ctime;
	enum nfs3_createmode how; /* CREATE */
	uint8_t verf[8];          /* CREATE exclusive */
	uint32_t type;            /* MKNOD */
	uint32_t rdev[2];         /* MKNOD of a device */
	uint32_t target_len;      /* SYMLINK: the whole target's length */
	struct nfs3_bytes target; /* what of it is there; borrows */
};

/*
 * The arguments of a logged procedure, handles and names as in
 * nfs3_args_parse() and the values. args may be cut short inside the target
 * of a SYMLINK; args_len is the whole length. 0, or -1: they do not decode,
 * or proc is not logged.
 */
int nfs3_values_parse(uint32_t proc, struct cursor args, uint32_t args_len,
    struct nfs3_args *names, struct nfs3_values *values);

/* --- reading replies */

bool nfs3_fattr_take(struct cursor *c, struct nfs3_fattr *a);
/* post_op_attr: *has says whether attributes follow. */
bool nfs3_post_attr_take(struct cursor *c, bool *has, struct nfs3_fattr *a);

/* What a LOOKUP, GETATTR or READLINK said. */
struct nfs3_found {
	uint32_t status;
	bool has_attr, has_dir;
	struct nfs3_fh fh;        /* LOOKUP, when status is NFS3_OK */
	struct nfs3_fattr attr;   /* of the object */
	struct nfs3_fattr dir;    /* LOOKUP: of the directory */
	struct nfs3_bytes target; /* READLINK; borrows from the reply */
};

/* The results (behind the RPC header) of one of these three procedures.
 * 0, or -1: they do not decode. */
int nfs3_found_parse(
    uint32_t proc, struct cursor results, struct nfs3_found *out);

/* The status alone of an accepted reply's results; -1: there is none. */
int nfs3_status_parse(struct cursor results, uint32_t *status);

/* --- writing */

/* A bounded writer; after a put that did not fit, all fail. */
struct nfs3_out {
	uint8_t *p;
	size_t left;
	bool short_of; /* something did not fit */
};

void nfs3_put_u32(struct nfs3_out *o, uint32_t v);
void nfs3_put_u64(struct nfs3_out *o, uint64_t v);
void nfs3_put_opaque(struct nfs3_out *o, const void *p, uint32_t len);
void nfs3_put_fattr(struct nfs3_out *o, const struct nfs3_fattr *a);
/* post_op_attr; a may be NULL: none. */
void nfs3_put_post_attr(struct nfs3_out *o, const struct nfs3_fattr *a);
/* wcc_data without attributes from before; after may be NULL. */
void nfs3_put_wcc(struct nfs3_out *o, const struct nfs3_fattr *after);
void nfs3_put_sattr(struct nfs3_out *o, const struct nfs3_sattr *s);

/* What a reply to a logged call can hold; absent members are NULL. */
struct nfs3_reply {
	uint32_t xid, proc, status;
	const struct nfs3_fh *fh;      /* CREATE, MKDIR, SYMLINK, MKNOD */
	const struct nfs3_fattr *attr; /* of the object */
	const struct nfs3_fattr *dir;  /* of the (from) directory */
	const struct nfs3_fattr *dir2; /* RENAME: of the other one */
};

#define NFS3_REPLY_MAX 512u
/*
 * The whole reply record, without record mark: accepted, AUTH_NONE as
 * verifier, results as section 3.3 lays them out for success or failure.
 * Returns its length; 0: proc is not logged, or size is too small
 * (NFS3_REPLY_MAX never is).
 */
size_t nfs3_reply_write(void *buf, size_t size, const struct nfs3_reply *reply);

/*
 * The header of a call to NFS version 3 with the given credential and
 * AUTH_NONE as verifier; the arguments follow it. False: it does not fit.
 */
bool nfs3_call_begin(struct nfs3_out *o, uint32_t xid, uint32_t proc,
    uint32_t cred_flavor, const struct nfs3_bytes *cred);

#endif
