/*
 * The control socket: what hanfsctl shows of an agent, as JSON. What
 * changes something is registered here, too, and done in own_show.c.
 */
#include <stdio.h>
#include <string.h>

#include "hanfs/rpc.h"
#include "server-agent/agent.h"
#include "server-agent/own.h"
#include "server-agent/peers.h"
#include "server-agent/show.h"

#define COUNT(n) ((json_int_t)(n))

enum { CALLS_SHOWN = 1000 };

struct list {
	struct agent *a;
	json_t *array;
};

json_t *
show_hex(const uint8_t *p, size_t len)
{
	char text[65];

	for (size_t i = 0; i < len && i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", p[i]);
	return json_string(text);
}

static const char *
volume_name(const struct agent *a, unsigned i)
{
	return a->volumes[i].cfg->name;
}

static void
add_client(void *arg, const struct relay_client_view *v)
{
	struct list *l = arg;

	json_array_append_new(
	    l->array, json_pack("{so sb sI si si si si si}", "client",
			  show_hex(v->client, CLIENT_ID_LEN), "plain", v->plain,
			  "incarnation", COUNT(v->incarnation), "kconns",
			  (int)v->kconns, "connections", (int)v->conns,
			  "in_progress", (int)v->in_progress, "unacknowledged",
			  (int)v->unacked, "acknowledged", (int)v->acked));
}

static json_t *
show_clients(void *arg)
{
	struct list l = {arg, json_array()};

	relay_each_client(l.a->relay, add_client, &l);
	return l.array;
}

static void
add_kconn(void *arg, const struct relay_kconn_view *v)
{
	struct list *l = arg;
	json_t *floors = json_object();

	for (unsigned i = 0; i < l->a->cfg->nnetworks; i++)
		json_object_set_new(floors, l->a->cfg->networks[i].name,
		    json_integer(COUNT(v->floors[i])));
	json_array_append_new(l->array,
	    json_pack("{so ss sI sI si si sb sb sb so}", "client",
		show_hex(v->client, CLIENT_ID_LEN), "volume",
		volume_name(l->a, v->volume), "kconn", COUNT(v->kconn),
		"incarnation", COUNT(v->incarnation), "connections",
		(int)v->conns, "in_progress", (int)v->calls, "plain", v->plain,
		"retired", v->retired, "backend_up", v->link_up, "floors",
		floors));
}

static json_t *
show_kconns(void *arg)
{
	struct list l = {arg, json_array()};

	relay_each_kconn(l.a->relay, add_kconn, &l);
	return l.array;
}

static const char *
proc_name(const struct call_id *id)
{
	if (id->prog == RPC_PROG_NFS && id->proc < NFS3_NPROC)
		return nfs3_proc_names[id->proc];
	return rpc_program_name(id->prog);
}

static void
add_call(void *arg, const struct relay_call_view *v)
{
	struct list *l = arg;

	if (json_array_size(l->array) >= CALLS_SHOWN)
		return;
	json_array_append_new(l->array,
	    json_pack("{so ss sI ss ss ss sb sI so*}", "client",
		show_hex(v->client, CLIENT_ID_LEN), "volume",
		volume_name(l->a, v->volume), "xid", COUNT(v->id->xid),
		"procedure", proc_name(v->id), "class",
		call_class_names[v->class], "state",
		relay_stage_names[v->stage], "asked", v->asked, "for_ms",
		COUNT(v->since_ms > 0 ? l->a->now_ms - v->since_ms : 0),
		"keys_of_xid",
		v->holder != NULL ? json_integer(COUNT(v->holder->xid))
				  : NULL));
}

static json_t *
show_calls(void *arg)
{
	struct list l = {arg, json_array()};

	agent_now(l.a);
	relay_each_call(l.a->relay, add_call, &l);
	return l.array;
}

static json_t *
show_volumes(void *arg)
{
	static const char *const backend[] = {
	    "unknown", "not reached", "reached"};
	struct agent *a = arg;
	json_t *list = json_array(), *o;

	agent_now(a);
	for (unsigned i = 0; i < a->nvolumes; i++) {
		const struct agent_volume *v = &a->volumes[i];

		if (!v->here)
			continue;
		o = json_pack("{ss ss ss sI ss}", "volume", v->cfg->name,
		    "state", v->serving ? "serving" : "standby", "announced",
		    hb_state_name(v->told), "epoch", COUNT(v->epoch), "backend",
		    backend[v->backend + 1]);
		own_show_volume(a, i, o);
		json_array_append_new(list, o);
	}
	return list;
}

/* --- an operator's verdict: VOLUME CLIENT XID done|not-done */

int
show_unhex(const char *text, uint8_t client[CLIENT_ID_LEN])
{
	unsigned byte;

	for (unsigned i = 0; i < CLIENT_ID_LEN; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return -1;
		client[i] = (uint8_t)byte;
	}
	return text[2 * CLIENT_ID_LEN] == '\0' ? 0 : -1;
}

static json_t *
do_verdict(void *arg, const char *words)
{
	struct agent *a = arg;
	char volume[CONFIG_NAME_MAX + 1], hexid[2 * CLIENT_ID_LEN + 2];
	char word[9];
	uint8_t client[CLIENT_ID_LEN];
	unsigned xid;
	bool done;
	int i;

	_Static_assert(CONFIG_NAME_MAX == 64, "the widths below");
	if (sscanf(words, "%64s %33s %u %8s", volume, hexid, &xid, word) != 4)
		return json_pack("{ss}", "error",
		    "write: verdict VOLUME CLIENT XID done|not-done");
	done = strcmp(word, "done") == 0;
	i = config_find_volume(a->cfg, volume);
	if (i < 0 || show_unhex(hexid, client) == -1 ||
	    (!done && strcmp(word, "not-done") != 0))
		return json_pack("{ss}", "error",
		    "VOLUME, CLIENT and XID as 'show calls' has them, then "
		    "done or not-done");
	agent_now(a);
	if (!relay_verdict(a->relay, (unsigned)i, client, xid, done, a->now_ms))
		return json_pack("{ss}", "error",
		    "no such call is undecidable here; see 'show calls'");
	agent_settle(a);
	return json_pack("{ss}", "verdict", word);
}

/* --- counters */

static void
put(json_t *o, const char *name, uint64_t n)
{
	json_object_set_new(o, name, json_integer(COUNT(n)));
}

static void
put_relay(json_t *o, const struct relay_counts *n)
{
	for (unsigned i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof(name), "calls_%s", call_class_names[i]);
		put(o, name, n->calls[i]);
	}
	put(o, "replies", n->replies);
	put(o, "replayed", n->replayed);
	put(o, "attached", n->attached);
	put(o, "run_again", n->rerun);
	put(o, "answered_here", n->answered);
	put(o, "nonsense", n->nonsense);
	put(o, "waited_for_keys", n->key_waits);
	put(o, "held_by_quota", n->held);
	put(o, "unknown_xids", n->unknown_xid);
	put(o, "replies_discarded", n->discarded);
	put(o, "in_doubt", n->in_doubt);
	put(o, "acknowledged", n->acked);
	put(o, "expired", n->expired);
	put(o, "evicted", n->evicted);
	put(o, "unacknowledged_expired", n->unacked_expired);
	put(o, "hellos", n->hellos);
	put(o, "hellos_refused", n->refused);
	put(o, "fences", n->fences);
	put(o, "connections_fenced", n->fenced);
	put(o, "bad_tokens", n->bad_token);
	put(o, "log_intents", n->intents);
	put(o, "log_completions", n->completions);
	put(o, "log_commits", n->syncs);
	put(o, "log_replies_committed", n->covered);
	put(o, "log_reads_gated", n->gated);
	put(o, "log_errors_held", n->errors_held);
	put(o, "log_looked_again", n->looked_again);
	put(o, "log_slot_waits", n->slot_waits);
	put(o, "log_unlogged", n->unlogged);
	put(o, "log_forbidden_handles", n->forbidden);
	put(o, "log_undecidable", n->undecidable);
	put(o, "log_tombs", n->tombs);
	put(o, "links_unanswered", n->unanswered);
	put(o, "log_suspects", n->suspects);
	put(o, "log_given_up", n->give_ups);
	put(o, "now_slots", n->slots);
	put(o, "now_undecided", n->undecided);
	put(o, "now_clients", n->clients);
	put(o, "now_kconns", n->kconns);
	put(o, "now_connections", n->conns);
	put(o, "now_in_progress", n->in_progress);
	put(o, "now_waiting", n->waiting);
	put(o, "now_kept", n->kept);
}

static void
put_pool(json_t *o, const char *name, const struct rec_pool *pool)
{
	struct rec_pool_use u;

	rec_pool_use(pool, &u);
	json_object_set_new(o, name,
	    json_pack("{si si si si si si sI}", "records", (int)u.recs,
		"records_max", (int)u.recs_max, "chunks", (int)u.chunks,
		"chunks_max", (int)u.chunks_max, "pipes", (int)u.pipes,
		"pipes_max", (int)u.pipes_max, "refused", COUNT(u.refused)));
}

static void
put_heartbeats(json_t *o, struct agent *a)
{
	struct hbsend_stats s;
	uint64_t sent = 0, unicasts = 0;

	if (a->hb == NULL)
		return;
	hbsend_get_stats(a->hb, &s);
	for (unsigned i = 0; i < s.nlinks; i++) {
		sent += s.links[i].sent;
		unicasts += s.links[i].unicasts;
	}
	put(o, "heartbeats_sent", sent);
	put(o, "heartbeats_unicast", unicasts);
	put(o, "heartbeats_skipped", s.skipped);
	put(o, "heartbeat_worst_late_us", s.worst_late_us);
	put(o, "heartbeat_silences", s.silences);
	put(o, "now_subscribers", s.subscribers);
}

static json_t *
show_counters(void *arg)
{
	struct agent *a = arg;
	struct relay_counts n;
	json_t *o = json_object();

	relay_count(a->relay, &n);
	put(o, "boot", a->boot);
	put(o, "accepted", a->n.accepted);
	put(o, "refused", a->n.refused);
	put(o, "malformed", a->n.malformed);
	put(o, "insecure_ports", a->n.insecure);
	put(o, "slow_clients", a->n.slow_clients);
	put(o, "strangers", a->n.strangers);
	put(o, "abandoned", a->n.abandoned);
	put(o, "slow_backends", a->n.slow_backends);
	put(o, "closed_for_memory", a->n.relieved);
	put(o, "backend_failures", a->n.backend_failures);
	put_relay(o, &n);
	put_pool(o, "call_pool", a->calls);
	put_pool(o, "reply_pool", a->replies);
	put_heartbeats(o, a);
	return o;
}

int
show_start(struct agent *a, const char *run_dir)
{
	a->ctl = ctlsock_new(a->base, run_dir, "agent.sock");
	if (a->ctl == NULL)
		return -1;
	ctlsock_show(a->ctl, "clients", show_clients, a);
	ctlsock_show(a->ctl, "kconns", show_kconns, a);
	ctlsock_show(a->ctl, "calls", show_calls, a);
	ctlsock_show(a->ctl, "counters", show_counters, a);
	ctlsock_show(a->ctl, "volumes", show_volumes, a);
	ctlsock_show(a->ctl, "peers", peers_show, a);
	ctlsock_show(a->ctl, "tombs", show_tombs, a);
	ctlsock_show(a->ctl, "takeovers", own_show_takeovers, a);
	ctlsock_show(a->ctl, "events", own_show_events, a);
	ctlsock_do(a->ctl, "volume", own_do_volume, a);
	ctlsock_do(a->ctl, "drill", own_do_drill, a);
	ctlsock_do(a->ctl, "verdict", do_verdict, a);
	ctlsock_do(a->ctl, "forget", do_forget, a);
	return 0;
}
