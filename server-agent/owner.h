/*
 * owner: who serves a volume, and the way there and back (DESIGN section 6).
 *
 * One object for each volume that has a `storage` section and this server as
 * a candidate. Pure: events and the time go in, actions come out; leases are
 * lease.h's, liveness is suspect.h's, the work is done by steps.h.
 *
 *   up    standby -> claiming -> fencing -> taking -> assembling -> mounting
 *         -> starting backend -> verifying -> recovering -> serving
 *   down  serving -> syncing -> draining -> removing address -> closing
 *         -> stopping backend -> unmounting -> disassembling -> releasing
 *         -> standby, or failed
 *
 * Each step of the way up leaves something behind (enum owner_have); the way
 * down undoes exactly what there is, last first, and is also the way back of
 * a step that fails: "mount fails -> the claim is released, it is said why,
 * the volume is left to the next candidate". What is there already is not
 * made again: a backend that died is started anew by `taking` (epoch + 1)
 * and the steps after it. The whole table is owner_table[] in owner_table.c;
 * owner_rows() gives it to tests and the manual.
 *
 * A step of the way down that fails is never skipped: a volume that may
 * still be written is not released. It is tried again, and after stuck_ms
 * the lease is dropped, not released (`stuck`): the others must fence us.
 *
 * When does a standby claim?
 *   nobody holds it       candidate k, k * stagger_ms after looking; those
 *                         before it that are dead do not count
 *   it is granted to us   at once
 *   we hold it by lease   at once: our own earlier life
 *   holder is dead, or    at once if no living candidate stands before us,
 *   silent (suspect.h)    else staggered in the same way
 *   holder says standby   the same: it gave the volume up and could not
 *   of that very epoch    release it (its disk is gone)
 * Each of these is decided in the arbiter in the end: the machine may ask
 * for what another gets.
 */
#ifndef HANFS_AGENT_OWNER_H
#define HANFS_AGENT_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/config.h"
#include "hanfs/heartbeat.h"
#include "server-agent/suspect.h"

#define OWNER_TEXT_MAX    320u
#define OWNER_STEPS_MAX   24u
#define OWNER_REPORTS_MAX 8u

enum owner_state {
	OWNER_STARTING, /* an older backend is ended, the disk is read */
	OWNER_STANDBY,
	OWNER_CLAIMING,
	OWNER_FENCING,
	OWNER_TAKING, /* epoch + 1 */
	OWNER_ASSEMBLING,
	OWNER_MOUNTING,
	OWNER_BACKEND,   /* started; the log is read beside it */
	OWNER_VERIFYING, /* root handle equal to the recorded one */
	OWNER_RECOVERING,
	OWNER_SERVING,
	OWNER_SUSPENDED, /* the lease lapsed: no call runs */
	OWNER_SYNCING,   /* serving; dirty pages are written back */
	OWNER_DRAINING,  /* new calls held, running ones finish */
	OWNER_ADDRESS_DOWN,
	OWNER_CLOSING,  /* the log */
	OWNER_STOPPING, /* the backend */
	OWNER_UNMOUNTING,
	OWNER_DISASSEMBLING,
	OWNER_RELEASING, /* or granting */
	OWNER_FAILED,    /* standby that may not claim for a while */
	OWNER_STUCK,     /* may still be written, lease dropped */
	OWNER_STATES
};
extern const char *const owner_state_names[OWNER_STATES];

enum owner_event_type {
	OWNER_EV_LOOKED, /* look: what the arbiter's slots say */
	OWNER_EV_PEER,   /* peer, verdict: of suspicion */
	OWNER_EV_TOLD,   /* peer, told, epoch: its heartbeat on this volume */
	OWNER_EV_WON,    /* claim stands; peer: to be fenced, or -1 */
	OWNER_EV_LOST_CLAIM, /* peer has it, or -1 */
	OWNER_EV_TAKEN,      /* epoch is ours */
	OWNER_EV_DONE,       /* the step of the present state is done */
	OWNER_EV_FAILED,     /* or failed, text says why; also time out */
	OWNER_EV_LAPSED,     /* our lease was not renewed in time */
	OWNER_EV_RESUMED,    /* all slots reread: still ours */
	OWNER_EV_LOST,       /* another has it: nothing more may be written */
	OWNER_EV_DISK_LOST,  /* the file system or the control area fails */
	OWNER_EV_BACKEND_DIED,
	OWNER_EV_NETS_LOST, /* no client can reach us, the disk works */
	OWNER_EV_NETS_BACK,
	OWNER_EV_ASKED, /* peer wants the volume (failback, drill) */
	OWNER_EV_MOVE,  /* operator: to peer */
	OWNER_EV_DRILL, /* operator: away and back */
	OWNER_EV_STOP,  /* the agent ends: hand over, within its bound */
	OWNER_EV_FLUSHES, /* the unmount waits for the flush, or writes: the
			   * disk has taken more, or the flush is at its end */
	OWNER_EV_TIME,  /* a deadline or a wait is over (owner_tick) */
	OWNER_EVENTS
};
extern const char *const owner_event_names[OWNER_EVENTS];

struct owner_look {
	int holder;     /* server index; -1: nobody */
	uint64_t epoch; /* the last one given */
	int granted;    /* released in favour of that server; -1: of all */
};

struct owner_event {
	enum owner_event_type type;
	int peer; /* server index, or -1 */
	struct owner_look look;
	enum suspect_state verdict;
	enum hb_state told;
	uint64_t epoch;
	bool mounted; /* DONE in starting: an earlier life's mount is there */
	uint64_t dirty_kib; /* DONE in syncing: what was dirty before it, */
	uint64_t sync_ms;   /* and how long it took to write that */
	bool cut;           /* its time was over: that was not all of it, */
	uint64_t left_kib;  /* and so much may be left; 0: not known */
	const char *text;   /* for an operator; NULL or "": nothing */
};

enum owner_action_type {
	OWNER_END_OLD, /* what an earlier life left; then LOOK */
	OWNER_LOOK,    /* reread all slots: LOOKED */
	OWNER_CLAIM,   /* WON or LOST_CLAIM */
	OWNER_FENCE,   /* peer: DONE or FAILED */
	OWNER_TAKE,    /* TAKEN or FAILED; also of a lease that is ours */
	OWNER_ASSEMBLE,
	OWNER_MOUNT,
	OWNER_START_BACKEND,
	OWNER_VERIFY,  /* root handle */
	OWNER_RECOVER, /* read the log, judge, sync */
	OWNER_SERVE,   /* calls run; no event follows */
	OWNER_HOLD,    /* suspended or stopped: no call runs; none follows */
	OWNER_SYNC,    /* write back while serving */
	OWNER_DRAIN,   /* hold new calls; DONE when none runs */
	OWNER_RESUME,  /* draining was given up: as SERVE */
	OWNER_FLUSH,   /* syncfs beside the way down, until the unmount; no
			* event follows */
	OWNER_CLOSE,   /* the log; connections of clients end */
	OWNER_ADDRESS_ADD, /* beside serving; none follows: how it ends is
			    * the shell's to log */
	OWNER_ADDRESS_REMOVE,
	OWNER_STOP_BACKEND,
	OWNER_UNMOUNT,
	OWNER_ABANDON, /* no write may reach the disk; unmount by force */
	OWNER_DISASSEMBLE,
	OWNER_RELEASE,  /* peer: in its favour; -1: of all; DONE or FAILED */
	OWNER_DROP,     /* stop renewing, without release; none follows */
	OWNER_CANCEL,   /* the running step is not wanted any more */
	OWNER_ASK,      /* ask peer, the holder, for the volume */
	OWNER_ANNOUNCE, /* `told` and `epoch` are what heartbeats say now */
	OWNER_NOTE,     /* an explained event: text, evidence */
	OWNER_STOPPED,  /* STOP is done: nothing is held any more */
	OWNER_ACTIONS
};
extern const char *const owner_action_names[OWNER_ACTIONS];

struct owner_action {
	enum owner_action_type type;
	int peer;
	uint64_t epoch;
	enum hb_state told;
	uint32_t deadline_ms;      /* of a step; the machine watches it, too */
	enum owner_state from, to; /* NOTE: equal when nothing changed */
	char text[OWNER_TEXT_MAX];
	char evidence[OWNER_TEXT_MAX];
};

/*
 * What there is, in the order of making. A bit is set when its step begins:
 * one that failed half-way is undone, too.
 */
enum owner_have {
	OWNER_HAVE_CLAIM = 1,
	OWNER_HAVE_LEASE = 2,
	OWNER_HAVE_DEVICE = 4,
	OWNER_HAVE_MOUNT = 8,
	OWNER_HAVE_BACKEND = 16,
	OWNER_HAVE_VERIFIED = 32, /* the backend is right */
	OWNER_HAVE_LOG = 64,
	OWNER_HAVE_ADDRESS = 128,
};

struct owner_config {
	char volume[CONFIG_NAME_MAX + 1];
	unsigned self;
	unsigned ncandidates;
	unsigned candidates[CONFIG_CANDIDATES_MAX];
	char servers[CONFIG_SERVERS_MAX][CONFIG_NAME_MAX + 1];
	bool has_address; /* a service address, or hooks for it */
	enum config_failback failback;
	uint64_t failback_delay_ms;
	uint64_t stagger_ms;   /* between candidates; 2,000 */
	uint64_t settle_ms;    /* auto failback: standby so long; 1,000 */
	uint64_t retry_ms;     /* after a failure, doubles; 5,000 */
	uint64_t alone_ms;     /* the same, where nobody else could take it
				* meanwhile; 500 */
	uint64_t retry_max_ms; /* 300,000 */
	uint64_t claim_ms;     /* deadlines of the steps, from here on */
	uint64_t fence_ms;
	uint64_t mount_ms, unmount_ms;
	uint64_t backend_ms; /* also verifying */
	uint64_t recover_ms;
	uint64_t drain_ms; /* running calls may take so long; 3,000 */
	uint64_t address_ms;
	uint64_t stuck_ms;      /* a way down that fails so long; 10,000 */
	/* A round of write-back that took no longer, or wrote no more,
	 * leaves little; and so many there are at most. With much to write
	 * each takes half of unmount_ms: 40 of them 10 minutes. */
	uint64_t sync_ms, dirty_max_kib;
	unsigned syncs_max;
	unsigned deaths_max;    /* of the backend within a minute; 3 */
};

/* Fills in every time and bound from the configuration. */
void owner_configure(struct owner_config *out, const struct config *cfg,
    unsigned volume, unsigned self);

struct owner;

/* NULL: no memory, or self is no candidate. *config is copied. The first
 * actions are there at once. */
struct owner *owner_new(const struct owner_config *config, uint64_t now_ms);
void owner_free(struct owner *o);

void owner_event(
    struct owner *o, const struct owner_event *ev, uint64_t now_ms);
/* The next action; false when there is none. */
bool owner_next(struct owner *o, struct owner_action *action);
/* When owner_tick() is wanted; UINT64_MAX: not at all. */
uint64_t owner_next_ms(const struct owner *o);
void owner_tick(struct owner *o, uint64_t now_ms);

enum owner_state owner_state(const struct owner *o);
unsigned owner_have(const struct owner *o); /* bits of enum owner_have */
uint64_t owner_epoch(const struct owner *o);
int owner_holder(const struct owner *o); /* as last looked or told; -1 */
/* Why a MOVE, DRILL or ASKED would be refused now: static text; NULL: not. */
const char *owner_refuses(
    const struct owner *o, enum owner_event_type what, int peer);

/* --- what happened: one report for each way up, down, and drill */

enum owner_trip { OWNER_TRIP_UP, OWNER_TRIP_DOWN, OWNER_TRIP_DRILL };
extern const char *const owner_trip_names[];

struct owner_report {
	enum owner_trip trip;
	uint64_t number; /* counts from 1 */
	uint64_t at_ms;  /* when it began */
	uint64_t epoch;
	bool running, ok;
	char cause[OWNER_TEXT_MAX]; /* why it began */
	char text[OWNER_TEXT_MAX];  /* how it ended */
	uint32_t total_ms;
	unsigned nsteps;
	struct {
		enum owner_state state;
		uint32_t ms;
	} steps[OWNER_STEPS_MAX];
};

/* The last OWNER_REPORTS_MAX, newest first; NULL beyond the last one. */
const struct owner_report *owner_report(const struct owner *o, unsigned back);

/* --- the table, for tests and for people */

struct owner_row {
	uint32_t states; /* bits: 1 << enum owner_state */
	enum owner_event_type event;
	const char *what; /* what is done, in words */
	void (*fn)(struct owner *o, const struct owner_event *ev);
};
const struct owner_row *owner_rows(unsigned *n);

#endif
