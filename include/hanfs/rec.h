/*
 * One RPC record in memory, and the pool it comes from.
 *
 * A record is held whole, without its record mark, as
 *
 *   +----------------------+ +------------------------------------------+
 *   | head: <= REC_HEAD    | | body: segments, chunks or pipes           |
 *   +----------------------+ +------------------------------------------+
 *
 * Small records live in the head alone. Of a long one the body is either in
 * chunks of user memory, which can be written any number of times (calls
 * that may be replayed), or in pipes, where the kernel passes pages from
 * socket to socket and nothing is copied, but which can be written once
 * (calls and replies on their way through).
 *
 * The pool is preallocated and bounded (I8): when it is empty, rec_new() and
 * the readers say so, and the caller stops reading until something is freed.
 * Not thread-safe: a pool belongs to one event loop.
 */
#ifndef HANFS_REC_H
#define HANFS_REC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REC_HEAD   1024u
#define REC_CHUNK  65536u
#define REC_MAX	   (1u << 21) /* longest record taken, in bytes */
#define REC_CHUNKS (REC_MAX / REC_CHUNK)
#define REC_PIPES  4u

struct rec_pool;

struct rec_body;

struct rec {
	struct rec *next;      /* in the one writer that has it queued */
	struct rec_pool *pool;
	unsigned refs;
	bool queued;
	unsigned promised;     /* chunks set aside for it in the pool */
	uint32_t len;	       /* bytes in all, record mark not counted */
	uint32_t total;	       /* what len will be, once that is known; or 0 */
	uint32_t head_len;     /* bytes of it in the head */
	struct rec_body *body; /* NULL when all is in the head */
	uint8_t raw[4 + REC_HEAD]; /* record mark, head */
};

struct rec_pipe {
	struct rec_pipe *next;
	int rd, wr;
};

enum rec_seg_kind { REC_SEG_CHUNK, REC_SEG_PIPE };

struct rec_seg {
	enum rec_seg_kind kind;
	uint32_t len;  /* bytes that were put in */
	uint32_t gone; /* of a pipe: bytes taken out again */
	union {
		uint8_t *chunk;
		struct rec_pipe *pipe;
	};
};

struct rec_body {
	struct rec_body *next;
	unsigned nsegs, nchunks, npipes;
	struct rec_seg seg[REC_CHUNKS + REC_PIPES];
};

static inline uint8_t *
rec_head(struct rec *r)
{
	return r->raw + 4;
}

/* Bytes in all, when all of them are there. */
static inline uint32_t
rec_total(const struct rec *r)
{
	return r->total > r->len ? r->total : r->len;
}

struct rec_pool_limits {
	unsigned recs;	 /* records, short or long */
	unsigned chunks; /* chunks of user memory */
	unsigned reserve; /* of these, left to records that are not bulk */
	unsigned pipes;	 /* pipes of 1 MiB, made at once */
};

struct rec_pool_use {
	unsigned recs, chunks, pipes; /* in use now */
	unsigned recs_max, chunks_max, pipes_max; /* most at once */
	uint64_t refused; /* times something was not to be had */
};

/*
 * Makes a pool, all of it touched, so that it can be locked in memory.
 * NULL with errno: ENOMEM, or EMFILE and EPERM for the pipes. Where pipes
 * cannot be made as large as wanted, fewer or smaller ones are used.
 */
struct rec_pool *rec_pool_new(const struct rec_pool_limits *limits);
void rec_pool_free(struct rec_pool *pool);
void rec_pool_use(const struct rec_pool *pool, struct rec_pool_use *use);

/* The caller's function for "something was freed, try again". */
void rec_pool_on_free(struct rec_pool *pool, void (*fn)(void *arg), void *arg);

/* A record of len 0 with one reference; NULL when the pool is empty. */
struct rec *rec_new(struct rec_pool *pool);
/* A record with a copy of len <= REC_HEAD bytes. */
struct rec *rec_from(struct rec_pool *pool, const void *p, size_t len);
struct rec *rec_ref(struct rec *r);
void rec_unref(struct rec *r); /* NULL is nothing */

/*
 * Bytes of user memory that a record of len bytes pins (what replay_max
 * counts): whole chunks for the body.
 */
size_t rec_footprint(const struct rec *r);

/* Copies up to n bytes from offset on out of head and chunks; for tests,
 * serialisation and logging. Returns how many there were. */
size_t rec_copy_out(const struct rec *r, size_t offset, void *to, size_t n);
/* Appends n bytes to head and chunks. -1 when the pool or REC_MAX forbid. */
int rec_append(struct rec *r, const void *p, size_t n);

/*
 * Sets chunks aside for n more bytes of the record, so that one that was
 * begun can always be finished: without this, many half-read records could
 * hold all chunks and wait for each other. False when the pool cannot; bulk
 * leaves the reserve alone. rec_settle() gives back what was not used.
 */
bool rec_promise(struct rec *r, uint32_t n, bool bulk);
void rec_settle(struct rec *r);

/*
 * For recio only: another segment for the body, empty. NULL when the pool
 * has none or the record is full. Bulk leaves the reserve alone.
 */
struct rec_seg *rec_add_chunk(struct rec *r, bool bulk);
struct rec_seg *rec_add_pipe(struct rec *r);
/* Gives back empty chunks at the body's end. */
void rec_trim(struct rec *r);

#endif
