/*
 * owner: states x events. A pair that is not in the table changes nothing.
 */
#include <stddef.h>

#include "server-agent/owner_int.h"

#define IN(state) (1u << (OWNER_##state))

/* Sets of states. */
enum {
	WAITING = IN(STANDBY) | IN(FAILED),
	BEFORE_LEASE = IN(CLAIMING) | IN(FENCING) | IN(TAKING),
	MAKING = IN(ASSEMBLING) | IN(MOUNTING) | IN(BACKEND) | IN(VERIFYING) |
		 IN(RECOVERING),
	LEAVING = IN(SYNCING) | IN(DRAINING),
	UNDOING = IN(ADDRESS_DOWN) | IN(CLOSING) | IN(STOPPING) |
		  IN(UNMOUNTING) | IN(DISASSEMBLING) | IN(RELEASING),
	HOLDING = MAKING | IN(SERVING) | IN(SUSPENDED) | LEAVING,
};

/* --- the table */

static const struct owner_row rows[] = {
    {IN(STARTING), OWNER_EV_DONE, "look at the disk", owner_do_look},
    {IN(STARTING), OWNER_EV_LOOKED, "standby", owner_do_begin},
    {IN(STARTING), OWNER_EV_FAILED, "try again", owner_do_begin_again},
    {IN(STARTING) | WAITING | IN(STUCK), OWNER_EV_STOP, "stopped",
	owner_do_stopped},

    {WAITING, OWNER_EV_LOOKED, "claim or ask, if due", owner_do_consider},
    {WAITING, OWNER_EV_PEER, "claim or ask, if due", owner_do_consider},
    {WAITING, OWNER_EV_TOLD, "claim or ask, if due", owner_do_consider},
    {WAITING, OWNER_EV_NETS_BACK, "claim or ask, if due", owner_do_consider},
    {WAITING, OWNER_EV_TIME, "claim, ask or look, if due", owner_do_consider},
    {WAITING, OWNER_EV_MOVE, "to us: ask the owner", owner_do_fetch},

    {IN(CLAIMING), OWNER_EV_WON, "fence or take", owner_do_won},
    {IN(CLAIMING) | IN(FENCING), OWNER_EV_LOST_CLAIM, "standby",
	owner_do_lost_claim},
    {IN(CLAIMING), OWNER_EV_TOLD, "withdraw, if the owner is back",
	owner_do_maybe_withdraw},
    {IN(CLAIMING) | IN(FENCING), OWNER_EV_FAILED, "way back", owner_do_fail},
    {IN(FENCING), OWNER_EV_DONE, "take", owner_do_fenced},
    {IN(TAKING), OWNER_EV_TAKEN, "next step", owner_do_taken},
    {IN(TAKING), OWNER_EV_LOST_CLAIM, "give up at once", owner_do_lost},
    {IN(TAKING), OWNER_EV_FAILED, "way back", owner_do_fail},
    {BEFORE_LEASE, OWNER_EV_STOP, "way back", owner_do_stop_up},
    {IN(TAKING), OWNER_EV_LOST, "give up at once", owner_do_lost},

    {MAKING, OWNER_EV_DONE, "next step", owner_do_up},
    {MAKING, OWNER_EV_FAILED, "way back", owner_do_fail},
    {IN(VERIFYING) | IN(RECOVERING), OWNER_EV_BACKEND_DIED, "way back",
	owner_do_cancel_fail},
    {MAKING, OWNER_EV_STOP, "way back", owner_do_stop_up},

    {IN(SERVING), OWNER_EV_LAPSED, "hold all calls", owner_do_lapsed},
    {LEAVING, OWNER_EV_LAPSED, "hold all calls, stay", owner_do_lapsed_leaving},
    {IN(SUSPENDED), OWNER_EV_RESUMED, "serve again", owner_do_resumed},
    {IN(SUSPENDED), OWNER_EV_TIME, "give up", owner_do_suspended_too_long},
    {IN(SUSPENDED), OWNER_EV_BACKEND_DIED, "remember it", owner_do_note_died},
    {IN(SUSPENDED), OWNER_EV_STOP, "way down", owner_do_stop_up},
    {HOLDING, OWNER_EV_LOST, "give up at once", owner_do_lost},
    {HOLDING, OWNER_EV_DISK_LOST, "give up at once", owner_do_disk_lost},

    {IN(SERVING), OWNER_EV_BACKEND_DIED, "new epoch, new backend",
	owner_do_backend_died},
    {IN(SERVING), OWNER_EV_NETS_LOST, "hand over, if one lives", owner_do_nets},
    {IN(SERVING), OWNER_EV_PEER, "without networks: hand over", owner_do_nets},
    {IN(SERVING), OWNER_EV_ASKED, "hand over", owner_do_asked},
    {IN(SERVING), OWNER_EV_MOVE, "hand over", owner_do_move},
    {IN(SERVING), OWNER_EV_DRILL, "hand over, to come back", owner_do_drill},
    {IN(SERVING), OWNER_EV_STOP, "hand over", owner_do_stop_serving},

    {IN(SYNCING), OWNER_EV_DONE, "once more, or drain", owner_do_synced},
    {IN(SYNCING), OWNER_EV_FAILED, "drain", owner_do_synced},
    {IN(DRAINING), OWNER_EV_DONE, "way down", owner_do_drained},
    {IN(DRAINING), OWNER_EV_FAILED, "stay, or go on", owner_do_not_drained},
    {LEAVING, OWNER_EV_BACKEND_DIED, "way down", owner_do_died_leaving},
    {LEAVING, OWNER_EV_PEER, "stay, if nobody is there to take it",
	owner_do_target},
    {LEAVING, OWNER_EV_STOP, "go on, without return", owner_do_stop_leaving},

    {UNDOING, OWNER_EV_DONE, "next step down", owner_do_undone},
    {UNDOING, OWNER_EV_FAILED, "again, or stuck", owner_do_down_failed},
    {UNDOING, OWNER_EV_TIME, "again", owner_do_again},
    {IN(UNMOUNTING), OWNER_EV_FLUSHES, "more time", owner_do_flushes},
    {UNDOING, OWNER_EV_LOST, "write nothing more", owner_do_abandon_rest},
    {UNDOING, OWNER_EV_DISK_LOST, "write nothing more", owner_do_abandon_rest},
    {UNDOING, OWNER_EV_STOP, "then stopped", owner_do_stop_leaving},
    {IN(STUCK), OWNER_EV_TIME, "again", owner_do_unstick},
};

const struct owner_row *
owner_rows(unsigned *n)
{
	*n = sizeof(rows) / sizeof(rows[0]);
	return rows;
}

/* --- what is known, whatever the state */

static void
learn_told(struct owner *o, const struct owner_event *ev)
{
	struct owner_peer *p = &o->peers[ev->peer];
	bool news = !p->heard || p->told != ev->told || p->epoch != ev->epoch;

	p->heard = true;
	p->told = ev->told;
	p->epoch = ev->epoch;
	/* The disk is asked at once: it may have been released. */
	if (news && (WAITING & 1u << o->state)) {
		owner_push(o, OWNER_LOOK);
		if (ev->peer == o->look.holder)
			o->looked = false;
	}
	if ((ev->told == HB_SERVING || ev->told == HB_TAKING_OVER) &&
	    ev->epoch > o->look.epoch && !(o->have & OWNER_HAVE_LEASE)) {
		o->look.holder = ev->peer;
		o->look.epoch = ev->epoch;
		o->look.granted = -1;
	}
}

static void
learn(struct owner *o, const struct owner_event *ev)
{
	switch (ev->type) {
	case OWNER_EV_LOOKED:
		o->looked = true;
		if (ev->look.epoch >= o->look.epoch)
			o->look = ev->look;
		break;
	case OWNER_EV_PEER:
		o->peers[ev->peer].verdict = ev->verdict;
		break;
	case OWNER_EV_TOLD:
		learn_told(o, ev);
		break;
	case OWNER_EV_NETS_LOST:
		o->nets_lost = true;
		break;
	case OWNER_EV_NETS_BACK:
		o->nets_lost = false;
		break;
	case OWNER_EV_LAPSED:
		o->lapsed = true;
		break;
	case OWNER_EV_RESUMED:
		o->lapsed = false;
		break;
	case OWNER_EV_STOP:
		o->ending = true;
		break;
	default:
		break;
	}
}

/* A step that says nothing has failed. */
static struct owner_event
late(struct owner *o, const struct owner_event *ev)
{
	struct owner_event out = *ev;

	if (ev->type != OWNER_EV_TIME || o->now < o->deadline_ms || o->again ||
	    (!owner_is_step(o->state) && o->state != OWNER_STARTING))
		return out;
	owner_push(o, OWNER_CANCEL);
	out.type = OWNER_EV_FAILED;
	out.cut = true;
	out.text = "no answer in time";
	o->deadline_ms = UINT64_MAX;
	return out;
}

void
owner_handle(struct owner *o, const struct owner_event *event)
{
	struct owner_event ev = late(o, event);

	if ((ev.type == OWNER_EV_PEER || ev.type == OWNER_EV_TOLD) &&
	    (ev.peer < 0 || ev.peer >= CONFIG_SERVERS_MAX ||
		ev.peer == (int)o->c.self))
		return;
	learn(o, &ev);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].event == ev.type &&
		    rows[i].states >> o->state & 1) {
			rows[i].fn(o, &ev);
			return;
		}
}

const char *
owner_refuses(const struct owner *o, enum owner_event_type what, int peer)
{
	if (what == OWNER_EV_MOVE && peer == (int)o->c.self)
		return o->state == OWNER_SERVING ? "it is here already"
		       : o->look.holder < 0 ? "no owner is known to be asked"
					    : NULL;
	if (o->state != OWNER_SERVING)
		return "this server does not serve it now";
	if (peer < 0)
		return "no other candidate is alive";
	if (!owner_is_candidate(o, peer))
		return "that server is no candidate of the volume";
	if (!owner_peer_lives(o, peer))
		return "that server is not alive";
	return NULL;
}
