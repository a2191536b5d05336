/*
 * A round of write-back says whether its time was over before all was
 * written, and how much may be dirty still. In memory: syncfs has nothing to
 * do there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/steps_int.h"
#include "unit.h"

static struct config_volume v;

/* What the step says, in a child as ever. */
static void
run(uint64_t ms, char *out, size_t size)
{
	struct step_context c = {.v = &v, .until_ms = clock_now_ms() + ms};
	int fd[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid != -1);
	if (pid == 0) {
		dup2(fd[1], STDOUT_FILENO);
		_exit(step_sync(&c) != 0 || fflush(stdout) != 0);
	}
	close(fd[1]);
	n = read(fd[0], out, size - 1);
	assert_true(n > 0);
	out[n] = '\0';
	close(fd[0]);
}

static void
test_cut(void **state)
{
	char out[128];
	unsigned long long kib, ms, left;
	int cut;

	(void)state;
	run(0, out, sizeof(out));
	assert_int_equal(
	    sscanf(out, "%llu %llu %d %llu", &kib, &ms, &cut, &left), 4);
	assert_int_equal(cut, 1);
	run(20000, out, sizeof(out));
	assert_int_equal(
	    sscanf(out, "%llu %llu %d %llu", &kib, &ms, &cut, &left), 4);
	assert_int_equal(cut, 0);
}

/* No disk, no count; never an error. */
static void
test_written(void **state)
{
	(void)state;
	assert_int_equal(steps_written_kib("/dev/null"), 0);
	assert_int_equal(steps_written_kib("/no/such/device"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_written),
	};

	strcpy(v.storage.mountpoint, "/dev/shm");
	strcpy(v.backend.netns, "hanfs-no-such-namespace");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
