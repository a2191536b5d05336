/*
 * Kernel connections in the core's state, with their connections to agents,
 * their calls and the calls' bytes. What a state is: state.c. Pure.
 */
#include "core_int.h"
#include "state_io.h"

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

void
px_state_kconns(struct state_io *io, struct px *px, struct rec_pool *pool)
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
