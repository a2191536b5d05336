/*
 * hbudp: heartbeats through plain UDP sockets: for agents, which hear their
 * peers so, and for detectors without libpcap's privilege (--udp).
 *
 * One socket for each family, on all interfaces; the kernel tells on which
 * one a datagram came.  Unlike libpcap's, these heartbeats pass the host's
 * packet filter and reverse-path check first.  The port is shared with
 * others who say that they share it: broadcasts reach them all, a unicast
 * one of them.
 */
#ifndef HANFS_HBUDP_H
#define HANFS_HBUDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/addr.h"
#include "hanfs/hbguard.h"

#define HBUDP_SOCKETS   2 /* IPv4, IPv6 */
#define HBUDP_ERROR_LEN 512
#define HBUDP_TTL       255 /* RFC 5082: it came through no router */

struct hbudp {
	int fds[HBUDP_SOCKETS]; /* -1: this host has not that family */
};

struct hbudp_packet {
	const uint8_t *payload; /* borrowed for the call */
	size_t len;
	int ifindex;
	enum hb_reason reason; /* HB_PASSED, or why not */
	struct hanfs_addr source;
	bool unicast;
	uint64_t wall_us; /* arrival by the wall clock */
};

typedef void hbudp_packet_fn(const struct hbudp_packet *p, void *arg);

/* 0, or -1: `error` (HBUDP_ERROR_LEN bytes) says why. */
int hbudp_open(struct hbudp *u, uint16_t port, char *error);
void hbudp_close(struct hbudp *u);

/*
 * Hands over at most `most` datagrams that are there, never blocks.  How
 * many; fewer than `most`: there are no more.
 */
int hbudp_read(
    struct hbudp *u, unsigned which, int most, hbudp_packet_fn *fn, void *arg);

#endif
