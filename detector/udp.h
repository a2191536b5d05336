/*
 * udp: heartbeats through plain UDP sockets, for hosts without libpcap's
 * privilege (--udp).
 *
 * One socket for each family, on all interfaces; the kernel tells on which
 * one a datagram came.  Unlike libpcap's, these heartbeats pass the host's
 * packet filter and reverse-path check first, and nobody else can have the
 * port.
 */
#ifndef DETECTOR_UDP_H
#define DETECTOR_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/addr.h"
#include "hanfs/hbguard.h"

#define UDP_SOCKETS   2 /* IPv4, IPv6 */
#define UDP_ERROR_LEN 512

struct udp {
	int fds[UDP_SOCKETS]; /* -1: this host has not that family */
};

struct udp_packet {
	const uint8_t *payload; /* borrowed for the call */
	size_t len;
	int ifindex;
	enum hb_reason reason; /* HB_PASSED, or why not */
	struct hanfs_addr source;
	bool unicast;
	uint64_t wall_us; /* arrival by the wall clock */
};

typedef void udp_packet_fn(const struct udp_packet *p, void *arg);

/* 0, or -1: `error` (UDP_ERROR_LEN bytes) says why. */
int udp_open(struct udp *u, uint16_t port, char *error);
void udp_close(struct udp *u);

/*
 * Hands over at most `most` datagrams that are there, never blocks.  How
 * many; fewer than `most`: there are no more.
 */
int udp_read(
    struct udp *u, unsigned which, int most, udp_packet_fn *fn, void *arg);

#endif
