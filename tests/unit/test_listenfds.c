/* Sockets handed over by whoever started the program. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hanfs/listenfds.h"
#include "hanfs/log.h"
#include "unit.h"

enum { AT = 200 }; /* nothing else is open from here on */

static void
test_count(void **state)
{
	static const struct {
		const char *pid, *fds;
		int n;
	} of[] = {
	    {"77", "1", 1},
	    {"77", "1024", 1024},
	    {"77", "0", 0},
	    {NULL, "1", 0},
	    {"77", NULL, 0},
	    {"78", "1", 0},
	    {"78", "nonsense", 0}, /* not ours to judge */
	    {"", "1", -1},
	    {"77x", "1", -1},
	    {" 77", "1", -1},
	    {"-77", "1", -1},
	    {"0", "1", -1},
	    {"4294967373", "1", -1}, /* 77 in 32 bits */
	    {"77", "", -1},
	    {"77", "-1", -1},
	    {"77", "2 ", -1},
	    {"77", "1025", -1},
	    {"77", "18446744073709551617", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		assert_int_equal(
		    listenfds_count(of[i].pid, of[i].fds, 77), of[i].n);
}

/* A socket on a free port of 127.0.0.host, as descriptor `as`. */
static struct hanfs_addr
put(int as, int host, int type, bool listening)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (uint32_t)host)};
	socklen_t len = sizeof(sin);
	struct hanfs_addr addr;
	int fd = socket(AF_INET, type, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	if (listening)
		assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	assert_int_equal(dup2(fd, as), as);
	close(fd);
	addr_from_sockaddr(&addr, (struct sockaddr *)&sin, len);
	return addr;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void
test_match(void **state)
{
	static struct listenfds l;
	struct hanfs_addr one = put(AT, 1, SOCK_STREAM, true);
	struct hanfs_addr two = put(AT + 1, 2, SOCK_STREAM, true);
	struct hanfs_addr other = one;

	(void)state;
	put(AT + 2, 3, SOCK_STREAM, true);
	listenfds_take(&l, AT, 3);
	assert_int_equal(l.n, 3);
	for (int fd = AT; fd < AT + 3; fd++) {
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	}
	other.port ^= 1;
	assert_int_equal(listenfds_give(&l, &other), -1);
	assert_int_equal(listenfds_give(&l, &two), AT + 1);
	assert_int_equal(listenfds_give(&l, &one), AT);
	assert_int_equal(listenfds_give(&l, &one), -1); /* once only */
	assert_int_equal(listenfds_close(&l), 1);
	assert_true(is_open(AT) && is_open(AT + 1));
	assert_false(is_open(AT + 2));
	assert_int_equal(listenfds_close(&l), 0);
	close(AT);
	close(AT + 1);
}

static void
test_unusable(void **state)
{
	static struct listenfds l;
	struct hanfs_addr good;
	int ends[2];

	(void)state;
	put(AT, 1, SOCK_DGRAM, false);
	put(AT + 1, 1, SOCK_STREAM, false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(dup2(ends[0], AT + 2), AT + 2);
	assert_int_equal(dup2(STDERR_FILENO, AT + 3), AT + 3);
	/* AT + 4: promised, but not there */
	good = put(AT + 5, 1, SOCK_STREAM, true);
	listenfds_take(&l, AT, 6);
	assert_int_equal(l.n, 1);
	for (int fd = AT; fd < AT + 5; fd++)
		assert_false(is_open(fd));
	assert_int_equal(listenfds_give(&l, &good), AT + 5);
	close(AT + 5);
	close(ends[0]);
	close(ends[1]);
}

/* In a process of its own: the descriptors begin at 3. */
static void
test_receive(void **state)
{
	static struct listenfds l;
	struct hanfs_addr addr;
	char pid[32];
	int status;

	(void)state;
	if (fork() == 0) {
		addr = put(AT, 1, SOCK_STREAM, true);
		dup2(AT, LISTENFDS_FIRST);
		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "1", 1);
		setenv("LISTEN_FDNAMES", "hanfs-proxy.socket", 1);
		listenfds_receive(&l);
		if (getenv("LISTEN_PID") != NULL ||
		    getenv("LISTEN_FDS") != NULL ||
		    getenv("LISTEN_FDNAMES") != NULL)
			_exit(1);
		if (listenfds_give(&l, &addr) != LISTENFDS_FIRST)
			_exit(2);
		listenfds_receive(&l); /* nothing is said now */
		_exit(l.n == 0 ? 0 : 3);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_count),
	    cmocka_unit_test(test_match),
	    cmocka_unit_test(test_unusable),
	    cmocka_unit_test(test_receive),
	};

	log_open("test_listenfds", LOG_LEVEL_ERR);
	return cmocka_run_group_tests_name("listenfds", tests, NULL, NULL);
}
