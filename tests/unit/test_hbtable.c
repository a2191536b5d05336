/* What a server says in its heartbeats, cut into pages. */
#include <errno.h>

#include "hbmake.h"
#include "server-agent/hbtable.h"
#include "unit.h"

static void
test_empty(void **state)
{
	struct heartbeat hb = {0};
	struct hbtable t;

	(void)state;
	hbtable_init(&t);
	assert_int_equal(t.npages, 1);
	hbtable_fill(&t, 0, &hb);
	assert_int_equal(hb.pages, 1);
	assert_int_equal(hb.nvolumes, 0);
}

/* Any number of volumes of any size: each is in one page, each page fits. */
static void
test_pages(void **state)
{
	struct hb_volume v[HBTABLE_VOLUMES_MAX];
	struct hbmake_key key;
	struct heartbeat hb;
	struct hbtable t;
	uint8_t buf[HB_LEN_MAX];
	unsigned n, page, i, seen;

	(void)state;
	hbmake_key(&key, 1);
	for (i = 0; i < HBTABLE_VOLUMES_MAX; i++)
		hbmake_volume(&v[i], i + 1, i % (HB_ADDRS_MAX + 1));
	for (n = 0; n <= HBTABLE_VOLUMES_MAX; n++) {
		hbtable_init(&t);
		assert_int_equal(hbtable_set_volumes(&t, v, n), n > 0);
		seen = 0;
		for (page = 0; page < t.npages; page++) {
			hbmake_typical(&hb);
			hbtable_fill(&t, page, &hb);
			assert_int_equal(hb.page, page);
			assert_int_equal(hb.pages, t.npages);
			assert_true(hb_encode(&hb, key.secret, buf) > 0);
			for (i = 0; i < hb.nvolumes; i++)
				assert_int_equal(hb.volumes[i].id, ++seen);
		}
		assert_int_equal(seen, n);
	}
}

static void
test_generation(void **state)
{
	struct hb_peer p = {2, 3};
	struct hb_volume v[2];
	struct hbtable t;
	uint32_t gen;

	(void)state;
	hbtable_init(&t);
	hbmake_volume(&v[0], 1, 2);
	hbmake_volume(&v[1], 2, 2);
	gen = t.gen;
	assert_int_equal(hbtable_set_volumes(&t, v, 2), 1);
	assert_int_equal(t.gen, gen + 1);
	assert_int_equal(hbtable_set_volumes(&t, v, 2), 0);
	assert_int_equal(t.gen, gen + 1);
	v[1].state = HB_STANDBY;
	assert_int_equal(hbtable_set_volumes(&t, v, 2), 1);
	assert_int_equal(hbtable_set_peers(&t, &p, 1), 1);
	assert_int_equal(hbtable_set_peers(&t, &p, 1), 0);
	assert_int_equal(t.gen, gen + 3);
}

static void
test_refused(void **state)
{
	static struct hb_volume many[HBTABLE_VOLUMES_MAX + 1];
	static struct hb_peer peers[HB_PEERS_MAX + 1];
	struct hb_volume v;
	struct hbtable t;
	uint32_t gen;

	(void)state;
	hbtable_init(&t);
	gen = t.gen;
	errno = 0;
	assert_int_equal(
	    hbtable_set_volumes(&t, many, HBTABLE_VOLUMES_MAX + 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hbtable_set_peers(&t, peers, HB_PEERS_MAX + 1), -1);
	hbmake_volume(&v, 1, 1);
	v.state = HB_STATES;
	assert_int_equal(hbtable_set_volumes(&t, &v, 1), -1);
	hbmake_volume(&v, 1, 1);
	v.addrs[0].addr.port = 0;
	assert_int_equal(hbtable_set_volumes(&t, &v, 1), -1);
	assert_int_equal(t.gen, gen);
	assert_int_equal(t.nvolumes, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_pages),
	    cmocka_unit_test(test_generation),
	    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
