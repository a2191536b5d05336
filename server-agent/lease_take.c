/*
 * The lease: taking what was claimed (lease_claim.c has the picture), with
 * evidence that its owner writes no more.
 */
#include <inttypes.h>

#include "server-agent/lease_int.h"

#define TRIES_MAX 8u

static uint32_t
jitter(struct lease *l, uint32_t most)
{
	/* xorshift64*, Vigna 2016; must not be 0 */
	uint64_t x = l->random | 1;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	l->random = x;
	return (uint32_t)((x * 0x2545f4914f6cdd1dull) >> 33) % (most + 1);
}

/* Time is the evidence: until when? False: there is no end to it. */
static bool
wait_for_end(struct lease *l)
{
	const struct lease_slot *s = &l->slots[l->base.slot];
	uint64_t lease_ms = s->seen.lease.lease_ms, dog = 0, margin;

	if (lease_ms < l->cfg.lease_ms)
		lease_ms = l->cfg.lease_ms;
	margin = lease_ms / 20;
	if (margin < l->cfg.margin_ms)
		margin = l->cfg.margin_ms;
	if (l->proof.evidence == LEASE_WATCHDOG) {
		dog = s->seen.lease.watchdog_ms;
		if (dog == 0)
			return false;
		if (dog < l->proof.watchdog_ms)
			dog = l->proof.watchdog_ms;
		dog += dog / 20;
	}
	l->wait_ms = s->fresh_ms + lease_ms + margin + dog;
	return true;
}

static void
begin_take(struct lease *l, uint64_t now_ms)
{
	bool by_time = l->proof.evidence == LEASE_END ||
		       l->proof.evidence == LEASE_WATCHDOG;

	if (!lease_base_held(l)) {
		lease_read_for(l, PHASE_BASE);
		return;
	}
	if (l->proof.evidence == LEASE_NO_EVIDENCE ||
	    (l->proof.evidence == LEASE_FENCED &&
		(l->proof.server_id != l->cfg.server_id[l->base.slot] ||
		    l->proof.epoch != l->base.epoch))) {
		lease_claim_end(l, LEASE_WHY_UNFENCED, l->base.slot, now_ms,
		    "its owner was not fenced and may still write");
		return;
	}
	if (!by_time) {
		lease_read_for(l, PHASE_BASE);
		return;
	}
	if (!wait_for_end(l)) {
		lease_claim_end(l, LEASE_WHY_UNFENCED, l->base.slot, now_ms,
		    "its owner has armed no watchdog (agent, watchdog)");
		return;
	}
	l->phase = PHASE_WAIT;
	lease_tell(l, LEASE_WAITING, LEASE_WHY_LEASE_END, now_ms,
	    "waiting %" PRIu64 " ms for the end of the lease%s of %s",
	    l->wait_ms > now_ms ? l->wait_ms - now_ms : 0,
	    l->proof.evidence == LEASE_WATCHDOG ? " and watchdog" : "",
	    lease_name(l, l->base.slot))
	    ->until_ms = l->wait_ms;
}

void
lease_write_owned(struct lease *l)
{
	l->before = l->own;
	l->own.owned_epoch = l->claim_epoch;
	l->own.owned_ballot = l->claim_ballot;
	l->own.holding = CTL_HELD;
	l->own.granted_to = 0;
	lease_write_for(l, PHASE_OWN);
}

void
lease_after_base(struct lease *l, uint64_t now_ms)
{
	bool by_time = l->proof.evidence == LEASE_END ||
		       l->proof.evidence == LEASE_WATCHDOG;

	if (!lease_claim_stands(l, now_ms))
		return;
	if (by_time && lease_base_lives(l)) {
		lease_claim_end(l, LEASE_WHY_ALIVE, l->base.slot, now_ms,
		    "its owner has renewed its lease: it lives");
		return;
	}
	if (l->base.slot != CTL_NO_SLOT) /* after the fence: from here on */
		l->base.seq = lease_of(l, l->base.slot)->seq;
	lease_write_owned(l);
}

static void
try_again(struct lease *l, unsigned who, uint64_t now_ms)
{
	if (++l->tries > TRIES_MAX) {
		lease_claim_end(l, LEASE_WHY_RIVAL, who, now_ms,
		    "another server's claim is higher, again and again");
		return;
	}
	lease_put_back(l);
	l->phase = PHASE_BACKOFF;
	l->wait_ms = now_ms + 1 + jitter(l, l->cfg.backoff_ms * l->tries);
	lease_tell(l, LEASE_WAITING, LEASE_WHY_BACKOFF, now_ms,
	    "%s claimed at the same time: again in %" PRIu64 " ms",
	    lease_name(l, who), l->wait_ms - now_ms)
	    ->until_ms = l->wait_ms;
}

static void
gained(struct lease *l, uint64_t now_ms)
{
	uint64_t until = l->own_issued_ms + l->cfg.lease_ms - l->cfg.margin_ms;
	bool was_owner = lease_is_owner(l);

	l->phase = PHASE_NONE;
	l->own.claim_epoch = l->own.claim_ballot = 0;
	if (now_ms >= until && !was_owner) {
		/* decided, but never used */
		l->own.holding = CTL_RELEASED;
		lease_want_write(l);
		l->state = LEASE_STANDBY;
		lease_tell(l, LEASE_REFUSED, LEASE_WHY_DISK, now_ms,
		    "epoch %" PRIu64 " was gained, but took longer than the "
		    "lease: given up; the disk is too slow for lease_ms",
		    l->claim_epoch);
		return;
	}
	l->dropped = false;
	if (l->state != LEASE_LAPSED)
		l->state = LEASE_OWNER;
	if (until > l->valid_until_ms)
		l->valid_until_ms = until;
	lease_tell(l, LEASE_GAINED, LEASE_WHY_NONE, now_ms,
	    "owner of epoch %" PRIu64 " (%s)", l->own.owned_epoch,
	    was_owner            ? "a new one"
	    : lease_base_held(l) ? lease_evidence_names[l->proof.evidence]
				 : "free");
}

void
lease_after_confirm(struct lease *l, uint64_t now_ms)
{
	unsigned who = lease_newer(l, l->claim_epoch, l->claim_ballot);

	if (who != CTL_NO_SLOT) {
		lease_claim_end(l, LEASE_WHY_NEWER, who, now_ms,
		    "another server has a newer epoch");
		return;
	}
	who = lease_damaged(l);
	if (who != CTL_NO_SLOT) {
		lease_claim_end(l, LEASE_WHY_DAMAGED, who, now_ms,
		    "a slot of the control area is damaged");
		return;
	}
	who = lease_rival(l, l->claim_epoch, l->claim_ballot);
	if (who != CTL_NO_SLOT)
		try_again(l, who, now_ms);
	else if (lease_base_lives(l))
		lease_claim_end(l, LEASE_WHY_ALIVE, l->base.slot, now_ms,
		    "its owner has renewed its lease: it lives, and the "
		    "fence does not work");
	else
		gained(l, now_ms);
}

void
lease_take(struct lease *l, const struct lease_proof *proof, uint64_t now_ms)
{
	lease_own_lapse(l, now_ms);
	if (l->state == LEASE_CLAIMED) {
		l->state = LEASE_TAKING;
		l->taking = true;
		l->proof = *proof;
		begin_take(l, now_ms);
	} else if (l->state == LEASE_OWNER && l->phase == PHASE_NONE) {
		l->taking = true;
		l->tries = 0;
		l->proof = (struct lease_proof){.epoch = 0};
		lease_read_for(l, PHASE_LOOK);
	} else {
		lease_busy(l, now_ms);
	}
	lease_tick(l, now_ms);
}
