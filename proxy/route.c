/*
 * Which path: evidence to path states, path states to an order for each
 * volume, with the rule and the evidence recorded. Pure.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core_int.h"

/* The comparator's rules; the first that tells two paths apart decides. */
static const char *const rule_names[PX_RULES] = {
    "no other path",
    "rule 1: up before down",
    "rule 2: without loss before lossy",
    "rule 3: settled before held down",
    "rule 4: configured order",
};
enum { RULE_ONLY, RULE_UP, RULE_CLEAN, RULE_SETTLED, RULE_ORDER };

const char *
px_rule_name(unsigned rule)
{
	assert(rule < PX_RULES);
	return rule_names[rule];
}

/* Negative when a is better; *rule says by which rule. */
static int
path_cmp(const struct path *a, const struct path *b, uint64_t now_ms,
    unsigned *rule)
{
	*rule = RULE_UP;
	if (a->state != b->state)
		return a->state == PATH_UP ? -1 : 1;
	*rule = RULE_CLEAN;
	if (a->lossy != b->lossy)
		return a->lossy ? 1 : -1;
	*rule = RULE_SETTLED;
	if (path_held(a, now_ms) != path_held(b, now_ms))
		return path_held(a, now_ms) ? 1 : -1;
	*rule = RULE_ORDER;
	return a < b ? -1 : 1; /* one server's paths lie in that order */
}

static size_t
path_evidence(const struct px *px, uint32_t path, uint64_t now_ms, char *buf,
    size_t size)
{
	const struct path *p = &px->path[path];
	int n = snprintf(buf, size, "%s %s%s%s", px->cfg.network[
	    px_path_network(px, path)], path_state_names[p->state],
	    p->lossy ? ", lossy" : "",
	    path_held(p, now_ms) ? ", held down" : "");

	if (p->state == PATH_DOWN && n > 0 && (size_t)n < size)
		n += snprintf(buf + n, size - (size_t)n, " (%s)",
		    path_reason_names[p->reason]);
	return n < 0 ? 0 : (size_t)n;
}

static void
explain_choice(struct px *px, uint32_t volume, uint32_t from, uint64_t now_ms)
{
	const struct px_volume *v = &px->volume[volume];
	char seen[160];
	size_t at = 0;

	seen[0] = '\0';
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		uint32_t path = px_path_index(&px->cfg, v->owner, n);

		if (!px->path[path].exists || at + 2 >= sizeof(seen))
			continue;
		if (at > 0)
			at += (size_t)snprintf(seen + at, sizeof(seen) - at,
			    "; ");
		at += path_evidence(px, path, now_ms, seen + at,
		    sizeof(seen) - at);
	}
	px_explain(px, PX_EV_CHOICE, volume,
	    v->best == PX_NONE ? PX_NONE
			       : px_path_index(&px->cfg, v->owner, v->best),
	    now_ms, "volume %s network %s -> %s: %s [%s]",
	    px->cfg.volume[volume].name,
	    from == PX_NONE ? "none" : px->cfg.network[from],
	    v->best == PX_NONE ? "none, calls are held"
			       : px->cfg.network[v->best],
	    v->best == PX_NONE ? "no path is up" : rule_names[v->best_rule],
	    seen);
}

/* Sorts the networks for the owner, best first; insertion, for PX_NETWORKS. */
static void
sort_networks(const struct px *px, const struct path *path, uint32_t *order,
    uint64_t now_ms)
{
	unsigned rule;

	for (uint32_t i = 0; i < px->cfg.nnetworks; i++) {
		uint32_t at = i;

		while (at > 0 && path_cmp(&path[i], &path[order[at - 1]],
				     now_ms, &rule) < 0) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = i;
	}
}

void
px_route(struct px *px, uint32_t volume, uint64_t now_ms)
{
	struct px_volume *v = &px->volume[volume];
	const struct path *path =
	    &px->path[px_path_index(&px->cfg, v->owner, 0)];
	uint32_t from = v->best;
	unsigned rule;

	sort_networks(px, path, v->order, now_ms);
	v->best = path[v->order[0]].state == PATH_UP ? v->order[0] : PX_NONE;
	v->best_rule = RULE_ONLY;
	if (px->cfg.nnetworks > 1)
		path_cmp(&path[v->order[0]], &path[v->order[1]], now_ms,
		    &v->best_rule);
	for (v->nequal = 1; v->nequal < px->cfg.nnetworks; v->nequal++) {
		path_cmp(&path[v->order[0]], &path[v->order[v->nequal]],
		    now_ms, &rule);
		if (rule != RULE_ORDER)
			break;
	}
	if (v->best == from)
		return;
	explain_choice(px, volume, from, now_ms);
	if (v->best == PX_NONE)
		return;
	if (v->last_best != PX_NONE && v->last_best != v->best)
		v->switches++;
	v->last_best = v->best;
}

void
px_route_server(struct px *px, uint32_t server, uint64_t now_ms)
{
	for (uint32_t v = 0; v < px->cfg.nvolumes; v++)
		if (px->volume[v].owner == server)
			px_route(px, v, now_ms);
}

static void
explain_path(struct px *px, uint32_t path, uint64_t now_ms)
{
	const struct path *p = &px->path[path];
	const char *server = px->cfg.server[px_path_server(px, path)];
	const char *network = px->cfg.network[px_path_network(px, path)];
	char hb[48] = "no heartbeat yet";

	if (p->state == PATH_UP) {
		px_explain(px, PX_EV_PATH_UP, PX_NONE, path, now_ms,
		    "path %s/%s down -> up: %s%s", server, network,
		    path_reason_names[p->reason],
		    path_held(p, now_ms) ? ", held down for now" : "");
		return;
	}
	if (p->heartbeat_ms != 0)
		snprintf(hb, sizeof(hb), "last heartbeat %llu ms ago",
		    (unsigned long long)(now_ms - p->heartbeat_ms));
	px_explain(px, PX_EV_PATH_DOWN, PX_NONE, path, now_ms,
	    "path %s/%s up -> down: %s (%s, last heard %llu ms ago)", server,
	    network, path_reason_names[p->reason], hb,
	    (unsigned long long)(now_ms - p->heard_ms));
}

/* A path went up or down: everything that follows from it. */
void
px_path_changed(struct px *px, uint32_t path, uint64_t now_ms)
{
	uint32_t server = px_path_server(px, path);

	explain_path(px, path, now_ms);
	if (px->path[path].state == PATH_DOWN)
		px_conns_path_down(px, path, now_ms);
	px_route_server(px, server, now_ms);
	for (struct kconn *k = px->kconns; k != NULL; k = k->next)
		if (px->volume[k->volume].owner == server)
			px_conns_maintain(px, k, now_ms);
	px_pump_server(px, server, now_ms);
}

void
px_interface(struct px *px, uint32_t network, bool up, enum path_reason why,
    uint64_t now_ms)
{
	for (uint32_t s = 0; s < px->cfg.nservers; s++) {
		uint32_t path = px_path_index(&px->cfg, s, network);
		struct path *p = &px->path[path];

		if (!p->exists)
			continue;
		if (path_interface(p, &px->cfg.path, up, why, now_ms))
			px_path_changed(px, path, now_ms);
		else if (!up || why == PATH_ADDRESS)
			px_control_drop(px, path, true, now_ms);
		px->control[path].retry_at_ms = now_ms;
		px_control_maintain(px, path, now_ms);
	}
}

bool
px_boot_known(const struct px *px, uint32_t server, uint64_t boot)
{
	return px->boot[server] == boot;
}

void
px_heartbeat(struct px *px, uint32_t server, uint32_t network, uint64_t boot,
    uint64_t seq, uint32_t interval_ms, uint32_t multiplier, uint64_t now_ms)
{
	uint32_t path = px_path_index(&px->cfg, server, network);
	struct path *p = &px->path[path];
	struct control *c = &px->control[path];
	bool silent = now_ms - p->heard_ms >= path_detect_ms(p);

	if (!p->exists)
		return;
	if (px_boot_known(px, server, boot))
		path_heartbeat(p, &px->cfg.path, boot, seq, interval_ms,
		    multiplier, now_ms);
	/* It speaks again: an attempt made into the silence waits for TCP's
	 * next retransmission, a new one does not. */
	if (p->state == PATH_DOWN && silent && boot >= px->boot[server]) {
		p->heard_ms = now_ms;
		if (c->state == UCONN_CONNECTING) {
			px_act(px, PX_CONTROL_ABORT)->path = path;
			c->state = UCONN_NONE;
		}
		c->retry_at_ms = now_ms;
		c->retry_ms = px->cfg.retry_ms;
		px_control_maintain(px, path, now_ms);
	}
}

void
px_announced(struct px *px, uint32_t server, uint32_t table_gen,
    uint32_t networks, uint64_t now_ms)
{
	uint32_t gone = px->announced[server] & ~networks;

	if (table_gen < px->announced_gen[server])
		return;
	px->announced_gen[server] = table_gen;
	px->announced[server] = networks;
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		uint32_t path = px_path_index(&px->cfg, server, n);

		if ((gone & 1u << n) != 0 && px->path[path].exists &&
		    path_withdrawn(&px->path[path], &px->cfg.path, now_ms))
			px_path_changed(px, path, now_ms);
	}
}

void
px_retransmits(struct px *px, uint32_t path, uint32_t retrans, uint32_t sent,
    uint64_t now_ms)
{
	path_retransmits(&px->path[path], retrans, sent, now_ms);
}

static void
earlier(uint64_t *oldest, uint64_t ms)
{
	if (*oldest == 0 || ms < *oldest)
		*oldest = ms;
}

/* When the oldest call, or FENCE, that waits over this path was sent; 0:
 * none waits. */
static uint64_t
oldest_sent(struct px *px, uint32_t path)
{
	uint32_t server = px_path_server(px, path);
	uint64_t oldest = 0;

	for (struct kconn *k = px->kconns; k != NULL; k = k->next) {
		const struct uconn *u = &k->u[px_path_network(px, path)];

		if (px->volume[k->volume].owner != server)
			continue;
		if (u->calls.first != NULL) /* while replies come it goes on */
			earlier(&oldest, u->heard_ms > u->calls.first->sent_ms
				? u->heard_ms
				: u->calls.first->sent_ms);
		if (k->fencing && k->fence_path == path)
			earlier(&oldest, k->fence_ms);
		for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
			if (k->u[n].fencing && k->u[n].fence_path == path)
				earlier(&oldest, k->u[n].fence_ms);
	}
	return oldest;
}

static void
explain_loss(struct px *px, uint32_t path, uint64_t now_ms)
{
	const struct path *p = &px->path[path];

	px->lossy[path] = p->lossy;
	px_explain(px, p->lossy ? PX_EV_PATH_LOSSY : PX_EV_PATH_CLEAN,
	    PX_NONE, path, now_ms, "path %s/%s %s, %llu heartbeats lost",
	    px->cfg.server[px_path_server(px, path)],
	    px->cfg.network[px_path_network(px, path)],
	    p->lossy ? "loses packets" : "no longer loses packets",
	    (unsigned long long)p->lost);
}

static void
tick_path(struct px *px, uint32_t path, uint64_t now_ms)
{
	enum { UNHEARD_MS = 1000 };
	struct path *p = &px->path[path];
	struct control *c = &px->control[path];

	if (path_tick(p, &px->cfg.path, now_ms))
		px_path_changed(px, path, now_ms);
	if (px->lossy[path] != p->lossy)
		explain_loss(px, path, now_ms);
	px_control_maintain(px, path, now_ms);
	if (c->state != UCONN_READY)
		return;
	if (path_wants_probe(p, &px->cfg.path, oldest_sent(px, path), now_ms)) {
		px_act(px, PX_PROBE)->path = path;
		path_probe_sent(p, now_ms);
	}
	/* Once subscribed it stays so: the heartbeats that come may be the
	 * ones that were asked for. */
	if (c->subscribed_ms != 0
		? now_ms - c->subscribed_ms >= PX_SUBSCRIBE_MS
		: now_ms - p->heartbeat_ms >= UNHEARD_MS &&
		    now_ms - c->since_ms >= UNHEARD_MS) {
		px_act(px, PX_SUBSCRIBE)->path = path;
		c->subscribed_ms = now_ms;
	}
}

void
px_tick(struct px *px, uint64_t now_ms)
{
	for (uint32_t path = 0; path < px->npaths; path++)
		if (px->path[path].exists)
			tick_path(px, path, now_ms);
	for (uint32_t v = 0; v < px->cfg.nvolumes; v++)
		px_route(px, v, now_ms);
	px_late(px, now_ms);
	for (struct kconn *k = px->kconns; k != NULL; k = k->next)
		px_conns_maintain(px, k, now_ms);
}
