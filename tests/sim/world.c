/*
 * One run: what is switched on and off in which order, and whose each event
 * is. Knows no protocol.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "own.h"

enum { POOL_RECS = 4096, EVENTS_MAX = 2000000 };

static void
happen_servers(const struct event *e)
{
	struct server *s = e->obj;

	switch (e->kind) {
	case EV_OWN_TICK:
		if (s->starts == e->arg && s->alive)
			own_on_tick(s);
		break;
	case EV_OWN_STEP:
		own_on_step(e->obj, e->arg);
		break;
	case EV_CTL:
		ctl_on_io(e->obj);
		break;
	case EV_MAIL:
		ctl_on_mail(e->obj);
		break;
	case EV_PEER:
		peers_on_heard(e->obj);
		break;
	case EV_ECHO:
		peers_on_echo(e->obj);
		break;
	case EV_LOG:
		logio_on_write(e->obj);
		break;
	case EV_LOGGED:
		logio_on_synced(e->obj);
		break;
	default:
		host_on_boot(s, e->arg);
	}
}

static void
happen(struct world *w, const struct event *e)
{
	switch (e->kind) {
	case EV_PACKET:
		tcp_on_packet(w, e->obj);
		break;
	case EV_TCP_TIMER:
		tcp_on_timer(e->obj, (int)e->arg);
		break;
	case EV_KEEPALIVE:
		tcp_on_keepalive(e->obj);
		break;
	case EV_TCP_TELL:
		proxy_tell(e->obj, e->arg & 15, e->arg >> 4);
		break;
	case EV_BEAT:
		agent_on_beat(e->obj);
		break;
	case EV_HEARD: {
		struct heartbeat_event *h = e->obj;

		if (net_arrives(w, h->net, server_host(h->server),
			client_host(h->client)))
			proxy_on_heartbeat(h, &w->client[h->client]);
		break;
	}
	case EV_AGENT_RUN:
		agent_on_run(e->obj);
		break;
	case EV_AGENT_TICK:
		if (((struct server *)e->obj)->starts == e->arg)
			agent_on_tick(e->obj);
		break;
	case EV_LINK_UP:
		agent_on_link_up(e->obj);
		break;
	case EV_EFFECT:
		backend_on_effect(w, e->obj);
		break;
	case EV_ANSWER:
		backend_on_answer(w, e->obj);
		break;
	case EV_SYNCED:
		mount_on_synced(e->obj);
		break;
	case EV_WRITEBACK:
		mount_on_writeback(e->obj);
		break;
	case EV_OWN_TICK:
	case EV_OWN_STEP:
	case EV_CTL:
	case EV_MAIL:
	case EV_PEER:
	case EV_ECHO:
	case EV_BOOT:
	case EV_LOG:
	case EV_LOGGED:
		happen_servers(e);
		break;
	case EV_PROXY_TICK:
		if (((struct client *)e->obj)->starts == e->arg)
			proxy_on_tick(e->obj);
		break;
	case EV_TO_PROXY:
	case EV_TO_KERNEL:
	case EV_HANGUP:
	case EV_RECONNECT:
	case EV_RETRANSMIT:
	case EV_SLOT:
		kernel_on_event(e);
		break;
	case EV_FAULT:
		fault_on_step(e->obj, e->arg);
		break;
	case EV_AUDIT:
		check_bounds(w);
		at(w, 500 * MS, EV_AUDIT, NULL, 0);
		break;
	case EV_KINDS:
		assert(0);
	}
}

static void
mix(uint64_t *hash, uint64_t v)
{
	*hash = (*hash ^ v) * 0x100000001b3u;
	*hash ^= *hash >> 29;
}

/* Until nothing happens before that time any more, or something broke. */
static void
run_until(struct world *w, uint64_t end, bool (*done)(const struct world *w))
{
	while (!w->out.failed && w->nheap > 0 && event_at(&w->heap[0]) <= end) {
		struct event e = next_event(w);

		w->now = event_at(&e);
		w->out.events++;
		mix(&w->hash, w->now << 8 | (uint64_t)e.kind);
		happen(w, &e);
		if (w->out.events > EVENTS_MAX)
			broken(w, LIVE,
			    "something goes round in a circle (event %d)",
			    (int)e.kind);
		if (done != NULL && done(w))
			return;
	}
	if (!w->out.failed)
		w->now = end;
}

/* --- one run */

static void
tune_servers(struct world *w)
{
	struct tuning *t = &w->t;

	t->storage = true;
	t->nservers = 2 + chance(w, 300);
	t->lease_ms = (uint32_t)rnd_between(w, 600, 3000);
	t->renew_ms = t->lease_ms / 10;
	t->fence = w->opt.lease_only ? FENCE_LEASE : rnd(w, FENCE_LEASE);
	t->failback =
	    chance(w, 300) ? CONFIG_FAILBACK_AUTO : CONFIG_FAILBACK_MANUAL;
	t->shared = chance(w, 500) ? 300 : 0;
	t->duels = chance(w, 100);
	if (t->duels) { /* late answers leave calls in doubt */
		t->shared = 700;
		t->slow = 100 + rnd(w, 200);
	}
	t->log_slots = chance(w, 300) ? 24 + rnd(w, 24) : FS_SLOTS;
	/* What nobody acknowledges must free its slot before I6 counts. */
	if (t->log_slots < FS_SLOTS)
		t->retain_ms = t->orphan_ms =
		    (uint32_t)(chance(w, 500) ? rnd_between(w, 300, 3000)
					      : 15000);
}

static void
tune(struct world *w)
{
	struct tuning *t = &w->t;

	t->nclients = 1 + rnd(w, CLIENTS_MAX);
	t->nconnect = 1 + chance(w, 300);
	t->slots = 2 + rnd(w, SLOTS_MAX - 1);
	t->calls_max = chance(w, 200) ? 1 + rnd(w, t->slots) : 64;
	t->replay_calls = 1 + rnd(w, 16);
	t->paths = chance(w, 400) ? PX_ALL_PATHS : PX_PRIMARY_FIRST;
	t->linger_ms = (uint32_t)rnd_between(w, 0, chance(w, 500) ? 20 : 500);
	t->client_entries = chance(w, 200) ? 2 * t->slots + rnd(w, 32) : 800;
	t->timeo = rnd_between(w, 100 * MS, 2 * SEC);
	t->think = rnd_between(w, 0, 40 * MS);
	t->slow = chance(w, 300) ? rnd(w, 60) : 2;
	t->nservers = 2;
	t->retain_ms = 3600000;
	t->orphan_ms = 600000;
	if (w->opt.servers)
		tune_servers(w);
}

static bool
calls_done(const struct world *w)
{
	for (uint32_t i = 0; i < w->t.nclients; i++)
		if (w->client[i].outstanding > 0)
			return false;
	return true;
}

/* Volumes as --format leaves them, and the backends' places. */
static void
make_volumes(struct world *w)
{
	for (uint32_t v = 0; v < VOLUMES; v++) {
		struct mount *m = sim_alloc(w, sizeof(*m));

		m->w = w;
		m->volume = m->server = v;
		m->fs = fs_new(w);
		nfs_populate(m->fs);
		if (w->t.storage)
			logio_format(m->fs, v, w->t.log_slots);
		m->gone = m->clean = w->t.storage;
		w->disk[v].mount = m;
		for (uint32_t s = 0; s < w->t.nservers; s++)
			w->disk[v].fenced[s] =
			    w->t.storage && w->t.fence == FENCE_SCSI;
		for (uint32_t s = 0; s < w->t.nservers; s++)
			w->backend[s][v] =
			    (struct backend){.w = w, .server = s, .volume = v};
	}
}

static void
begin(struct world *w)
{
	w->area = sim_alloc(w, VOLUMES * sizeof(*w->area));
	for (uint32_t v = 0; v < VOLUMES; v++)
		for (uint32_t s = 0; s < CTL_SLOTS; s++)
			w->area[v].slot[s].status = CTL_EMPTY;
	make_volumes(w);
	for (uint32_t s = 0; s < w->t.nservers; s++) {
		w->server[s].w = w;
		w->server[s].number = s;
		w->server[s].boot = rnd_between(w, 1, 1000);
		w->server[s].own = sim_alloc(w, VOLUMES * sizeof(struct own));
		if (w->t.storage) {
			w->server[s].clock_ahead = rnd(w, 1000000);
			w->server[s].clock_fast = (int64_t)rnd(w, 21) - 10;
		}
		agent_start(&w->server[s]);
	}
	for (uint32_t i = 0; i < w->t.nclients; i++) {
		w->client[i].w = w;
		w->client[i].number = i;
		w->client[i].incarnation = rnd_between(w, 1, 1000);
		w->client[i].detector = true;
		proxy_start(&w->client[i]);
		kernel_start(&w->client[i]);
	}
	at(w, 0, EV_AUDIT, NULL, 0);
}

/* Everything ends; what is left behind is a leak. */
static void
finish(struct world *w)
{
	struct rec_pool_use use;

	for (uint32_t i = 0; i < w->t.nclients; i++)
		if (w->client[i].alive)
			proxy_kill(&w->client[i]);
	for (uint32_t s = 0; s < w->t.nservers; s++)
		if (w->server[s].alive)
			agent_kill(&w->server[s]);
	rec_pool_use(w->calls, &use);
	if (use.recs > 0)
		broken(w, I8, "%u records of calls were never given back",
		    use.recs);
	rec_pool_use(w->replies, &use);
	if (use.recs > 0)
		broken(w, I8, "%u records of replies were never given back",
		    use.recs);
}

static void
play(struct world *w)
{
	const uint64_t tidy = 10 * SEC;
	uint64_t end, bound;

	begin(w);
	end = w->faults_end = faults_plan(w);
	bound =
	    (w->dead_flows || w->t.storage ? SIM_BOUND_FLOW_MS : SIM_BOUND_MS) *
	    MS;
	if (w->t.storage && w->t.log_slots < FS_SLOTS)
		bound = SIM_BOUND_SLOTS_MS * MS;
	snprintf(w->out.summary, sizeof(w->out.summary),
	    "seed %llu: %u clients, %u calls at once each, %s, faults:%s",
	    (unsigned long long)w->seed, w->t.nclients, w->t.slots,
	    w->t.paths == PX_ALL_PATHS ? "all paths" : "best path", w->faults);
	run_until(w, end + 500 * MS, NULL);
	for (uint32_t i = 0; i < w->t.nclients; i++)
		kernel_stop(&w->client[i]);
	if (!w->out.failed && !calls_done(w))
		run_until(w, end + bound, calls_done);
	if (!w->out.failed)
		check_end(w);
	for (uint32_t i = 0; i < w->t.nclients; i++)
		kernel_unmount(&w->client[i]);
	run_until(w, w->now + tidy, NULL);
	if (!w->out.failed)
		check_tidy(w);
}

void
sim_run(uint64_t seed, const struct sim_options *opt, struct outcome *out,
    char (*story)[STORY_WIDTH], uint64_t *lines)
{
	static const struct rec_pool_limits limits = {.recs = POOL_RECS};
	static struct rec_pool *calls, *replies;
	struct world *w = calloc(1, sizeof(*w));

	if (calls == NULL) {
		calls = rec_pool_new(&limits);
		replies = rec_pool_new(&limits);
	}
	if (w == NULL || calls == NULL || replies == NULL)
		abort();
	w->opt = *opt;
	w->seed = seed;
	w->chance = seed * 0xd1342543de82ef95u + 1;
	w->hash = 0xcbf29ce484222325u;
	w->calls = calls;
	w->replies = replies;
	w->story = story;
	tune(w);
	play(w);
	finish(w);
	w->out.hash = w->hash;
	*out = w->out;
	if (lines != NULL)
		*lines = w->lines;
	sim_free_all(w);
	free(w);
}
