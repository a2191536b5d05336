/*
 * Who may do what: HELLO with tokens, incarnations, generations and floors;
 * FENCE; ACK. See relay.h.
 */
#include <stdlib.h>
#include <string.h>
#include <sodium.h>

#include "server-agent/relay_log.h"

static void
hello_answer(struct relay_conn *c, enum hanfs_status status, uint64_t highest,
    uint64_t floor)
{
	if (status == HANFS_OK)
		c->r->n.hellos++;
	else
		c->r->n.refused++;
	relay_act(c->r, (struct relay_action){.type = RELAY_HELLO,
			    .conn = c,
			    .hello = {status, highest, floor}});
}

static bool
token_fits(const struct relay_client *cl, const uint8_t *token)
{
	return !cl->plain &&
	       sodium_memcmp(cl->token, token, RELAY_TOKEN_LEN) == 0;
}

/* A newer proxy process: what belongs to older ones ends. */
static void
client_renew(struct relay *r, struct relay_client *cl, uint64_t incarnation,
    uint64_t now_ms)
{
	struct relay_conn *c, *c_next;
	struct relay_kconn *k, *k_next;
	struct relay_table *t;
	char name[9];

	relay_note(r, "client %s incarnation %llu -> %llu",
	    relay_client_name(cl, name), (unsigned long long)cl->incarnation,
	    (unsigned long long)incarnation);
	cl->incarnation = incarnation;
	for (c = LIST_FIRST(&cl->conns); c != NULL; c = c_next) {
		c_next = LIST_NEXT(c, on_client);
		conn_close(c, RELAY_R_INCARNATION, now_ms);
	}
	for (k = LIST_FIRST(&cl->kconns); k != NULL; k = k_next) {
		k_next = LIST_NEXT(k, next);
		kconn_retire(r, k, RELAY_R_INCARNATION, now_ms);
	}
	LIST_FOREACH(t, &cl->tables, next)
		table_orphan(r, t, NULL, now_ms);
}

/* Who is it? Makes the client and raises its incarnation. */
static enum hanfs_status
hello_client(struct relay *r, const struct relay_speaker *who,
    struct relay_client **clp, uint64_t now_ms)
{
	struct relay_client *cl = client_find(r, who->client);
	char name[9];

	*clp = NULL;
	if (client_is_nobody(who->client))
		return HANFS_BAD_ARGUMENT; /* common tombs have this id */
	if (cl == NULL) {
		cl = client_new(r, who->client, who->token);
		if (cl == NULL)
			return HANFS_LIMIT;
		cl->incarnation = who->incarnation;
		relay_note(r, "client %s is new", relay_client_name(cl, name));
	}
	if (cl->token_open) /* known from the log, which has no tokens */
		memcpy(cl->token, who->token, RELAY_TOKEN_LEN);
	cl->token_open = false;
	if (!token_fits(cl, who->token)) {
		r->n.bad_token++;
		return HANFS_BAD_TOKEN;
	}
	*clp = cl;
	if (who->incarnation < cl->incarnation)
		return HANFS_OLD_INCARNATION;
	if (who->incarnation > cl->incarnation)
		client_renew(r, cl, who->incarnation, now_ms);
	return HANFS_OK;
}

/* Which kernel connection? Floors decide; older connections end. */
static enum hanfs_status
hello_kconn(struct relay *r, struct relay_client *cl,
    const struct relay_hello *h, struct relay_kconn **kp, uint64_t *floor,
    uint64_t now_ms)
{
	struct relay_kconn *k;
	struct relay_conn *old;

	*kp = NULL;
	if (h->volume < 0)
		return HANFS_NO_VOLUME;
	if (!r->serving[h->volume])
		return HANFS_NOT_OWNER;
	k = kconn_find(cl, (unsigned)h->volume, h->kconn);
	if (k == NULL)
		k = kconn_new(r, cl, (unsigned)h->volume, h->kconn, now_ms);
	if (k == NULL)
		return HANFS_LIMIT;
	*floor = k->floors[h->network];
	if (h->generation <= *floor)
		return HANFS_FENCED;
	/* At most one connection for each network; an older one is at or
	 * below this generation, or the floor would be above it. */
	old = k->conns[h->network];
	if (old != NULL)
		conn_close(old, RELAY_R_REPLACED, now_ms);
	*floor = k->floors[h->network] = h->generation - 1;
	k->resend = k->resend || h->resend;
	*kp = k;
	return HANFS_OK;
}

/* Once a kernel connection's link is open, all go through it. */
static void
hello_link(struct relay_conn *c, const struct relay_hello *h, uint64_t now_ms)
{
	struct relay_link *l = &c->kconn->links[RELAY_NFS];

	if (l->state == LINK_DOWN && now_ms < l->retry_ms) {
		conn_detach(c, now_ms);
		hello_answer(c, HANFS_BACKEND_DOWN, h->who.incarnation,
		    h->generation - 1);
		return;
	}
	if (l->state == LINK_UP) {
		c->state = CONN_OPEN;
		hello_answer(
		    c, HANFS_OK, h->who.incarnation, h->generation - 1);
		return;
	}
	c->state = CONN_HELLO;
	link_open(l);
}

void
relay_hello(struct relay_conn *c, const struct relay_hello *h, uint64_t now_ms)
{
	struct relay *r = c->r;
	struct relay_client *cl;
	struct relay_kconn *k = NULL;
	enum hanfs_status status;
	uint64_t floor = 0, highest;

	assert(
	    h->network < RELAY_NETWORKS_MAX && h->peer_len <= RELAY_PEER_MAX);
	if (c->state == CONN_CLOSED)
		return;
	if (c->state != CONN_NEW) {
		hello_answer(c, HANFS_BAD_ARGUMENT, 0, 0);
		return;
	}
	status = hello_client(r, &h->who, &cl, now_ms);
	highest = cl != NULL ? cl->incarnation : 0;
	if (status == HANFS_OK && h->kconn != 0)
		status = hello_kconn(r, cl, h, &k, &floor, now_ms);
	if (status != HANFS_OK) {
		hello_answer(c, status, highest, floor);
		return;
	}
	conn_attach(c, cl, k, h->network, h->generation, now_ms);
	if (k != NULL)
		log_hello(c, h, now_ms);
	if (k == NULL) {
		c->state = CONN_CONTROL;
		hello_answer(c, HANFS_OK, highest, 0);
		return;
	}
	if (k->links[RELAY_NFS].state == LINK_DOWN &&
	    k->links[RELAY_MOUNT].state == LINK_DOWN)
		memcpy(k->peer, h->peer, h->peer_len);
	hello_link(c, h, now_ms);
}

void
hello_link_result(struct relay_kconn *k, bool up, uint64_t now_ms)
{
	for (unsigned i = 0; i < RELAY_NETWORKS_MAX; i++) {
		struct relay_conn *c = k->conns[i];

		if (c == NULL || c->state != CONN_HELLO)
			continue;
		c->state = up ? CONN_OPEN : CONN_NEW;
		hello_answer(c, up ? HANFS_OK : HANFS_BACKEND_DOWN,
		    k->incarnation, k->floors[i]);
		if (!up)
			conn_detach(c, now_ms);
	}
}

bool
relay_plain(struct relay_conn *c, unsigned volume,
    const uint8_t client[CLIENT_ID_LEN], const void *peer, size_t peer_len,
    uint64_t now_ms)
{
	struct relay *r = c->r;
	struct relay_client *cl = client_find(r, client);
	struct relay_kconn *k;

	assert(c->state == CONN_NEW && volume < r->cfg.volumes &&
	       peer_len <= RELAY_PEER_MAX);
	if (!r->serving[volume] || (cl != NULL && !cl->plain))
		return false;
	if (cl == NULL && (cl = client_new(r, client, NULL)) == NULL)
		return false;
	k = kconn_new(r, cl, volume, ++cl->last_kconn, now_ms);
	if (k == NULL) {
		client_settle(r, cl);
		return false;
	}
	memcpy(k->peer, peer, peer_len);
	conn_attach(c, cl, k, 0, 1, now_ms);
	c->state = CONN_OPEN;
	return true;
}

/* --- FENCE */

enum hanfs_status
relay_speaker_check(const struct relay_conn *c, const struct relay_speaker *who)
{
	const struct relay_client *cl = c->client;

	if (cl == NULL || cl->plain ||
	    (c->state != CONN_CONTROL && c->state != CONN_OPEN))
		return HANFS_NO_HELLO;
	if (memcmp(cl->id, who->client, CLIENT_ID_LEN) != 0 ||
	    !token_fits(cl, who->token)) {
		c->r->n.bad_token++;
		return HANFS_BAD_TOKEN;
	}
	if (who->incarnation != cl->incarnation)
		return who->incarnation < cl->incarnation
			   ? HANFS_OLD_INCARNATION
			   : HANFS_BAD_ARGUMENT;
	return HANFS_OK;
}

/* Ends a kernel connection's connections at or below floor, or all that
 * there are. */
static unsigned
fence_kconn(struct relay_kconn *k, int network, bool all, uint64_t floor,
    uint64_t now_ms)
{
	unsigned closed = 0;

	for (unsigned i = 0; i < RELAY_NETWORKS_MAX; i++) {
		struct relay_conn *c = k->conns[i];
		uint64_t to = floor;

		if (network >= 0 && i != (unsigned)network)
			continue;
		if (all)
			to = c != NULL ? c->generation : 0;
		if (k->floors[i] < to)
			k->floors[i] = to;
		if (c == NULL || c->generation > to)
			continue;
		conn_close(c, RELAY_R_FENCED, now_ms);
		closed++;
	}
	return closed;
}

static unsigned
fence_all(struct relay_client *cl, const struct relay_fence *f, uint64_t now_ms)
{
	struct relay_kconn *k;
	unsigned closed = 0;

	LIST_FOREACH(k, &cl->kconns, next)
		if (k->table->volume == (unsigned)f->volume)
			closed += fence_kconn(k, f->network, true, 0, now_ms);
	return closed;
}

enum hanfs_status
relay_fence(struct relay_conn *c, const struct relay_fence *f, unsigned *closed,
    uint64_t now_ms)
{
	enum hanfs_status status = relay_speaker_check(c, &f->who);
	struct relay *r = c->r;
	struct relay_client *cl = c->client;
	struct relay_kconn *k;

	*closed = 0;
	if (status != HANFS_OK)
		return status;
	if (f->volume < 0)
		return HANFS_NO_VOLUME;
	r->n.fences++;
	if (r->cfg.no_fence)
		return HANFS_OK;
	if (f->kconn == 0) {
		*closed = fence_all(cl, f, now_ms);
		r->n.fenced += *closed;
		return HANFS_OK;
	}
	/* Its HELLO may still be on its way: the floor must wait for it. */
	k = kconn_find(cl, (unsigned)f->volume, f->kconn);
	if (k == NULL)
		k = kconn_new(r, cl, (unsigned)f->volume, f->kconn, now_ms);
	if (k == NULL)
		return HANFS_LIMIT;
	if (f->network < 0 && f->floor == UINT64_MAX)
		*closed = kconn_end(r, k, now_ms);
	else
		*closed = fence_kconn(k, f->network, false, f->floor, now_ms);
	r->n.fenced += *closed;
	return HANFS_OK;
}

enum hanfs_status
relay_ack(struct relay_conn *c, const struct relay_speaker *who, int volume,
    uint64_t kconn, const uint32_t *xids, unsigned n, uint64_t now_ms)
{
	enum hanfs_status status = relay_speaker_check(c, who);
	struct relay_kconn *k;
	unsigned acked = 0;

	if (status != HANFS_OK)
		return status;
	if (volume < 0)
		return HANFS_NO_VOLUME;
	k = kconn_find(c->client, (unsigned)volume, kconn);
	if (k == NULL)
		return HANFS_OK; /* nothing of it is kept any more */
	for (unsigned i = 0; i < n; i++)
		acked += table_ack(c->r, k->table, k, xids[i], now_ms);
	c->r->n.acked += acked;
	if (acked > 0)
		tomb_age(c->r, k->table, now_ms);
	table_resume(c->r);
	return HANFS_OK;
}
