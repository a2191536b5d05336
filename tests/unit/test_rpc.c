/*
 * RPC headers against RFC 5531, section 9: what is built byte by byte is
 * read as it was meant, every prefix of it is refused, and the answers of
 * the RPC layer have the form that the RFC draws.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/nfscall.h"
#include "hanfs/rpc.h"

static void
call_header(void **state)
{
	struct bytes b = {.len = 0};
	struct rpc_call call;

	(void)state;
	put_call(&b, 0x01020304, RPC_PROG_NFS, 3, 7, 501);
	put32(&b, 0xabad1dea);
	assert_int_equal(rpc_call_parse(b.p, b.len, &call), RPC_PARSE_OK);
	assert_int_equal(call.xid, 0x01020304);
	assert_int_equal(call.prog, RPC_PROG_NFS);
	assert_int_equal(call.vers, 3);
	assert_int_equal(call.proc, 7);
	assert_int_equal(call.cred_flavor, RPC_AUTH_SYS);
	assert_int_equal(be32_get(call.cred + 12), 501);
	assert_int_equal(call.verf_flavor, RPC_AUTH_NONE);
	assert_int_equal(call.verf_len, 0);
	assert_int_equal(call.args.left, 4);
	assert_int_equal(be32_get(call.args.p), 0xabad1dea);
}

static void
every_prefix_is_refused(void **state)
{
	struct bytes b = {.len = 0};
	struct rpc_call call;

	(void)state;
	put_call(&b, 9, RPC_PROG_NFS, 3, 0, 0);
	for (size_t n = 0; n < b.len; n++) {
		/* A copy of that length: reading on would be noticed. */
		uint8_t *p = malloc(n + 1);

		memcpy(p, b.p, n);
		assert_int_not_equal(rpc_call_parse(p, n, &call), RPC_PARSE_OK);
		if (n < 24)
			assert_int_equal(
			    rpc_call_parse(p, n, &call), RPC_PARSE_SHORT);
		free(p);
	}
	assert_int_equal(rpc_call_parse(b.p, b.len, &call), RPC_PARSE_OK);
}

static void
what_is_no_call(void **state)
{
	struct bytes b = {.len = 0};
	struct rpc_call call;

	(void)state;
	put_call(&b, 9, RPC_PROG_NFS, 3, 0, 0);
	be32_put(b.p + 4, 1);
	assert_int_equal(rpc_call_parse(b.p, b.len, &call), RPC_PARSE_NOT_CALL);
	be32_put(b.p + 4, 2);
	assert_int_equal(rpc_call_parse(b.p, b.len, &call), RPC_PARSE_NOT_CALL);
	be32_put(b.p + 4, 0);
	be32_put(b.p + 8, 3);
	assert_int_equal(rpc_call_parse(b.p, b.len, &call), RPC_PARSE_RPCVERS);
	assert_int_equal(call.xid, 9);
}

static enum rpc_parse
with_cred(uint32_t flavor, const struct bytes *cred)
{
	struct bytes b = {.len = 0};
	struct rpc_call call;

	put32(&b, 77);
	put32(&b, 0);
	put32(&b, 2);
	put32(&b, RPC_PROG_NFS);
	put32(&b, 3);
	put32(&b, 0);
	put32(&b, flavor);
	put_opaque(&b, cred->p, cred->len);
	put32(&b, 0);
	put32(&b, 0);
	return rpc_call_parse(b.p, b.len, &call);
}

static void
auth_sys(struct bytes *c, size_t name, uint32_t says, uint32_t gids)
{
	static const char letters[300];

	c->len = 0;
	put32(c, 1);
	put_opaque(c, letters, name);
	put32(c, 0);
	put32(c, 0);
	put32(c, says);
	for (uint32_t i = 0; i < gids; i++)
		put32(c, i);
}

static void
credentials(void **state)
{
	struct bytes c;

	(void)state;
	auth_sys(&c, 255, 16, 16);
	assert_int_equal(with_cred(RPC_AUTH_SYS, &c), RPC_PARSE_OK);
	auth_sys(&c, 0, 0, 0);
	assert_int_equal(with_cred(RPC_AUTH_SYS, &c), RPC_PARSE_OK);
	auth_sys(&c, 256, 0, 0); /* name too long */
	assert_int_equal(with_cred(RPC_AUTH_SYS, &c), RPC_PARSE_BADCRED);
	auth_sys(&c, 4, 17, 17); /* too many groups */
	assert_int_equal(with_cred(RPC_AUTH_SYS, &c), RPC_PARSE_BADCRED);
	auth_sys(&c, 4, 2, 3); /* more than it says */
	assert_int_equal(with_cred(RPC_AUTH_SYS, &c), RPC_PARSE_BADCRED);
	auth_sys(&c, 4, 3, 2);
	assert_int_equal(with_cred(RPC_AUTH_SYS, &c), RPC_PARSE_BADCRED);
	auth_sys(&c, 4, 0x40000000, 0);
	assert_int_equal(with_cred(RPC_AUTH_SYS, &c), RPC_PARSE_BADCRED);
	/* Another flavour's body is its own business, but not its length. */
	c.len = 0;
	for (unsigned i = 0; i < RPC_AUTH_MAX / 4; i++)
		put32(&c, i);
	assert_int_equal(with_cred(RPC_AUTH_GSS, &c), RPC_PARSE_OK);
	put32(&c, 0);
	assert_int_equal(with_cred(RPC_AUTH_GSS, &c), RPC_PARSE_BADCRED);
}

static void
replies(void **state)
{
	struct bytes b = {.len = 0};
	struct rpc_reply r;

	(void)state;
	put_reply(&b, 5, 8);
	assert_int_equal(rpc_reply_parse(b.p, b.len, &r), 0);
	assert_int_equal(r.xid, 5);
	assert_int_equal(r.reply_stat, 0);
	assert_int_equal(r.accept_stat, 0);
	assert_int_equal(r.results.left, 8);
	for (size_t n = 0; n < 24; n++)
		assert_int_equal(rpc_reply_parse(b.p, n, &r), -1);
	be32_put(b.p + 4, 0); /* a call */
	assert_int_equal(rpc_reply_parse(b.p, b.len, &r), -1);
	be32_put(b.p + 4, 1);
	be32_put(b.p + 8, 2); /* neither accepted nor denied */
	assert_int_equal(rpc_reply_parse(b.p, b.len, &r), -1);
	be32_put(b.p + 8, 1);
	assert_int_equal(rpc_reply_parse(b.p, b.len, &r), 0);
	assert_int_equal(r.reply_stat, 1);
	be32_put(b.p + 8, 0);
	be32_put(b.p + 16, 401); /* verifier too long */
	assert_int_equal(rpc_reply_parse(b.p, b.len, &r), -1);
}

static void
answers(void **state)
{
	/* After the XID: words as RFC 5531, section 9, has them. */
	static const struct {
		enum rpc_answer what;
		unsigned n;
		uint32_t words[7];
	} want[] = {
	    {RPC_ANSWER_SUCCESS, 5, {1, 0, 0, 0, 0}},
	    {RPC_ANSWER_PROG_UNAVAIL, 5, {1, 0, 0, 0, 1}},
	    {RPC_ANSWER_PROG_MISMATCH, 7, {1, 0, 0, 0, 2, 3, 4}},
	    {RPC_ANSWER_PROC_UNAVAIL, 5, {1, 0, 0, 0, 3}},
	    {RPC_ANSWER_GARBAGE_ARGS, 5, {1, 0, 0, 0, 4}},
	    {RPC_ANSWER_SYSTEM_ERR, 5, {1, 0, 0, 0, 5}},
	    {RPC_ANSWER_RPC_MISMATCH, 5, {1, 1, 0, 2, 2}},
	    {RPC_ANSWER_AUTH_BADCRED, 4, {1, 1, 1, 1}},
	    {RPC_ANSWER_AUTH_TOOWEAK, 4, {1, 1, 1, 5}},
	};
	uint8_t buf[RPC_ANSWER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		size_t n =
		    rpc_answer_write(buf, 0xfeedface, want[i].what, 3, 4);

		assert_int_equal(n, 4 + 4 * want[i].n);
		assert_int_equal(be32_get(buf), 0xfeedface);
		for (unsigned k = 0; k < want[i].n; k++)
			assert_int_equal(
			    be32_get(buf + 4 + 4 * k), want[i].words[k]);
	}
}

static void
own_calls(void **state)
{
	uint8_t buf[64];
	struct rpc_call call;
	size_t n = rpc_call_write(buf, 3, 0x20000001, 1, 2);

	(void)state;
	assert_int_equal(rpc_call_parse(buf, n, &call), RPC_PARSE_OK);
	assert_int_equal(call.xid, 3);
	assert_int_equal(call.prog, 0x20000001);
	assert_int_equal(call.vers, 1);
	assert_int_equal(call.proc, 2);
	assert_int_equal(call.cred_flavor, RPC_AUTH_NONE);
	assert_int_equal(call.args.left, 0);
	assert_string_equal(rpc_program_name(RPC_PROG_MOUNT), "MOUNT");
	assert_string_equal(rpc_program_name(5), "program 5");
}

static void
garbage(void **state)
{
	struct rpc_call call;
	struct rpc_reply reply;

	(void)state;
	srand(3);
	for (unsigned i = 0; i < 20000; i++) {
		size_t n = (size_t)rand() % 120;
		uint8_t *p = malloc(n + 1);

		for (size_t k = 0; k < n; k++)
			p[k] = (uint8_t)(rand() % 4 ? 0 : rand());
		rpc_call_parse(p, n, &call);
		rpc_reply_parse(p, n, &reply);
		free(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(call_header),
	    cmocka_unit_test(every_prefix_is_refused),
	    cmocka_unit_test(what_is_no_call),
	    cmocka_unit_test(credentials),
	    cmocka_unit_test(replies),
	    cmocka_unit_test(answers),
	    cmocka_unit_test(own_calls),
	    cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
