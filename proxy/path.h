/*
 * One path: a client's network to one server, and whether it can be used.
 *
 * Pure: evidence and the time go in, a state with its reason comes out.
 * Sockets, interfaces and heartbeats are the shell's. Times are milliseconds
 * of a clock that never goes back.
 *
 * Evidence (DESIGN section 3):
 *   interface  carrier and address of our own side; believed at once
 *   heard      anything that came from the server over this path: a
 *              heartbeat, reply bytes, the answer to a probe, a TCP ACK of
 *              one, even a reset
 *   probe      a NULL call on the path's control connection, sent when the
 *              path has been silent for half the time it may be, or when a
 *              call is outstanding for too long
 *   withdrawn  the server says that its own interface has no carrier
 *   loss       gaps in the heartbeats' sequence, TCP retransmissions
 *
 *   state     | goes to | when
 *   ----------+---------+--------------------------------------------------
 *   PATH_DOWN | PATH_UP | a control connection over it was answered (that
 *             |         | proves both directions)
 *   PATH_UP   | DOWN    | interface lost; or silent for interval times
 *             |         | multiplier and a probe is unacknowledged; or heard,
 *             |         | but a probe is unacknowledged for oneway_ms
 */
#ifndef PROXY_PATH_H
#define PROXY_PATH_H

#include <stdbool.h>
#include <stdint.h>

enum path_state {
	PATH_DOWN,
	PATH_UP,
};

enum path_reason {
	PATH_NEW,	   /* never used yet */
	PATH_CARRIER,	   /* our interface has no carrier, or is down */
	PATH_NO_ADDRESS,   /* our interface or its address is gone */
	PATH_WITHDRAWN,	   /* the server says its interface is down */
	PATH_ADDRESS,	   /* our address changed: connections start anew */
	PATH_SILENT,	   /* nothing heard, probe unacknowledged */
	PATH_ONE_WAY,	   /* heard, but what we send is not acknowledged */
	PATH_UNREACHABLE,  /* the kernel says so: no route, host unreachable */
	PATH_ANSWERED,	   /* a control connection was answered */
	PATH_NREASONS,
};

extern const char *const path_state_names[];
extern const char *const path_reason_names[];

struct path_config {
	uint32_t interval_ms;	/* of heartbeats, until one says its own */
	uint32_t multiplier;
	uint32_t probe_after_ms; /* a call outstanding this long asks a probe */
	uint32_t oneway_ms;	/* probe unacknowledged this long: one-way */
	uint32_t hold_ms;	/* first hold-down after a fault; doubles */
	uint32_t hold_max_ms;
	uint32_t calm_ms;	/* up this long takes one flap back */
};

#define PATH_LOSS_SLOTS 64u
#define PATH_INTERVAL_MAX 60000u /* of heartbeats, in ms */
#define PATH_MULTIPLIER_MAX 255u
#define PATH_LOSSY_MAX_MS 120000u /* lossy for at most this long at a time */
#define PATH_TIMES_MAX 32u	  /* flaps, and times lossy, that count */

struct path {
	bool exists;		/* the server has an address there */
	enum path_state state;
	enum path_reason reason;
	uint64_t since_ms;	/* of the state */
	bool interface_up;

	uint64_t heartbeat_ms;	/* last one; 0: none yet */
	uint64_t heartbeat_seq, heartbeat_boot;
	uint32_t interval_ms, multiplier;
	uint64_t heard_ms;
	uint64_t tried_ms;	/* last attempt of a control connection */

	uint64_t probe_ms;	/* the outstanding probe; 0: none */
	bool probe_acked;	/* by the server's TCP */
	uint64_t answered_ms;	/* last answered probe */
	uint32_t rtt_us;	/* smoothed; 0: unknown */
	bool rtt_rough;		/* taken from a connect: at most this */

	uint64_t loss_bits;	/* one a heartbeat slot, newest lowest; 1 lost */
	unsigned loss_slots;	/* how many of them count, <= 64 */
	bool lossy;
	uint64_t lossy_until_ms; /* or when one time of it was forgiven */
	uint32_t lossy_times;

	uint32_t flaps;		/* faults that still count */
	uint32_t hold_ms;	/* hold-down that the next recovery starts */
	uint64_t hold_until_ms;
	uint64_t calm_ms;	/* up, or a flap taken back, since then */

	uint64_t downs, probes, heartbeats, lost; /* counters */
};

void path_init(struct path *p, const struct path_config *cfg, bool exists);

/* Evidence. Those that can change the state return true when they did. */
bool path_interface(struct path *p, const struct path_config *cfg, bool up,
    enum path_reason why, uint64_t now_ms);
void path_heartbeat(struct path *p, const struct path_config *cfg,
    uint64_t boot, uint64_t seq, uint32_t interval_ms, uint32_t multiplier,
    uint64_t now_ms);
/* The server said, over another path, that its interface here is down. */
bool path_withdrawn(struct path *p, const struct path_config *cfg,
    uint64_t now_ms);
void path_heard(struct path *p, uint64_t now_ms);
/* retrans of sent segments were retransmitted since the last call. */
void path_retransmits(struct path *p, uint32_t retrans, uint32_t sent,
    uint64_t now_ms);
void path_probe_sent(struct path *p, uint64_t now_ms);
void path_probe_acked(struct path *p, uint64_t now_ms);
void path_probe_answered(struct path *p, uint32_t rtt_us, uint64_t now_ms);
/* The connection that carried the probe is gone. */
void path_probe_void(struct path *p);
/* A control connection was made and said HELLO in took_ms, lost segments'
 * time included: the first probe measures better, and is wanted soon. */
void path_connected(struct path *p, uint64_t took_ms, uint64_t now_ms);
bool path_control_up(struct path *p, uint64_t now_ms);
/* The control connection ended, or could not be made: unreachable says the
 * kernel's error was about the way, not about the agent. */
bool path_control_lost(struct path *p, const struct path_config *cfg,
    bool unreachable, uint64_t now_ms);

/* Applies the rules of time. */
bool path_tick(struct path *p, const struct path_config *cfg,
    uint64_t now_ms);

/*
 * Is a probe wanted now? oldest_sent_ms is when the oldest call that waits
 * for its reply over this path was sent, 0 for none.
 */
bool path_wants_probe(const struct path *p, const struct path_config *cfg,
    uint64_t oldest_sent_ms, uint64_t now_ms);

/* Silent for this long counts as down, in milliseconds. */
uint32_t path_detect_ms(const struct path *p);
/* Long enough silent that a probe is wanted. */
bool path_silent(const struct path *p, uint64_t now_ms);
bool path_held(const struct path *p, uint64_t now_ms);

#endif
