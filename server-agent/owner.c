/* owner: the contract is in owner.h. The interface, actions, reports. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/owner_int.h"

const char *const owner_state_names[OWNER_STATES] = {
    [OWNER_STARTING] = "starting",
    [OWNER_STANDBY] = "standby",
    [OWNER_CLAIMING] = "claiming",
    [OWNER_FENCING] = "fencing",
    [OWNER_TAKING] = "taking",
    [OWNER_ASSEMBLING] = "assembling",
    [OWNER_MOUNTING] = "mounting",
    [OWNER_BACKEND] = "starting-backend",
    [OWNER_VERIFYING] = "verifying",
    [OWNER_RECOVERING] = "recovering",
    [OWNER_SERVING] = "serving",
    [OWNER_SUSPENDED] = "suspended",
    [OWNER_SYNCING] = "syncing",
    [OWNER_DRAINING] = "draining",
    [OWNER_ADDRESS_DOWN] = "removing-address",
    [OWNER_CLOSING] = "closing",
    [OWNER_STOPPING] = "stopping-backend",
    [OWNER_UNMOUNTING] = "unmounting",
    [OWNER_DISASSEMBLING] = "disassembling",
    [OWNER_RELEASING] = "releasing",
    [OWNER_FAILED] = "failed",
    [OWNER_STUCK] = "stuck",
};

const char *const owner_event_names[OWNER_EVENTS] = {
    [OWNER_EV_LOOKED] = "looked",
    [OWNER_EV_PEER] = "peer",
    [OWNER_EV_TOLD] = "told",
    [OWNER_EV_WON] = "won",
    [OWNER_EV_LOST_CLAIM] = "lost-claim",
    [OWNER_EV_TAKEN] = "taken",
    [OWNER_EV_DONE] = "done",
    [OWNER_EV_FAILED] = "failed",
    [OWNER_EV_LAPSED] = "lapsed",
    [OWNER_EV_RESUMED] = "resumed",
    [OWNER_EV_LOST] = "lost",
    [OWNER_EV_DISK_LOST] = "disk-lost",
    [OWNER_EV_BACKEND_DIED] = "backend-died",
    [OWNER_EV_NETS_LOST] = "networks-lost",
    [OWNER_EV_NETS_BACK] = "networks-back",
    [OWNER_EV_ASKED] = "asked",
    [OWNER_EV_MOVE] = "move",
    [OWNER_EV_DRILL] = "drill",
    [OWNER_EV_STOP] = "stop",
    [OWNER_EV_FLUSHES] = "flushes",
    [OWNER_EV_TIME] = "time",
};

const char *const owner_action_names[OWNER_ACTIONS] = {
    [OWNER_END_OLD] = "end-old",
    [OWNER_LOOK] = "look",
    [OWNER_CLAIM] = "claim",
    [OWNER_FENCE] = "fence",
    [OWNER_TAKE] = "take",
    [OWNER_ASSEMBLE] = "assemble",
    [OWNER_MOUNT] = "mount",
    [OWNER_START_BACKEND] = "start-backend",
    [OWNER_VERIFY] = "verify",
    [OWNER_RECOVER] = "recover",
    [OWNER_SERVE] = "serve",
    [OWNER_HOLD] = "hold",
    [OWNER_SYNC] = "sync",
    [OWNER_DRAIN] = "drain",
    [OWNER_RESUME] = "resume",
    [OWNER_FLUSH] = "flush",
    [OWNER_CLOSE] = "close",
    [OWNER_ADDRESS_ADD] = "address-add",
    [OWNER_ADDRESS_REMOVE] = "address-remove",
    [OWNER_STOP_BACKEND] = "stop-backend",
    [OWNER_UNMOUNT] = "unmount",
    [OWNER_ABANDON] = "abandon",
    [OWNER_DISASSEMBLE] = "disassemble",
    [OWNER_RELEASE] = "release",
    [OWNER_DROP] = "drop",
    [OWNER_CANCEL] = "cancel",
    [OWNER_ASK] = "ask",
    [OWNER_ANNOUNCE] = "announce",
    [OWNER_NOTE] = "note",
    [OWNER_STOPPED] = "stopped",
};

const char *const owner_trip_names[] = {"up", "down", "drill"};

void
owner_configure(struct owner_config *out, const struct config *cfg,
    unsigned volume, unsigned self)
{
	const struct config_volume *v = &cfg->volumes[volume];
	const struct config_storage *s = &v->storage;

	memset(out, 0, sizeof(*out));
	memcpy(out->volume, v->name, sizeof(out->volume));
	out->self = self;
	out->ncandidates = v->ncandidates;
	memcpy(out->candidates, v->candidates, sizeof(out->candidates));
	for (unsigned i = 0; i < cfg->nservers; i++)
		memcpy(out->servers[i], cfg->servers[i].name,
		    sizeof(out->servers[i]));
	out->has_address =
	    s->service_address.family != 0 || s->address_up[0] != '\0';
	out->failback = s->failback;
	out->failback_delay_ms = s->failback_delay_s * 1000;
	out->stagger_ms = 2000;
	out->settle_ms = 1000;
	out->retry_ms = 5000;
	out->alone_ms = 500;
	out->retry_max_ms = 300000;
	out->claim_ms = cfg->agent.lease_ms > 2000 ? cfg->agent.lease_ms : 2000;
	out->fence_ms = s->fence_ms;
	out->mount_ms = s->mount_ms;
	out->unmount_ms = s->unmount_ms;
	out->backend_ms = s->backend_ms;
	out->recover_ms = 60000;
	out->drain_ms = 3000;
	out->address_ms = 10000;
	out->stuck_ms = 10000;
	out->sync_ms = 100;
	out->dirty_max_kib = 1024;
	out->syncs_max = 40;
	out->deaths_max = 3;
}

/* --- actions */

struct owner_action *
owner_push(struct owner *o, enum owner_action_type type)
{
	struct owner_action *a;

	assert(o->queued < OWNER_QUEUE);
	a = &o->queue[(o->first + o->queued++) % OWNER_QUEUE];
	memset(a, 0, sizeof(*a));
	a->type = type;
	a->peer = -1;
	a->epoch = o->epoch;
	a->from = a->to = o->state;
	return a;
}

/* The step has a second more than its own deadline to say so itself. */
void
owner_push_step(
    struct owner *o, enum owner_action_type type, uint64_t deadline_ms)
{
	struct owner_action *a = owner_push(o, type);

	a->deadline_ms = (uint32_t)deadline_ms;
	o->deadline_ms = o->now + deadline_ms + 1000;
}

bool
owner_next(struct owner *o, struct owner_action *action)
{
	if (o->queued == 0)
		return false;
	*action = o->queue[o->first];
	o->first = (o->first + 1) % OWNER_QUEUE;
	o->queued--;
	return true;
}

void
owner_note(struct owner *o, const char *text, const char *evidence)
{
	struct owner_action *a = owner_push(o, OWNER_NOTE);

	snprintf(a->text, sizeof(a->text), "%s", text);
	snprintf(a->evidence, sizeof(a->evidence), "%s",
	    evidence != NULL ? evidence : "");
}

const char *
owner_server_name(const struct owner *o, int server)
{
	return server >= 0 && server < CONFIG_SERVERS_MAX &&
		       o->c.servers[server][0] != '\0'
		   ? o->c.servers[server]
		   : "nobody";
}

/* --- what heartbeats say */

static enum hb_state
told_in(const struct owner *o)
{
	switch (o->state) {
	case OWNER_SERVING:
	case OWNER_SYNCING:
		return HB_SERVING;
	case OWNER_ASSEMBLING:
	case OWNER_MOUNTING:
	case OWNER_BACKEND:
	case OWNER_VERIFYING:
	case OWNER_RECOVERING:
	case OWNER_SUSPENDED:
		return HB_TAKING_OVER;
	case OWNER_DRAINING:
	case OWNER_ADDRESS_DOWN:
	case OWNER_CLOSING:
	case OWNER_STOPPING:
	case OWNER_UNMOUNTING:
	case OWNER_DISASSEMBLING:
	case OWNER_RELEASING:
		return o->have & OWNER_HAVE_LEASE ? HB_DRAINING : HB_STANDBY;
	case OWNER_TAKING: /* anew, after the backend died */
		return o->have & OWNER_HAVE_MOUNT ? HB_TAKING_OVER : HB_STANDBY;
	default:
		return HB_STANDBY;
	}
}

static void
tell(struct owner *o)
{
	enum hb_state told = told_in(o);
	struct owner_action *a;

	if (told == o->told && o->epoch == o->told_epoch)
		return;
	o->told = told;
	o->told_epoch = o->epoch;
	a = owner_push(o, OWNER_ANNOUNCE);
	a->told = told;
}

/* --- states and reports */

static struct owner_report *
running(struct owner *o)
{
	struct owner_report *r;

	if (o->reports == 0)
		return NULL;
	r = &o->report[(o->reports - 1) % OWNER_REPORTS_MAX];
	return r->running ? r : NULL;
}

void
owner_report_begin(struct owner *o, enum owner_trip trip, const char *cause)
{
	struct owner_report *r;

	if (running(o) != NULL)
		return; /* a way back, or the second half of a drill */
	r = &o->report[o->reports++ % OWNER_REPORTS_MAX];
	memset(r, 0, sizeof(*r));
	r->trip = trip;
	r->number = o->reports;
	r->at_ms = o->now;
	r->running = true;
	snprintf(r->cause, sizeof(r->cause), "%s", cause);
}

void
owner_report_end(struct owner *o, bool ok, const char *text)
{
	struct owner_report *r = running(o);

	if (r == NULL)
		return;
	r->running = false;
	r->ok = ok;
	r->epoch = o->epoch;
	r->total_ms = (uint32_t)(o->now - r->at_ms);
	snprintf(r->text, sizeof(r->text), "%s", text);
}

static void
record_step(struct owner *o)
{
	struct owner_report *r = running(o);
	uint64_t from = o->since_ms;

	if (r == NULL || r->nsteps == OWNER_STEPS_MAX || from < r->at_ms)
		return;
	r->steps[r->nsteps].state = o->state;
	r->steps[r->nsteps++].ms = (uint32_t)(o->now - from);
}

void
owner_go(struct owner *o, enum owner_state state, const char *text)
{
	struct owner_action *a;
	enum owner_state was = o->state;

	record_step(o);
	o->state = state;
	a = owner_push(o, OWNER_NOTE);
	a->from = was;
	snprintf(a->text, sizeof(a->text), "%s", text);
	snprintf(a->evidence, sizeof(a->evidence), "%s took %llu ms",
	    owner_state_names[was], (unsigned long long)(o->now - o->since_ms));
	o->since_ms = o->now;
	o->deadline_ms = UINT64_MAX;
	tell(o);
}

const struct owner_report *
owner_report(const struct owner *o, unsigned back)
{
	if (back >= OWNER_REPORTS_MAX || back >= o->reports)
		return NULL;
	return &o->report[(o->reports - 1 - back) % OWNER_REPORTS_MAX];
}

/* --- the interface */

struct owner *
owner_new(const struct owner_config *config, uint64_t now_ms)
{
	struct owner *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->c = *config;
	if (!owner_is_candidate(o, (int)config->self)) {
		free(o);
		return NULL;
	}
	o->now = o->since_ms = now_ms;
	o->look.holder = o->look.granted = o->target = -1;
	o->told = HB_STANDBY;
	o->deadline_ms = UINT64_MAX;
	owner_push_step(o, OWNER_END_OLD, config->unmount_ms);
	return o;
}

void
owner_free(struct owner *o)
{
	free(o);
}

void
owner_event(struct owner *o, const struct owner_event *ev, uint64_t now_ms)
{
	o->now = now_ms;
	owner_handle(o, ev);
	tell(o);
}

uint64_t
owner_next_ms(const struct owner *o)
{
	uint64_t at = o->deadline_ms, other = owner_consider_ms(o);

	return other < at ? other : at;
}

void
owner_tick(struct owner *o, uint64_t now_ms)
{
	struct owner_event ev = {.type = OWNER_EV_TIME, .peer = -1};

	if (now_ms >= owner_next_ms(o))
		owner_event(o, &ev, now_ms);
}

enum owner_state
owner_state(const struct owner *o)
{
	return o->state;
}

unsigned
owner_have(const struct owner *o)
{
	return o->have;
}

uint64_t
owner_epoch(const struct owner *o)
{
	return o->epoch;
}

int
owner_holder(const struct owner *o)
{
	return o->have & OWNER_HAVE_LEASE ? (int)o->c.self : o->look.holder;
}
