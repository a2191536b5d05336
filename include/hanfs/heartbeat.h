/*
 * heartbeat: the message with which a server says, on each of its networks,
 * that it lives and which volumes it serves.
 *
 * This module owns the bytes: encode, sign, look, verify, decode.  It knows
 * no socket, no clock and no state; whether a heartbeat may change anything
 * is decided by the ladder of guards in hbguard.h, who sends it is
 * server-agent/hbsend.c.
 *
 * One UDP datagram, at most HB_LEN_MAX bytes, XDR (RFC 4506), body from
 * lib/heartbeat.x:
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------------------------------------------------------+
 *   0	| magic 0x484e4662 "HNFb"                                       |
 *   4	| version: layout of this body                                  |
 *   8	| version_min: oldest reader that understands it                |
 *  12	| version_max: newest version that the sender speaks            |
 *	+---------------------------------------------------------------+
 *  16	| cluster: hash of the cluster's name, 64 bits                  |
 *  24	| server: id                    | network: id it was sent on    |
 *  32	| boot: counter, raised at each start of the agent, 64 bits     |
 *  40	| sequence: for each boot and network, from 1, 64 bits          |
 *  48	| interval_ms                   | multiplier                    |
 *	+---------------------------------------------------------------+
 *  56	| table_gen: raised at each change of the volume table          |
 *  60	| page, from 0                  | pages                         |
 *  68	| count | { id, epoch 64, state, count { network, port, ip<> }} |
 *	| count | { peer server, networks it is heard on }              |
 *	+---------------------------------------------------------------+
 *	| (fields of a later version)                                   |
 *	| Ed25519 signature, 64 bytes                                   |
 *	+---------------------------------------------------------------+
 *
 * The signature is over HB_SIGN_PREFIX (with its NUL) and everything before
 * the signature: the prefix keeps a signed heartbeat from being taken for
 * any other message that the same key may sign.
 *
 * Versions: a reader that speaks [HB_VERSION_MIN, HB_VERSION] takes a
 * message whose [version_min, version_max] overlaps it.  Versions only
 * append, so an old reader skips what it does not know.  A change that old
 * readers would misread raises version_min.
 */
#ifndef HANFS_HEARTBEAT_H
#define HANFS_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/addr.h"

#define HB_MAGIC       0x484e4662u
#define HB_VERSION     1u /* newest spoken here */
#define HB_VERSION_MIN 1u /* oldest read here */

#define HB_SIGN_PREFIX "hanfs heartbeat v1"
#define HB_SIG_LEN     64u
#define HB_KEY_LEN     32u /* public key */
#define HB_SECRET_LEN  64u /* libsodium's secret key: seed and public */

#define HB_LEN_MAX  1400u
#define HB_HEAD_LEN 68u /* up to and with `pages` */
#define HB_LEN_MIN  (HB_HEAD_LEN + 2u * 4u + HB_SIG_LEN)

/* Equal to the bounds in heartbeat.x (asserted in heartbeat.c). */
#define HB_VOLUMES_MAX  16u /* of one page */
#define HB_ADDRS_MAX    8u  /* of one volume */
#define HB_PEERS_MAX    32u
#define HB_PAGES_MAX    64u
#define HB_INTERVAL_MIN 5u     /* ms; a shorter one is malformed */
#define HB_INTERVAL_MAX 60000u /* ms */
#define HB_MULT_MAX     100u

/* What a server says of a volume (DESIGN section 4). */
enum hb_state {
	HB_SERVING,     /* owner, answers calls */
	HB_TAKING_OVER, /* will be owner, calls wait */
	HB_DRAINING,    /* owner that hands over, holds new calls */
	HB_STANDBY,     /* not owner */
	HB_STATES
};

/* An address of an agent.  24 bytes without holes: report.h sends it too. */
struct hb_addr {
	uint32_t network; /* id */
	struct hanfs_addr addr;
};

struct hb_volume {
	uint64_t epoch;
	uint32_t id;
	uint8_t state; /* enum hb_state */
	uint8_t naddrs;
	uint8_t pad[2];
	struct hb_addr addrs[HB_ADDRS_MAX];
};

struct hb_peer {
	uint32_t server;   /* id */
	uint32_t networks; /* bit n: hears it on the network with id n+1 */
};

/* A heartbeat, decoded or to be encoded.  No pointers, no allocation. */
struct heartbeat {
	uint32_t version, version_min, version_max;
	uint64_t cluster;
	uint32_t server;
	uint32_t network;
	uint64_t boot;
	uint64_t sequence;
	uint32_t interval_ms;
	uint32_t multiplier;
	uint32_t table_gen;
	uint32_t page, pages;
	uint32_t nvolumes, npeers;
	struct hb_volume volumes[HB_VOLUMES_MAX];
	struct hb_peer peers[HB_PEERS_MAX];
};

/* The fields at fixed places, read without decoding, not yet verified. */
struct hb_head {
	uint32_t magic, version, version_min, version_max;
	uint64_t cluster;
	uint32_t server, network;
	uint64_t boot, sequence;
	uint32_t interval_ms, multiplier;
};

/* The cluster's hash: the first 8 bytes of BLAKE2b over its name. */
uint64_t hb_cluster_hash(const char *name);

/*
 * Encodes and signs *hb with `secret` (HB_SECRET_LEN bytes) into buf, which
 * has room for HB_LEN_MAX bytes.  version fields are set by this function.
 * No allocation: fit for a real-time thread.
 * Returns the length, or -1 with errno: EMSGSIZE (does not fit a datagram),
 * EINVAL (a count, address or state out of bounds).
 */
int hb_encode(const struct heartbeat *hb, const uint8_t *secret, uint8_t *buf);

/* Reads the head of a message of at least HB_LEN_MIN bytes. */
void hb_peek(const uint8_t *buf, struct hb_head *head);

/*
 * Is the signature at the end of buf[len] that of `key` (HB_KEY_LEN bytes)?
 * len is between HB_LEN_MIN and HB_LEN_MAX.  About 80 us.
 */
bool hb_verify(const uint8_t *buf, size_t len, const uint8_t *key);

/*
 * Decodes the body of a message of len bytes (signature included; it is not
 * looked at here).  Nothing is allocated, every count is bounded.
 * Returns 0, or -1: malformed; *hb is then undefined.
 */
int hb_decode(const uint8_t *buf, size_t len, struct heartbeat *hb);

/*
 * How many of the n volumes starting at v fit one heartbeat beside npeers
 * peers; 0 if n is 0, else at least 1 (one volume always fits).
 */
unsigned hb_page_fill(const struct hb_volume *v, unsigned n, unsigned npeers);

/* "serving", "taking-over", ...; "?" if out of range. */
const char *hb_state_name(unsigned state);

#endif
