/*
 * logscan: what all slots of a log say together, after they were read. Pure:
 * it gets values and gives records, or says what is wrong; it guesses
 * nothing.
 *
 *	s = logscan_new(volume, slots);
 *	logscan_add(s, slot, value, len) or logscan_unread(s, slot, errno)
 *			each slot once, in any order, from one thread at a time
 *	logscan_finish(s);
 *	s->nbad != 0: the volume is not to be served; logscan_bad() says why
 *	logscan_record(s, i)  0 <= i < s->nrecords, by seq
 *
 * Records are the live ones. Free and stale slots (acknowledged records,
 * what a cut left of an unfinished record) are counted, no more.
 */
#ifndef HANFS_AGENT_LOGSCAN_H
#define HANFS_AGENT_LOGSCAN_H

#include "server-agent/logrec.h"

struct logscan_record {
	struct logrec rec; /* borrows from the scan */
	unsigned parts;
	uint32_t slots[LOGREC_PARTS_MAX]; /* part 0 first */
};

struct logscan_bad {
	uint32_t slot;
	enum logrec_error error;
	int err; /* errno of LOGREC_E_READ */
};

struct logscan_counts {
	unsigned slots, free, stale, intents, dones, tombs;
	unsigned bad;
};

struct logscan;

/* NULL: no memory. */
struct logscan *logscan_new(uint32_t volume, unsigned slots);
void logscan_free(struct logscan *s);

/* 0, or -1: no memory, and the scan is of no use. */
int logscan_add(
    struct logscan *s, uint32_t slot, const uint8_t *value, size_t len);
int logscan_unread(struct logscan *s, uint32_t slot, int err);

/* 0 also with bad slots; -1: no memory. Slots never added are bad. */
int logscan_finish(struct logscan *s);

void logscan_count(const struct logscan *s, struct logscan_counts *n);
unsigned logscan_nrecords(const struct logscan *s);
const struct logscan_record *logscan_record(
    const struct logscan *s, unsigned i);
unsigned logscan_nbad(const struct logscan *s);
const struct logscan_bad *logscan_bad(const struct logscan *s, unsigned i);

/* The highest numbers seen; the next ones are above these. */
uint64_t logscan_seq(const struct logscan *s);
uint64_t logscan_write(const struct logscan *s);
uint64_t logscan_epoch(const struct logscan *s);

#endif
