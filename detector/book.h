/*
 * book: what was last heard, from each server on each slot, and how
 * regularly.  For new readers of reports, for ctl and for the summary; no
 * decision is taken from it.  Pure.
 */
#ifndef DETECTOR_BOOK_H
#define DETECTOR_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "hanfs/hbguard.h"
#include "stats.h"

struct book_entry {
	uint64_t when_ms; /* of the last one; clock_now_ms */
	uint32_t server;  /* id; 0: nothing heard yet */
	struct hb_event last;
	struct stats stats;
};

struct book;

/* NULL with errno ENOMEM. */
struct book *book_new(void);
void book_free(struct book *b);

/* Takes an event that arrived at arrival_us; the entry it went into. */
const struct book_entry *book_add(
    struct book *b, const struct hb_event *ev, uint64_t arrival_us);

/* What is known of that slot, or of all, is forgotten. */
void book_forget_slot(struct book *b, unsigned slot);
void book_forget_all(struct book *b);

/* NULL if that server was not heard on that slot. */
const struct book_entry *book_get(
    const struct book *b, unsigned slot, unsigned server);

#endif
