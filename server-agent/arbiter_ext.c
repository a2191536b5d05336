/*
 * The arbiter "external": another cluster manager decides, asked by
 * arbiter_command with a verb. One command runs at a time; what is wanted
 * meanwhile waits. The verbs and what is expected of them: arbiter.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/clock.h"
#include "server-agent/arbiter_int.h"

#define NEWS_MAX 16u

enum verb { VERB_NONE, VERB_OWNER, VERB_CLAIM, VERB_RENEW, VERB_RELEASE };

struct ext {
	enum lease_state state;
	bool ready; /* READY was told */
	/* What the manager said last of the newest owner. */
	int newest; /* -1: none */
	uint64_t newest_epoch;
	uint64_t epoch; /* ours, or to be claimed */
	uint64_t valid_until_ms, renew_at_ms, retry_at_ms;
	struct lease_proof proof;
	int grant;
	bool look, claim, take, give_up; /* wanted */
	bool disk_lost;

	enum verb verb; /* runs */
	uint64_t issued_ms;
	void *run;
	char command[CONFIG_TEXT_MAX + 64];
	char env[8][CONFIG_TEXT_MAX + 32];

	struct lease_action news[NEWS_MAX];
	unsigned nnews;
};

static struct ext *
of(const struct arbiter *a)
{
	return a->own;
}

static bool
is_owner(const struct ext *x)
{
	return x->state == LEASE_OWNER || x->state == LEASE_LAPSED;
}

__attribute__((format(printf, 4, 5))) static struct lease_action *
tell(struct arbiter *a, enum lease_news news, enum lease_why why,
    const char *fmt, ...)
{
	struct ext *x = of(a);
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

static void
about_newest(const struct arbiter *a, struct lease_action *n)
{
	const struct ext *x = of(a);

	n->epoch = x->newest_epoch;
	n->holding = CTL_RELEASED;
	if (x->newest < 0)
		return;
	n->server_id = a->cfg.cfg->servers[x->newest].id;
	n->holding = (unsigned)x->newest == a->cfg.self && !is_owner(x)
			 ? CTL_STALE
			 : CTL_HELD;
}

static uint32_t
margin(const struct arbiter *a)
{
	return (uint32_t)a->cfg.cfg->agent.lease_ms / 20 + LEASE_TICK_MS;
}

/* --- answers */

/* "SERVER EPOCH" or "none EPOCH". */
static bool
parse_owner(struct arbiter *a, const char *out)
{
	struct ext *x = of(a);
	char name[CONFIG_NAME_MAX + 1];
	uint64_t epoch;
	int server = -1;

	if (sscanf(out, "%64s %" SCNu64, name, &epoch) != 2)
		return false;
	if (strcmp(name, "none") != 0) {
		server = config_find_server(a->cfg.cfg, name);
		if (server < 0)
			return false;
	}
	x->newest = server;
	x->newest_epoch = epoch;
	return true;
}

static void
disk_lost(struct arbiter *a, const char *verb, const struct fence_ran *ran)
{
	if (of(a)->disk_lost)
		return;
	of(a)->disk_lost = true;
	tell(a, LEASE_DISK_LOST, LEASE_WHY_DISK,
	    "arbiter_command %s: %s (status %d) %s", verb,
	    ran->timed_out ? "too slow" : "failed", ran->status, ran->err)
	    ->errno_ = ran->timed_out ? ETIMEDOUT : EIO;
}

static void
answers(struct arbiter *a)
{
	if (of(a)->disk_lost)
		tell(a, LEASE_DISK_BACK, LEASE_WHY_NONE,
		    "arbiter_command works again");
	of(a)->disk_lost = false;
}

static void
take_owner(struct arbiter *a, const struct fence_ran *ran)
{
	struct ext *x = of(a);
	bool ok =
	    ran->status == 0 && !ran->timed_out && parse_owner(a, ran->out);

	if (ok) {
		answers(a);
	} else {
		disk_lost(a, "owner", ran);
		x->retry_at_ms = clock_now_ms() + a->cfg.cfg->agent.renew_ms;
	}
	if (ok && !x->ready) {
		x->ready = true;
		x->state = LEASE_STANDBY;
		tell(a, LEASE_READY, LEASE_WHY_NONE, "the arbiter answers");
	}
	if (x->look) {
		struct lease_action *n =
		    tell(a, LEASE_LOOKED, LEASE_WHY_NONE, "%s", ran->err);

		x->look = false;
		n->errno_ = ok ? 0 : EIO;
		about_newest(a, n);
	}
	if (!x->claim)
		return;
	x->claim = false;
	if (!ok) {
		x->state = LEASE_STANDBY;
		tell(a, LEASE_REFUSED, LEASE_WHY_DISK,
		    "arbiter_command owner does not answer");
		return;
	}
	x->state = LEASE_CLAIMED;
	x->epoch = x->newest_epoch + 1;
	tell(a, LEASE_WON, LEASE_WHY_NONE,
	    "epoch %" PRIu64 " can be claimed; fencing is the manager's",
	    x->epoch)
	    ->old_epoch = x->newest_epoch;
}

static void
renew_validity(struct arbiter *a)
{
	struct ext *x = of(a);
	uint64_t lease_ms = a->cfg.cfg->agent.lease_ms;

	x->valid_until_ms = x->issued_ms + lease_ms - margin(a);
	x->renew_at_ms = x->issued_ms + a->cfg.cfg->agent.renew_ms;
}

static void
take_claim(struct arbiter *a, const struct fence_ran *ran)
{
	struct ext *x = of(a);

	x->take = false;
	if (x->state != LEASE_TAKING && !is_owner(x))
		return; /* withdrawn: the manager is told by release */
	if (ran->status == 0 && !ran->timed_out) {
		renew_validity(a);
		x->epoch = x->newest_epoch + 1;
		x->newest = (int)a->cfg.self;
		x->newest_epoch = x->epoch;
		x->state = LEASE_OWNER;
		tell(a, LEASE_GAINED, LEASE_WHY_NONE, "owner of epoch %" PRIu64,
		    x->epoch);
		return;
	}
	if (!is_owner(x))
		x->state = LEASE_STANDBY;
	tell(a, LEASE_REFUSED,
	    ran->status == 1 && !ran->timed_out ? LEASE_WHY_RIVAL
						: LEASE_WHY_DISK,
	    "arbiter_command claim %" PRIu64 ": status %d: %.80s%s",
	    x->newest_epoch + 1, ran->status, ran->out, ran->err);
}

static void
take_renew(struct arbiter *a, const struct fence_ran *ran)
{
	struct ext *x = of(a);

	if (!is_owner(x))
		return;
	if (ran->timed_out || ran->status > 1 || ran->status < 0) {
		disk_lost(a, "renew", ran);
		x->renew_at_ms =
		    clock_now_ms() + a->cfg.cfg->agent.renew_ms / 4;
		return;
	}
	answers(a);
	if (ran->status == 1) {
		x->state = LEASE_STANDBY;
		x->valid_until_ms = 0;
		tell(a, LEASE_LOST, LEASE_WHY_NEWER,
		    "epoch %" PRIu64 " is lost: %.80s%s", x->epoch, ran->out,
		    ran->err)
		    ->old_epoch = x->epoch;
		return;
	}
	renew_validity(a);
	if (x->state == LEASE_OWNER) {
		tell(a, LEASE_RENEWED, LEASE_WHY_NONE, "renewed");
	} else if (clock_now_ms() < x->valid_until_ms) {
		x->state = LEASE_OWNER;
		tell(a, LEASE_RESUMED, LEASE_WHY_NONE,
		    "epoch %" PRIu64 " is still ours: resumed", x->epoch);
	}
}

static void
take_release(struct arbiter *a, const struct fence_ran *ran)
{
	struct ext *x = of(a);

	if (ran->status != 0 || ran->timed_out) {
		disk_lost(a, "release", ran);
		x->retry_at_ms = clock_now_ms() + a->cfg.cfg->agent.renew_ms;
		return;
	}
	answers(a);
	x->give_up = false;
	x->state = LEASE_STANDBY;
	tell(a, LEASE_GIVEN_UP, LEASE_WHY_NONE, "epoch %" PRIu64 " is released",
	    x->epoch);
}

static void
on_ran(void *arg, const struct fence_ran *ran)
{
	struct arbiter *a = arg;
	struct ext *x = of(a);
	enum verb verb = x->verb;

	x->verb = VERB_NONE;
	x->run = NULL;
	switch (verb) {
	case VERB_OWNER:
		take_owner(a, ran);
		break;
	case VERB_CLAIM:
		take_claim(a, ran);
		break;
	case VERB_RENEW:
		take_renew(a, ran);
		break;
	case VERB_RELEASE:
		take_release(a, ran);
		break;
	case VERB_NONE:
		break;
	}
	arbiter_soon(a);
}

/* --- commands */

static void
start_verb(struct arbiter *a, enum verb verb, const char *words)
{
	const struct config_storage *st = &a->volume->storage;
	struct ext *x = of(a);
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
	    (uint32_t)a->cfg.cfg->agent.lease_ms, on_ran, a);
	if (x->run == NULL) {
		failed.err = strerror(errno);
		x->retry_at_ms = x->issued_ms + a->cfg.cfg->agent.renew_ms;
		on_ran(a, &failed);
	}
}

static void
lapse(struct arbiter *a, uint64_t now)
{
	struct ext *x = of(a);

	if (x->state != LEASE_OWNER || now < x->valid_until_ms)
		return;
	x->state = LEASE_LAPSED;
	tell(a, LEASE_SUSPENDED, LEASE_WHY_DISK,
	    "lease of epoch %" PRIu64 " lapsed: arbiter_command renew did not "
	    "confirm it in time",
	    x->epoch);
}

/* What is wanted most goes first. */
static void
start_next(struct arbiter *a, uint64_t now)
{
	struct ext *x = of(a);

	if (x->verb != VERB_NONE || now < x->retry_at_ms)
		return;
	if (x->give_up)
		start_verb(a, VERB_RELEASE,
		    x->grant < 0 ? "release \"$HANFS_EPOCH\""
				 : "release \"$HANFS_EPOCH\" \"$HANFS_TO\"");
	else if (x->take)
		start_verb(a, VERB_CLAIM, "claim \"$HANFS_EPOCH\"");
	else if (is_owner(x) && now >= x->renew_at_ms)
		start_verb(a, VERB_RENEW, "renew \"$HANFS_EPOCH\"");
	else if (!x->ready || x->look || x->claim)
		start_verb(a, VERB_OWNER, "owner");
}

static void
run(struct arbiter *a)
{
	struct ext *x = of(a);
	uint64_t now = clock_now_ms(), due = UINT64_MAX;

	lapse(a, now);
	start_next(a, now);
	for (unsigned i = 0; i < x->nnews; i++)
		a->cfg.news(a->cfg.arg, &x->news[i]);
	x->nnews = 0;
	if (x->state == LEASE_OWNER)
		due = x->valid_until_ms;
	if (is_owner(x) && x->verb == VERB_NONE && x->renew_at_ms < due)
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
	struct ext *x = of(a);

	if (x != NULL && x->run != NULL)
		a->cfg.runner->cancel(a->cfg.runner->runner, x->run);
	free(x);
}

static void
busy(struct arbiter *a)
{
	tell(a, LEASE_REFUSED, LEASE_WHY_BUSY,
	    "no claim is possible in state %s",
	    lease_state_names[of(a)->state]);
}

static void
look(struct arbiter *a)
{
	of(a)->look = true;
}

static void
claim(struct arbiter *a, bool force)
{
	struct ext *x = of(a);

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
	struct ext *x = of(a);

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
	struct ext *x = of(a);

	if (is_owner(x) || !x->ready || x->state == LEASE_RELEASING)
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
	struct ext *x = of(a);

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
	struct ext *x = of(a);

	x->claim = x->take = false;
	x->valid_until_ms = 0;
	if (x->ready)
		x->state = LEASE_STANDBY;
}

/* --- what is there */

static enum lease_state
state(const struct arbiter *a)
{
	return of(a)->state;
}

static uint64_t
epoch(const struct arbiter *a)
{
	return is_owner(of(a)) ? of(a)->epoch : 0;
}

static uint64_t
valid_until(const struct arbiter *a)
{
	return of(a)->valid_until_ms;
}

static int
newest(const struct arbiter *a, uint64_t *e, enum ctl_holding *holding)
{
	struct lease_action n = {.epoch = 0};

	about_newest(a, &n);
	*e = n.epoch;
	*holding = n.holding;
	return of(a)->newest;
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
