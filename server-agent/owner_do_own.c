/*
 * owner: what events do to a volume that is served, and on the way down.
 */
#include <stdio.h>
#include <string.h>

#include "server-agent/owner_int.h"

enum {
	IDLE_SYNCS = 2,  /* so many in a row are enough */
	FLUSH_TIMES = 20 /* unmount_ms, at most, for what was dirty */
};

/* --- serving */

void
owner_do_lapsed(struct owner *o, const struct owner_event *ev)
{
	if (owner_is_step(o->state))
		owner_push(o, OWNER_CANCEL);
	owner_push(o, OWNER_HOLD);
	owner_go(o, OWNER_SUSPENDED,
	    owner_text(ev, "the lease was not renewed in time"));
	o->deadline_ms = o->now + 3 * o->c.stuck_ms;
}

void
owner_do_resumed(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->goal == GOAL_STOPPED)
		owner_down(o, "the lease is ours again; the agent ends");
	else if (!(o->have & OWNER_HAVE_BACKEND))
		owner_retake(o, "the lease is ours again, the backend died");
	else
		owner_serve(o, "all slots are read: the lease is ours again");
}

void
owner_do_disk_lost(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "given up: %.250s",
	    owner_text(ev, "the disk is lost"));
	owner_abandon(o, text);
}

void
owner_do_lost(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "the lease is %s's",
	    owner_server_name(o, ev->peer));
	o->not_before_ms = o->now + 1000;
	owner_abandon(o, text);
}

void
owner_do_suspended_too_long(struct owner *o, const struct owner_event *ev)
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

void
owner_do_backend_died(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX];

	snprintf(text, sizeof(text), "the backend died: %.250s",
	    owner_text(ev, "no reason known"));
	owner_push(o, OWNER_HOLD);
	if (dies_too_often(o))
		owner_fail(o, text);
	else
		owner_retake(o, text);
}

void
owner_do_note_died(struct owner *o, const struct owner_event *ev)
{
	owner_note(o, "the backend died", owner_text(ev, ""));
	o->have &= ~(unsigned)(OWNER_HAVE_BACKEND | OWNER_HAVE_VERIFIED |
			       OWNER_HAVE_LOG);
	o->retaking = true; /* a way down ends what it left */
}

/* In doubt is what ran: the next owner's recovery answers for it. */
void
owner_do_died_leaving(struct owner *o, const struct owner_event *ev)
{
	owner_note(o, "the backend died", owner_text(ev, ""));
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

void
owner_do_nets(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->nets_lost && owner_other(o) >= 0)
		hand_over(o, owner_other(o),
		    "no network has carrier here, and another server lives");
}

void
owner_do_asked(struct owner *o, const struct owner_event *ev)
{
	const char *no = owner_refuses(o, OWNER_EV_ASKED, ev->peer);

	if (no != NULL) {
		owner_note(o, "a request for the volume is refused", no);
		return;
	}
	hand_over(o, ev->peer, "its candidate asks for it");
}

void
owner_do_move(struct owner *o, const struct owner_event *ev)
{
	if (owner_refuses(o, OWNER_EV_MOVE, ev->peer) != NULL)
		return;
	hand_over(o, ev->peer, "an operator moves it");
	o->moved_away = true;
}

void
owner_do_drill(struct owner *o, const struct owner_event *ev)
{
	int to = ev->peer >= 0 ? ev->peer : owner_other(o);

	if (owner_refuses(o, OWNER_EV_DRILL, to) != NULL)
		return;
	o->returning = true;
	owner_report_begin(o, OWNER_TRIP_DRILL, "an operator's drill");
	hand_over(o, to, "a drill");
}

void
owner_do_stop_serving(struct owner *o, const struct owner_event *ev)
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

/* Its time was over before all was written. How much it wrote says nothing
 * of what is left, so it is no round that gains nothing; one that could not
 * even say that is. */
static bool
cut_short(struct owner *o, const struct owner_event *ev)
{
	o->last_kib = UINT64_MAX;
	o->idle_syncs = ev->type == OWNER_EV_DONE ? 0 : o->idle_syncs + 1;
	return o->idle_syncs < IDLE_SYNCS;
}

/*
 * Another round of write-back? What came during one takes as long again to
 * write, at most: so a short one is the last. And it is of no use any more
 * when clients write as fast as the disk does.
 */
static bool
once_more(struct owner *o, const struct owner_event *ev)
{
	uint64_t last = o->last_kib;

	if (o->syncs >= o->c.syncs_max)
		return false;
	if (ev->cut)
		return cut_short(o, ev);
	if (ev->type != OWNER_EV_DONE || ev->sync_ms <= o->c.sync_ms ||
	    ev->dirty_kib <= o->c.dirty_max_kib)
		return false;
	o->idle_syncs =
	    ev->dirty_kib < last - last / 4 ? 0 : o->idle_syncs + 1;
	o->last_kib = ev->dirty_kib;
	return o->idle_syncs < IDLE_SYNCS;
}

static void
say_left(const struct owner_event *ev, char *text, size_t size)
{
	if (!ev->cut)
		text[0] = '\0';
	else if (ev->left_kib == 0)
		snprintf(text, size, "its time was over before all was written");
	else
		snprintf(text, size,
		    "its time was over, up to %llu KiB are dirty still",
		    (unsigned long long)ev->left_kib);
}

void
owner_do_synced(struct owner *o, const struct owner_event *ev)
{
	char text[OWNER_TEXT_MAX], left[80];

	say_left(ev, left, sizeof(left));
	if (ev->type == OWNER_EV_DONE)
		snprintf(text, sizeof(text),
		    "%u rounds of write-back, %llu KiB in %llu ms the last "
		    "one%s%s",
		    o->syncs, (unsigned long long)ev->dirty_kib,
		    (unsigned long long)ev->sync_ms, ev->cut ? "; " : "", left);
	else
		snprintf(text, sizeof(text), "not synced: %.250s",
		    owner_text(ev, "no reason given"));
	if (!once_more(o, ev)) {
		drain(o, text);
		return;
	}
	if (ev->cut)
		owner_note(o, text, "it is served meanwhile, and goes on");
	owner_sync(o);
}

/* Nothing is written any more: what is dirty still goes to the disk while
 * the backend is ended. */
void
owner_do_drained(struct owner *o, const struct owner_event *ev)
{
	owner_push(o, OWNER_FLUSH)->deadline_ms = (uint32_t)o->c.unmount_ms;
	owner_down(o, owner_text(ev, "no call runs"));
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

void
owner_do_not_drained(struct owner *o, const struct owner_event *ev)
{
	if (o->voluntary) {
		resume(
		    o, owner_text(ev, "running calls did not end in time: it "
				      "stays here"));
		return;
	}
	owner_push(o, OWNER_CANCEL);
	owner_push(o, OWNER_HOLD);
	owner_down(o, "running calls did not end in time; they stay in doubt");
}

/* Whom it was meant for is gone. */
void
owner_do_target(struct owner *o, const struct owner_event *ev)
{
	if (ev->peer == o->target && o->voluntary &&
	    !owner_peer_lives(o, o->target))
		resume(o, "it stays here: the server it was for is gone");
}

void
owner_do_lapsed_leaving(struct owner *o, const struct owner_event *ev)
{
	o->voluntary = o->moved_away = o->returning = false;
	owner_do_lapsed(o, ev);
	owner_report_end(o, false, "the lease lapsed");
}

void
owner_do_stop_leaving(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	o->goal = GOAL_STOPPED;
	o->voluntary = false;
}

void
owner_do_undone(struct owner *o, const struct owner_event *ev)
{
	owner_undone(o, owner_text(ev, "done"));
}

void
owner_do_down_failed(struct owner *o, const struct owner_event *ev)
{
	owner_down_failed(o, owner_text(ev, "no reason given"));
}

void
owner_do_again(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->again && o->now >= o->deadline_ms)
		owner_try_again(o);
}

/* An unmount in good order writes: one that waits or tries does not go on. */
void
owner_do_abandon_rest(struct owner *o, const struct owner_event *ev)
{
	bool unmounts = o->state == OWNER_UNMOUNTING && !o->abandon;

	o->abandon = true;
	if (o->goal == GOAL_STANDBY)
		o->goal = GOAL_FAILED;
	snprintf(o->why, sizeof(o->why), "%s",
	    owner_text(ev, "the lease is another's"));
	owner_note(o, o->why, "what is mounted is given up");
	if (unmounts) {
		owner_push(o, OWNER_CANCEL);
		owner_try_again(o);
	}
}

/*
 * It takes long because there is much to write: it is not late, and not
 * stuck, as long as the disk takes it. But who writes may also be a stranger
 * that keeps the file system busy: there is an end to it.
 */
void
owner_do_flushes(struct owner *o, const struct owner_event *ev)
{
	(void)ev;
	if (o->abandon || o->now - o->since_ms > FLUSH_TIMES * o->c.unmount_ms)
		return;
	o->down_ms = o->now;
	if (!o->again)
		o->deadline_ms = o->now + o->c.unmount_ms + 1000;
}

void
owner_do_unstick(struct owner *o, const struct owner_event *ev)
{
	uint64_t since = o->down_ms;

	(void)ev;
	if (o->now < o->deadline_ms)
		return;
	owner_down(o, "tried again");
	o->down_ms = since;
}
