/* own: work, one after the other, in lanes. See own.h. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/own_int.h"

static void begin(struct own_lane_state *l);

/* --- the queue */

static enum own_lane
lane_of(const struct own_lane_state *l)
{
	return (enum own_lane)(l - l->v->lanes);
}

static void
pop(struct own_lane_state *l)
{
	memmove(l->queue, l->queue + 1, --l->n * sizeof(l->queue[0]));
	l->busy = l->silent = false;
	l->stage = 0;
	l->step = NULL;
}

/* A flush has the file system open: the unmount waits for it. */
static bool
waits_for_flush(const struct own_lane_state *l)
{
	return l->queue[0].what == OWNER_UNMOUNT &&
	       l->v->lanes[LANE_FLUSH].busy;
}

static void
unmount_may_begin(struct own_volume *v)
{
	struct own_lane_state *l = &v->lanes[LANE_MAIN];

	if (!l->busy || l->queue[0].what != OWNER_UNMOUNT || l->step != NULL)
		return;
	own_flush_tell(v); /* its time begins now */
	begin(l);
}

void
own_op_end_with(
    struct own_volume *v, enum own_lane lane, const struct owner_event *ev)
{
	struct own_lane_state *l = &v->lanes[lane];
	enum owner_action_type what = l->queue[0].what;
	bool silent = l->silent;

	assert(l->busy);
	pop(l);
	if (what == OWNER_ADDRESS_ADD && ev->type == OWNER_EV_FAILED)
		log_err("volume %s: the service address did not come: %s",
		    own_name(v), ev->text);
	else if (what == OWNER_FLUSH)
		unmount_may_begin(v);
	else if (!silent && what != OWNER_ADDRESS_ADD)
		own_feed(v, ev);
	if (!l->busy && l->n > 0)
		begin(l);
}

void
own_op_end(
    struct own_volume *v, enum own_lane lane, bool done, const char *text)
{
	struct owner_event ev = {.type = done ? OWNER_EV_DONE : OWNER_EV_FAILED,
	    .peer = -1,
	    .text = text};

	own_op_end_with(v, lane, &ev);
}

void
own_op_add(
    struct own_volume *v, enum own_lane lane, const struct owner_action *x)
{
	struct own_lane_state *l = &v->lanes[lane];

	assert(l->n < OWN_OPS);
	l->queue[l->n++] =
	    (struct own_op){x->type, x->peer, x->epoch, x->deadline_ms};
	if (!l->busy)
		begin(l);
	else if (x->type == OWNER_ADDRESS_REMOVE && l->step != NULL)
		steps_cancel(v->a->steps, l->step); /* it is still told */
}

/* Without a step under way. */
static bool
waits_for_log(const struct own_lane_state *l)
{
	switch (l->queue[0].what) {
	case OWNER_RECOVER:
	case OWNER_CLOSE:
	case OWNER_START_BACKEND:
	case OWNER_STOP_BACKEND:
		return true;
	default:
		return false;
	}
}

static void
cancel_lane(struct own_lane_state *l)
{
	if (!l->busy || l->queue[0].what == OWNER_ADDRESS_ADD)
		return;
	l->n = 1;
	l->silent = true;
	if (l->step != NULL)
		steps_cancel(l->v->a->steps, l->step);
	else if (waits_for_flush(l))
		own_op_end(l->v, LANE_MAIN, false, "cancelled");
	else if (waits_for_log(l)) {
		own_log_cancel(l->v);
		own_op_end(l->v, LANE_MAIN, false, "cancelled");
	} else if (l->v->await == AWAIT_NOTHING)
		fence_cancel(l->v->fence);
}

void
own_op_cancel(struct own_volume *v)
{
	cancel_lane(&v->lanes[LANE_MAIN]);
	cancel_lane(&v->lanes[LANE_ADDRESS]);
	cancel_lane(&v->lanes[LANE_FLUSH]);
	/* What the arbiter was asked is withdrawn with the release that
	 * follows; its answer is not waited for. */
	if (v->lanes[LANE_MAIN].busy && v->await != AWAIT_NOTHING) {
		v->await = AWAIT_NOTHING;
		own_op_end(v, LANE_MAIN, false, "cancelled");
	}
}

/* --- steps */

static const enum step_kind kinds[OWNER_ACTIONS] = {
    [OWNER_END_OLD] = STEP_END_OLD,
    [OWNER_ASSEMBLE] = STEP_ASSEMBLE,
    [OWNER_MOUNT] = STEP_MOUNT,
    [OWNER_VERIFY] = STEP_ROOT,
    [OWNER_SYNC] = STEP_SYNC,
    [OWNER_FLUSH] = STEP_FLUSH,
    [OWNER_ADDRESS_ADD] = STEP_ADDRESS_UP,
    [OWNER_ADDRESS_REMOVE] = STEP_ADDRESS_DOWN,
    [OWNER_UNMOUNT] = STEP_UNMOUNT,
    [OWNER_ABANDON] = STEP_ABANDON,
    [OWNER_DISASSEMBLE] = STEP_DISASSEMBLE,
};

/* What takes more than one step. */
enum { STAGE_STOP = 1, STAGE_START, STAGE_PREPARE };

static void on_step(void *arg, const struct steps_result *r);

static void
start_step(struct own_lane_state *l, enum step_kind kind)
{
	struct own_volume *v = l->v;
	struct steps_volume sv = {v->index, owner_epoch(v->o)};

	l->step = steps_start(
	    v->a->steps, kind, &sv, l->queue[0].deadline_ms, on_step, l);
	if (l->step == NULL)
		own_op_end(v, lane_of(l), false, strerror(errno));
}

/*
 * The log is closed. An old backend may still run (it is suspected, not
 * dead): all its threads go before the next one comes, and the log is read
 * beside its start.
 */
static void
start_or_stop(struct own_lane_state *l)
{
	struct own_volume *v = l->v;

	if (l->queue[0].what == OWNER_STOP_BACKEND || v->backend_runs) {
		l->stage = STAGE_STOP;
		start_step(l, STEP_STOP);
		return;
	}
	l->stage = STAGE_START;
	v->backend_runs = true;
	own_log_open(v);
	start_step(l, STEP_BACKEND);
}

void
own_op_log_closed(struct own_volume *v)
{
	struct own_lane_state *l = &v->lanes[LANE_MAIN];

	if (!l->busy || l->step != NULL)
		return;
	if (l->queue[0].what == OWNER_CLOSE)
		own_op_end(v, LANE_MAIN, true, "closed");
	else if (l->queue[0].what == OWNER_START_BACKEND ||
		 l->queue[0].what == OWNER_STOP_BACKEND)
		start_or_stop(l);
}

/* Not the last step of what is to be done? Then the next one is begun. */
static bool
goes_on(struct own_lane_state *l, const struct steps_result *r)
{
	struct own_volume *v = l->v;
	enum owner_action_type what = l->queue[0].what;

	if (r->end != STEPS_DONE || l->silent)
		return false;
	if (what == OWNER_END_OLD && l->stage == 0) {
		v->mounted_before = strcmp(r->out, "mounted\n") == 0;
		v->clean = !v->mounted_before;
		l->stage = STAGE_PREPARE;
		start_step(l, STEP_PREPARE);
		return true;
	}
	if (l->stage == STAGE_STOP)
		v->backend_runs = false;
	if (l->stage == STAGE_STOP && what == OWNER_START_BACKEND) {
		start_or_stop(l);
		return true;
	}
	return false;
}

/* How much there was to write. */
static void
read_sync(const struct steps_result *r, struct owner_event *ev)
{
	int cut;

	if (sscanf(r->out, "%" SCNu64 " %" SCNu64 " %d %" SCNu64,
		&ev->dirty_kib, &ev->sync_ms, &cut, &ev->left_kib) != 4)
		ev->dirty_kib = ev->sync_ms = ev->left_kib = cut = 0;
	ev->cut = cut != 0 || r->end == STEPS_TIMED_OUT;
}

static void
on_step(void *arg, const struct steps_result *r)
{
	struct own_lane_state *l = arg;
	enum owner_action_type what = l->queue[0].what;
	struct owner_event ev = {.peer = -1, .text = r->text};
	bool done = r->end == STEPS_DONE;

	agent_now(l->v->a);
	l->step = NULL;
	if (goes_on(l, r))
		return;
	if (done)
		own_guard_done(l->v, what);
	ev.mounted = l->v->mounted_before;
	if (what == OWNER_SYNC)
		read_sync(r, &ev);
	ev.type = done ? OWNER_EV_DONE : OWNER_EV_FAILED;
	own_op_end_with(l->v, lane_of(l), &ev);
}

/* No process is made for a command that is not there. */
static void
start_command(struct own_lane_state *l, const char *command)
{
	if (command[0] == '\0')
		own_op_end(l->v, LANE_MAIN, true, "");
	else
		start_step(l, kinds[l->queue[0].what]);
}

static void
begin(struct own_lane_state *l)
{
	struct own_volume *v = l->v;
	const struct own_op *op = &l->queue[0];

	l->busy = true;
	switch (op->what) {
	case OWNER_CLAIM:
		own_claim(v);
		break;
	case OWNER_FENCE:
		own_fence(v, op->peer);
		break;
	case OWNER_TAKE:
		own_take(v);
		break;
	case OWNER_RELEASE:
		own_release(v, op->peer);
		break;
	case OWNER_RECOVER:
		own_log_recover(v);
		break;
	case OWNER_CLOSE:
		v->av->serving = false;
		relay_volume_set(v->a->relay, v->index, false, v->a->now_ms);
		if (own_log_close(v))
			own_op_end(v, LANE_MAIN, true, "closed");
		break;
	case OWNER_START_BACKEND:
	case OWNER_STOP_BACKEND:
		if (own_log_close(v))
			start_or_stop(l);
		break;
	case OWNER_ASSEMBLE:
		start_command(l, v->av->cfg->storage.assemble);
		break;
	case OWNER_MOUNT:
		if (own_guard_open(v))
			start_step(l, STEP_MOUNT);
		else
			own_op_end(v, LANE_MAIN, false,
			    "the lease has ended meanwhile");
		break;
	case OWNER_DISASSEMBLE:
		if (v->av->cfg->storage.disassemble[0] != '\0')
			own_guard_close(v);
		start_command(l, v->av->cfg->storage.disassemble);
		break;
	default:
		if (!waits_for_flush(l))
			start_step(l, kinds[op->what]);
		break;
	}
}

/* --- fence.h's tools run here, too */

struct run {
	struct own_volume *v;
	struct step *step;
	fence_ran_fn *done; /* NULL: cancelled */
	void *arg;
};

static void
on_ran(void *arg, const struct steps_result *r)
{
	struct run *run = arg;
	struct fence_ran ran = {.status = r->status,
	    .timed_out = r->end == STEPS_TIMED_OUT,
	    .out = r->out,
	    .err = r->text};

	agent_now(run->v->a);
	if (run->done != NULL)
		run->done(run->arg, &ran);
	free(run);
}

static void *
start_tool(void *runner, const char *command, const char *const *env,
    uint32_t deadline_ms, fence_ran_fn *done, void *arg)
{
	struct own_volume *v = runner;
	struct run *run = calloc(1, sizeof(*run));

	if (run == NULL)
		return NULL;
	*run = (struct run){v, NULL, done, arg};
	run->step = steps_command(v->a->steps, command, env, (int)v->index,
	    v->old_epoch, deadline_ms, on_ran, run);
	if (run->step != NULL)
		return run;
	free(run);
	return NULL;
}

static void
cancel_tool(void *runner, void *handle)
{
	struct own_volume *v = runner;
	struct run *run = handle;

	run->done = NULL;
	steps_cancel(v->a->steps, run->step);
}

struct fence_runner
own_runner(struct own_volume *v)
{
	return (struct fence_runner){start_tool, cancel_tool, v};
}
