/*
 * Arguments of all 22 procedures: what is found in them, and that whatever
 * is cut short, too long, over its bounds or garbage is refused.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/nfsargs.h"

static struct samples all;

static int
set_up(void **state)
{
	(void)state;
	samples_make(&all);
	return 0;
}

/* Parses a copy of exactly that length: reading on would be noticed. */
static int
parse(uint32_t proc, const uint8_t *from, size_t given, size_t whole,
    struct nfs3_args *out)
{
	uint8_t *p = malloc(given + 1);
	int rc;

	memcpy(p, from, given);
	rc = nfs3_args_parse(proc, cursor_make(p, given), (uint32_t)whole, out);
	free(p);
	return rc;
}

static void
check_fh(const struct sample *s, struct nfs3_bytes fh, uint8_t want)
{
	if (want == 0) {
		assert_null(fh.p);
		return;
	}
	assert_true(fh.p > s->args.p && fh.p < s->args.p + s->args.len);
	assert_int_equal(fh.len, 32);
	for (unsigned i = 0; i < fh.len; i++)
		assert_int_equal(fh.p[i], want);
}

static void
check_name(struct nfs3_bytes name, const char *want)
{
	if (want == NULL) {
		assert_null(name.p);
		return;
	}
	assert_int_equal(name.len, strlen(want));
	assert_memory_equal(name.p, want, name.len);
}

static void
what_is_found(void **state)
{
	bool seen[NFS3_NPROC] = {false};

	(void)state;
	for (unsigned i = 0; i < all.n; i++) {
		const struct sample *s = &all.s[i];
		struct nfs3_args a;

		if (nfs3_args_parse(s->proc,
			cursor_make(s->args.p, s->args.len),
			(uint32_t)s->args.len, &a) == -1)
			fail_msg("%s is refused", s->name);
		seen[s->proc] = true;
		check_fh(s, a.fh, s->fh);
		check_fh(s, a.fh2, s->fh2);
		check_name(a.name, s->name1);
		check_name(a.name2, s->name2);
		assert_int_equal(a.offset, s->offset);
		assert_int_equal(a.count, s->count);
		assert_int_equal(a.sets_size, s->sets_size);
		assert_int_equal(a.size, s->size);
		assert_int_equal(a.identity_len,
		    s->identity_len ? s->identity_len : s->args.len);
		assert_true(a.reply_max >= 300);
	}
	for (unsigned i = 0; i < NFS3_NPROC; i++)
		assert_true(seen[i]);
}

static void
every_truncation_is_refused(void **state)
{
	struct nfs3_args a;

	(void)state;
	for (unsigned i = 0; i < all.n; i++) {
		const struct sample *s = &all.s[i];

		for (size_t n = 0; n < s->args.len; n++)
			if (parse(s->proc, s->args.p, n, n, &a) == 0)
				fail_msg("%s cut to %zu bytes", s->name, n);
	}
}

static void
only_data_may_be_missing(void **state)
{
	struct nfs3_args a;

	(void)state;
	for (unsigned i = 0; i < all.n; i++) {
		const struct sample *s = &all.s[i];

		for (size_t n = 0; n < s->args.len; n++) {
			bool want =
			    s->proc == NFS3_WRITE && n >= s->identity_len;

			if ((parse(s->proc, s->args.p, n, s->args.len, &a) ==
				0) != want)
				fail_msg("%s, %zu bytes given", s->name, n);
		}
	}
}

static void
nothing_may_follow(void **state)
{
	struct nfs3_args a;

	(void)state;
	for (unsigned i = 0; i < all.n; i++) {
		struct sample s = all.s[i];

		put32(&s.args, 0);
		if (parse(s.proc, s.args.p, s.args.len, s.args.len, &a) == 0)
			fail_msg("%s with four bytes more", s.name);
		/* ... nor be said to follow. */
		if (parse(s.proc, s.args.p, s.args.len - 4, s.args.len, &a) ==
		    0)
			fail_msg("%s with four bytes missing", s.name);
	}
}

static void
lengths_are_bounded(void **state)
{
	static const uint8_t long_name[NFS3_PATHMAX + 4];
	struct nfs3_args a;
	struct bytes b = {.len = 0};

	(void)state;
	put_opaque(&b, long_name, NFS3_FHSIZE);
	assert_int_equal(parse(NFS3_GETATTR, b.p, b.len, b.len, &a), 0);
	b.len = 0;
	put_opaque(&b, long_name, NFS3_FHSIZE + 4);
	assert_int_equal(parse(NFS3_GETATTR, b.p, b.len, b.len, &a), -1);
	b.len = 0;
	put_fh(&b, 1);
	put_opaque(&b, long_name, NFS3_NAMEMAX);
	assert_int_equal(parse(NFS3_LOOKUP, b.p, b.len, b.len, &a), 0);
	b.len = 0;
	put_fh(&b, 1);
	put_opaque(&b, long_name, NFS3_NAMEMAX + 1);
	assert_int_equal(parse(NFS3_LOOKUP, b.p, b.len, b.len, &a), -1);
	b.len = 0;
	put_fh(&b, 1);
	put_string(&b, "x");
	put_sattr(&b, -1);
	put_opaque(&b, long_name, NFS3_PATHMAX + 1);
	assert_int_equal(parse(NFS3_SYMLINK, b.p, b.len, b.len, &a), -1);
}

/* Every word of every sample replaced by ones that are likely to hurt. */
static void
hostile_words(void **state)
{
	static const uint32_t hostile[] = {0xffffffff, 0xfffffffd, 0x80000000,
	    0x7fffffff, 0x40000000, 65, 1025, 3};

	(void)state;
	for (unsigned i = 0; i < all.n; i++)
		for (size_t at = 0; at + 4 <= all.s[i].args.len; at += 4)
			for (unsigned k = 0; k < 8; k++) {
				struct sample s = all.s[i];
				struct nfs3_args a;

				be32_put(s.args.p + at, hostile[k]);
				if (parse(s.proc, s.args.p, s.args.len,
					s.args.len, &a) == -1)
					continue;
				assert_true(a.fh.len <= NFS3_FHSIZE);
				assert_true(a.name.len <= NFS3_NAMEMAX);
				assert_true(a.identity_len <= s.args.len);
			}
}

static void
write_says_its_length(void **state)
{
	struct samples one = {.n = 0};
	struct nfs3_args a;
	uint8_t *p;
	size_t len;

	(void)state;
	samples_write(&one);
	p = one.s[0].args.p;
	len = one.s[0].args.len;
	/* handle 36, offset 8, count, stable, length of data */
	be32_put(p + 44, 1002); /* count above the data */
	assert_int_equal(parse(NFS3_WRITE, p, len, len, &a), -1);
	be32_put(p + 44, 5); /* fewer: the rest is ignored */
	assert_int_equal(parse(NFS3_WRITE, p, len, len, &a), 0);
	be32_put(p + 48, 3); /* stable_how */
	assert_int_equal(parse(NFS3_WRITE, p, len, len, &a), -1);
	be32_put(p + 48, 0);
	for (uint32_t n = 0; n < 3000; n++) {
		be32_put(p + 52, n);
		assert_int_equal(parse(NFS3_WRITE, p, len, len, &a) == 0,
		    n >= 1001 && n <= 1004);
	}
}

static void
reply_estimates(void **state)
{
	struct bytes b = {.len = 0};
	struct nfs3_args a;

	(void)state;
	put_fh(&b, 1);
	put64(&b, 0);
	put32(&b, 1 << 20);
	assert_int_equal(parse(NFS3_READ, b.p, b.len, b.len, &a), 0);
	assert_true(a.reply_max >= (1 << 20) + 128);
	be32_put(b.p + 44, 0xffffffff);
	assert_int_equal(parse(NFS3_READ, b.p, b.len, b.len, &a), 0);
	assert_int_equal(a.reply_max, 0xffffffff);
}

static void
classes(void **state)
{
	unsigned n[3] = {0};

	(void)state;
	for (uint32_t i = 0; i < NFS3_NPROC; i++)
		n[nfs3_class(i)]++;
	assert_int_equal(n[CALL_PASSED], 11);
	assert_int_equal(n[CALL_TRACKED], 2);
	assert_int_equal(n[CALL_LOGGED], 9);
	assert_int_equal(nfs3_class(NFS3_WRITE), CALL_TRACKED);
	assert_int_equal(nfs3_class(NFS3_READ), CALL_PASSED);
	assert_int_equal(nfs3_class(NFS3_SETATTR), CALL_LOGGED);
	assert_int_equal(nfs3_class(1000), CALL_PASSED);
	assert_string_equal(nfs3_proc_names[NFS3_COMMIT], "COMMIT");
	assert_string_equal(nfs3_proc_names[NFS3_SYMLINK], "SYMLINK");
}

static void
garbage(void **state)
{
	struct nfs3_args a;
	uint8_t p[256];

	(void)state;
	srand(5);
	for (unsigned i = 0; i < 50000; i++) {
		size_t n = (size_t)rand() % sizeof(p);

		for (size_t k = 0; k < n; k++)
			p[k] = (uint8_t)(rand() % 6 ? 0 : rand() % 64);
		parse((uint32_t)rand() % (NFS3_NPROC + 2), p, n,
		    n + (size_t)(rand() % 3), &a);
	}
	assert_int_equal(parse(NFS3_NPROC, p, 0, 0, &a), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_found),
	    cmocka_unit_test(every_truncation_is_refused),
	    cmocka_unit_test(only_data_may_be_missing),
	    cmocka_unit_test(nothing_may_follow),
	    cmocka_unit_test(lengths_are_bounded),
	    cmocka_unit_test(hostile_words),
	    cmocka_unit_test(write_says_its_length),
	    cmocka_unit_test(reply_estimates),
	    cmocka_unit_test(classes),
	    cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests_name("nfs3", tests, set_up, NULL);
}
