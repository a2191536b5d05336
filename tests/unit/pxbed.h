/*
 * A bed for tests of the proxy core: two servers, two networks, two volumes
 * on server 0. It takes the core's actions after each event, keeps those of
 * the last event, and checks that each one names objects that live.
 */
#ifndef HANFS_TESTS_PXBED_H
#define HANFS_TESTS_PXBED_H

#include <string.h>

#include "proxy/core_int.h"
#include "unit.h"

enum { A, B };     /* networks */
enum { BOOT = 7 }; /* of server 0's agent */
enum { ACTS_MAX = 4096 };

struct pxbed {
	struct px *px;
	struct rec_pool *pool;
	uint64_t now;
	uint64_t kconns;
	struct px_action act[ACTS_MAX];
	unsigned n;
	bool dead[PX_PATHS]; /* probes over it are not answered */
};

static inline struct px_config
pxbed_config(void)
{
	struct px_config cfg = {
	    .nnetworks = 2,
	    .nservers = 2,
	    .nvolumes = 2,
	    .network = {"netA", "netB"},
	    .server = {"s1", "s2"},
	    .address = {{true, true}, {true, true}},
	    .volume = {{.name = "home",
			   .id = 1,
			   .ncandidates = 2,
			   .candidate = {0, 1}},
		{.name = "work",
		    .id = 2,
		    .ncandidates = 2,
		    .candidate = {0, 1}}},
	    .path = {.interval_ms = 50,
		.multiplier = 3,
		.probe_after_ms = 300,
		.oneway_ms = 400,
		.hold_ms = 1000,
		.hold_max_ms = 60000,
		.calm_ms = 30000},
	    .calls_max = 256,
	    .kconns_max = 16,
	    .replay_calls = 8,
	    .linger_ms = 10000,
	    .connect_ms = 3000,
	    .retry_ms = 50,
	    .retry_max_ms = 1000,
	};

	return cfg;
}

static inline bool
pxbed_alive(struct pxbed *b, const struct kconn *k)
{
	for (struct kconn *at = px_kconns(b->px); at; at = at->next)
		if (at == k)
			return true;
	return false;
}

static inline void
pxbed_check_action(struct pxbed *b, const struct px_action *a)
{
	switch (a->type) {
	case PX_SEND:
		assert_non_null(a->call->rec);
		assert_ptr_equal(a->call->kconn, a->uconn->kconn);
		/* fall through */
	case PX_CONNECT:
	case PX_ABORT:
		assert_true(pxbed_alive(b, a->uconn->kconn));
		break;
	case PX_FENCE:
		assert_true(pxbed_alive(b, a->kconn));
		assert_int_equal(a->kconn_id, a->kconn->id);
		assert_true(a->floor > 0);
		/* fall through */
	case PX_CONTROL_OPEN:
	case PX_CONTROL_ABORT:
	case PX_PROBE:
	case PX_SUBSCRIBE:
		assert_true(a->path < b->px->npaths);
		break;
	case PX_KCONN_FREE:
		assert_false(pxbed_alive(b, a->kconn));
		break;
	}
}

/* Takes what the last event led to, answers probes; says how many actions. */
static inline unsigned
pxbed_take(struct pxbed *b)
{
	b->n = 0;
	while (px_next(b->px, &b->act[b->n])) {
		pxbed_check_action(b, &b->act[b->n]);
		if (b->act[b->n].type == PX_PROBE &&
		    !b->dead[b->act[b->n].path])
			px_probe_answered(
			    b->px, b->act[b->n].path, 300, b->now);
		assert_true(++b->n < ACTS_MAX);
	}
	return b->n;
}

static inline unsigned
pxbed_count(const struct pxbed *b, enum px_action_type type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->n; i++)
		n += b->act[i].type == type;
	return n;
}

/* The i-th action of that type, from 0. */
static inline const struct px_action *
pxbed_get(const struct pxbed *b, enum px_action_type type, unsigned i)
{
	for (unsigned at = 0; at < b->n; at++)
		if (b->act[at].type == type && i-- == 0)
			return &b->act[at];
	fail_msg("no action of type %d", (int)type);
	return NULL;
}

static inline void
pxbed_up(struct pxbed *b, const struct px_config *cfg)
{
	static const struct rec_pool_limits limits = {.recs = 512};

	memset(b, 0, sizeof(*b));
	b->now = 1000000;
	b->px = px_new(cfg, b->now);
	b->pool = rec_pool_new(&limits);
	assert_non_null(b->px);
	assert_non_null(b->pool);
}

static inline void
pxbed_down(struct pxbed *b)
{
	px_free(b->px);
	rec_pool_free(b->pool); /* asserts that no record leaked */
}

/* The path's control connection is made and answered. */
static inline void
pxbed_path_up(struct pxbed *b, uint32_t server, uint32_t network, uint64_t boot)
{
	uint32_t path = px_path_index(px_config(b->px), server, network);

	if (!px_path(b->px, path)->interface_up)
		px_interface(b->px, network, true, PATH_NEW, b->now);
	if (px_control(b->px, path)->state == UCONN_NONE) {
		b->now += 2000;
		px_tick(b->px, b->now);
	}
	assert_int_equal(px_control(b->px, path)->state, UCONN_CONNECTING);
	pxbed_take(b);
	px_control_ready(b->px, path, boot, ++b->now);
	assert_int_equal(px_path(b->px, path)->state, PATH_UP);
}

static inline struct kconn *
pxbed_open(struct pxbed *b, uint32_t volume)
{
	struct kconn *k =
	    px_kconn_open(b->px, volume, ++b->kconns, NULL, b->now);

	assert_non_null(k);
	return k;
}

/* The connection of k on that network says HELLO and is accepted. */
static inline void
pxbed_ready(struct pxbed *b, struct kconn *k, uint32_t network)
{
	struct uconn *u = &k->u[network];

	assert_int_equal(u->state, UCONN_CONNECTING);
	px_uconn_ready(b->px, u, BOOT, u->generation - 1, ++b->now);
	assert_int_equal(u->state, UCONN_READY);
}

static inline enum px_took
pxbed_call(struct pxbed *b, struct kconn *k, uint32_t xid, uint32_t proc)
{
	struct call_info info = {
	    .id = {.xid = xid, .prog = RPC_PROG_NFS, .proc = proc}};
	uint8_t bytes[64];
	struct rec *rec;
	enum px_took took;

	be32_put(bytes, xid);
	memset(bytes + 4, (int)proc, sizeof(bytes) - 4);
	memcpy(info.id.digest.b, bytes, sizeof(info.id.digest.b));
	info.class = nfs3_class(proc);
	info.reply_max = 100;
	rec = rec_from(b->pool, bytes, sizeof(bytes));
	assert_non_null(rec);
	took = px_call(b->px, k, &info, rec, ++b->now);
	if (took != PX_TOOK)
		rec_unref(rec);
	return took;
}

static inline bool
pxbed_reply(struct pxbed *b, struct uconn *u, uint32_t xid)
{
	struct px_answered answered;
	bool known = px_reply(b->px, u, xid, &answered, ++b->now);

	if (known)
		assert_int_equal(answered.id.xid, xid);
	return known;
}

/* The usual start: both networks up, one kernel connection on volume 0. */
static inline struct kconn *
pxbed_start(struct pxbed *b, const struct px_config *cfg)
{
	struct kconn *k;

	pxbed_up(b, cfg);
	pxbed_path_up(b, 0, A, BOOT);
	pxbed_path_up(b, 0, B, BOOT);
	k = pxbed_open(b, 0);
	pxbed_ready(b, k, A);
	pxbed_ready(b, k, B);
	pxbed_take(b);
	return k;
}

static inline void
pxbed_carrier(struct pxbed *b, uint32_t network, bool up)
{
	px_interface(
	    b->px, network, up, up ? PATH_NEW : PATH_CARRIER, ++b->now);
}

#endif
