/*
 * The arbiter "external": another cluster manager decides, asked by
 * arbiter_command with a verb. One command runs at a time; what is wanted
 * meanwhile waits. The verbs and what is expected of them: arbiter.h; what
 * the answers mean: arbiter_ext_said.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/clock.h"
#include "server-agent/arbiter_ext.h"

struct lease_action *
ext_tell(struct arbiter *a, enum lease_news news, enum lease_why why,
    const char *fmt, ...)
{
	struct ext *x = ext_of(a);
	struct lease_action *n;
	va_list ap;

	if (x->nnews == NEWS_MAX)
		x->nnews--; /* the loop takes them all at once */
	n = &x->news[x->nnews++];
	memset(n, 0, sizeof(*n));
	n->type = LEASE_DO_TELL;
	n->news = news;
	n->why = why;
	n->epoch = x->epoch;
	n->valid_until_ms = x->valid_until_ms;
	va_start(ap, fmt);
	(void)vsnprintf(n->text, sizeof(n->text), fmt, ap);
	va_end(ap);
	return n;
}

/* --- commands */

static void
start_verb(struct arbiter *a, enum verb verb, const char *words)
{
	const struct config_storage *st = &a->volume->storage;
	struct ext *x = ext_of(a);
	const char *env[sizeof(x->env) / sizeof(x->env[0]) + 1] = {NULL};
	int victim = config_find_server_id(a->cfg.cfg, x->proof.server_id);
	uint64_t epoch = verb == VERB_CLAIM ? x->newest_epoch + 1 : x->epoch;
	struct fence_ran failed = {.status = -1, .out = "", .err = ""};

	(void)snprintf(
	    x->env[0], sizeof(x->env[0]), "HANFS_EPOCH=%" PRIu64, epoch);
	(void)snprintf(x->env[1], sizeof(x->env[1]), "HANFS_TO=%s",
	    x->grant < 0 ? "" : a->cfg.cfg->servers[x->grant].name);
	(void)snprintf(x->env[2], sizeof(x->env[2]), "HANFS_EVIDENCE=%s",
	    lease_evidence_names[x->proof.evidence]);
	(void)snprintf(x->env[3], sizeof(x->env[3]), "HANFS_PEER=%s",
	    victim < 0 ? "" : a->cfg.cfg->servers[victim].name);
	(void)snprintf(
	    x->env[4], sizeof(x->env[4]), "HANFS_VOLUME=%s", a->volume->name);
	(void)snprintf(
	    x->env[5], sizeof(x->env[5]), "HANFS_SERVER=%s", a->self->name);
	(void)snprintf(
	    x->env[6], sizeof(x->env[6]), "HANFS_DEVICE=%s", st->device);
	for (unsigned i = 0; i < 7; i++)
		env[i] = x->env[i];
	(void)snprintf(x->command, sizeof(x->command), "%s %s",
	    st->arbiter_command, words);
	x->verb = verb;
	x->issued_ms = clock_now_ms();
	x->run = a->cfg.runner->start(a->cfg.runner->runner, x->command, env,
	    (uint32_t)a->cfg.cfg->agent.lease_ms, ext_ran, a);
	if (x->run == NULL) {
		failed.err = strerror(errno);
		x->retry_at_ms = x->issued_ms + a->cfg.cfg->agent.renew_ms;
		ext_ran(a, &failed);
	}
}

static void
lapse(struct arbiter *a, uint64_t now)
{
	struct ext *x = ext_of(a);

	if (x->state != LEASE_OWNER || now < x->valid_until_ms)
		return;
	x->state = LEASE_LAPSED;
	ext_tell(a, LEASE_SUSPENDED, LEASE_WHY_DISK,
	    "lease of epoch %" PRIu64 " lapsed: arbiter_command renew did not "
	    "confirm it in time",
	    x->epoch);
}

/* What is wanted most goes first. */
static void
start_next(struct arbiter *a, uint64_t now)
{
	struct ext *x = ext_of(a);

	if (x->verb != VERB_NONE || now < x->retry_at_ms)
		return;
	if (x->give_up)
		start_verb(a, VERB_RELEASE,
		    x->grant < 0 ? "release \"$HANFS_EPOCH\""
				 : "release \"$HANFS_EPOCH\" \"$HANFS_TO\"");
	else if (x->take)
		start_verb(a, VERB_CLAIM, "claim \"$HANFS_EPOCH\"");
	else if (ext_is_owner(x) && now >= x->renew_at_ms)
		start_verb(a, VERB_RENEW, "renew \"$HANFS_EPOCH\"");
	else if (!x->ready || x->look || x->claim)
		start_verb(a, VERB_OWNER, "owner");
}

static void
run(struct arbiter *a)
{
	struct ext *x = ext_of(a);
	uint64_t now = clock_now_ms(), due = UINT64_MAX;

	lapse(a, now);
	start_next(a, now);
	for (unsigned i = 0; i < x->nnews; i++)
		a->cfg.news(a->cfg.arg, &x->news[i]);
	x->nnews = 0;
	if (x->state == LEASE_OWNER)
		due = x->valid_until_ms;
	if (ext_is_owner(x) && x->verb == VERB_NONE && x->renew_at_ms < due)
		due = x->renew_at_ms;
	if (x->retry_at_ms > now && x->retry_at_ms < due)
		due = x->retry_at_ms;
	arbiter_at(a, due);
}

/* --- start, end, requests */

static int
start(struct arbiter *a, char *error)
{
	struct ext *x = calloc(1, sizeof(*x));

	a->own = x;
	if (x == NULL) {
		strcpy(error, "no memory");
		return -1;
	}
	x->newest = x->grant = -1;
	return 0;
}

static void
stop(struct arbiter *a)
{
	struct ext *x = ext_of(a);

	if (x != NULL && x->run != NULL)
		a->cfg.runner->cancel(a->cfg.runner->runner, x->run);
	free(x);
}

static void
busy(struct arbiter *a)
{
	ext_tell(a, LEASE_REFUSED, LEASE_WHY_BUSY,
	    "no claim is possible in state %s",
	    lease_state_names[ext_of(a)->state]);
}

static void
look(struct arbiter *a)
{
	ext_of(a)->look = true;
}

static void
claim(struct arbiter *a, bool force)
{
	struct ext *x = ext_of(a);

	(void)force;
	if (x->state != LEASE_STANDBY) {
		busy(a);
		return;
	}
	x->state = LEASE_CLAIMING;
	x->claim = true;
}

static void
take(struct arbiter *a, const struct lease_proof *proof)
{
	struct ext *x = ext_of(a);

	if (x->state != LEASE_CLAIMED && x->state != LEASE_OWNER) {
		busy(a);
		return;
	}
	if (x->state == LEASE_CLAIMED)
		x->state = LEASE_TAKING;
	x->proof = *proof;
	x->take = true;
}

static void
unclaim(struct arbiter *a)
{
	struct ext *x = ext_of(a);

	if (ext_is_owner(x) || !x->ready || x->state == LEASE_RELEASING)
		return;
	/* a claim that runs may succeed yet */
	if (x->verb == VERB_CLAIM) {
		x->give_up = true;
		x->grant = -1;
		x->state = LEASE_RELEASING;
		x->epoch = x->newest_epoch + 1;
	} else {
		x->state = LEASE_STANDBY;
	}
	x->claim = x->take = false;
}

static void
release(struct arbiter *a, int server)
{
	struct ext *x = ext_of(a);

	x->claim = x->take = false;
	x->valid_until_ms = 0;
	x->state = LEASE_RELEASING;
	x->grant = server;
	x->give_up = true;
	if (x->epoch == 0)
		x->epoch = x->newest_epoch;
}

static void
drop(struct arbiter *a)
{
	struct ext *x = ext_of(a);

	x->claim = x->take = false;
	x->valid_until_ms = 0;
	if (x->ready)
		x->state = LEASE_STANDBY;
}

/* --- what is there */

static enum lease_state
state(const struct arbiter *a)
{
	return ext_of(a)->state;
}

static uint64_t
epoch(const struct arbiter *a)
{
	return ext_is_owner(ext_of(a)) ? ext_of(a)->epoch : 0;
}

static uint64_t
valid_until(const struct arbiter *a)
{
	return ext_of(a)->valid_until_ms;
}

static int
newest(const struct arbiter *a, uint64_t *e, enum ctl_holding *holding)
{
	struct lease_action n = {.epoch = 0};

	ext_about_newest(a, &n);
	*e = n.epoch;
	*holding = n.holding;
	return ext_of(a)->newest;
}

const struct arbiter_kind arbiter_external = {.start = start,
    .stop = stop,
    .run = run,
    .look = look,
    .claim = claim,
    .take = take,
    .unclaim = unclaim,
    .release = release,
    .drop = drop,
    .state = state,
    .epoch = epoch,
    .valid_until = valid_until,
    .newest = newest};
