/*
 * steps: a volume's namespaces. The network namespace outlives backends (the
 * agent's links are made in it, by its path); each program in it has mount
 * and UTS namespaces of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server-agent/steps_int.h"

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The volume's network namespace: not this one, and there. */
static bool
find_namespace(const struct step_context *c, struct stat *st)
{
	struct stat own, file;

	if (stat(c->v->backend.netns, st) == -1 ||
	    stat("/proc/self/ns/net", &own) == -1)
		return false;
	/* A plain file is a name whose namespace is gone. */
	return st->st_dev == own.st_dev && !same_file(st, &own) &&
	       lstat(c->v->backend.netns, &file) == 0;
}

/* --- entering */

/* No mount of a managed volume stays with us but, maybe, our own's: it would
 * keep the file system alive after its unmount outside. */
static void
shed_volumes(const struct step_context *c, bool own_volume)
{
	for (unsigned i = 0; i < c->cfg->nvolumes; i++) {
		const struct config_volume *v = &c->cfg->volumes[i];

		if (v->storage.device[0] == '\0' || (own_volume && v == c->v))
			continue;
		while (step_is_mounted(v->storage.mountpoint, 0))
			if (umount2(v->storage.mountpoint, MNT_DETACH) == -1)
				break;
	}
}

static int
private_run(const struct step_context *c)
{
	char dir[CONFIG_TEXT_MAX * 2];

	if (step_dir(c, "run", dir, sizeof(dir)) != 0)
		return -1;
	if (mkdir(dir, 0755) == -1 && errno != EEXIST) {
		step_fail("%s: %s", dir, strerror(errno));
		return -1;
	}
	if (mount(dir, "/run", NULL, MS_BIND, NULL) == -1) {
		step_fail(
		    "a /run for volume %s: %s", c->v->name, strerror(errno));
		return -1;
	}
	(void)mkdir("/run/rpcbind", 0755);
	(void)mkdir("/run/ganesha", 0755);
	(void)mkdir("/run/lock", 0755);
	return 0;
}

int
step_enter(const struct step_context *c, bool own, bool own_volume)
{
	const char *path = c->v->backend.netns;
	int ns = open(path, O_RDONLY | O_CLOEXEC);

	if (ns == -1 || setns(ns, CLONE_NEWNET) == -1) {
		step_fail("network namespace %s: %s", path, strerror(errno));
		return -1;
	}
	close(ns);
	if (!own)
		return 0;
	if (unshare(CLONE_NEWNS | CLONE_NEWUTS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == -1) {
		step_fail("namespaces for volume %s: %s", c->v->name,
		    strerror(errno));
		return -1;
	}
	shed_volumes(c, own_volume);
	if (sethostname(c->v->name, strlen(c->v->name)) == -1) {
		step_fail("host name %s: %s", c->v->name, strerror(errno));
		return -1;
	}
	return private_run(c);
}

/* --- making */

static int
make_name(const char *path)
{
	char dir[CONFIG_TEXT_MAX + 1];
	char *slash;
	int fd;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash != NULL && slash != dir) {
		*slash = '\0';
		(void)mkdir(dir, 0755);
	}
	fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
	if (fd == -1)
		return step_fail("%s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

int
step_prepare(const struct step_context *c)
{
	const char *path = c->v->backend.netns;
	struct stat st;

	if (!find_namespace(c, &st)) {
		if (make_name(path) != 0)
			return 1;
		if (unshare(CLONE_NEWNET) == -1 ||
		    mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) == -1)
			return step_fail(
			    "network namespace %s: %s", path, strerror(errno));
	} else if (step_enter(c, false, false) == -1)
		return 1;
	/* Every address is local: the server sees each client under its own
	 * (DESIGN section 5). */
	return step_sh(c, "ip link set lo up && "
			  "ip route replace local 0.0.0.0/0 dev lo && "
			  "{ ip -6 route replace local ::/0 dev lo "
			  "2>/dev/null || true; }");
}

/* --- ending */

static bool
has_namespace(
    const char *pid, const char *tid, const char *which, const struct stat *ns)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%.16s/task/%.16s/ns/%s", pid, tid,
	    which);
	return stat(path, &st) == 0 && same_file(&st, ns);
}

/*
 * A process with any thread in the network namespace and with a host name of
 * its own: that is how step_enter() leaves a backend. Who only looks into
 * the namespace (a capture) is left alone.
 */
static bool
is_in(const char *pid, const struct stat *ns, const struct stat *uts)
{
	char path[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%.16s/task", pid);
	d = opendir(path);
	if (d == NULL)
		return false;
	while (!found && (e = readdir(d)) != NULL)
		found = e->d_name[0] != '.' &&
			has_namespace(pid, e->d_name, "net", ns) &&
			!has_namespace(pid, e->d_name, "uts", uts);
	closedir(d);
	return found;
}

unsigned
step_each_backend(
    const struct step_context *c, void (*fn)(void *arg, pid_t pid), void *arg)
{
	struct stat ns, uts;
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	if (!find_namespace(c, &ns) || stat("/proc/self/ns/uts", &uts) == -1)
		return 0;
	d = opendir("/proc");
	while (d != NULL && (e = readdir(d)) != NULL) {
		pid_t pid = (pid_t)atoi(e->d_name);

		if (pid <= 1 || pid == getpid() || !is_in(e->d_name, &ns, &uts))
			continue;
		n++;
		fn(arg, pid);
	}
	if (d != NULL)
		closedir(d);
	return n;
}

static void
kill_one(void *arg, pid_t pid)
{
	(void)arg;
	kill(pid, SIGKILL);
}

int
step_kill_all(const struct step_context *c)
{
	unsigned n;

	while ((n = step_each_backend(c, kill_one, NULL)) > 0)
		if (!step_wait(c, 2))
			return step_fail("%u processes in %s do not end; a "
					 "call of theirs hangs in the kernel",
			    n, c->v->backend.netns);
	return 0;
}

int
step_end_old(const struct step_context *c)
{
	if (c->v->backend.kind != CONFIG_BACKEND_GANESHA)
		(void)step_stop_other(c);
	if (step_kill_all(c) != 0)
		return 1;
	if (step_is_mounted(c->v->storage.mountpoint, 0))
		puts("mounted");
	return 0;
}
