/*
 * Strangers: connections that have not said yet whose they are. There are
 * few of them for each peer, they have little time, and whoever has no
 * reserved port can announce no long record: nobody without a name holds
 * the memory that clients' calls need.
 */
#include <netinet/in.h>
#include <string.h>

#include "server-agent/agent.h"

enum {
	PATIENCE_MS = 10000,
	EACH_PEER_MAX = 64, /* a client has one for each connection */
	FIRST_RECORD_MAX = 8192,
};

static bool
same_host(const struct hanfs_addr *x, const struct hanfs_addr *y)
{
	return x->family == y->family &&
	       memcmp(x->ip, y->ip, sizeof(x->ip)) == 0;
}

bool
stranger_new(struct netconn *c)
{
	struct agent *a = c->a;
	struct netconn *other;
	unsigned n = 0;

	LIST_FOREACH(other, &a->strangers, on_strangers)
		n += same_host(&other->peer, &c->peer);
	if (n >= EACH_PEER_MAX)
		return false;
	c->stranger = true;
	c->stranger_until_ms = a->now_ms + PATIENCE_MS;
	/* The kernel's own client may begin with a WRITE, after a break. */
	if (c->peer.port >= IPPORT_RESERVED)
		c->s.in.len_max = FIRST_RECORD_MAX;
	LIST_INSERT_HEAD(&a->strangers, c, on_strangers);
	return true;
}

void
stranger_known(struct netconn *c)
{
	stranger_end(c);
	c->s.in.len_max = REC_MAX;
}

void
stranger_end(struct netconn *c)
{
	if (c->stranger)
		LIST_REMOVE(c, on_strangers);
	c->stranger = false;
}

void
stranger_tick(struct agent *a)
{
	struct netconn *c, *next;

	for (c = LIST_FIRST(&a->strangers); c != NULL; c = next) {
		next = LIST_NEXT(c, on_strangers);
		if (a->now_ms < c->stranger_until_ms || c->hello_waits)
			continue;
		a->n.strangers++;
		conn_end(c, "it did not say whose it is");
	}
}
