/*
 * control: what hanfsctl shows of the detector, as JSON.  Reads, changes
 * nothing.
 */
#include <jansson.h>

#include "detector.h"
#include "hanfs/clock.h"
#include "hanfs/ctlsock.h"

/* Counters that are zero are left out. */
static json_t *
counters_of(const struct detector *d, unsigned slot)
{
	const struct listener *l = &d->listeners[slot];
	json_t *o = json_object();
	unsigned r;

	json_object_set_new(o, "interface", json_string(l->name));
	json_object_set_new(o, "network",
	    json_string(l->used ? d->cfg->networks[l->network].name : ""));
	json_object_set_new(o, "listening", json_boolean(l->listening));
	json_object_set_new(
	    o, "kernel_lost", json_integer((json_int_t)listen_lost(l)));
	for (r = 0; r < HB_REASONS; r++) {
		uint64_t n = hbguard_counter(d->guard, slot, r);

		if (n > 0 || r == HB_PASSED)
			json_object_set_new(
			    o, hb_reason_name(r), json_integer((json_int_t)n));
	}
	return o;
}

static json_t *
show_counters(void *arg)
{
	const struct detector *d = arg;
	json_t *list = json_array();
	unsigned i;

	for (i = 0; i < HBG_SLOTS_MAX; i++)
		if (d->listeners[i].name[0] != '\0')
			json_array_append_new(list, counters_of(d, i));
	return json_pack("{so sI sI si}", "interfaces", list, "for_ms",
	    (json_int_t)(clock_now_ms() - d->started_ms), "readers_dropped",
	    (json_int_t)reporter_dropped(d->reporter), "readers",
	    (int)reporter_readers(d->reporter));
}

static json_t *
volumes_of(const struct detector *d, const struct heartbeat *hb)
{
	json_t *list = json_array();
	unsigned i;

	for (i = 0; i < hb->nvolumes; i++) {
		const struct hb_volume *v = &hb->volumes[i];
		int n = config_find_volume_id(d->cfg, v->id);

		json_array_append_new(
		    list, json_pack("{si ss sI ss}", "id", (int)v->id, "volume",
			      n < 0 ? "" : d->cfg->volumes[n].name, "epoch",
			      (json_int_t)v->epoch, "state",
			      hb_state_name(v->state)));
	}
	return list;
}

static json_t *
heartbeat_of(const struct detector *d, const struct listener *l,
    const struct book_entry *e, uint64_t now_ms)
{
	int n = config_find_network_id(d->cfg, e->last.hb.network);
	int s = config_find_server_id(d->cfg, e->server);
	char from[ADDR_TEXT_SIZE];

	return json_pack("{ss ss ss ss sI sI sI si si sI sI sI sI sI so}",
	    "interface", l->name, "network",
	    n < 0 ? "" : d->cfg->networks[n].name, "server",
	    s < 0 ? "" : d->cfg->servers[s].name, "from",
	    addr_format(&e->last.source, from, sizeof(from)), "ms_ago",
	    (json_int_t)(now_ms - e->when_ms), "boot",
	    (json_int_t)e->last.hb.boot, "sequence",
	    (json_int_t)e->last.hb.sequence, "interval_ms",
	    (int)e->last.hb.interval_ms, "multiplier",
	    (int)e->last.hb.multiplier, "heard", (json_int_t)e->stats.count,
	    "lost", (json_int_t)e->stats.lost, "restarts",
	    (json_int_t)e->stats.restarts, "jitter_us",
	    (json_int_t)e->stats.jitter_us, "worst_us",
	    (json_int_t)e->stats.worst_us, "volumes",
	    volumes_of(d, &e->last.hb));
}

static json_t *
show_heartbeats(void *arg)
{
	const struct detector *d = arg;
	uint64_t now = clock_now_ms();
	json_t *list = json_array();
	unsigned i, s;

	for (i = 0; i < HBG_SLOTS_MAX; i++)
		for (s = 0; s < d->cfg->nservers; s++) {
			const struct book_entry *e = book_get(d->book, i, s);

			if (e != NULL)
				json_array_append_new(list,
				    heartbeat_of(d, &d->listeners[i], e, now));
		}
	return list;
}

void
control_register(struct ctlsock *ctl, struct detector *d)
{
	ctlsock_show(ctl, "counters", show_counters, d);
	ctlsock_show(ctl, "heartbeats", show_heartbeats, d);
}
