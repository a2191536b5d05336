/*
 * Links, the connections to backends, and what becomes of the calls of one
 * that is lost. See relay.h.
 */
#include <stdio.h>
#include <string.h>

#include "server-agent/relay_log.h"

/* --- links */

void *
relay_link_user(const struct relay_link *l)
{
	return l->user;
}

void
relay_link_set_user(struct relay_link *l, void *user)
{
	l->user = user;
}

unsigned
relay_link_volume(const struct relay_link *l)
{
	return l->kconn->volume;
}

enum relay_program
relay_link_program(const struct relay_link *l)
{
	return l->program;
}

const void *
relay_link_peer(const struct relay_link *l)
{
	return l->kconn->peer;
}

void
link_open(struct relay_link *l)
{
	if (l->state != LINK_DOWN)
		return;
	l->state = LINK_OPENING;
	relay_act(l->kconn->r,
	    (struct relay_action){.type = RELAY_OPEN_LINK, .link = l});
}

void
relay_link_up(struct relay_link *l, uint64_t now_ms)
{
	assert(l->state == LINK_OPENING);
	l->state = LINK_UP;
	if (l->program == RELAY_NFS)
		hello_link_result(l->kconn, true, now_ms);
}

/* --- a link is lost */

/* Must it go with its link? One that has run waits for the disk alone. */
static bool
goes_with_link(const struct relay_entry *e)
{
	return e->class == CALL_PASSED ||
	       (e->state != ENTRY_COMPLETING && e->state != ENTRY_COMMIT &&
		   !(e->state == ENTRY_HELD &&
		       (e->log == NULL || e->log->told)));
}

/* A call that changes something and has run, may be about to, or may still be
 * inside: a late WRITE would land on newer data (I4). */
static bool
is_at_risk(const struct relay_entry *e)
{
	return e->class != CALL_PASSED &&
	       (e->state == ENTRY_RUNNING ||
		   (e->log != NULL && e->state == ENTRY_INTENT));
}

static bool
drop_call(struct relay *r, struct relay_entry *e, uint64_t now_ms)
{
	if (!goes_with_link(e))
		return false;
	if (e->state == ENTRY_RUNNING)
		r->n.in_doubt++;
	else if (e->keys.missing > 0)
		r->n.waiting--;
	/* Who asked last may be on a younger kernel connection, or a younger
	 * proxy's, with a link that lives. */
	if (e->asker != NULL)
		conn_close(e->asker, RELAY_R_BACKEND_LOST, now_ms);
	if (e->state == ENTRY_UNDECIDED) {
		undecided_rest(r, e, now_ms);
		return true;
	}
	entry_release_keys(r, e);
	if (e->mark == MARK_NOT_RUN)
		not_run_rest(r, e, now_ms);
	else
		entry_free(r, e);
	return true;
}

static unsigned
drop_calls(struct relay *r, struct relay_link *l, uint64_t now_ms)
{
	struct vlog *v = link_log(l);
	struct relay_entry *e, *next;
	unsigned n = 0;

	LIST_FOREACH(e, &l->calls, on_link)
		if (v != NULL && is_at_risk(e)) {
			log_suspect(v, "a connection with calls was lost");
			break;
		}
	/* Once it is, all of it is forgotten at once, and not yet. */
	if (v != NULL && v->mode == VLOG_STOPPED)
		return 0;
	/* Newest first: none that is left waits for the one that goes. */
	for (e = LIST_FIRST(&l->calls); e != NULL; e = next) {
		next = LIST_NEXT(e, on_link);
		/* Its record is being written: drop_late(). */
		if (e->state != ENTRY_INTENT)
			n += drop_call(r, e, now_ms);
	}
	return n;
}

bool
drop_late(struct relay_entry *e, uint64_t now_ms)
{
	struct relay *r = e->link->kconn->r;

	if (e->link->state != LINK_DOWN)
		return false;
	assert(r->cfg.rules.no_suspect);
	return drop_call(r, e, now_ms);
}

void
relay_link_down(struct relay_link *l, const char *cause, uint64_t now_ms)
{
	struct relay_kconn *k = l->kconn;
	struct relay *r = k->r;
	bool was_up = l->state == LINK_UP;
	unsigned dropped;
	char name[9];

	assert(l->state != LINK_DOWN);
	l->state = LINK_DOWN;
	l->retry_ms = now_ms + r->cfg.backoff_ms;
	dropped = drop_calls(r, l, now_ms);
	if (link_log(l) != NULL)
		asks_lost(link_log(l), l);
	if (was_up)
		relay_note(r,
		    "client %s kconn %llu %s link up -> down: %s; "
		    "%u calls in doubt",
		    relay_client_name(k->client, name),
		    (unsigned long long)k->number,
		    relay_program_names[l->program], cause, dropped);
	if (l->program == RELAY_NFS)
		hello_link_result(k, false, now_ms);
	/* The proxy comes back and replays. A link that was idle is just
	 * opened again for the next call. */
	for (unsigned i = 0; dropped > 0 && i < RELAY_NETWORKS_MAX; i++)
		if (k->conns[i] != NULL)
			conn_close(k->conns[i], RELAY_R_BACKEND_LOST, now_ms);
	kconn_settle(r, k);
	table_resume(r);
}

/* --- a reply that does not come */

struct overdue {
	unsigned reads, all; /* by read_ms, by answer_ms */
	unsigned changes;    /* run that change something, overdue or not */
};

static uint64_t
read_ms(const struct relay *r, const struct relay_link *l)
{
	uint64_t ms = r->cfg.answer_ms / RELAY_READ_PART;

	if (l->read_ms > 0)
		return l->read_ms;
	if (ms < RELAY_READ_MIN_MS)
		ms = RELAY_READ_MIN_MS;
	return ms < r->cfg.answer_ms ? ms : r->cfg.answer_ms;
}

static void
look(struct relay *r, struct relay_link *l, struct overdue *o, uint64_t now_ms)
{
	uint64_t patience_ms = read_ms(r, l), ms;
	struct relay_entry *e;

	*o = (struct overdue){.all = 0};
	LIST_FOREACH(e, &l->calls, on_link) {
		o->changes += is_at_risk(e);
		/* ASKING: a question of ours may be dropped as well. */
		if (e->state != ENTRY_RUNNING && e->state != ENTRY_ASKING)
			continue;
		if (e->watched_ms == 0)
			e->watched_ms = now_ms;
		ms = now_ms - e->watched_ms;
		o->all += ms >= r->cfg.answer_ms;
		o->reads += ms >= patience_ms && !is_at_risk(e);
	}
}

static void
overdue_text(char *buf, size_t size, unsigned n, uint64_t ms)
{
	snprintf(buf, size, "%u calls have had no answer for %llu s", n,
	    (unsigned long long)ms / 1000);
}

/* The link goes, and the clients ask again. They may be slow, and not lost:
 * the next ones have twice as long. */
static void
reads_again(
    struct relay *r, struct relay_link *l, unsigned n, uint64_t now_ms)
{
	uint64_t ms = read_ms(r, l);
	char why[80];

	l->read_ms = ms * 2 < r->cfg.answer_ms ? ms * 2 : r->cfg.answer_ms;
	overdue_text(why, sizeof(why), n, ms);
	r->n.unanswered++;
	relay_act(
	    r, (struct relay_action){.type = RELAY_CLOSE_LINK, .link = l});
	relay_link_down(l, why, now_ms);
}

/*
 * A backend may drop a call and say nothing: knfsd does when it has no memory,
 * or while it has the call in progress twice. A client of its own would send
 * it again on the connection that it has; NFS-Ganesha 4.3 crashes on that when
 * the call is running after all. Where only reads are in progress, our own
 * questions among them, the link goes, and the clients send all again. What
 * changes something may still be inside, and land late: it is let go only with
 * its backend, which can be ended where there is a log. Elsewhere it is waited
 * for, and this is told.
 */
static void
link_watch(struct relay *r, struct relay_link *l, uint64_t now_ms)
{
	struct vlog *v = link_log(l);
	char why[80], name[9];
	struct overdue o;

	look(r, l, &o, now_ms);
	if (o.reads > 0 && o.changes == 0) {
		reads_again(r, l, o.reads, now_ms);
		return;
	}
	if (o.all == 0) {
		l->told_overdue = false;
		return;
	}
	overdue_text(why, sizeof(why), o.all, r->cfg.answer_ms);
	if (v != NULL) {
		r->n.unanswered += v->mode != VLOG_STOPPED;
		log_suspect(v, why);
	} else if (!l->told_overdue) {
		r->n.unanswered++;
		l->told_overdue = true;
		relay_note(r,
		    "client %s kconn %llu %s link: %s; they may still run, "
		    "and are waited for: look at the NFS server",
		    relay_client_name(l->kconn->client, name),
		    (unsigned long long)l->kconn->number,
		    relay_program_names[l->program], why);
	}
}

void
links_watch(struct relay *r, struct relay_client *cl, uint64_t now_ms)
{
	struct relay_kconn *k, *next;

	for (k = LIST_FIRST(&cl->kconns); k != NULL; k = next) {
		next = LIST_NEXT(k, next);
		for (unsigned i = 0; i < RELAY_PROGRAMS; i++)
			if (k->links[i].state == LINK_UP)
				link_watch(r, &k->links[i], now_ms);
	}
}
