/*
 * Flow: a client that does not take its replies, or a backend that does not
 * take its calls, may hold only so much memory; then what feeds it is not
 * read any more, and nobody else waits for it.
 */
#include "hanfs/log.h"
#include "server-agent/agent.h"

/* So long without a byte, while others wait for memory; or while its client
 * asks over another network. */
enum { STUCK_MS = 5000, ABANDONED_MS = 500 };

static struct agent_volume *
volume_of(const struct blink *b)
{
	return &b->a->volumes[relay_link_volume(b->link)];
}

/* --- a client that does not take its replies */

static void
links_go(struct netconn *c)
{
	struct blink *b;

	while ((b = LIST_FIRST(&c->stopped)) != NULL) {
		LIST_REMOVE(b, on_stopped);
		b->waits_for = NULL;
		b->elsewhere = false;
		stream_resume(&b->s, PAUSE_CONN);
	}
}

void
flow_conn(struct netconn *c)
{
	struct blink *b = c->a->reading;

	if (c->s.out.queued < CONN_OUT_MAX / 2)
		links_go(c);
	if (c->s.out.queued <= CONN_OUT_MAX || b == NULL ||
	    b->waits_for != NULL)
		return;
	b->waits_for = c;
	LIST_INSERT_HEAD(&c->stopped, b, on_stopped);
	stream_pause(&b->s, PAUSE_CONN);
	c->a->n.slow_clients++;
}

void
flow_conn_end(struct netconn *c)
{
	links_go(c);
	if (c->waits_for != NULL)
		LIST_REMOVE(c, on_stopped);
	c->waits_for = NULL;
}

/*
 * A call for a link that is not read, since another connection is too slow:
 * its network may be dead, and the client gone over to this one.
 */
void
flow_elsewhere(struct blink *b)
{
	if (b->waits_for != NULL && b->waits_for != b->a->offering)
		b->elsewhere = true;
}

/* Closes those that have not got on since. */
static void
flow_abandoned(struct agent *a)
{
	struct blink *b;

	LIST_FOREACH(b, &a->blinks, next) {
		struct netconn *c = b->waits_for;

		if (c == NULL || !b->elsewhere ||
		    a->now_ms - c->moved_ms < ABANDONED_MS)
			continue;
		a->n.abandoned++;
		conn_end(
		    c, "it takes no replies, and its client asks elsewhere");
	}
}

/* --- a backend that does not take its calls */

static void
conns_go(struct blink *b)
{
	struct netconn *c;

	while ((c = LIST_FIRST(&b->stopped)) != NULL) {
		LIST_REMOVE(c, on_stopped);
		c->waits_for = NULL;
		stream_resume(&c->s, PAUSE_LINK);
	}
}

static void
volume_set_full(struct agent *a, struct agent_volume *v, bool full)
{
	struct netconn *c;

	if (v->full == full)
		return;
	v->full = full;
	LIST_FOREACH(c, &a->conns, next) {
		if (c->volume < 0 || &a->volumes[c->volume] != v)
			continue;
		if (full)
			stream_pause(&c->s, PAUSE_VOLUME);
		else
			stream_resume(&c->s, PAUSE_VOLUME);
	}
}

void
flow_conn_volume(struct netconn *c, int volume)
{
	c->volume = volume;
	stream_resume(&c->s, PAUSE_VOLUME);
	if (volume >= 0 && c->a->volumes[volume].full)
		stream_pause(&c->s, PAUSE_VOLUME);
}

static void
count(struct blink *b, size_t queued)
{
	struct agent_volume *v = volume_of(b);

	v->queued = v->queued - b->counted + queued;
	b->counted = queued;
	if (v->queued > VOLUME_OUT_MAX)
		volume_set_full(b->a, v, true);
	else if (v->queued < VOLUME_OUT_MAX / 2)
		volume_set_full(b->a, v, false);
}

void
flow_link(struct blink *b)
{
	struct netconn *c = b->a->offering;

	count(b, b->s.out.queued);
	if (b->s.out.queued < LINK_OUT_MAX / 2)
		conns_go(b);
	if (b->s.out.queued <= LINK_OUT_MAX || c == NULL ||
	    c->waits_for != NULL)
		return;
	c->waits_for = b;
	LIST_INSERT_HEAD(&b->stopped, c, on_stopped);
	stream_pause(&c->s, PAUSE_LINK);
	b->a->n.slow_backends++;
}

void
flow_link_end(struct blink *b)
{
	count(b, 0);
	conns_go(b);
	if (b->waits_for != NULL)
		LIST_REMOVE(b, on_stopped);
	b->waits_for = NULL;
}

/* --- memory is short */

/* Half a record, or replies that it does not take. */
static bool
holds_memory(const struct netconn *c, bool calls, bool replies)
{
	return (calls && c->s.in.rec != NULL && !c->s.is_starved) ||
	       (replies && c->s.out.queued > 0);
}

void
flow_tick(struct agent *a)
{
	bool calls = !TAILQ_EMPTY(&a->from_clients.starved);
	bool replies = !TAILQ_EMPTY(&a->from_backends.starved);
	struct netconn *c, *next;

	for (c = LIST_FIRST(&a->conns); c != NULL; c = next) {
		uint64_t moved = c->s.in.bytes + c->s.out.bytes;

		next = LIST_NEXT(c, next);
		if (moved != c->moved_bytes || c->s.paused != 0) {
			c->moved_bytes = moved;
			c->moved_ms = a->now_ms;
		} else if (a->now_ms - c->moved_ms > STUCK_MS &&
			   holds_memory(c, calls, replies)) {
			a->n.relieved++;
			conn_end(c, "it holds memory that others wait for");
		}
	}
	flow_abandoned(a);
}
