/*
 * The end of tombs (relay_tomb.c).
 *
 * How long do they stay? A kernel waits for ever for an answer, also through
 * weeks with its host asleep: absence proves nothing, and no time of it ends a
 * tomb. Nor does presence alone: a process that is frozen inside a call sends
 * it again only when it goes on, however busy its host was meanwhile. So a tomb
 * stays for as long as there is room. When a quarter of its client's slots are
 * tombs, or half of all slots are taken, the oldest goes whose client has had
 * other replies, and acknowledged them, for an hour since (for retain_ms, if
 * that is more): all but what is frozen has been sent again by then.
 *
 * Tombs of clients that went away are joined, as many in one as there is room
 * for (tomb_leave()): such a *common* tomb is nobody's, its record has a
 * client id of zeros. It costs one slot for LOGREC_NAMES_MAX calls, and its
 * clients need not be known any more. Whose calls it names is not known
 * either, so nobody's presence ends it: only an operator does, who knows what
 * became of the hosts (relay_tombs_forget()).
 */
#include <stdlib.h>

#include "server-agent/relay_tomb.h"

/* PRESENT_MS, or retain_ms: the presence after which a tomb may go. At most
 * ACK_STEP_MS between two ACKs counts: a proxy that is stopped keeps its
 * connections. */
enum { PRESENT_MS = 3600000, ACK_STEP_MS = 60000 };

static bool
left_out(const struct tomb *t)
{
	return t->buried > t->n;
}

/* Is room wanted that a tomb of this client's would make? */
static bool
is_crowded(const struct vlog *v, const struct relay_table *table)
{
	unsigned n = 0;

	for (const struct tomb *t = table->tomb; t != NULL; t = t->next)
		n++;
	return n >= (v->cfg.client_slots + 3) / 4 ||
	       slotmap_in_use(v->slots) >= (v->cfg.slots + 1) / 2;
}

/* Out of its list; its slot is free. */
static void
tomb_end(struct tomb **tp)
{
	struct tomb *t = *tp;

	assert(!t->writing);
	*tp = t->next;
	slotmap_release(t->v->slots, t->slot);
	free(t);
}

static void
tomb_lives(struct tomb *t, uint64_t now_ms)
{
	uint64_t step = t->acked_ms == 0 ? 0 : now_ms - t->acked_ms;

	t->lived_ms += step < ACK_STEP_MS ? step : ACK_STEP_MS;
	t->acked_ms = now_ms;
}

void
tomb_age(struct relay *r, struct relay_table *table, uint64_t now_ms)
{
	struct vlog *v = r->logs[table->volume];
	struct tomb **tp, **oldest = NULL;
	uint64_t least =
	    r->cfg.retain_ms > PRESENT_MS ? r->cfg.retain_ms : PRESENT_MS;
	bool crowded;
	char name[9];

	if (table->tomb == NULL || v->mode != VLOG_ON)
		return;
	crowded = is_crowded(v, table);
	for (tp = &table->tomb; *tp != NULL; tp = &(*tp)->next) {
		tomb_lives(*tp, now_ms);
		if ((*tp)->lived_ms >= least && !(*tp)->writing &&
		    (crowded || left_out(*tp)))
			oldest = tp;
	}
	if (oldest == NULL)
		return;
	relay_note(r,
	    "client %s: %llu calls that expired are not asked for "
	    "any more, and there is want of room",
	    relay_client_name(table->client, name),
	    (unsigned long long)(*oldest)->buried);
	tomb_end(oldest);
	table_resume(r);
}

/* The first that goes leaves its record, as one of nobody's; the next ones'
 * slots are free when that names their calls. */
static void
leave_one(struct tomb *t)
{
	uint64_t wall_ms = t->wall_ms;
	struct tomb *c;

	for (c = t->v->commons; c != NULL; c = c->next)
		if (c->n + t->n <= LOGREC_NAMES_MAX)
			break;
	if (c == NULL) {
		tomb_make_common(t);
		tomb_write(t);
		return;
	}
	if (wall_ms < c->wall_ms)
		wall_ms = c->wall_ms;
	for (unsigned i = 0; i < t->n; i++)
		tomb_add_name(c, t->names[i]);
	c->wall_ms = wall_ms;
	tomb_take_slot(c, t->slot);
	tomb_write(c);
	free(t);
}

void
tomb_leave(struct relay_table *table)
{
	struct tomb **tp = &table->tomb, *t;

	while ((t = *tp) != NULL) {
		/* Names that are left out are its client's alone. */
		if (t->writing || left_out(t)) {
			tp = &t->next;
			continue;
		}
		*tp = t->next;
		leave_one(t);
	}
}

/* --- an operator */

static unsigned
forget_list(struct tomb **tp, uint64_t *calls)
{
	unsigned busy = 0;

	while (*tp != NULL)
		if ((*tp)->writing) {
			busy++;
			tp = &(*tp)->next;
		} else {
			*calls += (*tp)->buried;
			tomb_end(tp);
		}
	return busy;
}

int
relay_tombs_forget(
    struct relay *r, unsigned volume, const uint8_t *client, uint64_t *calls)
{
	struct vlog *v = r->logs[volume];
	struct relay_client *cl;
	struct relay_table *t;
	unsigned busy = 0;
	char name[9] = "";

	*calls = 0;
	if (v == NULL || v->mode != VLOG_ON)
		return -1;
	if (client == NULL)
		busy = forget_list(&v->commons, calls);
	else if ((cl = client_find(r, client)) != NULL) {
		relay_client_name(cl, name);
		LIST_FOREACH(t, &cl->tables, next)
			if (t->volume == volume)
				busy += forget_list(&t->tomb, calls);
	}
	if (*calls > 0)
		relay_note(r,
		    "%s %s: %llu calls that expired are forgotten, "
		    "an operator says so",
		    client != NULL ? "client" : "clients that went away", name,
		    (unsigned long long)*calls);
	table_resume(r);
	return (int)busy;
}

static void
each_of(const struct tomb *t, unsigned volume,
    void (*fn)(void *arg, const struct relay_tomb_view *v), void *arg)
{
	for (; t != NULL; t = t->next) {
		struct relay_tomb_view v = {
		    .client = t->client != NULL ? t->client->id : NULL,
		    .volume = volume,
		    .calls = t->buried,
		    .wall_ms = t->wall_ms};

		fn(arg, &v);
	}
}

void
relay_each_tomb(const struct relay *r,
    void (*fn)(void *arg, const struct relay_tomb_view *v), void *arg)
{
	const struct relay_client *cl;
	const struct relay_table *t;

	for (unsigned i = 0; i < r->cfg.volumes; i++)
		if (r->logs[i] != NULL)
			each_of(r->logs[i]->commons, i, fn, arg);
	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(t, &cl->tables, next)
			each_of(t->tomb, t->volume, fn, arg);
}
