/*
 * Peers' heartbeats, and the clock while they are waited for. See
 * preflight.h.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/clock.h"
#include "hanfs/hbguard.h"
#include "hanfs/hbudp.h"
#include "server-agent/preflight.h"

enum {
	LISTEN_MIN_MS = 1000,
	LISTEN_BEATS = 10,
	READ_MOST = 64,
	WALL_SANE_S = 1704067200, /* 2024 */
};

struct ears {
	struct preflight *p;
	struct hbudp udp;
	struct hbguard *guard;
	uint64_t heard[CONFIG_SERVERS_MAX]; /* bits of networks */
};

static void
on_packet(const struct hbudp_packet *packet, void *arg)
{
	struct ears *e = arg;
	const struct config_server *s = &e->p->cfg->servers[e->p->self];
	struct hb_arrival at = {.now_ms = clock_now_ms(),
	    .source = packet->source,
	    .unicast = packet->unicast};
	struct hb_event ev;

	for (unsigned k = 0; k < s->naddrs; k++) {
		const struct preflight_if *i =
		    preflight_if_of(e->p, &s->addrs[k].addr);

		if (i == NULL ||
		    (int)if_nametoindex(i->name) != packet->ifindex)
			continue;
		at.slot = s->addrs[k].network;
		if (packet->reason == HB_PASSED &&
		    hbguard_check(e->guard, &at, packet->payload, packet->len,
			&ev) == HB_PASSED)
			e->heard[ev.server] |= 1ull << at.slot;
		return;
	}
}

static struct hbguard *
make_guard(const struct preflight *p)
{
	const struct config *cfg = p->cfg;
	struct hbguard_conf *c = calloc(1, sizeof(*c));
	struct hbguard *g = NULL;

	if (c == NULL)
		return NULL;
	c->cluster = hb_cluster_hash(cfg->cluster);
	c->verify_per_second = (uint32_t)cfg->detector.verify_per_second;
	c->nservers = cfg->nservers;
	for (unsigned i = 0; i < cfg->nservers; i++) {
		c->servers[i].id = cfg->servers[i].id;
		c->servers[i].wanted = i != p->self;
		memcpy(
		    c->servers[i].key, cfg->servers[i].public_key, HB_KEY_LEN);
	}
	g = hbguard_new(c);
	free(c);
	for (unsigned i = 0; g != NULL && i < cfg->nnetworks; i++)
		hbguard_open_slot(g, i, cfg->networks[i].id);
	return g;
}

/* For ten intervals of heartbeats; how long it waited. */
static uint64_t
listen_for(struct ears *e)
{
	uint64_t ms = LISTEN_BEATS * e->p->cfg->agent.heartbeat_interval_ms,
		 left;

	ms = ms < LISTEN_MIN_MS ? LISTEN_MIN_MS : ms;
	for (left = ms; left > 0; left -= left < 20 ? left : 20) {
		(void)poll(NULL, 0, 20);
		for (unsigned i = 0; i < HBUDP_SOCKETS; i++)
			if (e->udp.fds[i] != -1)
				(void)hbudp_read(
				    &e->udp, i, READ_MOST, on_packet, e);
	}
	return ms;
}

static void
judge_peer(struct preflight *p, unsigned server, uint64_t heard)
{
	const struct config_server *s = &p->cfg->servers[server];
	bool any = false;

	for (unsigned n = 0; n < p->cfg->nnetworks; n++) {
		if (config_server_addr_on(s, n) == NULL ||
		    config_server_addr_on(&p->cfg->servers[p->self], n) == NULL)
			continue;
		any = true;
		if (heard & 1ull << n)
			preflight_say(p, PREFLIGHT_OK, "%s is heard on %s",
			    s->name, p->cfg->networks[n].name);
		else if (heard != 0 || p->lives[server])
			preflight_say(p, PREFLIGHT_WRONG,
			    "server %s runs, but its heartbeats are not heard "
			    "on network %s\nlet UDP port %u through, "
			    "broadcasts too: this host's firewall, the "
			    "switch; see that both have the same networks, "
			    "and the right public_key",
			    s->name, p->cfg->networks[n].name,
			    p->cfg->heartbeat_port);
		else
			preflight_say(p, PREFLIGHT_NOT_TRIED,
			    "%s is not heard on %s: its agent does not run, "
			    "as it seems",
			    s->name, p->cfg->networks[n].name);
	}
	if (!any)
		preflight_say(p, PREFLIGHT_WRONG,
		    "server %s and this one have no network in common\n"
		    "correct their addresses",
		    s->name);
}

static bool
shares_volume(const struct config_volume *v, unsigned self, unsigned peer)
{
	bool own = false, his = false;

	for (unsigned k = 0; k < v->ncandidates; k++) {
		own |= v->candidates[k] == self;
		his |= v->candidates[k] == peer;
	}
	return own && his && v->storage.device[0] != '\0';
}

void
preflight_judge_peers(struct preflight *p, const uint64_t *heard)
{
	for (unsigned s = 0; s < p->cfg->nservers; s++) {
		bool wanted = false;

		for (unsigned i = 0; i < p->cfg->nvolumes; i++)
			wanted |=
			    shares_volume(&p->cfg->volumes[i], p->self, s);
		if (wanted && s != p->self)
			judge_peer(p, s, heard[s]);
	}
}

/* Late wake-ups make both longer; a clock that stands or jumps does not. */
void
preflight_judge_clock(
    struct preflight *p, uint64_t boot_ms, uint64_t waited_ms, uint64_t wall_ms)
{
	if (boot_ms < waited_ms - waited_ms / 10 || boot_ms > 10 * waited_ms)
		preflight_say(p, PREFLIGHT_WRONG,
		    "the clock (CLOCK_BOOTTIME) went %" PRIu64 " ms in %" PRIu64
		    " ms: leases cannot be measured with it\nsee to the clock "
		    "source of this (virtual) machine: /sys/devices/system/"
		    "clocksource",
		    boot_ms, waited_ms);
	else if (wall_ms / 1000 < WALL_SANE_S)
		preflight_say(p, PREFLIGHT_WARNING,
		    "the wall clock is years behind: times in logs mislead\n"
		    "set it, by NTP");
	else
		preflight_say(p, PREFLIGHT_OK, "the clock runs");
}

void
preflight_peers(struct preflight *p)
{
	struct ears e = {.p = p, .guard = make_guard(p)};
	char error[HBUDP_ERROR_LEN];
	uint64_t began = clock_now_ms(), waited;

	if (e.guard == NULL)
		return;
	if (hbudp_open(&e.udp, p->cfg->heartbeat_port, error) == -1) {
		preflight_say(p, PREFLIGHT_WRONG,
		    "heartbeats cannot be listened for: %s\nend what uses the "
		    "port, or set another heartbeat_port everywhere",
		    error);
		hbguard_free(e.guard);
		return;
	}
	waited = listen_for(&e);
	hbudp_close(&e.udp);
	hbguard_free(e.guard);
	preflight_judge_peers(p, e.heard);
	p->check = "clock";
	preflight_judge_clock(
	    p, clock_now_ms() - began, waited, clock_wall_ms());
}
