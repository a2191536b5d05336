/*
 * hbguard: which heartbeats count.
 *
 * A ladder of guards, cheap ones first; each drop has its reason and its
 * counter, and nothing that is known about a server changes before the last
 * guard has passed (invariant I7).  Owns what is known: for each server its
 * highest boot id, for each (slot, server) the last sequence and where it
 * came from.  A slot stands for one interface that is listened on.
 *
 * Pure: bytes and their circumstances in, reason or event out.  No pcap, no
 * socket, no clock; time comes as now_ms.  Frames are taken apart by
 * detector/frame.c, which counts with the same reasons.
 *
 * The budget.  One verification costs about 80 us, a forged packet costs its
 * sender nothing, so verifications are rationed to verify_per_second in all
 * and the ration is split such that forging hurts as little as possible:
 *
 *   half	in equal shares, one for each (slot, server), for packets that
 *		are *expected*: the known boot id, a sequence at most
 *		HBG_WINDOW after the last one, and the source address and
 *		port of the last one.  Who does not hear the broadcasts
 *		cannot guess these.
 *   4/10	a common reserve for expected packets beyond their share
 *   1/10	in equal shares, for packets that are not expected: the first
 *		heartbeat after a start, a reboot, a long silence.
 *
 * So a flood aimed at one server on one network cannot take the share of
 * another; a blind flood cannot take that of expected packets.  Someone on
 * the same network who copies the true packets' fields can, beyond
 * share + reserve a second, make that one server's heartbeats on that one
 * network be missed: he could as well jam the network.  He can make a path
 * look dead, never a dead one look alive.
 */
#ifndef HANFS_HBGUARD_H
#define HANFS_HBGUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/heartbeat.h"

#define HBG_SLOTS_MAX   16u
#define HBG_SERVERS_MAX 32u
/* Sequences this far after the last one are still expected ones. */
#define HBG_WINDOW 1024u
/* A slot just opened takes what is at most this far behind its network. */
#define HBG_LAG 16u

/* Why a packet was dropped, in the order in which the guards stand. */
enum hb_reason {
	HB_PASSED,
	HB_DROP_FRAME,     /* not Ethernet (VLAN) with IP, or cut short */
	HB_DROP_IP,        /* IP header wrong, or not UDP in it */
	HB_DROP_FRAGMENT,  /* heartbeats are never fragmented */
	HB_DROP_TTL,       /* not 255: came through a router (RFC 5082) */
	HB_DROP_UDP,       /* UDP header wrong, or another port */
	HB_DROP_LENGTH,    /* not a heartbeat's length */
	HB_DROP_MAGIC,     /* not a heartbeat */
	HB_DROP_VERSION,   /* no version in common */
	HB_DROP_CLUSTER,   /* another cluster's */
	HB_DROP_SERVER,    /* of a server that is not configured */
	HB_DROP_UNWANTED,  /* its server has no volume that matters here */
	HB_DROP_NETWORK,   /* signed for another network than it came on */
	HB_DROP_BOOT,      /* from before the server's last start */
	HB_DROP_DUPLICATE, /* the last one once more (a unicast copy) */
	HB_DROP_SEQUENCE,  /* older than the last one: late, or replayed */
	HB_DROP_BUDGET,    /* would be verified, but the ration is used up */
	HB_DROP_SIGNATURE, /* not signed with the server's key */
	HB_DROP_BODY,      /* signed, but malformed */
	HB_REASONS
};

/* "passed", "frame", "ip", ...; "?" if out of range. */
const char *hb_reason_name(unsigned reason);

struct hbguard_server {
	uint32_t id;
	bool wanted; /* a candidate for a volume that matters here */
	uint8_t key[HB_KEY_LEN];
};

struct hbguard_conf {
	uint64_t cluster;           /* hb_cluster_hash() */
	uint32_t verify_per_second; /* at least 10 */
	unsigned nservers;
	struct hbguard_server servers[HBG_SERVERS_MAX];
};

/* Where and when a packet came. */
struct hb_arrival {
	unsigned slot;
	uint64_t now_ms;
	struct hanfs_addr source; /* with its port */
	bool unicast;
};

/* A heartbeat that passed. */
struct hb_event {
	unsigned slot;
	unsigned server; /* index in hbguard_conf.servers */
	bool first;      /* nothing was known of this server */
	bool new_boot;   /* its boot id is higher than the known one */
	bool unicast;
	bool fresh;    /* no predecessor on this slot: lost says nothing */
	uint64_t lost; /* sequences left out since the last one on this slot */
	struct hanfs_addr source;
	struct heartbeat hb;
};

struct hbguard;

/* NULL with errno ENOMEM.  *conf is copied. */
struct hbguard *hbguard_new(const struct hbguard_conf *conf);
void hbguard_free(struct hbguard *g);

/*
 * Takes a new configuration.  What is known of a server is kept when its id
 * and key are unchanged; a new key is a new server, also for its boot id
 * (the cure for a server whose boot counter was lost: a new key for it).
 */
void hbguard_configure(struct hbguard *g, const struct hbguard_conf *conf);

/*
 * Raises the known boot id of a server, as remembered from an earlier run.
 * Lower than the known one: no effect.
 */
void hbguard_set_boot(struct hbguard *g, unsigned server, uint64_t boot);

/*
 * A slot is listened on from now, on the network with that id.  If it was
 * on this network before, what is known stays: an interface that was taken
 * away and put back cannot be fed a recording of what it had seen.  Use the
 * same slot for the same interface therefore.  Counters go on.
 */
void hbguard_open_slot(struct hbguard *g, unsigned slot, uint32_t network);
void hbguard_close_slot(struct hbguard *g, unsigned slot);

/*
 * One datagram's payload on an open slot.  HB_PASSED: *ev holds the event
 * and it has been taken into account; anything else: dropped, counted,
 * nothing changed but counters and budget.
 */
enum hb_reason hbguard_check(struct hbguard *g, const struct hb_arrival *at,
    const uint8_t *buf, size_t len, struct hb_event *ev);

/* Counts a packet that was dropped before it came here. */
void hbguard_count(struct hbguard *g, unsigned slot, enum hb_reason reason);

uint64_t hbguard_counter(
    const struct hbguard *g, unsigned slot, enum hb_reason reason);

/* What is known; 0 if nothing is. */
uint64_t hbguard_boot(const struct hbguard *g, unsigned server);
uint64_t hbguard_sequence(
    const struct hbguard *g, unsigned slot, unsigned server);

#endif
