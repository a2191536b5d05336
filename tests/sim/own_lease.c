/* What the lease wants, and what it says to the owner machine. */
#include "own.h"

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
	own_say(own, OWNER_EV_WON, server_of(a->server_id), a->text);
}

static void
refused(struct own *own, const struct lease_action *a)
{
	struct server *s = own->s;

	if (own->taking && s->w->t.fence == FENCE_SCSI && own->m == NULL)
		s->w->disk[own->volume].fenced[s->number] = true;
	if (own->taking)
		own_say(own, OWNER_EV_FAILED, -1, a->text);
	else
		own_say(
		    own, OWNER_EV_LOST_CLAIM, server_of(a->server_id), a->text);
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
		own_say(own, OWNER_EV_LAPSED, -1, a->text);
		break;
	case LEASE_RESUMED:
		own->valid_until_ms = a->valid_until_ms;
		own_say(own, OWNER_EV_RESUMED, -1, a->text);
		break;
	case LEASE_LOST:
		own_say(own, OWNER_EV_LOST, server_of(a->server_id), a->text);
		break;
	case LEASE_GIVEN_UP:
		own_say(own, OWNER_EV_DONE, -1, a->text);
		break;
	case LEASE_ADVANCED:
		suspect_lease(
		    s->suspect, a->server_id - 1, own->volume, host_ms(s));
		break;
	case LEASE_DISK_LOST:
		suspect_disk(s->suspect, own->volume, false, 0, host_ms(s));
		own_say(own, OWNER_EV_DISK_LOST, -1, a->text);
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

void
own_act_lease(struct own *own)
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
			own_act_owner(own);
			break;
		}
}
