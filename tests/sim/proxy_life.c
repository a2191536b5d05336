/*
 * A proxy's process: how it is configured, how it starts and ends, how its
 * state is carried over, and what must hold inside of it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "upstream.h"

static struct px_config
config(const struct world *w)
{
	return (struct px_config){
	    .nnetworks = NETS,
	    .nservers = w->t.nservers,
	    .nvolumes = VOLUMES,
	    .network = {"netA", "netB"},
	    .server = {"s1", "s2", "s3"},
	    .address = {{true, true}, {true, true}, {true, true}},
	    .volume = {{.name = "home",
			   .id = 1,
			   .ncandidates = w->t.nservers,
			   .candidate = {0, 1, 2}},
		{.name = "work",
		    .id = 2,
		    .ncandidates = w->t.nservers,
		    .candidate = {1, w->t.nservers == 2 ? 0 : 2, 0}}},
	    .path = {.interval_ms = 50,
		.multiplier = 3,
		.probe_after_ms = 250,
		.oneway_ms = 250,
		.hold_ms = 1000,
		.hold_max_ms = 60000,
		.calm_ms = 60000},
	    .paths = w->t.paths,
	    .calls_max = w->t.calls_max,
	    .kconns_max = 64,
	    .replay_calls = w->t.replay_calls,
	    .linger_ms = 120000,
	    .connect_ms = 500,
	    .retry_ms = 50,
	    .retry_max_ms = 1000,
	    .resend_ms = 30000,
	    .no_fence = w->opt.no_fence,
	};
}

void
proxy_start(struct client *cl)
{
	struct px_config cfg = config(cl->w);

	if (cl->starts++ > 0 && chance(cl->w, 100))
		cl->incarnation = rnd(cl->w, 10); /* its file was lost */
	cl->incarnation++;
	cl->stalled_until = 0;
	memset(cl->netlink, 0, sizeof(cl->netlink));
	cl->kconn_ids = cl->incarnation << 20;
	cl->events_told = 0;
	cl->px = px_new(&cfg, now_ms(cl->w));
	assert(cl->px != NULL);
	cl->alive = true;
	tell(cl->w, "c%u: proxy starts, incarnation %llu", cl->number + 1,
	    (unsigned long long)cl->incarnation);
	for (uint32_t n = 0; n < NETS; n++)
		proxy_interface(cl, n,
		    iface_up(cl->w, n, client_host(cl->number)) ? PATH_NEW
								: PATH_CARRIER);
	at(cl->w, rnd(cl->w, PX_TICK_MS * MS), EV_PROXY_TICK, cl, cl->starts);
}

void
proxy_kill(struct client *cl)
{
	tell(cl->w, "c%u: proxy is killed", cl->number + 1);
	cl->alive = false;
	upstream_end(cl);
	px_free(cl->px);
	cl->px = NULL;
	for (struct proxy_conn *p = cl->conns; p != NULL; p = p->next)
		if (!p->cut)
			kernel_lost(p->kc);
	cl->conns = NULL;
}

void
proxy_stall(struct client *cl, uint64_t until)
{
	tell(cl->w, "c%u: proxy does not run for %llu ms", cl->number + 1,
	    (unsigned long long)((until - cl->w->now) / MS));
	cl->stalled_until = until;
}

void
proxy_upgrade(struct client *cl)
{
	struct px_config cfg = config(cl->w);
	uint64_t id[64];
	struct upstream *up;
	uint32_t n = 0;
	uint8_t *buf;
	size_t len;

	tell(cl->w, "c%u: proxy writes its state out and reads it back",
	    cl->number + 1);
	assert(px_save(cl->px, &buf, &len) == 0);
	for (up = cl->ups; up != NULL && n < 64; up = up->next)
		id[n++] = up->u != NULL ? up->u->kconn->id : 0;
	px_free(cl->px);
	cl->px = px_load(&cfg, cl->w->calls, buf, len, now_ms(cl->w));
	free(buf);
	assert(cl->px != NULL);
	cl->events_told = 0;
	for (struct kconn *k = px_kconns(cl->px); k != NULL; k = k->next) {
		for (struct proxy_conn *p = cl->conns; p; p = p->next)
			if (p->id == k->id) {
				p->k = k;
				k->user = p;
			}
		n = 0;
		for (up = cl->ups; up != NULL && n < 64; up = up->next)
			if (id[n++] == k->id) {
				up->u = &k->u[up->path % NETS];
				up->u->user = up;
			}
	}
	proxy_settle(cl);
}

/* --- what must hold inside */

static void
count_call(struct call *c, void *arg)
{
	assert(c->rec != NULL && c->kconn != NULL);
	++*(uint32_t *)arg;
}

void
proxy_audit(struct client *cl, bool last)
{
	uint32_t calls = 0, kconns = 0;

	if (!cl->alive)
		return;
	for (struct kconn *k = px_kconns(cl->px); k != NULL; k = k->next) {
		uint32_t mine = 0;

		px_each_call(cl->px, k, count_call, &mine);
		if (mine != k->ncalls)
			broken(cl->w, I8,
			    "c%u: a connection has %u calls and "
			    "counts %u",
			    cl->number + 1, mine, k->ncalls);
		calls += mine;
		kconns++;
	}
	if (calls > cl->w->t.calls_max)
		broken(cl->w, I8, "c%u: %u calls", cl->number + 1, calls);
	if (last && kconns > 0)
		broken(cl->w, LIVE,
		    "c%u: %u connections that the kernel "
		    "closed are still there",
		    cl->number + 1, kconns);
}
