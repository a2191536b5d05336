/* Heartbeat codec: round trip, bounds, hostile bytes, signature. */
#include <errno.h>
#include <stdlib.h>

#include "hanfs/cursor.h"
#include "hanfs/heartbeat.h"
#include "hbmake.h"
#include "unit.h"

static struct hbmake_key key;

static int
setup(void **state)
{
	(void)state;
	hbmake_key(&key, 1);
	return sodium_init() < 0 ? -1 : 0;
}

static void
assert_round_trip(const struct heartbeat *hb)
{
	uint8_t buf[HB_LEN_MAX];
	struct heartbeat back;
	int len = hb_encode(hb, key.secret, buf);

	assert_in_range(len, HB_LEN_MIN, HB_LEN_MAX);
	assert_true(hb_verify(buf, (size_t)len, key.public));
	assert_int_equal(hb_decode(buf, (size_t)len, &back), 0);
	assert_memory_equal(hb, &back, sizeof(back));
}

static void
test_round_trip(void **state)
{
	struct heartbeat hb;

	(void)state;
	hbmake_typical(&hb);
	assert_round_trip(&hb);
	hb.nvolumes = hb.npeers = 0;
	memset(hb.volumes, 0, sizeof(hb.volumes));
	memset(hb.peers, 0, sizeof(hb.peers));
	assert_round_trip(&hb);
}

/* Each of the largest things fits; the page filler knows what does not. */
static void
test_page_fill(void **state)
{
	struct hb_volume v[40] = {0};
	struct heartbeat hb;
	unsigned naddrs, npeers, n, i;
	uint8_t buf[HB_LEN_MAX];

	(void)state;
	assert_int_equal(hb_page_fill(v, 0, 0), 0);
	for (naddrs = 0; naddrs <= HB_ADDRS_MAX; naddrs++) {
		for (npeers = 0; npeers <= HB_PEERS_MAX; npeers += 8) {
			hbmake_typical(&hb);
			for (i = 0; i < 40; i++)
				hbmake_volume(&v[i], i, naddrs);
			n = hb_page_fill(v, 40, npeers);
			assert_in_range(n, 1, HB_VOLUMES_MAX);
			memset(hb.volumes, 0, sizeof(hb.volumes));
			memcpy(hb.volumes, v, n * sizeof(v[0]));
			hb.nvolumes = n;
			memset(hb.peers, 0, sizeof(hb.peers));
			hb.npeers = npeers;
			assert_round_trip(&hb);
			if (n == HB_VOLUMES_MAX)
				continue;
			hb.volumes[hb.nvolumes++] = v[n];
			assert_int_equal(hb_encode(&hb, key.secret, buf), -1);
			assert_int_equal(errno, EMSGSIZE);
		}
	}
}

static void
test_layout(void **state)
{
	struct heartbeat hb;
	struct hb_head h;
	uint8_t buf[HB_LEN_MAX];

	(void)state;
	hbmake_typical(&hb);
	assert_true(hb_encode(&hb, key.secret, buf) > 0);
	assert_memory_equal(buf, "HNFb", 4);
	hb_peek(buf, &h);
	assert_int_equal(h.magic, HB_MAGIC);
	assert_int_equal(h.version, HB_VERSION);
	assert_int_equal(h.cluster, hb.cluster);
	assert_int_equal(h.server, 1);
	assert_int_equal(h.network, 1);
	assert_int_equal(h.boot, 5);
	assert_int_equal(h.sequence, 100);
	assert_int_equal(h.interval_ms, 50);
	assert_int_equal(h.multiplier, 3);
	assert_int_equal(buf[HB_HEAD_LEN + 3], 2); /* volumes */
}

static void
test_encode_refuses(void **state)
{
	struct heartbeat good, hb;
	uint8_t buf[HB_LEN_MAX];

	(void)state;
	hbmake_typical(&good);
#define REFUSED(change)                                                \
	do {                                                           \
		hb = good;                                             \
		change;                                                \
		errno = 0;                                             \
		assert_int_equal(hb_encode(&hb, key.secret, buf), -1); \
		assert_int_equal(errno, EINVAL);                       \
	} while (0)
	REFUSED(hb.nvolumes = HB_VOLUMES_MAX + 1);
	REFUSED(hb.npeers = HB_PEERS_MAX + 1);
	REFUSED(hb.pages = 0);
	REFUSED(hb.page = 1);
	REFUSED(hb.pages = HB_PAGES_MAX + 1);
	REFUSED(hb.interval_ms = HB_INTERVAL_MIN - 1);
	REFUSED(hb.interval_ms = HB_INTERVAL_MAX + 1);
	REFUSED(hb.multiplier = 0);
	REFUSED(hb.multiplier = HB_MULT_MAX + 1);
	REFUSED(hb.volumes[1].state = HB_STATES);
	REFUSED(hb.volumes[1].naddrs = HB_ADDRS_MAX + 1);
	REFUSED(hb.volumes[0].addrs[1].addr.family = 5);
	REFUSED(hb.volumes[0].addrs[1].addr.port = 0);
#undef REFUSED
}

/* Signed by a server that has gone mad: the decoder alone must hold. */
static void
test_decode_refuses_values(void **state)
{
	/* place of a field, a value that must be refused */
	static const struct {
		unsigned at;
		uint32_t value;
	} bad[] = {
	    {0, 0x12345678},
	    {48, 0},
	    {48, 0xffffffff},
	    {52, 0},
	    {52, 101},
	    {60, 1},
	    {64, 0},
	    {64, 0xffffffff},
	    {68, HB_VOLUMES_MAX + 1},
	    {68, 0xffffffff},
	    {68, 3},
	    {68, 1},
	    {72 + 12, HB_STATES},
	    {72 + 12, 256},
	    {72 + 16, HB_ADDRS_MAX + 1},
	    {72 + 16, 0x80000000},
	    {72 + 20 + 4, 65536},
	    {72 + 20 + 4, 65537},
	    {72 + 20 + 4, 0},
	    {72 + 20 + 8, 17},
	    {72 + 20 + 8, 3},
	    {72 + 20 + 8, 1},
	    {72 + 20 + 8, 5},
	    {72 + 20 + 8, 0xfffffffc},
	};
	uint8_t buf[HB_LEN_MAX], copy[HB_LEN_MAX];
	struct heartbeat hb;
	unsigned i;
	int len;

	(void)state;
	hbmake_typical(&hb);
	len = hb_encode(&hb, key.secret, buf);
	assert_true(len > 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(copy, buf, sizeof(copy));
		be32_put(copy + bad[i].at, bad[i].value);
		if (hb_decode(copy, (size_t)len, &hb) != -1)
			fail_msg("taken: %u at %u", bad[i].value, bad[i].at);
	}
}

/* On the heap and of exact length, so that a sanitizer sees any overrun. */
static void
test_every_truncation(void **state)
{
	uint8_t buf[HB_LEN_MAX], *cut;
	struct heartbeat hb;
	int len, n;

	(void)state;
	hbmake_typical(&hb);
	len = hb_encode(&hb, key.secret, buf);
	for (n = 0; n < len; n++) {
		cut = malloc((size_t)n + 1);
		assert_non_null(cut);
		memcpy(cut, buf, (size_t)n);
		assert_int_equal(hb_decode(cut, (size_t)n, &hb), -1);
		free(cut);
	}
}

static void
test_every_bit_flip(void **state)
{
	uint8_t buf[HB_LEN_MAX];
	struct heartbeat hb;
	int len, bit;

	(void)state;
	hbmake_typical(&hb);
	len = hb_encode(&hb, key.secret, buf);
	for (bit = 0; bit < len * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(hb_verify(buf, (size_t)len, key.public));
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(hb_verify(buf, (size_t)len, key.public));
}

/* The same key's signature over the bare bytes is none for a heartbeat. */
static void
test_domain_separation(void **state)
{
	uint8_t buf[HB_LEN_MAX];
	struct heartbeat hb;
	int len;

	(void)state;
	hbmake_typical(&hb);
	len = hb_encode(&hb, key.secret, buf);
	crypto_sign_detached(buf + len - HB_SIG_LEN, NULL, buf,
	    (size_t)len - HB_SIG_LEN, key.secret);
	assert_false(hb_verify(buf, (size_t)len, key.public));
}

/* A version 2 that appended something is read; a version 1 may not. */
static void
test_later_version(void **state)
{
	uint8_t buf[HB_LEN_MAX];
	struct heartbeat hb;
	int len;

	(void)state;
	hbmake_typical(&hb);
	len = hb_encode(&hb, key.secret, buf);
	memmove(buf + len - HB_SIG_LEN + 8, buf + len - HB_SIG_LEN, HB_SIG_LEN);
	len += 8;
	assert_int_equal(hb_decode(buf, (size_t)len, &hb), -1);
	be32_put(buf + 4, HB_VERSION + 1);
	be32_put(buf + 12, HB_VERSION + 1);
	assert_int_equal(hb_decode(buf, (size_t)len, &hb), 0);
	assert_int_equal(hb.version, HB_VERSION + 1);
	assert_int_equal(hb.npeers, 2);
}

static void
test_names(void **state)
{
	(void)state;
	assert_string_equal(hb_state_name(HB_TAKING_OVER), "taking-over");
	assert_string_equal(hb_state_name(HB_STATES), "?");
	assert_int_not_equal(hb_cluster_hash("a"), hb_cluster_hash("b"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_page_fill),
	    cmocka_unit_test(test_layout),
	    cmocka_unit_test(test_encode_refuses),
	    cmocka_unit_test(test_decode_refuses_values),
	    cmocka_unit_test(test_every_truncation),
	    cmocka_unit_test(test_every_bit_flip),
	    cmocka_unit_test(test_domain_separation),
	    cmocka_unit_test(test_later_version),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
