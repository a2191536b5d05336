/*
 * The guard: fires when nobody moves the end of the lease, and only then.
 * (Its device-mapper and reboot methods need a kernel of their own.)
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/guard.h"
#include "unit.h"

static char error[GUARD_ERROR_LEN];

static struct guard *
start(const char *command)
{
	struct guard_config cfg = {.volume = "home",
	    .command = command,
	    .command_ms = 10000,
	    .rt_priority = 1};
	struct guard *g = guard_start(&cfg, error);

	if (g == NULL)
		fail_msg("%s", error);
	return g;
}

static void
wait_for_fire(struct guard *g, enum guard_method want)
{
	struct pollfd pfd = {.fd = guard_fd(g), .events = POLLIN};
	enum guard_method method;

	assert_int_equal(poll(&pfd, 1, 20000), 1);
	assert_true(guard_fired(g, &method));
	assert_int_equal(method, want);
}

static void
test_fires(void **state)
{
	char path[] = "guard.XXXXXX", command[64];
	int fd = mkstemp(path);
	uint64_t end = clock_now_ms() + 50;
	struct guard *g;
	char text[8] = "";

	(void)state;
	assert_true(fd >= 0);
	(void)snprintf(command, sizeof(command), "echo cut >%s", path);
	g = start(command);
	assert_true(guard_until(g, end));
	wait_for_fire(g, GUARD_COMMAND);
	assert_true(clock_now_ms() >= end);
	assert_int_equal(read(fd, text, 7), 4);
	assert_string_equal(text, "cut\n");
	assert_false(guard_until(g, clock_now_ms() + 10000)); /* too late */
	assert_false(guard_disarm(g));
	guard_stop(g);
	close(fd);
	unlink(path);
}

/* Renewals keep it quiet; it fires after the last one's end. */
static void
test_renewed(void **state)
{
	struct guard *g = start("true");
	enum guard_method method;
	uint64_t end = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		end = clock_now_ms() + 2000;
		assert_true(guard_until(g, end));
		usleep(1000);
	}
	assert_false(guard_fired(g, &method));
	end = clock_now_ms() + 30; /* shorter again: that counts */
	assert_true(guard_until(g, end));
	wait_for_fire(g, GUARD_COMMAND);
	assert_true(clock_now_ms() >= end && clock_now_ms() < end + 1900);
	guard_stop(g);
}

static void
test_disarmed(void **state)
{
	struct guard *g = start("true"), *other = start("true");
	uint64_t end = clock_now_ms() + 200;
	enum guard_method method;

	(void)state;
	assert_true(guard_until(g, end));
	assert_true(guard_disarm(g));
	assert_true(guard_until(other, end + 20)); /* tells us when */
	wait_for_fire(other, GUARD_COMMAND);
	assert_false(guard_fired(g, &method));
	guard_stop(g);
	guard_stop(other);
}

/* What fails, and what hangs, is no cut; the next method is none here. */
static void
test_command_fails(void **state)
{
	struct guard_config cfg = {
	    .volume = "home", .command = "sleep 60 & wait", .command_ms = 50};
	struct guard *g = start("exit 1");

	(void)state;
	(void)guard_until(g, clock_now_ms());
	wait_for_fire(g, GUARD_NOTHING);
	guard_stop(g);
	g = guard_start(&cfg, error);
	assert_non_null(g);
	guard_key(g, 0x4846000100000001); /* without a device */
	(void)guard_until(g, clock_now_ms());
	wait_for_fire(g, GUARD_NOTHING);
	guard_stop(g);
}

/* How often this process has it open. */
static unsigned
open_times(const char *path)
{
	char name[64], to[256];
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++) {
		(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		memset(to, 0, sizeof(to));
		if (readlink(name, to, sizeof(to) - 1) > 0)
			n += strcmp(to, path) == 0;
	}
	return n;
}

/* One that is assembled comes after the lease, and goes before its end. */
static void
test_device_comes_and_goes(void **state)
{
	char dir[] = "/tmp/guard.XXXXXX", path[64];
	struct guard_config cfg = {.volume = "home", .device = path};
	struct guard *g;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/disk", dir);
	g = guard_start(&cfg, error);
	assert_non_null(g);
	assert_int_equal(guard_open(g, error), -1);
	assert_non_null(strstr(error, path));
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(guard_open(g, error), 0);
	assert_int_equal(open_times(path), 1);
	assert_int_equal(guard_open(g, error), 0); /* anew */
	assert_int_equal(open_times(path), 1);
	guard_close(g);
	assert_int_equal(open_times(path), 0);
	guard_close(g);
	/* fired, it keeps what it has in its hands */
	assert_int_equal(guard_open(g, error), 0);
	(void)guard_until(g, clock_now_ms());
	wait_for_fire(g, GUARD_NOTHING);
	guard_close(g);
	assert_int_equal(open_times(path), 1);
	guard_stop(g);
	assert_int_equal(open_times(path), 0);
	unlink(path);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fires),
	    cmocka_unit_test(test_renewed),
	    cmocka_unit_test(test_disarmed),
	    cmocka_unit_test(test_command_fails),
	    cmocka_unit_test(test_device_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
