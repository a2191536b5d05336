/*
 * steps: the volume's file system. Mounting is mount(2) itself where no
 * command is configured: a program to start for it would cost as much as the
 * mount of a clean file system.
 */
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
#include <unistd.h>

#include "server-agent/steps_int.h"

/* The shutdown ioctl of ext4 and xfs, with its flag "do not flush the log":
 * _IOR('X', 125, __u32), linux/fs.h has no name for it. */
#define FS_SHUTDOWN              _IOR('X', 125, __u32)
#define FS_SHUTDOWN_NO_LOG_FLUSH 2u

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
