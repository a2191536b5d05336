/*
 * The load: an event loop as the agent's, around the real store, and a
 * thread for each worker in the backend's place, or before a real one. See
 * cutload.h.
 */
#include <err.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/slotmap.h"
#include "tests/cuts/cutload.h"

enum { KEPT_MAX = 12 }; /* records that a worker has not given back */

enum stage { INTENT, STEP, DONE, STAGES };

static const struct {
	const char *name;
	enum stage stage[STAGES];
} orders[] = {
    {"", {INTENT, STEP, DONE}},
    {"unsynced", {INTENT, STEP, DONE}},
    {"late", {STEP, INTENT, DONE}},
    {"early", {INTENT, DONE, STEP}},
};

struct worker {
	unsigned number;
	struct place *place;
	uint64_t k, acked;
	unsigned at;  /* in the order of stages; STAGES: it waits for a sync */
	bool waits;   /* for slots */
	bool syncing; /* since its completion was given */
	struct slotmap_rec *rec;
	struct {
		struct slotmap_rec *rec;
		uint64_t k;
	} kept[KEPT_MAX];
	unsigned nkept;
	/* its thread */
	pthread_mutex_t lock;
	pthread_cond_t go;
	bool run, ran;
	int error;
};

static struct {
	struct store *s;
	struct slotmap *map;
	uint32_t seed;
	unsigned sync_percent, n;
	const enum stage *order;
	bool unsynced;
	int ran; /* eventfd */
	struct worker workers[WORKERS_MAX];
} l;

/* --- the backend's place */

static void *
step_thread(void *arg)
{
	struct worker *w = arg;
	uint64_t one = 1;
	struct step step;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->run)
			pthread_cond_wait(&w->go, &w->lock);
		w->run = false;
		pthread_mutex_unlock(&w->lock);
		step_of(w->k, &step);
		w->error = place_do(w->place, &step);
		pthread_mutex_lock(&w->lock);
		w->ran = true;
		if (write(l.ran, &one, sizeof(one)) == -1)
			err(3, "eventfd");
	}
	return NULL;
}

static void
step_start(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->run = true;
	pthread_cond_signal(&w->go);
	pthread_mutex_unlock(&w->lock);
}

/* --- a worker's way */

static void
put(struct worker *w, enum logrec_kind kind)
{
	uint8_t bytes[2 * BYTES_MAX], values[LOGREC_PARTS_MAX * LOGSLOT_LEN];
	struct logrec r;
	unsigned n;

	step_record(&r, kind, l.seed, w->number, w->k, bytes);
	r.seq = w->rec->seq;
	r.wall_ms = clock_wall_ms();
	r.write = slotmap_next_write(l.map);
	slotmap_map(l.map, &r.map);
	n = logrec_encode(&r, w->rec->slots, values);
	if (n == 0 || n > w->rec->nslots)
		errx(3, "a record of %u slots", n);
	if (store_write(l.s, w->rec->slots, n, values, w) == -1)
		err(3, "store_write");
}

static void
give_back(struct worker *w, unsigned i)
{
	printf("f %u %llu\n", w->number, (unsigned long long)w->kept[i].k);
	slotmap_release(l.map, w->kept[i].rec);
	w->kept[i] = w->kept[--w->nkept];
}

/* What is acknowledged may go; half of the time it does. */
static void
give_some_back(struct worker *w)
{
	for (unsigned i = w->nkept; i-- > 0;)
		if (w->kept[i].k <= w->acked &&
		    (w->nkept == KEPT_MAX || rand() % 2))
			give_back(w, i);
}

/* By chance, or when its records have piled up. */
static void
maybe_sync(struct worker *w)
{
	w->syncing =
	    w->nkept + 1 >= KEPT_MAX || (unsigned)rand() % 100 < l.sync_percent;
	if (w->syncing && store_sync(l.s, w) == -1)
		err(3, "store_sync");
}

/* A completion and its sync are given together. */
static void
enter(struct worker *w)
{
	enum stage stage = l.order[w->at];

	if (stage == STEP)
		step_start(w);
	else
		put(w, stage == INTENT ? LOGREC_INTENT : LOGREC_DONE);
	if (stage == DONE && w->at == STAGES - 1 && !l.unsynced)
		maybe_sync(w);
}

static void
begin(struct worker *w)
{
	uint8_t bytes[2 * BYTES_MAX];
	struct logrec r;

	step_record(&r, LOGREC_INTENT, l.seed, w->number, w->k + 1, bytes);
	w->waits = slotmap_reserve(l.map, r.client, logrec_parts(&r),
		       &w->rec) != SLOTMAP_OK;
	if (w->waits)
		return;
	w->k++;
	w->at = 0;
	enter(w);
}

static void
resume_all(void)
{
	for (unsigned i = 0; i < l.n; i++)
		if (l.workers[i].waits)
			begin(&l.workers[i]);
}

static void
end(struct worker *w, bool synced)
{
	if (synced) {
		w->acked = w->k;
		printf("a %u %llu\n", w->number, (unsigned long long)w->k);
	}
	give_some_back(w);
	begin(w);
	resume_all();
}

static void
completed(struct worker *w)
{
	slotmap_shrink(l.map, w->rec);
	w->kept[w->nkept].rec = w->rec;
	w->kept[w->nkept++].k = w->k;
	if (l.order[STAGES - 1] == STEP)
		maybe_sync(w);
	if (!w->syncing)
		end(w, l.unsynced);
}

static void
advance(struct worker *w)
{
	if (w->at == STAGES) {
		w->syncing = false;
		end(w, true);
	} else if (++w->at == STAGES)
		completed(w);
	else
		enter(w);
}

static void
fail(const struct worker *w, int error, const char *what)
{
	errx(4, "worker %u, step %llu, %s: %s", w->number,
	    (unsigned long long)w->k, what, strerror(error));
}

/* Has its thread done the step? */
static void
step_done(struct worker *w)
{
	bool ran;

	pthread_mutex_lock(&w->lock);
	ran = w->ran;
	w->ran = false;
	pthread_mutex_unlock(&w->lock);
	if (!ran)
		return;
	if (w->error != 0)
		fail(w, w->error, "the step");
	advance(w);
}

static void
run(void)
{
	struct pollfd p[2] = {{.fd = store_fd(l.s), .events = POLLIN},
	    {.fd = l.ran, .events = POLLIN}};
	struct store_done d;
	uint64_t n;

	for (;;) {
		if (poll(p, 2, 60000) == 0)
			errx(3, "nothing happens for a minute");
		while (store_next(l.s, &d)) {
			if (d.what == STORE_REMADE)
				continue; /* or not, after the cut */
			if (d.error != 0)
				fail(d.tag, d.error, store_what_names[d.what]);
			advance(d.tag);
		}
		if (p[1].revents == 0 || read(l.ran, &n, sizeof(n)) < 0)
			continue;
		for (unsigned i = 0; i < l.n; i++)
			step_done(&l.workers[i]);
	}
}

/* --- the start */

/* The numbers go on from where the log ends; what is in it has been seen. */
static void
start_map(void)
{
	struct store_done d;

	if (store_scan(l.s, NULL) == -1)
		err(3, "store_scan");
	d = next_done(l.s);
	if (d.error != 0 || logscan_nbad(d.scan) > 0)
		errx(3, "the log cannot be read");
	l.map = slotmap_new(store_slots(l.s), store_slots(l.s));
	slotmap_begin(l.map, logscan_seq(d.scan), logscan_write(d.scan));
	logscan_free(d.scan);
}

static void
start_worker(unsigned i, const char *mountpoint, const char *url)
{
	struct worker *w = &l.workers[i];
	pthread_t t;

	w->number = i;
	w->place = place_open(mountpoint, url, i);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->go, NULL);
	if (pthread_create(&t, NULL, step_thread, w) != 0)
		errx(3, "no thread");
}

int
load(struct store *s, const char *mountpoint, uint32_t seed, unsigned workers,
    unsigned sync_percent, const char *wrong, const char *url)
{
	l.s = s;
	l.seed = seed;
	l.sync_percent = sync_percent;
	l.n = workers < WORKERS_MAX ? workers : WORKERS_MAX;
	for (unsigned i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (strcmp(wrong, orders[i].name) == 0)
			l.order = orders[i].stage;
	if (l.order == NULL)
		errx(2, "no order %s; see cutload.h", wrong);
	l.unsynced = strcmp(wrong, "unsynced") == 0;
	l.ran = eventfd(0, EFD_CLOEXEC);
	srand(seed);
	start_map();
	for (unsigned i = 0; i < l.n; i++)
		start_worker(i, mountpoint, url);
	if (store_remake(s, NULL) == -1) /* while the load runs */
		err(3, "store_remake");
	puts("ready");
	for (unsigned i = 0; i < l.n; i++)
		begin(&l.workers[i]);
	run();
	return 0;
}
