/*
 * The tree of a volume that is to be formatted. See format.h and volform.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "server-agent/format.h"
#include "server-agent/store.h"

static int
say(const char *what)
{
	log_err("%s: %s", what, strerror(errno));
	return -1;
}

static int
open_dir(int at, const char *name)
{
	return openat(
	    at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* --- flags of inodes */

static int
set_immutable(int fd, bool on)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == -1)
		return -1;
	flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int
set_immutable_at(int at, const char *name, bool on)
{
	int fd = open_dir(at, name), result;

	if (fd == -1)
		return -1;
	result = set_immutable(fd, on);
	close(fd);
	return result;
}

/* Quotas of a project must never meet the log: project 0, not inherited. */
static int
leave_projects(int fd)
{
	struct fsxattr x;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &x) == -1)
		return -1;
	if (x.fsx_projid == 0 && !(x.fsx_xflags & FS_XFLAG_PROJINHERIT))
		return 0;
	x.fsx_projid = 0;
	x.fsx_xflags &= ~(uint32_t)FS_XFLAG_PROJINHERIT;
	return ioctl(fd, FS_IOC_FSSETXATTR, &x);
}

/* --- what lies at the root */

static bool
is_stranger(const char *name)
{
	static const char *const known[] = {
	    ".", "..", "lost+found", VOLFORM_DIR, VOLFORM_EXPORT};

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i]) == 0)
			return false;
	return true;
}

static DIR *
list(int at)
{
	int fd = open_dir(at, ".");
	DIR *d = fd == -1 ? NULL : fdopendir(fd);

	if (d == NULL && fd != -1)
		close(fd);
	return d;
}

int
format_tree_strangers(int root, unsigned *n, char *first, size_t size)
{
	struct dirent *e;
	DIR *d = list(root);

	*n = 0;
	if (d == NULL)
		return say("the root of the file system");
	while ((e = readdir(d)) != NULL)
		if (is_stranger(e->d_name) && (*n)++ == 0)
			snprintf(first, size, "%s", e->d_name);
	closedir(d);
	return 0;
}

/* A rename each: no data is copied, no file changes. */
static int
adopt_all(int root, int export)
{
	struct dirent *e;
	DIR *d = list(root);
	unsigned moved = 0;
	int result = 0;

	if (d == NULL)
		return say("the root of the file system");
	while (result == 0 && (e = readdir(d)) != NULL) {
		if (!is_stranger(e->d_name))
			continue;
		if (renameat2(root, e->d_name, export, e->d_name,
			RENAME_NOREPLACE) == -1) {
			log_err("%s cannot be moved into %s/: %s%s", e->d_name,
			    VOLFORM_EXPORT, strerror(errno),
			    errno == EEXIST
				? "; one of that name is there: rename it"
				: "");
			result = -1;
		} else {
			moved++;
			rewinddir(d);
		}
	}
	closedir(d);
	if (moved > 0)
		log_notice(
		    "%u moved from the root into %s/", moved, VOLFORM_EXPORT);
	return result;
}

/* The exported directory gets the owner and mode that the root had, if that
 * was what was exported. */
static int
make_export(int root, bool adopt)
{
	struct stat st;
	int fd, result = 0;

	if (fstat(root, &st) == -1)
		return say("the root of the file system");
	if (mkdirat(root, VOLFORM_EXPORT, 0755) == 0) {
		fd = open_dir(root, VOLFORM_EXPORT);
		if (fd == -1 || fchown(fd, st.st_uid, st.st_gid) == -1 ||
		    fchmod(fd, adopt ? st.st_mode & 07777 : 0755) == -1)
			result = say(VOLFORM_EXPORT);
	} else if (errno == EEXIST) {
		fd = open_dir(root, VOLFORM_EXPORT);
		if (fd == -1)
			result = say(VOLFORM_EXPORT);
	} else {
		return say(VOLFORM_EXPORT);
	}
	if (result == 0 && adopt)
		result = adopt_all(root, fd);
	if (fd != -1)
		close(fd);
	return result;
}

/* --- .hanfs */

/* Removes the files of an old log, and what says that there is one. */
static int
empty_log(int root, int log)
{
	struct dirent *e;
	DIR *d;

	if (unlinkat(root, VOLFORM_FILE, 0) == -1 && errno != ENOENT)
		return say(VOLFORM_FILE);
	d = list(log);
	if (d == NULL)
		return say(VOLFORM_LOG);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (unlinkat(log, e->d_name, 0) == -1) {
			closedir(d);
			return say(e->d_name);
		}
	}
	closedir(d);
	return 0;
}

static int
make_file(int log, const char *name, const uint8_t *value)
{
	int fd = openat(log, name,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int result = 0;

	if (fd == -1)
		return say(name);
	if (value != NULL &&
	    fsetxattr(fd, STORE_XATTR, value, LOGSLOT_LEN, XATTR_CREATE) == -1)
		result = say(name);
	close(fd);
	return result;
}

static int
make_slots(int log, const struct volform *v)
{
	uint8_t value[LOGSLOT_LEN];
	char name[VOLFORM_SLOT_NAME];

	for (uint32_t i = 0; i < v->slots; i++) {
		volform_slot_name(name, i);
		logrec_encode_free(v->id, i, 0, 0, value);
		if (make_file(log, name, value) == -1)
			return -1;
	}
	return make_file(log, VOLFORM_SENTINEL, NULL);
}

/* With the directories immutable, a slot must still take a value. */
static int
try_slot(int log, const struct volform *v)
{
	uint8_t value[LOGSLOT_LEN];
	char name[VOLFORM_SLOT_NAME];
	int fd, result = 0;

	volform_slot_name(name, 0);
	logrec_encode_free(v->id, 0, 0, 0, value);
	fd = openat(log, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return say(name);
	if (fsetxattr(fd, STORE_XATTR, value, LOGSLOT_LEN, XATTR_REPLACE) == -1)
		result = say("a slot does not take a value");
	close(fd);
	return result;
}

/* All may be there already, from a run that was broken off. */
static int
make_dirs(int root)
{
	static const char *const dirs[] = {
	    VOLFORM_DIR, VOLFORM_STATE, VOLFORM_LOG};
	int fd;

	if (set_immutable(root, false) == -1)
		return say("chattr -i of the root");
	for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (mkdirat(root, dirs[i], 0700) == -1 && errno != EEXIST)
			return say(dirs[i]);
		fd = open_dir(root, dirs[i]);
		if (fd == -1)
			return say(dirs[i]);
		if (set_immutable(fd, false) == -1 ||
		    leave_projects(fd) == -1) {
			close(fd);
			return say(dirs[i]);
		}
		close(fd);
	}
	return 0;
}

static int
make_immutable(int root)
{
	if (set_immutable_at(root, VOLFORM_LOG, true) == -1 ||
	    set_immutable_at(root, VOLFORM_DIR, true) == -1 ||
	    set_immutable(root, true) == -1)
		return say("chattr +i");
	return 0;
}

int
format_tree_make(int root, const struct volform *v, bool adopt)
{
	int log, result;

	if (make_dirs(root) == -1)
		return -1;
	log = open_dir(root, VOLFORM_LOG);
	if (log == -1)
		return say(VOLFORM_LOG);
	result = empty_log(root, log);
	if (result == 0)
		result = make_export(root, adopt);
	if (result == 0)
		result = make_slots(log, v);
	if (result == 0 && syncfs(root) == -1)
		result = say("syncfs");
	if (result == 0 && volform_write_at(root, v) == -1)
		result = say(VOLFORM_FILE);
	if (result == 0)
		result = make_immutable(root);
	if (result == 0)
		result = try_slot(log, v);
	if (result == 0 && syncfs(root) == -1)
		result = say("syncfs");
	close(log);
	return result;
}
