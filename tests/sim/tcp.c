/*
 * TCP as far as it matters here: what was written may arrive late, in
 * whatever order between connections, after its sender is gone; resets get
 * lost; an end may not know that the other is dead; what is unacknowledged
 * is sent again after a doubling time (RFC 9293, 6298). One message is one
 * segment. No windows, no congestion.
 */
#include "world.h"

enum packet_kind { SYN, SYN_ACK, DATA, ACK, KEEP, RST };

struct packet {
	struct tcp *c;
	enum packet_kind kind;
	int to; /* which end */
	uint32_t number;
};

const char *const tcp_why_names[] = {
    [TCP_RESET] = "reset",
    [TCP_REFUSED] = "refused",
    [TCP_EOF] = "closed by the peer",
    [TCP_UNREACHABLE] = "unreachable",
};

enum { BURST = 4, ORPHAN_REPEATS = 8, KEEP_COUNT = 5 };
static const uint64_t syn_again = 1 * SEC, rto_min = 200 * MS;
static const uint64_t keep_idle = 2 * SEC, keep_between = 1 * SEC;
static const uint64_t rto_max = 120 * SEC, server_patience = 60 * SEC;

/* --- packets */

static void
packet(struct tcp *c, int from, enum packet_kind kind, uint32_t number)
{
	struct world *w = c->w;
	uint32_t host[2] = {client_host(c->client), server_host(c->server)};
	struct packet *p;

	/* From an address that is no longer ours nothing goes out. */
	if (c->flow_dead)
		return;
	if (from == CLIENT_END &&
	    w->net[c->net].iface[host[CLIENT_END]].address != c->address)
		return;
	p = sim_alloc(w, sizeof(*p));
	*p = (struct packet){c, kind, !from, number};
	net_send(w, c->net, host[from], host[!from], EV_PACKET, p, 0);
}

static void
set_timer(struct tcp *c, int end, uint64_t delay)
{
	struct tcp_end *e = &c->end[end];

	e->deadline = c->w->now + delay;
	if (e->timer)
		return;
	e->timer = true;
	at(c->w, delay, EV_TCP_TIMER, c, (uint64_t)end);
}

static uint64_t
rto(const struct tcp *c, int end)
{
	uint64_t t = rto_min + 2 * c->w->net[c->net].delay;

	for (uint32_t i = 0; i < c->end[end].repeats && t < rto_max; i++)
		t *= 2;
	return t < rto_max ? t : rto_max;
}

static void
send_from(struct tcp *c, int end, uint32_t first, uint32_t n)
{
	struct tcp_end *e = &c->end[end];

	for (uint32_t i = first; i < e->n && i < first + n; i++) {
		e->segs++;
		packet(c, end, DATA, i);
	}
}

static void
send_again(struct tcp *c, int end)
{
	struct tcp_end *e = &c->end[end];
	uint32_t segs = e->segs;

	send_from(c, end, e->acked, BURST);
	e->retrans += e->segs - segs;
}

/* --- what applications do */

struct tcp *
tcp_connect(
    struct world *w, uint32_t client, uint32_t server, uint32_t net, void *user)
{
	struct tcp *c;

	if (!iface_up(w, net, client_host(client)))
		return NULL;
	c = sim_alloc(w, sizeof(*c));
	c->w = w;
	c->id = ++w->ntcps;
	c->net = net;
	c->client = client;
	c->server = server;
	c->address = w->net[net].iface[client_host(client)].address;
	c->client_user = user;
	c->connecting = true;
	c->end[CLIENT_END].open = true;
	c->next = w->tcps;
	w->tcps = c;
	packet(c, CLIENT_END, SYN, 0);
	set_timer(c, CLIENT_END, syn_again);
	at(w, keep_idle, EV_KEEPALIVE, c, 0);
	return c;
}

void
tcp_send(struct tcp *c, int end, struct msg *m)
{
	struct tcp_end *e = &c->end[end];

	if (e->dead)
		return;
	e->sent = sim_grow(c->w, e->sent, e->n, &e->room, sizeof(*e->sent));
	e->got = sim_grow(c->w, e->got, e->n, &e->got_room, sizeof(*e->got));
	e->sent[e->n++] = m;
	if (e->acked == e->n - 1) {
		e->since = c->w->now;
		set_timer(c, end, rto(c, end));
	}
	send_from(c, end, e->n - 1, 1);
}

void
tcp_abort(struct tcp *c, int end)
{
	struct tcp_end *e = &c->end[end];

	e->open = false;
	if (e->dead)
		return;
	e->dead = true;
	packet(c, end, RST, 0);
}

void
tcp_close(struct tcp *c, int end)
{
	struct tcp_end *e = &c->end[end];
	struct msg *fin;

	e->open = false;
	if (e->dead)
		return;
	if (e->read < e->next || (end == CLIENT_END && c->connecting)) {
		tcp_abort(c, end); /* unread data: RFC 2525, 2.17 */
		return;
	}
	fin = sim_alloc(c->w, sizeof(*fin));
	fin->kind = M_FIN;
	tcp_send(c, end, fin);
}

bool
tcp_all_acked(const struct tcp *c, int end)
{
	return !c->connecting && c->end[end].acked == c->end[end].n;
}

bool
tcp_readable(const struct tcp *c, int end)
{
	const struct tcp_end *e = &c->end[end];

	return e->read < e->next || e->failed;
}

struct msg *
tcp_read(struct tcp *c, int end)
{
	struct tcp_end *e = &c->end[end];

	return e->read < e->next ? c->end[!end].sent[e->read++] : NULL;
}

/* --- what arrives */

static void
tell_app(struct tcp *c, int end)
{
	if (!c->end[end].open)
		return;
	if (end == SERVER_END)
		agent_on_readable(c);
	else
		proxy_tell(c, TELL_READABLE, 0);
}

static void
fail(struct tcp *c, int end)
{
	struct tcp_end *e = &c->end[end];
	bool refused = end == CLIENT_END && c->connecting;

	e->dead = true;
	if (!e->open)
		return;
	e->failed = true;
	if (end == SERVER_END)
		agent_on_readable(c); /* what is unread can still be read */
	else
		proxy_tell(c, TELL_CLOSED, refused ? TCP_REFUSED : TCP_RESET);
}

void
tcp_reset(struct tcp *c, int end)
{
	if (!c->end[end].dead)
		fail(c, end);
}

static void
on_syn(struct tcp *c)
{
	struct server *s = &c->w->server[c->server];

	if (!c->known && agent_listens(s)) {
		c->known = true;
		c->end[SERVER_END].open = true;
		agent_on_syn(c);
	}
	packet(c, SERVER_END,
	    c->known && !c->end[SERVER_END].dead ? SYN_ACK : RST, 0);
}

static void
on_syn_ack(struct tcp *c)
{
	if (c->end[CLIENT_END].dead) {
		packet(c, CLIENT_END, RST, 0);
		return;
	}
	if (!c->connecting)
		return;
	c->connecting = false;
	proxy_tell(c, TELL_ESTABLISHED, 0);
}

static void
on_data(struct tcp *c, int end, uint32_t number)
{
	struct tcp_end *e = &c->end[end], *peer = &c->end[!end];
	uint32_t next = e->next;

	if (e->dead || !e->open) { /* nobody will ever read it */
		e->dead = true;
		packet(c, end, RST, 0);
		return;
	}
	peer->got[number] = 1;
	while (e->next < peer->n && peer->got[e->next])
		e->next++;
	packet(c, end, ACK, e->next);
	if (e->next > next)
		tell_app(c, end);
}

static void
on_ack(struct tcp *c, int end, uint32_t number)
{
	struct tcp_end *e = &c->end[end];

	if (e->dead) {
		packet(c, end, RST, 0);
		return;
	}
	if (number > e->acked) {
		e->acked = number;
		e->repeats = e->twice = 0;
		e->since = c->w->now;
		if (e->acked < e->n)
			set_timer(c, end, rto(c, end));
		if (e->acked < e->again_to)
			send_again(c, end);
	} else if (number == e->acked && e->acked < e->n && ++e->twice == 3) {
		send_again(c, end);
	}
}

void
tcp_on_packet(struct world *w, void *obj)
{
	const struct packet *p = obj;
	struct tcp *c = p->c;
	uint32_t client = client_host(c->client);
	uint32_t server = server_host(c->server);

	if (!net_arrives(w, c->net, p->to == CLIENT_END ? server : client,
		p->to == CLIENT_END ? client : server))
		return;
	if (p->to == CLIENT_END &&
	    w->net[c->net].iface[client].address != c->address)
		return;
	c->end[p->to].heard = w->now;
	switch (p->kind) {
	case SYN:
		on_syn(c);
		break;
	case SYN_ACK:
		on_syn_ack(c);
		break;
	case DATA:
		on_data(c, p->to, p->number);
		break;
	case ACK:
		on_ack(c, p->to, p->number);
		break;
	case KEEP:
		packet(c, p->to, c->end[p->to].dead ? RST : ACK,
		    c->end[p->to].next);
		break;
	case RST:
		tcp_reset(c, p->to);
		break;
	}
}

void
tcp_on_timer(struct tcp *c, int end)
{
	struct tcp_end *e = &c->end[end];
	bool syn = end == CLIENT_END && c->connecting;

	e->timer = false;
	if (e->dead || (!syn && e->acked == e->n))
		return;
	if (c->w->now < e->deadline) {
		e->timer = true;
		at(c->w, e->deadline - c->w->now, EV_TCP_TIMER, c,
		    (uint64_t)end);
		return;
	}
	e->repeats++;
	if (syn) {
		packet(c, CLIENT_END, SYN, 0);
		set_timer(c, end, syn_again << (e->repeats & 3));
		return;
	}
	if ((end == SERVER_END && c->w->now - e->since > server_patience) ||
	    (!e->open && e->repeats > ORPHAN_REPEATS)) {
		fail(c, end);
		return;
	}
	e->again_to = e->n;
	send_again(c, end);
	set_timer(c, end, rto(c, end));
}

/* Proxies have it switched on: a flow may be dead, or the other end gone,
 * while we wait for a reply and have nothing to send. */
void
tcp_on_keepalive(struct tcp *c)
{
	struct tcp_end *e = &c->end[CLIENT_END];
	uint64_t silent = c->w->now - e->heard;

	if (e->dead)
		return;
	if (silent < keep_idle || e->acked < e->n || c->connecting) {
		e->keeps = 0;
		at(c->w, silent < keep_idle ? keep_idle - silent : keep_idle,
		    EV_KEEPALIVE, c, 0);
		return;
	}
	if (e->keeps++ == KEEP_COUNT) {
		fail(c, CLIENT_END);
		return;
	}
	packet(c, CLIENT_END, KEEP, 0);
	at(c->w, keep_between, EV_KEEPALIVE, c, 0);
}
