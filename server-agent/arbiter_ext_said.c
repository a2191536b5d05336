/*
 * What the other cluster manager said: the answers of arbiter_command, verb
 * by verb. See arbiter_ext.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hanfs/clock.h"
#include "server-agent/arbiter_ext.h"

void
ext_about_newest(const struct arbiter *a, struct lease_action *n)
{
	const struct ext *x = ext_of(a);

	n->epoch = x->newest_epoch;
	n->holding = CTL_RELEASED;
	if (x->newest < 0)
		return;
	n->server_id = a->cfg.cfg->servers[x->newest].id;
	n->holding = (unsigned)x->newest == a->cfg.self && !ext_is_owner(x)
			 ? CTL_STALE
			 : CTL_HELD;
}

static uint32_t
margin(const struct arbiter *a)
{
	return (uint32_t)a->cfg.cfg->agent.lease_ms / 20 + LEASE_TICK_MS;
}

/* "SERVER EPOCH" or "none EPOCH". */
static bool
parse_owner(struct arbiter *a, const char *out)
{
	struct ext *x = ext_of(a);
	char name[CONFIG_NAME_MAX + 1];
	uint64_t epoch;
	int server = -1;

	if (sscanf(out, "%64s %" SCNu64, name, &epoch) != 2)
		return false;
	if (strcmp(name, "none") != 0) {
		server = config_find_server(a->cfg.cfg, name);
		if (server < 0)
			return false;
	}
	x->newest = server;
	x->newest_epoch = epoch;
	return true;
}

static void
disk_lost(struct arbiter *a, const char *verb, const struct fence_ran *ran)
{
	if (ext_of(a)->disk_lost)
		return;
	ext_of(a)->disk_lost = true;
	ext_tell(a, LEASE_DISK_LOST, LEASE_WHY_DISK,
	    "arbiter_command %s: %s (status %d) %s", verb,
	    ran->timed_out ? "too slow" : "failed", ran->status, ran->err)
	    ->errno_ = ran->timed_out ? ETIMEDOUT : EIO;
}

static void
answers(struct arbiter *a)
{
	if (ext_of(a)->disk_lost)
		ext_tell(a, LEASE_DISK_BACK, LEASE_WHY_NONE,
		    "arbiter_command works again");
	ext_of(a)->disk_lost = false;
}

static void
take_owner(struct arbiter *a, const struct fence_ran *ran)
{
	struct ext *x = ext_of(a);
	bool ok =
	    ran->status == 0 && !ran->timed_out && parse_owner(a, ran->out);

	if (ok) {
		answers(a);
	} else {
		disk_lost(a, "owner", ran);
		x->retry_at_ms = clock_now_ms() + a->cfg.cfg->agent.renew_ms;
	}
	if (ok && !x->ready) {
		x->ready = true;
		x->state = LEASE_STANDBY;
		ext_tell(a, LEASE_READY, LEASE_WHY_NONE, "the arbiter answers");
	}
	if (x->look) {
		struct lease_action *n =
		    ext_tell(a, LEASE_LOOKED, LEASE_WHY_NONE, "%s", ran->err);

		x->look = false;
		n->errno_ = ok ? 0 : EIO;
		ext_about_newest(a, n);
	}
	if (!x->claim)
		return;
	x->claim = false;
	if (!ok) {
		x->state = LEASE_STANDBY;
		ext_tell(a, LEASE_REFUSED, LEASE_WHY_DISK,
		    "arbiter_command owner does not answer");
		return;
	}
	x->state = LEASE_CLAIMED;
	x->epoch = x->newest_epoch + 1;
	ext_tell(a, LEASE_WON, LEASE_WHY_NONE,
	    "epoch %" PRIu64 " can be claimed; fencing is the manager's",
	    x->epoch)
	    ->old_epoch = x->newest_epoch;
}

static void
renew_validity(struct arbiter *a)
{
	struct ext *x = ext_of(a);
	uint64_t lease_ms = a->cfg.cfg->agent.lease_ms;

	x->valid_until_ms = x->issued_ms + lease_ms - margin(a);
	x->renew_at_ms = x->issued_ms + a->cfg.cfg->agent.renew_ms;
}

static void
take_claim(struct arbiter *a, const struct fence_ran *ran)
{
	struct ext *x = ext_of(a);

	x->take = false;
	if (x->state != LEASE_TAKING && !ext_is_owner(x))
		return; /* withdrawn: the manager is told by release */
	if (ran->status == 0 && !ran->timed_out) {
		renew_validity(a);
		x->epoch = x->newest_epoch + 1;
		x->newest = (int)a->cfg.self;
		x->newest_epoch = x->epoch;
		x->state = LEASE_OWNER;
		ext_tell(a, LEASE_GAINED, LEASE_WHY_NONE, "owner of epoch %" PRIu64,
		    x->epoch);
		return;
	}
	if (!ext_is_owner(x))
		x->state = LEASE_STANDBY;
	ext_tell(a, LEASE_REFUSED,
	    ran->status == 1 && !ran->timed_out ? LEASE_WHY_RIVAL
						: LEASE_WHY_DISK,
	    "arbiter_command claim %" PRIu64 ": status %d: %.80s%s",
	    x->newest_epoch + 1, ran->status, ran->out, ran->err);
}

static void
take_renew(struct arbiter *a, const struct fence_ran *ran)
{
	struct ext *x = ext_of(a);

	if (!ext_is_owner(x))
		return;
	if (ran->timed_out || ran->status > 1 || ran->status < 0) {
		disk_lost(a, "renew", ran);
		x->renew_at_ms =
		    clock_now_ms() + a->cfg.cfg->agent.renew_ms / 4;
		return;
	}
	answers(a);
	if (ran->status == 1) {
		x->state = LEASE_STANDBY;
		x->valid_until_ms = 0;
		ext_tell(a, LEASE_LOST, LEASE_WHY_NEWER,
		    "epoch %" PRIu64 " is lost: %.80s%s", x->epoch, ran->out,
		    ran->err)
		    ->old_epoch = x->epoch;
		return;
	}
	renew_validity(a);
	if (x->state == LEASE_OWNER) {
		ext_tell(a, LEASE_RENEWED, LEASE_WHY_NONE, "renewed");
	} else if (clock_now_ms() < x->valid_until_ms) {
		x->state = LEASE_OWNER;
		ext_tell(a, LEASE_RESUMED, LEASE_WHY_NONE,
		    "epoch %" PRIu64 " is still ours: resumed", x->epoch);
	}
}

static void
take_release(struct arbiter *a, const struct fence_ran *ran)
{
	struct ext *x = ext_of(a);

	if (ran->status != 0 || ran->timed_out) {
		disk_lost(a, "release", ran);
		x->retry_at_ms = clock_now_ms() + a->cfg.cfg->agent.renew_ms;
		return;
	}
	answers(a);
	x->give_up = false;
	x->state = LEASE_STANDBY;
	ext_tell(a, LEASE_GIVEN_UP, LEASE_WHY_NONE, "epoch %" PRIu64 " is released",
	    x->epoch);
}

void
ext_ran(void *arg, const struct fence_ran *ran)
{
	struct arbiter *a = arg;
	struct ext *x = ext_of(a);
	enum verb verb = x->verb;

	x->verb = VERB_NONE;
	x->run = NULL;
	switch (verb) {
	case VERB_OWNER:
		take_owner(a, ran);
		break;
	case VERB_CLAIM:
		take_claim(a, ran);
		break;
	case VERB_RENEW:
		take_renew(a, ran);
		break;
	case VERB_RELEASE:
		take_release(a, ran);
		break;
	case VERB_NONE:
		break;
	}
	arbiter_soon(a);
}
