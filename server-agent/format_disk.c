/*
 * The device of a volume that is to be formatted. See format.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "server-agent/format.h"
#include "server-agent/fscheck.h"

static char place[] = "/tmp/hanfs-format-XXXXXX";

/* Where a block device is mounted in this namespace: "" when nowhere. */
static void
find_mount(dev_t dev, char *where, size_t size)
{
	char line[4096], path[1024];
	unsigned major, minor;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	where[0] = '\0';
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%*d %*d %u:%u %*s %1023s", &major, &minor,
			path) == 3 &&
		    makedev(major, minor) == dev) {
			snprintf(where, size, "%s", path);
			break;
		}
	if (f != NULL)
		fclose(f);
}

int
format_disk_free(const char *device)
{
	char where[1024];
	struct stat st;
	int fd;

	if (stat(device, &st) == -1) {
		log_err("%s: %s", device, strerror(errno));
		return -1;
	}
	if (!S_ISBLK(st.st_mode)) {
		log_err("%s is no block device: name one as device (storage); "
			"losetup(8) makes one of a file",
		    device);
		return -1;
	}
	fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd != -1) {
		close(fd);
		return 0;
	}
	if (errno != EBUSY) {
		log_err("%s: %s", device, strerror(errno));
		return -1;
	}
	find_mount(st.st_rdev, where, sizeof(where));
	if (where[0] != '\0')
		log_err("%s is mounted at %s: end what uses it and umount %s",
		    device, where, where);
	else
		log_err("%s is in use on this host: mounted in another "
			"namespace, or part of a RAID, LVM or multipath "
			"device (lsblk %s)",
		    device, device);
	return -1;
}

int
format_disk_super(const char *device, uint8_t *bytes)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : pread(fd, bytes, FSCHECK_BYTES, 0);

	if (n != (ssize_t)FSCHECK_BYTES)
		log_err("%s: %s", device,
		    n == -1 ? strerror(errno) : "shorter than a superblock");
	if (fd != -1)
		close(fd);
	return n == (ssize_t)FSCHECK_BYTES ? 0 : -1;
}

/* A mount namespace of our own: nobody else sees it, and it goes with us. */
static int
make_place(void)
{
	static bool made;

	if (made)
		return 0;
	if (unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1) {
		log_err("no mount namespace of our own: %s", strerror(errno));
		return -1;
	}
	if (mkdtemp(place) == NULL) {
		log_err("%s: %s", place, strerror(errno));
		return -1;
	}
	made = true;
	return 0;
}

int
format_disk_mount(const char *device, enum config_fstype type, bool look)
{
	const char *name = config_fstype_name(type), *options = NULL;
	unsigned long flags = MS_NOATIME | MS_NODEV | MS_NOSUID | MS_NOEXEC;
	int root;

	if (make_place() == -1)
		return -1;
	if (look) {
		flags |= MS_RDONLY;
		options = type == CONFIG_FS_XFS ? "norecovery" : "noload";
	}
	if (mount(device, place, name, flags, options) == -1) {
		log_err("mounting %s as %s: %s; dmesg may say more", device,
		    name, strerror(errno));
		return -1;
	}
	root = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root == -1)
		log_err("%s: %s", place, strerror(errno));
	return root;
}

/* A loop device over it that nobody can write to, as long as it is open. */
static int
open_read_only(const char *device, char *name, size_t size)
{
	struct loop_config c = {.info.lo_flags =
				    LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = -1;
	int on = open(device, O_RDONLY | O_CLOEXEC), n, why;

	c.fd = (uint32_t)on;
	while (control != -1 && on != -1 && fd == -1 &&
	       (n = ioctl(control, LOOP_CTL_GET_FREE)) >= 0) {
		snprintf(name, size, "/dev/loop%d", n);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd == -1 || ioctl(fd, LOOP_CONFIGURE, &c) == 0)
			break;
		why = errno;
		close(fd);
		fd = -1;
		errno = why;
		if (why != EBUSY) /* else another one was faster */
			break;
	}
	why = errno;
	if (control != -1)
		close(control);
	if (on != -1)
		close(on);
	errno = why;
	return fd;
}

int
format_disk_dirty(const char *device, enum config_fstype type)
{
	char name[32] = "/dev/loop-control";
	int fd, result;

	if (make_place() == -1)
		return -1;
	fd = open_read_only(device, name, sizeof(name));
	if (fd == -1) {
		log_err("%s cannot be looked at read-only through %s: %s",
		    device, name, strerror(errno));
		return -1;
	}
	result = mount(name, place, config_fstype_name(type),
	    MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC, "nouuid");
	if (result == 0)
		result = format_disk_unmount(-1);
	else if (errno == EROFS)
		result = 1; /* what is to be replayed cannot be */
	else
		log_err("mounting %s as %s, read-only: %s; dmesg may say more",
		    device, config_fstype_name(type), strerror(errno));
	close(fd);
	return result;
}

int
format_disk_unmount(int root)
{
	if (root != -1)
		close(root);
	if (umount2(place, UMOUNT_NOFOLLOW) == -1 && root != -1) {
		log_err("unmounting %s: %s", place, strerror(errno));
		return -1;
	}
	return 0;
}

void
format_disk_end(void)
{
	rmdir(place);
}
