/*
 * What the proxy learns of the world: its own interfaces by netlink, the
 * detector's reports, the clock's tick. All of it goes to the core at once.
 *
 * A dead detector is no dead network: its heartbeats are then missing, and
 * the core asks with probes instead.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/heartbeat.h"
#include "hanfs/ifwatch.h"
#include "hanfs/log.h"
#include "hanfs/report.h"

#include "proxy.h"

enum { INTERFACES = 64 };
enum { ATTACH_MS = 200, ACKS_MS = 200, LOSS_MS = 250 };
/* So many are named at once, without waiting: each holds a slot of the log. */
enum { ACKS_MANY = 32 };
enum { DETECTOR_DEAD_MS = 5 * REPORT_TICK_MS };
enum { REPORT_BUDGET = 256 };

struct evidence {
	struct proxy *p;
	struct ifwatch *watch;
	int ticker; /* clock_ticker() */
	struct event ev_watch, ev_tick, ev_report;
	struct ifwatch_if seen[INTERFACES];
	unsigned nseen;
	int report; /* -1: not attached */
	uint64_t attach_ms, report_ms, acks_ms, loss_ms;
	bool detector_alive;
	struct report r;
};

bool
evidence_detector_alive(const struct proxy *p, uint64_t now_ms)
{
	return p->evidence->report != -1 &&
	    now_ms - p->evidence->report_ms < DETECTOR_DEAD_MS;
}

/* Keeps a copy of an interface's state; forgets it when it is gone. */
static void
remember(struct evidence *ev, const struct ifwatch_if *i)
{
	unsigned at = 0;

	while (at < ev->nseen && ev->seen[at].ifindex != i->ifindex)
		at++;
	if (i->gone) {
		if (at < ev->nseen)
			ev->seen[at] = ev->seen[--ev->nseen];
		return;
	}
	if (at == INTERFACES) {
		log_warn("interface %s is left out: more than %d carry "
		    "addresses", i->name, INTERFACES);
		return;
	}
	ev->seen[at] = *i;
	if (at == ev->nseen)
		ev->nseen++;
}

/* Finds the interface that is in a network. False: none. */
static bool
find_local(struct evidence *ev, uint32_t network, struct local_net *out)
{
	for (unsigned i = 0; i < ev->nseen; i++)
		for (unsigned a = 0; a < ev->seen[i].naddrs; a++) {
			const struct ifwatch_if *s = &ev->seen[i];

			if (config_network_of(ev->p->cfg,
				&s->addrs[a].addr) != (int)network)
				continue;
			memset(out, 0, sizeof(*out));
			out->up = s->up && s->carrier;
			out->ifindex = s->ifindex;
			memcpy(out->ifname, s->name, sizeof(out->ifname));
			out->addr = s->addrs[a].addr;
			return true;
		}
	return false;
}

static void
look_at_network(struct evidence *ev, uint32_t network, uint64_t now_ms)
{
	struct proxy *p = ev->p;
	struct local_net now, *was = &p->net[network];

	if (!find_local(ev, network, &now)) {
		if (was->ifindex != 0)
			log_notice("network %s: no interface of ours is in it",
			    p->pxcfg.network[network]);
		memset(was, 0, sizeof(*was));
		px_interface(p->px, network, false, PATH_NO_ADDRESS, now_ms);
		return;
	}
	if (memcmp(&now, was, sizeof(now)) == 0)
		return;
	if (was->up != now.up || was->ifindex != now.ifindex)
		log_notice("network %s: interface %s %s",
		    p->pxcfg.network[network], now.ifname,
		    now.up ? "is up" : "has no carrier, or is down");
	if (now.up && was->up)
		px_interface(p->px, network, true, PATH_ADDRESS, now_ms);
	*was = now;
	px_interface(p->px, network, now.up, PATH_CARRIER, now_ms);
}

static void
changed(const struct ifwatch_if *i, void *arg)
{
	struct evidence *ev = arg;

	if (i->loopback)
		return;
	remember(ev, i);
	for (uint32_t n = 0; n < ev->p->pxcfg.nnetworks; n++)
		look_at_network(ev, n, proxy_now(ev->p));
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct evidence *ev = arg;

	(void)fd;
	(void)what;
	if (ifwatch_read(ev->watch) == -1) {
		log_err("interfaces cannot be watched any more: %s; carrier "
		    "and addresses are not noticed until a restart",
		    strerror(errno));
		event_del(&ev->ev_watch);
	}
	proxy_settle(ev->p);
}

/* The networks on which a volume's server says it can be reached. */
static uint32_t
networks_of(const struct proxy *p, const struct hb_volume *v)
{
	uint32_t set = 0;

	for (unsigned i = 0; i < v->naddrs; i++) {
		int n = config_find_network_id(p->cfg, v->addrs[i].network);

		if (n != -1)
			set |= 1u << n;
	}
	return set;
}

static void
take_heartbeat(struct evidence *ev, const struct report *r)
{
	struct proxy *p = ev->p;
	const struct report_heartbeat *h = &r->heartbeat;
	int network = config_find_network_id(p->cfg, h->network);
	int server = config_find_server_id(p->cfg, h->server);
	uint64_t now = proxy_now(p);

	if (network == -1 || server == -1 || (h->flags & REPORT_OLD) != 0)
		return;
	px_heartbeat(p->px, (uint32_t)server, (uint32_t)network, h->boot,
	    h->sequence, h->interval_ms, h->multiplier, now);
	if (!px_boot_known(p->px, (uint32_t)server, h->boot))
		return;
	if (h->nvolumes > 0)
		px_announced(p->px, (uint32_t)server, h->table_gen,
		    networks_of(p, &h->volumes[0]), now);
	for (uint32_t i = 0; i < h->nvolumes; i++) {
		int v = config_find_volume_id(p->cfg, h->volumes[i].id);

		if (v != -1)
			px_told(p->px, (uint32_t)v, (uint32_t)server,
			    h->volumes[i].state == HB_SERVING,
			    h->volumes[i].epoch, now);
	}
}

static void
detach(struct evidence *ev, const char *why)
{
	event_del(&ev->ev_report);
	close(ev->report);
	ev->report = -1;
	log_warn("detector lost: %s; paths are watched by probes meanwhile",
	    why);
}

static void
on_report(evutil_socket_t fd, short what, void *arg)
{
	struct evidence *ev = arg;

	(void)what;
	for (int i = 0; i < REPORT_BUDGET; i++) {
		int rc = report_recv(fd, &ev->r);

		if (rc == -1) {
			detach(ev, errno == EPROTONOSUPPORT
				? "it speaks another version of reports; "
				  "restart both programs"
				: strerror(errno));
			break;
		}
		if (rc == 0)
			break;
		ev->report_ms = proxy_now(ev->p);
		if (ev->r.type == REPORT_HEARTBEAT)
			take_heartbeat(ev, &ev->r);
	}
	proxy_settle(ev->p);
}

static void
attach(struct evidence *ev, uint64_t now_ms)
{
	if (ev->report != -1 || now_ms - ev->attach_ms < ATTACH_MS)
		return;
	ev->attach_ms = now_ms;
	ev->report = report_attach(ev->p->run_dir);
	if (ev->report == -1)
		return;
	ev->report_ms = now_ms;
	log_info("attached to the detector");
	event_assign(&ev->ev_report, ev->p->base, ev->report,
	    EV_READ | EV_PERSIST, on_report, ev);
	event_add(&ev->ev_report, NULL);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct evidence *ev = arg;
	struct proxy *p = ev->p;
	uint64_t now = proxy_now(p);

	(void)what;
	clock_ticker_read(fd);
	attach(ev, now);
	upstream_look_probes(p);
	px_tick(p->px, now);
	kernel_acks(p, now - ev->acks_ms >= ACKS_MS ? 1 : ACKS_MANY);
	if (now - ev->acks_ms >= ACKS_MS)
		ev->acks_ms = now;
	if (now - ev->loss_ms >= LOSS_MS) {
		ev->loss_ms = now;
		upstream_look_loss(p);
	}
	proxy_settle(p);
}

int
evidence_start(struct proxy *p)
{
	struct evidence *ev = calloc(1, sizeof(*ev));

	if (ev == NULL)
		return -1;
	p->evidence = ev;
	ev->p = p;
	ev->report = -1;
	ev->ticker = clock_ticker(PX_TICK_MS);
	if (ev->ticker == -1) {
		log_err("no timer: %s", strerror(errno));
		return -1;
	}
	ev->watch = ifwatch_new(changed, ev);
	if (ev->watch == NULL || ifwatch_start(ev->watch) == -1) {
		log_err("cannot watch interfaces by netlink: %s",
		    strerror(errno));
		return -1;
	}
	for (uint32_t n = 0; n < p->pxcfg.nnetworks; n++)
		if (p->net[n].ifindex == 0)
			log_warn("network %s: no interface of ours is in it",
			    p->pxcfg.network[n]);
	event_assign(&ev->ev_watch, p->base, ifwatch_fd(ev->watch),
	    EV_READ | EV_PERSIST, on_watch, ev);
	event_assign(&ev->ev_tick, p->base, ev->ticker,
	    EV_READ | EV_PERSIST, on_tick, ev);
	if (event_add(&ev->ev_watch, NULL) == -1 ||
	    event_add(&ev->ev_tick, NULL) == -1)
		return -1;
	attach(ev, proxy_now(p));
	if (ev->report == -1)
		log_warn("no detector at %s/%s: paths are watched by probes "
		    "until it runs", p->run_dir, REPORT_SOCKET);
	return 0;
}

void
evidence_end(struct proxy *p)
{
	struct evidence *ev = p->evidence;

	if (ev == NULL)
		return;
	if (ev->report != -1) {
		event_del(&ev->ev_report);
		close(ev->report);
	}
	if (ev->watch != NULL) {
		event_del(&ev->ev_watch);
		event_del(&ev->ev_tick);
	}
	if (ev->ticker != -1)
		close(ev->ticker);
	ifwatch_free(ev->watch);
	free(ev);
	p->evidence = NULL;
}
