/*
 * Connections to agents: HELLO, calls out, replies in; pathsock.c makes
 * their sockets. Nothing is decided here but what a byte stream forces: what
 * ends a connection. What was on it, the core knows.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hanfs/log.h"

#include "proxy.h"

enum { READ_BUDGET = 64 };

static struct log_limit hello_limit = LOG_LIMIT_INIT(5, 10000);

static enum px_lost
lost_how(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return PX_LOST_REFUSED;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ETIMEDOUT:
		return PX_LOST_UNREACHABLE;
	}
	return PX_LOST_CLOSED;
}

/* The core may know another connection by now; this one is then nothing. */
static bool
is_current(const struct upstream *up)
{
	if (up->u == NULL)
		return up->w.p->control[up->path] == up;
	return up->u->user == up;
}

void
upstream_lost(struct upstream *up, int error, const char *why)
{
	struct proxy *p = up->w.p;
	struct uconn *u = up->u;

	if (up->closed)
		return;
	up->closed = true;
	wire_close(&up->w, true); /* its records may go to another wire */
	if (!is_current(up))
		return;
	if (u == NULL) {
		p->control[up->path] = NULL;
		px_control_lost(p->px, up->path, lost_how(error),
		    proxy_now(p));
		return;
	}
	u->user = NULL;
	px_uconn_lost(p->px, u, why != NULL ? why : strerror(error),
	    proxy_now(p));
}

void
upstream_abort(struct proxy *p, struct upstream *up)
{
	if (up == NULL || up->closed)
		return;
	if (is_current(up) && up->u != NULL)
		up->u->user = NULL;
	else if (is_current(up))
		p->control[up->path] = NULL;
	/* At once: what its socket still holds must not go out any more. */
	wire_close(&up->w, true);
	up->closed = true;
}

static void
take_hello(struct upstream *up, struct rec *r)
{
	struct proxy *p = up->w.p;
	struct hello_answer a;
	uint64_t now = proxy_now(p);
	uint32_t not_owner = PX_NONE;

	if (agent_hello_answer(r, &a) == -1) {
		upstream_lost(up, EPROTO, "answer to HELLO is malformed");
		return;
	}
	if (a.status == 0) {
		up->state = UP_READY;
		if (up->u != NULL)
			px_owner(p->px, up->u->kconn->volume,
			    up->path / p->pxcfg.nnetworks, a.epoch, now);
		if (up->u != NULL)
			px_uconn_ready(p->px, up->u, a.boot, a.floor, now);
		else
			px_control_ready(p->px, up->path, a.boot, now);
		return;
	}
	p->count.hello_refused++;
	log_limited(&hello_limit, now, LOG_LEVEL_WARN,
	    "path %s: agent refuses HELLO: %s", proxy_path_name(p, up->path),
	    agent_status_name(a.status));
	if (a.highest > p->who.incarnation)
		p->who.incarnation = a.highest + 1;
	if (up->u != NULL && a.floor >= up->u->generation) {
		struct uconn *u = up->u;

		u->user = NULL;
		up->closed = true;
		wire_close(&up->w, true);
		px_uconn_fenced(p->px, u, a.floor, now);
		return;
	}
	if (up->u != NULL && agent_is_not_owner(a.status))
		not_owner = up->u->kconn->volume;
	upstream_lost(up, ECONNABORTED, agent_status_name(a.status));
	if (not_owner != PX_NONE)
		px_not_owner(p->px, not_owner,
		    up->path / p->pxcfg.nnetworks, now);
}

static void
take_reply(struct upstream *up, struct rec *r)
{
	struct proxy *p = up->w.p;
	struct px_answered a;
	struct rpc_reply reply;

	if (rpc_reply_parse(rec_head(r), r->head_len, &reply) == -1) {
		upstream_lost(up, EPROTO, "a reply is malformed");
		rec_unref(r);
		return;
	}
	if (up->state == UP_HELLO) {
		take_hello(up, r);
		rec_unref(r);
	} else if (up->u == NULL) {
		control_reply(up, r, reply.xid);
		rec_unref(r);
	} else if (!px_reply(p->px, up->u, reply.xid, &a, proxy_now(p))) {
		p->count.unknown_replies++;
		rec_unref(r);
	} else if (a.kconn->user == NULL)
		rec_unref(r);
	else
		kernel_reply(a.kconn->user, r, &a);
}

static bool
choked(const struct upstream *up)
{
	const struct kernel_conn *kc;

	if (up->u == NULL || (kc = up->u->kconn->user) == NULL)
		return false;
	return kc->choked;
}

static void
read_replies(struct upstream *up)
{
	uint64_t before = up->w.in.bytes;
	struct rec *r;

	for (int i = 0; i < READ_BUDGET && !up->closed; i++) {
		enum rec_result res;

		/* One call alone waits for nothing but its reply. */
		up->w.in.patient = up->u != NULL && up->u->calls.n > 1;
		if (choked(up)) {
			wire_pause(&up->w);
			return;
		}
		res = rec_reader_run(&up->w.in, up->w.fd, &r);
		if (res == REC_DONE) {
			take_reply(up, r);
			continue;
		}
		if (res == REC_AGAIN && up->w.in.bytes != before &&
		    up->u != NULL)
			px_heard(up->w.p->px, up->u, proxy_now(up->w.p));
		if (res == REC_AGAIN)
			return;
		if (res == REC_WAIT) {
			wire_pause(&up->w);
			return;
		}
		upstream_lost(up, res == REC_ERROR ? errno : ECONNRESET,
		    res == REC_BAD ? "a record over the length allowed" : NULL);
		return;
	}
	if (!up->closed)
		event_active(&up->w.ev_read, EV_READ, 0);
}

static void
connected(struct upstream *up)
{
	struct proxy *p = up->w.p;
	struct rec *r;
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(up->w.fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0) {
		upstream_lost(up, error, NULL);
		return;
	}
	r = agent_hello(p, up, ++p->xids);
	if (r == NULL) {
		upstream_lost(up, ENOBUFS, NULL);
		return;
	}
	up->state = UP_HELLO;
	wire_put(&up->w, r);
	rec_unref(r);
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *up = arg;
	struct proxy *p = up->w.p;

	(void)fd;
	(void)what;
	if (!up->closed && !up->w.paused && up->state != UP_CONNECTING)
		read_replies(up);
	proxy_settle(p);
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *up = arg;
	struct proxy *p = up->w.p;

	(void)fd;
	(void)what;
	if (!up->closed && up->state == UP_CONNECTING) {
		up->w.wants_write = false;
		event_del(&up->w.ev_write);
		connected(up);
	} else if (!up->closed && wire_flush(&up->w) == -1)
		upstream_lost(up, errno, NULL);
	proxy_settle(p);
}

static void
write_failed(struct wire *w, int error)
{
	upstream_lost((struct upstream *)w, error, NULL);
}

void
upstream_connect(struct proxy *p, uint32_t path, struct uconn *u)
{
	struct upstream *up;
	int fd;

	upstream_abort(p, u != NULL ? u->user : p->control[path]);
	fd = path_socket(p, path);

	if (fd == -1 || (up = calloc(1, sizeof(*up))) == NULL) {
		if (u != NULL)
			px_uconn_lost(p->px, u, strerror(errno), proxy_now(p));
		else
			px_control_lost(p->px, path, lost_how(errno),
			    proxy_now(p));
		if (fd != -1)
			close(fd);
		return;
	}
	up->path = path;
	up->u = u;
	up->state = UP_CONNECTING;
	up->calls_last = &up->calls;
	wire_open(&up->w, p, fd, p->replies, REC_STORE_PIPES, on_read,
	    on_write, write_failed);
	event_add(&up->w.ev_write, NULL);
	up->w.wants_write = true;
	up->next = p->upstreams;
	p->upstreams = up;
	if (u != NULL)
		u->user = up;
	else
		p->control[path] = up;
}

/*
 * Several events may come before the core's actions are carried out: one of
 * them may have ended the connection, and the call may have been taken back
 * or answered since. Then the core has decided anew.
 */
void
upstream_send(struct proxy *p, const struct px_action *a)
{
	struct uconn *u = a->uconn;
	struct upstream *up = u->user;
	struct call *c = a->call;

	(void)p;
	if (u->state != UCONN_READY || u->generation != a->generation ||
	    c->state != CALL_SENT || c->order != a->order ||
	    c->kconn != u->kconn || c->network != u->network ||
	    c->sent_gen[u->network] != a->generation)
		return;
	assert(up != NULL && up->state == UP_READY && !up->closed);
	wire_put(&up->w, c->rec);
}

void
upstream_more(const struct proxy *p, const struct kconn *k)
{
	for (uint32_t n = 0; n < p->pxcfg.nnetworks; n++) {
		struct upstream *up = k->u[n].user;

		if (up != NULL && !up->closed)
			wire_more(&up->w);
	}
}

static void
upstream_free(struct upstream *up)
{
	wire_close(&up->w, true);
	control_end(up);
	free(up);
}

void
upstream_sweep(struct proxy *p)
{
	for (struct upstream **at = &p->upstreams, *up; (up = *at) != NULL;) {
		if (!up->closed) {
			at = &up->next;
			continue;
		}
		*at = up->next;
		upstream_free(up);
	}
}

/* k NULL: all of them; else those of that kernel connection. */
void
upstream_resume(struct proxy *p, struct kconn *k)
{
	for (struct upstream *up = p->upstreams; up != NULL; up = up->next)
		if (!up->closed &&
		    (k == NULL || (up->u != NULL && up->u->kconn == k)))
			wire_resume(&up->w);
}

void
upstream_forget(struct proxy *p, const struct kconn *k)
{
	for (struct upstream *up = p->upstreams; up != NULL; up = up->next)
		if (up->u != NULL && up->u->kconn == k)
			upstream_abort(p, up);
}

void
upstream_end(struct proxy *p)
{
	for (struct upstream *up = p->upstreams; up != NULL; up = up->next)
		up->closed = true;
	upstream_sweep(p);
}
