/*
 * A proxy's connections to agents: HELLO, calls out, replies in, the agent
 * program's calls. Decides nothing.
 */
#include <assert.h>
#include <string.h>

#include "hanfs/cursor.h"
#include "upstream.h"

/* --- messages */

static struct msg *
message(struct upstream *up, enum msg_kind kind)
{
	struct msg *m = sim_alloc(up->cl->w, sizeof(*m));

	m->kind = kind;
	m->tag = ++up->cl->tags;
	m->incarnation = up->cl->incarnation;
	return m;
}

/* Sends a call of the agent program and remembers it. */
static void
ask(struct upstream *up, struct msg *m)
{
	struct request *r = sim_alloc(up->cl->w, sizeof(*r));

	r->m = m;
	r->sent = up->cl->w->now;
	r->next = up->requests;
	up->requests = r;
	tcp_send(up->c, CLIENT_END, m);
}

static struct request *
request_of(struct upstream *up, uint32_t tag)
{
	struct request **at = &up->requests, *r;

	while ((r = *at) != NULL && r->m->tag != tag)
		at = &r->next;
	if (r != NULL)
		*at = r->next;
	return r;
}

/* --- life */

static void
forget(struct upstream *up)
{
	struct client *cl = up->cl;
	struct upstream **at = &cl->ups;

	up->closed = true;
	if (up->u != NULL)
		up->u->user = NULL;
	else
		cl->control[up->path] = NULL;
	while (*at != up)
		at = &(*at)->next;
	*at = up->next;
	for (struct request *r = up->requests; r != NULL; r = r->next)
		if (r->m->kind == M_ACK)
			proxy_taken_again(cl, r->m);
}

static void
lost(struct upstream *up, enum tcp_why why)
{
	struct client *cl = up->cl;
	struct uconn *u = up->u;

	if (up->closed)
		return;
	tell(cl->w, "c%u: %s over path %u (tcp %u) lost: %s", cl->number + 1,
	    u != NULL ? "connection" : "control", up->path, up->c->id,
	    tcp_why_names[why]);
	tcp_abort(up->c, CLIENT_END);
	forget(up);
	if (u != NULL)
		px_uconn_lost(cl->px, u, tcp_why_names[why], now_ms(cl->w));
	else
		px_control_lost(cl->px, up->path,
		    why == TCP_REFUSED       ? PX_LOST_REFUSED
		    : why == TCP_UNREACHABLE ? PX_LOST_UNREACHABLE
					     : PX_LOST_CLOSED,
		    now_ms(cl->w));
}

void
upstream_connect(struct client *cl, uint32_t path, struct uconn *u)
{
	struct upstream *up = sim_alloc(cl->w, sizeof(*up));

	up->cl = cl;
	up->path = path;
	up->u = u;
	up->c = tcp_connect(cl->w, cl->number, path / NETS, path % NETS, up);
	if (up->c == NULL) {
		if (u != NULL)
			px_uconn_lost(cl->px, u, "unreachable", now_ms(cl->w));
		else
			px_control_lost(
			    cl->px, path, PX_LOST_UNREACHABLE, now_ms(cl->w));
		return;
	}
	up->next = cl->ups;
	cl->ups = up;
	if (u != NULL)
		u->user = up;
	else
		cl->control[path] = up;
}

void
upstream_abort(struct upstream *up)
{
	if (up == NULL)
		return;
	tcp_abort(up->c, CLIENT_END);
	forget(up);
}

void
upstream_call(struct upstream *up, struct call *c)
{
	struct msg *m = message(up, M_RPC);
	uint8_t *bytes = sim_alloc(up->cl->w, c->rec->len);

	assert(up->state == UP_READY && !up->closed);
	m->n = (uint32_t)rec_copy_out(c->rec, 0, bytes, c->rec->len);
	m->body = bytes;
	tell(up->cl->w, "c%u: call %08x over net %c gen %llu (tcp %u)%s",
	    up->cl->number + 1, c->id.xid, 'A' + (int)up->u->network,
	    (unsigned long long)up->u->generation, up->c->id,
	    c->sends > 1 ? ", replay" : "");
	tcp_send(up->c, CLIENT_END, m);
}

void
upstream_fence(struct upstream *up, const struct px_action *a)
{
	struct msg *m = message(up, M_FENCE);

	m->volume = a->volume;
	m->kconn = a->kconn_id;
	m->network = a->network;
	m->floor = a->floor;
	tell(up->cl->w, "c%u: FENCE kconn %llx net %d floor %llx over path %u",
	    up->cl->number + 1, (unsigned long long)a->kconn_id,
	    (int)a->network, (unsigned long long)a->floor, up->path);
	ask(up, m);
}

void
upstream_simple(struct upstream *up, enum msg_kind kind)
{
	ask(up, message(up, kind));
}

void
upstream_ack(struct upstream *up, struct proxy_conn *p)
{
	struct msg *m = message(up, M_ACK);
	uint32_t *xids = sim_alloc(up->cl->w, p->ntaken * sizeof(*xids));

	memcpy(xids, p->taken, p->ntaken * sizeof(*xids));
	m->volume = p->kc->volume;
	m->kconn = p->id;
	m->n = p->ntaken;
	m->body = xids;
	p->ntaken = 0;
	ask(up, m);
}

/* --- what comes */

static void
take_hello(struct upstream *up, const struct msg *m)
{
	struct client *cl = up->cl;
	struct uconn *u = up->u;
	uint32_t not_owner = PX_NONE;

	if (m->status == HANFS_OK) {
		up->state = UP_READY;
		if (u != NULL)
			px_owner(cl->px, u->kconn->volume, up->path / NETS,
			    m->epoch, now_ms(cl->w));
		if (u != NULL)
			px_uconn_ready(
			    cl->px, u, m->boot, m->floor, now_ms(cl->w));
		else
			px_control_ready(
			    cl->px, up->path, m->boot, now_ms(cl->w));
		return;
	}
	tell(cl->w, "c%u: HELLO refused: status %d", cl->number + 1, m->status);
	if (m->highest > cl->incarnation)
		cl->incarnation = m->highest + 1;
	if (u != NULL && m->floor >= u->generation) {
		tcp_abort(up->c, CLIENT_END);
		forget(up);
		px_uconn_fenced(cl->px, u, m->floor, now_ms(cl->w));
		return;
	}
	if (u != NULL && m->status == HANFS_NOT_OWNER)
		not_owner = u->kconn->volume;
	lost(up, TCP_EOF);
	if (not_owner != PX_NONE)
		px_not_owner(cl->px, not_owner, up->path / NETS, now_ms(cl->w));
}

static void
take_result(struct upstream *up, const struct msg *m)
{
	struct client *cl = up->cl;
	struct request *r;

	if (m->of == M_HELLO) {
		take_hello(up, m);
		return;
	}
	r = request_of(up, m->tag);
	assert(r != NULL && up->u == NULL);
	if (m->of == M_NULL)
		px_probe_answered(cl->px, up->path,
		    (uint32_t)(cl->w->now - r->sent), now_ms(cl->w));
	if (m->status != HANFS_OK) {
		lost(up, TCP_EOF);
		if (m->of == M_ACK)
			proxy_taken_again(cl, r->m);
	} else if (m->of == M_FENCE)
		px_fence_done(cl->px, up->path, r->m->volume, r->m->kconn,
		    r->m->network, r->m->floor, now_ms(cl->w));
}

static void
take_reply(struct upstream *up, const struct msg *m)
{
	struct client *cl = up->cl;
	uint32_t xid = be32_get(m->body);
	struct px_answered a;

	if (!px_reply(cl->px, up->u, xid, &a, now_ms(cl->w))) {
		tell(cl->w, "c%u: stray reply %08x (tcp %u)", cl->number + 1,
		    xid, up->c->id);
		return;
	}
	if (a.kconn->user != NULL)
		proxy_reply(a.kconn->user, m, a.class);
}

static void
readable(struct upstream *up)
{
	struct tcp *c = up->c;
	struct msg *m;

	while (!up->closed && (m = tcp_read(c, CLIENT_END)) != NULL) {
		if (m->kind == M_FIN)
			lost(up, TCP_EOF);
		else if (m->kind == M_RESULT)
			take_result(up, m);
		else
			take_reply(up, m);
		proxy_settle(up->cl);
	}
}

/* As proxy/agentcall.c does it. */
static void
add_sent(struct call *c, void *arg)
{
	struct msg *m = arg;
	uint32_t *xids = (uint32_t *)(uintptr_t)m->body;

	if (c->class != CALL_LOGGED || c->sends == 0)
		return;
	if (m->n < HANFS_XIDS_MAX)
		xids[m->n++] = c->id.xid;
	else
		m->resend = true;
}

static void
established(struct upstream *up)
{
	struct msg *m = message(up, M_HELLO);

	up->state = UP_HELLO;
	if (up->u != NULL) {
		m->volume = up->u->kconn->volume;
		m->kconn = up->u->kconn->id;
		m->generation = up->u->generation;
		m->body =
		    sim_alloc(up->cl->w, HANFS_XIDS_MAX * sizeof(uint32_t));
		px_each_call(up->cl->px, up->u->kconn, add_sent, m);
	}
	tcp_send(up->c, CLIENT_END, m);
}

void
proxy_tell(struct tcp *c, uint64_t what, enum tcp_why why)
{
	struct upstream *up = c->client_user;
	struct world *w = c->w;

	if (up == NULL || up->closed)
		return;
	/* Between connections the order is lost, on one it is kept. */
	if (w->now < up->cl->stalled_until) {
		at(w, up->cl->stalled_until - w->now + c->id * 7919 % 500,
		    EV_TCP_TELL, c, what | (uint64_t)why << 4);
		return;
	}
	if (what == TELL_ESTABLISHED)
		established(up);
	else if (what == TELL_READABLE)
		readable(up);
	else
		lost(up, why);
	proxy_settle(up->cl);
}

/* --- what the kernel's TCP knows */

void
upstream_look_probe(struct client *cl, uint32_t path)
{
	const struct path *p = px_path(cl->px, path);
	struct upstream *up = cl->control[path];

	if (up != NULL && up->state == UP_READY && p->probe_ms != 0 &&
	    !p->probe_acked && tcp_all_acked(up->c, CLIENT_END))
		px_probe_acked(cl->px, path, now_ms(cl->w));
}

/* Loss, and flows that are dead although their path is not. */
void
upstream_look(struct client *cl)
{
	enum { DEAD_FLOW = 5 };
	uint32_t retrans[NETS * SERVERS] = {0}, segs[NETS * SERVERS] = {0};
	struct upstream *next;

	for (struct upstream *up = cl->ups; up != NULL; up = next) {
		const struct tcp_end *e = &up->c->end[CLIENT_END];

		next = up->next;
		if (up->state != UP_READY)
			continue;
		retrans[up->path] += e->retrans - up->retrans;
		segs[up->path] += e->segs - up->segs;
		up->retrans = e->retrans;
		up->segs = e->segs;
		if (e->repeats >= DEAD_FLOW) {
			lost(up, TCP_RESET);
			proxy_settle(cl);
			next = cl->ups; /* begin again: it may be gone */
		}
	}
	for (uint32_t i = 0; i < NETS * cl->w->t.nservers; i++)
		px_retransmits(cl->px, i, retrans[i], segs[i], now_ms(cl->w));
}

/* The process ends: the kernel closes what it had open. */
void
upstream_end(struct client *cl)
{
	struct upstream *up;

	while ((up = cl->ups) != NULL) {
		cl->ups = up->next;
		up->closed = true;
		if (chance(cl->w, 300))
			tcp_abort(up->c, CLIENT_END);
		else
			tcp_close(up->c, CLIENT_END);
	}
	memset(cl->control, 0, sizeof(cl->control));
}
