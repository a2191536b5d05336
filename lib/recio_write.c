/*
 * Record marking over sockets: the writer. See hanfs/recio.h.
 *
 * It gathers what is queued into one sendmsg(), and splices out what is in
 * pipes.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "hanfs/cursor.h"
#include "hanfs/recio.h"

#define IOVS 64

void
rec_writer_init(struct rec_writer *w)
{
	memset(w, 0, sizeof(*w));
	w->last = &w->first;
}

static void
pop(struct rec_writer *w)
{
	struct rec *r = w->first;

	w->first = r->next;
	if (w->first == NULL)
		w->last = &w->first;
	w->sent = 0;
	w->records--;
	r->next = NULL;
	r->queued = false;
	rec_unref(r);
}

void
rec_writer_clear(struct rec_writer *w)
{
	while (w->first != NULL)
		pop(w);
	w->queued = 0;
}

void
rec_writer_put(struct rec_writer *w, struct rec *r)
{
	assert(!r->queued && r->next == NULL && rec_total(r) <= REC_MAX);
	rec_ref(r);
	r->queued = true;
	be32_put(r->raw, rec_total(r) | REC_MARK_LAST);
	*w->last = r;
	w->last = &r->next;
	w->queued += rec_total(r) + 4;
	w->records++;
}

struct gather {
	struct iovec iov[IOVS];
	unsigned n;
	size_t bytes;
	bool more;		/* what follows is in a pipe, or yet to come */
};

static void
gather_add(struct gather *g, uint8_t *p, uint32_t len, uint32_t *skip)
{
	if (*skip >= len) {
		*skip -= len;
		return;
	}
	g->iov[g->n].iov_base = p + *skip;
	g->iov[g->n++].iov_len = len - *skip;
	g->bytes += len - *skip;
	*skip = 0;
}

/* Collects user memory up to the first pipe, or until the array is full. */
static void
gather(struct rec_writer *w, struct gather *g)
{
	uint32_t skip = w->sent;

	g->n = 0;
	g->bytes = 0;
	g->more = false;
	for (struct rec *r = w->first; r != NULL; r = r->next) {
		if (g->n + 1 > IOVS)
			return;
		gather_add(g, r->raw, 4 + r->head_len, &skip);
		for (unsigned i = 0; r->body != NULL && i < r->body->nsegs;
		     i++) {
			struct rec_seg *s = &r->body->seg[i];

			if (s->kind == REC_SEG_PIPE && skip < s->len) {
				g->more = true;
				return;
			}
			if (s->kind == REC_SEG_PIPE) {
				skip -= s->len;
				continue;
			}
			if (g->n + 1 > IOVS)
				return;
			gather_add(g, s->chunk, s->len, &skip);
		}
		if (r->len < r->total) {
			g->more = true;
			return;
		}
	}
}

/* Takes n written bytes off the queue. */
static void
wrote(struct rec_writer *w, size_t n)
{
	w->bytes += n;
	w->queued -= n;
	while (n > 0) {
		uint32_t left = rec_total(w->first) + 4 - w->sent;

		if (n < left) {
			w->sent += (uint32_t)n;
			return;
		}
		n -= left;
		pop(w);
	}
}

/* The segment of the first record that the writer has come to, if a pipe. */
static struct rec_seg *
pipe_at(struct rec_writer *w, uint32_t *left)
{
	struct rec *r = w->first;
	uint32_t at = 4 + r->head_len;

	if (r->body == NULL || w->sent < at)
		return NULL;
	for (unsigned i = 0; i < r->body->nsegs; i++) {
		struct rec_seg *s = &r->body->seg[i];

		if (w->sent < at + s->len) {
			*left = at + s->len - w->sent;
			return s->kind == REC_SEG_PIPE ? s : NULL;
		}
		at += s->len;
	}
	return NULL;
}

static ssize_t
send_pipe(struct rec_writer *w, int fd, struct rec_seg *s, uint32_t left)
{
	bool more = left < rec_total(w->first) + 4 - w->sent;
	ssize_t n = splice(s->pipe->rd, NULL, fd, NULL, left,
	    SPLICE_F_NONBLOCK | SPLICE_F_MOVE | (more ? SPLICE_F_MORE : 0));

	if (n > 0)
		s->gone += (uint32_t)n;
	return n;
}

static ssize_t
send_some(struct rec_writer *w, int fd, size_t *wanted)
{
	struct gather g;
	struct msghdr m = {.msg_iov = g.iov};
	struct rec_seg *s;
	uint32_t left;

	s = pipe_at(w, &left);
	if (s != NULL) {
		*wanted = left;
		return send_pipe(w, fd, s, left);
	}
	gather(w, &g);
	*wanted = g.bytes;
	m.msg_iovlen = g.n;
	if (g.n == 0)
		return 0;
	return sendmsg(fd, &m,
	    MSG_DONTWAIT | MSG_NOSIGNAL | (g.more ? MSG_MORE : 0));
}

int
rec_writer_run(struct rec_writer *w, int fd)
{
	while (w->first != NULL) {
		size_t wanted;
		ssize_t n = send_some(w, fd, &wanted);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EAGAIN ? 1 : -1;
		if (wanted == 0)
			return 0; /* the rest of it is yet to come */
		if (n == 0) {
			errno = EIO;
			return -1;
		}
		wrote(w, (size_t)n);
		if ((size_t)n < wanted)
			return 1;
	}
	return 0;
}
