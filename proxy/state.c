/*
 * Writes the core's whole state out and reads it back: for a restart or an
 * upgrade of the proxy. Pure.
 *
 *   magic | version | configuration | core | paths | volumes | kconns
 *         (each with its connections, calls and their bytes) | seal
 *
 * Numbers are big-endian. One function a structure does both directions, so
 * that they cannot differ. What is read is bounded and checked as bytes
 * from outside: every index against its table, every rule that the core
 * asserts. The seal (SipHash) tells a damaged state from a whole one.
 *
 * Pending actions are no part of the state: the shell has taken them. Nor
 * is what the shell hung on objects (user), nor the record of events. A
 * connection that the shell cannot carry over it reports as lost.
 */
#include <sodium.h>

#include "core_int.h"
#include "state_io.h"

enum { VERSION = 2, SEAL = 16 };
static const uint8_t magic[8] = "hanfs-px";

/* Servers and networks are known by number: their names must agree. */
static void
io_config(struct state_io *io, const struct px_config *cfg)
{
	io_same(io, magic, sizeof(magic));
	io_same_u32(io, VERSION);
	io_same_u32(io, cfg->nnetworks);
	io_same_u32(io, cfg->nservers);
	io_same_u32(io, cfg->nvolumes);
	for (uint32_t i = 0; i < cfg->nnetworks; i++)
		io_same_name(io, cfg->network[i]);
	for (uint32_t i = 0; i < cfg->nservers; i++)
		io_same_name(io, cfg->server[i]);
	for (uint32_t i = 0; i < cfg->nvolumes; i++) {
		io_same_u32(io, cfg->volume[i].id);
		io_same_name(io, cfg->volume[i].name);
	}
}

static void
io_core(struct state_io *io, struct px *px)
{
	uint64_t *count = (uint64_t *)&px->count;

	_Static_assert(sizeof(px->count) % sizeof(*count) == 0,
	    "the counters are numbers of 64 bits");
	io_u64(io, &px->orders);
	io_max(io, &px->generations, PX_GENERATION_MAX);
	for (uint32_t s = 0; s < px->cfg.nservers; s++) {
		io_u64(io, &px->boot[s]);
		io_max(io, &px->boot_learned[s], px->generations);
		io_u32(io, &px->announced[s]);
		io_u32(io, &px->announced_gen[s]);
	}
	for (size_t i = 0; i < sizeof(px->count) / sizeof(*count); i++)
		io_u64(io, &count[i]);
}

static void
io_path(struct state_io *io, const struct path_config *cfg, struct path *p)
{
	IO_ENUM(io, p->state, PATH_UP + 1);
	IO_ENUM(io, p->reason, PATH_NREASONS);
	io_past(io, &p->since_ms);
	IO_BOOL(io, p->interface_up);
	io_past(io, &p->heartbeat_ms);
	io_u64(io, &p->heartbeat_seq);
	io_u64(io, &p->heartbeat_boot);
	p->interval_ms = io_below(io, p->interval_ms, PATH_INTERVAL_MAX + 1);
	p->multiplier = io_below(io, p->multiplier, PATH_MULTIPLIER_MAX + 1);
	io_past(io, &p->heard_ms);
	io_past(io, &p->probe_ms);
	IO_BOOL(io, p->probe_acked);
	io_past(io, &p->answered_ms);
	io_u32(io, &p->rtt_us);
	IO_BOOL(io, p->rtt_rough);
	io_u64(io, &p->loss_bits);
	p->loss_slots = io_below(io, p->loss_slots, PATH_LOSS_SLOTS + 1);
	IO_BOOL(io, p->lossy);
	io_future(io, &p->lossy_until_ms, PATH_LOSSY_MAX_MS);
	p->lossy_times = io_below(io, p->lossy_times, PATH_TIMES_MAX + 1);
	p->flaps = io_below(io, p->flaps, PATH_TIMES_MAX + 1);
	p->hold_ms = io_below(io, p->hold_ms, cfg->hold_max_ms + 1);
	io_future(io, &p->hold_until_ms, cfg->hold_max_ms);
	io_past(io, &p->calm_ms);
	io_u64(io, &p->downs);
	io_u64(io, &p->probes);
	io_u64(io, &p->heartbeats);
	io_u64(io, &p->lost);
}

static void
io_retry(
    struct state_io *io, const struct px *px, uint64_t *at_ms, uint32_t *ms)
{
	io_future(io, at_ms, px->cfg.retry_max_ms);
	*ms = io_below(io, *ms, px->cfg.retry_max_ms + 1);
}

static void
io_control(struct state_io *io, struct px *px, uint32_t path)
{
	struct control *c = &px->control[path];

	IO_ENUM(io, c->state, UCONN_NSTATES);
	io_past(io, &c->since_ms);
	io_retry(io, px, &c->retry_at_ms, &c->retry_ms);
	io_max(io, &c->attempt, px->generations);
	io_u64(io, &c->boot);
	io_past(io, &c->subscribed_ms);
	IO_BOOL(io, px->lossy[path]);
}

static void
io_volume(struct state_io *io, struct px *px, struct px_volume *v)
{
	uint32_t seen = 0;

	v->owner = io_below(io, v->owner, px->cfg.nservers);
	v->told_owner = io_below(io, v->told_owner, px->cfg.nservers);
	IO_BOOL(io, v->guessed);
	io_u64(io, &v->epoch);
	v->best = io_below_or_none(io, v->best, px->cfg.nnetworks);
	v->last_best = io_below_or_none(io, v->last_best, px->cfg.nnetworks);
	v->best_rule = io_below(io, v->best_rule, PX_RULES);
	io_u64(io, &v->switches);
	v->nequal = io_below(io, v->nequal, px->cfg.nnetworks + 1);
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		v->order[n] = io_below(io, v->order[n], px->cfg.nnetworks);
		seen |= 1u << v->order[n];
	}
	if (seen != (1u << px->cfg.nnetworks) - 1)
		fail(io, EINVAL);
}

/* The bytes of a call; the loaded record is the caller's. */
static struct rec *
io_rec(struct state_io *io, const struct rec *from, struct rec_pool *pool)
{
	uint32_t len = io_below(io, from != NULL ? from->len : 0, REC_MAX + 1);
	const uint8_t *p;
	struct rec *r;

	if (from != NULL) {
		/* It went into a pipe, or the rest of it is yet to come. */
		if (grow(io, len) &&
		    (rec_copy_out(from, 0, io->out + io->len, len) != len ||
			rec_total(from) != len))
			fail(io, ENOTSUP);
		io->len += io->bad ? 0 : len;
		return NULL;
	}
	if (io->bad || !cursor_take(&io->in, len, &p)) {
		fail(io, EINVAL);
		return NULL;
	}
	r = rec_new(pool);
	if (r == NULL || rec_append(r, p, len) == -1) {
		rec_unref(r);
		fail(io, ENOSPC);
		return NULL;
	}
	return r;
}

static void
io_call(struct state_io *io, struct px *px, struct call *c)
{
	io_u32(io, &c->id.xid);
	io_u32(io, &c->id.prog);
	io_u32(io, &c->id.proc);
	io_bytes(io, c->id.digest.b, sizeof(c->id.digest.b));
	IO_ENUM(io, c->class, CALL_LOGGED + 1);
	io_u32(io, &c->cost);
	io_max(io, &c->order, px->orders);
	io_past(io, &c->born_ms);
	io_past(io, &c->sent_ms);
	io_u32(io, &c->sends);
	c->sent_server = io_below(io, c->sent_server, px->cfg.nservers);
	io_u64(io, &c->sent_boot);
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		io_max(io, &c->sent_gen[n], px->generations);
}

/* What the core takes for granted of a call in k's list, held or sent. */
static bool
call_fits(const struct px *px, const struct kconn *k, const struct call *c,
    const struct uconn *sent, const struct call *before)
{
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		const struct uconn *u = &k->u[n];

		if (u == sent ? c->sent_gen[n] != u->generation
			      : c->sent_gen[n] > u->generation ||
				    (u->state != UCONN_NONE &&
					c->sent_gen[n] == u->generation))
			return false;
	}
	if (sent != NULL)
		return sent->state == UCONN_READY && c->sends > 0;
	return before == NULL || before->order < c->order;
}

static void
load_call(struct state_io *io, struct px *px, struct rec_pool *pool,
    struct kconn *k, struct uconn *sent)
{
	struct px_list *list = sent != NULL ? &sent->calls : &k->held;
	struct call tmp = {0}, *c;
	struct rec *r;

	io_call(io, px, &tmp);
	if (!call_fits(px, k, &tmp, sent, list->last) ||
	    px_call_find(px, k, tmp.id.xid) != NULL)
		fail(io, EINVAL);
	r = io_rec(io, NULL, pool);
	if (r == NULL)
		return;
	c = px_call_new(px, k, &tmp.id);
	if (c == NULL) {
		rec_unref(r);
		fail(io, ENOSPC);
		return;
	}
	tmp.kconn = k;
	tmp.hash = c->hash;
	tmp.rec = r;
	tmp.state = sent != NULL ? CALL_SENT : CALL_HELD;
	tmp.network = sent != NULL ? sent->network : 0;
	*c = tmp;
	px_list_add(list, c);
	if (sent != NULL) {
		sent->cost += c->cost;
		k->replaying += c->sends > 1;
	}
}

static void
io_calls(struct state_io *io, struct px *px, struct rec_pool *pool,
    struct kconn *k, struct uconn *sent)
{
	struct px_list *list = sent != NULL ? &sent->calls : &k->held;
	uint32_t n = list->n;

	io_u32(io, &n);
	if (io->loading) {
		for (; n > 0 && !io->bad; n--)
			load_call(io, px, pool, k, sent);
		return;
	}
	for (struct call *c = list->first; c != NULL; c = c->next) {
		io_call(io, px, c);
		io_rec(io, c->rec, NULL);
	}
}

static void
io_uconn(struct state_io *io, struct px *px, struct uconn *u)
{
	IO_ENUM(io, u->state, UCONN_NSTATES);
	io_max(io, &u->generation, px->generations);
	io_max(io, &u->floor, PX_GENERATION_MAX);
	IO_BOOL(io, u->fencing);
	u->fence_path = io_below(io, u->fence_path, px->npaths);
	io_past(io, &u->fence_ms);
	io_past(io, &u->since_ms);
	io_retry(io, px, &u->retry_at_ms, &u->retry_ms);
	io_past(io, &u->heard_ms);
}

static void
io_linger(struct state_io *io, struct px *px, struct kconn *k)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < PX_LINGER; i++)
		n += k->linger[i].prog_proc != 0;
	n = io_below(io, n, PX_LINGER + 1);
	for (uint32_t i = 0; n > 0; i++) {
		struct px_linger l = {0};

		if (!io->loading && k->linger[i].prog_proc == 0)
			continue;
		if (!io->loading)
			l = k->linger[i];
		io_u32(io, &l.xid);
		io_u32(io, &l.prog_proc);
		io_future(io, &l.until_ms, px->cfg.linger_ms);
		io_bytes(io, l.digest.b, sizeof(l.digest.b));
		if (io->loading)
			k->linger[l.xid % PX_LINGER] = l;
		n--;
	}
}

static void
io_kconn(
    struct state_io *io, struct px *px, struct rec_pool *pool, struct kconn *k)
{
	bool quiet = true;

	IO_BOOL(io, k->retired);
	IO_BOOL(io, k->gates);
	IO_BOOL(io, k->fencing);
	k->fence_path = io_below(io, k->fence_path, px->npaths);
	io_past(io, &k->fence_ms);
	io_u32(io, &k->replay_limit);
	io_linger(io, px, k);
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		io_uconn(io, px, &k->u[n]);
		quiet = quiet && k->u[n].state == UCONN_NONE;
	}
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		io_calls(io, px, pool, k, &k->u[n]);
	io_calls(io, px, pool, k, NULL);
	if (k->retired ? !quiet || k->ncalls > 0 : k->gates || k->fencing)
		fail(io, EINVAL);
}

static void
load_kconn(struct state_io *io, struct px *px, struct rec_pool *pool)
{
	uint32_t volume = io_below(io, 0, px->cfg.nvolumes);
	struct kconn *k;
	uint64_t id = 0;

	io_u64(io, &id);
	if (id == 0 || px_kconn_find(px, id) != NULL)
		fail(io, EINVAL);
	if (io->bad)
		return;
	k = px_kconn_new(px, volume, id);
	if (k == NULL) {
		fail(io, ENOSPC);
		return;
	}
	io_kconn(io, px, pool, k);
	px->volume[volume].retired += k->gates;
}

static void
io_kconns(struct state_io *io, struct px *px, struct rec_pool *pool)
{
	uint32_t n = io_below(io, px->nkconns, px->cfg.kconns_max + 1);

	struct kconn *loaded;

	for (; io->loading && n > 0 && !io->bad; n--)
		load_kconn(io, px, pool);
	if (io->loading) { /* each came in front of those before it */
		loaded = px->kconns;
		px->kconns = NULL;
		while (loaded != NULL) {
			struct kconn *k = loaded;

			loaded = k->next;
			k->next = px->kconns;
			px->kconns = k;
		}
		return;
	}
	for (struct kconn *k = px->kconns; k != NULL; k = k->next) {
		io_u32(io, &k->volume);
		io_u64(io, &k->id);
		io_kconn(io, px, pool, k);
	}
}

static void
io_px(struct state_io *io, struct px *px, struct rec_pool *pool)
{
	io_core(io, px);
	for (uint32_t i = 0; i < px->npaths; i++) {
		io_path(io, &px->cfg.path, &px->path[i]);
		io_control(io, px, i);
	}
	for (uint32_t i = 0; i < px->cfg.nvolumes; i++)
		io_volume(io, px, &px->volume[i]);
	io_kconns(io, px, pool);
}

void
px_state_seal(const uint8_t *buf, size_t len, uint8_t seal[16])
{
	static const uint8_t key[crypto_shorthash_siphashx24_KEYBYTES];

	crypto_shorthash_siphashx24(seal, buf, len, key);
}

int
px_save(struct px *px, uint8_t **out, size_t *len)
{
	struct state_io io = {0};

	assert(px->act_n == 0);
	io_config(&io, &px->cfg);
	io_px(&io, px, NULL);
	if (!io.bad && grow(&io, SEAL)) {
		px_state_seal(io.out, io.len, io.out + io.len);
		*out = io.out;
		*len = io.len + SEAL;
		return 0;
	}
	free(io.out);
	errno = io.error;
	return -1;
}

struct px *
px_load(const struct px_config *cfg, struct rec_pool *pool, const uint8_t *buf,
    size_t len, uint64_t now_ms)
{
	struct state_io io = {.loading = true, .now_ms = now_ms};
	uint8_t seal[SEAL];
	struct px *px;

	errno = EINVAL;
	if (len < SEAL)
		return NULL;
	px_state_seal(buf, len - SEAL, seal);
	if (memcmp(seal, buf + len - SEAL, SEAL) != 0)
		return NULL;
	io.in = cursor_make(buf, len - SEAL);
	io_config(&io, cfg);
	errno = ENOMEM;
	if ((px = px_new(cfg, now_ms)) == NULL)
		return NULL;
	io_px(&io, px, pool);
	if (io.in.left > 0)
		fail(&io, EINVAL);
	if (!io.bad)
		return px;
	px_free(px);
	errno = io.error;
	return NULL;
}
