/*
 * hbsend: start, stop, and what the main loop hands over; the contract is in
 * hbsend.h, the thread itself in hbsend_thread.c.
 */
#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <sodium.h>

#include "bootid.h"
#include "hanfs/clock.h"
#include "hanfs/log.h"
#include "hanfs/thread.h"
#include "hbsend_int.h"

_Static_assert(BOOTID_ERROR_LEN <= HBSEND_ERROR_LEN, "error may be cut");

static void
fail(char *error, const char *what, int e)
{
	(void)snprintf(
	    error, HBSEND_ERROR_LEN, "heartbeats: %s: %s", what, strerror(e));
}

/* --- start --- */

static void
set_links(struct hbsend *h, const struct config *cfg, unsigned self)
{
	const struct config_server_addr *a;
	unsigned n;

	for (n = 0; n < cfg->nnetworks; n++) {
		const struct config_network *net = &cfg->networks[n];
		struct hbsend_link *l = &h->links[h->nlinks];

		a = config_server_addr_on(&cfg->servers[self], n);
		if (a == NULL)
			continue;
		l->network = net->id;
		memcpy(l->name, net->name, sizeof(l->name));
		l->addr = a->addr;
		l->addr.port = 0;
		l->nprefixes = net->nprefixes;
		memcpy(l->prefixes, net->prefixes, sizeof(l->prefixes));
		hblink_init(&l->socket);
		h->stats.links[h->nlinks++].network = net->id;
	}
	h->stats.nlinks = h->nlinks;
}

static int
init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int e;

	e = pthread_mutexattr_init(&attr);
	if (e == 0)
		e = pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (e == 0)
		e = pthread_mutex_init(lock, &attr);
	return e;
}

/* The timer fires at multiples of the interval from its first time on. */
static int
open_timer(struct hbsend *h)
{
	struct itimerspec t = {.it_interval = {h->interval_ms / 1000,
				   h->interval_ms % 1000 * 1000000}};

	h->due_us = clock_now_us() + 1000;
	t.it_value.tv_sec = (time_t)(h->due_us / 1000000);
	t.it_value.tv_nsec = (long)(h->due_us % 1000000) * 1000;
	h->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (h->timer < 0)
		return -1;
	return timerfd_settime(h->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static int
raise_limit(int resource, rlim_t value)
{
	struct rlimit old, wanted = {value, value};

	if (getrlimit(resource, &old) == 0 && old.rlim_cur >= value)
		return 0;
	return setrlimit(resource, &wanted);
}

void
hbsend_prepare(const struct config *cfg)
{
	/* Failure shows in hbsend_start, which says what it means. */
	(void)raise_limit(RLIMIT_RTPRIO, (rlim_t)cfg->agent.rt_priority);
	(void)raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
}

/*
 * What is mapped is locked when it is first used, so that the stacks of
 * other threads do not take memory that nobody needs.  Under a limit, future
 * mappings could fail later on for being locked: not then.
 */
static void
lock_memory(struct hbsend *h)
{
	struct rlimit limit = {0};
	int flags = MCL_CURRENT | MCL_ONFAULT;

	(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY ||
	    capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK) == 1)
		flags |= MCL_FUTURE;
	h->locked = mlockall(flags) == 0 && (flags & MCL_FUTURE) != 0;
	if (!h->locked)
		log_warn("heartbeats: memory is not locked (%s): a server "
			 "short of memory may seem dead; give CAP_IPC_LOCK "
			 "or LimitMEMLOCK=infinity",
		    (flags & MCL_FUTURE) != 0 ? strerror(errno)
					      : "RLIMIT_MEMLOCK");
}

static int
start_thread(struct hbsend *h, int priority)
{
	int e = thread_start(&h->thread, priority, hbsend_run, h, &h->realtime);

	if (e != 0)
		return e;
	if (priority > 0 && !h->realtime)
		log_warn("heartbeats: no real-time priority (%s): a busy "
			 "server may seem dead; give LimitRTPRIO=%d",
		    strerror(EPERM), priority);
	(void)pthread_setname_np(h->thread, "heartbeats");
	return 0;
}

static struct hbsend *
new_sender(const struct config *cfg, unsigned self, const uint8_t *secret)
{
	struct hbsend *h = calloc(1, sizeof(*h));
	int e;

	if (h == NULL)
		return NULL;
	e = init_lock(&h->lock);
	if (e != 0) {
		free(h);
		errno = e;
		return NULL;
	}
	h->timer = h->kick = -1;
	h->cluster = hb_cluster_hash(cfg->cluster);
	h->server = cfg->servers[self].id;
	h->interval_ms = (uint32_t)cfg->agent.heartbeat_interval_ms;
	h->multiplier = (uint32_t)cfg->agent.multiplier;
	h->port = cfg->heartbeat_port;
	memcpy(h->secret, secret, HB_SECRET_LEN);
	hbtable_init(&h->table);
	set_links(h, cfg, self);
	return h;
}

static void
free_sender(struct hbsend *h)
{
	unsigned i;

	for (i = 0; i < h->nlinks; i++)
		hblink_close(&h->links[i].socket);
	ifwatch_free(h->watch);
	if (h->timer >= 0)
		close(h->timer);
	if (h->kick >= 0)
		close(h->kick);
	(void)pthread_mutex_destroy(&h->lock);
	sodium_memzero(h->secret, sizeof(h->secret));
	free(h);
}

struct hbsend *
hbsend_start(const struct config *cfg, unsigned self, const uint8_t *secret,
    const char *state_dir, uint32_t alive_max_ms, char *error)
{
	struct hbsend *h = new_sender(cfg, self, secret);
	int e;

	if (h == NULL) {
		fail(error, "cannot start", errno);
		return NULL;
	}
	h->boot = bootid_raise(state_dir, clock_wall_ms() / 1000, error);
	if (h->boot == 0)
		goto out;
	h->alive_max_ms = alive_max_ms;
	atomic_store(&h->alive_ms, clock_now_ms());
	h->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->watch = ifwatch_new(hbsend_interface, h);
	if (h->kick < 0 || h->watch == NULL || ifwatch_start(h->watch) < 0 ||
	    open_timer(h) < 0) {
		fail(error, "cannot start", errno);
		goto out;
	}
	lock_memory(h);
	e = start_thread(h, (int)cfg->agent.rt_priority);
	if (e != 0) {
		fail(error, "cannot start the thread", e);
		goto out;
	}
	return h;
out:
	free_sender(h);
	return NULL;
}

/* --- from the main loop --- */

static void
kick(struct hbsend *h)
{
	uint64_t one = 1;

	/* EAGAIN: it is kicked already. */
	(void)!write(h->kick, &one, sizeof(one));
}

/* Writes what the thread had to say, outside of the lock. */
static void
write_lines(struct hbsend *h)
{
	char lines[HBSEND_LINES][HBSEND_LINE_LEN];
	unsigned i, n;

	pthread_mutex_lock(&h->lock);
	n = h->nlines;
	memcpy(lines, h->lines, n * sizeof(lines[0]));
	h->nlines = 0;
	pthread_mutex_unlock(&h->lock);
	for (i = 0; i < n; i++)
		log_notice("%s", lines[i]);
}

void
hbsend_stop(struct hbsend *h)
{
	if (h == NULL)
		return;
	atomic_store(&h->stop, true);
	kick(h);
	pthread_join(h->thread, NULL);
	write_lines(h);
	free_sender(h);
}

uint64_t
hbsend_boot(const struct hbsend *h)
{
	return h->boot;
}

void
hbsend_alive(struct hbsend *h, uint64_t now_ms)
{
	atomic_store(&h->alive_ms, now_ms);
	write_lines(h);
}

int
hbsend_set_volumes(struct hbsend *h, const struct hb_volume *v, unsigned n)
{
	int r;

	pthread_mutex_lock(&h->lock);
	r = hbtable_set_volumes(&h->table, v, n);
	h->changed |= r > 0;
	pthread_mutex_unlock(&h->lock);
	if (r > 0)
		kick(h);
	return r < 0 ? -1 : 0;
}

int
hbsend_set_peers(struct hbsend *h, const struct hb_peer *p, unsigned n)
{
	int r;

	pthread_mutex_lock(&h->lock);
	r = hbtable_set_peers(&h->table, p, n);
	h->changed |= r > 0;
	pthread_mutex_unlock(&h->lock);
	if (r > 0)
		kick(h);
	return r < 0 ? -1 : 0;
}

/* --- subscribers --- */

static unsigned
link_of(const struct hbsend *h, const struct hanfs_addr *to)
{
	unsigned i, k;

	for (i = 0; i < h->nlinks; i++)
		for (k = 0; k < h->links[i].nprefixes; k++)
			if (prefix_match(&h->links[i].prefixes[k], to) &&
			    to->family == h->links[i].addr.family)
				return i;
	return h->nlinks;
}

/* Under the lock.  The one with that address, a free one, or NULL. */
static struct hbsend_subscriber *
place_for(struct hbsend *h, const struct hanfs_addr *to, uint64_t now_ms)
{
	struct hbsend_subscriber *s;
	unsigned i, n = 0;

	for (i = 0; i < h->nsubscribers; i++) {
		s = &h->subscribers[i];
		if (s->until_ms > now_ms || addr_cmp(&s->to, to) == 0)
			h->subscribers[n++] = *s;
	}
	h->nsubscribers = n;
	for (i = 0; i < n; i++)
		if (addr_cmp(&h->subscribers[i].to, to) == 0)
			return &h->subscribers[i];
	if (n == HBSEND_SUBSCRIBERS_MAX)
		return NULL;
	return &h->subscribers[h->nsubscribers++];
}

int
hbsend_subscribe(struct hbsend *h, const struct hanfs_addr *to, uint64_t now_ms,
    uint32_t ttl_ms)
{
	struct hbsend_subscriber *s;
	unsigned l = link_of(h, to);

	if (l == h->nlinks || to->port == 0) {
		errno = ENETUNREACH;
		return -1;
	}
	pthread_mutex_lock(&h->lock);
	s = place_for(h, to, now_ms);
	if (s != NULL)
		*s = (struct hbsend_subscriber){*to, l, now_ms + ttl_ms};
	pthread_mutex_unlock(&h->lock);
	if (s == NULL) {
		errno = ENOBUFS;
		return -1;
	}
	return 0;
}

void
hbsend_get_stats(struct hbsend *h, struct hbsend_stats *out)
{
	pthread_mutex_lock(&h->lock);
	*out = h->stats;
	out->subscribers = h->nsubscribers;
	pthread_mutex_unlock(&h->lock);
	out->realtime = h->realtime;
	out->locked = h->locked;
}
