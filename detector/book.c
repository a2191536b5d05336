/* book: the contract is in book.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "book.h"

struct book {
	struct book_entry entries[HBG_SLOTS_MAX][HBG_SERVERS_MAX];
};

struct book *
book_new(void)
{
	return calloc(1, sizeof(struct book));
}

void
book_free(struct book *b)
{
	free(b);
}

const struct book_entry *
book_add(struct book *b, const struct hb_event *ev, uint64_t arrival_us)
{
	struct book_entry *e = &b->entries[ev->slot][ev->server];
	struct stats_sample x = {
	    .arrival_us = arrival_us,
	    .interval_ms = ev->hb.interval_ms,
	    .lost = ev->lost,
	    .fresh = ev->fresh || e->server == 0,
	    .new_boot = ev->new_boot && !ev->first,
	};

	assert(ev->hb.server != 0);
	stats_add(&e->stats, &x);
	e->when_ms = arrival_us / 1000;
	e->server = ev->hb.server;
	e->last = *ev;
	return e;
}

void
book_forget_slot(struct book *b, unsigned slot)
{
	assert(slot < HBG_SLOTS_MAX);
	memset(b->entries[slot], 0, sizeof(b->entries[slot]));
}

void
book_forget_all(struct book *b)
{
	memset(b, 0, sizeof(*b));
}

const struct book_entry *
book_get(const struct book *b, unsigned slot, unsigned server)
{
	const struct book_entry *e = &b->entries[slot][server];

	assert(slot < HBG_SLOTS_MAX && server < HBG_SERVERS_MAX);
	return e->server != 0 ? e : NULL;
}
