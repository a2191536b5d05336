/*
 * The control area: codec, torn writes, flipped bits, files; and what
 * --format refuses.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "server-agent/ctlarea.h"
#include "unit.h"

static uint8_t block[CTL_BLOCK];
static const uint8_t area[CTL_AREA_ID_LEN] = "area of the test";

static const struct ctl_lease a_lease = {.seq = 77,
    .server_id = 3,
    .holding = CTL_HELD,
    .boot = 0x1122334455667788,
    .instance = 0x99aabbccddeeff00,
    .owned_epoch = 12,
    .owned_ballot = 19,
    .claim_epoch = 13,
    .claim_ballot = 27,
    .granted_to = 4,
    .lease_ms = 5000,
    .watchdog_ms = 10000,
    .wall_ms = 1700000000000};

static void
assert_lease(const struct ctl_lease *l, const struct ctl_lease *want)
{
	assert_int_equal(l->seq, want->seq);
	assert_int_equal(l->server_id, want->server_id);
	assert_int_equal(l->holding, want->holding);
	assert_true(l->boot == want->boot);
	assert_true(l->instance == want->instance);
	assert_int_equal(l->owned_epoch, want->owned_epoch);
	assert_int_equal(l->owned_ballot, want->owned_ballot);
	assert_int_equal(l->claim_epoch, want->claim_epoch);
	assert_int_equal(l->claim_ballot, want->claim_ballot);
	assert_int_equal(l->granted_to, want->granted_to);
	assert_int_equal(l->lease_ms, want->lease_ms);
	assert_int_equal(l->watchdog_ms, want->watchdog_ms);
	assert_int_equal(l->wall_ms, want->wall_ms);
}

/* --- codec */

static void
test_lease(void **state)
{
	struct ctl_lease out;

	(void)state;
	ctl_lease_put(block, area, 5, &a_lease);
	assert_int_equal(ctl_lease_get(block, area, 5, &out), CTL_GOOD);
	assert_lease(&out, &a_lease);
	/* the layout is fixed: magic, kind, block, and the epoch's place */
	assert_memory_equal(block, "HFCA\0\2\0\1\0\0\0\15", 12);
	assert_int_equal(block[40 + 24 + 7], 12);
}

static void
test_mail(void **state)
{
	struct ctl_mail in = {.seq = 5,
			    .server_id = 3,
			    .state = 2,
			    .loop_age_ms = 17,
			    .boot = 9},
			out;

	(void)state;
	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		in.ping[i] = i + 1;
		in.pong[i] = 0x0102030405060708 * (i + 1);
		in.ask[i] = 100 + i;
		in.heard[i] = 200 + i;
	}
	ctl_mail_put(block, area, 7, &in);
	assert_int_equal(ctl_mail_get(block, area, 7, &out), CTL_GOOD);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void
test_super(void **state)
{
	struct ctl_super in, out;

	(void)state;
	memset(&in, 0, sizeof(in));
	memcpy(in.area, area, sizeof(area));
	in.format_wall_ms = 1700000000001;
	in.epoch_floor = 99;
	in.volume_id = 8;
	in.server_id[0] = 4;
	in.server_id[7] = 0xfffffff1;
	memset(in.cluster, 'c', CTL_NAME_MAX);
	memset(in.volume, 'v', CTL_NAME_MAX);
	ctl_super_put(block, &in);
	assert_int_equal(ctl_super_get(block, &out), CTL_GOOD);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(ctl_slot_of(&out, 4), 0);
	assert_int_equal(ctl_slot_of(&out, 0xfffffff1), 7);
	assert_int_equal(ctl_slot_of(&out, 5), CTL_NO_SLOT);
	assert_int_equal(ctl_slot_of(&out, 0), CTL_NO_SLOT);
}

/* A block in a wrong place, of another kind or area, or of tomorrow. */
static void
test_foreign(void **state)
{
	const uint8_t elsewhere[CTL_AREA_ID_LEN] = "another area";
	struct ctl_lease out;
	struct ctl_mail mail;

	(void)state;
	ctl_lease_put(block, area, 5, &a_lease);
	assert_int_equal(ctl_lease_get(block, area, 4, &out), CTL_FOREIGN);
	assert_int_equal(ctl_lease_get(block, elsewhere, 5, &out), CTL_FOREIGN);
	assert_int_equal(ctl_mail_get(block, area, 5, &mail), CTL_FOREIGN);
	assert_int_equal(out.seq, 0);
	memset(block, 0, sizeof(block));
	assert_int_equal(ctl_lease_get(block, area, 5, &out), CTL_EMPTY);
}

/* Of a write that was cut short, any good new copy counts. */
static void
test_torn(void **state)
{
	struct ctl_lease newer = a_lease, out;
	uint8_t before[CTL_BLOCK], after[CTL_BLOCK];

	(void)state;
	newer.seq++;
	newer.owned_epoch++;
	ctl_lease_put(before, area, 0, &a_lease);
	ctl_lease_put(after, area, 0, &newer);
	for (unsigned mask = 1; mask < 255; mask++) {
		memcpy(block, before, sizeof(block));
		for (unsigned i = 0; i < 8; i++)
			if (mask & 1u << i)
				memcpy(block + (size_t)i * CTL_COPY,
				    after + (size_t)i * CTL_COPY, CTL_COPY);
		assert_int_equal(
		    ctl_lease_get(block, area, 0, &out), CTL_MIXED);
		assert_lease(&out, &newer);
		/* and garbage where the cut was */
		memset(block + (size_t)(mask % 8) * CTL_COPY, 0x5a, CTL_COPY);
		assert_true(ctl_usable(ctl_lease_get(block, area, 0, &out)) &&
			    out.seq >= a_lease.seq);
	}
}

/* Every single flipped bit of a copy is found; in all copies, nothing is
 * left. */
static void
test_flipped_bits(void **state)
{
	struct ctl_lease out;

	(void)state;
	for (unsigned bit = 0; bit < CTL_COPY * 8; bit++) {
		ctl_lease_put(block, area, 2, &a_lease);
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
		    ctl_lease_get(block, area, 2, &out), CTL_MIXED);
		assert_lease(&out, &a_lease);
		for (unsigned i = 1; i < 8; i++)
			block[(size_t)i * CTL_COPY + bit / 8] ^=
			    (uint8_t)(1u << bit % 8);
		assert_int_equal(
		    ctl_lease_get(block, area, 2, &out), CTL_DAMAGED);
		assert_int_equal(out.owned_epoch, 0);
	}
}

/* Rubbish of all kinds is no record, and nothing is read past it. */
static void
test_rubbish(void **state)
{
	struct ctl_lease lease;
	struct ctl_super super;
	struct ctl_mail mail;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		randombytes_buf(block, sizeof(block));
		assert_int_equal(
		    ctl_lease_get(block, area, 1, &lease), CTL_DAMAGED);
		assert_int_equal(ctl_super_get(block, &super), CTL_DAMAGED);
		assert_int_equal(
		    ctl_mail_get(block, area, 1, &mail), CTL_DAMAGED);
	}
}

static void
test_newest(void **state)
{
	struct ctl_slot slots[CTL_SLOTS];

	(void)state;
	memset(slots, 0, sizeof(slots)); /* GOOD, never owned */
	assert_int_equal(ctl_newest(slots), CTL_NO_SLOT);
	slots[3].lease.owned_epoch = 5;
	slots[3].lease.owned_ballot = 11;
	slots[1].lease.owned_epoch = 5;
	slots[1].lease.owned_ballot = 9;
	slots[6].lease.owned_epoch = 4;
	slots[6].lease.owned_ballot = 99;
	assert_int_equal(ctl_newest(slots), 3);
	slots[3].status = CTL_DAMAGED;
	assert_int_equal(ctl_newest(slots), 1);
}

/* --- files */

static char path[] = "ctlarea.XXXXXX";
static char error[CTL_ERROR_LEN];
static const struct ctl_want want = {.path = path,
    .cluster = "office",
    .volume = "home",
    .volume_id = 1,
    .server_id = 12};

static struct ctl_format
format_of(void)
{
	struct ctl_format f = {.path = path,
	    .cluster = "office",
	    .volume = "home",
	    .volume_id = 1,
	    .server_id = {11, 12},
	    .server = {"s1", "s2"},
	    .wall_ms = 1700000000000};

	return f;
}

static int
make_file(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "ctlarea.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, CTL_AREA_SIZE) < 0)
		return -1;
	return close(fd);
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void
put_lease(unsigned slot, const struct ctl_lease *lease)
{
	struct ctl_super s;
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, block, CTL_BLOCK, 0), CTL_BLOCK);
	assert_true(ctl_usable(ctl_super_get(block, &s)));
	ctl_lease_put(block, s.area, slot, lease);
	assert_int_equal(
	    pwrite(fd, block, CTL_BLOCK, (CTL_FIRST_LEASE + slot) * CTL_BLOCK),
	    CTL_BLOCK);
	close(fd);
}

static void
assert_said(const char *word)
{
	if (strstr(error, word) == NULL)
		fail_msg("\"%s\" is not in: %s", word, error);
}

static void
test_format(void **state)
{
	struct ctl_format f = format_of();
	struct ctl_slot slots[CTL_SLOTS];
	struct ctl_super s;
	int fd;

	(void)state;
	if (ctlarea_format(&f, error) == -1)
		fail_msg("%s", error);
	fd = ctlarea_open(&want, true, &s, error);
	if (fd < 0)
		fail_msg("%s", error);
	assert_int_equal(ctl_slot_of(&s, 12), 1);
	assert_int_equal(ctlarea_read_slots(fd, &s, slots), 0);
	close(fd);
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		assert_int_equal(slots[i].status, CTL_EMPTY);
	assert_int_equal(ctlarea_format(&f, error), 0); /* unused: again */
}

static void
test_open_refuses(void **state)
{
	struct ctl_format f = format_of();
	struct ctl_want w = want;
	struct ctl_super s;

	(void)state;
	assert_int_equal(ctlarea_open(&w, false, &s, error), -1);
	assert_said("--format home");
	assert_int_equal(ctlarea_format(&f, error), 0);
	w.server_id = 13;
	assert_int_equal(ctlarea_open(&w, false, &s, error), -1);
	assert_said("no slot");
	w = want;
	w.cluster = "lab";
	assert_int_equal(ctlarea_open(&w, false, &s, error), -1);
	assert_said("cluster \"office\"");
	w = want;
	w.volume_id = 2;
	assert_int_equal(ctlarea_open(&w, false, &s, error), -1);
	assert_said("not of \"home\" (id 2)");
	assert_int_equal(truncate(path, CTL_AREA_SIZE - 1), 0);
	assert_int_equal(ctlarea_open(&want, false, &s, error), -1);
	assert_said("larger");
}

static void
test_format_refuses(void **state)
{
	struct ctl_format f = format_of();
	struct ctl_lease l = {.seq = 5,
	    .server_id = 12,
	    .holding = CTL_HELD,
	    .owned_epoch = 9,
	    .owned_ballot = 9};
	uint64_t boot;
	struct ctl_super s;
	int fd;

	(void)state;
	assert_int_equal(ctlarea_format(&f, error), 0);
	l.boot = 1234;
	put_lease(1, &l);
	assert_int_equal(ctlarea_boot_floor(&want, &boot, error), 0);
	assert_int_equal(boot, 1234);
	assert_int_equal(ctlarea_format(&f, error), -1);
	assert_said("s2");
	assert_said("epoch 9");
	assert_said("--force");
	f.force = true;
	assert_int_equal(ctlarea_format(&f, error), 0);
	fd = ctlarea_open(&want, false, &s, error);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(s.epoch_floor, 9); /* epochs go on */

	f.force = false;
	f.cluster = "lab";
	assert_int_equal(ctlarea_format(&f, error), -1);
	assert_said("office");
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_int_equal(ftruncate(fd, CTL_AREA_SIZE), 0);
	assert_int_equal(pwrite(fd, "data of somebody", 16, 50000), 16);
	close(fd);
	assert_int_equal(ctlarea_format(&f, error), -1);
	assert_said("not empty");
}

/* What a format with force gives as the floor, after this damage. */
static uint64_t
floor_after(struct ctl_format *f, off_t at, size_t len)
{
	struct ctl_super s;
	int fd = open(path, O_WRONLY);

	memset(block, 0x42, sizeof(block));
	assert_int_equal(pwrite(fd, block, len, at), len);
	close(fd);
	f->force = true;
	assert_int_equal(ctlarea_format(f, error), 0);
	fd = ctlarea_open(&want, false, &s, error);
	assert_true(fd >= 0);
	close(fd);
	return s.epoch_floor;
}

/* Epochs that cannot be read may have been any: none is given again. */
static void
test_epochs_not_known(void **state)
{
	const off_t slot = (CTL_FIRST_LEASE + 1) * CTL_BLOCK;
	struct ctl_format f = format_of();
	struct ctl_lease l = {.seq = 5,
	    .server_id = 12,
	    .holding = CTL_HELD,
	    .owned_epoch = 9,
	    .owned_ballot = 9};
	struct ctl_super s;
	int fd;

	(void)state;
	f.wall_ms = 1800000000000;
	f.served = true; /* the area is new, the volume is not */
	assert_int_equal(ctlarea_format(&f, error), 0);
	fd = ctlarea_open(&want, false, &s, error);
	close(fd);
	assert_int_equal(s.epoch_floor, 1800000000);

	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, CTL_AREA_SIZE), 0);
	f.served = false;
	assert_int_equal(ctlarea_format(&f, error), 0);
	put_lease(1, &l);
	assert_int_equal(floor_after(&f, slot, CTL_BLOCK), 1800000000);
	l.owned_epoch = 1800000007;
	put_lease(1, &l);
	assert_int_equal(floor_after(&f, 0, 0), 1800000007);
	put_lease(1, &l);
	f.wall_ms += 86400000; /* one copy of two: it may be the older one */
	assert_int_equal(floor_after(&f, slot, 100), 1800086400);
	put_lease(1, &l);
	f.wall_ms += 86400000;
	assert_int_equal(floor_after(&f, 0, CTL_BLOCK), 1800172800);
}

/* A slot that advances while it looks: not even by force. */
static void
test_format_alive(void **state)
{
	struct ctl_format f = format_of();
	struct ctl_lease l = {.seq = 5, .server_id = 12};
	int pipe_fds[2], status;
	pid_t writer;
	char go;

	(void)state;
	assert_int_equal(ctlarea_format(&f, error), 0);
	put_lease(1, &l);
	assert_int_equal(pipe(pipe_fds), 0);
	writer = fork();
	if (writer == 0) { /* writes until it is told to end */
		fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
		while (read(pipe_fds[0], &go, 1) < 0) {
			l.seq++;
			put_lease(1, &l);
			usleep(5000);
		}
		_exit(0);
	}
	f.force = true;
	f.wait_ms = 500;
	assert_int_equal(ctlarea_format(&f, error), -1);
	assert_said("s2 writes to it now");
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	assert_int_equal(waitpid(writer, &status, 0), writer);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void
test_damaged_own_slot(void **state)
{
	struct ctl_format f = format_of();
	uint64_t boot;
	int fd;

	(void)state;
	assert_int_equal(ctlarea_format(&f, error), 0);
	fd = open(path, O_WRONLY);
	memset(block, 0x42, sizeof(block));
	assert_int_equal(
	    pwrite(fd, block, CTL_BLOCK, (CTL_FIRST_LEASE + 1) * CTL_BLOCK),
	    CTL_BLOCK);
	close(fd);
	assert_int_equal(ctlarea_boot_floor(&want, &boot, error), -1);
	assert_said("damaged");
}

#define F(fn) cmocka_unit_test_setup_teardown(fn, make_file, remove_file)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lease),
	    cmocka_unit_test(test_mail),
	    cmocka_unit_test(test_super),
	    cmocka_unit_test(test_foreign),
	    cmocka_unit_test(test_torn),
	    cmocka_unit_test(test_flipped_bits),
	    cmocka_unit_test(test_rubbish),
	    cmocka_unit_test(test_newest),
	    F(test_format),
	    F(test_open_refuses),
	    F(test_format_refuses),
	    F(test_epochs_not_known),
	    F(test_format_alive),
	    F(test_damaged_own_slot),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
