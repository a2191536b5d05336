/*
 * Naming to the agent what the kernel's TCP has taken, so that the agent can
 * let these calls go. A reply counts as taken when nothing up to its end is
 * left in the socket's send queue.
 */
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "proxy.h"

#define BATCH 1024u /* HANFS_XIDS_MAX */

/* False: not now. */
static bool
send_batch(struct proxy *p, struct kernel_conn *kc, uint32_t path, uint32_t n)
{
	uint32_t *xids = malloc(n * sizeof(*xids));

	if (xids == NULL)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		xids[i] = kc->taken[kc->taken_at].xid;
		kc->taken_at = (kc->taken_at + 1) % TAKEN_MAX;
	}
	kc->taken_n -= n;
	p->count.acks += n;
	return upstream_ack(p, path, kc->volume, kc->id, xids, n);
}

static void
ack_conn(struct proxy *p, struct kernel_conn *kc)
{
	uint32_t path = px_control_path(p->px, kc->volume);
	uint64_t taken;
	int unacked = 0;

	if (path == PX_NONE || ioctl(kc->w.fd, SIOCOUTQ, &unacked) == -1)
		return;
	taken = kc->w.out.bytes - (uint32_t)unacked;
	while (kc->taken_n > 0) {
		uint32_t n = 0;

		while (n < kc->taken_n && n < BATCH &&
		    kc->taken[(kc->taken_at + n) % TAKEN_MAX].at <= taken)
			n++;
		if (n == 0)
			return;
		if (!send_batch(p, kc, path, n))
			return;
	}
}

/* The last ACK for a connection that ends. Without it the agent keeps its
 * replies until they expire, and they count against the client's quota. */
void
kernel_acks_last(struct kernel_conn *kc)
{
	if (kc->taken_n > 0)
		ack_conn(kc->w.p, kc);
}

void
kernel_acks(struct proxy *p, uint32_t least)
{
	for (struct kernel_conn *kc = p->kernels; kc != NULL; kc = kc->next)
		if (kc->taken_n >= least && !kc->dead)
			ack_conn(p, kc);
}
