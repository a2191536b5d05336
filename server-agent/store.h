/*
 * store: the slots of one volume's log on its disk, and the group commit
 * (DESIGN section 5, "The log is in the volume's own journal").
 *
 *	VOLUME'S ROOT/			+i
 *	    export/			what is exported (volform.h)
 *	    .hanfs/			+i
 *	        volume			cluster, volume, version, slots: text
 *	        state/			the backend's own
 *	        log/			+i
 *	            00000 ...		the slots: trusted.hanfs holds the value
 *	            sentinel		touched and synced by each commit
 *
 * Writing a slot replaces the extended attribute at once or not at all, and
 * is not synced: the file system's journal keeps it in order with every
 * other change of names and attributes. A *sync* changes the sentinel and
 * has it on disk by fsync: with it everything that was done before it.
 *
 * All calls come from one thread, the event loop's, and none of them waits
 * for a disk (but for store_open). A few worker threads write, one commits.
 * What is finished is said through a descriptor:
 *
 *	store_fd(s) is readable -> store_next() until it returns false
 *
 * Order: writes to one slot are done in the order in which they were given.
 * A sync comes after the writes given before it. Nothing else is
 * ordered by the store: what must be on disk before something else happens
 * waits for its STORE_WRITTEN (order) or STORE_SYNCED (durability) first.
 */
#ifndef HANFS_AGENT_STORE_H
#define HANFS_AGENT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "server-agent/logrec.h"
#include "server-agent/logscan.h"

#define STORE_XATTR     "trusted.hanfs"
#define STORE_ERROR_LEN 256

struct store;

struct store_config {
	const char *mountpoint; /* where the volume is mounted */
	const char *cluster;
	uint32_t volume;     /* id; both must be what --format wrote */
	unsigned writers;    /* threads; 0: STORE_WRITERS */
	unsigned writes_max; /* outstanding at once; 0: STORE_WRITES_MAX */
	unsigned syncs_max;  /* outstanding at once; 0: STORE_SYNCS_MAX */
};
enum {
	STORE_WRITERS = 8,
	STORE_WRITES_MAX = 4096,
	STORE_SYNCS_MAX = 8192,
};

/*
 * Opens the log of a mounted volume and starts the threads. Needs
 * CAP_SYS_ADMIN, and to be the owner of the slots (root). Reads a few files
 * and opens the slots: milliseconds. NULL: error says what is wrong and what
 * to do.
 */
struct store *store_open(
    const struct store_config *config, char error[STORE_ERROR_LEN]);

unsigned store_slots(const struct store *s);
int store_fd(const struct store *s);

enum store_what {
	STORE_WRITTEN,
	STORE_SYNCED,
	STORE_SCANNED,
	STORE_REMADE,
	STORE_STOPPED,
	STORE_WHATS
};
extern const char *const store_what_names[STORE_WHATS];

struct store_done {
	enum store_what what;
	void *tag;            /* the caller's */
	int error;            /* errno; 0: done */
	uint64_t us;          /* it took, from the call on */
	struct logscan *scan; /* STORE_SCANNED without error: the caller's */
};

/*
 * Writes a record of n parts, values of LOGSLOT_LEN bytes each as
 * logrec_encode() made them, to slots[0..n-1]: the last part first, the head
 * at the end, and not the head when another part failed. The bytes are
 * copied. No two writes that are under way name a slot, unless it is the
 * head of both. 0, or -1 and errno EAGAIN: too many are outstanding (call
 * again after one is done), or the sticky error.
 *
 * STORE_WRITTEN without error: every effect that begins from now on is on
 * disk only if this record is.
 */
int store_write(struct store *s, const uint32_t *slots, unsigned n,
    const uint8_t *values, void *tag);

/*
 * Makes durable what was done before: each write given before it (whose
 * STORE_WRITTEN comes first), and every change of names and attributes that
 * the file system had made when this is called. Many share one commit. So a
 * completion and its sync are given together; a completion that fails says
 * so in its own STORE_WRITTEN. 0, or -1 and errno
 * EAGAIN or the sticky error.
 *
 * STORE_SYNCED with an error: nothing may be called durable any more; the
 * error is sticky, all that wait get it, and the volume is given up
 * (after a failed fsync the kernel may have dropped what it could not write,
 * and a second fsync would not say so).
 */
int store_sync(struct store *s, void *tag);

/* The sticky error, or 0. */
int store_error(const struct store *s);

/*
 * Reads all slots, in parallel. No writes may be under way. STORE_SCANNED
 * brings the finished scan; a slot that cannot be read is bad in there.
 */
int store_scan(struct store *s, void *tag);

/*
 * XFS: makes each slot anew: a new inode with the same value, renamed over
 * the old one, since a cut can leave in a slot's attributes an entry that
 * nobody sees and that takes room. After the scan; writes may go on
 * meanwhile, so that no takeover waits for it. Needs CAP_LINUX_IMMUTABLE. On
 * other file systems it does nothing, with success. When there is no space
 * for a copy, the rest stays as it is.
 */
int store_remake(struct store *s, void *tag);

/* What has been done since; false: nothing now. */
bool store_next(struct store *s, struct store_done *done);

/*
 * Ends it. What is not begun is done with ECANCELED; when no thread is in
 * the file system any more and all descriptors are closed, STORE_STOPPED
 * comes as the last thing. It may never come while the disk hangs.
 */
void store_stop(struct store *s);

/* Frees it, after STORE_STOPPED or before: then the last thread that
 * returns from the disk does it, and closes store_fd(), which is of no use
 * to the caller any more from now on. */
void store_free(struct store *s);

/* Counters since the start. Times in microseconds, from the call on. */
struct store_latency {
	uint64_t n, sum_us, max_us;
	uint64_t buckets[24]; /* [i]: below 2^i us, and not below 2^(i-1) */
};
struct store_counts {
	struct store_latency writes, syncs;
	uint64_t commits;            /* fsyncs */
	struct store_latency commit; /* of futimens and fsync alone */
	uint64_t write_errors;
	unsigned writes_now, syncs_now; /* outstanding */
	unsigned syncs_most;            /* that one commit made durable */
};
void store_count(struct store *s, struct store_counts *n);
/* The time that at least permille/1000 of them took no longer than. */
uint64_t store_latency_at(const struct store_latency *l, unsigned permille);

#endif
