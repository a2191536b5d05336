/*
 * How long things took. See store.h.
 */
#include "server-agent/store_int.h"

enum { BUCKETS = sizeof(((struct store_latency *)0)->buckets) / 8 };

void
store_count_one(struct store_latency *l, uint64_t us)
{
	unsigned i = 0;

	while (i + 1 < BUCKETS && us >> i != 0)
		i++;
	l->n++;
	l->sum_us += us;
	l->buckets[i]++;
	if (us > l->max_us)
		l->max_us = us;
}

uint64_t
store_latency_at(const struct store_latency *l, unsigned permille)
{
	uint64_t want = (l->n * permille + 999) / 1000, seen = 0;

	for (unsigned i = 0; i + 1 < BUCKETS; i++) {
		seen += l->buckets[i];
		if (seen >= want)
			return (uint64_t)1 << i < l->max_us ? (uint64_t)1 << i
							    : l->max_us;
	}
	return l->max_us;
}

void
store_count(struct store *s, struct store_counts *n)
{
	pthread_mutex_lock(&s->lock);
	*n = s->n;
	pthread_mutex_unlock(&s->lock);
}
