/*
 * Power of a server's host. A cut: nothing leaves it any more, its disks get
 * no more writes, and what was in its memory is gone.
 */
#include "own.h"

uint64_t
host_ms(const struct server *s)
{
	int64_t now = (int64_t)(s->w->now / MS);

	return (uint64_t)(s->clock_ahead + now + now * s->clock_fast / 1000);
}

static void
carriers(struct server *s, int by)
{
	for (uint32_t n = 0; n < NETS; n++)
		s->w->net[n].iface[server_host(s->number)].no_carrier +=
		    (uint32_t)by;
}

void
host_cut(struct server *s)
{
	struct world *w = s->w;

	if (s->off)
		return;
	tell(w, "s%u: power is cut", s->number + 1);
	carriers(s, 1);
	s->off = true;
	s->boots++;
	if (s->alive)
		agent_kill(s);
	for (uint32_t v = 0; v < VOLUMES; v++) {
		struct mount *m = w->disk[v].mount;

		backend_end(&w->backend[s->number][v]);
		w->doubts[v]++;
		if (m->server == s->number)
			m->gone = true;
	}
	for (struct mount *m = s->mounts; m != NULL; m = m->next)
		m->gone = true;
	s->mounts = NULL;
}

void
host_boot(struct server *s)
{
	if (!s->off)
		return;
	s->off = false;
	s->boots++;
	s->stalled_until = 0;
	carriers(s, -1);
	agent_start(s);
}

void
host_on_boot(struct server *s, uint64_t boots)
{
	if (s->boots == boots)
		host_boot(s);
}
