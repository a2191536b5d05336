/*
 * NFSv3 attributes, values and replies against RFC 1813's layouts, drawn
 * here a second time by hand; then cut short, lengthened and bent.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/nfsargs.h"
#include "hanfs/nfs3_reply.h"

static const struct nfs3_fattr sample_attr = {
    .type = NF3REG,
    .mode = 0100644,
    .nlink = 2,
    .uid = 1000,
    .gid = 100,
    .size = 0x100000005u,
    .used = 8192,
    .rdev = {8, 1},
    .fsid = 0x1122334455667788u,
    .fileid = 0x99aabbccddeeff01u,
    .atime = {1, 2},
    .mtime = {3, 4},
    .ctime = {5, 6},
};

static void
put_fattr(struct bytes *b, const struct nfs3_fattr *a)
{
	const uint32_t head[] = {a->type, a->mode, a->nlink, a->uid, a->gid};
	const uint32_t times[] = {a->atime.sec, a->atime.nsec, a->mtime.sec,
	    a->mtime.nsec, a->ctime.sec, a->ctime.nsec};

	for (unsigned i = 0; i < 5; i++)
		put32(b, head[i]);
	put64(b, a->size);
	put64(b, a->used);
	put32(b, a->rdev[0]);
	put32(b, a->rdev[1]);
	put64(b, a->fsid);
	put64(b, a->fileid);
	for (unsigned i = 0; i < 6; i++)
		put32(b, times[i]);
}

static void
assert_attr(const struct nfs3_fattr *a, const struct nfs3_fattr *b)
{
	struct bytes x = {.len = 0}, y = {.len = 0};

	put_fattr(&x, a);
	put_fattr(&y, b);
	assert_memory_equal(x.p, y.p, x.len);
}

/* --- values of calls */

static void
names_as_in_the_other_reader(void **state)
{
	struct samples all;

	(void)state;
	samples_make(&all);
	for (unsigned i = 0; i < all.n; i++) {
		struct sample *s = &all.s[i];
		struct cursor c = cursor_make(s->args.p, s->args.len);
		uint32_t len = (uint32_t)s->args.len;
		struct nfs3_args names, other;
		struct nfs3_values v;
		int got = nfs3_values_parse(s->proc, c, len, &names, &v);

		if (nfs3_class(s->proc) != CALL_LOGGED) {
			assert_int_equal(got, -1);
			continue;
		}
		assert_int_equal(got, 0);
		assert_int_equal(nfs3_args_parse(s->proc, c, len, &other), 0);
		other.reply_max = 0;
		assert_memory_equal(&names, &other, sizeof(names));
		/* one byte too many, and each length that is too short */
		assert_int_equal(
		    nfs3_values_parse(s->proc, cursor_make(s->args.p, len + 4),
			len + 4, &names, &v),
		    -1);
		for (uint32_t n = 0; n < len; n++)
			assert_int_equal(
			    nfs3_values_parse(s->proc,
				cursor_make(s->args.p, n), n, &names, &v),
			    -1);
	}
}

static void
random_sattr(struct nfs3_sattr *s)
{
	memset(s, 0, sizeof(*s));
	s->set_mode = rand() % 2;
	s->mode = s->set_mode ? (uint32_t)rand() : 0;
	s->set_uid = rand() % 2;
	s->uid = s->set_uid ? (uint32_t)rand() : 0;
	s->set_gid = rand() % 2;
	s->gid = s->set_gid ? (uint32_t)rand() : 0;
	s->set_size = rand() % 2;
	s->size = s->set_size ? (uint64_t)rand() << 8 : 0;
	s->set_atime = (enum nfs3_time_how)(rand() % 3);
	if (s->set_atime == NFS3_CLIENT_TIME)
		s->atime = (struct nfs3_time){7, (uint32_t)rand()};
	s->set_mtime = (enum nfs3_time_how)(rand() % 3);
	if (s->set_mtime == NFS3_CLIENT_TIME)
		s->mtime = (struct nfs3_time){(uint32_t)rand(), 9};
}

static void
sattr_there_and_back(void **state)
{
	(void)state;
	srand(1);
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t buf[256];
		struct nfs3_out o = {.p = buf, .left = sizeof(buf)};
		struct nfs3_sattr s;
		struct nfs3_args names;
		struct nfs3_values v;
		size_t len;

		random_sattr(&s);
		nfs3_put_opaque(&o, "handle", 6);
		nfs3_put_sattr(&o, &s);
		nfs3_put_u32(&o, i % 2);
		if (i % 2) {
			nfs3_put_u32(&o, 11);
			nfs3_put_u32(&o, 12);
		}
		assert_false(o.short_of);
		len = sizeof(buf) - o.left;
		assert_int_equal(
		    nfs3_values_parse(NFS3_SETATTR, cursor_make(buf, len),
			(uint32_t)len, &names, &v),
		    0);
		assert_memory_equal(&v.sattr, &s, sizeof(s));
		assert_int_equal(v.guard, i % 2);
		assert_int_equal(v.guard_ctime.nsec, i % 2 ? 12 : 0);
	}
}

/* put_sattr() of nfscall.h is the other hand: one known set of values. */
static void
values_by_procedure(void **state)
{
	struct bytes b = {.len = 0};
	struct nfs3_args names;
	struct nfs3_values v;

	(void)state;
	put_fh(&b, 0x11);
	put_string(&b, "dev");
	put32(&b, NF3BLK);
	put_sattr(&b, 77);
	put32(&b, 8);
	put32(&b, 17);
	assert_int_equal(nfs3_values_parse(NFS3_MKNOD, cursor_make(b.p, b.len),
			     (uint32_t)b.len, &names, &v),
	    0);
	assert_int_equal(v.type, NF3BLK);
	assert_int_equal(v.rdev[0], 8);
	assert_int_equal(v.rdev[1], 17);
	assert_true(v.sattr.set_mode && v.sattr.set_size);
	assert_int_equal(v.sattr.mode, 0644);
	assert_int_equal(v.sattr.size, 77);
	assert_false(v.sattr.set_uid || v.sattr.set_gid);
	assert_int_equal(v.sattr.set_atime, NFS3_SERVER_TIME);
	assert_int_equal(v.sattr.set_mtime, NFS3_CLIENT_TIME);
	assert_int_equal(v.sattr.mtime.sec, 0x11223344);
	assert_int_equal(v.sattr.mtime.nsec, 0x55667788);

	b.len = 0;
	put_fh(&b, 0x11);
	put_string(&b, "new");
	put32(&b, NFS3_EXCLUSIVE);
	put64(&b, 0x0102030405060708u);
	assert_int_equal(nfs3_values_parse(NFS3_CREATE, cursor_make(b.p, b.len),
			     (uint32_t)b.len, &names, &v),
	    0);
	assert_int_equal(v.how, NFS3_EXCLUSIVE);
	assert_memory_equal(v.verf, "\1\2\3\4\5\6\7\10", 8);
}

/* The log keeps a long SYMLINK up to its target's length. */
static void
symlink_cut_short(void **state)
{
	static char path[4001];
	struct bytes b = {.len = 0};
	struct nfs3_args names;
	struct nfs3_values v;
	uint32_t head;

	(void)state;
	memset(path, 'x', 4000);
	put_fh(&b, 0x11);
	put_string(&b, "long");
	put_sattr(&b, -1);
	head = (uint32_t)b.len + 4;
	put_string(&b, path);
	for (uint32_t n = head; n <= b.len; n++) {
		assert_int_equal(
		    nfs3_values_parse(NFS3_SYMLINK, cursor_make(b.p, n),
			(uint32_t)b.len, &names, &v),
		    0);
		assert_int_equal(v.target_len, 4000);
		assert_int_equal(v.target.len, n - head);
	}
	/* shorter than that, or of another length than it says */
	assert_int_equal(
	    nfs3_values_parse(NFS3_SYMLINK, cursor_make(b.p, head - 1),
		(uint32_t)b.len, &names, &v),
	    -1);
	assert_int_equal(nfs3_values_parse(NFS3_SYMLINK, cursor_make(b.p, head),
			     (uint32_t)b.len + 4, &names, &v),
	    -1);
	/* nothing else may be cut */
	assert_int_equal(
	    nfs3_values_parse(NFS3_MKDIR, cursor_make(b.p, head - 8),
		(uint32_t)b.len, &names, &v),
	    -1);
}

/* --- replies that are read */

static void
found_lookup(void **state)
{
	struct bytes b = {.len = 0};
	struct nfs3_found f;

	(void)state;
	put32(&b, NFS3_OK);
	put_fh(&b, 0x33);
	put32(&b, 1);
	put_fattr(&b, &sample_attr);
	put32(&b, 0);
	assert_int_equal(
	    nfs3_found_parse(NFS3_LOOKUP, cursor_make(b.p, b.len), &f), 0);
	assert_int_equal(f.fh.len, 32);
	assert_true(f.has_attr && !f.has_dir);
	assert_attr(&f.attr, &sample_attr);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(
		    nfs3_found_parse(NFS3_LOOKUP, cursor_make(b.p, n), &f), -1);
	assert_int_equal(
	    nfs3_found_parse(NFS3_LOOKUP, cursor_make(b.p, b.len + 4), &f), -1);

	b.len = 0;
	put32(&b, NFS3ERR_NOENT);
	put32(&b, 1);
	put_fattr(&b, &sample_attr);
	assert_int_equal(
	    nfs3_found_parse(NFS3_LOOKUP, cursor_make(b.p, b.len), &f), 0);
	assert_int_equal(f.status, NFS3ERR_NOENT);
	assert_true(f.has_dir && !f.has_attr);
	assert_attr(&f.dir, &sample_attr);
}

static void
found_others(void **state)
{
	struct bytes b = {.len = 0};
	struct nfs3_found f;
	struct nfs3_fattr bent = sample_attr;

	(void)state;
	put32(&b, NFS3_OK);
	put_fattr(&b, &sample_attr);
	assert_int_equal(
	    nfs3_found_parse(NFS3_GETATTR, cursor_make(b.p, b.len), &f), 0);
	assert_attr(&f.attr, &sample_attr);
	b.len = 0;
	put32(&b, NFS3ERR_STALE);
	assert_int_equal(
	    nfs3_found_parse(NFS3_GETATTR, cursor_make(b.p, b.len), &f), 0);
	assert_false(f.has_attr);
	b.len = 0;
	put32(&b, NFS3_OK);
	put32(&b, 0);
	put_string(&b, "../there");
	assert_int_equal(
	    nfs3_found_parse(NFS3_READLINK, cursor_make(b.p, b.len), &f), 0);
	assert_int_equal(f.target.len, 8);
	assert_memory_equal(f.target.p, "../there", 8);
	b.len = 0;
	bent.type = 8;
	put32(&b, NFS3_OK);
	put_fattr(&b, &bent);
	assert_int_equal(
	    nfs3_found_parse(NFS3_GETATTR, cursor_make(b.p, b.len), &f), -1);
	assert_int_equal(
	    nfs3_found_parse(NFS3_READ, cursor_make(b.p, b.len), &f), -1);
}

/* --- replies that are written */

static const struct nfs3_fh reply_fh = {.len = 5, .b = "hndl"};

static void
put_post(struct bytes *b, const struct nfs3_fattr *a)
{
	put32(b, a != NULL);
	if (a != NULL)
		put_fattr(b, a);
}

static void
put_wcc(struct bytes *b, const struct nfs3_fattr *a)
{
	put32(b, 0);
	put_post(b, a);
}

/* By RFC 1813, 3.3.2 and 3.3.8 to 3.3.15. */
static void
by_hand(struct bytes *b, const struct nfs3_reply *r)
{
	bool ok = r->status == NFS3_OK;

	b->len = 0;
	put_reply(b, r->xid, 0);
	put32(b, r->status);
	switch (r->proc) {
	case NFS3_SETATTR:
		put_wcc(b, r->attr);
		break;
	case NFS3_RENAME:
		put_wcc(b, r->dir);
		put_wcc(b, r->dir2);
		break;
	case NFS3_LINK:
		put_post(b, r->attr);
		put_wcc(b, r->dir);
		break;
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		put_wcc(b, r->dir);
		break;
	default:
		if (ok) {
			put32(b, r->fh != NULL);
			if (r->fh != NULL)
				put_opaque(b, r->fh->b, r->fh->len);
			put_post(b, r->attr);
		}
		put_wcc(b, r->dir);
		break;
	}
}

static void
replies_written(void **state)
{
	struct nfs3_fattr dir = sample_attr;
	uint8_t buf[NFS3_REPLY_MAX];
	unsigned written = 0;

	(void)state;
	dir.type = NF3DIR;
	for (uint32_t proc = 0; proc < NFS3_NPROC; proc++)
		for (unsigned bits = 0; bits < 32; bits++) {
			struct nfs3_reply r = {.xid = 0x1234 + bits,
			    .proc = proc,
			    .status = bits & 1 ? NFS3ERR_IO : NFS3_OK,
			    .fh = bits & 2 ? &reply_fh : NULL,
			    .attr = bits & 4 ? &sample_attr : NULL,
			    .dir = bits & 8 ? &dir : NULL,
			    .dir2 = bits & 16 ? &dir : NULL};
			struct bytes want;
			size_t n = nfs3_reply_write(buf, sizeof(buf), &r);

			if (nfs3_class(proc) != CALL_LOGGED) {
				assert_int_equal(n, 0);
				continue;
			}
			by_hand(&want, &r);
			assert_int_equal(n, want.len);
			assert_memory_equal(buf, want.p, n);
			for (size_t size = 0; size < n; size++)
				assert_int_equal(
				    nfs3_reply_write(buf, size, &r), 0);
			written++;
		}
	assert_int_equal(written, 9 * 32);
}

static void
status_names(void **state)
{
	(void)state;
	assert_string_equal(nfs3_status_name(NFS3ERR_STALE), "NFS3ERR_STALE");
	assert_string_equal(nfs3_status_name(10008), "NFS3ERR_JUKEBOX");
	assert_string_equal(nfs3_status_name(4711), "status 4711");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_as_in_the_other_reader),
	    cmocka_unit_test(sattr_there_and_back),
	    cmocka_unit_test(values_by_procedure),
	    cmocka_unit_test(symlink_cut_short),
	    cmocka_unit_test(found_lookup),
	    cmocka_unit_test(found_others),
	    cmocka_unit_test(replies_written),
	    cmocka_unit_test(status_names),
	};

	return cmocka_run_group_tests_name("nfs3reply", tests, NULL, NULL);
}
