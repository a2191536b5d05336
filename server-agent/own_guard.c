/*
 * own: the guard of a volume's lease (guard.h). It knows of each renewal, and
 * cuts this host off the disk when none came; what is left to do then is to
 * give the volume up. It is armed only while the volume may be mounted: a
 * lease that lapses while the device is assembled or taken apart is nothing
 * to reset the host for.
 */
#include <errno.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/own_int.h"

static void
on_fired(evutil_socket_t fd, short what, void *arg)
{
	struct own_volume *v = arg;
	enum guard_method method;
	struct owner_event ev = {.type = OWNER_EV_DISK_LOST,
	    .peer = -1,
	    .text = "the guard has cut the disk off: the lease had ended"};

	(void)fd;
	(void)what;
	if (!guard_fired(v->guard, &method))
		return;
	event_del(&v->guard_ev);
	agent_now(v->a);
	if (method != GUARD_NOTHING)
		own_watchdog_off(v);
	log_err("volume %s: the lease has ended, the guard has cut the disk "
		"off: %s",
	    own_name(v), guard_method_names[method]);
	own_feed(v, &ev);
	agent_settle(v->a);
}

void
own_guard_stop(struct own_volume *v)
{
	if (v->guard == NULL)
		return;
	event_del(&v->guard_ev);
	guard_stop(v->guard);
	v->guard = NULL;
}

static int
start(struct own_volume *v)
{
	const struct config_storage *s = &v->av->cfg->storage;
	struct guard_config c = {.volume = own_name(v),
	    .device = s->device,
	    .dm = true,
	    .command = s->guard_command,
	    .command_ms = (unsigned)v->a->cfg->agent.lease_ms,
	    .reboot = s->guard_reboot,
	    .rt_priority = (int)v->a->cfg->agent.rt_priority};
	char error[GUARD_ERROR_LEN];

	v->guard_armed = false;
	v->guard = guard_start(&c, error);
	if (v->guard == NULL) {
		log_err("volume %s: %s", own_name(v), error);
		return -1;
	}
	event_assign(&v->guard_ev, v->a->base, guard_fd(v->guard),
	    EV_READ | EV_PERSIST, on_fired, v);
	return event_add(&v->guard_ev, NULL);
}

static void
arm(struct own_volume *v)
{
	v->guard_armed = true;
	(void)guard_until(v->guard, v->lease_until_ms);
}

/* Once the device is there, and before anything can be written to it. */
bool
own_guard_open(struct own_volume *v)
{
	char error[GUARD_ERROR_LEN];

	if (v->a->now_ms >= v->lease_until_ms)
		return false;
	if (v->guard == NULL)
		return true;
	if (guard_open(v->guard, error) == -1)
		log_err("volume %s: %s", own_name(v), error);
	arm(v);
	return true;
}

/* Is nothing of the volume here any more that could be written? Also what an
 * earlier life had, which no lease is released for. */
static bool
is_gone(const struct own_volume *v, enum owner_action_type done)
{
	if (done == OWNER_UNMOUNT || done == OWNER_ABANDON)
		return !(owner_have(v->o) & OWNER_HAVE_DEVICE);
	return done == OWNER_DISASSEMBLE;
}

void
own_guard_done(struct own_volume *v, enum owner_action_type done)
{
	if ((done == OWNER_UNMOUNT || done == OWNER_ABANDON) &&
	    v->guard != NULL) {
		v->guard_armed = false;
		(void)guard_disarm(v->guard);
	}
	if (is_gone(v, done))
		own_watchdog_off(v);
}

/* It is about to be taken apart, which needs it closed. One that has fired
 * has it open, and nothing to do any more. */
void
own_guard_close(struct own_volume *v)
{
	enum guard_method method;

	if (v->guard == NULL)
		return;
	guard_close(v->guard);
	if (guard_fired(v->guard, &method))
		own_guard_stop(v);
}

/* When the lease is gained: the old epoch's volume, or an earlier life's. */
static bool
may_be_mounted(const struct own_volume *v)
{
	return (owner_have(v->o) & OWNER_HAVE_MOUNT) != 0 || !v->clean;
}

/* An assembled device is not there yet when the lease is gained. */
static bool
has_device(const struct own_volume *v)
{
	return v->av->cfg->storage.assemble[0] == '\0' || may_be_mounted(v);
}

/* One that has fired is of no use any more. */
void
own_guard_owner(struct own_volume *v, uint64_t until_ms)
{
	const struct config_storage *s = &v->av->cfg->storage;
	enum guard_method method;

	own_watchdog_until(v, until_ms);
	v->lease_until_ms = until_ms;
	if (v->guard != NULL && guard_fired(v->guard, &method))
		own_guard_stop(v);
	if (v->guard == NULL) {
		if (start(v) == -1)
			return;
		if (has_device(v))
			own_guard_open(v);
	}
	if (s->fence == CONFIG_FENCE_SCSI || s->fence == CONFIG_FENCE_MPATH ||
	    s->fence == CONFIG_FENCE_NVME)
		guard_key(v->guard, fence_own_key(v->fence));
	if (v->guard_armed || may_be_mounted(v))
		arm(v);
}

void
own_guard_renewed(struct own_volume *v, uint64_t until_ms)
{
	own_watchdog_until(v, until_ms);
	v->lease_until_ms = until_ms;
	if (v->guard != NULL && v->guard_armed)
		(void)guard_until(v->guard, until_ms);
}

/* Nothing of the volume is in use any more. */
void
own_guard_off(struct own_volume *v)
{
	own_watchdog_off(v);
	if (v->guard == NULL)
		return;
	v->guard_armed = false;
	(void)guard_disarm(v->guard);
	guard_key(v->guard, 0);
}
