/*
 * Giving up privileges: what /proc/PID/status says of a child that did, and
 * that it cannot take anything back. Only root has something to give up.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "hanfs/log.h"
#include "hanfs/privs.h"
#include "unit.h"

#include "capture.h"

#define USER "nobody"

enum { RAW = CAP_NET_RAW, BIND = CAP_NET_BIND_SERVICE };

/* Bits of a child's exit status: what it could still do. */
enum { SETUID = 1, SETGID = 2, GROUPS = 4, CHROOT = 8, SEES_TMP = 16 };

static unsigned
what_it_can(void)
{
	unsigned can = 0;

	if (setuid(0) == 0 || seteuid(0) == 0 || setresuid(0, 0, 0) == 0)
		can |= SETUID;
	if (setgid(0) == 0)
		can |= SETGID;
	if (setgroups(0, NULL) == 0 || getgroups(0, NULL) != 0)
		can |= GROUPS;
	if (chroot("/") == 0)
		can |= CHROOT;
	if (access("/tmp", F_OK) == 0)
		can |= SEES_TMP;
	return can;
}

/*
 * A child gives up all but keep[]. Its privileges as seen from here while it
 * lives go to *seen; the result is what it could still do, by its own word.
 */
static unsigned
in_child(const char *user, const int *keep, unsigned n, bool empty_root,
    struct privs *seen)
{
	int ready[2], go[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		close(go[1]);
		if (empty_root)
			privs_drop_in_empty_root(user, keep, n);
		else
			privs_drop(user, keep, n);
		if (write(ready[1], "", 1) != 1 || read(go[0], &byte, 1) != 0)
			_exit(255);
		_exit((int)what_it_can());
	}
	close(ready[1]);
	close(go[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(privs_read(pid, seen), 0);
	close(go[1]);
	close(ready[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return (unsigned)WEXITSTATUS(status);
}

static void
assert_exactly(const struct privs *p, uint64_t capabilities)
{
	assert_int_equal(p->effective, capabilities);
	assert_int_equal(p->permitted, capabilities);
	assert_int_equal(p->inheritable, 0);
	assert_int_equal(p->ambient, 0);
	assert_int_equal(p->bounding, 0);
	assert_int_equal(p->no_new_privs, 1);
}

static void
needs_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void
one_is_kept(void **state)
{
	static const int keep[] = {RAW};
	const struct passwd *pw = getpwnam(USER);
	struct privs p;

	(void)state;
	needs_root();
	assert_non_null(pw);
	assert_int_equal(in_child(USER, keep, 1, false, &p), SEES_TMP);
	assert_exactly(&p, UINT64_C(1) << RAW);
	assert_int_equal(p.uid, pw->pw_uid);
	assert_int_equal(p.gid, pw->pw_gid);
}

static void
two_are_kept(void **state)
{
	static const int keep[] = {BIND, RAW};
	struct privs p;

	(void)state;
	needs_root();
	in_child(USER, keep, 2, false, &p);
	assert_exactly(&p, UINT64_C(1) << RAW | UINT64_C(1) << BIND);
}

static void
none_is_kept(void **state)
{
	struct privs p;

	(void)state;
	needs_root();
	assert_int_equal(in_child(USER, NULL, 0, false, &p), SEES_TMP);
	assert_exactly(&p, 0);
}

static void
root_is_emptied(void **state)
{
	static const int keep[] = {RAW};
	struct privs p;

	(void)state;
	needs_root();
	assert_int_equal(in_child(USER, keep, 1, true, &p), 0);
	assert_exactly(&p, UINT64_C(1) << RAW);
}

/* "root" keeps the uid and nothing else. */
static void
root_without_capabilities(void **state)
{
	static const int keep[] = {BIND};
	struct privs p;
	unsigned can;

	(void)state;
	needs_root();
	can = in_child("root", keep, 1, false, &p);
	assert_exactly(&p, UINT64_C(1) << BIND);
	assert_int_equal(p.uid, 0);
	assert_int_equal(can & (GROUPS | CHROOT), 0);
}

/* In an empty root, too, a program can look at itself. */
static void
reads_itself(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	needs_root();
	pid = fork();
	if (pid == 0) {
		static const int keep[] = {RAW};
		struct privs p;

		privs_drop_in_empty_root(USER, keep, 1);
		_exit(privs_read(0, &p) == 0 && p.uid != 0 &&
			p.effective == UINT64_C(1) << RAW ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Ends, with a message that has `says`; run with uid of `as`. */
static void
assert_refused(const char *user, uid_t as, const char *says)
{
	static const int keep[] = {RAW};
	struct capture c;
	int status;
	pid_t pid;

	capture_start(&c, STDERR_FILENO);
	pid = fork();
	if (pid == 0) {
		if (as != 0 && setresuid(as, as, as) == -1)
			_exit(0);
		privs_drop(user, keep, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	capture_stop(&c);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_non_null(strstr(c.text, says));
}

static void
unknown_user(void **state)
{
	(void)state;
	assert_refused("no-such-user-here", 0, "no user 'no-such-user-here'");
}

static void
not_started_as_root(void **state)
{
	(void)state;
	needs_root();
	assert_refused(USER, 65534, "must be started as root");
}

/* What cannot be kept is not started without it. */
static void
capability_is_missing(void **state)
{
	static const int keep[] = {RAW};
	struct capture c;
	int status;
	pid_t pid;

	(void)state;
	needs_root();
	capture_start(&c, STDERR_FILENO);
	pid = fork();
	if (pid == 0) {
		struct __user_cap_header_struct head = {
		    _LINUX_CAPABILITY_VERSION_3, 0};
		struct __user_cap_data_struct data[2];

		syscall(SYS_capget, &head, data);
		for (int i = 0; i < 2; i++)
			data[i].permitted = data[i].effective &=
			    i == 0 ? ~(1u << RAW) : ~0u;
		if (syscall(SYS_capset, &head, data) == -1)
			_exit(0);
		privs_drop(USER, keep, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	capture_stop(&c);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_true(c.text[0] != '\0');
}

static void
no_such_process(void **state)
{
	struct privs p;

	(void)state;
	assert_int_equal(privs_read(0x7fffffff, &p), -1);
	assert_int_equal(errno, ENOENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_is_kept),
	    cmocka_unit_test(two_are_kept),
	    cmocka_unit_test(none_is_kept),
	    cmocka_unit_test(root_is_emptied),
	    cmocka_unit_test(root_without_capabilities),
	    cmocka_unit_test(reads_itself),
	    cmocka_unit_test(unknown_user),
	    cmocka_unit_test(not_started_as_root),
	    cmocka_unit_test(capability_is_missing),
	    cmocka_unit_test(no_such_process),
	};

	log_open("test_privs", LOG_LEVEL_ERR);
	return cmocka_run_group_tests_name("privs", tests, NULL, NULL);
}
