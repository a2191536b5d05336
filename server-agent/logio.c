/*
 * The shell of a volume's log. See logio.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/clock.h"
#include "hanfs/log.h"
#include "server-agent/logio_int.h"
#include "server-agent/store.h"

/* The store was full: a record that is encoded already. */
struct logio_late {
	TAILQ_ENTRY(logio_late) next;
	struct relay_log *log;
	unsigned n;
	uint32_t slots[LOGREC_PARTS_MAX];
	uint8_t values[LOGREC_PARTS_MAX * LOGSLOT_LEN];
};

enum logio_state {
	LOGIO_SHUT,
	LOGIO_READING, /* the slots */
	LOGIO_OPEN,
	LOGIO_CLOSING,
};

struct logio {
	struct agent *a;
	unsigned volume;
	enum logio_state state;
	struct store *store;
	struct event ev;
	uint64_t epoch;
	bool suspended, wanted; /* a sync is */
	TAILQ_HEAD(, logio_late) late;
};

struct logio_set {
	struct logio_calls calls;
	void *arg;
	struct logio v[CONFIG_VOLUMES_MAX];
};

/* What store.h's tags stand for beside records. */
static char tag_scan, tag_remake, tag_sync;

static struct logio *
get(const struct agent *a, unsigned volume)
{
	return &a->logio->v[volume];
}

static const char *
name_of(const struct logio *li)
{
	return li->a->volumes[li->volume].cfg->name;
}

static void
late_free(struct logio *li)
{
	struct logio_late *late;

	while ((late = TAILQ_FIRST(&li->late)) != NULL) {
		TAILQ_REMOVE(&li->late, late, next);
		free(late);
	}
}

static void
shut(struct logio *li)
{
	if (li->state == LOGIO_SHUT)
		return;
	event_del(&li->ev);
	store_free(li->store);
	li->store = NULL;
	li->state = LOGIO_SHUT;
	li->wanted = li->suspended = false;
	late_free(li);
}

/* --- opening */

static void
opened(struct logio *li, bool ok, const char *text)
{
	struct logio_set *set = li->a->logio;

	if (!ok) {
		relay_log_clear(li->a->relay, li->volume, li->a->now_ms);
		shut(li);
	} else
		li->state = LOGIO_OPEN;
	set->calls.opened(set->arg, li->volume, ok, text);
}

static bool
scan_is_good(
    const struct logio *li, const struct logscan *scan, char *why, size_t size)
{
	const struct logscan_bad *bad;

	if (logscan_epoch(scan) > li->epoch) {
		snprintf(why, size,
		    "the log has records of epoch %llu, this is epoch %llu: "
		    "a later owner wrote them",
		    (unsigned long long)logscan_epoch(scan),
		    (unsigned long long)li->epoch);
		return false;
	}
	if (logscan_nbad(scan) == 0)
		return true;
	bad = logscan_bad(scan, 0);
	snprintf(why, size,
	    "the log cannot be believed: %u of its slots, the first %05u: "
	    "%s%s%s; nothing is guessed: what clients sent last must be "
	    "looked at, then hanfs-agent --format makes the log anew",
	    logscan_nbad(scan), bad->slot, logrec_error_names[bad->error],
	    bad->error == LOGREC_E_READ ? ": " : "",
	    bad->error == LOGREC_E_READ ? strerror(bad->err) : "");
	return false;
}

static bool
scan_take(struct logio *li, const struct logscan *scan, char *why, size_t size)
{
	struct agent *a = li->a;
	const struct config_volume *cv = a->volumes[li->volume].cfg;
	unsigned slots = store_slots(li->store);
	struct relay_recover rr = {.epoch = li->epoch,
	    .id = cv->id,
	    .slots = slots,
	    .client_slots =
		slots / 2 > LOGREC_PARTS_MAX ? slots / 2 : LOGREC_PARTS_MAX,
	    .seq = logscan_seq(scan),
	    .write = logscan_write(scan),
	    .pool = a->replies,
	    .knfsd = cv->backend.kind == CONFIG_BACKEND_KNFSD};

	if (!scan_is_good(li, scan, why, size))
		return false;
	snprintf(why, size,
	    "no memory for the log's %u records; raise "
	    "reply_memory (agent)",
	    logscan_nrecords(scan));
	relay_log_clear(a->relay, li->volume, a->now_ms);
	if (relay_recover_begin(a->relay, li->volume, &rr, a->now_ms) == -1)
		return false;
	for (unsigned i = 0; i < logscan_nrecords(scan); i++)
		if (relay_recover_record(a->relay, li->volume,
			logscan_record(scan, i), a->now_ms) == -1)
			return false;
	return true;
}

static void
scanned(struct logio *li, const struct store_done *d)
{
	struct logscan_counts n;
	char why[512];

	if (d->error != 0) {
		snprintf(why, sizeof(why), "the log cannot be read: %s",
		    strerror(d->error));
		opened(li, false, why);
		return;
	}
	logscan_count(d->scan, &n);
	log_info("volume %s: log of %u slots read in %llu ms: %u completions, "
		 "%u in doubt, %u tombs, %u stale, %u bad",
	    name_of(li), n.slots, (unsigned long long)(d->us / 1000), n.dones,
	    n.intents, n.tombs, n.stale, n.bad);
	if (scan_take(li, d->scan, why, sizeof(why))) {
		if (store_remake(li->store, &tag_remake) == -1)
			log_warn("volume %s: the log's slots are not made "
				 "anew: %s",
			    name_of(li), strerror(errno));
		snprintf(why, sizeof(why), "%u slots", n.slots);
		opened(li, true, why);
	} else
		opened(li, false, why);
	logscan_free(d->scan);
}

/* Beside the load; without it a full volume may refuse a record later. */
static void
remade(const struct logio *li, const struct store_done *d)
{
	if (d->error != 0)
		log_warn("volume %s: the log's slots are not made anew: %s",
		    name_of(li), strerror(d->error));
}

/* --- what is done */

static void late_again(struct logio *li);

static void
closed(struct logio *li)
{
	struct logio_set *set = li->a->logio;

	shut(li);
	set->calls.closed(set->arg, li->volume);
}

static void
done(struct logio *li, const struct store_done *d)
{
	struct relay *r = li->a->relay;

	if (d->what == STORE_STOPPED)
		closed(li);
	else if (li->state == LOGIO_CLOSING) {
		if (d->what == STORE_SCANNED && d->error == 0)
			logscan_free(d->scan);
	} else if (d->what == STORE_SCANNED)
		scanned(li, d);
	else if (d->what == STORE_REMADE)
		remade(li, d);
	else if (d->what == STORE_SYNCED)
		relay_log_synced(r, li->volume, d->error, li->a->now_ms);
	else {
		relay_log_written(d->tag, d->error, li->a->now_ms);
		late_again(li);
	}
}

static void
on_store(evutil_socket_t fd, short what, void *arg)
{
	struct logio *li = arg;
	struct store_done d;

	(void)fd;
	(void)what;
	agent_now(li->a);
	while (li->store != NULL && store_next(li->store, &d))
		done(li, &d);
	agent_settle(li->a);
}

/* --- what the core wants */

static void
write_now(struct logio *li, struct relay_log *log)
{
	struct agent *a = li->a;
	struct logio_late one = {.log = log}, *late;

	one.n = relay_log_values(
	    log, clock_wall_ms(), a->now_ms, one.slots, one.values);
	if (TAILQ_EMPTY(&li->late)) {
		if (store_write(li->store, one.slots, one.n, one.values, log) ==
		    0)
			return;
		if (errno != EAGAIN) {
			relay_log_written(log, errno, a->now_ms);
			return;
		}
	}
	late = malloc(sizeof(*late));
	if (late == NULL) {
		relay_log_written(log, ENOMEM, a->now_ms);
		return;
	}
	*late = one;
	TAILQ_INSERT_TAIL(&li->late, late, next);
}

static void
late_again(struct logio *li)
{
	struct logio_late *late;

	while ((late = TAILQ_FIRST(&li->late)) != NULL) {
		int error = 0;

		if (store_write(li->store, late->slots, late->n, late->values,
			late->log) == -1)
			error = errno;
		if (error == EAGAIN)
			return;
		TAILQ_REMOVE(&li->late, late, next);
		if (error != 0)
			relay_log_written(late->log, error, li->a->now_ms);
		free(late);
	}
}

static void
tell_recovered(struct logio *li, const struct relay_recovered *n)
{
	struct logio_set *set = li->a->logio;
	char text[160];

	snprintf(text, sizeof(text),
	    "%u replies known, %u calls in doubt: %u had run, %u were "
	    "finished, %u had not run, %u undecidable",
	    n->replies, n->doubts, n->done, n->finished, n->not_done,
	    n->undecidable);
	log_notice("volume %s: recovered: %s", name_of(li), text);
	set->calls.recovered(set->arg, li->volume, text);
}

void
logio_act(struct agent *a, const struct relay_action *x)
{
	struct logio_set *set = a->logio;
	struct logio *li = &set->v[x->volume];

	switch (x->type) {
	case RELAY_LOG_WRITE:
		write_now(li, x->log);
		break;
	case RELAY_LOG_SYNC:
		li->wanted = true;
		break;
	case RELAY_RECOVERED:
		tell_recovered(li, &x->recovered);
		break;
	case RELAY_DRAINED:
		set->calls.drained(set->arg, x->volume);
		break;
	case RELAY_SUSPECT:
		set->calls.suspect(set->arg, x->volume,
		    "a connection to it was lost with calls under way");
		break;
	case RELAY_GIVE_UP:
		set->calls.give_up(set->arg, x->volume, strerror(x->error));
		break;
	default:
		break;
	}
}

bool
logio_settle(struct agent *a)
{
	bool any = false;

	for (unsigned i = 0; a->logio != NULL && i < a->nvolumes; i++) {
		struct logio *li = &a->logio->v[i];

		/* It is to cover all records that the core gave. */
		if (!li->wanted || li->suspended || li->state != LOGIO_OPEN ||
		    !TAILQ_EMPTY(&li->late))
			continue;
		li->wanted = false;
		any = true;
		relay_log_sync_begins(a->relay, i);
		if (store_sync(li->store, &tag_sync) == -1)
			relay_log_synced(a->relay, i, errno, a->now_ms);
	}
	return any;
}

/* --- what the owner wants */

void
logio_start(struct agent *a, const struct logio_calls *calls, void *arg)
{
	a->logio = calloc(1, sizeof(*a->logio));
	if (a->logio == NULL)
		fatal("no memory for the logs of volumes");
	a->logio->calls = *calls;
	a->logio->arg = arg;
	for (unsigned i = 0; i < CONFIG_VOLUMES_MAX; i++) {
		a->logio->v[i].a = a;
		a->logio->v[i].volume = i;
		TAILQ_INIT(&a->logio->v[i].late);
	}
}

void
logio_end(struct agent *a)
{
	for (unsigned i = 0; a->logio != NULL && i < a->nvolumes; i++) {
		if (get(a, i)->state != LOGIO_SHUT)
			relay_log_clear(a->relay, i, a->now_ms);
		shut(get(a, i));
	}
	free(a->logio);
	a->logio = NULL;
}

void
logio_open(struct agent *a, unsigned volume, uint64_t epoch)
{
	struct logio *li = get(a, volume);
	const struct config_volume *cv = a->volumes[volume].cfg;
	struct store_config sc = {.mountpoint = cv->storage.mountpoint,
	    .cluster = a->cfg->cluster,
	    .volume = cv->id};
	char why[STORE_ERROR_LEN];

	if (li->state != LOGIO_SHUT) {
		a->logio->calls.opened(
		    a->logio->arg, volume, false, "it is open already");
		return;
	}
	li->epoch = epoch;
	li->store = store_open(&sc, why);
	if (li->store == NULL) {
		a->logio->calls.opened(a->logio->arg, volume, false, why);
		return;
	}
	li->state = LOGIO_READING;
	event_assign(&li->ev, a->base, store_fd(li->store),
	    EV_READ | EV_PERSIST, on_store, li);
	event_add(&li->ev, NULL);
	if (store_scan(li->store, &tag_scan) == -1)
		opened(li, false, strerror(errno));
}

void
logio_judge(struct agent *a, unsigned volume)
{
	if (get(a, volume)->state != LOGIO_OPEN)
		return;
	logio_forbid(a, volume);
	relay_recover_judge(a->relay, volume, a->now_ms);
}

void
logio_suspend(struct agent *a, unsigned volume, bool suspended)
{
	get(a, volume)->suspended = suspended;
}

void
logio_close(struct agent *a, unsigned volume)
{
	struct logio *li = get(a, volume);

	relay_log_clear(a->relay, volume, a->now_ms);
	if (li->state == LOGIO_SHUT)
		a->logio->calls.closed(a->logio->arg, volume);
	else if (li->state != LOGIO_CLOSING) {
		li->state = LOGIO_CLOSING;
		late_free(li);
		store_stop(li->store);
	}
}

void
logio_forget(struct agent *a, unsigned volume)
{
	relay_log_clear(a->relay, volume, a->now_ms);
	shut(get(a, volume));
}

bool
logio_is_open(const struct agent *a, unsigned volume)
{
	return a->logio != NULL && get(a, volume)->state == LOGIO_OPEN;
}
