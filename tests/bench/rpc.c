/*
 * Calls, record marks and reply heads for the bench client; see rpc.h.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rpc.h"

enum {
	REPLY_MIN = 24, /* XID, REPLY, accepted, null verifier, status */
	AUTH_SYS = 1,   /* RFC 5531 appendix A */
};

static const char machine[8] = "nfsbench";

uint32_t
get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return ntohl(v);
}

void
call_put32(struct call *c, uint32_t v)
{
	assert(sizeof(c->head) - c->headlen >= 4);
	v = htonl(v);
	memcpy(c->head + c->headlen, &v, 4);
	c->headlen += 4;
}

void
call_put64(struct call *c, uint64_t v)
{
	call_put32(c, (uint32_t)(v >> 32));
	call_put32(c, (uint32_t)v);
}

void
call_put_opaque(struct call *c, const void *data, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3;

	call_put32(c, (uint32_t)len);
	assert(sizeof(c->head) - c->headlen >= padded);
	memset(c->head + c->headlen, 0, padded);
	memcpy(c->head + c->headlen, data, len);
	c->headlen += padded;
}

/* RFC 5531: 9 (call body), appendix A (AUTH_SYS: root, no further groups) */
void
call_begin(struct conn *cn, struct call *c, uint32_t prog, uint32_t proc)
{
	const uint32_t body[] = {0, 2, prog, 3, proc};

	c->headlen = 4;
	c->xid = cn->xid++;
	call_put32(c, c->xid);
	for (size_t i = 0; i < sizeof(body) / sizeof(body[0]); i++)
		call_put32(c, body[i]);
	call_put32(c, AUTH_SYS);
	call_put32(c, 4 + 4 + sizeof(machine) + 3 * 4);
	call_put32(c, 0);
	call_put_opaque(c, machine, sizeof(machine));
	for (int i = 0; i < 3; i++)
		call_put32(c, 0);
	call_put64(c, 0); /* verifier AUTH_NONE */
}

void
call_end(struct call *c, size_t bulklen)
{
	uint32_t mark;

	mark = htonl(0x80000000u | (uint32_t)(c->headlen - 4 + bulklen));
	memcpy(c->head, &mark, 4);
}

void
conn_open(struct conn *cn, const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
	struct timespec now;
	int error, one = 1;

	if ((error = getaddrinfo(host, port, &hints, &ai)) != 0)
		errx(1, "%s:%s: %s", host, port, gai_strerror(error));
	memset(cn, 0, sizeof(*cn));
	if ((cn->fd = socket(ai->ai_family, SOCK_STREAM, 0)) == -1)
		err(1, "socket");
	if (bindresvport(cn->fd, NULL) == -1)
		err(1, "reserved port");
	if (connect(cn->fd, ai->ai_addr, ai->ai_addrlen) == -1)
		err(1, "%s:%s", host, port);
	setsockopt(cn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	freeaddrinfo(ai);
	clock_gettime(CLOCK_MONOTONIC, &now);
	cn->xid = (uint32_t)(now.tv_sec * 1000000 + now.tv_nsec / 1000);
	if ((cn->buf = malloc(RECV_SIZE)) == NULL)
		err(1, NULL);
}

void
conn_close(struct conn *cn)
{
	close(cn->fd);
	free(cn->buf);
}

void
conn_send(struct conn *cn, struct iovec *iov, size_t n)
{
	struct msghdr msg = {0};
	ssize_t r;

	while (n > 0) {
		msg.msg_iov = iov;
		msg.msg_iovlen = n;
		if ((r = sendmsg(cn->fd, &msg, MSG_NOSIGNAL)) == -1) {
			if (errno == EINTR)
				continue;
			err(1, "send");
		}
		for (; n > 0 && (size_t)r >= iov->iov_len; iov++, n--)
			r -= (ssize_t)iov->iov_len;
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + r;
			iov->iov_len -= (size_t)r;
		}
	}
}

size_t
conn_recv(struct conn *cn, const char *what)
{
	ssize_t r;

	while ((r = recv(cn->fd, cn->buf, RECV_SIZE, 0)) == -1)
		if (errno != EINTR)
			err(1, "%s", what);
	if (r == 0)
		errx(1, "%s: the connection ended", what);
	return (size_t)r;
}

static void
head_keep(struct conn *cn, const unsigned char *p, size_t len)
{
	size_t space = REPLY_HEAD - cn->headlen;

	len = len < space ? len : space;
	memcpy(cn->head + cn->headlen, p, len);
	cn->headlen += len;
}

size_t
conn_take(struct conn *cn, const unsigned char *p, size_t len, int *whole)
{
	size_t n, used = 0;

	*whole = 0;
	while (used < len && !*whole) {
		if (cn->marklen < 4) {
			cn->mark[cn->marklen++] = p[used++];
			if (cn->marklen < 4)
				continue;
			cn->left = get32(cn->mark) & 0x7fffffffu;
			cn->last = (cn->mark[0] & 0x80) != 0;
		}
		n = len - used < cn->left ? len - used : cn->left;
		head_keep(cn, p + used, n);
		used += n;
		cn->left -= n;
		if (cn->left == 0) {
			cn->marklen = 0;
			*whole = cn->last;
		}
	}
	return used;
}

const unsigned char *
reply_results(struct conn *cn, const char *what)
{
	const unsigned char *p = cn->head;

	if (cn->headlen < REPLY_MIN + 4)
		errx(1, "%s: a reply of %zu bytes", what, cn->headlen);
	if (get32(p + 4) != 1 || get32(p + 8) != 0 || get32(p + 16) != 0 ||
	    get32(p + 20) != 0)
		errx(1, "%s: RPC error %u %u %u", what, get32(p + 8),
		    get32(p + 16), get32(p + 20));
	if (get32(p + REPLY_MIN) != 0)
		errx(1, "%s: status %u", what, get32(p + REPLY_MIN));
	cn->headlen = 0;
	return p + REPLY_MIN + 4;
}

const unsigned char *
call_wait(struct conn *cn, struct call *c, const char *what)
{
	struct iovec iov = {c->head, c->headlen};
	size_t n;
	int whole = 0;

	call_end(c, 0);
	conn_send(cn, &iov, 1);
	while (!whole) {
		n = conn_recv(cn, what);
		if (conn_take(cn, cn->buf, n, &whole) != n)
			errx(1, "%s: bytes behind the reply", what);
	}
	if (get32(cn->head) != c->xid)
		errx(1, "%s: another call's XID", what);
	return reply_results(cn, what);
}
