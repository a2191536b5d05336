/*
 * A call's life: taken from the kernel, held, sent, sent again, answered.
 * See core.h for the picture. Pure.
 */
#include <assert.h>
#include <string.h>

#include "core_int.h"

static struct call **
bucket(struct px *px, const struct kconn *k, uint32_t xid)
{
	uint64_t h = (k->id * 0x9e3779b97f4a7c15u + xid) * 0xff51afd7ed558ccdu;

	return &px->hash[(h >> 32) & px->hash_mask];
}

struct call *
px_call_find(struct px *px, const struct kconn *k, uint32_t xid)
{
	struct call *c = *bucket(px, k, xid);

	while (c != NULL && (c->kconn != k || c->id.xid != xid))
		c = c->hash;
	return c;
}

struct call *
px_call_new(struct px *px, struct kconn *k, const struct call_id *id)
{
	struct call *c = px->call_free, **b;

	if (c == NULL)
		return NULL;
	px->call_free = c->next;
	memset(c, 0, sizeof(*c));
	c->kconn = k;
	c->id = *id;
	b = bucket(px, k, id->xid);
	c->hash = *b;
	*b = c;
	k->ncalls++;
	return c;
}

/* The caller has taken it off its list. */
static void
call_free(struct px *px, struct call *c)
{
	struct call **b = bucket(px, c->kconn, c->id.xid);

	while (*b != c)
		b = &(*b)->hash;
	*b = c->hash;
	c->kconn->ncalls--;
	rec_unref(c->rec);
	c->rec = NULL;
	c->kconn = NULL;
	c->state = CALL_FREE;
	c->next = px->call_free;
	px->call_free = c;
}

/*
 * Late retransmissions: XIDs of one client follow each other, so that the
 * slot for one is overwritten PX_LINGER calls later. What slips through is
 * answered by the agent's table.
 */
static struct px_linger *
linger_slot(struct kconn *k, uint32_t xid)
{
	return &k->linger[xid % PX_LINGER];
}

static uint32_t
prog_proc(const struct call_id *id)
{
	return id->prog * 64u + id->proc + 1u; /* never 0 for NFS, MOUNT */
}

static bool
lingers(struct kconn *k, const struct call_id *id, uint64_t now_ms)
{
	const struct px_linger *l = linger_slot(k, id->xid);

	return l->prog_proc == prog_proc(id) && l->xid == id->xid &&
	    now_ms < l->until_ms &&
	    memcmp(&l->digest, &id->digest, sizeof(l->digest)) == 0;
}

static void
linger(struct px *px, struct call *c, uint64_t now_ms)
{
	struct px_linger *l = linger_slot(c->kconn, c->id.xid);

	l->xid = c->id.xid;
	l->prog_proc = prog_proc(&c->id);
	l->digest = c->id.digest;
	l->until_ms = now_ms + px->cfg.linger_ms;
}

enum px_took
px_call(struct px *px, struct kconn *k, const struct call_info *info,
    struct rec *rec, uint64_t now_ms)
{
	struct call *c = px_call_find(px, k, info->id.xid);

	if (c != NULL) {
		if (!call_id_equal(&c->id, &info->id))
			return PX_CLASH;
		px->count.duplicates++;
		return PX_DUPLICATE;
	}
	if (lingers(k, &info->id, now_ms)) {
		px->count.lingered++;
		return PX_DUPLICATE;
	}
	c = px_call_new(px, k, &info->id);
	if (c == NULL)
		return PX_FULL;
	c->class = info->class;
	c->cost = info->reply_max < UINT32_MAX - rec_total(rec)
	    ? info->reply_max + rec_total(rec)
	    : UINT32_MAX;
	c->order = px->orders++;
	c->born_ms = now_ms;
	c->rec = rec;
	c->state = CALL_HELD;
	px_list_add(&k->held, c);
	px->count.calls++;
	px_pump(px, k, now_ms);
	return PX_TOOK;
}

/* The connection that is to carry the next call of k, or NULL. */
static struct uconn *
pick(struct px *px, struct kconn *k)
{
	const struct px_volume *v = &px->volume[k->volume];
	struct uconn *best = NULL;

	for (uint32_t i = 0; i < px->cfg.nnetworks; i++) {
		struct uconn *u = &k->u[v->order[i]];

		if (best != NULL &&
		    (px->cfg.paths == PX_PRIMARY_FIRST || i >= v->nequal))
			break;
		if (u->state == UCONN_READY &&
		    (best == NULL || u->cost < best->cost))
			best = u;
	}
	return best;
}

static void
send(struct px *px, struct uconn *u, struct call *c, uint64_t now_ms)
{
	uint32_t server = px->volume[u->kconn->volume].owner;
	struct px_action *a;

	px_list_remove(&u->kconn->held, c);
	px_list_add(&u->calls, c);
	u->cost += c->cost;
	c->state = CALL_SENT;
	c->network = u->network;
	c->sent_ms = now_ms;
	if (c->sent_server != server || c->sent_boot != px->boot[server])
		memset(c->sent_gen, 0, sizeof(c->sent_gen));
	c->sent_server = server;
	c->sent_boot = px->boot[server];
	c->sent_gen[u->network] = u->generation;
	if (c->sends++ > 0) {
		px->count.replays++;
		u->kconn->replaying++;
	}
	a = px_act(px, PX_SEND);
	a->call = c;
	a->uconn = u;
	a->generation = u->generation;
	a->order = c->order;
}

/* Must the call wait for a fence? The rule is in core.h. */
bool
px_fence_missing(const struct px *px, const struct call *c)
{
	uint32_t server = px->volume[c->kconn->volume].owner, n = 0;

	if (c->sends == 0 || c->class == CALL_PASSED || px->cfg.no_fence ||
	    c->sent_server != server || c->sent_boot != px->boot[server])
		return false;
	while (n < px->cfg.nnetworks && c->sent_gen[n] <= c->kconn->u[n].floor)
		n++;
	return n < px->cfg.nnetworks;
}

/* Replays that are slow, at the agent, must not hold up for long those that
 * wait for their turn, nor the calls behind them that were never sent. */
static bool
is_paced(const struct px *px, const struct kconn *k, uint64_t now_ms)
{
	uint32_t slow = 0;

	if (k->replaying < k->replay_limit)
		return false;
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		for (struct call *c = k->u[n].calls.first; c; c = c->next)
			slow += c->sends > 1 &&
			    now_ms - c->sent_ms >= PX_SLOW_MS;
	return k->replaying - slow >= k->replay_limit;
}

/*
 * Sends what is held, oldest first, as far as paths, fences and pacing let
 * it. A call that waits for a fence does not hold back those that need none.
 */
void
px_pump(struct px *px, struct kconn *k, uint64_t now_ms)
{
	struct px_volume *v = &px->volume[k->volume];
	struct call *c, *next;

	for (c = k->held.first; c != NULL; c = next) {
		struct uconn *u = pick(px, k);

		next = c->next;
		if (u == NULL || k->retired)
			return;
		if (c->sends > 0 && is_paced(px, k, now_ms))
			return;
		if (c->class != CALL_PASSED && v->retired > 0 &&
		    !px->cfg.no_fence)
			continue;
		if (px_fence_wanted(px, c, now_ms))
			continue;
		send(px, u, c, now_ms);
	}
	if (k->replaying == 0 && k->held.first == NULL)
		k->replay_limit = px->cfg.replay_calls;
}

void
px_pump_volume(struct px *px, uint32_t volume, uint64_t now_ms)
{
	for (struct kconn *k = px->kconns; k != NULL; k = k->next)
		if (k->volume == volume)
			px_pump(px, k, now_ms);
}

void
px_pump_server(struct px *px, uint32_t server, uint64_t now_ms)
{
	for (struct kconn *k = px->kconns; k != NULL; k = k->next)
		if (px->volume[k->volume].owner == server)
			px_pump(px, k, now_ms);
}

static void
unsend(struct uconn *u, struct call *c)
{
	px_list_remove(&u->calls, c);
	u->cost -= c->cost;
	if (c->sends > 1)
		u->kconn->replaying--;
}

void
px_calls_hold(struct px *px, struct uconn *u, uint64_t now_ms)
{
	uint32_t n = u->calls.n;

	if (n == 0)
		return;
	/* From the youngest on: each finds its place at the list's front. */
	while (u->calls.last != NULL) {
		struct call *c = u->calls.last;

		unsend(u, c);
		c->state = CALL_HELD;
		px_list_insert(&u->kconn->held, c);
	}
	px_explain(px, PX_EV_HELD, u->kconn->volume,
	    px_owner_path(px, u->kconn, u->network), now_ms,
	    "volume %s: %u calls sent over network %s are held for replay",
	    px->cfg.volume[u->kconn->volume].name, n,
	    px->cfg.network[u->network]);
}

void
px_calls_drop(struct px *px, struct kconn *k)
{
	struct call *c;

	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		while ((c = k->u[n].calls.first) != NULL) {
			unsend(&k->u[n], c);
			call_free(px, c);
		}
	while ((c = k->held.first) != NULL) {
		px_list_remove(&k->held, c);
		call_free(px, c);
	}
}

void
px_heard(struct px *px, struct uconn *u, uint64_t now_ms)
{
	u->heard_ms = now_ms;
	path_heard(&px->path[px_owner_path(px, u->kconn, u->network)], now_ms);
}

bool
px_reply(struct px *px, struct uconn *u, uint32_t xid, struct px_answered *out,
    uint64_t now_ms)
{
	struct kconn *k = u->kconn;
	struct call *c = px_call_find(px, k, xid);

	px_heard(px, u, now_ms);
	u->retry_ms = px->cfg.retry_ms;
	if (c == NULL || c->state != CALL_SENT || c->network != u->network) {
		px->count.stray_replies++;
		return false;
	}
	assert(c->sent_gen[u->network] == u->generation);
	unsend(u, c);
	*out = (struct px_answered){.kconn = k, .id = c->id,
	    .class = c->class, .born_ms = c->born_ms, .sends = c->sends};
	if (c->sends > 1) {
		k->replay_limit++;
		px->count.answered_sent_twice++;
	}
	px->count.replies++;
	linger(px, c, now_ms);
	call_free(px, c);
	if (k->held.first != NULL)
		px_pump(px, k, now_ms);
	return true;
}
