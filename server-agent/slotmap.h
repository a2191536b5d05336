/*
 * slotmap: which slots of a volume's log are whose. Pure.
 *
 * A record reserves its slots before its intent is written and holds them
 * until its reply is acknowledged (or expired). Each client has a quota, so
 * that one that never acknowledges does not stop the others. The slot that
 * was freed last is taken first: the fewer slots are in use, the fewer
 * blocks a commit of the journal holds.
 *
 * Nothing is allocated after slotmap_new().
 */
#ifndef HANFS_AGENT_SLOTMAP_H
#define HANFS_AGENT_SLOTMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "server-agent/logrec.h"

enum slotmap_result {
	SLOTMAP_OK,
	SLOTMAP_FULL,  /* all slots are taken: the call waits */
	SLOTMAP_QUOTA, /* this client holds its part: its call waits */
	SLOTMAP_RESULTS
};
extern const char *const slotmap_result_names[SLOTMAP_RESULTS];

struct slotmap;

/* What one record holds. Read it, do not change it, but for next. */
struct slotmap_rec {
	struct slotmap_rec *next; /* the holder's to use */
	uint64_t seq;
	unsigned nslots;
	uint32_t slots[LOGREC_PARTS_MAX]; /* the head's first */
	uint32_t owner;                   /* the client's place in the map */
};

/*
 * slots: how many the volume has. client_max: how many one client may hold,
 * at least LOGREC_PARTS_MAX. NULL: no memory.
 */
struct slotmap *slotmap_new(unsigned slots, unsigned client_max);
void slotmap_free(struct slotmap *m);

/*
 * After a scan, before anything is reserved: the highest numbers seen, and
 * each of the scan's records. A quota does not hold here. NULL: a slot is
 * out of range or taken, or seq is above the highest.
 */
void slotmap_begin(struct slotmap *m, uint64_t seq, uint64_t write);
struct slotmap_rec *slotmap_adopt(struct slotmap *m,
    const uint8_t client[CLIENT_ID_LEN], uint64_t seq, const uint32_t *slots,
    unsigned n);

/*
 * Reserves n slots (1 to LOGREC_PARTS_MAX) and the next seq for a client's
 * record. *out is set for SLOTMAP_OK.
 */
enum slotmap_result slotmap_reserve(struct slotmap *m,
    const uint8_t client[CLIENT_ID_LEN], unsigned n, struct slotmap_rec **out);

/*
 * Gives back all slots but the head. Only once a value of one part (a
 * completion) is *in* the head's slot, that is, store.h said so: until then
 * the intent there needs its continuations.
 */
void slotmap_shrink(struct slotmap *m, struct slotmap_rec *r);

/*
 * Gives all back: acknowledged or expired. Not while a write to any of its
 * slots is under way; a record of more than one slot is shrunk first. Where
 * its intent is the last thing in its slot, which came to nothing, a free
 * slot's value (logrec_encode_free()) is to be in its place before.
 */
void slotmap_release(struct slotmap *m, struct slotmap_rec *r);

/*
 * For the value that is to be encoded next, in this order: its write number,
 * and the map that goes with that (logrec.h, "What is free").
 */
uint64_t slotmap_next_write(struct slotmap *m);
void slotmap_map(const struct slotmap *m, struct logrec_map *map);

unsigned slotmap_in_use(const struct slotmap *m);
unsigned slotmap_held_by(
    const struct slotmap *m, const uint8_t client[CLIENT_ID_LEN]);

#endif
