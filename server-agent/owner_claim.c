/*
 * owner: when a standby claims the volume, and when it asks for it back.
 * The rules are listed in owner.h.
 */
#include <stdio.h>
#include <string.h>

#include "server-agent/owner_int.h"

enum { LOOK_MS = 1000, ASK_AGAIN_MS = 5000 };

static int
place(const struct owner *o, int server)
{
	for (unsigned i = 0; i < o->c.ncandidates; i++)
		if ((int)o->c.candidates[i] == server)
			return (int)i;
	return -1;
}

bool
owner_is_candidate(const struct owner *o, int server)
{
	return place(o, server) >= 0;
}

/* Heard, or at least known to be well on the disk. */
bool
owner_peer_lives(const struct owner *o, int server)
{
	enum suspect_state v;

	if (server < 0 || server >= CONFIG_SERVERS_MAX)
		return false;
	v = o->peers[server].verdict;
	return v == SUSPECT_ALIVE || v == SUSPECT_CUT_OFF;
}

static bool
gone(const struct owner *o, int server)
{
	enum suspect_state v = o->peers[server].verdict;

	return v == SUSPECT_DEAD || v == SUSPECT_SILENT;
}

int
owner_other(const struct owner *o)
{
	for (unsigned i = 0; i < o->c.ncandidates; i++) {
		int s = (int)o->c.candidates[i];

		if (s != (int)o->c.self && owner_peer_lives(o, s))
			return s;
	}
	return -1;
}

/* How many candidates stand before us who may claim as well as we. */
static unsigned
rank(const struct owner *o)
{
	unsigned n = 0;

	for (unsigned i = 0; i < o->c.ncandidates; i++) {
		int s = (int)o->c.candidates[i];

		if (s == (int)o->c.self)
			break;
		if (s != o->look.holder && !gone(o, s))
			n++;
	}
	return n;
}

enum may { MAY_NOT, MAY_IN_TURN, MAY_NOW };

/* The holder says itself that it has nothing of that epoch any more. */
static bool
gave_up(const struct owner *o, int holder)
{
	const struct owner_peer *p = &o->peers[holder];

	return p->verdict == SUSPECT_ALIVE && p->heard &&
	       p->told == HB_STANDBY && p->epoch != 0 &&
	       p->epoch == o->look.epoch;
}

static enum may
may_take_from(const struct owner *o, int holder, char *why, size_t size)
{
	const char *name = owner_server_name(o, holder);

	if (gone(o, holder))
		snprintf(why, size, "%s, the owner in epoch %llu, is %s", name,
		    (unsigned long long)o->look.epoch,
		    suspect_state_names[o->peers[holder].verdict]);
	else if (gave_up(o, holder))
		snprintf(why, size,
		    "%s says that it gave up epoch %llu, which the disk still "
		    "gives to it",
		    name, (unsigned long long)o->look.epoch);
	else
		return MAY_NOT;
	return MAY_IN_TURN;
}

static enum may
may_claim(const struct owner *o, char *why, size_t size)
{
	int holder = o->look.holder, granted = o->look.granted;

	if (!o->looked || o->ending || o->nets_lost ||
	    o->now < o->not_before_ms)
		return MAY_NOT;
	if (holder >= 0 && holder != (int)o->c.self)
		return may_take_from(o, holder, why, size);
	if (holder == (int)o->c.self) {
		snprintf(why, size, "it was ours in epoch %llu",
		    (unsigned long long)o->look.epoch);
		return MAY_NOW;
	}
	if (granted == (int)o->c.self) {
		snprintf(why, size, "it is granted to us");
		return MAY_NOW;
	}
	snprintf(why, size, "nobody owns it");
	return MAY_IN_TURN;
}

/* One that is meant for another is left to it for a while. */
static uint64_t
turn_ms(const struct owner *o)
{
	unsigned n = rank(o);
	int granted = o->look.granted;

	if (o->look.holder == -1 && granted >= 0 && !gone(o, granted) && n == 0)
		n = 2;
	return o->open_ms + n * o->c.stagger_ms;
}

static void
claim(struct owner *o, const char *why)
{
	o->open_ms = 0;
	o->basis = o->look;
	o->withdraw = false;
	o->goal = GOAL_STANDBY;
	o->have |= OWNER_HAVE_CLAIM;
	owner_report_begin(o, OWNER_TRIP_UP, why);
	owner_go(o, OWNER_CLAIMING, why);
	owner_push_step(o, OWNER_CLAIM, o->c.claim_ms);
}

/* --- failback */

static bool
wants_back(const struct owner *o, uint64_t *when)
{
	int holder = o->look.holder;
	uint64_t wait = o->c.settle_ms;

	if (holder < 0 || holder == (int)o->c.self ||
	    o->peers[holder].verdict != SUSPECT_ALIVE ||
	    o->peers[holder].told != HB_SERVING || o->nets_lost)
		return false;
	if (o->returning)
		wait = 0;
	else if (o->c.failback == CONFIG_FAILBACK_MANUAL || o->moved_away ||
		 place(o, (int)o->c.self) > place(o, holder))
		return false;
	else if (o->c.failback == CONFIG_FAILBACK_DELAYED)
		wait = o->c.failback_delay_ms;
	*when = o->standby_ms + wait;
	if (*when < o->ask_ms)
		*when = o->ask_ms;
	return true;
}

static void
ask_back(struct owner *o)
{
	char text[OWNER_TEXT_MAX];
	uint64_t when;

	if (o->state != OWNER_STANDBY || !wants_back(o, &when) || o->now < when)
		return;
	o->ask_ms = o->now + ASK_AGAIN_MS;
	owner_push(o, OWNER_ASK)->peer = o->look.holder;
	snprintf(text, sizeof(text), "%s is asked for the volume",
	    owner_server_name(o, o->look.holder));
	owner_note(o, text,
	    o->returning ? "the drill's second half"
			 : "we stand before it, and are ready");
}

/* --- */

void
owner_consider(struct owner *o)
{
	char why[OWNER_TEXT_MAX] = "";
	enum may may = may_claim(o, why, sizeof(why));

	if (o->state == OWNER_FAILED && o->now < o->deadline_ms &&
	    !(may == MAY_NOW && o->look.granted == (int)o->c.self &&
		o->look.holder == -1))
		may = MAY_NOT;
	if (may == MAY_NOT)
		o->open_ms = 0;
	else if (o->open_ms == 0)
		o->open_ms = o->now;
	if (may == MAY_NOW || (may == MAY_IN_TURN && o->now >= turn_ms(o))) {
		claim(o, why);
		return;
	}
	ask_back(o);
	if (o->now >= o->look_ms) {
		o->look_ms = o->now + LOOK_MS;
		owner_push(o, OWNER_LOOK);
	}
}

uint64_t
owner_consider_ms(const struct owner *o)
{
	uint64_t at = o->look_ms, when;

	if (o->state != OWNER_STANDBY && o->state != OWNER_FAILED)
		return UINT64_MAX;
	if (o->open_ms != 0 && turn_ms(o) < at)
		at = turn_ms(o);
	if (o->state == OWNER_STANDBY && wants_back(o, &when) && when < at)
		at = when;
	if (o->not_before_ms > o->now && o->not_before_ms < at)
		at = o->not_before_ms;
	return at;
}
