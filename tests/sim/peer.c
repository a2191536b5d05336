/*
 * What the servers know of each other: heartbeats, echoes, the mailbox, all
 * into the real suspect core; and how one is fenced.
 */
#include "own.h"

const char *const fence_kind_names[FENCE_KINDS] = {
    [FENCE_STONITH] = "fenced by power",
    [FENCE_SCSI] = "fenced at the disk",
    [FENCE_LEASE] = "lease only",
};

struct heard {
	struct server *from, *to;
	uint32_t net;
	enum hb_state told[VOLUMES];
	uint64_t epoch[VOLUMES];
};

struct echo {
	struct server *from, *to;
	uint32_t net, start;
	bool back;
};

static bool
arrives(const struct server *from, const struct server *to, uint32_t net)
{
	return net_arrives(
	    from->w, net, server_host(from->number), server_host(to->number));
}

static void
send_to(struct server *from, struct server *to, uint32_t net,
    enum event_kind kind, void *obj)
{
	net_send(from->w, net, server_host(from->number),
	    server_host(to->number), kind, obj, 0);
}

/* --- heartbeats */

void
peers_beat(struct server *s)
{
	struct world *w = s->w;

	for (uint32_t p = 0; w->t.storage && p < w->t.nservers; p++) {
		if (p == s->number)
			continue;
		for (uint32_t n = 0; n < NETS; n++) {
			struct heard *h = sim_alloc(w, sizeof(*h));

			h->from = s;
			h->to = &w->server[p];
			h->net = n;
			for (uint32_t v = 0; v < VOLUMES; v++) {
				h->told[v] = s->own[v].told;
				h->epoch[v] = s->own[v].told_epoch;
			}
			send_to(s, h->to, n, EV_PEER, h);
		}
	}
}

static void
tell_owners(struct heard *h)
{
	struct server *s = h->to;

	for (uint32_t v = 0; v < VOLUMES; v++) {
		struct owner_event ev = {.type = OWNER_EV_TOLD,
		    .peer = (int)h->from->number,
		    .told = h->told[v],
		    .epoch = h->epoch[v]};

		own_event(&s->own[v], &ev);
	}
}

void
peers_on_heard(void *obj)
{
	struct heard *h = obj;
	struct server *s = h->to;
	struct world *w = s->w;

	if (!s->alive || !arrives(h->from, s, h->net))
		return;
	if (w->now < s->stalled_until) {
		at(w, s->stalled_until - w->now + rnd(w, 500), EV_PEER, h, 0);
		return;
	}
	suspect_heard(s->suspect, h->from->number, h->net, host_ms(s));
	peers_act(s);
	tell_owners(h);
}

/* --- suspicion */

static void
echo(struct server *s, uint32_t peer, uint32_t net)
{
	struct echo *e = sim_alloc(s->w, sizeof(*e));

	e->from = s;
	e->to = &s->w->server[peer];
	e->net = net;
	e->start = s->starts;
	send_to(s, e->to, net, EV_ECHO, e);
}

/* The other's kernel answers, whatever its processes do. */
void
peers_on_echo(void *obj)
{
	struct echo *e = obj;
	struct server *s = e->from;

	if (!e->back) {
		if (e->to->off || !arrives(s, e->to, e->net))
			return;
		e->back = true;
		send_to(e->to, s, e->net, EV_ECHO, e);
		return;
	}
	if (!s->alive || s->starts != e->start || !arrives(e->to, s, e->net) ||
	    s->w->now < s->stalled_until)
		return;
	suspect_echo(s->suspect, e->to->number, e->net, host_ms(s));
	peers_act(s);
}

static void
verdict(struct server *s, const struct suspect_action *a)
{
	tell(s->w, "s%u: s%u is %s: %s", s->number + 1, a->peer + 1,
	    suspect_state_names[a->state], a->evidence);
	for (uint32_t v = 0; v < VOLUMES; v++) {
		struct owner_event ev = {.type = OWNER_EV_PEER,
		    .peer = (int)a->peer,
		    .verdict = a->state,
		    .text = a->evidence};

		lease_peer(s->own[v].lease, a->peer + 1,
		    a->state == SUSPECT_DEAD || a->state == SUSPECT_SILENT);
		own_event(&s->own[v], &ev);
	}
}

void
peers_act(struct server *s)
{
	struct suspect_action a;

	while (s->alive && suspect_next(s->suspect, &a))
		switch (a.type) {
		case SUSPECT_ECHO:
			echo(s, a.peer, a.addr);
			break;
		case SUSPECT_MAIL:
			ctl_mail(s, a.peer, a.volume, a.timeout_ms);
			break;
		case SUSPECT_VERDICT:
			verdict(s, &a);
			break;
		}
}

void
peers_tick(struct server *s)
{
	bool lost = true;

	for (uint32_t n = 0; n < NETS; n++) {
		bool up = iface_up(s->w, n, server_host(s->number));

		suspect_carrier(s->suspect, n, up, host_ms(s));
		lost = lost && !up;
	}
	suspect_tick(s->suspect, host_ms(s));
	peers_act(s);
	for (uint32_t v = 0; v < VOLUMES && lost != s->nets_lost; v++) {
		struct owner_event ev = {
		    .type = lost ? OWNER_EV_NETS_LOST : OWNER_EV_NETS_BACK,
		    .peer = -1};

		own_event(&s->own[v], &ev);
	}
	s->nets_lost = lost;
}

void
peers_start(struct server *s)
{
	struct world *w = s->w;
	struct suspect_config cfg = {
	    .nservers = w->t.nservers,
	    .self = s->number,
	    .nnetworks = NETS,
	    .suspicion_ms = 300,
	    .start_ms = 1500,
	    .silent_ms = 2000,
	    .echo_ms = 100,
	    .mail_ms = 120,
	};

	for (uint32_t p = 0; p < w->t.nservers; p++) {
		cfg.servers[p].wanted = p != s->number;
		cfg.servers[p].naddrs = NETS;
		cfg.servers[p].disks = (1u << VOLUMES) - 1;
	}
	s->suspect = suspect_new(&cfg, host_ms(s));
	s->nets_lost = false;
}

void
peers_end(struct server *s)
{
	suspect_free(s->suspect);
	s->suspect = NULL;
}

/* --- fences */

static uint64_t
fence_takes(struct world *w)
{
	if (w->now < w->fence_slow_until)
		return rnd_between(w, 200 * MS, 2 * SEC);
	return rnd_between(w, 2 * MS, 60 * MS);
}

void
peers_fence(struct own *own)
{
	struct world *w = own->s->w;

	tell(w, "s%u: fences s%u, %s", own->s->number + 1, own->victim + 1,
	    fence_kind_names[w->t.fence]);
	at(w, fence_takes(w), EV_OWN_STEP, own, own->step);
}

bool
peers_on_fenced(struct own *own, const char **why)
{
	struct world *w = own->s->w;
	struct server *victim = &w->server[own->victim];
	struct disk *d = &w->disk[own->volume];

	own->proof.server_id = own->victim + 1;
	own->proof.epoch = own->old_epoch;
	own->proof.evidence = LEASE_FENCED;
	if (w->now < w->fence_fails_until) {
		*why = "the fence's command fails";
		return false;
	}
	if (w->t.fence == FENCE_LEASE) {
		own->proof.evidence = LEASE_END;
		return true;
	}
	if (w->opt.no_fence_server)
		return true; /* it only says so */
	if (w->t.fence == FENCE_SCSI) {
		d->fenced[own->victim] = true;
		d->fenced[own->s->number] = false;
	} else if (!victim->off) {
		host_cut(victim);
		at(w, rnd_between(w, 500 * MS, 3 * SEC), EV_BOOT, victim,
		    victim->boots);
	}
	return true;
}
