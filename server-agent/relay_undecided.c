/*
 * Calls nobody can answer for: each waits for an operator, then gets
 * NFS3ERR_IO. It is never run, and never called a success unheard.
 */
#include "server-agent/relay_log.h"

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
	e->mark = MARK_NONE;
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
	if (e->mark == MARK_HAS_RUN)
		r->n.undecided--;
	else
		e->mark = MARK_UNDECIDED;
	entry_finish(r, e, NULL, now_ms);
}

void
not_run_rest(struct relay *r, struct relay_entry *e, uint64_t now_ms)
{
	commit_leave(e);
	rec_unref(e->rec);
	e->rec = NULL;
	log_forget(e->log);
	e->log = NULL;
	slot_release(r, e);
	entry_finish(r, e, NULL, now_ms);
}

static void
undecided_due(struct relay *r, struct relay_link *l, uint64_t now_ms)
{
	struct relay_entry *e, *next;
	struct vlog *v = link_log(l);

	for (e = LIST_FIRST(&l->calls); v != NULL && e != NULL; e = next) {
		next = LIST_NEXT(e, on_link);
		if (e->state != ENTRY_UNDECIDED)
			continue;
		if (e->mark == MARK_HAS_RUN)
			undecided_answer(v, e, NFS3_OK, now_ms);
		else if (now_ms - e->since_ms >= r->cfg.undecidable_ms)
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
	v->r->n.undecided--;
	e->mark = MARK_NOT_RUN;
	e->state = ENTRY_WAITING;
	entry_take_keys(v->r, e, &e->log->info.nfs);
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
	} else if (done) {
		e->mark = MARK_HAS_RUN;
		undecided_answer(v, e, NFS3_OK, now_ms);
	} else
		run_after_all(v, e);
	return true;
}
