/* suspect: what the evidence says. See suspect.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server-agent/suspect_int.h"

/* --- what is known of a peer */

uint64_t
suspect_heard_last(const struct suspect *s, const struct suspect_peer *p)
{
	uint64_t last = s->start_ms;

	for (unsigned i = 0; i < s->c.nnetworks; i++)
		if (p->heard_ms[i] > last)
			last = p->heard_ms[i];
	return last;
}

uint32_t
suspect_limit(const struct suspect *s, const struct suspect_peer *p)
{
	return p->ever ? s->c.suspicion_ms : s->c.start_ms;
}

bool
suspect_shares(
    const struct suspect *s, const struct suspect_peer *p, unsigned volume)
{
	return s->c.servers[p - s->peers].disks >> volume & 1;
}

uint32_t
suspect_mail_wait(const struct suspect *s, unsigned volume)
{
	uint32_t by_disk = 4 * s->disk[volume].latency_ms;

	return by_disk > s->c.mail_ms ? by_disk : s->c.mail_ms;
}

/* When its agent last gave a sign on a disk, in the present silence; 0. */
static uint64_t
disk_last(const struct suspect *s, const struct suspect_peer *p)
{
	/* The first renewal seen may be older than the silence. */
	uint64_t last = p->leases > 1 ? p->lease_ms : 0;

	for (unsigned v = 0; v < CONFIG_VOLUMES_MAX; v++)
		if (suspect_shares(s, p, v) && p->mail[v].answered_ms > last)
			last = p->mail[v].answered_ms;
	return last;
}

static bool
disk_alive(const struct suspect *s, const struct suspect_peer *p, uint64_t now)
{
	if (p->leases > 1 && now - p->lease_ms < SUSPECT_LEASE_FRESH_MS)
		return true;
	for (unsigned v = 0; v < CONFIG_VOLUMES_MAX; v++)
		if (suspect_shares(s, p, v) && p->mail[v].answered_ms != 0 &&
		    !p->mail[v].unanswered)
			return true;
	return false;
}

static bool
kernel_alive(
    const struct suspect *s, const struct suspect_peer *p, uint64_t now)
{
	uint64_t fresh = 3ull * SUSPECT_SLOWER * s->c.echo_ms;
	const unsigned n = s->c.servers[p - s->peers].naddrs;

	for (unsigned i = 0; i < n; i++)
		if (p->echoed_ms[i] != 0 && now - p->echoed_ms[i] < fresh)
			return true;
	return false;
}

enum mail_says { MAIL_PENDING, MAIL_UNANSWERED, MAIL_NO_DISK, MAIL_NONE };

static enum mail_says
mail_verdict(const struct suspect *s, const struct suspect_peer *p)
{
	unsigned shared = 0, working = 0;

	for (unsigned v = 0; v < CONFIG_VOLUMES_MAX; v++) {
		if (!suspect_shares(s, p, v))
			continue;
		shared++;
		if (s->disk[v].broken)
			continue;
		working++;
		if (!p->mail[v].unanswered)
			return MAIL_PENDING;
	}
	if (shared == 0)
		return MAIL_NONE;
	return working > 0 ? MAIL_UNANSWERED : MAIL_NO_DISK;
}

bool
suspect_isolated(const struct suspect *s)
{
	for (unsigned i = 0; i < s->c.nnetworks; i++)
		if (s->carrier[i])
			return false;
	return true;
}

/* --- words */

static void put(char *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(char *buf, const char *fmt, ...)
{
	size_t at = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + at, SUSPECT_EVIDENCE_MAX - at, fmt, ap);
	va_end(ap);
}

static void
put_echoes(const struct suspect *s, struct suspect_peer *p, uint64_t now)
{
	const unsigned n = s->c.servers[p - s->peers].naddrs;
	unsigned answered = 0;

	for (unsigned i = 0; i < n; i++)
		answered += p->echoed_ms[i] != 0 &&
			    now - p->echoed_ms[i] <
				3ull * SUSPECT_SLOWER * s->c.echo_ms;
	put(p->evidence, "; %u addresses pinged, %u answered", n, answered);
}

static void
put_mail(const struct suspect *s, struct suspect_peer *p, uint64_t now)
{
	uint64_t last = disk_last(s, p);

	switch (mail_verdict(s, p)) {
	case MAIL_NONE:
		return;
	case MAIL_NO_DISK:
		put(p->evidence, "; our own disk does not answer");
		return;
	case MAIL_UNANSWERED:
		put(p->evidence, "; its mailbox on disk is unanswered");
		break;
	case MAIL_PENDING:
		break;
	}
	if (last != 0)
		put(p->evidence, "; on disk it answered %llu ms ago",
		    (unsigned long long)(now - last));
}

void
suspect_explain(const struct suspect *s, struct suspect_peer *p, uint64_t now)
{
	uint64_t silent = now - suspect_heard_last(s, p);

	p->evidence[0] = '\0';
	put(p->evidence, "no heartbeat on any network for %llu ms%s",
	    (unsigned long long)silent, p->ever ? "" : ", since our start");
	if (p->state != SUSPECT_PROBING) {
		put_echoes(s, p, now);
		put_mail(s, p, now);
	}
	if (suspect_isolated(s))
		put(p->evidence, "; none of our own networks has carrier");
}

/* --- the verdict */

/* Nothing answers. Are we the ones who cannot hear? */
static enum suspect_state
nothing(const struct suspect *s, const struct suspect_peer *p, uint64_t now)
{
	enum mail_says mail = mail_verdict(s, p);

	if (mail == MAIL_PENDING || now - p->probing_ms < s->c.echo_ms)
		return p->state; /* the probes have not had their time */
	if (mail == MAIL_NO_DISK || suspect_isolated(s))
		return SUSPECT_ISOLATED;
	return SUSPECT_DEAD;
}

enum suspect_state
suspect_judge(
    const struct suspect *s, const struct suspect_peer *p, uint64_t now)
{
	uint64_t agent = suspect_heard_last(s, p);

	if (now - agent < suspect_limit(s, p))
		return p->state;
	if (disk_alive(s, p, now))
		return SUSPECT_CUT_OFF;
	if (!kernel_alive(s, p, now))
		return nothing(s, p, now);
	if (mail_verdict(s, p) == MAIL_PENDING)
		return p->state;
	if (disk_last(s, p) > agent)
		agent = disk_last(s, p);
	if (now - agent < s->c.silent_ms || mail_verdict(s, p) == MAIL_NO_DISK)
		return SUSPECT_KERNEL;
	return SUSPECT_SILENT;
}
