/*
 * The agent program's calls and answers in XDR (lib/agent.x). The only file
 * of the proxy that knows its layout.
 */
#include <stdlib.h>
#include <string.h>

#include "agent_xdr.h"
#include "proxy.h"

enum { CALL_HEADER = 40, CALL_MAX = 8192 };

static void
fill_who(struct proxy *p, hanfs_speaker *who)
{
	_Static_assert(sizeof(who->client) == CLIENT_ID_LEN, "client id");
	memcpy(who->client, p->who.client, sizeof(who->client));
	memcpy(who->token, p->who.token, sizeof(who->token));
	who->incarnation = p->who.incarnation;
}

/* XDR encodes from a pointer to non-const, and changes nothing. */
static char *
name(const char *s)
{
	return (char *)(uintptr_t)s;
}

static struct rec *
make(struct proxy *p, uint32_t xid, uint32_t proc, xdrproc_t xdr, void *args)
{
	static char buf[CALL_MAX];
	size_t at = rpc_call_write(buf, xid, HANFS_AGENT_PROGRAM,
	    HANFS_AGENT_V1, proc);
	struct rec *r;
	XDR x;

	if (xdr != NULL) {
		xdrmem_create(&x, buf + at, (u_int)(sizeof(buf) - at),
		    XDR_ENCODE);
		if (!xdr(&x, args))
			return NULL;
		at += xdr_getpos(&x);
	}
	r = rec_new(p->replies);
	if (r != NULL && rec_append(r, buf, at) == -1) {
		rec_unref(r);
		return NULL;
	}
	return r;
}

struct sent {
	hanfs_hello_args *args;
	u_int xids[HANFS_XIDS_MAX];
};

/* What it may have seen before, or its predecessor: an agent whose entry for
 * such a call has expired must not run it again. */
static void
add_sent(struct call *c, void *arg)
{
	struct sent *s = arg;

	if (c->class != CALL_LOGGED || c->sends == 0)
		return;
	if (s->args->sent.sent_len < HANFS_XIDS_MAX)
		s->xids[s->args->sent.sent_len++] = c->id.xid;
	else
		s->args->resend = TRUE;
}

struct rec *
agent_hello(struct proxy *p, const struct upstream *up, uint32_t xid)
{
	hanfs_hello_args a = {0};
	struct sent sent = {.args = &a};

	a.version_min = a.version_max = HANFS_AGENT_V1;
	a.cluster = name(p->cfg->cluster);
	fill_who(p, &a.who);
	a.network = name(p->pxcfg.network[up->path % p->pxcfg.nnetworks]);
	a.volume = name("");
	if (up->u != NULL) {
		a.volume =
		    name(p->pxcfg.volume[up->u->kconn->volume].name);
		a.kconn = up->u->kconn->id;
		a.generation = up->u->generation;
		a.sent.sent_val = sent.xids;
		px_each_call(p->px, up->u->kconn, add_sent, &sent);
	}
	return make(p, xid, AGENT_HELLO, (xdrproc_t)xdr_hanfs_hello_args, &a);
}

static struct rec *
fence(struct proxy *p, const struct agent_call *c)
{
	hanfs_fence_args a = {0};

	fill_who(p, &a.who);
	a.volume = name(p->pxcfg.volume[c->volume].name);
	a.kconn = c->kconn_id;
	a.network = name(
	    c->network == PX_NONE ? "" : p->pxcfg.network[c->network]);
	a.floor = c->floor;
	return make(p, c->xid, AGENT_FENCE, (xdrproc_t)xdr_hanfs_fence_args,
	    &a);
}

static struct rec *
ack(struct proxy *p, const struct agent_call *c)
{
	hanfs_ack_args a = {0};

	fill_who(p, &a.who);
	a.volume = name(p->pxcfg.volume[c->volume].name);
	a.kconn = c->kconn_id;
	a.xids.xids_len = c->nxids;
	a.xids.xids_val = c->xids;
	return make(p, c->xid, AGENT_ACK, (xdrproc_t)xdr_hanfs_ack_args, &a);
}

static struct rec *
subscribe(struct proxy *p, const struct agent_call *c)
{
	enum { TTL_MS = 15000 };
	hanfs_subscribe_args a = {0};

	fill_who(p, &a.who);
	a.port = p->cfg->heartbeat_port;
	a.ttl_ms = TTL_MS;
	return make(p, c->xid, AGENT_SUBSCRIBE,
	    (xdrproc_t)xdr_hanfs_subscribe_args, &a);
}

struct rec *
agent_call_make(struct proxy *p, const struct agent_call *c)
{
	switch (c->proc) {
	case AGENT_PROC_NULL:
		return make(p, c->xid, AGENT_NULL, NULL, NULL);
	case AGENT_PROC_FENCE:
		return fence(p, c);
	case AGENT_PROC_ACK:
		return ack(p, c);
	case AGENT_PROC_SUBSCRIBE:
		return subscribe(p, c);
	}
	return NULL;
}

/* The results of an accepted call; false when it was not accepted. */
static bool
results(const struct rec *r, struct cursor *c)
{
	struct rpc_reply reply;

	if (r->len != r->head_len ||
	    rpc_reply_parse(r->raw + 4, r->head_len, &reply) == -1 ||
	    reply.reply_stat != 0 || reply.accept_stat != 0)
		return false;
	*c = reply.results;
	return true;
}

int
agent_hello_answer(const struct rec *r, struct hello_answer *out)
{
	hanfs_hello_res res = {0};
	struct cursor c;
	bool good;
	XDR x;

	if (!results(r, &c))
		return -1;
	xdrmem_create(&x, (char *)(uintptr_t)c.p, (u_int)c.left, XDR_DECODE);
	good = xdr_hanfs_hello_res(&x, &res);
	if (good)
		*out = (struct hello_answer){.status = res.status,
		    .boot = res.boot, .epoch = res.epoch,
		    .highest = res.highest, .floor = res.floor};
	xdr_free((xdrproc_t)xdr_hanfs_hello_res, (char *)&res);
	return good ? 0 : -1;
}

int
agent_status_answer(const struct rec *r)
{
	struct cursor c;
	uint32_t status;

	if (!results(r, &c) || !cursor_u32(&c, &status) || status > INT32_MAX)
		return -1;
	return (int)status;
}

const char *
agent_status_name(uint32_t status)
{
	static const char *const names[] = {
	    [HANFS_OK] = "accepted",
	    [HANFS_BAD_VERSION] = "no common protocol version",
	    [HANFS_WRONG_CLUSTER] = "another cluster",
	    [HANFS_NO_VOLUME] = "volume not known there",
	    [HANFS_NOT_OWNER] = "not the volume's owner",
	    [HANFS_BAD_TOKEN] = "wrong token: a copy of this client elsewhere?",
	    [HANFS_OLD_INCARNATION] = "a newer incarnation was there",
	    [HANFS_FENCED] = "fenced",
	    [HANFS_BACKEND_DOWN] = "the NFS server behind it is down",
	    [HANFS_LIMIT] = "too many clients or connections",
	    [HANFS_BAD_ARGUMENT] = "bad argument",
	    [HANFS_NO_HELLO] = "no HELLO yet",
	};

	if (status >= sizeof(names) / sizeof(names[0]))
		return "malformed or unknown answer";
	return names[status];
}

bool
agent_is_not_owner(uint32_t status)
{
	return status == HANFS_NOT_OWNER;
}
