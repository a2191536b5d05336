/*
 * The lease: claim and take. The phases:
 *
 *	claim	LOOK -> CLAIM -> CHECK -> (won)
 *	take	[WAIT ->] BASE -> OWN -> CONFIRM -> (gained)
 *		a rival came between: BACKOFF -> LOOK -> CLAIM -> CHECK -> OWN
 *	an owner takes the next epoch: LOOK -> CLAIM -> CHECK -> OWN ...
 *
 * Each write is followed by a read that was asked for after it ended: of two
 * claimants at least one sees the other.
 */
#include <inttypes.h>

#include "server-agent/lease_int.h"

static bool
is_undecided(const struct lease *l)
{
	return l->phase == PHASE_OWN || l->phase == PHASE_CONFIRM;
}

void
lease_put_back(struct lease *l)
{
	bool was_owned = is_undecided(l);

	if (was_owned) {
		l->own.owned_epoch = l->before.owned_epoch;
		l->own.owned_ballot = l->before.owned_ballot;
		l->own.holding = l->before.holding;
		l->own.granted_to = l->before.granted_to;
	}
	if (was_owned || l->own.claim_epoch != 0) {
		l->own.claim_epoch = l->own.claim_ballot = 0;
		lease_want_write(l);
	}
	l->phase = PHASE_NONE;
}

void
lease_claim_end(struct lease *l, enum lease_why why, unsigned who,
    uint64_t now_ms, const char *text)
{
	struct lease_action *a;
	uint64_t epoch = l->claim_epoch;

	if (l->phase == PHASE_NONE && l->state != LEASE_CLAIMED &&
	    l->state != LEASE_TAKING)
		return;
	lease_put_back(l);
	if (!lease_is_owner(l))
		l->state = LEASE_STANDBY;
	if (why == LEASE_WHY_NONE)
		return;
	a = lease_tell(l, LEASE_REFUSED, why, now_ms,
	    "claim of epoch %" PRIu64 " has ended (%s): %s", epoch,
	    lease_why_names[why], text);
	lease_about(l, a, who);
}

void
lease_read_for(struct lease *l, enum lease_phase phase)
{
	l->phase = phase;
	l->phase_io = lease_want_read(l);
}

void
lease_write_for(struct lease *l, enum lease_phase phase)
{
	l->phase = phase;
	l->phase_io = lease_want_write(l);
}

/* --- the owner that a claim is made against */

static void
set_base(struct lease *l)
{
	const struct ctl_lease *it;

	l->base = (struct lease_base){.slot = lease_newest(l)};
	if (l->base.slot == CTL_NO_SLOT)
		return;
	it = lease_of(l, l->base.slot);
	l->base.epoch = it->owned_epoch;
	l->base.ballot = it->owned_ballot;
	l->base.seq = it->seq;
	l->base.instance = it->instance;
}

bool
lease_base_newest(const struct lease *l)
{
	unsigned n = lease_newest(l);

	if (n != l->base.slot)
		return false;
	if (n == CTL_NO_SLOT || n == l->cfg.slot)
		return true;
	return lease_of(l, n)->owned_epoch == l->base.epoch &&
	       lease_of(l, n)->owned_ballot == l->base.ballot;
}

bool
lease_base_held(const struct lease *l)
{
	enum ctl_holding h;

	if (l->base.slot == CTL_NO_SLOT || l->base.slot == l->cfg.slot)
		return false;
	h = lease_of(l, l->base.slot)->holding;
	return h == CTL_HELD || h == CTL_STALE;
}

bool
lease_base_lives(const struct lease *l)
{
	const struct ctl_lease *it;

	if (!lease_base_held(l))
		return false;
	it = lease_of(l, l->base.slot);
	return it->holding == CTL_HELD && it->instance == l->base.instance &&
	       it->seq > l->base.seq;
}

/* --- claim */

static bool
is_gone(const struct lease *l, uint32_t server_id)
{
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		if (l->cfg.server_id[i] == server_id && l->slots[i].gone)
			return true;
	return false;
}

static bool
may_be_claimed(struct lease *l, uint64_t now_ms)
{
	unsigned who = lease_damaged(l);
	const struct ctl_lease *it;

	if (who != CTL_NO_SLOT) {
		lease_claim_end(l, LEASE_WHY_DAMAGED, who, now_ms,
		    "a slot of the control area is damaged");
		return false;
	}
	if (l->base.slot == CTL_NO_SLOT)
		return true;
	it = lease_of(l, l->base.slot);
	if (it->holding == CTL_RELEASED && it->granted_to != 0 &&
	    it->granted_to != l->cfg.server_id[l->cfg.slot] &&
	    !is_gone(l, it->granted_to) &&
	    now_ms < l->slots[l->base.slot].fresh_ms + l->cfg.grant_ms) {
		lease_claim_end(l, LEASE_WHY_GRANT, l->base.slot, now_ms,
		    "the volume was granted to another server just now");
		return false;
	}
	return true;
}

/* A claim of another one that is still rewritten is left alone. */
static bool
rival_is_fresh(const struct lease *l, unsigned rival, uint64_t now_ms)
{
	const struct lease_slot *s = &l->slots[rival];

	return !s->gone && now_ms < s->fresh_ms + s->seen.lease.lease_ms;
}

static uint64_t
ballot_above_all(const struct lease *l, uint64_t epoch)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		const struct ctl_lease *it = &l->slots[i].seen.lease;

		if (it->claim_epoch == epoch && it->claim_ballot > most)
			most = it->claim_ballot;
		if (it->owned_epoch == epoch && it->owned_ballot > most)
			most = it->owned_ballot;
	}
	if (l->claim_epoch == epoch && l->claim_ballot > most)
		most = l->claim_ballot;
	return (most / CTL_SLOTS + 1) * CTL_SLOTS + l->cfg.slot;
}

static void
after_look(struct lease *l, uint64_t now_ms)
{
	uint64_t epoch = l->cfg.epoch_floor;
	unsigned rival;

	if (!l->taking || lease_is_owner(l)) {
		set_base(l);
	} else if (!lease_base_newest(l)) { /* taking, once more */
		lease_claim_end(l, LEASE_WHY_NEWER, lease_newest(l), now_ms,
		    "another server was first");
		return;
	}
	if (!may_be_claimed(l, now_ms))
		return;
	if (l->base.slot != CTL_NO_SLOT && l->base.epoch > epoch)
		epoch = l->base.epoch;
	epoch++;
	rival = lease_rival(l, epoch, 0);
	if (rival != CTL_NO_SLOT && rival_is_fresh(l, rival, now_ms)) {
		lease_claim_end(l, LEASE_WHY_RIVAL, rival, now_ms,
		    "another server's claim stands");
		return;
	}
	if (rival != CTL_NO_SLOT &&
	    l->slots[rival].seen.lease.claim_epoch > epoch)
		epoch = l->slots[rival].seen.lease.claim_epoch;
	l->claim_ballot = ballot_above_all(l, epoch);
	l->claim_epoch = epoch;
	l->own.claim_epoch = epoch;
	l->own.claim_ballot = l->claim_ballot;
	lease_write_for(l, PHASE_CLAIM);
}

bool
lease_claim_stands(struct lease *l, uint64_t now_ms)
{
	unsigned who = lease_damaged(l);

	if (who != CTL_NO_SLOT) {
		lease_claim_end(l, LEASE_WHY_DAMAGED, who, now_ms,
		    "a slot of the control area is damaged");
		return false;
	}
	if (!lease_base_newest(l)) {
		lease_claim_end(l, LEASE_WHY_NEWER, lease_newest(l), now_ms,
		    "another server has a newer epoch");
		return false;
	}
	who = lease_rival(l, l->claim_epoch, l->claim_ballot);
	if (who != CTL_NO_SLOT) {
		lease_claim_end(l, LEASE_WHY_RIVAL, who, now_ms,
		    "another server's claim is higher");
		return false;
	}
	return true;
}

static void
after_check(struct lease *l, uint64_t now_ms)
{
	struct lease_action *a;
	bool held = lease_base_held(l);

	if (!lease_claim_stands(l, now_ms))
		return;
	if (l->taking) {
		lease_write_owned(l);
		return;
	}
	if (!l->force && lease_base_lives(l)) {
		lease_claim_end(l, LEASE_WHY_ALIVE, l->base.slot, now_ms,
		    "its owner renews its lease: it lives");
		return;
	}
	l->phase = PHASE_NONE;
	l->state = LEASE_CLAIMED;
	a = lease_tell(l, LEASE_WON, LEASE_WHY_NONE, now_ms,
	    "claim of epoch %" PRIu64 " stands; %s%s", l->claim_epoch,
	    held ? "to be fenced first: " : "free",
	    held ? lease_name(l, l->base.slot) : "");
	a->epoch = l->claim_epoch;
	a->old_epoch = l->base.epoch;
	a->server_id = held ? l->cfg.server_id[l->base.slot] : 0;
	if (l->base.slot != CTL_NO_SLOT)
		a->holding = lease_of(l, l->base.slot)->holding;
}

/* --- events */

void
lease_claim_read(struct lease *l, int error, uint64_t now_ms)
{
	bool reads = l->phase == PHASE_LOOK || l->phase == PHASE_CHECK ||
		     l->phase == PHASE_BASE || l->phase == PHASE_CONFIRM;

	if (!reads)
		return;
	if (error != 0) {
		lease_claim_end(l, LEASE_WHY_DISK, CTL_NO_SLOT, now_ms,
		    "the control area cannot be read");
		return;
	}
	switch (l->phase) {
	case PHASE_LOOK:
		after_look(l, now_ms);
		break;
	case PHASE_CHECK:
		after_check(l, now_ms);
		break;
	case PHASE_BASE:
		lease_after_base(l, now_ms);
		break;
	default:
		lease_after_confirm(l, now_ms);
		break;
	}
}

void
lease_claim_written(
    struct lease *l, int error, uint64_t issued_ms, uint64_t now_ms)
{
	if (l->phase != PHASE_CLAIM && l->phase != PHASE_OWN)
		return;
	if (error != 0) {
		lease_claim_end(l, LEASE_WHY_DISK, CTL_NO_SLOT, now_ms,
		    "the control area cannot be written");
		return;
	}
	if (l->phase == PHASE_CLAIM) {
		lease_read_for(l, PHASE_CHECK);
		return;
	}
	l->own_issued_ms = issued_ms;
	lease_read_for(l, PHASE_CONFIRM);
}

void
lease_claim_tick(struct lease *l, uint64_t now_ms)
{
	if (now_ms < l->wait_ms)
		return;
	if (l->phase == PHASE_WAIT)
		lease_read_for(l, PHASE_BASE);
	else if (l->phase == PHASE_BACKOFF)
		lease_read_for(l, PHASE_LOOK);
}

void
lease_claim_watch(struct lease *l, uint64_t now_ms)
{
	if (l->state == LEASE_CLAIMED)
		(void)lease_claim_stands(l, now_ms);
	if (l->phase == PHASE_WAIT && lease_claim_stands(l, now_ms) &&
	    lease_base_lives(l))
		lease_claim_end(l, LEASE_WHY_ALIVE, l->base.slot, now_ms,
		    "its owner has renewed its lease: it lives");
}

/* --- requests */

void
lease_busy(struct lease *l, uint64_t now_ms)
{
	lease_tell(l, LEASE_REFUSED, LEASE_WHY_BUSY, now_ms,
	    "no claim is possible in state %s", lease_state_names[l->state]);
}

void
lease_claim(struct lease *l, bool force, uint64_t now_ms)
{
	if (l->state != LEASE_STANDBY) {
		lease_busy(l, now_ms);
		return;
	}
	l->state = LEASE_CLAIMING;
	l->force = force;
	l->taking = false;
	l->tries = 0;
	lease_read_for(l, PHASE_LOOK);
	lease_tick(l, now_ms);
}

void
lease_peer(struct lease *l, uint32_t server_id, bool gone)
{
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		if (l->cfg.server_id[i] == server_id && server_id != 0)
			l->slots[i].gone = gone;
}

void
lease_unclaim(struct lease *l, uint64_t now_ms)
{
	bool asked = l->state == LEASE_CLAIMED;

	lease_claim_end(l, asked ? LEASE_WHY_NONE : LEASE_WHY_CANCELLED,
	    CTL_NO_SLOT, now_ms, "it was withdrawn");
	lease_tick(l, now_ms);
}
