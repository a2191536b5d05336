/* The store's lists and threads: order, wake-ups, commits, the end. */
#include "tests/unit/storebed.h"

/* With few under way at times, so that writers fall asleep and are woken. */
static void
order_in_a_slot(void **state)
{
	enum { WRITES = 20000, KEYS = 7 };
	struct store *s = open_store(8);
	unsigned given = 0, done = 0;
	uintptr_t last[KEYS] = {0};

	(void)state;
	srand(1);
	while (done < WRITES) {
		struct store_done d;
		uint32_t slot = (uint32_t)rand() % KEYS;

		while (given < WRITES && given - done <= done % 97 &&
		       write_one(s, slot, (uint8_t)given,
			   (void *)(uintptr_t)(given * 8u + slot + 8)) == 0) {
			given++;
			slot = (uint32_t)rand() % KEYS;
		}
		d = next(s);
		assert_int_equal(d.what, STORE_WRITTEN);
		assert_int_equal(d.error, 0);
		slot = (uint32_t)((uintptr_t)d.tag % 8);
		assert_true((uintptr_t)d.tag > last[slot]);
		last[slot] = (uintptr_t)d.tag;
		done++;
	}
	for (unsigned i = 0; i < KEYS; i++)
		assert_int_equal(
		    disk.slots[i][0], (uint8_t)((last[i] - 8) / 8));
	close_store(s);
}

/* One that waits for the disk keeps no other from it. */
static void
each_finds_a_writer(void **state)
{
	struct store *s = open_store(8);

	(void)state;
	disk.hold = true;
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(write_one(s, i, 0, NULL), 0);
	wait_disk(8, false);
	set(&disk.hold, false);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(next(s).what, STORE_WRITTEN);
	close_store(s);
}

/* A wake-up that was lost on its way is not waited for for ever. */
static void
lost_wake_up(void **state)
{
	struct store *s = open_store(2);
	bool idle = false;

	(void)state;
	while (!idle) {
		pthread_mutex_lock(&s->lock);
		idle = s->idle == 2;
		if (idle)
			s->waking = 1; /* as if one were on its way */
		pthread_mutex_unlock(&s->lock);
		sched_yield();
	}
	assert_int_equal(write_one(s, 0, 0, NULL), 0);
	assert_int_equal(next(s).what, STORE_WRITTEN);
	close_store(s);
}

/* The head comes last; and not at all when another part failed. */
static void
parts_in_order(void **state)
{
	struct store *s = open_store(4);
	uint32_t slots[3] = {4, 9, 2};
	uint8_t values[3 * LOGSLOT_LEN] = {0};

	(void)state;
	assert_int_equal(store_write(s, slots, 3, values, NULL), 0);
	assert_int_equal(next(s).error, 0);
	assert_int_equal(disk.nlog, 3);
	assert_int_equal(disk.log[0], 2);
	assert_int_equal(disk.log[1], 9);
	assert_int_equal(disk.log[2], 4);
	disk.write_error = ENOSPC;
	assert_int_equal(store_write(s, slots, 3, values, NULL), 0);
	assert_int_equal(next(s).error, ENOSPC);
	assert_int_equal(disk.nlog, 3);
	assert_int_equal(store_error(s), 0); /* a write's is its own */
	close_store(s);
}

/* All that wait when a commit begins share it; those after it do not. */
static void
group_commit(void **state)
{
	struct store *s = open_store(2);
	struct store_counts n;

	(void)state;
	disk.hold_commit = true;
	assert_int_equal(store_sync(s, (void *)1), 0);
	wait_disk(1, false);
	for (uintptr_t i = 2; i <= 50; i++)
		assert_int_equal(store_sync(s, (void *)i), 0);
	set(&disk.hold_commit, false);
	for (uintptr_t i = 1; i <= 50; i++) {
		struct store_done d = next(s);

		assert_int_equal(d.what, STORE_SYNCED);
		assert_int_equal(d.error, 0);
		assert_ptr_equal(d.tag, (void *)i);
	}
	assert_int_equal(disk.commits, 2);
	store_count(s, &n);
	assert_int_equal(n.commits, 2);
	assert_int_equal(n.syncs.n, 50);
	assert_int_equal(n.syncs_most, 49);
	assert_int_equal(n.syncs_now, 0);
	close_store(s);
}

/* A sync waits for each write given before it, and for no later one. */
static void
sync_after_writes(void **state)
{
	struct store *s = open_store(1);
	struct store_done d;

	(void)state;
	disk.hold = true;
	for (uintptr_t i = 0; i < 10; i++)
		assert_int_equal(
		    write_one(s, (uint32_t)i % 3, (uint8_t)i, NULL), 0);
	assert_int_equal(store_sync(s, NULL), 0);
	wait_disk(2, false); /* the committer helps: another slot's */
	assert_int_equal(disk.commits, 0);
	set(&disk.hold, false);
	for (unsigned i = 0; i < 10; i++) {
		d = next(s);
		assert_int_equal(d.what, STORE_WRITTEN);
	}
	d = next(s);
	assert_int_equal(d.what, STORE_SYNCED);
	assert_int_equal(d.error, 0);
	assert_int_equal(disk.commits, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(disk.slots[i][0], i == 0 ? 9 : i + 6);

	/* the one after it hangs */
	disk.hold_commit = true;
	assert_int_equal(store_sync(s, NULL), 0);
	wait_disk(1, false);
	disk.hold = true;
	assert_int_equal(write_one(s, 1, 1, NULL), 0);
	wait_disk(2, false);
	set(&disk.hold_commit, false);
	assert_int_equal(next(s).what, STORE_SYNCED);
	set(&disk.hold, false);
	assert_int_equal(next(s).what, STORE_WRITTEN);
	close_store(s);
}

/* Stopped while a sync waits for a write. */
static void
stop_in_sync(void **state)
{
	struct store *s = open_store(1);
	struct store_done d;
	unsigned n = 0;

	(void)state;
	disk.hold = true;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(write_one(s, 1, 1, NULL), 0);
	assert_int_equal(store_sync(s, NULL), 0);
	wait_disk(1, false);
	store_stop(s);
	set(&disk.hold, false);
	while ((d = next(s)).what != STORE_STOPPED) {
		if (d.what == STORE_SYNCED)
			assert_int_equal(d.error, ECANCELED);
		n++;
	}
	assert_int_equal(n, 4);
	assert_int_equal(disk.commits, 0);
	store_free(s);
}

static void
failed_sync_is_for_ever(void **state)
{
	struct store *s = open_store(2);

	(void)state;
	disk.hold_commit = true;
	disk.commit_error = EIO;
	assert_int_equal(store_sync(s, NULL), 0);
	wait_disk(1, false);
	assert_int_equal(store_sync(s, NULL), 0); /* waits for the next one */
	set(&disk.hold_commit, false);
	assert_int_equal(next(s).error, EIO);
	disk.commit_error = 0; /* as Linux: the second fsync succeeds */
	assert_int_equal(next(s).error, EIO);
	assert_int_equal(disk.commits, 1);
	assert_int_equal(store_error(s), EIO);
	assert_int_equal(store_sync(s, NULL), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(write_one(s, 1, 1, NULL), -1);
	close_store(s);
}

static void
bounded(void **state)
{
	struct store *s = open_store(1);
	unsigned n = 0;

	(void)state;
	disk.hold = true;
	while (write_one(s, n % SLOTS, 1, NULL) == 0)
		n++;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(n, 1000);
	set(&disk.hold, false);
	while (n-- > 0)
		assert_int_equal(next(s).error, 0);
	assert_int_equal(write_one(s, 1, 1, NULL), 0);
	assert_int_equal(next(s).error, 0);
	close_store(s);
}

/* What runs ends; what waits is cancelled; then comes the last word. */
static void
stop_with_work(void **state)
{
	struct store *s = open_store(2);
	unsigned cancelled = 0, done = 0;
	struct store_done d;

	(void)state;
	disk.hold = true;
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(write_one(s, i, 1, NULL), 0);
	wait_disk(2, false);
	store_stop(s);
	store_stop(s);
	assert_int_equal(write_one(s, 1, 1, NULL), -1);
	assert_int_equal(errno, ECANCELED);
	set(&disk.hold, false);
	while ((d = next(s)).what != STORE_STOPPED) {
		assert_int_equal(d.what, STORE_WRITTEN);
		if (d.error == ECANCELED)
			cancelled++;
		else
			done++;
	}
	assert_int_equal(cancelled, 18);
	assert_int_equal(done, 2);
	store_free(s);
}

/* Freed while the disk hangs: nothing waits; the last thread cleans up. */
static void
free_while_it_hangs(void **state)
{
	struct store *s = open_store(2);

	(void)state;
	disk.hold = disk.hold_commit = true;
	assert_int_equal(store_sync(s, NULL), 0);
	wait_disk(1, false);
	assert_int_equal(write_one(s, 1, 1, NULL), 0);
	assert_int_equal(write_one(s, 1, 2, NULL), 0);
	assert_int_equal(store_sync(s, NULL), 0);
	wait_disk(2, false);
	store_free(s);
	assert_false(disk.closed);
	set(&disk.hold, false);
	set(&disk.hold_commit, false);
	wait_disk(0, true);
}

static void
latencies(void **state)
{
	struct store_latency l = {0};

	(void)state;
	assert_int_equal(store_latency_at(&l, 990), 0);
	for (unsigned i = 0; i < 990; i++)
		store_count_one(&l, 100);
	for (unsigned i = 0; i < 10; i++)
		store_count_one(&l, 5000);
	store_count_one(&l, UINT64_MAX / 2);
	assert_int_equal(store_latency_at(&l, 500), 128);
	assert_int_equal(store_latency_at(&l, 995), 8192);
	assert_int_equal(store_latency_at(&l, 1000), UINT64_MAX / 2);
	assert_int_equal(l.n, 1001);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(order_in_a_slot),
	    cmocka_unit_test(each_finds_a_writer),
	    cmocka_unit_test(lost_wake_up),
	    cmocka_unit_test(parts_in_order),
	    cmocka_unit_test(group_commit),
	    cmocka_unit_test(sync_after_writes),
	    cmocka_unit_test(stop_in_sync),
	    cmocka_unit_test(failed_sync_is_for_ever),
	    cmocka_unit_test(bounded),
	    cmocka_unit_test(stop_with_work),
	    cmocka_unit_test(free_while_it_hangs),
	    cmocka_unit_test(latencies),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
