/*
 * A step done: as one system call, or by an NFS server. See cutload.h.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nfsc/libnfs.h>

#include "hanfs/clock.h"
#include "tests/cuts/cutload.h"

struct place {
	int dir;
	struct nfs_context *nfs; /* NULL: system calls */
	char path[32];
};

/* --- system calls */

static int
create(int dir, const char *path)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	return fd == -1 ? -1 : close(fd);
}

static int
cut_to(int dir, const char *path, uint64_t size)
{
	int fd = openat(dir, path, O_WRONLY), result;

	if (fd == -1)
		return -1;
	result = ftruncate(fd, (off_t)size);
	close(fd);
	return result;
}

static int
do_here(int dir, const struct step *s)
{
	switch (s->op) {
	case STEP_CREATE:
		return create(dir, s->a);
	case STEP_RENAME:
		return renameat(dir, s->a, dir, s->b);
	case STEP_TRUNCATE:
		return cut_to(dir, s->a, s->n);
	case STEP_CHMOD:
		return fchmodat(dir, s->a, (mode_t)s->n, 0);
	case STEP_LINK:
		return linkat(dir, s->a, dir, s->b, 0);
	case STEP_SYMLINK:
		return symlinkat("target", dir, s->a);
	case STEP_MKDIR:
		return mkdirat(dir, s->a, 0700);
	case STEP_RMDIR:
		return unlinkat(dir, s->a, AT_REMOVEDIR);
	case STEP_UNLINK:
		return unlinkat(dir, s->a, 0);
	}
	return -1;
}

/* --- an NFS server */

/* The server may be about to start. */
static void
mount_nfs(struct place *p, const char *url)
{
	enum { PATIENCE_MS = 20000 };
	uint64_t end = clock_now_ms() + PATIENCE_MS;

	for (;;) {
		struct nfs_url *u;

		p->nfs = nfs_init_context();
		u = p->nfs != NULL ? nfs_parse_url_dir(p->nfs, url) : NULL;
		if (u == NULL)
			errx(3, "%s: no URL of an NFS server", url);
		if (nfs_mount(p->nfs, u->server, u->path) == 0) {
			nfs_destroy_url(u);
			return;
		}
		if (clock_now_ms() > end)
			errx(3, "%s: %s", url, nfs_get_error(p->nfs));
		nfs_destroy_url(u);
		nfs_destroy_context(p->nfs);
		usleep(20000);
	}
}

static int
create_nfs(struct nfs_context *nfs, const char *path)
{
	struct nfsfh *fh;
	int result = nfs_creat(nfs, path, 0600, &fh);

	return result < 0 ? result : nfs_close(nfs, fh);
}

static int
do_there(struct place *p, const struct step *s)
{
	char a[80], b[80];

	snprintf(a, sizeof(a), "%s/%s", p->path, s->a);
	snprintf(b, sizeof(b), "%s/%s", p->path, s->b);
	switch (s->op) {
	case STEP_CREATE:
		return create_nfs(p->nfs, a);
	case STEP_RENAME:
		return nfs_rename(p->nfs, a, b);
	case STEP_TRUNCATE:
		return nfs_truncate(p->nfs, a, s->n);
	case STEP_CHMOD:
		return nfs_chmod(p->nfs, a, (int)s->n);
	case STEP_LINK:
		return nfs_link(p->nfs, a, b);
	case STEP_SYMLINK:
		return nfs_symlink(p->nfs, "target", a);
	case STEP_MKDIR:
		return nfs_mkdir2(p->nfs, a, 0700);
	case STEP_RMDIR:
		return nfs_rmdir(p->nfs, a);
	case STEP_UNLINK:
		return nfs_unlink(p->nfs, a);
	}
	return -EINVAL;
}

/* --- either */

struct place *
place_open(const char *mountpoint, const char *url, unsigned worker)
{
	struct place *p = calloc(1, sizeof(*p));
	char path[1024];

	if (p == NULL)
		errx(3, "no memory");
	snprintf(p->path, sizeof(p->path), "/w%02u", worker);
	if (url != NULL) {
		mount_nfs(p, url);
		return p;
	}
	snprintf(path, sizeof(path), "%s/export%s", mountpoint, p->path);
	p->dir = open(path, O_RDONLY | O_DIRECTORY);
	if (p->dir == -1)
		err(3, "%s", path);
	return p;
}

int
place_do(struct place *p, const struct step *s)
{
	int result;

	if (p->nfs != NULL) {
		result = do_there(p, s);
		return result < 0 ? -result : 0;
	}
	return do_here(p->dir, s) == -1 ? errno : 0;
}
