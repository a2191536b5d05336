/*
 * A stream: one TCP connection that carries records both ways.
 *
 * Owns the socket, its events, what is half read and what is queued to be
 * written. Writes are gathered: stream_put() queues, and the loop's settle
 * function, called at the end of every event, flushes; EV_WRITE is asked for
 * only when a socket is full. Reading goes on while there are records, with
 * a bound for each turn, pauses while the owner has a reason for it, and
 * waits when the pool is empty. One of those that wait may take what the
 * pool keeps in reserve, until its record is whole: so a pool full of halves
 * of records is no dead end.
 *
 * A record may be passed on while it comes in (begun()). Should the rest of
 * it not come, the stream that has its half is lost as well.
 *
 * What a record means is the owner's. A closed stream is inert; its memory
 * is the owner's too, and must last until the next settle.
 */
#ifndef HANFS_AGENT_STREAM_H
#define HANFS_AGENT_STREAM_H

#include <stdbool.h>
#include <sys/queue.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "hanfs/recio.h"

struct stream;

struct stream_ops {
	/* A whole record; the reference is the receiver's. It may close or
	 * pause the stream. */
	void (*record)(struct stream *s, struct rec *rec);
	/*
	 * A long record has begun, its head is there: the stream that it is
	 * to be put on as it comes, or NULL: it is wanted whole. record() is
	 * called for it all the same, when it is whole. May be NULL.
	 */
	struct stream *(*begun)(struct stream *s, struct rec *rec);
	/* The connection is over: to be closed. why is for the log. */
	void (*lost)(struct stream *s, const char *why);
	/* Something of what was queued is gone; may be NULL. */
	void (*written)(struct stream *s);
};

TAILQ_HEAD(stream_list, stream);

/* What the streams of one event loop share. */
struct stream_loop {
	struct event_base *base;
	void (*settle)(void *arg);
	void *arg;
	struct stream_list dirty; /* something to be written */
};

/* Streams that read into one pool. */
struct stream_group {
	struct stream_loop *loop;
	struct rec_pool *pool;
	struct stream_list starved; /* wait for the pool */
	struct stream *urgent;      /* may use the reserve */
	struct event feed;
};

struct stream {
	struct stream_loop *loop;
	struct stream_group *group;
	const struct stream_ops *ops;
	int fd; /* -1: closed */
	struct event rd, wr, again;
	bool connecting; /* not to be written yet */
	unsigned paused; /* reasons of the owner, a bit each */
	bool full;       /* the socket takes no more; EV_WRITE is on */
	bool is_dirty, is_starved;
	bool asked; /* begun() was called for the record being read */
	struct stream *to, *from; /* where that goes; whose comes here */
	TAILQ_ENTRY(stream) on_dirty, on_starved;
	struct rec_reader in;
	struct rec_writer out;
};

void stream_loop_init(struct stream_loop *loop, struct event_base *base,
    void (*settle)(void *arg), void *arg);
/* Writes what is queued everywhere. True if there was anything. */
bool stream_loop_flush(struct stream_loop *loop);

/* The pool is this group's from now on, as far as rec_pool_on_free() goes. */
void stream_group_init(
    struct stream_group *g, struct stream_loop *loop, struct rec_pool *pool);
void stream_group_fini(struct stream_group *g);

/* Takes over fd, non-blocking. Starts reading, unless it is connecting:
 * then stream_connected() does. */
void stream_open(struct stream *s, struct stream_group *group, int fd,
    const struct stream_ops *ops, bool connecting);
void stream_connected(struct stream *s);
void stream_close(struct stream *s);

/* Takes a reference of its own. */
void stream_put(struct stream *s, struct rec *rec);

/* Reading stops while there is a reason (one bit) not taken back. */
void stream_pause(struct stream *s, unsigned reason);
void stream_resume(struct stream *s, unsigned reason);

#endif
