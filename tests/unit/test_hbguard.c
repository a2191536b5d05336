/* The ladder of guards: each reason, what it may change, the budget. */
#include <stdlib.h>

#include "hanfs/cursor.h"
#include "hanfs/hbguard.h"
#include "hbmake.h"
#include "unit.h"

#define NETWORK 1u /* of the typical heartbeat */

static struct hbmake_key key;
static struct hbguard_conf conf;

struct bed {
	struct hbguard *g;
	struct heartbeat hb;
	struct hb_arrival at;
	struct hb_event ev;
	uint8_t buf[HB_LEN_MAX];
	int len;
};

static int
setup(void **state)
{
	struct hbmake_key other;

	(void)state;
	hbmake_key(&key, 1);
	hbmake_key(&other, 2);
	conf.cluster = hb_cluster_hash("test");
	conf.verify_per_second = 1000;
	conf.nservers = 3;
	conf.servers[0] = (struct hbguard_server){.id = 1, .wanted = true};
	conf.servers[1] = (struct hbguard_server){.id = 2, .wanted = true};
	conf.servers[2] = (struct hbguard_server){.id = 3, .wanted = false};
	memcpy(conf.servers[0].key, key.public, HB_KEY_LEN);
	memcpy(conf.servers[1].key, other.public, HB_KEY_LEN);
	memcpy(conf.servers[2].key, key.public, HB_KEY_LEN);
	return sodium_init() < 0 ? -1 : 0;
}

static void
bed_up(struct bed *b)
{
	memset(b, 0, sizeof(*b));
	b->g = hbguard_new(&conf);
	assert_non_null(b->g);
	hbguard_open_slot(b->g, 0, NETWORK);
	hbguard_open_slot(b->g, 1, 2);
	hbmake_typical(&b->hb);
	b->at.now_ms = 1000000;
	b->at.source.family = 4;
	b->at.source.ip[0] = 10;
	b->at.source.port = 40000;
}

static void
bed_down(struct bed *b)
{
	hbguard_free(b->g);
}

static void
encode(struct bed *b)
{
	b->len = hb_encode(&b->hb, key.secret, b->buf);
	assert_true(b->len > 0);
}

static enum hb_reason
check(struct bed *b)
{
	return hbguard_check(b->g, &b->at, b->buf, (size_t)b->len, &b->ev);
}

static enum hb_reason
send_next(struct bed *b)
{
	b->hb.sequence++;
	encode(b);
	b->at.now_ms += 50;
	return check(b);
}

/* A packet with this change is dropped for this reason, and known stays. */
static void
assert_dropped(struct bed *b, enum hb_reason reason)
{
	uint64_t boot = hbguard_boot(b->g, 0);
	uint64_t seq = hbguard_sequence(b->g, b->at.slot, 0);
	uint64_t n = hbguard_counter(b->g, b->at.slot, reason);
	enum hb_reason got = check(b);

	if (got != reason)
		fail_msg(
		    "%s, not %s", hb_reason_name(got), hb_reason_name(reason));
	assert_int_equal(hbguard_counter(b->g, b->at.slot, reason), n + 1);
	assert_int_equal(hbguard_boot(b->g, 0), boot);
	assert_int_equal(hbguard_sequence(b->g, b->at.slot, 0), seq);
}

static void
test_passes(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
	assert_true(b.ev.first && b.ev.new_boot);
	assert_int_equal(b.ev.server, 0);
	assert_int_equal(b.ev.lost, 0);
	assert_memory_equal(&b.ev.hb, &b.hb, sizeof(b.hb));
	assert_int_equal(hbguard_boot(b.g, 0), 5);
	assert_int_equal(hbguard_sequence(b.g, 0, 0), 101);
	b.hb.sequence += 2;
	assert_int_equal(send_next(&b), HB_PASSED);
	assert_false(b.ev.first || b.ev.new_boot);
	assert_int_equal(b.ev.lost, 2);
	b.hb.boot++;
	b.hb.sequence = 0;
	assert_int_equal(send_next(&b), HB_PASSED);
	assert_true(b.ev.new_boot && !b.ev.first);
	assert_int_equal(b.ev.lost, 0);
	assert_int_equal(hbguard_counter(b.g, 0, HB_PASSED), 3);
	bed_down(&b);
}

/* What the head alone says. */
static void
test_reasons_head(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
	b.hb.sequence++;
	encode(&b);
	b.len -= 1;
	assert_dropped(&b, HB_DROP_LENGTH);
	b.len = HB_LEN_MIN - 4;
	assert_dropped(&b, HB_DROP_LENGTH);
	b.len = 0;
	assert_dropped(&b, HB_DROP_LENGTH);
	b.len = HB_LEN_MAX + 4;
	assert_dropped(&b, HB_DROP_LENGTH);
	encode(&b);
	be32_put(b.buf, 1);
	assert_dropped(&b, HB_DROP_MAGIC);
	encode(&b);
	be32_put(b.buf + 4, HB_VERSION + 1);
	assert_dropped(&b, HB_DROP_VERSION);
	be32_put(b.buf + 8, HB_VERSION + 1);
	be32_put(b.buf + 12, HB_VERSION + 1);
	assert_dropped(&b, HB_DROP_VERSION);
	be32_put(b.buf + 4, 0);
	be32_put(b.buf + 8, 0);
	be32_put(b.buf + 12, 0);
	assert_dropped(&b, HB_DROP_VERSION);
	bed_down(&b);
}

/* What the configuration and what is known say; all rightly signed. */
static void
test_reasons_state(void **state)
{
	struct heartbeat good;
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
#define DROPPED(change, reason)             \
	do {                                \
		good = b.hb;                \
		b.hb.sequence++;            \
		change;                     \
		encode(&b);                 \
		assert_dropped(&b, reason); \
		b.hb = good;                \
	} while (0)
	DROPPED(b.hb.cluster++, HB_DROP_CLUSTER);
	DROPPED(b.hb.server = 77, HB_DROP_SERVER);
	DROPPED(b.hb.server = 3, HB_DROP_UNWANTED);
	DROPPED(b.hb.network = 2, HB_DROP_NETWORK);
	DROPPED(b.hb.boot = 4, HB_DROP_BOOT);
	DROPPED(b.hb.boot = 0, HB_DROP_BOOT);
	DROPPED(b.hb.sequence = 101, HB_DROP_DUPLICATE);
	DROPPED(b.hb.sequence = 100, HB_DROP_SEQUENCE);
	DROPPED(b.hb.sequence = 0, HB_DROP_SEQUENCE);
	DROPPED(b.hb.server = 2, HB_DROP_SIGNATURE); /* s1's key */
#undef DROPPED
	/* nothing of it did harm */
	assert_int_equal(send_next(&b), HB_PASSED);
	assert_int_equal(b.ev.lost, 0);
	bed_down(&b);
}

/* Signed by the server, but not what the format allows. */
static void
test_reason_body(void **state)
{
	uint8_t text[sizeof(HB_SIGN_PREFIX) + HB_LEN_MAX] = HB_SIGN_PREFIX;
	struct bed b;
	size_t n;

	(void)state;
	bed_up(&b);
	encode(&b);
	be32_put(b.buf + HB_HEAD_LEN, HB_VOLUMES_MAX + 1);
	n = (size_t)b.len - HB_SIG_LEN;
	memcpy(text + sizeof(HB_SIGN_PREFIX), b.buf, n);
	crypto_sign_detached(
	    b.buf + n, NULL, text, sizeof(HB_SIGN_PREFIX) + n, key.secret);
	assert_dropped(&b, HB_DROP_BODY);
	bed_down(&b);
}

static void
test_bit_flips_and_truncations(void **state)
{
	struct bed b;
	int bit, len;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
	b.hb.sequence++;
	encode(&b);
	len = b.len;
	for (bit = 0; bit < len * 8; bit++) {
		b.at.now_ms += 1000; /* leave the budget out of this */
		b.buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(check(&b), HB_PASSED);
		assert_int_equal(hbguard_boot(b.g, 0), 5);
		assert_int_equal(hbguard_sequence(b.g, 0, 0), 101);
		b.buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (b.len = 0; b.len < len; b.len++) {
		b.at.now_ms += 1000;
		assert_int_not_equal(check(&b), HB_PASSED);
		assert_int_equal(hbguard_sequence(b.g, 0, 0), 101);
	}
	assert_int_equal(hbguard_counter(b.g, 0, HB_DROP_BUDGET), 0);
	assert_int_equal(check(&b), HB_PASSED);
	bed_down(&b);
}

/* Boot ids hold for a server on all networks, also from an earlier run. */
static void
test_boot_floor(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	hbguard_set_boot(b.g, 0, 6);
	encode(&b);
	assert_dropped(&b, HB_DROP_BOOT);
	b.hb.boot = 6;
	assert_int_equal(send_next(&b), HB_PASSED);
	assert_false(b.ev.first || b.ev.new_boot);
	b.hb.boot = 7;
	assert_int_equal(send_next(&b), HB_PASSED);
	b.at.slot = 1;
	b.hb.network = 2;
	b.hb.boot = 6;
	encode(&b);
	assert_dropped(&b, HB_DROP_BOOT);
	bed_down(&b);
}

/* A recording is refused after the interface was away, and on another. */
static void
test_replay_after_reopen(void **state)
{
	uint8_t old[HB_LEN_MAX];
	int old_len, i;
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
	memcpy(old, b.buf, sizeof(old));
	old_len = b.len;
	for (i = 0; i < 30; i++)
		assert_int_equal(send_next(&b), HB_PASSED);
	hbguard_close_slot(b.g, 0);
	hbguard_open_slot(b.g, 0, NETWORK);
	hbguard_open_slot(b.g, 2, NETWORK);
	memcpy(b.buf, old, sizeof(old));
	b.len = old_len;
	assert_dropped(&b, HB_DROP_SEQUENCE);
	b.at.slot = 2;
	assert_dropped(&b, HB_DROP_SEQUENCE);
	/* the next true one passes on both, without a loss being counted */
	b.hb.sequence += 9;
	assert_int_equal(send_next(&b), HB_PASSED);
	assert_int_equal(b.ev.lost, 0);
	b.at.slot = 0;
	assert_int_equal(check(&b), HB_PASSED);
	assert_int_equal(b.ev.lost, 0);
	bed_down(&b);
}

static void
test_reconfigure(void **state)
{
	struct hbguard_conf changed = conf;
	struct hbmake_key fresh;
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
	/* server 1 moves to another place: what is known goes with it */
	changed.servers[0] = conf.servers[1];
	changed.servers[1] = conf.servers[0];
	hbguard_configure(b.g, &changed);
	assert_int_equal(check(&b), HB_DROP_DUPLICATE);
	assert_int_equal(send_next(&b), HB_PASSED);
	assert_int_equal(b.ev.server, 1);
	assert_int_equal(hbguard_boot(b.g, 0), 0);
	assert_int_equal(hbguard_boot(b.g, 1), 5);
	/* a new key: another server */
	hbmake_key(&fresh, 3);
	memcpy(changed.servers[1].key, fresh.public, HB_KEY_LEN);
	hbguard_configure(b.g, &changed);
	assert_int_equal(hbguard_boot(b.g, 1), 0);
	assert_int_equal(send_next(&b), HB_DROP_SIGNATURE);
	bed_down(&b);
}

/* Forged packets with all the right fields but for the signature. */
static unsigned
flood(struct bed *b, uint64_t sequence, unsigned packets)
{
	unsigned verified = 0;

	b->hb.sequence = sequence;
	encode(b);
	b->buf[b->len - 1] ^= 1;
	while (packets-- > 0)
		verified += check(b) == HB_DROP_SIGNATURE;
	return verified;
}

static void
test_budget_bounds_work(void **state)
{
	unsigned verified = 0, ms;
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
	for (ms = 0; ms < 3000; ms++) {
		b.at.now_ms++;
		verified += flood(&b, 102, 20);
		b.at.source.port ^= 1; /* every other: not expected */
	}
	assert_in_range(verified, 1000, 3 * 1000);
	assert_true(hbguard_counter(b.g, 0, HB_DROP_BUDGET) > 50000);
	bed_down(&b);
}

/* An interval of flood, and at its end the true one; no pause between. */
static enum hb_reason
flood_then_true(struct bed *b, uint64_t forged_sequence, unsigned port)
{
	struct heartbeat true_one = b->hb;
	struct hb_arrival true_at = b->at;
	unsigned ms;

	for (ms = 0; ms < 50; ms++) {
		b->at.now_ms++;
		b->at.source.port = (uint16_t)port;
		flood(b, forged_sequence, 20);
	}
	true_at.now_ms = b->at.now_ms;
	b->at = true_at;
	b->hb = true_one;
	b->hb.sequence++;
	encode(b);
	return check(b);
}

/* A flood on one network takes nothing from the other's heartbeats. */
static void
test_budget_isolation(void **state)
{
	struct bed b;
	unsigned i;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
	for (i = 0; i < 100; i++) {
		b.at.slot = 0;
		b.hb.network = NETWORK;
		(void)flood_then_true(&b, b.hb.sequence + 1, 40000);
		b.at.slot = 1;
		b.hb.network = 2;
		encode(&b);
		assert_int_equal(check(&b), HB_PASSED);
	}
	assert_true(hbguard_counter(b.g, 0, HB_DROP_BUDGET) > 0);
	assert_int_equal(hbguard_counter(b.g, 1, HB_DROP_BUDGET), 0);
	bed_down(&b);
}

/*
 * A flood of somebody who does not hear the true ones, and so cannot know
 * their port, or not their sequence, costs them nothing.
 */
static void
test_budget_blind_flood(void **state)
{
	struct bed b;
	unsigned i;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
	for (i = 0; i < 100; i++)
		assert_int_equal(
		    flood_then_true(&b, b.hb.sequence + 1, 1), HB_PASSED);
	for (i = 0; i < 100; i++)
		assert_int_equal(
		    flood_then_true(&b, b.hb.sequence + 2 + HBG_WINDOW, 40000),
		    HB_PASSED);
	bed_down(&b);
}

/* What cheap guards drop takes nothing from the budget. */
static void
test_cheap_drops_cost_nothing(void **state)
{
	struct bed b;
	int i;

	(void)state;
	bed_up(&b);
	assert_int_equal(send_next(&b), HB_PASSED);
	b.hb.server = 3; /* not wanted here */
	encode(&b);
	for (i = 0; i < 100000; i++)
		assert_int_equal(check(&b), HB_DROP_UNWANTED);
	b.hb.server = 1;
	assert_int_equal(send_next(&b), HB_PASSED);
	for (i = 0; i < 100000; i++)
		assert_int_equal(check(&b), HB_DROP_DUPLICATE);
	assert_int_equal(send_next(&b), HB_PASSED);
	bed_down(&b);
}

static void
test_names(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < HB_REASONS; i++)
		assert_string_not_equal(hb_reason_name(i), "?");
	assert_string_equal(hb_reason_name(HB_REASONS), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_passes),
	    cmocka_unit_test(test_reasons_head),
	    cmocka_unit_test(test_reasons_state),
	    cmocka_unit_test(test_reason_body),
	    cmocka_unit_test(test_bit_flips_and_truncations),
	    cmocka_unit_test(test_boot_floor),
	    cmocka_unit_test(test_replay_after_reopen),
	    cmocka_unit_test(test_reconfigure),
	    cmocka_unit_test(test_budget_bounds_work),
	    cmocka_unit_test(test_budget_isolation),
	    cmocka_unit_test(test_budget_blind_flood),
	    cmocka_unit_test(test_cheap_drops_cost_nothing),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
