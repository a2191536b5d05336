/* Jitter and losses of a stream of heartbeats. */
#include "detector/stats.h"
#include "unit.h"

static void
add(struct stats *s, uint64_t at_us, uint64_t lost)
{
	struct stats_sample x = {
	    .arrival_us = at_us,
	    .interval_ms = 50,
	    .lost = lost,
	    .fresh = s->count == 0,
	};

	stats_add(s, &x);
}

static void
test_regular(void **state)
{
	struct stats s = {0};
	unsigned i;

	(void)state;
	for (i = 0; i < 100; i++)
		add(&s, 1000000 + i * 50000, 0);
	assert_int_equal(s.count, 100);
	assert_int_equal(s.lost, 0);
	assert_int_equal(s.jitter_us, 0);
	assert_int_equal(s.worst_us, 0);
	assert_int_equal(stats_lost_permille(&s), 0);
}

/* A lost one makes the gap longer, not the jitter. */
static void
test_losses(void **state)
{
	struct stats s = {0};
	uint64_t at = 1000000;
	unsigned i;

	(void)state;
	assert_int_equal(stats_lost_permille(&s), 0);
	for (i = 0; i < 50; i++)
		add(&s, at += 100000, 1);
	assert_int_equal(s.lost, 49); /* none before the first */
	assert_int_equal(s.jitter_us, 0);
	assert_int_equal(stats_lost_permille(&s), 495);
}

static void
test_jitter(void **state)
{
	struct stats s = {0};
	uint64_t at = 1000000;
	unsigned i;

	(void)state;
	for (i = 0; i < 200; i++)
		add(&s, at += i % 2 ? 54000 : 46000, 0);
	assert_in_range(s.jitter_us, 3900, 4000);
	assert_int_equal(s.worst_us, 4000);
	assert_int_equal(s.deviation_us, 4000);
	for (i = 0; i < 200; i++)
		add(&s, at += 50000, 0);
	assert_in_range(s.jitter_us, 0, 20);
	assert_int_equal(s.worst_us, 4000);
}

/* A change is told at once, between two regular ones: no jitter of theirs. */
static void
test_out_of_turn(void **state)
{
	struct stats s = {0};

	(void)state;
	add(&s, 1000000, 0);
	add(&s, 1050000, 0);
	add(&s, 1060000, 0);
	add(&s, 1100000, 0);
	assert_int_equal(s.count, 4);
	assert_int_equal(s.worst_us, 0);
}

static void
test_restart(void **state)
{
	struct stats s = {0};
	struct stats_sample x = {.fresh = true, .new_boot = true};

	(void)state;
	add(&s, 1000000, 0);
	x.arrival_us = 99000000;
	x.interval_ms = 50;
	stats_add(&s, &x);
	assert_int_equal(s.restarts, 1);
	assert_int_equal(s.worst_us, 0);
	add(&s, 99050000, 0);
	assert_int_equal(s.worst_us, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_regular),
	    cmocka_unit_test(test_losses),
	    cmocka_unit_test(test_jitter),
	    cmocka_unit_test(test_out_of_turn),
	    cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
