/*
 * The threads of the store. See store.h and store_int.h.
 *
 * One lock over the lists; nobody holds it while a disk works. Writers take
 * from `ready`, the committer takes all of `syncs` at once, and what is done
 * goes into `done`.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/store_int.h"

enum { SCAN_STEP = 32 }; /* slots that a thread reads at a time */

static const enum store_what what_of[] = {
    [JOB_WRITE] = STORE_WRITTEN,
    [JOB_SYNC] = STORE_SYNCED,
    [JOB_SCAN] = STORE_SCANNED,
    [JOB_REMAKE] = STORE_REMADE,
    [JOB_STOP] = STORE_STOPPED,
};

/* --- jobs; the lock is held, unless said otherwise */

void
store_finish(struct store *s, struct job *j, int error)
{
	uint64_t us = clock_now_us() - j->begin_us;

	j->done.what = what_of[j->kind];
	j->done.tag = j->tag;
	j->done.error = error;
	j->done.us = us;
	if (j->kind == JOB_WRITE) {
		store_count_one(&s->n.writes, us);
		s->n.writes_now--;
		s->n.write_errors += error != 0;
	} else if (j->kind == JOB_SYNC) {
		store_count_one(&s->n.syncs, us);
		s->n.syncs_now--;
	}
	STAILQ_INSERT_TAIL(&s->done, j, next);
	s->untold = !s->signalled && !s->orphan;
}

static bool
is_to_tell(struct store *s)
{
	bool yes = s->untold;

	s->untold = false;
	s->signalled |= yes;
	return yes;
}

static void
say(const struct store *s)
{
	uint64_t one = 1;

	(void)!write(s->event, &one, sizeof(one));
}

/* Who is woken by it takes the lock at once: he is to find it free. */
void
store_tell(struct store *s)
{
	if (!is_to_tell(s))
		return;
	pthread_mutex_unlock(&s->lock);
	say(s);
	pthread_mutex_lock(&s->lock);
}

void
store_finish_all(struct store *s, struct job_list *list, int error)
{
	struct job *j;

	while ((j = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, next);
		store_finish(s, j, error);
	}
}

/* --- writers */

/*
 * One writer at a time is woken, and it wakes the next if there is work for
 * both: most writes last some microseconds, less than to wake somebody, but
 * one may have to wait for the disk.
 */
void
store_wake_writer(struct store *s)
{
	if (STAILQ_EMPTY(&s->ready) || s->waking > 0 || s->idle == 0)
		return;
	s->waking++;
	pthread_cond_signal(&s->work);
}

/* A signal to several waiters may be lost in glibc before 2.41 (its bug
 * 25847): so nobody waits for ever. */
enum { LOOK_S = 1 };

static void
wait_or_look(struct store *s, pthread_cond_t *cond)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += LOOK_S;
	(void)pthread_cond_clockwait(cond, &s->lock, CLOCK_MONOTONIC, &at);
}

static void
wait_work(struct store *s)
{
	s->idle++;
	wait_or_look(s, &s->work);
	s->idle--;
	if (s->waking > 0)
		s->waking--;
}

/*
 * May it run now? Not while one of its slots is in use, or wanted by a job
 * before it, so that the order of writes to a slot stays.
 */
static bool
may_run(struct store *s, const struct job *j)
{
	bool free = true;

	for (unsigned i = 0; i < j->n; i++) {
		const struct slot_use *u = &s->use[j->slots[i]];

		free = free && !u->busy && u->wanted != s->looks;
	}
	for (unsigned i = 0; i < j->n && !free; i++)
		s->use[j->slots[i]].wanted = s->looks;
	return free;
}

/* The first one that may run, of writes up to `last`. */
static struct job *
take_ready(struct store *s, uint64_t last)
{
	struct job *j;

	s->looks++;
	STAILQ_FOREACH(j, &s->ready, next)
		if (j->number <= last && may_run(s, j)) {
			STAILQ_REMOVE(&s->ready, j, job, next);
			return j;
		}
	return NULL;
}

static void
set_busy(struct store *s, const uint32_t *slots, unsigned n, bool busy)
{
	for (unsigned i = 0; i < n; i++)
		s->use[slots[i]].busy = busy;
	if (busy)
		return;
	if (s->remakers > 0)
		pthread_cond_signal(&s->freed);
}

static void
commit_has_one_less(struct store *s, const struct job *j)
{
	if (j->number <= s->commit_last && --s->commit_left == 0)
		pthread_cond_signal(&s->written);
}

static void
run_write(struct store *s, struct job *j)
{
	int error = s->error;

	store_wake_writer(s);
	set_busy(s, j->slots, j->n, true);
	STAILQ_INSERT_TAIL(&s->running, j, next);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = j->n; i-- > 0 && error == 0;)
		error = slotdisk_write(
		    &s->disk, j->slots[i], j->values + i * LOGSLOT_LEN);
	pthread_mutex_lock(&s->lock);
	STAILQ_REMOVE(&s->running, j, job, next);
	set_busy(s, j->slots, j->n, false);
	commit_has_one_less(s, j);
	store_finish(s, j, error);
	store_tell(s);
}

/* --- slots made anew, one at a time, while others are written */

static int
remake_slot(struct store *s, uint32_t slot)
{
	int error;

	while (s->use[slot].busy && !s->stopping) {
		s->remakers++;
		wait_or_look(s, &s->freed);
		s->remakers--;
	}
	if (s->stopping)
		return ECANCELED;
	set_busy(s, &slot, 1, true);
	pthread_mutex_unlock(&s->lock);
	error = slotdisk_remake(&s->disk, slot);
	pthread_mutex_lock(&s->lock);
	set_busy(s, &slot, 1, false);
	store_wake_writer(s);
	if (s->commit_left > 0) /* the committer helps */
		pthread_cond_signal(&s->written);
	return error;
}

/* What has no space for a copy stays as it is: ENOSPC is no error. */
static void
run_remake(struct store *s, struct job *j)
{
	int error, after = 0;

	s->remaking = true;
	pthread_mutex_unlock(&s->lock);
	error = slotdisk_remake_begin(&s->disk);
	pthread_mutex_lock(&s->lock);
	if (error == 0) {
		for (uint32_t i = 0; i < s->disk.slots && error == 0; i++)
			error = remake_slot(s, i);
		pthread_mutex_unlock(&s->lock);
		after = slotdisk_remake_end(&s->disk);
		pthread_mutex_lock(&s->lock);
	}
	s->remaking = false;
	if (error == ENOTSUP || error == ENOSPC)
		error = 0;
	store_finish(s, j, error != 0 ? error : after);
	store_tell(s);
}

/* --- a scan: all writers read */

static bool
scan_range(struct store *s, unsigned from, unsigned to)
{
	uint8_t value[LOGSLOT_LEN + 1];
	bool ok = true;

	for (unsigned slot = from; slot < to && ok; slot++) {
		size_t len;
		int error = slotdisk_read(&s->disk, slot, value, &len);

		pthread_mutex_lock(&s->lock);
		ok = (error != 0 ? logscan_unread(s->scan.scan, slot, error)
				 : logscan_add(
				       s->scan.scan, slot, value, len)) == 0;
		pthread_mutex_unlock(&s->lock);
	}
	return ok;
}

static void
end_scan(struct store *s)
{
	struct job *j = s->scan.job;
	struct logscan *scan = s->scan.scan;
	int error = s->scan.error;

	s->scan = (struct scan_job){0};
	pthread_mutex_unlock(&s->lock);
	if (error == 0 && logscan_finish(scan) == -1)
		error = ENOMEM;
	if (error != 0)
		logscan_free(scan);
	else
		j->done.scan = scan;
	pthread_mutex_lock(&s->lock);
	store_finish(s, j, error);
	store_tell(s);
}

static bool
scan_wants(const struct store *s)
{
	return s->scan.job != NULL && s->scan.next < s->disk.slots &&
	       s->scan.error == 0;
}

static void
run_scan(struct store *s)
{
	unsigned from = s->scan.next, to = from + SCAN_STEP;
	bool ok;

	to = to < s->disk.slots ? to : s->disk.slots;
	s->scan.next = to;
	s->scan.readers++;
	pthread_mutex_unlock(&s->lock);
	ok = scan_range(s, from, to);
	pthread_mutex_lock(&s->lock);
	if (!ok)
		s->scan.error = ENOMEM;
	if (--s->scan.readers == 0 && !scan_wants(s))
		end_scan(s);
}

/* --- the end */

static void
free_jobs(struct job_list *list)
{
	struct job *j;

	while ((j = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, next);
		logscan_free(j->done.scan);
		free(j);
	}
}

/* Nobody else knows of it any more. */
void
store_destroy(struct store *s)
{
	free_jobs(&s->ready);
	free_jobs(&s->syncs);
	free_jobs(&s->done);
	free_jobs(&s->taken);
	free(s->scan.job);
	logscan_free(s->scan.scan);
	slotdisk_close(&s->disk);
	if (s->event != -1)
		close(s->event);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->commit);
	pthread_cond_destroy(&s->freed);
	pthread_cond_destroy(&s->written);
	free(s->use);
	free(s);
}

/* A thread ends; the last one leaves nothing open. Gives up the lock. */
static void
thread_end(struct store *s)
{
	struct job *last;

	if (--s->threads > 0) {
		pthread_mutex_unlock(&s->lock);
		return;
	}
	if (s->orphan) {
		pthread_mutex_unlock(&s->lock);
		store_destroy(s);
		return;
	}
	slotdisk_close(&s->disk);
	/* store_stop() put it there, so that this needs no memory. */
	last = STAILQ_FIRST(&s->ready);
	STAILQ_REMOVE_HEAD(&s->ready, next);
	store_finish(s, last, 0);
	/* Under the lock: who hears of it may free the store. */
	if (is_to_tell(s))
		say(s);
	pthread_mutex_unlock(&s->lock);
}

void *
store_writer(void *arg)
{
	struct store *s = arg;
	struct job *j;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		if (scan_wants(s))
			run_scan(s);
		else if ((j = take_ready(s, UINT64_MAX)) == NULL)
			wait_work(s);
		else if (j->kind == JOB_WRITE)
			run_write(s, j);
		else
			run_remake(s, j);
	}
	thread_end(s);
	return NULL;
}

/* --- the committer */

/* The writes up to `last` are done first, by whichever thread has time. */
static void
await_writes(struct store *s, uint64_t last)
{
	struct job *j;

	s->commit_left = 0;
	s->commit_last = last;
	STAILQ_FOREACH(j, &s->ready, next)
		s->commit_left += j->kind == JOB_WRITE && j->number <= last;
	STAILQ_FOREACH(j, &s->running, next)
		s->commit_left += j->number <= last;
	while (!s->stopping && s->commit_left > 0) {
		j = take_ready(s, last);
		if (j == NULL)
			wait_or_look(s, &s->written);
		else
			run_write(s, j);
		store_wake_writer(s); /* a later write had wanted its slot */
	}
	s->commit_last = 0;
}

static void
run_commit(struct store *s)
{
	struct job_list all = STAILQ_HEAD_INITIALIZER(all);
	unsigned waiting = 0;
	uint64_t begin, last = 0;
	struct job *j;
	int error;

	STAILQ_CONCAT(&all, &s->syncs);
	STAILQ_FOREACH(j, &all, next) {
		waiting++;
		last = j->number; /* they only grow */
	}
	await_writes(s, last);
	error = s->error;
	if (error == 0 && s->stopping)
		error = ECANCELED;
	if (error == 0) {
		pthread_mutex_unlock(&s->lock);
		begin = clock_now_us();
		error = slotdisk_commit(&s->disk);
		begin = clock_now_us() - begin;
		pthread_mutex_lock(&s->lock);
		s->n.commits++;
		store_count_one(&s->n.commit, begin);
		if (waiting > s->n.syncs_most)
			s->n.syncs_most = waiting;
	}
	if (error != 0 && error != ECANCELED && s->error == 0)
		s->error = error;
	store_finish_all(s, &all, error);
	store_tell(s);
}

void *
store_committer(void *arg)
{
	struct store *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		if (STAILQ_EMPTY(&s->syncs))
			wait_or_look(s, &s->commit);
		else
			run_commit(s);
	}
	thread_end(s);
	return NULL;
}
