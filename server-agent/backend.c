/*
 * Links: the connections to a volume's backend. Each is made inside the
 * backend's network namespace, bound to its client's address, which is local
 * there, and to a reserved port, so that the backend sees its real client.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "server-agent/agent.h"

enum { PORT_LOW = 512, PORT_HIGH = 1023 };

static const struct timeval connect_time = {2, 0};
static const struct stream_ops link_ops;

_Static_assert(sizeof(struct hanfs_addr) <= RELAY_PEER_MAX,
    "the core carries the client's address for us");

/* --- the socket */

/*
 * Nothing leaves the host here, and nothing congests: a congestion control
 * that paces (the system's default may be BBR) would only wait for timers.
 * Ours by a socket option; the backend's by its namespace's default.
 */
static void
calm_namespace(const struct agent *a, int ns)
{
	static const char path[] = "/proc/sys/net/ipv4/tcp_congestion_control";
	struct stat there, here;
	int fd;

	if (fstat(ns, &there) == -1 || fstat(a->own_netns, &here) == -1 ||
	    there.st_ino == here.st_ino)
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd == -1 || write(fd, "reno", 4) == -1)
		log_debug("%s: %s", path, strerror(errno));
	if (fd != -1)
		close(fd);
}

/* A socket of the namespace; whoever made it, it stays there. */
static int
socket_in(
    struct agent *a, const char *netns, int family, char *why, size_t size)
{
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd = -1;

	/* By its path each time: a backend that was started anew may have a
	 * new namespace. */
	if (ns == -1) {
		snprintf(why, size,
		    "network namespace %s: %s; start the "
		    "volume's NFS server",
		    netns, strerror(errno));
		return -1;
	}
	if (setns(ns, CLONE_NEWNET) == -1)
		snprintf(why, size, "cannot enter network namespace %s: %s",
		    netns, strerror(errno));
	else {
		fd = socket(
		    family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd == -1)
			snprintf(why, size, "socket: %s", strerror(errno));
		calm_namespace(a, ns);
		/* Not to come back would be to talk to the wrong network. */
		if (setns(a->own_netns, CLONE_NEWNET) == -1)
			fatal("cannot return to the host's network "
			      "namespace: %s",
			    strerror(errno));
	}
	close(ns);
	return fd;
}

static int
bind_reserved(struct agent_volume *v, int fd, const struct hanfs_addr *peer)
{
	struct hanfs_addr from = *peer;
	struct sockaddr_storage ss;

	for (int i = PORT_LOW; i <= PORT_HIGH; i++) {
		socklen_t len;

		from.port = v->next_port;
		if (--v->next_port < PORT_LOW)
			v->next_port = PORT_HIGH;
		len = addr_to_sockaddr(&from, &ss);
		if (bind(fd, (struct sockaddr *)&ss, len) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
	}
	return -1;
}

static int
connect_to(struct agent *a, struct agent_volume *v, enum relay_program prog,
    const struct hanfs_addr *peer, char *why, size_t size)
{
	const struct config_backend *be = &v->cfg->backend;
	struct hanfs_addr to = be->address, from = *peer;
	char text[ADDR_TEXT_SIZE];
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, one = 1;

	to.port = prog == RELAY_MOUNT ? be->mount_port : be->nfs_port;
	len = addr_to_sockaddr(&to, &ss);
	fd = socket_in(a, be->netns, ss.ss_family, why, size);
	if (fd == -1)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	/* No client of one family can be shown to a server of the other. */
	if (from.family != to.family) {
		memset(&from, 0, sizeof(from));
		from.family = to.family;
	}
	if (bind_reserved(v, fd, &from) == -1) {
		snprintf(why, size, "no reserved port of %s: %s",
		    addr_format(&from, text, sizeof(text)), strerror(errno));
		close(fd);
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&ss, len) == -1 &&
	    errno != EINPROGRESS) {
		snprintf(why, size, "connect to %s in %s: %s",
		    addr_format(&to, text, sizeof(text)), be->netns,
		    strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/* --- what is known of a backend */

static void
reached(struct agent *a, struct agent_volume *v)
{
	(void)a;
	if (v->backend != 1)
		log_notice("volume %s: backend %s -> reached", v->cfg->name,
		    v->backend == 0 ? "not reached" : "unknown");
	v->backend = 1;
}

static void
not_reached(struct agent *a, struct agent_volume *v, const char *why)
{
	a->n.backend_failures++;
	if (v->backend != 0)
		log_err("volume %s: backend %s -> not reached: %s",
		    v->cfg->name, v->backend == 1 ? "reached" : "unknown", why);
	v->backend = 0;
}

static struct agent_volume *
volume_of(struct agent *a, const struct relay_link *link)
{
	return &a->volumes[relay_link_volume(link)];
}

/* --- links */

static void
end(struct blink *b)
{
	struct agent *a = b->a;
	/* A reset: no TIME_WAIT may keep the reserved port. Nothing is in
	 * progress here that anyone still waits for. */
	struct linger off = {.l_onoff = 1, .l_linger = 0};

	if (b->s.fd == -1)
		return;
	setsockopt(b->s.fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	event_del(&b->connect);
	stream_close(&b->s);
	flow_link_end(b);
	relay_link_set_user(b->link, NULL);
	if (a->reading == b)
		a->reading = NULL;
	LIST_REMOVE(b, next);
	LIST_INSERT_HEAD(&a->dead_blinks, b, next);
}

static void
lost(struct blink *b, const char *why)
{
	struct relay_link *link = b->link;

	if (b->s.fd == -1)
		return;
	end(b);
	relay_link_down(link, why, b->a->now_ms);
}

static void
failed(struct blink *b, int error)
{
	const struct config_backend *be =
	    &volume_of(b->a, b->link)->cfg->backend;
	char why[512], text[ADDR_TEXT_SIZE];

	snprintf(why, sizeof(why), "connect to %s %s port %u in %s: %s",
	    addr_format(&be->address, text, sizeof(text)),
	    relay_program_names[relay_link_program(b->link)],
	    relay_link_program(b->link) == RELAY_MOUNT ? be->mount_port
						       : be->nfs_port,
	    be->netns, strerror(error));
	not_reached(b->a, volume_of(b->a, b->link), why);
	lost(b, why);
}

static void
on_connect(evutil_socket_t fd, short what, void *arg)
{
	struct blink *b = arg;
	struct agent *a = b->a;
	int error = ETIMEDOUT;
	socklen_t len = sizeof(error);

	agent_now(a);
	if (!(what & EV_TIMEOUT) &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0)
		failed(b, error);
	else {
		reached(a, volume_of(a, b->link));
		stream_connected(&b->s);
		relay_link_up(b->link, a->now_ms);
	}
	agent_settle(a);
}

void
backend_open(struct agent *a, struct relay_link *link)
{
	struct agent_volume *v = volume_of(a, link);
	struct blink *b = calloc(1, sizeof(*b));
	char why[512] = "no memory";
	int fd = -1;

	if (b != NULL)
		fd = connect_to(a, v, relay_link_program(link),
		    relay_link_peer(link), why, sizeof(why));
	if (fd == -1) {
		free(b);
		not_reached(a, v, why);
		relay_link_down(link, why, a->now_ms);
		return;
	}
	b->a = a;
	b->link = link;
	relay_link_set_user(link, b);
	LIST_INSERT_HEAD(&a->blinks, b, next);
	LIST_INIT(&b->stopped);
	stream_open(&b->s, &a->from_backends, fd, &link_ops, true);
	event_assign(&b->connect, a->base, fd, EV_WRITE, on_connect, b);
	event_add(&b->connect, &connect_time);
}

void
backend_close(struct relay_link *link)
{
	struct blink *b = relay_link_user(link);

	if (b != NULL)
		end(b);
}

void
backend_send(struct relay_link *link, struct rec *rec)
{
	struct blink *b = relay_link_user(link);

	/* What the core sent before it heard that the link is lost. */
	if (b != NULL) {
		stream_put(&b->s, rec);
		flow_link(b);
		flow_elsewhere(b);
	}
	rec_unref(rec);
}

static void
on_record(struct stream *s, struct rec *rec)
{
	struct blink *b = (struct blink *)s;
	struct agent *a = b->a;

	agent_now(a);
	a->reading = b;
	if (!relay_reply(b->link, rec, a->now_ms))
		lost(b, "it sent what is no reply");
	agent_act(a);
	a->reading = NULL;
}

/* The client's connection, if the reply need not be had whole. */
static struct stream *
on_begun(struct stream *s, struct rec *rec)
{
	struct blink *b = (struct blink *)s;
	struct relay_conn *rc = relay_reply_begun(b->link, rec);
	struct netconn *c = rc != NULL ? relay_conn_user(rc) : NULL;

	return c != NULL ? &c->s : NULL;
}

static void
on_lost(struct stream *s, const char *why)
{
	struct blink *b = (struct blink *)s;

	agent_now(b->a);
	lost(b, why);
}

static void
on_written(struct stream *s)
{
	flow_link((struct blink *)s);
}

static const struct stream_ops link_ops = {
    .record = on_record,
    .begun = on_begun,
    .lost = on_lost,
    .written = on_written,
};
