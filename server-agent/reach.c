/*
 * Which of this server's addresses can be reached: those that an interface
 * with carrier has. A cable that is out at the server is not seen by a
 * client, so the heartbeats on the other networks say it, at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/ifwatch.h"
#include "hanfs/log.h"
#include "server-agent/agent.h"
#include "server-agent/peers.h"

struct reach {
	struct agent *a;
	struct ifwatch *watch;
	struct event ev;
	bool lost[CONFIG_ADDRS_MAX]; /* by index of the server's addresses */
	int at[CONFIG_ADDRS_MAX];    /* interface that has it; 0: none yet */
};

bool
reach_lost(const struct agent *a, unsigned addr)
{
	return a->reach != NULL && a->reach->lost[addr];
}

static bool
has(const struct ifwatch_if *i, const struct hanfs_addr *addr)
{
	for (unsigned k = 0; k < i->naddrs; k++)
		if (addr_same_ip(&i->addrs[k].addr, addr))
			return true;
	return false;
}

/* What a change of interface i means for one address. */
static bool
look(struct reach *r, const struct ifwatch_if *i, unsigned addr)
{
	const struct config_server *s = &r->a->cfg->servers[r->a->server];
	bool here = !i->gone && has(i, &s->addrs[addr].addr);
	bool was = r->lost[addr];

	if (here) {
		r->at[addr] = i->ifindex;
		r->lost[addr] = !i->up || !i->carrier;
	} else if (r->at[addr] == i->ifindex) {
		r->at[addr] = 0;
		r->lost[addr] = true;
	}
	return was != r->lost[addr];
}

int
reach_network(const struct agent *a, int ifindex)
{
	const struct config_server *s = &a->cfg->servers[a->server];

	for (unsigned k = 0; a->reach != NULL && k < s->naddrs; k++)
		if (a->reach->at[k] == ifindex)
			return (int)s->addrs[k].network;
	return -1;
}

/* A network is there as long as one of our addresses in it is. */
static void
tell_peers(const struct reach *r, unsigned network)
{
	const struct config_server *s = &r->a->cfg->servers[r->a->server];
	bool there = false;

	for (unsigned k = 0; k < s->naddrs; k++)
		there |= s->addrs[k].network == network && !r->lost[k];
	peers_carrier(r->a, network, there);
}

static void
changed(const struct ifwatch_if *i, void *arg)
{
	struct reach *r = arg;
	const struct config_server *s = &r->a->cfg->servers[r->a->server];
	char name[ADDR_TEXT_SIZE];
	bool news = false;

	for (unsigned k = 0; k < s->naddrs; k++) {
		if (!look(r, i, k))
			continue;
		news = true;
		log_notice("address %s %s: interface %s",
		    addr_format(&s->addrs[k].addr, name, sizeof(name)),
		    r->lost[k] ? "cannot be reached" : "can be reached",
		    i->name);
		tell_peers(r, s->addrs[k].network);
	}
	if (news)
		announce_volumes(r->a);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct reach *r = arg;

	(void)fd;
	(void)what;
	if (ifwatch_read(r->watch) == -1) {
		log_err("interfaces cannot be watched any more: %s; clients "
		    "learn of a lost carrier by silence only",
		    strerror(errno));
		event_del(&r->ev);
	}
}

int
reach_start(struct agent *a)
{
	struct reach *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -1;
	a->reach = r;
	r->a = a;
	r->watch = ifwatch_new(changed, r);
	if (r->watch == NULL || ifwatch_start(r->watch) == -1) {
		log_err("cannot watch interfaces by netlink: %s",
		    strerror(errno));
		return -1;
	}
	event_assign(&r->ev, a->base, ifwatch_fd(r->watch),
	    EV_READ | EV_PERSIST, on_readable, r);
	return event_add(&r->ev, NULL);
}

void
reach_stop(struct agent *a)
{
	if (a->reach == NULL)
		return;
	if (a->reach->watch != NULL)
		event_del(&a->reach->ev);
	ifwatch_free(a->reach->watch);
	free(a->reach);
	a->reach = NULL;
}
