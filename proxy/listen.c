/*
 * Listeners on the volumes' loopback addresses, where the kernel's NFS client
 * connects: whose connections are taken. What they are then: kernel.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hanfs/log.h"

#include "proxy.h"

struct listener {
	struct proxy *p;
	int fd;
	uint32_t volume;
	struct event ev;
};

struct kernel {
	struct listener at[PX_VOLUMES];
	uint32_t n;
};

static struct log_limit port_limit = LOG_LIMIT_INIT(3, 60000);

static bool
peer_allowed(struct proxy *p, const struct sockaddr_storage *ss)
{
	uint16_t port = ss->ss_family == AF_INET6
	    ? ((const struct sockaddr_in6 *)ss)->sin6_port
	    : ((const struct sockaddr_in *)ss)->sin_port;

	return p->cfg->proxy.insecure || ntohs(port) < IPPORT_RESERVED;
}

static void
on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct listener *l = arg;
	struct proxy *p = l->p;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	(void)what;
	fd = accept4(lfd, (struct sockaddr *)&ss, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1)
		return;
	if (!peer_allowed(p, &ss)) {
		p->count.refused_port++;
		log_limited(&port_limit, proxy_now(p), LOG_LEVEL_WARN,
		    "volume %s: refused a connection from a port that any "
		    "user can take; mount without 'noresvport', or set "
		    "'insecure = true' in the section proxy",
		    proxy_volume_name(p, l->volume));
		close(fd);
		return;
	}
	if (kernel_conn_new(p, l->volume, fd) == NULL) {
		log_err("volume %s: a connection was refused: too many",
		    proxy_volume_name(p, l->volume));
		close(fd);
	}
	proxy_settle(p);
}

/* A new listening socket, or -1 with a message. */
static int
socket_new(const struct config_volume *v, const char *name)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&v->loopback, &ss);
	int one = 1;
	int fd = socket(ss.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd != -1 &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, 64) == 0)
		return fd;
	log_err("volume %s: cannot listen on %s: %s%s", v->name, name,
	    strerror(errno), errno == EADDRINUSE
		? "; does another hanfs-proxy run, or an NFS server on all "
		  "addresses, or does a socket unit hold it for another "
		  "program?"
		: "");
	if (fd != -1)
		close(fd);
	return -1;
}

static int
listen_on(struct proxy *p, struct listener *l, uint32_t volume,
    struct listenfds *handed_over)
{
	const struct config_volume *v = &p->cfg->volumes[volume];
	char name[ADDR_TEXT_SIZE];
	bool held;

	addr_format(&v->loopback, name, sizeof(name));
	l->p = p;
	l->volume = volume;
	l->fd = listenfds_give(handed_over, &v->loopback);
	held = l->fd != -1;
	if (!held)
		l->fd = socket_new(v, name);
	if (l->fd == -1)
		return -1;
	/* What never leaves the host needs no pacing: where BBR is the
	 * system's choice it halves the rate over loopback. */
	setsockopt(l->fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	event_assign(&l->ev, p->base, l->fd, EV_READ | EV_PERSIST, on_accept,
	    l);
	event_add(&l->ev, NULL);
	log_info("volume %s: listening on %s%s", v->name, name,
	    held ? ", a socket that was handed over" : "");
	return 0;
}

int
kernel_listen(struct proxy *p, struct listenfds *handed_over)
{
	p->kernel = calloc(1, sizeof(*p->kernel));
	if (p->kernel == NULL)
		return -1;
	for (uint32_t v = 0; v < p->pxcfg.nvolumes; v++) {
		if (listen_on(p, &p->kernel->at[v], v, handed_over) == -1)
			return -1;
		p->kernel->n++;
	}
	listenfds_close(handed_over);
	return 0;
}

void
kernel_listen_end(struct proxy *p)
{
	for (uint32_t i = 0; p->kernel != NULL && i < p->kernel->n; i++) {
		event_del(&p->kernel->at[i].ev);
		close(p->kernel->at[i].fd);
	}
	free(p->kernel);
	p->kernel = NULL;
}
