/* Addresses and prefixes of both families. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "hanfs/addr.h"
#include "hanfs/clock.h"
#include "unit.h"

static struct hanfs_addr
address(const char *text, uint16_t port)
{
	struct hanfs_addr addr;

	assert_int_equal(addr_parse(&addr, text), 0);
	addr.port = port;
	return addr;
}

static struct hanfs_prefix
network(const char *text)
{
	struct hanfs_prefix prefix;
	const char *why;

	assert_int_equal(prefix_parse(&prefix, text, &why), 0);
	return prefix;
}

static void
test_text(void **state)
{
	static const struct {
		const char *in;
		uint16_t port;
		const char *out;
	} good[] = {
	    {"10.81.1.11", 0, "10.81.1.11"},
	    {"10.81.1.11", 2049, "10.81.1.11:2049"},
	    {"fd00::1", 0, "fd00::1"},
	    {"fd00::1", 2049, "[fd00::1]:2049"},
	    {"::ffff:10.0.0.1", 1, "10.0.0.1:1"},
	};
	static const char *const bad[] = {"", "10.81.1", "10.81.1.256",
	    "010.81.1.1 ", "s1", "fe80::1", "fd00::1%lo", "10.81.1.11:2049"};
	struct hanfs_addr addr;
	char buf[ADDR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		addr = address(good[i].in, good[i].port);
		assert_string_equal(
		    addr_format(&addr, buf, sizeof(buf)), good[i].out);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(addr_parse(&addr, bad[i]), -1);
}

static void
test_sockaddr(void **state)
{
	static const char *const ips[] = {"10.81.1.11", "fd00::9"};
	struct sockaddr_storage ss;
	struct hanfs_addr in, out;
	socklen_t len;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		in = address(ips[i], 2049);
		len = addr_to_sockaddr(&in, &ss);
		assert_int_equal(
		    addr_from_sockaddr(&out, (struct sockaddr *)&ss, len), 0);
		assert_memory_equal(&in, &out, sizeof(in));
		assert_int_equal(
		    addr_from_sockaddr(&out, (struct sockaddr *)&ss, len - 1),
		    -1);
	}
	memset(&in, 0, sizeof(in));
	assert_int_equal(addr_to_sockaddr(&in, &ss), 0);
	ss.ss_family = AF_UNIX;
	assert_int_equal(
	    addr_from_sockaddr(&out, (struct sockaddr *)&ss, sizeof(ss)), -1);
}

static void
test_mapped_becomes_ipv4(void **state)
{
	struct sockaddr_in6 sin6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(700)};
	struct hanfs_addr addr, want = address("10.81.1.21", 700);

	(void)state;
	assert_int_equal(
	    inet_pton(AF_INET6, "::ffff:10.81.1.21", &sin6.sin6_addr), 1);
	assert_int_equal(
	    addr_from_sockaddr(&addr, (struct sockaddr *)&sin6, sizeof(sin6)),
	    0);
	assert_memory_equal(&addr, &want, sizeof(addr));
}

static void
test_order(void **state)
{
	struct hanfs_addr a = address("10.81.1.11", 5);
	struct hanfs_addr b = address("10.81.1.12", 1);
	struct hanfs_addr c = address("10.81.1.12", 2);
	struct hanfs_addr d = address("fd00::1", 0);

	(void)state;
	assert_true(addr_cmp(&a, &b) < 0 && addr_cmp(&b, &a) > 0);
	assert_true(addr_cmp(&b, &c) < 0 && addr_cmp(&c, &b) > 0);
	assert_true(addr_cmp(&c, &d) < 0 && addr_cmp(&d, &c) > 0);
	assert_true(addr_cmp(&a, &a) == 0);
	assert_true(addr_same_ip(&b, &c));
	assert_false(addr_same_ip(&a, &b));
}

static void
test_prefix_text(void **state)
{
	static const char *const bad[] = {"10.81.1.0", "10.81.1.0/",
	    "10.81.1.0/33", "10.81.1.0/0", "10.81.1.1/24", "10.81.1.0/24x",
	    "10.81.1.0/-1", "fd00::/129", "x/24", "10.81.1.0/0024"};
	struct hanfs_prefix prefix;
	const char *why;
	char buf[ADDR_TEXT_SIZE];

	(void)state;
	prefix = network("10.81.0.0/17");
	assert_string_equal(
	    prefix_format(&prefix, buf, sizeof(buf)), "10.81.0.0/17");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = NULL;
		assert_int_equal(prefix_parse(&prefix, bad[i], &why), -1);
		assert_non_null(why);
	}
}

static void
test_prefix_match(void **state)
{
	struct hanfs_prefix p = network("10.81.128.0/17");
	struct hanfs_prefix v6 = network("fd00:1::/33");
	struct hanfs_addr in = address("10.81.255.255", 9);
	struct hanfs_addr out = address("10.81.127.255", 0);
	struct hanfs_addr in6 = address("fd00:1:7fff::1", 0);
	struct hanfs_addr out6 = address("fd00:1:8000::1", 0);
	struct hanfs_addr none = {.family = 0};

	(void)state;
	assert_true(prefix_match(&p, &in));
	assert_false(prefix_match(&p, &out));
	assert_false(prefix_match(&p, &in6));
	assert_false(prefix_match(&p, &none));
	assert_true(prefix_match(&v6, &in6));
	assert_false(prefix_match(&v6, &out6));
}

static void
test_prefix_overlap(void **state)
{
	struct hanfs_prefix wide = network("10.81.0.0/16");
	struct hanfs_prefix narrow = network("10.81.1.0/24");
	struct hanfs_prefix other = network("10.82.1.0/24");
	struct hanfs_prefix host = network("10.82.1.7/32");

	(void)state;
	assert_true(prefix_overlap(&wide, &narrow));
	assert_true(prefix_overlap(&narrow, &wide));
	assert_true(prefix_overlap(&other, &host));
	assert_false(prefix_overlap(&narrow, &other));
	assert_false(prefix_overlap(&wide, &host));
}

static void
test_broadcast(void **state)
{
	struct hanfs_prefix p = network("10.81.1.64/26");
	struct hanfs_prefix small = network("10.81.1.64/31");
	struct hanfs_prefix v6 = network("fd00::/64");
	struct hanfs_addr addr, want = address("10.81.1.127", 0);

	(void)state;
	assert_int_equal(prefix_broadcast(&p, &addr), 0);
	assert_memory_equal(&addr, &want, sizeof(addr));
	assert_int_equal(prefix_broadcast(&small, &addr), -1);
	assert_int_equal(prefix_broadcast(&v6, &addr), -1);
}

static void
test_loopback(void **state)
{
	struct hanfs_addr yes = address("127.77.0.1", 0);
	struct hanfs_addr yes6 = address("::1", 0);
	struct hanfs_addr no = address("128.0.0.1", 0);

	(void)state;
	assert_true(addr_is_loopback(&yes));
	assert_true(addr_is_loopback(&yes6));
	assert_false(addr_is_loopback(&no));
}

static void
test_clock(void **state)
{
	uint64_t begin_us = clock_now_us(), ms = clock_now_ms();
	uint64_t end_us = clock_now_us();

	(void)state;
	assert_true(begin_us > 0 && begin_us <= end_us);
	assert_true(begin_us / 1000 <= ms && ms <= end_us / 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_sockaddr),
	    cmocka_unit_test(test_mapped_becomes_ipv4),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_prefix_text),
	    cmocka_unit_test(test_prefix_match),
	    cmocka_unit_test(test_prefix_overlap),
	    cmocka_unit_test(test_broadcast),
	    cmocka_unit_test(test_loopback),
	    cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
