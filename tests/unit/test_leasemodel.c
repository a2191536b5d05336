/*
 * A small model check of the lease: two to four hosts with clocks of their
 * own on one simulated disk, and owner machines that do whatever they may, at
 * random. Reads and writes take effect and end at random times, fail with or
 * without effect, and are cut off by crashes; hosts freeze, agents are
 * killed and started anew, fences are slow or fail.
 *
 * Checked at every step: no epoch is gained twice, none is gained below one
 * gained before; never can two hosts write the volume. In the end, when all
 * faults are over: somebody owns it.
 *
 * HANFS_LEASE_SCHEDULES says how many schedules, HANFS_LEASE_SEED where they
 * begin; a failure names its seed. A single schedule is traced.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/lease.h"
#include "unit.h"

enum {
	HOSTS = 4,
	STEPS = 260, /* with faults */
	CALM = 1200, /* without; somebody must own it by then */
	LEASE = 60,
	RENEW = 10,
	NEVER = -1,
};

enum mode { MODE_FENCE, MODE_STONITH, MODE_LEASE_ONLY, MODE_WATCHDOG, MODES };

struct io {
	bool busy, took_effect;
	int error, effect_at, done_at;
	uint64_t issued_ms, done_ms;
	struct ctl_lease lease;
	struct ctl_slot slots[CTL_SLOTS];
};

struct host {
	struct lease *l;
	int clock_off, clock_ppk; /* its clock: offset, parts per thousand */
	int frozen_until, dead_until, slow_until;
	struct io read, write;
	/* the owner machine */
	uint64_t writing; /* epoch whose volume it may write; 0: none */
	bool suspended;   /* by the lease: writes nothing */
	bool fenced;      /* the disk refuses what it writes */
	bool dropped;
	int dog_at;      /* its watchdog fires */
	uint32_t victim; /* server id to be fenced */
	uint64_t victim_epoch;
	int fence_effect_at, fence_done_at;
	bool fence_fails;
};

struct world {
	uint64_t seed, random;
	enum mode mode;
	unsigned nhosts;
	int now;
	bool calm, trace;
	unsigned slow_in, claim_in; /* one in so many */
	struct host hosts[HOSTS];
	struct ctl_slot disk[CTL_SLOTS];
	uint64_t gained_max, gains, resumes, takeovers;
	const char *broken;
};

static uint64_t
rnd(struct world *w)
{
	uint64_t x = w->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	w->random = x;
	return x * 0x2545f4914f6cdd1dull >> 16;
}

static unsigned
below(struct world *w, unsigned n)
{
	return (unsigned)(rnd(w) % n);
}

static bool
once_in(struct world *w, unsigned n)
{
	return below(w, n) == 0;
}

/* The host's own clock. */
static uint64_t
clock_of(const struct world *w, const struct host *h)
{
	return (uint64_t)(h->clock_off + w->now + w->now * h->clock_ppk / 1000);
}

static uint32_t
id_of(const struct world *w, const struct host *h)
{
	return (uint32_t)(h - w->hosts) + 1;
}

/* --- the disk */

static int
delay(struct world *w, const struct host *h)
{
	if (!w->calm && w->now < h->slow_until)
		return (int)below(w, 80);
	if (!w->calm && once_in(w, w->slow_in))
		return (int)below(w, 50);
	return (int)below(w, 3);
}

static void
start_io(struct world *w, struct host *h, struct io *io)
{
	assert_false(io->busy);
	io->busy = true;
	io->took_effect = false;
	io->error = !w->calm && once_in(w, 150) ? EIO : 0;
	io->effect_at = w->now + 1 + delay(w, h);
	/* a failed one has its effect all the same, or not */
	if (io->error != 0 && once_in(w, 2))
		io->effect_at = NEVER;
	io->done_at =
	    (io->effect_at == NEVER ? w->now + 1 : io->effect_at) + delay(w, h);
	io->issued_ms = clock_of(w, h);
}

static void
run_disk(struct world *w, struct host *h)
{
	unsigned slot = id_of(w, h) - 1;

	if (h->write.busy && !h->write.took_effect &&
	    h->write.effect_at != NEVER && w->now >= h->write.effect_at) {
		h->write.took_effect = true;
		w->disk[slot].status = CTL_GOOD;
		w->disk[slot].lease = h->write.lease;
	}
	if (h->read.busy && !h->read.took_effect &&
	    h->read.effect_at != NEVER && w->now >= h->read.effect_at) {
		h->read.took_effect = true;
		memcpy(h->read.slots, w->disk, sizeof(w->disk));
	}
	/* stamped beside the I/O, even when the agent sleeps */
	if (w->now == h->write.done_at)
		h->write.done_ms = clock_of(w, h);
	if (w->now == h->read.done_at)
		h->read.done_ms = clock_of(w, h);
}

/* --- hosts */

static void
new_agent(struct world *w, struct host *h)
{
	struct lease_config cfg = {.slot = id_of(w, h) - 1,
	    .boot = rnd(w),
	    .instance = rnd(w) | 1,
	    .lease_ms = LEASE,
	    .renew_ms = RENEW,
	    .margin_ms = LEASE / 10,
	    .watchdog_ms = w->mode == MODE_WATCHDOG ? 30 : 0,
	    .poll_ms = RENEW / 2,
	    .grant_ms = LEASE,
	    .backoff_ms = 6,
	    .io_ms = LEASE / 2,
	    .seed = rnd(w)};
	static const char *const names[HOSTS] = {"s1", "s2", "s3", "s4"};

	for (unsigned i = 0; i < w->nhosts; i++) {
		cfg.server_id[i] = i + 1;
		cfg.server[i] = names[i];
	}
	lease_free(h->l);
	h->l = lease_new(&cfg, clock_of(w, h));
	assert_non_null(h->l);
	h->victim = 0;
	h->fence_done_at = h->fence_effect_at = NEVER;
	h->writing = 0;
	h->suspended = false;
	h->dropped = false;
	h->dog_at = NEVER;
	memset(&h->read, 0, sizeof(h->read));
	memset(&h->write, 0, sizeof(h->write));
	h->read.done_at = h->write.done_at = NEVER;
}

/* Can it change the volume now? */
static bool
can_write(const struct world *w, const struct host *h)
{
	if (h->writing == 0 || h->fenced || w->now < h->dead_until)
		return false;
	if (h->dropped)
		return true;
	return !h->suspended && lease_valid(h->l, clock_of(w, h)) &&
	       lease_epoch(h->l) == h->writing;
}

static void
check(struct world *w)
{
	unsigned writers = 0;

	for (unsigned i = 0; i < w->nhosts; i++)
		writers += can_write(w, &w->hosts[i]);
	if (writers > 1)
		w->broken = "two hosts can write";
}

/* The host is off; a write under way may still land, and is over before it
 * is back. What is mounted is gone. */
static void
kill_host(struct world *w, struct host *h)
{
	if (w->now < h->dead_until)
		return;
	if (h->write.busy && !h->write.took_effect && once_in(w, 2))
		h->write.effect_at = NEVER;
	h->writing = 0;
	h->frozen_until = 0;
	h->dead_until = w->now + 20 + (int)below(w, 200);
	if (h->write.busy && h->write.effect_at >= h->dead_until)
		h->dead_until = h->write.effect_at + 1;
}

static void
gained(struct world *w, struct host *h, uint64_t epoch)
{
	/* One that was fenced meanwhile writes nothing: it may come late. */
	if (epoch <= w->gained_max && !h->fenced)
		w->broken = "an epoch is gained twice, or too late";
	if (epoch > w->gained_max)
		w->gained_max = epoch;
	h->writing = epoch;
	h->suspended = false;
	w->gains++;
}

static void
won(struct world *w, struct host *h, const struct lease_action *a)
{
	static const struct lease_proof none;
	struct lease_proof by_time = {
	    .evidence = w->mode == MODE_WATCHDOG ? LEASE_WATCHDOG : LEASE_END};

	h->fenced = false; /* its key is put back: now, and never later */
	if (a->server_id == 0) {
		lease_take(h->l, &none, clock_of(w, h));
		return;
	}
	w->takeovers++;
	if (w->mode == MODE_LEASE_ONLY || w->mode == MODE_WATCHDOG) {
		lease_take(h->l, &by_time, clock_of(w, h));
		return;
	}
	h->victim = a->server_id;
	h->victim_epoch = a->old_epoch;
	h->fence_fails = !w->calm && once_in(w, 5);
	h->fence_effect_at = w->now + 1 + (int)below(w, 40);
	h->fence_done_at = h->fence_effect_at + (int)below(w, 10);
}

static void
hear(struct world *w, struct host *h, const struct lease_action *a)
{
	if (w->trace && a->text[0] != '\0')
		print_message("# %4d s%u %s: %s\n", w->now, id_of(w, h),
		    lease_news_names[a->news], a->text);
	switch (a->news) {
	case LEASE_WON:
		won(w, h, a);
		break;
	case LEASE_GAINED:
		gained(w, h, a->epoch);
		break;
	case LEASE_REFUSED:
		h->victim = 0;
		h->fence_effect_at = h->fence_done_at = NEVER;
		break;
	case LEASE_SUSPENDED:
		h->suspended = true;
		break;
	case LEASE_RESUMED:
		h->suspended = false;
		w->resumes++;
		break;
	case LEASE_LOST:
		h->writing = 0;
		break;
	default:
		break;
	}
}

static void
act(struct world *w, struct host *h)
{
	struct lease_action a;

	while (lease_next(h->l, &a)) {
		switch (a.type) {
		case LEASE_DO_READ:
			start_io(w, h, &h->read);
			break;
		case LEASE_DO_WRITE:
			h->write.lease = a.write;
			start_io(w, h, &h->write);
			break;
		case LEASE_DO_TELL:
			hear(w, h, &a);
			break;
		}
	}
}

static void
run_fence(struct world *w, struct host *h)
{
	struct lease_proof proof = {.evidence = LEASE_FENCED,
	    .server_id = h->victim,
	    .epoch = h->victim_epoch};
	struct host *victim = &w->hosts[h->victim - 1];

	if (h->fence_effect_at != NEVER && w->now >= h->fence_effect_at) {
		h->fence_effect_at = NEVER;
		if (!h->fence_fails && w->mode == MODE_STONITH)
			kill_host(w, victim);
		else if (!h->fence_fails)
			victim->fenced = true;
	}
	if (w->now < h->fence_done_at)
		return;
	h->victim = 0;
	if (h->fence_fails)
		lease_unclaim(h->l, clock_of(w, h));
	else
		lease_take(h->l, &proof, clock_of(w, h));
}

/* --- what an owner machine, or fate, may do */

static void
standby_acts(struct world *w, struct host *h)
{
	uint64_t now = clock_of(w, h);
	unsigned newest = lease_newest(h->l);
	const struct lease_seen *s = lease_seen(h->l, newest);
	bool held = newest != CTL_NO_SLOT && newest != id_of(w, h) - 1 &&
		    s->lease.holding != CTL_RELEASED;
	/* the calm suspect only those who were silent for long */
	bool silent = held && s->advanced_ms + 3 * LEASE < now;

	/* suspicion may say what it likes */
	if (once_in(w, 20))
		lease_peer(h->l, 1 + below(w, w->nhosts),
		    !w->calm && once_in(w, 2));
	if (h->dropped && once_in(w, 30)) {
		h->writing = 0; /* unmounted after all */
		h->dropped = false;
		lease_release(h->l, 0, now);
	} else if (!h->dropped && (!w->calm || !held || silent) &&
		   once_in(w, 40)) {
		lease_claim(h->l, w->calm || once_in(w, 2), now);
	}
}

static void
owner_acts(struct world *w, struct host *h)
{
	static const struct lease_proof none;
	uint64_t now = clock_of(w, h);

	if (h->fenced && once_in(w, 20)) {
		h->writing = 0; /* its writes fail */
		lease_release(h->l, 0, now);
		return;
	}
	if (w->calm)
		return;
	if (once_in(w, 60)) {
		h->writing = 0;
		lease_release(h->l, below(w, w->nhosts + 1), now);
	} else if (once_in(w, 60)) {
		lease_take(h->l, &none, now);
	} else if (w->mode <= MODE_STONITH && once_in(w, 200)) {
		h->dropped = true;
		lease_drop(h->l, now);
	}
}

static void
fate(struct world *w, struct host *h)
{
	if (w->calm)
		return;
	if (once_in(w, 300))
		kill_host(w, h);
	else if (once_in(w, 200))
		h->frozen_until = w->now + (int)below(w, 150);
	else if (once_in(w, 200))
		h->slow_until = w->now + (int)below(w, 150);
	else if (once_in(w, 300) && !h->write.busy)
		new_agent(w, h); /* killed alone; the lock waits for writes */
}

/* A watchdog fires when it was not fed: as long as the lease is valid it
 * is. */
static void
run_dog(struct world *w, struct host *h)
{
	if (w->mode != MODE_WATCHDOG)
		return;
	if (h->writing == 0 || lease_valid(h->l, clock_of(w, h)))
		h->dog_at = w->now + 30;
	else if (w->now >= h->dog_at)
		kill_host(w, h);
}

static void
run_agent(struct world *w, struct host *h)
{
	if (h->victim != 0)
		run_fence(w, h);
	if (h->write.busy && w->now >= h->write.done_at) {
		h->write.busy = false;
		lease_write_done(h->l, h->write.error, h->write.issued_ms,
		    h->write.done_ms, clock_of(w, h));
		act(w, h);
	}
	if (h->read.busy && w->now >= h->read.done_at) {
		h->read.busy = false;
		lease_read_done(h->l, h->read.error, h->read.slots,
		    h->read.issued_ms, h->read.done_ms, clock_of(w, h));
		act(w, h);
	}
	lease_tick(h->l, clock_of(w, h));
	act(w, h);
	if (lease_state(h->l) == LEASE_STANDBY)
		standby_acts(w, h);
	else if (lease_state(h->l) == LEASE_OWNER)
		owner_acts(w, h);
	act(w, h);
}

static void
run_host(struct world *w, struct host *h)
{
	run_disk(w, h);
	if (w->now < h->dead_until)
		return;
	if (w->now == h->dead_until && w->now > 0)
		new_agent(w, h);
	run_dog(w, h);
	fate(w, h);
	if (w->now < h->dead_until || w->now < h->frozen_until)
		return;
	run_agent(w, h);
}

static bool
somebody_owns(const struct world *w)
{
	for (unsigned i = 0; i < w->nhosts; i++)
		if (can_write(w, &w->hosts[i]))
			return true;
	return false;
}

static void
setup_world(struct world *w, uint64_t seed, bool trace)
{
	memset(w, 0, sizeof(*w));
	w->trace = trace;
	w->seed = seed;
	w->random = seed * 0x9e3779b97f4a7c15ull | 1;
	w->mode = (enum mode)below(w, MODES);
	w->nhosts = 2 + below(w, HOSTS - 1);
	w->slow_in = once_in(w, 2) ? 60 : 4;
	w->claim_in = once_in(w, 2) ? 40 : 5;
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		w->disk[i].status = CTL_EMPTY;
	for (unsigned i = 0; i < w->nhosts; i++) {
		w->hosts[i].clock_off = 1000 + (int)below(w, 100000);
		w->hosts[i].clock_ppk = (int)below(w, 80) - 40;
		new_agent(w, &w->hosts[i]);
		act(w, &w->hosts[i]);
	}
}

static void
run_steps(struct world *w, int steps)
{
	unsigned first;

	for (int end = w->now + steps; w->now < end && w->broken == NULL;
	     w->now++) {
		first = below(w, w->nhosts);
		for (unsigned i = 0; i < w->nhosts; i++) {
			run_host(w, &w->hosts[(first + i) % w->nhosts]);
			check(w);
		}
		if (w->calm && w->now % 16 == 0 && somebody_owns(w))
			return;
	}
}

static void
run_schedule(struct world *w, uint64_t seed, bool trace)
{
	setup_world(w, seed, trace);
	run_steps(w, STEPS);
	w->calm = true;
	run_steps(w, CALM);
	if (w->broken == NULL && !somebody_owns(w))
		w->broken = "nobody owns it in the end";
	for (unsigned i = 0; i < w->nhosts; i++)
		lease_free(w->hosts[i].l);
}

static uint64_t
number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void
test_schedules(void **state)
{
	uint64_t first = number_from("HANFS_LEASE_SEED", 1);
	uint64_t n = number_from("HANFS_LEASE_SCHEDULES", 20000);
	uint64_t gains = 0, resumes = 0, takeovers = 0;
	static struct world w;

	(void)state;
	for (uint64_t i = 0; i < n; i++) {
		run_schedule(&w, first + i, n == 1);
		if (w.broken != NULL)
			fail_msg("seed %" PRIu64 ", mode %d, %u hosts, step "
				 "%d: %s",
			    w.seed, (int)w.mode, w.nhosts, w.now, w.broken);
		gains += w.gains;
		resumes += w.resumes;
		takeovers += w.takeovers;
	}
	/* it was no idle check */
	assert_true(gains > n);
	assert_true(n < 100 || (resumes > n / 50 && takeovers > n / 4));
	print_message("# %" PRIu64 " schedules: %" PRIu64 " epochs, %" PRIu64
		      " takeovers tried, %" PRIu64 " leases resumed\n",
	    n, gains, takeovers, resumes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedules)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
