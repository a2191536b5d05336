/*
 * A log that lives: clients reserve, write intents and completions, have
 * them acknowledged, all by a seed. Every value that went into a slot is
 * kept in order, with what was true then, so that a test can stop it at any
 * moment, damage it, and compare what a scan finds.
 */
#ifndef HANFS_TESTS_LOGPLAY_H
#define HANFS_TESTS_LOGPLAY_H

#include "logmake.h"
#include "server-agent/logscan.h"
#include "server-agent/slotmap.h"

enum {
	PLAY_SLOTS = 64,
	PLAY_WRITES = 4000,
	PLAY_CLIENTS = 5,
	PLAY_RECORDS = PLAY_WRITES,
	PLAY_VOLUME = 3,
};

/* One slot's value as it went to the disk. */
struct play_write {
	uint32_t slot;
	unsigned record; /* by seq */
	bool head;
	uint8_t value[LOGSLOT_LEN];
};

/* A record's story, in numbers of slot writes. */
struct play_record {
	struct logrec intent, done;
	unsigned intent_at; /* its head's write, counted from 1; 0: none */
	unsigned done_at;
	unsigned freed_at; /* how many writes there had been; 0: never */
	struct slotmap_rec *rec;
};

struct play {
	struct slotmap *map;
	unsigned nwrites, nrecords;
	struct play_write writes[PLAY_WRITES];
	struct play_record records[PLAY_RECORDS + 1]; /* by seq */
	unsigned live[PLAY_SLOTS], nlive;
};

static inline bool
play_put(struct play *p, struct logrec *r, const struct slotmap_rec *rec)
{
	uint8_t values[LOGREC_PARTS_MAX * LOGSLOT_LEN];
	unsigned n;

	r->write = slotmap_next_write(p->map);
	slotmap_map(p->map, &r->map);
	n = logrec_encode(r, rec->slots, values);
	assert(n > 0 && n <= rec->nslots);
	if (n > PLAY_WRITES - p->nwrites)
		return false;
	while (n-- > 0) {
		struct play_write *w = &p->writes[p->nwrites++];

		w->slot = rec->slots[n];
		w->record = (unsigned)r->seq;
		w->head = n == 0;
		memcpy(w->value, values + n * LOGSLOT_LEN, LOGSLOT_LEN);
	}
	return true;
}

static inline bool
play_begin(struct play *p)
{
	uint8_t client[CLIENT_ID_LEN] = {(uint8_t)(rand() % PLAY_CLIENTS)};
	struct slotmap_rec *rec;
	struct play_record *pr;
	struct logrec r;

	logmake_record(&r, LOGREC_INTENT, PLAY_VOLUME, 1, 1);
	memcpy(r.client, client, sizeof(client));
	if (slotmap_reserve(p->map, client, logrec_parts(&r), &rec) !=
	    SLOTMAP_OK)
		return true;
	pr = &p->records[rec->seq];
	p->nrecords = (unsigned)rec->seq;
	pr->rec = rec;
	r.seq = rec->seq;
	if (!play_put(p, &r, rec))
		return false;
	pr->intent = r;
	pr->intent_at = p->nwrites;
	p->live[p->nlive++] = (unsigned)rec->seq;
	return true;
}

static inline bool
play_end(struct play *p, struct play_record *pr)
{
	logmake_record(&pr->done, LOGREC_DONE, PLAY_VOLUME, pr->intent.seq, 1);
	if (!play_put(p, &pr->done, pr->rec))
		return false;
	pr->done_at = p->nwrites;
	slotmap_shrink(p->map, pr->rec);
	return true;
}

/* Plays until the writes are full. */
static inline void
play_run(struct play *p, unsigned seed)
{
	bool more = true;

	memset(p, 0, sizeof(*p));
	logmake_init(seed);
	p->map = slotmap_new(PLAY_SLOTS, PLAY_SLOTS / 2);
	while (more) {
		unsigned i = p->nlive ? (unsigned)rand() % p->nlive : 0;
		struct play_record *pr = &p->records[p->live[i]];

		if (p->nlive == 0 || rand() % 3 == 0) {
			more = play_begin(p);
		} else if (pr->done_at == 0) {
			more = play_end(p, pr);
		} else if (rand() % 2) {
			slotmap_release(p->map, pr->rec);
			pr->freed_at = p->nwrites;
			p->live[i] = p->live[--p->nlive];
		}
	}
	slotmap_free(p->map);
}

/* What the slots hold after the first n writes. */
static inline void
play_disk(const struct play *p, unsigned n, uint8_t (*disk)[LOGSLOT_LEN])
{
	for (uint32_t i = 0; i < PLAY_SLOTS; i++)
		logrec_encode_free(PLAY_VOLUME, i, 0, 0, disk[i]);
	for (unsigned i = 0; i < n; i++)
		memcpy(
		    disk[p->writes[i].slot], p->writes[i].value, LOGSLOT_LEN);
}

static inline struct logscan *
play_scan(uint8_t (*disk)[LOGSLOT_LEN])
{
	struct logscan *s = logscan_new(PLAY_VOLUME, PLAY_SLOTS);

	for (uint32_t i = 0; i < PLAY_SLOTS; i++)
		logscan_add(s, i, disk[i], LOGSLOT_LEN);
	logscan_finish(s);
	return s;
}

#endif
