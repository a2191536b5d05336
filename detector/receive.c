/*
 * receive: the way of a packet from the kernel through the guards.
 */
#include "detector.h"
#include "hanfs/clock.h"

#define READ_MOST 64 /* packets of one interface before others get a turn */

/*
 * The kernel stamps by the wall clock.  What it says counts only within the
 * time in which the packet must have come: a clock that is set in between
 * cannot make a heartbeat older or newer than it is.
 */
static uint64_t
arrival_us(const struct listener *l, uint64_t wall_us)
{
	uint64_t now = clock_now_us(), wall_now = clock_wall_us();
	uint64_t age = wall_now > wall_us ? wall_now - wall_us : 0;
	uint64_t oldest = now - l->drained_us;

	return now - (age < oldest ? age : oldest);
}

static void
take_payload(struct listener *l, const uint8_t *buf, size_t len,
    const struct hanfs_addr *source, bool unicast, uint64_t wall_us)
{
	struct detector *d = l->d;
	struct hb_event ev;
	struct hb_arrival at = {
	    .slot = (unsigned)(l - d->listeners),
	    .now_ms = clock_now_ms(),
	    .source = *source,
	    .unicast = unicast,
	};
	enum hb_reason r = hbguard_check(d->guard, &at, buf, len, &ev);

	if (r == HB_PASSED)
		deliver_heartbeat(d, &ev, arrival_us(l, wall_us));
	else
		deliver_drop(d, l, r, source);
}

static void
drop(struct listener *l, enum hb_reason r, const struct hanfs_addr *source)
{
	hbguard_count(l->d->guard, (unsigned)(l - l->d->listeners), r);
	deliver_drop(l->d, l, r, source);
}

static void
on_frame(const uint8_t *buf, size_t len, uint64_t wall_us, void *arg)
{
	struct listener *l = arg;
	struct frame f;
	enum hb_reason r;

	r = frame_parse(
	    sniff_link(l->sniff), buf, len, l->d->cfg->heartbeat_port, &f);
	if (r == HB_PASSED)
		take_payload(
		    l, f.payload, f.len, &f.source, f.unicast, wall_us);
	else
		drop(l, r, &f.source);
}

static void
on_udp_packet(const struct hbudp_packet *p, void *arg)
{
	struct detector *d = arg;
	unsigned i;

	for (i = 0; i < HBG_SLOTS_MAX; i++) {
		struct listener *l = &d->listeners[i];

		if (!l->listening || l->state.ifindex != p->ifindex)
			continue;
		if (p->reason != HB_PASSED)
			drop(l, p->reason, &p->source);
		else
			take_payload(l, p->payload, p->len, &p->source,
			    p->unicast, p->wall_us);
		return;
	}
}

void
receive_frames(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;
	uint64_t now = clock_now_us();
	int n;

	(void)fd;
	(void)what;
	n = sniff_read(l->sniff, READ_MOST, on_frame, l);
	if (n < 0) {
		log_warn("%s: %s", l->name, sniff_error(l->sniff));
		listen_stop(l);
		l->d->retry = true;
		deliver_interface(l->d, l);
	} else if (n < READ_MOST)
		l->drained_us = now;
}

void
receive_udp(evutil_socket_t fd, short what, void *arg)
{
	struct detector *d = arg;
	uint64_t now = clock_now_us();
	unsigned which = fd == d->udp.fds[0] ? 0 : 1, i;

	(void)what;
	if (hbudp_read(&d->udp, which, READ_MOST, on_udp_packet, d) == READ_MOST)
		return;
	for (i = 0; i < HBG_SLOTS_MAX; i++)
		d->listeners[i].drained_us = now;
}
