/*
 * The stages of a logged call of a volume with a log. See relaylog.h, and
 * the table of states in relay_int.h.
 *
 *	log_prepare  a slot, and the call's bytes, before its keys
 *	log_start    it holds keys: what is there before is asked
 *	asked        all keys; else all are given up and taken at once
 *	intent       the record is written; then it runs
 *	log_reply    its errors are held; the completion is written
 *	log_covered  a sync covers it: its reply leaves
 */
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_log.h"

void
log_name(struct logrec *rec, const struct relay_entry *e)
{
	memcpy(rec->client, e->table->client->id, CLIENT_ID_LEN);
	rec->kconn = e->kconn;
	rec->incarnation = e->incarnation;
	rec->id = e->id;
	rec->class = e->class;
}

/* --- before its keys */

void
log_forget(struct entry_log *el)
{
	if (el == NULL)
		return;
	ask_cancel(&el->ask);
	free(el->bytes);
	free(el);
}

static struct entry_log *
entry_log_new(
    const struct relay_table *t, struct rec *rec, const struct call_info *info)
{
	struct entry_log *el = calloc(1, sizeof(*el));
	enum rpc_answer what;
	uint32_t low, high;

	if (el == NULL || (el->bytes = malloc(rec->len)) == NULL)
		goto fail;
	if (rec_copy_out(rec, 0, el->bytes, rec->len) != rec->len ||
	    call_look(t->client->id, el->bytes, rec->len, rec->len, &el->info,
		&what, &low, &high) != CALL_FORWARD ||
	    !call_id_equal(&el->info.id, &info->id) ||
	    prestate_call_of(&el->call, &el->info) == -1 ||
	    !prestate_can_ask(&el->call))
		goto fail;
	return el;
fail:
	log_forget(el);
	return NULL;
}

static int
intent_fill(struct logrec *rec, const struct entry_log *el, const uint8_t *pre,
    uint32_t pre_len)
{
	rec->cred_flavor = el->call.cred_flavor;
	rec->cred = el->call.cred;
	rec->pre = (struct nfs3_bytes){pre, pre_len};
	return logrec_set_args(rec, &el->info);
}

/* Known from the log, of a kernel connection that has not come here: it may
 * be over, and nobody will acknowledge this. */
static bool
is_stray(const struct relay_entry *e)
{
	const struct relay_table *t = e->table;
	const struct relay_kconn *k =
	    kconn_find(t->client, t->volume, e->kconn);

	return e->recovered && (k == NULL || !k->heard);
}

static void
slot_give(struct relay *r, struct relay_entry *e)
{
	slot_bury(r, e);
	slot_release(r, e);
}

/*
 * A client's calls find no slot: replies of one that never acknowledges go,
 * oldest first; then what an older incarnation left, and what no connection
 * asks for since a recovery: these stay in memory, a tomb names them.
 */
static bool
slot_make_room(struct relay *r, struct relay_table *t)
{
	struct relay_entry *e;

	TAILQ_FOREACH(e, &t->kept[KEPT_ACKED], on_kept)
		if (e->slot != NULL && e->mark == MARK_NONE) {
			entry_free(r, e);
			return true;
		}
	TAILQ_FOREACH(e, &t->kept[KEPT_ORPHAN], on_kept)
		if (e->slot != NULL && e->mark == MARK_NONE) {
			slot_give(r, e);
			return true;
		}
	TAILQ_FOREACH(e, &t->kept[KEPT_UNACKED], on_kept)
		if (e->slot != NULL && e->mark == MARK_NONE && is_stray(e)) {
			slot_give(r, e);
			return true;
		}
	return false;
}

enum log_take
log_prepare(struct vlog *v, struct relay_table *t, const struct call_info *info,
    struct rec *rec, struct entry_log **elp, struct slotmap_rec **slotp)
{
	static const uint8_t none[PRESTATE_BYTES_MAX];
	struct logrec most = {.kind = LOGREC_INTENT};
	struct entry_log *el = entry_log_new(t, rec, info);
	enum slotmap_result res = SLOTMAP_FULL;
	unsigned n;

	if (el == NULL)
		return LOG_NONE;
	if (intent_fill(&most, el, none, sizeof(none)) == -1 ||
	    (n = logrec_parts(&most)) == 0) {
		log_forget(el);
		return LOG_NONE;
	}
	do
		res = slotmap_reserve(v->slots, t->client->id, n, slotp);
	while (
	    res != SLOTMAP_OK && tomb_gives(t) < n && slot_make_room(v->r, t));
	if (res != SLOTMAP_OK) {
		v->r->n.slot_waits++;
		log_forget(el);
		return LOG_WAIT;
	}
	*elp = el;
	return LOG_TAKEN;
}

bool
log_has_room(struct relay *r, const struct relay_kconn *k)
{
	const struct vlog *v = r->logs[k->volume];

	if (r->draining[k->volume])
		return false;
	if (v == NULL || v->mode != VLOG_ON)
		return v == NULL;
	/* One that needs more than one slot may have to wait once more; the
	 * replies of a plain client give their slots when they are wanted. */
	return k->client->plain || (slotmap_in_use(v->slots) < v->cfg.slots &&
	       slotmap_held_by(v->slots, k->client->id) < v->cfg.client_slots);
}

/* --- the pre-state, and the keys of what it names */

static void log_run(struct vlog *v, struct relay_entry *e);

static void
intent_written(struct relay_log *w, uint64_t now_ms)
{
	if (!drop_late(w->owner, now_ms))
		log_run(w->v, w->owner);
}

static void
log_intent(struct vlog *v, struct relay_entry *e)
{
	struct entry_log *el = e->log;
	struct relay_log *w;
	size_t len;

	if (v->r->cfg.rules.no_intent) {
		log_run(v, e);
		return;
	}
	w = write_new(v, LOGREC_INTENT, e->slot, e, intent_written);
	if (w == NULL)
		return;
	len = prestate_encode(&el->ask.ps, w->pre);
	log_name(&w->rec, e);
	/* It fitted with the longest pre-state. */
	if (intent_fill(&w->rec, el, w->pre, (uint32_t)len) == -1)
		assert(false);
	e->state = ENTRY_INTENT;
	v->r->n.intents++;
	write_issue(w);
}

/* Gives all keys up and waits for all that are needed at once: to wait for
 * more while some are held could be for ever. */
static void
take_all(struct vlog *v, struct relay_entry *e, const struct key_set *all)
{
	struct relay *r = v->r;
	struct key_req *ready = keys_release(r->keys, &e->keys);
	bool held = keys_take(r->keys, &e->keys, all);

	r->n.looked_again++;
	e->log->looked = true; /* what is read next */
	e->state = ENTRY_WAITING;
	if (!held) {
		r->n.waiting++;
		r->n.key_waits++;
	}
	entries_start(r, ready);
	if (held)
		log_start(v, e);
}

static void
log_asked(struct relay_ask *a, const void *reply, size_t len, uint64_t now_ms)
{
	struct vlog *v = a->v;
	struct relay *r = v->r;
	struct relay_entry *e = a->owner;
	struct entry_log *el = e->log;
	unsigned n = e->keys.n;
	struct key_set all = {0};

	(void)reply;
	(void)len;
	(void)now_ms;
	if (prestate_is_sick(&a->ps) && !el->sick && !r->cfg.rules.no_hold) {
		el->sick = true;
		e->state = ENTRY_HELD;
		r->n.errors_held++;
		commit_wait(v, e);
		return;
	}
	if (r->cfg.rules.no_inode_keys) {
		log_intent(v, e);
		return;
	}
	entry_keys_all(r, e, &all);
	if (!keys_more(r->keys, &e->keys, &all)) {
		take_all(v, e, &all);
		return;
	}
	if ((!el->looked || e->keys.n != n) &&
	    log_keys_look_again(&el->call, &a->ps)) {
		el->looked = true;
		r->n.looked_again++;
		log_start(v, e);
		return;
	}
	log_intent(v, e);
}

void
log_start(struct vlog *v, struct relay_entry *e)
{
	struct relay_ask *a = &e->log->ask;

	if (v->mode != VLOG_ON)
		return; /* nothing begins any more */
	e->state = ENTRY_ASKING;
	a->done = log_asked;
	a->owner = e;
	ask_begin(v, a, e->link, &e->log->call, false, 0);
}

/* --- it runs */

static void
log_run(struct vlog *v, struct relay_entry *e)
{
	const struct prestate *ps = &e->log->ask.ps;

	for (unsigned i = 0; i < ps->n; i++)
		if (ps->obj[i].known == PRESTATE_EXISTS)
			gate_name(e, ps->obj[i].fh.b, ps->obj[i].fh.len);
	gate_enter(v, e);
	e->log->told = true;
	entry_send(v->r, e);
}

/* The errors of a disk, or of a server that loses it. */
static bool
is_held(struct rec *rec)
{
	struct rpc_reply reply;
	uint32_t status;

	if (rpc_reply_parse(rec_head(rec), rec->head_len, &reply) == -1 ||
	    nfs3_status_parse(reply.results, &status) == -1)
		return false;
	return status == NFS3ERR_IO || status == NFS3ERR_ROFS ||
	       status == NFS3ERR_STALE || status == NFS3ERR_SERVERFAULT;
}

void
log_reply(
    struct vlog *v, struct relay_entry *e, struct rec *rec, uint64_t now_ms)
{
	struct relay *r = v->r;

	r->n.replies++;
	e->rec = rec;
	if (v->mode == VLOG_STOPPED)
		return; /* nothing leaves; soon all is forgotten */
	if (e->begun)
		entry_leave(r, e, now_ms); /* as it came */
	else if (is_held(rec) && !r->cfg.rules.no_hold) {
		r->n.errors_held++;
		e->state = ENTRY_HELD;
		commit_wait(v, e);
	} else
		log_answered(v, e, now_ms);
}

static void
log_commit(struct vlog *v, struct relay_entry *e, uint64_t now_ms)
{
	entry_release_keys(v->r, e);
	if (e->queue != NULL) {
		e->state = ENTRY_COMMIT; /* with its completion */
		return;
	}
	if (v->r->cfg.rules.no_sync) {
		gate_leave(v, e);
		entry_leave(v->r, e, now_ms);
		return;
	}
	e->state = ENTRY_COMMIT;
	commit_wait(v, e);
}

static void
completion_written(struct relay_log *w, uint64_t now_ms)
{
	struct relay_entry *e = w->owner;

	slotmap_shrink(w->v->slots, w->slot);
	log_commit(w->v, e, now_ms);
}

static void
log_complete(struct vlog *v, struct relay_entry *e, uint64_t now_ms)
{
	struct relay_log *w;

	log_forget(e->log);
	e->log = NULL;
	if (v->r->cfg.rules.no_completion) {
		log_commit(v, e, now_ms);
		return;
	}
	w = write_new(v, LOGREC_DONE, e->slot, e, completion_written);
	if (w == NULL)
		return;
	log_name(&w->rec, e);
	w->rec.how = e->how;
	w->rec.reply = (struct nfs3_bytes){rec_head(e->rec), e->rec->len};
	e->state = ENTRY_COMPLETING;
	v->r->n.completions++;
	write_issue(w);
	/* The next sync covers it, too (relaylog.h). */
	if (!v->r->cfg.rules.no_sync)
		commit_wait(v, e);
}

void
log_answered(struct vlog *v, struct relay_entry *e, uint64_t now_ms)
{
	if (e->slot != NULL) {
		gate_made(v, e);
		log_complete(v, e, now_ms);
	} else if (e->class == CALL_LOGGED || gate_shut(v, e)) {
		v->r->n.gated += e->class != CALL_LOGGED;
		log_commit(v, e, now_ms);
	} else {
		entry_release_keys(v->r, e);
		entry_leave(v->r, e, now_ms);
	}
}

void
log_covered(struct vlog *v, struct relay_entry *e, uint64_t now_ms)
{
	if (e->state == ENTRY_HELD && e->log != NULL && !e->log->told)
		log_start(v, e); /* the pre-state was sick */
	else if (e->state == ENTRY_HELD)
		log_answered(v, e, now_ms);
	else {
		assert(e->state == ENTRY_COMMIT);
		v->r->n.covered++;
		gate_leave(v, e);
		entry_leave(v->r, e, now_ms);
	}
}
