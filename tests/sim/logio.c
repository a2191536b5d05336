/*
 * A volume's log in a simulated agent: the relay's core on one side, slots
 * and commits of the simulated file system on the other, as
 * server-agent/logio.c has them with a real store.
 */
#include <assert.h>
#include <errno.h>

#include "own.h"

struct log_write {
	struct own *own;
	struct mount *m;
	struct relay_log *log;
	uint32_t start, life, n, number;
	int error;
	bool landed;
	uint32_t slots[LOGREC_PARTS_MAX];
	uint8_t values[];
};

/* Begins when the writes that were asked for before it are in their slots,
 * and the agent was told so, as store_sync() has it. */
struct log_sync {
	struct log_sync *next;
	struct own *own;
	uint32_t start, life, number, waits;
	int error;
};

/* The worker threads of a store. */
static uint64_t
write_takes(struct world *w)
{
	return chance(w, 20) ? rnd_between(w, 1 * MS, 25 * MS)
			     : rnd_between(w, 10, 250);
}

static bool
current(const struct own *own, uint32_t start, uint32_t life)
{
	return own_lives(own) && own->start == start && own->life == life;
}

/* A stopped process comes to it later. */
static bool
stands_still(const struct server *s)
{
	return s->w->now < s->stalled_until;
}

static void
step_done(struct own *own)
{
	at(own->s->w, 1, EV_OWN_STEP, own, own->step);
}

/* --- records */

static void
begin_write(struct own *own, struct relay_log *log)
{
	struct world *w = own->s->w;
	uint8_t values[LOGREC_PARTS_MAX * LOGSLOT_LEN];
	uint32_t slots[LOGREC_PARTS_MAX];
	unsigned n =
	    relay_log_values(log, now_ms(w), host_ms(own->s), slots, values);
	struct log_write *lw =
	    sim_alloc(w, sizeof(*lw) + n * (size_t)LOGSLOT_LEN);

	memcpy(lw->slots, slots, sizeof(slots));
	memcpy(lw->values, values, n * (size_t)LOGSLOT_LEN);
	lw->n = n;
	lw->own = own;
	lw->m = own->m;
	lw->log = log;
	lw->start = own->start;
	lw->life = own->life;
	lw->number = ++own->writes;
	own->outstanding++;
	at(w, write_takes(w), EV_LOG, lw, 0);
}

static void told_synced(void *obj, bool good);

static void
commit(struct log_sync *ls)
{
	struct mount *m = ls->own->m;

	if (m == NULL || m->gone || m->failed)
		told_synced(ls, false);
	else
		mount_sync(m, ls, told_synced);
}

static void
written(struct own *own, uint32_t number)
{
	struct log_sync **at = &own->syncs, *ls;

	while ((ls = *at) != NULL) {
		if (number <= ls->number)
			ls->waits--;
		if (ls->waits > 0) {
			at = &ls->next;
			continue;
		}
		*at = ls->next;
		commit(ls);
	}
}

/* The head at the end. */
static void
land(struct log_write *lw)
{
	struct mount *m = lw->m;

	lw->landed = true;
	if (m == NULL || m->gone || m->failed) {
		lw->error = EIO;
		return;
	}
	for (uint32_t i = lw->n; i-- > 0;) {
		fs_step(m->fs);
		fs_slot_set(
		    m->fs, lw->slots[i], lw->values + i * (size_t)LOGSLOT_LEN);
	}
}

void
logio_on_write(void *obj)
{
	struct log_write *lw = obj;
	struct own *own = lw->own;
	struct server *s = own->s;
	struct world *w = s->w;

	if (s->alive && stands_still(s) && (lw->landed || s->stopped)) {
		at(w, s->stalled_until - w->now + rnd(w, 200), EV_LOG, lw, 0);
		return;
	}
	if (!lw->landed) {
		/* A thread that is inside the kernel when it is killed. */
		if (!current(own, lw->start, lw->life) &&
		    (s->off || own->start != lw->start || chance(w, 500)))
			return;
		land(lw);
		at(w, rnd_between(w, 5, 60), EV_LOG, lw, 0);
		return;
	}
	if (!current(own, lw->start, lw->life))
		return;
	own->outstanding--;
	relay_log_written(lw->log, lw->error, now_ms(w));
	written(own, lw->number);
	agent_act(s);
}

/* --- commits */

static void
told_synced(void *obj, bool good)
{
	struct log_sync *ls = obj;
	struct world *w = ls->own->s->w;

	ls->error = good ? 0 : EIO;
	at(w, rnd_between(w, 5, 60), EV_LOGGED, ls, 0);
}

void
logio_on_synced(void *obj)
{
	struct log_sync *ls = obj;
	struct own *own = ls->own;
	struct world *w = own->s->w;

	if (!current(own, ls->start, ls->life))
		return;
	if (stands_still(own->s)) {
		at(w, own->s->stalled_until - w->now + rnd(w, 200), EV_LOGGED,
		    ls, 0);
		return;
	}
	relay_log_synced(own->s->relay, own->volume, ls->error, now_ms(w));
	agent_act(own->s);
}

/* At the end of each event: the syncs that were asked for. */
void
logio_settle(struct server *s)
{
	for (uint32_t v = 0; s->w->t.storage && v < VOLUMES; v++) {
		struct own *own = &s->own[v];
		struct log_sync *ls;

		if (!own->wanted || own->suspended || !own->open)
			continue;
		own->wanted = false;
		ls = sim_alloc(s->w, sizeof(*ls));
		ls->own = own;
		ls->start = own->start;
		ls->life = own->life;
		ls->number = own->writes;
		ls->waits = own->outstanding;
		relay_log_sync_begins(s->relay, v);
		if (ls->waits == 0) {
			commit(ls);
		} else {
			ls->next = own->syncs;
			own->syncs = ls;
		}
	}
}

/* --- what the core wants */

void
logio_act(struct server *s, const struct relay_action *a)
{
	struct own *own = &s->own[a->volume];

	switch (a->type) {
	case RELAY_LOG_WRITE:
		begin_write(own, a->log);
		break;
	case RELAY_LOG_SYNC:
		own->wanted = true;
		break;
	case RELAY_RECOVERED:
		tell(s->w,
		    "s%u: volume %u recovered: %u replies, %u in doubt: %u "
		    "done, %u finished, %u not done, %u undecidable",
		    s->number + 1, own->volume, a->recovered.replies,
		    a->recovered.doubts, a->recovered.done,
		    a->recovered.finished, a->recovered.not_done,
		    a->recovered.undecidable);
		s->w->out.doubts += a->recovered.doubts;
		if (own->doing == OWNER_RECOVER)
			step_done(own);
		break;
	case RELAY_DRAINED:
		if (own->doing == OWNER_DRAIN)
			step_done(own);
		break;
	case RELAY_SUSPECT:
		tell(s->w, "s%u: volume %u: its backend is suspect",
		    s->number + 1, own->volume);
		if (s->w->backend[s->number][own->volume].runs)
			own_backend_dies(own);
		break;
	case RELAY_GIVE_UP:
		own->lost = true;
		break;
	default:
		assert(0);
	}
}

/* --- what the owner machine wants */

/* As --format leaves it. */
void
logio_format(struct fs *fs, uint32_t volume, uint32_t slots)
{
	/* The same in each run. */
	static uint8_t values[VOLUMES][FS_SLOTS][LOGSLOT_LEN];

	for (uint32_t i = 0; i < slots; i++) {
		if (values[volume][i][0] == 0)
			logrec_encode_free(
			    volume + 1, i, 0, 0, values[volume][i]);
		fs->slot[i] = values[volume][i];
	}
}

static bool
take_scan(struct own *own, const struct logscan *scan)
{
	struct world *w = own->s->w;
	struct relay *r = own->s->relay;
	struct relay_recover rr = {.epoch = owner_epoch(own->o),
	    .id = own->volume + 1,
	    .slots = w->t.log_slots,
	    .client_slots = w->t.log_slots / 2,
	    .seq = logscan_seq(scan),
	    .write = logscan_write(scan),
	    .pool = w->replies};

	if (logscan_nbad(scan) > 0 || logscan_epoch(scan) > rr.epoch) {
		broken(w, LIVE, "the log of volume %u is damaged: slot %u, %s",
		    own->volume,
		    logscan_nbad(scan) > 0 ? logscan_bad(scan, 0)->slot : 0,
		    logscan_nbad(scan) > 0
			? logrec_error_names[logscan_bad(scan, 0)->error]
			: "of a later epoch");
		return false;
	}
	if (relay_recover_begin(r, own->volume, &rr, now_ms(w)) == -1)
		return false;
	for (unsigned i = 0; i < logscan_nrecords(scan); i++)
		if (relay_recover_record(r, own->volume,
			logscan_record(scan, i), now_ms(w)) == -1)
			return false;
	return true;
}

/* Reads all slots, then the calls in doubt are judged. */
void
logio_recover(struct own *own)
{
	struct world *w = own->s->w;
	struct logscan *scan;
	bool good = false;

	logio_close(own);
	if (w->opt.no_log || own->m == NULL || own->m->gone) {
		step_done(own);
		return;
	}
	scan = logscan_new(own->volume + 1, w->t.log_slots);
	assert(scan != NULL);
	for (uint32_t i = 0; i < w->t.log_slots; i++)
		logscan_add(scan, i, own->m->fs->slot[i], LOGSLOT_LEN);
	logscan_finish(scan);
	good = take_scan(own, scan);
	logscan_free(scan);
	own->open = good;
	if (good)
		relay_recover_judge(own->s->relay, own->volume, now_ms(w));
	agent_act(own->s);
}

void
logio_sync_all(struct own *own)
{
	at(own->s->w, disk_latency(own->s->w, own->volume), EV_OWN_STEP, own,
	    own->step);
}

void
logio_drain(struct own *own)
{
	struct server *s = own->s;

	relay_volume_drain(s->relay, own->volume, now_ms(s->w));
	agent_act(s);
}

void
logio_serve(struct own *own)
{
	struct server *s = own->s;

	own->serving = true;
	own->suspended = false;
	relay_volume_set(s->relay, own->volume, true, now_ms(s->w));
	agent_act(s);
}

/* No commit begins, so that no reply leaves. */
void
logio_hold(struct own *own)
{
	struct server *s = own->s;

	own->serving = false;
	own->suspended = true;
	relay_volume_set(s->relay, own->volume, false, now_ms(s->w));
	agent_act(s);
}

void
logio_close(struct own *own)
{
	struct server *s = own->s;

	own->serving = own->open = own->wanted = own->suspended = false;
	own->life++;
	own->outstanding = 0;
	own->syncs = NULL;
	relay_log_clear(s->relay, own->volume, now_ms(s->w));
	agent_act(s);
}
