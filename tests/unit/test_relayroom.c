/* A connection that waits for room is read again when there is some. */
#include "logbed.h"

static void
put_mkdir(struct lb *b, struct lb_conn *c, unsigned i)
{
	static const struct nfs3_sattr mode = {.set_mode = true, .mode = 0750};
	struct bytes call;
	char name[8];

	snprintf(name, sizeof(name), "d%u", i);
	vb_put_call(&call, NFS3_MKDIR, 0);
	be32_put(call.p, 1 + i);
	vb_put_dirop(&call, &b->d.fs, 1, name);
	vb_put_sattr(&call, &mode);
	lb_put(b, c, &call);
}

/*
 * A plain client acknowledges nothing: its replies hold all its slots until
 * new calls take them. So a quota that is full must not keep it waiting when
 * a volume that was drained is served on.
 */
static void
test_plain_after_drain(void **state)
{
	static const uint8_t id[CLIENT_ID_LEN] = {9};
	struct lb *b = lb_new();
	struct lb_conn c = {0};
	unsigned quota = 5;

	(void)state;
	b->client_slots = quota;
	lb_start(b);
	c.rc = relay_conn_new(b->r, &c);
	assert_non_null(c.rc);
	assert_true(relay_plain(c.rc, 0, id, "peer", 4, b->now));
	for (unsigned i = 0; i < quota; i++)
		put_mkdir(b, &c, i);
	assert_int_equal(c.sent, quota);
	assert_int_equal(lb_count(b).slots, quota);
	relay_volume_drain(b->r, 0, b->now);
	put_mkdir(b, &c, quota);
	assert_non_null(c.held);
	assert_int_equal(b->drained, 1);
	relay_volume_set(b->r, 0, true, b->now);
	lb_settle(b);
	assert_int_equal(c.sent, quota + 1);
	assert_int_equal(lb_status(&c), NFS3_OK);
	lb_gone(b, &c);
	lb_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain_after_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
