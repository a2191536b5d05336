/*
 * steps: what is dirty is written back while the volume is served.
 *
 * To write everything at once would fill the disk's queue: each commit of
 * the journal, and each call that waits for one, would stand behind all of
 * it. So files are written in small parts before, each waited for: those
 * that the backend has open, then those whose names the kernel remembers.
 * What is dirty is in its memory, and so, mostly, is its name. syncfs writes
 * what is left.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/steps_int.h"

enum { GENTLE_BYTES = 2 << 20, DIRS_MAX = 1 << 16 };

struct round {
	dev_t device;
	uint64_t until_ms; /* no new part is begun after that */
	int root;
	/* directories yet to be looked into, by their path from the root */
	char **dirs;
	size_t ndirs;
};

/* KiB written to the device since its statistics began. */
static unsigned long long
written_kib(dev_t device)
{
	unsigned long long n[7] = {0};
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(device),
	    minor(device));
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	for (unsigned i = 0; i < 7; i++)
		if (fscanf(f, "%llu", &n[i]) != 1)
			break;
	fclose(f);
	return n[6] / 2; /* sectors of 512 bytes */
}

static bool
is_over(const struct round *r)
{
	return clock_now_ms() >= r->until_ms;
}

/* Writes a file's dirty pages, a little at a time. */
static void
write_gently(const struct round *r, int fd, off_t size)
{
	const unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE |
			       SYNC_FILE_RANGE_WRITE |
			       SYNC_FILE_RANGE_WAIT_AFTER;

	for (off_t at = 0; at < size && !is_over(r); at += GENTLE_BYTES)
		if (sync_file_range(fd, at, GENTLE_BYTES, flags) == -1)
			return; /* syncfs says what is wrong */
}

/* --- what the backend has open */

static void
write_open(void *arg, pid_t pid)
{
	const struct round *r = arg;
	struct dirent *e;
	char path[64];
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL) {
		int fd;

		if (fstatat(dirfd(d), e->d_name, &st, 0) == -1 ||
		    st.st_dev != r->device || !S_ISREG(st.st_mode))
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
		if (fd == -1)
			continue;
		write_gently(r, fd, st.st_size);
		close(fd);
	}
	if (d != NULL)
		closedir(d);
}

/* --- what has a name that the kernel remembers */

/* Without a look at the disk: what is not remembered is not dirty. */
static int
open_known(int dir, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
					O_NOATIME | O_CLOEXEC,
	    .resolve =
		RESOLVE_CACHED | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static void
push(struct round *r, const char *path, const char *name)
{
	char *s;

	if (r->ndirs == DIRS_MAX ||
	    asprintf(&s, "%s/%s", path, name) == -1)
		return; /* syncfs writes it, if less gently */
	r->dirs[r->ndirs++] = s;
}

static void
look_into(struct round *r, const char *path)
{
	int at = open_known(r->root, path);
	DIR *d = at != -1 ? fdopendir(at) : NULL;
	struct dirent *e;
	struct stat st;

	if (d == NULL && at != -1)
		close(at);
	while (d != NULL && !is_over(r) && (e = readdir(d)) != NULL) {
		int fd = -1;

		if (e->d_type != DT_REG && e->d_type != DT_UNKNOWN &&
		    e->d_type != DT_DIR)
			continue;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e->d_type != DT_DIR)
			fd = open_known(at, e->d_name);
		if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
			write_gently(r, fd, st.st_size);
		else if (e->d_type == DT_DIR || fd != -1)
			push(r, path, e->d_name);
		if (fd != -1)
			close(fd);
	}
	if (d != NULL)
		closedir(d);
}

static void
write_known(struct round *r)
{
	r->dirs = calloc(DIRS_MAX, sizeof(*r->dirs));
	if (r->dirs == NULL)
		return;
	push(r, ".", "export");
	while (r->ndirs > 0) {
		char *path = r->dirs[--r->ndirs];

		if (!is_over(r))
			look_into(r, path);
		free(path);
	}
	free(r->dirs);
}

/*
 * Half of the step's time is for the gentle way. Had that not been enough,
 * syncfs would take long, too: it is left to the next round.
 */
int
step_sync(const struct step_context *c)
{
	const char *at = c->v->storage.mountpoint;
	uint64_t began = clock_now_ms();
	unsigned long long before;
	struct round r = {.until_ms = began + (c->until_ms - began) / 2};
	struct stat st;

	r.root = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r.root == -1 || fstat(r.root, &st) == -1)
		return step_fail("%s: %s", at, strerror(errno));
	r.device = st.st_dev;
	before = written_kib(st.st_dev);
	step_each_backend(c, write_open, &r);
	write_known(&r);
	if (!is_over(&r) && syncfs(r.root) == -1)
		return step_fail("syncfs %s: %s", at, strerror(errno));
	close(r.root);
	printf("%llu %llu\n", written_kib(st.st_dev) - before,
	    (unsigned long long)(clock_now_ms() - began));
	return 0;
}

int
step_flush(const struct step_context *c)
{
	const char *at = c->v->storage.mountpoint;
	int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || syncfs(fd) == -1)
		return step_fail("syncfs %s: %s", at, strerror(errno));
	close(fd);
	return 0;
}
