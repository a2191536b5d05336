/*
 * report: what hanfs-detector tells the proxy (and any tool that asks).
 *
 * A local SOCK_SEQPACKET socket, <run>/detector.report; the detector
 * listens, anybody whom the socket's mode lets in may attach, as many as
 * REPORT_READERS_MAX.  One packet is one struct report, cut after the last
 * element in use; numbers are in host order, since both ends are one host.
 * This file owns the layout and the reader's end; what is in a report is
 * decided in the detector.  The reader sends nothing; what it sends is
 * thrown away.
 *
 * Order, after attaching:
 *	HELLO			who speaks, which version
 *	INTERFACE ...		each interface with an address on a configured
 *				network
 *	HEARTBEAT ...		the last one of each (interface, server), with
 *				REPORT_OLD set; other pages of the volume table
 *				come in the next heartbeats
 *	SYNCED			the picture is whole
 * and from then on INTERFACE and HEARTBEAT as they happen, and a TICK each
 * REPORT_TICK_MS: silence of several ticks is a dead or stuck detector, not
 * dead networks.  Every heartbeat that passed all guards is reported, each
 * once; whether one is missing is for the reader to decide.
 *
 * A reader that does not keep up is dropped (end of file): attach again and
 * take the new picture.  Nothing is ever left out of a connection that
 * lives, so `number` has no gaps.
 *
 *	 0       4       6       8             16             24
 *	+-------+-------+-------+--------------+--------------+
 *	| length| vers. | type  | number       | when_ms      |
 *	+-------+-------+-------+--------------+--------------+
 *	| one of hello, interface, heartbeat, tick            |
 *	+-----------------------------------------------------+
 */
#ifndef HANFS_REPORT_H
#define HANFS_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "hanfs/heartbeat.h"

#define REPORT_VERSION     1u
#define REPORT_SOCKET      "detector.report" /* in the run directory */
#define REPORT_TICK_MS     100u
#define REPORT_READERS_MAX 8u
#define REPORT_IFNAME_MAX  16u /* IFNAMSIZ, with the NUL */
#define REPORT_ADDRS_MAX   8u  /* of one interface; further ones are left out */

enum report_type {
	REPORT_HELLO = 1,
	REPORT_INTERFACE,
	REPORT_HEARTBEAT,
	REPORT_SYNCED, /* head only */
	REPORT_TICK,
	REPORT_TYPES
};

/* report_hello.flags */
#define REPORT_UDP 0x1u /* plain sockets, not libpcap */

struct report_hello {
	uint64_t cluster; /* hb_cluster_hash() of the configuration in use */
	uint32_t pid;
	uint32_t flags;
};

/* report_interface.flags */
#define REPORT_IF_UP        0x1u /* administratively up */
#define REPORT_IF_CARRIER   0x2u /* has carrier; meaningful when up */
#define REPORT_IF_GONE      0x4u /* removed, or not on a network any more */
#define REPORT_IF_LISTENING 0x8u /* heartbeats on it are heard */

struct report_ifaddr {
	struct hanfs_addr addr; /* port 0 */
	uint8_t prefix_len;
	uint8_t pad;
};

/* The whole state of one interface, sent at each change of it. */
struct report_interface {
	uint32_t ifindex;
	uint32_t network; /* id */
	uint32_t flags;
	uint32_t naddrs;
	char name[REPORT_IFNAME_MAX]; /* NUL-terminated */
	struct report_ifaddr addrs[REPORT_ADDRS_MAX];
};

/* report_heartbeat.flags */
#define REPORT_OLD      0x1u /* part of the picture at attach */
#define REPORT_UNICAST  0x2u /* came to our own address: SUBSCRIBE works */
#define REPORT_NEW_BOOT 0x4u /* boot id higher than the known one */
#define REPORT_FIRST    0x8u /* none was known: a boot id to be confirmed */

struct report_heartbeat {
	uint32_t ifindex; /* arrived on */
	uint32_t network; /* id */
	uint32_t server;  /* id */
	uint32_t flags;
	struct hanfs_addr source;
	uint8_t pad[4];
	uint64_t boot;
	uint64_t sequence;
	uint32_t interval_ms;
	uint32_t multiplier;
	uint32_t table_gen;
	uint32_t page, pages;
	uint32_t npeers;
	uint32_t nvolumes;
	uint32_t pad2;
	struct hb_peer peers[HB_PEERS_MAX];
	struct hb_volume volumes[HB_VOLUMES_MAX]; /* cut after nvolumes */
};

struct report_tick {
	uint64_t accepted; /* heartbeats since the start */
	uint64_t dropped;  /* packets refused by a guard */
};

struct report {
	uint32_t length; /* of the packet, in bytes */
	uint16_t version;
	uint16_t type;    /* enum report_type */
	uint64_t number;  /* of the packet on this connection, from 0 */
	uint64_t when_ms; /* CLOCK_BOOTTIME; arrival in the kernel, for a
			     heartbeat */
	union {
		struct report_hello hello;
		struct report_interface interface;
		struct report_heartbeat heartbeat;
		struct report_tick tick;
	};
};

/* "hello", "interface", ...; "?" if out of range. */
const char *report_type_name(unsigned type);

/* How long a report of this content is; sets r->length and r->version. */
size_t report_set_length(struct report *r);

/*
 * Are the len bytes at r a whole, well-formed report?
 * 0, or -1 with errno: EPROTONOSUPPORT (another version: one of the two
 * programs was upgraded and not restarted), EPROTO (anything else).
 */
int report_check(const struct report *r, size_t len);

/*
 * Attaches to <run_dir>/detector.report.
 * A non-blocking descriptor, or -1 with connect(2)'s errno: ENOENT and
 * ECONNREFUSED mean that no detector runs.
 */
int report_attach(const char *run_dir);

/*
 * Takes the next report.  1: *r holds it, bytes beyond r->length are zero;
 * 0: none there now; -1 with errno: the connection is over (ECONNRESET: the
 * detector ended or dropped us; else report_check's).  Close it then.
 */
int report_recv(int fd, struct report *r);

#endif
