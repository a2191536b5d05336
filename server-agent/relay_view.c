/*
 * What there is in the relay's core, for people. See relay.h.
 */
#include "server-agent/relay_log.h"

void
relay_count(const struct relay *r, struct relay_counts *counts)
{
	*counts = r->n;
	for (unsigned i = 0; i < r->cfg.volumes; i++)
		if (r->logs[i] != NULL)
			counts->slots += slotmap_in_use(r->logs[i]->slots);
}

static unsigned
kconn_calls(const struct relay_kconn *k)
{
	const struct relay_entry *e;
	unsigned n = 0;

	for (unsigned i = 0; i < RELAY_PROGRAMS; i++)
		LIST_FOREACH(e, &k->links[i].calls, on_link)
			n++;
	return n;
}

void
relay_each_kconn(const struct relay *r,
    void (*fn)(void *arg, const struct relay_kconn_view *v), void *arg)
{
	const struct relay_client *cl;
	const struct relay_kconn *k;

	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(k, &cl->kconns, next) {
			struct relay_kconn_view v = {.client = cl->id,
			    .kconn = k->number,
			    .incarnation = k->incarnation,
			    .volume = k->table->volume,
			    .conns = k->nconns,
			    .calls = kconn_calls(k),
			    .plain = cl->plain,
			    .retired = k->retired,
			    .link_up = k->links[RELAY_NFS].state == LINK_UP,
			    .floors = k->floors};

			fn(arg, &v);
		}
}

void
relay_each_client(const struct relay *r,
    void (*fn)(void *arg, const struct relay_client_view *v), void *arg)
{
	const struct relay_client *cl;
	const struct relay_kconn *k;
	const struct relay_table *t;

	LIST_FOREACH(cl, &r->clients, next) {
		struct relay_client_view v = {.client = cl->id,
		    .incarnation = cl->incarnation,
		    .conns = cl->nconns,
		    .plain = cl->plain};

		LIST_FOREACH(k, &cl->kconns, next)
			v.kconns++;
		LIST_FOREACH(t, &cl->tables, next) {
			v.in_progress += t->in_progress;
			v.unacked +=
			    t->nkept[KEPT_UNACKED] + t->nkept[KEPT_ORPHAN];
			v.acked += t->nkept[KEPT_ACKED];
		}
		fn(arg, &v);
	}
}

enum relay_stage
entry_stage(const struct relay_entry *e)
{
	static const enum relay_stage stages[] = {
	    [ENTRY_WAITING] = RELAY_S_KEYS,
	    [ENTRY_ASKING] = RELAY_S_ASKING,
	    [ENTRY_INTENT] = RELAY_S_INTENT,
	    [ENTRY_RUNNING] = RELAY_S_BACKEND,
	    [ENTRY_HELD] = RELAY_S_HELD,
	    [ENTRY_COMPLETING] = RELAY_S_COMPLETION,
	    [ENTRY_COMMIT] = RELAY_S_COMMIT,
	    [ENTRY_UNDECIDED] = RELAY_S_UNDECIDED,
	};

	assert(e->state != ENTRY_FINISHED);
	return stages[e->state];
}

static void
each_link_call(const struct relay_link *l,
    void (*fn)(void *arg, const struct relay_call_view *v), void *arg)
{
	const struct relay_entry *e;

	LIST_FOREACH(e, &l->calls, on_link) {
		const struct relay_entry *holder = entry_holder(e);
		struct relay_call_view v = {.client = l->kconn->client->id,
		    .volume = e->table->volume,
		    .id = &e->id,
		    .class = e->class,
		    .stage = entry_stage(e),
		    .asked = e->asker != NULL,
		    .since_ms = e->since_ms,
		    .holder = holder != NULL ? &holder->id : NULL};

		fn(arg, &v);
	}
}

/* What an operator is to decide, and nobody asks for just now. */
static void
each_mark(const struct relay_table *t,
    void (*fn)(void *arg, const struct relay_call_view *v), void *arg)
{
	const struct relay_entry *e;

	for (unsigned i = 0; i < KEPT_LISTS; i++)
		TAILQ_FOREACH(e, &t->kept[i], on_kept) {
			struct relay_call_view v = {.client = t->client->id,
			    .volume = t->volume,
			    .id = &e->id,
			    .class = e->class,
			    .stage = RELAY_S_UNDECIDED};

			if (e->mark == MARK_UNDECIDED)
				fn(arg, &v);
		}
}

void
relay_each_call(const struct relay *r,
    void (*fn)(void *arg, const struct relay_call_view *v), void *arg)
{
	const struct relay_client *cl;
	const struct relay_kconn *k;
	const struct relay_table *t;

	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(k, &cl->kconns, next)
			for (unsigned i = 0; i < RELAY_PROGRAMS; i++)
				each_link_call(&k->links[i], fn, arg);
	if (r->n.undecided == 0)
		return;
	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(t, &cl->tables, next)
			each_mark(t, fn, arg);
}
