/*
 * Fences: what must be confirmed before calls that change something may be
 * sent again, and before those of other connections may follow the ones of
 * a connection that the kernel closed. The rule is in core.h. Pure.
 */
#include <assert.h>

#include "core_int.h"

/* A network over which the owner's agent can be asked now, or PX_NONE. */
static uint32_t
control_path(const struct px *px, uint32_t volume)
{
	const struct px_volume *v = &px->volume[volume];

	for (uint32_t i = 0; i < px->cfg.nnetworks; i++) {
		uint32_t path =
		    px_path_index(&px->cfg, v->owner, v->order[i]);

		if (px->control[path].state == UCONN_READY &&
		    px->path[path].state == PATH_UP)
			return path;
	}
	return PX_NONE;
}

uint32_t
px_control_path(const struct px *px, uint32_t volume)
{
	return control_path(px, volume);
}

void
px_floor_raise(struct uconn *u, uint64_t floor, uint64_t max)
{
	if (floor > max)
		floor = max;
	if (floor > u->floor)
		u->floor = floor;
}

static void
fence(struct px *px, struct uconn *u, uint64_t now_ms)
{
	uint32_t path = control_path(px, u->kconn->volume);
	struct px_action *a;

	if (u->fencing || path == PX_NONE)
		return;
	u->fencing = true;
	u->fence_path = path;
	u->fence_ms = now_ms;
	px->count.fences++;
	a = px_act(px, PX_FENCE);
	a->path = path;
	a->kconn = u->kconn;
	a->kconn_id = u->kconn->id;
	a->volume = u->kconn->volume;
	a->network = u->network;
	/* All that ever was there, but not what is being made now. */
	a->floor = u->state == UCONN_NONE ? u->generation : u->generation - 1;
}

/* Must the call wait for a fence? Asks for those that are missing. */
bool
px_fence_wanted(struct px *px, struct call *c, uint64_t now_ms)
{
	if (!px_fence_missing(px, c))
		return false;
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		if (c->sent_gen[n] > c->kconn->u[n].floor)
			fence(px, &c->kconn->u[n], now_ms);
	return true;
}

/* All connections of a kconn that the kernel has closed. */
void
px_fence_retired(struct px *px, struct kconn *k, uint64_t now_ms)
{
	uint32_t path = control_path(px, k->volume);
	struct px_action *a;

	/* Only the owner's word counts. */
	if (k->fencing || path == PX_NONE || px->volume[k->volume].guessed)
		return;
	k->fencing = true;
	k->fence_path = path;
	k->fence_ms = now_ms;
	px->count.fences++;
	a = px_act(px, PX_FENCE);
	a->path = path;
	a->kconn = k;
	a->kconn_id = k->id;
	a->volume = k->volume;
	a->network = PX_NONE;
	a->floor = UINT64_MAX;
}

void
px_fence_done(struct px *px, uint32_t path, uint32_t volume,
    uint64_t kconn_id, uint32_t network, uint64_t floor, uint64_t now_ms)
{
	struct kconn *k = px_kconn_find(px, kconn_id);
	struct uconn *u;

	if (k == NULL || k->volume != volume ||
	    px_path_server(px, path) != px->volume[volume].owner ||
	    px->volume[volume].guessed)
		return;
	px->count.fences_confirmed++;
	if (network == PX_NONE) {
		if (k->retired)
			px_retired_release(px, k, now_ms);
		return;
	}
	u = &k->u[network];
	u->fencing = false;
	px_floor_raise(u, floor, u->generation);
	px_explain(px, PX_EV_FENCED, volume, path, now_ms,
	    "volume %s: connections over network %s up to generation %llu "
	    "are fenced, %u calls held",
	    px->cfg.volume[volume].name, px->cfg.network[network],
	    (unsigned long long)u->floor, k->held.n);
	px_pump(px, k, now_ms);
}

static bool
may_still_land(struct px *px, struct kconn *k)
{
	uint32_t server = px->volume[k->volume].owner;

	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		for (struct call *c = k->u[n].calls.first; c; c = c->next)
			if (c->class != CALL_PASSED)
				return true;
	for (struct call *c = k->held.first; c != NULL; c = c->next)
		if (c->class != CALL_PASSED && c->sends > 0 &&
		    c->sent_server == server && c->sent_boot == px->boot[server])
			return true;
	return false;
}

static bool
ever_connected(const struct px *px, const struct kconn *k)
{
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		if (k->u[n].generation != 0)
			return true;
	return false;
}

void
px_kconn_close(struct px *px, struct kconn *k, uint64_t now_ms)
{
	assert(!k->retired);
	k->gates = may_still_land(px, k);
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		px_conn_drop(px, &k->u[n], true, now_ms);
	px_calls_drop(px, k);
	k->retired = true;
	if (k->gates)
		px->volume[k->volume].retired++;
	if (ever_connected(px, k))
		px_fence_retired(px, k, now_ms);
	else
		px_retired_release(px, k, now_ms);
}

/* Its connections cannot do anything any more. */
void
px_retired_release(struct px *px, struct kconn *k, uint64_t now_ms)
{
	struct kconn **at = &px->kconns;
	struct px_action *a;
	uint32_t volume = k->volume;
	bool gated = k->gates;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	px->nkconns--;
	a = px_act(px, PX_KCONN_FREE);
	a->kconn = k;
	a->kconn_id = k->id;
	if (!gated)
		return;
	px->volume[volume].retired--;
	px_pump_volume(px, volume, now_ms);
}
