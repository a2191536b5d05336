/*
 * Listening sockets on each of the server's addresses, and what they accept.
 * An address need not be there yet: the socket is bound to it all the same
 * (IP_FREEBIND), and works from the moment it appears.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "server-agent/agent.h"

enum { BACKLOG = 256, TURN = 16 };

struct listener {
	struct listener *next;
	struct agent *a;
	int fd;
	struct hanfs_addr addr;
	struct event ev, rest;
};

static void
set(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) == -1)
		log_debug("setsockopt %d: %s", name, strerror(errno));
}

/* A peer that vanished is noticed within about a minute. */
static void
prepare(int fd)
{
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 20);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
	set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 60000);
}

static void
accepted(
    struct agent *a, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
	struct sockaddr_storage ss;
	struct hanfs_addr from, to;
	socklen_t n = sizeof(ss);

	if (addr_from_sockaddr(&from, (const void *)peer, len) == -1 ||
	    getsockname(fd, (struct sockaddr *)&ss, &n) == -1 ||
	    addr_from_sockaddr(&to, (struct sockaddr *)&ss, n) == -1) {
		a->n.refused++;
		close(fd);
		return;
	}
	prepare(fd);
	conn_new(a, fd, &from, &to);
}

static void
on_rest_over(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	event_add(&l->ev, NULL);
}

/* No descriptors or memory: trying at once would only spin. */
static void
rest(struct listener *l)
{
	static struct log_limit limit = LOG_LIMIT_INIT(1, 10000);
	static const struct timeval a_while = {0, 200000};

	log_limited(&limit, l->a->now_ms, LOG_LEVEL_ERR,
	    "cannot accept connections: %s; raise the limit of open files "
	    "or find what holds them",
	    strerror(errno));
	event_del(&l->ev);
	event_add(&l->rest, &a_while);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)what;
	agent_now(l->a);
	for (int i = 0; i < TURN; i++) {
		struct sockaddr_storage ss;
		socklen_t n = sizeof(ss);
		int c = accept4(fd, (struct sockaddr *)&ss, &n,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (c != -1) {
			accepted(l->a, c, &ss, n);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS)
			rest(l);
		if (errno != ECONNABORTED && errno != EINTR)
			break;
	}
	agent_settle(l->a);
}

static int
open_socket(const struct hanfs_addr *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(addr, &ss);
	int fd =
	    socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int saved;

	if (fd == -1)
		return -1;
	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (ss.ss_family == AF_INET6) {
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
	} else
		set(fd, IPPROTO_IP, IP_FREEBIND, 1);
	if (bind(fd, (struct sockaddr *)&ss, len) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
listen_on(struct agent *a, const struct hanfs_addr *addr)
{
	struct listener *l = calloc(1, sizeof(*l));
	char text[ADDR_TEXT_SIZE];

	if (l == NULL)
		return -1;
	addr_format(addr, text, sizeof(text));
	l->fd = open_socket(addr);
	if (l->fd == -1) {
		log_err("cannot listen on %s: %s%s", text, strerror(errno),
		    errno == EADDRINUSE
			? "; end the NFS server or agent that uses it, or "
			  "give the server another port (server, port)"
			: "");
		free(l);
		return -1;
	}
	l->a = a;
	l->addr = *addr;
	event_assign(
	    &l->ev, a->base, l->fd, EV_READ | EV_PERSIST, on_accept, l);
	evtimer_assign(&l->rest, a->base, on_rest_over, l);
	event_add(&l->ev, NULL);
	l->next = a->listeners;
	a->listeners = l;
	log_info("listening on %s", text);
	return 0;
}

/* The addresses of volumes, which come and go: for clients without proxy. */
static int
listen_service(struct agent *a)
{
	for (unsigned i = 0; i < a->nvolumes; i++) {
		struct hanfs_addr addr =
		    a->cfg->volumes[i].storage.service_address;

		addr.port = a->cfg->servers[a->server].port;
		if (addr.family != 0 && a->volumes[i].here &&
		    listen_on(a, &addr) == -1)
			return -1;
	}
	return 0;
}

int
listen_start(struct agent *a)
{
	const struct config_server *s = &a->cfg->servers[a->server];

	for (unsigned i = 0; i < s->naddrs; i++)
		if (listen_on(a, &s->addrs[i].addr) == -1)
			return -1;
	return listen_service(a);
}

void
listen_stop(struct agent *a)
{
	struct listener *l;

	while ((l = a->listeners) != NULL) {
		a->listeners = l->next;
		event_del(&l->ev);
		event_del(&l->rest);
		close(l->fd);
		free(l);
	}
}
