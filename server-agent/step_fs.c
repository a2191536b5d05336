/*
 * steps: the volume's file system. Mounting is mount(2) itself where no
 * command is configured: a program to start for it would cost as much as the
 * mount of a clean file system.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "server-agent/steps_int.h"

/* The shutdown ioctl of ext4 and xfs, with its flag "do not flush the log":
 * _IOR('X', 125, __u32), linux/fs.h has no name for it. */
#define FS_SHUTDOWN              _IOR('X', 125, __u32)
#define FS_SHUTDOWN_NO_LOG_FLUSH 2u

enum { GENTLE_BYTES = 2 << 20 };

dev_t
step_device(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode) ? st.st_rdev : 0;
}

/* Is something mounted there; that device, unless it is 0? */
bool
step_is_mounted(const char *mountpoint, dev_t device)
{
	struct stat st, up;
	char parent[CONFIG_TEXT_MAX + 8];

	snprintf(parent, sizeof(parent), "%s/..", mountpoint);
	if (stat(mountpoint, &st) == -1 || stat(parent, &up) == -1)
		return false;
	return st.st_dev != up.st_dev && (device == 0 || st.st_dev == device);
}

static int
make_dirs(const char *path)
{
	char part[CONFIG_TEXT_MAX + 1];

	for (size_t i = 1;; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) == -1 && errno != EEXIST)
			return step_fail("%s: %s", part, strerror(errno));
		if (path[i] == '\0')
			return 0;
	}
}

/* Options that are flags of mount(2) are taken out of the text. */
static unsigned long
split_options(char *options, char *rest, size_t size)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} flags[] = {{"noatime", MS_NOATIME}, {"nodiratime", MS_NODIRATIME},
	    {"relatime", MS_RELATIME}, {"strictatime", MS_STRICTATIME},
	    {"lazytime", MS_LAZYTIME}, {"nosuid", MS_NOSUID},
	    {"nodev", MS_NODEV}, {"noexec", MS_NOEXEC},
	    {"sync", MS_SYNCHRONOUS}, {"dirsync", MS_DIRSYNC}, {"rw", 0},
	    {"defaults", 0}};
	unsigned long out = 0;
	char *save, *word;

	rest[0] = '\0';
	for (word = strtok_r(options, ",", &save); word != NULL;
	     word = strtok_r(NULL, ",", &save)) {
		size_t i, n = sizeof(flags) / sizeof(flags[0]);
		size_t at = strlen(rest);

		for (i = 0; i < n && strcmp(word, flags[i].name) != 0; i++)
			;
		if (i < n)
			out |= flags[i].flag;
		else
			snprintf(rest + at, size - at, "%s%s",
			    at > 0 ? "," : "", word);
	}
	return out;
}

/* So that a takeover finds little of the log to replay (DESIGN section 6). */
static void
calm_xfs(void)
{
	int fd = open("/proc/sys/fs/xfs/xfssyncd_centisecs", O_WRONLY);

	if (fd == -1)
		return; /* xfs is not loaded yet: the mount does that */
	if (write(fd, "100", 3) == -1)
		fprintf(
		    stderr, "fs.xfs.xfssyncd_centisecs: %s\n", strerror(errno));
	close(fd);
}

static int
mount_itself(const struct step_context *c)
{
	const struct config_storage *st = &c->v->storage;
	char options[CONFIG_TEXT_MAX + 1], rest[CONFIG_TEXT_MAX + 1];
	const char *type = config_fstype_name(st->fstype);
	unsigned long flags;

	memcpy(options, st->mount_options, sizeof(options));
	flags = split_options(options, rest, sizeof(rest));
	if (st->fstype == CONFIG_FS_XFS)
		calm_xfs();
	if (mount(st->device, st->mountpoint, type, flags, rest) == -1)
		return step_fail("mount %s on %s as %s (%s): %s", st->device,
		    st->mountpoint, type, st->mount_options, strerror(errno));
	if (st->fstype == CONFIG_FS_XFS)
		calm_xfs();
	return 0;
}

int
step_mount(const struct step_context *c)
{
	const struct config_storage *st = &c->v->storage;
	dev_t device = step_device(st->device);
	struct statvfs fs;

	if (make_dirs(st->mountpoint) != 0)
		return 1;
	if (step_is_mounted(st->mountpoint, 0)) {
		if (device == 0 || !step_is_mounted(st->mountpoint, device))
			return step_fail("something else is mounted on %s: "
					 "unmount it",
			    st->mountpoint);
		if (!c->mounted) /* another may have owned it since */
			return step_fail("%s is mounted, but not by this "
					 "agent: unmount it",
			    st->mountpoint);
	} else if (st->mount[0] != '\0') {
		if (step_sh(c, st->mount) != 0)
			return 1;
		if (!step_is_mounted(st->mountpoint, 0))
			return step_fail("the mount command has mounted "
					 "nothing on %s",
			    st->mountpoint);
	} else if (mount_itself(c) != 0)
		return 1;
	if (statvfs(st->mountpoint, &fs) == 0 && (fs.f_flag & ST_RDONLY))
		return step_fail("%s is mounted read-only: the file system has "
				 "errors, or its device takes no writes",
		    st->mountpoint);
	return 0;
}

/* --- the way down */

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

/* Writes a file's dirty pages, a little at a time. */
static void
write_gently(int fd, off_t size)
{
	const unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE |
			       SYNC_FILE_RANGE_WRITE |
			       SYNC_FILE_RANGE_WAIT_AFTER;

	for (off_t at = 0; at < size; at += GENTLE_BYTES)
		if (sync_file_range(fd, at, GENTLE_BYTES, flags) == -1)
			return; /* syncfs says what is wrong */
}

static void
write_files(void *arg, pid_t pid)
{
	dev_t device = *(dev_t *)arg;
	struct dirent *e;
	char path[64];
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL) {
		int fd;

		if (fstatat(dirfd(d), e->d_name, &st, 0) == -1 ||
		    st.st_dev != device || !S_ISREG(st.st_mode))
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
		if (fd == -1)
			continue;
		write_gently(fd, st.st_size);
		close(fd);
	}
	if (d != NULL)
		closedir(d);
}

/*
 * The volume is served meanwhile. To write everything at once would make
 * each commit of the journal wait for all of it (ordered data), and with it
 * every call that changes a name; so what the backend has open is written in
 * small parts before.
 */
int
step_sync(const struct step_context *c)
{
	int fd =
	    open(c->v->storage.mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned long long before;
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return step_fail(
		    "%s: %s", c->v->storage.mountpoint, strerror(errno));
	before = written_kib(st.st_dev);
	step_each_backend(c, write_files, &st.st_dev);
	if (syncfs(fd) == -1)
		return step_fail(
		    "syncfs %s: %s", c->v->storage.mountpoint, strerror(errno));
	close(fd);
	printf("%llu\n", written_kib(st.st_dev) - before);
	return 0;
}

/*
 * Unmounted here is not unmounted: another mount namespace may hold it, and
 * the last one that goes may go a moment later. Only when the device can be
 * had exclusively is it certain that the file system is gone.
 */
static int
wait_released(const struct step_context *c)
{
	const char *device = c->v->storage.device;

	for (;;) {
		int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);

		if (fd != -1)
			close(fd);
		if (fd != -1 || errno != EBUSY)
			return 0;
		if (!step_wait(c, 2))
			return step_fail("%s is unmounted here, but %s is "
					 "still in use: a mount in another "
					 "namespace, or a program that has it "
					 "open",
			    c->v->storage.mountpoint, device);
	}
}

static int
unmount(const struct step_context *c, int flags)
{
	const char *at = c->v->storage.mountpoint;

	while (step_is_mounted(at, 0)) {
		if (umount2(at, flags) == 0 || errno == EINVAL)
			continue;
		if (errno != EBUSY || !step_wait(c, 5))
			return step_fail("umount %s: %s%s", at, strerror(errno),
			    errno == EBUSY ? "; fuser -vm names who uses it"
					   : "");
	}
	return wait_released(c);
}

int
step_unmount(const struct step_context *c)
{
	const struct config_storage *st = &c->v->storage;

	if (st->unmount[0] == '\0')
		return unmount(c, 0);
	if (step_is_mounted(st->mountpoint, 0) && step_sh(c, st->unmount) != 0)
		return 1;
	return wait_released(c);
}

int
step_abandon(const struct step_context *c)
{
	const char *at = c->v->storage.mountpoint;
	uint32_t flag = FS_SHUTDOWN_NO_LOG_FLUSH;
	int fd;

	if (!step_is_mounted(at, 0))
		return wait_released(c);
	fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || ioctl(fd, FS_SHUTDOWN, &flag) == -1)
		fprintf(stderr, "%s cannot be shut down: %s\n", at,
		    strerror(errno));
	if (fd != -1)
		close(fd);
	return unmount(c, 0);
}
