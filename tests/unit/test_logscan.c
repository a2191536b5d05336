/*
 * All slots together: a log stopped at any moment gives the records that
 * are live, and no other; a damaged one gives an error and invents nothing.
 */
#include "unit.h"
#include "logplay.h"

static struct play play;
static uint8_t disk[PLAY_SLOTS][LOGSLOT_LEN];

static int
set_up(void **state)
{
	(void)state;
	play_run(&play, 11);
	return 0;
}

/* The head that was written last tells what is free: when was that? */
static unsigned
last_head(unsigned n)
{
	while (n > 0 && !play.writes[n - 1].head)
		n--;
	return n;
}

/* Is this, which a scan gave after n writes, what was written then? */
static void
check_record(const struct logscan_record *r, unsigned n)
{
	const struct play_record *pr = &play.records[r->rec.seq];

	assert_true(r->rec.seq > 0 && r->rec.seq <= play.nrecords);
	assert_true(pr->intent_at > 0 && pr->intent_at <= n);
	if (pr->done_at > 0 && pr->done_at <= n)
		assert_true(logmake_equal(&r->rec, &pr->done));
	else
		assert_true(logmake_equal(&r->rec, &pr->intent));
}

static void
check_scan(const struct logscan *s, unsigned n)
{
	unsigned at = 0, known = last_head(n), nrecords = logscan_nrecords(s);

	for (unsigned seq = 1; seq <= play.nrecords; seq++) {
		const struct play_record *pr = &play.records[seq];
		bool there =
		    at < nrecords && logscan_record(s, at)->rec.seq == seq;

		if (there)
			check_record(logscan_record(s, at++), n);
		if (pr->intent_at == 0 || pr->intent_at > n)
			assert_false(there);
		else if (pr->freed_at == 0 || pr->freed_at >= n)
			assert_true(there);
		else if (pr->freed_at < known)
			assert_false(there);
	}
	assert_int_equal(at, nrecords);
}

static void
every_moment(void **state)
{
	unsigned stale = 0, several = 0;

	(void)state;
	for (unsigned n = 0; n <= play.nwrites; n++) {
		struct logscan_counts c;
		struct logscan *s;

		play_disk(&play, n, disk);
		s = play_scan(disk);
		assert_int_equal(logscan_nbad(s), 0);
		check_scan(s, n);
		logscan_count(s, &c);
		stale += c.stale > 0;
		assert_int_equal(
		    c.intents + c.dones + c.tombs, logscan_nrecords(s));
		for (unsigned i = 0; i < logscan_nrecords(s); i++)
			several += logscan_record(s, i)->parts > 1;
		logscan_free(s);
	}
	assert_true(stale > 1000 && several > 1000);
}

/* --- damage */

static bool
was_written(const struct logrec *r)
{
	const struct play_record *pr;

	if (r->seq == 0 || r->seq > play.nrecords)
		return false;
	pr = &play.records[r->seq];
	return logmake_equal(r, &pr->intent) || logmake_equal(r, &pr->done);
}

static void
damage(uint8_t *value)
{
	unsigned at = (unsigned)rand() % LOGSLOT_LEN, n;

	switch (rand() % 4) {
	case 0: /* a block of zeros */
		n = 1 + (unsigned)rand() % (LOGSLOT_LEN - at);
		memset(value + at, 0, n);
		break;
	case 1: /* garbage */
		n = 1 + (unsigned)rand() % (LOGSLOT_LEN - at);
		while (n-- > 0)
			value[at + n] = (uint8_t)rand();
		break;
	default:
		for (n = 1 + (unsigned)rand() % 8; n > 0; n--)
			value[(unsigned)rand() % LOGSLOT_LEN] ^=
			    (uint8_t)(1 << rand() % 8);
	}
}

static void
flipped_bits(void **state)
{
	static uint8_t before[PLAY_SLOTS][LOGSLOT_LEN];
	unsigned refused = 0, whole = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		unsigned n = (unsigned)rand() % (play.nwrites + 1);
		struct logscan *s;

		if (i % 10 == 0)
			play_disk(&play, n, before);
		memcpy(disk, before, sizeof(disk));
		for (int k = rand() % 4; k >= 0; k--)
			damage(disk[rand() % PLAY_SLOTS]);
		s = play_scan(disk);
		for (unsigned k = 0; k < logscan_nrecords(s); k++)
			assert_true(was_written(&logscan_record(s, k)->rec));
		if (memcmp(disk, before, sizeof(disk)) != 0) {
			assert_true(logscan_nbad(s) > 0);
			assert_true(logscan_bad(s, 0)->error != LOGREC_OK);
			refused++;
		} else {
			whole++;
		}
		logscan_free(s);
	}
	/* zeros over zeros change nothing */
	assert_true(refused > 9000 && whole > 0);
}

/* Values in each other's place, or of an earlier moment of one slot. */
static void
mixed_up(void **state)
{
	uint8_t value[LOGSLOT_LEN];
	struct logscan *s;

	(void)state;
	play_disk(&play, play.nwrites, disk);
	memcpy(value, disk[4], LOGSLOT_LEN);
	memcpy(disk[4], disk[9], LOGSLOT_LEN);
	memcpy(disk[9], value, LOGSLOT_LEN);
	s = play_scan(disk);
	assert_true(logscan_nbad(s) >= 2); /* more, if a part is missed */
	assert_int_equal(logscan_bad(s, 0)->error, LOGREC_E_SLOT);
	logscan_free(s);

	s = logscan_new(PLAY_VOLUME, 2);
	logscan_unread(s, 1, 5);
	assert_int_equal(logscan_finish(s), 0);
	assert_int_equal(logscan_nbad(s), 2);
	assert_int_equal(logscan_bad(s, 0)->err, 5);
	assert_int_equal(logscan_bad(s, 1)->error, LOGREC_E_READ);
	logscan_free(s);
}

/* A head that lacks a continuation, and two records with one number. */
static void
missing_and_twice(void **state)
{
	uint8_t values[LOGREC_PARTS_MAX * LOGSLOT_LEN];
	uint32_t slots[LOGREC_PARTS_MAX] = {0, 1, 2};
	struct logscan *s;
	struct logrec r;

	(void)state;
	logmake_record(&r, LOGREC_INTENT, PLAY_VOLUME, 1, 1);
	r.args.len = r.args_len = LOGREC_ARGS_MAX;
	assert_int_equal(logrec_encode(&r, slots, values), 2);
	for (unsigned whole = 0; whole < 2; whole++) {
		s = logscan_new(PLAY_VOLUME, 2);
		logscan_add(s, 0, values, LOGSLOT_LEN);
		logrec_encode_free(PLAY_VOLUME, 1, 0, 0, disk[1]);
		logscan_add(
		    s, 1, whole ? values + LOGSLOT_LEN : disk[1], LOGSLOT_LEN);
		assert_int_equal(logscan_finish(s), 0);
		assert_int_equal(logscan_nbad(s), !whole);
		assert_int_equal(logscan_nrecords(s), whole);
		if (!whole)
			assert_int_equal(
			    logscan_bad(s, 0)->error, LOGREC_E_PARTS);
		logscan_free(s);
	}
	/* a continuation of an earlier write, or of another head, is none */
	memcpy(disk[1], values + LOGSLOT_LEN, LOGSLOT_LEN);
	for (unsigned other = 0; other < 2; other++) {
		slots[0] = other ? 2 : 0;
		r.write = other ? 1 : 2;
		logrec_encode(&r, slots, values);
		logrec_encode_free(PLAY_VOLUME, 2 - slots[0], 0, 0, disk[0]);
		s = logscan_new(PLAY_VOLUME, 3);
		logscan_add(s, slots[0], values, LOGSLOT_LEN);
		logscan_add(s, 1, disk[1], LOGSLOT_LEN);
		logscan_add(s, 2 - slots[0], disk[0], LOGSLOT_LEN);
		assert_int_equal(logscan_finish(s), 0);
		assert_int_equal(logscan_nrecords(s), 0);
		assert_int_equal(logscan_nbad(s), 1);
		logscan_free(s);
	}
	logmake_record(&r, LOGREC_DONE, PLAY_VOLUME, 1, 1);
	s = logscan_new(PLAY_VOLUME, 2);
	for (unsigned i = 0; i < 2; i++) {
		logrec_encode(&r, &i, values);
		logscan_add(s, i, values, LOGSLOT_LEN);
	}
	assert_int_equal(logscan_finish(s), 0);
	assert_int_equal(logscan_nrecords(s), 1);
	assert_int_equal(logscan_bad(s, 0)->error, LOGREC_E_TWICE);
	logscan_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_moment),
	    cmocka_unit_test(flipped_bits),
	    cmocka_unit_test(mixed_up),
	    cmocka_unit_test(missing_and_twice),
	};

	return cmocka_run_group_tests_name("logscan", tests, set_up, NULL);
}
