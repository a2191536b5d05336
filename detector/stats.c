/* stats: the contract is in stats.h. */
#include "stats.h"

#define JITTER_SHIFT 4 /* RFC 3550: a gain of 1/16 */

/*
 * One that comes in the first half of an interval is out of turn: a changed
 * volume table is sent at once, and what was held up comes in a bunch.
 */
static bool
out_of_turn(const struct stats *s, const struct stats_sample *x)
{
	return x->arrival_us < s->last_us + (uint64_t)x->interval_ms * 500;
}

static void
measure(struct stats *s, const struct stats_sample *x)
{
	uint64_t due = s->last_us + (x->lost + 1) * x->interval_ms * 1000;
	uint64_t d =
	    x->arrival_us > due ? x->arrival_us - due : due - x->arrival_us;

	s->deviation_us = d;
	if (d > s->worst_us)
		s->worst_us = d;
	if (d >= s->jitter_us)
		s->jitter_us += (d - s->jitter_us) >> JITTER_SHIFT;
	else
		s->jitter_us -= (s->jitter_us - d) >> JITTER_SHIFT;
}

void
stats_add(struct stats *s, const struct stats_sample *x)
{
	s->count++;
	s->restarts += x->new_boot;
	s->deviation_us = 0;
	if (!x->fresh) {
		s->lost += x->lost;
		if (out_of_turn(s, x))
			return;
		measure(s, x);
	}
	s->last_us = x->arrival_us;
}

unsigned
stats_lost_permille(const struct stats *s)
{
	uint64_t all = s->count + s->lost;

	return all ? (unsigned)((s->lost * 1000 + all / 2) / all) : 0;
}
