/*
 * frame: Ethernet (IEEE 802.3, 802.1Q), IPv4 (RFC 791), IPv6 (RFC 8200),
 * UDP (RFC 768).  The contract is in frame.h.
 *
 * The UDP checksum is not looked at: a frame from this very host may come
 * without one yet (offload), and the signature covers the payload.
 */
#include <string.h>

#include "frame.h"

#define ETHER_LEN     14u
#define ETHER_VLAN    0x8100u
#define ETHER_IPV4    0x0800u
#define ETHER_IPV6    0x86ddu
#define VLAN_TAG_LEN  4u
#define VLAN_ID_MASK  0x0fffu
#define IPV4_LEN_MIN  20u
#define IPV4_FRAGMENT 0x3fffu /* more fragments, or an offset */
#define IPV6_LEN      40u
#define IPV6_FRAGMENT 44u
#define PROTO_UDP     17u
#define UDP_LEN       8u

/* The bytes not yet looked at. */
struct rest {
	const uint8_t *p;
	size_t len;
};

static void
skip(struct rest *r, size_t n)
{
	r->p += n;
	r->len -= n;
}

static unsigned
get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/*
 * A tag with a VLAN id belongs to the VLAN's own interface, where the frame
 * is seen again without it; one with id 0 carries only a priority.
 */
static enum hb_reason
parse_ethernet(struct rest *r, struct frame *f, unsigned *type)
{
	if (r->len < ETHER_LEN)
		return HB_DROP_FRAME;
	f->unicast = (r->p[0] & 1) == 0;
	*type = get16(r->p + 12);
	skip(r, ETHER_LEN);
	if (*type == ETHER_VLAN) {
		if (r->len < VLAN_TAG_LEN || (get16(r->p) & VLAN_ID_MASK) != 0)
			return HB_DROP_FRAME;
		*type = get16(r->p + 2);
		skip(r, VLAN_TAG_LEN);
	}
	if (*type != ETHER_IPV4 && *type != ETHER_IPV6)
		return HB_DROP_FRAME;
	return HB_PASSED;
}

static enum hb_reason
parse_raw(const struct rest *r, struct frame *f, unsigned *type)
{
	if (r->len == 0)
		return HB_DROP_FRAME;
	f->unicast = true;
	*type = r->p[0] >> 4 == 6 ? ETHER_IPV6 : ETHER_IPV4;
	return HB_PASSED;
}

/* RFC 1071 over a header: 0 when its checksum is right. */
static unsigned
header_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += get16(p + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum ^ 0xffff;
}

/* A packet comes from one host: not from a group, not from nowhere. */
static bool
source_ok(const struct hanfs_addr *a)
{
	static const uint8_t zero[16];

	if (memcmp(a->ip, zero, sizeof(zero)) == 0)
		return false;
	return a->family == 4 ? a->ip[0] < 224 : a->ip[0] != 0xff;
}

static enum hb_reason
parse_ipv4(struct rest *r, struct frame *f)
{
	const uint8_t *p = r->p;
	unsigned head, total;

	if (r->len < IPV4_LEN_MIN || p[0] >> 4 != 4)
		return HB_DROP_IP;
	head = (p[0] & 15u) * 4;
	total = get16(p + 2);
	if (head < IPV4_LEN_MIN || head > total || total > r->len)
		return HB_DROP_IP;
	if (header_sum(p, head) != 0 || p[9] != PROTO_UDP)
		return HB_DROP_IP;
	if ((get16(p + 6) & IPV4_FRAGMENT) != 0)
		return HB_DROP_FRAGMENT;
	f->source.family = 4;
	memcpy(f->source.ip, p + 12, 4);
	if (!source_ok(&f->source))
		return HB_DROP_IP;
	if (p[8] != FRAME_TTL)
		return HB_DROP_TTL;
	r->len = total; /* what follows is the frame's padding */
	skip(r, head);
	return HB_PASSED;
}

static enum hb_reason
parse_ipv6(struct rest *r, struct frame *f)
{
	const uint8_t *p = r->p;
	unsigned payload;

	if (r->len < IPV6_LEN || p[0] >> 4 != 6)
		return HB_DROP_IP;
	payload = get16(p + 4);
	if (payload > r->len - IPV6_LEN)
		return HB_DROP_IP;
	if (p[6] == IPV6_FRAGMENT)
		return HB_DROP_FRAGMENT;
	if (p[6] != PROTO_UDP) /* our sender uses no extension headers */
		return HB_DROP_IP;
	f->source.family = 6;
	memcpy(f->source.ip, p + 8, 16);
	if (!source_ok(&f->source))
		return HB_DROP_IP;
	if (p[7] != FRAME_TTL)
		return HB_DROP_TTL;
	skip(r, IPV6_LEN);
	r->len = payload;
	return HB_PASSED;
}

static enum hb_reason
parse_udp(struct rest *r, uint16_t port, struct frame *f)
{
	if (r->len < UDP_LEN || get16(r->p + 2) != port)
		return HB_DROP_UDP;
	if (get16(r->p + 4) != r->len)
		return HB_DROP_UDP;
	f->source.port = (uint16_t)get16(r->p);
	skip(r, UDP_LEN);
	f->payload = r->p;
	f->len = r->len;
	return HB_PASSED;
}

enum hb_reason
frame_parse(enum frame_link link, const uint8_t *buf, size_t len, uint16_t port,
    struct frame *f)
{
	struct rest r = {buf, len};
	enum hb_reason reason;
	unsigned type;

	memset(f, 0, sizeof(*f));
	reason = link == FRAME_ETHERNET ? parse_ethernet(&r, f, &type)
					: parse_raw(&r, f, &type);
	if (reason != HB_PASSED)
		return reason;
	reason = type == ETHER_IPV4 ? parse_ipv4(&r, f) : parse_ipv6(&r, f);
	if (reason != HB_PASSED)
		return reason;
	return parse_udp(&r, port, f);
}
