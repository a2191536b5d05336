/*
 * What stands between the owner machine and the guard, the watchdog and the
 * device's count of what is written; all of these are made up here.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server-agent/own_int.h"
#include "unit.h"

enum { LEASE = 8000, HOME = 0, WORK = 1 };

static struct config cfg;
static struct agent agent;
static struct own own;
static unsigned have; /* enum owner_have */

/* --- made up */

static struct {
	enum lease_state state;
	uint64_t landed_ms;
} arbiter[2];

static struct {
	bool armed;
	unsigned opened, fed_until[2], told, flushes;
	uint64_t written_kib, guard_until; /* 0: disarmed */
	uint64_t key;
} seen;

static int never[2]; /* a pipe that nobody writes to */

const char *
own_name(const struct own_volume *v)
{
	return v->av->cfg->name;
}

void
own_feed(struct own_volume *v, const struct owner_event *ev)
{
	(void)v;
	seen.told++;
	seen.flushes += ev->type == OWNER_EV_FLUSHES;
}

unsigned
owner_have(const struct owner *o)
{
	(void)o;
	return have;
}

uint64_t
agent_now(struct agent *a)
{
	return a->now_ms;
}

void
agent_settle(void *a)
{
	(void)a;
}

uint64_t
steps_written_kib(const char *device)
{
	assert_string_equal(device, "/dev/home");
	return seen.written_kib;
}

enum lease_state
arbiter_state(const struct arbiter *a)
{
	return arbiter[(uintptr_t)a - 1].state;
}

uint64_t
arbiter_landed_ms(const struct arbiter *a)
{
	return arbiter[(uintptr_t)a - 1].landed_ms;
}

void
arbiter_watchdog(struct arbiter *a, uint32_t armed_ms)
{
	(void)a;
	(void)armed_ms;
}

struct watchdog *
watchdog_start(const struct watchdog_config *c, char *error)
{
	(void)error;
	assert_true(c->fd >= 0);
	seen.armed = true;
	return (struct watchdog *)&seen;
}

uint32_t
watchdog_armed_ms(const struct watchdog *w)
{
	(void)w;
	return 20000;
}

void
watchdog_until(struct watchdog *w, unsigned volume, uint64_t until_ms)
{
	(void)w;
	seen.fed_until[volume] = (unsigned)until_ms;
}

void
watchdog_off(struct watchdog *w, unsigned volume)
{
	watchdog_until(w, volume, 0);
}

void
watchdog_stop(struct watchdog *w)
{
	(void)w;
}

uint64_t
fence_own_key(const struct fence *f)
{
	(void)f;
	return 0x4846000100000007;
}

struct guard *
guard_start(const struct guard_config *c, char *error)
{
	(void)error;
	assert_true(c->reboot);
	return (struct guard *)&seen;
}

void
guard_stop(struct guard *g)
{
	(void)g;
}

int
guard_open(struct guard *g, char *error)
{
	(void)g;
	(void)error;
	seen.opened++;
	return 0;
}

void
guard_close(struct guard *g)
{
	(void)g;
}

bool
guard_until(struct guard *g, uint64_t until_ms)
{
	(void)g;
	seen.guard_until = until_ms;
	return true;
}

bool
guard_disarm(struct guard *g)
{
	return guard_until(g, 0);
}

void
guard_key(struct guard *g, uint64_t key)
{
	(void)g;
	seen.key = key;
}

bool
guard_fired(const struct guard *g, enum guard_method *method)
{
	(void)g;
	(void)method;
	return false;
}

int
guard_fd(const struct guard *g)
{
	(void)g;
	return never[0];
}

const char *const guard_method_names[GUARD_NMETHODS] = {"nothing"};

static int
set_up(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	memset(&own, 0, sizeof(own));
	memset(&cfg, 0, sizeof(cfg));
	have = 0;
	cfg.agent.lease_ms = LEASE;
	strcpy(cfg.agent.watchdog, "/dev/null");
	agent.cfg = &cfg;
	agent.now_ms = 100000;
	agent.own = &own;
	own.a = &agent;
	own.n = 2;
	for (unsigned i = 0; i < own.n; i++) {
		struct config_storage *s = &cfg.volumes[i].storage;

		strcpy(cfg.volumes[i].name, i == HOME ? "home" : "work");
		strcpy(s->device, i == HOME ? "/dev/home" : "/dev/work");
		s->fence = CONFIG_FENCE_WATCHDOG;
		s->guard_reboot = true;
		agent.volumes[i].cfg = &cfg.volumes[i];
		own.v[i].a = &agent;
		own.v[i].index = i;
		own.v[i].av = &agent.volumes[i];
		own.v[i].arbiter = (struct arbiter *)(uintptr_t)(i + 1);
		arbiter[i].state = LEASE_STANDBY;
		arbiter[i].landed_ms = agent.now_ms;
	}
	return 0;
}

/* --- the watchdog */

static int
take(unsigned volume)
{
	char error[WATCHDOG_ERROR_LEN];

	return own_watchdog_take(&own.v[volume], error, sizeof(error));
}

static void
claimed(unsigned volume, uint64_t landed_ms)
{
	arbiter[volume].state = LEASE_CLAIMED;
	arbiter[volume].landed_ms = landed_ms;
}

/* Two volumes are mounted from before, and their claims are won far apart:
 * both are rewritten meanwhile, so neither waits for the other for ever. */
static void
test_claims_far_apart(void **state)
{
	(void)state;
	claimed(HOME, agent.now_ms);
	assert_int_equal(take(HOME), 1); /* work may be mounted */
	agent.now_ms += LEASE;
	claimed(HOME, agent.now_ms - 500);
	claimed(WORK, agent.now_ms);
	assert_false(seen.armed);
	assert_int_equal(take(WORK), 0);
	assert_true(seen.armed);
	assert_int_equal(take(HOME), 0);
}

/* One that no write has reached for long is another's soon. */
static void
test_claim_not_rewritten(void **state)
{
	(void)state;
	claimed(HOME, agent.now_ms);
	claimed(WORK, agent.now_ms);
	agent.now_ms += LEASE / 2 + 1;
	claimed(HOME, agent.now_ms);
	assert_int_equal(take(HOME), 1);
	assert_false(seen.armed);
	claimed(WORK, agent.now_ms - LEASE / 2);
	assert_int_equal(take(HOME), 0);
}

/* A claim that was withdrawn or lost counts no more, whatever was written. */
static void
test_claim_lost(void **state)
{
	(void)state;
	claimed(HOME, agent.now_ms);
	claimed(WORK, agent.now_ms);
	arbiter[WORK].state = LEASE_STANDBY;
	assert_int_equal(take(HOME), 1);
	own.v[WORK].clean = true;
	assert_int_equal(take(HOME), 0);
}

/* --- the guard */

static void
assembled(struct own_volume *v, bool clean)
{
	agent.base = event_base_new();
	assert_non_null(agent.base);
	assert_int_equal(pipe(never), 0);
	strcpy(cfg.volumes[HOME].storage.assemble, "assemble it");
	v->clean = clean;
}

static void
put_away(struct own_volume *v)
{
	own_guard_stop(v);
	event_base_free(agent.base);
	close(never[0]);
	close(never[1]);
}

/* Without a mount there is nothing that a reset would save. */
static void
test_guard_only_mounted(void **state)
{
	struct own_volume *v = &own.v[HOME];
	uint64_t until = agent.now_ms + LEASE;

	(void)state;
	assembled(v, true);
	own_guard_owner(v, until);
	own_guard_renewed(v, ++until);
	assert_int_equal(seen.guard_until, 0); /* while it is assembled */
	have = OWNER_HAVE_LEASE | OWNER_HAVE_DEVICE | OWNER_HAVE_MOUNT;
	assert_true(own_guard_open(v));
	assert_int_equal(seen.opened, 1);
	assert_int_equal(seen.guard_until, until);
	own_guard_renewed(v, ++until);
	assert_int_equal(seen.guard_until, until);
	own_guard_owner(v, ++until); /* the backend died */
	assert_int_equal(seen.guard_until, until);
	own_guard_done(v, OWNER_STOP_BACKEND);
	assert_int_equal(seen.guard_until, until);
	own_guard_done(v, OWNER_UNMOUNT);
	assert_int_equal(seen.guard_until, 0);
	own_guard_renewed(v, ++until); /* while it is taken apart */
	assert_int_equal(seen.guard_until, 0);
	own_guard_off(v);
	put_away(v);
}

/* The guard takes that key off the disk which is there: a lease that is taken
 * anew, as epoch 8, leaves the key of epoch 7. */
static void
test_guard_key(void **state)
{
	struct own_volume *v = &own.v[HOME];

	(void)state;
	cfg.volumes[HOME].storage.fence = CONFIG_FENCE_SCSI;
	assembled(v, true);
	own_guard_owner(v, agent.now_ms + LEASE);
	assert_true(seen.key == 0x4846000100000007);
	own_guard_off(v);
	assert_true(seen.key == 0);
	put_away(v);
}

/* What an earlier life has mounted is guarded from the first moment; and
 * nothing is mounted on a lease that has ended. */
static void
test_guard_earlier_mount(void **state)
{
	struct own_volume *v = &own.v[HOME];
	uint64_t until = agent.now_ms + LEASE;

	(void)state;
	assembled(v, false);
	own_guard_owner(v, until);
	assert_int_equal(seen.guard_until, until);
	assert_int_equal(seen.opened, 1);
	agent.now_ms = until;
	assert_false(own_guard_open(v));
	put_away(v);
}

/* --- the flush */

static void
tick(uint64_t kib)
{
	agent.now_ms += 1000;
	seen.written_kib += kib;
	own_flush_tick(&own.v[HOME]);
}

static void
test_flush(void **state)
{
	struct own_lane_state *l = &own.v[HOME].lanes[LANE_MAIN];

	(void)state;
	seen.written_kib = 1u << 30;
	tick(100000);
	l->busy = true;
	l->queue[0].what = OWNER_DISASSEMBLE;
	tick(100000);
	assert_int_equal(seen.told, 0);
	l->queue[0].what = OWNER_UNMOUNT;
	tick(100000); /* before it */
	assert_int_equal(seen.told, 0);
	tick(100000);
	assert_int_equal(seen.flushes, 1);
	own_flush_tick(&own.v[HOME]); /* not so often */
	assert_int_equal(seen.flushes, 1);
	for (unsigned i = 0; i < 30; i++)
		tick(8); /* our lease */
	assert_int_equal(seen.flushes, 1);
	for (unsigned i = 0; i < 20; i++)
		tick(100); /* a slow disk */
	assert_in_range(seen.flushes, 2, 3);
	l->busy = false;
	tick(100000);
	l->busy = true; /* another one, later */
	tick(100000);
	assert_in_range(seen.flushes, 2, 3);
	assert_int_equal(seen.told, seen.flushes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_claims_far_apart, set_up),
	    cmocka_unit_test_setup(test_claim_not_rewritten, set_up),
	    cmocka_unit_test_setup(test_claim_lost, set_up),
	    cmocka_unit_test_setup(test_guard_only_mounted, set_up),
	    cmocka_unit_test_setup(test_guard_key, set_up),
	    cmocka_unit_test_setup(test_guard_earlier_mount, set_up),
	    cmocka_unit_test_setup(test_flush, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
