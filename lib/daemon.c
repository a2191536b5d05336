/*
 * A daemon's start. See hanfs/daemon.h.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "hanfs/daemon.h"
#include "hanfs/log.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static int
make_dir(const char *dir, const char *what)
{
	struct stat st;

	if (mkdir(dir, 0755) == -1 && errno != EEXIST) {
		log_err("%s directory %s cannot be made: %s", what, dir,
		    strerror(errno));
		return -1;
	}
	if (stat(dir, &st) == -1 || !S_ISDIR(st.st_mode)) {
		log_err("%s directory %s is no directory: move it away", what,
		    dir);
		return -1;
	}
	return 0;
}

int
daemon_run_dir(const char *dir)
{
	return make_dir(dir, "run");
}

int
daemon_state_dir(const char *dir)
{
	return make_dir(dir, "state");
}

void
daemon_lock_memory(void)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	int flags = MCL_CURRENT;

	/* With a limit, allocations would fail once CAP_IPC_LOCK is dropped:
	 * then only what is there now is locked. */
	if (setrlimit(RLIMIT_MEMLOCK, &all) == 0)
		flags |= MCL_FUTURE;
	else
		log_info("memory allocated later is not locked: the limit "
		    "(LimitMEMLOCK=) cannot be raised: %s", strerror(errno));
	if (mlockall(flags) == -1)
		log_warn("memory is not locked: %s; a swapping machine slows "
		    "us down", strerror(errno));
}

void
daemon_oom_protect(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd == -1 || write(fd, "-1000", 5) != 5)
		log_warn("the OOM killer may choose us: oom_score_adj: %s",
		    strerror(errno));
	if (fd != -1)
		close(fd);
}

void
daemon_io_flusher(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == -1)
		log_warn("PR_SET_IO_FLUSHER: %s; a machine short of memory "
		    "may wait for us while we wait for it", strerror(errno));
}

void
daemon_raise_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		log_warn("limit of open files stays low: %s",
		    strerror(errno));
}

static void
notify(const char *state)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
}

void
daemon_ready(void)
{
	notify("READY=1");
}

void
daemon_alive(void)
{
	notify("WATCHDOG=1");
}

void
daemon_stopping(void)
{
	notify("STOPPING=1");
}
