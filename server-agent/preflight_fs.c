/*
 * What is on the device: the file system, and what --format has made of it.
 * See preflight.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server-agent/format.h"
#include "server-agent/fscheck.h"
#include "server-agent/preflight.h"

/* Past the page cache, in which it would be old when we mount it. */
static bool
read_super(const char *device, void *bytes)
{
	int fd = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : pread(fd, bytes, FSCHECK_BYTES, 0);

	if (fd != -1)
		close(fd);
	return n == (ssize_t)FSCHECK_BYTES;
}

void
preflight_file_system(struct preflight *p)
{
	const struct config_storage *st = &p->v->storage;
	struct fscheck *c = calloc(1, sizeof(*c));
	void *bytes = NULL;

	if (c == NULL ||
	    posix_memalign(&bytes, CTL_BLOCK, FSCHECK_BYTES) != 0 ||
	    !read_super(st->device, bytes)) {
		preflight_say(
		    p, PREFLIGHT_NOT_TRIED, "%s cannot be read", st->device);
		free(bytes);
		free(c);
		return;
	}
	fscheck(c, st->fstype, bytes, st->mount_options, st->device);
	for (unsigned i = 0; i < c->n; i++)
		preflight_say(p,
		    c->found[i].refuse ? PREFLIGHT_WRONG : PREFLIGHT_WARNING,
		    "%s: %s\n%s", st->device, c->found[i].text,
		    c->found[i].cure);
	if (c->n == 0)
		preflight_say(p, PREFLIGHT_OK,
		    "%s: %s, journal of %" PRIu64 " MiB", st->device,
		    config_fstype_name(st->fstype), c->journal_bytes >> 20);
	free(bytes);
	free(c);
}

/* --- its form: what --format has made */

static void
judge_form(struct preflight *p, enum volform_error e, const struct volform *f)
{
	const struct config_volume *v = p->v;

	if (e != VOLFORM_OK)
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s: %s %s\nprepare it: hanfs-agent --format %s",
		    v->storage.device, VOLFORM_FILE, volform_error_names[e],
		    v->name);
	else if (strcmp(f->cluster, p->cfg->cluster) != 0 ||
		 strcmp(f->name, v->name) != 0 || f->id != v->id)
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s holds volume \"%s\" (id %u) of cluster \"%s\", not "
		    "\"%s\" (id %u)\ncorrect device (storage)",
		    v->storage.device, f->name, f->id, f->cluster, v->name,
		    v->id);
	else
		preflight_say(p, PREFLIGHT_OK,
		    "%s is prepared: %u slots in its log", v->storage.device,
		    f->slots);
}

struct form_answer {
	bool mounted;
	enum volform_error error;
	struct volform form;
};

/* In a child: the mount namespace that it gets holds copies of all mounts of
 * this host, and must not live long. */
static struct form_answer
read_unmounted(const struct config_storage *st)
{
	struct form_answer a = {.mounted = false};
	int ends[2], root;
	pid_t pid;

	if (pipe(ends) == -1)
		return a;
	pid = fork();
	if (pid == 0) {
		root = format_disk_mount(st->device, st->fstype, true);
		a.mounted = root != -1;
		if (a.mounted)
			a.error = volform_read_at(root, &a.form);
		(void)format_disk_unmount(root);
		format_disk_end();
		_exit(write(ends[1], &a, sizeof(a)) == (ssize_t)sizeof(a) ? 0
									  : 1);
	}
	close(ends[1]);
	if (pid == -1 || read(ends[0], &a, sizeof(a)) != (ssize_t)sizeof(a))
		a.mounted = false;
	close(ends[0]);
	if (pid != -1)
		(void)waitpid(pid, NULL, 0);
	return a;
}

/* What was read is not to be in the page cache at a takeover. */
static void
forget(const char *device)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return;
	(void)ioctl(fd, BLKFLSBUF, 0);
	close(fd);
}

/* Mounted here by its owner, or by us for a moment when nobody owns it. */
void
preflight_form(struct preflight *p)
{
	const struct config_storage *st = &p->v->storage;
	bool ours = p->area.owner == (int)p->self;
	int fd = open(st->device, O_RDONLY | O_EXCL | O_CLOEXEC), root;
	struct form_answer a;

	if (fd != -1)
		close(fd);
	if (ours && fd == -1) {
		root = open(st->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (root != -1) {
			a.error = volform_read_at(root, &a.form);
			judge_form(p, a.error, &a.form);
			close(root);
			return;
		}
	}
	if (fd == -1 || !p->area.known || p->area.owner >= 0) {
		preflight_say(p, PREFLIGHT_NOT_TRIED,
		    "%s is in use, or it is not known whether it is; look "
		    "where the volume is mounted",
		    st->device);
		return;
	}
	a = read_unmounted(st);
	forget(st->device);
	if (a.mounted)
		judge_form(p, a.error, &a.form);
	else
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s cannot be mounted as %s\nmake the file system, then "
		    "hanfs-agent --format %s",
		    st->device, config_fstype_name(st->fstype), p->v->name);
}
