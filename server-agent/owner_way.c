/*
 * owner: the way up and the way down, step by step. Each step of the way up
 * sets its bit in `have` when it begins; the way down takes them away, last
 * first, each when its step is done.
 */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "server-agent/owner_int.h"

enum { AGAIN_MS = 500, STUCK_AGAIN_MS = 2000 };

#define LIMIT(member) offsetof(struct owner_config, member)

static uint64_t
limit(const struct owner *o, size_t member)
{
	uint64_t ms;

	memcpy(&ms, (const char *)&o->c + member, sizeof(ms));
	return ms;
}

/* --- up */

static const struct up {
	enum owner_have have;
	enum owner_state state;
	enum owner_action_type action;
	size_t limit;
} ups[] = {
    {OWNER_HAVE_LEASE, OWNER_TAKING, OWNER_TAKE, LIMIT(claim_ms)},
    {OWNER_HAVE_DEVICE, OWNER_ASSEMBLING, OWNER_ASSEMBLE, LIMIT(mount_ms)},
    {OWNER_HAVE_MOUNT, OWNER_MOUNTING, OWNER_MOUNT, LIMIT(mount_ms)},
    {OWNER_HAVE_BACKEND, OWNER_BACKEND, OWNER_START_BACKEND, LIMIT(backend_ms)},
    {OWNER_HAVE_VERIFIED, OWNER_VERIFYING, OWNER_VERIFY, LIMIT(backend_ms)},
    {OWNER_HAVE_LOG, OWNER_RECOVERING, OWNER_RECOVER, LIMIT(recover_ms)},
};

void
owner_up(struct owner *o, const char *text)
{
	for (size_t i = 0; i < sizeof(ups) / sizeof(ups[0]); i++) {
		if (o->have & ups[i].have)
			continue;
		o->have |= ups[i].have;
		if (ups[i].have == OWNER_HAVE_BACKEND)
			o->retaking = false;
		if (ups[i].have == OWNER_HAVE_MOUNT)
			o->mounted = false; /* it is used, and undone */
		owner_go(o, ups[i].state, text);
		owner_push_step(o, ups[i].action, limit(o, ups[i].limit));
		return;
	}
	owner_serve(o, text);
}

void
owner_serve(struct owner *o, const char *text)
{
	if (o->lapsed) {
		owner_go(o, OWNER_SUSPENDED,
		    "the lease lapsed meanwhile; all slots are read again");
		o->deadline_ms = o->now + 3 * o->c.stuck_ms;
		return;
	}
	o->failures = 0;
	o->moved_away = o->voluntary = false;
	o->target = -1;
	owner_push(o, OWNER_SERVE);
	owner_go(o, OWNER_SERVING, text);
	owner_report_end(o, true, "serving");
	o->returning = false;
	if (o->c.has_address && !(o->have & OWNER_HAVE_ADDRESS)) {
		o->have |= OWNER_HAVE_ADDRESS;
		owner_push(o, OWNER_ADDRESS_ADD)->deadline_ms =
		    (uint32_t)o->c.address_ms;
	}
}

void
owner_retake(struct owner *o, const char *text)
{
	o->have &= ~(unsigned)(OWNER_HAVE_BACKEND | OWNER_HAVE_VERIFIED |
			       OWNER_HAVE_LOG);
	o->retaking = true;
	owner_report_begin(o, OWNER_TRIP_UP, text);
	owner_go(o, OWNER_TAKING, text);
	owner_push_step(o, OWNER_TAKE, o->c.claim_ms);
}

/* --- down */

static const struct down {
	unsigned have; /* any of these */
	enum owner_state state;
	enum owner_action_type action;
	size_t limit;
} downs[] = {
    {OWNER_HAVE_ADDRESS, OWNER_ADDRESS_DOWN, OWNER_ADDRESS_REMOVE,
	LIMIT(address_ms)},
    {OWNER_HAVE_LOG, OWNER_CLOSING, OWNER_CLOSE, LIMIT(address_ms)},
    {OWNER_HAVE_BACKEND | OWNER_HAVE_VERIFIED, OWNER_STOPPING,
	OWNER_STOP_BACKEND, LIMIT(backend_ms)},
    {OWNER_HAVE_MOUNT, OWNER_UNMOUNTING, OWNER_UNMOUNT, LIMIT(unmount_ms)},
    {OWNER_HAVE_DEVICE, OWNER_DISASSEMBLING, OWNER_DISASSEMBLE,
	LIMIT(unmount_ms)},
    {OWNER_HAVE_LEASE | OWNER_HAVE_CLAIM, OWNER_RELEASING, OWNER_RELEASE,
	LIMIT(claim_ms)},
};

static const struct down *
next_down(const struct owner *o)
{
	for (size_t i = 0; i < sizeof(downs) / sizeof(downs[0]); i++)
		if (o->have & downs[i].have)
			return &downs[i];
	return NULL;
}

bool
owner_is_step(enum owner_state state)
{
	if (state == OWNER_CLAIMING || state == OWNER_FENCING ||
	    state == OWNER_SYNCING || state == OWNER_DRAINING)
		return true;
	for (size_t i = 0; i < sizeof(ups) / sizeof(ups[0]); i++)
		if (ups[i].state == state || downs[i].state == state)
			return true;
	return false;
}
_Static_assert(sizeof(ups) / sizeof(ups[0]) == sizeof(downs) / sizeof(downs[0]),
    "owner_is_step walks both");

static void
drop(struct owner *o)
{
	if (o->have & (OWNER_HAVE_LEASE | OWNER_HAVE_CLAIM))
		owner_push(o, OWNER_DROP);
	o->have &= ~(unsigned)(OWNER_HAVE_LEASE | OWNER_HAVE_CLAIM);
}

static void
begin_down_step(struct owner *o, const struct down *d)
{
	struct owner_action *a;
	enum owner_action_type type = d->action;

	if (type == OWNER_UNMOUNT && o->abandon)
		type = OWNER_ABANDON;
	o->again = false;
	owner_push_step(o, type, limit(o, d->limit));
	a = &o->queue[(o->first + o->queued - 1) % OWNER_QUEUE];
	a->peer = o->target;
}

/* It is left to the next candidate for a while, if there is one. */
static uint64_t
wait_ms(const struct owner *o)
{
	uint64_t ms = owner_other(o) >= 0 ? o->c.retry_ms : o->c.alone_ms;

	for (unsigned i = 0; i < o->failures && ms < o->c.retry_max_ms; i++)
		ms *= 2;
	return ms < o->c.retry_max_ms ? ms : o->c.retry_max_ms;
}

static void
fell(struct owner *o)
{
	owner_go(o, OWNER_FAILED, o->why);
	o->deadline_ms = o->now + wait_ms(o);
	o->failures++;
	o->returning = false;
	owner_report_end(o, false, o->why);
}

static void
arrived(struct owner *o, const char *text)
{
	enum owner_goal goal = o->goal;

	o->abandon = o->voluntary = o->withdraw = o->lapsed = false;
	o->standby_ms = o->look_ms = o->now;
	o->open_ms = 0;
	o->looked = false; /* nothing is claimed before the disk is read */
	if (goal == GOAL_FAILED) {
		fell(o);
		return;
	}
	owner_go(o, OWNER_STANDBY, text);
	if (!o->returning)
		owner_report_end(o, true, text);
	if (goal == GOAL_STOPPED)
		owner_push(o, OWNER_STOPPED);
	o->target = -1;
}

void
owner_down(struct owner *o, const char *text)
{
	const struct down *d;

	/* No new epoch: the log is still open, and threads of the backend
	 * can be there. */
	if (o->retaking)
		o->have |= OWNER_HAVE_BACKEND;
	o->retaking = false;
	d = next_down(o);
	if (d != NULL && d->action == OWNER_RELEASE && o->abandon) {
		drop(o);
		d = NULL;
	}
	if (d == NULL) {
		arrived(o, text);
		return;
	}
	owner_go(o, d->state, text);
	o->down_ms = o->now;
	begin_down_step(o, d);
}

/* The step of this state is done: what it undid is gone. */
static void
undone(struct owner *o)
{
	const struct down *d = next_down(o);

	assert(d != NULL);
	o->have &= ~d->have;
}

void
owner_undone(struct owner *o, const char *text)
{
	undone(o);
	owner_down(o, text);
}

void
owner_try_again(struct owner *o)
{
	const struct down *d = next_down(o);

	if (d != NULL)
		begin_down_step(o, d);
}

static void
stuck(struct owner *o, const char *text)
{
	char line[OWNER_TEXT_MAX];

	snprintf(line, sizeof(line),
	    "%.200s; the volume may still be written here, so it is not "
	    "released: the others must fence this server",
	    text);
	drop(o);
	owner_go(o, OWNER_STUCK, line);
	o->deadline_ms = o->now + STUCK_AGAIN_MS;
	owner_report_end(o, false, line);
}

void
owner_down_failed(struct owner *o, const char *text)
{
	uint64_t since = o->down_ms;

	switch (o->state) {
	case OWNER_ADDRESS_DOWN:
	case OWNER_CLOSING: /* neither of these writes the volume */
		owner_note(o, text, "the way down goes on");
		owner_undone(o, text);
		return;
	case OWNER_RELEASING: /* unmounted, but the disk does not know */
		drop(o);
		owner_down(o, text);
		return;
	default:
		break;
	}
	if (o->now - since >= o->c.stuck_ms) {
		stuck(o, text);
		return;
	}
	owner_note(o, text, "it is tried again");
	o->again = true;
	o->deadline_ms = o->now + AGAIN_MS;
}

/* --- the beginnings of a way down */

void
owner_fail(struct owner *o, const char *why)
{
	if (o->goal != GOAL_STOPPED)
		o->goal = GOAL_FAILED;
	o->target = -1;
	snprintf(o->why, sizeof(o->why), "%s", why);
	owner_report_begin(o, OWNER_TRIP_DOWN, why);
	owner_down(o, why);
}

void
owner_abandon(struct owner *o, const char *why)
{
	owner_push(o, OWNER_CANCEL);
	owner_push(o, OWNER_HOLD);
	o->abandon = true;
	owner_fail(o, why);
}

void
owner_sync(struct owner *o)
{
	o->syncs++;
	owner_push_step(o, OWNER_SYNC, o->c.unmount_ms);
}

void
owner_leave(struct owner *o, enum owner_goal goal, int target, const char *why)
{
	o->goal = goal;
	o->target = target;
	o->voluntary = goal != GOAL_STOPPED;
	o->syncs = o->idle_syncs = 0;
	o->last_kib = UINT64_MAX;
	owner_report_begin(o, OWNER_TRIP_DOWN, why);
	owner_go(o, OWNER_SYNCING, why);
	owner_sync(o);
}
