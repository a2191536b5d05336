/*
 * A TCP socket for a path: bound to its interface, from a reserved port.
 * What goes over it is upstream.c's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hanfs/log.h"

#include "proxy.h"

enum { PORT_LOW = 512, PORT_HIGH = 1023 };

static struct log_limit port_limit = LOG_LIMIT_INIT(1, 60000);

static int
bind_reserved(struct proxy *p, int fd, const struct hanfs_addr *local)
{
	struct sockaddr_storage ss;
	struct hanfs_addr at = *local;

	for (int i = PORT_LOW; i <= PORT_HIGH; i++) {
		if (p->next_port < PORT_LOW || p->next_port > PORT_HIGH)
			p->next_port = PORT_HIGH;
		at.port = p->next_port--;
		if (bind(fd, (struct sockaddr *)&ss,
			addr_to_sockaddr(&at, &ss)) == 0)
			return 0;
		if (errno != EADDRINUSE)
			break;
	}
	if (errno != EADDRINUSE && errno != EACCES)
		return -1;
	log_limited(&port_limit, proxy_now(p), LOG_LEVEL_WARN,
	    "no reserved port to be had (%s): a server that insists on one "
	    "refuses us", strerror(errno));
	at.port = 0;
	return bind(fd, (struct sockaddr *)&ss, addr_to_sockaddr(&at, &ss));
}

/* While a reply is waited for and nothing is to be sent, TCP would never
 * notice that the flow is dead, or that the agent's end is gone and its
 * reset was lost: it asks after a silence of 2 s, and gives up after 7. */
static void
keep_alive(int fd)
{
	const int on = 1, idle = 2, interval = 1, count = 5;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval,
	    sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

int
path_socket(struct proxy *p, uint32_t path)
{
	uint32_t server = path / p->pxcfg.nnetworks;
	uint32_t network = path % p->pxcfg.nnetworks;
	const struct local_net *net = &p->net[network];
	struct sockaddr_storage to;
	socklen_t len;
	int fd, one = 1;

	if (!net->up) {
		errno = ENETDOWN;
		return -1;
	}
	len = addr_to_sockaddr(&p->agent_addr[server][network], &to);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	keep_alive(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, net->ifname,
		(socklen_t)strlen(net->ifname)) == -1 ||
	    bind_reserved(p, fd, &net->addr) == -1 ||
	    (connect(fd, (struct sockaddr *)&to, len) == -1 &&
		errno != EINPROGRESS)) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}
