/*
 * Calls of our own to a backend, over the link of the call that they are
 * about and with its credential: what is there before it runs, or after a
 * crash. Their XIDs are such as no call in progress on the link has; a
 * client's call that comes with one waits (relay_call.c).
 */
#include <string.h>

#include "server-agent/relay_log.h"

/* The longest reply is that of a READLINK. */
enum { ASK_REPLY_MAX = 8192 };

struct ask_query *
ask_find(struct vlog *v, const struct relay_link *l, uint32_t xid)
{
	struct ask_query *q;

	LIST_FOREACH(q, &v->by_xid[xid % ASK_BUCKETS], next)
		if (q->xid == xid && q->ask->link == l)
			return q;
	return NULL;
}

static void
query_take(struct relay_ask *a, struct ask_query *q)
{
	LIST_REMOVE(q, next);
	q->out = false;
	a->out--;
}

/* False: no memory now, or no link; the tick tries again. */
static bool
query_send(struct relay_ask *a, struct ask_query *q)
{
	struct vlog *v = a->v;
	uint8_t buf[PRESTATE_QUERY_MAX];
	struct rec *rec;
	size_t n;

	do
		q->xid = ++v->xid;
	while (ask_find(v, a->link, q->xid) != NULL ||
	       entry_find_running(v->r, a->link, q->xid) != NULL);
	n = a->finishes ? verdict_finish_write(
			      a->verdict, a->call, q->xid, buf, sizeof(buf))
			: prestate_query_write(
			      &q->q, a->call, q->xid, buf, sizeof(buf));
	assert(n > 0); /* prestate_can_ask() */
	rec = a->link->state != LINK_DOWN ? rec_new(v->cfg.pool) : NULL;
	if (rec == NULL || rec_append(rec, buf, n) == -1) {
		rec_unref(rec);
		return false;
	}
	q->ask = a;
	q->out = true;
	a->out++;
	LIST_INSERT_HEAD(&v->by_xid[q->xid % ASK_BUCKETS], q, next);
	relay_act(
	    v->r, (struct relay_action){
		      .type = RELAY_SEND_LINK, .link = a->link, .rec = rec});
	return true;
}

static void
ask_end(struct relay_ask *a)
{
	LIST_REMOVE(a, next);
	a->on = false;
}

static void
ask_go(struct relay_ask *a, uint64_t now_ms)
{
	struct prestate_query q[PRESTATE_QUERIES_MAX];
	unsigned n = 1;

	a->again = false;
	if (!a->finishes)
		n = prestate_queries(&a->ps, a->call, q);
	if (n == 0) {
		ask_end(a);
		a->done(a, NULL, 0, now_ms);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!a->finishes)
			a->query[i].q = q[i];
		a->again = !query_send(a, &a->query[i]) || a->again;
	}
}

static void
ask_open(struct vlog *v, struct relay_ask *a)
{
	assert(!a->on);
	a->v = v;
	a->on = true;
	LIST_INSERT_HEAD(&v->asks, a, next);
}

void
ask_begin(struct vlog *v, struct relay_ask *a, struct relay_link *l,
    const struct prestate_call *call, bool now, uint64_t now_ms)
{
	a->link = l;
	a->call = call;
	a->finishes = false;
	prestate_begin(&a->ps, call, now);
	a->ps.peer_len = PRESTATE_PEER_MAX;
	memcpy(a->ps.peer, l->kconn->peer, PRESTATE_PEER_MAX);
	ask_open(v, a);
	ask_go(a, now_ms);
}

_Static_assert(PRESTATE_PEER_MAX == RELAY_PEER_MAX, "one length of peers");

void
ask_finish(struct vlog *v, struct relay_ask *a, const struct verdict *vd,
    uint64_t now_ms)
{
	a->finishes = true;
	a->verdict = vd;
	ask_open(v, a);
	ask_go(a, now_ms);
}

void
ask_later(struct vlog *v, struct relay_ask *a)
{
	ask_open(v, a);
	a->again = true;
}

void
ask_cancel(struct relay_ask *a)
{
	for (unsigned i = 0; i < PRESTATE_QUERIES_MAX; i++)
		if (a->query[i].out)
			query_take(a, &a->query[i]);
	if (a->on)
		ask_end(a);
}

void
asks_lost(struct vlog *v, struct relay_link *l)
{
	struct relay_ask *a;

	LIST_FOREACH(a, &v->asks, next) {
		if (a->link != l)
			continue;
		for (unsigned i = 0; i < PRESTATE_QUERIES_MAX; i++)
			if (a->query[i].out)
				query_take(a, &a->query[i]);
		a->again = true;
	}
}

void
asks_tick(struct vlog *v, uint64_t now_ms)
{
	struct relay_ask *a, *next;

	for (a = LIST_FIRST(&v->asks); a != NULL; a = next) {
		next = LIST_NEXT(a, next);
		if (!a->again || a->out > 0)
			continue;
		link_open(a->link);
		ask_go(a, now_ms);
	}
}

bool
ask_reply(struct ask_query *q, struct rec *rec, uint64_t now_ms)
{
	struct relay_ask *a = q->ask;
	uint8_t buf[ASK_REPLY_MAX];
	size_t len = rec_copy_out(rec, 0, buf, sizeof(buf));
	bool whole = len == rec->len;
	enum prestate_take take = PRESTATE_TAKEN;

	rec_unref(rec);
	query_take(a, q);
	if (!whole) {
		a->again = true;
		return false;
	}
	if (a->finishes) {
		ask_end(a);
		a->done(a, buf, len, now_ms);
		return true;
	}
	take = prestate_answer(&a->ps, a->call, &q->q, buf, len);
	a->again = a->again || take != PRESTATE_TAKEN;
	if (take == PRESTATE_BAD)
		return false;
	if (a->out == 0 && !a->again)
		ask_go(a, now_ms);
	return true;
}
