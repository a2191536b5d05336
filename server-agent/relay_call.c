/*
 * A call's way to the backend, and its reply's way back. See relay.h.
 */
#include <string.h>

#include "server-agent/relay_log.h"

/*
 * Longer calls than this are WRITEs, or garbage: the longest others are
 * SYMLINK and RENAME, with a header, two handles and two names or a path.
 */
enum { CALL_WHOLE_MAX = 8192 };

_Static_assert(REC_HEAD >= CALL_HEAD_MIN, "a call can be looked at");
_Static_assert(CALL_WHOLE_MAX >= RPC_CALL_HEADER_MAX + 2 * (NFS3_FHSIZE + 8) +
				     2 * (NFS3_NAMEMAX + 8) + NFS3_PATHMAX,
    "any call but WRITE fits");

/* --- calls */

void
entry_send(struct relay *r, struct relay_entry *e)
{
	assert(e->link->state != LINK_DOWN);
	e->state = ENTRY_RUNNING;
	e->watched_ms = 0;
	e->mark = MARK_NONE;
	relay_act(
	    r, (struct relay_action){
		   .type = RELAY_SEND_LINK, .link = e->link, .rec = e->rec});
	e->rec = NULL;
}

static void
answer(struct relay_conn *c, struct rec *rec, uint32_t xid,
    enum rpc_answer what, uint32_t low, uint32_t high)
{
	struct rec_pool *pool = rec->pool;
	uint8_t buf[RPC_ANSWER_MAX];
	size_t n = rpc_answer_write(buf, xid, what, low, high);

	rec_unref(rec); /* so that the pool has one */
	rec = rec_from(pool, buf, n);
	assert(rec != NULL);
	c->r->n.answered++;
	relay_act(c->r, (struct relay_action){
			    .type = RELAY_SEND_CONN, .conn = c, .rec = rec});
}

/* WRITE is looked at in its head alone; its place in a record is fixed. */
static bool
is_write(struct rec *rec)
{
	const uint8_t *p = rec_head(rec);

	return be32_get(p + 12) == RPC_PROG_NFS &&
	       be32_get(p + 20) == NFS3_WRITE;
}

/* scratch gets the whole call where its head is not enough. */
static enum call_verdict
look(struct relay_conn *c, struct rec *rec, struct call_info *info,
    uint8_t scratch[CALL_WHOLE_MAX], enum rpc_answer *what, uint32_t *low,
    uint32_t *high)
{
	static const uint8_t nobody[CLIENT_ID_LEN];
	const uint8_t *id = c->client != NULL ? c->client->id : nobody;
	const uint8_t *head = rec_head(rec);
	size_t n = rec->head_len;

	if (rec->len > n && rec->len <= CALL_WHOLE_MAX && !is_write(rec)) {
		n = rec_copy_out(rec, 0, scratch, rec->len);
		head = scratch;
	}
	if (n < rec->len && n < CALL_HEAD_MIN)
		return CALL_DROP; /* in tiny fragments: nobody sends that */
	return call_look(id, head, n, rec->len, info, what, low, high);
}

/* The call is known already. */
static void
again(struct relay_conn *c, struct relay_entry *e, struct rec *rec,
    uint64_t now_ms)
{
	struct relay *r = c->r;

	if (e->state != ENTRY_FINISHED) {
		/* The client gave one of the two up before it asked over the
		 * other, but which one cannot be known: what waits for the
		 * reply over it must learn that it does not come. */
		if (e->asker != NULL && e->asker != c)
			conn_close(e->asker, RELAY_R_ELSEWHERE, now_ms);
		entry_ask(e, c);
		r->n.attached++;
		if (r->cfg.no_replay_table && e->state == ENTRY_RUNNING) {
			r->n.rerun++;
			relay_act(
			    r, (struct relay_action){.type = RELAY_SEND_LINK,
				   .link = e->link,
				   .rec = rec});
			return;
		}
		rec_unref(rec);
		return;
	}
	entry_again(r, e, c, now_ms);
	r->n.replayed++;
	relay_act(
	    r, (struct relay_action){
		   .type = RELAY_SEND_CONN, .conn = c, .rec = rec_ref(e->rec)});
	rec_unref(rec);
}

/* There is no room for it now: its connection waits. */
static enum relay_take
stall(struct relay_conn *c, uint64_t now_ms)
{
	c->r->n.held++;
	c->stalled = true;
	if (c->stalled_ms == 0)
		c->stalled_ms = now_ms;
	TAILQ_INSERT_TAIL(&c->r->stalled, c, on_stalled);
	return RELAY_HELD;
}

/* What is known of a call without a reply (enum entry_mark). */
static enum entry_mark
known_mark(struct relay *r, struct relay_entry *known)
{
	enum entry_mark mark;

	if (known == NULL)
		return MARK_NONE;
	mark = known->mark;
	/* Its tomb stays for as long as the client is known. */
	if (mark != MARK_NOT_RUN)
		slot_entomb(r, known);
	entry_free(r, known);
	return mark;
}

/* A call that was not seen before, or whose reply is not known. */
static enum relay_take
begin(struct relay_conn *c, struct relay_link *l, struct rec *rec,
    const struct call_info *info, struct relay_entry *known, uint64_t now_ms)
{
	struct relay *r = c->r;
	struct relay_table *t = c->kconn->table;
	struct vlog *v = link_log(l);
	struct entry_log *el = NULL;
	struct slotmap_rec *slot = NULL;
	struct relay_entry *e;
	enum entry_mark mark;

	if (r->draining[t->volume] || !entry_has_room(r, t, known))
		return stall(c, now_ms);
	if (v != NULL &&
	    (v->mode != VLOG_ON || ask_find(v, l, info->id.xid) != NULL))
		return stall(c, now_ms);
	if (v != NULL && info->class == CALL_LOGGED)
		switch (log_prepare(v, t, info, rec, &el, &slot)) {
		case LOG_WAIT:
			return stall(c, now_ms);
		case LOG_NONE:
			r->n.unlogged++;
			break;
		case LOG_TAKEN:
			break;
		}
	/* Before another takes its place: what is oldest is evicted. */
	mark = known_mark(r, known);
	e = entry_new(r, t, info, l);
	assert(e != NULL || mark == MARK_NONE); /* entry_has_room() */
	if (e == NULL) {
		log_forget(el);
		if (slot != NULL) {
			slotmap_shrink(v->slots, slot);
			slotmap_release(v->slots, slot);
		}
		return stall(c, now_ms);
	}
	c->stalled_ms = 0;
	r->n.calls[info->class]++;
	e->rec = rec;
	e->log = el;
	e->slot = slot;
	e->since_ms = now_ms;
	if (v != NULL) {
		gate_name(e, info->nfs.fh.p, info->nfs.fh.len);
		if (info->class == CALL_LOGGED)
			gate_name(e, info->nfs.fh2.p, info->nfs.fh2.len);
	}
	entry_ask(e, c);
	link_open(l);
	if (el != NULL && mark == MARK_NONE &&
	    tomb_tells(c->kconn, &info->id)) {
		r->n.undecidable++;
		mark = MARK_UNDECIDED;
	}
	if (mark != MARK_UNDECIDED) /* else its state says so */
		e->mark = mark;
	if (mark == MARK_UNDECIDED || mark == MARK_HAS_RUN) {
		r->n.undecided++;
		undecided_begin(v, e);
		if (mark == MARK_HAS_RUN)
			undecided_answer(v, e, NFS3_OK, now_ms);
	} else
		entry_take_keys(r, e, &info->nfs);
	return RELAY_TAKEN;
}

enum relay_take
relay_call(struct relay_conn *c, struct rec *rec, uint64_t now_ms)
{
	struct relay *r = c->r;
	uint8_t scratch[CALL_WHOLE_MAX];
	struct call_info info;
	enum call_verdict verdict;
	enum rpc_answer what = RPC_ANSWER_SYSTEM_ERR;
	uint32_t low = 0, high = 0;
	struct relay_link *l;
	struct relay_entry *e;

	if (c->state == CONN_CLOSED) {
		rec_unref(rec);
		return RELAY_TAKEN;
	}
	verdict = look(c, rec, &info, scratch, &what, &low, &high);
	if (verdict == CALL_FORWARD && c->state != CONN_OPEN) {
		verdict = CALL_ANSWER; /* no HELLO */
		what = RPC_ANSWER_AUTH_TOOWEAK;
	}
	if (verdict == CALL_ANSWER) {
		answer(c, rec, info.rpc.xid, what, low, high);
		return RELAY_TAKEN;
	}
	if (verdict == CALL_DROP) {
		r->n.nonsense++;
		rec_unref(rec);
		conn_close(c, RELAY_R_NONSENSE, now_ms);
		return RELAY_TAKEN;
	}
	l = &c->kconn->links[info.id.prog == RPC_PROG_MOUNT ? RELAY_MOUNT
							    : RELAY_NFS];
	if (gate_forbids(r, c->kconn->volume, &info)) {
		gate_refuse(c, rec, &info);
		return RELAY_TAKEN;
	}
	e = entry_find(r, c->kconn->table, l, &info.id);
	if (e != NULL && e->state == ENTRY_FINISHED && r->cfg.no_replay_table) {
		r->n.rerun++;
		entry_free(r, e);
		e = NULL;
	}
	if (e != NULL && (e->state != ENTRY_FINISHED || e->mark == MARK_NONE)) {
		again(c, e, rec, now_ms);
		return RELAY_TAKEN;
	}
	if (entry_find_running(r, l, info.id.xid) != NULL) {
		rec_unref(rec);
		r->n.nonsense++;
		conn_close(c, RELAY_R_XID, now_ms);
		return RELAY_TAKEN;
	}
	if (l->state == LINK_DOWN && now_ms < l->retry_ms) {
		rec_unref(rec);
		conn_close(c, RELAY_R_BACKEND_LOST, now_ms);
		return RELAY_TAKEN;
	}
	return begin(c, l, rec, &info, e, now_ms);
}

/* --- replies */

struct relay_conn *
relay_reply_begun(struct relay_link *l, struct rec *rec)
{
	struct relay *r = l->kconn->r;
	struct rpc_reply reply;
	struct relay_entry *e;

	if (rpc_reply_parse(rec_head(rec), rec->head_len, &reply) == -1)
		return NULL;
	e = entry_find_running(r, l, reply.xid);
	if (e == NULL || e->state != ENTRY_RUNNING || e->class != CALL_PASSED ||
	    l->program != RELAY_NFS || e->asker == NULL ||
	    e->asker->state != CONN_OPEN ||
	    (link_log(l) != NULL && gate_shut_early(link_log(l), e)))
		return NULL;
	e->begun = e->passing = true;
	/* The backend is through; its client may be slow to take it. */
	entry_release_keys(r, e);
	return e->asker;
}

/* The reply is whole. One of which somebody else got the half is lost for
 * the asker: he asks again. */
static void
reply_send(
    struct relay *r, struct relay_entry *e, struct rec *rec, uint64_t now_ms)
{
	if (e->asker == NULL)
		r->n.discarded++;
	else if (!e->begun)
		relay_act(r, (struct relay_action){.type = RELAY_SEND_CONN,
				 .conn = e->asker,
				 .rec = rec_ref(rec)});
	else if (!e->passing)
		conn_close(e->asker, RELAY_R_BACKEND_LOST, now_ms);
}

void
entry_leave(struct relay *r, struct relay_entry *e, uint64_t now_ms)
{
	struct relay_kconn *k = e->link->kconn;
	struct rec *rec = e->rec;

	reply_send(r, e, rec, now_ms);
	if (e->class == CALL_PASSED) {
		entry_free(r, e);
		table_resume(r);
	} else
		entry_finish(r, e, rec, now_ms);
	kconn_settle(r, k);
}

bool
relay_reply(struct relay_link *l, struct rec *rec, uint64_t now_ms)
{
	struct relay *r = l->kconn->r;
	struct vlog *v = link_log(l);
	struct ask_query *q;
	struct rpc_reply reply;
	struct relay_entry *e;

	if (rpc_reply_parse(rec_head(rec), rec->head_len, &reply) == -1) {
		rec_unref(rec);
		return false;
	}
	q = v != NULL ? ask_find(v, l, reply.xid) : NULL;
	if (q != NULL)
		return ask_reply(q, rec, now_ms);
	e = entry_find_running(r, l, reply.xid);
	if (e == NULL || e->state != ENTRY_RUNNING) {
		r->n.unknown_xid++;
		rec_unref(rec);
		return true;
	}
	/* No reply that is kept is longer than a record's head. */
	if (e->class != CALL_PASSED && rec->body != NULL) {
		rec_unref(rec);
		return false;
	}
	if (v != NULL) {
		log_reply(v, e, rec, now_ms);
		return true;
	}
	r->n.replies++;
	e->rec = rec;
	entry_release_keys(r, e);
	entry_leave(r, e, now_ms);
	return true;
}
