/*
 * Control areas: reads and writes that take time, fail with a dead path,
 * and may be cut short: old and new copies then stand side by side, and a
 * reader takes the newest (server-agent/ctlarea.h). Mailboxes are answered
 * by a thread of the agent's process that nothing but SIGSTOP, its end or a
 * dead path keeps from it.
 */
#include <errno.h>

#include "own.h"

struct ctl_io {
	struct own *own;
	bool write;
	int error;
	struct ctl_lease lease;
	uint64_t issued_ms, done_ms;
	uint32_t boots, start;
	bool landed;
};

enum { MAIL_POLL = 25 };

static uint64_t
latency(struct own *own)
{
	return disk_latency(own->s->w, own->volume);
}

static struct ctl_io *
io_new(struct own *own, bool write)
{
	struct ctl_io *io = sim_alloc(own->s->w, sizeof(*io));

	io->own = own;
	io->write = write;
	io->start = own->start;
	io->issued_ms = host_ms(own->s);
	return io;
}

void
ctl_read(struct own *own)
{
	own->reading = true;
	at(own->s->w, latency(own), EV_CTL, io_new(own, false), 0);
}

void
ctl_write(struct own *own, const struct ctl_lease *lease)
{
	struct ctl_io *io = io_new(own, true);

	own->writing = true;
	io->lease = *lease;
	io->lease.wall_ms = now_ms(own->s->w);
	io->boots = own->s->boots;
	at(own->s->w, latency(own), EV_CTL, io, 0);
}

/* At the disk. A write is there even if its writer's process is not. */
static void
land(struct ctl_io *io)
{
	struct server *s = io->own->s;
	struct world *w = s->w;
	struct ctl_slot *slot = &w->area[io->own->volume].slot[s->number];

	io->landed = true;
	io->done_ms = host_ms(s);
	if (!disk_reached(w, io->own->volume, s->number))
		io->error = EIO;
	if (!io->write || (s->off && !chance(w, 500)) ||
	    w->disk[io->own->volume].path_dead[s->number] > 0 ||
	    s->boots != io->boots)
		return;
	slot->status = s->off ? CTL_MIXED : CTL_GOOD;
	slot->lease = io->lease;
}

void
ctl_on_io(void *obj)
{
	struct ctl_io *io = obj;
	struct own *own = io->own;
	struct world *w = own->s->w;

	if (!io->landed) {
		land(io);
		if (io->error != 0 && chance(w, 500)) { /* it hangs first */
			at(w, rnd_between(w, 1 * MS, 2 * SEC), EV_CTL, io, 0);
			return;
		}
	}
	if (!own_lives(own) || own->start != io->start)
		return;
	if (w->now < own->s->stalled_until) {
		at(w, own->s->stalled_until - w->now + rnd(w, 300), EV_CTL, io,
		    0);
		return;
	}
	if (io->write) {
		own->writing = false;
		lease_write_done(own->lease, io->error, io->issued_ms,
		    io->done_ms, host_ms(own->s));
	} else {
		own->reading = false;
		lease_read_done(own->lease, io->error,
		    w->area[own->volume].slot, io->issued_ms, io->done_ms,
		    host_ms(own->s));
	}
	own_act(own);
}

/* --- mailboxes */

struct ctl_mail_msg {
	struct server *from;
	uint32_t to, volume, start, timeout_ms;
	enum { MAIL_WRITTEN, MAIL_READ, MAIL_ANSWERED, MAIL_LATE } stage;
	bool ask;
	bool *ended; /* the sender was told how it ended */
};

static void
mail_in(struct ctl_mail_msg *m, uint64_t delay)
{
	at(m->from->w, delay, EV_MAIL, m, 0);
}

static struct ctl_mail_msg *
mail_new(struct server *s, uint32_t peer, uint32_t volume)
{
	struct ctl_mail_msg *m = sim_alloc(s->w, sizeof(*m));

	m->from = s;
	m->to = peer;
	m->volume = volume;
	m->start = s->starts;
	m->ended = sim_alloc(s->w, sizeof(*m->ended));
	return m;
}

void
ctl_mail(struct server *s, uint32_t peer, uint32_t volume, uint32_t timeout_ms)
{
	struct ctl_mail_msg *m = mail_new(s, peer, volume);

	m->timeout_ms = timeout_ms;
	mail_in(m, disk_latency(s->w, volume));
}

void
ctl_ask(struct own *own, uint32_t peer)
{
	struct ctl_mail_msg *m = mail_new(own->s, peer, own->volume);

	m->ask = true;
	mail_in(m, disk_latency(own->s->w, own->volume));
}

/* Does that host's mailbox thread run, and reach the disk? */
static bool
answers(const struct server *s, uint32_t volume)
{
	return s->alive && !s->off &&
	       !(s->stopped && s->w->now < s->stalled_until) &&
	       disk_reached(s->w, volume, s->number);
}

static void
deliver(struct ctl_mail_msg *m)
{
	struct server *to = &m->from->w->server[m->to];
	struct owner_event ev = {
	    .type = OWNER_EV_ASKED, .peer = (int)m->from->number};

	if (to->alive && to->w->now >= to->stalled_until)
		own_event(&to->own[m->volume], &ev);
}

/* It is on the disk: its time begins. */
static void
mailed(struct ctl_mail_msg *m)
{
	struct server *s = m->from;
	struct ctl_mail_msg *late;

	if (!disk_reached(s->w, m->volume, s->number)) {
		suspect_disk(s->suspect, m->volume, false, 0, host_ms(s));
		peers_act(s);
		return;
	}
	if (!m->ask) {
		late = mail_new(s, m->to, m->volume);
		late->stage = MAIL_LATE;
		late->ended = m->ended;
		mail_in(late, m->timeout_ms * MS);
	}
	m->stage = MAIL_READ;
	mail_in(m, rnd(s->w, MAIL_POLL * MS) + disk_latency(s->w, m->volume));
}

static void
mail_ends(struct ctl_mail_msg *m, bool answered)
{
	struct server *s = m->from;

	if (*m->ended)
		return;
	*m->ended = true;
	if (disk_reached(s->w, m->volume, s->number))
		suspect_mail_end(
		    s->suspect, m->to, m->volume, answered, host_ms(s));
	else
		suspect_disk(s->suspect, m->volume, false, 0, host_ms(s));
	peers_act(s);
}

void
ctl_on_mail(void *obj)
{
	struct ctl_mail_msg *m = obj;
	struct server *s = m->from, *to = &s->w->server[m->to];

	if (m->stage == MAIL_READ) { /* at the other end */
		if (!answers(to, m->volume))
			return;
		if (m->ask) {
			deliver(m);
			return;
		}
		m->stage = MAIL_ANSWERED;
		mail_in(m, 2 * disk_latency(s->w, m->volume) +
			       rnd(s->w, MAIL_POLL * MS));
		return;
	}
	if (!s->alive || s->starts != m->start)
		return;
	if (s->w->now < s->stalled_until) {
		mail_in(m, s->stalled_until - s->w->now + rnd(s->w, 300));
		return;
	}
	if (m->stage == MAIL_WRITTEN)
		mailed(m);
	else
		mail_ends(m, m->stage == MAIL_ANSWERED);
}
