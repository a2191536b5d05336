/* Frames: what is taken, and each reason for which one is not. */
#include <stdlib.h>
#include <string.h>

#include "detector/frame.h"
#include "unit.h"

#define PORT 9077

/* Ethernet broadcast, IPv4 10.81.1.11 -> 10.81.1.255, UDP, "heart". */
static const uint8_t v4[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,
    1, 0x08, 0x00, /* IP; its checksum comes later */
    0x45, 0, 0, 33, 0, 0, 0x40, 0, 255, 17, 0, 0, 10, 81, 1, 11, 10, 81, 1,
    255, /* UDP */
    0x9c, 0x40, 0x23, 0x75, 0, 13, 0, 0, 'h', 'e', 'a', 'r', 't'};
#define IP4  14u
#define UDP4 34u

/* Ethernet multicast, IPv6 fe80::b -> ff02::1, UDP, "heart". */
static const uint8_t v6[] = {0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86,
    0xdd, /* IP */
    0x60, 0, 0, 0, 0, 13, 17, 255, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0x0b, 0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, /* UDP */
    0x9c, 0x40, 0x23, 0x75, 0, 13, 0, 0, 'h', 'e', 'a', 'r', 't'};
#define IP6  14u
#define UDP6 54u

static void
set_sum(uint8_t *ip)
{
	uint32_t sum = 0;
	unsigned i;

	ip[10] = ip[11] = 0;
	for (i = 0; i < (ip[0] & 15u) * 4; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

/* A copy on the heap, of exact length: a sanitizer sees any overrun. */
static enum hb_reason
parse_link(enum frame_link link, const uint8_t *p, size_t len, struct frame *f)
{
	uint8_t *copy = malloc(len ? len : 1);
	enum hb_reason r;

	assert_non_null(copy);
	memcpy(copy, p, len);
	r = frame_parse(link, copy, len, PORT, f);
	if (r == HB_PASSED) {
		assert_int_equal(f->len, 5);
		assert_memory_equal(f->payload, "heart", 5);
	}
	free(copy);
	return r;
}

static enum hb_reason
parse(const uint8_t *p, size_t len)
{
	struct frame f;

	return parse_link(FRAME_ETHERNET, p, len, &f);
}

static void
test_v4(void **state)
{
	uint8_t p[sizeof(v4) + 20];
	struct frame f;

	(void)state;
	memset(p, 0, sizeof(p));
	memcpy(p, v4, sizeof(v4));
	set_sum(p + IP4);
	assert_int_equal(
	    parse_link(FRAME_ETHERNET, p, sizeof(v4), &f), HB_PASSED);
	assert_int_equal(f.source.family, 4);
	assert_memory_equal(f.source.ip, v4 + IP4 + 12, 4);
	assert_int_equal(f.source.port, 40000);
	assert_false(f.unicast);
	/* padding after the packet is not part of it */
	assert_int_equal(parse(p, sizeof(p)), HB_PASSED);
	p[0] = 2;
	assert_int_equal(
	    parse_link(FRAME_ETHERNET, p, sizeof(v4), &f), HB_PASSED);
	assert_true(f.unicast);
	assert_int_equal(
	    parse_link(FRAME_RAW, p + IP4, sizeof(v4) - IP4, &f), HB_PASSED);
	assert_int_equal(f.source.port, 40000);
}

static void
test_v6(void **state)
{
	struct frame f;

	(void)state;
	assert_int_equal(
	    parse_link(FRAME_ETHERNET, v6, sizeof(v6), &f), HB_PASSED);
	assert_int_equal(f.source.family, 6);
	assert_memory_equal(f.source.ip, v6 + IP6 + 8, 16);
	assert_int_equal(f.source.port, 40000);
	assert_false(f.unicast);
	assert_int_equal(
	    parse_link(FRAME_RAW, v6 + IP6, sizeof(v6) - IP6, &f), HB_PASSED);
}

/* One byte at one place makes it a packet that is refused for this. */
struct change {
	unsigned at;
	uint8_t value;
	enum hb_reason reason;
};

static void
refuse(const uint8_t *good, size_t len, const struct change *c, unsigned n,
    bool sum)
{
	uint8_t p[128];
	enum hb_reason r;
	unsigned i;

	for (i = 0; i < n; i++) {
		memcpy(p, good, len);
		p[c[i].at] = c[i].value;
		if (sum && (p[IP4] & 15) == 5)
			set_sum(p + IP4);
		r = parse(p, len);
		if (r != c[i].reason)
			fail_msg("byte %u = %u: %s, not %s", c[i].at,
			    c[i].value, hb_reason_name(r),
			    hb_reason_name(c[i].reason));
	}
}

static void
test_refused_v4(void **state)
{
	static const struct change c[] = {
	    {12, 0x09, HB_DROP_FRAME},         /* EtherType */
	    {IP4, 0x55, HB_DROP_IP},           /* version */
	    {IP4, 0x44, HB_DROP_IP},           /* header too short */
	    {IP4, 0x4f, HB_DROP_IP},           /* header too long */
	    {IP4 + 3, 34, HB_DROP_IP},         /* longer than the frame */
	    {IP4 + 3, 19, HB_DROP_IP},         /* shorter than its header */
	    {IP4 + 3, 27, HB_DROP_UDP},        /* no room for UDP */
	    {IP4 + 3, 32, HB_DROP_UDP},        /* UDP is longer */
	    {IP4 + 6, 0x20, HB_DROP_FRAGMENT}, /* more fragments */
	    {IP4 + 7, 1, HB_DROP_FRAGMENT},    /* an offset */
	    {IP4 + 8, 254, HB_DROP_TTL},
	    {IP4 + 9, 6, HB_DROP_IP},      /* TCP */
	    {IP4 + 12, 224, HB_DROP_IP},   /* from a group */
	    {UDP4 + 3, 0x76, HB_DROP_UDP}, /* port */
	    {UDP4 + 5, 12, HB_DROP_UDP},   /* length */
	    {UDP4 + 5, 14, HB_DROP_UDP},
	    {UDP4 + 4, 0xff, HB_DROP_UDP},
	};
	uint8_t p[sizeof(v4)];
	size_t n;

	(void)state;
	memcpy(p, v4, sizeof(p));
	set_sum(p + IP4);
	refuse(p, sizeof(p), c, sizeof(c) / sizeof(c[0]), true);
	for (n = 0; n < sizeof(p); n++)
		assert_int_not_equal(parse(p, n), HB_PASSED);
	p[IP4 + 10] ^= 1;
	assert_int_equal(parse(p, sizeof(p)), HB_DROP_IP);
	memset(p + IP4 + 12, 0, 4);
	set_sum(p + IP4);
	assert_int_equal(parse(p, sizeof(p)), HB_DROP_IP);
}

static void
test_refused_v6(void **state)
{
	static const struct change c[] = {
	    {IP6, 0x50, HB_DROP_IP},   /* version */
	    {IP6 + 5, 14, HB_DROP_IP}, /* longer than the frame */
	    {IP6 + 4, 0xff, HB_DROP_IP},
	    {IP6 + 5, 7, HB_DROP_UDP}, /* no room for UDP */
	    {IP6 + 5, 12, HB_DROP_UDP},
	    {IP6 + 6, 44, HB_DROP_FRAGMENT},
	    {IP6 + 6, 0, HB_DROP_IP}, /* hop-by-hop options */
	    {IP6 + 7, 64, HB_DROP_TTL},
	    {IP6 + 8, 0xff, HB_DROP_IP}, /* from a group */
	    {UDP6 + 3, 0, HB_DROP_UDP},
	    {UDP6 + 5, 7, HB_DROP_UDP},
	};
	size_t n;

	(void)state;
	refuse(v6, sizeof(v6), c, sizeof(c) / sizeof(c[0]), false);
	for (n = 0; n < sizeof(v6); n++)
		assert_int_not_equal(parse(v6, n), HB_PASSED);
}

/* Priority tags (VLAN id 0) are ours, other tags are another interface's. */
static void
test_vlan(void **state)
{
	uint8_t p[sizeof(v6) + 4];
	size_t n;

	(void)state;
	memcpy(p, v6, 12);
	memcpy(p + 12, (const uint8_t[]){0x81, 0x00, 0xe0, 0x00}, 4);
	memcpy(p + 16, v6 + 12, sizeof(v6) - 12);
	assert_int_equal(parse(p, sizeof(p)), HB_PASSED);
	for (n = 0; n < sizeof(p); n++)
		assert_int_not_equal(parse(p, n), HB_PASSED);
	p[15] = 10;
	assert_int_equal(parse(p, sizeof(p)), HB_DROP_FRAME);
	p[15] = 0;
	p[16] = 0x81; /* a tag in a tag */
	p[17] = 0x00;
	assert_int_equal(parse(p, sizeof(p)), HB_DROP_FRAME);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_v4),
	    cmocka_unit_test(test_v6),
	    cmocka_unit_test(test_refused_v4),
	    cmocka_unit_test(test_refused_v6),
	    cmocka_unit_test(test_vlan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
