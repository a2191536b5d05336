/*
 * prestate: what is known of the objects that a logged call names, before it
 * runs and again at recovery (DESIGN section 5, "intent" and "Recovery").
 * Pure: it makes queries as bytes and is given replies as bytes.
 *
 *	prestate_call_parse(&call, ...)		once
 *	prestate_begin(&ps, &call, false)	true: at recovery
 *	while ((n = prestate_queries(&ps, &call, q)) > 0)
 *		each of q[0..n-1], at once or one after the other:
 *		prestate_query_write(&q[i], &call, xid, buf, size) -> backend
 *		prestate_answer(&ps, &call, &q[i], reply, len) <- backend
 *
 * First round: CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR: LOOKUP of the
 * name; RENAME: LOOKUP of both names; LINK: GETATTR of the object, LOOKUP of
 * the new name; SETATTR: GETATTR. A second round follows only where a server
 * gave no attributes with a LOOKUP (they are optional in RFC 1813), and at
 * recovery a READLINK of what a SYMLINK may have made.
 *
 * Queries carry the caller's own credential, over the caller's own backend
 * connection: the server squashes and permits as it does for the call. So a
 * query that fails (but with NOENT) says that the call would fail the same.
 * AUTH_SYS and AUTH_NONE can be copied. RPCSEC_GSS cannot (a sequence number
 * counts once, and nobody but the client can sign the header): such calls
 * are not logged (prestate_can_ask()).
 *
 * Which inode is which: file id *and* handle bytes. The handle holds the
 * generation, so that an inode that was freed and used again is another one.
 * This takes for granted that one inode has one handle as long as a volume's
 * export stays what it is:
 *   NFS-Ganesha's VFS back end: export id, file-system id, and the kernel's
 *     handle (inode and generation) whole; the same on every server
 *     (Export_Id and the file system's UUID are compared by preflight)
 *   knfsd: file-system id, inode, generation; with subtree_check the parent
 *     would be part of it, which preflight refuses
 * The root's handle is compared at every takeover: equal, or refused.
 */
#ifndef HANFS_AGENT_PRESTATE_H
#define HANFS_AGENT_PRESTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "hanfs/callid.h"
#include "hanfs/nfs3_reply.h"

/* One logged call, from its record or from the log; borrows from either. */
struct prestate_call {
	uint32_t xid, proc;
	uint32_t cred_flavor;
	struct nfs3_bytes cred;
	struct nfs3_args names;
	struct nfs3_values values;
	/* SYMLINK whose target was kept as a digest (logrec.h), else NULL */
	const uint8_t *rest;
};

/*
 * Arguments as in logrec.h: args are the first args.len bytes of args_len;
 * rest is the digest of what is missing, or NULL. 0, or -1: no logged
 * procedure, or they do not decode.
 */
int prestate_call_parse(struct prestate_call *call, uint32_t xid, uint32_t proc,
    uint32_t cred_flavor, const struct nfs3_bytes *cred,
    const struct nfs3_bytes *args, uint32_t args_len, const uint8_t *rest);

/* The same for a call that call_look() read whole. */
int prestate_call_of(struct prestate_call *call, const struct call_info *info);

/* Can its credential be used for queries? */
bool prestate_can_ask(const struct prestate_call *call);

/* --- what is known */

enum prestate_known {
	PRESTATE_UNASKED, /* no reply yet */
	PRESTATE_ABSENT,  /* NOENT: the name is not there */
	PRESTATE_EXISTS,  /* fh and attr are set */
	PRESTATE_FAILED,  /* with status */
	PRESTATE_KNOWN
};
extern const char *const prestate_known_names[PRESTATE_KNOWN];

/* One name, or one object that the call names by its handle. */
struct prestate_object {
	enum prestate_known known;
	uint32_t status; /* of the query, when it failed */
	struct nfs3_fh fh;
	bool has_attr; /* false only between the two rounds */
	struct nfs3_fattr attr;
	/* SYMLINK at recovery: it was read, and is the call's target. */
	bool read, target_same;
	/* Of the directory that the name was looked up in; for replies, not
	 * kept in the log. */
	bool has_dir;
	struct nfs3_fattr dir;
};

#define PRESTATE_OBJECTS  2u
#define PRESTATE_PEER_MAX 32u
/* By procedure:	[0]			[1]
 *   RENAME		from			to
 *   LINK		the object		the new name
 *   SETATTR		the object		-
 *   all others		the name		- */
struct prestate {
	/* Where the caller's link to the backend was bound to (the address
	 * that exports and squashing go by): the caller's bytes, kept in the
	 * log, so that queries at recovery come from there, too. */
	uint32_t peer_len;
	uint8_t peer[PRESTATE_PEER_MAX];
	bool now;   /* at recovery, not before the call */
	unsigned n; /* of obj */
	struct prestate_object obj[PRESTATE_OBJECTS];
};

/* Are both EXISTS, and the same inode? */
bool prestate_same(
    const struct prestate_object *a, const struct prestate_object *b);

/* --- asking */

struct prestate_query {
	uint32_t proc;          /* NFS3_LOOKUP, NFS3_GETATTR or NFS3_READLINK */
	unsigned object;        /* index in prestate */
	struct nfs3_bytes fh;   /* of the directory, or the object */
	struct nfs3_bytes name; /* LOOKUP */
};
#define PRESTATE_QUERIES_MAX 2u
/* The longest query's record. */
#define PRESTATE_QUERY_MAX \
	(RPC_CALL_HEADER_MAX + 4 + NFS3_FHSIZE + 4 + NFS3_NAMEMAX)

/* Nothing is known yet, the peer neither. */
void prestate_begin(
    struct prestate *ps, const struct prestate_call *call, bool now);

/* What is to be asked now that has no answer yet; 0: all is known. Queries
 * borrow from call and ps. */
unsigned prestate_queries(const struct prestate *ps,
    const struct prestate_call *call,
    struct prestate_query q[PRESTATE_QUERIES_MAX]);

/* The query's call record, without record mark. Its length; 0: it does not
 * fit, or the credential cannot be copied. */
size_t prestate_query_write(const struct prestate_query *q,
    const struct prestate_call *call, uint32_t xid, void *buf, size_t size);

enum prestate_take {
	PRESTATE_TAKEN,
	PRESTATE_AGAIN, /* JUKEBOX: ask the same again a little later */
	PRESTATE_BAD, /* no reply that a server gives: the link is of no use */
};
/*
 * reply is the whole record, with its RPC header. A reply that denies the
 * credential or the procedure is taken as FAILED with NFS3ERR_ACCES, one that
 * speaks of a trouble of the server's with NFS3ERR_SERVERFAULT.
 */
enum prestate_take prestate_answer(struct prestate *ps,
    const struct prestate_call *call, const struct prestate_query *q,
    const void *reply, size_t len);

/*
 * Did a query fail in a way that says nothing of the call (IO, ROFS,
 * SERVERFAULT: a dying disk's errors, DESIGN section 5)? Such a pre-state is
 * not to be logged: the call waits as one whose reply is held.
 */
bool prestate_is_sick(const struct prestate *ps);

/* --- in the log
 *
 *	 0               1               2               3
 *	+---------------+---------------+---------------+---------------+
 *	|  version = 1  |  objects n    |  0            |  0            |
 *	+---------------+---------------+---------------+---------------+
 *	|  peer: length, bytes, padding to four                         |
 *	+---------------------------------------------------------------+
 *	  n times:
 *	|  known                                                        |
 *	|  status                                                       |
 *	  and of an object that EXISTS:
 *	|  handle: length, bytes, padding to four                       |
 *	|  type 4 | mode 4 | nlink 4 | uid 4 | gid 4 | size 8 |         |
 *	|  fileid 8 | atime 8 | mtime 8 | ctime 8                       |
 *	+---------------------------------------------------------------+
 *
 * used, rdev and fsid are not kept and come back as 0.
 */
#define PRESTATE_VERSION    1u
#define PRESTATE_OBJECT_MAX (12u + NFS3_FHSIZE + 60u)
#define PRESTATE_BYTES_MAX \
	(8u + PRESTATE_PEER_MAX + PRESTATE_OBJECTS * PRESTATE_OBJECT_MAX)

/* All must be known. Returns the length. */
size_t prestate_encode(
    const struct prestate *ps, uint8_t buf[PRESTATE_BYTES_MAX]);
/* 0, or -1: of a later version, or does not decode. */
int prestate_decode(struct prestate *ps, const uint8_t *p, size_t len);

#endif
