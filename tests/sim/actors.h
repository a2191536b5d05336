/* Who acts: kernels' clients, proxies, agents, backends. */
#ifndef HANFS_SIM_ACTORS_H
#define HANFS_SIM_ACTORS_H

#include "disk.h"
#include "nfsd.h"
#include "wire.h"

/* --- the calls of the kernels' clients, as bytes (nfs.c) */

enum nfs_op { /* what a slot does; more than one may be a procedure */
	OP_WRITE,
	OP_READ,
	OP_COMMIT,
	OP_SETATTR,
	OP_TRUNCATE,
	OP_GETATTR,
	OP_CREATE,
	OP_MKDIR,
	OP_SYMLINK,
	OP_MKNOD,
	OP_REMOVE,
	OP_RMDIR,
	OP_RENAME,
	OP_LINK,
	OP_LOOKUP,
	OPS
};
extern const char *const op_names[OPS];

/* What a call does. */
struct op {
	enum nfs_op what;
	uint32_t client, slot;
	uint32_t name, name2; /* which of the slot's; for the story */
	struct nfs_handle fh, fh2;
	uint64_t text, text2;
	uint64_t value; /* written, set, or what makes it unlike others */
	uint32_t set;   /* SET_* */
	uint64_t size, guard, verf;
	uint32_t block;
	enum stable_how stable;
	enum create_how how;
};

/* What a reply says; the members that its procedure has. */
struct nfs_answer {
	uint32_t status;
	const uint8_t *bytes;
	size_t len;
	bool has_fh, has_attr;
	struct nfs_handle fh;
	enum fs_type type;
	uint32_t mode, uid, nlink, committed;
	uint64_t size, ctime, value, verf;
};

enum { NFS_CALL_MAX = 256 };
size_t nfs_call_encode(
    uint8_t buf[NFS_CALL_MAX], uint32_t xid, const struct op *op);
bool nfs_reply_xid(const uint8_t *buf, size_t len, uint32_t *xid);
bool nfs_reply_decode(
    const uint8_t *buf, size_t len, enum nfs_op what, struct nfs_answer *a);
void client_uuid(uint32_t client, uint8_t id[CLIENT_ID_LEN]);
bool op_changes(enum nfs_op op); /* names or attributes: exactly once */
uint32_t op_proc(enum nfs_op op);
/* What is there from the start, and where it is. */
void nfs_populate(struct fs *fs);
uint32_t nfs_dir_inode(uint32_t client, bool shared);
uint32_t nfs_file_inode(uint32_t client, uint32_t slot);
uint64_t nfs_name_text(uint32_t slot, uint32_t name, bool shared);
uint32_t nfs_mode(uint64_t value);

/* --- kernel.c */

/* What a file or a pair of names must be once the slot's call is done. */
struct want {
	struct fs_data data;
	uint64_t mode, owner; /* the numbers that these were made from */
	uint64_t ctime; /* as told, and not changed since; 0: not known */
	struct want_name {
		enum fs_type type; /* FS_FREE: it is not there */
		uint64_t object;   /* two names of one file have one number */
		uint64_t mode, owner;
		bool known;
		struct nfs_handle fh;
	} name[2];
};

/* One time that a call ran at a backend. */
struct run {
	struct run *next; /* older */
	struct kcall *call;
	struct mount *m;
	uint32_t life;
	bool finished;
	bool changed; /* names or attributes */
	bool trace;   /* and it can be seen: else it may run again */
	bool partial; /* a cut left a part of it */
	bool lost;    /* a cut left nothing of it */
	uint64_t first, last; /* in the journal; what it saw if !changed */
	uint32_t status;
	const uint8_t *reply;
	uint32_t len;
};

/* One call of a kernel's client and all that is known of it. */
struct kcall {
	uint32_t xid;
	struct op op;
	struct slot *slot;
	struct kernel_conn *kc;
	uint8_t bytes[NFS_CALL_MAX];
	uint32_t len;
	uint32_t expect_status;
	uint64_t expect_value; /* READ, GETATTR */
	uint64_t issued, sent, done;
	uint32_t number, tries;
	uint32_t doubts; /* of its volume, when it was issued */
	uint32_t ran;
	struct run *runs; /* newest first */
};

/* Something that has one call outstanding at most. */
struct slot {
	struct client *cl;
	uint32_t number, volume, conn;
	bool shared;  /* its names are others', too */
	bool spoiled; /* an undecidable call was one of its own */
	struct kcall *call;
	struct want want;
	uint64_t version;
	/* data that was written UNSTABLE and not committed */
	bool unstable, again; /* again: a server lost it */
	uint32_t block;
	uint64_t verf;
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
	uint32_t len;
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
/* Whose call a backend got; NULL: an agent's own. */
struct kcall *kernel_made(
    struct world *w, const struct nfsd_call *c, const uint8_t *p, size_t len);

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
	/* its host, and its part in owning volumes (own.h) */
	bool off, nets_lost;
	uint32_t boots;      /* +1 when power goes and when it is back */
	int64_t clock_ahead; /* ms */
	int64_t clock_fast;  /* of a thousand */
	struct suspect *suspect;
	struct own *own; /* by volume */
	struct mount *mounts;
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
	bool serves[VOLUMES];
	uint64_t epoch[VOLUMES];
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

/* tcp.c: */
bool agent_listens(struct server *s);
void agent_on_syn(struct tcp *c);
void agent_on_readable(struct tcp *c);
/* backend.c: */
void agent_on_reply(struct link *l, const uint8_t *bytes, uint32_t len);
void agent_audit(struct server *s, bool last);

/* --- backend.c */

/* A volume's NFS server on a host. */
struct backend {
	struct world *w;
	uint32_t server, volume;
	struct mount *m;
	bool runs;
	uint64_t stopped_until, dead_until;
	uint32_t life; /* +1 when it is ended: what ran in it is gone */
	uint64_t verf;
};

struct reply {
	const uint8_t *bytes;
	uint32_t len;
};

/* An agent's connection to a volume's NFS server. */
struct link {
	struct link *next; /* of the open ones */
	struct server *server;
	struct backend *backend;
	struct relay_link *relay;
	uint32_t volume, start;
	bool open, up;
	bool broken;           /* what is still in its socket can be read */
	struct reply *replies; /* in its socket */
	uint32_t nreplies, replies_room, replies_read;
};

/* The backend's process is gone. */
void agent_links_break(struct backend *b);
void backend_take(struct link *l, struct rec *rec);
void backend_on_effect(struct world *w, void *job);
void backend_on_answer(struct world *w, void *job);
void backend_on_synced(void *job, bool good);
void backend_start(struct backend *b, struct mount *m);
void backend_end(struct backend *b);
/* It crashes, and is started anew at that time. */
void backend_die(struct backend *b, uint64_t until);

#endif
