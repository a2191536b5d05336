/*
 * An agent's connections: what comes over them goes to the core, and what
 * the core wants done is done.
 */
#include <assert.h>
#include <string.h>

#include "own.h"

enum { SUBSCRIBED = 15 };

static struct msg *
result(struct sconn *sc, const struct msg *of)
{
	struct msg *m = sim_alloc(sc->s->w, sizeof(*m));

	m->kind = M_RESULT;
	m->of = of->kind;
	m->tag = of->tag;
	m->boot = sc->s->boot;
	return m;
}

static struct relay_speaker
speaker(const struct sconn *sc, const struct msg *m)
{
	struct relay_speaker who = {.incarnation = m->incarnation};

	client_uuid(sc->c->client, who.client);
	memset(who.token, 0x70 + (int)sc->c->client, sizeof(who.token));
	return who;
}

static void
hello(struct sconn *sc, const struct msg *m)
{
	struct relay_hello h = {
	    .who = speaker(sc, m),
	    .volume = (int)m->volume,
	    .kconn = m->kconn,
	    .network = sc->c->net,
	    .generation = m->generation,
	    .resend = m->resend,
	    .sent = m->body,
	    .nsent = m->n,
	    .peer = "peer",
	    .peer_len = 4,
	};

	sc->hello_kconn = m->kconn != 0;
	sc->hello_volume = m->volume;
	relay_hello(sc->rc, &h, now_ms(sc->s->w));
}

static void
fence(struct sconn *sc, const struct msg *m)
{
	struct relay_fence f = {
	    .who = speaker(sc, m),
	    .volume = (int)m->volume,
	    .kconn = m->kconn,
	    .network = m->network == PX_NONE ? -1 : (int)m->network,
	    .floor = m->floor,
	};
	struct msg *r = result(sc, m);
	unsigned closed;

	r->status = relay_fence(sc->rc, &f, &closed, now_ms(sc->s->w));
	tell(sc->s->w,
	    "s%u: FENCE c%u kconn %llx net %d floor %llx: status "
	    "%d, %u closed",
	    sc->s->number + 1, sc->c->client + 1, (unsigned long long)f.kconn,
	    f.network, (unsigned long long)f.floor, r->status, closed);
	agent_act(sc->s);
	if (!sc->ended)
		tcp_send(sc->c, SERVER_END, r);
}

static void
ack(struct sconn *sc, const struct msg *m)
{
	struct relay_speaker who = speaker(sc, m);
	struct msg *r = result(sc, m);

	r->status = relay_ack(sc->rc, &who, (int)m->volume, m->kconn, m->body,
	    m->n, now_ms(sc->s->w));
	tcp_send(sc->c, SERVER_END, r);
}

static void
offer(struct sconn *sc, struct rec *rec)
{
	if (relay_call(sc->rc, rec, now_ms(sc->s->w)) == RELAY_HELD)
		sc->held = rec;
}

static void
rpc(struct sconn *sc, const struct msg *m)
{
	struct rec *rec = rec_from(sc->s->w->calls, m->body, m->n);

	if (rec == NULL) {
		broken(sc->s->w, I8, "no record left for a call");
		return;
	}
	tell(sc->s->w, "s%u reads from c%u over net %c (tcp %u): call %08x",
	    sc->s->number + 1, sc->c->client + 1, 'A' + (int)sc->c->net,
	    sc->c->id, be32_get(m->body));
	offer(sc, rec);
}

void
sconn_take(struct sconn *sc, const struct msg *m)
{
	struct server *s = sc->s;

	switch (m->kind) {
	case M_HELLO:
		hello(sc, m);
		break;
	case M_NULL:
		tcp_send(sc->c, SERVER_END, result(sc, m));
		break;
	case M_FENCE:
		fence(sc, m);
		break;
	case M_ACK:
		ack(sc, m);
		break;
	case M_SUBSCRIBE:
		s->subscribed[sc->c->net][sc->c->client] =
		    s->w->now + SUBSCRIBED * SEC;
		tcp_send(sc->c, SERVER_END, result(sc, m));
		break;
	case M_RPC:
		rpc(sc, m);
		break;
	case M_FIN:
		sconn_end(sc);
		break;
	case M_RESULT:
		assert(0);
	}
	agent_act(s);
}

/* --- what the core wants done */

static void
send_reply(struct sconn *sc, struct rec *rec)
{
	struct msg *m = sim_alloc(sc->s->w, sizeof(*m));
	uint8_t *bytes = sim_alloc(sc->s->w, rec->len);

	m->kind = M_RPC;
	m->n = (uint32_t)rec_copy_out(rec, 0, bytes, rec->len);
	m->body = bytes;
	tcp_send(sc->c, SERVER_END, m);
	rec_unref(rec);
}

static void
answer_hello(struct sconn *sc, const struct relay_hello_answer *a)
{
	struct msg of = {.kind = M_HELLO}, *m = result(sc, &of);

	m->status = a->status;
	m->highest = a->highest;
	m->floor = a->floor;
	if (sc->hello_kconn)
		m->epoch = sc->s->w->t.storage
			       ? sc->s->own[sc->hello_volume].told_epoch
			       : 1;
	tell(sc->s->w, "s%u: HELLO of c%u over net %c (tcp %u): status %d",
	    sc->s->number + 1, sc->c->client + 1, 'A' + (int)sc->c->net,
	    sc->c->id, a->status);
	tcp_send(sc->c, SERVER_END, m);
}

void
agent_act(struct server *s)
{
	struct relay_action a;
	struct sconn *sc;

	while (relay_next(s->relay, &a)) {
		sc = a.conn != NULL ? relay_conn_user(a.conn) : NULL;
		switch (a.type) {
		case RELAY_SEND_CONN:
			send_reply(sc, a.rec);
			break;
		case RELAY_SEND_LINK:
			backend_take(relay_link_user(a.link), a.rec);
			break;
		case RELAY_CLOSE_CONN:
			tell(s->w, "s%u closes c%u over net %c (tcp %u): %s",
			    s->number + 1, sc->c->client + 1,
			    'A' + (int)sc->c->net, sc->c->id,
			    relay_reason_names[a.reason]);
			sconn_end(sc);
			break;
		case RELAY_OPEN_LINK:
			link_open_for(s, a.link);
			break;
		case RELAY_CLOSE_LINK:
			link_close(a.link);
			break;
		case RELAY_RESUME:
			if (sc->held != NULL) {
				struct rec *rec = sc->held;

				sc->held = NULL;
				offer(sc, rec);
				agent_wake(s, 10);
			}
			break;
		case RELAY_HELLO:
			answer_hello(sc, &a.hello);
			break;
		case RELAY_LOG_WRITE:
		case RELAY_LOG_SYNC:
		case RELAY_RECOVERED:
		case RELAY_DRAINED:
		case RELAY_SUSPECT:
		case RELAY_GIVE_UP:
			logio_act(s, &a);
			break;
		}
	}
	logio_settle(s);
}
