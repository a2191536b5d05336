/*
 * Giving up what a program does not need, with libcap-ng, and making sure.
 */
#ifndef HANFS_PRIVS_H
#define HANFS_PRIVS_H

#include <linux/capability.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Becomes `user` (its uid and primary group, no further groups) and keeps
 * the n capabilities in keep[] (CAP_* numbers) and no other: effective and
 * permitted are exactly these, inheritable, ambient and bounding set are
 * empty; no_new_privs is set. user "root" keeps the uid. Then it reads all
 * of that back, tries to become root again, and ends the program when
 * anything is not as it should be. For start-up, with one thread.
 */
void privs_drop(const char *user, const int *keep, unsigned n);

/*
 * As privs_drop, and on the way the root directory becomes an empty one that
 * no longer exists, so that nothing can be found or made in it. What the
 * program still needs of the file system it must have open: a descriptor of
 * a directory reaches what is in there by openat(2).
 */
void privs_drop_in_empty_root(const char *user, const int *keep, unsigned n);

/* What /proc/PID/status says of a process; for tests and self-checks. */
struct privs {
	uint64_t effective, permitted, inheritable, bounding, ambient;
	uid_t uid;
	gid_t gid;
	int no_new_privs;
};
/* pid 0: ourselves, also in an empty root. 0, or -1 with errno. */
int privs_read(pid_t pid, struct privs *out);

#endif
