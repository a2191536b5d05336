/* Who holds which slot: against a plain model, by random steps. */
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "server-agent/slotmap.h"

enum { SLOTS = 40, CLIENTS = 6, QUOTA = 12, STEPS = 60000 };

struct held {
	struct slotmap_rec *rec;
	unsigned client;
};

struct model {
	struct slotmap *map;
	struct held held[SLOTS]; /* by seq */
	unsigned n, of[CLIENTS];
	bool taken[SLOTS];
	unsigned results[SLOTMAP_RESULTS];
};

static const uint8_t *
id_of(unsigned client)
{
	static uint8_t id[CLIENT_ID_LEN];

	memset(id, 0, sizeof(id));
	id[15] = (uint8_t)client;
	return id;
}

static unsigned
in_use(const struct model *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		n += m->taken[i];
	return n;
}

static void
reserve(struct model *m)
{
	unsigned client = (unsigned)rand() % CLIENTS;
	unsigned n = 1 + (unsigned)rand() % LOGREC_PARTS_MAX;
	struct slotmap_rec *r;
	enum slotmap_result got = slotmap_reserve(m->map, id_of(client), n, &r);

	m->results[got]++;
	if (m->of[client] + n > QUOTA)
		assert_int_equal(got, SLOTMAP_QUOTA);
	else if (in_use(m) + n > SLOTS)
		assert_int_equal(got, SLOTMAP_FULL);
	else
		assert_int_equal(got, SLOTMAP_OK);
	if (got != SLOTMAP_OK)
		return;
	assert_int_equal(r->nslots, n);
	assert_true(m->n == 0 || r->seq > m->held[m->n - 1].rec->seq);
	for (unsigned i = 0; i < n; i++) {
		assert_false(m->taken[r->slots[i]]);
		m->taken[r->slots[i]] = true;
	}
	m->held[m->n++] = (struct held){r, client};
	m->of[client] += n;
}

static void
give_back(struct model *m)
{
	unsigned i = (unsigned)rand() % m->n, client = m->held[i].client;
	struct slotmap_rec *r = m->held[i].rec;

	if (r->nslots > 1) {
		for (unsigned k = 1; k < r->nslots; k++)
			m->taken[r->slots[k]] = false;
		m->of[client] -= r->nslots - 1;
		slotmap_shrink(m->map, r);
		return;
	}
	m->taken[r->slots[0]] = false;
	m->of[client]--;
	slotmap_release(m->map, r);
	memmove(
	    &m->held[i], &m->held[i + 1], (--m->n - i) * sizeof(m->held[0]));
}

static void
check(const struct model *m)
{
	struct logrec_map map;

	slotmap_map(m->map, &map);
	assert_int_equal(map.first, 0);
	assert_int_equal(slotmap_in_use(m->map), in_use(m));
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_int_equal(slotmap_held_by(m->map, id_of(i)), m->of[i]);
	for (unsigned i = 0; i < LOGREC_MAP_SLOTS; i++)
		assert_int_equal(
		    map.bits[i / 8] >> i % 8 & 1, i < SLOTS && m->taken[i]);
}

static void
random_steps(void **state)
{
	static struct model m;

	(void)state;
	srand(5);
	m.map = slotmap_new(SLOTS, QUOTA);
	assert_non_null(m.map);
	slotmap_begin(m.map, 100, 200);
	assert_int_equal(slotmap_next_write(m.map), 201);
	for (unsigned i = 0; i < STEPS; i++) {
		if (m.n == 0 || rand() % 2)
			reserve(&m);
		else
			give_back(&m);
		check(&m);
	}
	for (unsigned i = 0; i < SLOTMAP_RESULTS; i++)
		assert_true(m.results[i] > 100);
	slotmap_free(m.map);
}

static void
from_a_scan(void **state)
{
	struct slotmap *m = slotmap_new(SLOTS, QUOTA);
	uint32_t a[] = {3, 7}, b[] = {7}, far[] = {SLOTS}, twice[] = {9, 9};
	struct slotmap_rec *r;

	(void)state;
	assert_null(slotmap_new(0, QUOTA));
	assert_null(slotmap_new(SLOTS, LOGREC_PARTS_MAX - 1));
	slotmap_begin(m, 50, 60);
	assert_non_null(slotmap_adopt(m, id_of(1), 10, a, 2));
	assert_null(slotmap_adopt(m, id_of(1), 11, b, 1));   /* taken */
	assert_null(slotmap_adopt(m, id_of(1), 11, far, 1)); /* no slot */
	assert_null(slotmap_adopt(m, id_of(1), 11, twice, 2));
	b[0] = 8;
	assert_null(slotmap_adopt(m, id_of(1), 51, b, 1)); /* never seen */
	assert_int_equal(slotmap_in_use(m), 2);
	assert_int_equal(slotmap_reserve(m, id_of(2), 1, &r), SLOTMAP_OK);
	assert_int_equal(r->seq, 51);
	/* what was freed last is taken first */
	a[0] = r->slots[0];
	slotmap_release(m, r);
	assert_int_equal(slotmap_reserve(m, id_of(2), 1, &r), SLOTMAP_OK);
	assert_int_equal(r->slots[0], a[0]);
	slotmap_free(m);
}

/* More slots than one map holds: each part has its turn. */
static void
maps_take_turns(void **state)
{
	enum { MANY = 2 * LOGREC_MAP_SLOTS + 1 };
	struct slotmap *m = slotmap_new(MANY, MANY);
	unsigned seen[3] = {0}, used = 0;
	struct logrec_map map;
	struct slotmap_rec *r;

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(
		    slotmap_reserve(m, id_of(1), 1, &r), SLOTMAP_OK);
	assert_int_equal(slotmap_reserve(m, id_of(2), 1, &r), SLOTMAP_FULL);
	for (unsigned i = 0; i < 3; i++) {
		slotmap_next_write(m);
		slotmap_map(m, &map);
		assert_int_equal(map.first % LOGREC_MAP_SLOTS, 0);
		seen[map.first / LOGREC_MAP_SLOTS]++;
		for (unsigned k = 0; k < LOGREC_MAP_SLOTS; k++)
			used += map.bits[k / 8] >> k % 8 & 1;
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(used, MANY);
	slotmap_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_steps),
	    cmocka_unit_test(from_a_scan),
	    cmocka_unit_test(maps_take_turns),
	};

	return cmocka_run_group_tests_name("slotmap", tests, NULL, NULL);
}
