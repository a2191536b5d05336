/*
 * Streams. See stream.h.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "server-agent/stream.h"

/* One stream's turn, before the others have theirs. */
enum { TURN_RECORDS = 32, TURN_BYTES = 4 << 20 };

static const struct timeval soon = {0, 0};

static void
on_feed(evutil_socket_t fd, short what, void *arg)
{
	struct stream_loop *loop = arg;
	struct stream *s;

	(void)fd;
	(void)what;
	while ((s = TAILQ_FIRST(&loop->starved)) != NULL) {
		TAILQ_REMOVE(&loop->starved, s, on_starved);
		s->is_starved = false;
		if (!s->paused) {
			event_add(&s->rd, NULL);
			event_add(&s->again, &soon);
		}
	}
}

void
stream_loop_init(struct stream_loop *loop, struct event_base *base,
    void (*settle)(void *arg), void *arg)
{
	loop->base = base;
	loop->settle = settle;
	loop->arg = arg;
	TAILQ_INIT(&loop->dirty);
	TAILQ_INIT(&loop->starved);
	evtimer_assign(&loop->feed, base, on_feed, loop);
}

void
stream_loop_fini(struct stream_loop *loop)
{
	event_del(&loop->feed);
}

void
stream_loop_feed(void *arg)
{
	struct stream_loop *loop = arg;

	if (!TAILQ_EMPTY(&loop->starved))
		event_add(&loop->feed, &soon);
}

/* --- writing */

static void
dirty(struct stream *s)
{
	if (s->is_dirty || s->full || s->connecting)
		return;
	s->is_dirty = true;
	TAILQ_INSERT_TAIL(&s->loop->dirty, s, on_dirty);
}

static void
clean(struct stream *s)
{
	if (s->is_dirty)
		TAILQ_REMOVE(&s->loop->dirty, s, on_dirty);
	s->is_dirty = false;
}

void
stream_put(struct stream *s, struct rec *rec)
{
	assert(s->fd != -1);
	rec_writer_put(&s->out, rec);
	dirty(s);
}

static void
flush(struct stream *s)
{
	int rc = rec_writer_run(&s->out, s->fd);

	if (rc == -1) {
		s->ops->lost(s, strerror(errno));
		return;
	}
	if (rc == 1 && !s->full)
		event_add(&s->wr, NULL);
	else if (rc == 0 && s->full)
		event_del(&s->wr);
	s->full = rc == 1;
	if (s->ops->written != NULL)
		s->ops->written(s);
}

bool
stream_loop_flush(struct stream_loop *loop)
{
	struct stream *s;
	bool any = false;

	while ((s = TAILQ_FIRST(&loop->dirty)) != NULL) {
		clean(s);
		flush(s);
		any = true;
	}
	return any;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	flush(s);
	s->loop->settle(s->loop->arg);
}

/* --- reading */

static void
starve(struct stream *s)
{
	event_del(&s->rd);
	s->is_starved = true;
	TAILQ_INSERT_TAIL(&s->loop->starved, s, on_starved);
}

static const char *
loss(enum rec_result res)
{
	switch (res) {
	case REC_EOF:
		return "closed by the peer";
	case REC_CUT:
		return "closed by the peer inside a record";
	case REC_BAD:
		return "record too long or in too many fragments";
	default:
		return strerror(errno);
	}
}

/* One record. False: no more now. */
static bool
read_one(struct stream *s)
{
	struct rec *rec;
	enum rec_result res = rec_reader_run(&s->in, s->fd, &rec);

	switch (res) {
	case REC_DONE:
		s->ops->record(s, rec);
		/* With nothing read ahead another read would most often find
		 * nothing; if there is something, the loop will tell. */
		return s->fd != -1 && !s->paused &&
		       s->in.ahead_at < s->in.ahead_len;
	case REC_AGAIN:
		return false;
	case REC_WAIT:
		starve(s);
		return false;
	default:
		s->ops->lost(s, loss(res));
		return false;
	}
}

static void
read_turn(struct stream *s)
{
	uint64_t stop = s->in.bytes + TURN_BYTES;
	unsigned n = 0;

	while (read_one(s))
		if (++n == TURN_RECORDS || s->in.bytes > stop) {
			event_add(&s->again, &soon);
			return;
		}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	if (s->fd == -1 || s->paused || s->is_starved)
		return;
	read_turn(s);
	s->loop->settle(s->loop->arg);
}

void
stream_pause(struct stream *s)
{
	if (s->fd == -1 || s->paused)
		return;
	s->paused = true;
	event_del(&s->rd);
	event_del(&s->again);
}

void
stream_resume(struct stream *s)
{
	if (s->fd == -1 || !s->paused)
		return;
	s->paused = false;
	if (s->is_starved)
		return;
	event_add(&s->rd, NULL);
	event_add(&s->again, &soon); /* what was read ahead is no event */
}

/* --- life */

void
stream_open(struct stream *s, struct stream_loop *loop, int fd,
    struct rec_pool *pool, const struct stream_ops *ops, bool connecting)
{
	s->loop = loop;
	s->ops = ops;
	s->fd = fd;
	s->connecting = connecting;
	s->paused = s->full = s->is_dirty = s->is_starved = false;
	rec_reader_init(&s->in, pool, REC_STORE_PIPES);
	rec_writer_init(&s->out);
	event_assign(
	    &s->rd, loop->base, fd, EV_READ | EV_PERSIST, on_readable, s);
	event_assign(
	    &s->wr, loop->base, fd, EV_WRITE | EV_PERSIST, on_writable, s);
	evtimer_assign(&s->again, loop->base, on_readable, s);
	if (!connecting)
		event_add(&s->rd, NULL);
}

void
stream_connected(struct stream *s)
{
	s->connecting = false;
	event_add(&s->rd, NULL);
	if (s->out.first != NULL)
		dirty(s);
}

void
stream_close(struct stream *s)
{
	if (s->fd == -1)
		return;
	clean(s);
	if (s->is_starved)
		TAILQ_REMOVE(&s->loop->starved, s, on_starved);
	s->is_starved = false;
	event_del(&s->rd);
	event_del(&s->wr);
	event_del(&s->again);
	rec_reader_clear(&s->in);
	rec_writer_clear(&s->out);
	close(s->fd);
	s->fd = -1;
}
