/*
 * hanfs-agent --format. See format.h.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/log.h"
#include "server-agent/ctlarea.h"
#include "server-agent/format.h"
#include "server-agent/fscheck.h"

/* --- looking */

static const struct config_volume *
find_volume(const struct config *cfg, const char *name)
{
	const struct config_volume *v;
	int i = config_find_volume(cfg, name);

	if (i < 0) {
		log_err(
		    "--format %s: the configuration has no such volume", name);
		return NULL;
	}
	v = &cfg->volumes[i];
	if (v->storage.device[0] == '\0') {
		log_err("volume \"%s\" has no storage section: write one, "
			"with its device",
		    name);
		return NULL;
	}
	return v;
}

static int
check_file_system(
    const struct config_storage *st, const struct format_options *o)
{
	const char *device = st->device;
	static struct fscheck check;
	uint8_t bytes[FSCHECK_BYTES];

	if (format_disk_super(device, bytes) == -1)
		return -1;
	fscheck(&check, st->fstype, bytes, st->mount_options, device);
	for (unsigned i = 0; i < check.n; i++) {
		const struct fscheck_found *f = &check.found[i];

		if (f->refuse)
			log_err("%s: %s; cure: %s", device, f->text, f->cure);
		else
			log_warn("%s: %s; cure: %s", device, f->text, f->cure);
	}
	if (fscheck_refuses(&check))
		return -1;
	if (st->fstype == CONFIG_FS_XFS && !o->force) {
		int dirty = format_disk_dirty(device, st->fstype);

		if (dirty == -1)
			return -1;
		check.dirty = dirty == 1;
	}
	if (check.dirty && !o->force) {
		log_err("%s was not unmounted cleanly, or is mounted on "
			"another host right now: make sure that it is not, "
			"and mount and unmount it here; or --force",
		    device);
		return -1;
	}
	return 0;
}

/* What is on it, without a change to it. */
static int
look_inside(int root, const struct config_volume *v,
    const struct format_options *o, bool *formatted)
{
	char first[256] = "";
	struct volform old;
	unsigned strangers;
	enum volform_error e = volform_read_at(root, &old);

	*formatted = e != VOLFORM_E_NONE;
	if (e == VOLFORM_OK && !o->force) {
		log_err("%s is formatted: it is volume \"%s\" (id %u) of "
			"cluster \"%s\"; --force makes its log anew, and "
			"calls that are not finished are forgotten",
		    v->storage.device, old.name, old.id, old.cluster);
		return -1;
	}
	if (e != VOLFORM_OK && e != VOLFORM_E_NONE && !o->force) {
		log_err("%s: %s %s; --force makes it anew", v->storage.device,
		    VOLFORM_FILE, volform_error_names[e]);
		return -1;
	}
	if (format_tree_strangers(root, &strangers, first, sizeof(first)) == -1)
		return -1;
	if (strangers > 0 && !o->adopt) {
		log_err("%s: %u at its root, \"%s\" among them, would be "
			"out of clients' reach, since %s/ is what is "
			"exported; --adopt moves them into it, by rename "
			"alone",
		    v->storage.device, strangers, first, VOLFORM_EXPORT);
		return -1;
	}
	return 0;
}

static int
look(const struct config_volume *v, const struct format_options *o,
    bool *formatted)
{
	const struct config_storage *st = &v->storage;
	int root, result = -1;

	if (format_disk_free(st->device) == -1 ||
	    check_file_system(st, o) == -1)
		return -1;
	root = format_disk_mount(st->device, st->fstype, true);
	if (root != -1)
		result = look_inside(root, v, o, formatted);
	return format_disk_unmount(root) == -1 ? -1 : result;
}

/* --- making */

static int
make_control(const struct config *cfg, const struct config_volume *v,
    const struct format_options *o, bool served)
{
	struct ctl_format f = {.path = v->storage.control,
	    .cluster = cfg->cluster,
	    .volume = v->name,
	    .volume_id = v->id,
	    .wall_ms = clock_wall_ms(),
	    .served = served,
	    .wait_ms = (unsigned)(3 * cfg->agent.renew_ms),
	    .force = o->force};
	char error[CTL_ERROR_LEN];

	if (v->storage.arbiter != CONFIG_ARBITER_DISK)
		return 0;
	for (unsigned i = 0; i < v->ncandidates; i++) {
		f.server_id[i] = cfg->servers[v->candidates[i]].id;
		f.server[i] = cfg->servers[v->candidates[i]].name;
	}
	if (ctlarea_format(&f, error) == 0)
		return 0;
	log_err("%s", error);
	return -1;
}

static int
make_tree(const struct config *cfg, const struct config_volume *v,
    const struct format_options *o)
{
	const struct config_storage *st = &v->storage;
	struct volform form = {.id = v->id, .slots = (unsigned)st->slots};
	int root, result = -1;

	snprintf(form.cluster, sizeof(form.cluster), "%s", cfg->cluster);
	snprintf(form.name, sizeof(form.name), "%s", v->name);
	randombytes_buf(form.instance, sizeof(form.instance));
	root = format_disk_mount(st->device, st->fstype, false);
	if (root != -1)
		result = format_tree_make(root, &form, o->adopt);
	return format_disk_unmount(root) == -1 ? -1 : result;
}

int
format_volume(const struct config *cfg, const struct format_options *o)
{
	const struct config_volume *v = find_volume(cfg, o->volume);
	bool formatted = false;
	int result = -1;

	if (v == NULL)
		return 1;
	if (geteuid() != 0) {
		log_err("--format needs to be root");
		return 1;
	}
	if (look(v, o, &formatted) == 0 &&
	    make_control(cfg, v, o, formatted) == 0)
		result = make_tree(cfg, v, o);
	format_disk_end();
	if (result == -1)
		return 1;
	log_notice("volume \"%s\" on %s is ready: %llu slots; what is "
		   "exported is %s/%s",
	    v->name, v->storage.device, (unsigned long long)v->storage.slots,
	    v->storage.mountpoint, VOLFORM_EXPORT);
	return 0;
}
