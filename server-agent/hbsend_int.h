/*
 * Inside of hbsend: hbsend.c has the functions that the main loop calls,
 * hbsend_thread.c what the thread does.  Who may touch which member is said
 * here.
 */
#ifndef AGENT_HBSEND_INT_H
#define AGENT_HBSEND_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "hblink.h"
#include "hbsend.h"
#include "hbtable.h"

#define HBSEND_LINES    16u
#define HBSEND_LINE_LEN 160u

struct hbsend_subscriber {
	struct hanfs_addr to;
	unsigned link; /* index */
	uint64_t until_ms;
};

/* One network that this server has an address on. */
struct hbsend_link {
	/* Set before the thread starts. */
	uint32_t network; /* id */
	char name[CONFIG_NAME_MAX + 1];
	struct hanfs_addr addr; /* as configured; port 0 */
	unsigned nprefixes;
	struct hanfs_prefix prefixes[CONFIG_PREFIXES_MAX];
	/* The thread's own. */
	struct hblink socket;
	uint64_t sequence;
	unsigned page; /* to be sent next */
	bool failing;  /* the last send failed: said once */
};

struct hbsend {
	/* Set before the thread starts. */
	uint64_t cluster;
	uint32_t server; /* id */
	uint64_t boot;
	uint32_t interval_ms, multiplier, alive_max_ms;
	uint16_t port;
	uint8_t secret[HB_SECRET_LEN];
	unsigned nlinks;
	int timer, kick; /* timerfd, eventfd */
	bool realtime, locked;
	pthread_t thread;
	struct ifwatch *watch; /* the thread's, once it runs */

	_Atomic uint64_t alive_ms; /* last sign of the main loop */
	_Atomic bool stop;

	/* Both threads', under the lock. */
	pthread_mutex_t lock;
	struct hbtable table;
	bool changed; /* send all pages now */
	unsigned nsubscribers;
	struct hbsend_subscriber subscribers[HBSEND_SUBSCRIBERS_MAX];
	struct hbsend_stats stats;
	unsigned nlines;
	char lines[HBSEND_LINES][HBSEND_LINE_LEN];

	/* The thread's own. */
	struct hbsend_link links[CONFIG_NETWORKS_MAX];
	uint64_t due_us; /* of the next regular heartbeat */
	unsigned extra;  /* sent since the last regular one */
	bool silent;
	uint64_t retry_ms; /* next attempt to open what failed to */
};

/* The thread's function; arg is the struct hbsend. */
void *hbsend_run(void *arg);

/* For ifwatch, called in the thread that reads it. */
void hbsend_interface(const struct ifwatch_if *i, void *arg);

#endif
