/*
 * ping: ICMP echoes to peers (RFC 792, RFC 4443), one raw socket for each of
 * this server's addresses, bound to it, so that each goes out over its own
 * network. A peer's kernel answers, whatever its agent does.
 *
 * An echo carries a cookie that this process drew, the peer and the index of
 * the address: an answer to anything else counts for nothing.
 */
#ifndef HANFS_AGENT_PING_H
#define HANFS_AGENT_PING_H

#include "hanfs/config.h"

struct event_base;
struct ping;

typedef void ping_answered_fn(void *arg, unsigned peer, unsigned addr);

/* Needs CAP_NET_RAW. NULL with errno. An address need not be there yet. */
struct ping *ping_new(struct event_base *base, const struct config *cfg,
    unsigned self, ping_answered_fn *answered, void *arg);
void ping_free(struct ping *p);

/* One echo request to an address (index) of a peer (index). Never blocks;
 * one that cannot be sent is one that is not answered. */
void ping_send(struct ping *p, unsigned peer, unsigned addr);

#endif
