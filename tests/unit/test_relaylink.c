/*
 * The relay's core and the backend: links that come late, fail or are lost,
 * order keys, what is no call or no reply, clients without HELLO.
 */
#include "tests/unit/relaybed.h"

static void
hello_waits_for_the_backend(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	b.links_wait = true;
	bed_begin(&b);
	bed_conn(&b, &a);
	bed_conn(&b, &o);
	bed_hello(&b, &a, who, 5, NET_A, 1);
	bed_hello(&b, &o, who, 5, NET_B, 1);
	assert_false(a.hello_answered);
	assert_int_equal(b.opens, 1);
	relay_link_down(b.opened, "refused", b.now);
	bed_settle(&b);
	assert_int_equal(a.hello.status, HANFS_BACKEND_DOWN);
	assert_int_equal(o.hello.status, HANFS_BACKEND_DOWN);
	/* Not at once again; then it works, on the same connection. */
	b.now += 50;
	assert_int_equal(
	    bed_hello(&b, &a, who, 5, NET_A, 2), HANFS_BACKEND_DOWN);
	assert_int_equal(b.opens, 1);
	b.now += 60;
	bed_hello(&b, &a, who, 5, NET_A, 3);
	assert_int_equal(b.opens, 2);
	relay_link_up(b.opened, b.now);
	bed_settle(&b);
	assert_int_equal(a.hello.status, HANFS_OK);
	assert_int_equal(a.hello.floor, 2);
	/* Gone before its HELLO was answered. */
	bed_gone(&b, &o);
	bed_gone(&b, &a);
	bed_end(&b);
}

static void
lost_link_puts_calls_in_doubt(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &o, who, 5, NET_B, 1);
	bed_call(&b, &a, 1, NFS3_CREATE, "done");
	bed_reply(&b, b.link[0], 1);
	bed_call(&b, &a, 2, NFS3_CREATE, "x");
	bed_call(&b, &o, 3, NFS3_REMOVE, "x"); /* waits for 2 */
	assert_int_equal(b.sent, 2);
	assert_int_equal(bed_count(&b).waiting, 1);
	relay_link_down(b.link[0], "closed", b.now);
	bed_settle(&b);
	assert_int_equal(a.reason, RELAY_R_BACKEND_LOST);
	assert_null(a.rc);
	assert_null(o.rc);
	assert_int_equal(bed_count(&b).in_doubt, 1);
	assert_int_equal(bed_count(&b).waiting, 0);
	assert_int_equal(bed_count(&b).in_progress, 0);
	b.now += 100;
	bed_open(&b, &a, who, 5, NET_A, 2);
	bed_call(&b, &a, 1, NFS3_CREATE, "done");
	assert_int_equal(b.sent, 2); /* what was finished still is */
	bed_call(&b, &a, 2, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 3);
	/* An idle link that is lost costs nobody his connection. */
	bed_reply(&b, b.link[2], 2);
	relay_link_down(b.link[2], "closed", b.now);
	bed_settle(&b);
	assert_non_null(a.rc);
	b.now += 100;
	bed_call(&b, &a, 4, NFS3_GETATTR, NULL);
	assert_int_equal(b.sent, 4);
	bed_gone(&b, &a);
	bed_end(&b);
}

/* A younger proxy waits for a call that runs on the older one's link: when
 * that is lost, it must ask again. */
static void
lost_link_tells_the_last_asker(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	bed_call(&b, &a, 2, NFS3_CREATE, "x");
	bed_open(&b, &o, bed_who(1, 2), 6, NET_A, 1);
	assert_null(a.rc);
	bed_call(&b, &o, 2, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 1);
	relay_link_down(b.link[0], "closed", b.now);
	bed_settle(&b);
	assert_null(o.rc);
	assert_int_equal(o.reason, RELAY_R_BACKEND_LOST);
	bed_open(&b, &o, bed_who(1, 2), 6, NET_A, 2);
	bed_call(&b, &o, 2, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 2);
	bed_gone(&b, &o);
	bed_end(&b);
}

static void
keys_hold_calls_back(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	bed_open(&b, &o, bed_who(2, 1), 5, NET_A, 1); /* another client */
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	bed_call(&b, &o, 1, NFS3_REMOVE, "x");
	bed_call(&b, &a, 2, NFS3_CREATE, "y");
	bed_call(&b, &o, 2, NFS3_MKDIR, "x");
	assert_int_equal(b.sent, 2);
	assert_int_equal(bed_count(&b).waiting, 2);
	/* A replay of a waiting call attaches, too. */
	bed_call(&b, &o, 2, NFS3_MKDIR, "x");
	assert_int_equal(bed_count(&b).attached, 1);
	bed_reply(&b, b.link[0], 1);
	assert_int_equal(b.sent, 3);
	assert_int_equal(b.xid[2], 1);
	/* No reply can come for what was not sent yet. */
	bed_reply(&b, b.link[2], 2);
	assert_int_equal(bed_count(&b).unknown_xid, 1);
	/* Its client goes: what waits goes on and is kept. */
	bed_gone(&b, &o);
	bed_reply(&b, b.link[2], 1);
	assert_int_equal(b.sent, 4);
	bed_reply(&b, b.link[3], 2);
	assert_int_equal(bed_count(&b).kept, 3);
	bed_gone(&b, &a);
	bed_end(&b);
}

static void
waiting_calls_of_a_lost_link(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	bed_open(&b, &o, bed_who(2, 1), 5, NET_A, 1);
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	bed_call(&b, &a, 2, NFS3_REMOVE, "x");
	bed_call(&b, &o, 3, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 1);
	relay_link_down(b.link[0], "closed", b.now);
	bed_settle(&b);
	/* The other client's call is next, a's own are dropped. */
	assert_int_equal(b.sent, 2);
	assert_int_equal(b.xid[1], 3);
	assert_int_equal(bed_count(&b).waiting, 0);
	assert_non_null(o.rc);
	bed_gone(&b, &o);
	bed_end(&b);
}

static void
idle_kernel_connection_ends(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	bed_reply(&b, b.link[0], 1);
	bed_gone(&b, &a);
	bed_pass(&b, 899000);
	assert_int_equal(b.closes, 0);
	bed_pass(&b, 1000);
	assert_int_equal(b.closes, 1);
	assert_int_equal(bed_count(&b).kconns, 0);
	assert_int_equal(bed_count(&b).kept, 1); /* its replies stay */
	bed_end(&b);
}

static void
answers_of_the_rpc_layer(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, n;
	struct rpc_reply reply;
	struct bytes call = {.len = 0};

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	put_call(&call, 1, RPC_PROG_NFS, 4, 0, 0);
	bed_send(&b, &a, &call);
	assert_int_equal(rpc_reply_parse(a.last.p, a.last.len, &reply), 0);
	assert_int_equal(reply.accept_stat, 2); /* PROG_MISMATCH */
	bed_conn(&b, &n);                       /* no HELLO */
	bed_call(&b, &n, 2, NFS3_GETATTR, NULL);
	assert_int_equal(rpc_reply_parse(n.last.p, n.last.len, &reply), 0);
	assert_int_equal(reply.reply_stat, 1); /* denied */
	assert_non_null(n.rc);
	/* What is no call ends its connection, and no other one. */
	call.len = 0;
	put_reply(&call, 3, 20);
	bed_send(&b, &n, &call);
	assert_null(n.rc);
	assert_int_equal(n.reason, RELAY_R_NONSENSE);
	assert_non_null(a.rc);
	assert_int_equal(b.sent, 0);
	bed_gone(&b, &a);
	bed_end(&b);
}

static void
one_xid_for_two_calls(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	bed_call(&b, &a, 1, NFS3_CREATE, "y");
	assert_null(a.rc);
	assert_int_equal(a.reason, RELAY_R_XID);
	assert_int_equal(b.sent, 1);
	bed_end(&b);
}

static void
long_calls_and_bad_replies(void **state)
{
	static char path[3001];
	struct bed b = bed_config();
	struct bed_conn a;
	struct bytes call = {.len = 0};
	uint8_t data[4096] = {0};
	struct rec *rec;

	(void)state;
	memset(path, 'p', sizeof(path) - 1);
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	put_call(&call, 1, RPC_PROG_NFS, 3, NFS3_SYMLINK, 0);
	put_fh(&call, 1);
	put_string(&call, "link");
	put_sattr(&call, -1);
	put_string(&call, path);
	bed_send(&b, &a, &call); /* longer than a record's head */
	assert_int_equal(b.sent, 1);
	call.len = 0;
	put_call(&call, 2, RPC_PROG_NFS, 3, NFS3_WRITE, 0);
	put_fh(&call, 1);
	put64(&call, 0);
	put32(&call, sizeof(data));
	put32(&call, 0);
	put_opaque(&call, data, sizeof(data));
	bed_send(&b, &a, &call);
	assert_int_equal(b.sent, 2);
	/* What is no reply, and one longer than such a reply can be. */
	rec = rec_from(b.pool, call.p, 60);
	assert_false(relay_reply(b.link[0], rec, b.now));
	call.len = 0;
	put_reply(&call, 1, 2000);
	rec = rec_new(b.pool);
	assert_int_equal(rec_append(rec, call.p, call.len), 0);
	assert_false(relay_reply(b.link[0], rec, b.now));
	bed_gone(&b, &a);
	bed_end(&b);
}

static void
client_without_hello(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	uint8_t id[CLIENT_ID_LEN] = "an address";

	(void)state;
	bed_begin(&b);
	bed_conn(&b, &a);
	assert_false(relay_plain(a.rc, WORK, id, "p", 1, b.now));
	assert_true(relay_plain(a.rc, HOME, id, "p", 1, b.now));
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	bed_call(&b, &a, 2, NFS3_CREATE, "y");
	bed_reply(&b, b.link[0], 1);
	bed_gone(&b, &a);
	assert_int_equal(b.closes, 0);
	bed_reply(&b, b.link[0], 2);
	assert_int_equal(b.closes, 1); /* the link ends with it */
	bed_conn(&b, &o);
	assert_true(relay_plain(o.rc, HOME, id, "p", 1, b.now));
	bed_call(&b, &o, 2, NFS3_CREATE, "y");
	bed_call(&b, &o, 1, NFS3_CREATE, "x");
	assert_int_equal(o.sent, 2);
	assert_int_equal(b.sent, 2);
	bed_gone(&b, &o);
	bed_pass(&b, 119999);
	assert_int_equal(bed_count(&b).kept, 2);
	bed_pass(&b, 1);
	assert_int_equal(bed_count(&b).kept, 0);
	assert_int_equal(bed_count(&b).clients, 0);
	bed_end(&b);
}

static void
volume_leaves(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, p;
	uint8_t id[CLIENT_ID_LEN] = "an address";

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	bed_conn(&b, &p);
	assert_true(relay_plain(p.rc, HOME, id, "p", 1, b.now));
	relay_volume_set(b.r, HOME, false, b.now);
	bed_settle(&b);
	assert_null(a.rc);
	assert_null(p.rc);
	assert_int_equal(a.reason, RELAY_R_VOLUME);
	bed_conn(&b, &a);
	assert_int_equal(
	    bed_hello(&b, &a, bed_who(1, 1), 5, NET_A, 2), HANFS_NOT_OWNER);
	bed_gone(&b, &a);
	bed_end(&b);
}

static void
limits_hold(void **state)
{
	struct bed b = bed_config();
	struct bed_conn c[16], one;
	unsigned i;

	(void)state;
	bed_begin(&b);
	for (i = 0; i < 8; i++)
		bed_open(&b, &c[i], bed_who((uint8_t)(i + 1), 1), 5, NET_A, 1);
	bed_conn(&b, &one);
	assert_int_equal(
	    bed_hello(&b, &one, bed_who(77, 1), 5, NET_A, 1), HANFS_LIMIT);
	/* The client that is away longest makes room, when nothing of it is
	 * left. */
	bed_gone(&b, &c[3]);
	assert_int_equal(bed_hello(&b, &one, bed_who(77, 1), 5, NET_A, 1),
	    HANFS_LIMIT); /* its kernel connection is kept */
	bed_pass(&b, 900000);
	assert_int_equal(
	    bed_hello(&b, &one, bed_who(77, 1), 5, NET_A, 1), HANFS_OK);
	for (i = 8; i < 14; i++)
		bed_conn(&b, &c[i]);
	assert_int_equal(bed_count(&b).conns, 14);
	bed_conn(&b, &c[14]);
	bed_conn(&b, &c[15]);
	assert_null(relay_conn_new(b.r, NULL));
	for (i = 0; i < 16; i++)
		bed_gone(&b, &c[i]);
	bed_gone(&b, &one);
	bed_end(&b);
}

static struct relay_conn *
begun(struct bed *b, struct relay_link *l, uint32_t xid)
{
	struct bytes reply = {.len = 0};
	struct relay_conn *c;
	struct rec *rec;

	put_reply(&reply, xid, 40);
	rec = rec_from(b->pool, reply.p, reply.len);
	assert_non_null(rec);
	c = relay_reply_begun(l, rec);
	rec_unref(rec);
	return c;
}

/* What a reply's begin may be sent to, and what becomes of the whole. */
static void
replies_pass_in_pieces(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &o, who, 5, NET_B, 1);
	bed_call(&b, &a, 1, NFS3_GETATTR, NULL);
	bed_call(&b, &a, 2, NFS3_CREATE, "x");
	assert_null(begun(&b, b.link[0], 7)); /* nobody's */
	assert_null(begun(&b, b.link[0], 2)); /* is to be kept */
	assert_ptr_equal(begun(&b, b.link[0], 1), a.rc);
	bed_call(&b, &a, 1, NFS3_GETATTR, NULL); /* a retransmission */
	assert_true(bed_reply(&b, b.link[0], 1));
	assert_int_equal(a.sent, 0); /* it has it already */
	assert_true(bed_reply(&b, b.link[0], 2));
	assert_int_equal(a.sent, 1);
	assert_int_equal(bed_count(&b).in_progress, 0);
	bed_gone(&b, &a);
	bed_gone(&b, &o);
	bed_end(&b);
}

static void
half_a_reply_is_none(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &o, who, 5, NET_B, 1);
	/* The first asker has the half, the second none: he asks anew. */
	bed_call(&b, &a, 1, NFS3_GETATTR, NULL);
	assert_ptr_equal(begun(&b, b.link[0], 1), a.rc);
	bed_call(&b, &o, 1, NFS3_GETATTR, NULL);
	assert_int_equal(a.reason, RELAY_R_ELSEWHERE);
	assert_true(bed_reply(&b, b.link[0], 1));
	assert_int_equal(o.sent, 0);
	assert_int_equal(o.reason, RELAY_R_BACKEND_LOST);
	/* The client left. */
	bed_open(&b, &a, who, 5, NET_A, 2);
	bed_call(&b, &a, 2, NFS3_GETATTR, NULL);
	assert_ptr_equal(begun(&b, b.link[1], 2), a.rc);
	bed_gone(&b, &a);
	assert_null(begun(&b, b.link[1], 2));
	assert_true(bed_reply(&b, b.link[1], 2));
	/* The backend did. */
	bed_open(&b, &a, who, 5, NET_A, 3);
	bed_call(&b, &a, 3, NFS3_GETATTR, NULL);
	assert_ptr_equal(begun(&b, b.link[2], 3), a.rc);
	relay_link_down(b.link[2], "closed", b.now);
	bed_settle(&b);
	assert_int_equal(a.reason, RELAY_R_BACKEND_LOST);
	bed_end(&b);
}

/* The backend has dropped a read and said nothing: its link goes after a long
 * time, and the client's replay runs it. */
static void
dropped_read_is_replayed(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	b.cfg.answer_ms = 300000;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_call(&b, &a, 1, NFS3_GETATTR, NULL);
	bed_call(&b, &a, 2, NFS3_CREATE, "y");
	bed_pass(&b, 1000); /* seen to run */
	bed_reply(&b, b.link[0], 2);
	bed_pass(&b, 29000);
	assert_non_null(a.rc);
	assert_int_equal(b.closes, 0);
	bed_pass(&b, 2000);
	assert_int_equal(b.closes, 1);
	assert_null(a.rc);
	assert_int_equal(a.reason, RELAY_R_BACKEND_LOST);
	assert_int_equal(bed_count(&b).unanswered, 1);
	bed_pass(&b, 200);
	bed_open(&b, &a, who, 5, NET_A, 2);
	assert_int_equal(b.opens, 2);
	bed_call(&b, &a, 2, NFS3_CREATE, "y"); /* answered before */
	assert_int_equal(b.sent, 2);
	bed_call(&b, &a, 1, NFS3_GETATTR, NULL);
	assert_int_equal(b.sent, 3);
	/* it may be slow: now it has twice as long */
	bed_pass(&b, 1000);
	bed_pass(&b, 59000);
	assert_int_equal(b.closes, 1);
	bed_reply(&b, b.link[2], 1);
	/* nothing is owed: the link stays, however long */
	bed_pass(&b, 600000);
	bed_pass(&b, 1000);
	assert_int_equal(b.closes, 1);
	bed_gone(&b, &a);
	bed_end(&b);
}

/* One that changes something may still be inside. Without a log, with which
 * the backend would be ended first, it is waited for: a second one could run
 * beside it, and a WRITE land on newer data. */
static void
dropped_change_is_waited_for(void **state)
{
	struct bytes call[2] = {{.len = 0}, {.len = 0}};

	(void)state;
	put_call(&call[0], 2, RPC_PROG_NFS, 3, NFS3_REMOVE, 0);
	put_fh(&call[0], 1);
	put_string(&call[0], "x");
	put_call(&call[1], 2, RPC_PROG_NFS, 3, NFS3_WRITE, 0);
	put_fh(&call[1], 1);
	put64(&call[1], 0);
	put32(&call[1], 4);
	put32(&call[1], 0);
	put_opaque(&call[1], "data", 4);
	for (unsigned i = 0; i < 2; i++) {
		struct bed b = bed_config();
		struct bed_conn a;

		b.cfg.answer_ms = 300000;
		bed_begin(&b);
		bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
		bed_call(&b, &a, 1, NFS3_GETATTR, NULL);
		bed_send(&b, &a, &call[i]);
		bed_pass(&b, 1000);
		bed_pass(&b, 301000);
		bed_pass(&b, 1000);
		assert_int_equal(b.closes, 0);
		assert_non_null(a.rc);
		assert_int_equal(bed_count(&b).unanswered, 1);
		bed_send(&b, &a, &call[i]);
		assert_int_equal(b.sent, 2);
		bed_reply(&b, b.link[0], 2);
		/* now there are only reads */
		bed_pass(&b, 1000);
		assert_int_equal(b.closes, 1);
		bed_gone(&b, &a);
		bed_end(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hello_waits_for_the_backend),
	    cmocka_unit_test(lost_link_puts_calls_in_doubt),
	    cmocka_unit_test(lost_link_tells_the_last_asker),
	    cmocka_unit_test(dropped_read_is_replayed),
	    cmocka_unit_test(dropped_change_is_waited_for),
	    cmocka_unit_test(keys_hold_calls_back),
	    cmocka_unit_test(waiting_calls_of_a_lost_link),
	    cmocka_unit_test(idle_kernel_connection_ends),
	    cmocka_unit_test(answers_of_the_rpc_layer),
	    cmocka_unit_test(one_xid_for_two_calls),
	    cmocka_unit_test(long_calls_and_bad_replies),
	    cmocka_unit_test(client_without_hello),
	    cmocka_unit_test(replies_pass_in_pieces),
	    cmocka_unit_test(half_a_reply_is_none),
	    cmocka_unit_test(volume_leaves),
	    cmocka_unit_test(limits_hold),
	};

	return cmocka_run_group_tests_name("relaylink", tests, NULL, NULL);
}
