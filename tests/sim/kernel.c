/*
 * The kernel's NFS client: up to so many calls at once, never two that
 * depend on each other; the next WRITE to a block follows the reply of the
 * last; calls are sent again on their connection after a while, and on the
 * next one when it was closed, always with the same XID. It knows the
 * result of each call beforehand.
 */
#include <assert.h>

#include "world.h"

enum { NFS_OK = 0, NFS_NOENT = 2, NFS_EXIST = 17 };
static const uint64_t loopback = 20, look = 50 * MS;

/* --- what to do next */

static void
choose_file(struct world *w, struct slot *s, struct kcall *c)
{
	static const enum nfs_op ops[] = {OP_WRITE, OP_WRITE, OP_WRITE,
	    OP_WRITE, OP_READ, OP_READ, OP_COMMIT, OP_SETATTR, OP_GETATTR};

	c->op.what = ops[rnd(w, sizeof(ops) / sizeof(ops[0]))];
	c->expect_value =
	    c->op.what == OP_READ ? s->want.written : s->want.attr;
	if (c->op.what == OP_WRITE)
		s->want.written = c->op.value = ++s->version;
	else if (c->op.what == OP_SETATTR)
		s->want.attr = c->op.value = ++s->version;
}

static void
choose_name(struct world *w, struct slot *s, struct kcall *c)
{
	bool a = s->want.name[0], b = s->want.name[1];
	uint32_t r = rnd(w, 10), name = a || b ? b : rnd(w, 2);

	c->op.name = name;
	if (r < 2) {
		c->op.what = OP_LOOKUP;
		c->op.name = rnd(w, 2);
	} else if (!a && !b) {
		c->op.what = r < 4 ? (r < 3 ? OP_REMOVE : OP_RMDIR)
				   : (r < 8 ? OP_CREATE : OP_MKDIR);
	} else {
		c->op.what = r < 5   ? (r < 4 ? OP_REMOVE : OP_RMDIR)
			     : r < 9 ? OP_RENAME
				     : OP_CREATE;
	}
	c->expect_status = s->want.name[c->op.name] ? NFS_OK : NFS_NOENT;
	if (c->op.what == OP_CREATE || c->op.what == OP_MKDIR) {
		c->expect_status =
		    s->want.name[c->op.name] ? NFS_EXIST : NFS_OK;
		s->want.name[c->op.name] = true;
	} else if (c->op.what != OP_LOOKUP) {
		if (c->op.what == OP_RENAME)
			s->want.name[!c->op.name] = true;
		s->want.name[c->op.name] = false;
	}
}

/* --- calls */

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

	if (cl->stopping)
		return;
	assert(s->call == NULL);
	c = sim_alloc(w, sizeof(*c));
	c->number = cl->ncalls;
	c->xid = cl->xid0 + c->number;
	c->slot = s;
	c->kc = &cl->kc[s->volume][s->conn];
	c->op.client = cl->number;
	c->op.slot = s->number;
	c->kills = w->server[volume_owner(s->volume)].kills;
	if (s->number % 2 == 0)
		choose_file(w, s, c);
	else
		choose_name(w, s, c);
	cl->calls = sim_grow(
	    w, cl->calls, cl->ncalls, &cl->calls_room, sizeof(*cl->calls));
	cl->calls[cl->ncalls++] = c;
	cl->outstanding++;
	w->out.calls++;
	s->call = c;
	c->issued = w->now;
	tell(w, "c%u kernel: call %08x %s slot %u value %llu", cl->number + 1,
	    c->xid, op_names[c->op.what], s->number,
	    (unsigned long long)c->op.value);
	send_call(c);
}

struct kcall *
kernel_call(struct client *cl, uint32_t xid)
{
	return xid - cl->xid0 < cl->ncalls ? cl->calls[xid - cl->xid0] : NULL;
}

static void
on_reply(const struct delivery *d)
{
	struct client *cl = d->p->kc->cl;
	struct world *w = cl->w;
	uint32_t xid, status;
	uint64_t value;
	struct kcall *c;

	if (d->p->cut)
		return;
	if (!nfs_reply_decode(d->bytes, NFS_REPLY_LEN, &xid, &status, &value) ||
	    (c = kernel_call(cl, xid)) == NULL) {
		broken(w, I5, "c%u: a reply that is none", cl->number + 1);
		return;
	}
	if (d->class != CALL_PASSED)
		proxy_on_taken(d->p, xid);
	if (c->done != 0)
		return; /* as the kernel does with what it does not await */
	c->done = w->now;
	tell(w, "c%u kernel: reply %08x %s status %u value %llu",
	    cl->number + 1, xid, op_names[c->op.what], status,
	    (unsigned long long)value);
	check_reply(w, c, status, value);
	c->slot->call = NULL;
	cl->outstanding--;
	at(w, chance(w, 500) ? 1 : rnd_between(w, 1, w->t.think + 1), EV_SLOT,
	    c->slot, 0);
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
