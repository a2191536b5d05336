/*
 * A relay core with a log, over a minifs (a file system with an NFSv3 server
 * in memory) and slots in memory. The test says when the backend runs, when
 * records are written, when a sync ends; each change of names, attributes or
 * slots leaves a snapshot, in the journal's order: what a cut can leave is
 * any of them from the last finished sync on.
 */
#ifndef HANFS_TESTS_LOGBED_H
#define HANFS_TESTS_LOGBED_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "tests/unit/verdictbed.h"
#include "server-agent/relay.h"

enum { LB_SLOTS = 12, LB_CALLS = 64, LB_SNAPS = 64, LB_VOLUME = 7 };

struct lb_disk {
	struct minifs fs;
	uint8_t slot[LB_SLOTS][LOGSLOT_LEN];
};

struct lb_conn {
	struct relay_conn *rc; /* NULL: closed */
	enum relay_reason reason;
	struct rec *held;
	bool hello_answered;
	enum hanfs_status status;
	struct bytes last;
	unsigned sent;
};

struct lb_call {
	struct relay_link *link;
	struct bytes rec;
};

struct lb_write {
	struct relay_log *log;
	uint32_t slots[LOGREC_PARTS_MAX];
	uint8_t values[LOGREC_PARTS_MAX * LOGSLOT_LEN];
	unsigned n;
};

struct lb {
	struct relay_config cfg;
	struct relay *r;
	struct rec_pool *pool;
	uint64_t now, epoch;
	struct lb_disk d;
	struct lb_disk *snap; /* LB_SNAPS of them */
	unsigned nsnaps, durable; /* the first that a cut can leave */
	unsigned under;           /* and by the sync that runs */
	struct lb_call call[LB_CALLS];
	unsigned ncalls, mutations, queries;
	struct lb_write write[LB_CALLS];
	unsigned nwrites;
	bool sync_wanted, sync_running;
	unsigned syncs;
	/* what waits for the test */
	bool hold_backend, hold_writes, hold_syncs;
	int sync_error, write_error;
	uint32_t status; /* of the next mutation, instead of running it */
	unsigned recovered, suspects, give_ups, drained, links;
	struct relay_link *link; /* the last that was opened */
	struct relay_recovered found;
	uint32_t client_slots;
	bool knfsd;
	const char *order; /* of what happened, if a test wants it */
	char events[256];
};

static inline void
lb_event(struct lb *b, char c)
{
	size_t n = strlen(b->events);

	if (n + 1 < sizeof(b->events))
		b->events[n] = c;
}

static inline void
lb_snap(struct lb *b)
{
	assert_true(b->nsnaps < LB_SNAPS);
	b->snap[b->nsnaps++] = b->d;
}

static inline void
lb_offer(struct lb *b, struct lb_conn *c, struct rec *rec)
{
	if (relay_call(c->rc, rec, b->now) == RELAY_HELD)
		c->held = rec;
}

static inline void
lb_do(struct lb *b, const struct relay_action *a)
{
	struct lb_conn *c = a->conn != NULL ? relay_conn_user(a->conn) : NULL;
	struct lb_call *call;
	struct lb_write *w;
	struct rec *rec;

	switch (a->type) {
	case RELAY_SEND_CONN:
		c->last.len = rec_copy_out(
		    a->rec, 0, c->last.p, sizeof(c->last.p));
		c->sent++;
		lb_event(b, 'r');
		rec_unref(a->rec);
		break;
	case RELAY_SEND_LINK:
		assert_true(b->ncalls < LB_CALLS);
		call = &b->call[b->ncalls++];
		call->link = a->link;
		call->rec.len = rec_copy_out(
		    a->rec, 0, call->rec.p, sizeof(call->rec.p));
		rec_unref(a->rec);
		break;
	case RELAY_CLOSE_CONN:
		c->reason = a->reason;
		rec_unref(c->held);
		c->held = NULL;
		relay_conn_gone(c->rc, b->now);
		c->rc = NULL;
		break;
	case RELAY_OPEN_LINK:
		b->links++;
		b->link = a->link;
		relay_link_up(a->link, b->now);
		break;
	case RELAY_CLOSE_LINK:
		break;
	case RELAY_RESUME:
		rec = c->held;
		c->held = NULL;
		lb_offer(b, c, rec);
		break;
	case RELAY_HELLO:
		c->status = a->hello.status;
		c->hello_answered = true;
		break;
	case RELAY_LOG_WRITE:
		w = &b->write[b->nwrites++];
		assert_true(b->nwrites <= LB_CALLS);
		w->log = a->log;
		w->n = relay_log_values(
		    a->log, b->now, b->now, w->slots, w->values);
		break;
	case RELAY_LOG_SYNC:
		assert_false(b->sync_wanted || b->sync_running);
		b->sync_wanted = true;
		break;
	case RELAY_RECOVERED:
		b->recovered++;
		b->found = a->recovered;
		break;
	case RELAY_DRAINED:
		b->drained++;
		break;
	case RELAY_SUSPECT:
		b->suspects++;
		break;
	case RELAY_GIVE_UP:
		b->give_ups++;
		break;
	}
}

static inline void
lb_act(struct lb *b)
{
	struct relay_action a;

	while (relay_next(b->r, &a))
		lb_do(b, &a);
}

static inline bool
lb_is_query(const struct lb_call *c)
{
	uint32_t proc = be32_get(c->rec.p + 20);

	return nfs3_class(proc) == CALL_PASSED;
}

/* Runs and answers call i. */
static inline void
lb_run(struct lb *b, unsigned i)
{
	struct lb_call c = b->call[i];
	uint8_t reply[NFS3_REPLY_MAX];
	struct mini_run run;
	size_t len;

	memmove(&b->call[i], &b->call[i + 1],
	    (--b->ncalls - i) * sizeof(b->call[0]));
	mini_begin(&run, c.rec.p, c.rec.len);
	if (!lb_is_query(&c)) {
		b->mutations++;
		lb_event(b, 'x');
		if (b->status != 0) {
			run.finished = true;
			run.status = b->status;
			b->status = 0;
		}
	} else {
		b->queries++;
		lb_event(b, 'q');
	}
	while (!run.finished)
		if (mini_step(&b->d.fs, &run))
			lb_snap(b);
	len = mini_reply(&b->d.fs, &run, reply);
	assert_true(relay_reply(
	    c.link, rec_from(b->pool, reply, len), b->now));
	lb_act(b);
}

static inline void
lb_written(struct lb *b)
{
	struct lb_write w = b->write[0];

	memmove(&b->write[0], &b->write[1],
	    --b->nwrites * sizeof(b->write[0]));
	if (b->write_error == 0) {
		struct logslot s;

		for (unsigned i = 0; i < w.n; i++)
			memcpy(b->d.slot[w.slots[i]],
			    w.values + i * LOGSLOT_LEN, LOGSLOT_LEN);
		assert_int_equal(logslot_parse(w.values, LOGSLOT_LEN,
				     LB_VOLUME, w.slots[0], &s),
		    LOGREC_OK);
		lb_event(b, "FIDT"[s.kind]);
		lb_snap(b);
	}
	relay_log_written(w.log, b->write_error, b->now);
	lb_act(b);
}

static inline void
lb_sync_begin(struct lb *b)
{
	assert_int_equal(b->nwrites, 0); /* what it is to cover */
	b->sync_wanted = false;
	b->sync_running = true;
	b->under = b->nsnaps - 1;
	relay_log_sync_begins(b->r, 0);
	lb_act(b);
}

static inline void
lb_sync_end(struct lb *b)
{
	b->sync_running = false;
	b->syncs++;
	lb_event(b, 's');
	if (b->sync_error == 0)
		b->durable = b->under;
	relay_log_synced(b->r, 0, b->sync_error, b->now);
	lb_act(b);
}

/* All that is not held back. */
static inline void
lb_settle(struct lb *b)
{
	bool more = true;

	lb_act(b);
	while (more) {
		more = false;
		for (unsigned i = 0; i < b->ncalls; i++)
			if (!b->hold_backend || lb_is_query(&b->call[i])) {
				lb_run(b, i);
				more = true;
				break;
			}
		if (b->nwrites > 0 && !b->hold_writes) {
			lb_written(b);
			more = true;
		}
		if (!more && b->sync_wanted && !b->hold_syncs &&
		    b->nwrites == 0) {
			lb_sync_begin(b);
			lb_sync_end(b);
			more = true;
		}
	}
}

static inline void
lb_pass(struct lb *b, uint64_t ms)
{
	b->now += ms;
	relay_tick(b->r, b->now);
	lb_settle(b);
}

/* --- life */

/* What `hanfs-agent --format` makes. */
static inline void
lb_format(struct lb *b)
{
	mini_init(&b->d.fs);
	for (uint32_t i = 0; i < LB_SLOTS; i++)
		logrec_encode_free(LB_VOLUME, i, i + 1, 0, b->d.slot[i]);
}

static inline struct lb *
lb_new(void)
{
	struct lb *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->snap = calloc(LB_SNAPS, sizeof(*b->snap));
	assert_non_null(b->snap);
	b->cfg = (struct relay_config){.volumes = 1,
	    .networks = 2,
	    .clients_max = 8,
	    .kconns_max = 8,
	    .conns_max = 16,
	    .entries_max = 64,
	    .client_entries_max = 32,
	    .linger_ms = 10000,
	    .orphan_ms = 600000,
	    .retain_ms = 3600000,
	    .plain_ms = 120000,
	    .kconn_idle_ms = 900000,
	    .backoff_ms = 100,
	    .undecidable_ms = 60000};
	b->client_slots = LB_SLOTS;
	b->now = 1000000;
	lb_format(b);
	return b;
}

/* Reads the slots and judges; false: the log cannot be believed. */
static inline bool
lb_recover(struct lb *b)
{
	struct logscan *s = logscan_new(LB_VOLUME, LB_SLOTS);
	struct relay_recover rr = {.epoch = ++b->epoch,
	    .id = LB_VOLUME,
	    .slots = LB_SLOTS,
	    .client_slots = b->client_slots,
	    .knfsd = b->knfsd,
	    .pool = b->pool};

	for (uint32_t i = 0; i < LB_SLOTS; i++)
		logscan_add(s, i, b->d.slot[i], LOGSLOT_LEN);
	assert_int_equal(logscan_finish(s), 0);
	if (logscan_nbad(s) != 0) {
		logscan_free(s);
		return false;
	}
	rr.seq = logscan_seq(s);
	rr.write = logscan_write(s);
	relay_log_clear(b->r, 0, b->now);
	lb_act(b);
	b->ncalls = b->nwrites = 0;
	b->sync_wanted = b->sync_running = false;
	assert_int_equal(relay_recover_begin(b->r, 0, &rr, b->now), 0);
	for (unsigned i = 0; i < logscan_nrecords(s); i++)
		assert_int_equal(relay_recover_record(b->r, 0,
				     logscan_record(s, i), b->now),
		    0);
	logscan_free(s);
	b->recovered = 0;
	b->nsnaps = b->durable = 0;
	lb_snap(b);
	relay_recover_judge(b->r, 0, b->now);
	lb_settle(b);
	if (b->recovered == 1)
		relay_volume_set(b->r, 0, true, b->now);
	return true;
}

static inline void
lb_start(struct lb *b)
{
	static const struct rec_pool_limits limits = {
	    .recs = 128, .chunks = 8, .reserve = 1, .pipes = 0};

	b->pool = rec_pool_new(&limits);
	assert_non_null(b->pool);
	b->r = relay_new(&b->cfg);
	assert_non_null(b->r);
	assert_true(lb_recover(b));
	assert_int_equal(b->recovered, 1);
}

static inline void
lb_stop(struct lb *b)
{
	struct rec_pool_use use;

	relay_log_clear(b->r, 0, b->now);
	lb_act(b);
	relay_free(b->r);
	b->r = NULL;
	rec_pool_use(b->pool, &use);
	assert_int_equal(use.recs, 0);
	rec_pool_free(b->pool);
}

static inline void
lb_free(struct lb *b)
{
	lb_stop(b);
	free(b->snap);
	free(b);
}

/* Power cut: another server finds snapshot i of the old one's disk. */
static inline void
lb_cut(struct lb *b, const struct lb_disk *disk)
{
	struct lb_disk d = *disk;

	lb_stop(b);
	b->d = d;
	mini_cut(&b->d.fs);
	b->hold_backend = b->hold_writes = b->hold_syncs = false;
	b->mutations = b->queries = b->syncs = 0;
	b->suspects = b->give_ups = 0;
	memset(b->events, 0, sizeof(b->events));
	lb_start(b);
}

/* --- clients */

static inline void
lb_hello_of(struct lb *b, struct lb_conn *c, uint8_t client,
    uint64_t incarnation, uint64_t generation, const uint32_t *sent,
    unsigned nsent)
{
	struct relay_hello h = {.volume = 0,
	    .kconn = 5,
	    .generation = generation,
	    .sent = sent,
	    .nsent = nsent,
	    .peer = "peer",
	    .peer_len = 4};

	memset(c, 0, sizeof(*c));
	memset(h.who.client, client, sizeof(h.who.client));
	memset(h.who.token, client + 100, sizeof(h.who.token));
	h.who.incarnation = incarnation;
	c->rc = relay_conn_new(b->r, c);
	assert_non_null(c->rc);
	relay_hello(c->rc, &h, b->now);
	lb_settle(b);
	assert_true(c->hello_answered);
	assert_int_equal(c->status, HANFS_OK);
}

static inline void
lb_hello(struct lb *b, struct lb_conn *c, uint8_t client, uint64_t generation,
    const uint32_t *sent, unsigned nsent)
{
	lb_hello_of(b, c, client, 1, generation, sent, nsent);
}

static inline void
lb_gone(struct lb *b, struct lb_conn *c)
{
	if (c->rc != NULL) {
		rec_unref(c->held);
		c->held = NULL;
		relay_conn_gone(c->rc, b->now);
		c->rc = NULL;
	}
	lb_settle(b);
}

static inline void
lb_put(struct lb *b, struct lb_conn *c, const struct bytes *call)
{
	struct rec *rec = rec_new(b->pool);

	assert_non_null(rec);
	assert_int_equal(rec_append(rec, call->p, call->len), 0);
	lb_offer(b, c, rec);
	lb_settle(b);
}

static inline void
lb_ack(struct lb *b, struct lb_conn *c, uint8_t client, uint32_t xid)
{
	struct relay_speaker who = {.incarnation = 1};

	memset(who.client, client, sizeof(who.client));
	memset(who.token, client + 100, sizeof(who.token));
	assert_int_equal(
	    relay_ack(c->rc, &who, 0, 5, &xid, 1, b->now), HANFS_OK);
	lb_settle(b);
}

static inline struct relay_counts
lb_count(const struct lb *b)
{
	struct relay_counts n;

	relay_count(b->r, &n);
	return n;
}

static inline uint32_t
lb_status(const struct lb_conn *c)
{
	return vb_status(c->last.p, c->last.len);
}

/* --- calls; vb_put_call() gives them XID 0x500 + procedure */

static inline void
make_call(struct bytes *c, const struct minifs *fs, uint32_t proc,
    const char *name)
{
	static const struct nfs3_sattr mode = {.set_mode = true,
	    .mode = 0640,
	    .set_uid = true,
	    .uid = 0,
	    .set_gid = true,
	    .gid = 77};

	vb_put_call(c, proc, 0);
	vb_put_dirop(c, fs, 1, name);
	if (proc == NFS3_CREATE)
		put32(c, NFS3_GUARDED);
	if (proc == NFS3_CREATE || proc == NFS3_MKDIR)
		vb_put_sattr(c, &mode);
}

static inline void
set_xid(struct bytes *c, uint32_t xid)
{
	be32_put(c->p, xid);
}

/* A call in doubt, and something there that it cannot have made. */
static inline struct lb *
lb_undecidable(struct bytes *call)
{
	struct lb *b = lb_new();
	struct lb_disk left;
	struct lb_conn c;

	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	b->hold_backend = true;
	make_call(call, &b->d.fs, NFS3_MKDIR, "new");
	lb_put(b, &c, call);
	lb_gone(b, &c);
	left = b->snap[b->nsnaps - 1];
	mini_put(&left.fs, 1, "new", NF3REG, 0, 0644);
	lb_cut(b, &left);
	assert_int_equal(b->found.undecidable, 1);
	return b;
}

#endif
