/*
 * The thread of hbsend: when it sends, what, and from which socket.
 *
 * It must never wait for anything but its timer: it holds the lock for a
 * copy's time, sends without blocking, and keeps what it has to log for the
 * main loop.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hbsend_int.h"

#define RETRY_MS 1000

static void say(struct hbsend *h, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A line for the log; when there are too many, the later ones are lost. */
static void
say(struct hbsend *h, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&h->lock);
	if (h->nlines < HBSEND_LINES) {
		va_start(ap, fmt);
		(void)vsnprintf(
		    h->lines[h->nlines++], HBSEND_LINE_LEN, fmt, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&h->lock);
}

/* --- interfaces --- */

static void
link_down(struct hbsend *h, struct hbsend_link *l, const char *why)
{
	say(h, "heartbeats on network %s (%s): stopped: %s", l->name,
	    l->socket.ifname, why);
	hblink_close(&l->socket);
	pthread_mutex_lock(&h->lock);
	h->stats.links[l - h->links].up = false;
	pthread_mutex_unlock(&h->lock);
}

static void
link_up(struct hbsend *h, struct hbsend_link *l, const struct ifwatch_if *i,
    const struct ifwatch_addr *a)
{
	struct hbsend_link_stats *st = &h->stats.links[l - h->links];

	if (hblink_open(&l->socket, i, a, h->port) < 0) {
		if (!l->failing)
			say(h,
			    "heartbeats on network %s (%s): cannot send: "
			    "%s; trying again each second",
			    l->name, i->name, strerror(errno));
		l->failing = true;
		h->retry_ms = clock_now_ms() + RETRY_MS;
		return;
	}
	l->failing = false;
	say(h, "heartbeats on network %s (%s): started", l->name, i->name);
	pthread_mutex_lock(&h->lock);
	st->up = true;
	memcpy(st->ifname, i->name, sizeof(st->ifname));
	pthread_mutex_unlock(&h->lock);
}

static const struct ifwatch_addr *
find_addr(const struct ifwatch_if *i, const struct hanfs_addr *addr)
{
	unsigned k;

	if (!i->gone && i->up)
		for (k = 0; k < i->naddrs; k++)
			if (addr_same_ip(&i->addrs[k].addr, addr))
				return &i->addrs[k];
	return NULL;
}

void
hbsend_interface(const struct ifwatch_if *i, void *arg)
{
	const struct ifwatch_addr *a;
	struct hbsend *h = arg;
	unsigned n;

	for (n = 0; n < h->nlinks; n++) {
		struct hbsend_link *l = &h->links[n];
		bool open = l->socket.fd >= 0;

		a = find_addr(i, &l->addr);
		if (open && l->socket.ifindex == i->ifindex && a == NULL)
			link_down(h, l,
			    i->gone  ? "the interface is gone"
			    : !i->up ? "the interface is down"
				     : "it lost the address");
		else if (!open && a != NULL)
			link_up(h, l, i, a);
	}
}

static void
try_again(struct hbsend *h)
{
	if (h->retry_ms == 0 || clock_now_ms() < h->retry_ms)
		return;
	h->retry_ms = 0;
	ifwatch_each(h->watch, hbsend_interface, h);
}

/* --- sending --- */

static void
count_send(struct hbsend *h, struct hbsend_link *l, uint64_t *counter, int r)
{
	struct hbsend_link_stats *st = &h->stats.links[l - h->links];
	int e = errno;

	pthread_mutex_lock(&h->lock);
	if (r == 0)
		++*counter;
	else {
		st->failed++;
		st->last_errno = e;
	}
	pthread_mutex_unlock(&h->lock);
}

/* Addresses of the link's subscribers; those whose time is over go. */
static unsigned
copy_subscribers(
    struct hbsend *h, unsigned link, struct hanfs_addr *to, uint64_t now_ms)
{
	unsigned i, n = 0;

	pthread_mutex_lock(&h->lock);
	for (i = 0; i < h->nsubscribers;) {
		struct hbsend_subscriber *s = &h->subscribers[i];

		if (s->until_ms <= now_ms) {
			*s = h->subscribers[--h->nsubscribers];
			continue;
		}
		if (s->link == link)
			to[n++] = s->to;
		i++;
	}
	pthread_mutex_unlock(&h->lock);
	return n;
}

static void
send_bytes(
    struct hbsend *h, struct hbsend_link *l, const uint8_t *buf, size_t len)
{
	struct hbsend_link_stats *st = &h->stats.links[l - h->links];
	struct hanfs_addr to[HBSEND_SUBSCRIBERS_MAX];
	unsigned i, n;
	int r;

	r = hblink_send(&l->socket, buf, len);
	if (r < 0 && !l->failing)
		say(h, "heartbeats on network %s (%s): cannot send: %s",
		    l->name, l->socket.ifname, strerror(errno));
	else if (r == 0 && l->failing)
		say(h, "heartbeats on network %s (%s): sending again", l->name,
		    l->socket.ifname);
	count_send(h, l, &st->sent, r);
	l->failing = r < 0;
	n = copy_subscribers(h, (unsigned)(l - h->links), to, clock_now_ms());
	for (i = 0; i < n; i++)
		count_send(h, l, &st->unicasts,
		    hblink_send_to(&l->socket, &to[i], buf, len));
}

/* One heartbeat on one network; how many pages there are. */
static unsigned
send_one(struct hbsend *h, struct hbsend_link *l)
{
	uint8_t buf[HB_LEN_MAX];
	struct heartbeat hb = {
	    .cluster = h->cluster,
	    .server = h->server,
	    .network = l->network,
	    .boot = h->boot,
	    .sequence = ++l->sequence,
	    .interval_ms = h->interval_ms,
	    .multiplier = h->multiplier,
	};
	int len;

	pthread_mutex_lock(&h->lock);
	if (l->page >= h->table.npages)
		l->page = 0;
	hbtable_fill(&h->table, l->page++, &hb);
	h->stats.links[l - h->links].sequence = hb.sequence;
	pthread_mutex_unlock(&h->lock);
	len = hb_encode(&hb, h->secret, buf);
	if (len > 0) /* hbtable takes nothing that cannot be encoded */
		send_bytes(h, l, buf, (size_t)len);
	return hb.pages;
}

/* To all networks: the next page, or all pages. */
static void
send_all(struct hbsend *h, bool whole)
{
	unsigned n, pages;

	for (n = 0; n < h->nlinks; n++) {
		struct hbsend_link *l = &h->links[n];

		if (l->socket.fd < 0)
			continue;
		if (whole)
			l->page = 0;
		pages = send_one(h, l);
		while (whole && --pages > 0)
			send_one(h, l);
	}
}

/* --- when --- */

/* Is the main loop alive?  Says so at each change. */
static bool
may_send(struct hbsend *h)
{
	uint64_t now = clock_now_ms(), alive = atomic_load(&h->alive_ms);
	bool hung = h->alive_max_ms != 0 && now > alive &&
		    now - alive > h->alive_max_ms;

	if (hung && !h->silent) {
		say(h,
		    "heartbeats stopped: the main loop hung for more "
		    "than %" PRIu32 " ms",
		    h->alive_max_ms);
		pthread_mutex_lock(&h->lock);
		h->stats.silences++;
		pthread_mutex_unlock(&h->lock);
	} else if (!hung && h->silent)
		say(h, "heartbeats go on: the main loop lives again");
	h->silent = hung;
	return !hung;
}

static bool
take_changed(struct hbsend *h)
{
	bool changed;

	pthread_mutex_lock(&h->lock);
	changed = h->changed;
	h->changed = false;
	pthread_mutex_unlock(&h->lock);
	return changed;
}

/* The timer fired `times` times since it was last looked at. */
static void
on_time(struct hbsend *h, uint64_t times)
{
	uint64_t interval_us = (uint64_t)h->interval_ms * 1000;
	uint64_t now = clock_now_us();
	uint64_t late = now > h->due_us ? now - h->due_us : 0;

	pthread_mutex_lock(&h->lock);
	h->stats.skipped += times - 1;
	if (late > h->stats.worst_late_us)
		h->stats.worst_late_us = late;
	pthread_mutex_unlock(&h->lock);
	h->due_us += times * interval_us;
	h->extra = 0;
	try_again(h);
	if (may_send(h))
		send_all(h, take_changed(h));
}

/* Something changed.  What is too much now goes with the next regular one. */
static void
on_kick(struct hbsend *h)
{
	if (atomic_load(&h->stop) || h->extra >= HBSEND_EXTRA_MAX)
		return;
	h->extra++;
	if (may_send(h) && take_changed(h))
		send_all(h, true);
}

void *
hbsend_run(void *arg)
{
	struct hbsend *h = arg;
	struct pollfd fds[] = {
	    {.fd = h->timer, .events = POLLIN},
	    {.fd = h->kick, .events = POLLIN},
	    {.fd = ifwatch_fd(h->watch), .events = POLLIN},
	};
	uint64_t n;

	while (!atomic_load(&h->stop)) {
		if (poll(fds, 3, -1) < 0)
			continue; /* EINTR */
		if (read(h->timer, &n, sizeof(n)) == sizeof(n))
			on_time(h, n);
		if (read(h->kick, &n, sizeof(n)) == sizeof(n))
			on_kick(h);
		if (fds[2].revents != 0 && ifwatch_read(h->watch) < 0) {
			say(h,
			    "heartbeats: interfaces are not watched any "
			    "more: %s",
			    strerror(errno));
			fds[2].fd = -1;
		}
	}
	return NULL;
}
