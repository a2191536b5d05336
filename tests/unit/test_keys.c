/*
 * Order keys against a model that is nothing but their rule: a request runs
 * when, for each of its keys, no earlier request is in its way. Random
 * schedules; then which keys the NFSv3 calls take.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/nfscall.h"
#include "server-agent/callkeys.h"
#include "server-agent/keys.h"

enum { REQS = 24, NKEYS = 6, STEPS = 20000 };

/* All requests about, oldest first. */
struct model {
	struct key_set set[REQS];
	struct key_req *req[REQS];
	unsigned n;
};

static bool
in_the_way(const struct key_set *a, const struct key_set *b)
{
	for (unsigned i = 0; i < a->n; i++)
		for (unsigned k = 0; k < b->n; k++)
			if (a->want[i].key == b->want[k].key &&
			    (a->want[i].mode != b->want[k].mode ||
				a->want[i].mode == KEY_EXCLUSIVE))
				return true;
	return false;
}

static bool
model_runs(const struct model *m, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (in_the_way(&m->set[i], &m->set[at]))
			return false;
	return true;
}

static void
random_set(struct key_set *set)
{
	unsigned n = (unsigned)rand() % (KEYS_MAX + 1);

	set->n = 0;
	for (unsigned i = 0; i < n; i++)
		key_set_add(set, (uint64_t)(rand() % NKEYS),
		    (enum key_mode)(rand() % 3));
}

static void
check_all(const struct model *m)
{
	for (unsigned i = 0; i < m->n; i++)
		assert_int_equal(m->req[i]->missing == 0, model_runs(m, i));
	if (m->n > 0)
		assert_int_equal(m->req[0]->missing, 0); /* no deadlock */
}

/* Gives up a random request, running or not; the list must name exactly
 * those that run by that. */
static void
release_one(struct keys *k, struct model *m, struct key_req **free)
{
	unsigned at = (unsigned)rand() % m->n, before = 0, after = 0, n = 0;
	struct key_req *gone = m->req[at], *ready;

	for (unsigned i = 0; i < m->n; i++)
		before += i != at && m->req[i]->missing == 0;
	ready = keys_release(k, gone);
	m->n--;
	memmove(&m->set[at], &m->set[at + 1], (m->n - at) * sizeof(m->set[0]));
	memmove(&m->req[at], &m->req[at + 1], (m->n - at) * sizeof(m->req[0]));
	for (unsigned i = 0; i < m->n; i++)
		after += m->req[i]->missing == 0;
	for (; ready != NULL; ready = ready->next) {
		assert_int_equal(ready->missing, 0);
		n++;
	}
	assert_int_equal(after - before, n);
	gone->next = *free;
	*free = gone;
}

/* What of b is not in a, or in a stricter mode. */
static void
set_minus(struct key_set *out, const struct key_set *b, const struct key_set *a)
{
	bool known;

	out->n = 0;
	for (unsigned i = 0; i < b->n; i++) {
		known = false;
		for (unsigned k = 0; k < a->n; k++)
			known =
			    known || (a->want[k].key == b->want[i].key &&
					 a->want[k].mode == b->want[i].mode);
		if (!known)
			out->want[out->n++] = b->want[i];
	}
}

/* One that runs asks for more, and gets it when it is in nobody's way with
 * that, be it one that runs or one that waits. */
static void
more_for_one(struct keys *k, struct model *m, unsigned *got, unsigned *refused)
{
	unsigned at = (unsigned)rand() % m->n;
	struct key_set more, both, extra;
	bool may = true;

	random_set(&more);
	both = m->set[at];
	if (m->req[at]->missing > 0 || both.n + more.n > KEYS_MAX)
		return;
	for (unsigned i = 0; i < more.n; i++)
		key_set_add(&both, more.want[i].key, more.want[i].mode);
	set_minus(&extra, &both, &m->set[at]);
	for (unsigned i = 0; i < m->n; i++)
		may = may && (i == at || !in_the_way(&m->set[i], &extra));
	assert_int_equal(keys_more(k, m->req[at], &more), may);
	*(may ? got : refused) += 1;
	if (may)
		m->set[at] = both;
}

static void
random_schedules(void **state)
{
	struct keys *k = keys_new(REQS);
	struct key_req mem[REQS], *free = NULL;
	struct model m = {.n = 0};
	unsigned waited = 0, got = 0, refused = 0;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < REQS; i++) {
		mem[i].next = free;
		free = &mem[i];
	}
	for (unsigned step = 0; step < STEPS; step++) {
		if (m.n < REQS && (m.n == 0 || rand() % 2)) {
			struct key_req *r = free;

			free = r->next;
			random_set(&m.set[m.n]);
			m.req[m.n] = r;
			m.n++;
			waited += !keys_take(k, r, &m.set[m.n - 1]);
		} else if (m.n > 0 && rand() % 3 == 0)
			more_for_one(k, &m, &got, &refused);
		else
			release_one(k, &m, &free);
		check_all(&m);
	}
	while (m.n > 0)
		release_one(k, &m, &free);
	assert_int_equal(keys_in_use(k), 0);
	assert_true(waited > STEPS / 10);
	assert_true(got > STEPS / 200 && refused > STEPS / 200);
	keys_free(k);
}

/* What an earlier look asked for stays; with too much of that there is no
 * room, and the request takes all anew. */
static void
more_than_fits(void **state)
{
	struct keys *k = keys_new(1);
	struct key_req req;
	struct key_set first = {0}, more = {0};

	(void)state;
	for (uint64_t i = 0; i < KEYS_MAX; i++)
		key_set_add(&first, i, KEY_SHARED);
	assert_true(keys_take(k, &req, &first));
	key_set_add(&more, 0, KEY_EXCLUSIVE);
	assert_true(keys_more(k, &req, &more));
	key_set_add(&more, KEYS_MAX, KEY_EXCLUSIVE);
	assert_false(keys_more(k, &req, &more));
	assert_int_equal(keys_in_use(k), KEYS_MAX);
	assert_null(keys_release(k, &req));
	assert_int_equal(keys_in_use(k), 0);
	keys_free(k);
}

static void
stricter_mode_stays(void **state)
{
	struct key_set s = {0};

	(void)state;
	key_set_add(&s, 7, KEY_SHARED);
	key_set_add(&s, 7, KEY_SHARED);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.want[0].mode, KEY_SHARED);
	key_set_add(&s, 7, KEY_EXCLUSIVE);
	assert_int_equal(s.want[0].mode, KEY_EXCLUSIVE);
	key_set_add(&s, 7, KEY_SHARED);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.want[0].mode, KEY_EXCLUSIVE);
}

/* --- which calls are in each other's way */

enum what {
	WRITE_F,
	WRITE_G,
	TRUNCATE_F,
	CHMOD_F,
	CHMOD_DIR,
	CREATE_A,
	CREATE_B,
	CREATE_A_TRUNC,
	CREATE_B_TRUNC,
	REMOVE_A,
	RMDIR_B,
	RENAME_A_B,
	RENAME_OTHER,
	LINK_F_A,
	READ_F,
	COMMIT_F,
	LOOKUP_A,
	NWHAT,
	CREATE_C, /* these are not in the table */
	RENAME_A_TO_2,
};

enum { DIR = 1, DIR2 = 2, F = 3, G = 4 };

static void
dirop(struct bytes *b, uint8_t dir, const char *name)
{
	put_fh(b, dir);
	put_string(b, name);
}

static uint32_t
build(struct bytes *b, enum what w)
{
	switch (w) {
	case WRITE_F:
	case WRITE_G:
		put_fh(b, w == WRITE_F ? F : G);
		put64(b, 0);
		put32(b, 4);
		put32(b, 0);
		put_opaque(b, "data", 4);
		return NFS3_WRITE;
	case TRUNCATE_F:
	case CHMOD_F:
	case CHMOD_DIR:
		put_fh(b, w == CHMOD_DIR ? DIR : F);
		put_sattr(b, w == TRUNCATE_F ? 5 : -1);
		put32(b, 0);
		return NFS3_SETATTR;
	case CREATE_A:
	case CREATE_B:
	case CREATE_A_TRUNC:
	case CREATE_B_TRUNC:
		dirop(b, DIR, w == CREATE_A || w == CREATE_A_TRUNC ? "a" : "b");
		put32(b, 0);
		put_sattr(b, w >= CREATE_A_TRUNC ? 0 : -1);
		return NFS3_CREATE;
	case CREATE_C:
		dirop(b, DIR, "c");
		put32(b, 0);
		put_sattr(b, -1);
		return NFS3_CREATE;
	case REMOVE_A:
	case LOOKUP_A:
		dirop(b, DIR, "a");
		return w == REMOVE_A ? NFS3_REMOVE : NFS3_LOOKUP;
	case RMDIR_B:
		dirop(b, DIR, "b");
		return NFS3_RMDIR;
	case RENAME_A_B:
		dirop(b, DIR, "a");
		dirop(b, DIR, "b");
		return NFS3_RENAME;
	case RENAME_A_TO_2:
		dirop(b, DIR, "a");
		dirop(b, DIR2, "b");
		return NFS3_RENAME;
	case RENAME_OTHER:
		dirop(b, DIR2, "a");
		dirop(b, DIR2, "b");
		return NFS3_RENAME;
	case LINK_F_A:
		put_fh(b, F);
		dirop(b, DIR, "a");
		return NFS3_LINK;
	case READ_F:
	case COMMIT_F:
		put_fh(b, F);
		put64(b, 0);
		put32(b, 4);
		return w == READ_F ? NFS3_READ : NFS3_COMMIT;
	default:
		fail();
		return 0;
	}
}

static void
keys_of(struct key_set *set, enum what w, uint32_t volume)
{
	static const uint8_t secret[CALL_KEYS_SECRET] = "not a secret";
	struct bytes b = {.len = 0};
	uint32_t proc = build(&b, w);
	struct nfs3_args args;

	assert_int_equal(nfs3_args_parse(proc, cursor_make(b.p, b.len),
			     (uint32_t)b.len, &args),
	    0);
	call_keys(set, secret, volume, proc, &args);
}

static void
calls_in_the_way(void **state)
{
	/* Row: its calls; column: may it run together with that one? */
	static const char *const together[NWHAT] = {
	    /* WWTCCCCCCRRRRLRCL */
	    "yynyyyynnyyyyyyyy", /* WRITE_F */
	    "yyyyyyynnyyyyyyyy", /* WRITE_G */
	    "nynnyyyyyyyyynyyy", /* TRUNCATE_F */
	    "yynnyyyyyyyyynyyy", /* CHMOD_F */
	    "yyyynnnnnnnnynyyn", /* CHMOD_DIR */
	    "yyyynnynynnnynyyy", /* CREATE_A */
	    "yyyynynynynnyyyyy", /* CREATE_B */
	    "nnyynnynynnnynyyy", /* CREATE_A_TRUNC */
	    "nnyynynynynnyyyyy", /* CREATE_B_TRUNC */
	    "yyyynnynynnnynyyy", /* REMOVE_A */
	    "yyyynnnnnnnnynyyn", /* RMDIR_B */
	    "yyyynnnnnnnnynyyn", /* RENAME_A_B */
	    "yyyyyyyyyyyynyyyy", /* RENAME_OTHER */
	    "yynnnnynynnnynyyy", /* LINK_F_A */
	    "yyyyyyyyyyyyyyyyy", /* READ_F */
	    "yyyyyyyyyyyyyyyyy", /* COMMIT_F */
	    "yyyynyyyyynnyyyyy", /* LOOKUP_A */
	};

	(void)state;
	for (unsigned i = 0; i < NWHAT; i++)
		for (unsigned k = 0; k < NWHAT; k++) {
			struct key_set a, b, other;

			keys_of(&a, i, 0);
			keys_of(&b, k, 0);
			keys_of(&other, k, 1);
			if (in_the_way(&a, &b) != (together[i][k] == 'n'))
				fail_msg("call %u with call %u", i, k);
			assert_false(in_the_way(&a, &other));
		}
}

/* --- with a log: what the names stand for, too */

static const uint8_t log_secret[CALL_KEYS_SECRET] = "not a secret";

static void
call_of(struct prestate_call *call, struct bytes *b, enum what w)
{
	struct nfs3_bytes none = {NULL, 0}, args;
	uint32_t proc;

	b->len = 0;
	proc = build(b, w);
	args = (struct nfs3_bytes){b->p, (uint32_t)b->len};
	assert_int_equal(prestate_call_parse(call, 1, proc, RPC_AUTH_NONE,
			     &none, &args, args.len, NULL),
	    0);
}

/* The object that put_fh(which) names. */
static void
found(struct prestate_object *o, uint8_t which, uint32_t type)
{
	memset(o, 0, sizeof(*o));
	o->known = which != 0 ? PRESTATE_EXISTS : PRESTATE_ABSENT;
	o->has_attr = true;
	o->attr.type = type;
	o->fh.len = 32;
	memset(o->fh.b, which, o->fh.len);
}

static void
log_keys_of(struct key_set *first, struct key_set *all, bool sleeps,
    enum what w, uint8_t a, uint8_t b, uint32_t type)
{
	static struct bytes mem;
	struct prestate_call call;
	struct prestate before;

	call_of(&call, &mem, w);
	prestate_begin(&before, &call, false);
	found(&before.obj[0], a, type);
	found(&before.obj[1], b, type);
	log_keys_first(first, log_secret, 0, sleeps, call.proc, &call.names);
	log_keys_all(all, log_secret, 0, sleeps, &call, &before);
}

static void
log_keys_by_found(void **state)
{
	static const struct {
		enum what call;
		uint8_t a, b; /* what its names stand for */
		uint32_t type;
		enum what other;
		bool first, all; /* is the other one in the way? */
	} rows[] = {
	    {REMOVE_A, F, 0, NF3REG, CHMOD_F, false, true},
	    {REMOVE_A, G, 0, NF3REG, CHMOD_F, false, false},
	    {REMOVE_A, 0, 0, NF3REG, CHMOD_F, false, false},
	    {RMDIR_B, DIR2, 0, NF3DIR, RENAME_OTHER, false, true},
	    {RENAME_A_B, F, 0, NF3REG, CHMOD_F, false, true},
	    {RENAME_A_B, G, F, NF3REG, CHMOD_F, false, true},
	    {RENAME_A_B, G, 0, NF3REG, CREATE_C, false, false},
	    {RENAME_A_B, G, 0, NF3DIR, CREATE_C, false, true},
	    {RENAME_A_B, G, F, NF3DIR, CREATE_C, false, true},
	    {CREATE_A_TRUNC, F, 0, NF3REG, WRITE_F, false, true},
	    {CREATE_A_TRUNC, F, 0, NF3REG, CHMOD_F, false, true},
	    {CREATE_A_TRUNC, F, 0, NF3REG, WRITE_G, false, false},
	    {CREATE_A_TRUNC, 0, 0, NF3REG, WRITE_F, false, false},
	    {CREATE_A, F, 0, NF3REG, WRITE_F, false, false},
	    {CREATE_A, F, 0, NF3REG, CHMOD_F, false, true},
	    {LINK_F_A, F, 0, NF3REG, CHMOD_F, true, true},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct key_set first, all, other;

		log_keys_of(&first, &all, false, rows[i].call, rows[i].a,
		    rows[i].b, rows[i].type);
		keys_of(&other, rows[i].other, 0);
		if (in_the_way(&first, &other) != rows[i].first ||
		    in_the_way(&all, &other) != rows[i].all)
			fail_msg("row %u", i);
	}
}

/* From one directory to another, at a backend that would sleep. */
static void
rename_alone(void **state)
{
	static const enum what others[] = {CREATE_C, LOOKUP_A};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool sleeps = i % 2 == 0;
		struct key_set first, all, other;

		keys_of(&other, others[i / 2], 0);
		log_keys_of(
		    &first, &all, sleeps, RENAME_A_TO_2, G, 0, NF3REG);
		assert_int_equal(in_the_way(&first, &other), sleeps);
		assert_int_equal(in_the_way(&all, &other), sleeps);
		log_keys_of(&first, &all, sleeps, RENAME_A_B, G, 0, NF3REG);
		assert_false(in_the_way(&first, &other));
		assert_false(in_the_way(&all, &other));
	}
}

/* Six keys, and not one more, whatever is renamed. */
static void
most_keys(void **state)
{
	static struct bytes b;
	struct nfs3_bytes none = {NULL, 0}, args;
	struct prestate_call call;
	struct prestate before;
	struct key_set all;

	(void)state;
	b.len = 0;
	dirop(&b, DIR, "a");
	dirop(&b, DIR2, "a");
	args = (struct nfs3_bytes){b.p, (uint32_t)b.len};
	assert_int_equal(prestate_call_parse(&call, 1, NFS3_RENAME,
			     RPC_AUTH_NONE, &none, &args, args.len, NULL),
	    0);
	prestate_begin(&before, &call, false);
	found(&before.obj[0], F, NF3DIR);
	found(&before.obj[1], G, NF3DIR);
	log_keys_all(&all, log_secret, 0, false, &call, &before);
	assert_int_equal(all.n, KEYS_MAX);
	for (unsigned i = 0; i < all.n; i++)
		assert_int_equal(all.want[i].mode, KEY_EXCLUSIVE);
}

static void
when_to_look_again(void **state)
{
	static struct bytes b;
	struct prestate_call call;
	struct prestate before;

	(void)state;
	call_of(&call, &b, CREATE_A_TRUNC);
	prestate_begin(&before, &call, false);
	found(&before.obj[0], F, NF3REG);
	assert_true(log_keys_look_again(&call, &before));
	found(&before.obj[0], 0, NF3REG);
	assert_false(log_keys_look_again(&call, &before));
	call_of(&call, &b, CREATE_A);
	found(&before.obj[0], F, NF3REG);
	assert_false(log_keys_look_again(&call, &before));
	call_of(&call, &b, REMOVE_A);
	assert_false(log_keys_look_again(&call, &before));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_schedules),
	    cmocka_unit_test(more_than_fits),
	    cmocka_unit_test(stricter_mode_stays),
	    cmocka_unit_test(calls_in_the_way),
	    cmocka_unit_test(log_keys_by_found),
	    cmocka_unit_test(rename_alone),
	    cmocka_unit_test(most_keys),
	    cmocka_unit_test(when_to_look_again),
	};

	return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
