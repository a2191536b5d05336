/*
 * frame: from a captured frame to a heartbeat's bytes.
 *
 * The first guards of the ladder (hanfs/hbguard.h has the reasons): link
 * layer, IP, UDP.  Pure; looks at len bytes and no further, keeps nothing.
 */
#ifndef DETECTOR_FRAME_H
#define DETECTOR_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/hbguard.h"

/* What a frame begins with. */
enum frame_link {
	FRAME_ETHERNET,
	FRAME_RAW, /* with the IP header: tunnels */
};

struct frame {
	const uint8_t *payload; /* borrowed from the frame */
	size_t len;
	struct hanfs_addr source;
	bool unicast;
};

/* The one hop limit that heartbeats are sent and taken with. */
#define FRAME_TTL 255

/*
 * Takes buf[len] apart; `port` is the heartbeats' UDP port, host order.
 * HB_PASSED: *f says what is in it.  Else the reason, *f undefined.
 */
enum hb_reason frame_parse(enum frame_link link, const uint8_t *buf, size_t len,
    uint16_t port, struct frame *f);

#endif
