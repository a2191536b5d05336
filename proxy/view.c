/*
 * What hanfsctl shows of the proxy, as JSON. Reads, changes nothing.
 */
#include <jansson.h>

#include "hanfs/ctlsock.h"

#include "proxy.h"

static json_int_t
ago(uint64_t now_ms, uint64_t then_ms)
{
	return then_ms == 0 ? -1 : (json_int_t)(now_ms - then_ms);
}

static json_t *
show_path(struct proxy *p, uint32_t i, uint64_t now)
{
	const struct path *path = px_path(p->px, i);

	return json_pack("{ss ss ss ss sI sI ss si sb sb sI sI sI sI}",
	    "server", p->pxcfg.server[i / p->pxcfg.nnetworks], "network",
	    p->pxcfg.network[i % p->pxcfg.nnetworks], "state",
	    path_state_names[path->state], "reason",
	    path_reason_names[path->reason], "for_ms",
	    (json_int_t)(now - path->since_ms), "heartbeat_ms_ago",
	    ago(now, path->heartbeat_ms), "control",
	    uconn_state_names[px_control(p->px, i)->state], "rtt_us",
	    (int)path->rtt_us, "lossy", path->lossy, "held",
	    path_held(path, now), "downs", (json_int_t)path->downs, "probes",
	    (json_int_t)path->probes, "heartbeats",
	    (json_int_t)path->heartbeats, "lost", (json_int_t)path->lost);
}

static json_t *
show_paths(void *arg)
{
	struct proxy *p = arg;
	json_t *list = json_array();
	uint64_t now = proxy_now(p);

	for (uint32_t i = 0; i < p->npaths; i++)
		if (px_path(p->px, i)->exists)
			json_array_append_new(list, show_path(p, i, now));
	return list;
}

static json_t *
show_volumes(void *arg)
{
	struct proxy *p = arg;
	json_t *list = json_array();
	uint64_t now = proxy_now(p);

	for (uint32_t i = 0; i < p->pxcfg.nvolumes; i++) {
		const struct px_volume *v = px_volume(p->px, i);
		struct px_oldest o;

		px_oldest(p->px, i, &o, now);
		json_array_append_new(list,
		    json_pack("{ss ss sI ss ss sI si si sI}", "volume",
			p->pxcfg.volume[i].name, "owner",
			p->pxcfg.server[v->owner], "epoch",
			(json_int_t)v->epoch, "network",
			v->best == PX_NONE ? "none"
					   : p->pxcfg.network[v->best],
			"because",
			v->best == PX_NONE ? "no path is up"
					   : px_rule_name(v->best_rule),
			"switches", (json_int_t)v->switches,
			"fences_awaited", (int)v->retired, "calls", (int)o.n,
			"oldest_call_ms",
			o.call == NULL ? 0
				: (json_int_t)(now - o.call->born_ms)));
	}
	return list;
}

struct call_view {
	struct proxy *p;
	json_t *list;
	uint64_t now;
};

static void
show_call(struct call *c, void *arg)
{
	struct call_view *v = arg;
	const struct px_config *cfg = &v->p->pxcfg;
	char xid[16], waits[120];

	snprintf(xid, sizeof(xid), "%08x", c->id.xid);
	px_waits_for(v->p->px, c, v->now, waits, sizeof(waits));
	json_array_append_new(v->list,
	    json_pack("{ss ss ss ss ss sI si si ss}", "volume",
		cfg->volume[c->kconn->volume].name, "xid", xid, "call",
		px_call_name(c), "state",
		c->state == CALL_SENT ? "sent" : "held", "network",
		c->state == CALL_SENT ? cfg->network[c->network] : "-",
		"age_ms", (json_int_t)(v->now - c->born_ms), "sends",
		(int)c->sends, "bytes", (int)c->rec->len, "waits_for", waits));
}

static json_t *
show_calls(void *arg)
{
	struct proxy *p = arg;
	struct call_view v = {p, json_array(), proxy_now(p)};

	for (struct kconn *k = px_kconns(p->px); k != NULL; k = k->next)
		px_each_call(p->px, k, show_call, &v);
	return v.list;
}

static json_t *
show_connections(void *arg)
{
	struct proxy *p = arg;
	json_t *list = json_array();

	for (struct kconn *k = px_kconns(p->px); k != NULL; k = k->next)
		for (uint32_t n = 0; n < p->pxcfg.nnetworks; n++)
			json_array_append_new(list,
			    json_pack("{sI ss sb ss ss sI sI si si}",
				"kernel_connection", (json_int_t)k->id,
				"volume", p->pxcfg.volume[k->volume].name,
				"retired", k->retired, "network",
				p->pxcfg.network[n], "state",
				uconn_state_names[k->u[n].state],
				"generation", (json_int_t)k->u[n].generation,
				"floor", (json_int_t)k->u[n].floor, "calls",
				(int)k->u[n].calls.n, "held",
				(int)k->held.n));
	return list;
}

static json_t *
show_events(void *arg)
{
	struct proxy *p = arg;
	static struct px_event e[PX_EVENTS];
	json_t *list = json_array();
	uint64_t now = proxy_now(p);
	size_t n = px_events(p->px, 0, e, PX_EVENTS);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list,
		    json_pack("{sI sI ss ss}", "number",
			(json_int_t)e[i].number, "ms_ago",
			(json_int_t)(now - e[i].when_ms), "event",
			px_event_names[e[i].id], "text", e[i].text));
	return list;
}

static void
put(json_t *o, const char *name, uint64_t value)
{
	json_object_set_new(o, name, json_integer((json_int_t)value));
}

static json_t *
show_counters(void *arg)
{
	struct proxy *p = arg;
	const struct px_counters *c = px_counters(p->px);
	struct rec_pool_use calls, replies;
	json_t *o = json_object();

	rec_pool_use(p->calls, &calls);
	rec_pool_use(p->replies, &replies);
	put(o, "calls", c->calls);
	put(o, "replies", c->replies);
	put(o, "replays", c->replays);
	put(o, "answered_after_replay", c->answered_sent_twice);
	put(o, "duplicates_held", c->duplicates);
	put(o, "duplicates_answered", c->lingered);
	put(o, "stray_replies", c->stray_replies);
	put(o, "connections_without_reply", c->resent);
	put(o, "fences", c->fences);
	put(o, "fences_confirmed", c->fences_confirmed);
	put(o, "connections_accepted", p->count.accepted);
	put(o, "refused_port", p->count.refused_port);
	put(o, "nonsense", p->count.nonsense);
	put(o, "answered_here", p->count.answered_here);
	put(o, "unknown_replies", p->count.unknown_replies);
	put(o, "hello_refused", p->count.hello_refused);
	put(o, "acks", p->count.acks);
	put(o, "acks_lost", p->count.taken_lost);
	put(o, "call_records", calls.recs);
	put(o, "call_chunks", calls.chunks);
	put(o, "call_chunks_most", calls.chunks_max);
	put(o, "call_memory_refused", calls.refused);
	put(o, "reply_records", replies.recs);
	put(o, "reply_pipes_most", replies.pipes_max);
	put(o, "reply_memory_refused", replies.refused);
	put(o, "detector_alive", evidence_detector_alive(p, proxy_now(p)));
	return o;
}

void
view_register(struct proxy *p, struct ctlsock *ctl)
{
	ctlsock_show(ctl, "paths", show_paths, p);
	ctlsock_show(ctl, "volumes", show_volumes, p);
	ctlsock_show(ctl, "calls", show_calls, p);
	ctlsock_show(ctl, "connections", show_connections, p);
	ctlsock_show(ctl, "events", show_events, p);
	ctlsock_show(ctl, "counters", show_counters, p);
}
