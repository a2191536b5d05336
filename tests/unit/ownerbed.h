/*
 * Up to three servers' owner machines around one disk, in virtual time: what
 * the shell, the arbiter and suspicion would do, as simple as can be. The
 * disk keeps (holder, epoch, grant); a fence is a power cut.
 *
 * At each moment: at most one server has the volume mounted.
 */
#ifndef HANFS_TESTS_OWNERBED_H
#define HANFS_TESTS_OWNERBED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/owner.h"
#include "unit.h"

enum { BED_SERVERS = 3, BED_PENDING = 64, BED_DEAD_MS = 300 };

struct bed_answer {
	bool used;
	uint64_t at_ms;
	unsigned server;
	unsigned life; /* answers to an earlier life are void */
	bool step;     /* void after CANCEL */
	enum owner_action_type action;
	struct owner_event ev;
};

struct bed_server {
	struct owner *o; /* NULL: no power */
	unsigned life;
	uint64_t down_ms;
	bool mounted, serving, fenced, stopped;
	bool cut_off; /* on no network, but on the disk */
	enum hb_state told;
	uint64_t epoch;
	unsigned ran[OWNER_ACTIONS];
	unsigned asked_by; /* bits */
};

struct bed {
	uint64_t now;
	unsigned n, seed;
	bool no_fence;
	int fail_percent;
	enum owner_action_type fail; /* this one always; OWNER_ACTIONS: none */
	uint64_t step_ms;
	int holder, granted, claimer;
	uint64_t epoch;
	struct bed_server s[BED_SERVERS];
	struct bed_answer pending[BED_PENDING];
	char story[256][240];
	unsigned told;
};

static inline int
bed_random(struct bed *b, int n)
{
	b->seed = b->seed * 1103515245u + 12345u;
	return (int)((b->seed >> 16) % (unsigned)n);
}

static inline void
bed_config(const struct bed *b, struct owner_config *c, unsigned self)
{
	memset(c, 0, sizeof(*c));
	strcpy(c->volume, "home");
	c->self = self;
	c->ncandidates = b->n;
	for (unsigned i = 0; i < b->n; i++) {
		c->candidates[i] = i;
		snprintf(c->servers[i], sizeof(c->servers[i]), "s%u", i + 1);
	}
	c->has_address = true;
	c->stagger_ms = 2000;
	c->settle_ms = 1000;
	c->retry_ms = c->alone_ms = 5000;
	c->retry_max_ms = 20000;
	c->claim_ms = c->fence_ms = c->mount_ms = c->unmount_ms = 2000;
	c->backend_ms = c->recover_ms = c->drain_ms = c->address_ms = 2000;
	c->stuck_ms = 3000;
	c->dirty_max_kib = c->sync_ms = 100;
	c->syncs_max = 3;
	c->deaths_max = 3;
}

static inline void
bed_boot(struct bed *b, unsigned i)
{
	struct owner_config c;

	bed_config(b, &c, i);
	b->s[i].o = owner_new(&c, b->now);
	assert_non_null(b->s[i].o);
	b->s[i].life++;
	b->s[i].told = HB_STANDBY;
	b->s[i].epoch = 0;
	b->s[i].stopped = b->s[i].fenced = b->s[i].cut_off = false;
}

static inline void
bed_init(struct bed *b, unsigned n, unsigned seed)
{
	memset(b, 0, sizeof(*b));
	b->now = 1000;
	b->n = n;
	b->seed = seed;
	b->step_ms = 10;
	b->fail = OWNER_ACTIONS;
	b->holder = b->granted = b->claimer = -1;
	for (unsigned i = 0; i < n; i++)
		bed_boot(b, i);
}

static inline void
bed_free(struct bed *b)
{
	for (unsigned i = 0; i < b->n; i++)
		owner_free(b->s[i].o);
}

static inline void
bed_cut(struct bed *b, unsigned i)
{
	struct bed_server *s = &b->s[i];

	owner_free(s->o);
	s->o = NULL;
	s->life++;
	s->down_ms = b->now;
	s->mounted = s->serving = false;
	s->told = HB_STANDBY;
	if (b->claimer == (int)i)
		b->claimer = -1;
}

static inline void
bed_check(struct bed *b)
{
	unsigned mounted = 0, serving = 0;

	for (unsigned i = 0; i < b->n; i++) {
		mounted += b->s[i].mounted;
		serving += b->s[i].serving;
		if (b->s[i].serving)
			assert_true(b->s[i].mounted);
	}
	if (mounted > 1 || serving > 1) {
		for (unsigned i = b->told > 256 ? b->told - 256 : 0;
		     i < b->told; i++)
			fprintf(stderr, "%s\n", b->story[i % 256]);
		fail_msg("%u servers have it mounted, seed %u", mounted,
		    b->seed);
	}
}

static inline void
bed_answer(struct bed *b, unsigned server, enum owner_action_type action,
    struct owner_event ev, uint64_t after, bool step)
{
	for (unsigned i = 0; i < BED_PENDING; i++)
		if (!b->pending[i].used) {
			b->pending[i] = (struct bed_answer){.used = true,
			    .at_ms = b->now + after,
			    .server = server,
			    .life = b->s[server].life,
			    .step = step,
			    .action = action,
			    .ev = ev};
			return;
		}
	fail_msg("too many answers");
}

/* What an answer means for the world when it comes. */
static inline void
bed_effect(struct bed *b, struct bed_answer *a)
{
	struct bed_server *s = &b->s[a->server];
	int self = (int)a->server;
	bool ok = a->ev.type != OWNER_EV_FAILED;

	switch (a->action) {
	case OWNER_LOOK:
		a->ev.look = (struct owner_look){b->holder, b->epoch,
		    b->granted};
		break;
	case OWNER_CLAIM:
		if (!ok)
			break;
		if (b->claimer >= 0 && b->claimer != self) {
			a->ev.type = OWNER_EV_LOST_CLAIM;
			a->ev.peer = b->claimer;
			break;
		}
		b->claimer = self;
		a->ev.peer = b->holder == self ? -1 : b->holder;
		break;
	case OWNER_FENCE:
		if (!ok)
			break;
		bed_cut(b, (unsigned)a->ev.peer);
		b->s[a->ev.peer].fenced = true;
		break;
	case OWNER_TAKE:
		if (!ok)
			break;
		if (b->holder != self &&
		    (b->claimer != self ||
			(b->holder >= 0 && !b->s[b->holder].fenced))) {
			a->ev.type = OWNER_EV_FAILED;
			break;
		}
		if (b->claimer == self)
			b->claimer = -1;
		b->holder = self;
		b->granted = -1;
		a->ev.epoch = ++b->epoch;
		break;
	case OWNER_RELEASE:
		if (b->claimer == self)
			b->claimer = -1;
		if (ok && b->holder == self) {
			b->holder = -1;
			b->granted = a->ev.peer;
		}
		break;
	case OWNER_UNMOUNT:
	case OWNER_ABANDON:
		if (ok)
			s->mounted = false;
		break;
	case OWNER_SYNC:
		a->ev.dirty_kib = (uint64_t)bed_random(b, 300);
		a->ev.sync_ms = (uint64_t)bed_random(b, 300);
		break;
	default:
		break;
	}
}

static inline void
bed_event(struct bed *b, unsigned i, struct owner_event ev)
{
	if (b->s[i].o != NULL)
		owner_event(b->s[i].o, &ev, b->now);
}

static inline void
bed_say(struct bed *b, unsigned i, const char *what, const char *text)
{
	snprintf(b->story[b->told++ % 256], 240, "%llu s%u %s %.100s",
	    (unsigned long long)b->now, i + 1, what, text);
}

static inline enum owner_event_type
bed_good(enum owner_action_type action)
{
	switch (action) {
	case OWNER_LOOK:
		return OWNER_EV_LOOKED;
	case OWNER_CLAIM:
		return OWNER_EV_WON;
	case OWNER_TAKE:
		return OWNER_EV_TAKEN;
	default:
		return OWNER_EV_DONE;
	}
}

static inline void
bed_act(struct bed *b, unsigned i, const struct owner_action *a)
{
	struct bed_server *s = &b->s[i];
	struct owner_event ev = {.type = bed_good(a->type), .peer = a->peer};
	bool fails = a->type == b->fail ||
		     bed_random(b, 100) < b->fail_percent ||
		     (a->type == OWNER_FENCE && b->no_fence);

	s->ran[a->type]++;
	bed_say(b, i, owner_action_names[a->type], a->text);
	switch (a->type) {
	case OWNER_NOTE:
		bed_say(b, i, owner_state_names[a->to], a->evidence);
		return;
	case OWNER_ANNOUNCE:
		s->told = a->told;
		s->epoch = a->epoch;
		return;
	case OWNER_SERVE:
	case OWNER_RESUME:
		s->serving = true;
		return;
	case OWNER_HOLD:
		s->serving = false;
		return;
	case OWNER_ADDRESS_ADD:
	case OWNER_FLUSH:
		return;
	case OWNER_DROP:
		if (b->claimer == (int)i)
			b->claimer = -1;
		return;
	case OWNER_STOPPED:
		s->stopped = true;
		return;
	case OWNER_ASK:
		b->s[a->peer].asked_by |= 1u << i;
		return;
	case OWNER_CANCEL:
		for (unsigned k = 0; k < BED_PENDING; k++)
			if (b->pending[k].server == i && b->pending[k].step)
				b->pending[k].used = false;
		return;
	case OWNER_MOUNT:
		s->mounted = true;
		break;
	case OWNER_CLOSE:
	case OWNER_STOP_BACKEND:
		s->serving = false;
		break;
	case OWNER_DRAIN:
		s->serving = false;
		break;
	default:
		break;
	}
	if (fails && a->type != OWNER_LOOK && a->type != OWNER_END_OLD) {
		ev.type = OWNER_EV_FAILED;
		ev.text = "made to fail";
	}
	bed_answer(b, i, a->type, ev, (uint64_t)bed_random(b, (int)b->step_ms),
	    a->type != OWNER_LOOK);
}

static inline void
bed_settle(struct bed *b)
{
	struct owner_action a;

	for (unsigned i = 0; i < b->n; i++)
		while (b->s[i].o != NULL && owner_next(b->s[i].o, &a)) {
			bed_act(b, i, &a);
			bed_check(b);
		}
}

/* What each hears of the others. */
static inline void
bed_hear(struct bed *b, unsigned i)
{
	for (unsigned k = 0; k < b->n; k++) {
		struct bed_server *p = &b->s[k];
		struct owner_event ev = {.type = OWNER_EV_PEER, .peer = (int)k};

		if (k == i)
			continue;
		if (p->o == NULL || p->stopped)
			ev.verdict = b->now - p->down_ms < BED_DEAD_MS
					 ? SUSPECT_PROBING
					 : SUSPECT_DEAD;
		else
			ev.verdict = p->cut_off || b->s[i].cut_off
					 ? SUSPECT_CUT_OFF
					 : SUSPECT_ALIVE;
		bed_event(b, i, ev);
		if (ev.verdict != SUSPECT_ALIVE)
			continue;
		ev.type = OWNER_EV_TOLD;
		ev.told = p->told;
		ev.epoch = p->epoch;
		bed_event(b, i, ev);
	}
	for (unsigned k = 0; k < b->n; k++)
		if (b->s[i].asked_by >> k & 1)
			bed_event(b, i,
			    (struct owner_event){.type = OWNER_EV_ASKED,
				.peer = (int)k});
	b->s[i].asked_by = 0;
}

static inline void
bed_step(struct bed *b)
{
	b->now += 5;
	for (unsigned k = 0; k < BED_PENDING; k++) {
		struct bed_answer a = b->pending[k];

		if (!a.used || a.at_ms > b->now)
			continue;
		b->pending[k].used = false;
		if (b->s[a.server].life != a.life)
			continue;
		bed_effect(b, &a);
		bed_check(b);
		bed_event(b, a.server, a.ev);
		bed_settle(b);
	}
	for (unsigned i = 0; i < b->n; i++) {
		if (b->s[i].o == NULL)
			continue;
		if (b->now % 50 == 0)
			bed_hear(b, i);
		bed_settle(b);
		if (b->s[i].o != NULL)
			owner_tick(b->s[i].o, b->now);
		bed_settle(b);
	}
}

static inline void
bed_run(struct bed *b, uint64_t ms)
{
	for (uint64_t end = b->now + ms; b->now < end;)
		bed_step(b);
}

/* -1: nobody */
static inline int
bed_server(const struct bed *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->s[i].serving)
			return (int)i;
	return -1;
}

#endif
