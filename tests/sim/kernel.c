/*
 * The kernel's NFS client: up to so many calls at once, never two that
 * depend on each other; the next WRITE to a block follows the reply of the
 * last; calls are sent again on their connection after a while, and on the
 * next one when it was closed, always with the same XID. It knows the
 * result of each call beforehand.
 */
#include <assert.h>
#include <string.h>

#include "kernel.h"

static const uint64_t loopback = 20, look = 50 * MS;

/* --- calls */

/* Until a slot's next call: short when something goes wrong, or is about to,
 * or just did; the quiet in between is of less interest. */
static uint64_t
think(struct world *w)
{
	uint64_t quiet = faults_quiet(w);

	if (quiet == 0)
		return chance(w, 500) ? 1 : rnd_between(w, 1, w->t.think + 1);
	return 1 + rnd_between(w, quiet / 2 < w->t.think ? 0 : w->t.think,
		       quiet < 200 * MS ? quiet : 200 * MS);
}

static void
send_call(struct kcall *c)
{
	struct world *w = c->slot->cl->w;

	if (!c->kc->up)
		return; /* when it is connected again */
	c->sent = w->now;
	c->tries++;
	if (c->tries > 1)
		tell(w, "c%u kernel: call %08x once more",
		    c->slot->cl->number + 1, c->xid);
	at(w, loopback, EV_TO_PROXY, c->kc->p, c->number);
}

static void
on_slot(struct slot *s)
{
	struct client *cl = s->cl;
	struct world *w = cl->w;
	struct kcall *c;

	if (cl->stopping || s->spoiled)
		return;
	assert(s->call == NULL);
	c = sim_alloc(w, sizeof(*c));
	c->number = cl->ncalls;
	c->xid = cl->xid0 + c->number;
	c->slot = s;
	c->kc = &cl->kc[s->volume][s->conn];
	c->op.client = cl->number;
	c->op.slot = s->number;
	c->doubts = w->doubts[s->volume];
	choose(s, c);
	c->len = (uint32_t)nfs_call_encode(c->bytes, c->xid, &c->op);
	cl->calls = sim_grow(
	    w, cl->calls, cl->ncalls, &cl->calls_room, sizeof(*cl->calls));
	cl->calls[cl->ncalls++] = c;
	cl->outstanding++;
	w->out.calls++;
	s->call = c;
	c->issued = w->now;
	tell(w, "c%u kernel: call %08x %s slot %u%s name %c value %llu",
	    cl->number + 1, c->xid, op_names[c->op.what], s->number,
	    s->shared ? " (shared)" : "", 'a' + (int)c->op.name,
	    (unsigned long long)c->op.value);
	send_call(c);
}

struct kcall *
kernel_call(struct client *cl, uint32_t xid)
{
	return xid - cl->xid0 < cl->ncalls ? cl->calls[xid - cl->xid0] : NULL;
}

struct kcall *
kernel_made(
    struct world *w, const struct nfsd_call *n, const uint8_t *p, size_t len)
{
	const struct nfs_handle *fh;
	struct kcall *c;

	if (n->client >= w->t.nclients)
		return NULL;
	c = kernel_call(&w->client[n->client], n->xid);
	if (c == NULL || op_proc(c->op.what) != n->proc)
		return NULL;
	if (c->len == len && memcmp(c->bytes, p, len) == 0)
		return c;
	/* A guard may be left out when a call is run again. */
	fh = &c->op.fh;
	return op_changes(c->op.what) && fh->inode == n->fh.inode &&
		       fh->gen == n->fh.gen
		   ? c
		   : NULL;
}

static void
on_reply(const struct delivery *d)
{
	struct client *cl = d->p->kc->cl;
	struct world *w = cl->w;
	struct nfs_answer a;
	struct kcall *c = NULL;
	uint32_t xid;

	if (d->p->cut)
		return;
	if (!nfs_reply_xid(d->bytes, d->len, &xid) ||
	    (c = kernel_call(cl, xid)) == NULL ||
	    !nfs_reply_decode(d->bytes, d->len, c->op.what, &a)) {
		broken(w, I5, "c%u: a reply that is none", cl->number + 1);
		return;
	}
	if (d->class != CALL_PASSED)
		proxy_on_taken(d->p, xid);
	if (c->done != 0)
		return; /* as the kernel does with what it does not await */
	c->done = w->now;
	tell(w, "c%u kernel: reply %08x %s status %u", cl->number + 1, xid,
	    op_names[c->op.what], a.status);
	check_reply(w, c, &a);
	learn(c, &a);
	c->slot->call = NULL;
	cl->outstanding--;
	at(w, think(w), EV_SLOT, c->slot, 0);
}

/* Those that are due; those of one connection at once. */
static void
retransmit(struct client *cl, const struct kernel_conn *only)
{
	for (uint32_t i = 0; i < cl->w->t.slots; i++) {
		struct kcall *c = cl->slot[i].call;
		uint64_t after;

		if (c == NULL || (only != NULL && c->kc != only))
			continue;
		after = cl->w->t.timeo * (1 + (c->tries < 4 ? c->tries : 4));
		if (only != NULL || cl->w->now - c->sent >= after)
			send_call(c);
	}
}

/* --- connections */

static void
connect_to_proxy(struct kernel_conn *kc)
{
	struct client *cl = kc->cl;

	if (kc->up || cl->unmounted)
		return;
	if (!cl->alive) {
		at(cl->w, rnd_between(cl->w, 10 * MS, 300 * MS), EV_RECONNECT,
		    kc, 0);
		return;
	}
	kc->p = proxy_accept(kc);
	if (kc->p == NULL)
		return;
	kc->up = true;
	retransmit(cl, kc);
}

void
kernel_lost(struct kernel_conn *kc)
{
	struct world *w = kc->cl->w;

	kc->up = false;
	kc->p->cut = true;
	at(w, rnd_between(w, 500, 100 * MS), EV_RECONNECT, kc, 0);
}

void
kernel_cut(struct kernel_conn *kc)
{
	struct world *w = kc->cl->w;

	if (!kc->up)
		return;
	tell(w, "c%u kernel: closes connection %u of volume %u",
	    kc->cl->number + 1, kc->number, kc->volume);
	/* The new connection may be there before the end of the old one is
	 * seen. */
	at(w, rnd_between(w, loopback, 2 * MS), EV_HANGUP, kc->p, 0);
	kernel_lost(kc);
}

void
kernel_on_event(const struct event *e)
{
	switch (e->kind) {
	case EV_TO_PROXY: {
		struct proxy_conn *p = e->obj;

		if (!p->cut)
			proxy_on_call(p, p->kc->cl->calls[e->arg]);
		break;
	}
	case EV_TO_KERNEL:
		on_reply(e->obj);
		break;
	case EV_HANGUP:
		proxy_on_hangup(e->obj);
		break;
	case EV_RECONNECT:
		connect_to_proxy(e->obj);
		break;
	case EV_RETRANSMIT: {
		struct client *cl = e->obj;

		retransmit(cl, NULL);
		at(cl->w, look, EV_RETRANSMIT, cl, 0);
		break;
	}
	case EV_SLOT:
		on_slot(e->obj);
		break;
	default:
		assert(0);
	}
}

/* --- life */

void
kernel_start(struct client *cl)
{
	struct world *w = cl->w;

	cl->xid0 = rnd(w, UINT32_MAX);
	for (uint32_t v = 0; v < VOLUMES; v++)
		for (uint32_t i = 0; i < w->t.nconnect; i++) {
			cl->kc[v][i] = (struct kernel_conn){
			    .cl = cl, .volume = v, .number = i};
			connect_to_proxy(&cl->kc[v][i]);
		}
	for (uint32_t i = 0; i < w->t.slots; i++) {
		struct slot *s = &cl->slot[i];

		s->cl = cl;
		s->number = i;
		s->volume = rnd(w, VOLUMES);
		s->conn = rnd(w, w->t.nconnect);
		s->shared = i % 2 == 1 && chance(w, w->t.shared);
		at(w, rnd(w, 20 * MS), EV_SLOT, s, 0);
	}
	at(w, rnd(w, (uint32_t)look), EV_RETRANSMIT, cl, 0);
}

void
kernel_stop(struct client *cl)
{
	cl->stopping = true;
}

void
kernel_unmount(struct client *cl)
{
	cl->unmounted = true;
	for (uint32_t v = 0; v < VOLUMES; v++)
		for (uint32_t i = 0; i < cl->w->t.nconnect; i++)
			kernel_cut(&cl->kc[v][i]);
}
