/*
 * hblink: one socket for one address of this server on one network, from
 * which heartbeats leave.
 *
 * The socket is bound to the address and to its interface: the source is
 * what clients expect, and no route sends it elsewhere.  IPv4 goes to the
 * prefix's directed broadcast address (255.255.255.255 would need a default
 * route), IPv6 to ff02::1, all nodes of the link, which no client has to
 * join.  The hop limit is 255 and receivers insist on it (RFC 5082).
 */
#ifndef AGENT_HBLINK_H
#define AGENT_HBLINK_H

#include <stddef.h>
#include <stdint.h>

#include "hanfs/addr.h"
#include "hanfs/ifwatch.h"

struct hblink {
	int fd; /* -1: closed */
	int ifindex;
	char ifname[IFWATCH_NAME_MAX];
	struct hanfs_addr local;
	struct hanfs_addr all; /* where everybody listens */
};

void hblink_init(struct hblink *l);

/*
 * Opens for `local`, an address of `i`, to clients' port `port`.  Needs
 * CAP_NET_RAW (for SO_BINDTODEVICE).  0, or -1 with errno: EINVAL (a prefix
 * without a broadcast address, RFC 3021), or what socket(2), bind(2) said.
 */
int hblink_open(struct hblink *l, const struct ifwatch_if *i,
    const struct ifwatch_addr *local, uint16_t port);
void hblink_close(struct hblink *l);

/* Never blocks.  0, or -1 with errno. */
int hblink_send(struct hblink *l, const uint8_t *buf, size_t len);
int hblink_send_to(struct hblink *l, const struct hanfs_addr *to,
    const uint8_t *buf, size_t len);

#endif
