/* Addresses and prefixes as values; see hanfs/addr.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/addr.h"

static int
from_in6(struct hanfs_addr *addr, const struct in6_addr *in6)
{
	memset(addr, 0, sizeof(*addr));
	if (IN6_IS_ADDR_LINKLOCAL(in6))
		return -1;
	if (IN6_IS_ADDR_V4MAPPED(in6)) {
		addr->family = 4;
		memcpy(addr->ip, in6->s6_addr + 12, 4);
	} else {
		addr->family = 6;
		memcpy(addr->ip, in6->s6_addr, 16);
	}
	return 0;
}

int
addr_parse(struct hanfs_addr *addr, const char *text)
{
	struct in6_addr in6;

	memset(addr, 0, sizeof(*addr));
	if (inet_pton(AF_INET, text, addr->ip) == 1) {
		addr->family = 4;
		return 0;
	}
	if (inet_pton(AF_INET6, text, &in6) == 1)
		return from_in6(addr, &in6);
	return -1;
}

const char *
addr_format(const struct hanfs_addr *addr, char *buf, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "";

	if (addr->family == 0) {
		snprintf(buf, size, "none");
		return buf;
	}
	inet_ntop(
	    addr->family == 4 ? AF_INET : AF_INET6, addr->ip, ip, sizeof(ip));
	if (addr->port == 0)
		snprintf(buf, size, "%s", ip);
	else if (addr->family == 4)
		snprintf(buf, size, "%s:%u", ip, addr->port);
	else
		snprintf(buf, size, "[%s]:%u", ip, addr->port);
	return buf;
}

int
addr_from_sockaddr(
    struct hanfs_addr *addr, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	memset(addr, 0, sizeof(*addr));
	if (len < sizeof(sa->sa_family))
		return -1;
	if (sa->sa_family == AF_INET && len >= sizeof(sin)) {
		memcpy(&sin, sa, sizeof(sin));
		addr->family = 4;
		addr->port = ntohs(sin.sin_port);
		memcpy(addr->ip, &sin.sin_addr, 4);
		return 0;
	}
	if (sa->sa_family == AF_INET6 && len >= sizeof(sin6)) {
		memcpy(&sin6, sa, sizeof(sin6));
		if (from_in6(addr, &sin6.sin6_addr) < 0)
			return -1;
		addr->port = ntohs(sin6.sin6_port);
		return 0;
	}
	return -1;
}

socklen_t
addr_to_sockaddr(const struct hanfs_addr *addr, struct sockaddr_storage *ss)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	switch (addr->family) {
	case 4:
		sin->sin_family = AF_INET;
		sin->sin_port = htons(addr->port);
		memcpy(&sin->sin_addr, addr->ip, 4);
		return sizeof(*sin);
	case 6:
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(addr->port);
		memcpy(&sin6->sin6_addr, addr->ip, 16);
		return sizeof(*sin6);
	default:
		return 0;
	}
}

size_t
addr_ip_len(const struct hanfs_addr *addr)
{
	return addr->family == 4 ? 4 : addr->family == 6 ? 16 : 0;
}

int
addr_cmp(const struct hanfs_addr *a, const struct hanfs_addr *b)
{
	int c;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	c = memcmp(a->ip, b->ip, sizeof(a->ip));
	if (c != 0)
		return c;
	return a->port < b->port ? -1 : a->port > b->port;
}

bool
addr_same_ip(const struct hanfs_addr *a, const struct hanfs_addr *b)
{
	return a->family == b->family &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool
addr_is_loopback(const struct hanfs_addr *addr)
{
	static const uint8_t one[16] = {[15] = 1};

	return (addr->family == 4 && addr->ip[0] == 127) ||
	       (addr->family == 6 && memcmp(addr->ip, one, 16) == 0);
}

/* Are the first `bits` bits of both equal? */
static bool
bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	return memcmp(a, b, whole) == 0 &&
	       (rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static void
clear_host_bits(struct hanfs_addr *addr, unsigned len)
{
	for (unsigned bit = len; bit < 8 * sizeof(addr->ip); bit++)
		addr->ip[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
}

/* The digits after the slash: at most three, nothing else. -1 on error. */
static int
parse_len(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 3 || text[digits] != '\0')
		return -1;
	return atoi(text);
}

int
prefix_parse(struct hanfs_prefix *prefix, const char *text, const char **why)
{
	char ip[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	struct hanfs_addr base;
	int len;

	memset(prefix, 0, sizeof(*prefix));
	*why = "it is no prefix like 10.81.1.0/24";
	if (slash == NULL || (size_t)(slash - text) >= sizeof(ip))
		return -1;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	if (addr_parse(&base, ip) < 0)
		return -1;
	len = parse_len(slash + 1);
	*why = base.family == 4 ? "its length must be 1 to 32"
				: "its length must be 1 to 128";
	if (len < 1 || (size_t)len > 8 * addr_ip_len(&base))
		return -1;
	prefix->base = base;
	prefix->len = (uint8_t)len;
	clear_host_bits(&prefix->base, prefix->len);
	*why = "bits are set beyond its length";
	return addr_same_ip(&prefix->base, &base) ? 0 : -1;
}

const char *
prefix_format(const struct hanfs_prefix *prefix, char *buf, size_t size)
{
	char ip[ADDR_TEXT_SIZE];

	snprintf(buf, size, "%s/%u", addr_format(&prefix->base, ip, sizeof(ip)),
	    prefix->len);
	return buf;
}

bool
prefix_match(const struct hanfs_prefix *prefix, const struct hanfs_addr *addr)
{
	return prefix->base.family == addr->family && addr->family != 0 &&
	       bits_equal(prefix->base.ip, addr->ip, prefix->len);
}

bool
prefix_overlap(const struct hanfs_prefix *a, const struct hanfs_prefix *b)
{
	return a->len <= b->len ? prefix_match(a, &b->base)
				: prefix_match(b, &a->base);
}

int
prefix_broadcast(const struct hanfs_prefix *prefix, struct hanfs_addr *addr)
{
	if (prefix->base.family != 4 || prefix->len > 30)
		return -1;
	*addr = prefix->base;
	for (unsigned bit = prefix->len; bit < 32; bit++)
		addr->ip[bit / 8] |= (uint8_t)(0x80u >> (bit % 8));
	return 0;
}
