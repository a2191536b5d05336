/* The lease: being owner: renewals, lapse and return, release, drop. */
#include <inttypes.h>

#include "server-agent/lease_int.h"

/* --- validity */

void
lease_own_lapse(struct lease *l, uint64_t now_ms)
{
	if (l->state != LEASE_OWNER || now_ms < l->valid_until_ms)
		return;
	lease_claim_end(l, LEASE_WHY_DISK, CTL_NO_SLOT, now_ms,
	    "the lease has lapsed meanwhile");
	l->state = LEASE_LAPSED;
	l->resume_read = 0;
	l->pending_until_ms = 0;
	lease_tell(l, LEASE_SUSPENDED, LEASE_WHY_DISK, now_ms,
	    "lease of epoch %" PRIu64 " lapsed: not renewed for %" PRIu64
	    " ms; nothing is served until all slots were read again",
	    l->own.owned_epoch,
	    now_ms + l->cfg.lease_ms - l->cfg.margin_ms - l->valid_until_ms);
}

/* A renewal has landed; until then the lease holds by it. */
static void
renewed(struct lease *l, uint64_t until, uint64_t done_ms, uint64_t now_ms)
{
	if (l->state == LEASE_LAPSED) {
		if (l->resume_read == 0) {
			l->pending_until_ms = until;
			l->resume_read = lease_want_read(l);
		}
		return;
	}
	if (done_ms > l->valid_until_ms || until <= l->valid_until_ms)
		return;
	l->valid_until_ms = until;
	lease_tell(l, LEASE_RENEWED, LEASE_WHY_NONE, now_ms, "renewed");
	lease_want_read(l);
}

static void
resume(struct lease *l, uint64_t now_ms)
{
	l->state = LEASE_OWNER;
	l->valid_until_ms = l->pending_until_ms;
	lease_tell(l, LEASE_RESUMED, LEASE_WHY_NONE, now_ms,
	    "lease of epoch %" PRIu64 " renewed, nobody is newer: resumed",
	    l->own.owned_epoch);
}

static void
lost(struct lease *l, unsigned who, uint64_t now_ms)
{
	uint64_t epoch = lease_epoch(l);
	struct lease_action *a;

	lease_claim_end(l, LEASE_WHY_NEWER, who, now_ms,
	    "another server has a newer epoch");
	l->state = LEASE_STANDBY;
	l->valid_until_ms = 0;
	l->own.holding = CTL_STALE; /* until lease_release() */
	a = lease_tell(l, LEASE_LOST, LEASE_WHY_NEWER, now_ms,
	    "epoch %" PRIu64 " is lost: %s has epoch %" PRIu64, epoch,
	    lease_name(l, who), lease_of(l, who)->owned_epoch);
	lease_about(l, a, who);
	a->old_epoch = epoch;
}

/* --- events */

static void
given_up(struct lease *l, uint64_t now_ms)
{
	l->state = LEASE_STANDBY;
	lease_tell(l, LEASE_GIVEN_UP, LEASE_WHY_NONE, now_ms,
	    "epoch %" PRIu64 " is released", l->own.owned_epoch);
}

void
lease_own_written(struct lease *l, int error, uint64_t issued_ms,
    uint64_t done_ms, uint64_t now_ms)
{
	uint64_t until = issued_ms + l->cfg.lease_ms - l->cfg.margin_ms;

	if (error != 0)
		return;
	if (l->state == LEASE_STARTING) {
		l->state = LEASE_STANDBY;
		lease_tell(l, LEASE_READY, LEASE_WHY_NONE, now_ms,
		    "the control area is known; own slot %u, %s", l->cfg.slot,
		    ctl_holding_names[l->own.holding]);
		if (l->look_read != 0) /* asked before: not at the next poll */
			(void)lease_want_read(l);
	} else if (lease_is_owner(l) && l->sent.holding == CTL_HELD) {
		renewed(l, until, done_ms, now_ms);
	} else if (l->state == LEASE_RELEASING &&
		   l->sent.holding == CTL_RELEASED &&
		   l->sent.claim_epoch == 0) {
		given_up(l, now_ms);
	}
}

/* All slots were read, by the read of that number. */
void
lease_own_read(struct lease *l, uint64_t number, uint64_t now_ms)
{
	const struct ctl_lease *own = lease_own_decided(l);
	unsigned who;

	if (!lease_is_owner(l))
		return;
	who = lease_newer(l, own->owned_epoch, own->owned_ballot);
	if (who != CTL_NO_SLOT) {
		lost(l, who, now_ms);
		return;
	}
	if (l->state != LEASE_LAPSED || l->resume_read == 0 ||
	    number < l->resume_read)
		return;
	l->resume_read = 0;
	if (now_ms < l->pending_until_ms && lease_damaged(l) == CTL_NO_SLOT)
		resume(l, now_ms);
}

void
lease_own_tick(struct lease *l, uint64_t now_ms)
{
	if ((lease_is_owner(l) || l->state == LEASE_CLAIMED ||
		l->phase == PHASE_WAIT) &&
	    !l->writing && now_ms >= l->renew_at_ms)
		lease_want_write(l);
}

/* --- requests */

void
lease_release(struct lease *l, uint32_t granted_to, uint64_t now_ms)
{
	if (l->state == LEASE_BROKEN || l->state == LEASE_STARTING)
		return;
	lease_claim_end(l, LEASE_WHY_CANCELLED, CTL_NO_SLOT, now_ms,
	    "the volume is released");
	l->valid_until_ms = 0;
	l->dropped = false;
	l->state = LEASE_RELEASING;
	if (l->own.holding == CTL_NOTHING) {
		given_up(l, now_ms);
		return;
	}
	l->own.holding = CTL_RELEASED;
	l->own.granted_to = granted_to;
	lease_want_write(l);
	lease_tick(l, now_ms);
}

void
lease_watchdog(struct lease *l, uint32_t armed_ms)
{
	l->cfg.watchdog_ms = l->own.watchdog_ms = armed_ms;
}

void
lease_drop(struct lease *l, uint64_t now_ms)
{
	lease_claim_end(l, LEASE_WHY_CANCELLED, CTL_NO_SLOT, now_ms,
	    "the volume is dropped");
	if (!lease_is_owner(l))
		return;
	l->state = LEASE_STANDBY;
	l->valid_until_ms = 0;
	l->dropped = true;
	l->write_wanted = false;
	l->own.holding = CTL_STALE;
	lease_tell(l, LEASE_TROUBLE, LEASE_WHY_CANCELLED, now_ms,
	    "epoch %" PRIu64 " is not renewed any more, and not released: "
	    "others must fence this server before they take the volume",
	    l->own.owned_epoch);
}
