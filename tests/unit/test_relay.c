/*
 * The relay's core: what a replay gets, what a fence and a token are good
 * for, what is kept and for how long. Each test ends by looking whether all
 * records went back into their pool.
 */
#include <stdio.h>

#include "tests/unit/relaybed.h"

static void
replay_is_answered(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1);
	struct bytes first;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &o, who, 5, NET_B, 1);
	assert_int_equal(b.opens, 1); /* one link for both */
	bed_call(&b, &a, 77, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 1);
	assert_true(bed_reply(&b, b.link[0], 77));
	assert_int_equal(a.sent, 1);
	first = a.last;
	bed_call(&b, &o, 77, NFS3_CREATE, "x");
	bed_call(&b, &a, 77, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 1);
	assert_int_equal(o.sent, 1);
	assert_int_equal(a.sent, 2);
	assert_memory_equal(o.last.p, first.p, first.len);
	assert_int_equal(bed_count(&b).replayed, 2);
	/* One XID, another name: another call. */
	bed_call(&b, &o, 77, NFS3_CREATE, "y");
	assert_int_equal(b.sent, 2);
	bed_gone(&b, &a);
	bed_gone(&b, &o);
	bed_end(&b);
}

static void
replay_attaches(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &o, who, 5, NET_B, 1);
	bed_call(&b, &a, 1, NFS3_REMOVE, "x");
	bed_call(&b, &a, 2, NFS3_GETATTR, NULL);
	bed_call(&b, &o, 1, NFS3_REMOVE, "x");
	bed_call(&b, &o, 2, NFS3_GETATTR, NULL);
	assert_int_equal(b.sent, 2);
	bed_reply(&b, b.link[0], 1);
	bed_reply(&b, b.link[0], 2);
	assert_int_equal(a.sent, 0); /* the newest asker gets it */
	assert_int_equal(o.sent, 2);
	/* Nothing is kept of a call that changes nothing. */
	assert_int_equal(bed_count(&b).kept, 1);
	bed_call(&b, &o, 2, NFS3_GETATTR, NULL);
	assert_int_equal(b.sent, 3);
	/* A second reply for the same XID is for nobody. */
	bed_reply(&b, b.link[0], 1);
	assert_int_equal(bed_count(&b).unknown_xid, 1);
	assert_int_equal(o.sent, 2);
	bed_gone(&b, &a);
	bed_gone(&b, &o);
	bed_end(&b);
}

/* A copy that arrives late, over a connection that its client has given up:
 * whoever waits must not wait for a reply that went elsewhere. */
static void
late_copy_ends_the_first_asker(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &o, who, 5, NET_B, 1);
	bed_call(&b, &o, 2, NFS3_GETATTR, NULL); /* the replay */
	bed_call(&b, &a, 2, NFS3_GETATTR, NULL);
	assert_null(o.rc);
	assert_int_equal(o.reason, RELAY_R_ELSEWHERE);
	assert_non_null(a.rc);
	bed_reply(&b, b.link[0], 2);
	assert_int_equal(a.sent, 1);
	/* On one connection it is a retransmission. */
	bed_call(&b, &a, 3, NFS3_REMOVE, "x");
	bed_call(&b, &a, 3, NFS3_REMOVE, "x");
	assert_non_null(a.rc);
	assert_int_equal(b.sent, 2);
	bed_gone(&b, &a);
	bed_end(&b);
}

/* Two kernel connections may have one XID for one read: two calls. One that
 * changes something is the same, sent again over the next connection. */
static void
reads_belong_to_their_connection(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &o, who, 6, NET_A, 1);
	bed_call(&b, &a, 2, NFS3_GETATTR, NULL);
	bed_call(&b, &o, 2, NFS3_GETATTR, NULL);
	assert_int_equal(b.sent, 2);
	bed_reply(&b, b.link[0], 2);
	bed_reply(&b, b.link[1], 2);
	assert_int_equal(a.sent, 1);
	assert_int_equal(o.sent, 1);
	bed_call(&b, &a, 3, NFS3_REMOVE, "x");
	bed_call(&b, &o, 3, NFS3_REMOVE, "x");
	assert_int_equal(b.sent, 3);
	bed_gone(&b, &a);
	bed_gone(&b, &o);
	bed_end(&b);
}

static void
reply_outlives_connection(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	bed_call(&b, &a, 2, NFS3_GETATTR, NULL);
	bed_gone(&b, &a);
	assert_true(bed_reply(&b, b.link[0], 1));
	assert_true(bed_reply(&b, b.link[0], 2));
	assert_int_equal(bed_count(&b).discarded, 2);
	assert_int_equal(bed_count(&b).kept, 1);
	assert_int_equal(b.closes, 0); /* the link stays */
	bed_open(&b, &o, who, 5, NET_B, 1);
	bed_call(&b, &o, 1, NFS3_CREATE, "x");
	assert_int_equal(o.sent, 1);
	assert_int_equal(b.sent, 2);
	bed_gone(&b, &o);
	bed_end(&b);
}

static void
tokens(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker who = bed_who(1, 1), thief = who;
	unsigned closed;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	thief.token[3] ^= 1;
	thief.incarnation = 9;
	bed_conn(&b, &o);
	assert_int_equal(
	    bed_hello(&b, &o, thief, 5, NET_B, 9), HANFS_BAD_TOKEN);
	assert_int_equal(o.hello.highest, 0);
	assert_int_equal(
	    bed_fence(&b, &o, who, 5, NET_A, 1, &closed), HANFS_NO_HELLO);
	assert_int_equal(
	    bed_hello(&b, &o, bed_who(2, 1), 5, NET_B, 1), HANFS_OK);
	/* Not on another client's connection, not with another token. */
	assert_int_equal(
	    bed_fence(&b, &o, who, 5, NET_A, 1, &closed), HANFS_BAD_TOKEN);
	thief.incarnation = 1;
	assert_int_equal(
	    bed_fence(&b, &a, thief, 5, NET_A, 1, &closed), HANFS_BAD_TOKEN);
	assert_int_equal(
	    relay_ack(a.rc, &thief, HOME, 5, NULL, 0, b.now), HANFS_BAD_TOKEN);
	assert_non_null(a.rc);
	bed_gone(&b, &a);
	bed_gone(&b, &o);
	bed_end(&b);
}

static void
newer_incarnation(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o, late;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	bed_call(&b, &a, 2, NFS3_CREATE, "y");
	bed_reply(&b, b.link[0], 1);
	bed_open(&b, &o, bed_who(1, 2), 9, NET_A, 1);
	assert_null(a.rc);
	assert_int_equal(a.reason, RELAY_R_INCARNATION);
	assert_int_equal(b.closes, 0); /* y is still in progress there */
	bed_call(&b, &o, 2, NFS3_CREATE, "y");
	bed_call(&b, &o, 1, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 2);
	assert_int_equal(o.sent, 1);
	bed_reply(&b, b.link[1], 2);
	assert_int_equal(o.sent, 2);
	assert_int_equal(b.closes, 1); /* and now it is done */
	bed_conn(&b, &late);
	assert_int_equal(bed_hello(&b, &late, bed_who(1, 1), 5, NET_B, 1),
	    HANFS_OLD_INCARNATION);
	assert_int_equal(late.hello.highest, 2);
	bed_gone(&b, &o);
	bed_gone(&b, &late);
	bed_end(&b);
}

static void
generations_and_floors(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o, c;
	struct relay_speaker who = bed_who(1, 1);
	unsigned closed;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 3);
	assert_int_equal(a.hello.floor, 2);
	bed_open(&b, &o, who, 5, NET_B, 1); /* another network's own count */
	bed_conn(&b, &c);
	assert_int_equal(bed_hello(&b, &c, who, 5, NET_A, 2), HANFS_FENCED);
	assert_int_equal(c.hello.floor, 2);
	assert_int_equal(bed_hello(&b, &c, who, 5, NET_A, 4), HANFS_OK);
	assert_null(a.rc);
	assert_int_equal(a.reason, RELAY_R_REPLACED);
	assert_int_equal(
	    bed_fence(&b, &o, who, 5, NET_A, 3, &closed), HANFS_OK);
	assert_int_equal(closed, 0); /* 4 is above it */
	assert_int_equal(
	    bed_fence(&b, &o, who, 5, NET_A, 8, &closed), HANFS_OK);
	assert_int_equal(closed, 1);
	assert_int_equal(c.reason, RELAY_R_FENCED);
	bed_conn(&b, &a);
	assert_int_equal(bed_hello(&b, &a, who, 5, NET_A, 8), HANFS_FENCED);
	assert_int_equal(bed_hello(&b, &a, who, 5, NET_A, 9), HANFS_OK);
	/* All of the client on the volume; floors follow what there was. */
	bed_conn(&b, &c);
	assert_int_equal(bed_hello(&b, &c, who, 0, 0, 0), HANFS_OK);
	assert_int_equal(bed_fence(&b, &c, who, 0, -1, 0, &closed), HANFS_OK);
	assert_int_equal(closed, 2);
	bed_conn(&b, &a);
	assert_int_equal(bed_hello(&b, &a, who, 5, NET_A, 9), HANFS_FENCED);
	assert_int_equal(bed_hello(&b, &a, who, 5, NET_A, 10), HANFS_OK);
	bed_gone(&b, &a);
	bed_gone(&b, &c);
	bed_end(&b);
}

static void
fence_comes_before_hello(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, c;
	struct relay_speaker who = bed_who(1, 1);
	unsigned closed;

	(void)state;
	bed_begin(&b);
	bed_conn(&b, &c);
	assert_int_equal(bed_hello(&b, &c, who, 0, 0, 0), HANFS_OK);
	assert_int_equal(
	    bed_fence(&b, &c, who, 7, NET_A, 2, &closed), HANFS_OK);
	bed_conn(&b, &a);
	assert_int_equal(bed_hello(&b, &a, who, 7, NET_A, 2), HANFS_FENCED);
	assert_int_equal(bed_hello(&b, &a, who, 7, NET_A, 3), HANFS_OK);
	bed_call(&b, &a, 1, NFS3_MKDIR, "x");
	/* The kernel connection is over; its call is finished all the same,
	 * its late connections are refused. */
	assert_int_equal(
	    bed_fence(&b, &c, who, 7, -1, UINT64_MAX, &closed), HANFS_OK);
	assert_int_equal(closed, 1);
	assert_int_equal(b.closes, 0);
	bed_reply(&b, b.link[0], 1);
	assert_int_equal(b.closes, 1);
	assert_int_equal(bed_count(&b).kept, 1);
	bed_conn(&b, &a);
	assert_int_equal(bed_hello(&b, &a, who, 7, NET_A, 9), HANFS_FENCED);
	assert_int_equal(bed_count(&b).kconns, 1);
	bed_pass(&b, 200000);
	assert_int_equal(bed_count(&b).kconns, 0);
	bed_gone(&b, &a);
	bed_gone(&b, &c);
	bed_end(&b);
}

static void
fenced_calls_are_ignored(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, c;
	struct relay_speaker who = bed_who(1, 1);
	struct relay_fence f = {.who = who,
	    .volume = HOME,
	    .kconn = 5,
	    .network = NET_A,
	    .floor = 1};
	struct bytes call = {.len = 0};
	unsigned closed;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &c, who, 5, NET_B, 1);
	/* The shell has read the call, but not yet closed the connection. */
	assert_int_equal(relay_fence(c.rc, &f, &closed, b.now), HANFS_OK);
	put_call(&call, 9, RPC_PROG_NFS, 3, NFS3_GETATTR, 0);
	put_fh(&call, 1);
	assert_int_equal(
	    relay_call(a.rc, rec_from(b.pool, call.p, call.len), b.now),
	    RELAY_TAKEN);
	bed_settle(&b);
	assert_int_equal(b.sent, 0);
	assert_null(a.rc);
	bed_gone(&b, &c);
	bed_end(&b);
}

static void
fence_can_be_switched_off(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, c;
	struct relay_speaker who = bed_who(1, 1);
	unsigned closed;

	(void)state;
	b.cfg.no_fence = true;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &c, who, 5, NET_B, 1);
	assert_int_equal(
	    bed_fence(&b, &c, who, 5, NET_A, 1, &closed), HANFS_OK);
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 1);
	bed_gone(&b, &a);
	bed_gone(&b, &c);
	bed_end(&b);
}

static void
replays_can_run_again(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a;

	(void)state;
	b.cfg.no_replay_table = true;
	bed_begin(&b);
	bed_open(&b, &a, bed_who(1, 1), 5, NET_A, 1);
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 2);
	bed_reply(&b, b.link[0], 1);
	bed_call(&b, &a, 1, NFS3_CREATE, "x");
	assert_int_equal(b.sent, 3);
	assert_int_equal(bed_count(&b).rerun, 2);
	bed_gone(&b, &a);
	bed_end(&b);
}

/* n calls of different names, finished. */
static void
fill(struct bed *b, struct bed_conn *c, uint32_t xid, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[16];
		unsigned at = b->sent;

		snprintf(name, sizeof(name), "f%u", xid + i);
		bed_call(b, c, xid + i, NFS3_CREATE, name);
		assert_int_equal(b->sent, at + 1);
		assert_true(bed_reply(b, b->link[at], xid + i));
	}
}

static void
quota_holds_calls(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a;
	struct relay_speaker who = bed_who(1, 1);
	uint32_t first = 100;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	fill(&b, &a, 100, 32);
	bed_call(&b, &a, 500, NFS3_CREATE, "more");
	assert_non_null(a.held); /* nothing unacknowledged is dropped */
	assert_int_equal(b.sent, 32);
	bed_pass(&b, 60000);
	assert_non_null(a.held);
	assert_int_equal(
	    relay_ack(a.rc, &who, HOME, 5, &first, 1, b.now), HANFS_OK);
	bed_settle(&b);
	assert_null(a.held); /* the acknowledged one made room */
	assert_int_equal(b.sent, 33);
	assert_int_equal(bed_count(&b).evicted, 1);
	/* A held call goes with its connection. */
	bed_call(&b, &a, 501, NFS3_CREATE, "again");
	assert_non_null(a.held);
	bed_gone(&b, &a);
	bed_end(&b);
}

/* What older proxies did not acknowledge is kept, but stops nobody. */
static void
orphans_stop_nobody(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a;
	struct relay_speaker who = bed_who(1, 1);

	(void)state;
	b.cfg.client_entries_max = 8;
	b.cfg.kconns_max = 16;
	bed_begin(&b);
	for (uint32_t i = 1; i <= 10; i++) {
		who.incarnation = i;
		bed_open(&b, &a, who, i, NET_A, 1);
		fill(&b, &a, i * 100, 8);
		assert_null(a.held);
		bed_gone(&b, &a);
	}
	/* Four quotas less one of them, and the last proxy's own. */
	assert_int_equal(bed_count(&b).kept, 31 + 8);
	/* The oldest went; the last ones' replays are answered. */
	who.incarnation = 11;
	bed_open(&b, &a, who, 11, NET_A, 1);
	bed_call(&b, &a, 707, NFS3_CREATE, "f707");
	assert_int_equal(a.sent, 1);
	assert_int_equal(b.sent, 80);
	bed_gone(&b, &a);
	bed_end(&b);
}

static void
replies_of_an_ended_connection(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, control;
	struct relay_speaker who = bed_who(1, 1);
	unsigned closed;
	uint32_t xid = 101;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &control, who, 0, NET_A, 0);
	bed_open(&b, &a, who, 5, NET_A, 1);
	fill(&b, &a, 100, 32);
	assert_int_equal(bed_fence(&b, &control, who, 5, -1, UINT64_MAX,
			     &closed), HANFS_OK);
	/* A late ACK still counts; the rest stops nobody. */
	relay_ack(control.rc, &who, HOME, 5, &xid, 1, b.now);
	assert_int_equal(bed_count(&b).acked, 1);
	bed_open(&b, &a, who, 6, NET_A, 1);
	fill(&b, &a, 200, 32);
	assert_null(a.held);
	bed_pass(&b, 600000);
	assert_int_equal(bed_count(&b).kept, 32);
	bed_gone(&b, &a);
	bed_gone(&b, &control);
	bed_end(&b);
}

static void
oldest_acknowledged_goes_first(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a;
	struct relay_speaker who = bed_who(1, 1);
	uint32_t xids[] = {103, 101, 102};

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	fill(&b, &a, 100, 32);
	for (unsigned i = 0; i < 3; i++)
		relay_ack(a.rc, &who, HOME, 5, &xids[i], 1, b.now);
	fill(&b, &a, 200, 1); /* 103 goes */
	a.sent = 0;
	bed_call(&b, &a, 101, NFS3_CREATE, "f101");
	assert_int_equal(a.sent, 1);
	assert_int_equal(b.sent, 33);
	bed_call(&b, &a, 103, NFS3_CREATE, "f103");
	assert_int_equal(b.sent, 34);
	bed_gone(&b, &a);
	bed_end(&b);
}

static void
linger_clock_stands_still(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a;
	struct relay_speaker who = bed_who(1, 1);
	uint32_t xid = 100;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	fill(&b, &a, 100, 2);
	relay_ack(a.rc, &who, HOME, 5, &xid, 1, b.now);
	bed_pass(&b, 9000);
	assert_int_equal(bed_count(&b).kept, 2);
	bed_gone(&b, &a);
	bed_pass(&b, 800000); /* nobody was there */
	assert_int_equal(bed_count(&b).kept, 2);
	bed_open(&b, &a, who, 5, NET_A, 2);
	bed_pass(&b, 900);
	assert_int_equal(bed_count(&b).kept, 2);
	bed_pass(&b, 200);
	assert_int_equal(bed_count(&b).kept, 1);
	assert_int_equal(bed_count(&b).expired, 1);
	bed_pass(&b, 86400000); /* retain: real time */
	assert_int_equal(bed_count(&b).kept, 0);
	assert_int_equal(bed_count(&b).unacked_expired, 1);
	bed_gone(&b, &a);
	bed_end(&b);
}

static void
ack_names_the_last_asker(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o;
	struct relay_speaker one = bed_who(1, 1), two = bed_who(1, 2);
	uint32_t xid = 100;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, one, 5, NET_A, 1);
	fill(&b, &a, 100, 2);
	bed_open(&b, &o, two, 6, NET_A, 1);
	bed_call(&b, &o, 100, NFS3_CREATE, "f100");
	assert_int_equal(o.sent, 1);
	relay_ack(o.rc, &two, HOME, 6, &xid, 1, b.now);
	assert_int_equal(bed_count(&b).acked, 1);
	bed_pass(&b, 10000);
	assert_int_equal(bed_count(&b).kept, 1);
	/* 101 was never asked for again: an orphan. */
	bed_pass(&b, 600000);
	assert_int_equal(bed_count(&b).kept, 0);
	bed_gone(&b, &o);
	bed_end(&b);
}

static void
over_makes_orphans(void **state)
{
	struct bed b = bed_config();
	struct bed_conn a, o, c;
	struct relay_speaker who = bed_who(1, 1);
	unsigned closed;

	(void)state;
	bed_begin(&b);
	bed_open(&b, &a, who, 5, NET_A, 1);
	bed_open(&b, &o, who, 6, NET_A, 1);
	bed_conn(&b, &c);
	bed_hello(&b, &c, who, 0, 0, 0);
	fill(&b, &a, 100, 2);
	fill(&b, &o, 200, 1);
	bed_call(&b, &a, 300, NFS3_CREATE, "late");
	bed_fence(&b, &c, who, 5, -1, UINT64_MAX, &closed);
	bed_reply(&b, b.link[3], 300);
	assert_int_equal(bed_count(&b).kept, 4);
	/* The kernel comes back and asks for one over a new connection. */
	bed_open(&b, &a, who, 7, NET_A, 1);
	bed_call(&b, &a, 100, NFS3_CREATE, "f100");
	assert_int_equal(a.sent, 1);
	bed_pass(&b, 599999);
	assert_int_equal(bed_count(&b).kept, 4);
	bed_pass(&b, 1);
	assert_int_equal(bed_count(&b).kept, 2); /* it, and the other's */
	bed_gone(&b, &a);
	bed_gone(&b, &o);
	bed_gone(&b, &c);
	bed_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replay_is_answered),
	    cmocka_unit_test(replay_attaches),
	    cmocka_unit_test(late_copy_ends_the_first_asker),
	    cmocka_unit_test(reads_belong_to_their_connection),
	    cmocka_unit_test(reply_outlives_connection),
	    cmocka_unit_test(tokens),
	    cmocka_unit_test(newer_incarnation),
	    cmocka_unit_test(generations_and_floors),
	    cmocka_unit_test(fence_comes_before_hello),
	    cmocka_unit_test(fenced_calls_are_ignored),
	    cmocka_unit_test(fence_can_be_switched_off),
	    cmocka_unit_test(replays_can_run_again),
	    cmocka_unit_test(quota_holds_calls),
	    cmocka_unit_test(orphans_stop_nobody),
	    cmocka_unit_test(replies_of_an_ended_connection),
	    cmocka_unit_test(oldest_acknowledged_goes_first),
	    cmocka_unit_test(linger_clock_stands_still),
	    cmocka_unit_test(ack_names_the_last_asker),
	    cmocka_unit_test(over_makes_orphans),
	};

	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
