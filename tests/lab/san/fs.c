/*
 * FUSE (low level): one host's directory with two files for each volume, and
 * its watchdog (dog.c).
 *
 * A session of its own for each host, so that one whose requests wait takes
 * no place of another's.  Nothing is cached by the kernel: direct I/O.
 */
#define FUSE_USE_VERSION 312

#include <err.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "san.h"

enum {
	FIRST_FILE = 2, /* inode numbers, after the root's 1 */
	AT_ONCE = 128,  /* requests of a host */
	IDLE_THREADS = 6,
};

static const char dog_name[] = "watchdog"; /* the last file */

static const char *const suffix[AREAS] = {".img", ".ctl"};

static struct session *
session_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Of volumes; one more is the watchdog. */
static unsigned
areas_n(const struct session *s)
{
	return s->san->volumes_n * AREAS;
}

static unsigned
files_n(const struct session *s)
{
	return areas_n(s) + 1;
}

/* The watchdog that an inode stands for, or NULL. */
static struct dog *
dog_of(const struct session *s, fuse_ino_t ino)
{
	return ino == FIRST_FILE + areas_n(s) ? &s->san->dogs[s->host] : NULL;
}

/* The port and area that an inode stands for, or NULL. */
static struct port *
port_of(const struct session *s, fuse_ino_t ino, enum area *area)
{
	fuse_ino_t file = ino - FIRST_FILE;

	if (ino < FIRST_FILE || file >= areas_n(s))
		return NULL;
	*area = (enum area)(file % AREAS);
	return &s->san->ports[s->host][file / AREAS];
}

static void
attributes(const struct session *s, fuse_ino_t ino, struct stat *st)
{
	enum area area;
	const struct port *p = port_of(s, ino, &area);

	memset(st, 0, sizeof *st);
	st->st_ino = ino;
	st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
	st->st_nlink = 1;
	st->st_blksize = PAGE;
	if (p == NULL)
		return;
	st->st_size = (off_t)p->volume->size[area];
	st->st_blocks = st->st_size / SECTOR;
}

static void
file_name(const struct session *s, unsigned file, char *buf, size_t size)
{
	if (file == areas_n(s))
		snprintf(buf, size, "%s", dog_name);
	else
		snprintf(buf, size, "%s%s", s->san->volumes[file / AREAS].name,
		    suffix[file % AREAS]);
}

static void
do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct session *s = session_of(req);
	struct fuse_entry_param e = {
	    .attr_timeout = 3600, .entry_timeout = 3600};
	char own[NAME_LEN + 8];

	for (unsigned i = 0; parent == FUSE_ROOT_ID && i < files_n(s); i++) {
		file_name(s, i, own, sizeof own);
		if (strcmp(own, name) != 0)
			continue;
		e.ino = FIRST_FILE + i;
		attributes(s, e.ino, &e.attr);
		fuse_reply_entry(req, &e);
		return;
	}
	fuse_reply_err(req, ENOENT);
}

static void
do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	attributes(session_of(req), ino, &st);
	fuse_reply_attr(req, &st, 3600);
}

static void
do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
    struct fuse_file_info *fi)
{
	struct session *s = session_of(req);
	char buf[4096], name[NAME_LEN + 8];
	size_t used = 0, n;

	(void)fi;
	(void)ino;
	if (size > sizeof buf)
		size = sizeof buf;
	for (unsigned i = (unsigned)offset; i < files_n(s); i++) {
		struct stat st;

		attributes(s, FIRST_FILE + i, &st);
		file_name(s, i, name, sizeof name);
		n = fuse_add_direntry(
		    req, buf + used, size - used, name, &st, i + 1);
		if (n > size - used)
			break;
		used += n;
	}
	fuse_reply_buf(req, buf, used);
}

static void
do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct dog *dog = dog_of(session_of(req), ino);
	enum area area;
	int bad = 0;

	if (dog != NULL)
		bad = dog_open(dog, &fi->fh);
	else if (port_of(session_of(req), ino, &area) == NULL)
		bad = EISDIR;
	if (bad != 0) {
		fuse_reply_err(req, bad);
		return;
	}
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

/* How much of a request lies in the file. */
static size_t
within(const struct port *p, enum area area, size_t len, off_t offset)
{
	uint64_t size = p->volume->size[area], at = (uint64_t)offset;

	if (at >= size)
		return 0;
	return len > size - at ? (size_t)(size - at) : len;
}

static void
do_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t offset,
    struct fuse_file_info *fi)
{
	static __thread char *buf;
	enum area area;
	struct port *p = port_of(session_of(req), ino, &area);
	int bad;

	(void)fi;
	if (buf == NULL)
		buf = malloc(IO_MAX);
	if (p == NULL || buf == NULL || len > IO_MAX) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	len = within(p, area, len, offset);
	bad = port_read(p, area, buf, len, (uint64_t)offset);
	if (bad != 0)
		fuse_reply_err(req, bad);
	else
		fuse_reply_buf(req, buf, len);
}

static void
do_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len,
    off_t offset, struct fuse_file_info *fi)
{
	struct dog *dog = dog_of(session_of(req), ino);
	enum area area;
	struct port *p = port_of(session_of(req), ino, &area);
	int bad;

	(void)fi;
	if (dog != NULL) {
		bad = dog_write(dog, buf, len);
		if (bad != 0)
			fuse_reply_err(req, bad);
		else
			fuse_reply_write(req, len);
		return;
	}
	if (p == NULL || within(p, area, len, offset) != len) {
		fuse_reply_err(req, ENOSPC);
		return;
	}
	bad = port_write(p, area, buf, len, (uint64_t)offset);
	if (bad != 0)
		fuse_reply_err(req, bad);
	else
		fuse_reply_write(req, len);
}

static void
do_fsync(
    fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	enum area area;
	struct port *p = port_of(session_of(req), ino, &area);

	(void)datasync;
	(void)fi;
	fuse_reply_err(req, p == NULL ? 0 : port_flush(p, area));
}

static void
do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct dog *dog = dog_of(session_of(req), ino);

	if (dog != NULL)
		dog_close(dog, fi->fh);
	fuse_reply_err(req, 0);
}

static void
do_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned command, void *arg,
    struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_len,
    size_t out_len)
{
	struct dog *dog = dog_of(session_of(req), ino);
	char out[256];
	size_t len = 0;
	int bad = ENOTTY;

	(void)arg;
	(void)fi;
	(void)flags;
	if (dog != NULL && in_len <= sizeof out && out_len <= sizeof out)
		bad = dog_control(dog, command, in, out, &len);
	if (bad != 0)
		fuse_reply_err(req, bad);
	else
		fuse_reply_ioctl(req, 0, out, len < out_len ? len : out_len);
}

static void
do_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	conn->max_write = IO_MAX;
	conn->max_read = IO_MAX;
	conn->max_background = AT_ONCE;
	conn->congestion_threshold = AT_ONCE;
	conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
}

static const struct fuse_lowlevel_ops ops = {
    .init = do_init,
    .lookup = do_lookup,
    .getattr = do_getattr,
    .readdir = do_readdir,
    .open = do_open,
    .read = do_read,
    .write = do_write,
    .fsync = do_fsync,
    .release = do_release,
    .ioctl = do_ioctl,
};

static void *
serve(void *arg)
{
	struct session *s = arg;
	struct fuse_loop_config *config = fuse_loop_cfg_create();

	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, AT_ONCE);
	fuse_loop_cfg_set_idle_threads(config, IDLE_THREADS);
	(void)fuse_session_loop_mt(s->fuse, config);
	fuse_loop_cfg_destroy(config);
	return NULL;
}

int
fs_start(struct session *s)
{
	char size[32];
	char *argv[] = {(char *)"san", (char *)"-o", size, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);

	snprintf(size, sizeof size, "max_read=%d", IO_MAX);
	s->fuse = fuse_session_new(&args, &ops, sizeof ops, s);
	fuse_opt_free_args(&args);
	if (s->fuse == NULL || fuse_session_mount(s->fuse, s->mountpoint) != 0)
		return -1;
	if (pthread_create(&s->thread, NULL, serve, s) != 0) {
		fuse_session_unmount(s->fuse);
		return -1;
	}
	return 0;
}

void
fs_stop(struct session *s)
{
	fuse_session_unmount(s->fuse);
}
