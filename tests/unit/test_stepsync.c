/*
 * A round of write-back says whether its time was over before all was
 * written, and how much may be dirty still. In memory: syncfs has nothing to
 * do there. A write that fails in it stays an error of the file: the backend
 * hears of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
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

/* ext4 on a loop device over a file with holes, in a tmpfs of that size. */
static const char make_disk[] =
    "set -e; cd %s; mount --make-rprivate /; mount -t tmpfs -o size=24m none ."
    "; cd .; cd %s; truncate -s 64M image; mkdir m; mkfs.ext4 -q -J size=4 -E "
    "lazy_itable_init=0,lazy_journal_init=0,nodiscard image; mount -o "
    "loop,nodiscard image m; mkdir m/export; : >m/export/f; sync -f m";

/* In a child, which has mounts of its own: what is wrong, or 0. */
static int
lose_a_write(const char *dir)
{
	char text[sizeof(make_disk) + 128], data[4096];
	struct step_context c = {.v = &v, .until_ms = clock_now_ms() + 10000};
	int fd, n;

	snprintf(text, sizeof(text), make_disk, dir, dir);
	if (unshare(CLONE_NEWNS) == -1 || system(text) != 0)
		return 77; /* no loop device, no mount here */
	snprintf(v.storage.mountpoint, sizeof(v.storage.mountpoint), "%s/m",
	    dir);
	/* The holes cannot be filled any more. */
	snprintf(text, sizeof(text), "%s/rest", dir);
	memset(data, 'x', sizeof(data));
	fd = open(text, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	while (write(fd, data, sizeof(data)) == sizeof(data))
		;
	if (errno != ENOSPC)
		return 1;
	snprintf(text, sizeof(text), "%s/m/export/f", dir);
	fd = open(text, O_WRONLY | O_CLOEXEC);
	for (n = 0; n < 256; n++)
		if (write(fd, data, sizeof(data)) != sizeof(data))
			return 2;
	close(fd); /* as a backend that keeps few open */
	if (step_sync(&c) == 0)
		return 3; /* it says itself what syncfs said */
	fd = open(text, O_WRONLY | O_CLOEXEC);
	return fsync(fd) == 0 ? 4 : 0;
}

static void
test_error_stays(void **state)
{
	char dir[] = "/tmp/hanfs-stepsync-XXXXXX";
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	pid = fork();
	assert_true(pid != -1);
	if (pid == 0)
		_exit(lose_a_write(dir));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(rmdir(dir), 0);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_written),
	    cmocka_unit_test(test_error_stays),
	};

	strcpy(v.storage.mountpoint, "/dev/shm");
	strcpy(v.backend.netns, "hanfs-no-such-namespace");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
