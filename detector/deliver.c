/*
 * deliver: what an accepted heartbeat, a dropped packet, a changed interface
 * cause: an entry in the book, a report, a printed line.
 */
#include <string.h>
#include <unistd.h>

#include "detector.h"
#include "hanfs/clock.h"
#include "print.h"

#define DROPS_PRINTED 10u

/* --- reports --- */

static void
make_heartbeat(
    struct report *r, const struct listener *l, const struct book_entry *e)
{
	struct report_heartbeat *h = &r->heartbeat;
	const struct heartbeat *hb = &e->last.hb;

	memset(r, 0, offsetof(struct report, heartbeat.volumes));
	r->type = REPORT_HEARTBEAT;
	r->when_ms = e->when_ms;
	h->ifindex = (uint32_t)l->state.ifindex;
	h->network = hb->network;
	h->server = hb->server;
	h->flags = (e->last.unicast ? REPORT_UNICAST : 0) |
		   (e->last.new_boot ? REPORT_NEW_BOOT : 0) |
		   (e->last.first ? REPORT_FIRST : 0);
	h->source = e->last.source;
	h->boot = hb->boot;
	h->sequence = hb->sequence;
	h->interval_ms = hb->interval_ms;
	h->multiplier = hb->multiplier;
	h->table_gen = hb->table_gen;
	h->page = hb->page;
	h->pages = hb->pages;
	h->npeers = hb->npeers;
	memcpy(h->peers, hb->peers, sizeof(h->peers));
	h->nvolumes = hb->nvolumes;
	memcpy(h->volumes, hb->volumes, hb->nvolumes * sizeof(h->volumes[0]));
}

static void
make_interface(struct report *r, const struct listener *l)
{
	struct report_interface *i = &r->interface;
	unsigned k;

	memset(r, 0, offsetof(struct report, interface) + sizeof(*i));
	r->type = REPORT_INTERFACE;
	r->when_ms = clock_now_ms();
	i->ifindex = (uint32_t)l->state.ifindex;
	i->network = l->network_id;
	i->flags = (l->state.up ? REPORT_IF_UP : 0) |
		   (l->state.carrier ? REPORT_IF_CARRIER : 0) |
		   (l->state.gone ? REPORT_IF_GONE : 0) |
		   (l->listening ? REPORT_IF_LISTENING : 0);
	memcpy(i->name, l->name, sizeof(i->name));
	for (k = 0; k < l->state.naddrs && k < REPORT_ADDRS_MAX; k++) {
		i->addrs[k].addr = l->state.addrs[k].addr;
		i->addrs[k].prefix_len = l->state.addrs[k].prefix_len;
	}
	i->naddrs = k;
}

/* A tick or a hello, whose content is still to be set, or only a head. */
static void
make_small(struct report *r, enum report_type type)
{
	memset(r, 0, offsetof(struct report, hello) + sizeof(r->hello));
	r->type = (uint16_t)type;
	r->when_ms = clock_now_ms();
}

static int
picture_slot(struct reporter_reader *to, const struct detector *d,
    const struct listener *l)
{
	unsigned slot = (unsigned)(l - d->listeners), s;
	const struct book_entry *e;
	struct report r;

	make_interface(&r, l);
	if (reporter_send_one(to, &r) < 0)
		return -1;
	for (s = 0; s < d->cfg->nservers; s++) {
		e = book_get(d->book, slot, s);
		if (e == NULL)
			continue;
		make_heartbeat(&r, l, e);
		r.heartbeat.flags |= REPORT_OLD;
		if (reporter_send_one(to, &r) < 0)
			return -1;
	}
	return 0;
}

void
deliver_picture(struct reporter_reader *to, void *arg)
{
	const struct detector *d = arg;
	struct report r;
	unsigned i;

	make_small(&r, REPORT_HELLO);
	r.hello.cluster = hb_cluster_hash(d->cfg->cluster);
	r.hello.pid = (uint32_t)getpid();
	r.hello.flags = d->opt.udp ? REPORT_UDP : 0;
	if (reporter_send_one(to, &r) < 0)
		return;
	for (i = 0; i < HBG_SLOTS_MAX; i++)
		if (d->listeners[i].used &&
		    picture_slot(to, d, &d->listeners[i]) < 0)
			return;
	make_small(&r, REPORT_SYNCED);
	(void)reporter_send_one(to, &r);
}

/* --- events --- */

static void
log_boot(const struct detector *d, const struct hb_event *ev)
{
	const char *name = d->cfg->servers[ev->server].name;

	if (ev->first)
		log_notice("server %s heard, boot %llu", name,
		    (unsigned long long)ev->hb.boot);
	else if (ev->new_boot)
		log_notice("server %s has started anew, boot %llu", name,
		    (unsigned long long)ev->hb.boot);
}

void
deliver_heartbeat(
    struct detector *d, const struct hb_event *ev, uint64_t arrival_us)
{
	const struct listener *l = &d->listeners[ev->slot];
	const struct book_entry *e = book_add(d->book, ev, arrival_us);
	struct report r;

	d->accepted++;
	if (d->opt.print) {
		print_heartbeat(stdout, d->cfg, l->name,
		    clock_wall_us() - (clock_now_us() - arrival_us), e);
		return;
	}
	log_boot(d, ev);
	make_heartbeat(&r, l, e);
	reporter_send(d->reporter, &r);
}

/* At most DROPS_PRINTED lines a second: a flood must not fill a terminal. */
static bool
may_print_drop(struct detector *d)
{
	uint64_t second = clock_now_ms() / 1000;

	if (second != d->drop_second) {
		if (d->drops_printed > DROPS_PRINTED)
			printf("%u more were dropped\n",
			    d->drops_printed - DROPS_PRINTED);
		d->drop_second = second;
		d->drops_printed = 0;
	}
	return ++d->drops_printed <= DROPS_PRINTED;
}

void
deliver_drop(struct detector *d, const struct listener *l,
    enum hb_reason reason, const struct hanfs_addr *source)
{
	d->dropped++;
	if (d->opt.print && d->opt.verbose && may_print_drop(d))
		print_drop(stdout, l->name, clock_wall_us(), reason, source);
}

void
deliver_interface(struct detector *d, const struct listener *l)
{
	struct report r;

	if (d->reporter == NULL)
		return;
	make_interface(&r, l);
	reporter_send(d->reporter, &r);
}

void
deliver_tick(struct detector *d)
{
	struct report r;

	make_small(&r, REPORT_TICK);
	r.tick.accepted = d->accepted;
	r.tick.dropped = d->dropped;
	reporter_send(d->reporter, &r);
}
