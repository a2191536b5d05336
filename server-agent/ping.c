/* ping: the contract is in ping.h. */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "server-agent/ping.h"

enum { COOKIE_LEN = 16 };

/* After the ICMP header; the same for both families. */
struct body {
	uint8_t cookie[COOKIE_LEN];
	uint8_t peer, addr;
	uint8_t pad[6];
};

struct source {
	struct ping *p;
	int fd; /* -1: none */
	uint8_t family;
	struct event ev;
};

struct ping {
	const struct config *cfg;
	unsigned self;
	ping_answered_fn *answered;
	void *arg;
	uint16_t id, seq;
	uint8_t cookie[COOKIE_LEN];
	unsigned nsources;
	struct source sources[CONFIG_ADDRS_MAX]; /* as the addresses */
};

static int
open_source(const struct hanfs_addr *addr)
{
	struct hanfs_addr own = *addr;
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, one = 1;

	own.port = 0;
	len = addr_to_sockaddr(&own, &ss);
	fd = socket(ss.ss_family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    own.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (fd == -1)
		return -1;
	if (own.family == 4) {
		struct icmp_filter only = {~(1u << ICMP_ECHOREPLY)};

		setsockopt(fd, SOL_RAW, ICMP_FILTER, &only, sizeof(only));
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	} else {
		struct icmp6_filter only;

		ICMP6_FILTER_SETBLOCKALL(&only);
		ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &only);
		setsockopt(
		    fd, IPPROTO_ICMPV6, ICMP6_FILTER, &only, sizeof(only));
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one));
	}
	if (bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* RFC 1071 */
static uint16_t
checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* An answer that came in; what lies before its ICMP header is the kernel's. */
static void
take(struct ping *p, uint8_t family, const uint8_t *buf, size_t len)
{
	size_t skip = family == 4 && len > 0 ? (size_t)(buf[0] & 15) * 4 : 0;
	struct body body;

	if (len < skip + 8 + sizeof(body))
		return;
	memcpy(&body, buf + skip + 8, sizeof(body));
	if (memcmp(body.cookie, p->cookie, COOKIE_LEN) != 0 ||
	    body.peer >= p->cfg->nservers ||
	    body.addr >= p->cfg->servers[body.peer].naddrs)
		return;
	p->answered(p->arg, body.peer, body.addr);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct source *s = arg;
	uint8_t buf[512];

	(void)what;
	for (int i = 0; i < 64; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0)
			return;
		take(s->p, s->family, buf, (size_t)n);
	}
}

struct ping *
ping_new(struct event_base *base, const struct config *cfg, unsigned self,
    ping_answered_fn *answered, void *arg)
{
	const struct config_server *own = &cfg->servers[self];
	struct ping *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->cfg = cfg;
	p->self = self;
	p->answered = answered;
	p->arg = arg;
	randombytes_buf(p->cookie, sizeof(p->cookie));
	randombytes_buf(&p->id, sizeof(p->id));
	for (unsigned i = 0; i < own->naddrs; i++) {
		struct source *s = &p->sources[p->nsources++];

		s->p = p;
		s->family = own->addrs[i].addr.family;
		s->fd = open_source(&own->addrs[i].addr);
		if (s->fd == -1) {
			int saved = errno;

			ping_free(p);
			errno = saved;
			return NULL;
		}
		event_assign(
		    &s->ev, base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
		event_add(&s->ev, NULL);
	}
	return p;
}

void
ping_free(struct ping *p)
{
	if (p == NULL)
		return;
	for (unsigned i = 0; i < p->nsources; i++) {
		if (p->sources[i].fd == -1)
			continue;
		event_del(&p->sources[i].ev);
		close(p->sources[i].fd);
	}
	free(p);
}

void
ping_send(struct ping *p, unsigned peer, unsigned addr)
{
	const struct config_server_addr *to =
	    &p->cfg->servers[peer].addrs[addr];
	const struct config_server *own = &p->cfg->servers[p->self];
	struct hanfs_addr dest = to->addr;
	struct sockaddr_storage ss;
	struct {
		uint8_t type, code;
		uint16_t sum, id, seq;
		struct body body;
	} m = {0};
	socklen_t len;

	dest.port = 0;
	len = addr_to_sockaddr(&dest, &ss);
	m.type = dest.family == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	m.id = p->id;
	m.seq = htons(++p->seq);
	memcpy(m.body.cookie, p->cookie, COOKIE_LEN);
	m.body.peer = (uint8_t)peer;
	m.body.addr = (uint8_t)addr;
	if (dest.family == 4) /* the kernel does it for ICMPv6 */
		m.sum = checksum(&m, sizeof(m));
	for (unsigned i = 0; i < p->nsources; i++) {
		if (own->addrs[i].network != to->network ||
		    p->sources[i].family != dest.family)
			continue;
		if (sendto(p->sources[i].fd, &m, sizeof(m), MSG_DONTWAIT,
			(struct sockaddr *)&ss, len) == -1)
			log_debug("echo to server %s: %s",
			    p->cfg->servers[peer].name, strerror(errno));
	}
}
