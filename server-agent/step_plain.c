/*
 * steps: connections of clients without a proxy, when the service address
 * moves. The old server's are ended, so that none of them is in the way when
 * the address comes back. A client does not notice by itself that its server
 * is another one while it has nothing to send: it waits for a reply that
 * nobody owes it, for as long as its own retransmission takes (60 s). So the
 * new owner sends each of them an ACK that is out of order (CTDB's
 * "tickle"): the client's kernel answers it, ours knows no such connection
 * and resets it, and the client connects anew. Whose they were the old owner
 * has kept in the volume (own_plain.c).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server-agent/steps_int.h"

enum { AT_ONCE = 512, ROUNDS = 16 };

/* --- the old ones */

struct found {
	struct hanfs_addr addr; /* the service address */
	int refused; /* why one was not ended: errno; 0: all were */
	unsigned n;
	struct inet_diag_sockid id[AT_ONCE];
};

static int
on_socket(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
	struct found *f = arg;

	if (mnl_nlmsg_get_payload_len(h) >= sizeof(*m) && f->n < AT_ONCE &&
	    memcmp(m->id.idiag_src, f->addr.ip, addr_ip_len(&f->addr)) == 0)
		f->id[f->n++] = m->id;
	return MNL_CB_OK;
}

/* One request and its answers; 0, or -1 with errno. */
static int
talk(struct mnl_socket *nl, uint16_t type, uint16_t flags,
    const struct inet_diag_req_v2 *what, struct found *f)
{
	static unsigned seq;
	_Alignas(struct nlmsghdr) char buf[8192];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	unsigned port = mnl_socket_get_portid(nl);
	ssize_t n;
	int rc = MNL_CB_OK;

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++seq;
	memcpy(
	    mnl_nlmsg_put_extra_header(h, sizeof(*what)), what, sizeof(*what));
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) == -1)
		return -1;
	while (rc > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n == -1)
			return -1;
		rc = mnl_cb_run(buf, (size_t)n, seq, port, on_socket, f);
	}
	return rc == MNL_CB_ERROR ? -1 : 0;
}

/* All but those that listen. How many are gone, or -1 with errno: they could
 * not be listed. One that the kernel keeps does not keep the others. */
static int
end_all(struct mnl_socket *nl, struct found *f)
{
	struct inet_diag_req_v2 q = {
	    .sdiag_family = f->addr.family == 4 ? AF_INET : AF_INET6,
	    .sdiag_protocol = IPPROTO_TCP,
	    .idiag_states = ~(1u << TCP_LISTEN)};
	int gone = 0;

	f->n = 0;
	if (talk(nl, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &q, f) == -1)
		return -1;
	for (unsigned i = 0; i < f->n; i++) {
		q.id = f->id[i];
		if (talk(nl, SOCK_DESTROY, NLM_F_ACK, &q, f) == 0 ||
		    errno == ENOENT)
			gone++;
		else
			f->refused = errno;
	}
	return gone;
}

/* After the address has gone: a reset that reached the client now would have
 * it connect to nobody, and wait a second before it tries again. */
void
step_plain_end(const struct step_context *c)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_SOCK_DIAG);
	struct found *f = calloc(1, sizeof(*f));
	int n = -1;

	if (f != NULL && nl != NULL &&
	    mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) != -1) {
		f->addr = c->v->storage.service_address;
		n = end_all(nl, f);
		for (unsigned i = 1; i < ROUNDS && n > 0 && f->n == AT_ONCE;
		     i++)
			n = end_all(nl, f);
	}
	if (n == -1 || f->refused != 0)
		fprintf(stderr,
		    "connections to the service address are not all ended: %s; "
		    "clients without hanfs-proxy may stall when it comes back "
		    "soon (CONFIG_INET_DIAG_DESTROY)\n",
		    strerror(n == -1 ? errno : f->refused));
	free(f);
	if (nl != NULL)
		mnl_socket_close(nl);
}

/* --- the clients */

struct tcp_pseudo {
	uint8_t src[4], dst[4];
	uint8_t zero, protocol;
	uint16_t len;
	struct tcphdr tcp;
} __attribute__((packed));

/* RFC 1071 */
static uint16_t
checksum(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

void
step_plain_segment(struct tcphdr *tcp, const struct hanfs_addr *from,
    const struct hanfs_addr *to)
{
	struct tcp_pseudo p = {
	    .protocol = IPPROTO_TCP, .len = htons(sizeof(*tcp))};

	memset(tcp, 0, sizeof(*tcp));
	tcp->source = htons(from->port);
	tcp->dest = htons(to->port);
	tcp->doff = sizeof(*tcp) / 4;
	tcp->ack = 1;
	tcp->window = htons(1024);
	if (from->family != 4)
		return; /* the kernel's to add */
	memcpy(p.src, from->ip, 4);
	memcpy(p.dst, to->ip, 4);
	p.tcp = *tcp;
	tcp->check = checksum(&p, sizeof(p));
}

static int
open_raw(const struct hanfs_addr *from)
{
	struct hanfs_addr any_port = *from;
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, at = offsetof(struct tcphdr, check);

	any_port.port = 0;
	len = addr_to_sockaddr(&any_port, &ss);
	fd = socket(ss.ss_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd == -1)
		return -1;
	if (from->family == 6)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_CHECKSUM, &at, sizeof(at));
	if (bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
tickle(int fd, const struct hanfs_addr *from, const struct hanfs_addr *to)
{
	struct hanfs_addr bare = *to; /* raw sockets know no ports */
	struct sockaddr_storage ss;
	struct tcphdr tcp;
	socklen_t len;

	step_plain_segment(&tcp, from, to);
	bare.port = 0;
	len = addr_to_sockaddr(&bare, &ss);
	if (sendto(fd, &tcp, sizeof(tcp), 0, (struct sockaddr *)&ss, len) == -1)
		fprintf(stderr, "a client without proxy is not told: %s\n",
		    strerror(errno));
}

void
step_plain_tell(const struct step_context *c)
{
	struct hanfs_addr from = c->v->storage.service_address, to;
	char path[CONFIG_TEXT_MAX + 32], line[128], ip[ADDR_TEXT_SIZE];
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%s/" STEP_PLAIN_FILE,
	    c->v->storage.mountpoint);
	f = fopen(path, "re");
	if (f == NULL)
		return; /* there never was one */
	from.port = c->cfg->servers[c->self].port;
	fd = open_raw(&from);
	if (fd == -1)
		fprintf(stderr, "clients without proxy are not told: %s\n",
		    strerror(errno));
	while (fd != -1 && fgets(line, sizeof(line), f) != NULL) {
		unsigned port;

		if (sscanf(line, "%55s %u", ip, &port) != 2 ||
		    addr_parse(&to, ip) == -1 || to.family != from.family ||
		    port == 0 || port > 65535)
			continue;
		to.port = (uint16_t)port;
		tickle(fd, &from, &to);
	}
	if (fd != -1)
		close(fd);
	fclose(f);
}
