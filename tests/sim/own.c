/*
 * The steps that the owner machine asks for, and what the lease says to it.
 * Decides nothing.
 */
#include <assert.h>
#include <string.h>

#include "own.h"

enum { OWN_TICK = 20 };

/* --- into the owner machine */

static void act_owner(struct own *own);

void
own_event(struct own *own, const struct owner_event *ev)
{
	if (!own_lives(own))
		return;
	owner_event(own->o, ev, host_ms(own->s));
	own_act(own);
}

static void
say(struct own *own, enum owner_event_type type, int peer, const char *text)
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

/* --- what the lease says */

static int
server_of(uint32_t id)
{
	return (int)id - 1;
}

static void
looked(struct own *own, const struct lease_action *a)
{
	bool held = a->server_id != 0 &&
		    (a->holding == CTL_HELD || a->holding == CTL_STALE);
	struct owner_event ev = {.type = OWNER_EV_LOOKED,
	    .peer = -1,
	    .look = {.holder = held ? server_of(a->server_id) : -1,
		.epoch = a->epoch,
		.granted = a->granted_to != 0 ? server_of(a->granted_to) : -1}};

	if (a->errno_ == 0)
		owner_event(own->o, &ev, host_ms(own->s));
}

static void
won(struct own *own, const struct lease_action *a)
{
	own->proof = (struct lease_proof){0};
	own->victim = a->server_id != 0 ? a->server_id - 1 : PX_NONE;
	own->old_epoch = a->old_epoch;
	say(own, OWNER_EV_WON, server_of(a->server_id), a->text);
}

static void
refused(struct own *own, const struct lease_action *a)
{
	struct server *s = own->s;

	if (own->taking && s->w->t.fence == FENCE_SCSI && own->m == NULL)
		s->w->disk[own->volume].fenced[s->number] = true;
	if (own->taking)
		say(own, OWNER_EV_FAILED, -1, a->text);
	else
		say(own, OWNER_EV_LOST_CLAIM, server_of(a->server_id), a->text);
	own->taking = false;
}

static void
gained(struct own *own, const struct lease_action *a)
{
	struct owner_event ev = {
	    .type = OWNER_EV_TAKEN, .peer = -1, .epoch = a->epoch};

	own->taking = false;
	own->valid_until_ms = a->valid_until_ms;
	if (own->m != NULL && !own->m->stale)
		own->m->epoch = a->epoch; /* it stays mounted */
	owner_event(own->o, &ev, host_ms(own->s));
}

static void
hear_lease(struct own *own, const struct lease_action *a)
{
	struct server *s = own->s;

	if (a->news != LEASE_RENEWED && a->news != LEASE_ADVANCED)
		tell(s->w, "s%u: volume %u: lease %s: %s", s->number + 1,
		    own->volume, lease_news_names[a->news], a->text);
	switch (a->news) {
	case LEASE_LOOKED:
	case LEASE_NEWEST:
		looked(own, a);
		break;
	case LEASE_WON:
		won(own, a);
		break;
	case LEASE_GAINED:
		gained(own, a);
		break;
	case LEASE_REFUSED:
		refused(own, a);
		break;
	case LEASE_RENEWED:
		own->valid_until_ms = a->valid_until_ms;
		break;
	case LEASE_SUSPENDED:
		say(own, OWNER_EV_LAPSED, -1, a->text);
		break;
	case LEASE_RESUMED:
		own->valid_until_ms = a->valid_until_ms;
		say(own, OWNER_EV_RESUMED, -1, a->text);
		break;
	case LEASE_LOST:
		say(own, OWNER_EV_LOST, server_of(a->server_id), a->text);
		break;
	case LEASE_GIVEN_UP:
		say(own, OWNER_EV_DONE, -1, a->text);
		break;
	case LEASE_ADVANCED:
		suspect_lease(
		    s->suspect, a->server_id - 1, own->volume, host_ms(s));
		break;
	case LEASE_DISK_LOST:
		suspect_disk(s->suspect, own->volume, false, 0, host_ms(s));
		say(own, OWNER_EV_DISK_LOST, -1, a->text);
		break;
	case LEASE_DISK_BACK:
		suspect_disk(s->suspect, own->volume, true, 5, host_ms(s));
		break;
	case LEASE_READY:
	case LEASE_TROUBLE:
	case LEASE_WAITING:
	case LEASE_NNEWS:
		break;
	}
}

static void
act_lease(struct own *own)
{
	struct lease_action a;

	while (own_lives(own) && lease_next(own->lease, &a))
		switch (a.type) {
		case LEASE_DO_READ:
			ctl_read(own);
			break;
		case LEASE_DO_WRITE:
			ctl_write(own, &a.write);
			break;
		case LEASE_DO_TELL:
			hear_lease(own, &a);
			act_owner(own);
			break;
		}
}

/* --- steps */

static void
step_in(struct own *own, const struct owner_action *a, uint64_t delay)
{
	own->doing = a->type;
	own->step++;
	at(own->s->w, delay, EV_OWN_STEP, own, own->step);
}

static void
release(struct own *own, int peer)
{
	struct world *w = own->s->w;

	if (w->t.fence == FENCE_SCSI)
		w->disk[own->volume].fenced[own->s->number] = true;
	lease_release(
	    own->lease, peer >= 0 ? (uint32_t)peer + 1 : 0, host_ms(own->s));
}

static void
take(struct own *own)
{
	struct world *w = own->s->w;

	/* The own key is there before the epoch is. An owner that has none
	 * any more was fenced, and takes no other. */
	if (w->t.fence == FENCE_SCSI && own->victim == PX_NONE &&
	    lease_state(own->lease) == LEASE_CLAIMED)
		w->disk[own->volume].fenced[own->s->number] = false;
	own->taking = true;
	lease_take(own->lease, &own->proof, host_ms(own->s));
	own->victim = PX_NONE;
}

static void
begin_step(struct own *own, const struct owner_action *a)
{
	struct world *w = own->s->w;
	uint64_t ms = host_ms(own->s);

	switch (a->type) {
	case OWNER_LOOK:
		lease_look(own->lease, ms);
		break;
	case OWNER_CLAIM:
		own->taking = false;
		lease_claim(own->lease, false, ms);
		break;
	case OWNER_FENCE:
		own->doing = a->type;
		own->step++;
		own->victim = (uint32_t)a->peer;
		peers_fence(own);
		break;
	case OWNER_TAKE:
		take(own);
		break;
	case OWNER_RELEASE:
		own->doing = a->type;
		release(own, a->peer);
		break;
	case OWNER_DROP:
		lease_drop(own->lease, ms);
		break;
	case OWNER_RECOVER:
		own->doing = a->type;
		own->step++;
		logio_recover(own);
		break;
	case OWNER_SYNC:
		own->doing = a->type;
		own->step++;
		logio_sync_all(own);
		break;
	case OWNER_DRAIN:
		own->doing = a->type;
		own->step++;
		logio_drain(own);
		break;
	case OWNER_MOUNT:
	case OWNER_START_BACKEND:
		step_in(own, a, rnd_between(w, 10 * MS, 150 * MS));
		break;
	default:
		step_in(own, a, rnd_between(w, 200, 8 * MS));
	}
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

static bool
mount(struct own *own, const char **why)
{
	struct server *s = own->s;

	own->m = disk_mount(s->w, own->volume, s->number, owner_epoch(own->o));
	*why = "the device cannot be read";
	return own->m != NULL;
}

static bool
unmount(struct own *own, const char **why)
{
	struct mount *m = own->m;

	*why = "not everything could be written";
	if (m != NULL && !m->gone && !disk_unmount(m))
		return false;
	own->m = NULL;
	return true;
}

/* What the step comes to, once its time has passed. */
static bool
end_step(struct own *own, const char **why)
{
	struct backend *b = &own->s->w->backend[own->s->number][own->volume];

	switch (own->doing) {
	case OWNER_FENCE:
		return peers_on_fenced(own, why);
	case OWNER_MOUNT:
		return mount(own, why);
	case OWNER_START_BACKEND:
		if (own->m == NULL || own->m->gone || own->m->failed)
			return false;
		backend_start(b, own->m);
		break;
	case OWNER_END_OLD:
	case OWNER_STOP_BACKEND:
		logio_close(own);
		if (b->runs)
			backend_end(b);
		break;
	case OWNER_UNMOUNT:
		return unmount(own, why);
	case OWNER_ABANDON:
		if (own->m != NULL)
			own->m->gone = true;
		own->m = NULL;
		break;
	default:
		break;
	}
	return true;
}

void
own_on_step(struct own *own, uint64_t step)
{
	struct world *w = own->s->w;
	const char *why = "it fails";
	struct owner_event ev = {.peer = -1};
	bool good;

	if (!own_lives(own) || step != own->step)
		return;
	if (w->now < own->s->stalled_until) {
		at(w, own->s->stalled_until - w->now + rnd(w, 200), EV_OWN_STEP,
		    own, step);
		return;
	}
	own->step++;
	good = end_step(own, &why);
	if (!own_lives(own))
		return; /* it has fenced itself */
	ev.type = good ? OWNER_EV_DONE : OWNER_EV_FAILED;
	ev.text = good ? "" : why;
	ev.mounted = own->m != NULL;
	own_event(own, &ev);
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
		step_in(own, a, rnd_between(s->w, 200, 4 * MS));
		break;
	default:
		begin_step(own, a);
	}
}

static void
act_owner(struct own *own)
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
		act_owner(own);
		act_lease(own);
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
