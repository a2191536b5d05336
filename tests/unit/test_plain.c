/* The segment that makes a client without proxy connect anew. */
#include <arpa/inet.h>
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_segment),
	    cmocka_unit_test(test_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
