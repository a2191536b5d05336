/*
 * Dropping privileges. See hanfs/privs.h.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "hanfs/privs.h"

static void
find_user(const char *user, uid_t *uid, gid_t *gid)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL)
		fatal("there is no user '%s'%s%s: make it (useradd --system "
		      "%s), or name another one by 'user' in the "
		      "configuration",
		    user, errno != 0 ? ": " : "",
		    errno != 0 ? strerror(errno) : "", user);
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
}

static void
want(const int *keep, unsigned n)
{
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned i = 0; i < n; i++)
		if (capng_update(CAPNG_ADD,
			(capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
			(unsigned)keep[i]) == -1)
			fatal("capability %s cannot be kept",
			    capng_capability_to_name((unsigned)keep[i]));
}

/* The program would go on with more, or less, than it says: no. */
static void
assert_dropped(uint64_t expected, uid_t uid, gid_t gid)
{
	struct privs p;

	if (privs_read(0, &p) == -1)
		fatal("cannot read back the privileges: %s", strerror(errno));
	if (p.effective != expected || p.permitted != expected ||
	    p.inheritable != 0 || p.ambient != 0 || p.bounding != 0 ||
	    p.uid != uid || p.gid != gid || p.no_new_privs != 1)
		fatal("privileges are not as they should be: effective %" PRIx64
		      ", permitted %" PRIx64 ", bounding %" PRIx64
		      ", uid %u; expected %" PRIx64 " and uid %u",
		    p.effective, p.permitted, p.bounding, (unsigned)p.uid,
		    expected, (unsigned)uid);
	if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		fatal("could become root again");
}

/* Its own in /proc, opened before the root was emptied; else -1. */
static int own_status = -1;

/*
 * A directory that is made, opened and removed again: while it is somebody's
 * root it is there, but nothing can be put into it.
 */
static void
enter_empty_root(void)
{
	char dir[] = "/tmp/hanfs-empty.XXXXXX";
	int fd;

	own_status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (own_status == -1)
		fatal("/proc/self/status: %s", strerror(errno));
	if (mkdtemp(dir) == NULL)
		fatal("empty root directory %s: %s", dir, strerror(errno));
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rmdir(dir) == -1 || fd == -1 || fchdir(fd) == -1 ||
	    chroot(".") == -1 || chdir("/") == -1)
		fatal("empty root directory %s: %s", dir, strerror(errno));
	close(fd);
	if (access("/tmp", F_OK) == 0)
		fatal("the root directory is not empty");
}

static void
drop(const char *user, const int *keep, unsigned n, bool empty_root)
{
	uint64_t expected = 0;
	uid_t uid;
	gid_t gid;

	for (unsigned i = 0; i < n; i++)
		expected |= UINT64_C(1) << keep[i];
	find_user(user, &uid, &gid);
	if (geteuid() != 0)
		fatal("must be started as root, to give up what is not needed "
		      "and become '%s'",
		    user);
	want(keep, n);
	if (empty_root)
		enter_empty_root();
	if (uid != 0) {
		int rc = capng_change_id((int)uid, (int)gid,
		    CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);

		if (rc != 0)
			fatal("cannot become '%s' (capng_change_id: %d)", user,
			    rc);
	} else if (setgroups(0, NULL) == -1 ||
		   capng_apply(CAPNG_SELECT_BOTH) != 0)
		fatal("cannot give up capabilities: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("no_new_privs: %s", strerror(errno));
	/* Readable core dumps or ptrace by the same user are no matter; the
	 * files in /proc must be ours again. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	assert_dropped(expected, uid, gid);
}

void
privs_drop(const char *user, const int *keep, unsigned n)
{
	drop(user, keep, n, false);
}

void
privs_drop_in_empty_root(const char *user, const int *keep, unsigned n)
{
	drop(user, keep, n, true);
}

static void
read_line(const char *line, struct privs *out)
{
	unsigned a, b;

	sscanf(line, "CapEff: %" SCNx64, &out->effective);
	sscanf(line, "CapPrm: %" SCNx64, &out->permitted);
	sscanf(line, "CapInh: %" SCNx64, &out->inheritable);
	sscanf(line, "CapBnd: %" SCNx64, &out->bounding);
	sscanf(line, "CapAmb: %" SCNx64, &out->ambient);
	sscanf(line, "NoNewPrivs: %d", &out->no_new_privs);
	if (sscanf(line, "Uid: %u %u", &a, &b) == 2)
		out->uid = a;
	if (sscanf(line, "Gid: %u %u", &a, &b) == 2)
		out->gid = a;
}

static FILE *
open_status(pid_t pid)
{
	char path[64] = "/proc/self/status";
	int fd;

	if (pid == 0 && own_status != -1) {
		fd = dup(own_status);
		if (fd == -1)
			return NULL;
		lseek(fd, 0, SEEK_SET);
		return fdopen(fd, "r");
	}
	if (pid != 0)
		snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return fopen(path, "re");
}

int
privs_read(pid_t pid, struct privs *out)
{
	FILE *f = open_status(pid);
	char line[256];

	if (f == NULL)
		return -1;
	memset(out, 0, sizeof(*out));
	while (fgets(line, sizeof(line), f) != NULL)
		read_line(line, out);
	fclose(f);
	return 0;
}
