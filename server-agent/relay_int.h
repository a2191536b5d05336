/*
 * What the files of the relay core share. Nobody else includes this.
 *
 *   relay.c        life of the whole, actions, connections, time, views
 *   relay_client.c clients, kernel connections, what belongs to which
 *   relay_hello.c  who may do what: HELLO, FENCE, ACK
 *   relay_call.c   a call's way to the backend and its reply's way back
 *   relay_keys.c   its order keys
 *   relay_link.c   links, and what becomes of their calls
 *   relay_view.c   for people
 *   relay_late.c   calls that are here for long
 *   relay_table.c  the table: look-up, quotas
 *   relay_kept.c   kept replies, and what lets them go
 *
 * and of volumes with a log (relay_log.h has what these share):
 *
 *   relay_log.c     the stages of a logged call
 *   relay_ask.c     calls of our own: what is there before, or now
 *   relay_commit.c  records on their way to the disk, syncs, who waits
 *   relay_gate.c    what has changed and is not durable yet
 *   relay_tomb.c    slots given back, tombs; relay_tombend.c: their end
 *   relay_sent.c    HELLO's list
 *   relay_undecided.c  calls nobody can answer for, operators' verdicts
 *   relay_recover.c the log's records become entries again
 *   relay_judge.c   calls in doubt
 */
#ifndef HANFS_AGENT_RELAY_INT_H
#define HANFS_AGENT_RELAY_INT_H

#include <assert.h>
#include <stddef.h>
#include <sys/queue.h>

#include "server-agent/callkeys.h"
#include "server-agent/relay.h"
#include "server-agent/slotmap.h"

/*
 *                        log is on                  rec is      keys
 *	WAITING                                      the call    waits for
 *	ASKING             its pre-state is asked    the call    all held
 *	INTENT             its record is written     the call    held
 *	RUNNING            (also without a log)      -           held
 *	HELD               error or sick pre-state;  call/reply  held
 *	                   waits for a sync
 *	COMPLETING         its record is written     the reply   held
 *	COMMIT             waits for a sync          the reply   -
 *	UNDECIDED          waits for an operator     the call    -
 *	FINISHED                                     the reply   -
 */
enum entry_state {
	ENTRY_WAITING,
	ENTRY_ASKING,
	ENTRY_INTENT,
	ENTRY_RUNNING,
	ENTRY_HELD,
	ENTRY_COMPLETING,
	ENTRY_COMMIT,
	ENTRY_UNDECIDED,
	ENTRY_FINISHED,
};

/* What is known of a call without a reply, from a recovery or an operator:
 * of one that is finished, and of one in progress until it has begun to run,
 * or is answered: its link may be lost before. */
enum entry_mark {
	MARK_NONE,
	MARK_NOT_RUN,   /* runs when it is asked for */
	MARK_UNDECIDED, /* waits for an operator once it is asked for */
	MARK_HAS_RUN,   /* an operator said so */
};

struct entry_log;
struct relay_entry;
struct tomb;
TAILQ_HEAD(commit_list, relay_entry);
#define GATE_MAX 5u

/* The lists of kept replies, by what lets them go. */
enum kept {
	KEPT_UNACKED, /* retain_ms of real time */
	KEPT_ORPHAN,  /* of an older incarnation, or of a kernel connection
		       * that is over: orphan_ms of client time */
	KEPT_ACKED,   /* linger_ms of client time, or a want of room */
	KEPT_LISTS,
};

struct relay_entry {
	struct relay_entry *id_next;  /* by identity; or in the free list */
	struct relay_entry *xid_next; /* by XID */
	struct relay_table *table;
	struct call_id id;
	enum call_class class;
	enum entry_state state;
	enum kept kept;
	struct rec *rec;
	struct relay_link *link; /* unless finished */
	LIST_ENTRY(relay_entry) on_link;
	struct relay_conn *asker; /* who gets the reply, or NULL */
	LIST_ENTRY(relay_entry) on_asker;
	bool begun;   /* some of the reply was sent before it was whole */
	bool passing; /* to the asker */
	uint64_t kconn, incarnation; /* who asked last: ACK names these */
	uint64_t since_ms;
	uint64_t watched_ms; /* seen to run since; 0: not yet */
	uint64_t expires_ms; /* by the clock of its list */
	TAILQ_ENTRY(relay_entry) on_kept;
	struct key_req keys;
	/* of a volume with a log */
	struct entry_log *log;    /* until it has run */
	struct slotmap_rec *slot; /* until it is acknowledged */
	enum entry_mark mark;
	enum logrec_how how;
	bool recovered; /* and not asked for since */
	bool expired;   /* kept for as long as there is room */
	bool pending;   /* what it changed is in the gate's filter */
	uint8_t ngate;
	uint32_t gate[GATE_MAX];   /* handles it names, hashed */
	struct commit_list *queue; /* waits for a sync, or NULL */
	TAILQ_ENTRY(relay_entry) on_queue;
};

TAILQ_HEAD(kept_list, relay_entry);

/* The calls of one client on one volume. */
struct relay_table {
	LIST_ENTRY(relay_table) next;
	struct relay_client *client;
	unsigned volume;
	unsigned in_progress;
	unsigned nkept[KEPT_LISTS];
	struct kept_list kept[KEPT_LISTS];
	struct tomb *tomb; /* calls whose replies expired; newest first */
};

struct relay_client {
	LIST_ENTRY(relay_client) next;
	uint8_t id[CLIENT_ID_LEN];
	uint8_t token[RELAY_TOKEN_LEN];
	uint64_t incarnation; /* the highest seen */
	bool plain;           /* without HELLO */
	bool token_open;      /* from the log: the next HELLO's is taken */
	uint64_t last_kconn;  /* of a plain one */
	/* A clock that stands still while no connection is there. */
	unsigned nconns;
	uint64_t clock_ms, clock_since_ms;
	LIST_HEAD(, relay_conn) conns;
	LIST_HEAD(, relay_kconn) kconns;
	LIST_HEAD(, relay_table) tables;
	struct relay_client *dead_next;
};

/* How long a late HELLO of a kernel connection that is over is refused:
 * longer than it can lie in a listen backlog. */
#define RELAY_OVER_MS 120000u
/* Between looks for calls without a reply. */
#define RELAY_WATCH_MS 1000u
/* A call that is here for so long is told of, of each volume so often. */
#define RELAY_LATE_MS	    10000u
#define RELAY_LATE_AGAIN_MS 60000u
/* Reads have a tenth of answer_ms at first, if that is not too short. */
#define RELAY_READ_PART	  10u
#define RELAY_READ_MIN_MS 10000u

enum link_state { LINK_DOWN, LINK_OPENING, LINK_UP };

struct relay_link {
	struct relay_kconn *kconn;
	void *user;
	enum relay_program program;
	enum link_state state;
	uint64_t retry_ms; /* not to be opened before */
	bool told_overdue;
	uint64_t read_ms; /* a read may take so long; 0: as at first */
	LIST_HEAD(, relay_entry) calls;
};

struct relay_kconn {
	LIST_ENTRY(relay_kconn) next;
	struct relay *r;
	struct relay_client *client;
	struct relay_table *table;
	unsigned volume;
	uint64_t number, incarnation;
	bool heard;     /* a HELLO of it, since the last recovery */
	uint32_t *sent; /* by HELLO: may have been sent before */
	unsigned nsent;
	bool retired; /* goes when its calls are finished */
	bool over;    /* ended by its client; the floors still stand */
	bool freed;
	bool resend;
	uint64_t idle_since_ms; /* while it has no connection */
	unsigned nconns;
	struct relay_conn *conns[RELAY_NETWORKS_MAX];
	uint64_t floors[RELAY_NETWORKS_MAX];
	uint8_t peer[RELAY_PEER_MAX];
	struct relay_link links[RELAY_PROGRAMS];
	struct relay_kconn *dead_next;
};

enum conn_state {
	CONN_NEW,   /* no HELLO yet, or a refused one */
	CONN_HELLO, /* HELLO waits for the backend */
	CONN_CONTROL,
	CONN_OPEN,
	CONN_CLOSED, /* by us: whatever comes is ignored */
};

struct relay_conn {
	struct relay *r;
	void *user;
	enum conn_state state;
	bool gone; /* the shell's part is no more */
	uint64_t born; /* after so many recoveries */
	struct relay_client *client;
	uint64_t incarnation;
	struct relay_kconn *kconn;
	unsigned network;
	uint64_t generation;
	LIST_ENTRY(relay_conn) on_client;
	LIST_HEAD(, relay_entry) asked;
	bool stalled;
	uint64_t stalled_ms; /* since then no call was taken; or 0 */
	TAILQ_ENTRY(relay_conn) on_stalled;
	struct relay_conn *dead_next;
};

struct relay {
	struct relay_config cfg;
	struct relay_counts n;
	bool serving[RELAY_VOLUMES_MAX];
	bool draining[RELAY_VOLUMES_MAX], drained[RELAY_VOLUMES_MAX];
	unsigned ndraining;
	uint64_t recoveries;
	bool told_limit;   /* since there was room for a client */
	uint64_t watch_ms; /* the next links_watch(), calls_watch() */
	uint64_t late_ms[RELAY_VOLUMES_MAX]; /* not told again before */
	struct vlog *logs[RELAY_VOLUMES_MAX]; /* NULL: has none */
	struct forbidden *forbidden[RELAY_VOLUMES_MAX];
	LIST_HEAD(, relay_client) clients;
	TAILQ_HEAD(, relay_conn) stalled; /* wait for room in a table */
	struct keys *keys;
	/* entries */
	struct relay_entry *entry_mem, *entry_free;
	size_t entry_fresh; /* from here on never used, nor touched */
	struct relay_entry **by_id, **by_xid;
	uint64_t mask;
	/* actions: a ring that grows */
	struct relay_action *ring;
	size_t ring_size, ring_at, ring_n;
	/* freed when no action can name them any more */
	struct relay_conn *dead_conns;
	struct relay_kconn *dead_kconns;
	struct relay_client *dead_clients;
};

/* relay.c */
void relay_act(struct relay *r, struct relay_action action);
void relay_note(struct relay *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* What was decided about a volume's log, and not taken yet, is void. */
void actions_forget(struct relay *r, unsigned volume);
/* The first bytes of a client id, for notes; buf of at least 9. */
const char *relay_client_name(const struct relay_client *cl, char *buf);
void conn_close(struct relay_conn *c, enum relay_reason why, uint64_t now_ms);

/* relay_client.c */
uint64_t client_clock(const struct relay_client *cl, uint64_t now_ms);
struct relay_client *client_find(
    struct relay *r, const uint8_t id[CLIENT_ID_LEN]);
/* token is NULL for one without HELLO. NULL: the limit. */
struct relay_client *client_new(
    struct relay *r, const uint8_t id[CLIENT_ID_LEN], const uint8_t *token);
/* The same without a limit. NULL: no memory. */
struct relay_client *client_add(
    struct relay *r, const uint8_t id[CLIENT_ID_LEN], const uint8_t *token);
/* Forgets a client that has no connection and no entry. */
void client_settle(struct relay *r, struct relay_client *cl);
struct relay_table *table_get(struct relay_client *cl, unsigned volume);
struct relay_kconn *kconn_find(
    struct relay_client *cl, unsigned volume, uint64_t number);
/* NULL: the limit. */
struct relay_kconn *kconn_new(struct relay *r, struct relay_client *cl,
    unsigned volume, uint64_t number, uint64_t now_ms);
void kconn_retire(struct relay *r, struct relay_kconn *k, enum relay_reason why,
    uint64_t now_ms);
void kconn_close_all(
    struct relay_kconn *k, enum relay_reason why, uint64_t now_ms);
/* Its client says that it is over: how many connections that closed. */
unsigned kconn_end(struct relay *r, struct relay_kconn *k, uint64_t now_ms);
/* Closes the links of a kernel connection that has nothing left to do. */
void kconn_settle(struct relay *r, struct relay_kconn *k);
/* k is NULL for a control connection. */
void conn_attach(struct relay_conn *c, struct relay_client *cl,
    struct relay_kconn *k, unsigned network, uint64_t generation,
    uint64_t now_ms);
void conn_detach(struct relay_conn *c, uint64_t now_ms);

/* relay_hello.c */
/* The link that HELLOs wait for is there, or will not be. */
void hello_link_result(struct relay_kconn *k, bool up, uint64_t now_ms);

/* relay_link.c */
void link_open(struct relay_link *l);
/* The link of a call whose intent is written now was lost meanwhile, which is
 * not suspect (rules.no_suspect): it is dropped. */
bool drop_late(struct relay_entry *e, uint64_t now_ms);
/* Links whose backend owes a reply for too long are given up. */
void links_watch(struct relay *r, struct relay_client *cl, uint64_t now_ms);

/* relay_view.c */
enum relay_stage entry_stage(const struct relay_entry *e);

/* relay_late.c */
/* The call that has keys which this one waits for; or NULL. */
const struct relay_entry *entry_holder(const struct relay_entry *e);
/* Tells of calls that are here for long. */
void calls_watch(struct relay *r, uint64_t now_ms);

/* relay_call.c */
/* To the backend. */
void entry_send(struct relay *r, struct relay_entry *e);
/* Its reply, e->rec, goes to who asked. */
void entry_leave(struct relay *r, struct relay_entry *e, uint64_t now_ms);

/* relay_keys.c */
/* Its first keys, by its arguments; it starts once it has them. */
void entry_take_keys(
    struct relay *r, struct relay_entry *e, const struct nfs3_args *args);
/* All keys of a logged call, by what it found. */
void entry_keys_all(
    const struct relay *r, const struct relay_entry *e, struct key_set *all);
/* Gives up an entry's keys; what waited for them alone starts. */
void entry_release_keys(struct relay *r, struct relay_entry *e);
/* Those of the list hold all their keys. */
void entries_start(struct relay *r, struct key_req *ready);

/* relay_table.c */
int table_init(struct relay *r);
void table_fini(struct relay *r);
/* A call that changes nothing is known on its own link alone. */
struct relay_entry *entry_find(struct relay *r, struct relay_table *t,
    const struct relay_link *l, const struct call_id *id);
struct relay_entry *entry_find_running(
    struct relay *r, struct relay_link *l, uint32_t xid);
/* In progress by (link, XID), finished by (table, kconn, XID). */
struct relay_entry **entry_bucket(
    struct relay *r, const void *where, uint64_t kconn, uint32_t xid);
void entry_xid_insert(struct relay *r, struct relay_entry *e);
void entry_xid_remove(struct relay *r, struct relay_entry *e);
/* Will entry_new() find room once `known`, if there is one, is free? */
bool entry_has_room(const struct relay *r, const struct relay_table *t,
    const struct relay_entry *known);
/* Makes room by dropping acknowledged replies; NULL: there is none. */
struct relay_entry *entry_new(struct relay *r, struct relay_table *t,
    const struct call_info *info, struct relay_link *l);
void entry_ask(struct relay_entry *e, struct relay_conn *c);
void entry_unask(struct relay_entry *e);

/* relay_kept.c */
/* To and from the list of a kept reply. */
void kept_add(
    struct relay *r, struct relay_entry *e, bool over, uint64_t now_ms);
void kept_remove(struct relay_entry *e);
void entry_finish(
    struct relay *r, struct relay_entry *e, struct rec *reply, uint64_t now_ms);
/* Asked for again: by whom and until when it is kept changes. */
void entry_again(struct relay *r, struct relay_entry *e, struct relay_conn *c,
    uint64_t now_ms);
void entry_free(struct relay *r, struct relay_entry *e);
/* A finished one that the log knew; NULL: there is no room. */
struct relay_entry *entry_recover(struct relay *r, struct relay_table *t,
    const struct call_id *id, uint64_t kconn, uint64_t incarnation,
    enum entry_mark mark, uint64_t now_ms);
/* Nobody will ask for it again. */
void entry_acked(struct relay *r, struct relay_entry *e, uint64_t now_ms);
/* Nobody will acknowledge these any more, unless they are asked for again:
 * what was asked for over k, or over anything (NULL). */
void table_orphan(struct relay *r, struct relay_table *t,
    const struct relay_kconn *k, uint64_t now_ms);
/* What was asked for by an older incarnation. */
void table_orphan_old(struct relay *r, struct relay_table *t, uint64_t now_ms);
void table_expire(struct relay *r, struct relay_table *t, uint64_t now_ms);
unsigned table_ack(struct relay *r, struct relay_table *t,
    struct relay_kconn *k, uint32_t xid, uint64_t now_ms);
/* Lets connections that wait for room try again. */
void table_resume(struct relay *r);

#endif
