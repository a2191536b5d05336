/* The segment that makes a client without proxy connect anew; and the old
 * connections to the address, which end. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "server-agent/steps_int.h"
#include "unit.h"

static struct hanfs_addr
address(const char *ip, uint16_t port)
{
	struct hanfs_addr a;

	assert_int_equal(addr_parse(&a, ip), 0);
	a.port = port;
	return a;
}

/* RFC 793, 3.1, summed as a receiver does: with the checksum it is 0xffff. */
static unsigned
sum(const struct tcphdr *tcp, const uint8_t *from, const uint8_t *to)
{
	uint8_t all[12 + sizeof(*tcp)] = {0};
	unsigned s = 0;

	memcpy(all, from, 4);
	memcpy(all + 4, to, 4);
	all[9] = 6;
	all[11] = sizeof(*tcp);
	memcpy(all + 12, tcp, sizeof(*tcp));
	for (size_t i = 0; i < sizeof(all); i += 2)
		s += (unsigned)all[i] << 8 | all[i + 1];
	while (s > 0xffff)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void
test_segment(void **state)
{
	struct hanfs_addr from = address("10.81.1.101", 2049);
	struct hanfs_addr to = address("10.81.1.21", 871);
	struct tcphdr tcp;

	(void)state;
	step_plain_segment(&tcp, &from, &to);
	assert_int_equal(ntohs(tcp.source), 2049);
	assert_int_equal(ntohs(tcp.dest), 871);
	assert_int_equal(tcp.doff, 5);
	assert_true(tcp.ack && !tcp.rst && !tcp.syn && !tcp.fin);
	assert_int_equal(tcp.seq, 0); /* out of order, for sure */
	assert_int_equal(sum(&tcp, from.ip, to.ip), 0xffff);
}

static void
test_ipv6(void **state)
{
	struct hanfs_addr from = address("fd00::101", 2049);
	struct hanfs_addr to = address("fd00::21", 871);
	struct tcphdr tcp;

	(void)state;
	step_plain_segment(&tcp, &from, &to);
	assert_int_equal(ntohs(tcp.dest), 871);
	assert_int_equal(tcp.check, 0); /* the kernel's to add */
}

/* --- a kernel that has some connections, and keeps one of them */

enum { CONNECTIONS = 5, KEPT = 2, OUR_PORT = 7 };

static struct {
	struct nlmsghdr head; /* of the last request */
	struct inet_diag_req_v2 asked;
	uint8_t ip[4];
	unsigned ended, tried;
} kernel;

struct mnl_socket *
mnl_socket_open(int bus)
{
	(void)bus;
	return (struct mnl_socket *)&kernel;
}

int
mnl_socket_bind(struct mnl_socket *nl, unsigned groups, pid_t pid)
{
	(void)nl;
	(void)groups;
	(void)pid;
	return 0;
}

unsigned
mnl_socket_get_portid(const struct mnl_socket *nl)
{
	(void)nl;
	return OUR_PORT;
}

ssize_t
mnl_socket_sendto(const struct mnl_socket *nl, const void *req, size_t size)
{
	(void)nl;
	memcpy(&kernel.head, req, sizeof(kernel.head));
	memcpy(&kernel.asked, (const char *)req + sizeof(kernel.head),
	    sizeof(kernel.asked));
	return (ssize_t)size;
}

static struct nlmsghdr *
answer(void *at, uint16_t type)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(at);

	h->nlmsg_type = type;
	h->nlmsg_seq = kernel.head.nlmsg_seq;
	h->nlmsg_pid = OUR_PORT;
	return h;
}

static size_t
answer_list(char *buf)
{
	size_t len = 0;
	struct nlmsghdr *h;

	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct inet_diag_msg *m;

		h = answer(buf + len, SOCK_DIAG_BY_FAMILY);
		h->nlmsg_flags = NLM_F_MULTI;
		m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
		memcpy(m->id.idiag_src, kernel.ip, 4);
		m->id.idiag_dport = htons((uint16_t)i);
		len += h->nlmsg_len;
	}
	h = answer(buf + len, NLMSG_DONE);
	h->nlmsg_flags = NLM_F_MULTI;
	memset(mnl_nlmsg_put_extra_header(h, 4), 0, 4);
	return len + h->nlmsg_len;
}

ssize_t
mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size)
{
	struct nlmsghdr *h;
	struct nlmsgerr *e;

	(void)nl;
	assert_true(size >= 4096);
	if (kernel.head.nlmsg_type == SOCK_DIAG_BY_FAMILY)
		return (ssize_t)answer_list(buf);
	assert_int_equal(kernel.head.nlmsg_type, SOCK_DESTROY);
	h = answer(buf, NLMSG_ERROR);
	e = mnl_nlmsg_put_extra_header(h, sizeof(*e));
	e->error = ntohs(kernel.asked.id.idiag_dport) == KEPT ? -EOPNOTSUPP : 0;
	kernel.tried++;
	kernel.ended += e->error == 0;
	return (ssize_t)h->nlmsg_len;
}

int
mnl_socket_close(struct mnl_socket *nl)
{
	(void)nl;
	return 0;
}

/* One that the kernel does not end: the others end all the same. */
static void
test_one_is_kept(void **state)
{
	static struct config_volume v;
	struct step_context c = {.v = &v};

	(void)state;
	v.storage.service_address = address("10.81.1.101", 0);
	memcpy(kernel.ip, v.storage.service_address.ip, 4);
	step_plain_end(&c);
	assert_int_equal(kernel.tried, CONNECTIONS);
	assert_int_equal(kernel.ended, CONNECTIONS - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_segment),
	    cmocka_unit_test(test_ipv6),
	    cmocka_unit_test(test_one_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
