/*
 * own: the arbiter's news, and what is asked of it. The own key is
 * registered before an epoch is taken, never after (see fence.h).
 */
#include <stdio.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/own_int.h"
#include "server-agent/peers.h"

/* --- what is asked of it */

static bool
is_owner(const struct own_volume *v)
{
	enum lease_state s = arbiter_state(v->arbiter);

	return s == LEASE_OWNER || s == LEASE_LAPSED;
}

void
own_claim(struct own_volume *v)
{
	int holder = owner_holder(v->o);
	enum suspect_state verdict =
	    holder >= 0 ? v->a->own->verdict[holder] : SUSPECT_UNKNOWN;

	v->proven = false;
	if (!is_owner(v)) /* whose key stays the one of its epoch */
		v->gained = false;
	memset(&v->proof, 0, sizeof(v->proof));
	v->await = AWAIT_CLAIM;
	arbiter_claim(
	    v->arbiter, verdict == SUSPECT_DEAD || verdict == SUSPECT_SILENT);
}

static void
on_fenced(void *arg, const struct fence_outcome *f)
{
	struct own_volume *v = arg;
	bool done = f->result == FENCE_CONFIRMED || f->result == FENCE_BY_TIME;

	agent_now(v->a);
	if (done) {
		v->proof.evidence = f->evidence;
		v->proof.server_id = f->server_id;
		v->proof.epoch = f->epoch;
		v->proven = true;
	}
	own_op_end(v, LANE_MAIN, done, f->text);
	agent_settle(v->a);
}

void
own_fence(struct own_volume *v, int peer)
{
	if (!fence_peer(v->fence, (unsigned)peer, v->old_epoch, on_fenced, v))
		own_op_end(v, LANE_MAIN, false, "another fence runs");
}

static void
take_now(struct own_volume *v)
{
	char error[WATCHDOG_ERROR_LEN];
	int rc = own_watchdog_take(v, error, sizeof(error));

	v->take_waits = rc == 1;
	if (rc == -1)
		own_op_end(v, LANE_MAIN, false, error);
	if (rc != 0)
		return;
	v->await = AWAIT_TAKE;
	arbiter_take(v->arbiter, &v->proof);
}

/* The machine's deadline, or a cancel, ends the wait. */
void
own_take_again(struct own_volume *v)
{
	if (!v->take_waits)
		return;
	v->take_waits = false;
	if (v->lanes[LANE_MAIN].silent)
		own_op_end(v, LANE_MAIN, false, "cancelled");
	else
		take_now(v);
}

static void
on_prepared(void *arg, const struct fence_outcome *f)
{
	struct own_volume *v = arg;

	agent_now(v->a);
	if (f->result == FENCE_CONFIRMED || f->result == FENCE_BY_TIME)
		take_now(v);
	else
		own_op_end(v, LANE_MAIN, false, f->text);
	agent_settle(v->a);
}

void
own_take(struct own_volume *v)
{
	if (is_owner(v) || v->proven)
		take_now(v); /* our key is registered */
	else if (!fence_prepare(v->fence, v->claim_epoch, on_prepared, v))
		own_op_end(v, LANE_MAIN, false, "another fence runs");
}

static void
release_now(struct own_volume *v)
{
	own_guard_off(v);
	switch (arbiter_state(v->arbiter)) {
	case LEASE_OWNER:
	case LEASE_LAPSED:
		v->await = AWAIT_RELEASE;
		arbiter_release(v->arbiter, v->release_to);
		return;
	case LEASE_CLAIMING:
	case LEASE_TAKING: /* its answer ends this */
		v->await = AWAIT_RELEASE;
		arbiter_unclaim(v->arbiter);
		return;
	case LEASE_CLAIMED:
		arbiter_unclaim(v->arbiter);
		break;
	default:
		break;
	}
	own_op_end(v, LANE_MAIN, true, "released");
}

static void
on_withdrawn(void *arg, const struct fence_outcome *f)
{
	struct own_volume *v = arg;

	agent_now(v->a);
	if (f->result != FENCE_CONFIRMED && f->result != FENCE_BY_TIME)
		log_warn("volume %s: our own key on the disk: %s", own_name(v),
		    f->text);
	release_now(v);
	agent_settle(v->a);
}

/*
 * Who did not get the epoch keeps its key, if its fence registered one: with
 * the key the reservation would end, and the server that was fenced could
 * write again. Who claims next preempts it.
 */
void
own_release(struct own_volume *v, int to)
{
	v->release_to = to;
	if (!v->gained || !fence_withdraw(v->fence, on_withdrawn, v))
		release_now(v);
}

/* --- its news */

static void
looked(struct own_volume *v, const struct lease_action *x)
{
	struct owner_event ev = {.type = OWNER_EV_LOOKED, .peer = -1};

	if (x->errno_ != 0) {
		if (owner_state(v->o) == OWNER_STARTING)
			own_feed_end(v, false, x->text);
		return;
	}
	ev.look.holder = ev.look.granted = -1;
	ev.look.epoch = x->epoch;
	if (x->holding == CTL_HELD || x->holding == CTL_STALE)
		ev.look.holder = own_server(v, x->server_id);
	else
		ev.look.granted = own_server(v, x->granted_to);
	own_feed(v, &ev);
}

static void
won(struct own_volume *v, const struct lease_action *x)
{
	struct owner_event ev = {
	    .type = OWNER_EV_WON, .peer = own_server(v, x->server_id)};

	if (v->await != AWAIT_CLAIM)
		return;
	v->await = AWAIT_NOTHING;
	v->claim_epoch = x->epoch;
	v->old_epoch = x->old_epoch;
	own_op_end_with(v, LANE_MAIN, &ev);
}

static void
gained(struct own_volume *v, const struct lease_action *x)
{
	struct owner_event ev = {
	    .type = OWNER_EV_TAKEN, .peer = -1, .epoch = x->epoch};

	v->gained = true;
	own_guard_owner(v, x->valid_until_ms);
	switch (v->await) {
	case AWAIT_TAKE:
		v->await = AWAIT_NOTHING;
		own_op_end_with(v, LANE_MAIN, &ev);
		break;
	case AWAIT_RELEASE: /* it was withdrawn too late */
		arbiter_release(v->arbiter, v->release_to);
		break;
	default:
		break;
	}
}

static void
refused(struct own_volume *v, const struct lease_action *x)
{
	struct owner_event ev = {.type = OWNER_EV_LOST_CLAIM,
	    .peer = own_server(v, x->server_id),
	    .text = x->text};
	enum own_await await = v->await;

	v->await = AWAIT_NOTHING;
	switch (await) {
	case AWAIT_CLAIM:
		if (x->why == LEASE_WHY_ALIVE || x->why == LEASE_WHY_RIVAL ||
		    x->why == LEASE_WHY_GRANT || x->why == LEASE_WHY_NEWER)
			own_op_end_with(v, LANE_MAIN, &ev);
		else
			own_op_end(v, LANE_MAIN, false, x->text);
		break;
	case AWAIT_TAKE:
		own_op_end(v, LANE_MAIN, false, x->text);
		break;
	case AWAIT_RELEASE:
		own_op_end(v, LANE_MAIN, true, "the claim is withdrawn");
		break;
	case AWAIT_NOTHING: /* while the fence runs */
		if (owner_state(v->o) == OWNER_FENCING)
			own_feed(v, &ev);
		break;
	}
}

static void
given_up(struct own_volume *v)
{
	if (v->await != AWAIT_RELEASE)
		return;
	v->await = AWAIT_NOTHING;
	own_op_end(v, LANE_MAIN, true, "the disk says so");
}

static void
disk(struct own_volume *v, bool works, const char *text)
{
	v->disk_works = works;
	peers_disk(v->a, v->index, works, 0);
	if (!works)
		own_disk_lost(v->a, v->index, text);
}

static void
say(struct own_volume *v, enum owner_event_type type, int peer,
    const char *text)
{
	struct owner_event ev = {.type = type, .peer = peer, .text = text};

	own_feed(v, &ev);
}

static void
on_news(void *arg, const struct lease_action *x)
{
	struct own_volume *v = arg;
	int server = own_server(v, x->server_id);

	agent_now(v->a);
	log_debug("volume %s: arbiter: %s: %s", own_name(v),
	    lease_news_names[x->news], x->text);
	switch (x->news) {
	case LEASE_READY:
		v->lease_ready = true;
		break;
	case LEASE_LOOKED:
		looked(v, x);
		break;
	case LEASE_NEWEST: /* before READY nothing can be claimed */
		if (v->lease_ready)
			looked(v, x);
		break;
	case LEASE_WON:
		won(v, x);
		break;
	case LEASE_GAINED:
		gained(v, x);
		break;
	case LEASE_REFUSED:
		refused(v, x);
		break;
	case LEASE_RENEWED:
		own_guard_renewed(v, x->valid_until_ms);
		break;
	case LEASE_SUSPENDED:
		say(v, OWNER_EV_LAPSED, -1, x->text);
		break;
	case LEASE_RESUMED:
		own_guard_renewed(v, x->valid_until_ms);
		say(v, OWNER_EV_RESUMED, -1, x->text);
		break;
	case LEASE_LOST:
		say(v, OWNER_EV_LOST, server, x->text);
		break;
	case LEASE_GIVEN_UP:
		given_up(v);
		break;
	case LEASE_ADVANCED:
		if (server >= 0)
			peers_lease(v->a, v->index, (unsigned)server);
		break;
	case LEASE_DISK_LOST:
		disk(v, false, x->text);
		break;
	case LEASE_DISK_BACK:
		disk(v, true, x->text);
		break;
	default:
		break;
	}
	agent_settle(v->a);
}

static void
on_mail(void *arg, unsigned server, const struct ctlio_done *done)
{
	struct own_volume *v = arg;

	agent_now(v->a);
	switch (done->what) {
	case CTLIO_PONG:
		peers_mail_end(v->a, v->index, server, true);
		break;
	case CTLIO_NO_PONG:
		if (done->error != 0)
			peers_disk(v->a, v->index, false, 0);
		else
			peers_mail_end(v->a, v->index, server, false);
		break;
	case CTLIO_ASKED:
		say(v, OWNER_EV_ASKED, (int)server, NULL);
		break;
	default:
		break;
	}
	agent_settle(v->a);
}

int
own_arbiter_start(struct own_volume *v)
{
	struct arbiter_config c = {.base = v->a->base,
	    .cfg = v->a->cfg,
	    .volume = v->index,
	    .self = v->a->server,
	    .boot = v->a->boot,
	    .news = on_news,
	    .mail = on_mail,
	    .runner = &v->runner,
	    .arg = v};
	char error[CTL_ERROR_LEN];

	v->arbiter = arbiter_start(&c, error);
	if (v->arbiter != NULL)
		return 0;
	log_err("volume %s: %s", own_name(v), error);
	return -1;
}

void
own_arbiter_stop(struct own_volume *v)
{
	if (v->arbiter != NULL)
		arbiter_stop(v->arbiter);
	v->arbiter = NULL;
}
