/*
 * HELLO's list: the calls that a client may have sent before, and still wants
 * an answer to.
 */
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_log.h"

static bool
is_sent(const uint32_t *sent, unsigned n, uint32_t xid)
{
	for (unsigned i = 0; i < n; i++)
		if (sent[i] == xid)
			return true;
	return false;
}

/*
 * A kernel connection comes for the first time after a recovery. What the
 * log knows of it, and what is not among the calls that it still wants an
 * answer to, has been answered: its ACK was lost with the old owner.
 */
static void
ack_answered(struct relay *r, struct relay_kconn *k,
    const struct relay_hello *h, uint64_t now_ms)
{
	struct relay_entry *e, *next;

	for (e = TAILQ_FIRST(&k->table->kept[KEPT_UNACKED]); e != NULL;
	     e = next) {
		next = TAILQ_NEXT(e, on_kept);
		if (!e->recovered || e->mark != MARK_NONE ||
		    e->kconn != k->number || e->incarnation != k->incarnation)
			continue;
		if (!is_sent(h->sent, h->nsent, e->id.xid)) {
			r->n.acked++;
			entry_acked(r, e, now_ms);
		}
	}
}

/*
 * A HELLO of a connection that is older than the recovery can have been on
 * its way since before the crash: calls that were sent after it, over another
 * network, are not in its list.
 */
void
log_hello(struct relay_conn *c, const struct relay_hello *h, uint64_t now_ms)
{
	struct relay_kconn *k = c->kconn;
	const struct vlog *v = c->r->logs[k->volume];

	if (v == NULL)
		return;
	if (c->born >= v->born) {
		if (!k->heard && !h->resend)
			ack_answered(c->r, k, h, now_ms);
		k->heard = true;
	}
	free(k->sent);
	k->sent = NULL;
	k->nsent = 0;
	if (h->nsent == 0)
		return;
	k->sent = calloc(h->nsent, sizeof(*k->sent));
	if (k->sent == NULL)
		return;
	k->nsent = h->nsent;
	memcpy(k->sent, h->sent, h->nsent * sizeof(*k->sent));
}
