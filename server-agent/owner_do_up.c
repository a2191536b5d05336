/*
 * owner: what events do before a claim, in it, and on the way up.
 */
#include <stdio.h>
#include <string.h>

#include "server-agent/owner_int.h"

const char *
owner_text(const struct owner_event *ev, const char *otherwise)
{
	return ev->text != NULL && ev->text[0] != '\0' ? ev->text : otherwise;
}

/* --- before a claim */

void
owner_do_look(struct owner *o, const struct owner_event *ev)
{
	o->ready = true;
	o->mounted = ev->mounted;
	owner_push_step(o, OWNER_LOOK, o->c.claim_ms);
}

/* Another one has had the volume since, or may have: its blocks are not what
 * an earlier life's mount takes them for. */
static bool
give_up_mount(struct owner *o)
{
	if (!o->mounted || o->look.holder == (int)o->c.self)
		return false;
	o->mounted = false;
	o->have |= OWNER_HAVE_MOUNT;
	owner_abandon(o, "an earlier life's mount of what is not ours");
	return true;
}

void
owner_do_begin(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (!o->ready)
		return;
	o->standby_ms = o->now;
	o->look_ms = o->now + 1000;
	if (give_up_mount(o))
		return;
	owner_go(o, OWNER_STANDBY, "the disk is read");
	owner_consider(o);
}

void
owner_do_begin_again(struct owner *o, const struct owner_event *ev)
{
	owner_note(o, owner_text(ev, "no answer in time"),
	    "until it succeeds nothing is claimed");
	if (o->ready) {
		owner_push_step(o, OWNER_LOOK, o->c.claim_ms);
		return;
	}
	owner_push_step(o, OWNER_END_OLD, o->c.unmount_ms);
}

void
owner_do_consider(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->looked && give_up_mount(o))
		return;
	if (o->state == OWNER_FAILED && o->now >= o->deadline_ms)
		owner_go(o, OWNER_STANDBY, "it may be tried again");
	owner_consider(o);
}

void
owner_do_fetch(struct owner *o, const struct owner_event *ev)
{
	if (ev->peer != (int)o->c.self || o->look.holder < 0)
		return;
	o->moved_away = false;
	owner_push(o, OWNER_ASK)->peer = o->look.holder;
	owner_note(o, "an operator wants the volume here",
	    "its owner is asked for it");
}

void
owner_do_stopped(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	owner_push(o, OWNER_CANCEL);
	o->goal = GOAL_STOPPED;
	owner_push(o, OWNER_STOPPED);
}

/* --- claiming */

/*
 * Somebody took the volume after the claim was decided. Who was silent is
 * not its owner any more; its owner is well, and an earlier life's mount is
 * not of the epoch before.
 */
static bool
is_overtaken(const struct owner *o, int peer)
{
	return o->look.epoch != o->basis.epoch ||
	       (peer >= 0 && peer != o->basis.holder);
}

static void
withdraw(struct owner *o, const char *text)
{
	o->goal = GOAL_STANDBY;
	owner_down(o, text);
}

void
owner_do_won(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	if (o->withdraw) {
		withdraw(o, "its owner is back: the claim is withdrawn");
		return;
	}
	if (is_overtaken(o, ev->peer)) {
		withdraw(o, "another took it since the claim was decided: the "
			    "claim is withdrawn");
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

void
owner_do_lost_claim(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "%s has it%s%s",
	    owner_server_name(o, ev->peer),
	    ev->text != NULL && ev->text[0] != '\0' ? ": " : "",
	    owner_text(ev, ""));
	if (o->state == OWNER_FENCING)
		owner_push(o, OWNER_CANCEL);
	o->not_before_ms = o->now + 1000;
	o->have &= ~(unsigned)OWNER_HAVE_CLAIM;
	o->looked = false;
	owner_go(o, OWNER_STANDBY, text);
	o->look_ms = o->now;
	owner_report_end(o, false, text);
}

void
owner_do_maybe_withdraw(struct owner *o, const struct owner_event *ev)
{
	if (ev->peer == o->look.holder &&
	    (ev->told == HB_SERVING || ev->told == HB_TAKING_OVER) &&
	    ev->epoch >= o->look.epoch && ev->epoch != 0)
		o->withdraw = true;
}

void
owner_do_fenced(struct owner *o, const struct owner_event *ev)
{
	owner_up(o, owner_text(ev, "the old owner is fenced"));
}

void
owner_do_taken(struct owner *o, const struct owner_event *ev)
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

void
owner_do_up(struct owner *o, const struct owner_event *ev)
{
	owner_up(o, owner_text(ev, "done"));
}

void
owner_do_fail(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "%s failed: %.250s",
	    owner_state_names[o->state], owner_text(ev, "no reason given"));
	owner_fail(o, text);
}

void
owner_do_cancel_fail(struct owner *o, const struct owner_event *ev)
{
	owner_push(o, OWNER_CANCEL);
	owner_do_fail(o, ev);
}

void
owner_do_stop_up(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	owner_push(o, OWNER_CANCEL);
	o->goal = GOAL_STOPPED;
	owner_fail(o, "the agent ends");
}
