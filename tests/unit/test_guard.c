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

static void
test_no_device(void **state)
{
	struct guard_config cfg = {
	    .volume = "home", .device = "/nonexistent/disk"};

	(void)state;
	assert_null(guard_start(&cfg, error));
	assert_non_null(strstr(error, "/nonexistent/disk"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fires),
	    cmocka_unit_test(test_renewed),
	    cmocka_unit_test(test_disarmed),
	    cmocka_unit_test(test_command_fails),
	    cmocka_unit_test(test_no_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
