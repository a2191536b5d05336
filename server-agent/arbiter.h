/*
 * The arbiter of one volume, as the owner machine's shell sees it: `disk`
 * (lease.h over ctlio.h) or `external` (another cluster manager, asked by
 * commands). Both take the same requests and give the same news (enum
 * lease_news).
 *
 * External. arbiter_command is run by sh with a verb as its first argument
 * and the environment of all commands (HANFS_VOLUME, HANFS_SERVER,
 * HANFS_DEVICE, HANFS_EPOCH). It must end within lease_ms.
 *
 *	owner		prints "SERVER EPOCH", the newest owner's name and
 *			epoch, or "none EPOCH" when the volume is free, and
 *			the highest epoch ever given out (0: none yet)
 *	claim EPOCH	status 0: this server owns EPOCH from now on. Status
 *			1: another one does; what it prints is the reason.
 *			The command must let one claim alone succeed for each
 *			epoch, and make sure (fence) that the owner before
 *			writes no more
 *	renew EPOCH	status 0: it still does, for lease_ms from now on.
 *			Status 1: no more. Any other: not known, as when
 *			the disk is lost
 *	release EPOCH [SERVER]	gives it up, for SERVER if one is named
 *
 * Evidence in a claim goes with it as HANFS_EVIDENCE (none, fenced,
 * lease-end, watchdog) and HANFS_PEER.
 */
#ifndef AGENT_ARBITER_H
#define AGENT_ARBITER_H

#include "hanfs/config.h"
#include "server-agent/ctlio.h"
#include "server-agent/fence.h"
#include "server-agent/lease.h"

struct event_base;
struct arbiter;

struct arbiter_config {
	struct event_base *base;
	const struct config *cfg; /* borrowed */
	unsigned volume, self;    /* indices */
	uint64_t boot;
	/* Each from the event loop, never inside a function of this file. */
	void (*news)(void *arg, const struct lease_action *what);
	/* MAILED, PONG or NO_PONG of arbiter_ping(); ASKED; STALLED, FLOWS.
	 * server: an index; our own where it is about the disk. */
	void (*mail)(void *arg, unsigned server, const struct ctlio_done *done);
	const struct fence_runner *runner; /* external's commands; borrowed */
	void *arg;
};

/* NULL: error (CTL_ERROR_LEN bytes) says what is wrong and what to do. */
struct arbiter *arbiter_start(const struct arbiter_config *cfg, char *error);
/* Writes nothing any more; an owner must have released before. */
void arbiter_stop(struct arbiter *a);

/* As lease_*() of these names; servers are indices. */
void arbiter_look(struct arbiter *a);
void arbiter_claim(struct arbiter *a, bool force);
void arbiter_take(struct arbiter *a, const struct lease_proof *proof);
void arbiter_unclaim(struct arbiter *a);
void arbiter_peer(struct arbiter *a, unsigned server, bool gone);
void arbiter_release(struct arbiter *a, int server); /* -1: to anybody */
void arbiter_drop(struct arbiter *a);
/* As lease_watchdog(). */
void arbiter_watchdog(struct arbiter *a, uint32_t armed_ms);

/* A message through the disk to a server (index). False: there is no
 * mailbox with this arbiter. */
bool arbiter_ping(struct arbiter *a, unsigned server, unsigned timeout_ms);
/* "Hand this volume over to me": ASKED there. */
bool arbiter_ask(struct arbiter *a, unsigned server);
/* The event loop lives (every tick); what those who ask are told. */
void arbiter_alive(struct arbiter *a, uint32_t state);

enum lease_state arbiter_state(const struct arbiter *a);
bool arbiter_valid(const struct arbiter *a, uint64_t now_ms);
uint64_t arbiter_epoch(const struct arbiter *a);
uint64_t arbiter_valid_until_ms(const struct arbiter *a);
/* As lease_landed_ms(). With `external`, where nobody counts by a slot: now. */
uint64_t arbiter_landed_ms(const struct arbiter *a);
/* When a server (index) was last seen to renew its lease: completion of the
 * read that found it, 0: never. Proof of life for suspicion. */
uint64_t arbiter_peer_advanced_ms(const struct arbiter *a, unsigned server);
/* The newest owner: index of the server, or -1; its epoch and holding. */
int arbiter_newest(
    const struct arbiter *a, uint64_t *epoch, enum ctl_holding *holding);
/* For hanfsctl. */
size_t arbiter_events(const struct arbiter *a, uint64_t from,
    struct lease_event *out, size_t max);
/* False with `external`. */
bool arbiter_io_stats(const struct arbiter *a, struct ctlio_stats *out);

#endif
