/*
 * A bounded read cursor over bytes from outside, and a bounded writer.
 *
 * Every read names how much it takes and fails without moving when less is
 * left. A child cursor made by cursor_sub() cannot leave its parent. XDR's
 * rule of four-byte units is RFC 4506, section 3.
 */
#ifndef HANFS_CURSOR_H
#define HANFS_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	const uint8_t *p; /* next byte */
	size_t left;	  /* bytes not yet taken */
};

static inline struct cursor
cursor_make(const void *p, size_t len)
{
	return (struct cursor){.p = p, .left = len};
}

/* Takes n bytes; *out points into the buffer. False when fewer are left. */
static inline bool
cursor_take(struct cursor *c, size_t n, const uint8_t **out)
{
	if (n > c->left)
		return false;
	*out = c->p;
	c->p += n;
	c->left -= n;
	return true;
}

static inline bool
cursor_sub(struct cursor *c, size_t n, struct cursor *child)
{
	const uint8_t *p;

	if (!cursor_take(c, n, &p))
		return false;
	*child = cursor_make(p, n);
	return true;
}

static inline uint32_t
be32_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

static inline void
be32_put(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline uint64_t
be64_get(const uint8_t *p)
{
	return (uint64_t)be32_get(p) << 32 | be32_get(p + 4);
}

static inline void
be64_put(uint8_t *p, uint64_t v)
{
	be32_put(p, (uint32_t)(v >> 32));
	be32_put(p + 4, (uint32_t)v);
}

static inline bool
cursor_u32(struct cursor *c, uint32_t *v)
{
	const uint8_t *p;

	if (!cursor_take(c, 4, &p))
		return false;
	*v = be32_get(p);
	return true;
}

static inline bool
cursor_u64(struct cursor *c, uint64_t *v)
{
	const uint8_t *p;

	if (!cursor_take(c, 8, &p))
		return false;
	*v = be64_get(p);
	return true;
}

/*
 * XDR variable-length opaque (RFC 4506, section 4.10): a length of at most
 * max, the bytes, padding to a multiple of four.
 */
static inline bool
cursor_opaque(struct cursor *c, uint32_t max, const uint8_t **p, uint32_t *len)
{
	struct cursor save = *c;
	const uint8_t *pad;

	if (!cursor_u32(c, len) || *len > max || !cursor_take(c, *len, p) ||
	    !cursor_take(c, (0u - *len) & 3u, &pad)) {
		*c = save;
		return false;
	}
	return true;
}

#endif
