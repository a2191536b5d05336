/*
 * fence: the contract is in fence.h. What needs no tool that knows disks:
 * the command, and the methods that wait for time.
 */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/clock.h"
#include "server-agent/fence.h"

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
	struct fence_runner runner;
	struct event soon; /* the outcome is told from the event loop */
	bool busy;
	void *run; /* a tool that runs */
	fence_done_fn *done;
	void *arg;
	struct fence_outcome outcome;
};

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

struct fence *
fence_new(struct event_base *base, const struct config *cfg, unsigned volume,
    unsigned self, const struct fence_runner *runner)
{
	struct fence *f = calloc(1, sizeof(*f));

	(void)self;
	if (f == NULL)
		return NULL;
	f->cfg = cfg;
	f->v = &cfg->volumes[volume];
	f->runner = *runner;
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

static bool
begin(struct fence *f, fence_done_fn *done, void *arg)
{
	if (f->busy)
		return false;
	f->busy = true;
	f->done = done;
	f->arg = arg;
	memset(&f->outcome, 0, sizeof(f->outcome));
	f->outcome.began_ms = clock_now_ms();
	return true;
}

static bool
end_soon(struct fence *f, enum fence_result result,
    enum lease_evidence evidence, const char *text)
{
	f->outcome.result = result;
	f->outcome.evidence = evidence;
	snprintf(f->outcome.text, sizeof(f->outcome.text), "%s", text);
	event_active(&f->soon, EV_TIMEOUT, 1);
	return true;
}

/* --- the command */

static void
on_ran(void *arg, const struct fence_ran *ran)
{
	struct fence *f = arg;
	struct fence_outcome *o = &f->outcome;

	f->run = NULL;
	if (ran->timed_out) {
		o->result = FENCE_TIMEOUT;
		snprintf(o->text, sizeof(o->text),
		    "fence_command was killed: it took longer than fence_ms "
		    "allows");
	} else if (ran->status == 0) {
		o->result = FENCE_CONFIRMED;
		o->evidence = LEASE_FENCED;
		snprintf(o->text, sizeof(o->text),
		    "fence_command says that "
		    "it is off");
	} else {
		o->result = FENCE_FAILED;
		snprintf(o->text, sizeof(o->text),
		    "fence_command: status %d: %.200s; nobody takes over "
		    "before it says that the server is off",
		    ran->status, ran->err);
	}
	tell(f);
}

static void
list_addresses(const struct config_server *s, char *buf, size_t size)
{
	size_t at = (size_t)snprintf(buf, size, "HANFS_PEER_ADDRESSES=");

	for (unsigned i = 0; i < s->naddrs && at < size; i++) {
		struct hanfs_addr addr = s->addrs[i].addr;
		char text[ADDR_TEXT_SIZE];

		addr.port = 0;
		at += (size_t)snprintf(buf + at, size - at, "%s%s",
		    i > 0 ? " " : "", addr_format(&addr, text, sizeof(text)));
	}
}

static bool
run_command(struct fence *f, unsigned server, uint64_t epoch)
{
	const struct config_server *s = &f->cfg->servers[server];
	char peer[CONFIG_NAME_MAX + 16], held[40];
	char addresses[32 + CONFIG_ADDRS_MAX * ADDR_TEXT_SIZE];
	const char *env[] = {peer, held, addresses, NULL};

	f->outcome.server_id = s->id;
	f->outcome.epoch = epoch;
	snprintf(peer, sizeof(peer), "HANFS_PEER=%s", s->name);
	snprintf(
	    held, sizeof(held), "HANFS_EPOCH=%llu", (unsigned long long)epoch);
	list_addresses(s, addresses, sizeof(addresses));
	f->run = f->runner.start(f->runner.runner, f->v->storage.fence_command,
	    env, (uint32_t)f->v->storage.fence_ms, on_ran, f);
	if (f->run == NULL)
		return end_soon(
		    f, FENCE_FAILED, LEASE_NO_EVIDENCE, strerror(errno));
	return true;
}

/* --- the interface */

bool
fence_peer(struct fence *f, unsigned server, uint64_t epoch,
    fence_done_fn *done, void *arg)
{
	if (!begin(f, done, arg))
		return false;
	switch (f->v->storage.fence) {
	case CONFIG_FENCE_COMMAND:
		return run_command(f, server, epoch);
	case CONFIG_FENCE_WATCHDOG:
		return end_soon(f, FENCE_BY_TIME, LEASE_WATCHDOG,
		    "its watchdog is waited for");
	case CONFIG_FENCE_LEASE_ONLY:
		return end_soon(f, FENCE_BY_TIME, LEASE_END,
		    "UNSAFE: the end of its lease is believed "
		    "(fence = \"lease-only-unsafe\")");
	case CONFIG_FENCE_NONE:
		return end_soon(f, FENCE_REFUSED, LEASE_NO_EVIDENCE,
		    "no fence is configured, and a silent server may still "
		    "write: configure fence (volume, storage)");
	default:
		return end_soon(f, FENCE_REFUSED, LEASE_NO_EVIDENCE,
		    "this fence is not supported here: use a fence_command");
	}
}

bool
fence_prepare(struct fence *f, uint64_t epoch, fence_done_fn *done, void *arg)
{
	(void)epoch;
	return begin(f, done, arg) &&
	       end_soon(f, FENCE_CONFIRMED, LEASE_NO_EVIDENCE,
		   "nothing is to be registered");
}

bool
fence_withdraw(struct fence *f, fence_done_fn *done, void *arg)
{
	return begin(f, done, arg) &&
	       end_soon(f, FENCE_CONFIRMED, LEASE_NO_EVIDENCE,
		   "nothing was registered");
}

void
fence_cancel(struct fence *f)
{
	if (f->run == NULL)
		return;
	f->runner.cancel(f->runner.runner, f->run);
	f->run = NULL;
	end_soon(f, FENCE_FAILED, LEASE_NO_EVIDENCE, "cancelled");
}
