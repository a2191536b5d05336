/*
 * Calls that have no reply for long: which is the oldest, what it waits for,
 * when that is told; and one that was sent and is not answered, though its
 * agent answers other things, is sent again over a new connection. Pure.
 *
 * Nothing here should ever be needed: a call waits for an event that somebody
 * is to bring about. It is the net below that, for what a bug or a backend
 * has lost on the way; the agent's table makes it harmless.
 */
#include <stdio.h>

#include "core_int.h"

/* An agent that answered so lately is there, and not only its kernel. */
enum { ANSWERS_MS = 5000, AGAIN_TIMES = 3 };

static void
older(const struct call *c, struct px_oldest *o, uint64_t late_born_ms)
{
	if (o->call == NULL || c->born_ms < o->call->born_ms)
		o->call = c;
	o->n++;
	o->late += c->born_ms <= late_born_ms;
}

void
px_oldest(
    const struct px *px, uint32_t volume, struct px_oldest *o, uint64_t now_ms)
{
	uint64_t late_ms = now_ms > PX_LATE_MS ? now_ms - PX_LATE_MS : 0;
	const struct call *c;

	*o = (struct px_oldest){.call = NULL};
	for (const struct kconn *k = px->kconns; k != NULL; k = k->next) {
		if (k->volume != volume)
			continue;
		for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
			for (c = k->u[n].calls.first; c != NULL; c = c->next)
				older(c, o, late_ms);
		for (c = k->held.first; c != NULL; c = c->next)
			older(c, o, late_ms);
	}
}

/* --- what it waits for */

static const char *
held_for(const struct px *px, const struct call *c, uint64_t now_ms)
{
	const struct kconn *k = c->kconn;
	const struct px_volume *v = &px->volume[k->volume];
	bool ready = false;

	if (px_owner_away(px, k->volume, now_ms))
		return "a server that serves the volume";
	if (v->best == PX_NONE)
		return "a path that is up";
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
		ready = ready || k->u[n].state == UCONN_READY;
	if (!ready)
		return "a connection that the agent accepts";
	if (c->sends > 0 && c->class != CALL_PASSED && v->retired > 0)
		return "the FENCE of a connection that has ended";
	if (px_fence_missing(px, c))
		return "a FENCE";
	return "its turn, after calls that are sent again";
}

size_t
px_waits_for(const struct px *px, const struct call *c, uint64_t now_ms,
    char *buf, size_t size)
{
	int n;

	if (c->state == CALL_SENT)
		n = snprintf(buf, size,
		    "a reply of %s over %s for %llu ms, that path is %s",
		    px->cfg.server[c->sent_server], px->cfg.network[c->network],
		    (unsigned long long)(now_ms - c->sent_ms),
		    path_state_names[px->path[px_owner_path(
						  px, c->kconn, c->network)]
					 .state]);
	else
		n = snprintf(buf, size, "%s", held_for(px, c, now_ms));
	return n < 0 ? 0 : (size_t)n;
}

const char *
px_call_name(const struct call *c)
{
	return c->id.prog == RPC_PROG_NFS && c->id.proc < NFS3_NPROC
		   ? nfs3_proc_names[c->id.proc]
		   : rpc_program_name(c->id.prog);
}

/* --- it is told */

static void
tell(struct px *px, uint32_t volume, const struct px_oldest *o, uint64_t now_ms)
{
	const struct call *c = o->call;
	char what[120];

	px_waits_for(px, c, now_ms, what, sizeof(what));
	px_explain(px, PX_EV_LATE, volume,
	    c->state == CALL_SENT ? px_owner_path(px, c->kconn, c->network)
				  : PX_NONE,
	    now_ms,
	    "volume %s: %s xid %08x has no reply for %llu s, sent %u times; "
	    "it waits for %s; %u wait so long",
	    px->cfg.volume[volume].name, px_call_name(c), c->id.xid,
	    (unsigned long long)(now_ms - c->born_ms) / 1000, c->sends, what,
	    o->late);
}

static void
look_volume(struct px *px, uint32_t volume, uint64_t now_ms)
{
	struct px_volume *v = &px->volume[volume];
	struct px_oldest o;

	px_oldest(px, volume, &o, now_ms);
	if (o.late > 0 && now_ms >= v->late_ms) {
		tell(px, volume, &o, now_ms);
		v->late_ms = now_ms + PX_LATE_AGAIN_MS;
		v->late = true;
	} else if (o.late == 0 && v->late) {
		v->late = false;
		px_explain(px, PX_EV_LATE, volume, PX_NONE, now_ms,
		    "volume %s: no call waits for long any more",
		    px->cfg.volume[volume].name);
	}
}

/* --- and sent again */

/* Is there one that should have had its reply? A backend may be slow: each
 * time it is waited for twice as long. */
static const struct call *
unanswered(const struct px *px, const struct uconn *u, uint64_t now_ms)
{
	const struct call *c = u->calls.first; /* the one sent first */

	if (c == NULL || px->cfg.resend_ms == 0 ||
	    now_ms - c->sent_ms < px->cfg.resend_ms)
		return NULL;
	for (; c != NULL; c = c->next) {
		uint32_t times =
		    c->sends - 1 < AGAIN_TIMES ? c->sends - 1 : AGAIN_TIMES;

		if (now_ms - c->sent_ms >= (uint64_t)px->cfg.resend_ms << times)
			return c;
	}
	return NULL;
}

/* A stopped agent has the calls in its socket, and will answer. */
static bool
agent_answers(const struct px *px, const struct uconn *u, uint64_t now_ms)
{
	uint32_t path = px_owner_path(px, u->kconn, u->network);
	const struct path *p = &px->path[path];
	uint64_t last =
	    u->heard_ms > p->answered_ms ? u->heard_ms : p->answered_ms;

	return p->state == PATH_UP && px->control[path].state == UCONN_READY &&
	       now_ms - last < ANSWERS_MS;
}

static void
look_conn(struct px *px, struct uconn *u, uint64_t now_ms)
{
	const struct kconn *k = u->kconn;
	const struct call *c = unanswered(px, u, now_ms);

	if (u->state != UCONN_READY || c == NULL ||
	    !agent_answers(px, u, now_ms))
		return;
	px->count.resent++;
	px_explain(px, PX_EV_LATE, k->volume, px_owner_path(px, k, u->network),
	    now_ms,
	    "volume %s: %s xid %08x has no reply %llu s after it was sent "
	    "over %s, though the agent of %s answers: all %u calls there are "
	    "sent again over a new connection",
	    px->cfg.volume[k->volume].name, px_call_name(c), c->id.xid,
	    (unsigned long long)(now_ms - c->sent_ms) / 1000,
	    px->cfg.network[u->network], px->cfg.server[c->sent_server],
	    u->calls.n);
	/* The agent has them all: to pace them would hold up others. */
	u->kconn->replay_limit += u->calls.n;
	px_conn_drop(px, u, true, now_ms);
}

void
px_late(struct px *px, uint64_t now_ms)
{
	for (struct kconn *k = px->kconns; k != NULL; k = k->next)
		if (k->held.first != NULL && k->replaying >= k->replay_limit)
			px_pump(px, k, now_ms); /* some may be slow by now */
	if (now_ms < px->late_look_ms)
		return;
	px->late_look_ms = now_ms + PX_LATE_LOOK_MS;
	for (uint32_t i = 0; i < px->cfg.nvolumes; i++)
		look_volume(px, i, now_ms);
	for (struct kconn *k = px->kconns; k != NULL; k = k->next) {
		for (uint32_t n = 0; n < px->cfg.nnetworks; n++)
			look_conn(px, &k->u[n], now_ms);
		px_pump(px, k, now_ms); /* another network may take them */
	}
}
