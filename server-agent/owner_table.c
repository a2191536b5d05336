/*
 * owner: states x events. A pair that is not in the table changes nothing.
 */
#include <stdio.h>
#include <string.h>

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

static const char *
text_of(const struct owner_event *ev, const char *otherwise)
{
	return ev->text != NULL && ev->text[0] != '\0' ? ev->text : otherwise;
}

/* --- before a claim */

static void
do_look(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	o->ready = true;
	owner_push_step(o, OWNER_LOOK, o->c.claim_ms);
}

static void
do_begin(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (!o->ready)
		return;
	o->standby_ms = o->now;
	o->look_ms = o->now + 1000;
	owner_go(o, OWNER_STANDBY, "the disk is read");
	owner_consider(o);
}

static void
do_begin_again(struct owner *o, const struct owner_event *ev)
{
	owner_note(o, text_of(ev, "no answer in time"),
	    "until it succeeds nothing is claimed");
	if (o->ready) {
		owner_push_step(o, OWNER_LOOK, o->c.claim_ms);
		return;
	}
	owner_push_step(o, OWNER_END_OLD, o->c.unmount_ms);
}

static void
do_consider(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->state == OWNER_FAILED && o->now >= o->deadline_ms)
		owner_go(o, OWNER_STANDBY, "it may be tried again");
	owner_consider(o);
}

static void
do_fetch(struct owner *o, const struct owner_event *ev)
{
	if (ev->peer != (int)o->c.self || o->look.holder < 0)
		return;
	o->moved_away = false;
	owner_push(o, OWNER_ASK)->peer = o->look.holder;
	owner_note(o, "an operator wants the volume here",
	    "its owner is asked for it");
}

static void
do_stopped(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	owner_push(o, OWNER_CANCEL);
	o->goal = GOAL_STOPPED;
	owner_push(o, OWNER_STOPPED);
}

/* --- claiming */

static void
do_won(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	if (o->withdraw) {
		o->goal = GOAL_STANDBY;
		owner_down(o, "its owner is back: the claim is withdrawn");
		return;
	}
	if (ev->peer < 0) {
		owner_up(o, "the claim stands, nobody is to be fenced");
		return;
	}
	snprintf(text, sizeof(text), "the claim stands, %s is to be fenced",
	    owner_server_name(o, ev->peer));
	owner_go(o, OWNER_FENCING, text);
	owner_push_step(o, OWNER_FENCE, o->c.fence_ms);
	o->queue[(o->first + o->queued - 1) % OWNER_QUEUE].peer = ev->peer;
}

static void
do_lost_claim(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "%s has it%s%s",
	    owner_server_name(o, ev->peer),
	    ev->text != NULL && ev->text[0] != '\0' ? ": " : "",
	    text_of(ev, ""));
	o->not_before_ms = o->now + 1000;
	o->have &= ~(unsigned)OWNER_HAVE_CLAIM;
	o->looked = false;
	owner_go(o, OWNER_STANDBY, text);
	o->look_ms = o->now;
	owner_report_end(o, false, text);
}

static void
do_maybe_withdraw(struct owner *o, const struct owner_event *ev)
{
	if (ev->peer == o->look.holder &&
	    (ev->told == HB_SERVING || ev->told == HB_TAKING_OVER) &&
	    ev->epoch >= o->look.epoch && ev->epoch != 0)
		o->withdraw = true;
}

static void
do_fenced(struct owner *o, const struct owner_event *ev)
{
	owner_up(o, text_of(ev, "the old owner is fenced"));
}

static void
do_taken(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	o->have &= ~(unsigned)OWNER_HAVE_CLAIM;
	o->have |= OWNER_HAVE_LEASE;
	o->epoch = ev->epoch;
	o->look.holder = (int)o->c.self;
	o->look.epoch = ev->epoch;
	o->look.granted = -1;
	o->lapsed = false;
	snprintf(text, sizeof(text), "epoch %llu is ours",
	    (unsigned long long)ev->epoch);
	owner_up(o, text);
}

/* --- the way up */

static void
do_up(struct owner *o, const struct owner_event *ev)
{
	owner_up(o, text_of(ev, "done"));
}

static void
do_fail(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "%s failed: %.250s",
	    owner_state_names[o->state], text_of(ev, "no reason given"));
	owner_fail(o, text);
}

static void
do_cancel_fail(struct owner *o, const struct owner_event *ev)
{
	owner_push(o, OWNER_CANCEL);
	do_fail(o, ev);
}

static void
do_stop_up(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	owner_push(o, OWNER_CANCEL);
	o->goal = GOAL_STOPPED;
	owner_fail(o, "the agent ends");
}

/* --- serving */

static void
do_lapsed(struct owner *o, const struct owner_event *ev)
{
	if (owner_is_step(o->state))
		owner_push(o, OWNER_CANCEL);
	owner_push(o, OWNER_HOLD);
	owner_go(o, OWNER_SUSPENDED,
	    text_of(ev, "the lease was not renewed in time"));
	o->deadline_ms = o->now + 3 * o->c.stuck_ms;
}

static void
do_resumed(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->goal == GOAL_STOPPED)
		owner_down(o, "the lease is ours again; the agent ends");
	else if (!(o->have & OWNER_HAVE_BACKEND))
		owner_retake(o, "the lease is ours again, the backend died");
	else
		owner_serve(o, "all slots are read: the lease is ours again");
}

static void
do_disk_lost(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "given up: %.250s",
	    text_of(ev, "the disk is lost"));
	owner_abandon(o, text);
}

static void
do_lost(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "the lease is %s's",
	    owner_server_name(o, ev->peer));
	o->not_before_ms = o->now + 1000;
	owner_abandon(o, text);
}

static void
do_suspended_too_long(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->now >= o->deadline_ms)
		owner_abandon(o, "given up: the lease could not be renewed");
}

static bool
dies_too_often(struct owner *o)
{
	if (o->now - o->deaths_ms > 60000) {
		o->deaths = 0;
		o->deaths_ms = o->now;
	}
	return ++o->deaths > o->c.deaths_max;
}

static void
do_backend_died(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "the backend died: %.250s",
	    text_of(ev, "no reason known"));
	owner_push(o, OWNER_HOLD);
	if (dies_too_often(o))
		owner_fail(o, text);
	else
		owner_retake(o, text);
}

static void
do_note_died(struct owner *o, const struct owner_event *ev)
{
	owner_note(o, "the backend died", text_of(ev, ""));
	o->have &= ~(unsigned)(OWNER_HAVE_BACKEND | OWNER_HAVE_VERIFIED |
			       OWNER_HAVE_LOG);
}

/* In doubt is what ran: the next owner's recovery answers for it. */
static void
do_died_leaving(struct owner *o, const struct owner_event *ev)
{
	owner_note(o, "the backend died", text_of(ev, ""));
	owner_push(o, OWNER_CANCEL);
	owner_push(o, OWNER_HOLD);
	owner_down(o, "handing over all the same");
}

static void
hand_over(struct owner *o, int peer, const char *why)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "%s; it goes to %s", why,
	    owner_server_name(o, peer));
	owner_leave(o, GOAL_STANDBY, peer, text);
}

static void
do_nets(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->nets_lost && owner_other(o) >= 0)
		hand_over(o, owner_other(o),
		    "no network has carrier here, and another server lives");
}

static void
do_asked(struct owner *o, const struct owner_event *ev)
{
	const char *no = owner_refuses(o, OWNER_EV_ASKED, ev->peer);

	if (no != NULL) {
		owner_note(o, "a request for the volume is refused", no);
		return;
	}
	hand_over(o, ev->peer, "its candidate asks for it");
}

static void
do_move(struct owner *o, const struct owner_event *ev)
{
	if (owner_refuses(o, OWNER_EV_MOVE, ev->peer) != NULL)
		return;
	hand_over(o, ev->peer, "an operator moves it");
	o->moved_away = true;
}

static void
do_drill(struct owner *o, const struct owner_event *ev)
{
	int to = ev->peer >= 0 ? ev->peer : owner_other(o);

	if (owner_refuses(o, OWNER_EV_DRILL, to) != NULL)
		return;
	o->returning = true;
	owner_report_begin(o, OWNER_TRIP_DRILL, "an operator's drill");
	hand_over(o, to, "a drill");
}

static void
do_stop_serving(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	owner_leave(o, GOAL_STOPPED, owner_other(o), "the agent ends");
}

/* --- the way down */

static void
drain(struct owner *o, const char *text)
{
	owner_go(o, OWNER_DRAINING, text);
	owner_push_step(o, OWNER_DRAIN, o->c.drain_ms);
}

static void
do_synced(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	if (ev->type == OWNER_EV_DONE && ev->dirty_kib > o->c.dirty_max_kib &&
	    o->syncs < o->c.syncs_max) {
		owner_sync(o);
		return;
	}
	snprintf(text, sizeof(text), "%u rounds of write-back, %llu KiB left",
	    o->syncs, (unsigned long long)ev->dirty_kib);
	drain(o, ev->type == OWNER_EV_DONE ? text : text_of(ev, "not synced"));
}

static void
do_drained(struct owner *o, const struct owner_event *ev)
{
	owner_down(o, text_of(ev, "no call runs"));
}

static void
resume(struct owner *o, const char *text)
{
	owner_push(o, OWNER_CANCEL);
	owner_push(o, OWNER_RESUME);
	o->goal = GOAL_STANDBY;
	o->target = -1;
	o->voluntary = o->moved_away = o->returning = false;
	owner_go(o, OWNER_SERVING, text);
	owner_report_end(o, false, text);
}

static void
do_not_drained(struct owner *o, const struct owner_event *ev)
{
	if (o->voluntary) {
		resume(o, text_of(ev, "running calls did not end in time: it "
				      "stays here"));
		return;
	}
	owner_push(o, OWNER_CANCEL);
	owner_push(o, OWNER_HOLD);
	owner_down(o, "running calls did not end in time; they stay in doubt");
}

/* Whom it was meant for is gone. */
static void
do_target(struct owner *o, const struct owner_event *ev)
{
	if (ev->peer == o->target && o->voluntary &&
	    !owner_peer_lives(o, o->target))
		resume(o, "it stays here: the server it was for is gone");
}

static void
do_lapsed_leaving(struct owner *o, const struct owner_event *ev)
{
	o->voluntary = o->moved_away = o->returning = false;
	do_lapsed(o, ev);
	owner_report_end(o, false, "the lease lapsed");
}

static void
do_stop_leaving(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	o->goal = GOAL_STOPPED;
	o->voluntary = false;
}

static void
do_undone(struct owner *o, const struct owner_event *ev)
{
	owner_undone(o, text_of(ev, "done"));
}

static void
do_down_failed(struct owner *o, const struct owner_event *ev)
{
	owner_down_failed(o, text_of(ev, "no reason given"));
}

static void
do_again(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->again && o->now >= o->deadline_ms)
		owner_try_again(o);
}

static void
do_abandon_rest(struct owner *o, const struct owner_event *ev)
{
	o->abandon = true;
	if (o->goal == GOAL_STANDBY)
		o->goal = GOAL_FAILED;
	snprintf(o->why, sizeof(o->why), "%s",
	    text_of(ev, "the lease is another's"));
	owner_note(o, o->why, "what is mounted is given up");
}

static void
do_unstick(struct owner *o, const struct owner_event *ev)
{
	uint64_t since = o->down_ms;

	(void)ev;
	if (o->now < o->deadline_ms)
		return;
	owner_down(o, "tried again");
	o->down_ms = since;
}

/* --- the table */

static const struct owner_row rows[] = {
    {IN(STARTING), OWNER_EV_DONE, "look at the disk", do_look},
    {IN(STARTING), OWNER_EV_LOOKED, "standby", do_begin},
    {IN(STARTING), OWNER_EV_FAILED, "try again", do_begin_again},
    {IN(STARTING) | WAITING | IN(STUCK), OWNER_EV_STOP, "stopped", do_stopped},

    {WAITING, OWNER_EV_LOOKED, "claim or ask, if due", do_consider},
    {WAITING, OWNER_EV_PEER, "claim or ask, if due", do_consider},
    {WAITING, OWNER_EV_TOLD, "claim or ask, if due", do_consider},
    {WAITING, OWNER_EV_NETS_BACK, "claim or ask, if due", do_consider},
    {WAITING, OWNER_EV_TIME, "claim, ask or look, if due", do_consider},
    {WAITING, OWNER_EV_MOVE, "to us: ask the owner", do_fetch},

    {IN(CLAIMING), OWNER_EV_WON, "fence or take", do_won},
    {IN(CLAIMING) | IN(FENCING), OWNER_EV_LOST_CLAIM, "standby", do_lost_claim},
    {IN(CLAIMING), OWNER_EV_TOLD, "withdraw, if the owner is back",
	do_maybe_withdraw},
    {IN(CLAIMING) | IN(FENCING), OWNER_EV_FAILED, "way back", do_fail},
    {IN(FENCING), OWNER_EV_DONE, "take", do_fenced},
    {IN(TAKING), OWNER_EV_TAKEN, "next step", do_taken},
    {IN(TAKING), OWNER_EV_LOST_CLAIM, "give up at once", do_lost},
    {IN(TAKING), OWNER_EV_FAILED, "way back", do_fail},
    {BEFORE_LEASE, OWNER_EV_STOP, "way back", do_stop_up},
    {IN(TAKING), OWNER_EV_LOST, "give up at once", do_lost},

    {MAKING, OWNER_EV_DONE, "next step", do_up},
    {MAKING, OWNER_EV_FAILED, "way back", do_fail},
    {IN(VERIFYING) | IN(RECOVERING), OWNER_EV_BACKEND_DIED, "way back",
	do_cancel_fail},
    {MAKING, OWNER_EV_STOP, "way back", do_stop_up},

    {IN(SERVING), OWNER_EV_LAPSED, "hold all calls", do_lapsed},
    {LEAVING, OWNER_EV_LAPSED, "hold all calls, stay", do_lapsed_leaving},
    {IN(SUSPENDED), OWNER_EV_RESUMED, "serve again", do_resumed},
    {IN(SUSPENDED), OWNER_EV_TIME, "give up", do_suspended_too_long},
    {IN(SUSPENDED), OWNER_EV_BACKEND_DIED, "remember it", do_note_died},
    {IN(SUSPENDED), OWNER_EV_STOP, "way down", do_stop_up},
    {HOLDING, OWNER_EV_LOST, "give up at once", do_lost},
    {HOLDING, OWNER_EV_DISK_LOST, "give up at once", do_disk_lost},

    {IN(SERVING), OWNER_EV_BACKEND_DIED, "new epoch, new backend",
	do_backend_died},
    {IN(SERVING), OWNER_EV_NETS_LOST, "hand over, if one lives", do_nets},
    {IN(SERVING), OWNER_EV_PEER, "without networks: hand over", do_nets},
    {IN(SERVING), OWNER_EV_ASKED, "hand over", do_asked},
    {IN(SERVING), OWNER_EV_MOVE, "hand over", do_move},
    {IN(SERVING), OWNER_EV_DRILL, "hand over, to come back", do_drill},
    {IN(SERVING), OWNER_EV_STOP, "hand over", do_stop_serving},

    {IN(SYNCING), OWNER_EV_DONE, "once more, or drain", do_synced},
    {IN(SYNCING), OWNER_EV_FAILED, "drain", do_synced},
    {IN(DRAINING), OWNER_EV_DONE, "way down", do_drained},
    {IN(DRAINING), OWNER_EV_FAILED, "stay, or go on", do_not_drained},
    {LEAVING, OWNER_EV_BACKEND_DIED, "way down", do_died_leaving},
    {LEAVING, OWNER_EV_PEER, "stay, if nobody is there to take it", do_target},
    {LEAVING, OWNER_EV_STOP, "go on, without return", do_stop_leaving},

    {UNDOING, OWNER_EV_DONE, "next step down", do_undone},
    {UNDOING, OWNER_EV_FAILED, "again, or stuck", do_down_failed},
    {UNDOING, OWNER_EV_TIME, "again", do_again},
    {UNDOING, OWNER_EV_LOST, "write nothing more", do_abandon_rest},
    {UNDOING, OWNER_EV_DISK_LOST, "write nothing more", do_abandon_rest},
    {UNDOING, OWNER_EV_STOP, "then stopped", do_stop_leaving},
    {IN(STUCK), OWNER_EV_TIME, "again", do_unstick},
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
