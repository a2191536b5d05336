/*
 * What hanfs must know of NFS version 3 (RFC 1813): for each procedure its
 * class, and of a call's arguments the handles and names it touches.
 *
 *   passed   changes nothing; may run any number of times
 *   tracked  WRITE and COMMIT: known in memory, replay is answered
 *   logged   changes names or attributes: runs exactly once
 */
#ifndef HANFS_NFS3_H
#define HANFS_NFS3_H

#include <stdbool.h>
#include <stdint.h>

#include "hanfs/cursor.h"

#define NFS3_FHSIZE  64u
#define NFS3_NAMEMAX 1024u /* RFC 1813 sets none; no server takes more */
#define NFS3_PATHMAX 4096u

enum nfs3_proc {
	NFS3_NULL,
	NFS3_GETATTR,
	NFS3_SETATTR,
	NFS3_LOOKUP,
	NFS3_ACCESS,
	NFS3_READLINK,
	NFS3_READ,
	NFS3_WRITE,
	NFS3_CREATE,
	NFS3_MKDIR,
	NFS3_SYMLINK,
	NFS3_MKNOD,
	NFS3_REMOVE,
	NFS3_RMDIR,
	NFS3_RENAME,
	NFS3_LINK,
	NFS3_READDIR,
	NFS3_READDIRPLUS,
	NFS3_FSSTAT,
	NFS3_FSINFO,
	NFS3_PATHCONF,
	NFS3_COMMIT,
	NFS3_NPROC,
};

enum call_class {
	CALL_PASSED,
	CALL_TRACKED,
	CALL_LOGGED,
};

extern const char *const nfs3_proc_names[NFS3_NPROC];
extern const char *const call_class_names[3];

struct nfs3_bytes {
	const uint8_t *p;
	uint32_t len;
};

/*
 * The part of a call's arguments that decisions need; it borrows from the
 * record. Absent members have p == NULL.
 */
struct nfs3_args {
	struct nfs3_bytes fh;	 /* the object, or the (from) directory */
	struct nfs3_bytes name;	 /* in fh */
	struct nfs3_bytes fh2;	 /* RENAME: to directory; LINK: directory */
	struct nfs3_bytes name2; /* in fh2 */
	struct nfs3_bytes target; /* SYMLINK: the path in it */
	uint64_t offset;	 /* READ, WRITE, COMMIT */
	uint32_t count;		 /* READ, WRITE, COMMIT, READDIR* */
	bool sets_size;		 /* SETATTR, CREATE with a size */
	uint64_t size;
	/* How many bytes from the arguments' start make up the call's
	 * identity: all, but for WRITE not the data. */
	uint32_t identity_len;
	/* Longest reply to expect, in bytes, headers included. */
	uint32_t reply_max;
};

/* The class of an NFSv3 procedure; passed for numbers it does not know. */
enum call_class nfs3_class(uint32_t proc);

/*
 * Reads the arguments of procedure proc. args holds the first bytes of the
 * arguments; args_len is their whole length in the record, of which WRITE's
 * data may be missing from args. Returns 0, or -1 when the arguments do not
 * decode (GARBAGE_ARGS): cut short, lengths past their bounds, or bytes left
 * over.
 */
int nfs3_args_parse(uint32_t proc, struct cursor args, uint32_t args_len,
    struct nfs3_args *out);

#endif
