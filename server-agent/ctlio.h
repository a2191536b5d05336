/*
 * ctlio: I/O on one volume's control area, and its mailbox.
 *
 * Owns two threads, each with buffers of its own: one that reads all slots
 * and writes the own one, on request; and one at real-time priority that
 * reads all mailboxes every mail_ms and answers what it finds, whatever the
 * event loop does. A dead disk path blocks a thread, never the event loop:
 * that hears of it by CTLIO_STALLED.
 *
 * Direct, synchronous I/O. A lock (ctlarea_lock) keeps out a second agent of
 * this server on this host, and a new one for as long as a write of the old
 * one is still inside the kernel. All memory must be locked by the caller
 * (daemon_lock_memory).
 *
 * Mailbox. Each candidate writes one block: its pings, one nonce for each
 * peer, and its pongs, the nonces that it found for itself in theirs. The
 * answer also says how long the peer's event loop has been silent: the
 * thread answers for the host, not for the loop.
 */
#ifndef AGENT_CTLIO_H
#define AGENT_CTLIO_H

#include "server-agent/ctlarea.h"

struct ctlio_config {
	struct ctl_want want;
	uint64_t boot;
	unsigned mail_ms;  /* between looks; 25 */
	unsigned stall_ms; /* an I/O under way for so long is told */
	int rt_priority;   /* SCHED_FIFO of the mailbox; 0: none */
};

enum ctlio_what {
	CTLIO_READ,    /* slots, or error */
	CTLIO_WRITE,   /* error or 0 */
	CTLIO_MAILED,  /* the ping to slot is on the disk */
	CTLIO_PONG,    /* from slot: state, loop_age_ms, boot */
	CTLIO_NO_PONG, /* from slot, within its time; error: our own disk's */
	CTLIO_ASKED,   /* slot wants the volume (ctlio_ask) */
	CTLIO_STALLED, /* an I/O has not ended for stall_ms; error is 0 */
	CTLIO_FLOWS,   /* it has, after all */
	CTLIO_NWHAT,
};

struct ctlio_done {
	enum ctlio_what what;
	int error;                   /* errno */
	uint64_t issued_ms, done_ms; /* CLOCK_BOOTTIME, beside the I/O */
	struct ctl_slot slots[CTL_SLOTS];
	unsigned slot;
	uint64_t nonce;
	uint32_t state, loop_age_ms;
	uint64_t boot;
};

struct ctlio_stats {
	uint64_t reads, writes, errors;
	uint64_t worst_read_us, worst_write_us; /* since the start */
	uint64_t mean_write_us;                 /* smoothed */
	uint64_t mail_reads, pongs_sent, pings_sent, pongs_seen;
	uint64_t worst_mail_us;
	bool realtime;
};

struct ctlio;

/* NULL: error (CTL_ERROR_LEN bytes) says what is wrong and what to do. */
struct ctlio *ctlio_open(const struct ctlio_config *cfg, char *error);
/* Ends both threads; waits for an I/O under way. */
void ctlio_close(struct ctlio *io);

const struct ctl_super *ctlio_super(const struct ctlio *io);
unsigned ctlio_slot(const struct ctlio *io); /* own */

/* Readable when ctlio_next() has something. */
int ctlio_fd(const struct ctlio *io);
bool ctlio_next(struct ctlio *io, struct ctlio_done *out);

/* False: one is under way already. */
bool ctlio_read(struct ctlio *io);
bool ctlio_write(struct ctlio *io, const struct ctl_lease *lease);

/* Asks a candidate: MAILED, and then PONG or, timeout_ms after that, NO_PONG;
 * or NO_PONG alone with an error of our own disk. Returns the nonce; 0: one
 * is out already, or nobody has that slot. */
uint64_t ctlio_ping(struct ctlio *io, unsigned slot, unsigned timeout_ms);
/* Asks a candidate to hand the volume over: ASKED there, once for each call,
 * also when its agent was away meanwhile. */
void ctlio_ask(struct ctlio *io, unsigned slot);
/* The event loop lives; and what to tell those who ask. */
void ctlio_alive(struct ctlio *io, uint32_t state);

void ctlio_stats(struct ctlio *io, struct ctlio_stats *out);

#endif
