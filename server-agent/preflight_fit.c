/*
 * What must be equal on all servers of a volume (fit.h): asks the agents of
 * the others, by blocking sockets, and compares. See preflight.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hanfs/cursor.h"
#include "hanfs/rpc.h"
#include "server-agent/fit.h"
#include "server-agent/preflight.h"

#include "agent_xdr.h"

enum { CONNECT_MS = 500, ANSWER_MS = 1000, RECORD_MAX = 8192 };

static int
connect_to(const struct hanfs_addr *addr)
{
	struct timeval tv = {ANSWER_MS / 1000, ANSWER_MS % 1000 * 1000};
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(addr, &ss);
	struct pollfd pfd = {.events = POLLOUT};
	int error = 0;

	pfd.fd =
	    socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (pfd.fd == -1)
		return -1;
	if (connect(pfd.fd, (struct sockaddr *)&ss, len) == 0 ||
	    (errno == EINPROGRESS && poll(&pfd, 1, CONNECT_MS) == 1)) {
		len = sizeof(error);
		(void)getsockopt(pfd.fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error == 0) {
			(void)setsockopt(pfd.fd, SOL_SOCKET, SO_RCVTIMEO, &tv,
			    sizeof(tv));
			(void)fcntl(pfd.fd, F_SETFL, 0); /* blocking */
			return pfd.fd;
		}
	}
	close(pfd.fd);
	return -1;
}

/* One call, one reply in one fragment: the reply's length, or -1. */
static ssize_t
talk(int fd, const uint8_t *msg, size_t len, uint8_t *reply)
{
	uint8_t mark[4];
	size_t want;

	be32_put(mark, 0x80000000u | (uint32_t)len);
	if (send(fd, mark, 4, MSG_NOSIGNAL | MSG_MORE) != 4 ||
	    send(fd, msg, len, MSG_NOSIGNAL) != (ssize_t)len ||
	    recv(fd, mark, 4, MSG_WAITALL) != 4)
		return -1;
	want = be32_get(mark) & 0x7fffffffu;
	if (want > RECORD_MAX ||
	    recv(fd, reply, want, MSG_WAITALL) != (ssize_t)want)
		return -1;
	return (ssize_t)want;
}

static size_t
write_call(const struct preflight *p, uint8_t *msg, size_t size)
{
	hanfs_fit_args args = {.cluster = (char *)(uintptr_t)p->cfg->cluster,
	    .volume = (char *)(uintptr_t)p->v->name};
	size_t head = rpc_call_write(
	    msg, 1, HANFS_AGENT_PROGRAM, HANFS_AGENT_V1, AGENT_FIT);
	XDR x;

	xdrmem_create(
	    &x, (char *)msg + head, (u_int)(size - head), XDR_ENCODE);
	if (xdr_hanfs_fit_args(&x, &args))
		head += xdr_getpos(&x);
	xdr_destroy(&x);
	return head;
}

/* NULL, or what keeps it from being compared. */
static const char *
take_answer(uint8_t *reply, size_t len, struct fit *out)
{
	hanfs_fit_res res = {.status = HANFS_OK};
	const char *why = NULL;
	struct rpc_reply r;
	XDR x;

	if (rpc_reply_parse(reply, len, &r) == -1 || r.reply_stat != 0)
		return "its answer is none";
	if (r.accept_stat != 0)
		return "its agent is older and cannot say it";
	xdrmem_create(&x, (char *)(uintptr_t)r.results.p,
	    (u_int)r.results.left, XDR_DECODE);
	if (!xdr_hanfs_fit_res(&x, &res))
		why = "its answer is none";
	else if (res.status == HANFS_WRONG_CLUSTER)
		why = "it belongs to another cluster";
	else if (res.status != HANFS_OK)
		why = "it knows no such volume";
	out->n = 0;
	for (unsigned i = 0; why == NULL && i < res.items.items_len; i++)
		fit_put(out, res.items.items_val[i].name,
		    res.items.items_val[i].value);
	xdr_free((xdrproc_t)xdr_hanfs_fit_res, (char *)&res);
	xdr_destroy(&x);
	return why;
}

static const char *
ask(const struct preflight *p, const struct config_server *s, struct fit *out)
{
	const char *why = "its agent does not answer";
	uint8_t msg[512], reply[RECORD_MAX];
	size_t len = write_call(p, msg, sizeof(msg));

	for (unsigned k = 0; k < s->naddrs; k++) {
		int fd = connect_to(&s->addrs[k].addr);
		ssize_t n = fd != -1 ? talk(fd, msg, len, reply) : -1;

		if (fd != -1)
			close(fd);
		if (n > 0)
			return take_answer(reply, (size_t)n, out);
	}
	return why;
}

struct peer {
	struct preflight *p;
	const char *name;
	unsigned differences;
};

static void
differs(void *arg, enum fit_weight weight, const char *name, const char *own,
    const char *his, const char *cure)
{
	struct peer *peer = arg;

	peer->differences++;
	preflight_say(peer->p,
	    weight == FIT_WRONG ? PREFLIGHT_WRONG : PREFLIGHT_WARNING,
	    "%s is %s here, and %s on %s\n%s", name, own, his, peer->name,
	    cure);
}

void
preflight_judge_fit(struct preflight *p, const char *server,
    const struct fit *own, const struct fit *his)
{
	struct peer peer = {.p = p, .name = server};
	unsigned equal = fit_compare(own, his, differs, &peer);

	if (peer.differences == 0)
		preflight_say(p, PREFLIGHT_OK,
		    "%s would serve it as this server does: %u settings are "
		    "the same",
		    server, equal);
}

void
preflight_fit(struct preflight *p)
{
	struct fit own, his;

	fit_describe(p->cfg, (unsigned)(p->v - p->cfg->volumes), &own);
	for (unsigned k = 0; k < p->v->ncandidates; k++) {
		const struct config_server *s =
		    &p->cfg->servers[p->v->candidates[k]];
		const char *why;

		if (p->v->candidates[k] == p->self)
			continue;
		why = ask(p, s, &his);
		if (why == NULL)
			preflight_judge_fit(p, s->name, &own, &his);
		else
			preflight_say(p, PREFLIGHT_NOT_TRIED,
			    "%s cannot be compared with this server: %s",
			    s->name, why);
	}
}
