/*
 * Sockets with records on them, in the event loop. What the records mean is
 * the business of kernel.c and upstream.c.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "proxy.h"

void
wire_open(struct wire *w, struct proxy *p, int fd, struct rec_pool *pool,
    enum rec_store store, event_callback_fn on_read,
    event_callback_fn on_write, void (*failed)(struct wire *w, int error))
{
	w->p = p;
	w->fd = fd;
	w->failed = failed;
	w->dirty = w->paused = w->wants_write = false;
	rec_writer_init(&w->out);
	rec_reader_init(&w->in, pool, store);
	event_assign(&w->ev_read, p->base, fd, EV_READ | EV_PERSIST, on_read,
	    w);
	event_assign(&w->ev_write, p->base, fd, EV_WRITE | EV_PERSIST,
	    on_write, w);
	event_add(&w->ev_read, NULL);
}

void
wire_close(struct wire *w, bool reset)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (w->fd == -1)
		return;
	event_del(&w->ev_read);
	event_del(&w->ev_write);
	rec_reader_clear(&w->in);
	rec_writer_clear(&w->out);
	/* What is not sent yet must not be sent later. */
	if (reset)
		setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(w->fd);
	w->fd = -1;
}

void
wire_put(struct wire *w, struct rec *r)
{
	rec_writer_put(&w->out, r);
	wire_more(w);
}

void
wire_more(struct wire *w)
{
	if (w->dirty || w->wants_write || w->out.first == NULL)
		return;
	w->dirty = true;
	w->next_dirty = w->p->dirty;
	w->p->dirty = w;
}

void
wire_pause(struct wire *w)
{
	if (w->paused || w->fd == -1)
		return;
	w->paused = true;
	event_del(&w->ev_read);
}

/* Bytes may already have been read ahead: the callback runs in any case. */
void
wire_resume(struct wire *w)
{
	if (!w->paused || w->fd == -1)
		return;
	w->paused = false;
	event_add(&w->ev_read, NULL);
	event_active(&w->ev_read, EV_READ, 0);
}

int
wire_flush(struct wire *w)
{
	int rc = rec_writer_run(&w->out, w->fd);

	if (rc == 1 && !w->wants_write) {
		w->wants_write = true;
		event_add(&w->ev_write, NULL);
	} else if (rc == 0 && w->wants_write) {
		w->wants_write = false;
		event_del(&w->ev_write);
	}
	return rc;
}
