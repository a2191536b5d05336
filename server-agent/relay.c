/*
 * The relay as a whole: its life, actions, connections, time and and time.
 * See relay.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_log.h"

const char *const relay_program_names[RELAY_PROGRAMS] = {"NFS", "MOUNT"};

const char *const relay_reason_names[RELAY_REASONS] = {
    "fenced by its client",
    "replaced by a newer connection",
    "its proxy was started anew",
    "backend connection lost",
    "no RPC call",
    "two calls with one XID",
    "volume not served here",
    "its kernel connection is over",
    "its call is asked for over another connection",
};

const char *const relay_stage_names[RELAY_STAGES] = {
    [RELAY_S_KEYS] = "waits for its keys",
    [RELAY_S_ASKING] = "its pre-state is read",
    [RELAY_S_INTENT] = "its intent is written",
    [RELAY_S_BACKEND] = "at the backend",
    [RELAY_S_HELD] = "its error is held",
    [RELAY_S_COMPLETION] = "its completion is written",
    [RELAY_S_COMMIT] = "waits for the commit",
    [RELAY_S_UNDECIDED] = "undecidable",
};

struct relay *
relay_new(const struct relay_config *cfg)
{
	struct relay *r;

	assert(cfg->volumes <= RELAY_VOLUMES_MAX);
	assert(cfg->networks <= RELAY_NETWORKS_MAX);
	if (cfg->entries_max == 0 || cfg->client_entries_max == 0)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->cfg = *cfg;
	LIST_INIT(&r->clients);
	TAILQ_INIT(&r->stalled);
	r->ring_size = 64;
	r->ring = calloc(r->ring_size, sizeof(*r->ring));
	if (r->ring == NULL || table_init(r) == -1) {
		table_fini(r);
		free(r->ring);
		free(r);
		return NULL;
	}
	return r;
}

static void
free_client_tables(struct relay_client *cl)
{
	struct relay_table *t;

	while ((t = LIST_FIRST(&cl->tables)) != NULL) {
		LIST_REMOVE(t, next);
		free(t);
	}
}

static void
free_dead(struct relay *r)
{
	struct relay_conn *c;
	struct relay_kconn *k;
	struct relay_client *cl;

	while ((c = r->dead_conns) != NULL) {
		r->dead_conns = c->dead_next;
		free(c);
	}
	while ((k = r->dead_kconns) != NULL) {
		r->dead_kconns = k->dead_next;
		free(k->sent);
		free(k);
	}
	while ((cl = r->dead_clients) != NULL) {
		r->dead_clients = cl->dead_next;
		free_client_tables(cl);
		free(cl);
	}
}

static void
free_client(struct relay *r, struct relay_client *cl)
{
	struct relay_kconn *k;
	struct relay_table *t;

	while ((k = LIST_FIRST(&cl->kconns)) != NULL) {
		for (unsigned i = 0; i < RELAY_PROGRAMS; i++) {
			struct relay_entry *e;

			while ((e = LIST_FIRST(&k->links[i].calls)) != NULL)
				entry_free(r, e);
		}
		LIST_REMOVE(k, next);
		free(k->sent);
		free(k);
	}
	LIST_FOREACH(t, &cl->tables, next)
		for (unsigned i = 0; i < KEPT_LISTS; i++)
			while (!TAILQ_EMPTY(&t->kept[i]))
				entry_free(r, TAILQ_FIRST(&t->kept[i]));
	free_client_tables(cl);
	LIST_REMOVE(cl, next);
	free(cl);
}

void
relay_free(struct relay *r)
{
	if (r == NULL)
		return;
	assert(r->n.conns == 0 && r->ring_n == 0);
	for (unsigned i = 0; i < r->cfg.volumes; i++) {
		if (r->logs[i] != NULL)
			relay_log_clear(r, i, 0);
		relay_forbid(r, i, 0, NULL, 0);
	}
	r->ring_n = 0; /* links that were told to close */
	while (!LIST_EMPTY(&r->clients))
		free_client(r, LIST_FIRST(&r->clients));
	free_dead(r);
	table_fini(r);
	free(r->ring);
	free(r);
}

/* --- actions */

static void
ring_grow(struct relay *r)
{
	size_t n = r->ring_size * 2;
	struct relay_action *ring = calloc(n, sizeof(*ring));

	/* What must be done cannot be forgotten; the ring is as long as the
	 * most actions of one event, so this happens a few times at most. */
	if (ring == NULL)
		abort();
	for (size_t i = 0; i < r->ring_n; i++)
		ring[i] = r->ring[(r->ring_at + i) % r->ring_size];
	free(r->ring);
	r->ring = ring;
	r->ring_size = n;
	r->ring_at = 0;
}

void
relay_act(struct relay *r, struct relay_action action)
{
	if (r->ring_n == r->ring_size)
		ring_grow(r);
	r->ring[(r->ring_at + r->ring_n++) % r->ring_size] = action;
}

void
actions_forget(struct relay *r, unsigned volume)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->ring_n; i++) {
		struct relay_action *a =
		    &r->ring[(r->ring_at + i) % r->ring_size];

		if (a->type < RELAY_LOG_WRITE || a->volume != volume)
			r->ring[(r->ring_at + kept++) % r->ring_size] = *a;
	}
	r->ring_n = kept;
}

/* Is what the action is for still there? */
static bool
action_stands(const struct relay_action *a)
{
	if (a->conn != NULL && a->conn->gone)
		return false;
	return a->link == NULL || !a->link->kconn->freed ||
	       a->type == RELAY_CLOSE_LINK;
}

bool
relay_next(struct relay *r, struct relay_action *a)
{
	while (r->ring_n > 0) {
		*a = r->ring[r->ring_at];
		r->ring_at = (r->ring_at + 1) % r->ring_size;
		r->ring_n--;
		if (action_stands(a))
			return true;
		rec_unref(a->rec);
	}
	free_dead(r);
	if (drain_look(r))
		return relay_next(r, a);
	return false;
}

void
relay_note(struct relay *r, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (r->cfg.note == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	r->cfg.note(r->cfg.note_arg, line);
}

const char *
relay_client_name(const struct relay_client *cl, char *buf)
{
	snprintf(buf, 9, "%02x%02x%02x%02x", cl->id[0], cl->id[1], cl->id[2],
	    cl->id[3]);
	return buf;
}

/* --- connections */

struct relay_conn *
relay_conn_new(struct relay *r, void *user)
{
	struct relay_conn *c;

	if (r->n.conns >= r->cfg.conns_max)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->r = r;
	c->user = user;
	c->born = r->recoveries;
	LIST_INIT(&c->asked);
	r->n.conns++;
	return c;
}

void *
relay_conn_user(const struct relay_conn *c)
{
	return c->user;
}

void
conn_close(struct relay_conn *c, enum relay_reason why, uint64_t now_ms)
{
	if (c->state == CONN_CLOSED)
		return;
	conn_detach(c, now_ms);
	c->state = CONN_CLOSED;
	relay_act(
	    c->r, (struct relay_action){
		      .type = RELAY_CLOSE_CONN, .conn = c, .reason = why});
}

void
relay_conn_gone(struct relay_conn *c, uint64_t now_ms)
{
	struct relay *r = c->r;

	assert(!c->gone);
	conn_detach(c, now_ms);
	c->state = CONN_CLOSED;
	c->gone = true;
	c->dead_next = r->dead_conns;
	r->dead_conns = c;
	r->n.conns--;
}

void
relay_volume_set(
    struct relay *r, unsigned volume, bool serving, uint64_t now_ms)
{
	struct relay_client *cl, *cl_next;
	struct relay_kconn *k, *k_next;

	assert(volume < r->cfg.volumes);
	r->serving[volume] = serving;
	r->ndraining -= r->draining[volume] && !r->drained[volume];
	r->draining[volume] = r->drained[volume] = false;
	if (serving) {
		table_resume(r);
		return;
	}
	for (cl = LIST_FIRST(&r->clients); cl != NULL; cl = cl_next) {
		cl_next = LIST_NEXT(cl, next);
		for (k = LIST_FIRST(&cl->kconns); k != NULL; k = k_next) {
			k_next = LIST_NEXT(k, next);
			if (k->table->volume == volume)
				kconn_close_all(k, RELAY_R_VOLUME, now_ms);
		}
	}
}

/* --- time */

static void
tick_client(
    struct relay *r, struct relay_client *cl, bool watch, uint64_t now_ms)
{
	struct relay_kconn *k, *k_next;
	struct relay_table *t;

	for (k = LIST_FIRST(&cl->kconns); k != NULL; k = k_next) {
		k_next = LIST_NEXT(k, next);
		if (k->nconns == 0 && !k->retired &&
		    now_ms - k->idle_since_ms >=
			(k->over ? RELAY_OVER_MS : r->cfg.kconn_idle_ms))
			kconn_retire(r, k, RELAY_R_IDLE, now_ms);
	}
	LIST_FOREACH(t, &cl->tables, next)
		table_expire(r, t, now_ms);
	if (watch && r->cfg.answer_ms > 0)
		links_watch(r, cl, now_ms);
}

void
relay_tick(struct relay *r, uint64_t now_ms)
{
	struct relay_client *cl, *next;
	bool watch = now_ms >= r->watch_ms;

	for (unsigned i = 0; i < r->cfg.volumes; i++)
		if (r->logs[i] != NULL)
			asks_tick(r->logs[i], now_ms);
	undecided_tick(r, now_ms);
	if (watch)
		r->watch_ms = now_ms + RELAY_WATCH_MS;
	for (cl = LIST_FIRST(&r->clients); cl != NULL; cl = next) {
		next = LIST_NEXT(cl, next);
		tick_client(r, cl, watch, now_ms);
		if (cl->plain)
			client_settle(r, cl);
	}
	table_resume(r);
	if (watch)
		calls_watch(r, now_ms);
}
