/*
 * A proxy's process around the real core: the kernel's connections, time,
 * evidence, start and end.
 */
#include "hanfs/rpc.h"
#include "upstream.h"

static const uint64_t loopback = 20;
enum { ACKS_TICKS = 10, ACKS_MANY = 32, LOOK_TICKS = 12 };

static bool
stalled(const struct client *cl)
{
	return cl->w->now < cl->stalled_until;
}

/* What comes while it is stalled comes again later. */
static bool
later(struct client *cl, enum event_kind kind, void *obj, uint64_t arg)
{
	if (!stalled(cl))
		return false;
	at(cl->w, cl->stalled_until - cl->w->now + rnd(cl->w, 500), kind, obj,
	    arg);
	return true;
}

static void
carry_out(struct client *cl, const struct px_action *a)
{
	switch (a->type) {
	case PX_CONNECT:
		upstream_connect(cl,
		    px_path_index(px_config(cl->px),
			px_volume(cl->px, a->uconn->kconn->volume)->owner,
			a->uconn->network),
		    a->uconn);
		break;
	case PX_ABORT:
		upstream_abort(a->uconn->user);
		break;
	case PX_SEND:
		cl->w->out.replays += a->call->sends > 1;
		upstream_call(a->uconn->user, a->call);
		break;
	case PX_CONTROL_OPEN:
		upstream_connect(cl, a->path, NULL);
		break;
	case PX_CONTROL_ABORT:
		upstream_abort(cl->control[a->path]);
		break;
	case PX_PROBE:
		upstream_simple(cl->control[a->path], M_NULL);
		break;
	case PX_FENCE:
		cl->w->out.fences++;
		upstream_fence(cl->control[a->path], a);
		break;
	case PX_SUBSCRIBE:
		upstream_simple(cl->control[a->path], M_SUBSCRIBE);
		break;
	case PX_KCONN_FREE:
		break;
	}
}

static void
tell_events(struct client *cl)
{
	struct px_event e;

	while ((cl->w->opt.story || cl->w->opt.verbose) &&
	       px_events(cl->px, cl->events_told, &e, 1) == 1) {
		cl->events_told = e.number + 1;
		tell(cl->w, "c%u: %s", cl->number + 1, e.text);
	}
}

/* One call from the kernel; false when it must wait. */
static bool
offer(struct proxy_conn *p, const struct kcall *call)
{
	struct client *cl = p->kc->cl;
	uint8_t client[CLIENT_ID_LEN];
	enum rpc_answer answer;
	struct call_info info;
	uint32_t low, high;
	struct rec *rec;

	client_uuid(cl->number, client);
	rec = rec_from(cl->w->calls, call->bytes, call->len);
	if (rec == NULL)
		return false;
	if (call_look(client, rec_head(rec), rec->len, rec->len, &info,
		&answer, &low, &high) != CALL_FORWARD)
		broken(cl->w, LIVE, "a call was taken for nonsense");
	switch (px_call(cl->px, p->k, &info, rec, now_ms(cl->w))) {
	case PX_TOOK:
		return true;
	case PX_FULL:
		rec_unref(rec);
		return false;
	case PX_CLASH:
		broken(cl->w, I5, "c%u: XID %08x clashes", cl->number + 1,
		    call->xid);
		break;
	case PX_DUPLICATE:
		break;
	}
	rec_unref(rec);
	return true;
}

static void
read_kernel(struct proxy_conn *p)
{
	while (p->read < p->nunread && offer(p, p->unread[p->read]))
		p->read++;
	if (p->read == p->nunread)
		p->read = p->nunread = 0;
}

/* All connections, each time another one first: calls_max is shared. */
static void
read_all(struct client *cl)
{
	struct proxy_conn *p, *first;
	uint32_t n = 0;

	for (p = cl->conns; p != NULL; p = p->next)
		n++;
	if (n == 0)
		return;
	cl->turn = (cl->turn + 1) % n;
	for (first = cl->conns, n = cl->turn; n > 0; n--)
		first = first->next;
	for (p = first; p != NULL; p = p->next)
		read_kernel(p);
	for (p = cl->conns; p != first; p = p->next)
		read_kernel(p);
}

void
proxy_settle(struct client *cl)
{
	struct px_action a;

	if (!cl->alive || stalled(cl))
		return;
	for (;;) {
		while (px_next(cl->px, &a))
			carry_out(cl, &a);
		read_all(cl);
		if (!px_next(cl->px, &a))
			break;
		carry_out(cl, &a);
	}
	tell_events(cl);
}

/* --- the kernel's side */

struct proxy_conn *
proxy_accept(struct kernel_conn *kc)
{
	struct client *cl = kc->cl;
	struct proxy_conn *p = sim_alloc(cl->w, sizeof(*p));

	p->kc = kc;
	p->id = ++cl->kconn_ids;
	p->k = px_kconn_open(cl->px, kc->volume, p->id, p, now_ms(cl->w));
	if (p->k == NULL) {
		broken(cl->w, I5, "c%u: the kernel's connection is refused",
		    cl->number + 1);
		return NULL;
	}
	p->next = cl->conns;
	cl->conns = p;
	proxy_settle(cl);
	return p;
}

void
proxy_on_call(struct proxy_conn *p, struct kcall *call)
{
	p->unread = sim_grow(p->kc->cl->w, p->unread, p->nunread,
	    &p->unread_room, sizeof(*p->unread));
	p->unread[p->nunread++] = call;
	proxy_settle(p->kc->cl);
}

/* Once there are that many, or when it is time. */
static void
ack(struct client *cl, struct proxy_conn *p, uint32_t many)
{
	uint32_t path = px_control_path(cl->px, p->kc->volume);

	if (p->ntaken >= many && path != PX_NONE)
		upstream_ack(cl->control[path], p);
}

void
proxy_on_hangup(struct proxy_conn *p)
{
	struct client *cl = p->kc->cl;
	struct proxy_conn **p_at = &cl->conns;

	if (later(cl, EV_HANGUP, p, 0))
		return;
	while (*p_at != NULL && *p_at != p)
		p_at = &(*p_at)->next;
	if (*p_at == NULL)
		return; /* it went with its proxy */
	*p_at = p->next;
	ack(cl, p, 1);
	p->k->user = NULL;
	px_kconn_close(cl->px, p->k, now_ms(cl->w));
	proxy_settle(cl);
}

void
proxy_reply(struct proxy_conn *p, const struct msg *m, enum call_class class)
{
	struct delivery *d = sim_alloc(p->kc->cl->w, sizeof(*d));

	*d = (struct delivery){p, m->body, m->n, class};
	at(p->kc->cl->w, loopback, EV_TO_KERNEL, d, 0);
}

void
proxy_on_taken(struct proxy_conn *p, uint32_t xid)
{
	p->taken = sim_grow(p->kc->cl->w, p->taken, p->ntaken, &p->taken_room,
	    sizeof(*p->taken));
	p->taken[p->ntaken++] = xid;
}

void
proxy_taken_again(struct client *cl, const struct msg *m)
{
	const uint32_t *xids = m->body;

	for (struct proxy_conn *p = cl->conns; p != NULL; p = p->next)
		for (uint32_t i = 0; p->id == m->kconn && i < m->n; i++)
			proxy_on_taken(p, xids[i]);
}

/* --- evidence and time */

void
proxy_interface(struct client *cl, uint32_t net, enum path_reason why)
{
	if (!cl->alive)
		return;
	if (stalled(cl)) {
		/* Whatever else it was: connections from then are dead. */
		cl->netlink[net] = true;
		return;
	}
	px_interface(cl->px, net, iface_up(cl->w, net, client_host(cl->number)),
	    why, now_ms(cl->w));
	proxy_settle(cl);
}

void
proxy_on_heartbeat(const struct heartbeat_event *h, struct client *cl)
{
	if (!cl->alive || !cl->detector ||
	    later(cl, EV_HEARD, (void *)(uintptr_t)h, 0))
		return;
	px_heartbeat(
	    cl->px, h->server, h->net, h->boot, h->seq, 50, 3, now_ms(cl->w));
	if (px_boot_known(cl->px, h->server, h->boot))
		px_announced(cl->px, h->server, h->table_gen, h->networks,
		    now_ms(cl->w));
	if (cl->w->t.storage && px_boot_known(cl->px, h->server, h->boot))
		for (uint32_t v = 0; v < VOLUMES; v++)
			px_told(cl->px, v, h->server, h->serves[v], h->epoch[v],
			    now_ms(cl->w));
	proxy_settle(cl);
}

void
proxy_on_tick(struct client *cl)
{
	if (!cl->alive || later(cl, EV_PROXY_TICK, cl, cl->starts))
		return;
	for (uint32_t n = 0; n < NETS; n++) {
		if (cl->netlink[n])
			proxy_interface(cl, n, PATH_ADDRESS);
		cl->netlink[n] = false;
	}
	for (uint32_t i = 0; i < NETS * cl->w->t.nservers; i++)
		upstream_look_probe(cl, i);
	px_tick(cl->px, now_ms(cl->w));
	proxy_settle(cl);
	cl->ticks++;
	for (struct proxy_conn *p = cl->conns; p != NULL; p = p->next)
		ack(cl, p, cl->ticks % ACKS_TICKS == 0 ? 1 : ACKS_MANY);
	if (cl->ticks % LOOK_TICKS == 0)
		upstream_look(cl);
	proxy_settle(cl);
	at(cl->w, PX_TICK_MS * MS, EV_PROXY_TICK, cl, cl->starts);
}
