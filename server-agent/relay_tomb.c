/*
 * Slots that are given back, what is left of replies that expired before
 * their client acknowledged them, and calls nobody can answer for.
 *
 * Of a client with an expired reply a *tomb* stays in the log: what it sends
 * again and what is not known can be that very call. HELLO names the calls
 * that may have been sent before; such a one waits for an operator, then
 * gets NFS3ERR_IO. It is never run, and never called a success unheard.
 */
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_log.h"

void
slot_release(struct relay *r, struct relay_entry *e)
{
	struct vlog *v = r->logs[e->table->volume];

	if (e->slot == NULL)
		return;
	slotmap_shrink(v->slots, e->slot);
	slotmap_release(v->slots, e->slot);
	e->slot = NULL;
}

static void
tomb_written(struct relay_log *w, uint64_t now_ms)
{
	(void)w;
	(void)now_ms;
}

void
slot_bury(struct relay *r, struct relay_entry *e)
{
	struct relay_table *t = e->table;
	struct vlog *v = r->logs[t->volume];
	struct relay_log *w;

	if (e->slot == NULL || t->client->plain || r->cfg.rules.no_tomb ||
	    e->mark == MARK_NOT_RUN)
		return;
	t->buried++;
	if (t->tomb != NULL)
		return; /* it says all there is to say */
	t->tomb = e->slot;
	e->slot = NULL;
	if (e->mark == MARK_UNDECIDED || e->mark == MARK_HAS_RUN)
		return; /* it has been one all the time */
	w = write_new(v, LOGREC_TOMB, t->tomb, NULL, tomb_written);
	if (w == NULL)
		return;
	log_name(&w->rec, e);
	w->rec.expired = t->buried;
	w->rec.last_wall_ms = v->wall_ms;
	r->n.tombs++;
	write_issue(w);
}

/* --- HELLO's list */

static bool
is_sent(const uint32_t *sent, unsigned n, uint32_t xid)
{
	for (unsigned i = 0; i < n; i++)
		if (sent[i] == xid)
			return true;
	return false;
}

bool
log_was_sent(struct relay_kconn *k, uint32_t xid)
{
	for (unsigned i = 0; i < k->nsent; i++) {
		if (k->sent[i] != xid)
			continue;
		k->sent[i] = k->sent[--k->nsent];
		return k->table->tomb != NULL;
	}
	return false;
}

/*
 * A kernel connection comes for the first time after a recovery. What the
 * log knows of it, and what is not among the calls that it still wants an
 * answer to, has been answered: its ACK was lost with the old owner.
 */
static void
ack_answered(struct relay *r, struct relay_kconn *k,
    const struct relay_hello *h, uint64_t now_ms)
{
	struct relay_entry *e, *next;

	for (e = TAILQ_FIRST(&k->table->kept[KEPT_UNACKED]); e != NULL;
	     e = next) {
		next = TAILQ_NEXT(e, on_kept);
		if (!e->recovered || e->mark != MARK_NONE ||
		    e->kconn != k->number || e->incarnation != k->incarnation)
			continue;
		if (!is_sent(h->sent, h->nsent, e->id.xid)) {
			r->n.acked++;
			entry_acked(r, e, now_ms);
		}
	}
}

void
log_hello(struct relay *r, struct relay_kconn *k, const struct relay_hello *h,
    uint64_t now_ms)
{
	if (r->logs[k->volume] == NULL)
		return;
	if (!k->heard && !h->resend)
		ack_answered(r, k, h, now_ms);
	free(k->sent);
	k->sent = NULL;
	k->nsent = 0;
	if (k->table->tomb == NULL || h->nsent == 0)
		return;
	k->sent = calloc(h->nsent, sizeof(*k->sent));
	if (k->sent == NULL)
		return;
	k->nsent = h->nsent;
	memcpy(k->sent, h->sent, h->nsent * sizeof(*k->sent));
}

/* --- undecidable */

void
undecided_begin(struct vlog *v, struct relay_entry *e)
{
	char name[9];

	e->state = ENTRY_UNDECIDED;
	relay_note(v->r,
	    "client %s xid %08x: it can have run, and its reply is not known: "
	    "waits for an operator",
	    relay_client_name(e->table->client, name), e->id.xid);
}

void
undecided_answer(
    struct vlog *v, struct relay_entry *e, uint32_t status, uint64_t now_ms)
{
	struct nfs3_reply reply = {
	    .xid = e->id.xid, .proc = e->id.proc, .status = status};
	uint8_t buf[NFS3_REPLY_MAX];
	size_t n = nfs3_reply_write(buf, sizeof(buf), &reply);
	struct rec *rec = rec_from(v->cfg.pool, buf, n);

	if (rec == NULL)
		return; /* at the next tick */
	v->r->n.undecided--;
	rec_unref(e->rec);
	e->rec = rec;
	e->how = LOGREC_OPERATOR;
	log_answered(v, e, now_ms);
}

void
undecided_rest(struct relay *r, struct relay_entry *e, uint64_t now_ms)
{
	rec_unref(e->rec);
	e->rec = NULL;
	log_forget(e->log);
	e->log = NULL;
	e->mark = MARK_UNDECIDED;
	entry_finish(r, e, NULL, now_ms);
}

static void
undecided_due(struct relay *r, struct relay_link *l, uint64_t now_ms)
{
	struct relay_entry *e, *next;
	struct vlog *v = link_log(l);

	for (e = LIST_FIRST(&l->calls); v != NULL && e != NULL; e = next) {
		next = LIST_NEXT(e, on_link);
		if (e->state == ENTRY_UNDECIDED &&
		    now_ms - e->since_ms >= r->cfg.undecidable_ms)
			undecided_answer(v, e, NFS3ERR_IO, now_ms);
	}
}

void
undecided_tick(struct relay *r, uint64_t now_ms)
{
	struct relay_client *cl;
	struct relay_kconn *k;

	if (r->n.undecided == 0)
		return;
	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(k, &cl->kconns, next)
			undecided_due(r, &k->links[RELAY_NFS], now_ms);
}

/* --- an operator's verdict */

static struct relay_entry *
undecided_find(
    struct relay *r, unsigned volume, const uint8_t *client, uint32_t xid)
{
	struct relay_client *cl = client_find(r, client);
	struct relay_table *t;
	struct relay_kconn *k;
	struct relay_entry *e;

	if (cl == NULL)
		return NULL;
	LIST_FOREACH(k, &cl->kconns, next)
		LIST_FOREACH(e, &k->links[RELAY_NFS].calls, on_link)
			if (k->volume == volume && e->id.xid == xid &&
			    e->state == ENTRY_UNDECIDED)
				return e;
	LIST_FOREACH(t, &cl->tables, next)
		for (unsigned i = 0; i < KEPT_LISTS; i++)
			TAILQ_FOREACH(e, &t->kept[i], on_kept)
				if (t->volume == volume && e->id.xid == xid &&
				    e->mark == MARK_UNDECIDED)
					return e;
	return NULL;
}

static void
run_after_all(struct vlog *v, struct relay_entry *e)
{
	struct key_set set = {0};

	v->r->n.undecided--;
	e->state = ENTRY_WAITING;
	log_keys_first(
	    &set, v->r->cfg.secret, v->volume, e->id.proc, &e->log->info.nfs);
	if (keys_take(v->r->keys, &e->keys, &set))
		log_start(v, e);
	else
		v->r->n.waiting++;
}

bool
relay_verdict(struct relay *r, unsigned volume,
    const uint8_t client[CLIENT_ID_LEN], uint32_t xid, bool done,
    uint64_t now_ms)
{
	struct relay_entry *e = undecided_find(r, volume, client, xid);
	struct vlog *v = r->logs[volume];
	char name[9];

	if (e == NULL || v == NULL)
		return false;
	relay_note(r, "client %s xid %08x: by an operator's verdict it has %s",
	    relay_client_name(e->table->client, name), xid,
	    done ? "run" : "not run");
	if (e->state == ENTRY_FINISHED) {
		r->n.undecided--;
		e->mark = done ? MARK_HAS_RUN : MARK_NOT_RUN;
	} else if (done)
		undecided_answer(v, e, NFS3_OK, now_ms);
	else
		run_after_all(v, e);
	return true;
}
