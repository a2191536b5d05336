/*
 * An agent's process around the real relay core: its sockets, its loop, its
 * heartbeats, start and end. What is readable at the same time it reads in
 * any order.
 */
#include <assert.h>
#include <string.h>

#include "own.h"

enum { READ_BUDGET = 8, RELAY_TICK = 1000, BEAT = 50, MULTIPLIER = 3 };
enum { ENTRIES = 2048 };

void
agent_wake(struct server *s, uint64_t delay)
{
	if (s->running || !s->alive)
		return;
	s->running = true;
	at(s->w, delay, EV_AGENT_RUN, s, 0);
}

/* --- network connections */

bool
agent_listens(struct server *s)
{
	return s->alive;
}

void
agent_on_syn(struct tcp *c)
{
	struct server *s = &c->w->server[c->server];

	s->backlog = sim_grow(s->w, s->backlog, s->nbacklog, &s->backlog_room,
	    sizeof(*s->backlog));
	s->backlog[s->nbacklog++] = c;
	agent_wake(s, rnd_between(s->w, 5, 100));
}

void
agent_on_readable(struct tcp *c)
{
	agent_wake(&c->w->server[c->server], rnd_between(c->w, 5, 100));
}

static void
accept_one(struct server *s, struct tcp *c)
{
	struct sconn *sc = sim_alloc(s->w, sizeof(*sc));

	sc->s = s;
	sc->c = c;
	c->server_user = sc;
	sc->rc = relay_conn_new(s->relay, sc);
	if (sc->rc == NULL) {
		broken(s->w, I8, "s%u: more connections than there may be",
		    s->number + 1);
		return;
	}
	s->conns = sim_grow(
	    s->w, s->conns, s->nconns, &s->conns_room, sizeof(*s->conns));
	s->conns[s->nconns++] = sc;
}

void
sconn_end(struct sconn *sc)
{
	struct server *s = sc->s;
	uint32_t i = 0;

	if (sc->ended)
		return;
	sc->ended = true;
	tcp_close(sc->c, SERVER_END);
	rec_unref(sc->held);
	sc->held = NULL;
	relay_conn_gone(sc->rc, now_ms(s->w));
	while (s->conns[i] != sc)
		i++;
	memmove(&s->conns[i], &s->conns[i + 1],
	    (--s->nconns - i) * sizeof(*s->conns));
}

/* --- the loop */

static bool
conn_ready(const struct sconn *sc)
{
	return !sc->ended && sc->held == NULL &&
	       tcp_readable(sc->c, SERVER_END);
}

static void
read_conn(struct sconn *sc)
{
	uint32_t budget = 1 + rnd(sc->s->w, READ_BUDGET);
	struct msg *m;

	while (budget-- > 0 && conn_ready(sc)) {
		m = tcp_read(sc->c, SERVER_END);
		if (m == NULL) {
			sconn_end(sc); /* reset, and all is read */
			agent_act(sc->s);
			return;
		}
		sconn_take(sc, m);
	}
}

/* Any one of those that are readable; false when there is none. */
static bool
read_any(struct server *s)
{
	void *ready[256];
	uint32_t n = 0, conns, i;

	for (i = 0; i < s->nconns && n < 200; i++)
		if (conn_ready(s->conns[i]))
			ready[n++] = s->conns[i];
	conns = n;
	for (struct link *l = s->links; l != NULL && n < 256; l = l->next)
		if (l->open && (l->broken || l->replies_read < l->nreplies))
			ready[n++] = l;
	if (n == 0)
		return false;
	i = rnd(s->w, n);
	if (i < conns)
		read_conn(ready[i]);
	else
		link_read(ready[i]);
	return true;
}

void
agent_on_run(struct server *s)
{
	uint32_t turns = 1 + rnd(s->w, 6);

	s->running = false;
	if (!s->alive)
		return;
	if (s->w->now < s->stalled_until) {
		agent_wake(s, s->stalled_until - s->w->now);
		return;
	}
	if (s->w->t.storage) {
		own_look(s); /* before anything is answered */
		if (!s->alive)
			return;
	}
	while (s->nbacklog > 0) {
		struct tcp *c = s->backlog[0];

		memmove(s->backlog, s->backlog + 1,
		    --s->nbacklog * sizeof(*s->backlog));
		accept_one(s, c);
	}
	while (turns-- > 0 && !s->w->out.failed)
		if (!read_any(s))
			return;
	agent_wake(s, rnd_between(s->w, 5, 50));
}

void
agent_on_tick(struct server *s)
{
	if (!s->alive)
		return;
	if (s->w->now >= s->stalled_until) {
		relay_tick(s->relay, now_ms(s->w));
		agent_act(s);
	}
	at(s->w, (s->w->t.storage ? RELAY_TICK / 4 : RELAY_TICK) * MS,
	    EV_AGENT_TICK, s, s->starts);
}

static void
send_beats(struct server *s)
{
	struct world *w = s->w;
	uint32_t networks = 0;

	if (!s->alive || (s->stopped && w->now < s->stalled_until))
		return;
	for (uint32_t n = 0; n < NETS; n++)
		if (iface_up(w, n, server_host(s->number)))
			networks |= 1u << n;
	for (uint32_t n = 0; n < NETS; n++) {
		s->seq[n]++;
		for (uint32_t c = 0; c < w->t.nclients; c++) {
			struct heartbeat_event *h;

			if (w->net[n].no_broadcast[client_host(c)] > 0 &&
			    w->now >= s->subscribed[n][c])
				continue;
			h = sim_alloc(w, sizeof(*h));
			*h = (struct heartbeat_event){.server = s->number,
			    .client = c,
			    .net = n,
			    .boot = s->boot,
			    .seq = s->seq[n],
			    .table_gen = s->table_gen,
			    .networks = networks};
			for (uint32_t v = 0; v < VOLUMES; v++) {
				h->serves[v] = s->own[v].told == HB_SERVING;
				h->epoch[v] = s->own[v].told_epoch;
			}
			net_send(w, n, server_host(s->number), client_host(c),
			    EV_HEARD, h, 0);
		}
	}
	peers_beat(s);
}

void
agent_on_beat(struct server *s)
{
	at(s->w, BEAT * MS, EV_BEAT, s, 0);
	send_beats(s);
}

void
agent_carrier(struct server *s)
{
	s->table_gen++;
	send_beats(s); /* at once */
}

/* --- life */

static void
note(void *arg, const char *line)
{
	const struct server *s = arg;

	tell(s->w, "s%u: %s", s->number + 1, line);
}

void
agent_start(struct server *s)
{
	struct world *w = s->w;
	struct relay_config cfg = {
	    .volumes = VOLUMES,
	    .networks = NETS,
	    .clients_max = 8,
	    .kconns_max = 512,
	    .conns_max = 512,
	    .entries_max = ENTRIES,
	    .client_entries_max = w->t.client_entries,
	    .linger_ms = w->t.linger_ms,
	    .orphan_ms = w->t.orphan_ms,
	    .retain_ms = w->t.retain_ms,
	    .plain_ms = 120000,
	    .kconn_idle_ms = 600000,
	    .backoff_ms = 100,
	    .no_replay_table = w->opt.no_replay_table,
	    .no_fence = w->opt.no_fence,
	    .undecidable_ms = 3000,
	    .rules = w->opt.rules,
	    .note = note,
	    .note_arg = s,
	};

	if (s->starts++ == 0)
		at(w, rnd(w, BEAT * MS), EV_BEAT, s, 0);
	else if (!w->t.storage)
		backend_end(&w->backend[s->number][s->number]);
	if (!w->t.storage)
		backend_start(&w->backend[s->number][s->number],
		    w->disk[s->number].mount);
	s->boot++;
	s->table_gen = 1;
	s->alive = true;
	s->running = s->stopped = false;
	s->relay = relay_new(&cfg);
	assert(s->relay != NULL);
	if (!w->t.storage)
		relay_volume_set(s->relay, s->number, true, now_ms(w));
	tell(w, "s%u: agent starts, boot %llu", s->number + 1,
	    (unsigned long long)s->boot);
	at(w, RELAY_TICK * MS, EV_AGENT_TICK, s, s->starts);
	if (w->t.storage)
		own_start(s);
}

/* Its children end with it, but not always at once. */
static void
end_children(struct server *s)
{
	for (uint32_t v = 0; v < VOLUMES; v++) {
		struct backend *b = &s->w->backend[s->number][v];

		s->w->doubts[v]++;
		if (s->w->t.storage && b->runs && chance(s->w, 700))
			backend_end(b);
	}
	if (s->w->t.storage)
		own_end(s);
}

void
agent_kill(struct server *s)
{
	struct relay_action a;

	tell(s->w, "s%u: agent is killed", s->number + 1);
	s->alive = false;
	end_children(s);
	while (s->nconns > 0)
		sconn_end(s->conns[s->nconns - 1]);
	while (s->nbacklog > 0)
		tcp_close(s->backlog[--s->nbacklog], SERVER_END);
	while (relay_next(s->relay, &a))
		rec_unref(a.rec);
	relay_free(s->relay);
	s->relay = NULL;
	for (struct link *l = s->links; l != NULL; l = l->next)
		l->open = false;
	s->links = NULL;
	memset(s->subscribed, 0, sizeof(s->subscribed));
}

void
agent_stall(struct server *s, uint64_t until, bool heartbeats_too)
{
	s->stalled_until = until;
	s->stopped = heartbeats_too;
	tell(s->w, "s%u: agent %s for %llu ms", s->number + 1,
	    heartbeats_too ? "is stopped" : "does not run",
	    (unsigned long long)((until - s->w->now) / MS));
}

static void
count_client(void *arg, const struct relay_client_view *v)
{
	struct world *w = arg;

	if (v->in_progress + v->unacked > 5 * w->t.client_entries * VOLUMES)
		broken(w, I8, "an agent keeps %u calls of one client",
		    v->in_progress + v->unacked);
}

void
agent_audit(struct server *s, bool last)
{
	struct relay_counts n;

	if (!s->alive)
		return;
	relay_count(s->relay, &n);
	relay_each_client(s->relay, count_client, s->w);
	s->w->out.attached += last ? n.attached : 0;
	s->w->out.replayed += last ? n.replayed : 0;
	if (n.in_progress + n.kept > ENTRIES || n.waiting > n.in_progress)
		broken(s->w, I8,
		    "s%u: %u calls in progress, %u waiting, %u "
		    "replies kept",
		    s->number + 1, n.in_progress, n.waiting, n.kept);
	if (last && n.in_progress > 0)
		broken(s->w, LIVE,
		    "s%u: %u calls in progress at the end, %u "
		    "of them waiting",
		    s->number + 1, n.in_progress, n.waiting);
}
