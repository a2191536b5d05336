/*
 * RPC message headers. See hanfs/rpc.h. Owns nothing; no I/O.
 */
#include <stdio.h>

#include "hanfs/rpc.h"

enum { MSG_CALL = 0, MSG_REPLY = 1 };
enum { REPLY_ACCEPTED = 0, REPLY_DENIED = 1 };

static bool
take_auth(struct cursor *c, uint32_t *flavor, const uint8_t **body,
    uint32_t *len)
{
	return cursor_u32(c, flavor) &&
	    cursor_opaque(c, RPC_AUTH_MAX, body, len);
}

/* AUTH_SYS: stamp, machine name<255>, uid, gid, gids<16>; RFC 5531, app. A */
static bool
auth_sys_valid(const uint8_t *body, uint32_t len)
{
	struct cursor c = cursor_make(body, len);
	const uint8_t *name;
	uint32_t stamp, name_len, uid, gid, ngids;

	return cursor_u32(&c, &stamp) &&
	    cursor_opaque(&c, 255, &name, &name_len) && cursor_u32(&c, &uid) &&
	    cursor_u32(&c, &gid) && cursor_u32(&c, &ngids) && ngids <= 16 &&
	    c.left == (size_t)ngids * 4;
}

enum rpc_parse
rpc_call_parse(const void *buf, size_t len, struct rpc_call *call)
{
	struct cursor c = cursor_make(buf, len);
	uint32_t type, rpcvers;

	if (!cursor_u32(&c, &call->xid) || !cursor_u32(&c, &type))
		return RPC_PARSE_SHORT;
	if (type != MSG_CALL)
		return RPC_PARSE_NOT_CALL;
	if (!cursor_u32(&c, &rpcvers))
		return RPC_PARSE_SHORT;
	if (rpcvers != 2)
		return RPC_PARSE_RPCVERS;
	if (!cursor_u32(&c, &call->prog) || !cursor_u32(&c, &call->vers) ||
	    !cursor_u32(&c, &call->proc))
		return RPC_PARSE_SHORT;
	if (!take_auth(&c, &call->cred_flavor, &call->cred, &call->cred_len) ||
	    !take_auth(&c, &call->verf_flavor, &call->verf, &call->verf_len))
		return RPC_PARSE_BADCRED;
	if (call->cred_flavor == RPC_AUTH_SYS &&
	    !auth_sys_valid(call->cred, call->cred_len))
		return RPC_PARSE_BADCRED;
	call->args = c;
	return RPC_PARSE_OK;
}

int
rpc_reply_parse(const void *buf, size_t len, struct rpc_reply *reply)
{
	struct cursor c = cursor_make(buf, len);
	const uint8_t *verf;
	uint32_t type, flavor, verf_len;

	if (!cursor_u32(&c, &reply->xid) || !cursor_u32(&c, &type) ||
	    type != MSG_REPLY || !cursor_u32(&c, &reply->reply_stat))
		return -1;
	reply->accept_stat = 0;
	if (reply->reply_stat == REPLY_ACCEPTED &&
	    (!take_auth(&c, &flavor, &verf, &verf_len) ||
		!cursor_u32(&c, &reply->accept_stat)))
		return -1;
	reply->results = c;
	return reply->reply_stat <= REPLY_DENIED ? 0 : -1;
}

static uint8_t *
put32(uint8_t *p, uint32_t v)
{
	be32_put(p, v);
	return p + 4;
}

size_t
rpc_answer_write(void *buf, uint32_t xid, enum rpc_answer what, uint32_t low,
    uint32_t high)
{
	/* accept_stat: SUCCESS 0, PROG_UNAVAIL 1, PROG_MISMATCH 2,
	 * PROC_UNAVAIL 3, GARBAGE_ARGS 4, SYSTEM_ERR 5 */
	uint8_t *p = buf;

	p = put32(p, xid);
	p = put32(p, MSG_REPLY);
	if (what <= RPC_ANSWER_SYSTEM_ERR) {
		p = put32(p, REPLY_ACCEPTED);
		p = put32(p, RPC_AUTH_NONE);
		p = put32(p, 0);
		p = put32(p, (uint32_t)what);
		if (what == RPC_ANSWER_PROG_MISMATCH) {
			p = put32(p, low);
			p = put32(p, high);
		}
	} else if (what == RPC_ANSWER_RPC_MISMATCH) {
		p = put32(p, REPLY_DENIED);
		p = put32(p, 0);
		p = put32(p, 2);
		p = put32(p, 2);
	} else {
		p = put32(p, REPLY_DENIED);
		p = put32(p, 1);
		/* auth_stat: AUTH_BADCRED 1, AUTH_TOOWEAK 5 */
		p = put32(p, what == RPC_ANSWER_AUTH_BADCRED ? 1 : 5);
	}
	return (size_t)(p - (uint8_t *)buf);
}

size_t
rpc_call_write(void *buf, uint32_t xid, uint32_t prog, uint32_t vers,
    uint32_t proc)
{
	uint8_t *p = buf;

	p = put32(p, xid);
	p = put32(p, MSG_CALL);
	p = put32(p, 2);
	p = put32(p, prog);
	p = put32(p, vers);
	p = put32(p, proc);
	p = put32(p, RPC_AUTH_NONE);
	p = put32(p, 0);
	p = put32(p, RPC_AUTH_NONE);
	p = put32(p, 0);
	return (size_t)(p - (uint8_t *)buf);
}

const char *
rpc_program_name(uint32_t prog)
{
	static _Thread_local char number[32];

	switch (prog) {
	case RPC_PROG_PORTMAP:
		return "portmap";
	case RPC_PROG_NFS:
		return "NFS";
	case RPC_PROG_MOUNT:
		return "MOUNT";
	case RPC_PROG_NLM:
		return "NLM";
	case RPC_PROG_NSM:
		return "NSM";
	case RPC_PROG_NFSACL:
		return "NFSACL";
	}
	snprintf(number, sizeof(number), "program %u", prog);
	return number;
}
