/* clang-format off */
/*
 * verdict: did a logged call take effect whose intent is in the log, but no
 * completion? (DESIGN section 5, "Recovery".) Pure.
 *
 *	verdict_judge(&v, &call, &before, &now, &opt)
 *	DONE		verdict_reply_write(&v, &call, &now, buf, size): its
 *			completion is written, the client gets that reply
 *	NOT_DONE	its identity stays known as "has not run"; it runs,
 *			anew from the pre-state on, when its client replays it
 *	HALF		verdict_finish_write() -> backend -> verdict_finished();
 *			then the queries again -> verdict_settle(): DONE,
 *			NOT_DONE or UNDECIDABLE, never HALF a second time
 *	UNDECIDABLE	waits for an operator
 *
 * `before` is the pre-state in the intent, `now` the same queries' results
 * from the new backend, before any client is served.
 *
 * What it builds on. The journal keeps order, so an effect on disk implies
 * its intent. Order keys are held from before the pre-state was read until
 * the completion was written, so nothing later on the same names and inodes
 * is on disk unless this call's completion is, too. Hence of the calls in
 * doubt no two name the same thing exclusively, each can be judged by
 * itself, and what differs from `before` was done by this call. It may have
 * been done in part: a backend runs a call as several system calls.
 * WRITEs do not take these keys: size, mtime, atime and (set-user-id cleared
 * by a write) mode can have moved without this call. ctime is never looked
 * at but for SETATTR's guard, against `before` alone.
 *
 * The table. W: as wanted now; B: as it was before. Where a call did nothing
 * by what was there before (V_WAS_THERE, V_WAS_ABSENT, V_ONE_INODE), each name
 * must stand for the same now; else UNDECIDABLE V_FOREIGN: somebody was there
 * whom no key orders.
 *
 * CREATE guarded or unchecked, MKDIR, SYMLINK, MKNOD
 *   before there			NOT_DONE  V_WAS_THERE	EEXIST again
 *   absent, now absent			NOT_DONE  V_STILL_ABSENT
 *   absent, now there, other type or
 *     target than the call makes	UNDEC.    V_FOREIGN
 *   absent, now there, values as given	DONE      V_MADE
 *   absent, now there, others		HALF      V_MADE_HALF
 *     Compared and set: uid, gid, size, the client's times. Not the mode:
 *     backends give it to the system call that makes the object, and what
 *     shows may rightly differ (set-group-id inherited from the directory,
 *     default ACL). But while a file shows set-user-id or set-group-id, a
 *     given owner or group is set again even where it is right: setting it
 *     is what clears these bits. Not the server's times: making it set them.
 *     Of a symlink only uid and gid.
 * CREATE exclusive
 *   as above, with the verifier in the place of the values: backends keep it
 *   in atime and mtime (enum verdict_verifier)
 * CREATE unchecked, before there (a regular file or not)
 *   size given, W, smaller than before	HALF      V_PERHAPS
 *   size given, W, greater		DONE      V_GROWN
 *   else				NOT_DONE  V_WAS_THERE	repeats
 *     Backends set nothing but the size of a file that is there. With no
 *     trace of an effect the backend has to answer: it may have been EACCES.
 *     A smaller size is no trace: unstable WRITEs were lost, maybe, and this
 *     has not run. So the size is set once more, as the caller; if that is
 *     refused, then it did not run: NOT_DONE V_WOULD_FAIL.
 * REMOVE, RMDIR
 *   before absent			NOT_DONE  V_WAS_ABSENT	ENOENT again
 *   now absent				DONE      V_GONE
 *   now the same object		NOT_DONE  V_STILL_THERE
 *   now another one			UNDEC.    V_FOREIGN
 * RENAME
 *   from absent before			NOT_DONE  V_WAS_ABSENT
 *   both names one inode before	NOT_DONE  V_ONE_INODE	does nothing
 *   now from absent, to = the object	DONE      V_MOVED
 *   now both as before			NOT_DONE  V_STILL_THERE
 *   else				UNDEC.    V_FOREIGN
 * LINK
 *   name there before			NOT_DONE  V_WAS_THERE
 *   name absent now			NOT_DONE  V_STILL_ABSENT
 *   now = the object			DONE      V_LINKED
 *   else				UNDEC.    V_FOREIGN
 * SETATTR
 *   guard that did not hold before	NOT_DONE  V_GUARD	NOT_SYNC again
 *   all W, not all B			DONE      V_SET
 *   the same, but what is not B can
 *     have come by others		HALF      V_PERHAPS
 *   no value given, or all W and all B	NOT_DONE  V_NO_TRACE	repeats
 *   none W but those that are also B,
 *     the others all B			NOT_DONE  V_UNCHANGED
 *   else				HALF      V_SET_HALF
 *   With a guard that held, HALF in the place of NOT_DONE in all rows but
 *   the first.
 *     HALF repeats the whole SETATTR without its guard, and the repeated
 *     one's status is the reply's. The guard held; now ctime can be another
 *     by the call's own effect, and an older one by what the crash lost.
 *     (A WRITE that came between pre-state and SETATTR can have failed the
 *     guard; that is forgiven: it held when it was read under the keys.)
 *     A size neither old nor new is that of lost unstable WRITEs: it is set.
 *     Others than the call can have brought: a size smaller than before
 *     (lost unstable WRITEs), the server's times (WRITE, READ), a mode
 *     without set-user-id and set-group-id (WRITE). Where these alone say
 *     that it ran it is repeated, and the server says whether it was allowed.
 *     A time that is to be the server's counts as wanted once it differs
 *     from before: repeated, it is later, which is what a server's time is.
 *     A value that the server never shows (squashed owner, masked mode,
 *     set-user-id cleared by chown, a time that the file system rounds)
 *     costs one repetition and is DONE after.
 *     A given owner or group is as wanted only once a file does not show
 *     set-user-id or set-group-id any more, as in CREATE.
 *
 * Queries that fail. Failed before with anything but a sick status
 * (prestate_is_sick): the call fails the same, and changes nothing: NOT_DONE
 * V_WOULD_FAIL. Sick before: UNDECIDABLE V_SICK (never logged, see there).
 * Worked before, fails now (ACCES, STALE of the directory...): by the order
 * keys nothing can have taken the right or the object away: UNDECIDABLE
 * V_NOW_FAILED; a STALE object of SETATTR too. That a removed object's
 * handle is STALE plays no part: names are looked up, not old handles.
 */
/* clang-format on */
#ifndef HANFS_AGENT_VERDICT_H
#define HANFS_AGENT_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server-agent/prestate.h"

enum verdict_kind {
	VERDICT_NOT_DONE,
	VERDICT_DONE,
	VERDICT_HALF,
	VERDICT_UNDECIDABLE,
	VERDICT_KINDS
};
extern const char *const verdict_kind_names[VERDICT_KINDS];

enum verdict_reason {
	V_WAS_THERE,
	V_STILL_ABSENT,
	V_MADE,
	V_MADE_HALF,
	V_PERHAPS,
	V_GROWN,
	V_WAS_ABSENT,
	V_GONE,
	V_STILL_THERE,
	V_ONE_INODE,
	V_MOVED,
	V_LINKED,
	V_GUARD,
	V_NO_TRACE,
	V_SET,
	V_SET_HALF,
	V_UNCHANGED,
	V_WOULD_FAIL,
	V_FINISHED,        /* HALF, and its SETATTR was answered */
	V_FOREIGN,         /* something there that this call cannot have made */
	V_NO_BEFORE,       /* the pre-state in the log cannot be read */
	V_SICK,            /* the pre-state is an error of the disk */
	V_NOW_FAILED,      /* a query fails now that worked before */
	V_FINISH_REFUSED,  /* the SETATTR that was to finish it failed */
	V_FINISH_VANISHED, /* and its object is not there any more */
	VERDICT_REASONS
};
extern const char *const verdict_reason_names[VERDICT_REASONS];

/*
 * How the backend keeps an exclusive CREATE's verifier, v[0..7], in atime
 * and mtime, each four bytes in the server's byte order as seconds:
 *   Ganesha's VFS	atime v[0..3], mtime v[4..7]; without the topmost
 *			bits where the file system does not keep them
 *   knfsd		mtime v[0..3], atime v[4..7], without the topmost bits
 * Both forms count as "has it"; the one given here is set when it has
 * neither. Were that the wrong one, the call itself still gets its reply
 * from the log; only a client that sends the same verifier in a new call (as
 * it does after its own reboot, or when it is no client of the log) would
 * get EEXIST.
 */
enum verdict_verifier { VERDICT_VERF_GANESHA, VERDICT_VERF_KNFSD };

/* Rules that a test build can switch off, to show that they are needed. */
struct verdict_options {
	enum verdict_verifier verifier;
	bool no_before;   /* what is there now was made by this call */
	bool no_inode;    /* a name stands for whatever it names */
	bool no_half;     /* what is begun counts as done */
	bool no_verifier; /* the exclusive verifier is not set again */
	bool no_size;     /* a size neither old nor new counts as set */
	bool no_unguard;  /* the guard is kept when SETATTR is repeated */
	bool no_trace;    /* all as wanted is enough to be done */
};

struct verdict {
	enum verdict_kind kind;
	enum verdict_reason reason;
	uint32_t status; /* DONE: the reply's; refused: the finish's */
	/* HALF: set this of that object, as the caller */
	struct nfs3_fh fh;
	struct nfs3_sattr set;
	bool guard; /* only by no_unguard */
};

/* before is NULL if it does not decode. opt may be NULL: Ganesha, all
 * rules. */
void verdict_judge(struct verdict *v, const struct prestate_call *call,
    const struct prestate *before, const struct prestate *now,
    const struct verdict_options *opt);

/* HALF: the SETATTR call's record. Its length; 0: it does not fit, or the
 * credential cannot be copied. PRESTATE_QUERY_MAX is enough. */
size_t verdict_finish_write(const struct verdict *v,
    const struct prestate_call *call, uint32_t xid, void *buf, size_t size);

enum verdict_take {
	VERDICT_TAKEN, /* now the queries again, then verdict_settle() */
	VERDICT_AGAIN, /* JUKEBOX: send it again a little later */
	VERDICT_HELD,  /* IO, ROFS, STALE, SERVERFAULT: is the disk healthy?
			* (DESIGN section 5) If it is, as VERDICT_TAKEN */
	VERDICT_BAD,   /* no reply that a server gives: send it anew */
};
enum verdict_take verdict_finished(
    struct verdict *v, const void *reply, size_t len);
/* After verdict_finished(): the queries' results now. */
void verdict_settle(struct verdict *v, const struct prestate_call *call,
    const struct prestate *now);

/*
 * DONE: the whole reply record, with the call's XID: attributes from `now`,
 * none from before the operation. Its length; 0: size is too small
 * (NFS3_REPLY_MAX is not).
 */
size_t verdict_reply_write(const struct verdict *v,
    const struct prestate_call *call, const struct prestate *now, void *buf,
    size_t size);

/* An operator says so, or nobody did in time: a reply with that status and
 * no attributes (NFS3ERR_IO after undecidable_wait). */
size_t verdict_error_write(
    const struct prestate_call *call, uint32_t status, void *buf, size_t size);

#endif
