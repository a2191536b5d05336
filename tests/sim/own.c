/*
 * Between the owner machine and the world: what it is told, what it wants,
 * how it begins and ends with its agent. Decides nothing.
 */
#include <assert.h>
#include <string.h>

#include "own.h"

enum { OWN_TICK = 20 };

/* --- into the owner machine */

void
own_event(struct own *own, const struct owner_event *ev)
{
	if (!own_lives(own))
		return;
	owner_event(own->o, ev, host_ms(own->s));
	own_act(own);
}

void
own_say(struct own *own, enum owner_event_type type, int peer, const char *text)
{
	struct owner_event ev = {.type = type, .peer = peer, .text = text};

	owner_event(own->o, &ev, host_ms(own->s));
}

void
own_disk_lost(struct own *own, const char *why)
{
	struct owner_event ev = {
	    .type = OWNER_EV_DISK_LOST, .peer = -1, .text = why};

	own_event(own, &ev);
}

void
own_backend_dies(struct own *own)
{
	struct server *s = own->s;
	s->w->doubts[own->volume]++;
	backend_end(&s->w->backend[s->number][own->volume]);
	own->died = true; /* its agent learns of it */
}

static void
hear_backend(struct own *own)
{
	struct owner_event ev = {
	    .type = OWNER_EV_BACKEND_DIED, .peer = -1, .text = "killed"};

	if (own->died)
		own_event(own, &ev);
	own->died = false;
	if (own->lost && own_lives(own))
		own_disk_lost(own, "the log cannot be written");
	own->lost = false;
}

/* --- out of the owner machine */

static void
announce(struct own *own, const struct owner_action *a)
{
	own->told = a->told;
	own->told_epoch = a->epoch;
	agent_carrier(own->s); /* heartbeats at once */
}

static void
note(struct own *own, const struct owner_action *a)
{
	tell(own->s->w, "s%u: volume %u %s -> %s: %s%s%s", own->s->number + 1,
	    own->volume, owner_state_names[a->from], owner_state_names[a->to],
	    a->text, a->evidence[0] != '\0' ? "; " : "", a->evidence);
	if (a->from != a->to && a->to == OWNER_SERVING)
		own->s->w->out.takeovers++;
}

static void
carry_out(struct own *own, const struct owner_action *a)
{
	struct server *s = own->s;

	switch (a->type) {
	case OWNER_SERVE:
	case OWNER_RESUME:
		logio_serve(own);
		break;
	case OWNER_HOLD:
		logio_hold(own);
		break;
	case OWNER_CANCEL:
		own->step++;
		if (own->doing == OWNER_CLAIM || own->taking)
			lease_unclaim(own->lease, host_ms(s));
		break;
	case OWNER_ASK:
		ctl_ask(own, (uint32_t)a->peer);
		break;
	case OWNER_ANNOUNCE:
		announce(own, a);
		break;
	case OWNER_NOTE:
		note(own, a);
		break;
	case OWNER_STOPPED:
	case OWNER_FLUSH: /* what is dirty goes with the unmount */
		break;
	case OWNER_CLOSE:
		logio_close(own);
		own_step_in(own, a, rnd_between(s->w, 200, 4 * MS));
		break;
	default:
		own_begin_step(own, a);
	}
}

void
own_act_owner(struct own *own)
{
	struct owner_action a;

	while (own_lives(own) && owner_next(own->o, &a))
		carry_out(own, &a);
}

void
own_act(struct own *own)
{
	if (own->acting)
		return;
	own->acting = true;
	/* Each may give the other something to do. */
	for (int i = 0; i < 3 && own_lives(own); i++) {
		own_act_owner(own);
		own_act_lease(own);
	}
	own->acting = false;
	if (own->s->alive)
		peers_act(own->s);
}

/* --- life */

/* Is each lease still worth something? */
void
own_look(struct server *s)
{
	for (uint32_t v = 0; v < VOLUMES && s->alive; v++)
		if (lease_state(s->own[v].lease) == LEASE_OWNER &&
		    !lease_valid(s->own[v].lease, host_ms(s))) {
			lease_tick(s->own[v].lease, host_ms(s));
			own_act(&s->own[v]);
		}
}

void
own_on_tick(struct server *s)
{
	uint32_t starts = s->starts;

	if (s->w->now < s->stalled_until) {
		at(s->w, s->stalled_until - s->w->now + rnd(s->w, 300),
		    EV_OWN_TICK, s, s->starts);
		return;
	}
	for (uint32_t v = 0; v < VOLUMES && s->alive; v++) {
		struct own *own = &s->own[v];

		hear_backend(own);
		lease_tick(own->lease, host_ms(s));
		own_act(own);
		if (!own_lives(own))
			return;
		owner_tick(own->o, host_ms(s));
		own_act(own);
	}
	if (!s->alive || s->starts != starts)
		return;
	peers_tick(s);
	at(s->w, OWN_TICK * MS, EV_OWN_TICK, s, s->starts);
}

/* What this host has mounted of the volume. */
static struct mount *
mount_here(const struct server *s, uint32_t volume)
{
	struct mount *m;

	for (m = s->mounts; m != NULL; m = m->next)
		if (m->volume == volume && !m->gone)
			return m;
	return NULL;
}

static void
configure(struct own *own, struct owner_config *cfg)
{
	const struct world *w = own->s->w;
	const struct tuning *t = &w->t;

	memset(cfg, 0, sizeof(*cfg));
	cfg->volume[0] = (char)('0' + own->volume);
	cfg->self = own->s->number;
	cfg->ncandidates = t->nservers;
	for (uint32_t i = 0; i < t->nservers; i++) {
		cfg->candidates[i] = volume_candidate(w, own->volume, i);
		cfg->servers[i][0] = 's';
		cfg->servers[i][1] = (char)('1' + i);
	}
	cfg->failback = t->failback;
	cfg->failback_delay_ms = cfg->stagger_ms = 500;
	cfg->settle_ms = 300;
	cfg->retry_ms = cfg->alone_ms = 500;
	cfg->retry_max_ms = 4000;
	cfg->claim_ms = t->lease_ms > 2000 ? t->lease_ms : 2000;
	cfg->fence_ms = 3000;
	cfg->mount_ms = cfg->unmount_ms = 5000;
	cfg->backend_ms = 3000;
	cfg->recover_ms = 10000;
	cfg->drain_ms = 1500;
	cfg->address_ms = 1000;
	cfg->stuck_ms = 3000;
	cfg->dirty_max_kib = 1024;
	cfg->syncs_max = 3;
	cfg->deaths_max = 5;
}

static struct lease *
new_lease(struct own *own)
{
	static const char *const names[CTL_SLOTS] = {"s1", "s2", "s3"};
	struct server *s = own->s;
	struct lease_config cfg = {
	    .slot = s->number,
	    .boot = s->boot,
	    .instance = s->boot << 8 | own->volume | 1u << 7,
	    .seed = rnd(s->w, UINT32_MAX),
	};

	for (uint32_t i = 0; i < s->w->t.nservers; i++) {
		cfg.server_id[i] = i + 1;
		cfg.server[i] = names[i];
	}
	lease_config_times(&cfg, s->w->t.lease_ms, s->w->t.renew_ms);
	return lease_new(&cfg, host_ms(s));
}

void
own_start(struct server *s)
{
	peers_start(s);
	for (uint32_t v = 0; v < VOLUMES; v++) {
		struct own *own = &s->own[v];
		struct owner_config cfg;
		struct own fresh = {.s = s,
		    .volume = v,
		    .start = s->starts,
		    .step = own->step + 1000,
		    .life = own->life + 1,
		    .victim = PX_NONE,
		    .told = HB_STANDBY};

		*own = fresh;
		own->m = mount_here(s, v);
		configure(own, &cfg);
		own->o = owner_new(&cfg, host_ms(s));
		own->lease = new_lease(own);
		assert(own->o != NULL && own->lease != NULL);
	}
	for (uint32_t v = 0; v < VOLUMES; v++)
		own_act(&s->own[v]);
	at(s->w, OWN_TICK * MS, EV_OWN_TICK, s, s->starts);
}

/* What the process had open is closed; its children end with it. */
void
own_end(struct server *s)
{
	for (uint32_t v = 0; v < VOLUMES; v++) {
		struct own *own = &s->own[v];

		own->gone = true;
		owner_free(own->o);
		lease_free(own->lease);
		own->o = NULL;
		own->lease = NULL;
	}
	peers_end(s);
}
