/*
 * What this agent says of itself: the volume table of its heartbeats, and
 * who gets them by unicast. How they are sent is hbsend.h's.
 */
#include <errno.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/agent.h"

/* A subscriber comes again long before that. */
enum { TTL_MAX_MS = 60000 };

static void
fill_volume(
    const struct agent *a, const struct agent_volume *v, struct hb_volume *out)
{
	const struct config_server *s = &a->cfg->servers[a->server];

	memset(out, 0, sizeof(*out));
	out->id = v->cfg->id;
	out->epoch = v->epoch;
	out->state = v->told;
	for (unsigned i = 0; i < s->naddrs && i < HB_ADDRS_MAX; i++) {
		struct hb_addr *to;

		if (reach_lost(a, i))
			continue;
		to = &out->addrs[out->naddrs++];
		to->network = a->cfg->networks[s->addrs[i].network].id;
		to->addr = s->addrs[i].addr;
	}
}

void
announce_volumes(struct agent *a)
{
	struct hb_volume table[CONFIG_VOLUMES_MAX];
	unsigned n = 0;

	if (a->hb == NULL)
		return;
	for (unsigned i = 0; i < a->nvolumes; i++)
		if (a->volumes[i].here)
			fill_volume(a, &a->volumes[i], &table[n++]);
	if (hbsend_set_volumes(a->hb, table, n) == -1)
		log_err("heartbeats cannot name %u volumes: %s", n,
		    strerror(errno));
}

enum hanfs_status
announce_to(struct agent *a, const struct hanfs_addr *to, uint32_t ttl_ms)
{
	if (a->hb == NULL)
		return HANFS_BAD_ARGUMENT;
	if (ttl_ms > TTL_MAX_MS)
		ttl_ms = TTL_MAX_MS;
	if (hbsend_subscribe(a->hb, to, a->now_ms, ttl_ms) == 0)
		return HANFS_OK;
	return errno == ENOBUFS ? HANFS_LIMIT : HANFS_BAD_ARGUMENT;
}
