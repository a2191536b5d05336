/*
 * Writes the core's whole state out and reads it back: for a restart or an
 * upgrade of the proxy. Kernel connections are state_kconn.c. Pure.
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
	px_state_kconns(io, px, pool);
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
