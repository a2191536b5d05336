/*
 * Records on their way to the disk, and who waits for a sync.
 *
 * One sync runs at a time. It covers what was asked for before it began;
 * what comes meanwhile waits for the next one (group commit). A reply that
 * is held for another reason (an error of a disk that may be dying, a read
 * of what is not durable yet) waits in the same queue: what it shows had
 * happened when it came, and a sync that begins after that and succeeds has
 * been on the disk, as one whose server is still the owner's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_log.h"

/* --- writes */

struct relay_log *
write_new(struct vlog *v, enum logrec_kind kind, struct slotmap_rec *slot,
    void *owner, void (*written)(struct relay_log *w, uint64_t now_ms))
{
	struct relay_log *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		log_give_up(v, ENOMEM);
		return NULL;
	}
	w->v = v;
	w->slot = slot;
	w->owner = owner;
	w->written = written;
	w->rec.kind = kind;
	w->rec.volume = v->cfg.id;
	w->rec.seq = slot->seq;
	w->rec.epoch = v->cfg.epoch;
	LIST_INSERT_HEAD(&v->writes, w, next);
	return w;
}

void
write_issue(struct relay_log *w)
{
	relay_act(w->v->r,
	    (struct relay_action){
		.type = RELAY_LOG_WRITE, .volume = w->v->volume, .log = w});
}

void
writes_forget(struct vlog *v)
{
	struct relay_log *w;

	while ((w = LIST_FIRST(&v->writes)) != NULL) {
		LIST_REMOVE(w, next);
		free(w);
	}
}

unsigned
relay_log_values(struct relay_log *w, uint64_t wall_ms, uint64_t boot_ms,
    uint32_t *slots, uint8_t *values)
{
	unsigned n = 1;

	w->v->wall_ms = wall_ms;
	w->rec.wall_ms = wall_ms;
	w->rec.boot_ms = boot_ms;
	w->rec.write = slotmap_next_write(w->v->slots);
	slotmap_map(w->v->slots, &w->rec.map);
	if (w->rec.kind == LOGREC_FREE)
		logrec_encode_free(w->rec.volume, w->slot->slots[0], w->rec.seq,
		    w->rec.write, values);
	else
		n = logrec_encode(&w->rec, w->slot->slots, values);
	assert(n > 0 && n <= w->slot->nslots);
	memcpy(slots, w->slot->slots, n * sizeof(*slots));
	return n;
}

unsigned
relay_log_volume(const struct relay_log *w)
{
	return w->v->volume;
}

void
relay_log_written(struct relay_log *w, int error, uint64_t now_ms)
{
	struct vlog *v = w->v;

	LIST_REMOVE(w, next);
	if (error != 0)
		log_give_up(v, error);
	else if (v->mode != VLOG_STOPPED)
		w->written(w, now_ms);
	free(w);
}

/* --- syncs */

static bool
wants_sync(const struct vlog *v)
{
	return !TAILQ_EMPTY(&v->waiting) || v->last == LAST_WAITS ||
	       doubts_want_sync(v);
}

void
commit_ask(struct vlog *v)
{
	if (v->asked || v->running || v->mode == VLOG_STOPPED || !wants_sync(v))
		return;
	v->asked = true;
	relay_act(v->r,
	    (struct relay_action){.type = RELAY_LOG_SYNC, .volume = v->volume});
}

void
commit_wait(struct vlog *v, struct relay_entry *e)
{
	assert(e->queue == NULL);
	TAILQ_INSERT_TAIL(&v->waiting, e, on_queue);
	e->queue = &v->waiting;
	commit_ask(v);
}

void
commit_leave(struct relay_entry *e)
{
	if (e->queue != NULL)
		TAILQ_REMOVE(e->queue, e, on_queue);
	e->queue = NULL;
}

void
relay_log_sync_begins(struct relay *r, unsigned volume)
{
	struct vlog *v = r->logs[volume];
	struct relay_entry *e;

	assert(v != NULL && !v->running);
	r->n.syncs++;
	v->asked = false;
	v->running = true;
	while ((e = TAILQ_FIRST(&v->waiting)) != NULL) {
		commit_leave(e);
		TAILQ_INSERT_TAIL(&v->under, e, on_queue);
		e->queue = &v->under;
	}
	doubts_sync(v, true, 0);
	if (v->last == LAST_WAITS)
		v->last = LAST_UNDER;
}

static void
recovered(struct vlog *v, uint64_t now_ms)
{
	v->last = LAST_NONE;
	v->mode = VLOG_ON;
	v->on_ms = now_ms;
	v->born = ++v->r->recoveries;
	relay_act(v->r, (struct relay_action){.type = RELAY_RECOVERED,
			    .volume = v->volume,
			    .recovered = v->found});
}

void
relay_log_synced(struct relay *r, unsigned volume, int error, uint64_t now_ms)
{
	struct vlog *v = r->logs[volume];
	struct relay_entry *e;

	assert(v != NULL && v->running);
	v->running = false;
	if (error != 0)
		log_give_up(v, error);
	if (v->mode == VLOG_STOPPED)
		return;
	/* What asks again goes to the end of the other queue. */
	while ((e = TAILQ_FIRST(&v->under)) != NULL) {
		commit_leave(e);
		log_covered(v, e, now_ms);
	}
	doubts_sync(v, false, now_ms);
	if (v->last == LAST_UNDER)
		recovered(v, now_ms);
	commit_ask(v);
	table_resume(r);
}

/* --- the end of a log */

void
log_suspect(struct vlog *v, const char *why)
{
	struct relay *r = v->r;

	if (v->mode == VLOG_STOPPED || r->cfg.rules.no_suspect)
		return;
	v->mode = VLOG_STOPPED;
	r->n.suspects++;
	relay_note(r, "volume %u: its backend is suspect: %s", v->volume, why);
	relay_act(r,
	    (struct relay_action){.type = RELAY_SUSPECT, .volume = v->volume});
}

void
log_give_up(struct vlog *v, int error)
{
	struct relay *r = v->r;

	/* A disk that fails counts for more than a backend that may. */
	v->mode = VLOG_STOPPED;
	r->n.give_ups++;
	relay_note(r, "volume %u: its log cannot be written: %s", v->volume,
	    strerror(error));
	relay_act(
	    r, (struct relay_action){
		   .type = RELAY_GIVE_UP, .volume = v->volume, .error = error});
}

/* --- draining */

static bool
is_drained(const struct relay *r, unsigned volume)
{
	const struct vlog *v = r->logs[volume];
	const struct relay_client *cl;
	const struct relay_kconn *k;
	const struct relay_entry *e;

	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(k, &cl->kconns, next)
			for (unsigned i = 0; i < RELAY_PROGRAMS; i++)
				LIST_FOREACH(e, &k->links[i].calls, on_link)
					if (k->volume == volume &&
					    e->state != ENTRY_UNDECIDED)
						return false;
	return v == NULL ||
	       (LIST_EMPTY(&v->writes) && !v->asked && !v->running);
}

void
relay_volume_drain(struct relay *r, unsigned volume, uint64_t now_ms)
{
	(void)now_ms;
	assert(volume < r->cfg.volumes);
	if (r->draining[volume])
		return;
	r->draining[volume] = true;
	r->ndraining++;
}

bool
drain_look(struct relay *r)
{
	for (unsigned i = 0; r->ndraining > 0 && i < r->cfg.volumes; i++) {
		/* Said once: it goes on holding calls, but is not counted. */
		if (!r->draining[i] || r->drained[i] || !is_drained(r, i))
			continue;
		r->drained[i] = true;
		r->ndraining--;
		relay_act(r,
		    (struct relay_action){.type = RELAY_DRAINED, .volume = i});
		return true;
	}
	return false;
}
