/*
 * Fencing: making sure that a silent owner writes no more, before another
 * server takes its volume (DESIGN section 6).
 *
 * One interface over all methods. Each runs tools as child processes with a
 * deadline; the event loop goes on meanwhile.
 *
 *	method	what runs			confirmed when
 *	command	fence_command, by sh		status 0: "it is off"
 *	scsi	sg_persist			the peer's keys are gone, ours
 *	mpath	mpathpersist			is there, and the reservation
 *	nvme	nvme resv-*			is write-exclusive (or
 *						exclusive), registrants only
 *	watchdog	nothing			by lease.h: LEASE_WATCHDOG
 *	lease-only	nothing			by lease.h: LEASE_END; UNSAFE
 *	none	nothing				never: refused
 *
 * With scsi, mpath and nvme the disk itself refuses every host but the
 * owner: a claimant registers its key once its claim is won and before it
 * takes (lease.h), by fence_peer() or fence_prepare(), and an owner takes it
 * back by fence_withdraw(), after unmounting and before the release. After a
 * claim that was lost it stays: a late fence may have put it in the place of
 * the new owner's, and without any reservation the old owner, that is fenced,
 * could write again. Never may a key be registered for an epoch whose "owned" is
 * on the disk already: a fence may have been aimed at it meanwhile. So the
 * control area must lie on a disk (LUN, namespace) of its own, or no standby
 * could write to it.
 *
 * Keys: 64 bits, "HF" | server id, 16 bits | epoch, low 32 bits.
 *
 * Environment of every command: HANFS_VOLUME, HANFS_SERVER (this one),
 * HANFS_PEER, HANFS_PEER_ADDRESSES (separated by blanks), HANFS_EPOCH (that
 * the peer held), HANFS_DEVICE. Nothing from outside is ever put into a
 * command's text.
 */
#ifndef AGENT_FENCE_H
#define AGENT_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "hanfs/config.h"
#include "server-agent/lease.h"

#define FENCE_TEXT_MAX 400u

enum fence_result {
	FENCE_CONFIRMED,
	FENCE_BY_TIME, /* lease.h waits: `evidence` goes to lease_take() */
	FENCE_FAILED,  /* the tool said no, or what it says does not fit */
	FENCE_REFUSED, /* not configured, or not usable: text names the cure */
	FENCE_TIMEOUT, /* the tool was killed: nothing is known */
	FENCE_NRESULTS,
};
extern const char *const fence_result_names[FENCE_NRESULTS];

struct fence_outcome {
	enum fence_result result;
	/* CONFIRMED and BY_TIME: what to take with. */
	enum lease_evidence evidence;
	uint32_t server_id;
	uint64_t epoch;
	uint64_t began_ms, ended_ms;
	char text[FENCE_TEXT_MAX]; /* what, how, and what to do */
};

/* Always called from the event loop, never inside fence_peer() itself. */
typedef void fence_done_fn(void *arg, const struct fence_outcome *outcome);

/*
 * Who runs the tools: a program whose privileges suffice, as child processes
 * with a deadline, killed with their group at its end. child.h has one for
 * tests and --check; a running agent has its helper (steps.h).
 */
struct fence_ran {
	int status; /* exit status; 128 + a signal's number; -1: it did
		     * not start */
	bool timed_out;
	const char *out; /* standard output, NUL-terminated, may be cut */
	const char *err; /* the last line of standard error, or why not */
};
typedef void fence_ran_fn(void *arg, const struct fence_ran *ran);
struct fence_runner {
	/* `command` for sh -c; env: "NAME=value", ended by NULL. done is
	 * called once, never from inside. NULL with errno: not possible. */
	void *(*start)(void *runner, const char *command,
	    const char *const *env, uint32_t deadline_ms, fence_ran_fn *done,
	    void *arg);
	/* Ends it; done is not called any more. */
	void (*cancel)(void *runner, void *run);
	void *runner;
};

struct event_base;
struct fence;

/*
 * For one volume. cfg is borrowed; *runner copied. NULL: no memory. The
 * device given to tools is storage.device.
 */
struct fence *fence_new(struct event_base *base, const struct config *cfg,
    unsigned volume, unsigned self, const struct fence_runner *runner);
/* Kills what runs; no call-back after this. */
void fence_free(struct fence *f);

/*
 * One of these at a time; false: one is running. deadline_ms is for all its
 * tools together; 0: the volume's fence_ms.
 */
/* Fences a server (index in the configuration) that held `epoch`. */
bool fence_peer(struct fence *f, unsigned server, uint64_t epoch,
    fence_done_fn *done, void *arg);
/* A claim of `epoch` was won and nobody is to be fenced: registers and
 * reserves, where the method has that; CONFIRMED where it has not. */
bool fence_prepare(
    struct fence *f, uint64_t epoch, fence_done_fn *done, void *arg);
/* After unmounting, before the release, and never after a lost claim: takes
 * the own key back. */
bool fence_withdraw(struct fence *f, fence_done_fn *done, void *arg);
/* For preflight: is everything there that the method needs? Changes
 * nothing. */
bool fence_check(struct fence *f, fence_done_fn *done, void *arg);
/* Ends what runs: its outcome is FAILED, "cancelled". */
void fence_cancel(struct fence *f);

/* The own key that fence_peer() or fence_prepare() registered last. Its epoch
 * may be an older one: a lease that is taken anew needs no new key. */
uint64_t fence_own_key(const struct fence *f);

/* "HF", server, epoch. */
uint64_t fence_key(uint32_t server_id, uint64_t epoch);
bool fence_key_is_of(uint64_t key, uint32_t server_id);

#endif
