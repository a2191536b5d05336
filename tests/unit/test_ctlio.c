/*
 * ctlio: two servers on one control area, over real files: reads, writes,
 * pings, wishes; and a disk that does not answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "hanfs/clock.h"
#include "server-agent/ctlio.h"
#include "unit.h"

#define PATIENCE_MS 10000

static char path[32];
static char error[CTL_ERROR_LEN];

static int
make_area(void **state)
{
	struct ctl_format f = {.path = path,
	    .cluster = "office",
	    .volume = "home",
	    .volume_id = 1,
	    .server_id = {11, 12, 13},
	    .server = {"s1", "s2", "s3"}};
	int fd;

	(void)state;
	strcpy(path, "ctlio.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, CTL_AREA_SIZE) < 0)
		return -1;
	close(fd);
	return ctlarea_format(&f, error);
}

static int
remove_area(void **state)
{
	(void)state;
	return unlink(path);
}

static struct ctlio_config
config_of(uint32_t server)
{
	struct ctlio_config cfg = {.want = {.path = path,
				       .cluster = "office",
				       .volume = "home",
				       .volume_id = 1,
				       .server_id = server},
	    .boot = 100 + server,
	    .mail_ms = 5,
	    .stall_ms = 2000,
	    .rt_priority = 1};

	return cfg;
}

static struct ctlio *
open_io(uint32_t server)
{
	struct ctlio_config cfg = config_of(server);
	struct ctlio *io = ctlio_open(&cfg, error);

	if (io == NULL)
		fail_msg("%s", error);
	return io;
}

/* The next event, waited for. */
static struct ctlio_done
next(struct ctlio *io)
{
	struct pollfd pfd = {.fd = ctlio_fd(io), .events = POLLIN};
	uint64_t until = clock_now_ms() + PATIENCE_MS;
	struct ctlio_done done;

	while (!ctlio_next(io, &done)) {
		assert_true(clock_now_ms() < until);
		(void)poll(&pfd, 1, 100);
	}
	return done;
}

static void
write_lease(struct ctlio *io, const struct ctl_lease *lease)
{
	struct ctlio_done done;
	uint64_t before = clock_now_ms();

	assert_true(ctlio_write(io, lease));
	done = next(io);
	assert_int_equal(done.what, CTLIO_WRITE);
	assert_int_equal(done.error, 0);
	assert_true(done.issued_ms >= before);
	assert_true(done.done_ms >= done.issued_ms);
}

static void
test_slots(void **state)
{
	struct ctlio *one = open_io(11), *two = open_io(12);
	struct ctl_lease lease = {.seq = 1,
	    .server_id = 12,
	    .holding = CTL_HELD,
	    .owned_epoch = 3,
	    .owned_ballot = 9};
	struct ctlio_stats stats;
	struct ctlio_done done;

	(void)state;
	assert_int_equal(ctlio_slot(one), 0);
	assert_int_equal(ctlio_slot(two), 1);
	write_lease(two, &lease);
	assert_true(ctlio_read(one));
	done = next(one);
	assert_int_equal(done.what, CTLIO_READ);
	assert_int_equal(done.error, 0);
	assert_int_equal(done.slots[0].status, CTL_EMPTY);
	assert_int_equal(done.slots[1].status, CTL_GOOD);
	assert_int_equal(done.slots[1].lease.owned_epoch, 3);
	assert_true(done.slots[1].lease.wall_ms > 1600000000000);
	assert_int_equal(done.slots[7].status, CTL_EMPTY);
	ctlio_stats(two, &stats);
	assert_int_equal(stats.writes, 1);
	assert_true(stats.worst_write_us > 0);
	ctlio_close(one);
	ctlio_close(two);
}

/* One agent of a server at a time; --format has to wait, too. */
static void
test_locked(void **state)
{
	struct ctlio *one = open_io(11);
	struct ctlio_config cfg = config_of(11);
	struct ctl_format f = {.path = path,
	    .cluster = "office",
	    .volume = "home",
	    .volume_id = 1,
	    .force = true};

	(void)state;
	assert_null(ctlio_open(&cfg, error));
	assert_non_null(strstr(error, "another agent"));
	assert_int_equal(ctlarea_format(&f, error), -1);
	assert_non_null(strstr(error, "in use"));
	ctlio_close(one);
	one = open_io(11);
	ctlio_close(one);
}

static void
test_ping(void **state)
{
	struct ctlio *one = open_io(11), *two = open_io(12);
	struct ctlio_done done;
	uint64_t nonce;

	(void)state;
	ctlio_alive(two, 3);
	for (unsigned i = 0; i < 3; i++) {
		nonce = ctlio_ping(one, 1, PATIENCE_MS);
		assert_true(nonce != 0);
		assert_int_equal(ctlio_ping(one, 1, 5), 0); /* one is out */
		done = next(one);
		assert_int_equal(done.what, CTLIO_MAILED);
		assert_int_equal(done.slot, 1);
		done = next(one);
		assert_int_equal(done.what, CTLIO_PONG);
		assert_true(done.nonce == nonce);
		assert_int_equal(done.slot, 1);
		assert_int_equal(done.state, 3);
		assert_int_equal(done.boot, 112);
	}
	ctlio_close(one);
	ctlio_close(two);
}

/* s3 never ran: no answer, in time. An answer of an earlier life is none. */
static void
test_no_pong(void **state)
{
	struct ctlio *one = open_io(11), *two = open_io(12);
	struct ctlio_done done;
	uint64_t mailed;

	(void)state;
	assert_true(ctlio_ping(one, 1, PATIENCE_MS) != 0);
	assert_int_equal(next(one).what, CTLIO_MAILED);
	assert_int_equal(next(one).what, CTLIO_PONG);
	ctlio_close(two);
	for (unsigned slot = 1; slot < 3; slot++) {
		assert_true(ctlio_ping(one, slot, 50) != 0);
		done = next(one);
		assert_int_equal(done.what, CTLIO_MAILED);
		mailed = done.done_ms;
		done = next(one);
		assert_int_equal(done.what, CTLIO_NO_PONG);
		assert_int_equal(done.slot, slot);
		assert_int_equal(done.error, 0);
		assert_true(clock_now_ms() >= mailed + 50);
	}
	assert_int_equal(ctlio_ping(one, 5, 50), 0); /* nobody's slot */
	ctlio_close(one);
}

/* Once for each wish, also when the other one was away. */
static void
test_ask(void **state)
{
	struct ctlio *one = open_io(11), *two;
	struct ctlio_done done;

	(void)state;
	ctlio_ask(one, 1);
	assert_true(ctlio_ping(one, 2, 20) != 0); /* written by then */
	assert_int_equal(next(one).what, CTLIO_MAILED);
	assert_int_equal(next(one).what, CTLIO_NO_PONG);
	two = open_io(12);
	done = next(two);
	assert_int_equal(done.what, CTLIO_ASKED);
	assert_int_equal(done.slot, 0);
	/* its answer to a ping shows that it had looked again */
	assert_true(ctlio_ping(one, 1, PATIENCE_MS) != 0);
	assert_int_equal(next(one).what, CTLIO_MAILED);
	assert_int_equal(next(one).what, CTLIO_PONG);
	assert_false(ctlio_next(two, &done));
	ctlio_close(two);
	two = open_io(12); /* heard is on the disk */
	assert_true(ctlio_ping(one, 1, PATIENCE_MS) != 0);
	assert_int_equal(next(one).what, CTLIO_MAILED);
	assert_int_equal(next(one).what, CTLIO_PONG);
	assert_false(ctlio_next(two, &done));
	ctlio_ask(one, 1);
	assert_int_equal(next(two).what, CTLIO_ASKED);
	ctlio_close(one);
	ctlio_close(two);
}

/* The area is cut off behind us: errors, not blocks. */
static void
test_errors(void **state)
{
	struct ctlio *one = open_io(11);
	struct ctlio_done done;

	(void)state;
	assert_int_equal(truncate(path, CTL_FIRST_LEASE * CTL_BLOCK), 0);
	assert_true(ctlio_read(one));
	do
		done = next(one);
	while (done.what != CTLIO_READ);
	assert_int_equal(done.error, ENODATA);
	assert_true(ctlio_ping(one, 1, 50) != 0);
	do
		done = next(one);
	while (done.what == CTLIO_MAILED);
	assert_int_equal(done.what, CTLIO_NO_PONG);
	assert_int_equal(done.error, ENODATA);
	ctlio_close(one);
}

static void
test_no_area(void **state)
{
	struct ctlio_config cfg = config_of(14);

	(void)state;
	assert_null(ctlio_open(&cfg, error));
	assert_non_null(strstr(error, "no slot for this server"));
	cfg.want.path = "/nonexistent";
	assert_null(ctlio_open(&cfg, error));
	assert_non_null(strstr(error, "/nonexistent"));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, make_area, remove_area)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_slots),
	    T(test_locked),
	    T(test_ping),
	    T(test_no_pong),
	    T(test_ask),
	    T(test_errors),
	    T(test_no_area),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
