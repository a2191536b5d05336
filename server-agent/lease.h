/*
 * The disk arbiter's decisions for one volume: who may own it, and for how
 * long that can be believed (DESIGN section 6).
 *
 * Pure. Events go in with the time (CLOCK_BOOTTIME, ms); actions come out
 * of lease_next(): read all slots, write the own one, tell the owner
 * machine. At most one read and one write are under way at a time; none of
 * the own slot's writes overlaps another, since a disk may reorder those.
 *
 * Claims. "Who owns epoch E" is one consensus; E is one more than the
 * highest epoch that stands in any slot as owned. A claimant
 *
 *	lease_claim()	reads all slots: may it? which epoch? ballot
 *			writes claim (E, b)
 *			reads all slots: a higher claim, a newer owner: ends
 *			WON. The caller fences the owner before, if told to,
 *			and makes the disk accept this host (fence_prepare):
 *			now, never after GAINED, or it could undo a fence.
 *			The claim is rewritten every renew_ms meanwhile
 *	lease_take()	waits for time as evidence, reads all slots
 *			writes owned (E, b)
 *			reads all slots: a higher claim, a newer owner: ends
 *			GAINED
 *
 * Ballots are unique (number * CTL_SLOTS + slot). Of two claimants at least
 * one sees the other at its last look, and that with the lower ballot
 * withdraws. (One disk's case of Disk Paxos, Gafni and Lamport 2000; nobody
 * completes a claim for another: a slot that says "owned" counts as an owner
 * that may be alive.) A claim that stands is respected as long as it is
 * rewritten; one that was not for lease_ms, or whose server is gone
 * (lease_peer()), is outbidden. That is politeness: whom the ballots let
 * through they let through without it.
 *
 * What it takes, when the newest owner is X at epoch N:
 *	nobody ever, or X released N	nothing; but what was granted to
 *					another one is left to it for
 *					grant_ms, if it is not gone
 *	X is this server itself		nothing: its agent was started anew
 *					(the caller has ended what ran), or
 *					it takes a new epoch while owner
 *	else: evidence is needed	LEASE_FENCED for exactly X and N; or
 *					the end of X's lease, unsafe; or that
 *					and the watchdog's time
 * An owner's lease that advances while another takes ends that, whatever the
 * evidence: X lives.
 *
 * Being owner. The slot is rewritten every renew_ms, and all are read after
 * each. A renewal is worth lease_ms less the margin, counted from the
 * moment its write was issued. When that has passed the lease has lapsed:
 * suspended at once. It resumes, at the same epoch, when a renewal has
 * completed and a read issued after that finds nobody newer.
 */
#ifndef AGENT_LEASE_H
#define AGENT_LEASE_H

#include "server-agent/ctlarea.h"

#define LEASE_EVENTS   64u
#define LEASE_TEXT_MAX 240u

struct lease_config {
	unsigned slot; /* own, by the superblock */
	uint32_t server_id[CTL_SLOTS];
	const char *server[CTL_SLOTS]; /* names, borrowed; NULL: no slot */
	uint64_t boot, instance;       /* instance: random, never 0 */
	uint64_t epoch_floor;          /* of the superblock */
	uint32_t lease_ms, renew_ms;
	uint32_t margin_ms;   /* of clocks; at least lease_ms / 20 */
	uint32_t watchdog_ms; /* as lease_watchdog(); 0: none */
	uint32_t poll_ms;     /* a standby reads so often */
	uint32_t grant_ms;    /* what is granted to another one is left to it */
	uint32_t backoff_ms;  /* jitter after a rival, at first */
	uint32_t io_ms;       /* no completion for so long: the disk is lost */
	uint64_t seed;        /* of the jitter */
};

/* Fills in what follows from lease_ms and renew_ms. */
void lease_config_times(
    struct lease_config *cfg, uint32_t lease_ms, uint32_t renew_ms);

/* What makes it certain that the newest owner writes no more. */
enum lease_evidence {
	LEASE_NO_EVIDENCE, /* none is needed */
	LEASE_FENCED,      /* a confirmed fence of (server_id, epoch) */
	LEASE_END,         /* lease-only-unsafe: its lease has ended */
	LEASE_WATCHDOG,    /* its lease has ended, its watchdog fired */
	LEASE_NEVIDENCE,
};
extern const char *const lease_evidence_names[LEASE_NEVIDENCE];

struct lease_proof {
	enum lease_evidence evidence;
	uint32_t server_id;   /* LEASE_FENCED: who was fenced */
	uint64_t epoch;       /* and the epoch that it held */
	uint32_t watchdog_ms; /* LEASE_WATCHDOG: at least so long, even if
			       * the owner's slot says less */
};

/* Where the machine is. */
enum lease_state {
	LEASE_STARTING, /* reads for the first time, says who it is */
	LEASE_STANDBY,  /* owns nothing, wants nothing */
	LEASE_CLAIMING,
	LEASE_CLAIMED, /* won; lease_take() is waited for */
	LEASE_TAKING,
	LEASE_OWNER,
	LEASE_LAPSED,    /* owner, suspended */
	LEASE_RELEASING, /* owner no more; the slot does not say it yet */
	LEASE_BROKEN,    /* cannot be used: see the last event */
	LEASE_NSTATES,
};
extern const char *const lease_state_names[LEASE_NSTATES];

/* What the owner machine is told. */
enum lease_news {
	LEASE_READY,     /* the slots are known; once, at the start */
	LEASE_LOOKED,    /* answers lease_look(): server_id, epoch, holding,
			  * granted_to of the newest owner; server_id 0: none;
			  * or errno_: cannot read */
	LEASE_WON,       /* a claim for `epoch` stands. server_id: the owner
			  * to be fenced, with old_epoch; 0: nobody */
	LEASE_GAINED,    /* owner of `epoch` until valid_until_ms */
	LEASE_REFUSED,   /* claim or take ended without success: `why` */
	LEASE_WAITING,   /* the take goes on at until_ms: `why` */
	LEASE_RENEWED,   /* valid_until_ms is later now (for the guard) */
	LEASE_SUSPENDED, /* lapsed: serve nothing, write nothing */
	LEASE_RESUMED,   /* the same epoch again */
	LEASE_LOST,      /* owner no more, for ever: `why`, server_id */
	LEASE_GIVEN_UP,  /* the slot says released; a grant can be claimed */
	LEASE_NEWEST,    /* the newest owner or its holding has changed: as
			  * LOOKED */
	LEASE_ADVANCED,  /* server_id has renewed its lease: it lives */
	LEASE_TROUBLE,   /* a damaged slot, a twin, an area made anew: `why`;
			  * state BROKEN: this arbiter decides nothing more */
	LEASE_DISK_LOST, /* no answer for io_ms, or an error: errno_ */
	LEASE_DISK_BACK,
	LEASE_NNEWS,
};
extern const char *const lease_news_names[LEASE_NNEWS];

/* Why a claim waits or was refused, why ownership is lost. */
enum lease_why {
	LEASE_WHY_NONE,
	LEASE_WHY_UNFENCED,  /* X may be alive: evidence is needed */
	LEASE_WHY_NEWER,     /* server_id has a newer epoch */
	LEASE_WHY_ALIVE,     /* the owner's lease advanced */
	LEASE_WHY_RIVAL,     /* server_id's claim stands */
	LEASE_WHY_GRANT,     /* it was granted to `granted_to` just now */
	LEASE_WHY_DAMAGED,   /* a slot has no good copy */
	LEASE_WHY_DISK,      /* cannot read or write, or too slow for it */
	LEASE_WHY_TWIN,      /* another agent writes our slot */
	LEASE_WHY_FORMATTED, /* the area was made anew under us */
	LEASE_WHY_CANCELLED, /* lease_release() or _drop() came */
	LEASE_WHY_BUSY,      /* not in a state for it */
	LEASE_WHY_LEASE_END, /* waits: the owner's lease must end */
	LEASE_WHY_BACKOFF,   /* waits: after a rival */
	LEASE_NWHY,
};
extern const char *const lease_why_names[LEASE_NWHY];

enum lease_action_type {
	LEASE_DO_READ,  /* all slots; answer with lease_read_done() */
	LEASE_DO_WRITE, /* own slot; answer with lease_write_done() */
	LEASE_DO_TELL,
};

struct lease_action {
	enum lease_action_type type;
	struct ctl_lease write; /* DO_WRITE; wall_ms is the shell's */
	/* DO_TELL */
	enum lease_news news;
	enum lease_why why;
	uint32_t server_id; /* whom it is about; 0: nobody */
	uint64_t epoch, old_epoch;
	enum ctl_holding holding;
	uint32_t granted_to;     /* server id; 0: anybody */
	uint64_t valid_until_ms; /* GAINED, RENEWED, RESUMED */
	uint64_t until_ms;       /* WAITING */
	int errno_;
	char text[LEASE_TEXT_MAX]; /* for people: what, why, what to do */
};

/* One explained decision, kept for hanfsctl; ids as in the news. */
struct lease_event {
	uint64_t number, when_ms;
	enum lease_news news;
	enum lease_why why;
	uint64_t epoch;
	char text[LEASE_TEXT_MAX];
};

/* What is known of a candidate's slot; for suspicion (proof of life). */
struct lease_seen {
	enum ctl_status status;
	struct ctl_lease lease; /* the last good one */
	uint64_t read_ms;       /* when a read of it was issued last */
	uint64_t advanced_ms;   /* completion of the read that first found
				 * this seq; 0: it never moved since the
				 * start, so it says nothing of life */
};

struct lease;

/* NULL: no memory. The config is copied. Reads at once. */
struct lease *lease_new(const struct lease_config *cfg, uint64_t now_ms);
void lease_free(struct lease *l);

/* Takes the next action; false when there is none. */
bool lease_next(struct lease *l, struct lease_action *out);

/*
 * A read has ended: slots as they stand, or error, an errno. issued_ms and
 * done_ms are stamped by whoever did the I/O, next to it.
 */
void lease_read_done(struct lease *l, int error,
    const struct ctl_slot slots[CTL_SLOTS], uint64_t issued_ms,
    uint64_t done_ms, uint64_t now_ms);
/* The write has ended: error 0, or an errno: it may have landed or not. */
void lease_write_done(struct lease *l, int error, uint64_t issued_ms,
    uint64_t done_ms, uint64_t now_ms);
/* At least every LEASE_TICK_MS, and at lease_due_ms(). */
#define LEASE_TICK_MS 20u
void lease_tick(struct lease *l, uint64_t now_ms);
/* When the next tick has something to do; for a timer. */
uint64_t lease_due_ms(const struct lease *l);

/* Reads all slots now: LOOKED. */
void lease_look(struct lease *l, uint64_t now_ms);
/*
 * Phase 1: WON or REFUSED. Without force an owner whose lease advances
 * between the reads is left alone (ALIVE).
 */
void lease_claim(struct lease *l, bool force, uint64_t now_ms);
/*
 * Phase 2, of a claim that was won: GAINED or REFUSED, with WAITING in
 * between. Of an owner (proof is not looked at): takes the next epoch, with
 * the lease going on; REFUSED leaves it as it was, else GAINED or LOST.
 */
void lease_take(
    struct lease *l, const struct lease_proof *proof, uint64_t now_ms);
/*
 * What suspicion says of a server: it is gone (dead, silent), or it is not.
 * A gone one's claim, and what was granted to it, is not waited for; that it
 * writes its slot says more than this. It may be wrong, and is no evidence
 * that an owner writes no more.
 */
void lease_peer(struct lease *l, uint32_t server_id, bool gone);
/* Withdraws a claim. No answer but that of a claim or take under way. */
void lease_unclaim(struct lease *l, uint64_t now_ms);
/*
 * The owner machine has stopped and unmounted everything (or has found that
 * nothing is left of an earlier life of this agent: CTL_STALE). The volume
 * is granted to a server, or to whoever comes (0). It is not ours from this
 * moment; GIVEN_UP when the slot says so.
 */
void lease_release(struct lease *l, uint32_t granted_to, uint64_t now_ms);
/*
 * This host is reset within armed_ms after the end of a lease that it holds
 * on (0: nothing does that): stands in the slot with its next write. To be
 * called before lease_take(). Until then a slot that an earlier process of
 * this agent held goes on saying what that one had armed.
 */
void lease_watchdog(struct lease *l, uint32_t armed_ms);
/* Stops renewing without release: the volume may still be written here, and
 * others must fence us. */
void lease_drop(struct lease *l, uint64_t now_ms);

/* --- what is there now */
enum lease_state lease_state(const struct lease *l);
/* May the volume be written, replies be sent, at now_ms? */
bool lease_valid(const struct lease *l, uint64_t now_ms);
uint64_t lease_epoch(const struct lease *l); /* owned; 0: none */
uint64_t lease_valid_until_ms(const struct lease *l);
/* When the own slot was issued that is on the disk; 0: none of ours yet. Who
 * counts our lease or claim counts from then on, or later. */
uint64_t lease_landed_ms(const struct lease *l);
const struct lease_seen *lease_seen(const struct lease *l, unsigned slot);
/* The newest owner's slot, or CTL_NO_SLOT. */
unsigned lease_newest(const struct lease *l);
/* Events from number on, oldest first; returns how many were copied. */
size_t lease_events(
    const struct lease *l, uint64_t from, struct lease_event *out, size_t max);

#endif
