/*
 * Records and their pool. See hanfs/rec.h. Owns the memory and the pipes;
 * moves no bytes: to and from memory that is rec_bytes.c, to and from sockets
 * recio.c and recio_write.c.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hanfs/rec.h"

#define PIPE_BYTES (1 << 20)

struct rec_pool {
	struct rec_pool_limits lim;
	struct rec_pool_use use;
	struct rec *rec_mem, *rec_free;
	struct rec_body *body_mem, *body_free;
	struct rec_pipe *pipe_mem, *pipe_free;
	uint8_t *chunk_mem;
	size_t chunk_map;
	uint8_t **chunk_free; /* a stack of lim.chunks entries */
	unsigned nchunk_free;
	unsigned promised; /* of these, to records being read */
	void (*on_free)(void *arg);
	void *on_free_arg;
	bool hungry; /* something was refused since the last on_free */
};

static int
make_pipes(struct rec_pool *p)
{
	p->pipe_mem = calloc(p->lim.pipes + 1, sizeof(*p->pipe_mem));
	if (p->pipe_mem == NULL)
		return -1;
	for (unsigned i = 0; i < p->lim.pipes; i++) {
		struct rec_pipe *pp = &p->pipe_mem[i];
		int fd[2];

		if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) == -1) {
			p->lim.pipes = i;
			return -1;
		}
		pp->rd = fd[0];
		pp->wr = fd[1];
		pp->next = p->pipe_free;
		p->pipe_free = pp;
		/* Smaller is slower, not wrong: see fs.pipe-max-size and
		 * fs.pipe-user-pages-soft in proc(5). */
		fcntl(fd[1], F_SETPIPE_SZ, PIPE_BYTES);
	}
	return 0;
}

static int
make_chunks(struct rec_pool *p)
{
	p->chunk_map = (size_t)p->lim.chunks * REC_CHUNK;
	p->chunk_free = calloc(p->lim.chunks + 1, sizeof(*p->chunk_free));
	if (p->chunk_free == NULL)
		return -1;
	if (p->chunk_map == 0)
		return 0;
	p->chunk_mem = mmap(NULL, p->chunk_map, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p->chunk_mem == MAP_FAILED) {
		p->chunk_mem = NULL;
		return -1;
	}
	for (unsigned i = p->lim.chunks; i-- > 0;)
		p->chunk_free[p->nchunk_free++] =
		    p->chunk_mem + (size_t)i * REC_CHUNK;
	return 0;
}

static int
make_recs(struct rec_pool *p)
{
	/* A record with a body needs a chunk or a pipe at least. */
	unsigned nbody = p->lim.chunks + p->lim.pipes;

	if (nbody > p->lim.recs)
		nbody = p->lim.recs;
	p->rec_mem = calloc(p->lim.recs, sizeof(*p->rec_mem));
	p->body_mem = calloc(nbody + 1, sizeof(*p->body_mem));
	if (p->rec_mem == NULL || p->body_mem == NULL)
		return -1;
	for (unsigned i = p->lim.recs; i-- > 0;) {
		p->rec_mem[i].next = p->rec_free;
		p->rec_free = &p->rec_mem[i];
	}
	for (unsigned i = nbody; i-- > 0;) {
		p->body_mem[i].next = p->body_free;
		p->body_free = &p->body_mem[i];
	}
	return 0;
}

struct rec_pool *
rec_pool_new(const struct rec_pool_limits *limits)
{
	struct rec_pool *p = calloc(1, sizeof(*p));
	int saved;

	if (p == NULL)
		return NULL;
	p->lim = *limits;
	if (make_recs(p) == -1 || make_chunks(p) == -1 || make_pipes(p) == -1)
		goto fail;
	return p;
fail:
	saved = errno;
	rec_pool_free(p);
	errno = saved;
	return NULL;
}

void
rec_pool_free(struct rec_pool *p)
{
	if (p == NULL)
		return;
	assert(p->use.recs == 0);
	for (unsigned i = 0; p->pipe_mem != NULL && i < p->lim.pipes; i++) {
		close(p->pipe_mem[i].rd);
		close(p->pipe_mem[i].wr);
	}
	if (p->chunk_mem != NULL)
		munmap(p->chunk_mem, p->chunk_map);
	free(p->chunk_free);
	free(p->pipe_mem);
	free(p->body_mem);
	free(p->rec_mem);
	free(p);
}

void
rec_pool_use(const struct rec_pool *pool, struct rec_pool_use *use)
{
	*use = pool->use;
}

void
rec_pool_on_free(struct rec_pool *pool, void (*fn)(void *arg), void *arg)
{
	pool->on_free = fn;
	pool->on_free_arg = arg;
}

static void *
refuse(struct rec_pool *p)
{
	p->use.refused++;
	p->hungry = true;
	return NULL;
}

static void
count_up(unsigned *now, unsigned *most)
{
	if (++*now > *most)
		*most = *now;
}

struct rec *
rec_new(struct rec_pool *p)
{
	struct rec *r = p->rec_free;

	if (r == NULL)
		return refuse(p);
	p->rec_free = r->next;
	count_up(&p->use.recs, &p->use.recs_max);
	r->next = NULL;
	r->pool = p;
	r->refs = 1;
	r->queued = false;
	r->promised = 0;
	r->len = r->head_len = r->total = 0;
	r->body = NULL;
	return r;
}

struct rec *
rec_from(struct rec_pool *pool, const void *p, size_t len)
{
	struct rec *r = rec_new(pool);

	assert(len <= REC_HEAD);
	if (r == NULL)
		return NULL;
	memcpy(rec_head(r), p, len);
	r->len = r->head_len = (uint32_t)len;
	return r;
}

struct rec *
rec_ref(struct rec *r)
{
	r->refs++;
	return r;
}

/* What a pipe still holds would come out in front of the next record. */
static void
pipe_empty(struct rec_pipe *pp, uint32_t held)
{
	char sink[4096];
	ssize_t n;

	while (held > 0 && (n = read(pp->rd, sink, sizeof(sink))) > 0)
		held -= (uint32_t)n < held ? (uint32_t)n : held;
}

static void
body_free(struct rec_pool *p, struct rec_body *b)
{
	for (unsigned i = 0; i < b->nsegs; i++) {
		struct rec_seg *s = &b->seg[i];

		if (s->kind == REC_SEG_CHUNK) {
			p->chunk_free[p->nchunk_free++] = s->chunk;
			p->use.chunks--;
		} else {
			pipe_empty(s->pipe, s->len - s->gone);
			s->pipe->next = p->pipe_free;
			p->pipe_free = s->pipe;
			p->use.pipes--;
		}
	}
	b->next = p->body_free;
	p->body_free = b;
}

void
rec_unref(struct rec *r)
{
	struct rec_pool *p;

	if (r == NULL)
		return;
	assert(r->refs > 0);
	if (--r->refs > 0)
		return;
	p = r->pool;
	assert(!r->queued);
	rec_settle(r);
	if (r->body != NULL)
		body_free(p, r->body);
	r->body = NULL;
	r->next = p->rec_free;
	p->rec_free = r;
	p->use.recs--;
	if (p->hungry && p->on_free != NULL) {
		p->hungry = false;
		p->on_free(p->on_free_arg);
	}
}

size_t
rec_footprint(const struct rec *r)
{
	size_t chunks = r->body != NULL ? r->body->nchunks : 0;

	return sizeof(*r) + chunks * REC_CHUNK;
}

static bool
body_need(struct rec *r)
{
	struct rec_pool *p = r->pool;

	if (r->body != NULL)
		return true;
	if (p->body_free == NULL) {
		refuse(p);
		return false;
	}
	r->body = p->body_free;
	p->body_free = r->body->next;
	r->body->nsegs = r->body->nchunks = r->body->npipes = 0;
	return true;
}

static bool
chunks_to_be_had(const struct rec_pool *p, unsigned n, bool bulk)
{
	unsigned kept = p->promised + (bulk ? p->lim.reserve : 0);

	return p->nchunk_free >= kept && p->nchunk_free - kept >= n;
}

bool
rec_promise(struct rec *r, uint32_t n, bool bulk)
{
	struct rec_pool *p = r->pool;
	unsigned chunks = (n + REC_CHUNK - 1) / REC_CHUNK;

	if (!chunks_to_be_had(p, chunks, bulk)) {
		refuse(p);
		return false;
	}
	r->promised += chunks;
	p->promised += chunks;
	return true;
}

void
rec_settle(struct rec *r)
{
	r->pool->promised -= r->promised;
	r->promised = 0;
}

struct rec_seg *
rec_add_chunk(struct rec *r, bool bulk)
{
	struct rec_pool *p = r->pool;
	struct rec_seg *s;

	if (r->promised == 0 && !chunks_to_be_had(p, 1, bulk))
		return refuse(p);
	if (!body_need(r))
		return refuse(p);
	if (r->body->nchunks == REC_CHUNKS)
		return NULL;
	if (r->promised > 0) {
		r->promised--;
		p->promised--;
	}
	r->body->nchunks++;
	s = &r->body->seg[r->body->nsegs++];
	s->kind = REC_SEG_CHUNK;
	s->len = s->gone = 0;
	s->chunk = p->chunk_free[--p->nchunk_free];
	count_up(&p->use.chunks, &p->use.chunks_max);
	return s;
}

struct rec_seg *
rec_add_pipe(struct rec *r)
{
	struct rec_pool *p = r->pool;
	struct rec_seg *s;

	if (p->pipe_free == NULL || !body_need(r) ||
	    r->body->npipes == REC_PIPES)
		return NULL;
	r->body->npipes++;
	s = &r->body->seg[r->body->nsegs++];
	s->kind = REC_SEG_PIPE;
	s->len = s->gone = 0;
	s->pipe = p->pipe_free;
	p->pipe_free = s->pipe->next;
	count_up(&p->use.pipes, &p->use.pipes_max);
	return s;
}

void
rec_trim(struct rec *r)
{
	struct rec_pool *p = r->pool;
	struct rec_body *b = r->body;

	while (b != NULL && b->nsegs > 0) {
		struct rec_seg *s = &b->seg[b->nsegs - 1];

		if (s->kind != REC_SEG_CHUNK || s->len > 0)
			return;
		/* It is still wanted, by the same record. */
		p->chunk_free[p->nchunk_free++] = s->chunk;
		p->use.chunks--;
		r->promised++;
		p->promised++;
		b->nsegs--;
		b->nchunks--;
	}
	/* Without a body the head goes on being filled first. */
	if (b != NULL && b->nsegs == 0) {
		b->next = p->body_free;
		p->body_free = b;
		r->body = NULL;
	}
}
