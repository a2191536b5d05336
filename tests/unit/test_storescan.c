/* The store's slots, all of them: read, and made anew. */
#include "tests/unit/storebed.h"

static void
scans(void **state)
{
	struct store *s = open_store(4);
	struct logscan_counts n;
	struct store_done d;

	(void)state;
	disk.hold = true;
	assert_int_equal(store_scan(s, (void *)7), 0);
	assert_int_equal(store_scan(s, (void *)8), -1);
	assert_int_equal(errno, EBUSY);
	set(&disk.hold, false);
	d = next(s);
	assert_int_equal(d.what, STORE_SCANNED);
	assert_int_equal(d.error, 0);
	assert_ptr_equal(d.tag, (void *)7);
	logscan_count(d.scan, &n);
	assert_int_equal(n.free, SLOTS - 1);
	assert_int_equal(n.bad, 1);
	assert_int_equal(logscan_bad(d.scan, 0)->slot, 13);
	assert_int_equal(logscan_bad(d.scan, 0)->err, EIO);
	logscan_free(d.scan);
	close_store(s);
}

static int
remade(struct store *s)
{
	struct store_done d;

	assert_int_equal(store_remake(s, NULL), 0);
	d = next(s);
	assert_int_equal(d.what, STORE_REMADE);
	return d.error;
}

static void
remakes(void **state)
{
	struct store *s = open_store(4);

	(void)state;
	disk.remake_error = ENOTSUP;
	assert_int_equal(remade(s), 0);
	assert_int_equal(disk.remade + disk.ended, 0);
	disk.remake_error = EPERM;
	assert_int_equal(remade(s), EPERM);
	disk.remake_error = 0;
	assert_int_equal(remade(s), 0);
	assert_int_equal(disk.remade, SLOTS);
	assert_int_equal(disk.ended, 1);
	disk.full_at = 9;
	assert_int_equal(remade(s), 0);
	assert_int_equal(disk.remade, SLOTS + 10);
	assert_int_equal(disk.ended, 2);
	close_store(s);
}

/* No write is lost to a copy that began before it; also not to one of a
 * slot that is no head. */
static void
remake_beside_writes(void **state)
{
	enum { ROUNDS = 60 };
	struct store *s = open_store(8);
	uint32_t slots[2];
	uint8_t values[2 * LOGSLOT_LEN];
	struct store_done d;

	(void)state;
	for (unsigned round = 1; round <= ROUNDS; round++) {
		assert_int_equal(store_remake(s, NULL), 0);
		memset(values, (int)round, sizeof(values));
		for (uint32_t i = 0; i < SLOTS; i += 2) {
			slots[0] = i;
			slots[1] = i + 1;
			assert_int_equal(
			    store_write(s, slots, 2, values, NULL), 0);
		}
		for (unsigned n = 0; n < SLOTS / 2 + 1; n++) {
			d = next(s);
			assert_int_equal(d.error, 0);
		}
		for (uint32_t i = 0; i < SLOTS; i++)
			assert_int_equal(disk.slots[i][0], round);
	}
	assert_int_equal(disk.remade, ROUNDS * SLOTS);
	/* a write waits for the copy of its slot alone */
	set(&disk.hold_remake, true);
	assert_int_equal(store_remake(s, NULL), 0);
	wait_disk(1, false);
	assert_int_equal(store_scan(s, NULL), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(write_one(s, 0, 1, (void *)1), 0);
	assert_int_equal(write_one(s, 1, 1, (void *)2), 0);
	assert_ptr_equal(next(s).tag, (void *)2);
	set(&disk.hold_remake, false);
	assert_int_equal(next(s).error + next(s).error, 0);
	close_store(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scans),
	    cmocka_unit_test(remakes),
	    cmocka_unit_test(remake_beside_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
