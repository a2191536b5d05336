/*
 * What the external arbiter's files share: arbiter_ext.c what is wanted of
 * the other cluster manager, arbiter_ext_said.c what it answers.
 */
#ifndef AGENT_ARBITER_EXT_H
#define AGENT_ARBITER_EXT_H

#include "server-agent/arbiter_int.h"

#define NEWS_MAX 16u

enum verb { VERB_NONE, VERB_OWNER, VERB_CLAIM, VERB_RENEW, VERB_RELEASE };

struct ext {
	enum lease_state state;
	bool ready; /* READY was told */
	/* What the manager said last of the newest owner. */
	int newest; /* -1: none */
	uint64_t newest_epoch;
	uint64_t epoch; /* ours, or to be claimed */
	uint64_t valid_until_ms, renew_at_ms, retry_at_ms;
	struct lease_proof proof;
	int grant;
	bool look, claim, take, give_up; /* wanted */
	bool disk_lost;

	enum verb verb; /* runs */
	uint64_t issued_ms;
	void *run;
	char command[CONFIG_TEXT_MAX + 64];
	char env[8][CONFIG_TEXT_MAX + 32];

	struct lease_action news[NEWS_MAX];
	unsigned nnews;
};

static inline struct ext *
ext_of(const struct arbiter *a)
{
	return a->own;
}

static inline bool
ext_is_owner(const struct ext *x)
{
	return x->state == LEASE_OWNER || x->state == LEASE_LAPSED;
}

/* arbiter_ext.c: news for the loop, which takes all of them at once. The
 * caller may fill in more. */
struct lease_action *ext_tell(struct arbiter *a, enum lease_news news,
    enum lease_why why, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* arbiter_ext_said.c: a command has ended. */
void ext_ran(void *arg, const struct fence_ran *ran);
/* Fills in who the newest owner is, by what was said last. */
void ext_about_newest(const struct arbiter *a, struct lease_action *n);

#endif
