/*
 * What goes wrong in a run: one to seven faults of the table, when, for how
 * long, to whom: all by the seed. They may overlap.
 */
#include <stdio.h>
#include <string.h>

#include "fault.h"

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

const char *
fault_name(enum fault_kind kind)
{
	return kinds[kind].name;
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
