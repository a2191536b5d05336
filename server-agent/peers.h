/*
 * peers: what this agent hears of the other servers, and what it says of
 * them. Owns the heartbeat socket with its guard, the echoes, and the
 * suspicion core (suspect.h), whose timer it keeps. Verdicts and what peers
 * tell of their volumes go to own.h.
 */
#ifndef HANFS_AGENT_PEERS_H
#define HANFS_AGENT_PEERS_H

#include <jansson.h>

#include "server-agent/suspect.h"

struct agent;
struct peers;

/* For an agent with a managed volume. 0, or -1 after logging why. */
int peers_start(struct agent *a);
void peers_stop(struct agent *a);

/* Whether our own interface on a network (index) has carrier. */
void peers_carrier(struct agent *a, unsigned network, bool there);
/* Each tick: heartbeats say whom we hear. */
void peers_tick(struct agent *a);

/* What the arbiter of a volume (index) says of peers and of its disk. */
void peers_lease(struct agent *a, unsigned volume, unsigned peer);
void peers_mail_end(
    struct agent *a, unsigned volume, unsigned peer, bool answered);
void peers_disk(
    struct agent *a, unsigned volume, bool works, uint32_t latency_ms);

/* For hanfsctl show peers. */
json_t *peers_show(void *agent);

#endif
