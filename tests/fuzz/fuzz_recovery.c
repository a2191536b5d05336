/*
 * A logged call's arguments, its pre-state from the log and a server's
 * replies, all of any bytes: read whole or refused, judged without a look
 * beyond an end.
 *
 * Input: procedure, how much of the arguments is missing (4 * n), then
 * pieces, each with a length of one byte (times four): the arguments, the
 * pre-state, and replies for as long as there are queries.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "server-agent/logrec.h"
#include "server-agent/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cursor
piece(struct cursor *in)
{
	struct cursor none = cursor_make(in->p, 0), out;
	const uint8_t *len;

	if (!cursor_take(in, 1, &len))
		return none;
	if (!cursor_sub(in, (size_t)*len * 4, &out))
		(void)cursor_sub(in, in->left, &out);
	return out;
}

/* With a header before it, or else as it is. */
static size_t
reply(struct cursor *in, uint8_t buf[2048])
{
	struct cursor c = piece(in);
	size_t head = 0;

	if (c.left % 8 == 0)
		head = rpc_answer_write(buf, 1, RPC_ANSWER_SUCCESS, 0, 0);
	memcpy(buf + head, c.p, c.left);
	return head + c.left;
}

static bool
ask_all(struct cursor *in, const struct prestate_call *call,
    struct prestate *ps, bool now)
{
	struct prestate_query q[PRESTATE_QUERIES_MAX];
	uint8_t record[PRESTATE_QUERY_MAX], answer[2048];
	unsigned n;
	size_t len;

	prestate_begin(ps, call, now);
	while ((n = prestate_queries(ps, call, q)) > 0)
		for (unsigned i = 0; i < n; i++) {
			if (prestate_query_write(
				&q[i], call, 7, record, sizeof(record)) == 0)
				__builtin_trap();
			len = reply(in, answer);
			if (prestate_answer(ps, call, &q[i], answer, len) !=
			    PRESTATE_TAKEN)
				return false;
		}
	return true;
}

static void
judge(struct cursor *in, const struct prestate_call *call,
    const struct prestate *before)
{
	uint8_t buf[PRESTATE_QUERY_MAX], answer[2048];
	struct prestate now;
	struct verdict v;
	size_t len;

	if (!ask_all(in, call, &now, true))
		return;
	verdict_judge(&v, call, before, &now, NULL);
	if (v.kind == VERDICT_HALF) {
		if (verdict_finish_write(&v, call, 8, buf, sizeof(buf)) == 0)
			__builtin_trap();
		len = reply(in, answer);
		if (verdict_finished(&v, answer, len) != VERDICT_TAKEN ||
		    !ask_all(in, call, &now, true))
			return;
		verdict_settle(&v, call, &now);
	}
	if (v.kind == VERDICT_DONE &&
	    verdict_reply_write(&v, call, &now, buf, NFS3_REPLY_MAX) == 0)
		__builtin_trap();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t rest[LOGREC_REST_LEN] = "digest";
	struct cursor in = cursor_make(data, size), c;
	struct nfs3_bytes cred = {data, 0}, args;
	struct prestate_call call;
	struct prestate before, again;
	uint8_t buf[PRESTATE_BYTES_MAX];
	const uint8_t *head;
	size_t len;
	bool known;

	if (!cursor_take(&in, 2, &head))
		return 0;
	c = piece(&in);
	args = (struct nfs3_bytes){c.p, (uint32_t)c.left};
	if (prestate_call_parse(&call, 9, head[0], RPC_AUTH_NONE, &cred, &args,
		args.len + 4u * head[1], rest) == -1)
		return 0;
	c = piece(&in);
	known = prestate_decode(&before, c.p, c.left) == 0;
	if (!known && c.left == 0)
		known = ask_all(&in, &call, &before, false);
	if (known) {
		len = prestate_encode(&before, buf);
		if (prestate_decode(&again, buf, len) == -1)
			__builtin_trap();
	}
	judge(&in, &call, known ? &before : NULL);
	return 0;
}
