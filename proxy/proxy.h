/*
 * hanfs-proxy: the local NFS server that a client's mounts talk to.
 *
 *   kernel's NFS client            agents on the servers
 *        |  ^                            ^  |
 *        v  |  kernel.c       upstream.c |  v
 *      struct kernel_conn          struct upstream
 *             \                       /
 *              \      core.c        /      path, hold, fence, replay: pure
 *               +--- struct px ----+
 *              /                    \
 *       evidence.c                 view.c
 *    heartbeats, interfaces     hanfsctl show
 *
 * This header is what the shell's files share. The main loop is in main.c;
 * every callback of it ends in proxy_settle(), which carries out what the
 * core decided and writes what was queued. Bytes of a call belong to the
 * core from px_call() on; those of a reply to the writer of the kernel's
 * connection.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <net/if.h>

#include "hanfs/addr.h"
#include "hanfs/config.h"
#include "hanfs/listenfds.h"
#include "hanfs/recio.h"

#include "core.h"

struct proxy;

/* A stream socket with records on it; both kinds of connection begin so. */
struct wire {
	struct proxy *p;
	int fd;
	bool dirty;	  /* has something to write, is in the list */
	bool paused;	  /* not read from, until something is freed */
	bool wants_write;
	struct wire *next_dirty;
	void (*failed)(struct wire *w, int error); /* a write */
	struct event ev_read, ev_write;
	struct rec_writer out;
	struct rec_reader in;
};

void wire_open(struct wire *w, struct proxy *p, int fd,
    struct rec_pool *pool, enum rec_store store, event_callback_fn on_read,
    event_callback_fn on_write, void (*failed)(struct wire *w, int error));
void wire_close(struct wire *w, bool reset);
/* Queues a record and puts the wire on the list of proxy_settle(). */
void wire_put(struct wire *w, struct rec *r);
/* There is more of what is queued: a record that is being read. */
void wire_more(struct wire *w);
void wire_pause(struct wire *w);
void wire_resume(struct wire *w);
/* 0, 1 when the socket is full, -1 with errno. */
int wire_flush(struct wire *w);

/* What the kernel took of our replies; named to the agent afterwards. */
struct taken {
	uint32_t xid;
	uint64_t at; /* position in the stream to the kernel */
};
#define TAKEN_MAX 16384u

/* What became of a call whose first bytes are here, and not all of it. */
enum kernel_begun {
	BEGUN_NOT,     /* it was not looked at yet */
	BEGUN_TAKEN,   /* the core has it; it may be on its way */
	BEGUN_IGNORED, /* a duplicate */
	BEGUN_LATER,   /* to be looked at when it is whole */
};

struct kernel_conn {
	struct wire w; /* first */
	struct kernel_conn *next;
	struct kconn *k;
	uint64_t id;
	uint32_t volume;
	struct rec *stalled; /* a call that found the core full */
	enum kernel_begun begun; /* the one being read */
	bool choked;	/* too much queued to the kernel */
	bool dead;	/* to be closed by proxy_settle() */
	uint32_t taken_at, taken_n;
	struct taken taken[TAKEN_MAX]; /* ring */
};

/* A call of our own on a control connection that waits for its answer. */
struct agent_call {
	struct agent_call *next;
	uint32_t xid, proc;
	uint64_t sent_us;
	uint32_t volume, network;
	uint64_t kconn_id, floor;
	uint32_t nxids;
	uint32_t *xids; /* of an ACK */
};
#define AGENT_CALLS_MAX 4096u

enum upstream_state { UP_CONNECTING, UP_HELLO, UP_READY };

struct upstream {
	struct wire w;	   /* first */
	struct upstream *next;
	uint32_t path;
	struct uconn *u;   /* NULL: a control connection */
	enum upstream_state state;
	bool closed;	   /* to be freed by proxy_settle() */
	struct agent_call *calls, **calls_last; /* control only */
	uint32_t ncalls;
	uint32_t retrans, segs; /* of TCP_INFO, last looked at */
};

/* Our own side of a network. */
struct local_net {
	bool up;
	int ifindex;
	char ifname[IF_NAMESIZE];
	struct hanfs_addr addr; /* the one that connections are bound to */
};

struct identity {
	uint8_t client[CLIENT_ID_LEN];
	uint8_t token[16];
	uint64_t incarnation;
};

struct proxy_counters {
	uint64_t accepted, refused_port, nonsense, answered_here;
	uint64_t unknown_replies, acks, taken_lost;
	uint64_t hello_refused;
};

struct proxy {
	struct event_base *base;
	const struct config *cfg;
	const char *run_dir, *state_dir;
	struct px *px;
	struct px_config pxcfg;
	struct rec_pool *calls;	  /* bytes of calls: replay_max */
	struct rec_pool *replies; /* replies on their way, and our own calls */
	struct identity who;
	uint64_t kconn_ids;
	uint32_t xids;
	struct local_net net[PX_NETWORKS];
	struct hanfs_addr agent_addr[PX_SERVERS][PX_NETWORKS];
	struct kernel_conn *kernels;
	struct upstream *upstreams;
	struct upstream *control[PX_PATHS];
	uint32_t npaths, retrans[PX_PATHS], segs[PX_PATHS];
	struct wire *dirty;
	bool calls_freed, replies_freed;
	uint64_t events_logged;
	bool settling;
	struct proxy_counters count;
	uint16_t next_port; /* reserved port to try next */
	struct kernel *kernel;	   /* listen.c: listeners */
	struct evidence *evidence; /* evidence.c */
};

/* shell.c: after every event. */
void proxy_settle(struct proxy *p);
uint64_t proxy_now(const struct proxy *p);	/* ms */
uint64_t proxy_now_us(const struct proxy *p);
/* "home", "s1/A": for messages. */
const char *proxy_volume_name(const struct proxy *p, uint32_t volume);
const char *proxy_path_name(const struct proxy *p, uint32_t path);

/* listen.c */
/* On each volume's address, by the socket that was handed over, if one was.
 * Those left over are closed. 0, or -1 with a message. */
int kernel_listen(struct proxy *p, struct listenfds *handed_over);
void kernel_listen_end(struct proxy *p);

/* kernel.c */
/* A connection that was accepted for the volume; it takes fd. NULL: too many,
 * or no memory; fd is the caller's. */
struct kernel_conn *kernel_conn_new(struct proxy *p, uint32_t volume, int fd);
void kernel_end(struct proxy *p);
/* A reply for the kernel; takes the record. */
void kernel_reply(struct kernel_conn *kc, struct rec *r,
    const struct px_answered *a);
void kernel_sweep(struct proxy *p);   /* closes the dead */
void kernel_unchoke(struct proxy *p); /* the kernel took its replies */
void kernel_resume(struct proxy *p); /* call memory was freed */
/* acks.c: names to the agents what the kernel took. */
void kernel_acks(struct proxy *p, uint32_t least); /* of a connection */
void kernel_acks_last(struct kernel_conn *kc);
/* An ACK got lost: its XIDs are to be named again. */
void kernel_taken_again(struct proxy *p, uint64_t kconn_id,
    const uint32_t *xids, uint32_t n);

/* pathsock.c: a socket that connects to the path's agent; -1 with errno. */
int path_socket(struct proxy *p, uint32_t path);

/* upstream.c */
/* It ended by itself, or must end: tells the core. error: errno, or 0. */
void upstream_lost(struct upstream *up, int error, const char *why);
void upstream_connect(struct proxy *p, uint32_t path, struct uconn *u);
void upstream_abort(struct proxy *p, struct upstream *up);
void upstream_send(struct proxy *p, const struct px_action *a);
/* There is more of a call of k that was sent in part. */
void upstream_more(const struct proxy *p, const struct kconn *k);
void upstream_sweep(struct proxy *p);
/* The core is about to free k: nothing may point to it. */
void upstream_forget(struct proxy *p, const struct kconn *k);
void upstream_resume(struct proxy *p, struct kconn *k);
void upstream_end(struct proxy *p);

/* control.c: calls of our own on a path's control connection. */
void upstream_probe(struct proxy *p, uint32_t path);
void upstream_subscribe(struct proxy *p, uint32_t path);
void upstream_fence(struct proxy *p, const struct px_action *a);
/* Takes xids. False: it cannot be sent now; they are to be named again. */
bool upstream_ack(struct proxy *p, uint32_t path, uint32_t volume,
    uint64_t kconn_id, uint32_t *xids, uint32_t n);
void control_reply(struct upstream *up, struct rec *r, uint32_t xid);
/* The connection is over, and what was asked on it. */
void control_end(struct upstream *up);

/* tcpinfo.c */
void upstream_look_probes(struct proxy *p);
void upstream_look_loss(struct proxy *p);

/* agentcall.c: the agent program's calls and answers, see lib/agent.x. The
 * makers return a record for the wire, NULL when the pool is empty. */
enum agent_proc {
	AGENT_PROC_NULL,
	AGENT_PROC_HELLO,
	AGENT_PROC_FENCE,
	AGENT_PROC_ACK,
	AGENT_PROC_SUBSCRIBE,
};
struct rec *agent_hello(struct proxy *p, const struct upstream *up,
    uint32_t xid);
struct rec *agent_call_make(struct proxy *p, const struct agent_call *c);
struct hello_answer {
	uint32_t status;
	uint64_t boot, epoch, highest, floor;
};
int agent_hello_answer(const struct rec *r, struct hello_answer *out);
/* The status of a FENCE's, ACK's or SUBSCRIBE's answer; -1: malformed. */
int agent_status_answer(const struct rec *r);
const char *agent_status_name(uint32_t status);
bool agent_is_not_owner(uint32_t status);

/* evidence.c */
int evidence_start(struct proxy *p);
void evidence_end(struct proxy *p);
bool evidence_detector_alive(const struct proxy *p, uint64_t now_ms);

/* identity.c: who this client is, kept in the state directory. */
int identity_load(struct identity *who, const char *state_dir);

/* main.c */
void proxy_config(struct px_config *px, const struct config *cfg);

/* view.c */
struct ctlsock;
void view_register(struct proxy *p, struct ctlsock *ctl);

#endif
