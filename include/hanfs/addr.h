/*
 * Addresses and prefixes of either family, with a port, as plain values:
 * no pointer in them, equal ones are equal byte for byte.
 *
 * IPv4-mapped IPv6 addresses become IPv4 ones. Link-local IPv6 addresses
 * (they need an interface beside the address) are not accepted.
 * Nothing here looks up names.
 */
#ifndef HANFS_ADDR_H
#define HANFS_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct hanfs_addr {
	uint8_t ip[16]; /* network order; IPv4: the first 4, the rest 0 */
	uint16_t port;  /* host order; 0 where there is none */
	uint8_t family; /* 4, 6, or 0: no address */
	uint8_t pad;    /* 0 */
};

struct hanfs_prefix {
	struct hanfs_addr base; /* bits beyond len and the port are 0 */
	uint8_t len;            /* in bits */
};

/* "[ffff:...:ffff]:65535" with its NUL; a prefix is shorter. */
#define ADDR_TEXT_SIZE 56

/* An address without port, "10.81.1.11" or "fd00::1". 0, or -1. */
int addr_parse(struct hanfs_addr *addr, const char *text);

/*
 * Into buf[size] (ADDR_TEXT_SIZE is enough), "10.81.1.11:2049" or
 * "[fd00::1]:2049"; without port when that is 0; "none" for family 0.
 * Returns buf.
 */
const char *addr_format(const struct hanfs_addr *addr, char *buf, size_t size);

/* 0, or -1: neither AF_INET nor AF_INET6, too short, or link-local. */
int addr_from_sockaddr(
    struct hanfs_addr *addr, const struct sockaddr *sa, socklen_t len);

/* Returns the length for bind(2) and connect(2); 0 for family 0. */
socklen_t addr_to_sockaddr(
    const struct hanfs_addr *addr, struct sockaddr_storage *ss);

/* Bytes of the address itself: 4, 16, or 0. */
size_t addr_ip_len(const struct hanfs_addr *addr);

/* Order by family, address, port: <0, 0, >0. */
int addr_cmp(const struct hanfs_addr *a, const struct hanfs_addr *b);

/* The same host, whatever the ports. */
bool addr_same_ip(const struct hanfs_addr *a, const struct hanfs_addr *b);

bool addr_is_loopback(const struct hanfs_addr *addr);

/*
 * "10.81.1.0/24". 0; or -1 and *why (static text): what is wrong with it.
 */
int prefix_parse(
    struct hanfs_prefix *prefix, const char *text, const char **why);

const char *prefix_format(
    const struct hanfs_prefix *prefix, char *buf, size_t size);

bool prefix_match(
    const struct hanfs_prefix *prefix, const struct hanfs_addr *addr);

bool prefix_overlap(const struct hanfs_prefix *a, const struct hanfs_prefix *b);

/*
 * The directed broadcast address (RFC 919). 0; or -1: IPv6, or a prefix
 * longer than 30, where there is none.
 */
int prefix_broadcast(
    const struct hanfs_prefix *prefix, struct hanfs_addr *addr);

#endif
