/*
 * cutload: logged changes to a volume with the real store, to be cut off.
 *
 *	cutload load MOUNTPOINT SEED WORKERS SYNC-PERCENT [BREAK [URL]]
 *	cutload look MOUNTPOINT SEED
 *	cutload full MOUNTPOINT SEED
 *	cutload time MOUNTPOINT SEED
 *
 * `load` has WORKERS workers. Each changes its directory export/wNN, one
 * step after the other, step K as steps.c and model.py have it; before each
 * it writes an intent, after it a completion, as the agent does, and for
 * SYNC-PERCENT of the steps it waits for a sync. It says, a line each:
 *	a W K	worker W knows that its steps up to K are durable
 *	f W K	it is about to give the slots of step K back
 * It ends when something fails, as it does after a cut.
 *
 * `look` scans the log and says what is in it:
 *	r W K intent|done	with the right contents
 *	bad SLOT WHY
 *	wrong W K WHAT		a record that was never written so
 * then, on XFS, makes the slots anew and looks again.
 *
 * `full` writes every slot, again and again, on a full file system.
 *
 * `time` says what scan, remake, writes and commits take (tests/cuts/measure).
 *
 * With URL (nfs://...) the steps go through an NFS server at the exported
 * directory, one connection a worker; without, they are system calls.
 *
 * BREAK, to show that the checks can fail: "late", the intent is written
 * after the step; "early", the completion before it; "unsynced", nothing is
 * synced and yet said to be.
 */
#ifndef CUTLOAD_H
#define CUTLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "server-agent/logrec.h"
#include "server-agent/store.h"

enum { WORKERS_MAX = 64, VOLUME = 1, BYTES_MAX = 4096 };
#define CLUSTER "cuts"

/* steps.c: step k, 1.. */
enum op {
	STEP_CREATE,
	STEP_RENAME,   /* a to b, which may exist */
	STEP_TRUNCATE, /* a to n bytes */
	STEP_CHMOD,    /* a to mode n */
	STEP_LINK,     /* b to a */
	STEP_SYMLINK,  /* a, to "target" */
	STEP_MKDIR,
	STEP_RMDIR,
	STEP_UNLINK,
};
#define STEP_NAME 32
struct step {
	enum op op;
	char a[STEP_NAME], b[STEP_NAME];
	uint64_t n;
};
void step_of(uint64_t k, struct step *s);

/* doit.c: where a worker does its steps. 0, or an errno. */
struct place;
struct place *place_open(
    const char *mountpoint, const char *url, unsigned worker);
int place_do(struct place *p, const struct step *s);

/* The record of step k of a worker: its bytes follow from seed, worker and
 * k; they are put into bytes[2 * BYTES_MAX]. */
void step_record(struct logrec *r, enum logrec_kind kind, uint32_t seed,
    unsigned worker, uint64_t k, uint8_t *bytes);

/* load.c */
int load(struct store *s, const char *mountpoint, uint32_t seed,
    unsigned workers, unsigned sync_percent, const char *wrong,
    const char *url);

/* look.c */
int look(struct store *s, uint32_t seed);
int full(struct store *s, uint32_t seed);

/* cost.c */
int take_time(struct store *s, const char *mountpoint);

/* main.c: waits; ends the program when none comes for a minute. */
struct store_done next_done(struct store *s);

#endif
