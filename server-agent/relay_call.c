/*
 * A call's way to the backend, and its reply's way back. See relay.h.
 */
#include <string.h>

#include "server-agent/relay_int.h"

/*
 * Longer calls than this are WRITEs, or garbage: the longest others are
 * SYMLINK and RENAME, with a header, two handles and two names or a path.
 */
enum { CALL_WHOLE_MAX = 8192 };

_Static_assert(REC_HEAD >= CALL_HEAD_MIN, "a call can be looked at");
_Static_assert(CALL_WHOLE_MAX >= RPC_CALL_HEADER_MAX + 2 * (NFS3_FHSIZE + 8) +
				     2 * (NFS3_NAMEMAX + 8) + NFS3_PATHMAX,
    "any call but WRITE fits");

/* --- links */

void *
relay_link_user(const struct relay_link *l)
{
	return l->user;
}

void
relay_link_set_user(struct relay_link *l, void *user)
{
	l->user = user;
}

unsigned
relay_link_volume(const struct relay_link *l)
{
	return l->kconn->table->volume;
}

enum relay_program
relay_link_program(const struct relay_link *l)
{
	return l->program;
}

const void *
relay_link_peer(const struct relay_link *l)
{
	return l->kconn->peer;
}

void
link_open(struct relay_link *l)
{
	if (l->state != LINK_DOWN)
		return;
	l->state = LINK_OPENING;
	relay_act(l->kconn->r,
	    (struct relay_action){.type = RELAY_OPEN_LINK, .link = l});
}

void
relay_link_up(struct relay_link *l, uint64_t now_ms)
{
	assert(l->state == LINK_OPENING);
	l->state = LINK_UP;
	if (l->program == RELAY_NFS)
		hello_link_result(l->kconn, true, now_ms);
}

/* --- calls */

/* A call that holds all its keys goes to the backend. */
static void
entry_start(struct relay *r, struct relay_entry *e)
{
	assert(e->link->state != LINK_DOWN);
	/* log: a logged call's pre-state and intent come before this. */
	e->state = ENTRY_RUNNING;
	relay_act(
	    r, (struct relay_action){
		   .type = RELAY_SEND_LINK, .link = e->link, .rec = e->rec});
	e->rec = NULL;
}

/* Gives up an entry's keys; what waited for them alone starts. */
static void
entry_release_keys(struct relay *r, struct relay_entry *e)
{
	struct key_req *ready = keys_release(r->keys, &e->keys), *next;

	for (; ready != NULL; ready = next) {
		struct relay_entry *w = ready->owner;

		next = ready->next;
		r->n.waiting--;
		entry_start(r, w);
	}
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

/* A call that was not seen before. */
static enum relay_take
begin(struct relay_conn *c, struct relay_link *l, struct rec *rec,
    const struct call_info *info, uint64_t now_ms)
{
	struct relay *r = c->r;
	struct relay_table *t = c->kconn->table;
	struct key_set set = {0};
	struct relay_entry *e;

	/* log: unknown, and HELLO said that it may have been sent before:
	 * undecidable if its entry can have expired (c->kconn->resend). */
	e = entry_new(r, t, info, l);
	if (e == NULL) {
		r->n.held++;
		c->stalled = true;
		TAILQ_INSERT_TAIL(&r->stalled, c, on_stalled);
		return RELAY_HELD;
	}
	r->n.calls[info->class]++;
	e->rec = rec;
	e->since_ms = now_ms;
	entry_ask(e, c);
	link_open(l);
	if (info->id.prog == RPC_PROG_NFS && info->class != CALL_PASSED)
		call_keys(
		    &set, r->cfg.secret, t->volume, info->id.proc, &info->nfs);
	if (keys_take(r->keys, &e->keys, &set))
		entry_start(r, e);
	else {
		r->n.waiting++;
		r->n.key_waits++;
	}
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
	e = entry_find(r, c->kconn->table, l, &info.id);
	if (e != NULL && e->state == ENTRY_FINISHED && r->cfg.no_replay_table) {
		r->n.rerun++;
		entry_free(r, e);
		e = NULL;
	}
	if (e != NULL) {
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
	return begin(c, l, rec, &info, now_ms);
}

/* --- replies */

struct relay_conn *
relay_reply_begun(struct relay_link *l, struct rec *rec)
{
	struct rpc_reply reply;
	struct relay_entry *e;

	if (rpc_reply_parse(rec_head(rec), rec->head_len, &reply) == -1)
		return NULL;
	e = entry_find_running(l->kconn->r, l, reply.xid);
	if (e == NULL || e->state != ENTRY_RUNNING || e->class != CALL_PASSED ||
	    l->program != RELAY_NFS || e->asker == NULL ||
	    e->asker->state != CONN_OPEN)
		return NULL;
	e->begun = e->passing = true;
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

bool
relay_reply(struct relay_link *l, struct rec *rec, uint64_t now_ms)
{
	struct relay *r = l->kconn->r;
	struct rpc_reply reply;
	struct relay_entry *e;

	if (rpc_reply_parse(rec_head(rec), rec->head_len, &reply) == -1) {
		rec_unref(rec);
		return false;
	}
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
	/* log: completion, then the commit, come before the reply leaves. */
	r->n.replies++;
	entry_release_keys(r, e);
	reply_send(r, e, rec, now_ms);
	if (e->class == CALL_PASSED) {
		rec_unref(rec);
		entry_free(r, e);
		table_resume(r);
	} else
		entry_finish(r, e, rec, now_ms);
	kconn_settle(r, l->kconn);
	return true;
}

/* --- a link is lost */

static unsigned
drop_calls(struct relay *r, struct relay_link *l, uint64_t now_ms)
{
	struct relay_entry *e;
	unsigned n = 0;

	/* Newest first: none that is left waits for the one that goes. */
	while ((e = LIST_FIRST(&l->calls)) != NULL) {
		/* log: one that ran is in doubt, and its entry stays. */
		if (e->state == ENTRY_RUNNING)
			r->n.in_doubt++;
		else if (e->keys.missing > 0)
			r->n.waiting--;
		/* Who asked last may be on a younger kernel connection, or
		 * a younger proxy's, with a link that lives. */
		if (e->asker != NULL)
			conn_close(e->asker, RELAY_R_BACKEND_LOST, now_ms);
		entry_release_keys(r, e);
		entry_free(r, e);
		n++;
	}
	return n;
}

void
relay_link_down(struct relay_link *l, const char *cause, uint64_t now_ms)
{
	struct relay_kconn *k = l->kconn;
	struct relay *r = k->r;
	bool was_up = l->state == LINK_UP;
	unsigned dropped;
	char name[9];

	assert(l->state != LINK_DOWN);
	l->state = LINK_DOWN;
	l->retry_ms = now_ms + r->cfg.backoff_ms;
	dropped = drop_calls(r, l, now_ms);
	if (was_up)
		relay_note(r,
		    "client %s kconn %llu %s link up -> down: %s; "
		    "%u calls in doubt",
		    relay_client_name(k->client, name),
		    (unsigned long long)k->number,
		    relay_program_names[l->program], cause, dropped);
	if (l->program == RELAY_NFS)
		hello_link_result(k, false, now_ms);
	/* The proxy comes back and replays. A link that was idle is just
	 * opened again for the next call. */
	for (unsigned i = 0; dropped > 0 && i < RELAY_NETWORKS_MAX; i++)
		if (k->conns[i] != NULL)
			conn_close(k->conns[i], RELAY_R_BACKEND_LOST, now_ms);
	kconn_settle(r, k);
	table_resume(r);
}
