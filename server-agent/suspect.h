/*
 * suspect: is a peer alive? (DESIGN section 6, Suspicion)
 *
 * One object for each agent. Pure: what was heard, answered or seen goes in
 * with the time, verdicts and requests come out; sockets, interfaces and
 * disks are the shell's (peers.c). It decides nothing about volumes: that is
 * owner.h's, which takes these verdicts as events.
 *
 * Evidence of life, strongest first:
 *   heartbeat   a signed one, on any network: the agent runs
 *   mailbox     the peer's thread answered a message on the shared disk
 *   lease       its lease slot was renewed: it runs and reaches the disk
 *   echo        ICMP: only its kernel lives
 *
 *   state      means                               goes on to
 *   ---------+-----------------------------------+---------------------------
 *   unknown  | never heard since our start       | as alive, after start_ms
 *   alive    | heartbeats come                   | probing: half of
 *            |                                   |  suspicion_ms silent
 *   probing  | silent; echoes to every address   | alive; at suspicion_ms
 *            | and a mailbox message are out     |  and when each probe had
 *            |                                   |  its time: one of these:
 *   cut-off  | answers on disk, on no network    | alive, probing
 *   kernel   | only echoes answer                | after silent_ms: silent
 *   silent   | the same for silent_ms: may be fenced
 *   dead     | nothing answers: may be fenced
 *   isolated | nothing answers, and we are not fit to judge: all our
 *            | networks without carrier, or our own disk does not answer
 *
 * Probes begin at half the suspicion time, so that at its end their answers
 * are in: the whole way to "dead" is suspicion_ms where the disk answers in
 * mail_ms. A split network with a working disk ends in cut-off: nothing
 * moves. Whatever the state, one heartbeat makes it alive.
 *
 * A verdict "dead" needs a message that reached the disk and was not
 * answered for mail_ms, or for four times the disk's latency as reported,
 * if that is more; on every volume shared with the peer whose disk works
 * here; and at least one. With no volume on a disk that we share (arbiter
 * external) the mailbox is left out.
 */
#ifndef HANFS_AGENT_SUSPECT_H
#define HANFS_AGENT_SUSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "hanfs/config.h"

#define SUSPECT_EVIDENCE_MAX 320u

enum suspect_state {
	SUSPECT_UNKNOWN,
	SUSPECT_ALIVE,
	SUSPECT_PROBING,
	SUSPECT_CUT_OFF,
	SUSPECT_KERNEL,
	SUSPECT_SILENT,
	SUSPECT_DEAD,
	SUSPECT_ISOLATED,
	SUSPECT_STATES
};
extern const char *const suspect_state_names[SUSPECT_STATES];

struct suspect_config {
	unsigned nservers, self, nnetworks;
	uint32_t suspicion_ms; /* silent on all networks: a verdict */
	uint32_t start_ms;     /* the same for a peer never heard */
	uint32_t silent_ms;    /* kernel -> silent */
	uint32_t echo_ms;      /* an echo has so long; and between rounds */
	uint32_t mail_ms;      /* a mailbox message has so long at least */
	struct {
		bool wanted;     /* shares a managed volume with us */
		unsigned naddrs; /* to be pinged */
		uint64_t disks;  /* volumes (bits) whose mailbox we share */
	} servers[CONFIG_SERVERS_MAX];
};

enum suspect_action_type {
	SUSPECT_ECHO,    /* an echo request to address `addr` of peer */
	SUSPECT_MAIL,    /* a message to peer in volume's mailbox, which has
			  * timeout_ms from the moment that it is on the
			  * disk; then suspect_mail_end() */
	SUSPECT_VERDICT, /* peer is `state` now, because of `evidence` */
};

struct suspect_action {
	enum suspect_action_type type;
	unsigned peer, addr, volume;
	uint32_t timeout_ms;
	enum suspect_state state;
	/* "no heartbeat on A, B for 312 ms; 2 addresses pinged, none
	 * answered; mailbox of home unanswered for 160 ms" */
	char evidence[SUSPECT_EVIDENCE_MAX];
};

struct suspect;

/* NULL: no memory. *config is copied. */
struct suspect *suspect_new(const struct suspect_config *config, uint64_t now);
void suspect_free(struct suspect *s);

/* --- events; unknown or unwanted peers are ignored */

/* A verified heartbeat of peer came over network (indices). */
void suspect_heard(
    struct suspect *s, unsigned peer, unsigned network, uint64_t now_ms);
/* Has our own interface on that network carrier and its address? At the
 * start all are believed to have. */
void suspect_carrier(
    struct suspect *s, unsigned network, bool there, uint64_t now_ms);
/* Address addr of peer answered an echo request. */
void suspect_echo(
    struct suspect *s, unsigned peer, unsigned addr, uint64_t now_ms);
/*
 * How the message asked for ended: answered, or not in its time. An error of
 * our own disk is suspect_disk(false), which ends it, too.
 */
void suspect_mail_end(struct suspect *s, unsigned peer, unsigned volume,
    bool answered, uint64_t now_ms);
/* The peer's lease slot on volume has a new sequence. */
void suspect_lease(
    struct suspect *s, unsigned peer, unsigned volume, uint64_t now_ms);
/* How the volume's shared disk behaves here. latency_ms: a recent worst. */
void suspect_disk(struct suspect *s, unsigned volume, bool works,
    uint32_t latency_ms, uint64_t now_ms);

/* Time has passed. */
void suspect_tick(struct suspect *s, uint64_t now_ms);
/* When suspect_tick() is wanted next; UINT64_MAX: not at all. */
uint64_t suspect_next_ms(const struct suspect *s);

/* The next action; false when there is none. */
bool suspect_next(struct suspect *s, struct suspect_action *action);

/* --- what is known */

enum suspect_state suspect_peer(const struct suspect *s, unsigned peer);
/* The last verdict's evidence; never NULL. */
const char *suspect_evidence(const struct suspect *s, unsigned peer);
/* Networks (bits) on which peer was heard within suspicion_ms: what our own
 * heartbeats say of peers. */
uint32_t suspect_networks(
    const struct suspect *s, unsigned peer, uint64_t now_ms);
/* No network of ours has carrier. */
bool suspect_isolated(const struct suspect *s);

#endif
