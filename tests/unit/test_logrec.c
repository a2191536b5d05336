/* The log's records: what is written is read, what is damaged is refused. */
#include <stdio.h>

#include "unit.h"
#include "logmake.h"
#include "nfsargs.h"
#include "hanfs/crc32c.h"

enum { VOLUME = 7 };

static const uint32_t slots[LOGREC_PARTS_MAX] = {5, 900, 2};

/* Parses a record from its slots' values again. */
static void
read_back(
    const uint8_t *values, unsigned parts, uint8_t *joined, struct logrec *out)
{
	struct logslot head, s;
	size_t at = 0;

	for (unsigned i = 0; i < parts; i++) {
		assert_int_equal(logslot_parse(values + i * LOGSLOT_LEN,
				     LOGSLOT_LEN, VOLUME, slots[i], &s),
		    LOGREC_OK);
		if (i == 0)
			head = s;
		assert_int_equal(s.part, i);
		assert_int_equal(s.parts, parts);
		assert_int_equal(s.first, slots[0]);
		memcpy(joined + at, s.bytes, s.len);
		at += s.len;
	}
	assert_int_equal(
	    logrec_parse(&head, VOLUME, joined, at, out), LOGREC_OK);
}

static void
round_trips(void **state)
{
	unsigned seen[LOGREC_PARTS_MAX + 1] = {0};

	(void)state;
	logmake_init(1);
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t values[LOGREC_PARTS_MAX * LOGSLOT_LEN];
		uint8_t joined[LOGREC_MAX];
		struct logrec r, back;
		unsigned n;

		logmake_record(&r, LOGREC_INTENT + i % 3, VOLUME, i + 1, i + 2);
		r.map.first = i * LOGREC_MAP_SLOTS;
		memcpy(r.map.bits, logmake_bytes + i, LOGREC_MAP_LEN);
		n = logrec_encode(&r, slots, values);
		assert_true(n >= 1 && n <= LOGREC_PARTS_MAX);
		assert_int_equal(n, logrec_parts(&r));
		assert_true(n == 1 || r.kind == LOGREC_INTENT);
		seen[n]++;
		read_back(values, n, joined, &back);
		assert_true(logmake_equal(&r, &back));
	}
	for (unsigned n = 1; n <= LOGREC_PARTS_MAX; n++)
		assert_true(seen[n] > 0);
}

/* The longest of all: in bounds, and no byte more. */
static void
bounds(void **state)
{
	uint8_t values[LOGREC_PARTS_MAX * LOGSLOT_LEN], joined[LOGREC_MAX];
	struct logrec r, back;

	(void)state;
	logmake_init(2);
	logmake_record(&r, LOGREC_INTENT, VOLUME, 1, 1);
	r.cred.len = RPC_AUTH_MAX;
	r.args.len = LOGREC_ARGS_MAX;
	r.args_len = LOGREC_ARGS_MAX + 1;
	r.pre.len = LOGREC_PRE_MAX;
	assert_int_equal(logrec_encode(&r, slots, values), LOGREC_PARTS_MAX);
	read_back(values, LOGREC_PARTS_MAX, joined, &back);
	assert_true(logmake_equal(&r, &back));
	r.pre.len++;
	assert_int_equal(logrec_encode(&r, slots, values), 0);
	r.pre.len--;
	r.args_len = r.args.len - 1;
	assert_int_equal(logrec_encode(&r, slots, values), 0);

	logmake_record(&r, LOGREC_DONE, VOLUME, 1, 1);
	r.reply.len = LOGREC_REPLY_MAX;
	assert_int_equal(logrec_encode(&r, slots, values), 1);
	r.reply.len++;
	assert_int_equal(logrec_encode(&r, slots, values), 0);
	r.reply.len--;
	r.seq = 0;
	assert_int_equal(logrec_encode(&r, slots, values), 0);
	assert_int_equal(logrec_parts(&r), 1); /* as it is before it has one */

	logmake_record(&r, LOGREC_TOMB, VOLUME, 1, 1);
	r.names.len = LOGREC_NAME_LEN * LOGREC_NAMES_MAX;
	assert_int_equal(logrec_encode(&r, slots, values), 1);
	read_back(values, 1, joined, &back);
	assert_true(logmake_equal(&r, &back));
	r.names.len += LOGREC_NAME_LEN;
	assert_int_equal(logrec_encode(&r, slots, values), 0);
	r.names.len = LOGREC_NAME_LEN + 1;
	assert_int_equal(logrec_encode(&r, slots, values), 0);
}

/* Makes the checksum right again, so that what comes after it is tested. */
static void
reseal(uint8_t *v)
{
	be32_put(v + LOGSLOT_LEN - 4, crc32c(0, v, LOGSLOT_LEN - 4));
}

static void
each_fault_has_its_name(void **state)
{
	static const struct {
		unsigned at;
		uint8_t to;
		enum logrec_error want;
	} faults[] = {
	    {0, 'x', LOGREC_E_MAGIC},
	    {4, 0, LOGREC_E_VERSION},
	    {4, 2, LOGREC_E_HEADER}, /* that has tombs alone */
	    {4, 3, LOGREC_E_VERSION},
	    {5, 9, LOGREC_E_HEADER},
	    {6, 1, LOGREC_E_HEADER},
	    {7, 0, LOGREC_E_HEADER},
	    {7, 4, LOGREC_E_HEADER},
	    {7, 2, LOGREC_E_HEADER},
	    {11, 8, LOGREC_E_VOLUME},
	    {15, 6, LOGREC_E_SLOT},
	    {19, 6, LOGREC_E_HEADER},
	    {22, 0xff, LOGREC_E_HEADER},
	    {20, 0xff, LOGREC_E_HEADER},
	};
	uint8_t v[LOGSLOT_LEN], w[LOGSLOT_LEN];
	struct logslot s;
	struct logrec r;

	(void)state;
	logmake_init(3);
	logmake_record(&r, LOGREC_DONE, VOLUME, 1, 1);
	assert_int_equal(logrec_encode(&r, slots, v), 1);
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		memcpy(w, v, sizeof(w));
		w[faults[i].at] = faults[i].to;
		if (faults[i].want != LOGREC_E_MAGIC) {
			assert_int_equal(
			    logslot_parse(w, sizeof(w), VOLUME, slots[0], &s),
			    LOGREC_E_CRC);
			reseal(w);
		}
		assert_int_equal(
		    logslot_parse(w, sizeof(w), VOLUME, slots[0], &s),
		    faults[i].want);
	}
	for (size_t len = 0; len < sizeof(v); len += 13)
		assert_int_equal(logslot_parse(v, len, VOLUME, slots[0], &s),
		    LOGREC_E_LENGTH);
	memset(w, 0, sizeof(w));
	assert_int_equal(
	    logslot_parse(w, sizeof(w), VOLUME, slots[0], &s), LOGREC_E_MAGIC);
}

/* A body cut anywhere, with a right checksum around it, is no record. */
static void
cut_bodies(void **state)
{
	uint8_t values[LOGREC_PARTS_MAX * LOGSLOT_LEN], joined[LOGREC_MAX];
	struct logrec r, back;
	struct logslot head;
	unsigned n;

	(void)state;
	logmake_init(4);
	for (unsigned i = 0; i < 30; i++) {
		logmake_record(&r, LOGREC_INTENT + i % 3, VOLUME, 1, 1);
		n = logrec_encode(&r, slots, values);
		read_back(values, n, joined, &back);
		assert_int_equal(
		    logslot_parse(values, LOGSLOT_LEN, VOLUME, slots[0], &head),
		    LOGREC_OK);
		for (uint32_t len = 0; len < head.record_len; len++) {
			struct logslot h = head;
			uint8_t *exact = malloc(len + 1u);

			memcpy(exact, joined, len);
			h.record_len = len;
			assert_int_equal(
			    logrec_parse(&h, VOLUME, exact, len, &back),
			    LOGREC_E_BODY);
			free(exact);
		}
	}
}

static void
free_slots(void **state)
{
	uint8_t v[LOGSLOT_LEN];
	struct logslot s;
	uint32_t first;

	(void)state;
	logrec_encode_free(VOLUME, 3, 0, 0, v);
	assert_int_equal(logslot_parse(v, sizeof(v), VOLUME, 3, &s), LOGREC_OK);
	assert_int_equal(s.kind, LOGREC_FREE);
	assert_null(logrec_map_of(&s, &first));
}

/* --- arguments */

static void
look(struct bytes *args, uint32_t proc, struct call_info *info)
{
	memset(info, 0, sizeof(*info));
	info->rpc.args = cursor_make(args->p, args->len);
	assert_int_equal(nfs3_args_parse(proc, info->rpc.args,
			     (uint32_t)args->len, &info->nfs),
	    0);
}

static void
arguments_whole(void **state)
{
	static struct samples all;
	struct call_info info;

	(void)state;
	samples_make(&all);
	for (unsigned i = 0; i < all.n; i++) {
		struct sample *s = &all.s[i];
		struct logrec r = {0};

		if (nfs3_class(s->proc) != CALL_LOGGED)
			continue;
		look(&s->args, s->proc, &info);
		assert_int_equal(logrec_set_args(&r, &info), 0);
		assert_int_equal(r.args_len, s->args.len);
		assert_int_equal(r.args.len, s->args.len);
		assert_ptr_equal(r.args.p, s->args.p);
	}
}

static void
symlink_target_by_digest(void **state)
{
	static char target[NFS3_PATHMAX + 1];
	struct bytes b = {.len = 0};
	uint8_t digest[LOGREC_REST_LEN];
	struct call_info info;
	struct logrec r = {0};
	size_t before;

	(void)state;
	memset(target, 't', NFS3_PATHMAX - 1); /* with padding */
	put_fh(&b, 1);
	put_string(&b, "name");
	put_sattr(&b, -1);
	before = b.len;
	put_string(&b, target);
	look(&b, NFS3_SYMLINK, &info);
	assert_int_equal(logrec_set_args(&r, &info), 0);
	assert_int_equal(r.args_len, b.len);
	assert_int_equal(r.args.len, before + 4);
	logrec_rest(digest, (uint8_t *)target, NFS3_PATHMAX - 1);
	assert_memory_equal(digest, r.rest, sizeof(digest));
	target[0]++;
	logrec_rest(digest, (uint8_t *)target, NFS3_PATHMAX - 1);
	assert_memory_not_equal(digest, r.rest, sizeof(digest));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trips),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(each_fault_has_its_name),
	    cmocka_unit_test(cut_bodies),
	    cmocka_unit_test(free_slots),
	    cmocka_unit_test(arguments_whole),
	    cmocka_unit_test(symlink_target_by_digest),
	};

	return cmocka_run_group_tests_name("logrec", tests, NULL, NULL);
}
