/*
 * The slots and the sentinel on an ext4 or xfs. See store.h, store_int.h.
 * Each call waits for the disk; threads call it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/store_int.h"

static int say(char error[STORE_ERROR_LEN], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
say(char error[STORE_ERROR_LEN], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, STORE_ERROR_LEN, fmt, ap);
	va_end(ap);
	return -1;
}

/* --- opening */

static int
check_type(struct slotdisk *d, const char *where, char error[STORE_ERROR_LEN])
{
	struct statfs fs;

	if (fstatfs(d->root, &fs) == -1)
		return say(error, "%s: %s", where, strerror(errno));
	d->xfs = fs.f_type == XFS_SUPER_MAGIC;
	if (d->xfs || fs.f_type == EXT4_SUPER_MAGIC)
		return 0;
	return say(error,
	    "%s is neither ext4 nor xfs (file system type 0x%lx): is the "
	    "volume mounted there?",
	    where, (unsigned long)fs.f_type);
}

static int
check_volume(struct slotdisk *d, const struct store_config *c,
    char error[STORE_ERROR_LEN])
{
	struct volform v;
	enum volform_error e = volform_read_at(d->root, &v);

	if (e == VOLFORM_E_READ)
		return say(error, "%s/%s: %s", c->mountpoint, VOLFORM_FILE,
		    strerror(errno));
	if (e != VOLFORM_OK)
		return say(error, "%s/%s %s%s", c->mountpoint, VOLFORM_FILE,
		    volform_error_names[e],
		    e == VOLFORM_E_NONE ? "; hanfs-agent --format makes it one"
					: "");
	if (strcmp(v.cluster, c->cluster) != 0 || v.id != c->volume)
		return say(error,
		    "%s is volume %u (\"%s\") of cluster \"%s\", not volume "
		    "%u of cluster \"%s\": the wrong disk is mounted, or the "
		    "configuration has another id",
		    c->mountpoint, v.id, v.name, v.cluster, c->volume,
		    c->cluster);
	d->slots = v.slots;
	return 0;
}

static int
open_in(int dir, const char *name, int flags)
{
	return openat(dir, name, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

static int64_t
nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

int
slotdisk_open(struct slotdisk *d, const struct store_config *c,
    char error[STORE_ERROR_LEN])
{
	struct stat st;

	d->log = d->sentinel = -1;
	for (unsigned i = 0; i < SLOTDISK_KEPT; i++)
		d->kept[i] = -1;
	d->root = open(c->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->root == -1)
		return say(error, "%s: %s", c->mountpoint, strerror(errno));
	if (check_type(d, c->mountpoint, error) == -1 ||
	    check_volume(d, c, error) == -1)
		return -1;
	d->log = open_in(d->root, VOLFORM_LOG, O_DIRECTORY);
	if (d->log != -1)
		d->sentinel = open_in(d->log, VOLFORM_SENTINEL, 0);
	if (d->sentinel == -1 || fstat(d->sentinel, &st) == -1)
		return say(error,
		    "%s/%s/%s: %s; the log's files are not as --format made "
		    "them",
		    c->mountpoint, VOLFORM_LOG, VOLFORM_SENTINEL,
		    strerror(errno));
	d->stamp = nanoseconds(&st.st_mtim);
	return 0;
}

void
slotdisk_close(struct slotdisk *d)
{
	int *fds[] = {&d->root, &d->log, &d->sentinel};

	for (unsigned i = 0; i < SLOTDISK_KEPT; i++) {
		int fd = atomic_exchange(&d->kept[i], -1);

		if (fd != -1)
			close(fd);
	}
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] != -1)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* --- slots */

static int
slot_open(struct slotdisk *d, uint32_t slot)
{
	char name[VOLFORM_SLOT_NAME];
	int fd, none = -1;

	if (slot < SLOTDISK_KEPT) {
		fd = atomic_load(&d->kept[slot]);
		if (fd != -1)
			return fd;
	}
	volform_slot_name(name, slot);
	fd = open_in(d->log, name, O_NOATIME);
	if (fd != -1 && slot < SLOTDISK_KEPT &&
	    !atomic_compare_exchange_strong(&d->kept[slot], &none, fd)) {
		close(fd); /* another thread was first */
		return none;
	}
	return fd;
}

static void
slot_close(uint32_t slot, int fd)
{
	if (slot >= SLOTDISK_KEPT)
		close(fd);
}

int
slotdisk_write(struct slotdisk *d, uint32_t slot, const uint8_t *value)
{
	int fd = slot_open(d, slot), error = 0;

	if (fd == -1)
		return errno;
	if (fsetxattr(fd, STORE_XATTR, value, LOGSLOT_LEN, XATTR_REPLACE) == -1)
		error = errno;
	slot_close(slot, fd);
	return error;
}

int
slotdisk_read(struct slotdisk *d, uint32_t slot, uint8_t *value, size_t *len)
{
	int fd = slot_open(d, slot), error = 0;
	ssize_t n;

	if (fd == -1)
		return errno;
	n = fgetxattr(fd, STORE_XATTR, value, LOGSLOT_LEN + 1);
	if (n == -1 && errno == ERANGE)
		n = LOGSLOT_LEN + 1; /* too long: the parser says so */
	if (n == -1)
		error = errno;
	*len = n == -1 ? 0 : (size_t)n;
	slot_close(slot, fd);
	return error;
}

/* --- the commit */

/*
 * A new value, so that the inode changes in the running transaction and its
 * fsync waits for that one; and fsync, since fdatasync may find that nothing
 * of the data's has changed.
 */
int
slotdisk_commit(struct slotdisk *d)
{
	int64_t now = (int64_t)clock_wall_us() * 1000;
	struct timespec t[2];

	d->stamp = now > d->stamp ? now : d->stamp + 1;
	t[0].tv_sec = t[1].tv_sec = d->stamp / 1000000000;
	t[0].tv_nsec = t[1].tv_nsec = d->stamp % 1000000000;
	if (futimens(d->sentinel, t) == -1 || fsync(d->sentinel) == -1)
		return errno;
	return 0;
}

/* --- XFS: slots made anew */

static int
set_immutable(int fd, bool on)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == -1)
		return errno;
	flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) == -1 ? errno : 0;
}

#define COPY "copy" /* the new one's name until it takes its place */

int
slotdisk_remake_begin(struct slotdisk *d)
{
	int error;

	if (!d->xfs)
		return ENOTSUP;
	error = set_immutable(d->log, false);
	unlinkat(d->log, COPY, 0); /* what a cut left */
	return error;
}

int
slotdisk_remake_end(struct slotdisk *d)
{
	unlinkat(d->log, COPY, 0);
	return set_immutable(d->log, true);
}

int
slotdisk_remake(struct slotdisk *d, uint32_t slot)
{
	uint8_t value[LOGSLOT_LEN + 1];
	char name[VOLFORM_SLOT_NAME];
	size_t len;
	int error = slotdisk_read(d, slot, value, &len), fd;

	if (error != 0)
		return error;
	fd = openat(d->log, COPY,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return errno;
	volform_slot_name(name, slot);
	if (fsetxattr(fd, STORE_XATTR, value, len, XATTR_CREATE) == -1 ||
	    renameat(d->log, COPY, d->log, name) == -1)
		error = errno;
	close(fd);
	if (error == 0 && slot < SLOTDISK_KEPT) {
		fd = atomic_exchange(&d->kept[slot], -1);
		if (fd != -1)
			close(fd);
	}
	return error;
}
