/* The arbiter: what both kinds have in common; contract in arbiter.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/arbiter_int.h"

/* --- when something is due */

static void
on_now(evutil_socket_t fd, short what, void *arg)
{
	struct arbiter *a = arg;

	(void)fd;
	(void)what;
	a->kind->run(a);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct arbiter *a = arg;
	uint64_t n;

	(void)what;
	(void)!read(fd, &n, sizeof(n));
	a->timer_ms = 0;
	a->kind->run(a);
}

void
arbiter_soon(struct arbiter *a)
{
	event_active(&a->now, EV_TIMEOUT, 0);
}

void
arbiter_at(struct arbiter *a, uint64_t when_ms)
{
	struct itimerspec t = {.it_interval = {0, 0}};

	if (when_ms == a->timer_ms)
		return;
	a->timer_ms = when_ms;
	if (when_ms == UINT64_MAX)
		when_ms = 0; /* disarms */
	else if (when_ms == 0)
		when_ms = 1;
	t.it_value.tv_sec = (time_t)(when_ms / 1000);
	t.it_value.tv_nsec = (long)(when_ms % 1000) * 1000000;
	(void)timerfd_settime(a->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

/* --- start and end */

struct arbiter *
arbiter_start(const struct arbiter_config *cfg, char *error)
{
	struct arbiter *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		(void)snprintf(error, CTL_ERROR_LEN, "no memory");
		return NULL;
	}
	a->cfg = *cfg;
	a->volume = &cfg->cfg->volumes[cfg->volume];
	a->self = &cfg->cfg->servers[cfg->self];
	a->kind = a->volume->storage.arbiter == CONFIG_ARBITER_DISK
		      ? &arbiter_disk
		      : &arbiter_external;
	event_assign(&a->now, cfg->base, -1, 0, on_now, a);
	a->timer_fd =
	    timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (a->timer_fd < 0) {
		(void)snprintf(error, CTL_ERROR_LEN, "volume %s: no timer: %s",
		    a->volume->name, strerror(errno));
		free(a);
		return NULL;
	}
	event_assign(&a->timer, cfg->base, a->timer_fd, EV_READ | EV_PERSIST,
	    on_timer, a);
	event_add(&a->timer, NULL);
	if (a->kind->start(a, error) == 0) {
		arbiter_soon(a);
		return a;
	}
	arbiter_stop(a);
	return NULL;
}

void
arbiter_stop(struct arbiter *a)
{
	if (a == NULL)
		return;
	a->kind->stop(a);
	event_del(&a->now);
	event_del(&a->timer);
	close(a->timer_fd);
	free(a);
}

/* --- requests */

void
arbiter_look(struct arbiter *a)
{
	a->kind->look(a);
	arbiter_soon(a);
}

void
arbiter_claim(struct arbiter *a, bool force)
{
	a->kind->claim(a, force);
	arbiter_soon(a);
}

void
arbiter_take(struct arbiter *a, const struct lease_proof *proof)
{
	static const struct lease_proof none;

	a->kind->take(a, proof == NULL ? &none : proof);
	arbiter_soon(a);
}

void
arbiter_unclaim(struct arbiter *a)
{
	a->kind->unclaim(a);
	arbiter_soon(a);
}

void
arbiter_peer(struct arbiter *a, unsigned server, bool gone)
{
	if (a->kind->peer != NULL)
		a->kind->peer(a, server, gone);
}

void
arbiter_release(struct arbiter *a, int server)
{
	a->kind->release(a, server);
	arbiter_soon(a);
}

void
arbiter_drop(struct arbiter *a)
{
	a->kind->drop(a);
	arbiter_soon(a);
}

void
arbiter_watchdog(struct arbiter *a, uint32_t armed_ms)
{
	if (a->kind->watchdog != NULL)
		a->kind->watchdog(a, armed_ms);
}

bool
arbiter_ping(struct arbiter *a, unsigned server, unsigned timeout_ms)
{
	return a->kind->ping != NULL && a->kind->ping(a, server, timeout_ms);
}

bool
arbiter_ask(struct arbiter *a, unsigned server)
{
	return a->kind->ask != NULL && a->kind->ask(a, server);
}

void
arbiter_alive(struct arbiter *a, uint32_t state)
{
	if (a->kind->alive != NULL)
		a->kind->alive(a, state);
}

/* --- what is there */

enum lease_state
arbiter_state(const struct arbiter *a)
{
	return a->kind->state(a);
}

bool
arbiter_valid(const struct arbiter *a, uint64_t now_ms)
{
	return arbiter_state(a) == LEASE_OWNER &&
	       now_ms < arbiter_valid_until_ms(a);
}

uint64_t
arbiter_epoch(const struct arbiter *a)
{
	return a->kind->epoch(a);
}

uint64_t
arbiter_valid_until_ms(const struct arbiter *a)
{
	return a->kind->valid_until(a);
}

uint64_t
arbiter_landed_ms(const struct arbiter *a)
{
	return a->kind->landed == NULL ? clock_now_ms() : a->kind->landed(a);
}

uint64_t
arbiter_peer_advanced_ms(const struct arbiter *a, unsigned server)
{
	return a->kind->advanced == NULL ? 0 : a->kind->advanced(a, server);
}

int
arbiter_newest(
    const struct arbiter *a, uint64_t *epoch, enum ctl_holding *holding)
{
	return a->kind->newest(a, epoch, holding);
}

size_t
arbiter_events(
    const struct arbiter *a, uint64_t from, struct lease_event *out, size_t max)
{
	return a->kind->events == NULL ? 0 : a->kind->events(a, from, out, max);
}

bool
arbiter_io_stats(const struct arbiter *a, struct ctlio_stats *out)
{
	return a->kind->io_stats != NULL && a->kind->io_stats(a, out);
}
