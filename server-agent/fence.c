/* fence: the contract is in fence.h. Reservations: fence_keys.c. */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/clock.h"
#include "server-agent/fence_int.h"

#define ENV_TEXT (CONFIG_TEXT_MAX + 32u)

const char *const fence_result_names[FENCE_NRESULTS] = {
    [FENCE_CONFIRMED] = "confirmed",
    [FENCE_BY_TIME] = "by time",
    [FENCE_FAILED] = "failed",
    [FENCE_REFUSED] = "refused",
    [FENCE_TIMEOUT] = "timed out",
};

struct fence {
	const struct config *cfg;
	const struct config_volume *v;
	unsigned self;
	struct fence_runner runner;
	struct event soon; /* the outcome is told from the event loop */
	bool busy;
	void *run; /* a tool that runs */
	enum fence_op op;
	uint64_t key; /* our own, of the last claim */
	fence_done_fn *done;
	void *arg;
	struct fence_outcome outcome;
	/* of the command */
	char volume[ENV_TEXT], self_name[ENV_TEXT], device[ENV_TEXT];
	char peer[ENV_TEXT], epoch[ENV_TEXT], key_text[ENV_TEXT];
	char addresses[32 + CONFIG_ADDRS_MAX * ADDR_TEXT_SIZE];
};

/* --- outcomes */

static void
tell(struct fence *f)
{
	struct fence_outcome outcome = f->outcome;

	f->busy = false;
	outcome.ended_ms = clock_now_ms();
	f->done(f->arg, &outcome);
}

static void
on_soon(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell(arg);
}

__attribute__((format(printf, 3, 4))) static void
result(struct fence *f, enum fence_result r, const char *fmt, ...)
{
	struct fence_outcome *o = &f->outcome;
	va_list ap;

	o->result = r;
	if (r == FENCE_CONFIRMED && f->op == FENCE_PEER)
		o->evidence = LEASE_FENCED;
	va_start(ap, fmt);
	(void)vsnprintf(o->text, sizeof(o->text), fmt, ap);
	va_end(ap);
}

static bool
begin(struct fence *f, enum fence_op op, fence_done_fn *done, void *arg)
{
	if (f->busy)
		return false;
	f->busy = true;
	f->op = op;
	f->done = done;
	f->arg = arg;
	memset(&f->outcome, 0, sizeof(f->outcome));
	f->outcome.began_ms = clock_now_ms();
	f->peer[0] = '\0';
	f->addresses[0] = '\0';
	return true;
}

static bool
end_soon(struct fence *f)
{
	event_active(&f->soon, EV_TIMEOUT, 1);
	return true;
}

/* --- the tools */

static void
judge(struct fence *f, const struct fence_ran *ran)
{
	enum config_fence method = f->v->storage.fence;
	const char *what = config_fence_name(method), *wrong;

	if (ran->timed_out) {
		result(f, FENCE_TIMEOUT,
		    "fence \"%s\" was killed: it took longer than fence_ms "
		    "(%" PRIu64 ") allows; nothing is known",
		    what, f->v->storage.fence_ms);
		return;
	}
	if (ran->status == 127) {
		result(f, FENCE_REFUSED,
		    "fence \"%s\": its tool is not installed: %.200s", what,
		    ran->err);
		return;
	}
	if (!fence_has_keys(method)) {
		if (ran->status == 0)
			result(f, FENCE_CONFIRMED, "fence_command: status 0");
		else
			result(f, FENCE_FAILED,
			    "fence_command: status %d: %.200s; nobody takes "
			    "over before it says that the server is off",
			    ran->status, ran->err);
		return;
	}
	wrong = fence_keys_judge(method, f->op, ran->out, f->key,
	    f->op == FENCE_PEER ? f->outcome.server_id : 0);
	if (wrong == NULL)
		result(f, FENCE_CONFIRMED,
		    "%s: keys and reservation of %s "
		    "are right",
		    what, f->v->storage.device);
	else
		result(f, FENCE_FAILED, "%s: %s: %s (status %d: %.150s)", what,
		    f->v->storage.device, wrong, ran->status, ran->err);
}

static void
on_ran(void *arg, const struct fence_ran *ran)
{
	struct fence *f = arg;

	f->run = NULL;
	judge(f, ran);
	tell(f);
}

static bool
run(struct fence *f, const char *command)
{
	const char *env[] = {f->volume, f->self_name, f->device, f->epoch,
	    f->key_text, f->peer, f->addresses, NULL};

	(void)snprintf(
	    f->key_text, sizeof(f->key_text), "HANFS_KEY=0x%" PRIx64, f->key);
	if (f->peer[0] == '\0')
		env[5] = NULL;
	f->run = f->runner.start(f->runner.runner, command, env,
	    (uint32_t)f->v->storage.fence_ms, on_ran, f);
	if (f->run != NULL)
		return true;
	result(f, FENCE_FAILED, "fence \"%s\" cannot be run: %s",
	    config_fence_name(f->v->storage.fence), strerror(errno));
	return end_soon(f);
}

static void
set_epoch(struct fence *f, uint64_t epoch)
{
	(void)snprintf(
	    f->epoch, sizeof(f->epoch), "HANFS_EPOCH=%" PRIu64, epoch);
}

static void
set_peer(struct fence *f, const struct config_server *s, uint64_t epoch)
{
	size_t at, size = sizeof(f->addresses);

	f->outcome.server_id = s->id;
	f->outcome.epoch = epoch;
	set_epoch(f, epoch);
	(void)snprintf(f->peer, sizeof(f->peer), "HANFS_PEER=%s", s->name);
	at = (size_t)snprintf(f->addresses, size, "HANFS_PEER_ADDRESSES=");
	for (unsigned i = 0; i < s->naddrs && at < size; i++) {
		struct hanfs_addr addr = s->addrs[i].addr;
		char text[ADDR_TEXT_SIZE];

		addr.port = 0;
		at += (size_t)snprintf(f->addresses + at, size - at, "%s%s",
		    i > 0 ? " " : "", addr_format(&addr, text, sizeof(text)));
	}
}

/* Keys hold 16 bits of a server's id: two that are equal in these would be
 * taken for each other. */
static bool
ids_fit(struct fence *f)
{
	for (unsigned i = 0; i < f->v->ncandidates; i++) {
		const struct config_server *s =
		    &f->cfg->servers[f->v->candidates[i]];

		if (s->id <= 0xffff)
			continue;
		result(f, FENCE_REFUSED,
		    "server %s has the id %u: fence \"%s\" needs ids up to "
		    "65535",
		    s->name, s->id, config_fence_name(f->v->storage.fence));
		return false;
	}
	return true;
}

static bool
run_keys(struct fence *f)
{
	if (!ids_fit(f))
		return end_soon(f);
	return run(f, fence_keys_command(f->v->storage.fence, f->op));
}

/* --- the interface */

struct fence *
fence_new(struct event_base *base, const struct config *cfg, unsigned volume,
    unsigned self, const struct fence_runner *runner)
{
	struct fence *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->cfg = cfg;
	f->v = &cfg->volumes[volume];
	f->self = self;
	f->runner = *runner;
	f->key = fence_key(cfg->servers[self].id, 0);
	(void)snprintf(
	    f->volume, sizeof(f->volume), "HANFS_VOLUME=%s", f->v->name);
	(void)snprintf(f->self_name, sizeof(f->self_name), "HANFS_SERVER=%s",
	    cfg->servers[self].name);
	(void)snprintf(f->device, sizeof(f->device), "HANFS_DEVICE=%s",
	    f->v->storage.device);
	set_epoch(f, 0);
	event_assign(&f->soon, base, -1, 0, on_soon, f);
	return f;
}

void
fence_free(struct fence *f)
{
	if (f == NULL)
		return;
	if (f->run != NULL)
		f->runner.cancel(f->runner.runner, f->run);
	event_del(&f->soon);
	free(f);
}

bool
fence_peer(struct fence *f, unsigned server, uint64_t epoch,
    fence_done_fn *done, void *arg)
{
	enum config_fence method = f->v->storage.fence;

	if (!begin(f, FENCE_PEER, done, arg))
		return false;
	set_peer(f, &f->cfg->servers[server], epoch);
	if (fence_has_keys(method)) {
		f->key = fence_key(f->cfg->servers[f->self].id, epoch + 1);
		return run_keys(f);
	}
	if (method == CONFIG_FENCE_COMMAND)
		return run(f, f->v->storage.fence_command);
	if (method == CONFIG_FENCE_NONE) {
		result(f, FENCE_REFUSED,
		    "no fence is configured, and a silent server may still "
		    "write: configure fence (volume %s, storage)",
		    f->v->name);
		return end_soon(f);
	}
	result(f, FENCE_BY_TIME,
	    method == CONFIG_FENCE_WATCHDOG
		? "its lease must end and its watchdog fire"
		: "UNSAFE: the end of its lease is believed (fence = "
		  "\"lease-only-unsafe\")");
	f->outcome.evidence =
	    method == CONFIG_FENCE_WATCHDOG ? LEASE_WATCHDOG : LEASE_END;
	return end_soon(f);
}

bool
fence_prepare(struct fence *f, uint64_t epoch, fence_done_fn *done, void *arg)
{
	if (!begin(f, FENCE_PREPARE, done, arg))
		return false;
	set_epoch(f, epoch);
	if (fence_has_keys(f->v->storage.fence)) {
		f->key = fence_key(f->cfg->servers[f->self].id, epoch);
		return run_keys(f);
	}
	result(f, FENCE_CONFIRMED, "nothing is to be registered");
	return end_soon(f);
}

uint64_t
fence_own_key(const struct fence *f)
{
	return f->key;
}

bool
fence_withdraw(struct fence *f, fence_done_fn *done, void *arg)
{
	if (!begin(f, FENCE_WITHDRAW, done, arg))
		return false;
	if (fence_has_keys(f->v->storage.fence))
		return run_keys(f);
	result(f, FENCE_CONFIRMED, "nothing was registered");
	return end_soon(f);
}

bool
fence_check(struct fence *f, fence_done_fn *done, void *arg)
{
	const struct config_storage *st = &f->v->storage;

	if (!begin(f, FENCE_CHECK, done, arg))
		return false;
	if (fence_has_keys(st->fence))
		return run_keys(f);
	if (st->fence == CONFIG_FENCE_NONE)
		result(f, FENCE_REFUSED,
		    "no fence is configured: nobody takes over volume %s from "
		    "a silent server; configure fence (volume, storage)",
		    f->v->name);
	else if (st->fence == CONFIG_FENCE_WATCHDOG &&
		 f->cfg->agent.watchdog[0] == '\0')
		result(f, FENCE_REFUSED,
		    "fence is \"watchdog\", but no watchdog is configured "
		    "(agent, watchdog)");
	else if (st->fence == CONFIG_FENCE_LEASE_ONLY)
		result(f, FENCE_BY_TIME,
		    "UNSAFE: fence is \"lease-only-unsafe\": a stalled server "
		    "can destroy the file system");
	else /* it is not run: it might do what it says */
		result(f, FENCE_CONFIRMED, "configured; not tried");
	return end_soon(f);
}

void
fence_cancel(struct fence *f)
{
	if (f->run == NULL)
		return;
	f->runner.cancel(f->runner.runner, f->run);
	f->run = NULL;
	result(f, FENCE_FAILED, "cancelled");
	end_soon(f);
}
