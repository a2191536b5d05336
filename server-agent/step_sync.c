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
#include <inttypes.h>
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

enum { GENTLE_BYTES = 2 << 20, BLOCK_BYTES = 4096, DIRS_MAX = 1 << 16 };

struct round {
	dev_t device;
	uint64_t until_ms; /* no new part is begun after that */
	int root;
	/* directories yet to be looked into, by their path from the root */
	char **dirs;
	size_t ndirs;
};

/* A number of the block device's statistics, counted from 0 (the kernel's
 * Documentation/block/stat.rst). */
enum stat_field { SECTORS_WRITTEN = 6, IN_FLIGHT = 8, STAT_FIELDS };

static uint64_t
device_stat(dev_t device, enum stat_field field)
{
	unsigned long long n[STAT_FIELDS] = {0};
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(device),
	    minor(device));
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	for (unsigned i = 0; i < STAT_FIELDS; i++)
		if (fscanf(f, "%llu", &n[i]) != 1)
			break;
	fclose(f);
	return n[field];
}

static uint64_t
written_kib(dev_t device)
{
	return device_stat(device, SECTORS_WRITTEN) / 2; /* of 512 bytes */
}

uint64_t
steps_written_kib(const char *device)
{
	struct stat st;

	return stat(device, &st) == 0 && S_ISBLK(st.st_mode)
		   ? written_kib(st.st_rdev)
		   : 0;
}

/* --- what is dirty */

/* Two lines "NAME: N kB" of a file, together. False: they are not there. */
static bool
read_sum(const char *path, const char *one, const char *other, uint64_t *kib)
{
	unsigned long long n;
	unsigned found = 0;
	char line[128], name[64];
	FILE *f = fopen(path, "re");

	*kib = 0;
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%63[^:]: %llu", name, &n) == 2 &&
		    (strcmp(name, one) == 0 || strcmp(name, other) == 0)) {
			*kib += n;
			found++;
		}
	if (f != NULL)
		fclose(f);
	return found == 2;
}

/*
 * KiB that are dirty or on their way: of the device, where the kernel shows
 * that (debugfs; of the whole disk for a partition); else of all devices of
 * this host. So it is never less than the volume's.
 */
static uint64_t
left_kib(dev_t device)
{
	static const char *const disks[] = {"", "/.."};
	char path[128], bdi[64];
	uint64_t kib;

	for (unsigned i = 0; i < 2; i++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s/bdi",
		    major(device), minor(device), disks[i]);
		n = readlink(path, bdi, sizeof(bdi) - 1);
		if (n == -1)
			continue;
		bdi[n] = '\0';
		snprintf(path, sizeof(path), "/sys/kernel/debug/bdi/%s/stats",
		    strrchr(bdi, '/') != NULL ? strrchr(bdi, '/') + 1 : bdi);
		if (read_sum(path, "BdiWriteback", "BdiReclaimable", &kib))
			return kib;
	}
	(void)read_sum("/proc/meminfo", "Dirty", "Writeback", &kib);
	return kib;
}

static bool
is_over(const struct round *r)
{
	return clock_now_ms() >= r->until_ms;
}

/*
 * Waits until the block at `at` is on the disk, and so, mostly, what was
 * given to the disk before it: a direct read waits for that. The waits of
 * sync_file_range would take a failed write's error for seen: the backend
 * that opens the file later would hear nothing of it from fsync, and answer
 * COMMIT for data that is lost.
 */
static void
wait_written(const struct round *r, int fd, off_t at)
{
	static _Alignas(BLOCK_BYTES) char block[BLOCK_BYTES];
	ssize_t n;

	if (device_stat(r->device, IN_FLIGHT) == 0)
		return;
	n = pread(fd, block, sizeof(block), at - at % BLOCK_BYTES);
	(void)n; /* syncfs says what is wrong */
}

/* Writes a file's dirty pages, a little at a time. */
static void
write_gently(const struct round *r, int fd, off_t size)
{
	bool direct = fcntl(fd, F_SETFL, O_DIRECT | O_NOATIME) == 0;

	for (off_t at = 0; at < size && !is_over(r); at += GENTLE_BYTES) {
		off_t end = at + GENTLE_BYTES < size ? at + GENTLE_BYTES : size;

		if (sync_file_range(fd, at, GENTLE_BYTES,
			SYNC_FILE_RANGE_WRITE) == -1)
			return; /* syncfs says what is wrong */
		if (direct)
			wait_written(r, fd, end - 1);
	}
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
 * syncfs would take long, too: it is left to the next round, which is needed
 * however little this one wrote.
 */
int
step_sync(const struct step_context *c)
{
	const char *at = c->v->storage.mountpoint;
	uint64_t began = clock_now_ms();
	uint64_t before;
	bool cut;
	struct round r = {.until_ms = began};
	struct stat st;

	r.root = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r.root == -1 || fstat(r.root, &st) == -1)
		return step_fail("%s: %s", at, strerror(errno));
	r.device = st.st_dev;
	if (c->until_ms > began)
		r.until_ms += (c->until_ms - began) / 2;
	before = written_kib(st.st_dev);
	step_each_backend(c, write_open, &r);
	write_known(&r);
	cut = is_over(&r);
	if (!cut && syncfs(r.root) == -1)
		return step_fail("syncfs %s: %s", at, strerror(errno));
	close(r.root);
	printf("%" PRIu64 " %" PRIu64 " %d %" PRIu64 "\n",
	    written_kib(st.st_dev) - before, clock_now_ms() - began, cut,
	    left_kib(st.st_dev));
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
