/*
 * One lease under test, s1 in slot 0, on a disk whose other slots the test
 * writes. I/O ends at once unless the test holds it back.
 */
#ifndef HANFS_TESTS_LEASEBED_H
#define HANFS_TESTS_LEASEBED_H

#include <errno.h>
#include <string.h>

#include "server-agent/lease.h"
#include "unit.h"

enum { LEASE = 5000, RENEW = 500, MARGIN = 270 };

static struct bed {
	struct lease *l;
	struct ctl_slot disk[CTL_SLOTS];
	uint64_t now;
	struct ctl_lease write; /* under way */
	bool reading, writing, hold_reads, hold_writes;
	uint64_t read_ms, write_ms; /* issued */
	struct lease_action news[64], last;
	unsigned nnews;
} b;

/* Runs one action; false when there is none. */
static inline bool
one_action(void)
{
	struct lease_action a;

	if (!lease_next(b.l, &a))
		return false;
	switch (a.type) {
	case LEASE_DO_READ:
		b.reading = true;
		b.read_ms = b.now;
		break;
	case LEASE_DO_WRITE:
		b.writing = true;
		b.write_ms = b.now;
		b.write = a.write;
		break;
	case LEASE_DO_TELL:
		assert_true(b.nnews < 64);
		b.news[b.nnews++] = b.last = a;
		break;
	}
	return true;
}

static inline void
end_read(int error)
{
	b.reading = false;
	lease_read_done(b.l, error, b.disk, b.read_ms, b.now, b.now);
}

static inline void
end_write(int error)
{
	b.writing = false;
	if (error == 0) {
		b.disk[0].status = CTL_GOOD;
		b.disk[0].lease = b.write;
	}
	lease_write_done(b.l, error, b.write_ms, b.now, b.now);
}

static inline void
settle(void)
{
	for (;;) {
		if (one_action())
			continue;
		if (b.writing && !b.hold_writes)
			end_write(0);
		else if (b.reading && !b.hold_reads)
			end_read(0);
		else
			break;
	}
}

static inline void
run_until(uint64_t when)
{
	while (b.now < when) {
		b.now++;
		lease_tick(b.l, b.now);
		settle();
	}
}

/* The last news of a kind since forget(); NULL: none. */
static inline const struct lease_action *
heard(enum lease_news news)
{
	for (unsigned i = b.nnews; i-- > 0;)
		if (b.news[i].news == news)
			return &b.news[i];
	return NULL;
}

static inline void
forget(void)
{
	b.nnews = 0;
}

/* Long runs give much news that nobody asks for. */
static inline void
run_for(unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		run_until(b.now + 1);
		for (unsigned k = 0; k < b.nnews;)
			if (b.news[k].news == LEASE_RENEWED)
				b.news[k] = b.news[--b.nnews];
			else
				k++;
	}
}

static inline void
start(void)
{
	struct lease_config cfg = {.slot = 0,
	    .server_id = {11, 12, 13},
	    .server = {"s1", "s2", "s3"},
	    .boot = 7,
	    .instance = 99};

	lease_config_times(&cfg, LEASE, RENEW);
	assert_int_equal(cfg.margin_ms, MARGIN);
	lease_free(b.l);
	b.reading = b.writing = b.hold_reads = b.hold_writes = false;
	b.nnews = 0;
	b.l = lease_new(&cfg, b.now);
	assert_non_null(b.l);
	settle();
}

static inline int
setup(void **state)
{
	(void)state;
	memset(&b, 0, sizeof(b));
	b.now = 100000;
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		b.disk[i].status = CTL_EMPTY;
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	lease_free(b.l);
	b.l = NULL;
	return 0;
}

/* Another candidate's slot, as owner of an epoch. */
static inline struct ctl_lease *
other(unsigned slot, enum ctl_holding holding, uint64_t epoch)
{
	struct ctl_lease *it = &b.disk[slot].lease;

	b.disk[slot].status = CTL_GOOD;
	it->seq++;
	it->server_id = 11 + slot;
	it->instance = 1000 + slot;
	it->holding = holding;
	it->owned_epoch = epoch;
	it->owned_ballot = epoch == 0 ? 0 : 8 + slot;
	it->lease_ms = LEASE;
	return it;
}

static inline void
claim(bool force)
{
	forget();
	lease_claim(b.l, force, b.now);
	settle();
}

static inline void
take(enum lease_evidence evidence, uint32_t server, uint64_t epoch)
{
	struct lease_proof proof = {
	    .evidence = evidence, .server_id = server, .epoch = epoch};

	forget();
	lease_take(b.l, &proof, b.now);
	settle();
}

static inline void
become_owner(void)
{
	claim(false);
	assert_non_null(heard(LEASE_WON));
	take(LEASE_NO_EVIDENCE, 0, 0);
	assert_non_null(heard(LEASE_GAINED));
	assert_int_equal(lease_state(b.l), LEASE_OWNER);
}

static inline void
assert_refused(enum lease_why why)
{
	const struct lease_action *a = heard(LEASE_REFUSED);

	assert_non_null(a);
	assert_string_equal(lease_why_names[a->why], lease_why_names[why]);
	assert_true(strlen(a->text) > 20);
	assert_false(lease_valid(b.l, b.now));
	assert_int_equal(b.disk[0].lease.claim_epoch, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
