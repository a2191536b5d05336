/*
 * The proxy core's state, written out and read back: the same core then, to
 * the last action; and no harm from bytes that are none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "pxbed.h"

enum { KCONNS = 6, XIDS = 40 };

static uint64_t rnd_state;

static uint32_t
rnd(uint32_t n)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return (uint32_t)(rnd_state >> 33) % n;
}

static struct px_config
small_config(void)
{
	struct px_config cfg = pxbed_config();

	cfg.calls_max = 60;
	cfg.kconns_max = KCONNS + 2;
	cfg.replay_calls = 3;
	cfg.paths = rnd(2) ? PX_ALL_PATHS : PX_PRIMARY_FIRST;
	return cfg;
}

static struct kconn *
nth_kconn(struct px *px, uint32_t n)
{
	struct kconn *k = px_kconns(px);

	while (k != NULL && n-- > 0)
		k = k->next;
	return k;
}

/* One event, chosen by the random numbers that follow seed and by px: cores
 * in the same state make the same choice. */
static void
conn_event(struct pxbed *b, struct kconn *k)
{
	struct uconn *u = &k->u[rnd(2)];
	uint32_t server = b->px->volume[k->volume].owner;
	uint64_t boot = b->px->boot[server] + (rnd(20) == 0);

	switch (rnd(4)) {
	case 0:
		px_uconn_lost(b->px, u, "test", b->now);
		break;
	case 1:
		if (u->state == UCONN_CONNECTING)
			px_uconn_fenced(
			    b->px, u, u->generation + rnd(3), b->now);
		break;
	default:
		if (u->state == UCONN_CONNECTING)
			px_uconn_ready(b->px, u, boot != 0 ? boot : 1,
			    u->generation - 1, b->now);
	}
}

static void
control_event(struct pxbed *b)
{
	uint32_t path = rnd(b->px->npaths);
	const struct control *c = px_control(b->px, path);
	uint64_t boot = b->px->boot[path / 2] + (rnd(20) == 0);

	if (c->state == UCONN_CONNECTING && rnd(3) > 0)
		px_control_ready(b->px, path, boot != 0 ? boot : 1, b->now);
	else if (c->state != UCONN_NONE && rnd(4) == 0)
		px_control_lost(b->px, path, (enum px_lost)rnd(3), b->now);
	else if (c->state == UCONN_READY && b->px->path[path].probe_ms != 0)
		px_probe_answered(b->px, path, 100 + rnd(1000), b->now);
}

static void
fence_event(struct pxbed *b, struct kconn *k)
{
	uint32_t n = rnd(2);

	if (k->fencing)
		px_fence_done(b->px, k->fence_path, k->volume, k->id, PX_NONE,
		    UINT64_MAX, b->now);
	else if (k->u[n].fencing)
		px_fence_done(b->px, k->u[n].fence_path, k->volume, k->id, n,
		    k->u[n].generation - (k->u[n].state != UCONN_NONE), b->now);
}

static void
reply_event(struct pxbed *b, struct kconn *k)
{
	struct uconn *u = &k->u[rnd(2)];

	if (u->calls.first != NULL)
		pxbed_reply(b, u, u->calls.first->id.xid);
}

static void
outside_event(struct pxbed *b)
{
	uint32_t n = rnd(2), s = rnd(2);

	switch (rnd(8)) {
	case 0:
		px_interface(b->px, n, false, PATH_CARRIER, b->now);
		break;
	case 1:
		px_interface(
		    b->px, n, true, rnd(2) ? PATH_NEW : PATH_ADDRESS, b->now);
		break;
	case 3:
		px_announced(b->px, s, b->px->announced_gen[s] + rnd(2),
		    rnd(4), b->now);
		break;
	case 2:
		if (rnd(5) == 0)
			px_owner(b->px, rnd(2), s,
			    b->px->volume[0].epoch + rnd(2), b->now);
		break;
	default:
		px_heartbeat(b->px, s, n, b->px->boot[s],
		    b->px->path[s * 2 + n].heartbeat_seq + 1 + rnd(2) * rnd(3),
		    50, 3, b->now);
	}
}

static void
step(struct pxbed *b, uint64_t seed)
{
	struct kconn *k;

	rnd_state = seed * 0x9e3779b97f4a7c15u + 1;
	rnd(2);
	b->now += rnd(30);
	k = nth_kconn(b->px, rnd(KCONNS));
	switch (rnd(12)) {
	case 0:
		if (b->px->nkconns < KCONNS)
			px_kconn_open(b->px, rnd(2), ++b->kconns, NULL, b->now);
		break;
	case 1:
		if (k != NULL && !k->retired && rnd(10) == 0)
			px_kconn_close(b->px, k, b->now);
		break;
	case 2:
	case 3:
	case 4:
		if (k != NULL && !k->retired)
			pxbed_call(b, k, rnd(XIDS), rnd(NFS3_NPROC));
		break;
	case 5:
	case 6:
		if (k != NULL)
			reply_event(b, k);
		break;
	case 7:
		if (k != NULL)
			conn_event(b, k);
		break;
	case 8:
		control_event(b);
		break;
	case 9:
		if (k != NULL)
			fence_event(b, k);
		break;
	case 10:
		outside_event(b);
		break;
	default:
		px_tick(b->px, b->now);
	}
	b->n = 0;
	while (px_next(b->px, &b->act[b->n]))
		assert_true(++b->n < ACTS_MAX);
}

static void
same_action(const struct px_action *a, const struct px_action *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->path, b->path);
	assert_int_equal(a->network, b->network);
	assert_true(a->floor == b->floor && a->kconn_id == b->kconn_id);
	assert_int_equal(a->volume, b->volume);
	if (a->uconn != NULL) {
		assert_int_equal(a->uconn->network, b->uconn->network);
		assert_true(a->uconn->kconn->id == b->uconn->kconn->id);
	}
}

static void
save(struct pxbed *b, uint8_t **out, size_t *len)
{
	assert_int_equal(px_save(b->px, out, len), 0);
}

static struct pxbed one, two;

static void
load(const struct px_config *cfg, struct pxbed *b, const uint8_t *buf,
    size_t len)
{
	static const struct rec_pool_limits limits = {.recs = 100};

	memset(b, 0, sizeof(*b));
	b->pool = rec_pool_new(&limits);
	b->now = one.now;
	b->kconns = one.kconns;
	b->px = px_load(cfg, b->pool, buf, len, b->now);
}

static void
same_state(void)
{
	uint8_t *a, *b;
	size_t alen, blen;

	save(&one, &a, &alen);
	save(&two, &b, &blen);
	assert_int_equal(alen, blen);
	assert_memory_equal(a, b, alen);
	free(a);
	free(b);
}

static void
goes_on_as_if_nothing_had_been(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct px_config cfg;
		uint8_t *buf;
		size_t len;

		rnd_state = seed;
		cfg = small_config();
		pxbed_up(&one, &cfg);
		for (unsigned i = 0; i < 300 + seed; i++)
			step(&one, seed * 100000 + i);
		save(&one, &buf, &len);
		load(&cfg, &two, buf, len);
		free(buf);
		assert_non_null(two.px);
		same_state();
		for (unsigned i = 0; i < 300; i++) {
			step(&one, seed * 200000 + i);
			step(&two, seed * 200000 + i);
			assert_int_equal(one.n, two.n);
			for (unsigned k = 0; k < one.n; k++)
				same_action(&one.act[k], &two.act[k]);
		}
		same_state();
		pxbed_down(&one);
		pxbed_down(&two);
	}
}

/* A state with all there is in it: calls held and sent, fences, a closed
 * connection, a long call. */
static void
rich(struct px_config *cfg, uint8_t **buf, size_t *len)
{
	static uint8_t data[REC_HEAD];
	struct kconn *k;

	rnd_state = 7;
	*cfg = small_config();
	k = pxbed_start(&one, cfg);
	pxbed_call(&one, k, 1, NFS3_WRITE);
	pxbed_call(&one, k, 2, NFS3_READ);
	px_uconn_lost(one.px, &k->u[A], "test", ++one.now);
	pxbed_call(&one, k, 3, NFS3_CREATE);
	pxbed_take(&one);
	assert_int_equal(rec_append(k->held.first->rec, data, 900), 0);
	for (uint64_t i = 0; i < 400; i++)
		step(&one, i);
	save(&one, buf, len);
	assert_true(one.px->nkconns > 2);
}

/* A call of which the kernel still writes cannot be carried over. */
static void
half_a_call_is_no_state(void **state)
{
	struct px_config cfg = small_config();
	struct kconn *k = pxbed_start(&one, &cfg);
	struct call *c;
	uint8_t *buf;
	size_t len;

	(void)state;
	pxbed_call(&one, k, 1, NFS3_WRITE);
	pxbed_take(&one);
	c = k->held.first != NULL ? k->held.first : k->u[A].calls.first;
	c->rec->total = c->rec->len + 1;
	assert_int_equal(px_save(one.px, &buf, &len), -1);
	assert_int_equal(errno, ENOTSUP);
	c->rec->total = c->rec->len;
	save(&one, &buf, &len);
	free(buf);
	pxbed_down(&one);
}

static void
cut_short_is_refused(void **state)
{
	struct px_config cfg;
	uint8_t *buf, *exact;
	size_t len;

	(void)state;
	rich(&cfg, &buf, &len);
	for (size_t cut = 0; cut < len; cut++) {
		/* Memory of its own, so that reading past it is seen; sealed
		 * again, so that it is read at all. */
		exact = malloc(cut + 1);
		memcpy(exact, buf, cut);
		if (cut >= 16)
			px_state_seal(exact, cut - 16, exact + cut - 16);
		load(&cfg, &two, exact, cut);
		assert_null(two.px);
		assert_int_equal(errno, EINVAL);
		rec_pool_free(two.pool);
		free(exact);
	}
	free(buf);
	pxbed_down(&one);
}

/* Everything that is waited for comes, whatever it is. */
static void
finish(struct pxbed *b, uint64_t seed)
{
	for (unsigned i = 0; i < 20; i++)
		step(b, seed + i);
	for (struct kconn *k = px_kconns(b->px); k != NULL; k = k->next)
		for (uint32_t n = 0; n < 2; n++)
			while (k->u[n].calls.first != NULL)
				pxbed_reply(
				    b, &k->u[n], k->u[n].calls.first->id.xid);
	px_free(b->px);
}

/* Each byte in turn, and another one. Damaged: refused by the seal. Made so
 * on purpose: refused, or harmless. */
static void
flips_do_no_harm(void **state)
{
	struct px_config cfg;
	size_t loaded = 0, len;
	uint8_t *buf, *flip;

	(void)state;
	rich(&cfg, &buf, &len);
	flip = malloc(len);
	for (size_t at = 0; at < len - 16; at++) {
		rnd_state = at + 1;
		memcpy(flip, buf, len);
		flip[at] ^= (uint8_t)(1u << rnd(8));
		if (rnd(4) == 0)
			flip[rnd((uint32_t)len - 16)] = (uint8_t)rnd(256);
		load(&cfg, &two, flip, len);
		assert_null(two.px);
		rec_pool_free(two.pool);
		px_state_seal(flip, len - 16, flip + len - 16);
		load(&cfg, &two, flip, len);
		if (two.px != NULL) {
			loaded++;
			finish(&two, at * 1000);
		}
		rec_pool_free(two.pool);
	}
	assert_in_range(loaded, len / 10, len - 1); /* both were seen */
	free(flip);
	free(buf);
	pxbed_down(&one);
}

static void
other_configurations_are_refused(void **state)
{
	struct px_config cfg, other;
	uint8_t *buf;
	size_t len;

	(void)state;
	rich(&cfg, &buf, &len);
	other = cfg;
	other.network[B] = "netC";
	load(&other, &two, buf, len);
	assert_null(two.px);
	rec_pool_free(two.pool);
	other = cfg;
	other.nvolumes = 1;
	load(&other, &two, buf, len);
	assert_null(two.px);
	rec_pool_free(two.pool);
	other = cfg;
	other.calls_max = 1;
	load(&other, &two, buf, len);
	assert_null(two.px);
	assert_int_equal(errno, ENOSPC);
	rec_pool_free(two.pool);
	free(buf);
	pxbed_down(&one);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(goes_on_as_if_nothing_had_been),
	    cmocka_unit_test(half_a_call_is_no_state),
	    cmocka_unit_test(cut_short_is_refused),
	    cmocka_unit_test(flips_do_no_harm),
	    cmocka_unit_test(other_configurations_are_refused),
	};

	return cmocka_run_group_tests_name("pxstate", tests, NULL, NULL);
}
