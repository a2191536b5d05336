/*
 * Whose slot is whose. See slotmap.h. Pure.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/slotmap.h"

const char *const slotmap_result_names[SLOTMAP_RESULTS] = {
    "ok", "all slots are taken", "the client's part of the slots is taken"};

#define NONE UINT32_MAX

/* A client that holds slots. */
struct owner {
	uint8_t client[CLIENT_ID_LEN];
	unsigned held;
	uint32_t next; /* in its bucket, or in the free list */
};

struct slotmap {
	unsigned slots, client_max;
	uint64_t seq, write; /* the last ones given */
	/* free slots as a stack: the last one freed is the next one taken */
	uint32_t *stack;
	unsigned nfree;
	uint32_t *at;  /* a free slot's place in the stack, or NONE */
	uint8_t *used; /* whole pieces of LOGREC_MAP_LEN */
	/* a record for each slot is enough */
	struct slotmap_rec *rec_mem, *rec_free;
	/* and so is a client */
	struct owner *owners;
	uint32_t owner_free, *buckets, mask;
};

static int
make_arrays(struct slotmap *m)
{
	size_t n = m->slots;

	for (m->mask = 1; m->mask < n; m->mask *= 2)
		continue;
	m->stack = calloc(n, sizeof(*m->stack));
	m->at = calloc(n, sizeof(*m->at));
	m->used = calloc(n / LOGREC_MAP_SLOTS + 1, LOGREC_MAP_LEN);
	m->rec_mem = calloc(n, sizeof(*m->rec_mem));
	m->owners = calloc(n, sizeof(*m->owners));
	m->buckets = calloc(m->mask, sizeof(*m->buckets));
	if (m->stack == NULL || m->at == NULL || m->used == NULL ||
	    m->rec_mem == NULL || m->owners == NULL || m->buckets == NULL)
		return -1;
	for (unsigned i = 0; i < m->mask; i++)
		m->buckets[i] = NONE;
	m->mask--;
	return 0;
}

static void
push_slot(struct slotmap *m, uint32_t slot)
{
	m->used[slot / 8] &= (uint8_t) ~(1u << slot % 8);
	m->at[slot] = m->nfree;
	m->stack[m->nfree++] = slot;
}

static void
take_slot(struct slotmap *m, uint32_t slot)
{
	uint32_t last = m->stack[--m->nfree];

	m->stack[m->at[slot]] = last;
	m->at[last] = m->at[slot];
	m->at[slot] = NONE;
	m->used[slot / 8] |= (uint8_t)(1u << slot % 8);
}

struct slotmap *
slotmap_new(unsigned slots, unsigned client_max)
{
	struct slotmap *m;

	if (slots == 0 || client_max < LOGREC_PARTS_MAX)
		return NULL;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->slots = slots;
	m->client_max = client_max;
	if (make_arrays(m) == -1) {
		slotmap_free(m);
		return NULL;
	}
	m->owner_free = NONE;
	for (unsigned i = slots; i-- > 0;) {
		push_slot(m, i); /* slot 0 is taken first */
		m->rec_mem[i].next = m->rec_free;
		m->rec_free = &m->rec_mem[i];
		m->owners[i].next = m->owner_free;
		m->owner_free = i;
	}
	return m;
}

void
slotmap_free(struct slotmap *m)
{
	if (m == NULL)
		return;
	free(m->stack);
	free(m->at);
	free(m->used);
	free(m->rec_mem);
	free(m->owners);
	free(m->buckets);
	free(m);
}

/* --- clients */

static uint32_t *
bucket_of(const struct slotmap *m, const uint8_t client[CLIENT_ID_LEN])
{
	uint64_t h = be64_get(client) ^ be64_get(client + 8);

	h *= 0x9e3779b97f4a7c15u;
	return &m->buckets[(h >> 32) & m->mask];
}

static uint32_t
owner_find(const struct slotmap *m, const uint8_t client[CLIENT_ID_LEN])
{
	uint32_t i = *bucket_of(m, client);

	while (i != NONE &&
	       memcmp(m->owners[i].client, client, CLIENT_ID_LEN) != 0)
		i = m->owners[i].next;
	return i;
}

/* There is always room: an owner holds at least one slot. */
static uint32_t
owner_get(struct slotmap *m, const uint8_t client[CLIENT_ID_LEN])
{
	uint32_t i = owner_find(m, client), *bucket;

	if (i != NONE)
		return i;
	i = m->owner_free;
	assert(i != NONE);
	m->owner_free = m->owners[i].next;
	memcpy(m->owners[i].client, client, CLIENT_ID_LEN);
	m->owners[i].held = 0;
	bucket = bucket_of(m, client);
	m->owners[i].next = *bucket;
	*bucket = i;
	return i;
}

static void
owner_put(struct slotmap *m, uint32_t i, unsigned n)
{
	uint32_t *at = bucket_of(m, m->owners[i].client);

	assert(m->owners[i].held >= n);
	m->owners[i].held -= n;
	if (m->owners[i].held > 0)
		return;
	while (*at != i)
		at = &m->owners[*at].next;
	*at = m->owners[i].next;
	m->owners[i].next = m->owner_free;
	m->owner_free = i;
}

/* --- records */

static struct slotmap_rec *
rec_new(struct slotmap *m, const uint8_t client[CLIENT_ID_LEN], uint64_t seq,
    const uint32_t *slots, unsigned n)
{
	struct slotmap_rec *r = m->rec_free;

	assert(r != NULL && n > 0 && n <= LOGREC_PARTS_MAX);
	m->rec_free = r->next;
	r->seq = seq;
	r->nslots = n;
	memcpy(r->slots, slots, n * sizeof(*slots));
	r->owner = owner_get(m, client);
	m->owners[r->owner].held += n;
	return r;
}

void
slotmap_begin(struct slotmap *m, uint64_t seq, uint64_t write)
{
	assert(m->nfree == m->slots);
	m->seq = seq;
	m->write = write;
}

static bool
slots_are_free(const struct slotmap *m, const uint32_t *slots, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (slots[i] >= m->slots || m->at[slots[i]] == NONE)
			return false;
		for (unsigned k = 0; k < i; k++)
			if (slots[k] == slots[i])
				return false;
	}
	return n > 0 && n <= LOGREC_PARTS_MAX;
}

struct slotmap_rec *
slotmap_adopt(struct slotmap *m, const uint8_t client[CLIENT_ID_LEN],
    uint64_t seq, const uint32_t *slots, unsigned n)
{
	if (seq == 0 || seq > m->seq || !slots_are_free(m, slots, n))
		return NULL;
	for (unsigned i = 0; i < n; i++)
		take_slot(m, slots[i]);
	return rec_new(m, client, seq, slots, n);
}

enum slotmap_result
slotmap_reserve(struct slotmap *m, const uint8_t client[CLIENT_ID_LEN],
    unsigned n, struct slotmap_rec **out)
{
	uint32_t slots[LOGREC_PARTS_MAX];

	assert(n > 0 && n <= LOGREC_PARTS_MAX);
	if (slotmap_held_by(m, client) + n > m->client_max)
		return SLOTMAP_QUOTA;
	if (m->nfree < n)
		return SLOTMAP_FULL;
	for (unsigned i = 0; i < n; i++) {
		slots[i] = m->stack[m->nfree - 1];
		take_slot(m, slots[i]);
	}
	*out = rec_new(m, client, ++m->seq, slots, n);
	return SLOTMAP_OK;
}

void
slotmap_shrink(struct slotmap *m, struct slotmap_rec *r)
{
	unsigned n = r->nslots - 1;

	while (r->nslots > 1)
		push_slot(m, r->slots[--r->nslots]);
	if (n > 0)
		owner_put(m, r->owner, n);
}

void
slotmap_release(struct slotmap *m, struct slotmap_rec *r)
{
	assert(r->nslots == 1);
	push_slot(m, r->slots[0]);
	owner_put(m, r->owner, 1);
	r->next = m->rec_free;
	m->rec_free = r;
}

uint64_t
slotmap_next_write(struct slotmap *m)
{
	return ++m->write;
}

/* Records take turns: which part of a large map is told goes by `write`. */
void
slotmap_map(const struct slotmap *m, struct logrec_map *map)
{
	uint32_t pieces = (m->slots + LOGREC_MAP_SLOTS - 1) / LOGREC_MAP_SLOTS;
	uint32_t piece = (uint32_t)(m->write % pieces);

	map->first = piece * LOGREC_MAP_SLOTS;
	memcpy(map->bits, m->used + piece * LOGREC_MAP_LEN, LOGREC_MAP_LEN);
}

unsigned
slotmap_in_use(const struct slotmap *m)
{
	return m->slots - m->nfree;
}

unsigned
slotmap_held_by(const struct slotmap *m, const uint8_t client[CLIENT_ID_LEN])
{
	uint32_t i = owner_find(m, client);

	return i == NONE ? 0 : m->owners[i].held;
}
