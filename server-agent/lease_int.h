/*
 * What the files of the lease share:
 *	lease.c        start, requests, actions, events, time
 *	lease_read.c   what a read of all slots says
 *	lease_claim.c  claiming, and the phases of both
 *	lease_take.c   taking
 *	lease_own.c    being owner: renewals, lapse, release
 */
#ifndef AGENT_LEASE_INT_H
#define AGENT_LEASE_INT_H

#include <stdarg.h>

#include "server-agent/lease.h"

#define LEASE_QUEUE 64u /* actions of one event */

/* Of a claim. Each waits for the I/O that was asked for last. */
enum lease_phase {
	PHASE_NONE,
	PHASE_LOOK,    /* reads: may it? */
	PHASE_CLAIM,   /* writes the claim */
	PHASE_CHECK,   /* reads: is it the highest? */
	PHASE_WAIT,    /* taking: time is the evidence */
	PHASE_BASE,    /* taking: reads what the owner does */
	PHASE_OWN,     /* writes "owned" */
	PHASE_CONFIRM, /* reads: is it still the highest? */
	PHASE_BACKOFF, /* taking: a rival came between; again */
};

/* The newest owner when the claim was made. */
struct lease_base {
	unsigned slot; /* CTL_NO_SLOT: nobody */
	uint64_t epoch, ballot;
	uint64_t seq, instance; /* later ones of a held lease: it lives */
};

struct lease_slot {
	struct lease_seen seen;
	uint64_t fresh_ms; /* completion of the first read of this seq */
	bool known;        /* read at least once */
	bool gone;         /* by suspicion, and not read anew since */
};

struct lease {
	struct lease_config cfg;
	enum lease_state state;
	enum lease_phase phase;

	/* Own slot: as it is to be, and the last that was asked for. */
	struct ctl_lease own;
	struct ctl_lease sent;   /* the write under way, or the last one */
	struct ctl_lease before; /* own, before "owned" was written */
	uint64_t landed_seq;     /* a write of it has completed */

	/* I/O, by running numbers: at most one of each is under way. */
	bool reading, writing;
	bool read_wanted, write_wanted;
	uint64_t reads, writes;          /* asked for so far */
	uint64_t phase_io;               /* the one that the phase waits for */
	uint64_t look_read, resume_read; /* and these; 0: none */
	uint64_t read_asked_ms, write_asked_ms;
	uint64_t read_after_seq; /* landed when it was asked for */
	uint64_t landed_ms;      /* the last write that did: issued then */
	uint64_t write_retry_ms;
	bool disk_lost, dropped;

	struct lease_slot slots[CTL_SLOTS];
	struct {
		unsigned slot;
		uint64_t epoch, ballot;
		enum ctl_holding holding;
		uint32_t granted_to;
	} told; /* NEWEST was told last */

	/* Claim and take. */
	bool force, taking;
	struct lease_base base;
	struct lease_proof proof;
	uint64_t claim_epoch, claim_ballot;
	uint64_t wait_ms; /* until: WAIT, BACKOFF */
	unsigned tries;
	uint64_t own_issued_ms; /* of the write of "owned" */

	/* Being owner. */
	uint64_t valid_until_ms;
	uint64_t pending_until_ms; /* lapsed: once the read confirms it */
	uint64_t renew_at_ms;
	uint64_t poll_at_ms;

	uint64_t random;

	struct lease_action queue[LEASE_QUEUE];
	unsigned first, count;
	struct lease_event events[LEASE_EVENTS];
	uint64_t nevents;
};

/* lease.c */
/* News with its text; what else is in it the caller sets. */
struct lease_action *lease_tell(struct lease *l, enum lease_news news,
    enum lease_why why, uint64_t now_ms, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The name of a server, by its slot. */
const char *lease_name(const struct lease *l, unsigned slot);
/* Asks for a read issued from now on; returns its number. */
uint64_t lease_want_read(struct lease *l);
/* Asks for the own slot to be written as it is now; its number. */
uint64_t lease_want_write(struct lease *l);
/* Ends it: nothing is written any more. */
void lease_break(struct lease *l, enum lease_why why, unsigned who,
    uint64_t now_ms, const char *text);

/* lease_read.c */
void lease_take_in(struct lease *l, const struct ctl_slot *slots,
    uint64_t issued_ms, uint64_t done_ms, uint64_t now_ms);
/* The slot's lease as it stands: the own one is l->own. */
const struct ctl_lease *lease_of(const struct lease *l, unsigned slot);
/* What this agent owned last, without what is not decided yet. */
const struct ctl_lease *lease_own_decided(const struct lease *l);
/* A candidate's slot from which nothing can be concluded; or CTL_NO_SLOT. */
unsigned lease_damaged(const struct lease *l);
/* Another one's claim for `epoch` or a later one with a ballot above it, or
 * CTL_NO_SLOT. */
unsigned lease_rival(const struct lease *l, uint64_t epoch, uint64_t ballot);
/* Of all others, the owner of something newer than (epoch, ballot). */
unsigned lease_newer(const struct lease *l, uint64_t epoch, uint64_t ballot);
/* Fills in whom news are about, by slot. */
void lease_about(
    const struct lease *l, struct lease_action *news, unsigned slot);

/* lease_claim.c */
void lease_claim_read(struct lease *l, int error, uint64_t now_ms);
void lease_claim_written(
    struct lease *l, int error, uint64_t issued_ms, uint64_t now_ms);
void lease_claim_tick(struct lease *l, uint64_t now_ms);
/* After any read while a claim waits to be taken. */
void lease_claim_watch(struct lease *l, uint64_t now_ms);
/* Ends claim or take; the slot is put back. With why NONE untold. */
void lease_claim_end(struct lease *l, enum lease_why why, unsigned who,
    uint64_t now_ms, const char *text);

void lease_busy(struct lease *l, uint64_t now_ms);
/* The slot says nothing of a claim any more. */
void lease_put_back(struct lease *l);
/* The phase waits for a read, or a write, that begins from now on. */
void lease_read_for(struct lease *l, enum lease_phase phase);
void lease_write_for(struct lease *l, enum lease_phase phase);
/* The base is still what the claim was made against. */
bool lease_base_newest(const struct lease *l);
/* Another server holds it: it must be known to write no more. */
bool lease_base_held(const struct lease *l);
/*
 * Has the process that held it renewed its lease since? One that was started
 * anew (stale) has not: it writes nothing before it has a newer epoch.
 */
bool lease_base_lives(const struct lease *l);
/* Does nothing stand against the claim? Else ends it. */
bool lease_claim_stands(struct lease *l, uint64_t now_ms);

/* lease_take.c */
void lease_write_owned(struct lease *l);
void lease_after_base(struct lease *l, uint64_t now_ms);
void lease_after_confirm(struct lease *l, uint64_t now_ms);

/* lease_own.c */
void lease_own_written(struct lease *l, int error, uint64_t issued_ms,
    uint64_t done_ms, uint64_t now_ms);
void lease_own_read(struct lease *l, uint64_t number, uint64_t now_ms);
void lease_own_tick(struct lease *l, uint64_t now_ms);
/* Has the validity ended? Suspends. */
void lease_own_lapse(struct lease *l, uint64_t now_ms);

static inline bool
lease_is_owner(const struct lease *l)
{
	return l->state == LEASE_OWNER || l->state == LEASE_LAPSED;
}

#endif
