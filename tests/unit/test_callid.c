/*
 * The identity of a call: the same whatever the credential and a WRITE's
 * data are, another one for any other byte; and what becomes of a record
 * that is no call we know.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/nfsargs.h"
#include "hanfs/callid.h"

static struct samples all;
static const uint8_t client[CLIENT_ID_LEN] = "client number 1";

static int
set_up(void **state)
{
	(void)state;
	samples_make(&all);
	return 0;
}

static enum call_verdict
look_at(const struct bytes *b, struct call_info *info, enum rpc_answer *answer)
{
	uint32_t low, high;

	return call_look(
	    client, b->p, b->len, b->len, info, answer, &low, &high);
}

static void
build(struct bytes *b, const struct sample *s, uint32_t xid, uint32_t uid)
{
	b->len = 0;
	put_call(b, xid, RPC_PROG_NFS, 3, s->proc, uid);
	put_raw(b, s->args.p, s->args.len);
}

static struct call_id
id_of(const struct bytes *b)
{
	struct call_info info;
	enum rpc_answer answer;

	assert_int_equal(look_at(b, &info, &answer), CALL_FORWARD);
	return info.id;
}

static void
credential_does_not_matter(void **state)
{
	(void)state;
	for (unsigned i = 0; i < all.n; i++) {
		struct bytes a, b;
		struct call_id one, two;

		build(&a, &all.s[i], 5, 0);
		build(&b, &all.s[i], 5, 501);
		one = id_of(&a);
		two = id_of(&b);
		assert_true(call_id_equal(&one, &two));
		assert_int_equal(call_id_hash(&one), call_id_hash(&two));
	}
}

static void
every_byte_matters(void **state)
{
	(void)state;
	for (unsigned i = 0; i < all.n; i++) {
		const struct sample *s = &all.s[i];
		size_t len = s->identity_len ? s->identity_len : s->args.len;
		struct bytes b;
		struct call_id one;

		build(&b, s, 5, 0);
		one = id_of(&b);
		for (size_t at = b.len - s->args.len;
		     at < b.len - s->args.len + len; at++) {
			struct call_info info;
			enum rpc_answer answer;

			b.p[at] ^= 1;
			/* Refused, or another call. */
			if (look_at(&b, &info, &answer) == CALL_FORWARD &&
			    call_id_equal(&one, &info.id))
				fail_msg("%s, byte %zu", s->name, at);
			b.p[at] ^= 1;
		}
	}
}

static void
data_of_write_does_not(void **state)
{
	const struct sample *s = &all.s[all.n - 1];
	struct bytes b;
	struct call_id one, two;

	(void)state;
	assert_int_equal(s->proc, NFS3_WRITE);
	build(&b, s, 5, 0);
	one = id_of(&b);
	for (size_t at = b.len - s->args.len + s->identity_len; at < b.len;
	     at++)
		b.p[at] ^= 0x55;
	two = id_of(&b);
	assert_true(call_id_equal(&one, &two));
}

static void
header_matters(void **state)
{
	struct sample *getattr = &all.s[1], *fsstat = &all.s[8];
	struct bytes b;
	struct call_id one, two;
	struct call_info info;
	enum rpc_answer answer;
	uint8_t other[CLIENT_ID_LEN] = "client number 2";
	uint32_t low, high;

	(void)state;
	build(&b, getattr, 5, 0);
	one = id_of(&b);
	build(&b, getattr, 6, 0);
	two = id_of(&b);
	assert_false(call_id_equal(&one, &two));
	build(&b, fsstat, 5, 0); /* the same arguments */
	two = id_of(&b);
	assert_memory_equal(&one.digest, &two.digest, sizeof(one.digest));
	assert_false(call_id_equal(&one, &two));
	build(&b, getattr, 5, 0);
	assert_int_equal(
	    call_look(other, b.p, b.len, b.len, &info, &answer, &low, &high),
	    CALL_FORWARD);
	assert_false(call_id_equal(&one, &info.id));
}

/* A long WRITE is known by its head alone. */
static void
head_is_enough_for_write(void **state)
{
	const struct sample *s = &all.s[all.n - 1];
	struct bytes b;
	struct call_id one;
	struct call_info info;
	enum rpc_answer answer;
	uint32_t low, high;

	(void)state;
	build(&b, s, 5, 0);
	one = id_of(&b);
	assert_true(b.len > CALL_HEAD_MIN);
	assert_int_equal(call_look(client, b.p, CALL_HEAD_MIN, b.len, &info,
			     &answer, &low, &high),
	    CALL_FORWARD);
	assert_true(call_id_equal(&one, &info.id));
	assert_int_equal(info.class, CALL_TRACKED);
	assert_int_equal(call_look(client, b.p, CALL_HEAD_MIN, b.len + 4, &info,
			     &answer, &low, &high),
	    CALL_ANSWER);
	assert_int_equal(answer, RPC_ANSWER_GARBAGE_ARGS);
}

static void
what_is_answered_and_dropped(void **state)
{
	static const struct {
		uint32_t prog, vers, proc;
		enum rpc_answer answer;
	} want[] = {
	    {RPC_PROG_NFS, 2, 1, RPC_ANSWER_PROG_MISMATCH},
	    {RPC_PROG_NFS, 4, 0, RPC_ANSWER_PROG_MISMATCH},
	    {RPC_PROG_NFS, 3, NFS3_NPROC, RPC_ANSWER_PROC_UNAVAIL},
	    {RPC_PROG_NFS, 3, NFS3_GETATTR, RPC_ANSWER_GARBAGE_ARGS},
	    {RPC_PROG_MOUNT, 2, 0, RPC_ANSWER_PROG_MISMATCH},
	    {RPC_PROG_MOUNT, 3, 6, RPC_ANSWER_PROC_UNAVAIL},
	    {RPC_PROG_NLM, 4, 0, RPC_ANSWER_PROG_UNAVAIL},
	    {12345, 1, 0, RPC_ANSWER_PROG_UNAVAIL},
	};
	struct call_info info;
	enum rpc_answer answer;
	struct bytes b;

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		b.len = 0;
		put_call(&b, 42, want[i].prog, want[i].vers, want[i].proc, 0);
		assert_int_equal(look_at(&b, &info, &answer), CALL_ANSWER);
		assert_int_equal(answer, want[i].answer);
		assert_int_equal(info.rpc.xid, 42);
	}
	b.len = 0;
	put_call(&b, 42, RPC_PROG_NFS, 3, 0, 0);
	be32_put(b.p + 8, 7); /* RPC version */
	assert_int_equal(look_at(&b, &info, &answer), CALL_ANSWER);
	assert_int_equal(answer, RPC_ANSWER_RPC_MISMATCH);
	be32_put(b.p + 8, 2);
	be32_put(b.p + 28, 5000); /* length of the credential */
	assert_int_equal(look_at(&b, &info, &answer), CALL_ANSWER);
	assert_int_equal(answer, RPC_ANSWER_AUTH_BADCRED);
	b.len = 0;
	put_reply(&b, 42, 20);
	assert_int_equal(look_at(&b, &info, &answer), CALL_DROP);
	b.len = 12;
	assert_int_equal(look_at(&b, &info, &answer), CALL_DROP);
	b.len = 0;
	assert_int_equal(look_at(&b, &info, &answer), CALL_DROP);
}

static void
mount_calls(void **state)
{
	struct bytes b = {.len = 0};
	struct call_info info;
	enum rpc_answer answer;

	(void)state;
	put_call(&b, 1, RPC_PROG_MOUNT, 3, 1, 0);
	put_string(&b, "/home");
	assert_int_equal(look_at(&b, &info, &answer), CALL_FORWARD);
	assert_int_equal(info.class, CALL_PASSED);
	assert_int_equal(info.id.prog, RPC_PROG_MOUNT);
	b.len = 0;
	put_call(&b, 1, RPC_PROG_MOUNT, 1, 3, 0);
	put_string(&b, "/home");
	assert_int_equal(look_at(&b, &info, &answer), CALL_FORWARD);
	for (unsigned i = 0; i < 300; i++)
		put32(&b, 0);
	assert_int_equal(look_at(&b, &info, &answer), CALL_ANSWER);
	assert_int_equal(answer, RPC_ANSWER_GARBAGE_ARGS);
}

/* A wrapped body passes, whatever is in it; a readable one is looked at. */
static void
gss_calls(void **state)
{
	enum { GSS_PROC = 36, SERVICE = 44 }; /* offsets */
	struct call_info info;
	enum rpc_answer answer;
	struct bytes b = {0};

	(void)state;
	put32(&b, 9); /* xid, CALL, RPC 2, NFS 3, CREATE */
	put32(&b, 0);
	put32(&b, 2);
	put32(&b, RPC_PROG_NFS);
	put32(&b, 3);
	put32(&b, NFS3_CREATE);
	put32(&b, RPC_AUTH_GSS); /* version, DATA, sequence, privacy, - */
	put32(&b, 20);
	put32(&b, 1);
	put32(&b, 0);
	put32(&b, 77);
	put32(&b, 3);
	put32(&b, 0);
	put32(&b, RPC_AUTH_NONE);
	put32(&b, 0);
	put32(&b, 0xdeadbeef); /* sealed */
	assert_int_equal(look_at(&b, &info, &answer), CALL_FORWARD);
	assert_int_equal(info.class, CALL_PASSED);
	be32_put(b.p + SERVICE, 2);
	assert_int_equal(look_at(&b, &info, &answer), CALL_FORWARD);
	be32_put(b.p + SERVICE, 1);
	assert_int_equal(look_at(&b, &info, &answer), CALL_ANSWER);
	assert_int_equal(answer, RPC_ANSWER_GARBAGE_ARGS);
	be32_put(b.p + GSS_PROC, 1); /* INIT */
	assert_int_equal(look_at(&b, &info, &answer), CALL_FORWARD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(credential_does_not_matter),
	    cmocka_unit_test(every_byte_matters),
	    cmocka_unit_test(data_of_write_does_not),
	    cmocka_unit_test(header_matters),
	    cmocka_unit_test(head_is_enough_for_write),
	    cmocka_unit_test(what_is_answered_and_dropped),
	    cmocka_unit_test(mount_calls),
	    cmocka_unit_test(gss_calls),
	};

	return cmocka_run_group_tests_name("callid", tests, set_up, NULL);
}
