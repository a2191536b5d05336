/*
 * The watchdog: a file stands for the device, and what was written into it
 * is what it was fed.
 */
#include <errno.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/watchdog.h"
#include "unit.h"

static char error[WATCHDOG_ERROR_LEN];
static unsigned options;
static int takes_s; /* the timeout that it takes */
static int kept;    /* another descriptor of the file */

static int
fake(int fd, unsigned long what, void *arg)
{
	(void)fd;
	switch (what) {
	case WDIOC_GETSUPPORT:
		((struct watchdog_info *)arg)->options = options;
		return 0;
	case WDIOC_SETTIMEOUT:
		return 0;
	case WDIOC_GETTIMEOUT:
		*(int *)arg = takes_s;
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static struct watchdog *
start(void)
{
	char path[] = "watchdog.XXXXXX";
	struct watchdog_config cfg = {.device = "/dev/fake",
	    .timeout_s = 1,
	    .rt_priority = 1,
	    .control = fake};

	cfg.fd = mkstemp(path);
	assert_true(cfg.fd >= 0);
	kept = dup(cfg.fd);
	assert_true(kept >= 0);
	unlink(path);
	return watchdog_start(&cfg, error);
}

static int
set_up(void **state)
{
	(void)state;
	options = WDIOF_SETTIMEOUT | WDIOF_MAGICCLOSE | WDIOF_KEEPALIVEPING;
	takes_s = 1;
	return 0;
}

static uint64_t
fed(const struct watchdog *w)
{
	struct watchdog_stats s;
	struct stat st;

	watchdog_stats(w, &s);
	assert_int_equal(fstat(kept, &st), 0);
	assert_true((uint64_t)st.st_size >= s.fed); /* it counts what is true */
	return s.fed;
}

static uint64_t
withheld(const struct watchdog *w)
{
	struct watchdog_stats s;

	watchdog_stats(w, &s);
	return s.withheld;
}

static void
wait_for(uint64_t (*what)(const struct watchdog *w), const struct watchdog *w,
    uint64_t above)
{
	uint64_t end = clock_now_ms() + 20000;

	while (what(w) <= above) {
		assert_true(clock_now_ms() < end);
		usleep(2000);
	}
}

/* The last byte that the device got; it is closed now. */
static char
last(void)
{
	off_t size = lseek(kept, 0, SEEK_END);
	char c = 0;

	assert_true(size > 0);
	assert_int_equal(pread(kept, &c, 1, size - 1), 1);
	close(kept);
	return c;
}

static void
test_fed(void **state)
{
	struct watchdog *w = start();

	(void)state;
	assert_non_null(w);
	assert_true(fed(w) >= 1); /* at once */
	assert_int_equal(watchdog_armed_ms(w), 2000);
	wait_for(fed, w, 3);
	watchdog_until(w, 3, clock_now_ms() + 60000);
	wait_for(fed, w, fed(w) + 1);
	assert_int_equal(withheld(w), 0);
	watchdog_off(w, 3);
	watchdog_stop(w);
	assert_int_equal(last(), 'V');
}

static void
test_lapsed(void **state)
{
	struct watchdog *w = start();
	uint64_t n;

	(void)state;
	assert_non_null(w);
	watchdog_until(w, 0, clock_now_ms() + 60000);
	watchdog_until(w, 1, clock_now_ms() - 1);
	wait_for(withheld, w, 0);
	n = fed(w);
	wait_for(withheld, w, withheld(w) + 3);
	assert_int_equal(fed(w), n);
	watchdog_until(w, 1, clock_now_ms() + 60000); /* renewed after all */
	wait_for(fed, w, n);
	watchdog_until(w, 1, clock_now_ms());
	wait_for(withheld, w, withheld(w));
	n = fed(w);
	watchdog_off(w, 1); /* the guard has cut it off */
	wait_for(fed, w, n);
	watchdog_stop(w); /* volume 0 is held */
	assert_int_equal(last(), '\n');
}

/* A held volume whose lease has lapsed: not even the end stops the device. */
static void
test_end_while_lapsed(void **state)
{
	struct watchdog *w = start();

	(void)state;
	assert_non_null(w);
	watchdog_until(w, 0, 1);
	watchdog_stop(w);
	assert_int_equal(last(), '\n');
}

static void
test_other_timeout(void **state)
{
	struct watchdog *w;

	(void)state;
	takes_s = 3;
	w = start();
	assert_non_null(w);
	assert_int_equal(watchdog_armed_ms(w), 6000);
	watchdog_stop(w);
	assert_int_equal(last(), 'V');
}

static void
test_refused(void **state)
{
	struct watchdog_config cfg = {.device = "/dev/null", .timeout_s = 1};
	char path[] = "watchdog.XXXXXX";

	(void)state;
	options = WDIOF_SETTIMEOUT; /* it would stop when the agent dies */
	assert_null(start());
	assert_non_null(strstr(error, "magic close"));
	assert_int_equal(last(), 'V');
	options = WDIOF_MAGICCLOSE;
	assert_null(start());
	assert_non_null(strstr(error, "timeout"));
	close(kept);
	cfg.fd = mkstemp(path);
	unlink(path);
	assert_null(watchdog_start(&cfg, error)); /* a plain file */
	assert_non_null(strstr(error, "is no watchdog device"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_fed, set_up),
	    cmocka_unit_test_setup(test_lapsed, set_up),
	    cmocka_unit_test_setup(test_end_while_lapsed, set_up),
	    cmocka_unit_test_setup(test_other_timeout, set_up),
	    cmocka_unit_test_setup(test_refused, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
