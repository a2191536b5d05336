/*
 * For each procedure of NFSv3 valid arguments, laid out as RFC 1813, section
 * 3.3, draws them; more than one where there are variants.
 */
#ifndef HANFS_TESTS_NFSARGS_H
#define HANFS_TESTS_NFSARGS_H

#include "tests/unit/nfscall.h"
#include "hanfs/nfs3.h"

struct sample {
	const char *name;
	uint32_t proc;
	struct bytes args;
	/* what a reader must find */
	uint8_t fh, fh2; /* byte that the handle is made of; 0: none */
	const char *name1, *name2;
	uint64_t offset;
	uint32_t count;
	bool sets_size;
	uint64_t size;
	uint32_t identity_len; /* 0: all */
};

enum { SAMPLES_MAX = 48 };

struct samples {
	struct sample s[SAMPLES_MAX];
	unsigned n;
};

static inline struct sample *
sample_new(struct samples *all, const char *name, uint32_t proc)
{
	struct sample *s = &all->s[all->n++];

	assert(all->n <= SAMPLES_MAX);
	memset(s, 0, sizeof(*s));
	s->name = name;
	s->proc = proc;
	return s;
}

/* Arguments that begin with a handle. */
static inline struct sample *
sample_fh(struct samples *all, const char *name, uint32_t proc)
{
	struct sample *s = sample_new(all, name, proc);

	put_fh(&s->args, 0x11);
	s->fh = 0x11;
	return s;
}

static inline struct sample *
sample_dirop(struct samples *all, const char *name, uint32_t proc)
{
	struct sample *s = sample_fh(all, name, proc);

	put_string(&s->args, "victim");
	s->name1 = "victim";
	return s;
}

static inline void
sample_io(struct sample *s)
{
	put64(&s->args, 0x100000002u);
	put32(&s->args, 777);
	s->offset = 0x100000002u;
	s->count = 777;
}

static inline void
samples_readonly(struct samples *all)
{
	struct sample *s;

	sample_new(all, "NULL", NFS3_NULL);
	sample_fh(all, "GETATTR", NFS3_GETATTR);
	sample_dirop(all, "LOOKUP", NFS3_LOOKUP);
	s = sample_fh(all, "ACCESS", NFS3_ACCESS);
	put32(&s->args, 0x3f);
	sample_fh(all, "READLINK", NFS3_READLINK);
	sample_io(sample_fh(all, "READ", NFS3_READ));
	s = sample_fh(all, "READDIR", NFS3_READDIR);
	put64(&s->args, 1);
	put64(&s->args, 2);
	put32(&s->args, 4096);
	s->count = 4096;
	s = sample_fh(all, "READDIRPLUS", NFS3_READDIRPLUS);
	put64(&s->args, 1);
	put64(&s->args, 2);
	put32(&s->args, 512);
	put32(&s->args, 8192);
	s->count = 8192;
	sample_fh(all, "FSSTAT", NFS3_FSSTAT);
	sample_fh(all, "FSINFO", NFS3_FSINFO);
	sample_fh(all, "PATHCONF", NFS3_PATHCONF);
	sample_io(sample_fh(all, "COMMIT", NFS3_COMMIT));
}

static inline void
samples_setattr(struct samples *all)
{
	struct sample *s = sample_fh(all, "SETATTR", NFS3_SETATTR);

	put_sattr(&s->args, -1);
	put32(&s->args, 0);
	s = sample_fh(all, "SETATTR size, guard", NFS3_SETATTR);
	put_sattr(&s->args, 0x7fffffff0);
	s->sets_size = true;
	s->size = 0x7fffffff0;
	put32(&s->args, 1);
	put64(&s->args, 99);
}

static inline void
samples_create(struct samples *all)
{
	struct sample *s = sample_dirop(all, "CREATE unchecked", NFS3_CREATE);

	put32(&s->args, 0);
	put_sattr(&s->args, 0);
	s->sets_size = true;
	s = sample_dirop(all, "CREATE guarded", NFS3_CREATE);
	put32(&s->args, 1);
	put_sattr(&s->args, -1);
	s = sample_dirop(all, "CREATE exclusive", NFS3_CREATE);
	put32(&s->args, 2);
	put64(&s->args, 0x0123456789abcdef);
	s = sample_dirop(all, "MKDIR", NFS3_MKDIR);
	put_sattr(&s->args, -1);
	s = sample_dirop(all, "SYMLINK", NFS3_SYMLINK);
	put_sattr(&s->args, -1);
	put_string(&s->args, "../where/it/points");
	s = sample_dirop(all, "MKNOD device", NFS3_MKNOD);
	put32(&s->args, 4);
	put_sattr(&s->args, -1);
	put64(&s->args, 5);
	s = sample_dirop(all, "MKNOD fifo", NFS3_MKNOD);
	put32(&s->args, 7);
	put_sattr(&s->args, -1);
	s = sample_dirop(all, "MKNOD of a bad type", NFS3_MKNOD);
	put32(&s->args, 1);
}

static inline void
samples_names(struct samples *all)
{
	struct sample *s;

	sample_dirop(all, "REMOVE", NFS3_REMOVE);
	sample_dirop(all, "RMDIR", NFS3_RMDIR);
	s = sample_dirop(all, "RENAME", NFS3_RENAME);
	put_fh(&s->args, 0x22);
	put_string(&s->args, "successor");
	s->fh2 = 0x22;
	s->name2 = "successor";
	s = sample_fh(all, "LINK", NFS3_LINK);
	put_fh(&s->args, 0x22);
	put_string(&s->args, "other");
	s->fh2 = 0x22;
	s->name2 = "other";
}

static inline void
samples_write(struct samples *all)
{
	static const uint8_t data[1001];
	struct sample *s = sample_fh(all, "WRITE", NFS3_WRITE);

	put64(&s->args, 4096);
	put32(&s->args, sizeof(data));
	put32(&s->args, 2);
	s->identity_len = (uint32_t)s->args.len + 4;
	put_opaque(&s->args, data, sizeof(data));
	s->offset = 4096;
	s->count = sizeof(data);
}

static inline void
samples_make(struct samples *all)
{
	all->n = 0;
	samples_readonly(all);
	samples_setattr(all);
	samples_create(all);
	samples_names(all);
	samples_write(all);
}

#endif
