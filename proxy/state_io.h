/*
 * Numbers and bytes of the core's state, written and read by the same calls
 * (state.c). What is read is bounded here; the first thing wrong is noted
 * in bad and error, and from then on nothing is read any more.
 */
#ifndef PROXY_STATE_IO_H
#define PROXY_STATE_IO_H

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/cursor.h"

#include "core_int.h"

#define STATE_NAME_MAX 255u

struct state_io {
	bool loading, bad;
	int error;
	uint64_t now_ms;
	struct cursor in;
	uint8_t *out;
	size_t len, size;
};

static inline void
fail(struct state_io *io, int error)
{
	if (!io->bad)
		io->error = error;
	io->bad = true;
}

static inline bool
grow(struct state_io *io, size_t n)
{
	size_t size = io->size * 2 + n + 4096;
	uint8_t *p;

	if (n <= io->size - io->len)
		return true;
	if (io->bad || (p = realloc(io->out, size)) == NULL) {
		fail(io, ENOMEM);
		return false;
	}
	io->out = p;
	io->size = size;
	return true;
}

static inline void
io_bytes(struct state_io *io, void *p, size_t n)
{
	const uint8_t *from;

	if (!io->loading) {
		if (grow(io, n)) {
			memcpy(io->out + io->len, p, n);
			io->len += n;
		}
	} else if (io->bad || !cursor_take(&io->in, n, &from)) {
		memset(p, 0, n);
		fail(io, EINVAL);
	} else {
		memcpy(p, from, n);
	}
}

static inline void
io_u32(struct state_io *io, uint32_t *v)
{
	uint8_t b[4];

	be32_put(b, *v);
	io_bytes(io, b, sizeof(b));
	*v = be32_get(b);
}

static inline void
io_u64(struct state_io *io, uint64_t *v)
{
	uint32_t high = (uint32_t)(*v >> 32), low = (uint32_t)*v;

	io_u32(io, &high);
	io_u32(io, &low);
	*v = (uint64_t)high << 32 | low;
}

/* An index or an enum: one not below limit is refused. */
static inline uint32_t
io_below(struct state_io *io, uint32_t v, uint32_t limit)
{
	io_u32(io, &v);
	if (v < limit)
		return v;
	fail(io, EINVAL);
	return 0;
}

static inline uint32_t
io_below_or_none(struct state_io *io, uint32_t v, uint32_t limit)
{
	v = io_below(io, v + 1, limit + 1);
	return v - 1;
}

#define IO_BOOL(io, field)        ((field) = io_below(io, (field), 2) != 0)
#define IO_ENUM(io, field, limit) ((field) = io_below(io, (field), (limit)))

static inline void
io_max(struct state_io *io, uint64_t *v, uint64_t max)
{
	io_u64(io, v);
	if (*v > max)
		fail(io, EINVAL);
}

/* A moment that has been; of a clock that began anew: now. */
static inline void
io_past(struct state_io *io, uint64_t *ms)
{
	io_u64(io, ms);
	if (io->loading && *ms > io->now_ms)
		*ms = io->now_ms;
}

/* A moment at most so far ahead. */
static inline void
io_future(struct state_io *io, uint64_t *ms, uint64_t ahead_ms)
{
	io_u64(io, ms);
	if (io->loading && *ms > io->now_ms + ahead_ms)
		*ms = io->now_ms + ahead_ms;
}

/* When the next attempt is made, and the pause after that. */
static inline void
io_retry(
    struct state_io *io, const struct px *px, uint64_t *at_ms, uint32_t *ms)
{
	io_future(io, at_ms, px->cfg.retry_max_ms);
	*ms = io_below(io, *ms, px->cfg.retry_max_ms + 1);
}

/* What must be the same as when the state was written. */
static inline void
io_same(struct state_io *io, const void *p, size_t n)
{
	uint8_t b[STATE_NAME_MAX];

	assert(n <= sizeof(b));
	memcpy(b, p, n);
	io_bytes(io, b, n);
	if (memcmp(b, p, n) != 0)
		fail(io, EINVAL);
}

static inline void
io_same_u32(struct state_io *io, uint32_t v)
{
	uint8_t b[4];

	be32_put(b, v);
	io_same(io, b, sizeof(b));
}

static inline void
io_same_name(struct state_io *io, const char *name)
{
	size_t len = strnlen(name, STATE_NAME_MAX);

	io_same_u32(io, (uint32_t)len);
	io_same(io, name, len);
}

/* state_kconn.c: all kernel connections. The records that are loaded come
 * from pool; it is NULL when the state is written. */
void px_state_kconns(struct state_io *io, struct px *px,
    struct rec_pool *pool);

#endif
