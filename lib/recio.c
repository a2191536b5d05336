/*
 * Record marking over sockets: the reader. See hanfs/recio.h.
 *
 * It takes a record's start through a small read-ahead buffer, since many
 * small records come with one system call that way, and the rest of a long
 * one straight to where it stays: several chunks with one readv(), or a pipe
 * by splice(), which copies nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hanfs/cursor.h"
#include "hanfs/recio.h"

#define BULK	    32768u /* from this length on a record counts as bulk */
#define BULK_AHEAD  (4u + REC_HEAD)

void
rec_reader_init(struct rec_reader *rd, struct rec_pool *pool,
    enum rec_store store)
{
	memset(rd, 0, offsetof(struct rec_reader, ahead));
	rd->pool = pool;
	rd->store = store;
	rd->len_max = REC_MAX;
	rd->low = 1;
}

void
rec_reader_clear(struct rec_reader *rd)
{
	rec_unref(rd->rec);
	rd->rec = NULL;
	rd->frag_left = 0;
	rd->ahead_at = rd->ahead_len = 0;
}

/* Fills the read-ahead buffer. REC_DONE when there is something in it. */
static enum rec_result
fill_ahead(struct rec_reader *rd, int fd)
{
	uint32_t have = rd->ahead_len - rd->ahead_at;
	size_t want = rd->bulk ? BULK_AHEAD : RECIO_AHEAD;
	ssize_t n;

	/* Between records a socket that had too little has nothing more;
	 * when it has again, there is an event. */
	if (rd->dry && have == 0 && rd->rec == NULL) {
		rd->dry = false;
		return REC_AGAIN;
	}
	memmove(rd->ahead, rd->ahead + rd->ahead_at, have);
	rd->ahead_at = 0;
	rd->ahead_len = have;
	n = recv(fd, rd->ahead + have, want - have, MSG_DONTWAIT);
	if (n > 0) {
		rd->dry = (size_t)n < want - have;
		rd->ahead_len += (uint32_t)n;
		rd->bytes += (uint64_t)n;
		return REC_DONE;
	}
	if (n == 0)
		return rd->rec == NULL && have == 0 ? REC_EOF : REC_CUT;
	return errno == EAGAIN || errno == EINTR ? REC_AGAIN : REC_ERROR;
}

/*
 * A record that is begun must find room to its end. How long it gets is
 * known when its first fragment is its last, as all we know of send it.
 */
static bool
promise_body(struct rec *r, uint32_t len, uint32_t len_max, bool last)
{
	uint32_t most = last ? r->len + len : len_max;

	if (r->promised > 0 || r->body != NULL || most <= REC_HEAD)
		return true;
	return rec_promise(r, most - REC_HEAD + REC_CHUNK - 1, most > BULK);
}

/* Begins the next fragment from the mark in the read-ahead buffer. */
static enum rec_result
begin_fragment(struct rec_reader *rd)
{
	uint32_t mark = be32_get(rd->ahead + rd->ahead_at);
	uint32_t len = mark & ~REC_MARK_LAST;

	if (rd->rec == NULL) {
		rd->rec = rec_new(rd->pool);
		if (rd->rec == NULL)
			return REC_WAIT;
		rd->frags = 0;
	}
	if (rd->rec->len > rd->len_max || len > rd->len_max - rd->rec->len || rd->frags >= REC_FRAGS_MAX)
		return REC_BAD;
	if (!promise_body(rd->rec, len, rd->len_max, (mark & REC_MARK_LAST) != 0))
		return REC_WAIT;
	rd->frags++;
	rd->ahead_at += 4;
	rd->frag_left = len;
	rd->last = (mark & REC_MARK_LAST) != 0;
	return REC_DONE;
}

/* Is this record one that leaves the pool's reserve alone? */
static bool
is_bulk(const struct rec_reader *rd)
{
	return !rd->urgent && rd->rec->len + rd->frag_left > BULK;
}

/* The chunk to go on in: the last one, while it has room, or a new one. */
static struct rec_seg *
open_chunk(struct rec *r, bool bulk)
{
	struct rec_body *b = r->body;

	if (b != NULL && b->nsegs > 0) {
		struct rec_seg *s = &b->seg[b->nsegs - 1];

		if (s->kind == REC_SEG_CHUNK && s->len < REC_CHUNK)
			return s;
	}
	return rec_add_chunk(r, bulk);
}

/* Moves what was read ahead of this fragment into the record. */
static enum rec_result
take_ahead(struct rec_reader *rd)
{
	struct rec *r = rd->rec;

	while (rd->frag_left > 0 && rd->ahead_at < rd->ahead_len) {
		uint32_t n = rd->ahead_len - rd->ahead_at;
		struct rec_seg *s = NULL;
		uint8_t *to = rec_head(r) + r->head_len;
		uint32_t room = REC_HEAD - r->head_len;

		if (r->body != NULL || room == 0) {
			s = open_chunk(r, is_bulk(rd));
			if (s == NULL)
				return REC_WAIT;
			to = s->chunk + s->len;
			room = REC_CHUNK - s->len;
		}
		if (n > room)
			n = room;
		if (n > rd->frag_left)
			n = rd->frag_left;
		memcpy(to, rd->ahead + rd->ahead_at, n);
		*(s != NULL ? &s->len : &r->head_len) += n;
		r->len += n;
		rd->ahead_at += n;
		rd->frag_left -= n;
	}
	return REC_DONE;
}

static enum rec_result
from_errno(void)
{
	return errno == EAGAIN || errno == EINTR ? REC_AGAIN : REC_ERROR;
}

/*
 * Reads the rest of the fragment into head and chunks, and a little ahead
 * with the same call: the next record's start.
 */
static enum rec_result
read_chunks(struct rec_reader *rd, int fd)
{
	struct iovec iov[8];
	struct rec_seg *seg[8] = {NULL};
	struct rec *r = rd->rec;
	uint32_t want = 0;
	unsigned n = 0;
	enum rec_result res;
	ssize_t got;

	if (r->body == NULL && r->head_len < REC_HEAD) {
		iov[n].iov_base = rec_head(r) + r->head_len;
		iov[n].iov_len = REC_HEAD - r->head_len;
		want += (uint32_t)iov[n++].iov_len;
	}
	/* A long record that goes to pipes wants its head filled first. */
	while (want < rd->frag_left && n < 7 &&
	    !(n > 0 && rd->store == REC_STORE_PIPES)) {
		struct rec_seg *s = n > 0 && seg[n - 1] != NULL
		    ? rec_add_chunk(r, is_bulk(rd))
		    : open_chunk(r, is_bulk(rd));

		if (s == NULL)
			break;
		seg[n] = s;
		iov[n].iov_base = s->chunk + s->len;
		iov[n].iov_len = REC_CHUNK - s->len;
		want += (uint32_t)iov[n++].iov_len;
	}
	if (n == 0)
		return REC_WAIT;
	if (want > rd->frag_left) {
		iov[n - 1].iov_len -= want - rd->frag_left;
		want = rd->frag_left;
	}
	if (want == rd->frag_left) {
		iov[n].iov_base = rd->ahead;
		iov[n++].iov_len = BULK_AHEAD;
	}
	got = readv(fd, iov, (int)n);
	if (got <= 0) {
		res = got == 0 ? REC_CUT : from_errno();
		rec_trim(r);
		return res;
	}
	rd->bytes += (uint64_t)got;
	for (unsigned i = 0; i < n && got > 0; i++) {
		uint32_t len = (uint32_t)(
		    (size_t)got < iov[i].iov_len ? (size_t)got
						 : iov[i].iov_len);

		got -= len;
		if (iov[i].iov_base == rd->ahead) {
			rd->ahead_at = 0;
			rd->ahead_len = len;
			break;
		}
		*(seg[i] != NULL ? &seg[i]->len : &r->head_len) += len;
		r->len += len;
		rd->frag_left -= len;
	}
	rec_trim(r);
	return REC_DONE;
}

/* EAGAIN of a splice() into a pipe says nothing of which end it was. */
static bool
socket_has(int fd)
{
	int n = 0;

	return ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* Splices on. REC_WAIT: no pipe takes more, go on with chunks. */
static enum rec_result
read_pipes(struct rec_reader *rd, int fd)
{
	struct rec *r = rd->rec;
	struct rec_body *b = r->body;
	struct rec_seg *s = NULL;
	ssize_t n;

	if (b != NULL && b->npipes > 0) {
		s = &b->seg[b->nsegs - 1];
		if (s->kind != REC_SEG_PIPE)
			return REC_WAIT;
	} else if (rd->frag_left < BULK || (s = rec_add_pipe(r)) == NULL)
		return REC_WAIT;
	for (;;) {
		n = splice(fd, NULL, s->pipe->wr, NULL, rd->frag_left,
		    SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n >= 0 || errno != EAGAIN || !socket_has(fd))
			break;
		/* Small pieces fill a pipe's slots before its bytes. */
		if ((s = rec_add_pipe(r)) == NULL)
			return REC_WAIT;
	}
	if (n <= 0)
		return n == 0 ? REC_CUT : from_errno();
	s->len += (uint32_t)n;
	r->len += (uint32_t)n;
	rd->frag_left -= (uint32_t)n;
	rd->bytes += (uint64_t)n;
	return REC_DONE;
}

static enum rec_result
read_body(struct rec_reader *rd, int fd)
{
	struct rec *r = rd->rec;
	enum rec_result res;

	if (rd->store == REC_STORE_PIPES && r->head_len == REC_HEAD) {
		res = read_pipes(rd, fd);
		if (res != REC_WAIT)
			return res;
	}
	return read_chunks(rd, fd);
}

/* Should the receive window be too small for that, the kernel calls the
 * socket readable when it is used up (tcp_epollin_ready()). */
static void
wait_for_much(struct rec_reader *rd, int fd)
{
	uint32_t left = rd->rec != NULL ? rd->frag_left : 0;
	int low = 1;

	if (rd->patient && (left >= BULK || (left > 1 && rd->low > 1)))
		low = (int)(left < RECIO_LOW ? left : RECIO_LOW);
	if ((uint32_t)low != rd->low &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) == 0)
		rd->low = (uint32_t)low;
}

enum rec_result
rec_reader_run(struct rec_reader *rd, int fd, struct rec **out)
{
	enum rec_result res;

	for (;;) {
		if (rd->frag_left == 0 && rd->rec != NULL && rd->frags > 0 &&
		    rd->last) {
			*out = rd->rec;
			rd->rec = NULL;
			rec_settle(*out);
			rd->bulk = (*out)->len >= BULK;
			return REC_DONE;
		}
		if (rd->frag_left == 0) {
			if (rd->ahead_len - rd->ahead_at < 4)
				res = fill_ahead(rd, fd);
			else
				res = begin_fragment(rd);
		} else if (rd->ahead_at < rd->ahead_len)
			res = take_ahead(rd);
		else if (rd->frag_left < BULK && rd->rec->body == NULL)
			res = fill_ahead(rd, fd);
		else
			res = read_body(rd, fd);
		if (res == REC_AGAIN)
			wait_for_much(rd, fd);
		if (res != REC_DONE)
			return res;
	}
}

struct rec *
rec_reader_begun(struct rec_reader *rd)
{
	struct rec *r = rd->rec;

	if (r == NULL || !rd->last || rd->frag_left == 0 ||
	    r->head_len < REC_HEAD || r->len + rd->frag_left < BULK)
		return NULL;
	r->total = r->len + rd->frag_left;
	return r;
}
