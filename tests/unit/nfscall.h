/*
 * Builds RPC calls for tests, byte by byte as RFC 5531 and RFC 1813 lay them
 * out: independent of the code under test, which only reads them.
 */
#ifndef HANFS_TESTS_NFSCALL_H
#define HANFS_TESTS_NFSCALL_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	uint8_t p[16384];
	size_t len;
};

static inline void
put_raw(struct bytes *b, const void *p, size_t n)
{
	assert(n <= sizeof(b->p) - b->len);
	memcpy(b->p + b->len, p, n);
	b->len += n;
}

static inline void
put32(struct bytes *b, uint32_t v)
{
	uint8_t p[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16),
	    (uint8_t)(v >> 8), (uint8_t)v};

	put_raw(b, p, 4);
}

static inline void
put64(struct bytes *b, uint64_t v)
{
	put32(b, (uint32_t)(v >> 32));
	put32(b, (uint32_t)v);
}

static inline void
put_opaque(struct bytes *b, const void *p, size_t n)
{
	static const uint8_t zero[3];

	put32(b, (uint32_t)n);
	put_raw(b, p, n);
	put_raw(b, zero, -n & 3);
}

static inline void
put_string(struct bytes *b, const char *s)
{
	put_opaque(b, s, strlen(s));
}

/* A file handle of 32 equal bytes. */
static inline void
put_fh(struct bytes *b, uint8_t which)
{
	uint8_t fh[32];

	memset(fh, which, sizeof(fh));
	put_opaque(b, fh, sizeof(fh));
}

/* sattr3 with a mode, and a size when that is not negative. */
static inline void
put_sattr(struct bytes *b, int64_t size)
{
	put32(b, 1);
	put32(b, 0644);
	put32(b, 0); /* uid */
	put32(b, 0); /* gid */
	put32(b, size >= 0);
	if (size >= 0)
		put64(b, (uint64_t)size);
	put32(b, 1); /* atime: the server's */
	put32(b, 2); /* mtime: the client's */
	put64(b, 0x1122334455667788u);
}

/* A call header with AUTH_SYS for uid, AUTH_NONE as verifier. */
static inline void
put_call(struct bytes *b, uint32_t xid, uint32_t prog, uint32_t vers,
    uint32_t proc, uint32_t uid)
{
	struct bytes cred = {.len = 0};

	put32(&cred, 1234);
	put_string(&cred, "host");
	put32(&cred, uid);
	put32(&cred, uid);
	put32(&cred, 1);
	put32(&cred, 7);
	put32(b, xid);
	put32(b, 0);
	put32(b, 2);
	put32(b, prog);
	put32(b, vers);
	put32(b, proc);
	put32(b, 1);
	put_opaque(b, cred.p, cred.len);
	put32(b, 0);
	put32(b, 0);
}

/* An accepted reply with n bytes of results. */
static inline void
put_reply(struct bytes *b, uint32_t xid, size_t n)
{
	put32(b, xid);
	put32(b, 1);
	put32(b, 0);
	put32(b, 0);
	put32(b, 0);
	put32(b, 0);
	for (size_t i = 0; i < n; i++)
		put_raw(b, &(uint8_t){(uint8_t)(xid + i)}, 1);
}

#endif
