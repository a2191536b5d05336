/*
 * Who serves a volume, as heartbeats and agents say it, and what becomes of
 * calls when that changes. Pure.
 *
 * A call of the old owner is sent to the new one without a FENCE, whatever
 * its class: the new one serves only when the old one can write no more (the
 * storage fence), or has finished all it had begun and closed every
 * connection (a hand-over). What still lies in the old one's sockets is
 * refused there with NOT_OWNER, and its log has what did run.
 */
#include "core_int.h"

/* A heartbeat's word on an owner that does not serve counts so long. */
enum { AWAY_MS = 1000 };
/* No heartbeat about a volume for so long: its owner may be guessed. */
enum { UNTOLD_MS = 1000, GUESS_MS = 300 };

/* What was said to the old owner, or waited for, is void. */
static void
leave_owner(struct px *px, struct kconn *k, uint64_t now_ms)
{
	for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
		struct uconn *u = &k->u[n];

		px_conn_drop(px, u, true, now_ms);
		u->fencing = k->fencing = false;
		u->retry_ms = px->cfg.retry_ms;
		u->retry_at_ms = now_ms;
	}
}

/* The owner serves anew: nothing is to be waited for any more. */
static void
renew(struct px *px, uint32_t volume, uint64_t now_ms)
{
	for (struct kconn *k = px->kconns; k != NULL; k = k->next) {
		if (k->volume != volume)
			continue;
		for (uint32_t n = 0; n < px->cfg.nnetworks; n++) {
			k->u[n].retry_ms = px->cfg.retry_ms;
			k->u[n].retry_at_ms = now_ms;
		}
		px_conns_maintain(px, k, now_ms);
	}
}

static void
change(struct px *px, uint32_t volume, uint32_t server, uint64_t now_ms)
{
	struct px_volume *v = &px->volume[volume];

	for (struct kconn *k = px->kconns; k != NULL; k = k->next)
		if (k->volume == volume)
			leave_owner(px, k, now_ms);
	v->owner = server;
	v->away = false;
	px_route(px, volume, now_ms);
	for (struct kconn *k = px->kconns; k != NULL; k = k->next)
		if (k->volume == volume)
			px_conns_maintain(px, k, now_ms);
}

/* The old owner is fenced as a whole; the same one is asked once more. */
static void
free_retired(struct px *px, uint32_t volume, bool moved, uint64_t now_ms)
{
	for (struct kconn *k = px->kconns, *next; k != NULL; k = next) {
		next = k->next;
		if (k->volume != volume || !k->retired)
			continue;
		if (moved)
			px_retired_release(px, k, now_ms);
		else
			px_fence_retired(px, k, now_ms);
	}
	px_pump_volume(px, volume, now_ms);
}

void
px_owner(struct px *px, uint32_t volume, uint32_t server, uint64_t epoch,
    uint64_t now_ms)
{
	struct px_volume *v = &px->volume[volume];

	bool news = epoch > v->epoch, guessed = v->guessed;
	bool moved = server != v->told_owner;

	if (epoch < v->epoch || (epoch == v->epoch && server != v->owner &&
				    v->epoch != 0 && !v->guessed))
		return;
	v->epoch = epoch;
	v->guessed = false;
	if (moved)
		px_explain(px, PX_EV_OWNER, volume, PX_NONE, now_ms,
		    "volume %s: owner %s -> %s, epoch %llu",
		    px->cfg.volume[volume].name, px->cfg.server[v->told_owner],
		    px->cfg.server[server], (unsigned long long)epoch);
	v->told_owner = server;
	if (server != v->owner)
		change(px, volume, server, now_ms);
	else if (news)
		renew(px, volume, now_ms);
	if (moved || guessed)
		free_retired(px, volume, moved, now_ms);
}

void
px_told(struct px *px, uint32_t volume, uint32_t server, bool serving,
    uint64_t epoch, uint64_t now_ms)
{
	struct px_volume *v = &px->volume[volume];
	bool was_away;

	if (serving)
		px_owner(px, volume, server, epoch, now_ms);
	if (server != v->owner || epoch < v->epoch)
		return;
	was_away = v->away;
	v->told_ms = now_ms;
	v->away = !serving;
	if (was_away && serving)
		renew(px, volume, now_ms);
}

bool
px_owner_away(const struct px *px, uint32_t volume, uint64_t now_ms)
{
	const struct px_volume *v = &px->volume[volume];

	return v->away && now_ms - v->told_ms < AWAY_MS;
}

static uint32_t
next_candidate(const struct px_volume_config *cfg, uint32_t server)
{
	for (uint32_t i = 0; i < cfg->ncandidates; i++)
		if (cfg->candidate[i] == server)
			return cfg->candidate[(i + 1) % cfg->ncandidates];
	return cfg->candidate[0];
}

void
px_not_owner(struct px *px, uint32_t volume, uint32_t server, uint64_t now_ms)
{
	struct px_volume *v = &px->volume[volume];
	uint32_t next = next_candidate(&px->cfg.volume[volume], v->owner);

	if (server != v->owner || next == v->owner ||
	    now_ms - v->told_ms < UNTOLD_MS || now_ms - v->guess_ms < GUESS_MS)
		return;
	px_explain(px, PX_EV_OWNER, volume, PX_NONE, now_ms,
	    "volume %s: %s does not serve it, and no heartbeat says who does: "
	    "asking %s",
	    px->cfg.volume[volume].name, px->cfg.server[server],
	    px->cfg.server[next]);
	v->guess_ms = now_ms;
	v->guessed = true;
	change(px, volume, next, now_ms);
}
