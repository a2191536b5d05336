/*
 * One TCP connection: records out, records in.
 *
 * A call is made into bytes only when it is its turn to be sent, so many
 * large WRITEs may wait without memory.  It never sends a call twice, unless
 * the options ask for what a kernel's client does: --timeo sends it again on
 * the same connection, --reconnect makes a new connection from the same port
 * when one is lost and sends all that has no reply, with the same XIDs.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nfsload.h"

enum { PORT_LOW = 512, PORT_HIGH = 1023, CONNECT_MS = 10000 };
static const double RETRY_S = 0.1;

struct conn {
	struct load *load;
	int number, fd;
	int port;        /* our own, kept over reconnects */
	bool connecting; /* the SYN is not answered yet */
	double retry_at;
	struct slot *first, **last; /* waiting to be sent */
	uint8_t *out;
	size_t out_len, out_at;
	uint8_t *in;
	size_t in_len; /* of the record so far */
	uint8_t mark[4];
	size_t mark_len;
	uint32_t fragment_left;
	bool last_fragment;
};

/* A socket bound to a reserved port, as mount and the kernel use them:
 * `port`, or else any. */
static int
reserved_socket(int *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	int try = *port;

	if (fd < 0)
		err(1, "socket");
	if (try != 0) /* the old connection may not be gone altogether */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	for (int i = 0; i <= PORT_HIGH - PORT_LOW; i++) {
		if (*port == 0)
			try = PORT_HIGH -
			      (i + (int)getpid()) % (PORT_HIGH - PORT_LOW + 1);
		at.sin_port = htons((uint16_t)try);
		if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0) {
			*port = try;
			return fd;
		}
		if (*port != 0)
			break;
	}
	close(fd);
	return -1;
}

static struct sockaddr_in
server(const struct load *l, int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET};

	at.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, l->host, &at.sin_addr) != 1)
		errx(2, "%s is no IPv4 address", l->host);
	return at;
}

int
sync_connect(const struct load *l, int port)
{
	struct sockaddr_in to = server(l, port);
	int own = 0, fd = reserved_socket(&own);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		err(1, "connect to %s port %d", l->host, port);
	return fd;
}

static bool
read_all(int fd, uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, p, n);

		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

ssize_t
sync_call(int fd, const uint8_t *call, size_t len, uint8_t *reply, size_t size)
{
	size_t at = 0;
	uint32_t mark;

	for (size_t sent = 0; sent < len;) {
		ssize_t n = write(fd, call + sent, len - sent);

		if (n <= 0)
			return -1;
		sent += (size_t)n;
	}
	do {
		if (!read_all(fd, (uint8_t *)&mark, 4))
			return -1;
		mark = ntohl(mark);
		if ((mark & 0x7fffffff) > size - at ||
		    !read_all(fd, reply + at, mark & 0x7fffffff))
			return -1;
		at += mark & 0x7fffffff;
	} while (!(mark >> 31));
	return (ssize_t)at;
}

/* Begins to connect; false if that is not possible now. */
static bool
conn_start(struct conn *c)
{
	struct sockaddr_in to = server(c->load, c->load->port);

	c->fd = reserved_socket(&c->port);
	if (c->fd < 0)
		return false;
	c->mark_len = c->in_len = c->out_len = c->out_at = 0;
	c->fragment_left = 0;
	c->connecting = false;
	(void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
	if (connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0)
		return true; /* to a local address: at once, good or bad */
	c->connecting = errno == EINPROGRESS;
	if (c->connecting)
		return true;
	if (errno == ECONNREFUSED)
		stats_count("refused");
	close(c->fd);
	c->fd = -1;
	return false;
}

/* The end of an attempt to connect. */
static bool
conn_connected(struct conn *c)
{
	int error = 0;
	socklen_t len = sizeof error;

	c->connecting = false;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
	    error == 0)
		return true;
	if (error == ECONNREFUSED)
		stats_count("refused");
	close(c->fd);
	c->fd = -1;
	return false;
}

static bool
connected_soon(struct conn *c)
{
	struct pollfd p = {c->fd, POLLOUT, 0};

	return poll(&p, 1, CONNECT_MS) == 1 && conn_connected(c);
}

struct conn *
conn_new(struct load *l, int number)
{
	struct conn *c = calloc(1, sizeof *c);

	if (c == NULL)
		err(1, "calloc");
	c->load = l;
	c->number = number;
	c->last = &c->first;
	c->out = malloc(CALL_MAX);
	c->in = malloc(REPLY_MAX);
	if (c->out == NULL || c->in == NULL)
		err(1, "malloc");
	if (!conn_start(c) || (c->connecting && !connected_soon(c)))
		err(1, "connect to %s port %d", l->host, l->port);
	return c;
}

void
conn_free(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->out);
	free(c->in);
	free(c);
}

int
conn_fd(const struct conn *c)
{
	return c->fd;
}

short
conn_events(const struct conn *c)
{
	bool out = c->connecting || c->first != NULL || c->out_at < c->out_len;

	return (short)(POLLIN | (out ? POLLOUT : 0));
}

static void
queue(struct conn *c, struct slot *s)
{
	assert(s->outstanding);
	if (s->queued)
		return;
	s->queued = true;
	s->next = NULL;
	*c->last = s;
	c->last = &s->next;
}

static struct slot *
dequeue(struct conn *c)
{
	struct slot *s = c->first;

	c->first = s->next;
	if (c->first == NULL)
		c->last = &c->first;
	s->queued = false;
	return s;
}

/* All calls without a reply, in the order of their XIDs' birth. */
static void
queue_again(struct conn *c)
{
	struct load *l = c->load;
	uint32_t base = l->xid;

	while (c->first != NULL)
		(void)dequeue(c);
	for (;;) {
		struct slot *oldest = NULL;

		for (int i = 0; i < l->slots_n; i++) {
			struct slot *s = &l->slots[i];

			if (s->conn == c && s->outstanding && !s->queued &&
			    (oldest == NULL ||
				base - s->op.xid > base - oldest->op.xid))
				oldest = s;
		}
		if (oldest == NULL)
			return;
		if (oldest->op.sent > 0)
			stats_count("retransmitted");
		queue(c, oldest);
	}
}

static void
conn_again(struct conn *c)
{
	stats_count("reconnects");
	queue_again(c);
}

static void
conn_lost(struct conn *c, const char *why, double now)
{
	close(c->fd);
	c->fd = -1;
	stats_count("disconnects");
	if (!c->load->reconnect) {
		violation(NULL, "connection %d: %s", c->number, why);
		c->load->stopping = true;
		return;
	}
	c->retry_at = now; /* at once, as the kernel does first */
}

void
conn_tick(struct conn *c, double now)
{
	struct load *l = c->load;

	if (c->fd < 0 && l->reconnect && now >= c->retry_at) {
		c->retry_at = now + RETRY_S;
		if (conn_start(c) && !c->connecting)
			conn_again(c);
	}
	for (int i = 0; l->timeo > 0 && i < l->slots_n; i++) {
		struct slot *s = &l->slots[i];

		if (s->conn != c || !s->outstanding || s->queued ||
		    now - s->op.sent < l->timeo)
			continue;
		stats_count("retransmitted");
		queue(c, s);
	}
}

static void
conn_write(struct conn *c, double now)
{
	for (;;) {
		ssize_t n;

		if (c->out_at == c->out_len) {
			struct slot *s;

			if (c->first == NULL)
				return;
			s = dequeue(c);
			if (!s->outstanding) /* answered meanwhile */
				continue;
			s->op.sent = now;
			c->out_len = call_encode(&s->op, c->out, CALL_MAX);
			c->out_at = 0;
		}
		n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != EAGAIN)
				conn_lost(c, strerror(errno), now);
			return;
		}
		c->out_at += (size_t)n;
	}
}

void
conn_send(struct conn *c, struct slot *s)
{
	queue(c, s);
	if (c->fd >= 0 && !c->connecting)
		conn_write(c, now_s());
}

/* Takes the record mark (RFC 5531 section 11). */
static bool
take_mark(struct conn *c)
{
	uint32_t mark;

	memcpy(&mark, c->mark, 4);
	mark = ntohl(mark);
	c->mark_len = 0;
	c->last_fragment = mark >> 31;
	c->fragment_left = mark & 0x7fffffff;
	return c->fragment_left <= REPLY_MAX - c->in_len;
}

/* Reads what the record needs next; false if nothing more is there. */
static bool
read_some(struct conn *c, double now)
{
	bool mark = c->fragment_left == 0;
	uint8_t *to = mark ? c->mark + c->mark_len : c->in + c->in_len;
	size_t want = mark ? sizeof c->mark - c->mark_len : c->fragment_left;
	ssize_t n = recv(c->fd, to, want, MSG_DONTWAIT);

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			conn_lost(c,
			    n == 0 ? "closed by the server" : strerror(errno),
			    now);
		return false;
	}
	if (!mark) {
		c->in_len += (size_t)n;
		c->fragment_left -= (uint32_t)n;
	} else {
		c->mark_len += (size_t)n;
		if (c->mark_len == sizeof c->mark && !take_mark(c)) {
			conn_lost(c, "a record too long", now);
			return false;
		}
	}
	return true;
}

static void
conn_read(struct conn *c, double now)
{
	for (int i = 0; i < 64 && c->fd >= 0; i++) {
		if (!read_some(c, now))
			return;
		if (c->fragment_left == 0 && c->mark_len == 0 &&
		    c->last_fragment && c->in_len > 0) {
			size_t len = c->in_len;

			c->in_len = 0;
			c->last_fragment = false;
			load_reply(c->load, c->in, len);
		}
	}
}

void
conn_ready(struct conn *c, short revents, double now)
{
	if (c->connecting) {
		if (conn_connected(c))
			conn_again(c);
		return;
	}
	if (revents & (POLLIN | POLLERR | POLLHUP))
		conn_read(c, now);
	if (c->fd >= 0 && revents & POLLOUT)
		conn_write(c, now);
}
