/*
 * The watchdog device: resets this host when a lease has lapsed and nothing
 * else has cut the host off its volume (DESIGN section 6, fence "watchdog").
 *
 * A thread at real-time priority feeds the device (Linux watchdog API,
 * Documentation/watchdog/watchdog-api.rst), four times in each timeout. It
 * feeds only while no volume is held beyond its lease:
 *
 *	volume mounted, lease good	fed
 *	no volume held			fed
 *	lease lapsed, device not cut	not fed: the host is reset
 *	lease lapsed, guard has cut	fed (watchdog_off)
 *	process stopped or ended	nobody feeds: the host is reset
 *
 * What it guarantees. A feed is decided on before the lease's end, and the
 * device takes it at most one timeout after the feed before it: else it has
 * fired. So a host that stalls just then is reset two timeouts after the
 * lease's end at the latest; watchdog_armed_ms() says that time, the lease
 * slot carries it, and who claims the volume adds it, with a margin of its
 * own, to the lease (lease_take.c). Not covered is a machine that is stopped
 * together with its watchdog, as a paused virtual machine is with an
 * emulated one.
 *
 * The device is armed by opening it. Never may it be opened while a volume
 * is still mounted from an earlier life of the agent: that would feed it for
 * a lease of which this process knows nothing. Closed without the magic
 * character it goes on; one that cannot tell the two apart is refused.
 */
#ifndef AGENT_WATCHDOG_H
#define AGENT_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#define WATCHDOG_ERROR_LEN   256u
#define WATCHDOG_VOLUMES_MAX 64u

struct watchdog_config {
	int fd;             /* the open device; taken over */
	const char *device; /* its path, for messages */
	unsigned timeout_s;
	int rt_priority;
	/* In the place of ioctl(2), for tests; NULL: that. */
	int (*control)(int fd, unsigned long what, void *arg);
};

struct watchdog;

/* Sets the timeout, feeds it, goes on feeding. NULL: error says what is
 * wrong and what to do; the device is closed, and stopped if it can be. */
struct watchdog *watchdog_start(const struct watchdog_config *cfg, char *error);
/* Stops the device if no volume is held; else it is left to fire. */
void watchdog_stop(struct watchdog *w);

/* What a claimant has to add to the lease, in ms; never 0. */
uint32_t watchdog_armed_ms(const struct watchdog *w);
/* The volume (index) may be written here until then (CLOCK_BOOTTIME). */
void watchdog_until(
    struct watchdog *w, unsigned volume, uint64_t valid_until_ms);
/* It cannot be written from here: unmounted, or the device was cut. */
void watchdog_off(struct watchdog *w, unsigned volume);

struct watchdog_stats {
	uint64_t fed, failed; /* feeds */
	uint64_t withheld;    /* times that it was not fed, for a lease */
};
void watchdog_stats(const struct watchdog *w, struct watchdog_stats *out);

#endif
