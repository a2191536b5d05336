/* Who acts: kernels' clients, proxies, agents, backends. */
#ifndef HANFS_SIM_ACTORS_H
#define HANFS_SIM_ACTORS_H

#include "wire.h"

/* --- the calls of the kernels' clients, as bytes (nfs.c) */

enum nfs_op { /* what a slot does; more than one may be a procedure */
	OP_WRITE,
	OP_READ,
	OP_COMMIT,
	OP_SETATTR,
	OP_GETATTR,
	OP_CREATE,
	OP_MKDIR,
	OP_REMOVE,
	OP_RMDIR,
	OP_RENAME,
	OP_LOOKUP,
	OPS
};
extern const char *const op_names[OPS];

/* What a call does: client's slot, the name(s) in it, the value written. */
struct op {
	enum nfs_op what;
	uint32_t client, slot, name;
	uint64_t value;
};

enum { NFS_CALL_MAX = 256, NFS_REPLY_LEN = 36 };
size_t nfs_call_encode(
    uint8_t buf[NFS_CALL_MAX], uint32_t xid, const struct op *op);
bool nfs_call_decode(const struct rec *rec, uint32_t *xid, struct op *op);
void nfs_reply_encode(
    uint8_t buf[NFS_REPLY_LEN], uint32_t xid, uint32_t status, uint64_t value);
bool nfs_reply_decode(const uint8_t *buf, size_t len, uint32_t *xid,
    uint32_t *status, uint64_t *value);
void client_uuid(uint32_t client, uint8_t id[CLIENT_ID_LEN]);
bool op_changes(enum nfs_op op); /* names or attributes: exactly once */

/* What one slot of a client is about. */
struct fs_slot {
	uint64_t written, attr;
	bool name[2];
};

/* --- kernel.c */

/* One call of a kernel's client and all that is known of it. */
struct kcall {
	uint32_t xid;
	struct op op;
	struct slot *slot;
	struct kernel_conn *kc;
	uint32_t expect_status;
	uint64_t expect_value; /* READ, GETATTR */
	uint64_t issued, sent, done;
	uint32_t number, tries;
	uint32_t kills; /* of the owner's agent, when it was issued */
	/* what ran */
	uint32_t ran, status;
	uint64_t value;
};

/* Something that has one call outstanding at most. */
struct slot {
	struct client *cl;
	uint32_t number, volume, conn;
	struct kcall *call;
	/* what the file system must hold once its call is done */
	struct fs_slot want;
	uint64_t version;
};

/* A connection slot of the kernel's client (nconnect): reconnected again and
 * again, what it carries stays on it. */
struct kernel_conn {
	struct client *cl;
	uint32_t volume, number;
	bool up;
	struct proxy_conn *p; /* the present connection */
};

/* One connection from the kernel's client, as the proxy sees it. */
struct proxy_conn {
	struct proxy_conn *next; /* of those the proxy has */
	struct kernel_conn *kc;
	bool cut; /* the kernel's end is closed */
	struct kconn *k;
	uint64_t id;
	struct kcall **unread; /* in its socket, in order */
	uint32_t nunread, unread_room, read;
	uint32_t *taken; /* XIDs to be acknowledged */
	uint32_t ntaken, taken_room;
};

struct delivery { /* a reply on its way to the kernel */
	struct proxy_conn *p;
	const uint8_t *bytes;
	enum call_class class;
};

struct client {
	struct world *w;
	uint32_t number;
	/* kernel */
	struct slot slot[SLOTS_MAX];
	struct kernel_conn kc[VOLUMES][KCONNS_EACH];
	struct kcall **calls; /* all there ever were, by XID */
	uint32_t ncalls, calls_room, xid0, outstanding;
	bool stopping, unmounted;
	/* proxy */
	struct px *px;
	bool alive, detector;
	uint64_t stalled_until;
	bool netlink[NETS]; /* unread */
	uint32_t starts, tags, ticks, turn;
	uint64_t incarnation, kconn_ids, events_told;
	struct proxy_conn *conns;
	struct upstream *control[NETS * SERVERS], *ups;
};

void kernel_start(struct client *cl);
void kernel_stop(struct client *cl); /* no new calls */
void kernel_unmount(struct client *cl);
void kernel_on_event(const struct event *e);
/* The kernel closes a connection; it connects again if there are calls. */
void kernel_cut(struct kernel_conn *kc);
/* The proxy's end is gone. */
void kernel_lost(struct kernel_conn *kc);
struct kcall *kernel_call(struct client *cl, uint32_t xid);

/* --- proxy.c */

void proxy_start(struct client *cl);
void proxy_kill(struct client *cl);
/* It gets no time: whatever comes is seen then. */
void proxy_stall(struct client *cl, uint64_t until);
/* Its state is written out and read back, as when it is upgraded. */
void proxy_upgrade(struct client *cl);
void proxy_on_tick(struct client *cl);
void proxy_on_call(struct proxy_conn *p, struct kcall *call);
void proxy_on_heartbeat(const struct heartbeat_event *h, struct client *cl);
struct proxy_conn *proxy_accept(struct kernel_conn *kc);
void proxy_on_hangup(struct proxy_conn *p);
/* As netlink says it; up and address come from the world. */
void proxy_interface(struct client *cl, uint32_t net, enum path_reason why);
/* The kernel's TCP has taken the reply. */
void proxy_on_taken(struct proxy_conn *p, uint32_t xid);
/* tcp.c: */
enum proxy_tell { TELL_ESTABLISHED, TELL_READABLE, TELL_CLOSED };
void proxy_tell(struct tcp *c, uint64_t what, enum tcp_why why);
void proxy_audit(struct client *cl, bool last);

/* --- agent.c */

struct server {
	struct world *w;
	uint32_t number;
	bool alive, running; /* running: a run is scheduled */
	bool stopped;        /* while it is stalled: no heartbeats either */
	uint64_t stalled_until;
	uint64_t boot, seq[NETS];
	uint32_t starts, table_gen;
	uint32_t kills; /* of it, or of its backend: calls are in doubt */
	struct relay *relay;
	struct sconn **conns; /* live */
	uint32_t nconns, conns_room;
	struct tcp **backlog;
	uint32_t nbacklog, backlog_room;
	uint64_t subscribed[NETS][CLIENTS_MAX]; /* until */
	struct link *links;
};

struct heartbeat_event {
	uint32_t server, client, net;
	uint64_t boot, seq;
	uint32_t table_gen, networks; /* those on which it can be reached */
};

void agent_start(struct server *s);
void agent_kill(struct server *s);
/* Its loop does not run until then; heartbeats have a thread of their own. */
void agent_stall(struct server *s, uint64_t until, bool heartbeats_too);
void agent_on_run(struct server *s);
void agent_on_tick(struct server *s);
void agent_on_beat(struct server *s);
/* An interface of it lost its carrier, or has it again. */
void agent_carrier(struct server *s);
void agent_on_link_up(struct link *l);
void agent_links_break(struct server *s);
/* tcp.c: */
bool agent_listens(struct server *s);
void agent_on_syn(struct tcp *c);
void agent_on_readable(struct tcp *c);
/* backend.c: */
void agent_on_reply(struct link *l, const uint8_t *bytes);
void agent_audit(struct server *s, bool last);

/* --- backend.c */

/* An agent's connection to a volume's NFS server. */
struct link {
	struct link *next; /* of the open ones */
	struct server *server;
	struct relay_link *relay;
	uint32_t volume, start;
	bool open, up;
	bool broken;             /* what is still in its socket can be read */
	const uint8_t **replies; /* in its socket */
	uint32_t nreplies, replies_room, replies_read;
};

struct backend {
	uint64_t stopped_until, dead_until;
	uint32_t life; /* +1 when it is ended: what ran in it is gone */
};

struct file_system {
	struct fs_slot slot[CLIENTS_MAX][SLOTS_MAX];
};

void backend_take(struct link *l, struct rec *rec);
void backend_on_effect(struct world *w, void *job);
void backend_on_answer(struct world *w, void *job);
void backend_end(struct world *w, uint32_t volume);
/* It crashes, and is started anew at that time. */
void backend_die(struct world *w, uint32_t volume, uint64_t until);

#endif
