/*
 * Hosts and networks: what gets through, how long it takes. What is wrong
 * with them is fault.c's.
 */
#include "world.h"

bool
iface_up(const struct world *w, uint32_t net, uint32_t host)
{
	const struct iface *i = &w->net[net].iface[host];

	return i->gone == 0 && i->no_carrier == 0;
}

bool
net_arrives(const struct world *w, uint32_t net, uint32_t from, uint32_t to)
{
	const struct network *n = &w->net[net];

	return n->dead == 0 && n->blocked[from][to] == 0 &&
	       iface_up(w, net, to);
}

void
net_send(struct world *w, uint32_t net, uint32_t from, uint32_t to,
    enum event_kind kind, void *obj, uint64_t arg)
{
	const struct network *n = &w->net[net];
	uint64_t delay = rnd_between(w, 40, 150) + n->delay;

	if (!iface_up(w, net, from) || !net_arrives(w, net, from, to) ||
	    (n->loss > 0 && chance(w, n->loss)))
		return;
	if (n->delay > 0)
		delay += rnd_between(w, 0, n->delay / 4);
	if (n->paused_until > w->now)
		delay += n->paused_until - w->now;
	if (n->late > 0 && chance(w, n->late))
		delay += rnd_between(w, 0, n->late_max);
	at(w, delay, kind, obj, arg);
}
