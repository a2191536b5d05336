/*
 * Calls that are here for long: what the oldest waits for is told, now and
 * then, so that a call that is never answered does not go unseen. What is
 * done about them is relay_link.c's. See relay.h.
 */
#include <stdio.h>

#include "hanfs/rpc.h"
#include "server-agent/relay_log.h"

const struct relay_entry *
entry_holder(const struct relay_entry *e)
{
	const struct key_req *holder;

	if (e->state != ENTRY_WAITING || e->keys.missing == 0)
		return NULL;
	holder = keys_holder(&e->keys);
	return holder != NULL ? holder->owner : NULL;
}

/* What is late on one volume. */
struct late {
	const struct relay_entry *oldest;
	const struct relay_conn *stalled; /* the one that waits longest */
	unsigned calls, conns;
};

static bool
is_late(uint64_t since_ms, uint64_t now_ms)
{
	return now_ms - since_ms >= RELAY_LATE_MS;
}

static void
look_link(const struct relay_link *l, struct late *late, uint64_t now_ms)
{
	const struct relay_entry *e;

	LIST_FOREACH(e, &l->calls, on_link) {
		/* Of those an operator hears elsewhere. */
		if (e->state == ENTRY_UNDECIDED ||
		    !is_late(e->since_ms, now_ms))
			continue;
		late->calls++;
		/* Newest first; many come in one millisecond. */
		if (late->oldest == NULL ||
		    e->since_ms <= late->oldest->since_ms)
			late->oldest = e;
	}
}

static const char *
call_name(const struct call_id *id)
{
	return id->prog == RPC_PROG_NFS && id->proc < NFS3_NPROC
		   ? nfs3_proc_names[id->proc]
		   : rpc_program_name(id->prog);
}

static const char *
stage(const struct relay_entry *e)
{
	return relay_stage_names[entry_stage(e)];
}

static void
tell_call(struct relay *r, const struct late *late, uint64_t now_ms)
{
	const struct relay_entry *e = late->oldest, *h = entry_holder(e);
	char name[9], other[9], holder[80] = "";

	if (h != NULL)
		snprintf(holder, sizeof(holder),
		    ", which %s xid %08x of client %s has: %s",
		    call_name(&h->id), h->id.xid,
		    relay_client_name(h->table->client, other), stage(h));
	relay_note(r,
	    "volume %u: %s xid %08x of client %s is here for %llu s: %s%s%s; "
	    "%u calls for so long",
	    e->table->volume, call_name(&e->id), e->id.xid,
	    relay_client_name(e->table->client, name),
	    (unsigned long long)(now_ms - e->since_ms) / 1000, stage(e), holder,
	    e->asker == NULL ? "; nobody asks for it now" : "", late->calls);
}

static void
tell_stalled(
    struct relay *r, unsigned volume, const struct late *late, uint64_t now_ms)
{
	const struct relay_conn *c = late->stalled;
	char name[9];

	relay_note(r,
	    "volume %u: calls of client %s have found no room for %llu s "
	    "(%s); %u connections are not read",
	    volume, relay_client_name(c->client, name),
	    (unsigned long long)(now_ms - c->stalled_ms) / 1000,
	    r->draining[volume] ? "the volume is handed over"
				: "slots of the log, or calls_per_client",
	    late->conns);
}

/* One line each, the first at once. */
static void
tell(struct relay *r, unsigned volume, const struct late *late, uint64_t now_ms)
{
	if ((late->oldest == NULL && late->stalled == NULL) ||
	    now_ms < r->late_ms[volume])
		return;
	r->late_ms[volume] = now_ms + RELAY_LATE_AGAIN_MS;
	if (late->oldest != NULL)
		tell_call(r, late, now_ms);
	if (late->stalled != NULL)
		tell_stalled(r, volume, late, now_ms);
}

void
calls_watch(struct relay *r, uint64_t now_ms)
{
	struct late late[RELAY_VOLUMES_MAX] = {{.calls = 0}};
	const struct relay_client *cl;
	const struct relay_kconn *k;
	const struct relay_conn *c;

	if (r->n.in_progress == 0 && TAILQ_EMPTY(&r->stalled))
		return;
	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(k, &cl->kconns, next)
			for (unsigned i = 0; i < RELAY_PROGRAMS; i++)
				look_link(
				    &k->links[i], &late[k->volume], now_ms);
	TAILQ_FOREACH(c, &r->stalled, on_stalled) {
		struct late *l = &late[c->kconn->volume];

		if (!is_late(c->stalled_ms, now_ms))
			continue;
		l->conns++;
		if (l->stalled == NULL ||
		    c->stalled_ms < l->stalled->stalled_ms)
			l->stalled = c;
	}
	for (unsigned i = 0; i < r->cfg.volumes; i++)
		tell(r, i, &late[i], now_ms);
}
