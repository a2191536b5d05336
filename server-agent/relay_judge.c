/*
 * Calls in doubt: an intent, and no completion. Each is judged by what its
 * new backend says is there now (verdict.h), before any client is served;
 * they do not touch each other (their keys were held), so all at once.
 *
 *	asked -> judged -> DONE         its reply is built and written
 *	                   NOT_DONE     the slot is freed; it runs when asked
 *	                   HALF         finished by a SETATTR -> asked again
 *	                   UNDECIDABLE  a tomb is written in its place
 *
 * An intent never stays in its slot: a second crash would hold it against a
 * file system that others have changed since.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_log.h"

struct doubt {
	LIST_ENTRY(doubt) next;
	struct vlog *v;
	struct slotmap_rec *slot;
	uint8_t client[CLIENT_ID_LEN];
	uint64_t kconn, incarnation;
	struct call_id id;
	uint8_t *bytes; /* credential, arguments, their rest's digest */
	struct prestate_call call;
	struct prestate before;
	bool known, has_before; /* these two */
	struct relay_ask ask;
	struct verdict verdict;
	bool half; /* it was, and is asked about again */
	bool sick; /* what was found was, and is asked again */
	enum { SYNC_NONE, SYNC_WAITS, SYNC_UNDER } sync;
	struct relay_entry *e;
};

/* --- from the log */

static bool
doubt_parse(struct doubt *d, const struct logrec *rec)
{
	struct nfs3_bytes cred = {d->bytes, rec->cred.len};
	struct nfs3_bytes args = {d->bytes + rec->cred.len, rec->args.len};
	uint8_t *rest = d->bytes + rec->cred.len + rec->args.len;

	if (rec->cred.len > 0)
		memcpy(d->bytes, rec->cred.p, rec->cred.len);
	if (rec->args.len > 0)
		memcpy(d->bytes + rec->cred.len, rec->args.p, rec->args.len);
	memcpy(rest, rec->rest, LOGREC_REST_LEN);
	return prestate_call_parse(&d->call, rec->id.xid, rec->id.proc,
		   rec->cred_flavor, &cred, &args, rec->args_len,
		   rec->args.len < rec->args_len ? rest : NULL) == 0 &&
	       prestate_can_ask(&d->call);
}

int
doubt_new(struct vlog *v, const struct logscan_record *record,
    struct slotmap_rec *slot)
{
	const struct logrec *rec = &record->rec;
	struct doubt *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -1;
	d->bytes = malloc(rec->cred.len + rec->args.len + LOGREC_REST_LEN);
	if (d->bytes == NULL) {
		free(d);
		return -1;
	}
	d->v = v;
	d->slot = slot;
	memcpy(d->client, rec->client, CLIENT_ID_LEN);
	d->kconn = rec->kconn;
	d->incarnation = rec->incarnation;
	d->id = rec->id;
	d->known = doubt_parse(d, rec);
	d->has_before =
	    prestate_decode(&d->before, rec->pre.p, rec->pre.len) == 0;
	LIST_INSERT_HEAD(&v->doubts, d, next);
	v->found.doubts++;
	return 0;
}

static void
doubt_free(struct doubt *d)
{
	ask_cancel(&d->ask);
	LIST_REMOVE(d, next);
	free(d->bytes);
	free(d);
}

/* Its links, which belong to no client. */
static void
judge_end(struct vlog *v)
{
	struct relay_client *cl = v->judge;
	struct relay_kconn *k, *next;

	if (cl == NULL)
		return;
	for (k = LIST_FIRST(&cl->kconns); k != NULL; k = next) {
		next = LIST_NEXT(k, next);
		kconn_retire(v->r, k, RELAY_R_IDLE, 0);
	}
	cl->dead_next = v->r->dead_clients;
	v->r->dead_clients = cl;
	v->judge = NULL;
}

void
doubts_free(struct vlog *v)
{
	while (!LIST_EMPTY(&v->doubts))
		doubt_free(LIST_FIRST(&v->doubts));
	judge_end(v);
}

/* --- links, each bound to where the caller's was */

static struct relay_link *
judge_link(struct vlog *v, const uint8_t peer[PRESTATE_PEER_MAX])
{
	struct relay_kconn *k;

	if (v->judge == NULL) {
		v->judge = calloc(1, sizeof(*v->judge));
		if (v->judge == NULL)
			return NULL;
		v->judge->plain = true;
	}
	LIST_FOREACH(k, &v->judge->kconns, next)
		if (memcmp(k->peer, peer, RELAY_PEER_MAX) == 0)
			return &k->links[RELAY_NFS];
	k = kconn_new(v->r, v->judge, v->volume, ++v->links, 0);
	if (k == NULL)
		return NULL;
	memcpy(k->peer, peer, RELAY_PEER_MAX);
	return &k->links[RELAY_NFS];
}

/* --- what is decided is written */

/* The last one: a sync for all of them, then clients may come. */
static void
doubt_end(struct doubt *d)
{
	struct vlog *v = d->v;

	doubt_free(d);
	if (!LIST_EMPTY(&v->doubts))
		return;
	judge_end(v);
	v->last = LAST_WAITS;
	commit_ask(v);
}

static void
doubt_written(struct relay_log *w, uint64_t now_ms)
{
	struct doubt *d = w->owner;

	(void)now_ms;
	slotmap_shrink(d->v->slots, d->slot);
	if (w->rec.kind == LOGREC_FREE)
		slotmap_release(d->v->slots, d->slot);
	doubt_end(d);
}

static void
doubt_write(struct doubt *d, enum logrec_kind kind)
{
	struct relay_log *w = write_new(d->v, kind, d->slot, d, doubt_written);

	if (w == NULL)
		return;
	log_name(&w->rec, d->e);
	if (kind == LOGREC_DONE) {
		w->rec.how = LOGREC_REBUILT;
		w->rec.reply =
		    (struct nfs3_bytes){rec_head(d->e->rec), d->e->rec->len};
	} else if (kind == LOGREC_TOMB)
		tomb_of_one(w, &d->id);
	write_issue(w);
}

static struct rec *
rebuilt(struct doubt *d)
{
	uint8_t buf[NFS3_REPLY_MAX];
	size_t n = verdict_reply_write(
	    &d->verdict, &d->call, &d->ask.ps, buf, sizeof(buf));

	assert(n > 0);
	return rec_from(d->v->cfg.pool, buf, n);
}

static void
doubt_done(struct doubt *d)
{
	struct vlog *v = d->v;

	d->e->rec = rebuilt(d);
	if (d->e->rec == NULL) {
		log_give_up(v, ENOMEM);
		return;
	}
	d->e->slot = d->slot;
	d->e->how = LOGREC_REBUILT;
	v->found.finished += d->half;
	v->found.done += !d->half;
	doubt_write(d, LOGREC_DONE);
}

/* Its client can have been forgotten meanwhile: nothing else was there. */
static void
doubt_decide(struct doubt *d, uint64_t now_ms)
{
	struct vlog *v = d->v;
	struct relay_client *cl = recover_client(v, d->client, d->incarnation);
	struct relay_table *t = cl != NULL ? table_get(cl, v->volume) : NULL;
	static const enum entry_mark marks[VERDICT_KINDS] = {
	    [VERDICT_NOT_DONE] = MARK_NOT_RUN,
	    [VERDICT_UNDECIDABLE] = MARK_UNDECIDED,
	};
	char name[9];

	if (t == NULL) {
		log_give_up(v, ENOMEM);
		return;
	}
	relay_note(v->r, "client %s xid %08x %s in doubt: %s, %s",
	    relay_client_name(cl, name), d->id.xid,
	    d->id.proc < NFS3_NPROC ? nfs3_proc_names[d->id.proc] : "?",
	    verdict_kind_names[d->verdict.kind],
	    verdict_reason_names[d->verdict.reason]);
	d->e = entry_recover(v->r, t, &d->id, d->kconn, d->incarnation,
	    marks[d->verdict.kind], now_ms);
	if (d->e == NULL) {
		log_give_up(v, ENOMEM);
		return;
	}
	switch (d->verdict.kind) {
	case VERDICT_DONE:
		doubt_done(d);
		break;
	case VERDICT_NOT_DONE:
		v->found.not_done++;
		doubt_write(d, LOGREC_FREE);
		break;
	default:
		d->e->slot = d->slot;
		v->found.undecidable++;
		v->r->n.undecidable++;
		v->r->n.undecided++;
		doubt_write(d, LOGREC_TOMB);
		break;
	}
}

/* --- asking and judging */

static void doubt_ask(struct doubt *d, uint64_t now_ms);

static void
doubt_wait(struct doubt *d)
{
	d->v->r->n.errors_held++;
	d->sync = SYNC_WAITS;
	commit_ask(d->v);
}

/* The SETATTR that finishes a half done call was answered. */
static void
finished(struct relay_ask *a, const void *reply, size_t len, uint64_t now_ms)
{
	struct doubt *d = a->owner;

	d->half = true;
	switch (verdict_finished(&d->verdict, reply, len)) {
	case VERDICT_TAKEN:
		doubt_ask(d, now_ms);
		break;
	case VERDICT_HELD:
		doubt_wait(d);
		break;
	default:
		ask_later(d->v, a);
		break;
	}
}

static void
asked(struct relay_ask *a, const void *reply, size_t len, uint64_t now_ms)
{
	struct doubt *d = a->owner;
	struct vlog *v = d->v;
	struct verdict_options opt = {.verifier = v->cfg.knfsd
						      ? VERDICT_VERF_KNFSD
						      : VERDICT_VERF_GANESHA};

	(void)reply;
	(void)len;
	if (prestate_is_sick(&a->ps) && !d->sick) {
		d->sick = true;
		doubt_wait(d);
		return;
	}
	if (d->half)
		verdict_settle(&d->verdict, &d->call, &a->ps);
	else
		verdict_judge(&d->verdict, &d->call,
		    d->has_before ? &d->before : NULL, &a->ps, &opt);
	if (d->verdict.kind == VERDICT_HALF) {
		a->done = finished;
		ask_finish(v, a, &d->verdict, now_ms);
	} else
		doubt_decide(d, now_ms);
}

static void
doubt_ask(struct doubt *d, uint64_t now_ms)
{
	struct relay_link *l = judge_link(d->v, d->before.peer);

	if (l == NULL) {
		log_give_up(d->v, ENOMEM);
		return;
	}
	link_open(l);
	d->ask.done = asked;
	d->ask.owner = d;
	ask_begin(d->v, &d->ask, l, &d->call, true, now_ms);
}

static void
doubt_begin(struct doubt *d, uint64_t now_ms)
{
	d->verdict = (struct verdict){
	    .kind = VERDICT_UNDECIDABLE, .reason = V_NO_BEFORE};
	if (d->v->r->cfg.rules.no_judge)
		d->verdict = (struct verdict){
		    .kind = VERDICT_NOT_DONE, .reason = V_NO_TRACE};
	else if (d->known && d->has_before) {
		doubt_ask(d, now_ms);
		return;
	}
	doubt_decide(d, now_ms);
}

bool
doubts_want_sync(const struct vlog *v)
{
	const struct doubt *d;

	LIST_FOREACH(d, &v->doubts, next)
		if (d->sync == SYNC_WAITS)
			return true;
	return false;
}

void
doubts_sync(struct vlog *v, bool begins, uint64_t now_ms)
{
	struct doubt *d, *next;

	for (d = LIST_FIRST(&v->doubts); d != NULL; d = next) {
		next = LIST_NEXT(d, next);
		if (begins && d->sync == SYNC_WAITS)
			d->sync = SYNC_UNDER;
		else if (!begins && d->sync == SYNC_UNDER) {
			d->sync = SYNC_NONE;
			doubt_ask(d, now_ms);
		}
	}
}

void
relay_recover_judge(struct relay *r, unsigned volume, uint64_t now_ms)
{
	struct vlog *v = r->logs[volume];
	struct doubt *d, *next;

	assert(v != NULL && v->mode == VLOG_READING);
	v->mode = VLOG_JUDGING;
	recover_tables(v, now_ms);
	if (LIST_EMPTY(&v->doubts)) {
		v->last = LAST_WAITS;
		commit_ask(v);
	}
	/* None of them ends before its record is written: the list stands. */
	for (d = LIST_FIRST(&v->doubts); d != NULL; d = next) {
		next = LIST_NEXT(d, next);
		doubt_begin(d, now_ms);
	}
}
