/*
 * The agent program (lib/agent.x): takes its calls apart, asks the core,
 * puts the answers together. Nothing is allocated for a call: names and
 * XIDs are decoded into buffers that are here.
 */
#include <string.h>

#include "hanfs/log.h"
#include "hanfs/rpc.h"
#include "server-agent/agent.h"

/* The longest: HELLO with its XIDs. */
enum { CALL_MAX = 8192, REPLY_MAX = 512 };

_Static_assert(CALL_MAX >= RPC_CALL_HEADER_MAX + 512 + 4 * HANFS_XIDS_MAX,
    "the longest HELLO fits");
_Static_assert(HANFS_CLIENT_ID == CLIENT_ID_LEN, "one client id");
_Static_assert(HANFS_TOKEN == RELAY_TOKEN_LEN, "one token");

bool
proc_is_ours(struct rec *rec)
{
	const uint8_t *p = rec_head(rec);

	return rec->head_len >= 16 && be32_get(p + 4) == 0 &&
	       be32_get(p + 12) == HANFS_AGENT_PROGRAM;
}

/* --- replies */

static void
send_bytes(struct netconn *c, const void *p, size_t len)
{
	struct rec *rec = rec_from(c->a->calls, p, len);

	if (rec == NULL) {
		conn_end(c, "no memory for an answer");
		return;
	}
	conn_send(c, rec);
}

void
proc_send_answer(struct netconn *c, uint32_t xid, enum rpc_answer what)
{
	uint8_t buf[RPC_ANSWER_MAX];

	send_bytes(c, buf,
	    rpc_answer_write(buf, xid, what, HANFS_AGENT_V1, HANFS_AGENT_V1));
}

static void
send_result(struct netconn *c, uint32_t xid, xdrproc_t proc, void *result)
{
	uint8_t buf[REPLY_MAX];
	size_t head = rpc_answer_write(buf, xid, RPC_ANSWER_SUCCESS, 0, 0);
	XDR x;

	xdrmem_create(
	    &x, (char *)buf + head, (u_int)(sizeof(buf) - head), XDR_ENCODE);
	if (proc(&x, result))
		send_bytes(c, buf, head + xdr_getpos(&x));
	else
		proc_send_answer(c, xid, RPC_ANSWER_SYSTEM_ERR);
	xdr_destroy(&x);
}

/* Decodes all of the arguments; false: GARBAGE_ARGS. */
static bool
decode(struct cursor args, xdrproc_t proc, void *to)
{
	bool ok;
	XDR x;

	xdrmem_create(
	    &x, (char *)(uintptr_t)args.p, (u_int)args.left, XDR_DECODE);
	ok = proc(&x, to) && xdr_getpos(&x) == args.left;
	xdr_destroy(&x);
	return ok;
}

static void
take_speaker(struct relay_speaker *to, const hanfs_speaker *from)
{
	memcpy(to->client, from->client, sizeof(to->client));
	memcpy(to->token, from->token, sizeof(to->token));
	to->incarnation = from->incarnation;
}

/* A volume by name: its index if this server is a candidate, else -1. */
static int
find_volume(const struct agent *a, const char *name)
{
	int i = config_find_volume(a->cfg, name);

	return i >= 0 && a->volumes[i].here ? i : -1;
}

/* --- HELLO */

static void
send_hello(struct netconn *c, uint32_t xid, enum hanfs_status status,
    uint64_t highest, uint64_t floor)
{
	struct agent *a = c->a;
	hanfs_hello_res res = {.status = status,
	    .vers = HANFS_AGENT_V1,
	    .server = (char *)(uintptr_t)a->cfg->servers[a->server].name,
	    .boot = a->boot,
	    .epoch = c->volume >= 0 ? a->volumes[c->volume].epoch : 0,
	    .highest = highest,
	    .floor = floor,
	    .linger_ms = (u_int)a->cfg->agent.linger_ms};

	send_result(c, xid, (xdrproc_t)xdr_hanfs_hello_res, &res);
}

/* Changes of state; but whoever comes may come often. */
static struct log_limit hello_limit = LOG_LIMIT_INIT(100, 10000);

void
proc_hello_answer(struct netconn *c, const struct relay_hello_answer *ans)
{
	char peer[ADDR_TEXT_SIZE];

	c->hello_waits = false;
	if (ans->status != HANFS_OK)
		log_limited(&hello_limit, c->a->now_ms, LOG_LEVEL_INFO,
		    "%s: HELLO refused: %s",
		    addr_format(&c->peer, peer, sizeof(peer)),
		    proc_status_name(ans->status));
	else {
		stranger_known(c);
		flow_conn_volume(c, c->hello_volume);
	}
	send_hello(c, c->hello_xid, ans->status, ans->highest, ans->floor);
}

static void
log_hello(const struct netconn *c, const hanfs_hello_args *in)
{
	char peer[ADDR_TEXT_SIZE];
	const uint8_t *id = (const uint8_t *)in->who.client;

	if (in->kconn == 0)
		log_limited(&hello_limit, c->a->now_ms, LOG_LEVEL_INFO,
		    "%s: HELLO of client %02x%02x%02x%02x, control",
		    addr_format(&c->peer, peer, sizeof(peer)), id[0], id[1],
		    id[2], id[3]);
	else
		log_limited(&hello_limit, c->a->now_ms, LOG_LEVEL_INFO,
		    "%s: HELLO of client %02x%02x%02x%02x, volume %s, "
		    "kconn %llu, network %s, generation %llu",
		    addr_format(&c->peer, peer, sizeof(peer)), id[0], id[1],
		    id[2], id[3], in->volume, (unsigned long long)in->kconn,
		    in->network, (unsigned long long)in->generation);
}

static bool
do_hello(struct netconn *c, uint32_t xid, struct cursor args)
{
	struct agent *a = c->a;
	char cluster[HANFS_NAME_MAX + 1], volume[HANFS_NAME_MAX + 1];
	char network[HANFS_NAME_MAX + 1];
	u_int sent[HANFS_XIDS_MAX];
	hanfs_hello_args in = {
	    .cluster = cluster, .volume = volume, .network = network};
	struct relay_hello h = {.peer = &c->peer, .peer_len = sizeof(c->peer)};
	int net;

	in.sent.sent_val = sent;
	if (!decode(args, (xdrproc_t)xdr_hanfs_hello_args, &in))
		return false;
	if (c->hello_waits) {
		conn_end(c, "a second HELLO before the first was answered");
		return true;
	}
	log_hello(c, &in);
	take_speaker(&h.who, &in.who);
	h.volume = find_volume(a, volume);
	net = config_find_network(a->cfg, network);
	h.network = net >= 0 ? (unsigned)net : 0;
	h.kconn = in.kconn;
	h.generation = in.generation;
	h.resend = in.resend;
	h.sent = sent;
	h.nsent = in.sent.sent_len;
	if (in.version_min > HANFS_AGENT_V1 || in.version_max < HANFS_AGENT_V1)
		send_hello(c, xid, HANFS_BAD_VERSION, 0, 0);
	else if (strcmp(cluster, a->cfg->cluster) != 0)
		send_hello(c, xid, HANFS_WRONG_CLUSTER, 0, 0);
	else if (net < 0 && in.kconn != 0)
		send_hello(c, xid, HANFS_BAD_ARGUMENT, 0, 0);
	else {
		c->hello_waits = true;
		c->hello_xid = xid;
		c->hello_volume = h.volume;
		relay_hello(c->rc, &h, a->now_ms);
	}
	return true;
}

/* --- the others */

static bool
do_fence(struct netconn *c, uint32_t xid, struct cursor args)
{
	static struct log_limit fence_limit = LOG_LIMIT_INIT(100, 10000);
	char volume[HANFS_NAME_MAX + 1], network[HANFS_NAME_MAX + 1];
	hanfs_fence_args in = {.volume = volume, .network = network};
	hanfs_fence_res res = {.status = HANFS_BAD_ARGUMENT};
	struct relay_fence f;
	unsigned closed = 0;

	if (!decode(args, (xdrproc_t)xdr_hanfs_fence_args, &in))
		return false;
	take_speaker(&f.who, &in.who);
	f.volume = find_volume(c->a, volume);
	f.kconn = in.kconn;
	f.network = config_find_network(c->a->cfg, network);
	f.floor = in.floor;
	if (f.network >= 0 || network[0] == '\0')
		res.status = relay_fence(c->rc, &f, &closed, c->a->now_ms);
	res.closed = closed;
	log_limited(&fence_limit, c->a->now_ms, LOG_LEVEL_INFO,
	    "FENCE volume %s kconn %llu network %s floor %llu: %s, "
	    "%u closed",
	    volume, (unsigned long long)in.kconn,
	    network[0] != '\0' ? network : "all", (unsigned long long)in.floor,
	    proc_status_name(res.status), closed);
	/* They are closed before the answer leaves. */
	agent_act(c->a);
	if (c->s.fd != -1)
		send_result(c, xid, (xdrproc_t)xdr_hanfs_fence_res, &res);
	return true;
}

static bool
do_ack(struct netconn *c, uint32_t xid, struct cursor args)
{
	char volume[HANFS_NAME_MAX + 1];
	u_int xids[HANFS_XIDS_MAX];
	hanfs_ack_args in = {.volume = volume};
	hanfs_ack_res res;
	struct relay_speaker who;

	in.xids.xids_val = xids;
	if (!decode(args, (xdrproc_t)xdr_hanfs_ack_args, &in))
		return false;
	take_speaker(&who, &in.who);
	res.status = relay_ack(c->rc, &who, find_volume(c->a, volume), in.kconn,
	    xids, in.xids.xids_len, c->a->now_ms);
	send_result(c, xid, (xdrproc_t)xdr_hanfs_ack_res, &res);
	return true;
}

static bool
do_subscribe(struct netconn *c, uint32_t xid, struct cursor args)
{
	hanfs_subscribe_args in = {0};
	hanfs_subscribe_res res;
	struct relay_speaker who;
	struct hanfs_addr to = c->peer;

	if (!decode(args, (xdrproc_t)xdr_hanfs_subscribe_args, &in))
		return false;
	take_speaker(&who, &in.who);
	res.status = relay_speaker_check(c->rc, &who);
	if (res.status == HANFS_OK && (in.port == 0 || in.port > 65535))
		res.status = HANFS_BAD_ARGUMENT;
	/* Only to who asks: nobody is flooded on another's word. */
	to.port = (uint16_t)in.port;
	if (res.status == HANFS_OK)
		res.status = announce_to(c->a, &to, in.ttl_ms);
	send_result(c, xid, (xdrproc_t)xdr_hanfs_subscribe_res, &res);
	return true;
}

static bool
do_status(struct netconn *c, uint32_t xid, struct cursor args)
{
	struct agent *a = c->a;
	struct relay_counts n;
	hanfs_status_res res = {
	    .server = (char *)(uintptr_t)a->cfg->servers[a->server].name,
	    .boot = a->boot};

	if (args.left != 0)
		return false;
	relay_count(a->relay, &n);
	res.clients = n.clients;
	res.kconns = n.kconns;
	res.connections = n.conns;
	res.in_progress = n.in_progress;
	res.finished = n.kept;
	send_result(c, xid, (xdrproc_t)xdr_hanfs_status_res, &res);
	return true;
}

static void
dispatch(struct netconn *c, const struct rpc_call *call)
{
	bool ok = true;

	switch (call->proc) {
	case AGENT_NULL:
		ok = call->args.left == 0;
		if (ok)
			proc_send_answer(c, call->xid, RPC_ANSWER_SUCCESS);
		break;
	case AGENT_HELLO:
		ok = do_hello(c, call->xid, call->args);
		break;
	case AGENT_FENCE:
		ok = do_fence(c, call->xid, call->args);
		break;
	case AGENT_ACK:
		ok = do_ack(c, call->xid, call->args);
		break;
	case AGENT_SUBSCRIBE:
		ok = do_subscribe(c, call->xid, call->args);
		break;
	case AGENT_STATUS:
		ok = do_status(c, call->xid, call->args);
		break;
	case AGENT_FIT:
		ok = proc_fit(c, call->xid, call->args);
		break;
	default:
		proc_send_answer(c, call->xid, RPC_ANSWER_PROC_UNAVAIL);
		break;
	}
	if (!ok)
		proc_send_answer(c, call->xid, RPC_ANSWER_GARBAGE_ARGS);
}

void
proc_call(struct netconn *c, struct rec *rec)
{
	uint8_t buf[CALL_MAX];
	struct rpc_call call;
	size_t len = rec_copy_out(rec, 0, buf, sizeof(buf));
	uint32_t whole = rec->len;

	rec_unref(rec);
	switch (rpc_call_parse(buf, len, &call)) {
	case RPC_PARSE_OK:
		if (whole > len)
			proc_send_answer(c, call.xid, RPC_ANSWER_GARBAGE_ARGS);
		else if (call.vers != HANFS_AGENT_V1)
			proc_send_answer(c, call.xid, RPC_ANSWER_PROG_MISMATCH);
		else
			dispatch(c, &call);
		break;
	case RPC_PARSE_RPCVERS:
		proc_send_answer(c, call.xid, RPC_ANSWER_RPC_MISMATCH);
		break;
	case RPC_PARSE_BADCRED:
		proc_send_answer(c, call.xid, RPC_ANSWER_AUTH_BADCRED);
		break;
	case RPC_PARSE_SHORT:
	case RPC_PARSE_NOT_CALL:
		conn_end(c, "no call");
		break;
	}
}

const char *
proc_status_name(unsigned status)
{
	static const char *const names[] = {
	    [HANFS_OK] = "ok",
	    [HANFS_BAD_VERSION] = "no common version",
	    [HANFS_WRONG_CLUSTER] = "another cluster",
	    [HANFS_NO_VOLUME] = "no such volume here",
	    [HANFS_NOT_OWNER] = "another server owns the volume",
	    [HANFS_BAD_TOKEN] = "wrong token",
	    [HANFS_OLD_INCARNATION] = "a newer incarnation was here",
	    [HANFS_FENCED] = "generation fenced",
	    [HANFS_BACKEND_DOWN] = "backend not reached",
	    [HANFS_LIMIT] = "too many clients or connections",
	    [HANFS_BAD_ARGUMENT] = "bad argument",
	    [HANFS_NO_HELLO] = "no HELLO yet",
	};

	return status < sizeof(names) / sizeof(names[0]) ? names[status] : "?";
}
