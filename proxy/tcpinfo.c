/*
 * What the kernel's TCP knows of the connections to agents: is a probe
 * acknowledged, how much is sent again, is a flow dead.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "proxy.h"

/* A flow may die on a path that lives (a firewall's state, one of several
 * links): so many retransmissions in a row end its connection. With the
 * shortest time-out that is after 6 s. */
enum { DEAD_FLOW = 5 };

/* What the kernel's TCP knows: see tcp(7), TCP_INFO. */
static void
look_at(struct proxy *p, struct upstream *up, uint32_t *retrans,
    uint32_t *segs)
{
	struct tcp_info ti;
	socklen_t len = sizeof(ti);

	if (getsockopt(up->w.fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == -1)
		return;
	*retrans += ti.tcpi_total_retrans - up->retrans;
	*segs += ti.tcpi_segs_out - up->segs;
	up->retrans = ti.tcpi_total_retrans;
	up->segs = ti.tcpi_segs_out;
	if (up->u == NULL && up->w.out.queued == 0 && ti.tcpi_unacked == 0 &&
	    px_path(p->px, up->path)->probe_ms != 0)
		px_probe_acked(p->px, up->path, proxy_now(p));
	if (ti.tcpi_retransmits >= DEAD_FLOW)
		upstream_lost(up, ETIMEDOUT, "nothing is acknowledged");
}

/* Each PX_TICK_MS: are outstanding probes acknowledged? */
void
upstream_look_probes(struct proxy *p)
{
	for (uint32_t i = 0; i < p->npaths; i++) {
		struct upstream *up = p->control[i];
		const struct path *path = px_path(p->px, i);
		uint32_t retrans = 0, segs = 0;

		if (up == NULL || up->state != UP_READY ||
		    path->probe_ms == 0 || path->probe_acked)
			continue;
		look_at(p, up, &retrans, &segs);
		p->retrans[i] += retrans;
		p->segs[i] += segs;
	}
}

/* Now and then: how much is lost on each path. */
void
upstream_look_loss(struct proxy *p)
{
	for (struct upstream *up = p->upstreams; up != NULL; up = up->next)
		if (!up->closed && up->state == UP_READY)
			look_at(p, up, &p->retrans[up->path],
			    &p->segs[up->path]);
	for (uint32_t i = 0; i < p->npaths; i++) {
		px_retransmits(p->px, i, p->retrans[i], p->segs[i],
		    proxy_now(p));
		p->retrans[i] = p->segs[i] = 0;
	}
}
