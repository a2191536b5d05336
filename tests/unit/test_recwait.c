/*
 * How long a patient reader of records waits on a TCP socket: for much of a
 * long record, never for what does not come.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hanfs/cursor.h"
#include "hanfs/recio.h"

#include "tests/unit/recbed.h"

static void
make_tcp_pair(int fd[2])
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(l, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&sin, &len), 0);
	fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[1], (struct sockaddr *)&sin, len), 0);
	fd[0] = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd[0] != -1);
	close(l);
}

static int
readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms);
}

static uint32_t
unread(int fd, uint32_t n)
{
	int have = 0;

	/* Loopback is slow on a busy machine; until it is all there. */
	for (int i = 0; i < 5000 && (uint32_t)have < n; i++) {
		assert_int_equal(ioctl(fd, FIONREAD, &have), 0);
		poll(NULL, 0, 1);
	}
	return (uint32_t)have;
}

/* Of a long record so much is waited for; never for what does not come. */
static void
patience(void **state)
{
	enum { LEN = RECIO_LOW + 60000, FIRST = 40000, MORE = 50000 };
	struct rec_pool *pool = rec_pool_new(&limits);
	struct rec_reader *rd = malloc(sizeof(*rd));
	static uint8_t buf[LEN + 4];
	struct rec *r;
	int fd[2];

	(void)state;
	make_tcp_pair(fd);
	rec_reader_init(rd, pool, REC_STORE_PIPES);
	rd->patient = true;
	for (int turn = 0; turn < 2; turn++) {
		be32_put(buf, LEN | 1u << 31);
		send_all(fd[1], buf, FIRST);
		assert_int_equal(unread(fd[0], FIRST), FIRST);
		while (rd->bytes < (uint64_t)turn * (LEN + 4) + FIRST)
			assert_int_equal(
			    rec_reader_run(rd, fd[0], &r), REC_AGAIN);
		assert_int_equal(rd->low, RECIO_LOW);
		send_all(fd[1], buf + FIRST, MORE);
		assert_int_equal(unread(fd[0], MORE), MORE);
		assert_int_equal(readable(fd[0], 0), 0); /* not worth it */
		if (turn == 1)
			break;
		send_all(fd[1], buf + FIRST + MORE, LEN + 4 - FIRST - MORE);
		assert_int_equal(readable(fd[0], 5000), 1);
		while (rec_reader_run(rd, fd[0], &r) == REC_AGAIN)
			assert_int_equal(readable(fd[0], 5000), 1);
		assert_int_equal(r->len, LEN);
		rec_unref(r);
		assert_int_equal(rec_reader_run(rd, fd[0], &r), REC_AGAIN);
		assert_int_equal(rd->low, 1); /* the next may be short */
	}
	rd->patient = false;
	while (rd->low > 1)
		assert_int_equal(rec_reader_run(rd, fd[0], &r), REC_AGAIN);
	send_all(fd[1], buf, 1);
	assert_int_equal(readable(fd[0], 5000), 1);
	rd->patient = true;
	while (rd->low == 1)
		assert_int_equal(rec_reader_run(rd, fd[0], &r), REC_AGAIN);
	close(fd[1]); /* inside the record */
	assert_int_equal(readable(fd[0], 5000), 1);
	assert_int_equal(rec_reader_run(rd, fd[0], &r), REC_CUT);
	rec_reader_clear(rd);
	rec_pool_free(pool);
	free(rd);
	close(fd[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(patience),
	};

	return cmocka_run_group_tests_name("recwait", tests, NULL, NULL);
}
