/*
 * The steps that the owner machine asks for: each takes its time, and comes
 * to something.
 */
#include "own.h"

void
own_step_in(struct own *own, const struct owner_action *a, uint64_t delay)
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

void
own_begin_step(struct own *own, const struct owner_action *a)
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
		own_step_in(own, a, rnd_between(w, 10 * MS, 150 * MS));
		break;
	default:
		own_step_in(own, a, rnd_between(w, 200, 8 * MS));
	}
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
