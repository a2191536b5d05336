/*
 * steps: what takeover does outside this process, each with a deadline.
 *
 * The agent gives up most of root's powers at its start, and its memory is
 * large and locked. Mounting, NFS servers, fence commands need those powers,
 * and fork(2) wants a small process. So a helper is forked first of all:
 *
 *   agent (few capabilities, libevent) --SEQPACKET-- helper (root, small)
 *                                                      |  one child a step,
 *                                                      |  one a backend
 *
 * The helper runs what it is told: commands of the configuration (sh -c),
 * and the built-in steps (step_*.c), which are plain functions run in a
 * child. Each child leads a process group; at the deadline the group gets
 * SIGTERM, STEPS_GRACE_MS later SIGKILL, and only when all of it is gone is
 * "timed out" reported. Children's standard error goes to the agent's; its
 * last line is the reason that is reported.
 *
 * When the agent ends, however, the helper kills what still runs, backends
 * included, and ends: a call inside an old backend cannot land later. What
 * even that leaves (both were killed) is ended by STEP_END_OLD at the next
 * start.
 *
 * One thread, the agent's main loop. Fence methods use steps_command().
 */
#ifndef HANFS_AGENT_STEPS_H
#define HANFS_AGENT_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hanfs/config.h"

#define STEPS_GRACE_MS 500u
#define STEPS_TEXT_MAX 256u
#define STEPS_OUT_MAX  8192u
#define STEPS_ENV_MAX  16u /* strings of a command */

struct event_base;
struct steps;
struct step; /* one that runs */

enum steps_end {
	STEPS_DONE,      /* status 0 */
	STEPS_FAILED,    /* another status, a signal, or it did not start */
	STEPS_TIMED_OUT, /* and was ended */
	STEPS_ENDS
};
extern const char *const steps_end_names[STEPS_ENDS];

struct steps_result {
	enum steps_end end;
	int status;  /* exit status; 128 + the signal's number */
	uint32_t ms; /* from steps_* to the end */
	/* The last line on standard error, or what the helper says; for an
	 * operator. "" when it ended well and was silent. */
	char text[STEPS_TEXT_MAX];
	/* Standard output, NUL-terminated and cut; a built-in step writes
	 * there what it found out (its table below says what). Valid during
	 * the call-back alone. */
	const char *out;
	uint32_t out_len;
};

typedef void steps_done_fn(void *arg, const struct steps_result *result);

/* What is built in. All take the volume's configuration. */
enum step_kind {
	STEP_END_OLD,      /* ends all that runs in the volume's namespace; out:
			    * "mounted", if the volume still is */
	STEP_PREPARE,      /* makes the namespace, starts rpcbind in it */
	STEP_ASSEMBLE,     /* the command `assemble`, or nothing */
	STEP_MOUNT,        /* `mount`, or mount(2) of device on mountpoint */
	STEP_BACKEND,      /* starts it, and waits for its NULL reply */
	STEP_ROOT,         /* the export's file handle, by MNT, is the recorded
			    * one (or is recorded); out: in hexadecimal */
	STEP_ADDRESS_UP,   /* service address, ARP, hook */
	STEP_ADDRESS_DOWN, /* hook, address away */
	STEP_SYNC,         /* writes back, gently; out: KiB that the device
			    * wrote meanwhile, how many ms it took, 1 if
			    * time was over before all was written, else 0,
			    * and how many KiB may be dirty still */
	STEP_FLUSH,        /* syncfs */
	STEP_STOP,         /* kills the backend; all its threads are gone */
	STEP_UNMOUNT,      /* `unmount`, or umount(2); then waits until no
			    * namespace holds the device any more */
	STEP_ABANDON,      /* file system shut down, then unmounted: nothing
			    * more may reach the disk */
	STEP_DISASSEMBLE,
	STEP_KINDS
};
extern const char *const step_kind_names[STEP_KINDS];

/* What a built-in step is told beside the configuration. */
struct steps_volume {
	unsigned volume; /* index */
	uint64_t epoch;  /* also the backend's instance number */
};

/*
 * Forks the helper: before privileges are dropped, before any thread, early
 * (its size is what each step's fork costs). cfg is used by both sides as it
 * is now; self is this server's index; run_dir is where a backend's files
 * are made (run_dir/VOLUME/). NULL after logging why.
 */
struct steps *steps_new(
    const struct config *cfg, unsigned self, const char *run_dir);
/* Answers are taken from base's loop from now on. 0, or -1 with errno.
 * settle is called after each batch of answers; may be NULL. */
int steps_attach(struct steps *s, struct event_base *base,
    void (*settle)(void *arg), void *arg);
/* Kills what runs, ends the helper, waits for that; no answer comes. */
void steps_free(struct steps *s);

/*
 * Starts a built-in step; done is called once, never from inside. NULL with
 * errno when the helper is gone (ECONNRESET: everything is lost, the agent
 * should end) or too much runs (EAGAIN).
 */
struct step *steps_start(struct steps *s, enum step_kind kind,
    const struct steps_volume *v, uint32_t deadline_ms, steps_done_fn *done,
    void *arg);

/* KiB written to the device since its statistics began; 0: not known. Of any
 * process, and without a wait for the disk. */
uint64_t steps_written_kib(const char *device);

/*
 * Runs `command` by sh -c. env: "NAME=value" strings, ended by NULL, added
 * to HANFS_SERVER and, for a volume >= 0, HANFS_VOLUME, HANFS_EPOCH,
 * HANFS_DEVICE, HANFS_MOUNTPOINT. As steps_start otherwise.
 */
struct step *steps_command(struct steps *s, const char *command,
    const char *const *env, int volume, uint64_t epoch, uint32_t deadline_ms,
    steps_done_fn *done, void *arg);

/* Ends it; done is called when it is gone (STEPS_FAILED, "cancelled"). */
void steps_cancel(struct steps *s, struct step *step);

/*
 * A backend that ends without STEP_STOP: its volume and how it ended.
 */
void steps_on_backend_end(struct steps *s,
    void (*fn)(void *arg, unsigned volume, const char *how), void *arg);

#endif
