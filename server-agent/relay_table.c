/*
 * The table of calls: look-up by identity and by XID, quotas. See relay.h and
 * relay_int.h.
 */
#include <stdlib.h>

#include "server-agent/relay_log.h"

int
table_init(struct relay *r)
{
	size_t n = r->cfg.entries_max, buckets = 64;

	while (buckets < n)
		buckets *= 2;
	r->mask = buckets - 1;
	r->by_id = calloc(buckets, sizeof(struct relay_entry *));
	r->by_xid = calloc(buckets, sizeof(struct relay_entry *));
	r->entry_mem = malloc(n * sizeof(*r->entry_mem));
	r->keys = keys_new((unsigned)n);
	if (r->by_id == NULL || r->by_xid == NULL || r->entry_mem == NULL ||
	    r->keys == NULL)
		return -1;
	return 0;
}

void
table_fini(struct relay *r)
{
	keys_free(r->keys);
	free(r->entry_mem);
	free(r->by_id);
	free(r->by_xid);
}

/* --- the two hashes */

static uint64_t
mix(uint64_t h)
{
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

static struct relay_entry **
id_bucket(
    struct relay *r, const struct relay_table *t, const struct call_id *id)
{
	uint64_t h = call_id_hash(id) + (uint64_t)(uintptr_t)t;

	return &r->by_id[mix(h) & r->mask];
}

/* In progress by (link, XID), finished by (table, kconn, XID). */
struct relay_entry **
entry_bucket(struct relay *r, const void *where, uint64_t kconn, uint32_t xid)
{
	uint64_t h = (uint64_t)(uintptr_t)where + kconn * 0x51ed2701u + xid;

	return &r->by_xid[mix(h) & r->mask];
}

static struct relay_entry **
entry_xid_bucket(struct relay *r, const struct relay_entry *e)
{
	if (e->state != ENTRY_FINISHED)
		return entry_bucket(r, e->link, 0, e->id.xid);
	return entry_bucket(r, e->table, e->kconn, e->id.xid);
}

void
entry_xid_insert(struct relay *r, struct relay_entry *e)
{
	struct relay_entry **b = entry_xid_bucket(r, e);

	e->xid_next = *b;
	*b = e;
}

void
entry_xid_remove(struct relay *r, struct relay_entry *e)
{
	struct relay_entry **p = entry_xid_bucket(r, e);

	while (*p != e)
		p = &(*p)->xid_next;
	*p = e->xid_next;
}

struct relay_entry *
entry_find(struct relay *r, struct relay_table *t, const struct relay_link *l,
    const struct call_id *id)
{
	struct relay_entry *e;

	for (e = *id_bucket(r, t, id); e != NULL; e = e->id_next)
		if (e->table == t && call_id_equal(&e->id, id) &&
		    (e->class != CALL_PASSED || e->link == l))
			return e;
	return NULL;
}

struct relay_entry *
entry_find_running(struct relay *r, struct relay_link *l, uint32_t xid)
{
	struct relay_entry *e;

	for (e = *entry_bucket(r, l, 0, xid); e != NULL; e = e->xid_next)
		if (e->state != ENTRY_FINISHED && e->link == l &&
		    e->id.xid == xid)
			return e;
	return NULL;
}

/* --- entries */

static unsigned
table_size(const struct relay_table *t)
{
	unsigned n = t->in_progress;

	for (unsigned i = 0; i < KEPT_LISTS; i++)
		n += t->nkept[i];
	return n;
}

/* Orphans have a quota of their own: they must not stop the new proxy. */
static bool
table_has_room(const struct relay *r, const struct relay_table *t)
{
	return t->in_progress + t->nkept[KEPT_UNACKED] <
	       r->cfg.client_entries_max;
}

bool
entry_has_room(const struct relay *r, const struct relay_table *t,
    const struct relay_entry *known)
{
	unsigned n = t->in_progress + t->nkept[KEPT_UNACKED];

	return known == NULL ||
	       n - (known->kept == KEPT_UNACKED) < r->cfg.client_entries_max;
}

static void
evict(struct relay *r, struct relay_table *t)
{
	r->n.evicted++;
	entry_free(r, TAILQ_FIRST(&t->kept[KEPT_ACKED]));
}

/* The oldest that has expired, of any client. */
static bool
evict_expired(struct relay *r)
{
	struct relay_table *t;
	struct relay_client *cl;
	struct relay_entry *e;

	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(t, &cl->tables, next)
			TAILQ_FOREACH(e, &t->kept[KEPT_ORPHAN], on_kept)
				if (e->expired) {
					r->n.evicted++;
					entry_free(r, e);
					return true;
				}
	return false;
}

/* All entries are in use: the table with most acknowledged ones gives. */
static bool
evict_any(struct relay *r)
{
	struct relay_table *t, *most = NULL;
	struct relay_client *cl;

	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(t, &cl->tables, next)
			if (most == NULL ||
			    t->nkept[KEPT_ACKED] > most->nkept[KEPT_ACKED])
				most = t;
	if (most == NULL || most->nkept[KEPT_ACKED] == 0)
		return evict_expired(r);
	evict(r, most);
	return true;
}

static struct relay_entry *
entry_take(struct relay *r, struct relay_table *t, const struct call_id *id)
{
	struct relay_entry *e, **b;

	if (r->entry_free == NULL && r->entry_fresh == r->cfg.entries_max &&
	    !evict_any(r))
		return NULL;
	e = r->entry_free;
	if (e != NULL)
		r->entry_free = e->id_next;
	else
		e = &r->entry_mem[r->entry_fresh++];
	*e = (struct relay_entry){.table = t, .id = *id};
	e->keys.owner = e;
	b = id_bucket(r, t, &e->id);
	e->id_next = *b;
	*b = e;
	return e;
}

struct relay_entry *
entry_recover(struct relay *r, struct relay_table *t, const struct call_id *id,
    uint64_t kconn, uint64_t incarnation, enum entry_mark mark, uint64_t now_ms)
{
	struct relay_entry *e = entry_take(r, t, id);

	if (e == NULL)
		return NULL;
	e->class = CALL_LOGGED;
	e->state = ENTRY_FINISHED;
	e->kconn = kconn;
	e->incarnation = incarnation;
	e->recovered = true;
	e->mark = mark;
	entry_xid_insert(r, e);
	r->n.kept++;
	kept_add(r, e, false, now_ms);
	return e;
}

struct relay_entry *
entry_new(struct relay *r, struct relay_table *t, const struct call_info *info,
    struct relay_link *l)
{
	struct relay_entry *e;

	if (!table_has_room(r, t))
		return NULL;
	if (table_size(t) - t->nkept[KEPT_ORPHAN] >= r->cfg.client_entries_max)
		evict(r, t);
	e = entry_take(r, t, &info->id);
	if (e == NULL)
		return NULL;
	e->class = info->class;
	e->state = ENTRY_WAITING;
	e->link = l;
	entry_xid_insert(r, e);
	LIST_INSERT_HEAD(&l->calls, e, on_link);
	t->in_progress++;
	r->n.in_progress++;
	return e;
}

void
entry_ask(struct relay_entry *e, struct relay_conn *c)
{
	if (e->asker == c)
		return;
	entry_unask(e);
	e->asker = c;
	LIST_INSERT_HEAD(&c->asked, e, on_asker);
	e->kconn = c->kconn->number;
	e->incarnation = c->incarnation;
}

void
entry_unask(struct relay_entry *e)
{
	if (e->asker != NULL)
		LIST_REMOVE(e, on_asker);
	e->asker = NULL;
	e->passing = false;
}

void
entry_free(struct relay *r, struct relay_entry *e)
{
	struct relay_entry **p = id_bucket(r, e->table, &e->id);

	while (*p != e)
		p = &(*p)->id_next;
	*p = e->id_next;
	entry_xid_remove(r, e);
	entry_unask(e);
	commit_leave(e);
	if (e->pending)
		gate_leave(r->logs[e->table->volume], e);
	log_forget(e->log);
	slot_release(r, e);
	if (e->state == ENTRY_UNDECIDED || e->mark == MARK_UNDECIDED)
		r->n.undecided--;
	if (e->state == ENTRY_FINISHED) {
		kept_remove(e);
		r->n.kept--;
	} else {
		LIST_REMOVE(e, on_link);
		e->table->in_progress--;
		r->n.in_progress--;
	}
	rec_unref(e->rec);
	e->rec = NULL;
	e->id_next = r->entry_free;
	r->entry_free = e;
}

/* --- connections that wait for room */

void
table_resume(struct relay *r)
{
	struct relay_conn *c, *next;

	/* What finds no room after all waits again. */
	for (c = TAILQ_FIRST(&r->stalled); c != NULL; c = next) {
		next = TAILQ_NEXT(c, on_stalled);
		if (!table_has_room(r, c->kconn->table) ||
		    !log_has_room(r, c->kconn))
			continue;
		TAILQ_REMOVE(&r->stalled, c, on_stalled);
		c->stalled = false;
		relay_act(
		    r, (struct relay_action){.type = RELAY_RESUME, .conn = c});
	}
}
