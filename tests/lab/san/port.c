/*
 * A host's port to a volume: what a request meets on its way to the disk.
 *
 * A request arrives (`inside`), waits out delay, rate and stall, is looked
 * at under the lock, and only then runs (`running`).  So whoever changes
 * what is allowed and then waits for `running` to be 0 knows that nothing of
 * before still lands.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "san.h"

enum { READ, WRITE };

void
port_init(struct port *p)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->change, &attr);
	cache_init(&p->cache);
}

/* May it go on? 0 or an errno value, with the verdict for the log. */
static int
look(const struct port *p, int kind, enum area area, enum verdict *why)
{
	*why = WRITE_TAKEN;
	if (p->state != PORT_UP)
		*why = WRITE_CUT;
	else if (p->dead)
		*why = WRITE_DEAD;
	else if (area == AREA_DISK &&
		 !resv_allows(&p->volume->resv, p->host, kind == WRITE))
		*why = WRITE_RESERVED;
	else if (kind == WRITE && p->readonly)
		*why = WRITE_READONLY;
	switch (*why) {
	case WRITE_TAKEN:
		return 0;
	case WRITE_RESERVED:
		return EBADE; /* the kernel's word for such a conflict */
	case WRITE_READONLY:
		return EROFS;
	default:
		return EIO;
	}
}

/* When a request that arrives now may begin. */
static int64_t
start_time(struct port *p, int kind, size_t len)
{
	int64_t now = now_us(), start = now + p->delay_ms[kind] * INT64_C(1000);

	if (p->rate > 0) {
		int64_t takes = (int64_t)(len * UINT64_C(1000000) / p->rate);

		if (p->rate_free_us < now)
			p->rate_free_us = now;
		p->rate_free_us += takes;
		if (p->rate_free_us > start)
			start = p->rate_free_us;
	}
	return start;
}

/* Waits, under the lock, until it may begin or is refused. */
static void
wait_turn(struct port *p, int kind, enum area area, int64_t start)
{
	struct timespec until = {start / 1000000, start % 1000000 * 1000};
	enum verdict why;

	while (look(p, kind, area, &why) == 0) {
		if (p->stalled)
			pthread_cond_wait(&p->change, &p->lock);
		else if (now_us() < start)
			pthread_cond_timedwait(&p->change, &p->lock, &until);
		else
			return;
	}
}

static void
leave(struct port *p)
{
	p->inside--;
	if (p->inside == 0 || p->running == 0)
		pthread_cond_broadcast(&p->change);
}

/* Some of the sectors, chosen at random, of a write that a cut met. */
static void
land_torn(struct port *p, enum area area, const char *buf, size_t len,
    uint64_t offset)
{
	for (size_t at = 0; at + SECTOR <= len; at += SECTOR)
		if (random() % 2)
			(void)store_write(
			    p->volume, area, buf + at, SECTOR, offset + at);
}

static int
run_write(struct port *p, enum area area, const char *buf, size_t len,
    uint64_t offset)
{
	return cache_is_on(&p->cache)
		   ? cache_write(&p->cache, p->volume, area, buf, len, offset)
		   : store_write(p->volume, area, buf, len, offset);
}

int
port_write(struct port *p, enum area area, const char *buf, size_t len,
    uint64_t offset)
{
	int64_t began = now_us();
	enum verdict why;
	bool waited;
	int bad;

	pthread_mutex_lock(&p->lock);
	p->inside++;
	waited = look(p, WRITE, area, &why) == 0;
	if (waited)
		wait_turn(p, WRITE, area, start_time(p, WRITE, len));
	bad = look(p, WRITE, area, &why);
	if (bad == 0) {
		p->running++;
		pthread_mutex_unlock(&p->lock);
		bad = run_write(p, area, buf, len, offset);
		log_write(p, area, offset, len, began,
		    bad ? WRITE_FAILED : WRITE_TAKEN);
		pthread_mutex_lock(&p->lock);
		if (bad == 0 && area == AREA_CONTROL)
			(void)lease_epoch(buf, len, offset, &p->epoch);
		p->running--;
		p->writes++;
	} else {
		if (waited && p->torn && p->state == PORT_CUTTING) {
			land_torn(p, area, buf, len, offset);
			why = WRITE_TORN;
		}
		log_write(p, area, offset, len, began, why);
		p->refused++;
	}
	leave(p);
	pthread_mutex_unlock(&p->lock);
	return bad;
}

int
port_read(
    struct port *p, enum area area, char *buf, size_t len, uint64_t offset)
{
	enum verdict why;
	int bad;

	pthread_mutex_lock(&p->lock);
	p->inside++;
	wait_turn(p, READ, area, start_time(p, READ, len));
	bad = look(p, READ, area, &why);
	if (bad == 0) {
		p->running++;
		pthread_mutex_unlock(&p->lock);
		bad = cache_is_on(&p->cache)
			  ? cache_read(
				&p->cache, p->volume, area, buf, len, offset)
			  : store_read(p->volume, area, buf, len, offset);
		pthread_mutex_lock(&p->lock);
		p->running--;
		p->reads++;
	} else {
		p->refused++;
	}
	leave(p);
	pthread_mutex_unlock(&p->lock);
	return bad;
}

int
port_flush(struct port *p, enum area area)
{
	enum verdict why;
	int bad;

	pthread_mutex_lock(&p->lock);
	p->inside++;
	wait_turn(p, WRITE, area, 0);
	bad = look(p, WRITE, area, &why);
	if (bad == 0) {
		p->running++;
		p->flushes++;
		pthread_mutex_unlock(&p->lock);
		if (cache_is_on(&p->cache))
			bad = cache_flush(&p->cache, p->volume);
		pthread_mutex_lock(&p->lock);
		p->running--;
	}
	leave(p);
	pthread_mutex_unlock(&p->lock);
	return bad;
}

/* -- what is done to it -- */

static void
tell_lost(void *arg, enum area area, uint64_t offset)
{
	log_write(arg, area, offset, PAGE, now_us(), WRITE_LOST);
}

void
port_cut(struct port *p)
{
	pthread_mutex_lock(&p->lock);
	if (p->state == PORT_UP)
		p->state = PORT_CUTTING;
	pthread_cond_broadcast(&p->change);
	while (p->inside > 0)
		pthread_cond_wait(&p->change, &p->lock);
	if (cache_is_on(&p->cache))
		cache_drop(&p->cache, p->volume, p->lose, tell_lost, p);
	p->state = PORT_CUT;
	pthread_mutex_unlock(&p->lock);
}

/* Until what runs has run: the cache can then be made or unmade. */
static void
quiesce(struct port *p)
{
	while (p->running > 0)
		pthread_cond_wait(&p->change, &p->lock);
}

int
port_lose(struct port *p, unsigned percent)
{
	int bad = 0;

	pthread_mutex_lock(&p->lock);
	p->lose = percent;
	quiesce(p);
	if (percent > 0)
		cache_on(&p->cache);
	else
		bad = cache_off(&p->cache, p->volume);
	pthread_mutex_unlock(&p->lock);
	return bad;
}

void
port_heal(struct port *p)
{
	pthread_mutex_lock(&p->lock);
	quiesce(p);
	(void)cache_off(&p->cache, p->volume);
	p->state = PORT_UP;
	p->dead = p->stalled = p->readonly = p->torn = false;
	p->lose = p->delay_ms[READ] = p->delay_ms[WRITE] = 0;
	p->rate = 0;
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
}

int
port_reserve(struct san *san, struct volume *v,
    int (*change)(struct resv *r, const void *arg), const void *arg)
{
	unsigned number = (unsigned)(v - san->volumes);
	int status;

	for (unsigned i = 0; i < san->hosts_n; i++)
		pthread_mutex_lock(&san->ports[i][number].lock);
	status = change(&v->resv, arg);
	for (unsigned i = 0; i < san->hosts_n; i++)
		pthread_cond_broadcast(&san->ports[i][number].change);
	for (unsigned i = san->hosts_n; i-- > 0;) {
		struct port *p = &san->ports[i][number];

		if (!resv_allows(&v->resv, i, true))
			quiesce(p);
		pthread_mutex_unlock(&p->lock);
	}
	return status;
}
