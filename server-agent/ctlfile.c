/*
 * The control area as a file or device: opening it, reading all of it,
 * making a new one. The contract is in ctlarea.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "server-agent/ctlarea.h"

_Static_assert(CTL_AREA_SIZE % CTL_BLOCK == 0, "whole blocks");

__attribute__((format(printf, 2, 3))) static int
say(char *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(error, CTL_ERROR_LEN, fmt, ap);
	va_end(ap);
	return -1;
}

/* Memory for direct I/O; no error but that there is none. */
static uint8_t *
new_blocks(size_t blocks)
{
	void *p;

	if (posix_memalign(&p, CTL_BLOCK, blocks * CTL_BLOCK) != 0)
		return NULL;
	memset(p, 0, blocks * CTL_BLOCK);
	return p;
}

static int
read_blocks(int fd, uint8_t *buf, unsigned first, unsigned count)
{
	size_t len = (size_t)count * CTL_BLOCK;
	ssize_t n = pread(fd, buf, len, (off_t)first * CTL_BLOCK);

	if (n < 0)
		return errno;
	return (size_t)n == len ? 0 : ENODATA;
}

static int
write_blocks(int fd, const uint8_t *buf, unsigned first, unsigned count)
{
	size_t len = (size_t)count * CTL_BLOCK;
	ssize_t n = pwrite(fd, buf, len, (off_t)first * CTL_BLOCK);

	if (n < 0)
		return errno;
	return (size_t)n == len ? 0 : ENOSPC;
}

static int
open_path(const char *path, bool writable, char *error)
{
	int flags = (writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_DSYNC;
	int fd = open(path, flags | O_CLOEXEC);
	off_t size;

	if (fd < 0)
		return say(error, "control area %s: %s%s", path,
		    strerror(errno),
		    errno == EINVAL ? "; direct I/O is not possible there, "
				      "write a device or a file on ext4 or xfs"
				    : "");
	size = lseek(fd, 0, SEEK_END);
	if (size >= 0 && size < (off_t)CTL_AREA_SIZE) {
		close(fd);
		return say(error,
		    "control area %s has %" PRIdMAX " bytes: it needs %u, "
		    "make it larger",
		    path, (intmax_t)size, CTL_AREA_SIZE);
	}
	return fd;
}

int
ctlarea_lock(int fd, unsigned slot)
{
	struct flock range = {
	    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = CTL_AREA_SIZE};

	if (slot != CTL_NO_SLOT) {
		range.l_start = (off_t)(CTL_FIRST_LEASE + slot) * CTL_BLOCK;
		range.l_len = CTL_BLOCK;
	}
	if (fcntl(fd, F_OFD_SETLK, &range) == 0)
		return 0;
	return errno == EACCES ? EAGAIN : errno;
}

/* --- opening */

static int
check_super(const struct ctl_want *want, enum ctl_status status,
    const struct ctl_super *s, char *error)
{
	if (status == CTL_NEWER)
		return say(error,
		    "control area %s is of a newer version: update hanfs on "
		    "this host",
		    want->path);
	if (!ctl_usable(status))
		return say(error,
		    "%s is no control area (superblock %s): write the right "
		    "path (storage, control), or make one with hanfs-agent "
		    "--format %s",
		    want->path, ctl_status_names[status], want->volume);
	if (strcmp(s->cluster, want->cluster) != 0 ||
	    strcmp(s->volume, want->volume) != 0 ||
	    s->volume_id != want->volume_id)
		return say(error,
		    "control area %s is that of volume \"%s\" (id %u) of "
		    "cluster \"%s\", not of \"%s\" (id %u) of \"%s\": write "
		    "the right path (storage, control)",
		    want->path, s->volume, s->volume_id, s->cluster,
		    want->volume, want->volume_id, want->cluster);
	if (want->server_id != 0 &&
	    ctl_slot_of(s, want->server_id) == CTL_NO_SLOT)
		return say(error,
		    "control area %s has no slot for this server (id %u): it "
		    "was made before the server became a candidate; stop the "
		    "volume and make it anew with hanfs-agent --format %s",
		    want->path, want->server_id, want->volume);
	return 0;
}

int
ctlarea_open(const struct ctl_want *want, bool writable,
    struct ctl_super *super, char *error)
{
	int fd = open_path(want->path, writable, error), e;
	uint8_t *buf;

	if (fd < 0)
		return -1;
	buf = new_blocks(1);
	e = buf == NULL ? ENOMEM : read_blocks(fd, buf, 0, 1);
	if (e != 0)
		say(error, "control area %s cannot be read: %s", want->path,
		    strerror(e));
	else
		e = check_super(want, ctl_super_get(buf, super), super, error);
	free(buf);
	if (e == 0)
		return fd;
	close(fd);
	return -1;
}

int
ctlarea_read_slots(
    int fd, const struct ctl_super *super, struct ctl_slot slots[CTL_SLOTS])
{
	uint8_t *buf = new_blocks(CTL_SLOTS);
	int e = buf == NULL ? ENOMEM
			    : read_blocks(fd, buf, CTL_FIRST_LEASE, CTL_SLOTS);

	for (unsigned i = 0; e == 0 && i < CTL_SLOTS; i++)
		slots[i].status = ctl_lease_get(buf + (size_t)i * CTL_BLOCK,
		    super->area, i, &slots[i].lease);
	free(buf);
	return e;
}

int
ctlarea_boot_floor(const struct ctl_want *want, uint64_t *boot, char *error)
{
	struct ctl_slot slots[CTL_SLOTS];
	struct ctl_super super;
	unsigned own;
	int fd = ctlarea_open(want, false, &super, error), e;

	if (fd < 0)
		return -1;
	e = ctlarea_read_slots(fd, &super, slots);
	close(fd);
	if (e != 0)
		return say(error, "control area %s cannot be read: %s",
		    want->path, strerror(e));
	own = ctl_slot_of(&super, want->server_id);
	if (own == CTL_NO_SLOT || slots[own].status == CTL_EMPTY) {
		*boot = 0;
		return 0;
	}
	if (!ctl_usable(slots[own].status))
		return say(error,
		    "control area %s: the slot of this server (%u) is %s; if "
		    "no server of the volume runs, make the area anew with "
		    "hanfs-agent --format %s --force",
		    want->path, own, ctl_status_names[slots[own].status],
		    want->volume);
	*boot = slots[own].lease.boot;
	return 0;
}

/* --- making one */

static bool
is_unused(const uint8_t *buf)
{
	return buf[0] == 0 && memcmp(buf, buf + 1, CTL_AREA_SIZE - 1) == 0;
}

static bool
read_lease(const uint8_t *buf, const struct ctl_super *s, unsigned i,
    struct ctl_lease *out)
{
	const uint8_t *block = buf + (size_t)(CTL_FIRST_LEASE + i) * CTL_BLOCK;

	return ctl_usable(ctl_lease_get(block, s->area, i, out));
}

/* Whose server that is, by the new list of candidates. */
static const char *
server_name(const struct ctl_format *w, uint32_t id, char *buf, size_t size)
{
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		if (w->server_id[i] == id && w->server[i] != NULL)
			return w->server[i];
	(void)snprintf(buf, size, "id %u", id);
	return buf;
}

/*
 * An area of ours was there, read twice: is somebody alive, does somebody
 * hold it?
 */
static int
check_leases(const struct ctl_format *w, const struct ctl_super *s,
    const uint8_t *before, const uint8_t *after, char *error)
{
	struct ctl_slot slots[CTL_SLOTS] = {0};
	struct ctl_lease old;
	const char *who;
	char name[32];
	unsigned newest;

	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		if (!read_lease(after, s, i, &slots[i].lease))
			continue;
		slots[i].status = CTL_GOOD;
		who = server_name(
		    w, slots[i].lease.server_id, name, sizeof(name));
		if (!read_lease(before, s, i, &old) ||
		    old.seq != slots[i].lease.seq)
			return say(error,
			    "control area %s is in use: the agent of server "
			    "%s writes to it now; stop that agent first",
			    w->path, who);
	}
	newest = ctl_newest(slots);
	if (newest == CTL_NO_SLOT || w->force ||
	    slots[newest].lease.holding == CTL_RELEASED)
		return 0;
	who = server_name(w, slots[newest].lease.server_id, name, sizeof(name));
	return say(error,
	    "control area %s: server %s holds volume \"%s\" (epoch %" PRIu64
	    ", %s): it did not give it up; make sure that it does not run, "
	    "then use --force",
	    w->path, who, s->volume, slots[newest].lease.owned_epoch,
	    ctl_holding_names[slots[newest].lease.holding]);
}

static int
check_use(const struct ctl_format *w, const uint8_t *before,
    const uint8_t *after, char *error)
{
	struct ctl_super s;
	enum ctl_status status = ctl_super_get(after, &s);

	if (is_unused(after))
		return 0;
	if (!ctl_usable(status))
		return w->force ? 0
				: say(error,
				      "%s is not empty, and no control area "
				      "(superblock "
				      "%s): write the right path (storage, "
				      "control); if "
				      "what is there may be lost, use --force",
				      w->path, ctl_status_names[status]);
	if (check_leases(w, &s, before, after, error) == -1)
		return -1;
	if (w->force ||
	    (strcmp(s.cluster, w->cluster) == 0 && s.volume_id == w->volume_id))
		return 0;
	return say(error,
	    "control area %s is that of volume \"%s\" of cluster \"%s\": "
	    "write the right path (storage, control); if that one is gone "
	    "for ever, use --force",
	    w->path, s.volume, s.cluster);
}

/* The highest epoch that was ever owned by what an area says; 0: none.
 * False: part of it is damaged, and may have said more. */
static bool
highest_epoch(const uint8_t *buf, uint64_t *highest)
{
	struct ctl_super s;
	struct ctl_lease l;
	bool all = true;

	*highest = 0;
	if (!ctl_usable(ctl_super_get(buf, &s)))
		return false;
	*highest = s.epoch_floor;
	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		const uint8_t *block =
		    buf + (size_t)(CTL_FIRST_LEASE + i) * CTL_BLOCK;
		enum ctl_status status = ctl_lease_get(block, s.area, i, &l);

		all = all && (status == CTL_GOOD || status == CTL_EMPTY);
		if (ctl_usable(status) && l.owned_epoch > *highest)
			*highest = l.owned_epoch;
	}
	return all;
}

/*
 * Above it all new epochs are. One that was given before would be the write
 * verifier of a server's earlier life, and clients heed no owner of an older
 * epoch. Where the earlier ones are not known, it is the seconds since 1970:
 * more than epochs that began at 1 can have come to, and of 32 bits, as NFS
 * servers and fence keys have them.
 */
static uint64_t
epoch_floor(const struct ctl_format *w, const uint8_t *buf)
{
	uint64_t floor = 0, wall_s = w->wall_ms / 1000;
	bool known = is_unused(buf) || highest_epoch(buf, &floor);

	if (w->epoch_floor > floor)
		floor = w->epoch_floor;
	return (known && !w->served) || floor > wall_s ? floor : wall_s;
}

/* The superblock is written last: before it there is no area. */
static int
write_area(int fd, const struct ctl_format *w, uint8_t *buf)
{
	struct ctl_super s = {.format_wall_ms = w->wall_ms,
	    .epoch_floor = epoch_floor(w, buf),
	    .volume_id = w->volume_id};
	int e;

	randombytes_buf(s.area, sizeof(s.area));
	memcpy(s.server_id, w->server_id, sizeof(s.server_id));
	(void)snprintf(s.cluster, sizeof(s.cluster), "%s", w->cluster);
	(void)snprintf(s.volume, sizeof(s.volume), "%s", w->volume);
	memset(buf, 0, CTL_AREA_SIZE);
	e = write_blocks(fd, buf, 0, CTL_BLOCKS);
	if (e != 0)
		return e;
	ctl_super_put(buf, &s);
	e = write_blocks(fd, buf, 0, 1);
	return e != 0 ? e : fsync(fd) < 0 ? errno : 0;
}

/* buf: two areas. */
static int
format_open(int fd, const struct ctl_format *w, uint8_t *buf, char *error)
{
	uint8_t *before = buf, *after = buf + CTL_AREA_SIZE;
	int e;

	e = ctlarea_lock(fd, CTL_NO_SLOT);
	if (e != 0)
		return say(error,
		    "control area %s is in use by an agent on this host (%s): "
		    "stop it first",
		    w->path, strerror(e));
	e = read_blocks(fd, before, 0, CTL_BLOCKS);
	if (e == 0 && !is_unused(before)) {
		(void)poll(NULL, 0, (int)w->wait_ms);
		e = read_blocks(fd, after, 0, CTL_BLOCKS);
	}
	if (e != 0)
		return say(error, "control area %s cannot be read: %s", w->path,
		    strerror(e));
	if (!is_unused(before) && check_use(w, before, after, error) == -1)
		return -1;
	e = write_area(fd, w, before);
	if (e != 0)
		return say(error, "control area %s cannot be written: %s",
		    w->path, strerror(e));
	return 0;
}

int
ctlarea_format(const struct ctl_format *what, char *error)
{
	int fd = open_path(what->path, true, error), rc;
	uint8_t *buf;

	if (fd < 0)
		return -1;
	buf = new_blocks((size_t)2 * CTL_BLOCKS);
	rc = buf == NULL ? say(error, "no memory")
			 : format_open(fd, what, buf, error);
	free(buf);
	close(fd);
	return rc;
}
