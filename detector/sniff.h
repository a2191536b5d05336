/*
 * sniff: one interface, listened on with libpcap.
 *
 * The one file that knows libpcap.  Opening needs CAP_NET_RAW and an
 * interface that is up; it neither looks at nor needs any file, so that it
 * works in an empty root.  The kernel passes on what the filter
 * "udp dst port N" takes; frames that go out are not looked at.
 *
 * VLANs: a frame of eth0.10 is seen on eth0 too.  Linux takes the tag off
 * before the filter runs, so the filter takes such a frame, libpcap puts the
 * tag back, and frame.c refuses it: it counts on eth0.10 alone.
 */
#ifndef DETECTOR_SNIFF_H
#define DETECTOR_SNIFF_H

#include <stddef.h>
#include <stdint.h>

#include "frame.h"

#define SNIFF_ERROR_LEN 512

struct sniff;

/* wall_us: arrival by the wall clock, which is what libpcap tells. */
typedef void sniff_frame_fn(
    const uint8_t *frame, size_t len, uint64_t wall_us, void *arg);

/*
 * NULL: `error` (SNIFF_ERROR_LEN bytes) says why, in words for an operator;
 * errno is EPERM when the privilege is missing, ENODEV or ENETDOWN when the
 * interface is not there or not up, EIO else.
 */
struct sniff *sniff_open(const char *ifname, uint16_t port, char *error);
void sniff_close(struct sniff *s);

/* Readable when there are frames.  Owned by s. */
int sniff_fd(const struct sniff *s);
enum frame_link sniff_link(const struct sniff *s);

/*
 * Hands over at most `most` frames that are there, never blocks.  How many,
 * or -1: the interface is gone or down, close it; sniff_error says more.
 */
int sniff_read(struct sniff *s, int most, sniff_frame_fn *fn, void *arg);
const char *sniff_error(struct sniff *s);

/* Frames that the kernel had no room for, since the opening. */
uint64_t sniff_lost(struct sniff *s);

#endif
