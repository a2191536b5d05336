/*
 * The proxy's decisions: which path, what is held, what is replayed, what
 * must be fenced first.
 *
 * Pure. Events go in by the px_* functions with the time; what is to be done
 * comes out as a queue of struct px_action, which the shell (or the
 * simulator) takes with px_next() after each event and carries out; why it
 * was decided comes out as struct px_event. No sockets, no clock, no loop.
 *
 * Objects
 *   path   (server, network); see path.h. Each has a control connection to
 *          the agent there: probes, FENCE, ACK, SUBSCRIBE.
 *   kconn  a connection of the kernel's NFS client to a volume's address.
 *   uconn  for each kconn and network one connection to the owner's agent.
 *          Each attempt has a generation of its own.
 *   call   a call the kernel sent and that is not answered yet. Its bytes
 *          (struct rec) belong to the call until it is answered or its kconn
 *          goes.
 *
 * A call's life
 *
 *   px_call -> HELD ---- px_pump: path chosen, fences done ----> SENT
 *               ^                                                 |
 *               |   connection lost, path down                    | px_reply
 *               +-------------------------------------------------+-> gone
 *
 * The rule of fencing: a call that may change something and was sent over
 * (network, generation) is sent again only when the agent has confirmed a
 * floor at or above that generation (I4). The floor comes from FENCE, or
 * from a HELLO with a higher generation on the same network. Another boot of
 * the agent counts as well: its sockets died with it. It is believed only
 * from a connection begun after the one known so far was learned: an answer
 * may be older than what answers now.
 */
#ifndef PROXY_CORE_H
#define PROXY_CORE_H

#include "hanfs/callid.h"
#include "hanfs/rec.h"

#include "path.h"

#define PX_NETWORKS 4u
#define PX_SERVERS  16u
#define PX_VOLUMES  64u
#define PX_PATHS    (PX_NETWORKS * PX_SERVERS)
#define PX_NONE	    UINT32_MAX
#define PX_LINGER   1024u /* answered identities remembered, each kconn */
#define PX_EVENTS   256u
#define PX_SUBSCRIBE_MS 5000u /* repeated so often: ask for longer than that */

enum px_paths_mode {
	PX_PRIMARY_FIRST, /* the best path carries all calls */
	PX_ALL_PATHS,	  /* all equally good ones share them */
};

struct px_volume_config {
	const char *name;
	uint32_t id;
	uint32_t ncandidates, candidate[PX_SERVERS];
};

struct px_config {
	uint32_t nnetworks, nservers, nvolumes;
	const char *network[PX_NETWORKS];  /* in order of preference */
	const char *server[PX_SERVERS];
	bool address[PX_SERVERS][PX_NETWORKS]; /* server has one there */
	struct px_volume_config volume[PX_VOLUMES];
	enum px_paths_mode paths;
	struct path_config path;
	uint32_t calls_max;	   /* calls at once */
	uint32_t kconns_max;
	uint32_t replay_calls;	   /* replays under way at first; then more */
	uint32_t linger_ms;
	uint32_t connect_ms;	   /* a connection attempt may take this long */
	uint32_t retry_ms, retry_max_ms; /* between attempts */
	uint32_t resend_ms;	   /* no reply though the agent answers; 0: never */
	bool no_fence;		   /* for the simulator: break I4 */
};

enum uconn_state {
	UCONN_NONE,
	UCONN_CONNECTING, /* TCP, then HELLO */
	UCONN_READY,
	UCONN_NSTATES,
};
extern const char *const uconn_state_names[UCONN_NSTATES];

struct px_list {
	struct call *first, *last;
	uint32_t n;
};

enum call_state { CALL_FREE, CALL_HELD, CALL_SENT };

struct call {
	struct call *next, *prev; /* in the list of kconn or uconn */
	struct call *hash;
	struct kconn *kconn;
	struct call_id id;
	enum call_class class;
	enum call_state state;
	uint32_t network;	  /* sent over, when SENT */
	uint32_t cost;		  /* bytes it moves, both ways, estimated */
	uint64_t order;		  /* of arrival */
	uint64_t born_ms, sent_ms;
	uint32_t sends;
	uint32_t sent_server;	  /* to which the generations belong */
	uint64_t sent_boot;
	uint64_t sent_gen[PX_NETWORKS]; /* 0: not sent there */
	struct rec *rec;
	void *user;		  /* the shell's */
};

struct uconn {
	struct kconn *kconn;
	uint32_t network;
	enum uconn_state state;
	uint64_t generation;	  /* of the present or last attempt */
	uint64_t floor;		  /* confirmed by the agent */
	bool fencing;		  /* a FENCE for it is on its way */
	uint32_t fence_path;	  /* over which it went */
	uint64_t fence_ms;
	uint64_t since_ms, retry_at_ms;
	uint32_t retry_ms;
	struct px_list calls;	  /* sent over it, oldest first */
	uint64_t cost;		  /* of these */
	uint64_t heard_ms;
	void *user;
};

struct px_linger {
	uint32_t xid, prog_proc;
	uint64_t until_ms;
	struct call_digest digest;
};

struct kconn {
	struct kconn *next;
	uint64_t id;		  /* unique over all incarnations */
	uint32_t volume;
	bool retired;		  /* the kernel closed it; to be fenced */
	bool gates;		  /* retired: its calls may still land */
	bool fencing;		  /* retired: FENCE is on its way */
	uint32_t fence_path;
	uint64_t fence_ms;
	struct uconn u[PX_NETWORKS];
	struct px_list held;	  /* in order of arrival */
	uint32_t ncalls, replaying;
	uint32_t replay_limit;	  /* replays that may be under way */
	uint32_t linger_at;
	struct px_linger linger[PX_LINGER];
	void *user;
};

struct control {
	enum uconn_state state;
	uint64_t since_ms, retry_at_ms;
	uint32_t retry_ms;
	uint64_t attempt;	  /* number of the present or last one */
	uint64_t boot;		  /* of the agent that answered last */
	uint64_t subscribed_ms;
	void *user;
};

struct px_volume {
	uint32_t owner;		  /* server, never PX_NONE */
	uint64_t epoch;
	uint32_t best;		  /* network, or PX_NONE: calls are held */
	uint32_t last_best;	  /* the last that was one */
	unsigned best_rule;	  /* of the comparator, that chose it */
	uint64_t switches;	  /* from one network to another */
	uint32_t order[PX_NETWORKS]; /* best first */
	uint32_t nequal;	  /* of these, as good as the first */
	uint32_t retired;	  /* kconns whose fence is not confirmed */
	uint32_t told_owner;	  /* the last that was told, not guessed */
	bool guessed;		  /* owner is, for want of heartbeats */
	bool away;		  /* the owner said that it does not serve */
	uint64_t told_ms;	  /* when a heartbeat last named the volume as
				   * the owner's */
	uint64_t guess_ms;	  /* when an owner was last guessed */
	bool late;		  /* told that calls wait for long */
	uint64_t late_ms;	  /* not told again before */
};

enum px_action_type {
	PX_CONNECT,	 /* uconn: connect, then HELLO */
	PX_ABORT,	 /* uconn: reset and forget the connection */
	PX_SEND,	 /* call, uconn */
	PX_CONTROL_OPEN, /* path: connect, then HELLO */
	PX_CONTROL_ABORT,/* path */
	PX_PROBE,	 /* path: NULL call */
	PX_FENCE,	 /* path, kconn, network (PX_NONE: all), floor */
	PX_SUBSCRIBE,	 /* path */
	PX_KCONN_FREE,	 /* kconn: its last use; freed by the next px_next() */
};

struct px_action {
	enum px_action_type type;
	uint32_t path, network;
	struct uconn *uconn;
	struct kconn *kconn;
	struct call *call;
	uint64_t floor, kconn_id;
	uint64_t generation, order; /* PX_CONNECT, PX_SEND: still meant? */
	uint32_t volume;
};

enum px_event_id {
	PX_EV_PATH_UP,
	PX_EV_PATH_DOWN,
	PX_EV_PATH_LOSSY,
	PX_EV_PATH_CLEAN,
	PX_EV_CHOICE,	    /* a volume's best path changed */
	PX_EV_OWNER,
	PX_EV_CONN_LOST,
	PX_EV_FENCED,
	PX_EV_REPLAY,
	PX_EV_HELD,
	PX_EV_AGENT_LOST,   /* its control connection ended */
	PX_EV_AGENT_BOOT,
	PX_EV_LATE,	    /* calls have no reply for long */
	PX_EV_N,
};
extern const char *const px_event_names[PX_EV_N];

/* One explained decision. */
struct px_event {
	uint64_t number, when_ms;
	enum px_event_id id;
	uint32_t volume, path; /* or PX_NONE */
	char text[200];	       /* what, cause and evidence, for people */
};

struct px_counters {
	uint64_t calls, replies, replays, duplicates, stray_replies;
	uint64_t lingered, fences, fences_confirmed, refused;
	uint64_t answered_sent_twice; /* replies of calls sent more than once */
	uint64_t resent; /* connections given up since a reply did not come */
};

struct px; /* see core_int.h */

struct px *px_new(const struct px_config *cfg, uint64_t now_ms);
void px_free(struct px *px);

/* Takes the next action; false when there is none. */
bool px_next(struct px *px, struct px_action *out);
/* Events from number on, oldest first; returns how many were copied. */
size_t px_events(const struct px *px, uint64_t from, struct px_event *out,
    size_t max);

/* A new kernel connection with a number of its own. NULL: too many. */
struct kconn *px_kconn_open(struct px *px, uint32_t volume, uint64_t id,
    void *user, uint64_t now_ms);
/* The kernel closed it. The pointer is the core's until PX_KCONN_FREE. */
void px_kconn_close(struct px *px, struct kconn *k, uint64_t now_ms);

enum px_took {
	PX_TOOK,      /* the record is the core's now */
	PX_DUPLICATE, /* of a call held or just answered: dropped */
	PX_FULL,      /* no more calls: the caller stops reading */
	PX_CLASH,     /* same XID, another call: the peer is confused */
};
enum px_took px_call(struct px *px, struct kconn *k,
    const struct call_info *info, struct rec *rec, uint64_t now_ms);

/* What the shell must know of an answered call. */
struct px_answered {
	struct kconn *kconn;
	struct call_id id;
	enum call_class class;
	uint64_t born_ms;
	uint32_t sends;
};
/*
 * A reply came over u. False when it answers nothing that waits: to be
 * dropped. The call and its record are gone after this.
 */
bool px_reply(struct px *px, struct uconn *u, uint32_t xid,
    struct px_answered *out, uint64_t now_ms);
/* Bytes came over u, of a reply that is not whole yet. */
void px_heard(struct px *px, struct uconn *u, uint64_t now_ms);

/* HELLO was accepted; generations up to floor are refused from now on. */
void px_uconn_ready(struct px *px, struct uconn *u, uint64_t boot,
    uint64_t floor, uint64_t now_ms);
/* HELLO was refused since the floor is higher than the generation. */
void px_uconn_fenced(struct px *px, struct uconn *u, uint64_t floor,
    uint64_t now_ms);
/* It ended or could not be made; why is for people. */
void px_uconn_lost(struct px *px, struct uconn *u, const char *why,
    uint64_t now_ms);

void px_control_ready(struct px *px, uint32_t path, uint64_t boot,
    uint64_t now_ms);
/* refused: the host answered, its agent is not there. */
enum px_lost { PX_LOST_CLOSED, PX_LOST_REFUSED, PX_LOST_UNREACHABLE };
void px_control_lost(struct px *px, uint32_t path, enum px_lost how,
    uint64_t now_ms);
void px_probe_acked(struct px *px, uint32_t path, uint64_t now_ms);
void px_probe_answered(struct px *px, uint32_t path, uint32_t rtt_us,
    uint64_t now_ms);
void px_fence_done(struct px *px, uint32_t path, uint32_t volume,
    uint64_t kconn_id, uint32_t network, uint64_t floor, uint64_t now_ms);

/* Our own interface on a network: up, down, another address. */
void px_interface(struct px *px, uint32_t network, bool up,
    enum path_reason why, uint64_t now_ms);
void px_heartbeat(struct px *px, uint32_t server, uint32_t network,
    uint64_t boot, uint64_t seq, uint32_t interval_ms, uint32_t multiplier,
    uint64_t now_ms);
/* Has the agent itself confirmed this boot of it? Heartbeats of another one
 * are recorded ones, or too new to be believed: they are no evidence. */
bool px_boot_known(const struct px *px, uint32_t server, uint64_t boot);
/*
 * A server's heartbeat named these networks (bit n: index n) as the ones on
 * which it can be reached. One that is no longer among them is down.
 * table_gen grows with each change: what an older one says is past.
 */
void px_announced(struct px *px, uint32_t server, uint32_t table_gen,
    uint32_t networks, uint64_t now_ms);
void px_retransmits(struct px *px, uint32_t path, uint32_t retrans,
    uint32_t sent, uint64_t now_ms);
/* A heartbeat, or an agent, says who serves a volume. */
void px_owner(struct px *px, uint32_t volume, uint32_t server,
    uint64_t epoch, uint64_t now_ms);
/*
 * What a server's heartbeat says of a volume. That its owner does not serve
 * it now (it takes over, drains, has lost its disk): nobody is called until
 * one does, and then at once, whatever was to be waited for.
 */
void px_told(struct px *px, uint32_t volume, uint32_t server, bool serving,
    uint64_t epoch, uint64_t now_ms);
/*
 * HELLO was refused: that server does not own the volume. Where heartbeats
 * do not tell who does (no detector runs), the next candidate is asked.
 */
void px_not_owner(struct px *px, uint32_t volume, uint32_t server,
    uint64_t now_ms);

/* Applies the rules of time; to be called every PX_TICK_MS. */
#define PX_TICK_MS 20u
void px_tick(struct px *px, uint64_t now_ms);

/* A path over which a volume's owner can be asked now, or PX_NONE. */
uint32_t px_control_path(const struct px *px, uint32_t volume);

/* For hanfsctl and tests: what is there now. */
const char *px_rule_name(unsigned rule);
const struct px_config *px_config(const struct px *px);
const struct path *px_path(const struct px *px, uint32_t path);
const struct control *px_control(const struct px *px, uint32_t path);
struct control *px_control_mut(struct px *px, uint32_t path);
const struct px_volume *px_volume(const struct px *px, uint32_t volume);
const struct px_counters *px_counters(const struct px *px);
struct kconn *px_kconns(struct px *px);
/* Calls of the kconn, oldest first, by repeated use; NULL starts and ends. */
void px_each_call(struct px *px, struct kconn *k,
    void (*fn)(struct call *c, void *arg), void *arg);

/* late.c: the calls of a volume, and the one that waits longest. */
struct px_oldest {
	const struct call *call; /* NULL: none waits */
	uint32_t n, late;	 /* all; for PX_LATE_MS and more */
};
#define PX_LATE_MS	 10000u
#define PX_LATE_AGAIN_MS 60000u /* told again so often, each volume */
#define PX_LATE_LOOK_MS	 1000u
void px_oldest(const struct px *px, uint32_t volume, struct px_oldest *o,
    uint64_t now_ms);
/* What a call waits for, in words; as snprintf(3). */
size_t px_waits_for(const struct px *px, const struct call *c,
    uint64_t now_ms, char *buf, size_t size);
const char *px_call_name(const struct call *c);

/*
 * Writes the whole state (kernel connections, calls with their bytes,
 * floors, paths) into a buffer of its own, and makes a core of it again
 * (state.c). All actions must have been taken. The loaded core's objects
 * have no user: the shell finds them by kernel connection and network, and
 * reports as lost what it cannot carry over.
 * -1 and NULL set errno: EINVAL the bytes are no state of this version and
 * configuration, ENOSPC pool or limits are too small, ENOTSUP a call's bytes
 * are in a pipe or not all there, ENOMEM.
 */
int px_save(struct px *px, uint8_t **out, size_t *len);
struct px *px_load(const struct px_config *cfg, struct rec_pool *pool,
    const uint8_t *buf, size_t len, uint64_t now_ms);

static inline uint32_t
px_path_index(const struct px_config *cfg, uint32_t server, uint32_t network)
{
	return server * cfg->nnetworks + network;
}

#endif
