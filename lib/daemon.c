/*
 * A daemon's start. See hanfs/daemon.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

static int notify_fd = -1;

void
daemon_notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t len;

	if (name == NULL || notify_fd != -1)
		return;
	len = (socklen_t)strlen(name);
	if ((name[0] == '/' || name[0] == '@') &&
	    len < sizeof(un.sun_path)) {
		memcpy(un.sun_path, name, len);
		if (name[0] == '@')
			un.sun_path[0] = '\0'; /* abstract, see unix(7) */
		len += (socklen_t)offsetof(struct sockaddr_un, sun_path);
		notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (notify_fd != -1 &&
		    connect(notify_fd, (struct sockaddr *)&un, len) == 0)
			return;
	} else
		errno = EINVAL;
	log_warn("NOTIFY_SOCKET=%s: %s; the service manager will not hear "
	    "that we are ready", name, strerror(errno));
	if (notify_fd != -1)
		close(notify_fd);
	notify_fd = -1;
	unsetenv("NOTIFY_SOCKET"); /* said once */
}

static void
notify(const char *state)
{
	daemon_notify_open();
	if (notify_fd != -1 &&
	    send(notify_fd, state, strlen(state), MSG_NOSIGNAL) == -1)
		log_warn("the service manager cannot be told %s: %s", state,
		    strerror(errno));
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

void
daemon_stopping_takes(unsigned seconds)
{
	char text[64];

	snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%u000000", seconds);
	notify(text);
}
