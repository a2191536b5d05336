/*
 * What the files of the relay core's log share (relay_int.h lists them).
 * Nobody else includes this.
 */
#ifndef HANFS_AGENT_RELAY_LOG_H
#define HANFS_AGENT_RELAY_LOG_H

#include "server-agent/relay_int.h"
#include "server-agent/verdict.h"

struct vlog;
struct relay_ask;

/* One query under way. */
struct ask_query {
	LIST_ENTRY(ask_query) next; /* by XID */
	struct relay_ask *ask;
	uint32_t xid;
	bool out;
	struct prestate_query q;
};

/* What is asked of a backend about one call. */
struct relay_ask {
	LIST_ENTRY(relay_ask) next; /* of the volume's */
	bool on;                    /* in there */
	struct vlog *v;
	struct relay_link *link;
	const struct prestate_call *call;
	struct prestate ps;
	struct ask_query query[PRESTATE_QUERIES_MAX];
	unsigned out;  /* under way */
	bool again;    /* at the next tick, what has no answer yet */
	bool finishes; /* the verdict's SETATTR, not a query */
	const struct verdict *verdict;
	/* All is known; or, of a SETATTR, its reply. */
	void (*done)(struct relay_ask *a, const void *reply, size_t len,
	    uint64_t now_ms);
	void *owner;
};

/* The log's part of an entry that has not run yet. */
struct entry_log {
	uint8_t *bytes; /* the call's record, whole; what follows borrows */
	struct call_info info;
	struct prestate_call call;
	struct relay_ask ask;
	bool looked; /* under all keys */
	bool sick;   /* the pre-state was, and was asked again */
	bool told;   /* that nobody else may run first: it is under way */
};

/* A record on its way to the disk. */
struct relay_log {
	LIST_ENTRY(relay_log) next;
	struct vlog *v;
	struct logrec rec;
	struct slotmap_rec *slot;
	void *owner;
	void (*written)(struct relay_log *w, uint64_t now_ms);
	uint8_t pre[PRESTATE_BYTES_MAX];
};

enum vlog_mode {
	VLOG_READING, /* records come in */
	VLOG_JUDGING,
	VLOG_ON,
	VLOG_STOPPED, /* suspect, or given up: nothing leaves */
};

#define ASK_BUCKETS 1024u
#define GATE_SIZE   16384u

struct doubt;

/* The log of one volume. */
struct vlog {
	struct relay *r;
	unsigned volume;
	enum vlog_mode mode;
	struct relay_recover cfg;
	struct slotmap *slots;
	/* relay_ask.c */
	LIST_HEAD(, relay_ask) asks;
	LIST_HEAD(, ask_query) by_xid[ASK_BUCKETS];
	uint32_t xid;
	/* relay_commit.c */
	LIST_HEAD(, relay_log) writes;
	struct commit_list waiting, under;
	bool asked, running; /* a sync */
	uint64_t wall_ms;    /* when a record was written last */
	uint64_t on_ms;      /* since when its recovery is over */
	uint64_t born;       /* which of the process's recoveries it was */
	struct tomb *commons;
	/* relay_gate.c */
	unsigned pending; /* entries with changes */
	uint16_t *filter;
	/* relay_recover.c, relay_judge.c */
	LIST_HEAD(, doubt) doubts;
	struct relay_client *judge;
	unsigned links; /* of it */
	struct relay_recovered found;
	enum { LAST_NONE, LAST_WAITS, LAST_UNDER } last; /* its sync */
};

/* The log of a link's volume; NULL: none, or no NFS. */
static inline struct vlog *
link_log(const struct relay_link *l)
{
	return l->program == RELAY_NFS ? l->kconn->r->logs[l->kconn->volume]
				       : NULL;
}

/* relay_ask.c */
/* Asks all over `now`: at recovery. a->done and a->owner are set. */
void ask_begin(struct vlog *v, struct relay_ask *a, struct relay_link *l,
    const struct prestate_call *call, bool now, uint64_t now_ms);
/* Sends the SETATTR that finishes a call. */
void ask_finish(struct vlog *v, struct relay_ask *a, const struct verdict *vd,
    uint64_t now_ms);
/* The same once more, at the next tick. */
void ask_later(struct vlog *v, struct relay_ask *a);
void ask_cancel(struct relay_ask *a);
/* Its link is gone, and will be opened again. */
void asks_lost(struct vlog *v, struct relay_link *l);
void asks_tick(struct vlog *v, uint64_t now_ms);
struct ask_query *ask_find(
    struct vlog *v, const struct relay_link *l, uint32_t xid);
/* False: no reply that a server gives. */
bool ask_reply(struct ask_query *q, struct rec *rec, uint64_t now_ms);

/* relay_log.c */
enum log_take { LOG_NONE, LOG_TAKEN, LOG_WAIT };
/* Can the call be taken? LOG_NONE: it cannot be logged. */
enum log_take log_prepare(struct vlog *v, struct relay_table *t,
    const struct call_info *info, struct rec *rec, struct entry_log **elp,
    struct slotmap_rec **slotp);
void log_forget(struct entry_log *el);
bool log_has_room(struct relay *r, const struct relay_kconn *k);
/* It holds its keys. */
void log_start(struct vlog *v, struct relay_entry *e);
/* The backend's reply. */
void log_reply(
    struct vlog *v, struct relay_entry *e, struct rec *rec, uint64_t now_ms);
/* It has its answer, e->rec: the completion, then the commit. */
void log_answered(struct vlog *v, struct relay_entry *e, uint64_t now_ms);
/* A sync that began after e had asked for it has ended. */
void log_covered(struct vlog *v, struct relay_entry *e, uint64_t now_ms);
/* Whose, and of what, a record is. */
void log_name(struct logrec *rec, const struct relay_entry *e);

/* relay_commit.c */
/* NULL: no memory; the volume is given up. */
struct relay_log *write_new(struct vlog *v, enum logrec_kind kind,
    struct slotmap_rec *slot, void *owner,
    void (*written)(struct relay_log *w, uint64_t now_ms));
/* What it borrows stays until it is written. */
void write_issue(struct relay_log *w);
void writes_forget(struct vlog *v);
void commit_wait(struct vlog *v, struct relay_entry *e);
void commit_leave(struct relay_entry *e);
void commit_ask(struct vlog *v);
void log_suspect(struct vlog *v, const char *why);
void log_give_up(struct vlog *v, int error);
/* Says that a volume is drained, if one is. */
bool drain_look(struct relay *r);

/* relay_gate.c */
uint32_t gate_hash(const void *p, size_t len);
void gate_name(struct relay_entry *e, const void *fh, size_t len);
void gate_enter(struct vlog *v, struct relay_entry *e);
void gate_leave(struct vlog *v, struct relay_entry *e);
/* What a reply that made something says of its handle. */
void gate_made(struct vlog *v, struct relay_entry *e);
/* Has the reply e->rec to wait? */
bool gate_shut(const struct vlog *v, struct relay_entry *e);
/* The same of one whose head alone is there. */
bool gate_shut_early(const struct vlog *v, const struct relay_entry *e);
bool gate_forbids(
    const struct relay *r, unsigned volume, const struct call_info *info);
/* Answers such a call; the reference to rec is taken. */
void gate_refuse(
    struct relay_conn *c, struct rec *rec, const struct call_info *info);

/* relay_tomb.c */
/* Gives an entry's slot back. */
void slot_release(struct relay *r, struct relay_entry *e);
/* Its slot goes to the tomb, and is free once that names its call. */
void slot_entomb(struct relay *r, struct relay_entry *e);
/* The same if it expires unacknowledged and needs a trace; else it keeps the
 * slot. */
void slot_bury(struct relay *r, struct relay_entry *e);
/* Slots that are about to be free. */
unsigned tomb_gives(const struct relay_table *t);
void tomb_forget(struct relay_table *t);
void tombs_free(struct vlog *v);
/* relay_tombend.c */
/* Its client has acknowledged a reply: do the oldest make room? */
void tomb_age(struct relay *r, struct relay_table *t, uint64_t now_ms);
/* Its client went away: its tombs become common ones. */
void tomb_leave(struct relay_table *t);
/* relay_tomb.c: the client id in the record of a common one. */
bool client_is_nobody(const uint8_t id[CLIENT_ID_LEN]);
/* A tomb that the scan found; t is NULL for a common one. 0, or -1: no
 * memory. */
int tomb_recover(struct vlog *v, struct relay_table *t,
    const struct logrec *rec, struct slotmap_rec *slot);
/* All that it found are one now. */
void tomb_recovered(struct relay_table *t);
/* One call's own, until it is asked for. */
void tomb_of_one(struct relay_log *w, const struct call_id *id);
/* Can this unknown call have run, and its entry have expired? */
bool tomb_tells(struct relay_kconn *k, const struct call_id *id);

/* relay_sent.c */
/* What HELLO said of calls that were sent before. */
void log_hello(
    struct relay_conn *c, const struct relay_hello *h, uint64_t now_ms);

/* relay_undecided.c */
/* e has its call, and nobody knows whether it ran. */
void undecided_begin(struct vlog *v, struct relay_entry *e);
void undecided_tick(struct relay *r, uint64_t now_ms);
/* Its link is lost: it waits to be asked for again. */
void undecided_rest(struct relay *r, struct relay_entry *e, uint64_t now_ms);
/* The same of one that is known not to have run, and had not begun to. Its
 * keys are given up. */
void not_run_rest(struct relay *r, struct relay_entry *e, uint64_t now_ms);
/* An entry that an operator said has run was asked for. */
void undecided_answer(
    struct vlog *v, struct relay_entry *e, uint32_t status, uint64_t now_ms);

/* relay_recover.c */
struct relay_client *recover_client(
    struct vlog *v, const uint8_t id[CLIENT_ID_LEN], uint64_t incarnation);
/* All records were read. */
void recover_tables(struct vlog *v, uint64_t now_ms);

/* relay_judge.c: copies. 0, or -1: no memory. */
int doubt_new(struct vlog *v, const struct logscan_record *record,
    struct slotmap_rec *slot);
void doubts_free(struct vlog *v);
/* One of its questions' waits for a sync is over, or begins. */
void doubts_sync(struct vlog *v, bool begins, uint64_t now_ms);
bool doubts_want_sync(const struct vlog *v);

#endif
