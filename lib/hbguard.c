/*
 * hbguard: the ladder of guards; the contract is in hanfs/hbguard.h.
 * Pure: no pcap, no socket, no clock, no log.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/hbguard.h"

/* A ration: thousandths of a verification, filled as time goes by. */
struct bucket {
	uint64_t milli;
	uint64_t last_ms;
};

/* What is known of one server on one slot. */
struct known {
	uint64_t boot; /* 0: nothing yet */
	uint64_t sequence;
	bool reopened; /* a gap says nothing about losses */
	struct hanfs_addr source;
	struct bucket expected, other;
};

struct slot {
	bool open;
	uint32_t network; /* id */
	uint64_t counters[HB_REASONS];
	struct known known[HBG_SERVERS_MAX];
};

struct hbguard {
	struct hbguard_conf conf;
	uint64_t boot[HBG_SERVERS_MAX]; /* highest known; 0: none */
	struct bucket reserve;
	struct slot slots[HBG_SLOTS_MAX];
	/* rations, verifications a second */
	uint32_t expected_rate, other_rate, reserve_rate;
};

static const char *const reason_names[HB_REASONS] = {
    [HB_PASSED] = "passed",
    [HB_DROP_FRAME] = "frame",
    [HB_DROP_IP] = "ip",
    [HB_DROP_FRAGMENT] = "fragment",
    [HB_DROP_TTL] = "ttl",
    [HB_DROP_UDP] = "udp",
    [HB_DROP_LENGTH] = "length",
    [HB_DROP_MAGIC] = "magic",
    [HB_DROP_VERSION] = "version",
    [HB_DROP_CLUSTER] = "cluster",
    [HB_DROP_SERVER] = "server",
    [HB_DROP_UNWANTED] = "unwanted",
    [HB_DROP_NETWORK] = "network",
    [HB_DROP_BOOT] = "boot",
    [HB_DROP_DUPLICATE] = "duplicate",
    [HB_DROP_SEQUENCE] = "sequence",
    [HB_DROP_BUDGET] = "budget",
    [HB_DROP_SIGNATURE] = "signature",
    [HB_DROP_BODY] = "body",
};

const char *
hb_reason_name(unsigned reason)
{
	return reason < HB_REASONS ? reason_names[reason] : "?";
}

/* --- rations --- */

static bool
bucket_take(struct bucket *b, uint32_t rate, uint32_t burst, uint64_t now_ms)
{
	uint64_t full = (uint64_t)burst * 1000;
	uint64_t dt = now_ms > b->last_ms ? now_ms - b->last_ms : 0;

	/* A second fills any bucket: no overflow for any dt. */
	b->milli += rate * (dt > 1000 ? 1000 : dt);
	if (b->milli > full || b->last_ms == 0)
		b->milli = full;
	b->last_ms = now_ms;
	if (b->milli < 1000)
		return false;
	b->milli -= 1000;
	return true;
}

static uint32_t
at_least_one(uint32_t n)
{
	return n ? n : 1;
}

/* Splits the budget over the pairs of open slots and wanted servers. */
static void
split_budget(struct hbguard *g)
{
	uint32_t slots = 0, servers = 0, pairs, i;
	uint32_t all = g->conf.verify_per_second;

	for (i = 0; i < HBG_SLOTS_MAX; i++)
		slots += g->slots[i].open;
	for (i = 0; i < g->conf.nservers; i++)
		servers += g->conf.servers[i].wanted;
	pairs = at_least_one(slots * servers);
	g->expected_rate = at_least_one(all / 2 / pairs);
	g->reserve_rate = at_least_one(all * 4 / 10);
	g->other_rate = at_least_one(all / 10 / pairs);
}

static bool
take_budget(struct hbguard *g, struct known *k, bool expected, uint64_t now_ms)
{
	if (!expected)
		return bucket_take(
		    &k->other, g->other_rate, g->other_rate, now_ms);
	return bucket_take(
		   &k->expected, g->expected_rate, g->expected_rate, now_ms) ||
	       bucket_take(&g->reserve, g->reserve_rate,
		   at_least_one(g->reserve_rate / 4), now_ms);
}

/* --- set-up --- */

struct hbguard *
hbguard_new(const struct hbguard_conf *conf)
{
	struct hbguard *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->conf = *conf;
	assert(conf->nservers <= HBG_SERVERS_MAX);
	split_budget(g);
	return g;
}

void
hbguard_free(struct hbguard *g)
{
	free(g);
}

/* The index of the same server (id and key) in the old configuration. */
static unsigned
same_server(const struct hbguard_conf *old, const struct hbguard_server *s)
{
	unsigned i;

	for (i = 0; i < old->nservers; i++)
		if (old->servers[i].id == s->id &&
		    memcmp(old->servers[i].key, s->key, HB_KEY_LEN) == 0)
			break;
	return i;
}

void
hbguard_configure(struct hbguard *g, const struct hbguard_conf *conf)
{
	uint64_t boot[HBG_SERVERS_MAX] = {0};
	struct known known[HBG_SERVERS_MAX];
	unsigned from[HBG_SERVERS_MAX];
	unsigned i, s;

	assert(conf->nservers <= HBG_SERVERS_MAX);
	for (i = 0; i < conf->nservers; i++) {
		from[i] = same_server(&g->conf, &conf->servers[i]);
		if (from[i] < g->conf.nservers)
			boot[i] = g->boot[from[i]];
	}
	memcpy(g->boot, boot, sizeof(boot));
	for (s = 0; s < HBG_SLOTS_MAX; s++) {
		memset(known, 0, sizeof(known));
		for (i = 0; i < conf->nservers; i++)
			if (from[i] < g->conf.nservers)
				known[i] = g->slots[s].known[from[i]];
		memcpy(g->slots[s].known, known, sizeof(known));
	}
	g->conf = *conf;
	split_budget(g);
}

void
hbguard_set_boot(struct hbguard *g, unsigned server, uint64_t boot)
{
	assert(server < g->conf.nservers);
	if (boot > g->boot[server])
		g->boot[server] = boot;
}

void
hbguard_open_slot(struct hbguard *g, unsigned slot, uint32_t network)
{
	struct slot *s = &g->slots[slot];

	unsigned i;

	assert(slot < HBG_SLOTS_MAX);
	if (s->network != network)
		memset(s->known, 0, sizeof(s->known));
	for (i = 0; i < HBG_SERVERS_MAX; i++)
		s->known[i].reopened = true;
	s->network = network;
	s->open = true;
	split_budget(g);
}

void
hbguard_close_slot(struct hbguard *g, unsigned slot)
{
	assert(slot < HBG_SLOTS_MAX);
	g->slots[slot].open = false;
	split_budget(g);
}

/* --- what is known --- */

void
hbguard_count(struct hbguard *g, unsigned slot, enum hb_reason reason)
{
	assert(slot < HBG_SLOTS_MAX && reason < HB_REASONS);
	g->slots[slot].counters[reason]++;
}

uint64_t
hbguard_counter(const struct hbguard *g, unsigned slot, enum hb_reason reason)
{
	assert(slot < HBG_SLOTS_MAX && reason < HB_REASONS);
	return g->slots[slot].counters[reason];
}

uint64_t
hbguard_boot(const struct hbguard *g, unsigned server)
{
	assert(server < HBG_SERVERS_MAX);
	return g->boot[server];
}

uint64_t
hbguard_sequence(const struct hbguard *g, unsigned slot, unsigned server)
{
	assert(slot < HBG_SLOTS_MAX && server < HBG_SERVERS_MAX);
	return g->slots[slot].known[server].sequence;
}

/*
 * The sequence that a packet of this boot must exceed on a slot which has
 * seen none of it: what other slots of the same network have, open or not,
 * but for a little lag.
 */
static uint64_t
network_floor(
    const struct hbguard *g, uint32_t network, unsigned server, uint64_t boot)
{
	uint64_t floor = 0;
	unsigned i;

	for (i = 0; i < HBG_SLOTS_MAX; i++) {
		const struct known *k = &g->slots[i].known[server];

		if (g->slots[i].network == network && k->boot == boot &&
		    k->sequence > floor)
			floor = k->sequence;
	}
	return floor > HBG_LAG ? floor - HBG_LAG : 0;
}

/* --- the ladder --- */

/* Guards on the message alone. */
static enum hb_reason
check_head(const uint8_t *buf, size_t len, struct hb_head *h)
{
	if (len < HB_LEN_MIN || len > HB_LEN_MAX || len % 4 != 0)
		return HB_DROP_LENGTH;
	hb_peek(buf, h);
	if (h->magic != HB_MAGIC)
		return HB_DROP_MAGIC;
	if (h->version_min > HB_VERSION || h->version_max < HB_VERSION_MIN ||
	    h->version < h->version_min || h->version > h->version_max)
		return HB_DROP_VERSION;
	return HB_PASSED;
}

/* Guards that hold it against the configuration; finds the server. */
static enum hb_reason
check_conf(const struct hbguard *g, const struct slot *s,
    const struct hb_head *h, unsigned *server)
{
	unsigned i;

	if (h->cluster != g->conf.cluster)
		return HB_DROP_CLUSTER;
	for (i = 0; i < g->conf.nservers; i++)
		if (g->conf.servers[i].id == h->server)
			break;
	if (i == g->conf.nservers)
		return HB_DROP_SERVER;
	*server = i;
	if (!g->conf.servers[i].wanted)
		return HB_DROP_UNWANTED;
	if (h->network != s->network)
		return HB_DROP_NETWORK;
	return HB_PASSED;
}

/* Guards that hold it against what is known of the server. */
static enum hb_reason
check_known(const struct hbguard *g, const struct slot *s,
    const struct hb_head *h, unsigned server)
{
	const struct known *k = &s->known[server];

	if (h->boot == 0 || h->boot < g->boot[server])
		return HB_DROP_BOOT;
	if (h->sequence == 0)
		return HB_DROP_SEQUENCE;
	if (h->boot != k->boot)
		return h->sequence <=
			       network_floor(g, s->network, server, h->boot)
			   ? HB_DROP_SEQUENCE
			   : HB_PASSED;
	if (h->sequence == k->sequence)
		return HB_DROP_DUPLICATE;
	return h->sequence < k->sequence ? HB_DROP_SEQUENCE : HB_PASSED;
}

static bool
is_expected(const struct known *k, const struct hb_head *h,
    const struct hanfs_addr *source)
{
	return h->boot == k->boot && h->sequence - k->sequence <= HBG_WINDOW &&
	       addr_cmp(source, &k->source) == 0;
}

/* All guards have passed: the one place that changes what is known. */
static void
commit(struct hbguard *g, const struct hb_arrival *at, struct hb_event *ev)
{
	struct known *k = &g->slots[at->slot].known[ev->server];
	const struct heartbeat *hb = &ev->hb;

	ev->slot = at->slot;
	ev->source = at->source;
	ev->unicast = at->unicast;
	ev->first = g->boot[ev->server] == 0;
	ev->new_boot = hb->boot > g->boot[ev->server];
	ev->fresh = hb->boot != k->boot || k->reopened;
	ev->lost = ev->fresh ? 0 : hb->sequence - k->sequence - 1;
	g->boot[ev->server] = hb->boot;
	k->boot = hb->boot;
	k->sequence = hb->sequence;
	k->source = at->source;
	k->reopened = false;
}

static enum hb_reason
check(struct hbguard *g, const struct hb_arrival *at, const uint8_t *buf,
    size_t len, struct hb_event *ev)
{
	struct slot *s = &g->slots[at->slot];
	struct hb_head h;
	struct known *k;
	enum hb_reason r;

	r = check_head(buf, len, &h);
	if (r != HB_PASSED)
		return r;
	r = check_conf(g, s, &h, &ev->server);
	if (r != HB_PASSED)
		return r;
	r = check_known(g, s, &h, ev->server);
	if (r != HB_PASSED)
		return r;
	k = &s->known[ev->server];
	if (!take_budget(g, k, is_expected(k, &h, &at->source), at->now_ms))
		return HB_DROP_BUDGET;
	if (!hb_verify(buf, len, g->conf.servers[ev->server].key))
		return HB_DROP_SIGNATURE;
	if (hb_decode(buf, len, &ev->hb) < 0)
		return HB_DROP_BODY;
	return HB_PASSED;
}

enum hb_reason
hbguard_check(struct hbguard *g, const struct hb_arrival *at,
    const uint8_t *buf, size_t len, struct hb_event *ev)
{
	enum hb_reason r;

	assert(at->slot < HBG_SLOTS_MAX && g->slots[at->slot].open);
	r = check(g, at, buf, len, ev);
	hbguard_count(g, at->slot, r);
	if (r == HB_PASSED)
		commit(g, at, ev);
	return r;
}
