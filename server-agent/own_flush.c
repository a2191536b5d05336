/*
 * own: does the disk still take what an unmount has to write? Neither the
 * flush that it waits for nor umount(2) says how far it is, and with much
 * memory each can take minutes; but the device counts.
 */
#include "server-agent/own_int.h"

/* Looked at so often; and less than that is no progress: our own lease is
 * written to the device, too. */
enum { LOOK_MS = 1000, PROGRESS_KIB = 1024 };

void
own_flush_tell(struct own_volume *v)
{
	struct owner_event ev = {.type = OWNER_EV_FLUSHES, .peer = -1};

	own_feed(v, &ev);
}

static bool
unmounts(const struct own_volume *v)
{
	const struct own_lane_state *l = &v->lanes[LANE_MAIN];

	return l->busy && l->queue[0].what == OWNER_UNMOUNT;
}

void
own_flush_tick(struct own_volume *v)
{
	bool first = v->flush_due_ms == 0;
	uint64_t kib;

	if (!unmounts(v)) {
		v->flush_due_ms = 0;
		return;
	}
	if (v->a->now_ms < v->flush_due_ms)
		return;
	v->flush_due_ms = v->a->now_ms + LOOK_MS;
	kib = steps_written_kib(v->av->cfg->storage.device);
	if (!first && kib < v->flush_kib + PROGRESS_KIB)
		return;
	v->flush_kib = kib;
	if (!first)
		own_flush_tell(v);
}
