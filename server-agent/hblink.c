/* hblink: the contract is in hblink.h. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hblink.h"

#define HOPS     255
#define TOS      0xc0 /* CS6, network control */
#define PRIORITY 6    /* the highest without a privilege: ahead of bulk */

void
hblink_init(struct hblink *l)
{
	memset(l, 0, sizeof(*l));
	l->fd = -1;
}

static int
set_all(struct hblink *l, const struct ifwatch_addr *local, uint16_t port)
{
	struct hanfs_prefix p = {.base = local->addr, .len = local->prefix_len};

	if (local->addr.family == 6)
		(void)addr_parse(&l->all, "ff02::1");
	else if (prefix_broadcast(&p, &l->all) < 0) {
		errno = EINVAL;
		return -1;
	}
	l->all.port = port;
	return 0;
}

static int
set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static int
set_options(const struct hblink *l)
{
	int fd = l->fd, r = 0;

	r |= setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, l->ifname,
	    (socklen_t)strlen(l->ifname));
	if (l->local.family == 4) {
		r |= set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
		r |= set_int(fd, IPPROTO_IP, IP_TTL, HOPS);
		r |= set_int(fd, IPPROTO_IP, IP_TOS, TOS);
	} else {
		r |= set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, HOPS);
		r |= set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOPS);
		r |= set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, l->ifindex);
		r |= set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, TOS);
	}
	r |= set_int(fd, SOL_SOCKET, SO_PRIORITY, PRIORITY); /* after TOS */
	return r;
}

int
hblink_open(struct hblink *l, const struct ifwatch_if *i,
    const struct ifwatch_addr *local, uint16_t port)
{
	struct sockaddr_storage from;
	socklen_t len;
	int e;

	l->ifindex = i->ifindex;
	memcpy(l->ifname, i->name, sizeof(l->ifname));
	l->local = local->addr;
	if (set_all(l, local, port) < 0)
		return -1;
	l->fd = socket(l->local.family == 4 ? AF_INET : AF_INET6,
	    SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -1;
	len = addr_to_sockaddr(&l->local, &from);
	if (set_options(l) == 0 &&
	    bind(l->fd, (struct sockaddr *)&from, len) == 0)
		return 0;
	e = errno;
	hblink_close(l);
	errno = e;
	return -1;
}

void
hblink_close(struct hblink *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

int
hblink_send_to(struct hblink *l, const struct hanfs_addr *to,
    const uint8_t *buf, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = addr_to_sockaddr(to, &ss);
	ssize_t n;

	/* A group of the link's needs no scope: the socket is bound to it. */
	n = sendto(l->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL,
	    (const struct sockaddr *)&ss, ss_len);
	return n == (ssize_t)len ? 0 : -1;
}

int
hblink_send(struct hblink *l, const uint8_t *buf, size_t len)
{
	return hblink_send_to(l, &l->all, buf, len);
}
