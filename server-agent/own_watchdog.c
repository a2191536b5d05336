/*
 * own: the watchdog of this host, for volumes with fence = "watchdog". It is
 * armed before the first of them is taken, and its time is in the lease slot
 * with the epoch that is taken, not before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/own_int.h"

static bool
wants(const struct own_volume *v)
{
	return v->av->cfg->storage.fence == CONFIG_FENCE_WATCHDOG;
}

/* Its claim stands, and was written to the disk a moment ago: whoever wants
 * the volume counts from that write on. */
static bool
is_claimed(const struct own_volume *v)
{
	const struct agent *a = v->a;

	switch (arbiter_state(v->arbiter)) {
	case LEASE_CLAIMED:
	case LEASE_TAKING:
	case LEASE_OWNER:
		return arbiter_landed_ms(v->arbiter) +
			   a->cfg->agent.lease_ms / 2 >=
		       a->now_ms;
	default:
		return false;
	}
}

/*
 * A volume that may still be mounted since before this process, or NULL: to
 * feed the device would be to renew a lease that is not ours. One that we
 * have claimed is no hindrance, since a claim is written again and again
 * while it waits here, and the one feed that opening is comes well within a
 * lease of that; the volume that asks is such a one. After a restart each
 * volume waits here until all have come so far.
 */
static const struct own_volume *
left_over(const struct own *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		const struct own_volume *v = &w->v[i];

		if (wants(v) && !v->clean && !is_claimed(v))
			return v;
	}
	return NULL;
}

/* These must be gained, or unmounted, before it is fed again. */
static void
hold_left_over(struct own *w)
{
	for (unsigned i = 0; i < w->n; i++)
		if (wants(&w->v[i]) && !w->v[i].clean)
			watchdog_until(w->dog, w->v[i].index, 0);
}

static int
arm(struct own *w, char *error, size_t size)
{
	const struct config_agent *c = &w->a->cfg->agent;
	struct watchdog_config wc = {.device = c->watchdog,
	    .timeout_s = (unsigned)c->watchdog_s,
	    .rt_priority = (int)c->rt_priority};

	if (c->watchdog[0] == '\0') {
		snprintf(error, size,
		    "fence is \"watchdog\", but no watchdog is configured "
		    "(agent, watchdog)");
		return -1;
	}
	wc.fd = open(c->watchdog, O_WRONLY | O_CLOEXEC);
	if (wc.fd == -1) {
		snprintf(error, size, "watchdog %.120s: %s", c->watchdog,
		    errno == EBUSY ? "another program feeds it (systemd: "
				     "RuntimeWatchdogSec)"
				   : strerror(errno));
		return -1;
	}
	w->dog = watchdog_start(&wc, error);
	if (w->dog == NULL)
		return -1;
	hold_left_over(w);
	log_notice("watchdog %s is armed: this server is reset at most %u ms "
		   "after a lease that it loses",
	    c->watchdog, watchdog_armed_ms(w->dog));
	return 0;
}

int
own_watchdog_take(struct own_volume *v, char *error, size_t size)
{
	struct own *w = v->a->own;
	const struct own_volume *old = w->dog == NULL ? left_over(w) : NULL;

	if (!wants(v)) {
		arbiter_watchdog(v->arbiter, 0);
		return 0;
	}
	if (old != NULL) {
		log_debug("volume %s: the watchdog is not fed while volume %s "
			  "may be mounted from before",
		    own_name(v), own_name(old));
		return 1;
	}
	if (w->dog == NULL && arm(w, error, size) == -1)
		return -1;
	arbiter_watchdog(v->arbiter, watchdog_armed_ms(w->dog));
	return 0;
}

void
own_watchdog_until(struct own_volume *v, uint64_t until_ms)
{
	if (wants(v) && v->a->own->dog != NULL)
		watchdog_until(v->a->own->dog, v->index, until_ms);
}

void
own_watchdog_off(struct own_volume *v)
{
	v->clean = true;
	if (v->a->own->dog != NULL)
		watchdog_off(v->a->own->dog, v->index);
}

void
own_watchdog_stop(struct own *w)
{
	watchdog_stop(w->dog);
	w->dog = NULL;
}
