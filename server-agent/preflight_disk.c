/*
 * The shared disk: device and control area; and whether a lease is long
 * enough for it. See preflight.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/preflight.h"

enum { SAMPLES = 16, LEASE_PER_IO = 4 };

static const char *
own_name(const struct preflight *p)
{
	return p->cfg->servers[p->self].name;
}

/* --- the control area */

static struct ctl_want
want_of(const struct preflight *p)
{
	return (struct ctl_want){.path = p->v->storage.control,
	    .cluster = p->cfg->cluster,
	    .volume = p->v->name,
	    .volume_id = p->v->id,
	    .server_id = p->cfg->servers[p->self].id};
}

int
preflight_advancing(const struct preflight *p,
    const struct ctl_slot before[CTL_SLOTS],
    const struct ctl_slot after[CTL_SLOTS])
{
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		if (ctl_usable(before[i].status) &&
		    ctl_usable(after[i].status) &&
		    after[i].lease.holding == CTL_HELD &&
		    after[i].lease.seq != before[i].lease.seq)
			return config_find_server_id(
			    p->cfg, after[i].lease.server_id);
	return -1;
}

/* The candidates that it was made for are those of the configuration. */
static void
compare_candidates(struct preflight *p)
{
	for (unsigned k = 0; k < p->v->ncandidates; k++) {
		const struct config_server *s =
		    &p->cfg->servers[p->v->candidates[k]];

		if (ctl_slot_of(&p->area.super, s->id) == CTL_NO_SLOT)
			preflight_say(p, PREFLIGHT_WRONG,
			    "control area %s has no slot for candidate %s "
			    "(id %u)\nstop the volume on all servers and run "
			    "hanfs-agent --format %s, which makes the area "
			    "anew",
			    p->v->storage.control, s->name, s->id, p->v->name);
	}
}

static void
look_at_slots(struct preflight *p, const struct ctl_slot slots[CTL_SLOTS])
{
	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		if (slots[i].status == CTL_EMPTY || ctl_usable(slots[i].status))
			continue;
		preflight_say(p, PREFLIGHT_WRONG,
		    "control area %s: lease slot %u is %s: nobody may "
		    "conclude who owns the volume\nmake sure that no server "
		    "has it mounted, then hanfs-agent --format %s --force",
		    p->v->storage.control, i, ctl_status_names[slots[i].status],
		    p->v->name);
	}
}

void
preflight_control(struct preflight *p)
{
	struct ctl_slot before[CTL_SLOTS], after[CTL_SLOTS];
	struct preflight_area *a = &p->area;
	struct ctl_want want = want_of(p);
	char error[CTL_ERROR_LEN];
	unsigned before_n = p->n;
	int fd, e;

	if (p->v->storage.arbiter != CONFIG_ARBITER_DISK) {
		preflight_say(p, PREFLIGHT_NOT_TRIED,
		    "the arbiter is external: %s",
		    p->v->storage.arbiter_command);
		return;
	}
	fd = ctlarea_open(&want, false, &a->super, error);
	if (fd == -1) {
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s\ncorrect control (storage), see that the disk is "
		    "attached to this server, or prepare it: hanfs-agent "
		    "--format %s",
		    error, p->v->name);
		return;
	}
	e = ctlarea_read_slots(fd, &a->super, before);
	(void)poll(NULL, 0, (int)(3 * p->cfg->agent.renew_ms));
	if (e == 0)
		e = ctlarea_read_slots(fd, &a->super, after);
	close(fd);
	if (e != 0) {
		preflight_say(p, PREFLIGHT_WRONG,
		    "control area %s: %s\nsee that the disk works",
		    p->v->storage.control, strerror(e));
		return;
	}
	a->known = true;
	a->slot = ctl_slot_of(&a->super, want.server_id);
	a->owner = preflight_advancing(p, before, after);
	if (a->owner >= 0)
		p->lives[a->owner] = true;
	compare_candidates(p);
	look_at_slots(p, after);
	if (p->n == before_n)
		preflight_say(p, PREFLIGHT_OK, "%s is that of volume %s; %s",
		    p->v->storage.control, p->v->name,
		    a->owner < 0 ? "nobody owns it now"
				 : p->cfg->servers[a->owner].name);
}

/* --- is a lease long enough? */

void
preflight_judge_lease(struct preflight *p, uint64_t worst_us, const char *what)
{
	uint64_t lease_us = p->cfg->agent.lease_ms * 1000;

	if (lease_us < LEASE_PER_IO * worst_us)
		preflight_say(p, PREFLIGHT_WRONG,
		    "the worst of %d %s of %s took %" PRIu64 " ms: a lease of "
		    "%" PRIu64 " ms would lapse without a fault\nset lease_ms "
		    "(agent) to %" PRIu64 " or more on all servers, or use a "
		    "faster disk for the control area",
		    SAMPLES, what, p->v->storage.control, worst_us / 1000,
		    p->cfg->agent.lease_ms,
		    (LEASE_PER_IO * worst_us + 999) / 1000);
	else
		preflight_say(p, PREFLIGHT_OK,
		    "lease of %" PRIu64 " ms; the worst of %d %s took %" PRIu64
		    " us",
		    p->cfg->agent.lease_ms, SAMPLES, what, worst_us);
}

/* Own slot's bytes read and, when `write`, written back as they are. -1 with
 * errno. */
static int
time_io(int fd, off_t at, bool write, uint64_t *worst_us)
{
	uint64_t began, took;
	ssize_t n = 0;
	void *buf;

	if (posix_memalign(&buf, CTL_BLOCK, CTL_BLOCK) != 0)
		return -1;
	*worst_us = 0;
	for (unsigned i = 0; i < SAMPLES && n >= 0; i++) {
		began = clock_now_us();
		n = pread(fd, buf, CTL_BLOCK, at);
		if (write && n == (ssize_t)CTL_BLOCK) {
			began = clock_now_us();
			n = pwrite(fd, buf, CTL_BLOCK, at);
		}
		if (n >= 0 && n != (ssize_t)CTL_BLOCK) {
			errno = EIO;
			n = -1;
		}
		took = clock_now_us() - began;
		*worst_us = took > *worst_us ? took : *worst_us;
	}
	free(buf);
	return n < 0 ? -1 : 0;
}

void
preflight_lease(struct preflight *p)
{
	struct ctl_want want = want_of(p);
	char error[CTL_ERROR_LEN];
	struct ctl_super super;
	uint64_t worst_us;
	off_t at;
	int fd;

	if (!p->area.known) {
		preflight_say(p, PREFLIGHT_NOT_TRIED,
		    "there is no control area that can be read");
		return;
	}
	fd = ctlarea_open(&want, true, &super, error);
	if (fd == -1) {
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s\nthe control area must be writable here", error);
		return;
	}
	/* While we have the lock no agent of this host writes it. */
	p->area.agent = ctlarea_lock(fd, p->area.slot) != 0;
	at = (off_t)(CTL_FIRST_LEASE + p->area.slot) * CTL_BLOCK;
	if (time_io(fd, at, !p->area.agent, &worst_us) == -1)
		preflight_say(p, PREFLIGHT_WRONG,
		    "control area %s: %s\nsee that the disk works, and that "
		    "nothing keeps this server from writing to it",
		    want.path, strerror(errno));
	else
		preflight_judge_lease(
		    p, worst_us, p->area.agent ? "reads" : "writes");
	close(fd);
}

/* --- the device */

void
preflight_device(struct preflight *p)
{
	const char *device = p->v->storage.device;
	struct stat st;
	int fd;

	if (stat(device, &st) == -1 && errno == ENOENT &&
	    p->v->storage.assemble[0] != '\0' &&
	    p->area.owner != (int)p->self) {
		preflight_say(p, PREFLIGHT_NOT_TRIED,
		    "%s is not there: its owner assembles it", device);
		return;
	}
	if (stat(device, &st) == -1) {
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s: %s\nattach the disk to this server, or correct "
		    "device (storage)",
		    device, strerror(errno));
		return;
	}
	if (!S_ISBLK(st.st_mode)) {
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s is no block device\nname one as device (storage)",
		    device);
		return;
	}
	fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd == -1 && errno == EBUSY && p->area.owner != (int)p->self) {
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s is in use on %s, which does not own the volume\nend "
		    "what uses it: a mount, RAID, LVM or multipath (lsblk "
		    "%s); nothing but hanfs-agent may mount it",
		    device, own_name(p), device);
		return;
	}
	if (fd == -1 && errno != EBUSY) {
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s: %s\nsee that the disk works", device, strerror(errno));
		return;
	}
	if (fd != -1)
		close(fd);
	preflight_say(p, PREFLIGHT_OK, "%s can be read", device);
}
