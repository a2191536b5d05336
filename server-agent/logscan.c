/*
 * All slots together. See logscan.h. Pure.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/logscan.h"

struct place {
	bool added, ok;
	struct logslot slot; /* bytes: a copy, ours */
	uint64_t free_at;    /* it was free when this was written */
};

struct logscan {
	uint32_t volume;
	unsigned slots;
	struct place *place;
	struct logscan_counts n;
	uint64_t seq, write, epoch;
	struct logscan_record *records;
	unsigned nrecords;
	uint8_t **joined; /* bytes of records of several parts */
	unsigned njoined;
	struct logscan_bad *bad;
};

struct logscan *
logscan_new(uint32_t volume, unsigned slots)
{
	struct logscan *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->volume = volume;
	s->slots = slots;
	s->n.slots = slots;
	s->place = calloc(slots + 1u, sizeof(*s->place));
	/* A slot is bad once when it is read, and once as a record. */
	s->bad = calloc(2 * (size_t)slots + 1, sizeof(*s->bad));
	if (s->place == NULL || s->bad == NULL) {
		logscan_free(s);
		return NULL;
	}
	return s;
}

void
logscan_free(struct logscan *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; s->place != NULL && i < s->slots; i++)
		free((void *)(uintptr_t)s->place[i].slot.bytes);
	for (unsigned i = 0; i < s->njoined; i++)
		free(s->joined[i]);
	free(s->joined);
	free(s->records);
	free(s->place);
	free(s->bad);
	free(s);
}

static void
add_bad(struct logscan *s, uint32_t slot, enum logrec_error e, int err)
{
	assert(s->n.bad < 2 * s->slots);
	s->bad[s->n.bad++] =
	    (struct logscan_bad){.slot = slot, .error = e, .err = err};
}

int
logscan_unread(struct logscan *s, uint32_t slot, int err)
{
	assert(slot < s->slots && !s->place[slot].added);
	s->place[slot].added = true;
	add_bad(s, slot, LOGREC_E_READ, err);
	return 0;
}

int
logscan_add(struct logscan *s, uint32_t slot, const uint8_t *value, size_t len)
{
	struct logslot ls;
	enum logrec_error e;
	uint8_t *copy;

	assert(slot < s->slots && !s->place[slot].added);
	s->place[slot].added = true;
	e = logslot_parse(value, len, s->volume, slot, &ls);
	if (e == LOGREC_OK && ls.first >= s->slots)
		e = LOGREC_E_HEADER;
	if (e != LOGREC_OK) {
		add_bad(s, slot, e, 0);
		return 0;
	}
	copy = malloc(ls.len + 1u);
	if (copy == NULL)
		return -1;
	memcpy(copy, ls.bytes, ls.len);
	ls.bytes = copy;
	s->place[slot].slot = ls;
	s->place[slot].ok = true;
	return 0;
}

/* --- together */

static bool
is_head(const struct place *p)
{
	return p->ok && p->slot.kind != LOGREC_FREE && p->slot.part == 0;
}

/* A record says which slots were free when it was written. */
static void
use_map(struct logscan *s, const struct logslot *head)
{
	uint32_t first;
	const uint8_t *bits = logrec_map_of(head, &first);

	for (uint32_t i = 0; bits != NULL && i < LOGREC_MAP_SLOTS; i++) {
		struct place *p;

		if (bits[i / 8] >> i % 8 & 1)
			continue;
		if (first >= s->slots || i >= s->slots - first)
			return;
		p = &s->place[first + i];
		if (p->free_at < head->write)
			p->free_at = head->write;
	}
}

static bool
is_stale(const struct place *p)
{
	return p->free_at > p->slot.write;
}

static int
by_seq(const void *a, const void *b)
{
	const struct logscan_record *x = a, *y = b;

	return x->rec.seq < y->rec.seq ? -1 : x->rec.seq > y->rec.seq;
}

/* A record for each live head, by seq; its parts are looked for next. */
static int
find_heads(struct logscan *s)
{
	s->records = calloc(s->slots + 1u, sizeof(*s->records));
	if (s->records == NULL)
		return -1;
	for (unsigned i = 0; i < s->slots; i++) {
		const struct place *p = &s->place[i];
		struct logscan_record *r = &s->records[s->nrecords];

		if (p->ok && p->slot.kind == LOGREC_FREE)
			s->n.free++;
		if (!is_head(p))
			continue;
		if (is_stale(p)) {
			s->n.stale++;
			continue;
		}
		r->rec.seq = p->slot.seq;
		r->parts = p->slot.parts;
		for (unsigned k = 1; k < LOGREC_PARTS_MAX; k++)
			r->slots[k] = UINT32_MAX;
		r->slots[0] = i;
		s->nrecords++;
	}
	qsort(s->records, s->nrecords, sizeof(*s->records), by_seq);
	return 0;
}

static struct logscan_record *
find_record(struct logscan *s, uint64_t seq)
{
	struct logscan_record key = {.rec.seq = seq};

	return bsearch(
	    &key, s->records, s->nrecords, sizeof(*s->records), by_seq);
}

/* Gives each continuation to the head that it names, if that wants it. */
static void
find_parts(struct logscan *s)
{
	for (unsigned i = 0; i < s->slots; i++) {
		const struct logslot *c = &s->place[i].slot, *h;
		struct logscan_record *r;

		if (!s->place[i].ok || c->kind == LOGREC_FREE || c->part == 0)
			continue;
		h = &s->place[c->first].slot;
		r = find_record(s, c->seq);
		if (r == NULL || r->slots[0] != c->first ||
		    h->write != c->write || h->parts != c->parts ||
		    h->record_len != c->record_len ||
		    r->slots[c->part] != UINT32_MAX) {
			s->n.stale++;
			continue;
		}
		r->slots[c->part] = i;
	}
}

/* The record's bytes: in its only slot, or joined. NULL: no memory. */
static const uint8_t *
join(struct logscan *s, const struct logscan_record *r)
{
	const struct logslot *head = &s->place[r->slots[0]].slot;
	size_t at = 0;
	uint8_t *buf;

	if (r->parts == 1)
		return head->bytes;
	buf = malloc(head->record_len);
	if (buf == NULL)
		return NULL;
	s->joined[s->njoined++] = buf;
	for (unsigned k = 0; k < r->parts; k++) {
		const struct logslot *p = &s->place[r->slots[k]].slot;

		assert(p->len <= head->record_len - at);
		memcpy(buf + at, p->bytes, p->len);
		at += p->len;
	}
	return buf;
}

static void
count_record(struct logscan *s, const struct logrec *rec)
{
	if (rec->epoch > s->epoch)
		s->epoch = rec->epoch;
	switch (rec->kind) {
	case LOGREC_INTENT:
		s->n.intents++;
		break;
	case LOGREC_DONE:
		s->n.dones++;
		break;
	default:
		s->n.tombs++;
	}
}

/* LOGREC_E_READ stands for want of memory here. */
static enum logrec_error
read_record(struct logscan *s, struct logscan_record *r)
{
	const struct logslot *head = &s->place[r->slots[0]].slot;
	const uint8_t *bytes;
	enum logrec_error e;

	for (unsigned k = 1; k < r->parts; k++)
		if (r->slots[k] == UINT32_MAX)
			return LOGREC_E_PARTS;
	bytes = join(s, r);
	if (bytes == NULL)
		return LOGREC_E_READ;
	e = logrec_parse(head, s->volume, bytes, head->record_len, &r->rec);
	if (e == LOGREC_OK)
		count_record(s, &r->rec);
	return e;
}

static int
read_records(struct logscan *s)
{
	unsigned kept = 0;
	uint64_t last = 0;

	s->joined = calloc(s->nrecords + 1u, sizeof(*s->joined));
	if (s->joined == NULL)
		return -1;
	for (unsigned i = 0; i < s->nrecords; i++) {
		struct logscan_record *r = &s->records[i];
		uint64_t seq = r->rec.seq;
		enum logrec_error e =
		    seq == last ? LOGREC_E_TWICE : read_record(s, r);

		last = seq;
		if (e == LOGREC_E_READ)
			return -1;
		if (e != LOGREC_OK)
			add_bad(s, r->slots[0], e, 0);
		else
			s->records[kept++] = *r;
	}
	s->nrecords = kept;
	return 0;
}

int
logscan_finish(struct logscan *s)
{
	for (unsigned i = 0; i < s->slots; i++) {
		const struct place *p = &s->place[i];

		if (!p->added)
			logscan_unread(s, i, 0);
		if (p->ok && p->slot.seq > s->seq)
			s->seq = p->slot.seq;
		if (p->ok && p->slot.write > s->write)
			s->write = p->slot.write;
	}
	for (unsigned i = 0; i < s->slots; i++)
		if (is_head(&s->place[i]))
			use_map(s, &s->place[i].slot);
	if (find_heads(s) == -1)
		return -1;
	find_parts(s);
	return read_records(s);
}

/* --- what came of it */

void
logscan_count(const struct logscan *s, struct logscan_counts *n)
{
	*n = s->n;
}

unsigned
logscan_nrecords(const struct logscan *s)
{
	return s->nrecords;
}

const struct logscan_record *
logscan_record(const struct logscan *s, unsigned i)
{
	assert(i < s->nrecords);
	return &s->records[i];
}

unsigned
logscan_nbad(const struct logscan *s)
{
	return s->n.bad;
}

const struct logscan_bad *
logscan_bad(const struct logscan *s, unsigned i)
{
	assert(i < s->n.bad);
	return &s->bad[i];
}

uint64_t
logscan_seq(const struct logscan *s)
{
	return s->seq;
}

uint64_t
logscan_write(const struct logscan *s)
{
	return s->write;
}

uint64_t
logscan_epoch(const struct logscan *s)
{
	return s->epoch;
}
