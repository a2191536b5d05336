/*
 * What faults do, as each begins and ends. Which there are, when, and to
 * whom, is chosen in fault_plan.c.
 */
#include <assert.h>

#include "fault.h"

/* --- what they do */

static void
carrier(struct fault *f, uint32_t host, int by)
{
	struct iface *i = &f->w->net[f->net].iface[host];

	i->no_carrier += (uint32_t)by;
	if (host == client_host(f->client))
		proxy_interface(&f->w->client[f->client], f->net,
		    i->no_carrier > 0 ? PATH_CARRIER : PATH_NEW);
	else
		agent_carrier(&f->w->server[f->server]);
}

static void
interface(struct fault *f, int by)
{
	struct iface *i = &f->w->net[f->net].iface[client_host(f->client)];

	i->gone += (uint32_t)by;
	if (by < 0 && chance(f->w, 300))
		i->address++;
	proxy_interface(&f->w->client[f->client], f->net,
	    i->gone > 0 ? PATH_NO_ADDRESS : PATH_NEW);
}

static void
one_way(struct fault *f, bool to_client, int by)
{
	uint32_t c = client_host(f->client), s = server_host(f->server);
	struct network *n = &f->w->net[f->net];

	n->blocked[to_client ? s : c][to_client ? c : s] += (uint32_t)by;
}

/* Some of the connections there are. */
static void
some_connections(struct fault *f, void (*fn)(struct tcp *c))
{
	for (struct tcp *c = f->w->tcps; c != NULL; c = c->next)
		if (c->known && c->client == f->client &&
		    (!c->end[CLIENT_END].dead || !c->end[SERVER_END].dead) &&
		    chance(f->w, 400))
			fn(c);
}

static void
reset_one(struct tcp *c)
{
	uint32_t which = rnd(c->w, 3);

	if (which != SERVER_END)
		tcp_reset(c, CLIENT_END);
	if (which != CLIENT_END)
		tcp_reset(c, SERVER_END);
}

static void
kill_flow(struct tcp *c)
{
	c->flow_dead = true;
}

static void
kernel_closes(struct fault *f)
{
	struct client *cl = &f->w->client[f->client];

	for (uint32_t v = 0; v < VOLUMES; v++)
		for (uint32_t i = 0; i < f->w->t.nconnect; i++)
			if (chance(f->w, 600))
				kernel_cut(&cl->kc[v][i]);
}

/* No reset leaves it, and it knows no connection when it is back. */
static void
crash(struct fault *f, int by)
{
	struct server *s = &f->w->server[f->server];

	for (uint32_t n = 0; n < NETS; n++)
		f->w->net[n].iface[server_host(f->server)].no_carrier +=
		    (uint32_t)by;
	if (by > 0 && s->alive)
		agent_kill(s);
	else if (by < 0 && !s->alive)
		agent_start(s);
}

/* --- what they do to servers that share a disk */

static struct backend *
backend_of(struct fault *f)
{
	uint32_t volume = f->w->t.storage ? f->volume : f->server;

	return &f->w->backend[f->server][volume];
}

static void
backend_dies(struct fault *f)
{
	struct backend *b = backend_of(f);

	if (!f->w->t.storage)
		backend_die(b, f->w->now + f->lasts);
	else if (b->runs)
		own_backend_dies(&f->w->server[f->server].own[f->volume]);
}

static void
apart(struct fault *f, int by)
{
	uint32_t a = server_host(f->server), b = server_host(f->other);

	for (uint32_t n = 0; n < NETS; n++) {
		f->w->net[n].blocked[a][b] += (uint32_t)by;
		f->w->net[n].blocked[b][a] += (uint32_t)by;
	}
}

static void
networks(struct fault *f, int by)
{
	for (uint32_t n = 0; n < NETS; n++)
		f->w->net[n].iface[server_host(f->server)].no_carrier +=
		    (uint32_t)by;
	agent_carrier(&f->w->server[f->server]);
}

static void
power(struct server *s, int by)
{
	if (by > 0)
		host_cut(s);
	else
		host_boot(s);
}

/* Its owner now, when it begins. */
static void
move(struct fault *f)
{
	struct owner_event ev = {.type = OWNER_EV_MOVE, .peer = (int)f->other};

	for (uint32_t s = 0; s < f->w->t.nservers; s++)
		if (f->w->server[s].alive &&
		    f->w->now >= f->w->server[s].stalled_until)
			own_event(&f->w->server[s].own[f->volume], &ev);
}

static void
apply_server(struct fault *f, int by)
{
	struct world *w = f->w;
	struct server *s = &w->server[f->server];
	struct disk *d = &w->disk[f->volume];

	switch (f->kind) {
	case POWER_CUT:
		power(s, by);
		break;
	case BOTH_IN_TURN: /* the one when the other is back */
		power(f->turn++ < 2 ? s : &w->server[f->other], by);
		break;
	case CUT_AND_NETWORK:
		power(s, by);
		w->net[f->net].dead += (uint32_t)by;
		break;
	case AGENT_STOPPED:
		if (by > 0 && s->alive)
			agent_stall(s, w->now + f->lasts, true);
		break;
	case NETS_LOST:
		networks(f, by);
		break;
	case APART:
		apart(f, by);
		break;
	case DISK_PATH:
		d->path_dead[f->server] += (uint32_t)by;
		break;
	case DISK_SLOW:
		d->slow_until = w->now + (by > 0 ? f->lasts : 0);
		d->slow = rnd_between(w, 5 * MS, 60 * MS);
		break;
	case FENCE_FAILS:
		w->fence_fails_until = w->now + (by > 0 ? f->lasts : 0);
		break;
	case FENCE_SLOW:
		w->fence_slow_until = w->now + (by > 0 ? f->lasts : 0);
		break;
	case MOVE:
		if (by > 0)
			move(f);
		break;
	default:
		assert(0);
	}
}

/* Begins with by 1, ends with by -1. */
static void
apply(struct fault *f, int by)
{
	struct world *w = f->w;
	struct network *n = &w->net[f->net];
	struct client *cl = &w->client[f->client];
	struct server *s = &w->server[f->server];

	switch (f->kind) {
	case CARRIER_CLIENT:
		carrier(f, client_host(f->client), by);
		break;
	case CARRIER_SERVER:
		carrier(f, server_host(f->server), by);
		break;
	case SWITCH_DEAD:
	case FLAP:
		n->dead += (uint32_t)by;
		break;
	case BOTH_DOWN:
		w->net[0].dead += (uint32_t)by;
		w->net[1].dead += (uint32_t)by;
		break;
	case ONE_WAY_TO_CLIENT:
	case ONE_WAY_TO_SERVER:
		one_way(f, f->kind == ONE_WAY_TO_CLIENT, by);
		break;
	case LOSS:
		n->loss = by > 0 ? 50 + rnd(w, 350) : 0;
		break;
	case DELAY:
		n->delay = by > 0 ? rnd_between(w, 1 * MS, 60 * MS) : 0;
		break;
	case LATE:
		n->late = by > 0 ? 20 + rnd(w, 300) : 0;
		n->late_max = rnd_between(w, 10 * MS, 4 * SEC);
		break;
	case PAUSED: /* and then delivers all it was given */
		if (by > 0)
			n->paused_until = w->now + f->lasts;
		break;
	case NO_BROADCAST:
		n->no_broadcast[client_host(f->client)] += (uint32_t)by;
		break;
	case INTERFACE:
		interface(f, by);
		break;
	case DETECTOR_KILLED:
		cl->detector = by < 0;
		break;
	case PROXY_KILLED:
		if (by > 0 && cl->alive)
			proxy_kill(cl);
		else if (by < 0 && !cl->alive)
			proxy_start(cl);
		break;
	case AGENT_KILLED:
		if (by > 0 && s->alive)
			agent_kill(s);
		else if (by < 0 && !s->alive && !s->off)
			agent_start(s);
		break;
	case AGENT_STALLED:
		if (by > 0)
			agent_stall(s, w->now + f->lasts, chance(w, 300));
		break;
	case PROXY_STALLED:
		if (by > 0)
			proxy_stall(cl, w->now + f->lasts);
		break;
	case SERVER_CRASH:
		crash(f, by);
		break;
	case BACKEND_STOPPED:
		if (by > 0)
			backend_of(f)->stopped_until = w->now + f->lasts;
		break;
	case BACKEND_DIES:
		if (by > 0)
			backend_dies(f);
		break;
	case ADDRESS:
		if (by > 0) {
			n->iface[client_host(f->client)].address++;
			proxy_interface(cl, f->net, PATH_ADDRESS);
		}
		break;
	case KERNEL_CLOSES:
		if (by > 0)
			kernel_closes(f);
		break;
	case PROXY_UPGRADED:
		if (by > 0 && cl->alive && w->now >= cl->stalled_until)
			proxy_upgrade(cl);
		break;
	case RESET:
		if (by > 0)
			some_connections(f, reset_one);
		break;
	case DEAD_FLOW:
		if (by > 0)
			some_connections(f, kill_flow);
		break;
	default:
		apply_server(f, by);
	}
}

void
fault_on_step(struct fault *f, uint64_t step)
{
	int by = step % 2 == 0 ? 1 : -1;

	tell(f->w, "fault %s: %s (net %c, c%u, s%u)",
	    by > 0 ? "begins" : "ends", fault_name(f->kind), 'A' + (int)f->net,
	    f->client + 1, f->server + 1);
	apply(f, by);
	if (step + 1 < 2 * (uint64_t)f->times)
		at(f->w, f->lasts, EV_FAULT, f, step + 1);
}
