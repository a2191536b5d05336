/*
 * Call identity and the first look at a call. See hanfs/callid.h. Pure.
 */
#include <assert.h>
#include <sodium.h>

#include "hanfs/callid.h"

bool
call_id_equal(const struct call_id *a, const struct call_id *b)
{
	return a->xid == b->xid && a->proc == b->proc && a->prog == b->prog &&
	    memcmp(&a->digest, &b->digest, sizeof(a->digest)) == 0;
}

uint64_t
call_id_hash(const struct call_id *id)
{
	uint64_t h;

	memcpy(&h, id->digest.b, sizeof(h));
	return (h ^ id->xid) * 0x9e3779b97f4a7c15u;
}

static void
digest(const uint8_t client[CLIENT_ID_LEN], const uint8_t *p, size_t len,
    struct call_digest *out)
{
	_Static_assert(crypto_shorthash_siphashx24_KEYBYTES == CLIENT_ID_LEN,
	    "the client id is the key");
	crypto_shorthash_siphashx24(out->b, p, len, client);
}

static enum call_verdict
look_nfs(struct call_info *info, size_t args_len, enum rpc_answer *answer,
    uint32_t *low, uint32_t *high)
{
	if (info->rpc.vers != 3) {
		*answer = RPC_ANSWER_PROG_MISMATCH;
		*low = *high = 3;
		return CALL_ANSWER;
	}
	if (info->rpc.proc >= NFS3_NPROC) {
		*answer = RPC_ANSWER_PROC_UNAVAIL;
		return CALL_ANSWER;
	}
	if (args_len > UINT32_MAX ||
	    nfs3_args_parse(info->rpc.proc, info->rpc.args, (uint32_t)args_len,
		&info->nfs) == -1) {
		*answer = RPC_ANSWER_GARBAGE_ARGS;
		return CALL_ANSWER;
	}
	info->class = nfs3_class(info->rpc.proc);
	info->reply_max = info->nfs.reply_max;
	return CALL_FORWARD;
}

static enum call_verdict
look_mount(struct call_info *info, size_t args_len, enum rpc_answer *answer,
    uint32_t *low, uint32_t *high)
{
	enum { MOUNT_NPROC = 6, MOUNT_ARGS_MAX = 4 + 1024 };

	if (info->rpc.vers != 3 && info->rpc.vers != 1) {
		*answer = RPC_ANSWER_PROG_MISMATCH;
		*low = 1;
		*high = 3;
		return CALL_ANSWER;
	}
	if (info->rpc.proc >= MOUNT_NPROC) {
		*answer = RPC_ANSWER_PROC_UNAVAIL;
		return CALL_ANSWER;
	}
	if (args_len > MOUNT_ARGS_MAX || args_len != info->rpc.args.left) {
		*answer = RPC_ANSWER_GARBAGE_ARGS;
		return CALL_ANSWER;
	}
	info->nfs.identity_len = (uint32_t)args_len;
	info->class = CALL_PASSED;
	info->reply_max = 64 * 1024;
	return CALL_FORWARD;
}

/*
 * RPCSEC_GSS (RFC 2203, section 5): context set-up, and bodies that are
 * wrapped for integrity or privacy, cannot be read. A GSS sequence number
 * cannot be replayed to another server either: the client sends anew by
 * itself. Such calls pass as they are: at least once.
 */
static bool
is_wrapped(const struct rpc_call *rpc)
{
	struct cursor c = cursor_make(rpc->cred, rpc->cred_len);
	uint32_t version, proc, seq, service;

	if (rpc->cred_flavor != RPC_AUTH_GSS)
		return false;
	if (!cursor_u32(&c, &version) || !cursor_u32(&c, &proc) ||
	    !cursor_u32(&c, &seq) || !cursor_u32(&c, &service))
		return true;
	return version != 1 || proc != 0 || service != 1;
}

static enum call_verdict
look_wrapped(struct call_info *info)
{
	enum { LOOKED_AT = 256, ANY_REPLY = 64 * 1024 };
	size_t n = info->rpc.args.left;

	info->nfs.identity_len = (uint32_t)(n < LOOKED_AT ? n : LOOKED_AT);
	info->class = CALL_PASSED;
	info->reply_max = ANY_REPLY;
	return CALL_FORWARD;
}

enum call_verdict
call_look(const uint8_t client[CLIENT_ID_LEN], const uint8_t *head,
    size_t head_len, size_t len, struct call_info *info,
    enum rpc_answer *answer, uint32_t *low, uint32_t *high)
{
	enum call_verdict v;
	const uint8_t *args;
	size_t args_len;

	assert(head_len == len || head_len >= CALL_HEAD_MIN);
	memset(info, 0, sizeof(*info));
	switch (rpc_call_parse(head, head_len, &info->rpc)) {
	case RPC_PARSE_OK:
		break;
	case RPC_PARSE_RPCVERS:
		*answer = RPC_ANSWER_RPC_MISMATCH;
		return CALL_ANSWER;
	case RPC_PARSE_BADCRED:
		*answer = RPC_ANSWER_AUTH_BADCRED;
		return CALL_ANSWER;
	case RPC_PARSE_SHORT:
	case RPC_PARSE_NOT_CALL:
		return CALL_DROP;
	}
	args = info->rpc.args.p;
	args_len = len - (size_t)(args - head);
	if ((info->rpc.prog == RPC_PROG_NFS ||
		info->rpc.prog == RPC_PROG_MOUNT) && is_wrapped(&info->rpc))
		v = look_wrapped(info);
	else if (info->rpc.prog == RPC_PROG_NFS)
		v = look_nfs(info, args_len, answer, low, high);
	else if (info->rpc.prog == RPC_PROG_MOUNT)
		v = look_mount(info, args_len, answer, low, high);
	else {
		*answer = RPC_ANSWER_PROG_UNAVAIL;
		v = CALL_ANSWER;
	}
	if (v != CALL_FORWARD)
		return v;
	info->id.xid = info->rpc.xid;
	info->id.prog = info->rpc.prog;
	info->id.proc = info->rpc.proc;
	digest(client, args, info->nfs.identity_len, &info->id.digest);
	return CALL_FORWARD;
}
