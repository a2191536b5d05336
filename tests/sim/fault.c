/*
 * What goes wrong in a run: one to seven faults of the table, when, for how
 * long, to whom: all by the seed. They may overlap.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "own.h"

enum fault_kind {
	CARRIER_CLIENT,
	CARRIER_SERVER,
	SWITCH_DEAD,
	ONE_WAY_TO_CLIENT,
	ONE_WAY_TO_SERVER,
	LOSS,
	DELAY,
	LATE,
	PAUSED,
	FLAP,
	NO_BROADCAST,
	BOTH_DOWN,
	ADDRESS,
	INTERFACE,
	PROXY_KILLED,
	PROXY_STALLED,
	PROXY_UPGRADED,
	KERNEL_CLOSES,
	DETECTOR_KILLED,
	AGENT_KILLED,
	AGENT_STALLED,
	SERVER_CRASH,
	BACKEND_STOPPED,
	BACKEND_DIES,
	RESET,
	DEAD_FLOW,
	/* with `storage` alone */
	POWER_CUT,
	BOTH_IN_TURN,
	CUT_AND_NETWORK,
	AGENT_STOPPED,
	NETS_LOST,
	APART,
	DISK_PATH,
	DISK_SLOW,
	FENCE_FAILS,
	FENCE_SLOW,
	MOVE,
	FAULTS
};

static const struct {
	const char *name;
	uint32_t weight, servers; /* the latter with `storage` */
} kinds[FAULTS] = {
    [CARRIER_CLIENT] = {"carrier lost at a client", 5, 2},
    [CARRIER_SERVER] = {"carrier lost at a server", 5, 3},
    [SWITCH_DEAD] = {"network dead", 6, 4},
    [ONE_WAY_TO_CLIENT] = {"one-way loss to a client", 6, 2},
    [ONE_WAY_TO_SERVER] = {"one-way loss to a server", 6, 2},
    [LOSS] = {"loss", 6, 2},
    [DELAY] = {"delay", 4, 2},
    [LATE] = {"packets held up", 10, 3},
    [PAUSED] = {"network stands still", 8, 3},
    [FLAP] = {"network flaps", 5, 1},
    [NO_BROADCAST] = {"no broadcast", 3, 1},
    [BOTH_DOWN] = {"both networks dead", 4, 2},
    [ADDRESS] = {"address changed", 4, 1},
    [INTERFACE] = {"interface removed", 4, 1},
    [PROXY_KILLED] = {"proxy killed", 6, 3},
    [PROXY_STALLED] = {"proxy does not run", 5, 2},
    [PROXY_UPGRADED] = {"proxy's state carried over", 4, 1},
    [KERNEL_CLOSES] = {"kernel closes connections", 6, 3},
    [DETECTOR_KILLED] = {"detector killed", 3, 1},
    [AGENT_KILLED] = {"agent killed", 3, 8},
    [AGENT_STALLED] = {"agent does not run", 8, 3},
    [SERVER_CRASH] = {"server crashes", 3, 0},
    [BACKEND_STOPPED] = {"backend stopped", 4, 2},
    [BACKEND_DIES] = {"backend dies", 3, 6},
    [RESET] = {"connections reset", 6, 2},
    [DEAD_FLOW] = {"flows dead", 3, 1},
    [POWER_CUT] = {"power cut", 0, 16},
    [BOTH_IN_TURN] = {"power cut of two in turn", 0, 4},
    [CUT_AND_NETWORK] = {"power cut and network dead", 0, 6},
    [AGENT_STOPPED] = {"agent stopped", 0, 6},
    [NETS_LOST] = {"server without networks", 0, 4},
    [APART] = {"servers cut off from each other", 0, 4},
    [DISK_PATH] = {"disk path dead", 0, 6},
    [DISK_SLOW] = {"disk slow", 0, 5},
    [FENCE_FAILS] = {"fence fails", 0, 3},
    [FENCE_SLOW] = {"fence is slow", 0, 3},
    [MOVE] = {"moved by hand", 0, 8},
};

struct fault {
	struct world *w;
	enum fault_kind kind;
	uint32_t net, client, server, other, volume, times, turn;
	uint64_t lasts;
};

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
	    by > 0 ? "begins" : "ends", kinds[f->kind].name, 'A' + (int)f->net,
	    f->client + 1, f->server + 1);
	apply(f, by);
	if (step + 1 < 2 * (uint64_t)f->times)
		at(f->w, f->lasts, EV_FAULT, f, step + 1);
}

/* --- the plan */

static void
add_turn(struct world *w, uint64_t when)
{
	uint32_t i = w->nturns;

	if (i == TURNS_MAX)
		return;
	w->nturns++;
	for (; i > 0 && w->turns[i - 1] > when; i--)
		w->turns[i] = w->turns[i - 1];
	w->turns[i] = when;
}

uint64_t
faults_quiet(const struct world *w)
{
	const uint64_t before = 40 * MS, after = 250 * MS;

	for (uint32_t i = 0; i < w->nturns; i++)
		if (w->turns[i] + after > w->now)
			return w->turns[i] > w->now + before
				   ? w->turns[i] - w->now - before
				   : 0;
	return 200 * MS;
}

static uint32_t
weight(const struct world *w, uint32_t kind)
{
	return w->t.storage ? kinds[kind].servers : kinds[kind].weight;
}

static enum fault_kind
choose(struct world *w)
{
	uint32_t sum = 0, r;

	for (uint32_t k = 0; k < FAULTS; k++)
		sum += weight(w, k);
	r = rnd(w, sum);
	for (uint32_t k = 0; k < FAULTS; k++) {
		if (r < weight(w, k))
			return (enum fault_kind)k;
		r -= weight(w, k);
	}
	return SWITCH_DEAD;
}

static void
set_times(struct world *w, struct fault *f)
{
	f->times = 1;
	f->lasts = rnd_between(w, 20 * MS, chance(w, 500) ? 600 * MS : 3 * SEC);
	if (f->kind == FLAP) {
		f->times = 2 + rnd(w, 8);
		f->lasts = rnd_between(w, 50 * MS, 700 * MS);
	} else if (f->kind == BOTH_DOWN) {
		f->lasts = w->t.storage     ? rnd_between(w, 100 * MS, 2 * SEC)
			   : chance(w, 20)  ? 150 * SEC
			   : chance(w, 200) ? 10 * SEC
					    : rnd_between(w, 100 * MS, 4 * SEC);
	} else if (f->kind == KERNEL_CLOSES || f->kind == RESET ||
		   f->kind == PROXY_UPGRADED || f->kind == ADDRESS) {
		f->times = 1 + rnd(w, 4);
		f->lasts = rnd_between(w, 1 * MS, 400 * MS);
	} else if (f->kind == BOTH_IN_TURN) {
		f->times = 2;
		f->lasts = rnd_between(w, 300 * MS, 3 * SEC);
	} else if (f->kind == AGENT_STOPPED || f->kind == DISK_SLOW) {
		f->lasts = rnd_between(
		    w, 100 * MS, 2ull * w->t.lease_ms * MS + 500 * MS);
	} else if (f->kind == MOVE) {
		f->times = 1 + rnd(w, 3);
		f->lasts = rnd_between(w, 50 * MS, 1 * SEC);
	} else if (f->kind >= POWER_CUT && f->kind != FENCE_SLOW) {
		f->lasts = rnd_between(w, 300 * MS, 4 * SEC);
	}
}

static void
name_fault(struct world *w, enum fault_kind k)
{
	size_t n = strlen(w->faults);

	snprintf(w->faults + n, sizeof(w->faults) - n, "%s %s",
	    n > 0 ? "," : "", kinds[k].name);
}

/* Trouble seldom comes alone: most faults begin around few moments, and on
 * the same network, client and server. */
struct moment {
	uint64_t at;
	uint32_t net, client, server;
};

static struct moment
moment(struct world *w)
{
	return (struct moment){
	    .at = rnd_between(w, 50 * MS, 2500 * MS),
	    .net = rnd(w, NETS),
	    .client = rnd(w, w->t.nclients),
	    .server = rnd(w, w->t.nservers),
	};
}

uint64_t
faults_plan(struct world *w)
{
	enum { MOMENTS = 3 };
	uint32_t n = 1 + rnd(w, 7), nmoments = 1 + rnd(w, MOMENTS);
	struct moment m[MOMENTS];
	uint64_t end = 0;

	for (uint32_t i = 0; i < nmoments; i++)
		m[i] = moment(w);
	for (uint32_t i = 0; i < n; i++) {
		struct fault *f = sim_alloc(w, sizeof(*f));
		struct moment here = m[rnd(w, nmoments)], other = moment(w);
		uint64_t begin = here.at, last;

		begin += chance(w, 700) ? rnd_between(w, 0, 250 * MS)
					: rnd_between(w, 0, 1500 * MS);
		f->w = w;
		f->kind = choose(w);
		f->net = chance(w, 700) ? here.net : other.net;
		f->client = chance(w, 700) ? here.client : other.client;
		f->server = chance(w, 700) ? here.server : other.server;
		f->other =
		    (f->server + 1 + rnd(w, w->t.nservers - 1)) % w->t.nservers;
		f->volume = rnd(w, VOLUMES);
		set_times(w, f);
		name_fault(w, f->kind);
		w->dead_flows = w->dead_flows || f->kind == DEAD_FLOW;
		at(w, begin, EV_FAULT, f, 0);
		last = begin + (2 * f->times - 1) * f->lasts;
		for (uint64_t k = 0; k < 2 * (uint64_t)f->times; k++)
			add_turn(w, begin + k * f->lasts);
		if (f->kind == LATE)
			last += 4 * SEC;
		if (last > end)
			end = last;
	}
	return end;
}
