/*
 * The arbiter "disk": carries out what the lease decides on the control
 * area, and brings it what the disk and the clock say.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "hanfs/clock.h"
#include "hanfs/log.h"
#include "server-agent/arbiter_int.h"

#define MAIL_MS 25u

struct disk {
	struct ctlio *io;
	struct lease *lease;
	struct event ready; /* of ctlio */
};

static struct disk *
of(const struct arbiter *a)
{
	return a->own;
}

/* --- servers of the configuration, slots of the area */

static unsigned
slot_of(const struct arbiter *a, unsigned server)
{
	return ctl_slot_of(
	    ctlio_super(of(a)->io), a->cfg.cfg->servers[server].id);
}

static int
server_of(const struct arbiter *a, unsigned slot)
{
	const struct ctl_super *s = ctlio_super(of(a)->io);

	return slot == CTL_NO_SLOT || s->server_id[slot] == 0
		   ? -1
		   : config_find_server_id(a->cfg.cfg, s->server_id[slot]);
}

/* --- running */

/* Everything that the lease wants; news last, by what is known then. */
static void
run(struct arbiter *a)
{
	struct disk *d = of(a);
	struct lease_action act;

	lease_tick(d->lease, clock_now_ms());
	while (lease_next(d->lease, &act)) {
		switch (act.type) {
		case LEASE_DO_READ:
			ctlio_read(d->io);
			break;
		case LEASE_DO_WRITE:
			ctlio_write(d->io, &act.write);
			break;
		case LEASE_DO_TELL:
			a->cfg.news(a->cfg.arg, &act);
			break;
		}
	}
	arbiter_at(a, lease_due_ms(d->lease));
}

static void
take_done(struct arbiter *a, const struct ctlio_done *done)
{
	struct disk *d = of(a);
	int server;

	switch (done->what) {
	case CTLIO_READ:
		lease_read_done(d->lease, done->error, done->slots,
		    done->issued_ms, done->done_ms, clock_now_ms());
		break;
	case CTLIO_WRITE:
		lease_write_done(d->lease, done->error, done->issued_ms,
		    done->done_ms, clock_now_ms());
		break;
	case CTLIO_STALLED:
	case CTLIO_FLOWS:
		a->cfg.mail(a->cfg.arg, a->cfg.self, done);
		break;
	default:
		server = server_of(a, done->slot);
		if (server >= 0)
			a->cfg.mail(a->cfg.arg, (unsigned)server, done);
		break;
	}
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct arbiter *a = arg;
	struct ctlio_done done;

	(void)fd;
	(void)what;
	while (ctlio_next(of(a)->io, &done)) {
		take_done(a, &done);
		run(a);
	}
}

/* --- start and end */

static struct ctl_want
want_of(const struct arbiter *a)
{
	return (struct ctl_want){.path = a->volume->storage.control,
	    .cluster = a->cfg.cfg->cluster,
	    .volume = a->volume->name,
	    .volume_id = a->volume->id,
	    .server_id = a->self->id};
}

/* Candidates without a slot cannot take part: the area is older. */
static void
note_missing(const struct arbiter *a)
{
	for (unsigned i = 0; i < a->volume->ncandidates; i++)
		if (slot_of(a, a->volume->candidates[i]) == CTL_NO_SLOT)
			log_warn("volume %s: candidate %s has no slot in the "
				 "control area %s, and cannot take over: make "
				 "the area anew (hanfs-agent --format)",
			    a->volume->name,
			    a->cfg.cfg->servers[a->volume->candidates[i]].name,
			    a->volume->storage.control);
}

static void
configure(const struct arbiter *a, struct lease_config *c)
{
	const struct config_agent *agent = &a->cfg.cfg->agent;
	const struct ctl_super *s = ctlio_super(of(a)->io);

	memset(c, 0, sizeof(*c));
	lease_config_times(
	    c, (uint32_t)agent->lease_ms, (uint32_t)agent->renew_ms);
	c->slot = ctlio_slot(of(a)->io);
	c->boot = a->cfg.boot;
	c->epoch_floor = s->epoch_floor;
	randombytes_buf(&c->instance, sizeof(c->instance));
	c->instance |= 1;
	randombytes_buf(&c->seed, sizeof(c->seed));
	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		int server = server_of(a, i);

		c->server_id[i] = s->server_id[i];
		if (s->server_id[i] != 0)
			c->server[i] =
			    server < 0
				? "a server that is no candidate any more"
				: a->cfg.cfg->servers[server].name;
	}
}

static int
start(struct arbiter *a, char *error)
{
	const struct config_agent *agent = &a->cfg.cfg->agent;
	struct ctlio_config ioc = {.want = want_of(a),
	    .boot = a->cfg.boot,
	    .mail_ms = MAIL_MS,
	    .stall_ms = (unsigned)agent->lease_ms / 2,
	    .rt_priority = (int)agent->rt_priority};
	struct disk *d = calloc(1, sizeof(*d));
	struct lease_config lc;

	a->own = d;
	if (d == NULL)
		goto no_memory;
	d->io = ctlio_open(&ioc, error);
	if (d->io == NULL)
		return -1;
	note_missing(a);
	configure(a, &lc);
	d->lease = lease_new(&lc, clock_now_ms());
	if (d->lease == NULL)
		goto no_memory;
	event_assign(&d->ready, a->cfg.base, ctlio_fd(d->io),
	    EV_READ | EV_PERSIST, on_ready, a);
	event_add(&d->ready, NULL);
	return 0;
no_memory:
	strcpy(error, "no memory");
	return -1;
}

static void
stop(struct arbiter *a)
{
	struct disk *d = of(a);

	if (d == NULL)
		return;
	if (d->lease != NULL)
		event_del(&d->ready);
	ctlio_close(d->io);
	lease_free(d->lease);
	free(d);
}

/* --- requests */

static void
look(struct arbiter *a)
{
	lease_look(of(a)->lease, clock_now_ms());
}

static void
claim(struct arbiter *a, bool force)
{
	lease_claim(of(a)->lease, force, clock_now_ms());
}

static void
take(struct arbiter *a, const struct lease_proof *proof)
{
	lease_take(of(a)->lease, proof, clock_now_ms());
}

static void
unclaim(struct arbiter *a)
{
	lease_unclaim(of(a)->lease, clock_now_ms());
}

static void
peer(struct arbiter *a, unsigned server, bool gone)
{
	lease_peer(of(a)->lease, a->cfg.cfg->servers[server].id, gone);
}

static void
release(struct arbiter *a, int server)
{
	lease_release(of(a)->lease,
	    server < 0 ? 0 : a->cfg.cfg->servers[server].id, clock_now_ms());
}

static void
drop(struct arbiter *a)
{
	lease_drop(of(a)->lease, clock_now_ms());
}

static void
watchdog(struct arbiter *a, uint32_t armed_ms)
{
	lease_watchdog(of(a)->lease, armed_ms);
}

static bool
ping(struct arbiter *a, unsigned server, unsigned timeout_ms)
{
	unsigned slot = slot_of(a, server);

	return slot != CTL_NO_SLOT && slot != ctlio_slot(of(a)->io) &&
	       ctlio_ping(of(a)->io, slot, timeout_ms) != 0;
}

static bool
ask(struct arbiter *a, unsigned server)
{
	unsigned slot = slot_of(a, server);

	if (slot == CTL_NO_SLOT || slot == ctlio_slot(of(a)->io))
		return false;
	ctlio_ask(of(a)->io, slot);
	return true;
}

static void
alive(struct arbiter *a, uint32_t state)
{
	ctlio_alive(of(a)->io, state);
}

/* --- what is there */

static enum lease_state
state(const struct arbiter *a)
{
	return lease_state(of(a)->lease);
}

static uint64_t
epoch(const struct arbiter *a)
{
	return lease_epoch(of(a)->lease);
}

static uint64_t
valid_until(const struct arbiter *a)
{
	return lease_valid_until_ms(of(a)->lease);
}

static uint64_t
landed(const struct arbiter *a)
{
	return lease_landed_ms(of(a)->lease);
}

static uint64_t
advanced(const struct arbiter *a, unsigned server)
{
	unsigned slot = slot_of(a, server);

	return slot == CTL_NO_SLOT
		   ? 0
		   : lease_seen(of(a)->lease, slot)->advanced_ms;
}

static int
newest(const struct arbiter *a, uint64_t *e, enum ctl_holding *holding)
{
	unsigned slot = lease_newest(of(a)->lease);
	const struct lease_seen *s;

	if (slot == CTL_NO_SLOT) {
		*e = ctlio_super(of(a)->io)->epoch_floor;
		*holding = CTL_NOTHING;
		return -1;
	}
	s = lease_seen(of(a)->lease, slot);
	*e = s->lease.owned_epoch;
	*holding = s->lease.holding;
	return server_of(a, slot);
}

static size_t
events(
    const struct arbiter *a, uint64_t from, struct lease_event *out, size_t max)
{
	return lease_events(of(a)->lease, from, out, max);
}

static bool
io_stats(const struct arbiter *a, struct ctlio_stats *out)
{
	ctlio_stats(of(a)->io, out);
	return true;
}

const struct arbiter_kind arbiter_disk = {.start = start,
    .stop = stop,
    .run = run,
    .look = look,
    .claim = claim,
    .take = take,
    .unclaim = unclaim,
    .peer = peer,
    .release = release,
    .drop = drop,
    .watchdog = watchdog,
    .ping = ping,
    .ask = ask,
    .alive = alive,
    .state = state,
    .epoch = epoch,
    .valid_until = valid_until,
    .landed = landed,
    .advanced = advanced,
    .newest = newest,
    .events = events,
    .io_stats = io_stats};
