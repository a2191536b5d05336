/*
 * relay: the agent's decisions about clients, connections and calls.
 *
 *   client --- kernel connection --- network connection (one per network)
 *     |              |
 *     |              +-- link: the one connection to the backend, for each
 *     |                  program (NFS, MOUNT); outlives network connections
 *     +-- table (one per volume): calls in progress, and replies kept
 *
 * A call comes over a network connection, is looked up in the table by its
 * identity, waits for its order keys, goes to the backend over the link, and
 * its reply goes to whichever network connection asked for it last. A
 * replay of a call that is in progress attaches to it; one of a finished
 * call gets the same reply; neither runs again. Entries outlive network
 * connections and kernel connections: they belong to (volume, client).
 *
 * Core: no sockets, no clock, no libevent. The shell reports what happened
 * (relay_conn_new .. relay_tick), after each event takes what is to be done
 * with relay_next() until there is nothing left, and does it. Time is passed
 * in as now_ms of a clock that never goes back. The same objects run in
 * tests/sim.
 *
 * A volume can have a *log* (DESIGN section 5): relaylog.h. Without one
 * its calls travel as said above, and what ran is forgotten with the process.
 */
#ifndef HANFS_AGENT_RELAY_H
#define HANFS_AGENT_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "hanfs/callid.h"
#include "hanfs/rec.h"
#include "agent_xdr.h"

#define RELAY_NETWORKS_MAX 4u
#define RELAY_VOLUMES_MAX  64u
#define RELAY_TOKEN_LEN    16u

struct relay;
struct relay_conn; /* a network connection */
struct relay_link; /* the connection to a backend */
struct relay_log;  /* a record that is to be written */

enum relay_program { RELAY_NFS, RELAY_MOUNT, RELAY_PROGRAMS };
extern const char *const relay_program_names[RELAY_PROGRAMS];

/* Why a network connection is closed. */
enum relay_reason {
	RELAY_R_FENCED,       /* a FENCE names it */
	RELAY_R_REPLACED,     /* a higher generation came */
	RELAY_R_INCARNATION,  /* the proxy was started anew */
	RELAY_R_BACKEND_LOST, /* its calls are in doubt: replay them */
	RELAY_R_NONSENSE,     /* no RPC call */
	RELAY_R_XID,          /* two calls in progress with one XID */
	RELAY_R_VOLUME,       /* the volume is not served here any more */
	RELAY_R_IDLE,         /* its kernel connection is over */
	RELAY_R_ELSEWHERE,    /* another connection asks for its call */
	RELAY_REASONS
};
extern const char *const relay_reason_names[RELAY_REASONS];

/* Rules of DESIGN section 5 that a test build can switch off, to show that
 * they are needed. */
struct relay_rules {
	bool no_intent;     /* calls run before, and without, an intent */
	bool no_completion; /* nothing is written when they have run */
	bool no_sync;       /* replies do not wait for a commit */
	bool no_gate;       /* replies that show uncommitted things neither */
	bool no_hold;       /* errors of a dying disk leave at once */
	bool no_inode_keys; /* keys by handles and names alone */
	bool no_tomb;       /* what has expired leaves no trace */
	bool no_suspect;    /* a lost link is none of the log's business */
	bool no_judge;      /* calls in doubt have not run */
};

struct relay_config {
	unsigned volumes, networks; /* as many as the configuration has */
	unsigned clients_max, kconns_max, conns_max;
	unsigned entries_max;        /* calls in progress and kept replies */
	unsigned client_entries_max; /* of one client on one volume, those
				      * that must not be dropped; four
				      * times as many orphans */
	uint32_t linger_ms;          /* a reply is kept after its ACK */
	uint32_t orphan_ms;          /* one of an older incarnation is kept */
	uint64_t retain_ms;      /* one that is never acknowledged is kept */
	uint32_t plain_ms;       /* one of a client without HELLO is kept */
	uint32_t kconn_idle_ms;  /* a kernel connection without networks */
	uint32_t backoff_ms;     /* between attempts to reach a backend */
	uint64_t answer_ms;      /* then a call may be dropped; 0: never. One
				  * that reads: a tenth of it at first */
	uint8_t secret[16];      /* keys the hashes */
	bool no_replay_table;    /* tests only: replays run again */
	bool no_fence;           /* simulator only: FENCE does nothing */
	uint64_t undecidable_ms; /* a call waits so long for an operator */
	struct relay_rules rules;
	/* One line at each change of state; may be NULL. */
	void (*note)(void *arg, const char *line);
	void *note_arg;
};

enum relay_action_type {
	RELAY_SEND_CONN,  /* rec to conn */
	RELAY_SEND_LINK,  /* rec to link, which may still be connecting */
	RELAY_CLOSE_CONN, /* because of reason; then relay_conn_gone() */
	RELAY_OPEN_LINK,  /* then relay_link_up() or relay_link_down() */
	RELAY_CLOSE_LINK, /* no event follows */
	RELAY_RESUME,     /* offer the call again that relay_call() held */
	RELAY_HELLO,      /* answer conn's HELLO with hello */
	/* of a volume with a log */
	RELAY_LOG_WRITE, /* log: relay_log_values(), then relay_log_written() */
	RELAY_LOG_SYNC,  /* relay_log_sync_begins(), then relay_log_synced() */
	RELAY_RECOVERED, /* judged, and durable; recovered says what */
	RELAY_DRAINED,   /* no call is in progress any more */
	RELAY_SUSPECT,   /* calls can be under way in its backend that nobody
			  * will hear of: end it with all its threads, start
			  * it anew with a new epoch, recover */
	RELAY_GIVE_UP,   /* its log cannot be written (error): no reply leaves
			  * any more; let go of the volume */
};

struct relay_hello_answer {
	enum hanfs_status status;
	uint64_t highest, floor;
};

/* What a recovery found, and what became of it. */
struct relay_recovered {
	unsigned replies; /* completions: known again */
	unsigned tombs;   /* records that name calls whose replies expired */
	unsigned doubts;  /* intents without completion; of these: */
	unsigned done, finished, not_done, undecidable;
};

/* rec: the action carries a reference, which is now the shell's. */
struct relay_action {
	enum relay_action_type type;
	struct relay_conn *conn;
	struct relay_link *link;
	struct rec *rec;
	enum relay_reason reason;
	struct relay_hello_answer hello;
	unsigned volume;
	struct relay_log *log;
	int error; /* errno */
	struct relay_recovered recovered;
};

/* Where a call in progress is. */
enum relay_stage {
	RELAY_S_KEYS,
	RELAY_S_ASKING,
	RELAY_S_INTENT,
	RELAY_S_BACKEND,
	RELAY_S_HELD, /* its reply is an error of the server's */
	RELAY_S_COMPLETION,
	RELAY_S_COMMIT,
	RELAY_S_UNDECIDED,
	RELAY_STAGES
};
extern const char *const relay_stage_names[RELAY_STAGES];

/* Counters since the start, and what there is now. */
struct relay_counts {
	uint64_t calls[3]; /* new ones, by class */
	uint64_t replies;
	uint64_t replayed;    /* answered from the table */
	uint64_t attached;    /* asked for again while in progress */
	uint64_t rerun;       /* run again: only with no_replay_table */
	uint64_t answered;    /* by an RPC-level answer of our own */
	uint64_t nonsense;    /* connections closed for it */
	uint64_t key_waits;   /* calls that waited for their keys */
	uint64_t held;        /* calls held back by a quota */
	uint64_t unknown_xid; /* replies that nobody waits for */
	uint64_t discarded;   /* replies whose connection was gone */
	uint64_t in_doubt;    /* calls lost with their backend link */
	uint64_t acked, expired, evicted; /* kept replies */
	uint64_t unacked_expired; /* never acknowledged within retain_ms */
	uint64_t hellos, refused; /* HELLOs accepted, refused */
	uint64_t fences, fenced;  /* FENCEs, connections they closed */
	uint64_t bad_token;
	uint64_t intents, completions, syncs; /* written, issued */
	uint64_t covered;                     /* replies that a commit let go */
	uint64_t gated;       /* of these, such as changed nothing themselves */
	uint64_t errors_held; /* replies with an error of the server's */
	uint64_t looked_again; /* pre-states read a second time */
	uint64_t slot_waits;   /* calls held back for want of a slot */
	uint64_t unlogged;     /* calls that cannot be logged: RPCSEC_GSS */
	uint64_t forbidden;    /* calls into the volume's own directories */
	uint64_t undecidable;  /* calls nobody can answer for */
	uint64_t tombs;        /* made */
	uint64_t suspects, give_ups;
	uint64_t unanswered; /* links with calls that waited for answer_ms */
	unsigned clients, kconns, conns;
	unsigned in_progress, waiting, kept;
	unsigned undecided, slots; /* slots in use, of all volumes */
};

/* NULL: no memory, or a limit of 0. */
struct relay *relay_new(const struct relay_config *config);
/* All connections must be gone and all actions taken. */
void relay_free(struct relay *r);

/* Is the volume (index in the configuration) served by this server? When
 * that ends, the network connections of its clients are closed. */
void relay_volume_set(
    struct relay *r, unsigned volume, bool serving, uint64_t now_ms);

/*
 * Before a volume is handed over: calls that are new are held, those that
 * are in progress end. RELAY_DRAINED follows, at once if there are none.
 * relay_volume_set() or relay_log_clear() end it.
 */
void relay_volume_drain(struct relay *r, unsigned volume, uint64_t now_ms);

/* --- network connections */

/* An accepted connection; user is the shell's. NULL: conns_max reached. */
struct relay_conn *relay_conn_new(struct relay *r, void *user);
void *relay_conn_user(const struct relay_conn *c);
/* The shell has closed it: c is not to be used again. */
void relay_conn_gone(struct relay_conn *c, uint64_t now_ms);

struct relay_speaker {
	uint8_t client[CLIENT_ID_LEN];
	uint8_t token[RELAY_TOKEN_LEN];
	uint64_t incarnation;
};

struct relay_hello {
	struct relay_speaker who;
	int volume;     /* index; -1: none of that name (ignored if control) */
	uint64_t kconn; /* 0: control connection */
	unsigned network; /* index */
	uint64_t generation;
	bool resend;
	const uint32_t *sent; /* XIDs that may have been sent before; borrowed
			       * until relay_hello() returns */
	unsigned nsent;
	const void *peer; /* the shell's: where the link is to come from */
	size_t peer_len;  /* copied, at most RELAY_PEER_MAX */
};
#define RELAY_PEER_MAX 32u

/* The answer comes as RELAY_HELLO, at once or when the backend is reached. */
void relay_hello(
    struct relay_conn *c, const struct relay_hello *hello, uint64_t now_ms);

/*
 * A client without HELLO: a kernel connection of its own, which ends with
 * this connection; client stands for its address and port. False: limits,
 * or the volume is not served here.
 */
bool relay_plain(struct relay_conn *c, unsigned volume,
    const uint8_t client[CLIENT_ID_LEN], const void *peer, size_t peer_len,
    uint64_t now_ms);

struct relay_fence {
	struct relay_speaker who;
	int volume;
	uint64_t kconn; /* 0: all of the client on the volume */
	int network;    /* index; -1: all */
	uint64_t floor; /* with all networks, UINT64_MAX: the kernel
			 * connection is over */
};

/* On return no call of a closed connection will be taken any more. *closed
 * is how many were closed. */
enum hanfs_status relay_fence(struct relay_conn *c,
    const struct relay_fence *fence, unsigned *closed, uint64_t now_ms);

enum hanfs_status relay_ack(struct relay_conn *c,
    const struct relay_speaker *who, int volume, uint64_t kconn,
    const uint32_t *xids, unsigned n, uint64_t now_ms);

/* May this speaker have what needs a token (SUBSCRIBE)? */
enum hanfs_status relay_speaker_check(
    const struct relay_conn *c, const struct relay_speaker *who);

enum relay_take {
	RELAY_TAKEN, /* the reference to rec is the core's */
	RELAY_HELD,  /* still the shell's: read no more, wait for RESUME */
};

/* A record that is not for the agent program. */
enum relay_take relay_call(
    struct relay_conn *c, struct rec *rec, uint64_t now_ms);

/* --- the backend */

void *relay_link_user(const struct relay_link *l);
void relay_link_set_user(struct relay_link *l, void *user);
unsigned relay_link_volume(const struct relay_link *l);
enum relay_program relay_link_program(const struct relay_link *l);
/* The peer that HELLO gave: what the link is to be bound to. */
const void *relay_link_peer(const struct relay_link *l);

void relay_link_up(struct relay_link *l, uint64_t now_ms);
/* Not reached, or lost: cause is for the log. */
void relay_link_down(struct relay_link *l, const char *cause, uint64_t now_ms);

/*
 * A record from the backend; the reference is the core's. False: it is no
 * reply, or one that no server gives: the shell closes the link and says
 * relay_link_down().
 */
bool relay_reply(struct relay_link *l, struct rec *rec, uint64_t now_ms);

/*
 * The head of a long reply is there. Whom it may be sent to while the rest
 * comes in, or NULL: it is to be had whole first. relay_reply() is called
 * for it all the same, when it is whole, and does not send it again. Only
 * replies that are not kept and that nothing has to wait for are so passed.
 */
struct relay_conn *relay_reply_begun(struct relay_link *l, struct rec *rec);

/* --- time, actions */

/* A few times a second: what has expired, what is to be asked again. */
void relay_tick(struct relay *r, uint64_t now_ms);

/* The next action; false when there is none. */
bool relay_next(struct relay *r, struct relay_action *action);

/* --- what there is, for people */

void relay_count(const struct relay *r, struct relay_counts *counts);

struct relay_kconn_view {
	const uint8_t *client;
	uint64_t kconn, incarnation;
	unsigned volume, conns, calls;
	bool plain, retired, link_up;
	const uint64_t *floors; /* by network */
};

struct relay_client_view {
	const uint8_t *client;
	uint64_t incarnation;
	unsigned kconns, conns;
	unsigned in_progress, unacked, acked; /* on all volumes */
	bool plain;
};

struct relay_call_view {
	const uint8_t *client;
	unsigned volume;
	const struct call_id *id;
	enum call_class class;
	enum relay_stage stage;
	bool asked; /* somebody waits for the reply */
	uint64_t since_ms;
	const struct call_id *holder; /* has keys that it waits for; or NULL */
};

/* Each calls fn for every one, which must not feed events. */
void relay_each_kconn(const struct relay *r,
    void (*fn)(void *arg, const struct relay_kconn_view *v), void *arg);
void relay_each_client(const struct relay *r,
    void (*fn)(void *arg, const struct relay_client_view *v), void *arg);
/* In progress, or undecidable (since_ms is 0 while nobody asks). */
void relay_each_call(const struct relay *r,
    void (*fn)(void *arg, const struct relay_call_view *v), void *arg);

#include "server-agent/relaylog.h"

#endif
