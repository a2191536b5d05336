/* hbudp: the contract is in hanfs/hbudp.h. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hanfs/hbudp.h"

#define BUFFER_SIZE (512 * 1024)

static int
set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static int
set_options(int fd, int family)
{
	int r = set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);

	/* As much as is allowed. */
	(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_SIZE);
	if (family == AF_INET) {
		r |= set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
		r |= set_int(fd, IPPROTO_IP, IP_RECVTTL, 1);
	} else {
		r |= set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		r |= set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		r |= set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	}
	return r;
}

static int
open_one(int family, uint16_t port)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 sin6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd, e, r;

	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	r = set_options(fd, family);
	r |= set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0)
		r = family == AF_INET
			? bind(fd, (struct sockaddr *)&sin, sizeof(sin))
			: bind(fd, (struct sockaddr *)&sin6, sizeof(sin6));
	if (r == 0)
		return fd;
	e = errno;
	close(fd);
	errno = e;
	return -1;
}

int
hbudp_open(struct hbudp *u, uint16_t port, char *error)
{
	static const int families[HBUDP_SOCKETS] = {AF_INET, AF_INET6};
	unsigned i;

	u->fds[0] = u->fds[1] = -1;
	for (i = 0; i < HBUDP_SOCKETS; i++) {
		u->fds[i] = open_one(families[i], port);
		if (u->fds[i] >= 0)
			continue;
		if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)
			continue;
		(void)snprintf(error, HBUDP_ERROR_LEN, "UDP port %u: %s%s", port,
		    strerror(errno),
		    errno == EADDRINUSE ? "; what uses it does not share it"
					: "");
		hbudp_close(u);
		return -1;
	}
	return 0;
}

void
hbudp_close(struct hbudp *u)
{
	unsigned i;

	for (i = 0; i < HBUDP_SOCKETS; i++) {
		if (u->fds[i] >= 0)
			close(u->fds[i]);
		u->fds[i] = -1;
	}
}

/* The address in the header is ours exactly when it was not to everybody. */
static void
take_pktinfo(struct hbudp_packet *p, const struct cmsghdr *c)
{
	struct in_pktinfo i4;
	struct in6_pktinfo i6;

	if (c->cmsg_level == IPPROTO_IP) {
		memcpy(&i4, CMSG_DATA(c), sizeof(i4));
		p->ifindex = i4.ipi_ifindex;
		p->unicast = i4.ipi_addr.s_addr == i4.ipi_spec_dst.s_addr;
	} else {
		memcpy(&i6, CMSG_DATA(c), sizeof(i6));
		p->ifindex = (int)i6.ipi6_ifindex;
		p->unicast = !IN6_IS_ADDR_MULTICAST(&i6.ipi6_addr);
	}
}

static void
take_control(struct hbudp_packet *p, struct msghdr *m)
{
	struct cmsghdr *c;
	struct timespec ts;
	int ttl = -1;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		int level = c->cmsg_level, type = c->cmsg_type;

		if ((level == IPPROTO_IP && type == IP_PKTINFO) ||
		    (level == IPPROTO_IPV6 && type == IPV6_PKTINFO))
			take_pktinfo(p, c);
		else if ((level == IPPROTO_IP && type == IP_TTL) ||
			 (level == IPPROTO_IPV6 && type == IPV6_HOPLIMIT))
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
		else if (level == SOL_SOCKET && type == SO_TIMESTAMPNS) {
			memcpy(&ts, CMSG_DATA(c), sizeof(ts));
			p->wall_us = (uint64_t)ts.tv_sec * 1000000 +
				     (uint64_t)ts.tv_nsec / 1000;
		}
	}
	if (ttl != HBUDP_TTL)
		p->reason = HB_DROP_TTL;
}

/* 1: a datagram was handed over; 0: there is none. */
static int
read_one(int fd, hbudp_packet_fn *fn, void *arg)
{
	uint8_t buf[HB_LEN_MAX + 1];
	union {
		char bytes[256];
		struct cmsghdr align;
	} control;
	struct sockaddr_storage from;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &from,
	    .msg_namelen = sizeof(from),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct hbudp_packet p = {.payload = buf, .reason = HB_PASSED};
	ssize_t n;

	do
		n = recvmsg(fd, &m, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return 0;
	p.len = (size_t)n;
	take_control(&p, &m);
	if (addr_from_sockaddr(
		&p.source, (struct sockaddr *)&from, m.msg_namelen) < 0)
		p.reason = HB_DROP_IP;
	if (p.ifindex != 0)
		fn(&p, arg);
	return 1;
}

int
hbudp_read(struct hbudp *u, unsigned which, int most, hbudp_packet_fn *fn, void *arg)
{
	int n = 0;

	while (n < most && read_one(u->fds[which], fn, arg))
		n++;
	return n;
}
