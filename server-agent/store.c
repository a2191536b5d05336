/*
 * The store as the event loop sees it. See store.h and store_int.h: jobs go
 * into lists here; the threads are store_work.c's.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/thread.h"
#include "server-agent/store_int.h"

const char *const store_what_names[STORE_WHATS] = {
    "written", "synced", "scanned", "remade", "stopped"};

/* --- life */

static int
start_thread(struct store *s, void *(*fn)(void *), const char *name)
{
	pthread_t t;

	if (thread_start(&t, 0, fn, s, NULL) != 0)
		return -1;
	(void)pthread_setname_np(t, name);
	(void)pthread_detach(t);
	return 0;
}

static int
start_threads(struct store *s)
{
	int failed = 0;

	/* None runs, and could end, before all are counted. */
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->cfg.writers && failed == 0; i++) {
		failed = start_thread(s, store_writer, "store-write");
		s->threads += failed == 0;
	}
	if (failed == 0)
		failed = start_thread(s, store_committer, "store-commit");
	s->threads += failed == 0;
	pthread_mutex_unlock(&s->lock);
	return failed;
}

/* Held for less time than it takes to fall asleep: spin a little first. */
static void
lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

static struct store *
make(const struct store_config *config)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->cfg = *config;
	s->event = -1;
	if (s->cfg.writers == 0)
		s->cfg.writers = STORE_WRITERS;
	if (s->cfg.writes_max == 0)
		s->cfg.writes_max = STORE_WRITES_MAX;
	if (s->cfg.syncs_max == 0)
		s->cfg.syncs_max = STORE_SYNCS_MAX;
	STAILQ_INIT(&s->ready);
	STAILQ_INIT(&s->running);
	STAILQ_INIT(&s->syncs);
	STAILQ_INIT(&s->done);
	STAILQ_INIT(&s->taken);
	lock_init(&s->lock);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->commit, NULL);
	pthread_cond_init(&s->freed, NULL);
	pthread_cond_init(&s->written, NULL);
	return s;
}

struct store *
store_open(const struct store_config *config, char error[STORE_ERROR_LEN])
{
	struct store *s = make(config);

	if (s == NULL) {
		snprintf(error, STORE_ERROR_LEN, "no memory for the log");
		return NULL;
	}
	if (slotdisk_open(&s->disk, &s->cfg, error) == -1) {
		store_destroy(s);
		return NULL;
	}
	s->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	s->use = calloc(s->disk.slots, sizeof(*s->use));
	if (s->use == NULL || s->event == -1) {
		snprintf(error, STORE_ERROR_LEN, "the log of volume %u: %s",
		    config->volume, strerror(errno));
		store_free(s);
		return NULL;
	}
	if (start_threads(s) == -1) {
		snprintf(error, STORE_ERROR_LEN,
		    "the log of volume %u: no thread can be started",
		    config->volume);
		store_free(s);
		return NULL;
	}
	return s;
}

unsigned
store_slots(const struct store *s)
{
	return s->disk.slots;
}

int
store_fd(const struct store *s)
{
	return s->event;
}

int
store_error(const struct store *s)
{
	return s->error;
}

/* --- jobs */

/* NULL: no memory. */
static struct job *
job_new(enum job_kind kind, void *tag, unsigned nvalues)
{
	struct job *j = malloc(sizeof(*j) + nvalues * (size_t)LOGSLOT_LEN);

	if (j == NULL)
		return NULL;
	memset(j, 0, sizeof(*j));
	j->kind = kind;
	j->tag = tag;
	j->begin_us = clock_now_us();
	j->number = UINT64_MAX;
	return j;
}

/* Puts a job into its list, unless there is something against it. */
static int
give(struct store *s, struct job *j, unsigned *now, unsigned max)
{
	int error = 0;

	if (j == NULL) {
		errno = EAGAIN;
		return -1;
	}
	pthread_mutex_lock(&s->lock);
	if (s->error != 0)
		error = s->error;
	else if (s->stopping)
		error = ECANCELED;
	else if (now != NULL && *now >= max)
		error = EAGAIN;
	else if (j->kind == JOB_SYNC)
		STAILQ_INSERT_TAIL(&s->syncs, j, next);
	else
		STAILQ_INSERT_TAIL(&s->ready, j, next);
	if (error == 0 && now != NULL)
		++*now;
	if (error == 0 && j->kind == JOB_WRITE)
		j->number = ++s->given;
	else if (j->kind == JOB_SYNC)
		j->number = s->given;
	if (j->kind == JOB_SYNC)
		pthread_cond_signal(&s->commit);
	else
		store_wake_writer(s);
	pthread_mutex_unlock(&s->lock);
	if (error == 0)
		return 0;
	free(j);
	errno = error;
	return -1;
}

int
store_write(struct store *s, const uint32_t *slots, unsigned n,
    const uint8_t *values, void *tag)
{
	struct job *j;

	assert(n > 0 && n <= LOGREC_PARTS_MAX);
	for (unsigned i = 0; i < n; i++)
		assert(slots[i] < s->disk.slots);
	j = job_new(JOB_WRITE, tag, n);
	if (j != NULL) {
		j->n = n;
		memcpy(j->slots, slots, n * sizeof(*slots));
		memcpy(j->values, values, n * (size_t)LOGSLOT_LEN);
	}
	return give(s, j, &s->n.writes_now, s->cfg.writes_max);
}

int
store_sync(struct store *s, void *tag)
{
	return give(
	    s, job_new(JOB_SYNC, tag, 0), &s->n.syncs_now, s->cfg.syncs_max);
}

int
store_remake(struct store *s, void *tag)
{
	return give(s, job_new(JOB_REMAKE, tag, 0), NULL, 0);
}

int
store_scan(struct store *s, void *tag)
{
	struct job *j = job_new(JOB_SCAN, tag, 0);
	struct logscan *scan = logscan_new(s->cfg.volume, s->disk.slots);
	int error = 0;

	pthread_mutex_lock(&s->lock);
	if (j == NULL || scan == NULL)
		error = ENOMEM;
	else if (s->stopping)
		error = ECANCELED;
	else if (s->scan.job != NULL || s->remaking)
		error = EBUSY;
	else
		s->scan = (struct scan_job){.job = j, .scan = scan};
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->lock);
	if (error == 0)
		return 0;
	free(j);
	logscan_free(scan);
	errno = error;
	return -1;
}

bool
store_next(struct store *s, struct store_done *done)
{
	struct job *j;
	uint64_t n;

	if (STAILQ_EMPTY(&s->taken)) {
		pthread_mutex_lock(&s->lock);
		STAILQ_CONCAT(&s->taken, &s->done);
		if (s->signalled && read(s->event, &n, sizeof(n)) > 0)
			s->signalled = false;
		pthread_mutex_unlock(&s->lock);
	}
	j = STAILQ_FIRST(&s->taken);
	if (j == NULL)
		return false;
	STAILQ_REMOVE_HEAD(&s->taken, next);
	*done = j->done;
	free(j);
	return true;
}

/* A scan that nobody reads for any more: the last reader sees to one. */
static void
cancel_scan(struct store *s)
{
	struct job *j = s->scan.job;

	if (j == NULL)
		return;
	if (s->scan.readers > 0) {
		s->scan.error = ECANCELED;
		return;
	}
	logscan_free(s->scan.scan);
	s->scan = (struct scan_job){0};
	store_finish(s, j, ECANCELED);
}

void
store_stop(struct store *s)
{
	struct job *last = job_new(JOB_STOP, NULL, 0);

	if (last == NULL)
		abort(); /* a few bytes */
	pthread_mutex_lock(&s->lock);
	if (s->stopping) {
		free(last);
	} else {
		s->stopping = true;
		store_finish_all(s, &s->ready, ECANCELED);
		store_finish_all(s, &s->syncs, ECANCELED);
		cancel_scan(s);
		STAILQ_INSERT_TAIL(&s->ready, last, next);
		pthread_cond_broadcast(&s->work);
		pthread_cond_broadcast(&s->commit);
		pthread_cond_broadcast(&s->freed);
		pthread_cond_broadcast(&s->written);
	}
	store_tell(s);
	pthread_mutex_unlock(&s->lock);
}

void
store_free(struct store *s)
{
	bool now;

	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	s->orphan = true;
	now = s->threads == 0;
	pthread_cond_broadcast(&s->work);
	pthread_cond_broadcast(&s->commit);
	pthread_cond_broadcast(&s->freed);
	pthread_cond_broadcast(&s->written);
	pthread_mutex_unlock(&s->lock);
	if (now)
		store_destroy(s);
}
