/*
 * hanfs-agent: the server's side of hanfs. What its shell's files share.
 *
 *   main.c     options, set-up, privileges, the event loop
 *   agent.c    carries out what the core (relay.h) decides; settles
 *   listen.c   listening sockets, new network connections
 *   conn.c     network connections: records from and to clients
 *   stranger.c those of which it is not known yet whose they are
 *   proc.c     the agent program: HELLO, FENCE, ACK, SUBSCRIBE, STATUS
 *   backend.c  links: connections to the backends in their namespaces
 *   flow.c     who is not read for whom: slow clients, stopped backends
 *   announce.c what heartbeats say of the volumes
 *   reach.c    which of our own addresses can be reached
 *   peers.c, ping.c  what is heard of the other servers (suspect.h)
 *   own*.c     volumes on shared storage: who owns them (owner.h)
 *   show.c     the control socket: what hanfsctl shows
 *   logio*.c   the logs of volumes: between the core and the store
 *   stream.c   records over a socket, for both kinds of connections
 *   relay*.c, keys.c, callkeys.c   the core, without I/O
 *   hbsend.c   heartbeats, in a thread of their own
 *
 * A call travels: listen.c accepted its connection, stream.c reads the
 * record, conn.c hands it to relay_call(), agent.c takes RELAY_SEND_LINK
 * from the core and puts the record into the link's stream; the reply comes
 * by stream.c to backend.c, relay_reply(), and RELAY_SEND_CONN.
 */
#ifndef HANFS_AGENT_AGENT_H
#define HANFS_AGENT_AGENT_H

#include "hanfs/addr.h"
#include "hanfs/config.h"
#include "hanfs/ctlsock.h"
#include "hanfs/rpc.h"
#include "server-agent/hbsend.h"
#include "server-agent/relay.h"
#include "server-agent/stream.h"

/* What may be queued, in bytes. Beyond it the other side is not read: for a
 * client that does not take its replies, the link they come over; for a
 * backend that does not take its calls, the connection, or all of the
 * volume. Below half of it they go on. */
#define CONN_OUT_MAX   (8u << 20)
#define LINK_OUT_MAX   (8u << 20)
#define VOLUME_OUT_MAX (32u << 20)

/* Why a stream is not read. */
enum {
	PAUSE_QUOTA = 1,  /* the core has no room for its call */
	PAUSE_LINK = 2,   /* the link takes no more */
	PAUSE_VOLUME = 4, /* nor do the volume's all together */
	PAUSE_CONN = 8,   /* of a link: the client takes no more */
};

struct netconn;
struct blink;

struct agent_volume {
	const struct config_volume *cfg;
	bool here;          /* this server is a candidate */
	bool serving;       /* and its owner now */
	enum hb_state told; /* what heartbeats say of it */
	uint64_t epoch;     /* of the ownership */
	int backend;        /* -1 unknown, 0 not reached, 1 reached */
	uint16_t next_port; /* where the search for a reserved port begins */
	size_t queued;      /* for its backend, on all links */
	bool full;          /* its connections are not read */
	struct fit *fit;    /* what it is served with; NULL: not here */
};

struct agent_counts {
	uint64_t accepted, refused; /* connections */
	uint64_t malformed;         /* connections closed for it */
	uint64_t insecure;          /* calls from ports that are not reserved */
	uint64_t slow_clients;      /* a backend was not read for one */
	uint64_t slow_backends;     /* a client was not read for one */
	uint64_t relieved;          /* stuck connections closed for memory */
	uint64_t strangers;         /* closed: they did not say who they are */
	uint64_t abandoned;         /* stuck ones, whose client is elsewhere */
	uint64_t backend_failures;
};

struct agent {
	const struct config *cfg;
	unsigned server; /* index */
	uint64_t boot;
	struct event_base *base;
	struct hbsend *hb; /* NULL: this agent sends no heartbeats */
	struct ctlsock *ctl;
	struct stream_loop loop;
	struct stream_group from_clients, from_backends;
	struct relay *relay;
	struct rec_pool *calls, *replies;
	unsigned nvolumes;
	struct agent_volume volumes[CONFIG_VOLUMES_MAX];
	int own_netns; /* to come back to */
	uint64_t now_ms;
	struct agent_counts n;
	/* Whose record is being handled. */
	struct blink *reading;
	struct netconn *offering;
	LIST_HEAD(, netconn) conns;
	LIST_HEAD(, netconn) strangers;
	LIST_HEAD(, blink) blinks;
	/* Closed, to be freed by agent_settle(). */
	LIST_HEAD(, netconn) dead_conns;
	LIST_HEAD(, blink) dead_blinks;
	struct listener *listeners;
	struct reach *reach;
	struct steps *steps; /* the helper; NULL: no volume is managed */
	struct peers *peers;
	struct own *own; /* NULL: no volume is managed */
	struct logio_set *logio; /* NULL: no volume has a log */
	int ticker; /* clock_ticker() */
	struct event tick, term, intr, hup;
};

enum conn_kind {
	KIND_NEW,   /* no record yet */
	KIND_PROXY, /* its first record was for the agent program */
	KIND_PLAIN, /* a client without proxy */
};
extern const char *const conn_kind_names[];

/* A network connection. */
struct netconn {
	struct stream s; /* first */
	struct agent *a;
	struct relay_conn *rc;
	enum conn_kind kind;
	struct hanfs_addr peer, local;
	struct rec *held; /* the core has no room for it now */
	int volume;       /* of an accepted HELLO; -1: none */
	bool hello_waits;
	int hello_volume;
	uint32_t hello_xid;
	LIST_HEAD(, blink) stopped; /* links that wait for our output */
	struct blink *waits_for;    /* its output is too long */
	LIST_ENTRY(netconn) on_stopped;
	uint64_t moved_bytes, moved_ms; /* when it last got on */
	bool stranger;
	uint64_t stranger_until_ms;
	LIST_ENTRY(netconn) on_strangers;
	LIST_ENTRY(netconn) next;
};

/* A link to a backend. */
struct blink {
	struct stream s; /* first */
	struct agent *a;
	struct relay_link *link;
	struct event connect;
	size_t counted;               /* of its output, in the volume's */
	LIST_HEAD(, netconn) stopped; /* that wait for our output */
	struct netconn *waits_for;    /* its output is too long */
	bool elsewhere;               /* meanwhile calls came over another */
	LIST_ENTRY(blink) on_stopped;
	LIST_ENTRY(blink) next;
};

/* agent.c */
int agent_start(struct agent *a);
void agent_stop(struct agent *a);
/* Takes the time; at the start of what an event calls. */
uint64_t agent_now(struct agent *a);
/* Does what the core decided. */
void agent_act(struct agent *a);
/* The same, writes, and frees what is closed: at the end of each event. */
void agent_settle(void *agent);

/* start.c, for servers that own volumes by lease: may it, and the helper;
 * both end the program after logging why not. start_check(): for
 * preflight_ready(). */
int start_check(const struct agent *a);
void start_helper(struct agent *a, const char *run_dir);
void start_boot(const struct agent *a, const char *state_dir);

/* reach.c: 0, or -1 after logging why. */
int reach_start(struct agent *a);
void reach_stop(struct agent *a);
/* Address addr (index) of this server: its interface has no carrier. */
bool reach_lost(const struct agent *a, unsigned addr);

/* The network (index) of ours that an interface belongs to, or -1. */
int reach_network(const struct agent *a, int ifindex);

/* listen.c: 0, or -1 after logging why. */
int listen_start(struct agent *a);
void listen_stop(struct agent *a);

/* conn.c */
void conn_new(struct agent *a, int fd, const struct hanfs_addr *peer,
    const struct hanfs_addr *local);
void conn_send(struct netconn *c, struct rec *rec);
void conn_again(struct netconn *c);
/* Closes it and tells the core. why is logged. */
void conn_end(struct netconn *c, const char *why);

/* stranger.c: false when its peer has too many that are. */
bool stranger_new(struct netconn *c);
/* It is a client's. */
void stranger_known(struct netconn *c);
/* It is closed. */
void stranger_end(struct netconn *c);
/* Closes those that had time enough. */
void stranger_tick(struct agent *a);

/* proc.c */
bool proc_is_ours(struct rec *rec);
/* A call to the agent program; the reference is this function's. */
void proc_call(struct netconn *c, struct rec *rec);
/* An answer of the RPC layer. */
void proc_send_answer(struct netconn *c, uint32_t xid, enum rpc_answer what);
void proc_hello_answer(
    struct netconn *c, const struct relay_hello_answer *answer);

const char *proc_status_name(unsigned status);

/* proc_fit.c */
void proc_fit_start(struct agent *a, unsigned volume);
void proc_fit_stop(struct agent *a);
bool proc_fit(struct netconn *c, uint32_t xid, struct cursor args);

/* backend.c */
void backend_open(struct agent *a, struct relay_link *link);
void backend_send(struct relay_link *link, struct rec *rec);
void backend_close(struct relay_link *link);

/* flow.c: who is not read for whom. After something was queued, or left. */
void flow_conn(struct netconn *c);
void flow_link(struct blink *b);
/* The volume that a connection's calls are for. */
void flow_conn_volume(struct netconn *c, int volume);
/* A call came for a link. */
void flow_elsewhere(struct blink *b);
/* They are closed. */
void flow_conn_end(struct netconn *c);
void flow_link_end(struct blink *b);
/* Closes what does not get on, while others wait for its memory or link. */
void flow_tick(struct agent *a);

/* announce.c: the volumes' states, at each change of one. */
void announce_volumes(struct agent *a);
/* Heartbeats by unicast, too. */
enum hanfs_status announce_to(
    struct agent *a, const struct hanfs_addr *to, uint32_t ttl_ms);

/* show.c: 0, or -1 after logging why. */
int show_start(struct agent *a, const char *run_dir);

#endif
