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

void
stream_loop_init(struct stream_loop *loop, struct event_base *base,
    void (*settle)(void *arg), void *arg)
{
	loop->base = base;
	loop->settle = settle;
	loop->arg = arg;
	TAILQ_INIT(&loop->dirty);
}

/* --- streams that wait for the pool */

static void
on_feed(evutil_socket_t fd, short what, void *arg)
{
	struct stream_group *g = arg;
	struct stream *s;

	(void)fd;
	(void)what;
	while ((s = TAILQ_FIRST(&g->starved)) != NULL) {
		TAILQ_REMOVE(&g->starved, s, on_starved);
		s->is_starved = false;
		if (s->paused == 0) {
			event_add(&s->rd, NULL);
			event_add(&s->again, &soon);
		}
	}
}

static void
on_free(void *arg)
{
	struct stream_group *g = arg;

	if (!TAILQ_EMPTY(&g->starved))
		event_add(&g->feed, &soon);
}

void
stream_group_init(
    struct stream_group *g, struct stream_loop *loop, struct rec_pool *pool)
{
	g->loop = loop;
	g->pool = pool;
	g->urgent = NULL;
	TAILQ_INIT(&g->starved);
	evtimer_assign(&g->feed, loop->base, on_feed, g);
	rec_pool_on_free(pool, on_free, g);
}

void
stream_group_fini(struct stream_group *g)
{
	rec_pool_on_free(g->pool, NULL, NULL);
	event_del(&g->feed);
}

/* The pool is empty. The first to find it so may have the reserve, at once;
 * the others, and he when that is used up, wait. */
static void
starve(struct stream *s)
{
	struct stream_group *g = s->group;

	if (g->urgent == NULL) {
		g->urgent = s;
		s->in.urgent = true;
		event_add(&s->again, &soon);
		return;
	}
	event_del(&s->rd);
	s->is_starved = true;
	TAILQ_INSERT_TAIL(&g->starved, s, on_starved);
}

/* Its record is whole, or will never be: the next may have the reserve. */
static void
fed(struct stream *s)
{
	struct stream_group *g = s->group;

	if (g->urgent != s)
		return;
	g->urgent = NULL;
	s->in.urgent = false;
	on_free(g);
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

/* What is there of a record that is not whole goes on, if it may. */
static void
pass_on(struct stream *s)
{
	struct rec *rec;

	if (!s->asked && s->ops->begun != NULL &&
	    (rec = rec_reader_begun(&s->in)) != NULL) {
		s->asked = true;
		s->to = s->ops->begun(s, rec);
		if (s->to != NULL) {
			assert(s->to->from == NULL && s->to->fd != -1);
			s->to->from = s;
			stream_put(s->to, rec);
		}
	}
	if (s->to != NULL)
		dirty(s->to);
}

/* It is whole: nothing more of it comes. */
static void
passed_on(struct stream *s)
{
	s->asked = false;
	if (s->to == NULL)
		return;
	s->to->from = NULL;
	dirty(s->to);
	s->to = NULL;
}

/* One record. False: no more now. */
static bool
read_one(struct stream *s)
{
	struct rec *rec;
	enum rec_result res = rec_reader_run(&s->in, s->fd, &rec);

	switch (res) {
	case REC_DONE:
		fed(s);
		passed_on(s);
		s->ops->record(s, rec);
		return s->fd != -1 && s->paused == 0;
	case REC_AGAIN:
		pass_on(s);
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
	if (s->fd == -1 || s->paused != 0 || s->is_starved)
		return;
	read_turn(s);
	s->loop->settle(s->loop->arg);
}

void
stream_pause(struct stream *s, unsigned reason)
{
	if (s->fd == -1)
		return;
	if (s->paused == 0) {
		event_del(&s->rd);
		event_del(&s->again);
	}
	s->paused |= reason;
}

void
stream_resume(struct stream *s, unsigned reason)
{
	if (s->fd == -1 || (s->paused & reason) == 0)
		return;
	s->paused &= ~reason;
	if (s->paused != 0 || s->is_starved || s->connecting)
		return;
	event_add(&s->rd, NULL);
	event_add(&s->again, &soon); /* what was read ahead is no event */
}

/* --- life */

void
stream_open(struct stream *s, struct stream_group *group, int fd,
    const struct stream_ops *ops, bool connecting)
{
	struct event_base *base = group->loop->base;

	s->loop = group->loop;
	s->group = group;
	s->ops = ops;
	s->fd = fd;
	s->connecting = connecting;
	s->paused = 0;
	s->full = s->is_dirty = s->is_starved = s->asked = false;
	s->to = s->from = NULL;
	rec_reader_init(&s->in, group->pool, REC_STORE_PIPES);
	rec_writer_init(&s->out);
	event_assign(&s->rd, base, fd, EV_READ | EV_PERSIST, on_readable, s);
	event_assign(&s->wr, base, fd, EV_WRITE | EV_PERSIST, on_writable, s);
	evtimer_assign(&s->again, base, on_readable, s);
	if (!connecting)
		event_add(&s->rd, NULL);
}

void
stream_connected(struct stream *s)
{
	s->connecting = false;
	if (s->paused == 0)
		event_add(&s->rd, NULL);
	if (s->out.first != NULL)
		dirty(s);
}

void
stream_close(struct stream *s)
{
	struct stream *to = s->to;

	if (s->fd == -1)
		return;
	if (s->from != NULL)
		s->from->to = NULL;
	s->to = s->from = NULL;
	if (to != NULL)
		to->from = NULL;
	clean(s);
	if (s->is_starved)
		TAILQ_REMOVE(&s->group->starved, s, on_starved);
	s->is_starved = false;
	fed(s);
	event_del(&s->rd);
	event_del(&s->wr);
	event_del(&s->again);
	rec_reader_clear(&s->in);
	rec_writer_clear(&s->out);
	close(s->fd);
	s->fd = -1;
	if (to != NULL)
		to->ops->lost(to, "the rest of a reply did not come");
}
