/*
 * A relay core with a shell that only writes down what it is told to do:
 * what was sent where, what was closed, answers to HELLOs. Links come up at
 * once unless the test says otherwise.
 */
#ifndef HANFS_TESTS_RELAYBED_H
#define HANFS_TESTS_RELAYBED_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/nfscall.h"
#include "server-agent/relay.h"

enum { SENT_MAX = 256, HOME = 0, WORK = 1, NET_A = 0, NET_B = 1 };

struct bed;

struct bed_conn {
	struct bed *bed;
	struct relay_conn *rc; /* NULL: closed */
	enum relay_reason reason;
	struct rec *held;
	struct relay_hello_answer hello;
	bool hello_answered;
	struct bytes last; /* record sent to it */
	unsigned sent;     /* records */
};

struct bed {
	struct relay_config cfg;
	struct relay *r;
	struct rec_pool *pool;
	uint64_t now;
	/* calls at the backend, in order */
	struct relay_link *link[SENT_MAX];
	uint32_t xid[SENT_MAX];
	unsigned sent;
	struct relay_link *opened; /* the last */
	unsigned opens, closes;
	bool links_wait; /* the test says when they come up */
};

struct who {
	struct relay_speaker s;
};

static inline void
bed_keep(struct bytes *to, const struct rec *rec)
{
	to->len = rec_copy_out(rec, 0, to->p, sizeof(to->p));
	assert_int_equal(to->len, rec->len);
}

static inline void
bed_close(struct bed *b, struct bed_conn *c, enum relay_reason why)
{
	c->reason = why;
	rec_unref(c->held);
	c->held = NULL;
	relay_conn_gone(c->rc, b->now);
	c->rc = NULL;
}

static inline void
bed_offer(struct bed *b, struct bed_conn *c, struct rec *rec)
{
	if (relay_call(c->rc, rec, b->now) == RELAY_HELD)
		c->held = rec;
}

static inline void
bed_do(struct bed *b, const struct relay_action *a)
{
	struct bed_conn *c = a->conn != NULL ? relay_conn_user(a->conn) : NULL;
	struct rec *rec;

	switch (a->type) {
	case RELAY_SEND_CONN:
		bed_keep(&c->last, a->rec);
		c->sent++;
		rec_unref(a->rec);
		break;
	case RELAY_SEND_LINK:
		assert_true(b->sent < SENT_MAX);
		b->link[b->sent] = a->link;
		b->xid[b->sent++] = be32_get(rec_head(a->rec));
		rec_unref(a->rec);
		break;
	case RELAY_CLOSE_CONN:
		bed_close(b, c, a->reason);
		break;
	case RELAY_OPEN_LINK:
		b->opens++;
		b->opened = a->link;
		if (!b->links_wait)
			relay_link_up(a->link, b->now);
		break;
	case RELAY_CLOSE_LINK:
		b->closes++;
		break;
	case RELAY_RESUME:
		rec = c->held;
		c->held = NULL;
		assert_non_null(rec);
		bed_offer(b, c, rec);
		break;
	case RELAY_HELLO:
		c->hello = a->hello;
		c->hello_answered = true;
		break;
	case RELAY_LOG_WRITE:
	case RELAY_LOG_SYNC:
	case RELAY_RECOVERED:
	case RELAY_DRAINED:
	case RELAY_SUSPECT:
	case RELAY_GIVE_UP:
		break; /* no volume has a log */
	}
}

static inline void
bed_settle(struct bed *b)
{
	struct relay_action a;

	while (relay_next(b->r, &a))
		bed_do(b, &a);
}

static inline void
bed_begin(struct bed *b)
{
	static const struct rec_pool_limits limits = {
	    .recs = 128, .chunks = 8, .reserve = 1, .pipes = 0};

	b->pool = rec_pool_new(&limits);
	assert_non_null(b->pool);
	b->r = relay_new(&b->cfg);
	assert_non_null(b->r);
	b->now = 1000000;
	relay_volume_set(b->r, HOME, true, b->now);
}

static inline struct bed
bed_config(void)
{
	struct bed b = {.cfg = {.volumes = 2,
			    .networks = 2,
			    .clients_max = 8,
			    .kconns_max = 8,
			    .conns_max = 16,
			    .entries_max = 64,
			    .client_entries_max = 32,
			    .linger_ms = 10000,
			    .orphan_ms = 600000,
			    .retain_ms = 86400000,
			    .plain_ms = 120000,
			    .kconn_idle_ms = 900000,
			    .backoff_ms = 100}};

	return b;
}

static inline void
bed_conn(struct bed *b, struct bed_conn *c)
{
	memset(c, 0, sizeof(*c));
	c->bed = b;
	c->rc = relay_conn_new(b->r, c);
	assert_non_null(c->rc);
}

/* The client closes it. */
static inline void
bed_gone(struct bed *b, struct bed_conn *c)
{
	if (c->rc == NULL)
		return;
	bed_close(b, c, RELAY_REASONS);
	bed_settle(b);
}

static inline void
bed_end(struct bed *b)
{
	struct rec_pool_use use;

	bed_settle(b);
	relay_free(b->r);
	rec_pool_use(b->pool, &use);
	assert_int_equal(use.recs, 0);
	assert_int_equal(use.chunks, 0);
	rec_pool_free(b->pool);
}

static inline struct relay_speaker
bed_who(uint8_t client, uint64_t incarnation)
{
	struct relay_speaker s = {.incarnation = incarnation};

	memset(s.client, client, sizeof(s.client));
	memset(s.token, client + 100, sizeof(s.token));
	return s;
}

static inline enum hanfs_status
bed_hello(struct bed *b, struct bed_conn *c, struct relay_speaker who,
    uint64_t kconn, unsigned network, uint64_t generation)
{
	struct relay_hello h = {.who = who,
	    .volume = HOME,
	    .kconn = kconn,
	    .network = network,
	    .generation = generation,
	    .peer = "peer",
	    .peer_len = 4};

	c->hello_answered = false;
	relay_hello(c->rc, &h, b->now);
	bed_settle(b);
	return c->hello_answered ? c->hello.status : (enum hanfs_status)99;
}

/* A new connection with an accepted HELLO. */
static inline void
bed_open(struct bed *b, struct bed_conn *c, struct relay_speaker who,
    uint64_t kconn, unsigned network, uint64_t generation)
{
	bed_conn(b, c);
	assert_int_equal(
	    bed_hello(b, c, who, kconn, network, generation), HANFS_OK);
}

static inline enum hanfs_status
bed_fence(struct bed *b, struct bed_conn *c, struct relay_speaker who,
    uint64_t kconn, int network, uint64_t floor, unsigned *closed)
{
	struct relay_fence f = {.who = who,
	    .volume = HOME,
	    .kconn = kconn,
	    .network = network,
	    .floor = floor};
	enum hanfs_status s = relay_fence(c->rc, &f, closed, b->now);

	bed_settle(b);
	return s;
}

static inline void
bed_send(struct bed *b, struct bed_conn *c, const struct bytes *call)
{
	struct rec *rec = rec_new(b->pool);

	assert_non_null(rec);
	assert_int_equal(rec_append(rec, call->p, call->len), 0);
	bed_offer(b, c, rec);
	bed_settle(b);
}

/* CREATE, REMOVE or MKDIR of a name; GETATTR. */
static inline void
bed_call(struct bed *b, struct bed_conn *c, uint32_t xid, uint32_t proc,
    const char *name)
{
	struct bytes call = {.len = 0};

	put_call(&call, xid, RPC_PROG_NFS, 3, proc, 0);
	put_fh(&call, 1);
	if (name != NULL)
		put_string(&call, name);
	if (proc == NFS3_CREATE)
		put32(&call, 1);
	if (proc == NFS3_CREATE || proc == NFS3_MKDIR)
		put_sattr(&call, -1);
	bed_send(b, c, &call);
}

static inline bool
bed_reply(struct bed *b, struct relay_link *l, uint32_t xid)
{
	struct bytes reply = {.len = 0};
	struct rec *rec;
	bool ok;

	put_reply(&reply, xid, 40);
	rec = rec_from(b->pool, reply.p, reply.len);
	assert_non_null(rec);
	ok = relay_reply(l, rec, b->now);
	bed_settle(b);
	return ok;
}

static inline void
bed_pass(struct bed *b, uint64_t ms)
{
	b->now += ms;
	relay_tick(b->r, b->now);
	bed_settle(b);
}

static inline struct relay_counts
bed_count(const struct bed *b)
{
	struct relay_counts n;

	relay_count(b->r, &n);
	return n;
}

#endif
