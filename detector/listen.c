/*
 * listen: which interfaces are listened on.
 *
 * Owns the listeners: one for each interface that carries an address on a
 * configured network.  Its place in the table is its slot in the guard, and
 * an interface that comes back gets the place it had, so that the guard
 * still knows what it heard there.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "detector.h"
#include "hanfs/clock.h"

/*
 * The port is shared with an agent on the same host, and so would be with a
 * second detector, which would get the first one's unicast heartbeats in its
 * place. A name in this network's abstract namespace tells them apart.
 */
static int
claim_udp(struct detector *d)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1,
	    "hanfs-detector-udp-%u", d->cfg->heartbeat_port);
	socklen_t len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);

	d->udp_claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (d->udp_claim != -1 &&
	    bind(d->udp_claim, (struct sockaddr *)&un, len) == 0)
		return 0;
	log_err("UDP port %u: %s%s", d->cfg->heartbeat_port, strerror(errno),
	    errno == EADDRINUSE ? "; another detector runs with --udp" : "");
	return -1;
}

int
listen_open_udp(struct detector *d)
{
	char error[HBUDP_ERROR_LEN];
	unsigned i;

	if (claim_udp(d) == -1)
		return -1;
	if (hbudp_open(&d->udp, d->cfg->heartbeat_port, error) < 0) {
		log_err("%s", error);
		return -1;
	}
	for (i = 0; i < HBUDP_SOCKETS; i++) {
		if (d->udp.fds[i] < 0)
			continue;
		d->udp_evs[i] = event_new(d->base, d->udp.fds[i],
		    EV_READ | EV_PERSIST, receive_udp, d);
		if (d->udp_evs[i] == NULL ||
		    event_add(d->udp_evs[i], NULL) < 0) {
			log_err("no memory");
			return -1;
		}
	}
	return 0;
}

static void
close_udp(struct detector *d)
{
	unsigned i;

	if (!d->opt.udp)
		return;
	for (i = 0; i < HBUDP_SOCKETS; i++) {
		if (d->udp_evs[i] != NULL)
			event_free(d->udp_evs[i]);
		d->udp_evs[i] = NULL;
	}
	hbudp_close(&d->udp);
	close(d->udp_claim);
}

/* --- starting and stopping to listen --- */

void
listen_stop(struct listener *l)
{
	if (!l->listening)
		return;
	hbguard_close_slot(l->d->guard, (unsigned)(l - l->d->listeners));
	l->listening = false;
	if (l->sniff == NULL)
		return;
	l->lost += sniff_lost(l->sniff);
	event_free(l->ev);
	sniff_close(l->sniff);
	l->ev = NULL;
	l->sniff = NULL;
}

static int
open_sniff(struct listener *l)
{
	char error[SNIFF_ERROR_LEN];
	struct detector *d = l->d;

	l->sniff = sniff_open(l->name, d->cfg->heartbeat_port, error);
	if (l->sniff == NULL) {
		if (!l->failing)
			log_err("%s%s", error,
			    errno == EPERM ? " (CAP_NET_RAW is needed)" : "");
		return -1;
	}
	l->ev = event_new(d->base, sniff_fd(l->sniff), EV_READ | EV_PERSIST,
	    receive_frames, l);
	if (l->ev != NULL && event_add(l->ev, NULL) == 0)
		return 0;
	if (l->ev != NULL)
		event_free(l->ev);
	sniff_close(l->sniff);
	l->ev = NULL;
	l->sniff = NULL;
	log_err("%s: no memory", l->name);
	return -1;
}

static void
start(struct listener *l)
{
	struct detector *d = l->d;

	if (!d->opt.udp && open_sniff(l) < 0) {
		l->failing = true;
		d->retry = true;
		return;
	}
	l->failing = false;
	l->drained_us = clock_now_us();
	l->listening = true;
	hbguard_open_slot(d->guard, (unsigned)(l - d->listeners),
	    d->cfg->networks[l->network].id);
	log_notice("%s: listening on network %s", l->name,
	    d->cfg->networks[l->network].name);
}

uint64_t
listen_lost(const struct listener *l)
{
	return l->lost + (l->sniff != NULL ? sniff_lost(l->sniff) : 0);
}

/* --- interfaces --- */

static struct listener *
find(struct detector *d, int ifindex)
{
	unsigned i;

	for (i = 0; i < HBG_SLOTS_MAX; i++)
		if (d->listeners[i].used &&
		    d->listeners[i].state.ifindex == ifindex)
			return &d->listeners[i];
	return NULL;
}

/* The place it had, else one that nobody had, else one that is free. */
static struct listener *
find_place(struct detector *d, const char *name)
{
	struct listener *fresh = NULL, *unused = NULL;
	unsigned i;

	for (i = HBG_SLOTS_MAX; i-- > 0;) {
		struct listener *l = &d->listeners[i];

		if (l->used)
			continue;
		if (strcmp(l->name, name) == 0)
			return l;
		if (l->name[0] == '\0')
			fresh = l;
		unused = l;
	}
	return fresh != NULL ? fresh : unused;
}

/* The network that its addresses are on; -1: none. */
static int
network_of(const struct detector *d, const struct ifwatch_if *i)
{
	int found = -1;
	unsigned k;

	for (k = 0; k < i->naddrs; k++) {
		int n = config_network_of(d->cfg, &i->addrs[k].addr);

		if (n < 0 || n == found)
			continue;
		if (found >= 0)
			log_warn("%s has addresses on networks %s and %s: "
				 "only the first counts",
			    i->name, d->cfg->networks[found].name,
			    d->cfg->networks[n].name);
		else
			found = n;
	}
	return found;
}

static bool
is_wanted(const struct detector *d, const struct ifwatch_if *i)
{
	if (i->gone || i->loopback)
		return false;
	return d->opt.interface == NULL ||
	       strcmp(d->opt.interface, i->name) == 0;
}

static void
forget(struct listener *l)
{
	listen_stop(l);
	l->state.gone = true;
	l->used = false;
	log_notice("%s: not listening any more", l->name);
	deliver_interface(l->d, l);
}

static struct listener *
add(struct detector *d, const struct ifwatch_if *i, unsigned network)
{
	struct listener *l = find_place(d, i->name);
	uint32_t id = d->cfg->networks[network].id;

	if (l == NULL) {
		log_warn("%s: not listened on, there are %u interfaces already",
		    i->name, HBG_SLOTS_MAX);
		return NULL;
	}
	if (strcmp(l->name, i->name) != 0 || l->network_id != id) {
		l->lost = 0;
		book_forget_slot(d->book, (unsigned)(l - d->listeners));
	}
	l->d = d;
	l->used = true;
	l->failing = false;
	l->network_id = id;
	memcpy(l->name, i->name, sizeof(l->name));
	return l;
}

/* Is it still the interface, on the network, that l was made for? */
static bool
is_same(const struct detector *d, const struct listener *l,
    const struct ifwatch_if *i, int network)
{
	return network >= 0 && strcmp(l->name, i->name) == 0 &&
	       l->network_id == d->cfg->networks[network].id;
}

void
listen_interface(const struct ifwatch_if *i, void *arg)
{
	struct detector *d = arg;
	struct listener *l = find(d, i->ifindex);
	int network = is_wanted(d, i) ? network_of(d, i) : -1;

	if (l != NULL && !is_same(d, l, i, network)) {
		forget(l);
		l = NULL;
	}
	if (network < 0)
		return;
	if (l == NULL)
		l = add(d, i, (unsigned)network);
	if (l == NULL)
		return;
	l->network = (unsigned)network;
	l->state = *i;
	if (i->up && !l->listening)
		start(l);
	else if (!i->up)
		listen_stop(l);
	deliver_interface(d, l);
}

bool
listen_any(const struct detector *d)
{
	unsigned i;

	for (i = 0; i < HBG_SLOTS_MAX; i++)
		if (d->listeners[i].used)
			return true;
	return false;
}

void
listen_retry(struct detector *d)
{
	unsigned i;

	if (!d->retry)
		return;
	d->retry = false;
	for (i = 0; i < HBG_SLOTS_MAX; i++) {
		struct listener *l = &d->listeners[i];

		if (!l->used || l->listening || !l->state.up)
			continue;
		start(l);
		if (l->listening)
			deliver_interface(d, l);
	}
}

/* Closes and opens, without telling anybody: it is back at once. */
static void
change_port(struct detector *d)
{
	unsigned i;

	if (d->opt.udp) {
		close_udp(d);
		(void)listen_open_udp(d);
		return;
	}
	for (i = 0; i < HBG_SLOTS_MAX; i++) {
		struct listener *l = &d->listeners[i];

		if (l->used && l->listening) {
			listen_stop(l);
			start(l);
		}
	}
}

void
listen_configure(struct detector *d, bool port_changed)
{
	unsigned i;

	for (i = 0; i < HBG_SLOTS_MAX; i++) {
		struct listener *l = &d->listeners[i];
		int network;

		if (!l->used)
			continue;
		network = network_of(d, &l->state);
		if (is_same(d, l, &l->state, network))
			l->network = (unsigned)network;
		else
			forget(l);
	}
	if (port_changed)
		change_port(d);
	ifwatch_each(d->watch, listen_interface, d);
}

void
listen_close_all(struct detector *d)
{
	unsigned i;

	for (i = 0; i < HBG_SLOTS_MAX; i++)
		listen_stop(&d->listeners[i]);
	close_udp(d);
}
