/*
 * ctlio: the mailbox's thread. It looks every mail_ms (faster while a ping
 * is out), answers what it finds for itself, and writes only when it has
 * something to say. It waits for nobody but the disk.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/ctlio_int.h"

/* What this thread alone knows. */
struct mailer {
	struct ctlio *io;
	struct ctl_mail own;
	bool dirty;
	uint64_t written; /* bits: pings that this write carries */
};

static bool
is_pinging(const struct ctlio *io)
{
	for (unsigned i = 0; i < io->used; i++)
		if (io->pings[i].nonce != 0)
			return true;
	return false;
}

static void
end_ping(struct ctlio *io, unsigned slot, const struct ctlio_done *done)
{
	io->pings[slot].nonce = 0;
	ctlio_tell(io, done);
}

void
ctlio_mail_failed(struct ctlio *io, int e)
{
	for (unsigned i = 0; i < io->used; i++) {
		struct ctlio_done done = {.what = CTLIO_NO_PONG,
		    .error = e,
		    .slot = i,
		    .nonce = io->pings[i].nonce};

		if (done.nonce != 0)
			end_ping(io, i, &done);
	}
}

/* --- what the others wrote */

static void
take_pong(struct ctlio *io, unsigned slot, const struct ctl_mail *mail,
    uint64_t done_ms)
{
	struct ctlio_done done = {.what = CTLIO_PONG,
	    .done_ms = done_ms,
	    .slot = slot,
	    .nonce = io->pings[slot].nonce,
	    .state = mail->state,
	    .loop_age_ms = mail->loop_age_ms,
	    .boot = mail->boot};

	if (done.nonce == 0 || mail->pong[io->own] != done.nonce)
		return;
	io->stats.pongs_seen++;
	end_ping(io, slot, &done);
}

static void
take_mail(struct mailer *m, unsigned slot, const struct ctl_mail *mail,
    uint64_t done_ms)
{
	struct ctlio *io = m->io;
	struct ctlio_done asked = {.what = CTLIO_ASKED,
	    .done_ms = done_ms,
	    .slot = slot,
	    .nonce = mail->ask[io->own]};

	take_pong(io, slot, mail, done_ms);
	if (mail->ping[io->own] != m->own.pong[slot]) {
		m->own.pong[slot] = mail->ping[io->own];
		m->dirty = true;
		io->stats.pongs_sent++;
	}
	if (asked.nonce != 0 && asked.nonce != m->own.heard[slot]) {
		m->own.heard[slot] = asked.nonce;
		m->dirty = true;
		ctlio_tell(io, &asked);
	}
}

/* Their time is over, by a look that was begun after it. */
static void
end_late_pings(struct ctlio *io, uint64_t issued_ms)
{
	for (unsigned i = 0; i < io->used; i++) {
		const struct ctlio_ping *p = &io->pings[i];
		struct ctlio_done done = {
		    .what = CTLIO_NO_PONG, .slot = i, .nonce = p->nonce};

		if (p->nonce != 0 && p->mailed && issued_ms >= p->deadline_ms)
			end_ping(io, i, &done);
	}
}

static void
look(struct mailer *m)
{
	struct ctlio *io = m->io;
	struct ctlio_stamps s;
	struct ctl_mail mail;
	int e = ctlio_transfer(
	    io, &io->mailer, false, CTL_FIRST_MAIL, io->used, &s);

	pthread_mutex_lock(&io->lock);
	io->stats.mail_reads++;
	if (s.done_us - s.issued_us > io->stats.worst_mail_us)
		io->stats.worst_mail_us = s.done_us - s.issued_us;
	if (e != 0) {
		io->stats.errors++;
		ctlio_mail_failed(io, e);
	}
	for (unsigned i = 0; e == 0 && i < io->used; i++)
		if (i != io->own && ctl_usable(ctl_mail_get(
					io->mailer.buf + (size_t)i * CTL_BLOCK,
					io->super.area, i, &mail)))
			take_mail(m, i, &mail, s.done_us / 1000);
	if (e == 0)
		end_late_pings(io, s.issued_us / 1000);
	pthread_mutex_unlock(&io->lock);
}

/* --- what we write */

/* Puts in what the event loop wants to be said. */
static void
gather(struct mailer *m)
{
	struct ctlio *io = m->io;

	m->written = 0;
	pthread_mutex_lock(&io->lock);
	for (unsigned i = 0; i < io->used; i++) {
		if (io->pings[i].nonce != 0 && !io->pings[i].mailed) {
			m->own.ping[i] = io->pings[i].nonce;
			m->written |= 1u << i;
		}
		if (io->asks[i] != 0 && io->asks[i] != m->own.ask[i]) {
			m->own.ask[i] = io->asks[i];
			m->dirty = true;
		}
	}
	m->own.state = io->state;
	m->own.loop_age_ms = (uint32_t)(clock_now_ms() - io->alive_ms);
	pthread_mutex_unlock(&io->lock);
	m->dirty |= m->written != 0;
}

static void
tell_mailed(struct mailer *m, uint64_t done_ms)
{
	struct ctlio *io = m->io;

	for (unsigned i = 0; i < io->used; i++) {
		struct ctlio_ping *p = &io->pings[i];
		struct ctlio_done done = {.what = CTLIO_MAILED,
		    .done_ms = done_ms,
		    .slot = i,
		    .nonce = p->nonce};

		if ((m->written & 1u << i) == 0 || p->nonce != m->own.ping[i] ||
		    p->nonce == 0)
			continue;
		p->mailed = true;
		p->deadline_ms = done_ms + p->timeout_ms;
		io->stats.pings_sent++;
		ctlio_tell(io, &done);
	}
}

static void
say(struct mailer *m)
{
	struct ctlio *io = m->io;
	struct ctlio_stamps s;
	int e;

	gather(m);
	if (!m->dirty)
		return;
	m->own.seq++;
	ctl_mail_put(io->mailer.buf, io->super.area, io->own, &m->own);
	e = ctlio_transfer(
	    io, &io->mailer, true, CTL_FIRST_MAIL + io->own, 1, &s);
	pthread_mutex_lock(&io->lock);
	if (e == 0) {
		m->dirty = false;
		tell_mailed(m, s.done_us / 1000);
	} else {
		io->stats.errors++;
		ctlio_mail_failed(io, e);
	}
	pthread_mutex_unlock(&io->lock);
}

/* --- the thread */

/* Goes on where the last process of this agent ended. */
static void
read_own(struct mailer *m)
{
	struct ctlio *io = m->io;
	struct ctlio_stamps s;

	if (ctlio_transfer(
		io, &io->mailer, false, CTL_FIRST_MAIL + io->own, 1, &s) != 0 ||
	    !ctl_usable(
		ctl_mail_get(io->mailer.buf, io->super.area, io->own, &m->own)))
		memset(&m->own, 0, sizeof(m->own));
	m->own.server_id = io->cfg.want.server_id;
	m->own.boot = io->cfg.boot;
}

/* Sleeps until the next look, or until it is woken. False: the end. */
static bool
sleep_on(struct ctlio *io)
{
	struct pollfd pfd = {.fd = io->wake_fd, .events = POLLIN};
	unsigned ms = io->cfg.mail_ms;
	uint64_t n;
	bool ending;

	pthread_mutex_lock(&io->lock);
	if (is_pinging(io) && ms > 5)
		ms = 5;
	pthread_mutex_unlock(&io->lock);
	if (poll(&pfd, 1, (int)ms) > 0)
		(void)!read(io->wake_fd, &n, sizeof(n));
	pthread_mutex_lock(&io->lock);
	ending = io->ending;
	pthread_mutex_unlock(&io->lock);
	return !ending;
}

void *
ctlio_run_mailer(void *arg)
{
	struct mailer m = {.io = arg};

	ctlio_warm_stack();
	read_own(&m);
	do {
		say(&m);
		look(&m);
		if (m.dirty) /* an answer waits for nothing */
			say(&m);
	} while (sleep_on(m.io));
	return NULL;
}
