/*
 * Calls of our own on a path's control connection: probes, FENCE, ACK,
 * SUBSCRIBE, and what their answers say. The connection is upstream.c's.
 */
#include <errno.h>
#include <stdlib.h>

#include "hanfs/log.h"

#include "proxy.h"

static struct log_limit refuse_limit = LOG_LIMIT_INIT(5, 10000);

static struct agent_call *
call_by_xid(struct upstream *up, uint32_t xid)
{
	struct agent_call **at = &up->calls, *c;

	while ((c = *at) != NULL && c->xid != xid)
		at = &c->next;
	if (c == NULL)
		return NULL;
	*at = c->next;
	if (c->next == NULL)
		up->calls_last = at;
	up->ncalls--;
	return c;
}

static void
agent_call_free(struct agent_call *c)
{
	free(c->xids);
	free(c);
}

void
control_reply(struct upstream *up, struct rec *r, uint32_t xid)
{
	struct proxy *p = up->w.p;
	struct agent_call *c = call_by_xid(up, xid);
	int status;

	if (c == NULL) {
		p->count.unknown_replies++;
		return;
	}
	if (c->proc == AGENT_PROC_NULL) {
		px_probe_answered(p->px, up->path,
		    (uint32_t)(proxy_now_us(p) - c->sent_us), proxy_now(p));
		agent_call_free(c);
		return;
	}
	status = agent_status_answer(r);
	if (c->proc == AGENT_PROC_FENCE && status == 0)
		px_fence_done(p->px, up->path, c->volume, c->kconn_id,
		    c->network, c->floor, proxy_now(p));
	else if (status != 0)
		log_limited(&refuse_limit, proxy_now(p), LOG_LEVEL_WARN,
		    "path %s: agent refuses call %u: %s",
		    proxy_path_name(p, up->path), c->proc,
		    agent_status_name((uint32_t)status));
	/* It may know us by an older incarnation: HELLO sets that right. */
	if (status != 0 &&
	    (c->proc == AGENT_PROC_FENCE || c->proc == AGENT_PROC_ACK))
		upstream_lost(up, ECONNABORTED, NULL);
	if (status != 0 && c->nxids > 0)
		kernel_taken_again(p, c->kconn_id, c->xids, c->nxids);
	agent_call_free(c);
}

/* Queues a call of our own on the control connection of a path. */
static bool
ask(struct proxy *p, uint32_t path, struct agent_call *c)
{
	struct upstream *up = p->control[path];
	struct rec *r = NULL;

	if (up != NULL && up->state == UP_READY &&
	    up->ncalls < AGENT_CALLS_MAX)
		r = agent_call_make(p, c);
	if (r == NULL) {
		if (c->nxids > 0)
			kernel_taken_again(p, c->kconn_id, c->xids, c->nxids);
		if (up != NULL && c->proc == AGENT_PROC_FENCE)
			upstream_lost(up, ENOBUFS, NULL);
		agent_call_free(c);
		return false;
	}
	c->sent_us = proxy_now_us(p);
	*up->calls_last = c;
	up->calls_last = &c->next;
	up->ncalls++;
	wire_put(&up->w, r);
	rec_unref(r);
	return true;
}

static struct agent_call *
agent_call_new(struct proxy *p, uint32_t proc)
{
	struct agent_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->xid = ++p->xids;
	c->proc = proc;
	return c;
}

void
upstream_probe(struct proxy *p, uint32_t path)
{
	struct agent_call *c = agent_call_new(p, AGENT_PROC_NULL);

	if (c != NULL)
		ask(p, path, c);
}

void
upstream_subscribe(struct proxy *p, uint32_t path)
{
	struct agent_call *c = agent_call_new(p, AGENT_PROC_SUBSCRIBE);

	if (c != NULL)
		ask(p, path, c);
}

void
upstream_fence(struct proxy *p, const struct px_action *a)
{
	struct agent_call *c = agent_call_new(p, AGENT_PROC_FENCE);

	if (c == NULL)
		return;
	c->volume = a->volume;
	c->network = a->network;
	c->kconn_id = a->kconn_id;
	c->floor = a->floor;
	ask(p, a->path, c);
}

bool
upstream_ack(struct proxy *p, uint32_t path, uint32_t volume,
    uint64_t kconn_id, uint32_t *xids, uint32_t n)
{
	struct agent_call *c = agent_call_new(p, AGENT_PROC_ACK);

	if (c == NULL) {
		kernel_taken_again(p, kconn_id, xids, n);
		free(xids);
		return false;
	}
	c->volume = volume;
	c->kconn_id = kconn_id;
	c->xids = xids;
	c->nxids = n;
	return ask(p, path, c);
}

void
control_end(struct upstream *up)
{
	struct proxy *p = up->w.p;
	struct agent_call *c;

	while ((c = up->calls) != NULL) {
		up->calls = c->next;
		if (c->nxids > 0)
			kernel_taken_again(p, c->kconn_id, c->xids, c->nxids);
		agent_call_free(c);
	}
}
