/* own: carries out what the owner machine decided. See own.h. */
#include <stdio.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/own_int.h"

/* --- what is said */

static void
note(struct own_volume *v, const struct owner_action *x)
{
	struct own_event *e = &v->event[v->events++ % OWN_EVENTS];

	e->number = v->events;
	e->when_ms = v->a->now_ms;
	e->from = x->from;
	e->to = x->to;
	memcpy(e->text, x->text, sizeof(e->text));
	memcpy(e->evidence, x->evidence, sizeof(e->evidence));
	if (x->from != x->to)
		log_notice("volume %s %s -> %s: %s (%s)", own_name(v),
		    owner_state_names[x->from], owner_state_names[x->to],
		    x->text, x->evidence);
	else
		log_notice("volume %s: %s%s%s", own_name(v), x->text,
		    x->evidence[0] != '\0' ? "; " : "", x->evidence);
}

static void
announce(struct own_volume *v, const struct owner_action *x)
{
	v->av->told = x->told;
	v->av->epoch = x->epoch;
	announce_volumes(v->a);
}

/* --- calls */

static void
serve(struct own_volume *v)
{
	v->draining = false;
	v->av->serving = true;
	v->av->backend = -1;
	logio_suspend(v->a, v->index, false);
	relay_volume_set(v->a->relay, v->index, true, v->a->now_ms);
}

static void
hold(struct own_volume *v)
{
	v->draining = false;
	v->av->serving = false;
	logio_suspend(v->a, v->index, true);
	relay_volume_set(v->a->relay, v->index, false, v->a->now_ms);
}

static void
drain(struct own_volume *v)
{
	v->draining = true;
	relay_volume_drain(v->a->relay, v->index, v->a->now_ms);
}

static void
resume(struct own_volume *v)
{
	v->draining = false;
	relay_volume_set(v->a->relay, v->index, true, v->a->now_ms);
}

static void
cancel(struct own_volume *v)
{
	v->draining = false;
	own_op_cancel(v);
}

/* --- */

void
own_act(struct own_volume *v, const struct owner_action *x)
{
	switch (x->type) {
	case OWNER_LOOK:
		arbiter_look(v->arbiter);
		break;
	case OWNER_SERVE:
		serve(v);
		break;
	case OWNER_HOLD:
		hold(v);
		break;
	case OWNER_DRAIN:
		drain(v);
		break;
	case OWNER_RESUME:
		resume(v);
		break;
	case OWNER_DROP:
		/* What is mounted still is the guard's to cut off. */
		if (!(owner_have(v->o) & OWNER_HAVE_MOUNT))
			own_guard_off(v);
		arbiter_drop(v->arbiter);
		break;
	case OWNER_CANCEL:
		cancel(v);
		break;
	case OWNER_ASK:
		if (!arbiter_ask(v->arbiter, (unsigned)x->peer))
			log_warn("volume %s: server %s cannot be asked",
			    own_name(v), v->a->cfg->servers[x->peer].name);
		break;
	case OWNER_ANNOUNCE:
		announce(v, x);
		break;
	case OWNER_NOTE:
		note(v, x);
		break;
	case OWNER_STOPPED:
		v->stopped = true;
		break;
	case OWNER_ADDRESS_ADD:
	case OWNER_ADDRESS_REMOVE:
		own_op_add(v, LANE_ADDRESS, x);
		break;
	case OWNER_FLUSH:
		if (!v->lanes[LANE_FLUSH].busy)
			own_op_add(v, LANE_FLUSH, x);
		break;
	default:
		own_op_add(v, LANE_MAIN, x);
		break;
	}
}
