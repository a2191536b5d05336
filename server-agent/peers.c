/* peers: the contract is in peers.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/hbguard.h"
#include "hanfs/hbudp.h"
#include "hanfs/log.h"
#include "server-agent/agent.h"
#include "server-agent/own.h"
#include "server-agent/peers.h"
#include "server-agent/ping.h"

enum {
	READ_MOST = 64,
	START_MS = 3000, /* a peer never heard: networks come up */
	ECHO_MS = 50,
	MAIL_MS = 120,
};

struct peers {
	struct agent *a;
	struct hbudp udp;
	struct event ev[HBUDP_SOCKETS], timer;
	struct hbguard *guard;
	struct suspect *suspect;
	struct ping *ping;
};

/* --- verdicts and probes */

static void
act(struct peers *p, const struct suspect_action *x)
{
	struct agent *a = p->a;

	switch (x->type) {
	case SUSPECT_ECHO:
		ping_send(p->ping, x->peer, x->addr);
		break;
	case SUSPECT_MAIL:
		if (!own_ping(a, x->volume, x->peer, x->timeout_ms))
			suspect_disk(
			    p->suspect, x->volume, false, 0, a->now_ms);
		break;
	case SUSPECT_VERDICT:
		log_notice("server %s is %s: %s", a->cfg->servers[x->peer].name,
		    suspect_state_names[x->state], x->evidence);
		own_verdict(a, x->peer, x->state, x->evidence);
		break;
	}
}

static void
settle(struct peers *p)
{
	struct suspect_action x;
	uint64_t at;
	struct timeval tv;

	while (suspect_next(p->suspect, &x))
		act(p, &x);
	at = suspect_next_ms(p->suspect);
	if (at == UINT64_MAX) {
		evtimer_del(&p->timer);
		return;
	}
	at = at > p->a->now_ms ? at - p->a->now_ms : 0;
	tv.tv_sec = (time_t)(at / 1000);
	tv.tv_usec = (suseconds_t)(at % 1000 * 1000);
	evtimer_add(&p->timer, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct peers *p = arg;

	(void)fd;
	(void)what;
	suspect_tick(p->suspect, agent_now(p->a));
	settle(p);
	agent_settle(p->a);
}

static void
on_echo(void *arg, unsigned peer, unsigned addr)
{
	struct peers *p = arg;

	suspect_echo(p->suspect, peer, addr, agent_now(p->a));
	settle(p);
	agent_settle(p->a);
}

/* --- heartbeats */

static void
heard(struct peers *p, const struct hb_event *ev, unsigned network)
{
	struct agent *a = p->a;

	suspect_heard(p->suspect, ev->server, network, a->now_ms);
	for (unsigned i = 0; i < ev->hb.nvolumes; i++) {
		const struct hb_volume *v = &ev->hb.volumes[i];
		int volume = config_find_volume_id(a->cfg, v->id);

		if (volume >= 0)
			own_told(a, (unsigned)volume, ev->server, v->state,
			    v->epoch);
	}
}

static void
on_packet(const struct hbudp_packet *packet, void *arg)
{
	struct peers *p = arg;
	int network = reach_network(p->a, packet->ifindex);
	struct hb_arrival at = {.now_ms = p->a->now_ms,
	    .source = packet->source,
	    .unicast = packet->unicast};
	struct hb_event ev;

	if (network < 0)
		return;
	at.slot = (unsigned)network;
	if (packet->reason != HB_PASSED)
		hbguard_count(p->guard, at.slot, packet->reason);
	else if (hbguard_check(p->guard, &at, packet->payload, packet->len,
		     &ev) == HB_PASSED)
		heard(p, &ev, at.slot);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peers *p = arg;
	unsigned which = fd == p->udp.fds[0] ? 0 : 1;

	(void)what;
	agent_now(p->a);
	hbudp_read(&p->udp, which, READ_MOST, on_packet, p);
	settle(p);
	agent_settle(p->a);
}

/* --- set-up */

/* The volumes (bits) that both have storage for; with_mail: whose arbiter is
 * the disk. */
static uint64_t
shared(const struct agent *a, unsigned peer, bool with_mail)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < a->nvolumes; i++) {
		const struct config_volume *v = &a->cfg->volumes[i];
		bool own = false, his = false;

		if (v->storage.device[0] == '\0' ||
		    (with_mail && v->storage.arbiter != CONFIG_ARBITER_DISK))
			continue;
		for (unsigned k = 0; k < v->ncandidates; k++) {
			own |= v->candidates[k] == a->server;
			his |= v->candidates[k] == peer;
		}
		if (own && his)
			bits |= 1ull << i;
	}
	return bits;
}

static int
make_suspect(struct peers *p)
{
	const struct config *cfg = p->a->cfg;
	struct suspect_config c = {.nservers = cfg->nservers,
	    .self = p->a->server,
	    .nnetworks = cfg->nnetworks,
	    .suspicion_ms = (uint32_t)cfg->agent.suspicion_ms,
	    .start_ms = START_MS,
	    .silent_ms = (uint32_t)cfg->agent.silent_s * 1000,
	    .echo_ms = ECHO_MS,
	    .mail_ms = MAIL_MS};

	for (unsigned i = 0; i < cfg->nservers; i++) {
		c.servers[i].wanted =
		    i != p->a->server && shared(p->a, i, false) != 0;
		c.servers[i].naddrs = cfg->servers[i].naddrs;
		c.servers[i].disks = shared(p->a, i, true);
	}
	p->suspect = suspect_new(&c, p->a->now_ms);
	return p->suspect != NULL ? 0 : -1;
}

static int
make_guard(struct peers *p)
{
	const struct config *cfg = p->a->cfg;
	struct hbguard_conf c = {.cluster = hb_cluster_hash(cfg->cluster),
	    .verify_per_second = (uint32_t)cfg->detector.verify_per_second,
	    .nservers = cfg->nservers};

	for (unsigned i = 0; i < cfg->nservers; i++) {
		c.servers[i].id = cfg->servers[i].id;
		c.servers[i].wanted =
		    i != p->a->server && shared(p->a, i, false) != 0;
		memcpy(
		    c.servers[i].key, cfg->servers[i].public_key, HB_KEY_LEN);
	}
	p->guard = hbguard_new(&c);
	if (p->guard == NULL)
		return -1;
	for (unsigned i = 0; i < cfg->nnetworks; i++)
		hbguard_open_slot(p->guard, i, cfg->networks[i].id);
	return 0;
}

static int
listen_udp(struct peers *p)
{
	char error[HBUDP_ERROR_LEN];

	if (hbudp_open(&p->udp, p->a->cfg->heartbeat_port, error) == -1) {
		log_err("peers' heartbeats cannot be heard: %s", error);
		return -1;
	}
	for (unsigned i = 0; i < HBUDP_SOCKETS; i++) {
		if (p->udp.fds[i] == -1)
			continue;
		event_assign(&p->ev[i], p->a->base, p->udp.fds[i],
		    EV_READ | EV_PERSIST, on_readable, p);
		event_add(&p->ev[i], NULL);
	}
	return 0;
}

int
peers_start(struct agent *a)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -1;
	a->peers = p;
	p->a = a;
	p->udp.fds[0] = p->udp.fds[1] = -1;
	evtimer_assign(&p->timer, a->base, on_timer, p);
	if (make_suspect(p) == -1 || make_guard(p) == -1) {
		log_err("no memory for peers");
		return -1;
	}
	p->ping = ping_new(a->base, a->cfg, a->server, on_echo, p);
	if (p->ping == NULL) {
		log_err("ICMP echoes cannot be sent: %s; a takeover needs them "
			"(CAP_NET_RAW)",
		    strerror(errno));
		return -1;
	}
	if (listen_udp(p) == -1)
		return -1;
	settle(p);
	return 0;
}

void
peers_stop(struct agent *a)
{
	struct peers *p = a->peers;

	if (p == NULL)
		return;
	for (unsigned i = 0; i < HBUDP_SOCKETS; i++)
		if (p->udp.fds[i] != -1)
			event_del(&p->ev[i]);
	hbudp_close(&p->udp);
	evtimer_del(&p->timer);
	ping_free(p->ping);
	hbguard_free(p->guard);
	suspect_free(p->suspect);
	free(p);
	a->peers = NULL;
}

/* --- what others report */

void
peers_carrier(struct agent *a, unsigned network, bool there)
{
	if (a->peers == NULL)
		return;
	suspect_carrier(a->peers->suspect, network, there, agent_now(a));
	own_networks(a, suspect_isolated(a->peers->suspect));
	settle(a->peers);
}

void
peers_lease(struct agent *a, unsigned volume, unsigned peer)
{
	if (a->peers == NULL)
		return;
	suspect_lease(a->peers->suspect, peer, volume, a->now_ms);
	settle(a->peers);
}

void
peers_mail_end(struct agent *a, unsigned volume, unsigned peer, bool answered)
{
	if (a->peers == NULL)
		return;
	suspect_mail_end(a->peers->suspect, peer, volume, answered, a->now_ms);
	settle(a->peers);
}

void
peers_disk(struct agent *a, unsigned volume, bool works, uint32_t latency_ms)
{
	if (a->peers == NULL)
		return;
	suspect_disk(a->peers->suspect, volume, works, latency_ms, a->now_ms);
	settle(a->peers);
}

void
peers_tick(struct agent *a)
{
	struct hb_peer list[HB_PEERS_MAX];
	unsigned n = 0;

	if (a->peers == NULL || a->hb == NULL)
		return;
	for (unsigned i = 0; i < a->cfg->nservers && n < HB_PEERS_MAX; i++) {
		uint32_t heard =
		    suspect_networks(a->peers->suspect, i, a->now_ms);

		if (heard == 0)
			continue;
		list[n].server = a->cfg->servers[i].id;
		list[n].networks = 0;
		for (unsigned k = 0; k < a->cfg->nnetworks; k++)
			if ((heard >> k & 1) && a->cfg->networks[k].id <= 32)
				list[n].networks |=
				    1u << (a->cfg->networks[k].id - 1);
		n++;
	}
	(void)hbsend_set_peers(a->hb, list, n);
}

json_t *
peers_show(void *agent)
{
	struct agent *a = agent;
	json_t *list = json_array();

	for (unsigned i = 0; a->peers != NULL && i < a->cfg->nservers; i++) {
		const struct suspect *s = a->peers->suspect;
		json_t *networks = json_array();
		uint32_t heard = suspect_networks(s, i, agent_now(a));

		if (i == a->server || shared(a, i, false) == 0) {
			json_decref(networks);
			continue;
		}
		for (unsigned k = 0; k < a->cfg->nnetworks; k++)
			if (heard >> k & 1)
				json_array_append_new(networks,
				    json_string(a->cfg->networks[k].name));
		json_array_append_new(list,
		    json_pack("{ss ss so ss}", "server",
			a->cfg->servers[i].name, "state",
			suspect_state_names[suspect_peer(s, i)], "heard_on",
			networks, "evidence", suspect_evidence(s, i)));
	}
	return list;
}
