/* suspect: the contract is in suspect.h. Events, probes, actions. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/suspect_int.h"

const char *const suspect_state_names[SUSPECT_STATES] = {"unknown", "alive",
    "probing", "cut-off", "kernel", "silent", "dead", "isolated"};

struct suspect *
suspect_new(const struct suspect_config *config, uint64_t now)
{
	struct suspect *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	assert(config->nservers <= CONFIG_SERVERS_MAX);
	s->c = *config;
	s->c.servers[s->c.self].wanted = false;
	s->start_ms = now;
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
		s->carrier[i] = true;
	return s;
}

void
suspect_free(struct suspect *s)
{
	free(s);
}

static bool
matters(const struct suspect *s, unsigned peer)
{
	return peer < s->c.nservers && s->c.servers[peer].wanted;
}

/* --- probing */

static void
set_state(struct suspect *s, struct suspect_peer *p, enum suspect_state state,
    uint64_t now)
{
	if (p->state == state)
		return;
	p->state = state;
	p->news = true;
	if (state != SUSPECT_ALIVE)
		suspect_explain(s, p, now);
}

static void
begin_probing(struct suspect *s, struct suspect_peer *p, uint64_t now)
{
	p->probing_ms = now;
	p->round_ms = now;
	p->leases = 0;
	memset(p->echoed_ms, 0, sizeof(p->echoed_ms));
	for (unsigned v = 0; v < CONFIG_VOLUMES_MAX; v++)
		p->mail[v] = (struct suspect_mail){.again_ms = now};
	set_state(s, p, SUSPECT_PROBING, now);
}

static uint32_t
pace(const struct suspect_peer *p, uint32_t ms)
{
	return p->state == SUSPECT_PROBING ? ms : SUSPECT_SLOWER * ms;
}

static void
probe(struct suspect *s, struct suspect_peer *p, uint64_t now)
{
	if (now >= p->round_ms) {
		p->echoes = (1u << s->c.servers[p - s->peers].naddrs) - 1;
		p->round_ms = now + pace(p, s->c.echo_ms);
	}
	for (unsigned v = 0; v < CONFIG_VOLUMES_MAX; v++)
		if (suspect_shares(s, p, v) && !p->mail[v].asked &&
		    now >= p->mail[v].again_ms)
			p->mails |= UINT64_C(1) << v;
}

static void
look(struct suspect *s, struct suspect_peer *p, uint64_t now)
{
	if (p->state == SUSPECT_UNKNOWN || p->state == SUSPECT_ALIVE) {
		if (now - suspect_heard_last(s, p) < suspect_limit(s, p) / 2)
			return;
		begin_probing(s, p, now);
	}
	probe(s, p, now);
	set_state(s, p, suspect_judge(s, p, now), now);
}

/* --- events */

void
suspect_heard(
    struct suspect *s, unsigned peer, unsigned network, uint64_t now_ms)
{
	struct suspect_peer *p;

	if (!matters(s, peer) || network >= s->c.nnetworks)
		return;
	p = &s->peers[peer];
	if (p->state != SUSPECT_ALIVE) {
		snprintf(p->evidence, sizeof(p->evidence),
		    "heartbeat after %llu ms",
		    (unsigned long long)(now_ms - suspect_heard_last(s, p)));
		p->echoes = 0;
		p->mails = 0;
		set_state(s, p, SUSPECT_ALIVE, now_ms);
	}
	p->ever = true;
	p->heard_ms[network] = now_ms;
}

void
suspect_carrier(
    struct suspect *s, unsigned network, bool there, uint64_t now_ms)
{
	if (network >= s->c.nnetworks)
		return;
	s->carrier[network] = there;
	suspect_tick(s, now_ms);
}

void
suspect_echo(struct suspect *s, unsigned peer, unsigned addr, uint64_t now_ms)
{
	if (!matters(s, peer) || addr >= s->c.servers[peer].naddrs)
		return;
	s->peers[peer].echoed_ms[addr] = now_ms;
	suspect_tick(s, now_ms);
}

static struct suspect_mail *
mail_of(struct suspect *s, unsigned peer, unsigned volume)
{
	if (!matters(s, peer) || volume >= CONFIG_VOLUMES_MAX ||
	    !suspect_shares(s, &s->peers[peer], volume))
		return NULL;
	return &s->peers[peer].mail[volume];
}

void
suspect_mail_end(struct suspect *s, unsigned peer, unsigned volume,
    bool answered, uint64_t now_ms)
{
	struct suspect_mail *m = mail_of(s, peer, volume);

	if (m == NULL || !m->asked)
		return;
	m->asked = false;
	m->unanswered = !answered;
	if (answered)
		m->answered_ms = now_ms;
	m->again_ms = now_ms + pace(&s->peers[peer], s->c.mail_ms);
	suspect_tick(s, now_ms);
}

void
suspect_lease(
    struct suspect *s, unsigned peer, unsigned volume, uint64_t now_ms)
{
	if (mail_of(s, peer, volume) == NULL)
		return;
	s->peers[peer].leases++;
	s->peers[peer].lease_ms = now_ms;
	suspect_tick(s, now_ms);
}

void
suspect_disk(struct suspect *s, unsigned volume, bool works,
    uint32_t latency_ms, uint64_t now_ms)
{
	if (volume >= CONFIG_VOLUMES_MAX)
		return;
	s->disk[volume].broken = !works;
	s->disk[volume].latency_ms = latency_ms;
	for (unsigned i = 0; !works && i < s->c.nservers; i++) {
		struct suspect_mail *m = &s->peers[i].mail[volume];

		/* Not at once: what is asked again may fail as fast. */
		if (m->asked)
			m->again_ms = now_ms + pace(&s->peers[i], s->c.mail_ms);
		m->asked = false;
	}
	suspect_tick(s, now_ms);
}

void
suspect_tick(struct suspect *s, uint64_t now_ms)
{
	s->now_ms = now_ms;
	for (unsigned i = 0; i < s->c.nservers; i++)
		if (s->c.servers[i].wanted)
			look(s, &s->peers[i], now_ms);
}

static void
sooner(uint64_t *at, uint64_t when)
{
	if (when < *at)
		*at = when;
}

uint64_t
suspect_next_ms(const struct suspect *s)
{
	uint64_t at = UINT64_MAX;

	for (unsigned i = 0; i < s->c.nservers; i++) {
		const struct suspect_peer *p = &s->peers[i];
		uint64_t last = suspect_heard_last(s, p);

		if (!s->c.servers[i].wanted)
			continue;
		if (p->state == SUSPECT_UNKNOWN || p->state == SUSPECT_ALIVE) {
			sooner(&at, last + suspect_limit(s, p) / 2);
			continue;
		}
		sooner(&at, p->round_ms);
		if (last + suspect_limit(s, p) > s->now_ms)
			sooner(&at, last + suspect_limit(s, p));
		for (unsigned v = 0; v < CONFIG_VOLUMES_MAX; v++)
			if (suspect_shares(s, p, v) && !p->mail[v].asked)
				sooner(&at, p->mail[v].again_ms);
	}
	return at;
}

/* --- actions */

static bool
give_probe(struct suspect *s, unsigned peer, struct suspect_action *a)
{
	struct suspect_peer *p = &s->peers[peer];

	if (p->echoes != 0) {
		a->type = SUSPECT_ECHO;
		a->addr = (unsigned)__builtin_ctz(p->echoes);
		p->echoes &= p->echoes - 1;
		return true;
	}
	if (p->mails != 0) {
		unsigned v = (unsigned)__builtin_ctzll(p->mails);

		p->mails &= p->mails - 1;
		p->mail[v].asked = true;
		a->type = SUSPECT_MAIL;
		a->volume = v;
		a->timeout_ms = suspect_mail_wait(s, v);
		return true;
	}
	return false;
}

bool
suspect_next(struct suspect *s, struct suspect_action *action)
{
	for (unsigned i = 0; i < s->c.nservers; i++) {
		struct suspect_peer *p = &s->peers[i];

		if (!p->news && p->echoes == 0 && p->mails == 0)
			continue;
		memset(action, 0, sizeof(*action));
		action->peer = i;
		action->state = p->state;
		if (p->news) {
			p->news = false;
			action->type = SUSPECT_VERDICT;
			memcpy(
			    action->evidence, p->evidence, sizeof(p->evidence));
			return true;
		}
		if (give_probe(s, i, action))
			return true;
	}
	return false;
}

/* --- what is known */

enum suspect_state
suspect_peer(const struct suspect *s, unsigned peer)
{
	return peer < s->c.nservers ? s->peers[peer].state : SUSPECT_UNKNOWN;
}

const char *
suspect_evidence(const struct suspect *s, unsigned peer)
{
	return peer < s->c.nservers ? s->peers[peer].evidence : "";
}

uint32_t
suspect_networks(const struct suspect *s, unsigned peer, uint64_t now_ms)
{
	uint32_t bits = 0;

	for (unsigned i = 0; matters(s, peer) && i < s->c.nnetworks; i++) {
		uint64_t heard = s->peers[peer].heard_ms[i];

		if (heard != 0 && now_ms - heard < s->c.suspicion_ms)
			bits |= 1u << i;
	}
	return bits;
}
