/*
 * own: the volume's log. It is opened beside the backend's start, judged as
 * a step of its own, and closed before the backend is stopped: what it has
 * open would keep the file system busy.
 */
#include <stdio.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/logio.h"
#include "server-agent/own_int.h"

static struct own_volume *
find(void *arg, unsigned volume)
{
	struct agent *a = arg;

	agent_now(a);
	return a->own->by_index[volume];
}

static void
feed(struct own_volume *v, enum owner_event_type type, const char *text)
{
	struct owner_event ev = {.type = type, .peer = -1, .text = text};

	own_feed(v, &ev);
}

static bool
does(const struct own_volume *v, enum owner_action_type what)
{
	const struct own_lane_state *l = &v->lanes[LANE_MAIN];

	return l->busy && l->queue[0].what == what;
}

/* --- opening, judging */

void
own_log_open(struct own_volume *v)
{
	v->log = LOG_OPENING;
	logio_open(v->a, v->index, owner_epoch(v->o));
}

static void
judge(struct own_volume *v)
{
	v->log = LOG_JUDGING;
	logio_judge(v->a, v->index);
}

void
own_log_recover(struct own_volume *v)
{
	if (v->log == LOG_OPEN)
		judge(v);
	else if (v->log != LOG_OPENING) /* else when it is opened */
		own_op_end(v, LANE_MAIN, false, v->log_text);
}

static void
on_opened(void *arg, unsigned volume, bool ok, const char *text)
{
	struct own_volume *v = find(arg, volume);

	if (v->log != LOG_OPENING)
		return;
	v->log = ok ? LOG_OPEN : LOG_CLOSED;
	snprintf(v->log_text, sizeof(v->log_text), "%s", text);
	if (!ok)
		log_err("volume %s: log: %s", own_name(v), text);
	if (does(v, OWNER_RECOVER))
		own_log_recover(v);
}

static void
on_recovered(void *arg, unsigned volume, const char *text)
{
	struct own_volume *v = find(arg, volume);

	if (v->log != LOG_JUDGING)
		return;
	v->log = LOG_READY;
	if (does(v, OWNER_RECOVER))
		own_op_end(v, LANE_MAIN, true, text);
}

/* --- closing */

bool
own_log_close(struct own_volume *v)
{
	if (v->log == LOG_CLOSED)
		return true;
	v->log = LOG_CLOSING;
	logio_close(v->a, v->index);
	return v->log == LOG_CLOSED;
}

static void
on_closed(void *arg, unsigned volume)
{
	struct own_volume *v = find(arg, volume);
	bool waited = v->log == LOG_CLOSING;

	v->log = LOG_CLOSED;
	snprintf(v->log_text, sizeof(v->log_text), "it is closed");
	if (waited)
		own_op_log_closed(v);
}

void
own_log_cancel(struct own_volume *v)
{
	if (v->log == LOG_CLOSING) { /* the disk hangs */
		logio_forget(v->a, v->index);
		v->log = LOG_CLOSED;
	}
}

/* --- what else it says */

static void
on_drained(void *arg, unsigned volume)
{
	struct own_volume *v = find(arg, volume);

	if (!v->draining)
		return;
	v->draining = false;
	own_feed_end(v, true, "no call runs");
}

static void
on_suspect(void *arg, unsigned volume, const char *text)
{
	feed(find(arg, volume), OWNER_EV_BACKEND_DIED, text);
}

static void
on_give_up(void *arg, unsigned volume, const char *text)
{
	feed(find(arg, volume), OWNER_EV_DISK_LOST, text);
}

const struct logio_calls own_log_calls = {
    .opened = on_opened,
    .recovered = on_recovered,
    .drained = on_drained,
    .suspect = on_suspect,
    .give_up = on_give_up,
    .closed = on_closed,
};
