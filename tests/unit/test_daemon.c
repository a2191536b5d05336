/*
 * A daemon's start: directories that can and cannot be made; what is asked
 * of the kernel, as the kernel itself tells it (in children: it stays).
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "hanfs/daemon.h"
#include "hanfs/log.h"
#include "hanfs/privs.h"
#include "unit.h"

#include "capture.h"

#ifndef PR_GET_IO_FLUSHER
#define PR_GET_IO_FLUSHER 58
#endif

#ifndef __has_feature /* clang's way to say it */
#define __has_feature(x) 0
#endif
#if __has_feature(address_sanitizer) || defined(__SANITIZE_ADDRESS__)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static char dir[] = "/tmp/hanfs-daemon-XXXXXX";

/* Root of a container may lack it: then there is less to be had. */
static bool
may_raise_limits(void)
{
	struct privs p;

	assert_int_equal(privs_read(0, &p), 0);
	return (p.effective >> CAP_SYS_RESOURCE & 1) != 0;
}

static const char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
directory_is_made(void **state)
{
	mode_t mask = umask(022);
	struct stat st;

	(void)state;
	assert_int_equal(daemon_run_dir(in_dir("run")), 0);
	assert_int_equal(stat(in_dir("run"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0755);
	/* and one that is there, as it is */
	assert_int_equal(chmod(in_dir("run"), 0700), 0);
	assert_int_equal(daemon_run_dir(in_dir("run")), 0);
	assert_int_equal(stat(in_dir("run"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	umask(mask);
	rmdir(in_dir("run"));
}

static void
assert_refused(int (*make)(const char *), const char *path, const char *says)
{
	struct capture c;
	int rc;

	capture_start(&c, STDERR_FILENO);
	rc = make(path);
	capture_stop(&c);
	assert_int_equal(rc, -1);
	assert_non_null(strstr(c.text, says));
	assert_non_null(strstr(c.text, path));
}

static void
no_directory(void **state)
{
	int fd = open(in_dir("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_refused(daemon_state_dir, in_dir("file"),
	    "is no directory: move it away");
	assert_refused(daemon_run_dir, in_dir("file/below"), "cannot be made");
	assert_refused(daemon_run_dir, in_dir("none/below"),
	    "run directory");
	unlink(in_dir("file"));
}

static int
files_rise(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1 || rl.rlim_max < 2)
		return 1;
	rl.rlim_cur = rl.rlim_max / 2;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		return 2;
	daemon_raise_files();
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return 3;
	return rl.rlim_cur == rl.rlim_max ? 0 : 4;
}

static int
oom_killer_passes_by(void)
{
	char text[16] = "";
	int fd;

	daemon_oom_protect();
	fd = open("/proc/self/oom_score_adj", O_RDONLY);
	if (read(fd, text, sizeof(text) - 1) <= 0)
		return 1;
	return atoi(text) == -1000 ? 0 : 2;
}

static int
writeback_may_wait(void)
{
	daemon_io_flusher();
	return prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1 ? 0 : 1;
}

/* Kilobytes of "VmLck:" in /proc/self/status. */
static long
locked_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kb = -1;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmLck: %ld", &kb) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return kb;
}

static int
memory_is_locked(void)
{
	enum { MORE = 4 << 20 };
	long before;
	char *later;

	daemon_lock_memory();
	before = locked_kb();
	if (before <= 0)
		return 1;
	if (!may_raise_limits())
		return 0;
	later = mmap(NULL, MORE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (later == MAP_FAILED)
		return 2;
	return locked_kb() - before >= MORE >> 10 ? 0 : 3;
}

/* In a child, without a complaint. */
static void
assert_done(int (*test)(void))
{
	struct capture c;
	int status;
	pid_t pid;

	capture_start(&c, STDERR_FILENO);
	pid = fork();
	if (pid == 0)
		_exit(test());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	capture_stop(&c);
	assert_int_equal(status, 0);
	assert_string_equal(c.text, "");
}

static void
files(void **state)
{
	(void)state;
	assert_done(files_rise);
}

static void
oom(void **state)
{
	(void)state;
	if (!may_raise_limits())
		skip();
	assert_done(oom_killer_passes_by);
}

static void
flusher(void **state)
{
	(void)state;
	if (!may_raise_limits())
		skip();
	assert_done(writeback_may_wait);
}

static void
memory(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	if (sanitized)
		skip(); /* its shadow memory is too large to be locked */
	assert_done(memory_is_locked);
}

/* Without the right: it says what follows, and goes on. */
static void
without_rights(void **state)
{
	struct capture c;
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	capture_start(&c, STDERR_FILENO);
	pid = fork();
	if (pid == 0) {
		if (setresgid(65534, 65534, 65534) == -1 ||
		    setresuid(65534, 65534, 65534) == -1)
			_exit(1);
		daemon_oom_protect();
		daemon_io_flusher();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	capture_stop(&c);
	assert_int_equal(status, 0);
	assert_non_null(strstr(c.text, "the OOM killer may choose us"));
	assert_non_null(strstr(c.text, "PR_SET_IO_FLUSHER"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(directory_is_made),
	    cmocka_unit_test(no_directory),
	    cmocka_unit_test(files),
	    cmocka_unit_test(oom),
	    cmocka_unit_test(flusher),
	    cmocka_unit_test(memory),
	    cmocka_unit_test(without_rights),
	};
	int rc;

	log_open("test_daemon", LOG_LEVEL_WARN);
	if (mkdtemp(dir) == NULL)
		return 1;
	rc = cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
