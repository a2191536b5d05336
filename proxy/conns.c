/*
 * Connections to agents: when one is made, what becomes of what it carried.
 * What must be confirmed before that may be sent again: fences.c. Pure.
 */

#include "core_int.h"

static uint32_t
longer(const struct px *px, uint32_t retry_ms)
{
	retry_ms *= 2;
	return retry_ms < px->cfg.retry_max_ms ? retry_ms
					       : px->cfg.retry_max_ms;
}

void
px_conn_drop(struct px *px, struct uconn *u, bool abort_it, uint64_t now_ms)
{
	if (u->state == UCONN_NONE)
		return;
	if (abort_it)
		px_act(px, PX_ABORT)->uconn = u;
	/* One that worked is made anew at once, one that did not after a
	 * growing while. A reply shows that it works, or that it lasted. */
	if (u->state == UCONN_READY &&
	    now_ms - u->since_ms >= px->cfg.retry_max_ms)
		u->retry_ms = px->cfg.retry_ms;
	u->retry_at_ms = now_ms;
	if (u->state != UCONN_READY || u->retry_ms > px->cfg.retry_ms)
		u->retry_at_ms += u->retry_ms;
	u->retry_ms = longer(px, u->retry_ms);
	u->state = UCONN_NONE;
	px_calls_hold(px, u, now_ms);
}

/*
 * The volume has left a lossy path for a clean one, but calls sent before
 * still wait there for TCP to get them through: seconds, at 30% loss.
 */
static bool
left_behind(const struct px *px, const struct uconn *u, uint64_t now_ms)
{
	const struct px_volume *v = &px->volume[u->kconn->volume];
	uint32_t best = v->best;

	if (u->calls.first == NULL || best == PX_NONE || best == u->network ||
	    u->kconn->u[best].state != UCONN_READY)
		return false;
	return px->path[px_owner_path(px, u->kconn, u->network)].lossy &&
	    !px->path[px_owner_path(px, u->kconn, best)].lossy &&
	    now_ms - u->calls.first->sent_ms >= px->cfg.path.oneway_ms;
}

void
px_conns_maintain(struct px *px, struct kconn *k, uint64_t now_ms)
{
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		struct uconn *u = &k->u[n];
		const struct path *p = &px->path[px_owner_path(px, k, n)];
		struct px_action *a;

		if (u->state == UCONN_CONNECTING &&
		    now_ms - u->since_ms >= px->cfg.connect_ms)
			px_conn_drop(px, u, true, now_ms);
		if (left_behind(px, u, now_ms)) {
			px_conn_drop(px, u, true, now_ms);
			px_pump(px, k, now_ms);
		}
		if (u->state != UCONN_NONE || k->retired || !p->exists ||
		    p->state != PATH_UP || now_ms < u->retry_at_ms ||
		    px_owner_away(px, k->volume, now_ms))
			continue;
		u->generation = ++px->generations;
		u->state = UCONN_CONNECTING;
		u->since_ms = now_ms;
		a = px_act(px, PX_CONNECT);
		a->uconn = u;
		a->generation = u->generation;
	}
}

void
px_control_drop(struct px *px, uint32_t path, bool abort_it, uint64_t now_ms)
{
	struct control *c = &px->control[path];
	uint32_t server = px_path_server(px, path);

	if (c->state == UCONN_NONE)
		return;
	if (abort_it)
		px_act(px, PX_CONTROL_ABORT)->path = path;
	if (c->state == UCONN_READY) {
		c->retry_at_ms = now_ms;
		c->retry_ms = px->cfg.retry_ms;
	} else {
		c->retry_at_ms = now_ms + c->retry_ms;
		c->retry_ms = longer(px, c->retry_ms);
	}
	c->state = UCONN_NONE;
	c->subscribed_ms = 0;
	path_probe_void(&px->path[path]);
	/* What was asked over it is asked again over another. */
	for (struct kconn *k = px->kconns; k != NULL; k = k->next) {
		if (k->fencing && k->fence_path == path)
			k->fencing = false;
		for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
			if (k->u[n].fencing && k->u[n].fence_path == path)
				k->u[n].fencing = false;
		if (k->retired && px->volume[k->volume].owner == server)
			px_fence_retired(px, k, now_ms);
	}
}

void
px_conns_path_down(struct px *px, uint32_t path, uint64_t now_ms)
{
	uint32_t server = px_path_server(px, path);

	for (struct kconn *k = px->kconns; k != NULL; k = k->next)
		if (px->volume[k->volume].owner == server)
			px_conn_drop(px, &k->u[px_path_network(px, path)],
			    true, now_ms);
	px_control_drop(px, path, true, now_ms);
	px->control[path].retry_at_ms = now_ms + px->control[path].retry_ms;
}

void
px_control_maintain(struct px *px, uint32_t path, uint64_t now_ms)
{
	struct control *c = &px->control[path];
	struct path *p = &px->path[path];

	if (c->state == UCONN_CONNECTING &&
	    now_ms - c->since_ms >= px->cfg.connect_ms)
		px_control_drop(px, path, true, now_ms);
	if (c->state != UCONN_NONE || !p->exists || !p->interface_up)
		return;
	/* An agent that is away can be waited for; a silent path cannot. */
	if (now_ms < c->retry_at_ms &&
	    !(p->state == PATH_UP && path_silent(p, now_ms)))
		return;
	c->attempt = ++px->generations;
	c->state = UCONN_CONNECTING;
	c->since_ms = now_ms;
	/* On a path that counts as up the SYN is the probe. */
	if (p->state == PATH_UP && p->probe_ms == 0)
		path_probe_sent(p, now_ms);
	px_act(px, PX_CONTROL_OPEN)->path = path;
}

/* A kconn's part in a new boot: the old agent's sockets died with it, unread
 * bytes and all, whatever TCP still says on our side. */
static void
leave_boot(struct px *px, struct kconn *k, uint64_t now_ms)
{
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		k->u[n].fencing = false;
		if (k->u[n].state == UCONN_READY)
			px_conn_drop(px, &k->u[n], true, now_ms);
	}
	px_conns_maintain(px, k, now_ms);
}

/*
 * The agent answered attempt with its boot number. False: that is another
 * one than was known when the attempt began, and may be the older.
 */
static bool
agent_boot(struct px *px, uint32_t server, uint64_t boot, uint64_t attempt,
    uint64_t now_ms)
{
	uint64_t old = px->boot[server];

	if (boot == old)
		return true;
	if (old != 0 && attempt <= px->boot_learned[server])
		return false;
	px->boot[server] = boot;
	px->announced_gen[server] = 0;
	px->boot_learned[server] = px->generations;
	if (old == 0)
		return true;
	px_explain(px, PX_EV_AGENT_BOOT, PX_NONE, PX_NONE, now_ms,
	    "agent of %s started anew: boot %llu -> %llu",
	    px->cfg.server[server], (unsigned long long)old,
	    (unsigned long long)boot);
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		uint32_t path = px_path_index(&px->cfg, server, n);

		if (px->control[path].state == UCONN_READY &&
		    px->control[path].boot != boot)
			px_control_drop(px, path, true, now_ms);
	}
	for (struct kconn *k = px->kconns; k != NULL; k = k->next)
		if (px->volume[k->volume].owner == server)
			leave_boot(px, k, now_ms);
	for (struct kconn *k = px->kconns, *next; k != NULL; k = next) {
		next = k->next;
		if (k->retired && px->volume[k->volume].owner == server)
			px_retired_release(px, k, now_ms);
	}
	return true;
}

void
px_control_ready(struct px *px, uint32_t path, uint64_t boot, uint64_t now_ms)
{
	struct control *c = &px->control[path];
	struct path *p = &px->path[path];
	uint32_t server = px_path_server(px, path);

	if (c->state != UCONN_CONNECTING)
		return;
	if (!agent_boot(px, server, boot, c->attempt, now_ms)) {
		px_control_drop(px, path, true, now_ms);
		return;
	}
	c->state = UCONN_READY;
	c->boot = boot;
	c->retry_ms = px->cfg.retry_ms;
	path_connected(p, now_ms - c->since_ms, now_ms);
	if (path_control_up(p, now_ms))
		px_path_changed(px, path, now_ms);
	for (struct kconn *k = px->kconns; k != NULL; k = k->next) {
		if (px->volume[k->volume].owner != server)
			continue;
		if (k->retired)
			px_fence_retired(px, k, now_ms);
		/* Who answers here need not be waited for there. */
		k->u[px_path_network(px, path)].retry_at_ms = now_ms;
		px_conns_maintain(px, k, now_ms);
	}
	px_pump_server(px, server, now_ms);
}

void
px_control_lost(struct px *px, uint32_t path, enum px_lost how,
    uint64_t now_ms)
{
	struct path *p = &px->path[path];

	if (px->control[path].state == UCONN_READY)
		px_explain(px, PX_EV_AGENT_LOST, PX_NONE, path, now_ms,
		    "path %s/%s: the agent's control connection ended",
		    px->cfg.server[px_path_server(px, path)],
		    px->cfg.network[px_path_network(px, path)]);
	px_control_drop(px, path, false, now_ms);
	if (how == PX_LOST_REFUSED)
		path_heard(p, now_ms);
	if (path_control_lost(p, &px->cfg.path, how == PX_LOST_UNREACHABLE,
		now_ms))
		px_path_changed(px, path, now_ms);
	px_pump_server(px, px_path_server(px, path), now_ms);
}

void
px_probe_acked(struct px *px, uint32_t path, uint64_t now_ms)
{
	path_probe_acked(&px->path[path], now_ms);
}

void
px_probe_answered(struct px *px, uint32_t path, uint32_t rtt_us,
    uint64_t now_ms)
{
	path_probe_answered(&px->path[path], rtt_us, now_ms);
}

void
px_uconn_ready(struct px *px, struct uconn *u, uint64_t boot, uint64_t floor,
    uint64_t now_ms)
{
	struct kconn *k = u->kconn;

	if (u->state != UCONN_CONNECTING)
		return;
	if (!agent_boot(px, px->volume[k->volume].owner, boot, u->generation,
		now_ms))
		px_conn_drop(px, u, true, now_ms);
	if (u->state != UCONN_CONNECTING)
		return;
	u->state = UCONN_READY;
	u->heard_ms = now_ms;
	px_floor_raise(u, floor, u->generation - 1);
	path_heard(&px->path[px_owner_path(px, k, u->network)], now_ms);
	px_pump(px, k, now_ms);
}

void
px_uconn_fenced(struct px *px, struct uconn *u, uint64_t floor,
    uint64_t now_ms)
{
	px_conn_drop(px, u, false, now_ms);
	/* No generation follows the highest floor: the agent believes that
	 * the kernel connection is over. */
	if (floor < PX_GENERATION_MAX / 2) {
		if (floor > px->generations)
			px->generations = floor;
		if (floor > u->floor)
			u->floor = floor;
		if (floor >= u->generation)
			u->retry_at_ms = now_ms;
	}
	px_conns_maintain(px, u->kconn, now_ms);
	px_pump(px, u->kconn, now_ms);
}

void
px_uconn_lost(struct px *px, struct uconn *u, const char *why,
    uint64_t now_ms)
{
	struct kconn *k = u->kconn;

	if (u->state == UCONN_READY)
		px_explain(px, PX_EV_CONN_LOST, k->volume,
		    px_owner_path(px, k, u->network), now_ms,
		    "volume %s: connection over network %s lost: %s; "
		    "%u calls were on it",
		    px->cfg.volume[k->volume].name,
		    px->cfg.network[u->network], why, u->calls.n);
	px_conn_drop(px, u, false, now_ms);
	px_conns_maintain(px, k, now_ms);
	px_pump(px, k, now_ms);
}
