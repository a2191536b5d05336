/*
 * What stands between the owner machine, the arbiter and the fence; all of
 * these are made up here.
 */
#include <string.h>

#include "server-agent/own_int.h"
#include "server-agent/peers.h"
#include "unit.h"

static struct config cfg;
static struct agent agent;
static struct own own;
static struct agent_volume volume = {.cfg = &cfg.volumes[0]};
static struct own_volume v = {.a = &agent, .av = &volume};

/* --- made up */

static struct {
	void (*news)(void *arg, const struct lease_action *what);
	fence_done_fn *fenced;
	enum owner_state state;
	enum lease_state lease;
	unsigned withdrawn, lost_claims, released, unclaimed;
} seen;

const char *const lease_news_names[LEASE_NNEWS];

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

struct arbiter *
arbiter_start(const struct arbiter_config *c, char *error)
{
	(void)error;
	seen.news = c->news;
	return (struct arbiter *)&seen;
}

void
arbiter_stop(struct arbiter *a)
{
	(void)a;
}

void
arbiter_claim(struct arbiter *a, bool force)
{
	(void)a;
	(void)force;
}

void
arbiter_take(struct arbiter *a, const struct lease_proof *proof)
{
	(void)a;
	(void)proof;
}

void
arbiter_release(struct arbiter *a, int to)
{
	(void)a;
	(void)to;
	seen.released++;
}

void
arbiter_unclaim(struct arbiter *a)
{
	(void)a;
	seen.unclaimed++;
}

enum lease_state
arbiter_state(const struct arbiter *a)
{
	(void)a;
	return seen.lease;
}

bool
fence_peer(struct fence *f, unsigned server, uint64_t epoch,
    fence_done_fn *done, void *arg)
{
	(void)f;
	(void)server;
	(void)epoch;
	assert_ptr_equal(arg, &v);
	seen.fenced = done;
	return true;
}

bool
fence_prepare(struct fence *f, uint64_t epoch, fence_done_fn *done, void *arg)
{
	return fence_peer(f, 0, epoch, done, arg);
}

bool
fence_withdraw(struct fence *f, fence_done_fn *done, void *arg)
{
	(void)f;
	(void)done;
	(void)arg;
	seen.withdrawn++;
	return true;
}

void
own_feed(struct own_volume *volume_, const struct owner_event *ev)
{
	assert_ptr_equal(volume_, &v);
	seen.lost_claims += ev->type == OWNER_EV_LOST_CLAIM;
}

void
own_feed_end(struct own_volume *volume_, bool done, const char *text)
{
	(void)volume_;
	(void)done;
	(void)text;
}

void
own_op_end(
    struct own_volume *volume_, enum own_lane lane, bool done, const char *text)
{
	(void)lane;
	own_feed_end(volume_, done, text);
}

void
own_op_end_with(struct own_volume *volume_, enum own_lane lane,
    const struct owner_event *ev)
{
	(void)lane;
	own_feed(volume_, ev);
}

void
own_guard_off(struct own_volume *volume_)
{
	(void)volume_;
}

void
own_guard_owner(struct own_volume *volume_, uint64_t until_ms)
{
	(void)volume_;
	(void)until_ms;
}

void
own_guard_renewed(struct own_volume *volume_, uint64_t until_ms)
{
	own_guard_owner(volume_, until_ms);
}

const char *
own_name(const struct own_volume *volume_)
{
	return volume_->av->cfg->name;
}

int
own_server(const struct own_volume *volume_, uint32_t server_id)
{
	(void)volume_;
	return (int)server_id - 1;
}

int
own_watchdog_take(struct own_volume *volume_, char *error, size_t size)
{
	(void)size;
	(void)volume_;
	(void)error;
	return 0;
}

void
own_disk_lost(struct agent *a, unsigned index, const char *why)
{
	(void)a;
	(void)index;
	(void)why;
}

enum owner_state
owner_state(const struct owner *o)
{
	(void)o;
	return seen.state;
}

int
owner_holder(const struct owner *o)
{
	(void)o;
	return 1;
}

void
peers_disk(struct agent *a, unsigned index, bool works, uint32_t ms)
{
	(void)a;
	(void)index;
	(void)works;
	(void)ms;
}

void
peers_lease(struct agent *a, unsigned index, unsigned server)
{
	(void)a;
	(void)index;
	(void)server;
}

void
peers_mail_end(struct agent *a, unsigned index, unsigned server, bool pong)
{
	peers_lease(a, index, server);
	(void)pong;
}

/* --- tests */

static void
tell(enum lease_news news, uint32_t server_id)
{
	struct lease_action x = {
	    .news = news, .server_id = server_id, .epoch = 8, .old_epoch = 7};

	seen.news(&v, &x);
}

static int
start(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	agent.own = &own;
	assert_int_equal(own_arbiter_start(&v), 0);
	own_claim(&v);
	tell(LEASE_WON, 2);
	own_fence(&v, 1);
	seen.state = OWNER_FENCING;
	seen.lease = LEASE_CLAIMED;
	return 0;
}

static void
fence_ends(enum fence_result result)
{
	struct fence_outcome f = {.result = result, .epoch = 7};

	seen.fenced(&v, &f);
}

/* What would end the reservation lets in whom it keeps out. */
static void
test_key_stays(void **state)
{
	(void)state;
	fence_ends(FENCE_CONFIRMED);
	own_take(&v);
	tell(LEASE_REFUSED, 3);
	own_release(&v, -1);
	assert_int_equal(seen.withdrawn, 0);
	assert_int_equal(seen.unclaimed, 1);
}

/* It may have registered and reserved before it failed. */
static void
test_key_stays_after_failure(void **state)
{
	(void)state;
	fence_ends(FENCE_TIMEOUT);
	own_release(&v, -1);
	assert_int_equal(seen.withdrawn, 0);
	assert_int_equal(seen.unclaimed, 1);
}

static void
test_owner_withdraws(void **state)
{
	(void)state;
	fence_ends(FENCE_CONFIRMED);
	own_take(&v);
	tell(LEASE_GAINED, 0);
	seen.state = OWNER_RELEASING;
	own_release(&v, -1);
	assert_int_equal(seen.withdrawn, 1);
}

/* An owner's backend died, and the next epoch is not to be had: the key of
 * the epoch that it had goes with the lease, as ever. */
static void
test_failed_retake_withdraws(void **state)
{
	(void)state;
	fence_ends(FENCE_CONFIRMED);
	own_take(&v);
	tell(LEASE_GAINED, 0);
	seen.lease = LEASE_OWNER;
	own_claim(&v);
	tell(LEASE_REFUSED, 0);
	own_release(&v, -1);
	assert_int_equal(seen.withdrawn, 1);
}

/* Who was owner once does not take a later claim's key back. */
static void
test_key_stays_of_earlier_owner(void **state)
{
	test_owner_withdraws(state);
	seen.lease = LEASE_STANDBY;
	own_claim(&v);
	tell(LEASE_WON, 3);
	own_fence(&v, 2);
	fence_ends(FENCE_CONFIRMED);
	own_release(&v, -1);
	assert_int_equal(seen.withdrawn, 1);
}

static void
test_lost_while_fencing(void **state)
{
	(void)state;
	seen.lost_claims = 0;
	tell(LEASE_REFUSED, 3);
	assert_int_equal(seen.lost_claims, 1);
	seen.state = OWNER_STANDBY; /* said twice, or late */
	tell(LEASE_REFUSED, 3);
	assert_int_equal(seen.lost_claims, 1);
}

#define T(fn) cmocka_unit_test_setup(fn, start)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_key_stays),
	    T(test_key_stays_after_failure),
	    T(test_owner_withdraws),
	    T(test_failed_retake_withdraws),
	    T(test_key_stays_of_earlier_owner),
	    T(test_lost_while_fencing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
