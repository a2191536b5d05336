/* The lease: requests, actions, events, time. The contract is in lease.h. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/lease_int.h"

/* --- actions and events */

static struct lease_action *
push(struct lease *l, enum lease_action_type type)
{
	struct lease_action *a;

	assert(l->count < LEASE_QUEUE);
	a = &l->queue[(l->first + l->count++) % LEASE_QUEUE];
	memset(a, 0, sizeof(*a));
	a->type = type;
	return a;
}

/* What comes with every renewal and read is no event for people. */
static bool
is_worth_keeping(enum lease_news news)
{
	return news != LEASE_RENEWED && news != LEASE_ADVANCED &&
	       news != LEASE_LOOKED;
}

struct lease_action *
lease_tell(struct lease *l, enum lease_news news, enum lease_why why,
    uint64_t now_ms, const char *fmt, ...)
{
	struct lease_action *a = push(l, LEASE_DO_TELL);
	struct lease_event *e;
	va_list ap;

	a->news = news;
	a->why = why;
	a->epoch = lease_own_decided(l)->owned_epoch;
	a->valid_until_ms = l->valid_until_ms;
	va_start(ap, fmt);
	(void)vsnprintf(a->text, sizeof(a->text), fmt, ap);
	va_end(ap);
	if (!is_worth_keeping(news))
		return a;
	e = &l->events[l->nevents % LEASE_EVENTS];
	e->number = l->nevents++;
	e->when_ms = now_ms;
	e->news = news;
	e->why = why;
	e->epoch = a->epoch;
	memcpy(e->text, a->text, sizeof(e->text));
	return a;
}

const char *
lease_name(const struct lease *l, unsigned slot)
{
	if (slot == CTL_NO_SLOT || l->cfg.server[slot] == NULL)
		return "nobody";
	return l->cfg.server[slot];
}

bool
lease_next(struct lease *l, struct lease_action *out)
{
	if (l->count == 0)
		return false;
	*out = l->queue[l->first];
	l->first = (l->first + 1) % LEASE_QUEUE;
	l->count--;
	return true;
}

size_t
lease_events(
    const struct lease *l, uint64_t from, struct lease_event *out, size_t max)
{
	uint64_t oldest =
	    l->nevents > LEASE_EVENTS ? l->nevents - LEASE_EVENTS : 0;
	size_t n = 0;

	if (from < oldest)
		from = oldest;
	for (; from < l->nevents && n < max; from++)
		out[n++] = l->events[from % LEASE_EVENTS];
	return n;
}

/* --- I/O: one read and one write at a time */

uint64_t
lease_want_read(struct lease *l)
{
	l->read_wanted = true;
	return l->reads + 1;
}

uint64_t
lease_want_write(struct lease *l)
{
	l->write_wanted = true;
	return l->writes + 1;
}

static void
start_io(struct lease *l, uint64_t now_ms)
{
	if (l->write_wanted && !l->writing && now_ms >= l->write_retry_ms &&
	    l->state != LEASE_BROKEN) {
		l->write_wanted = false;
		l->writing = true;
		l->writes++;
		l->write_asked_ms = now_ms;
		l->renew_at_ms = now_ms + l->cfg.renew_ms;
		l->own.seq++;
		l->sent = l->own;
		push(l, LEASE_DO_WRITE)->write = l->own;
	}
	if (l->read_wanted && !l->reading) {
		l->read_wanted = false;
		l->reading = true;
		l->reads++;
		l->read_asked_ms = now_ms;
		l->poll_at_ms = now_ms + l->cfg.poll_ms;
		l->read_after_seq = l->landed_seq;
		push(l, LEASE_DO_READ);
	}
}

/* --- the disk itself */

static void
disk_lost(struct lease *l, int error, const char *what, uint64_t now_ms)
{
	if (l->disk_lost)
		return;
	l->disk_lost = true;
	lease_tell(l, LEASE_DISK_LOST, LEASE_WHY_DISK, now_ms,
	    "the control area cannot be %s: %s; check this host's path to the "
	    "shared disk",
	    what, strerror(error))
	    ->errno_ = error;
}

static void
disk_answers(struct lease *l, uint64_t now_ms)
{
	if (!l->disk_lost)
		return;
	l->disk_lost = false;
	lease_tell(l, LEASE_DISK_BACK, LEASE_WHY_NONE, now_ms,
	    "the control area answers again");
}

static void
check_stalls(struct lease *l, uint64_t now_ms)
{
	bool read = l->reading && now_ms >= l->read_asked_ms + l->cfg.io_ms;
	bool write = l->writing && now_ms >= l->write_asked_ms + l->cfg.io_ms;

	if (!read && !write)
		return;
	disk_lost(l, ETIMEDOUT, write ? "written" : "read", now_ms);
	lease_claim_end(l, LEASE_WHY_DISK, CTL_NO_SLOT, now_ms,
	    "the control area does not answer");
}

void
lease_break(struct lease *l, enum lease_why why, unsigned who, uint64_t now_ms,
    const char *text)
{
	struct lease_action *a;

	if (l->state == LEASE_BROKEN)
		return;
	lease_claim_end(l, why, who, now_ms, text);
	lease_tell(l, LEASE_TROUBLE, why, now_ms, "%s", text);
	if (lease_is_owner(l)) {
		a = lease_tell(l, LEASE_LOST, why, now_ms, "%s", text);
		lease_about(l, a, who);
		a->epoch = l->own.owned_epoch;
	}
	l->state = LEASE_BROKEN;
	l->write_wanted = false;
	l->valid_until_ms = 0;
}

/* --- events from the shell */

static void
answer_look(struct lease *l, int error, uint64_t now_ms)
{
	unsigned newest = lease_newest(l);
	struct lease_action *a;

	l->look_read = 0;
	a = lease_tell(l, LEASE_LOOKED, LEASE_WHY_NONE, now_ms, "%s",
	    error != 0 ? strerror(error) : "");
	a->epoch = l->cfg.epoch_floor;
	a->errno_ = error;
	if (error == 0)
		lease_about(l, a, newest);
}

void
lease_read_done(struct lease *l, int error,
    const struct ctl_slot slots[CTL_SLOTS], uint64_t issued_ms,
    uint64_t done_ms, uint64_t now_ms)
{
	assert(l->reading);
	l->reading = false;
	lease_own_lapse(l, now_ms);
	if (error != 0) {
		disk_lost(l, error, "read", now_ms);
	} else {
		disk_answers(l, now_ms);
		lease_take_in(l, slots, issued_ms, done_ms, now_ms);
		lease_own_read(l, l->reads, now_ms);
		lease_claim_watch(l, now_ms);
	}
	if (l->reads >= l->phase_io)
		lease_claim_read(l, error, now_ms);
	if (l->look_read != 0 && l->reads >= l->look_read &&
	    l->state != LEASE_STARTING)
		answer_look(l, error, now_ms);
	lease_tick(l, now_ms);
}

void
lease_write_done(struct lease *l, int error, uint64_t issued_ms,
    uint64_t done_ms, uint64_t now_ms)
{
	assert(l->writing);
	l->writing = false;
	if (error == 0) {
		disk_answers(l, now_ms);
		l->landed_seq = l->sent.seq;
		l->landed_ms = issued_ms;
	} else {
		disk_lost(l, error, "written", now_ms);
		l->write_retry_ms = now_ms + l->cfg.renew_ms / 4;
		l->write_wanted |= !l->dropped;
	}
	lease_own_written(l, error, issued_ms, done_ms, now_ms);
	lease_own_lapse(l, now_ms);
	if (l->writes >= l->phase_io)
		lease_claim_written(l, error, issued_ms, now_ms);
	lease_tick(l, now_ms);
}

void
lease_tick(struct lease *l, uint64_t now_ms)
{
	lease_own_lapse(l, now_ms);
	check_stalls(l, now_ms);
	lease_claim_tick(l, now_ms);
	lease_own_tick(l, now_ms);
	if (now_ms >= l->poll_at_ms && !l->reading)
		lease_want_read(l);
	start_io(l, now_ms);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t
lease_due_ms(const struct lease *l)
{
	uint64_t due = UINT64_MAX;

	if (l->reading)
		due = l->disk_lost ? due : l->read_asked_ms + l->cfg.io_ms;
	else
		due = l->poll_at_ms;
	if (l->writing && !l->disk_lost)
		due = earlier(due, l->write_asked_ms + l->cfg.io_ms);
	if (l->write_wanted && !l->writing)
		due = earlier(due, l->write_retry_ms);
	if (l->state == LEASE_OWNER)
		due = earlier(due, l->valid_until_ms);
	if ((lease_is_owner(l) || l->state == LEASE_CLAIMED) && !l->writing)
		due = earlier(due, l->renew_at_ms);
	if (l->phase == PHASE_WAIT || l->phase == PHASE_BACKOFF)
		due = earlier(due, l->wait_ms);
	return due;
}

/* --- start and end */

void
lease_config_times(
    struct lease_config *cfg, uint32_t lease_ms, uint32_t renew_ms)
{
	cfg->lease_ms = lease_ms;
	cfg->renew_ms = renew_ms;
	cfg->margin_ms = lease_ms / 20 + LEASE_TICK_MS;
	cfg->poll_ms = renew_ms / 2;
	cfg->grant_ms = lease_ms;
	cfg->backoff_ms = 20;
	cfg->io_ms = lease_ms / 2;
}

struct lease *
lease_new(const struct lease_config *cfg, uint64_t now_ms)
{
	struct lease *l;

	assert(cfg->slot < CTL_SLOTS && cfg->instance != 0);
	assert(cfg->server_id[cfg->slot] != 0);
	assert(cfg->margin_ms < cfg->lease_ms && cfg->renew_ms > 0);
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->cfg = *cfg;
	l->state = LEASE_STARTING;
	l->random = cfg->seed ^ cfg->instance;
	l->base.slot = CTL_NO_SLOT;
	l->told.slot = CTL_NO_SLOT;
	l->poll_at_ms = now_ms;
	lease_tick(l, now_ms);
	return l;
}

void
lease_free(struct lease *l)
{
	free(l);
}

/* --- requests */

void
lease_look(struct lease *l, uint64_t now_ms)
{
	l->look_read = lease_want_read(l);
	lease_tick(l, now_ms);
}

/* --- what is there */

enum lease_state
lease_state(const struct lease *l)
{
	return l->state;
}

bool
lease_valid(const struct lease *l, uint64_t now_ms)
{
	return l->state == LEASE_OWNER && now_ms < l->valid_until_ms;
}

uint64_t
lease_epoch(const struct lease *l)
{
	return lease_is_owner(l) ? lease_own_decided(l)->owned_epoch : 0;
}

uint64_t
lease_valid_until_ms(const struct lease *l)
{
	return l->valid_until_ms;
}

uint64_t
lease_landed_ms(const struct lease *l)
{
	return l->landed_ms;
}

const struct lease_seen *
lease_seen(const struct lease *l, unsigned slot)
{
	return slot < CTL_SLOTS ? &l->slots[slot].seen : NULL;
}
