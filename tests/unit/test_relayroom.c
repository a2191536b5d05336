/* Room for calls: who waits for it, and what may make it. */
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

static void
offer_write(struct lb *b, struct lb_conn *c, uint32_t xid)
{
	struct bytes call;

	vb_put_call(&call, NFS3_WRITE, 0);
	be32_put(call.p, xid);
	vb_put_fh(&call, &b->d.fs, 1);
	put64(&call, 0);
	put32(&call, 4);
	put32(&call, 2);
	put_opaque(&call, "abcd", 4);
	lb_offer(b, c, rec_from(b->pool, call.p, call.len));
	lb_act(b);
}

/* A call that nobody can answer for, long ago; then its link was lost, and
 * what is known of it has expired. */
static void
make_undecidable(struct lb *b, struct lb_conn *c)
{
	uint32_t sent = 1;

	put_mkdir(b, c, 0);
	assert_int_equal(lb_status(c), NFS3_OK);
	lb_pass(b, 3600001); /* never acknowledged: a tomb */
	lb_pass(b, 600001);  /* and gone from memory */
	lb_gone(b, c);
	lb_hello(b, c, 1, 2, &sent, 1);
	put_mkdir(b, c, 0);
	assert_int_equal(lb_count(b).undecided, 1);
	relay_link_down(b->link, "test", b->now);
	lb_settle(b);
	lb_gone(b, c);
	lb_pass(b, 3600001);
	assert_int_equal(lb_count(b).in_progress, 0);
}

/* It is asked for again when all entries are in use: what is known of it is
 * the first thing that could make room, and must not do so before it is
 * read. */
static void
test_undecidable_in_full_table(void **state)
{
	struct lb *b = lb_new();
	struct lb_conn c = {0};
	struct relay_counts n;

	(void)state;
	b->cfg.entries_max = 8;
	lb_start(b);
	lb_hello(b, &c, 1, 1, NULL, 0);
	make_undecidable(b, &c);
	lb_hello(b, &c, 1, 3, NULL, 0);
	for (uint32_t i = 0;; i++) {
		n = lb_count(b);
		if (n.kept + n.in_progress == 8)
			break;
		offer_write(b, &c, 1000 + i);
	}
	assert_int_equal(n.kept, 1);
	put_mkdir(b, &c, 0); /* all others are answered meanwhile */
	assert_null(c.held);
	assert_int_equal(b->mutations, 1 + n.in_progress);
	assert_int_equal(lb_count(b).in_progress, 1);
	assert_int_equal(lb_count(b).undecided, 1);
	lb_gone(b, &c);
	lb_free(b);
}

/* The next owner reads the log and asks about what is in doubt; the answers
 * do not come yet. */
static void
begin_to_judge(struct lb *b)
{
	static const struct rec_pool_limits limits = {
	    .recs = 128, .chunks = 8, .reserve = 1, .pipes = 0};
	struct lb_disk left = b->snap[b->nsnaps - 1];
	struct logscan *s = logscan_new(LB_VOLUME, LB_SLOTS);
	struct relay_recover rr = {.epoch = ++b->epoch,
	    .id = LB_VOLUME, .slots = LB_SLOTS, .client_slots = LB_SLOTS};

	lb_stop(b);
	b->d = left;
	mini_cut(&b->d.fs);
	b->hold_backend = false;
	b->ncalls = b->nwrites = b->mutations = 0;
	b->sync_wanted = b->sync_running = false;
	b->pool = rr.pool = rec_pool_new(&limits);
	b->r = relay_new(&b->cfg);
	for (uint32_t i = 0; i < LB_SLOTS; i++)
		logscan_add(s, i, b->d.slot[i], LOGSLOT_LEN);
	assert_int_equal(logscan_finish(s), 0);
	rr.seq = logscan_seq(s);
	rr.write = logscan_write(s);
	assert_int_equal(relay_recover_begin(b->r, 0, &rr, b->now), 0);
	assert_int_equal(logscan_nrecords(s), 1);
	assert_int_equal(relay_recover_record(
			     b->r, 0, logscan_record(s, 0), b->now), 0);
	logscan_free(s);
	b->recovered = 0;
	relay_recover_judge(b->r, 0, b->now);
	lb_act(b);
	assert_true(b->ncalls > 0);
}

/* A client of which nothing is known but a call in doubt is not forgotten
 * while that is judged: by the next tick, or for another client's place. */
static void
test_judged_meanwhile(void **state)
{
	static const uint8_t id[CLIENT_ID_LEN] = {9};
	const bool *plain = *state;
	struct lb *b = lb_new();
	struct lb_conn c = {0};
	struct relay_hello h = {.who = {.client = {7}, .incarnation = 1}};

	b->cfg.clients_max = 1;
	lb_start(b);
	b->hold_backend = true;
	if (*plain) {
		c.rc = relay_conn_new(b->r, &c);
		assert_true(relay_plain(c.rc, 0, id, "peer", 4, b->now));
	} else
		lb_hello(b, &c, 1, 1, NULL, 0);
	put_mkdir(b, &c, 0);
	lb_gone(b, &c);
	begin_to_judge(b);
	relay_tick(b->r, b->now += 100);
	lb_act(b);
	memset(&c, 0, sizeof(c));
	c.rc = relay_conn_new(b->r, &c);
	relay_hello(c.rc, &h, b->now);
	lb_act(b);
	assert_int_equal(c.status, HANFS_OK);
	lb_settle(b);
	assert_int_equal(b->recovered, 1);
	assert_int_equal(b->found.not_done, 1);
	assert_int_equal(lb_count(b).kept, 1);
	lb_gone(b, &c);
	lb_free(b);
}

int
main(void)
{
	static bool yes = true, no = false;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate(test_judged_meanwhile, &yes),
	    cmocka_unit_test_prestate(test_judged_meanwhile, &no),
	    cmocka_unit_test(test_plain_after_drain),
	    cmocka_unit_test(test_undecidable_in_full_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
