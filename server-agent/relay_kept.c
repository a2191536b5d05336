/*
 * Replies that are kept: which list each is in, and what lets it go: ACK,
 * expiry, a younger incarnation, want of room. See relay_int.h.
 */
#include "server-agent/relay_log.h"

enum { ORPHAN_QUOTAS = 4 };

static void
keep(struct relay *r, struct relay_entry *e, enum kept list, uint64_t now_ms)
{
	struct relay_table *t = e->table;
	uint64_t clock = client_clock(t->client, now_ms);

	e->kept = list;
	TAILQ_INSERT_TAIL(&t->kept[list], e, on_kept);
	t->nkept[list]++;
	if (list == KEPT_UNACKED)
		e->expires_ms = now_ms + r->cfg.retain_ms;
	else if (list == KEPT_ORPHAN)
		e->expires_ms = clock + r->cfg.orphan_ms;
	else
		e->expires_ms = clock + (t->client->plain ? r->cfg.plain_ms
							  : r->cfg.linger_ms);
}

void
kept_remove(struct relay_entry *e)
{
	TAILQ_REMOVE(&e->table->kept[e->kept], e, on_kept);
	e->table->nkept[e->kept]--;
}

static bool
asked_over(const struct relay_entry *e, const struct relay_kconn *k)
{
	return e->kconn == k->number && e->incarnation == k->incarnation;
}

/* The list for an entry that was just finished, or asked for again. */
void
kept_add(struct relay *r, struct relay_entry *e, bool over, uint64_t now_ms)
{
	const struct relay_client *cl = e->table->client;

	if (cl->plain && e->mark == MARK_NONE) /* it never acknowledges */
		keep(r, e, KEPT_ACKED, now_ms);
	else if (over || e->incarnation < cl->incarnation)
		keep(r, e, KEPT_ORPHAN, now_ms);
	else
		keep(r, e, KEPT_UNACKED, now_ms);
}

void
entry_finish(
    struct relay *r, struct relay_entry *e, struct rec *reply, uint64_t now_ms)
{
	const struct relay_kconn *k = e->link->kconn;
	bool over = k->over && asked_over(e, k);

	entry_unask(e);
	entry_xid_remove(r, e);
	LIST_REMOVE(e, on_link);
	e->link = NULL;
	e->state = ENTRY_FINISHED;
	e->rec = reply;
	e->table->in_progress--;
	r->n.in_progress--;
	r->n.kept++;
	entry_xid_insert(r, e);
	kept_add(r, e, over, now_ms);
}

void
entry_again(struct relay *r, struct relay_entry *e, struct relay_conn *c,
    uint64_t now_ms)
{
	assert(e->state == ENTRY_FINISHED);
	kept_remove(e);
	entry_xid_remove(r, e);
	e->kconn = c->kconn->number;
	e->incarnation = c->incarnation;
	e->recovered = e->expired = false;
	entry_xid_insert(r, e);
	kept_add(r, e, false, now_ms);
}

void
entry_acked(struct relay *r, struct relay_entry *e, uint64_t now_ms)
{
	kept_remove(e);
	keep(r, e, KEPT_ACKED, now_ms);
	slot_release(r, e);
}

unsigned
table_ack(struct relay *r, struct relay_table *t, struct relay_kconn *k,
    uint32_t xid, uint64_t now_ms)
{
	struct relay_entry *e;
	unsigned n = 0;

	for (e = *entry_bucket(r, t, k->number, xid); e != NULL;
	     e = e->xid_next) {
		if (e->state != ENTRY_FINISHED || e->table != t ||
		    e->id.xid != xid || !asked_over(e, k) ||
		    e->kept == KEPT_ACKED || e->mark != MARK_NONE)
			continue;
		entry_acked(r, e, now_ms);
		n++;
	}
	return n;
}

/* While calls in doubt are judged, their slots are not to be touched. */
static bool
is_busy(const struct relay *r, const struct relay_table *t)
{
	const struct vlog *v = r->logs[t->volume];

	return v != NULL && v->mode != VLOG_ON;
}

static void
orphans_limit(struct relay *r, struct relay_table *t)
{
	while (!is_busy(r, t) && t->nkept[KEPT_ORPHAN] / ORPHAN_QUOTAS >=
				     r->cfg.client_entries_max) {
		r->n.unacked_expired++;
		slot_bury(r, TAILQ_FIRST(&t->kept[KEPT_ORPHAN]));
		entry_free(r, TAILQ_FIRST(&t->kept[KEPT_ORPHAN]));
	}
}

void
table_orphan(struct relay *r, struct relay_table *t,
    const struct relay_kconn *k, uint64_t now_ms)
{
	struct relay_entry *e, *next;

	for (e = TAILQ_FIRST(&t->kept[KEPT_UNACKED]); e != NULL; e = next) {
		next = TAILQ_NEXT(e, on_kept);
		if (k != NULL && !asked_over(e, k))
			continue;
		kept_remove(e);
		keep(r, e, KEPT_ORPHAN, now_ms);
	}
	/* So many that the oldest have been asked for again since, or never
	 * will be: each start of a proxy, and each kernel connection that
	 * ends, leaves at most one quota of them. */
	orphans_limit(r, t);
}

void
table_orphan_old(struct relay *r, struct relay_table *t, uint64_t now_ms)
{
	struct relay_entry *e, *next;

	for (e = TAILQ_FIRST(&t->kept[KEPT_UNACKED]); e != NULL; e = next) {
		next = TAILQ_NEXT(e, on_kept);
		if (e->incarnation >= t->client->incarnation)
			continue;
		kept_remove(e);
		keep(r, e, KEPT_ORPHAN, now_ms);
	}
}

/* It gives its slot, where a tomb may stay. In memory it is kept for as long
 * as there is room: its client may be silent, and come back. */
static void
unacked_expire(struct relay *r, struct relay_entry *e, uint64_t now_ms)
{
	slot_bury(r, e);
	slot_release(r, e);
	kept_remove(e);
	keep(r, e, KEPT_ORPHAN, now_ms);
	e->expired = true;
	orphans_limit(r, e->table);
}

/*
 * Its client has been away for as long as a reply is kept: what an older
 * incarnation left, whose clock stands still, gives its slot as well, and the
 * tomb need not be the client's own.
 */
static void
table_leave(struct relay *r, struct relay_table *t, uint64_t now_ms)
{
	const struct relay_client *cl = t->client;
	const struct vlog *v = r->logs[t->volume];
	struct relay_entry *e;
	uint64_t since = cl->clock_since_ms;

	if (v == NULL || v->mode != VLOG_ON || r->draining[t->volume] ||
	    cl->plain || cl->nconns > 0 || !LIST_EMPTY(&cl->kconns))
		return;
	if (since < v->on_ms)
		since = v->on_ms;
	if (now_ms - since < r->cfg.retain_ms)
		return;
	TAILQ_FOREACH(e, &t->kept[KEPT_ORPHAN], on_kept)
		if (!e->expired) {
			r->n.unacked_expired++;
			slot_bury(r, e);
			slot_release(r, e);
			e->expired = true;
		}
	tomb_leave(t);
}

void
table_expire(struct relay *r, struct relay_table *t, uint64_t now_ms)
{
	uint64_t clock = client_clock(t->client, now_ms);

	for (unsigned i = 0; !is_busy(r, t) && i < KEPT_LISTS; i++) {
		uint64_t now = i == KEPT_UNACKED ? now_ms : clock;
		struct relay_entry *e;

		while ((e = TAILQ_FIRST(&t->kept[i])) != NULL &&
		       e->expires_ms <= now) {
			if (i == KEPT_ACKED)
				r->n.expired++;
			else
				r->n.unacked_expired++;
			if (i == KEPT_UNACKED && r->logs[t->volume] != NULL)
				unacked_expire(r, e, now_ms);
			else {
				if (i != KEPT_ACKED)
					slot_bury(r, e);
				entry_free(r, e);
			}
		}
	}
	table_leave(r, t, now_ms);
}
