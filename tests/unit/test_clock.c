/* The clock's ticker: readable each period, and what was missed is counted. */
#include <poll.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "hanfs/clock.h"

enum { PERIOD_MS = 5, DEADLINE_MS = 5000 };

static void
wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
}

static void
test_ticks(void **state)
{
	uint64_t begin = clock_now_us(), ticks = 0;
	int fd = clock_ticker(PERIOD_MS);

	(void)state;
	assert_int_not_equal(fd, -1);
	while (ticks < 10) {
		wait_readable(fd);
		ticks += clock_ticker_read(fd);
	}
	/* Never early; how late is the machine's business. */
	assert_true(clock_now_us() - begin >= ticks * PERIOD_MS * 1000);
	close(fd);
}

static void
test_missed(void **state)
{
	uint64_t begin = clock_now_ms();
	int fd = clock_ticker(PERIOD_MS);

	(void)state;
	assert_int_equal(clock_ticker_read(fd), 0); /* does not block */
	while (clock_now_ms() - begin < 5 * PERIOD_MS)
		poll(NULL, 0, PERIOD_MS);
	assert_true(clock_ticker_read(fd) >= 4);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ticks),
	    cmocka_unit_test(test_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
