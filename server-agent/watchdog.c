/* watchdog: the contract is in watchdog.h. */
#include <errno.h>
#include <linux/watchdog.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/thread.h"
#include "server-agent/watchdog.h"

#define NEVER UINT64_MAX

struct watchdog {
	struct watchdog_config cfg;
	int timeout_s; /* that the device took */
	int end_fd;
	uint64_t until_ms[WATCHDOG_VOLUMES_MAX]; /* atomic; NEVER: not held */
	uint64_t fed, failed, withheld;          /* atomic */
	pthread_t thread;
	bool started;
};

static int
control(const struct watchdog *w, unsigned long what, void *arg)
{
	return w->cfg.control != NULL ? w->cfg.control(w->cfg.fd, what, arg)
				      : ioctl(w->cfg.fd, what, arg);
}

/* --- feeding */

static bool
may_feed(const struct watchdog *w)
{
	uint64_t now_ms = clock_now_ms();

	for (unsigned i = 0; i < WATCHDOG_VOLUMES_MAX; i++)
		if (__atomic_load_n(&w->until_ms[i], __ATOMIC_SEQ_CST) <=
		    now_ms)
			return false;
	return true;
}

/* Whatever is written feeds it, but for the magic character. */
static bool
feed(struct watchdog *w)
{
	bool done = write(w->cfg.fd, "\n", 1) == 1;

	__atomic_add_fetch(done ? &w->fed : &w->failed, 1, __ATOMIC_RELAXED);
	return done;
}

static void *
run(void *arg)
{
	struct watchdog *w = arg;
	struct pollfd end = {.fd = w->end_fd, .events = POLLIN};

	while (poll(&end, 1, w->timeout_s * 250) <= 0)
		if (may_feed(w))
			(void)feed(w);
		else
			__atomic_add_fetch(&w->withheld, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* --- start and end */

static bool
set_up(struct watchdog *w, char *error)
{
	const unsigned need = WDIOF_SETTIMEOUT | WDIOF_MAGICCLOSE;
	struct watchdog_info info = {.options = 0};

	if (control(w, WDIOC_GETSUPPORT, &info) == -1) {
		(void)snprintf(error, WATCHDOG_ERROR_LEN,
		    "%.120s is no watchdog device: %s", w->cfg.device,
		    strerror(errno));
		return false;
	}
	if ((info.options & need) != need) {
		(void)snprintf(error, WATCHDOG_ERROR_LEN,
		    "%.120s cannot be used: it has no %s; use another "
		    "watchdog device, or softdog",
		    w->cfg.device,
		    info.options & WDIOF_MAGICCLOSE
			? "timeout that can be set"
			: "magic close, and would stop with the agent");
		return false;
	}
	w->timeout_s = (int)w->cfg.timeout_s;
	if (control(w, WDIOC_SETTIMEOUT, &w->timeout_s) == -1 ||
	    control(w, WDIOC_GETTIMEOUT, &w->timeout_s) == -1 ||
	    w->timeout_s <= 0) {
		(void)snprintf(error, WATCHDOG_ERROR_LEN,
		    "%.120s does not take %u s as its timeout: %s; write "
		    "another watchdog_s (agent)",
		    w->cfg.device, w->cfg.timeout_s, strerror(errno));
		return false;
	}
	if (feed(w))
		return true;
	(void)snprintf(error, WATCHDOG_ERROR_LEN, "%.120s cannot be fed: %s",
	    w->cfg.device, strerror(errno));
	return false;
}

struct watchdog *
watchdog_start(const struct watchdog_config *cfg, char *error)
{
	struct watchdog *w = calloc(1, sizeof(*w));
	int e;

	if (w == NULL) {
		(void)snprintf(error, WATCHDOG_ERROR_LEN, "no memory");
		(void)!write(cfg->fd, "V", 1);
		close(cfg->fd);
		return NULL;
	}
	w->cfg = *cfg;
	for (unsigned i = 0; i < WATCHDOG_VOLUMES_MAX; i++)
		w->until_ms[i] = NEVER;
	w->end_fd = eventfd(0, EFD_CLOEXEC);
	if (w->end_fd == -1) {
		(void)snprintf(error, WATCHDOG_ERROR_LEN, "%s: %s", "watchdog",
		    strerror(errno));
		goto fail;
	}
	if (!set_up(w, error))
		goto fail;
	e = thread_start(&w->thread, cfg->rt_priority, run, w, NULL);
	w->started = e == 0;
	if (w->started)
		return w;
	(void)snprintf(error, WATCHDOG_ERROR_LEN,
	    "the watchdog's thread cannot start: %s", strerror(e));
fail:
	watchdog_stop(w);
	return NULL;
}

static bool
holds_any(const struct watchdog *w)
{
	for (unsigned i = 0; i < WATCHDOG_VOLUMES_MAX; i++)
		if (w->until_ms[i] != NEVER)
			return true;
	return false;
}

void
watchdog_stop(struct watchdog *w)
{
	uint64_t one = 1;

	if (w == NULL)
		return;
	if (w->started) {
		(void)!write(w->end_fd, &one, sizeof(one));
		pthread_join(w->thread, NULL);
	}
	if (w->end_fd != -1)
		close(w->end_fd);
	if (!holds_any(w))
		(void)!write(w->cfg.fd, "V", 1);
	close(w->cfg.fd);
	free(w);
}

/* --- leases */

uint32_t
watchdog_armed_ms(const struct watchdog *w)
{
	return (uint32_t)w->timeout_s * 2000;
}

void
watchdog_until(struct watchdog *w, unsigned volume, uint64_t valid_until_ms)
{
	__atomic_store_n(
	    &w->until_ms[volume], valid_until_ms, __ATOMIC_SEQ_CST);
}

void
watchdog_off(struct watchdog *w, unsigned volume)
{
	watchdog_until(w, volume, NEVER);
}

void
watchdog_stats(const struct watchdog *w, struct watchdog_stats *out)
{
	out->fed = __atomic_load_n(&w->fed, __ATOMIC_RELAXED);
	out->failed = __atomic_load_n(&w->failed, __ATOMIC_RELAXED);
	out->withheld = __atomic_load_n(&w->withheld, __ATOMIC_RELAXED);
}
