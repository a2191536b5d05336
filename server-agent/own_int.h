/* own: what its files share. See own.h. */
#ifndef HANFS_AGENT_OWN_INT_H
#define HANFS_AGENT_OWN_INT_H

#include <event2/event_struct.h>

#include "server-agent/agent.h"
#include "server-agent/fence.h"
#include "server-agent/guard.h"
#include "server-agent/logio.h"
#include "server-agent/own.h"
#include "server-agent/watchdog.h"

enum { OWN_OPS = 16, OWN_EVENTS = 64 };

enum own_lane { LANE_MAIN, LANE_ADDRESS, LANE_FLUSH, LANES };

/* Work of a lane. */
struct own_op {
	enum owner_action_type what;
	int peer;
	uint64_t epoch;
	uint32_t deadline_ms;
};

struct own_volume;

struct own_lane_state {
	struct own_volume *v;
	bool busy;         /* queue[0] is under way */
	bool silent;       /* its end is not told: cancelled */
	unsigned stage;    /* of work that takes more than one step */
	struct step *step; /* that runs */
	unsigned n;
	struct own_op queue[OWN_OPS];
};

/* An answer of the arbiter that is waited for. */
enum own_await { AWAIT_NOTHING, AWAIT_CLAIM, AWAIT_TAKE, AWAIT_RELEASE };

/* An explained event, for hanfsctl. */
struct own_event {
	uint64_t number, when_ms;
	enum owner_state from, to;
	char text[OWNER_TEXT_MAX], evidence[OWNER_TEXT_MAX];
};

/* A volume's log, as logio.h has it. */
enum own_log {
	LOG_CLOSED,
	LOG_OPENING,
	LOG_OPEN,
	LOG_JUDGING,
	LOG_READY,
	LOG_CLOSING,
};

struct own_volume {
	struct agent *a;
	unsigned index;
	struct agent_volume *av;
	struct owner *o;
	struct arbiter *arbiter;
	struct fence *fence;
	struct fence_runner runner;
	struct guard *guard; /* NULL: not owner yet */
	bool guard_armed;    /* it knows of the lease's end, which is */
	uint64_t lease_until_ms;
	struct event guard_ev;
	struct event timer;
	struct own_lane_state lanes[LANES];
	enum own_await await;
	int release_to;
	uint64_t claim_epoch, old_epoch;
	struct lease_proof proof;
	bool proven; /* by a fence, for this claim */
	bool gained; /* the epoch that our key was registered for */
	bool draining;
	bool backend_runs; /* it was started, and not stopped since */
	enum own_log log;
	char log_text[OWNER_TEXT_MAX]; /* why it is as it is */
	bool disk_works;
	bool lease_ready; /* LEASE_READY came */
	bool stopped;
	bool mounted_before; /* end-old found it mounted */
	bool clean;          /* nothing of an earlier life is mounted */
	bool take_waits;     /* for the watchdog; own_take_again() */
	uint64_t flush_due_ms; /* the next look at what is written; 0: none
				* yet */
	uint64_t flush_kib;    /* written, when the machine was told last */
	uint64_t end_kib;      /* written, when the agent's end looked last */
	uint64_t plain_due_ms; /* the list is to be written; 0: it is right */
	bool plain_writing;
	uint64_t events;     /* so far */
	struct own_event event[OWN_EVENTS];
};

struct own {
	struct agent *a;
	enum suspect_state verdict[CONFIG_SERVERS_MAX];
	char evidence[CONFIG_SERVERS_MAX][SUSPECT_EVIDENCE_MAX];
	bool nets_lost, ending;
	struct event end_timer;
	uint64_t end_until_ms;
	struct watchdog *dog; /* NULL: not armed */
	unsigned n;
	struct own_volume *by_index[CONFIG_VOLUMES_MAX];
	struct own_volume v[CONFIG_VOLUMES_MAX];
};

/* own.c: an event for the machine, and all that follows from it. */
void own_feed(struct own_volume *v, const struct owner_event *ev);
void own_feed_end(struct own_volume *v, bool done, const char *text);
void own_settle(struct own_volume *v);
const char *own_name(const struct own_volume *v);
/* Server index of an id, or -1. */
int own_server(const struct own_volume *v, uint32_t server_id);

/* own_act.c */
void own_act(struct own_volume *v, const struct owner_action *x);

/* own_steps.c */
void own_op_add(
    struct own_volume *v, enum own_lane lane, const struct owner_action *x);
void own_op_cancel(struct own_volume *v);
/* The work under way in the lane has ended. */
void own_op_end(
    struct own_volume *v, enum own_lane lane, bool done, const char *text);
void own_op_end_with(
    struct own_volume *v, enum own_lane lane, const struct owner_event *ev);
struct fence_runner own_runner(struct own_volume *v);

/* Its log is closed: goes on with what waits for that. */
void own_op_log_closed(struct own_volume *v);

/* own_log.c */
extern const struct logio_calls own_log_calls;
void own_log_open(struct own_volume *v);
/* Work of the main lane; own_op_end() follows. */
void own_log_recover(struct own_volume *v);
/* True: it is closed. Else own_op_log_closed() follows. */
bool own_log_close(struct own_volume *v);
/* What the log is waited for is not wanted any more. */
void own_log_cancel(struct own_volume *v);

/* own_guard.c: the lease holds until then; is renewed; is not needed. */
void own_guard_owner(struct own_volume *v, uint64_t until_ms);
void own_guard_renewed(struct own_volume *v, uint64_t until_ms);
void own_guard_off(struct own_volume *v);
/* The device is there, and about to be mounted; false: the lease has ended.
 * That step of the way down is done. The device is about to be taken apart. */
bool own_guard_open(struct own_volume *v);
void own_guard_done(struct own_volume *v, enum owner_action_type done);
void own_guard_close(struct own_volume *v);
void own_guard_stop(struct own_volume *v);

/* own_watchdog.c: before an epoch is taken; -1: it must not be, error says
 * why; 1: not yet. Then the lease's end; and nothing can be written any more. */
int own_watchdog_take(struct own_volume *v, char *error, size_t size);
void own_watchdog_until(struct own_volume *v, uint64_t until_ms);
void own_watchdog_off(struct own_volume *v);
void own_watchdog_stop(struct own *w);

/* own_end.c: each tick. */
void own_end_tick(struct own *w);

/* own_flush.c: each tick; and when the flush is at its end. */
void own_flush_tick(struct own_volume *v);
void own_flush_tell(struct own_volume *v);

/* own_plain.c */
void own_plain_tick(struct own_volume *v);

/* own_arbiter.c */
int own_arbiter_start(struct own_volume *v);
void own_arbiter_stop(struct own_volume *v);
/* Begin that work of the main lane; own_op_end() follows. */
void own_claim(struct own_volume *v);
void own_fence(struct own_volume *v, int peer);
void own_take(struct own_volume *v);
void own_take_again(struct own_volume *v); /* each tick */
void own_release(struct own_volume *v, int to);

#endif
