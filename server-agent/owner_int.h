/*
 * owner: what its files share.
 *
 *   owner.c        the interface, the queue of actions, reports
 *   owner_table.c  states x events
 *   owner_do_up.c, owner_do_own.c  what each pair does
 *   owner_way.c    the ways up and down
 *   owner_claim.c  when a standby claims, and when it asks for its volume
 */
#ifndef HANFS_AGENT_OWNER_INT_H
#define HANFS_AGENT_OWNER_INT_H

#include "server-agent/owner.h"

enum { OWNER_QUEUE = 64 };

/* Where a way down ends. */
enum owner_goal {
	GOAL_STANDBY, /* handed over */
	GOAL_FAILED,  /* left to the next candidate */
	GOAL_STOPPED, /* the agent ends */
};

struct owner_peer {
	enum suspect_state verdict;
	bool heard; /* it said something of this volume */
	enum hb_state told;
	uint64_t epoch;
};

struct owner {
	struct owner_config c;
	uint64_t now;
	enum owner_state state;
	uint64_t since_ms;    /* in this state */
	uint64_t deadline_ms; /* of this state; UINT64_MAX: none */
	unsigned have;
	uint64_t epoch; /* ours, or the last that was */

	/* what is known */
	bool looked;
	struct owner_look look;
	struct owner_peer peers[CONFIG_SERVERS_MAX];
	bool nets_lost, lapsed;
	bool ending; /* STOP came: nothing is claimed any more */

	/* a standby */
	uint64_t standby_ms;      /* since when */
	uint64_t open_ms;         /* since when it may be claimed; 0: may not */
	uint64_t look_ms, ask_ms; /* the next of these */
	uint64_t not_before_ms;   /* a claim was lost a moment ago */
	bool ready;               /* the earlier life's backend is ended */
	bool mounted;             /* but its mount is there */
	bool retaking;            /* what the old backend left is there, too */
	bool moved_away;          /* by an operator: no failback of our own */
	struct owner_look basis;  /* what the claim was decided on */
	bool withdraw;            /* the claim is not wanted any more */
	bool returning;           /* a drill: the volume is to come back */

	/* the way down */
	enum owner_goal goal;
	int target;       /* in whose favour; -1 */
	bool voluntary;   /* it may be given up while calls still run */
	bool abandon;     /* nothing more may be written */
	bool again;       /* its present step waits to be tried again */
	uint64_t down_ms; /* since when its present step is tried */
	unsigned syncs;      /* rounds so far */
	unsigned idle_syncs; /* of these, in a row that gained nothing */
	uint64_t last_kib;   /* of the round before, if that was all */
	char why[OWNER_TEXT_MAX]; /* of a failure */

	unsigned failures; /* since it was served here last */
	unsigned deaths;   /* of the backend, since deaths_ms */
	uint64_t deaths_ms;

	enum hb_state told;
	uint64_t told_epoch;

	uint64_t reports; /* begun so far */
	struct owner_report report[OWNER_REPORTS_MAX];

	unsigned first, queued;
	struct owner_action queue[OWNER_QUEUE];
};

/* owner.c */
struct owner_action *owner_push(struct owner *o, enum owner_action_type type);
void owner_push_step(
    struct owner *o, enum owner_action_type type, uint64_t deadline_ms);
/* Another state; text says why, as an operator reads it. */
void owner_go(struct owner *o, enum owner_state state, const char *text);
void owner_note(struct owner *o, const char *text, const char *evidence);
void owner_report_begin(
    struct owner *o, enum owner_trip trip, const char *cause);
void owner_report_end(struct owner *o, bool ok, const char *text);
const char *owner_server_name(const struct owner *o, int server);

/* owner_do_up.c, owner_do_own.c: what an event does in a state. */
typedef void owner_do_fn(struct owner *o, const struct owner_event *ev);
owner_do_fn owner_do_look, owner_do_begin, owner_do_begin_again,
    owner_do_consider, owner_do_fetch, owner_do_stopped, owner_do_won,
    owner_do_lost_claim, owner_do_maybe_withdraw, owner_do_fenced,
    owner_do_taken, owner_do_up, owner_do_fail, owner_do_cancel_fail,
    owner_do_stop_up, owner_do_lapsed, owner_do_resumed, owner_do_disk_lost,
    owner_do_lost, owner_do_suspended_too_long, owner_do_backend_died,
    owner_do_note_died, owner_do_died_leaving, owner_do_nets, owner_do_asked,
    owner_do_move, owner_do_drill, owner_do_stop_serving, owner_do_synced,
    owner_do_drained, owner_do_not_drained, owner_do_target,
    owner_do_lapsed_leaving, owner_do_stop_leaving, owner_do_undone,
    owner_do_down_failed, owner_do_again, owner_do_abandon_rest,
    owner_do_flushes, owner_do_unstick;
/* The event's text, or this. */
const char *owner_text(const struct owner_event *ev, const char *otherwise);

/* owner_table.c */
void owner_handle(struct owner *o, const struct owner_event *ev);

/* owner_way.c: the next step of each way. */
void owner_up(struct owner *o, const char *text);
void owner_down(struct owner *o, const char *text);
/* Gives up what is under way. why is kept for FAILED. */
void owner_fail(struct owner *o, const char *why);
/* A way down that was asked for, from serving. */
void owner_leave(
    struct owner *o, enum owner_goal goal, int target, const char *why);
void owner_abandon(struct owner *o, const char *why);
/* A step of the way down failed. */
void owner_down_failed(struct owner *o, const char *text);
void owner_serve(struct owner *o, const char *text);
/* A new epoch of our own lease: the backend is started anew. */
void owner_retake(struct owner *o, const char *text);
void owner_sync(struct owner *o);
/* The step of this state of the way down is done. */
void owner_undone(struct owner *o, const char *text);
void owner_try_again(struct owner *o);
bool owner_is_step(enum owner_state state);

/* owner_claim.c */
void owner_consider(struct owner *o);
/* When it wants to consider again. */
uint64_t owner_consider_ms(const struct owner *o);
bool owner_is_candidate(const struct owner *o, int server);
/* The best living candidate besides self, or -1. */
int owner_other(const struct owner *o);
bool owner_peer_lives(const struct owner *o, int server);

#endif
