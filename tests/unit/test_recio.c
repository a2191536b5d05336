/*
 * Records over a real socket: whatever the peer's fragments and the
 * kernel's pieces are, what comes out is what went in, the pool gets all of
 * it back, and caps hold.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hanfs/cursor.h"
#include "hanfs/recio.h"

#include "tests/unit/recbed.h"

static uint8_t
pattern(unsigned rec, size_t at)
{
	return (uint8_t)(rec * 131 + at * 7 + (at >> 9));
}

static void
make_pair(int fd[2])
{
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
}

/* Writes record i of len bytes in fragments of random length. */
static void
send_record(int fd, unsigned i, size_t len, bool fragments)
{
	static uint8_t buf[REC_MAX + 4];
	size_t at = 0;

	do {
		size_t n = len - at;

		if (fragments && n > 1 && at < len / 2)
			n = 1 + (size_t)rand() % n;
		be32_put(buf, (uint32_t)n | (at + n == len ? 1u << 31 : 0));
		for (size_t k = 0; k < n; k++)
			buf[4 + k] = pattern(i, at + k);
		send_all(fd, buf, n + 4);
		at += n;
	} while (at < len);
}

static size_t
length_of(unsigned i)
{
	static const size_t len[] = {4, 100, 1023, 1024, 1025, 16384, 32767,
	    32768, 65536, 66560, 66561, 131072, 1048576 + 140, REC_MAX, 200};

	return len[i % (sizeof(len) / sizeof(len[0]))];
}

enum { NREC = 90 };

static pid_t
fork_sender(int fd[2], bool fragments)
{
	pid_t pid = fork();

	if (pid == 0) {
		close(fd[0]);
		srand(7);
		for (unsigned i = 0; i < NREC; i++)
			send_record(fd[1], i, length_of(i), fragments);
		_exit(0);
	}
	close(fd[1]);
	return pid;
}

/* Passes a record on through a writer and reads its bytes at the far end. */
static void
check_through(struct rec *r, unsigned i)
{
	struct rec_writer w;
	int fd[2];
	size_t at = 0, total = r->len + 4;
	static uint8_t got[REC_MAX + 4];

	make_pair(fd);
	rec_writer_init(&w);
	rec_writer_put(&w, r);
	while (at < total) {
		int rc = rec_writer_run(&w, fd[0]);
		ssize_t n;

		assert_int_not_equal(rc, -1);
		n = recv(fd[1], got + at, total - at, 0);
		assert_true(n > 0);
		at += (size_t)n;
	}
	assert_int_equal(rec_writer_run(&w, fd[0]), 0);
	assert_int_equal(w.queued, 0);
	assert_int_equal(be32_get(got), 1u << 31 | (total - 4));
	for (size_t k = 0; k < total - 4; k++)
		if (got[4 + k] != pattern(i, k))
			fail_msg("record %u differs at byte %zu", i, k);
	close(fd[0]);
	close(fd[1]);
}

static void
run(enum rec_store store, bool fragments)
{
	struct rec_pool *pool = rec_pool_new(&limits);
	struct rec_reader *rd = malloc(sizeof(*rd));
	struct rec_pool_use use;
	struct rec *r;
	unsigned i = 0;
	int fd[2], status;
	pid_t pid;

	assert_non_null(pool);
	make_pair(fd);
	pid = fork_sender(fd, fragments);
	rec_reader_init(rd, pool, store);
	for (;;) {
		enum rec_result res = rec_reader_run(rd, fd[0], &r);

		if (res == REC_AGAIN) {
			fd_set set;

			FD_ZERO(&set);
			FD_SET(fd[0], &set);
			select(fd[0] + 1, &set, NULL, NULL, NULL);
			continue;
		}
		if (res == REC_EOF)
			break;
		assert_int_equal(res, REC_DONE);
		assert_int_equal(r->len, length_of(i));
		check_through(r, i);
		rec_unref(r);
		i++;
	}
	assert_int_equal(i, NREC);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rec_reader_clear(rd);
	rec_pool_use(pool, &use);
	assert_int_equal(use.recs, 0);
	assert_int_equal(use.chunks, 0);
	assert_int_equal(use.pipes, 0);
	if (store == REC_STORE_PIPES)
		assert_true(use.pipes_max > 0);
	rec_pool_free(pool);
	free(rd);
	close(fd[0]);
}

static void
chunks_whole(void **state)
{
	(void)state;
	run(REC_STORE_CHUNKS, false);
}

static void
chunks_fragments(void **state)
{
	(void)state;
	run(REC_STORE_CHUNKS, true);
}

static void
pipes_whole(void **state)
{
	(void)state;
	run(REC_STORE_PIPES, false);
}

static void
pipes_fragments(void **state)
{
	(void)state;
	run(REC_STORE_PIPES, true);
}

static enum rec_result
feed(const void *p, size_t n, struct rec_pool_limits lim, bool shut)
{
	struct rec_pool *pool = rec_pool_new(&lim);
	struct rec_reader *rd = malloc(sizeof(*rd));
	struct rec *r = NULL;
	enum rec_result res;
	int fd[2];

	make_pair(fd);
	send_all(fd[1], p, n);
	if (shut)
		close(fd[1]);
	rec_reader_init(rd, pool, REC_STORE_CHUNKS);
	res = rec_reader_run(rd, fd[0], &r);
	rec_unref(r);
	rec_reader_clear(rd);
	free(rd);
	rec_pool_free(pool);
	close(fd[0]);
	if (!shut)
		close(fd[1]);
	return res;
}

static void
caps(void **state)
{
	uint8_t mark[4 * (REC_FRAGS_MAX + 2)] = {0};

	(void)state;
	be32_put(mark, 1u << 31 | (REC_MAX + 1));
	assert_int_equal(feed(mark, 4, limits, false), REC_BAD);
	be32_put(mark, 0x7fffffff);
	assert_int_equal(feed(mark, 4, limits, false), REC_BAD);
	memset(mark, 0, sizeof(mark)); /* empty fragments without end */
	assert_int_equal(feed(mark, sizeof(mark), limits, false), REC_BAD);
	be32_put(mark, 1u << 31 | 100);
	assert_int_equal(feed(mark, 50, limits, true), REC_CUT);
	assert_int_equal(feed(mark, 2, limits, true), REC_CUT);
	assert_int_equal(feed(mark, 50, limits, false), REC_AGAIN);
	assert_int_equal(feed(mark, 0, limits, true), REC_EOF);
}

/* A reader may take shorter records than others do. */
static void
own_cap(void **state)
{
	uint8_t marks[8], over[4];
	struct rec_pool *pool = rec_pool_new(&limits);
	struct rec_reader *rd = malloc(sizeof(*rd));
	struct rec *r = NULL;
	int fd[2];

	(void)state;
	be32_put(marks, 1u << 31 | 4);
	be32_put(marks + 4, 7);
	be32_put(over, 1u << 31 | 5);
	make_pair(fd);
	rec_reader_init(rd, pool, REC_STORE_CHUNKS);
	rd->len_max = 4;
	send_all(fd[1], marks, sizeof(marks));
	assert_int_equal(rec_reader_run(rd, fd[0], &r), REC_DONE);
	rec_unref(r);
	assert_int_equal(rec_reader_run(rd, fd[0], &r), REC_AGAIN);
	send_all(fd[1], over, sizeof(over));
	assert_int_equal(rec_reader_run(rd, fd[0], &r), REC_BAD);
	rec_reader_clear(rd);
	free(rd);
	rec_pool_free(pool);
	close(fd[0]);
	close(fd[1]);
}

/* With nothing left but the reserve, bulk waits and small records pass. */
static void
reserve(void **state)
{
	static uint8_t big[4 + 65536];
	struct rec_pool_limits lim = {
	    .recs = 2, .chunks = 4, .reserve = 4, .pipes = 0};

	(void)state;
	be32_put(big, 1u << 31 | 65536);
	assert_int_equal(feed(big, sizeof(big), lim, false), REC_WAIT);
	be32_put(big, 1u << 31 | 8000);
	assert_int_equal(feed(big, 8004, lim, false), REC_DONE);
	lim.recs = 0;
	assert_int_equal(feed(big, 8004, lim, false), REC_WAIT);
}

/* However a long record's first bytes come, its head is filled first. */
static void
head_first(void **state)
{
	enum { LEN = 40000 };
	static uint8_t buf[LEN + 4];
	struct rec_pool *pool = rec_pool_new(&limits);
	struct rec_reader *rd = malloc(sizeof(*rd));

	(void)state;
	be32_put(buf, 1u << 31 | LEN);
	for (unsigned i = 0; i < LEN; i++)
		buf[4 + i] = pattern(1, i);
	for (size_t first = 5; first < 1100; first += 73)
		for (int store = 0; store < 2; store++) {
			struct rec *r = NULL;
			int fd[2];

			make_pair(fd);
			rec_reader_init(rd, pool, (enum rec_store)store);
			send_all(fd[1], buf, first);
			assert_int_equal(
			    rec_reader_run(rd, fd[0], &r), REC_AGAIN);
			assert_int_equal(
			    rec_reader_run(rd, fd[0], &r), REC_AGAIN);
			send_all(fd[1], buf + first, sizeof(buf) - first);
			assert_int_equal(
			    rec_reader_run(rd, fd[0], &r), REC_DONE);
			assert_int_equal(r->head_len, REC_HEAD);
			check_through(r, 1);
			rec_unref(r);
			rec_reader_clear(rd);
			close(fd[0]);
			close(fd[1]);
		}
	free(rd);
	rec_pool_free(pool);
}

/*
 * Ten peers begin long records at once where there is room for two: those
 * that were begun come to their end, the others wait for them.
 */
static void
begun_is_finished(void **state)
{
	enum { N = 10, LEN = 1 << 20 };
	struct rec_pool_limits lim = {
	    .recs = N, .chunks = 40, .reserve = 2, .pipes = 0};
	struct rec_pool *pool = rec_pool_new(&lim);
	static uint8_t buf[LEN + 4];
	struct rec_reader *rd[N];
	struct rec *r;
	int fd[N][2], done = 0, waiting = 0;

	(void)state;
	be32_put(buf, 1u << 31 | LEN);
	for (int i = 0; i < N; i++) {
		make_pair(fd[i]);
		rd[i] = malloc(sizeof(*rd[i]));
		rec_reader_init(rd[i], pool, REC_STORE_CHUNKS);
		send_all(fd[i][1], buf, 100000);
		waiting += rec_reader_run(rd[i], fd[i][0], &r) == REC_WAIT;
	}
	assert_int_equal(waiting, N - 2);
	for (int i = 0; i < N; i++) {
		size_t at = 100000;
		enum rec_result res = rec_reader_run(rd[i], fd[i][0], &r);

		while (res == REC_AGAIN) {
			send_all(fd[i][1], buf + at, 4);
			at += 4;
			if (at < sizeof(buf)) {
				size_t n = sizeof(buf) - at;

				n = n < 60000 ? n : 60000;
				send_all(fd[i][1], buf + at, n);
				at += n;
			}
			res = rec_reader_run(rd[i], fd[i][0], &r);
		}
		assert_int_equal(res, REC_DONE);
		assert_int_equal(r->len, LEN);
		rec_unref(r);
		done++;
	}
	assert_int_equal(done, N);
	for (int i = 0; i < N; i++) {
		rec_reader_clear(rd[i]);
		free(rd[i]);
		close(fd[i][0]);
		close(fd[i][1]);
	}
	rec_pool_free(pool);
}

static void
append_and_copy(void **state)
{
	struct rec_pool *pool = rec_pool_new(&limits);
	struct rec *r = rec_new(pool);
	uint8_t buf[3000], back[3000];

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = pattern(3, i);
	for (int i = 0; i < 50; i++)
		assert_int_equal(rec_append(r, buf, sizeof(buf)), 0);
	assert_int_equal(r->len, 150000);
	for (size_t at = 0; at < 150000; at += 3000) {
		assert_int_equal(rec_copy_out(r, at, back, 3000), 3000);
		assert_memory_equal(buf, back, 3000);
	}
	assert_int_equal(rec_copy_out(r, 149999, back, 3000), 1);
	assert_int_equal(rec_copy_out(r, 150000, back, 3000), 0);
	assert_true(rec_footprint(r) >= 150000);
	rec_unref(r);
	rec_pool_free(pool);
}

static void
expect(int fd, size_t from, size_t n, size_t len)
{
	static uint8_t got[REC_MAX + 4];
	size_t at = 0;

	while (at < n) {
		ssize_t k = recv(fd, got + at, n - at, MSG_DONTWAIT);

		if (k <= 0)
			fail_msg("%zu bytes of %zu came", at, n);
		at += (size_t)k;
	}
	for (size_t k = 0; k < n; k++) {
		uint8_t mark[4];

		be32_put(mark, (uint32_t)len | 1u << 31);
		if (got[k] != (from + k < 4 ? mark[from + k]
					    : pattern(1, from + k - 4)))
			fail_msg("byte %zu differs", from + k);
	}
}

/* A record goes on while the rest of it is not there yet. */
static void
pass(enum rec_store store)
{
	enum { LEN = 100000, HALF = 60000 };
	struct rec_pool *pool = rec_pool_new(&limits);
	struct rec_reader *rd = malloc(sizeof(*rd));
	struct rec_writer w;
	struct rec_pool_use use;
	static uint8_t buf[LEN + 4];
	struct rec *r, *small = rec_from(pool, "behind", 6);
	int in[2], out[2];

	make_pair(in);
	make_pair(out);
	rec_reader_init(rd, pool, store);
	rec_writer_init(&w);
	be32_put(buf, LEN | 1u << 31);
	for (size_t k = 0; k < LEN; k++)
		buf[4 + k] = pattern(1, k);
	send_all(in[1], buf, 500);
	assert_int_equal(rec_reader_run(rd, in[0], &r), REC_AGAIN);
	assert_null(rec_reader_begun(rd)); /* its head is not full */
	send_all(in[1], buf + 500, HALF - 500);
	assert_int_equal(rec_reader_run(rd, in[0], &r), REC_AGAIN);
	r = rec_reader_begun(rd);
	assert_non_null(r);
	rec_writer_put(&w, r);
	rec_writer_put(&w, small);
	assert_int_equal(w.queued, LEN + 4 + 6 + 4);
	assert_int_equal(rec_writer_run(&w, out[0]), 0);
	expect(out[1], 0, HALF, LEN);
	assert_int_equal(rec_writer_run(&w, out[0]), 0); /* nothing new */
	send_all(in[1], buf + HALF, LEN + 4 - HALF);
	assert_int_equal(rec_reader_run(rd, in[0], &r), REC_DONE);
	assert_int_equal(rec_writer_run(&w, out[0]), 0);
	expect(out[1], HALF, LEN + 4 - HALF, LEN);
	assert_int_equal(recv(out[1], buf, sizeof(buf), 0), 10);
	assert_memory_equal(buf + 4, "behind", 6);
	assert_int_equal(w.queued, 0);
	rec_unref(r);
	rec_unref(small);

	/* One that never gets whole gives back all it had. */
	be32_put(buf, LEN | 1u << 31);
	send_all(in[1], buf, HALF);
	while (rec_reader_begun(rd) == NULL)
		assert_int_equal(rec_reader_run(rd, in[0], &r), REC_AGAIN);
	rec_writer_put(&w, rec_reader_begun(rd));
	assert_int_equal(rec_writer_run(&w, out[0]), 0);
	rec_writer_clear(&w);
	rec_reader_clear(rd);
	rec_pool_use(pool, &use);
	assert_int_equal(use.recs + use.chunks + use.pipes, 0);
	rec_pool_free(pool);
	free(rd);
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
}

static void
pass_chunks(void **state)
{
	(void)state;
	pass(REC_STORE_CHUNKS);
}

static void
pass_pipes(void **state)
{
	(void)state;
	pass(REC_STORE_PIPES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chunks_whole),
	    cmocka_unit_test(chunks_fragments),
	    cmocka_unit_test(pipes_whole),
	    cmocka_unit_test(pipes_fragments),
	    cmocka_unit_test(caps),
	    cmocka_unit_test(own_cap),
	    cmocka_unit_test(reserve),
	    cmocka_unit_test(head_first),
	    cmocka_unit_test(begun_is_finished),
	    cmocka_unit_test(pass_chunks),
	    cmocka_unit_test(pass_pipes),
	    cmocka_unit_test(append_and_copy),
	};

	return cmocka_run_group_tests_name("recio", tests, NULL, NULL);
}
