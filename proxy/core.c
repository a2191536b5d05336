/*
 * The proxy core's objects, its queue of actions and its record of explained
 * decisions. See core.h. Pure.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_int.h"

const char *const uconn_state_names[UCONN_NSTATES] = {
    "none", "connecting", "ready"};

const char *const px_event_names[PX_EV_N] = {
    [PX_EV_PATH_UP] = "path-up",
    [PX_EV_PATH_DOWN] = "path-down",
    [PX_EV_PATH_LOSSY] = "path-lossy",
    [PX_EV_PATH_CLEAN] = "path-clean",
    [PX_EV_CHOICE] = "choice",
    [PX_EV_OWNER] = "owner",
    [PX_EV_CONN_LOST] = "connection-lost",
    [PX_EV_FENCED] = "fenced",
    [PX_EV_REPLAY] = "replay",
    [PX_EV_HELD] = "held",
    [PX_EV_AGENT_LOST] = "agent-lost",
    [PX_EV_AGENT_BOOT] = "agent-boot",
    [PX_EV_LATE] = "late",
};

static int
make_calls(struct px *px)
{
	uint32_t buckets = 1;

	while (buckets < px->cfg.calls_max)
		buckets *= 2;
	px->hash_mask = buckets - 1;
	px->hash = calloc(buckets, sizeof(*px->hash));
	px->call_mem = calloc(px->cfg.calls_max, sizeof(*px->call_mem));
	px->act_size = 1024;
	px->act = calloc(px->act_size, sizeof(*px->act));
	if (px->hash == NULL || px->call_mem == NULL || px->act == NULL)
		return -1;
	for (uint32_t i = px->cfg.calls_max; i-- > 0;) {
		px->call_mem[i].next = px->call_free;
		px->call_free = &px->call_mem[i];
	}
	return 0;
}

struct px *
px_new(const struct px_config *cfg, uint64_t now_ms)
{
	struct px *px = calloc(1, sizeof(*px));

	if (px == NULL)
		return NULL;
	assert(cfg->nnetworks > 0 && cfg->nnetworks <= PX_NETWORKS);
	assert(cfg->nservers > 0 && cfg->nservers <= PX_SERVERS);
	assert(cfg->nvolumes <= PX_VOLUMES && cfg->calls_max > 0);
	px->cfg = *cfg;
	if (make_calls(px) == -1) {
		px_free(px);
		return NULL;
	}
	px->npaths = cfg->nservers * cfg->nnetworks;
	for (uint32_t i = 0; i < px->npaths; i++) {
		path_init(&px->path[i], &cfg->path,
		    cfg->address[px_path_server(px, i)]
				[px_path_network(px, i)]);
		px->path[i].since_ms = now_ms;
		px->control[i].retry_ms = cfg->retry_ms;
	}
	for (uint32_t v = 0; v < cfg->nvolumes; v++) {
		assert(cfg->volume[v].ncandidates > 0);
		px->volume[v].owner = cfg->volume[v].candidate[0];
		px->volume[v].told_owner = px->volume[v].owner;
		px->volume[v].best = px->volume[v].last_best = PX_NONE;
		for (uint32_t n = 0; n < cfg->nnetworks; n++)
			px->volume[v].order[n] = n;
	}
	return px;
}

void
px_free(struct px *px)
{
	struct px_action a;

	if (px == NULL)
		return;
	while (px_next(px, &a))
		;
	while (px->kconns != NULL) {
		struct kconn *k = px->kconns;

		px_calls_drop(px, k);
		px->kconns = k->next;
		free(k);
	}
	free(px->act);
	free(px->call_mem);
	free(px->hash);
	free(px);
}

struct px_action *
px_act(struct px *px, enum px_action_type type)
{
	struct px_action *a;

	if (px->act_n == px->act_size) {
		uint32_t size = px->act_size * 2;
		struct px_action *ring = calloc(size, sizeof(*ring));

		/* As bounded as calls and connections are; at most one
		 * action each. */
		if (ring == NULL)
			abort();
		for (uint32_t i = 0; i < px->act_n; i++)
			ring[i] = px->act[(px->act_at + i) % px->act_size];
		free(px->act);
		px->act = ring;
		px->act_size = size;
		px->act_at = 0;
	}
	a = &px->act[(px->act_at + px->act_n++) % px->act_size];
	memset(a, 0, sizeof(*a));
	a->type = type;
	a->path = a->network = PX_NONE;
	return a;
}

bool
px_next(struct px *px, struct px_action *out)
{
	free(px->given);
	px->given = NULL;
	if (px->act_n == 0)
		return false;
	*out = px->act[px->act_at];
	px->act_at = (px->act_at + 1) % px->act_size;
	px->act_n--;
	if (out->type == PX_KCONN_FREE)
		px->given = out->kconn;
	return true;
}

void
px_explain(struct px *px, enum px_event_id id, uint32_t volume, uint32_t path,
    uint64_t now_ms, const char *fmt, ...)
{
	struct px_event *e = &px->event[px->events % PX_EVENTS];
	va_list ap;

	e->number = px->events++;
	e->when_ms = now_ms;
	e->id = id;
	e->volume = volume;
	e->path = path;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
}

size_t
px_events(const struct px *px, uint64_t from, struct px_event *out, size_t max)
{
	size_t n = 0;

	if (px->events > PX_EVENTS && from < px->events - PX_EVENTS)
		from = px->events - PX_EVENTS;
	for (; from < px->events && n < max; from++)
		out[n++] = px->event[from % PX_EVENTS];
	return n;
}

void
px_list_add(struct px_list *l, struct call *c)
{
	c->next = NULL;
	c->prev = l->last;
	*(l->last != NULL ? &l->last->next : &l->first) = c;
	l->last = c;
	l->n++;
}

void
px_list_insert(struct px_list *l, struct call *c)
{
	struct call *at = l->first;

	while (at != NULL && at->order < c->order)
		at = at->next;
	if (at == NULL) {
		px_list_add(l, c);
		return;
	}
	c->next = at;
	c->prev = at->prev;
	*(at->prev != NULL ? &at->prev->next : &l->first) = c;
	at->prev = c;
	l->n++;
}

void
px_list_remove(struct px_list *l, struct call *c)
{
	*(c->prev != NULL ? &c->prev->next : &l->first) = c->next;
	*(c->next != NULL ? &c->next->prev : &l->last) = c->prev;
	c->next = c->prev = NULL;
	l->n--;
}

struct kconn *
px_kconn_find(struct px *px, uint64_t id)
{
	struct kconn *k = px->kconns;

	while (k != NULL && k->id != id)
		k = k->next;
	return k;
}

struct kconn *
px_kconn_new(struct px *px, uint32_t volume, uint64_t id)
{
	struct kconn *k;

	assert(volume < px->cfg.nvolumes && id != 0);
	if (px->nkconns >= px->cfg.kconns_max ||
	    (k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	k->id = id;
	k->volume = volume;
	k->replay_limit = px->cfg.replay_calls;
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		k->u[n].kconn = k;
		k->u[n].network = n;
		k->u[n].retry_ms = px->cfg.retry_ms;
	}
	k->next = px->kconns;
	px->kconns = k;
	px->nkconns++;
	return k;
}

struct kconn *
px_kconn_open(struct px *px, uint32_t volume, uint64_t id, void *user,
    uint64_t now_ms)
{
	struct kconn *k = px_kconn_new(px, volume, id);

	if (k == NULL)
		return NULL;
	k->user = user;
	px_conns_maintain(px, k, now_ms);
	return k;
}

const struct px_config *
px_config(const struct px *px)
{
	return &px->cfg;
}

const struct path *
px_path(const struct px *px, uint32_t path)
{
	return &px->path[path];
}

const struct control *
px_control(const struct px *px, uint32_t path)
{
	return &px->control[path];
}

struct control *
px_control_mut(struct px *px, uint32_t path)
{
	return &px->control[path];
}

const struct px_volume *
px_volume(const struct px *px, uint32_t volume)
{
	return &px->volume[volume];
}

const struct px_counters *
px_counters(const struct px *px)
{
	return &px->count;
}

struct kconn *
px_kconns(struct px *px)
{
	return px->kconns;
}

void
px_each_call(struct px *px, struct kconn *k,
    void (*fn)(struct call *c, void *arg), void *arg)
{
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		for (struct call *c = k->u[n].calls.first; c; c = c->next)
			fn(c, arg);
	for (struct call *c = k->held.first; c != NULL; c = c->next)
		fn(c, arg);
}
