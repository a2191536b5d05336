/* guard: the contract is in guard.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/pr.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/thread.h"
#include "server-agent/guard.h"

#define NEVER UINT64_MAX

const char *const guard_method_names[GUARD_NMETHODS] = {
    [GUARD_NOTHING] = "nothing",
    [GUARD_DM] = "dm",
    [GUARD_KEY] = "key",
    [GUARD_COMMAND] = "command",
    [GUARD_REBOOT] = "reboot",
};

/* One request to the device-mapper, with a table of one target and its
 * arguments: none, but the string must be there. */
struct dm_request {
	struct dm_ioctl head;
	struct dm_target_spec target;
	char arguments[8];
};

/* The device, open for what cuts it. */
struct target {
	int fd, dm_fd; /* dm_fd -1: no device of the device-mapper */
	uint64_t device, sectors;
};

struct guard {
	struct guard_config cfg;
	uint64_t until_ms;  /* atomic; NEVER: not armed */
	uint64_t key;       /* atomic; 0: none */
	bool ending, fired; /* atomic */
	enum guard_method method;
	int timer_fd, event_fd;
	int sysrq_fd;          /* -1: not configured */
	struct target *target; /* atomic; NULL: not open */
	struct target *used;   /* the thread's */
	pthread_t thread;
	bool started;
	struct dm_request dm; /* not on the stack of a thread in a hurry */
};

/* --- methods */

static int
dm_do(struct guard *g, unsigned long what, uint32_t flags, bool table)
{
	const struct target *t = g->used;
	struct dm_request *r = &g->dm;

	memset(r, 0, sizeof(*r));
	r->head.version[0] = DM_VERSION_MAJOR;
	r->head.data_size = sizeof(*r);
	r->head.data_start = sizeof(r->head);
	r->head.dev = t->device;
	r->head.flags = flags;
	if (table) {
		r->head.target_count = 1;
		r->target.length = t->sectors;
		strcpy(r->target.target_type, "error");
	}
	return ioctl(t->dm_fd, what, r);
}

/* The table is swapped in by the resume, which neither writes back nor waits
 * for what is queued. */
static bool
cut_dm(struct guard *g)
{
	return g->used != NULL && g->used->dm_fd >= 0 &&
	       dm_do(g, DM_TABLE_LOAD, 0, true) == 0 &&
	       dm_do(g, DM_DEV_SUSPEND, DM_NOFLUSH_FLAG | DM_SKIP_LOCKFS_FLAG,
		   false) == 0;
}

static bool
cut_key(struct guard *g)
{
	struct pr_registration pr = {
	    .old_key = __atomic_load_n(&g->key, __ATOMIC_ACQUIRE)};

	if (pr.old_key == 0 || g->used == NULL)
		return false;
	/* the disk may have news first (unit attention) */
	for (unsigned i = 0; i < 3; i++)
		if (ioctl(g->used->fd, IOC_PR_REGISTER, &pr) == 0)
			return true;
	return false;
}

static bool
wait_for(pid_t pid, unsigned deadline_ms)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status = -1;
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	if (fd >= 0 && poll(&pfd, 1, (int)deadline_ms) <= 0)
		(void)kill(-pid, SIGKILL);
	if (fd >= 0)
		close(fd);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

static bool
cut_command(struct guard *g)
{
	const char *argv[] = {"sh", "-c", g->cfg.command, NULL};
	static char *const none[] = {NULL};
	posix_spawnattr_t attr;
	sigset_t empty;
	pid_t pid;
	int e;

	if (g->cfg.command == NULL || g->cfg.command[0] == '\0')
		return false;
	sigemptyset(&empty);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(
	    &attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &empty);
	e = posix_spawn(&pid, "/bin/sh", NULL, &attr,
	    (char *const *)(uintptr_t)argv,
	    g->cfg.environ != NULL ? g->cfg.environ : none);
	posix_spawnattr_destroy(&attr);
	return e == 0 && wait_for(pid, g->cfg.command_ms);
}

/* A file that was opened in time needs no privilege any more. */
static bool
cut_reboot(struct guard *g)
{
	if (!g->cfg.reboot)
		return false;
	return (g->sysrq_fd >= 0 && write(g->sysrq_fd, "b", 1) == 1) ||
	       reboot(RB_AUTOBOOT) == 0;
}

static enum guard_method
cut(struct guard *g)
{
	g->used = __atomic_exchange_n(&g->target, NULL, __ATOMIC_ACQ_REL);
	if (cut_dm(g))
		return GUARD_DM;
	if (cut_key(g))
		return GUARD_KEY;
	if (cut_command(g))
		return GUARD_COMMAND;
	return cut_reboot(g) ? GUARD_REBOOT : GUARD_NOTHING;
}

/* --- the thread */

static void
set_timer(struct guard *g, uint64_t when_ms)
{
	struct itimerspec t = {.it_interval = {0, 0}};

	if (when_ms != NEVER) {
		t.it_value.tv_sec = (time_t)(when_ms / 1000);
		t.it_value.tv_nsec = (long)(when_ms % 1000) * 1000000 + 1;
	}
	(void)timerfd_settime(g->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

/* The lease's end has passed, and nobody moved it. */
static bool
has_lapsed(struct guard *g)
{
	uint64_t until = __atomic_load_n(&g->until_ms, __ATOMIC_SEQ_CST);

	return until != NEVER && clock_now_ms() >= until;
}

static void *
run(void *arg)
{
	struct guard *g = arg;
	uint64_t n;

	while (!__atomic_load_n(&g->ending, __ATOMIC_SEQ_CST)) {
		if (read(g->timer_fd, &n, sizeof(n)) < 0 && errno != EINTR)
			break;
		if (__atomic_load_n(&g->ending, __ATOMIC_SEQ_CST) ||
		    !has_lapsed(g))
			continue;
		/* from here on no renewal counts */
		__atomic_store_n(&g->fired, true, __ATOMIC_SEQ_CST);
		__atomic_store_n(&g->method, cut(g), __ATOMIC_RELEASE);
		n = 1;
		(void)!write(g->event_fd, &n, sizeof(n));
		break;
	}
	return NULL;
}

/* --- start and end */

static bool
is_dm(unsigned number)
{
	char line[128];
	unsigned n;
	bool found = false;
	FILE *in = fopen("/proc/devices", "re");

	while (in != NULL && !found && fgets(line, sizeof(line), in) != NULL)
		found = sscanf(line, "%u", &n) == 1 && n == number &&
			strstr(line, "device-mapper") != NULL;
	if (in != NULL)
		fclose(in);
	return found;
}

static void
close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void
free_target(struct target *t)
{
	if (t == NULL)
		return;
	close_one(t->dm_fd);
	close_one(t->fd);
	free(t);
}

static int
open_dm(struct guard *g, struct target *t, char *error)
{
	uint64_t bytes = 0;
	struct stat st;

	if (fstat(t->fd, &st) == -1 || !S_ISBLK(st.st_mode) ||
	    !is_dm(major(st.st_rdev)))
		return 0;
	t->device = st.st_rdev;
	if (ioctl(t->fd, BLKGETSIZE64, &bytes) == 0)
		t->dm_fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	t->sectors = bytes / 512;
	if (t->dm_fd >= 0)
		return 0;
	(void)snprintf(error, GUARD_ERROR_LEN,
	    "guard: %.150s cannot be cut through the device-mapper: %s",
	    g->cfg.device, strerror(errno));
	return -1;
}

/* The thread takes the target in the moment that it fires: after that it is
 * the thread's, and closed with it. */
static void
give_target(struct guard *g, struct target *t)
{
	free_target(__atomic_exchange_n(&g->target, t, __ATOMIC_ACQ_REL));
}

int
guard_open(struct guard *g, char *error)
{
	struct target *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL) {
		strcpy(error, "guard: no memory");
		return -1;
	}
	t->dm_fd = -1;
	t->fd = open(g->cfg.device, O_RDONLY | O_CLOEXEC);
	if (t->fd < 0) {
		(void)snprintf(error, GUARD_ERROR_LEN, "guard: %.150s: %s",
		    g->cfg.device, strerror(errno));
		free_target(t);
		return -1;
	}
	rc = open_dm(g, t, error);
	give_target(g, t);
	return rc;
}

void
guard_close(struct guard *g)
{
	give_target(g, NULL);
}

struct guard *
guard_start(const struct guard_config *cfg, char *error)
{
	struct guard *g = calloc(1, sizeof(*g));
	int e;

	if (g == NULL) {
		strcpy(error, "guard: no memory");
		return NULL;
	}
	g->cfg = *cfg;
	g->until_ms = NEVER;
	g->sysrq_fd = -1;
	g->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
	g->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e = g->timer_fd < 0 || g->event_fd < 0 ? errno : 0;
	if (cfg->reboot)
		g->sysrq_fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	if (e == 0)
		e = thread_start(&g->thread, cfg->rt_priority, run, g, NULL);
	g->started = e == 0;
	if (g->started)
		return g;
	(void)snprintf(
	    error, GUARD_ERROR_LEN, "guard: cannot start: %s", strerror(e));
	guard_stop(g);
	return NULL;
}

void
guard_stop(struct guard *g)
{
	if (g == NULL)
		return;
	__atomic_store_n(&g->ending, true, __ATOMIC_SEQ_CST);
	if (g->started) {
		set_timer(g, 1); /* long past: at once */
		pthread_join(g->thread, NULL);
	}
	close_one(g->timer_fd);
	close_one(g->event_fd);
	close_one(g->sysrq_fd);
	free_target(g->target);
	free_target(g->used);
	free(g);
}

/* --- the lease */

static bool
has_fired(const struct guard *g)
{
	return __atomic_load_n(&g->fired, __ATOMIC_SEQ_CST);
}

bool
guard_until(struct guard *g, uint64_t valid_until_ms)
{
	__atomic_store_n(&g->until_ms, valid_until_ms, __ATOMIC_SEQ_CST);
	set_timer(g, valid_until_ms);
	return !has_fired(g);
}

void
guard_key(struct guard *g, uint64_t key)
{
	__atomic_store_n(&g->key, key, __ATOMIC_RELEASE);
}

bool
guard_disarm(struct guard *g)
{
	return guard_until(g, NEVER);
}

bool
guard_fired(const struct guard *g, enum guard_method *method)
{
	struct pollfd pfd = {.fd = g->event_fd, .events = POLLIN};

	/* the method is written before the event */
	if (!has_fired(g) || poll(&pfd, 1, 0) != 1)
		return false;
	*method = __atomic_load_n(&g->method, __ATOMIC_ACQUIRE);
	return true;
}

int
guard_fd(const struct guard *g)
{
	return g->event_fd;
}
