/*
 * What the arbiter's files share: arbiter.c what both kinds have in common,
 * arbiter_disk.c lease.h over ctlio.h, arbiter_ext*.c another cluster
 * manager's commands.
 */
#ifndef AGENT_ARBITER_INT_H
#define AGENT_ARBITER_INT_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "server-agent/arbiter.h"

/* What a kind does. NULL where it has nothing of that. */
struct arbiter_kind {
	int (*start)(struct arbiter *a, char *error);
	void (*stop)(struct arbiter *a);
	/* Does what is due, calls news and mail; from the event loop. */
	void (*run)(struct arbiter *a);
	void (*look)(struct arbiter *a);
	void (*claim)(struct arbiter *a, bool force);
	void (*take)(struct arbiter *a, const struct lease_proof *proof);
	void (*unclaim)(struct arbiter *a);
	void (*peer)(struct arbiter *a, unsigned server, bool gone);
	void (*release)(struct arbiter *a, int server);
	void (*drop)(struct arbiter *a);
	void (*watchdog)(struct arbiter *a, uint32_t armed_ms);
	bool (*ping)(struct arbiter *a, unsigned server, unsigned timeout_ms);
	bool (*ask)(struct arbiter *a, unsigned server);
	void (*alive)(struct arbiter *a, uint32_t state);
	enum lease_state (*state)(const struct arbiter *a);
	uint64_t (*epoch)(const struct arbiter *a);
	uint64_t (*valid_until)(const struct arbiter *a);
	uint64_t (*landed)(const struct arbiter *a);
	uint64_t (*advanced)(const struct arbiter *a, unsigned server);
	int (*newest)(const struct arbiter *a, uint64_t *epoch,
	    enum ctl_holding *holding);
	size_t (*events)(const struct arbiter *a, uint64_t from,
	    struct lease_event *out, size_t max);
	bool (*io_stats)(const struct arbiter *a, struct ctlio_stats *out);
};
extern const struct arbiter_kind arbiter_disk, arbiter_external;

struct arbiter {
	struct arbiter_config cfg;
	const struct config_volume *volume;
	const struct config_server *self;
	const struct arbiter_kind *kind;
	struct event now;   /* made active: something to do */
	struct event timer; /* of a timerfd */
	int timer_fd;
	uint64_t timer_ms; /* when it fires */
	void *own;         /* the kind's */
};

/* run() is called from the event loop, soon. */
void arbiter_soon(struct arbiter *a);
/* And at that time; one time alone. */
void arbiter_at(struct arbiter *a, uint64_t when_ms);

#endif
