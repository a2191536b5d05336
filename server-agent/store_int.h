/*
 * What the files of the store share. Nobody else includes this.
 *
 *   store.c        what the event loop calls
 *   store_work.c   the threads; knows no file system
 *   store_count.c  counters
 *   store_xattr.c  the slots and the sentinel on a disk; knows no thread
 */
#ifndef HANFS_AGENT_STORE_INT_H
#define HANFS_AGENT_STORE_INT_H

#include <stdatomic.h>
#include <pthread.h>
#include <sys/queue.h>

#include "server-agent/store.h"
#include "server-agent/volform.h"

/* --- the disk's part: each call may take as long as the disk does */

/* Descriptors of the slots that are taken first stay open: it saves 2 of 7
 * microseconds (ext4) and 2 of 12 (xfs). All of them would be too many. */
enum { SLOTDISK_KEPT = 256 };

struct slotdisk {
	int root, log, sentinel;
	unsigned slots;
	bool xfs;
	int64_t stamp; /* the sentinel's time, nanoseconds; the committer's */
	_Atomic int kept[SLOTDISK_KEPT]; /* -1: not open */
};

int slotdisk_open(struct slotdisk *d, const struct store_config *config,
    char error[STORE_ERROR_LEN]);
void slotdisk_close(struct slotdisk *d);
/* 0, or an errno. */
int slotdisk_write(struct slotdisk *d, uint32_t slot, const uint8_t *value);
/* Its length into *len, and up to LOGSLOT_LEN + 1 bytes of it. */
int slotdisk_read(
    struct slotdisk *d, uint32_t slot, uint8_t *value, size_t *len);
int slotdisk_commit(struct slotdisk *d);
/* XFS: before the slots are made anew, one of them, after the last one.
 * Begin gives ENOTSUP where there is nothing to do. */
int slotdisk_remake_begin(struct slotdisk *d);
int slotdisk_remake(struct slotdisk *d, uint32_t slot);
int slotdisk_remake_end(struct slotdisk *d);

/* --- jobs */

enum job_kind { JOB_WRITE, JOB_SYNC, JOB_SCAN, JOB_REMAKE, JOB_STOP };

struct job {
	STAILQ_ENTRY(job) next; /* in one of the lists */
	enum job_kind kind;
	void *tag;
	uint64_t begin_us;
	struct store_done done;
	/* A write's number, in the order in which they were given; a sync's:
	 * of the last write before it; UINT64_MAX of all others. */
	uint64_t number;
	/* JOB_WRITE */
	unsigned n;
	uint32_t slots[LOGREC_PARTS_MAX];
	uint8_t values[]; /* n * LOGSLOT_LEN */
};

STAILQ_HEAD(job_list, job);

/* A scan under way: threads take ranges of slots until there is none left. */
struct scan_job {
	struct job *job; /* NULL: none */
	struct logscan *scan;
	unsigned next, readers; /* slot; threads that still read */
	int error;
};

struct slot_use {
	bool busy;       /* it is being written, or made anew */
	uint64_t wanted; /* in this look by an earlier job that waits */
};

struct store {
	struct slotdisk disk;
	struct store_config cfg;
	int event;

	pthread_mutex_t lock; /* all that follows */
	pthread_cond_t work, commit;
	pthread_cond_t freed;   /* a slot, for the remaker */
	pthread_cond_t written; /* commit_left is 0 */
	struct job_list ready;   /* writes, in order; a remake */
	struct job_list running; /* writes */
	struct job_list syncs;
	struct job_list done;
	struct scan_job scan;
	struct slot_use *use; /* by slot */
	uint64_t looks;       /* through `ready`, so far */
	uint64_t given;       /* writes, so far */
	unsigned idle;        /* writers that wait for work */
	unsigned waking;      /* of these, signalled and not there yet */
	unsigned remakers;    /* threads that wait for a slot: 0 or 1 */
	uint64_t commit_last; /* the writes up to this one ... */
	unsigned commit_left; /* ... that are not done; a commit waits */
	bool remaking;
	unsigned threads;
	bool stopping, orphan;
	bool untold, signalled; /* of what is in `done` */
	_Atomic int error; /* sticky; changed under the lock */
	struct store_counts n;
	/* of the event loop alone */
	struct job_list taken;
};

/* store_work.c; the lock is held, but for the last three */
void store_wake_writer(struct store *s);
void store_tell(struct store *s); /* the event loop; for a while without it */
void store_finish(struct store *s, struct job *j, int error);
void store_finish_all(struct store *s, struct job_list *list, int error);
void store_destroy(struct store *s); /* nobody else knows of it any more */
void *store_writer(void *store);
void *store_committer(void *store);

/* store_count.c */
void store_count_one(struct store_latency *l, uint64_t us);

#endif
