/*
 * The store's lists and threads, over a disk that the test holds: it says
 * when a write, a read or a commit returns, and with what.
 */
#ifndef HANFS_TESTS_STOREBED_H
#define HANFS_TESTS_STOREBED_H

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "server-agent/store_int.h"

enum { SLOTS = 100, VOLUME = 1, DEADLINE_MS = 10000 };

/* --- the disk */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool hold; /* writes wait */
	bool hold_commit;
	unsigned inside; /* threads in a write or a commit */
	bool hold_remake;
	unsigned commits, nlog, remade, ended, full_at;
	int write_error, commit_error, remake_error;
	bool closed;
	uint8_t slots[SLOTS][LOGSLOT_LEN];
	uint32_t log[100000]; /* slots in the order of their writes */
} disk = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

int
slotdisk_open(struct slotdisk *d, const struct store_config *config,
    char error[STORE_ERROR_LEN])
{
	(void)config;
	(void)error;
	d->slots = SLOTS;
	return 0;
}

void
slotdisk_close(struct slotdisk *d)
{
	(void)d;
	pthread_mutex_lock(&disk.lock);
	disk.closed = true;
	pthread_cond_broadcast(&disk.change);
	pthread_mutex_unlock(&disk.lock);
}

static inline void
wait_while(const bool *hold)
{
	disk.inside++;
	pthread_cond_broadcast(&disk.change);
	while (*hold)
		pthread_cond_wait(&disk.change, &disk.lock);
	disk.inside--;
}

int
slotdisk_write(struct slotdisk *d, uint32_t slot, const uint8_t *value)
{
	int error;

	(void)d;
	pthread_mutex_lock(&disk.lock);
	wait_while(&disk.hold);
	error = disk.write_error;
	if (error == 0) {
		memcpy(disk.slots[slot], value, LOGSLOT_LEN);
		disk.log[disk.nlog++] = slot;
	}
	pthread_mutex_unlock(&disk.lock);
	return error;
}

int
slotdisk_read(struct slotdisk *d, uint32_t slot, uint8_t *value, size_t *len)
{
	(void)d;
	*len = LOGSLOT_LEN;
	pthread_mutex_lock(&disk.lock);
	wait_while(&disk.hold);
	pthread_mutex_unlock(&disk.lock);
	if (slot == 13)
		return EIO;
	memcpy(value, disk.slots[slot], LOGSLOT_LEN);
	return 0;
}

int
slotdisk_commit(struct slotdisk *d)
{
	int error;

	(void)d;
	pthread_mutex_lock(&disk.lock);
	wait_while(&disk.hold_commit);
	disk.commits++;
	error = disk.commit_error;
	pthread_mutex_unlock(&disk.lock);
	return error;
}

int
slotdisk_remake_begin(struct slotdisk *d)
{
	(void)d;
	return disk.remake_error;
}

int
slotdisk_remake_end(struct slotdisk *d)
{
	(void)d;
	disk.ended++;
	return 0;
}

/* Reads, waits, puts back: what a write did meanwhile would be lost. */
int
slotdisk_remake(struct slotdisk *d, uint32_t slot)
{
	uint8_t value[LOGSLOT_LEN];

	(void)d;
	pthread_mutex_lock(&disk.lock);
	memcpy(value, disk.slots[slot], LOGSLOT_LEN);
	pthread_mutex_unlock(&disk.lock);
	sched_yield();
	pthread_mutex_lock(&disk.lock);
	wait_while(&disk.hold_remake);
	memcpy(disk.slots[slot], value, LOGSLOT_LEN);
	disk.remade++;
	pthread_mutex_unlock(&disk.lock);
	return slot == disk.full_at ? ENOSPC : 0;
}

static inline void
set(bool *what, bool to)
{
	pthread_mutex_lock(&disk.lock);
	*what = to;
	pthread_cond_broadcast(&disk.change);
	pthread_mutex_unlock(&disk.lock);
}

/* Until so many threads are in the disk, or it is closed. */
static inline void
wait_disk(unsigned n, bool closed)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += DEADLINE_MS / 1000;
	pthread_mutex_lock(&disk.lock);
	while (closed ? !disk.closed : disk.inside != n)
		assert_int_equal(
		    pthread_cond_timedwait(&disk.change, &disk.lock, &end), 0);
	pthread_mutex_unlock(&disk.lock);
}

/* --- the store */

static inline struct store *
open_store(unsigned writers)
{
	struct store_config c = {
	    .volume = VOLUME, .writers = writers, .writes_max = 1000};
	char error[STORE_ERROR_LEN];
	struct store *s;

	disk.hold = disk.hold_commit = disk.closed = false;
	disk.commits = disk.nlog = disk.remade = disk.ended = 0;
	disk.write_error = disk.commit_error = disk.remake_error = 0;
	disk.hold_remake = false;
	disk.full_at = SLOTS;
	for (uint32_t i = 0; i < SLOTS; i++)
		logrec_encode_free(VOLUME, i, 0, 0, disk.slots[i]);
	s = store_open(&c, error);
	assert_non_null(s);
	return s;
}

static inline struct store_done
next(struct store *s)
{
	struct pollfd p = {.fd = store_fd(s), .events = POLLIN};
	struct store_done d;

	while (!store_next(s, &d))
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	return d;
}

static inline void
close_store(struct store *s)
{
	store_stop(s);
	assert_int_equal(next(s).what, STORE_STOPPED);
	assert_true(disk.closed);
	store_free(s);
}

static inline int
write_one(struct store *s, uint32_t slot, uint8_t fill, void *tag)
{
	uint8_t value[LOGSLOT_LEN];

	memset(value, fill, sizeof(value));
	return store_write(s, &slot, 1, value, tag);
}

#endif
