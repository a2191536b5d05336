/*
 * suspect: what its two files share.
 *
 *   suspect.c        events, probes, actions
 *   suspect_judge.c  what the evidence says, and its words
 */
#ifndef HANFS_AGENT_SUSPECT_INT_H
#define HANFS_AGENT_SUSPECT_INT_H

#include "server-agent/suspect.h"

/* Once a verdict stands, probes come so many times more seldom. */
enum { SUSPECT_SLOWER = 5, SUSPECT_LEASE_FRESH_MS = 1500 };

/* A message in the mailbox of one volume. */
struct suspect_mail {
	bool asked;      /* it was; its end is waited for */
	bool unanswered; /* the last one was */
	uint64_t answered_ms;
	uint64_t again_ms; /* the next one is due */
};

_Static_assert(CONFIG_VOLUMES_MAX <= 64, "a bit for each volume");

struct suspect_peer {
	enum suspect_state state;
	bool ever; /* heard since our start */
	bool news; /* SUSPECT_VERDICT is to be given out */
	uint64_t heard_ms[CONFIG_NETWORKS_MAX]; /* 0: never */
	uint64_t probing_ms; /* the present silence is probed since then */
	uint64_t round_ms;   /* the next round of echoes */
	unsigned echoes;     /* addresses (bits) whose echo is to be given */
	uint64_t echoed_ms[CONFIG_ADDRS_MAX];
	uint64_t mails;  /* volumes (bits) whose SUSPECT_MAIL is, too */
	unsigned leases; /* renewals seen in the present silence */
	uint64_t lease_ms;
	struct suspect_mail mail[CONFIG_VOLUMES_MAX];
	char evidence[SUSPECT_EVIDENCE_MAX];
};

struct suspect {
	struct suspect_config c;
	uint64_t start_ms, now_ms;
	bool carrier[CONFIG_NETWORKS_MAX];
	struct {
		bool broken;
		uint32_t latency_ms;
	} disk[CONFIG_VOLUMES_MAX];
	struct suspect_peer peers[CONFIG_SERVERS_MAX];
};

/* When it was heard last, on any network; our start if never. */
uint64_t suspect_heard_last(
    const struct suspect *s, const struct suspect_peer *p);
/* It may be silent for so long. */
uint32_t suspect_limit(const struct suspect *s, const struct suspect_peer *p);
/* Do we share that volume's mailbox with it? */
bool suspect_shares(
    const struct suspect *s, const struct suspect_peer *p, unsigned volume);
/* A message there has so long. */
uint32_t suspect_mail_wait(const struct suspect *s, unsigned volume);
/* What all evidence together says of a peer whose heartbeats stay out. */
enum suspect_state suspect_judge(
    const struct suspect *s, const struct suspect_peer *p, uint64_t now);
/* Writes the peer's evidence. */
void suspect_explain(
    const struct suspect *s, struct suspect_peer *p, uint64_t now);

#endif
