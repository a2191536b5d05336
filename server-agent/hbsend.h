/*
 * hbsend: this server's heartbeats, from a thread of their own.
 *
 * A busy server is not a dead one: the thread runs at real-time priority,
 * the process's memory is locked, and nothing that the thread does waits for
 * the main loop, a disk or a full pipe: what it has to log is kept and
 * written by the main loop.  But a server whose main loop hangs serves
 * nobody: when hbsend_alive has not been called for alive_max_ms, the thread
 * falls silent until it is.
 *
 * It sends, for each network on which the configuration gives this server an
 * address, as soon as and as long as an interface carries that address:
 *	- one heartbeat each interval, at absolute times; what was missed is
 *	  left out, not made up for;
 *	- all pages at once when the volume table or the peers change (not
 *	  more than HBSEND_EXTRA_MAX times between two regular ones);
 *	- the same bytes by unicast to each subscriber in that network.
 *
 * All functions are for one thread, the agent's main loop.  They take a lock
 * for the time of a copy; it has priority inheritance.
 */
#ifndef AGENT_HBSEND_H
#define AGENT_HBSEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/config.h"
#include "hanfs/heartbeat.h"

#define HBSEND_SUBSCRIBERS_MAX 256u
#define HBSEND_EXTRA_MAX       4u
#define HBSEND_ALIVE_MAX_MS    1000u /* a good value for alive_max_ms */
#define HBSEND_ERROR_LEN       512

struct hbsend;

/*
 * Before privileges are dropped: raises the limits RLIMIT_RTPRIO and
 * RLIMIT_MEMLOCK, so that hbsend_start needs no privilege for these.
 */
void hbsend_prepare(const struct config *cfg);

/*
 * Raises the boot id, locks the memory, starts the thread.
 *
 * cfg, self:	configuration and this server's index; copied, so that the
 *		caller may free it
 * secret:	this server's secret key, HB_SECRET_LEN bytes; copied
 * state_dir:	where the boot id is kept (bootid.h)
 * alive_max_ms: longest time between two calls of hbsend_alive; 0: for ever
 *
 * Call it after privileges are dropped: capabilities are a thread's own, and
 * one made before would keep what it had.  It needs CAP_NET_RAW (for
 * SO_BINDTODEVICE); without real-time priority or locked memory it warns
 * and goes on.
 * NULL: `error` (HBSEND_ERROR_LEN bytes) says why, in words for an operator.
 */
struct hbsend *hbsend_start(const struct config *cfg, unsigned self,
    const uint8_t *secret, const char *state_dir, uint32_t alive_max_ms,
    char *error);

/* Ends the thread and waits for that; a few milliseconds. */
void hbsend_stop(struct hbsend *h);

/* The boot id in this process's heartbeats. */
uint64_t hbsend_boot(const struct hbsend *h);

/*
 * The main loop lives: call it at least each third of alive_max_ms.  Also
 * writes what the thread had to log.
 */
void hbsend_alive(struct hbsend *h, uint64_t now_ms);

/*
 * A new volume table (all volumes of this server; ids, epochs, states, agent
 * addresses), sent at once if it differs.  Until the first call heartbeats
 * name no volume.  0, or -1 with errno EINVAL: more than
 * HBTABLE_VOLUMES_MAX, or one that cannot be encoded.  v is copied.
 */
int hbsend_set_volumes(struct hbsend *h, const struct hb_volume *v, unsigned n);

/* Which peers this server hears on which network; n <= HB_PEERS_MAX. */
int hbsend_set_peers(struct hbsend *h, const struct hb_peer *p, unsigned n);

/*
 * Unicast copies to `to` (its port as well) until now_ms + ttl_ms; again for
 * the same address: prolonged.  A datagram leaves for each interval, so the
 * caller makes sure that the subscriber asked for its own address.
 * 0, or -1 with errno: ENETUNREACH (not in a network on which this server
 * has an address), ENOBUFS (HBSEND_SUBSCRIBERS_MAX are there).
 */
int hbsend_subscribe(struct hbsend *h, const struct hanfs_addr *to,
    uint64_t now_ms, uint32_t ttl_ms);

/* For ctl. */
struct hbsend_link_stats {
	uint32_t network;  /* id */
	bool up;           /* an interface carries the address */
	char ifname[16];   /* when up */
	uint64_t sequence; /* of the last one */
	uint64_t sent;     /* broadcasts or multicasts */
	uint64_t unicasts;
	uint64_t failed; /* refused by the kernel */
	int last_errno;  /* of these */
};

struct hbsend_stats {
	unsigned nlinks;
	struct hbsend_link_stats links[CONFIG_NETWORKS_MAX];
	unsigned subscribers;
	uint64_t skipped;       /* intervals left out: the thread was late */
	uint64_t worst_late_us; /* of a regular heartbeat */
	uint64_t silences;      /* times that the main loop was found hung */
	bool realtime, locked;
};

void hbsend_get_stats(struct hbsend *h, struct hbsend_stats *out);

#endif
