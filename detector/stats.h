/*
 * stats: how regularly one server's heartbeats come on one interface.
 * Pure numbers; for --print and ctl, no decision hangs on them.
 */
#ifndef DETECTOR_STATS_H
#define DETECTOR_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct stats {
	uint64_t count;    /* heartbeats seen */
	uint64_t lost;     /* sequences that never came */
	uint64_t restarts; /* new boot ids */
	uint64_t last_us;  /* arrival of the last one in turn */
	/* Between when it came and when its sequence says it should have: */
	uint64_t deviation_us; /* of the last one, absolute */
	uint64_t jitter_us;    /* smoothed as in RFC 3550, 6.4.1 */
	uint64_t worst_us;     /* largest deviation */
};

/* A heartbeat's circumstances, as hbguard's event has them. */
struct stats_sample {
	uint64_t arrival_us;
	uint32_t interval_ms;
	uint64_t lost;
	bool fresh; /* no predecessor to measure from */
	bool new_boot;
};

void stats_add(struct stats *s, const struct stats_sample *x);

/* Lost ones in a thousand, rounded; 0 if there were none at all. */
unsigned stats_lost_permille(const struct stats *s);

#endif
