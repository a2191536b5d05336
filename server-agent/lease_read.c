/*
 * The lease: what a read of all slots says. Keeps the newest that was seen
 * of each candidate, tells what has changed, and finds out when the own slot
 * is not what this agent wrote.
 */
#include <inttypes.h>
#include <string.h>

#include "server-agent/lease_int.h"

const struct ctl_lease *
lease_of(const struct lease *l, unsigned slot)
{
	return slot == l->cfg.slot && l->landed_seq != 0
		   ? &l->own
		   : &l->slots[slot].seen.lease;
}

void
lease_about(const struct lease *l, struct lease_action *news, unsigned slot)
{
	const struct ctl_lease *it;

	if (slot == CTL_NO_SLOT)
		return;
	it = lease_of(l, slot);
	news->server_id = l->cfg.server_id[slot];
	news->epoch = it->owned_epoch;
	news->holding = it->holding;
	news->granted_to = it->granted_to;
}

unsigned
lease_damaged(const struct lease *l)
{
	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		enum ctl_status status = l->slots[i].seen.status;

		if (l->cfg.server_id[i] != 0 && i != l->cfg.slot &&
		    !ctl_usable(status) && status != CTL_EMPTY)
			return i;
	}
	return CTL_NO_SLOT;
}

/* Is (e1, b1) after (e2, b2)? */
static bool
is_after(uint64_t e1, uint64_t b1, uint64_t e2, uint64_t b2)
{
	return e1 > e2 || (e1 == e2 && b1 > b2);
}

unsigned
lease_rival(const struct lease *l, uint64_t epoch, uint64_t ballot)
{
	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		const struct ctl_lease *it = &l->slots[i].seen.lease;

		if (i != l->cfg.slot && it->claim_epoch != 0 &&
		    is_after(it->claim_epoch, it->claim_ballot, epoch, ballot))
			return i;
	}
	return CTL_NO_SLOT;
}

unsigned
lease_newer(const struct lease *l, uint64_t epoch, uint64_t ballot)
{
	unsigned newest = CTL_NO_SLOT;

	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		const struct ctl_lease *it = &l->slots[i].seen.lease;

		if (i == l->cfg.slot || it->owned_epoch == 0 ||
		    !is_after(it->owned_epoch, it->owned_ballot, epoch, ballot))
			continue;
		newest = i;
		epoch = it->owned_epoch;
		ballot = it->owned_ballot;
	}
	return newest;
}

const struct ctl_lease *
lease_own_decided(const struct lease *l)
{
	return l->phase == PHASE_OWN || l->phase == PHASE_CONFIRM ? &l->before
								  : &l->own;
}

unsigned
lease_newest(const struct lease *l)
{
	const struct ctl_lease *own = lease_own_decided(l);
	unsigned other = lease_newer(l, own->owned_epoch, own->owned_ballot);

	if (other != CTL_NO_SLOT || own->owned_epoch == 0)
		return other;
	return l->cfg.slot;
}

/* --- taking in */

static void
take_in_slot(struct lease *l, unsigned i, const struct ctl_slot *read,
    uint64_t issued_ms, uint64_t done_ms, uint64_t now_ms)
{
	struct lease_slot *s = &l->slots[i];
	bool known = s->known;
	bool newer = read->lease.seq > s->seen.lease.seq;

	s->seen.status = read->status;
	s->seen.read_ms = issued_ms;
	if (!ctl_usable(read->status))
		return;
	s->known = true;
	if (known && !newer)
		return;
	s->seen.lease = read->lease;
	s->fresh_ms = done_ms;
	if (!known)
		return;
	s->seen.advanced_ms = done_ms;
	s->gone = false;
	if (i == l->cfg.slot)
		return;
	lease_about(l,
	    lease_tell(l, LEASE_ADVANCED, LEASE_WHY_NONE, now_ms,
		"%s has written its slot", lease_name(l, i)),
	    i);
}

/*
 * The own slot must say what this agent wrote: a write of it had landed when
 * the read was asked for.
 */
static void
check_own(struct lease *l, const struct ctl_slot *read, uint64_t now_ms)
{
	if (l->read_after_seq == 0)
		return;
	if (read->status == CTL_EMPTY || read->status == CTL_FOREIGN)
		lease_break(l, LEASE_WHY_FORMATTED, CTL_NO_SLOT, now_ms,
		    "the control area was made anew under this agent: start "
		    "it again");
	else if (ctl_usable(read->status) &&
		 (read->lease.instance != l->cfg.instance ||
		     read->lease.seq < l->read_after_seq))
		lease_break(l, LEASE_WHY_TWIN, l->cfg.slot, now_ms,
		    "another agent writes this server's slot: two hosts run "
		    "with the same server name (-n); stop one of them");
}

static void
tell_newest(struct lease *l, uint64_t now_ms)
{
	unsigned n = lease_newest(l);
	const struct ctl_lease *it;

	if (n == CTL_NO_SLOT)
		return;
	it = n == l->cfg.slot ? lease_own_decided(l) : lease_of(l, n);
	if (l->told.slot == n && l->told.epoch == it->owned_epoch &&
	    l->told.ballot == it->owned_ballot &&
	    l->told.holding == it->holding &&
	    l->told.granted_to == it->granted_to)
		return;
	l->told.slot = n;
	l->told.epoch = it->owned_epoch;
	l->told.ballot = it->owned_ballot;
	l->told.holding = it->holding;
	l->told.granted_to = it->granted_to;
	lease_about(l,
	    lease_tell(l, LEASE_NEWEST, LEASE_WHY_NONE, now_ms,
		"newest owner: %s, epoch %" PRIu64 ", %s", lease_name(l, n),
		it->owned_epoch, ctl_holding_names[it->holding]),
	    n);
}

/* The first look: what an earlier process of this agent left in its slot. */
static void
begin(struct lease *l, const struct ctl_slot *read, uint64_t now_ms)
{
	struct ctl_lease *own = &l->own;

	if (!ctl_usable(read->status) && read->status != CTL_EMPTY) {
		lease_break(l, LEASE_WHY_DAMAGED, l->cfg.slot, now_ms,
		    "this server's slot in the control area is damaged, and "
		    "nothing is guessed: when no server of the volume runs, "
		    "make the area anew (hanfs-agent --format --force)");
		return;
	}
	if (l->own.server_id != 0)
		return; /* the write was asked for already */
	*own = read->lease;
	own->server_id = l->cfg.server_id[l->cfg.slot];
	own->boot = l->cfg.boot;
	own->instance = l->cfg.instance;
	own->lease_ms = l->cfg.lease_ms;
	own->claim_epoch = own->claim_ballot = 0;
	if (own->holding == CTL_HELD)
		own->holding = CTL_STALE;
	if (own->holding != CTL_STALE)
		own->watchdog_ms = l->cfg.watchdog_ms;
	lease_want_write(l);
}

static void
tell_damage(struct lease *l, unsigned before, uint64_t now_ms)
{
	unsigned i = lease_damaged(l);

	if (i == CTL_NO_SLOT || i == before)
		return;
	lease_tell(l, LEASE_TROUBLE, LEASE_WHY_DAMAGED, now_ms,
	    "the slot of %s in the control area is %s: no claim is made while "
	    "it is; its agent heals it when it writes, else make the area "
	    "anew (hanfs-agent --format --force) with all servers stopped",
	    lease_name(l, i), ctl_status_names[l->slots[i].seen.status]);
}

void
lease_take_in(struct lease *l, const struct ctl_slot *slots, uint64_t issued_ms,
    uint64_t done_ms, uint64_t now_ms)
{
	unsigned damaged = lease_damaged(l);

	if (l->state == LEASE_BROKEN)
		return;
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		if (l->cfg.server_id[i] != 0)
			take_in_slot(
			    l, i, &slots[i], issued_ms, done_ms, now_ms);
	if (l->state == LEASE_STARTING)
		begin(l, &slots[l->cfg.slot], now_ms);
	else
		check_own(l, &slots[l->cfg.slot], now_ms);
	tell_damage(l, damaged, now_ms);
	tell_newest(l, now_ms);
}
