/*
 * own: what hanfsctl shows of managed volumes, and what it may do to them.
 */
#include <stdio.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/own_int.h"

#define COUNT(n) ((json_int_t)(n))

static struct own_volume *
find(struct agent *a, const char *name)
{
	int i = config_find_volume(a->cfg, name);

	return i < 0 || a->own == NULL ? NULL : a->own->by_index[i];
}

static const char *
server_name(const struct agent *a, int server)
{
	return server >= 0 ? a->cfg->servers[server].name : NULL;
}

/* --- show */

void
own_show_volume(const struct agent *a, unsigned volume, json_t *to)
{
	const struct own_volume *v =
	    a->own != NULL ? a->own->by_index[volume] : NULL;
	uint64_t until;

	if (v == NULL)
		return;
	until = arbiter_valid_until_ms(v->arbiter);
	json_object_set_new(
	    to, "state", json_string(owner_state_names[owner_state(v->o)]));
	json_object_set_new(
	    to, "owner", json_pack("s?", server_name(a, owner_holder(v->o))));
	json_object_set_new(to, "lease",
	    json_string(lease_state_names[arbiter_state(v->arbiter)]));
	json_object_set_new(to, "lease_left_ms",
	    json_integer(COUNT(until > a->now_ms ? until - a->now_ms : 0)));
	json_object_set_new(
	    to, "disk", json_string(v->disk_works ? "works" : "lost"));
}

static json_t *
steps_of(const struct owner_report *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->nsteps; i++)
		json_array_append_new(
		    list, json_pack("{ss sI}", "state",
			      owner_state_names[r->steps[i].state], "ms",
			      COUNT(r->steps[i].ms)));
	return list;
}

json_t *
own_show_takeovers(void *agent)
{
	struct agent *a = agent;
	json_t *list = json_array();

	for (unsigned i = 0; a->own != NULL && i < a->own->n; i++) {
		const struct own_volume *v = &a->own->v[i];
		const struct owner_report *r;

		for (unsigned k = 0; (r = owner_report(v->o, k)) != NULL; k++)
			json_array_append_new(list,
			    json_pack("{ss ss sI sI sI sb sb ss ss sI so}",
				"volume", own_name(v), "trip",
				owner_trip_names[r->trip], "number",
				COUNT(r->number), "epoch", COUNT(r->epoch),
				"ago_ms", COUNT(a->now_ms - r->at_ms), "ok",
				r->ok, "running", r->running, "cause", r->cause,
				"text", r->text, "total_ms", COUNT(r->total_ms),
				"steps", steps_of(r)));
	}
	return list;
}

static void
add_event(json_t *list, const struct own_volume *v, const struct own_event *e)
{
	json_array_append_new(list,
	    json_pack("{ss sI sI ss ss ss ss}", "volume", own_name(v), "number",
		COUNT(e->number), "ago_ms", COUNT(v->a->now_ms - e->when_ms),
		"from", owner_state_names[e->from], "to",
		owner_state_names[e->to], "text", e->text, "evidence",
		e->evidence));
}

json_t *
own_show_events(void *agent)
{
	struct agent *a = agent;
	json_t *list = json_array();

	agent_now(a);
	for (unsigned i = 0; a->own != NULL && i < a->own->n; i++) {
		const struct own_volume *v = &a->own->v[i];
		uint64_t first =
		    v->events > OWN_EVENTS ? v->events - OWN_EVENTS : 0;

		for (uint64_t k = first; k < v->events; k++)
			add_event(list, v, &v->event[k % OWN_EVENTS]);
	}
	return list;
}

/* --- do */

static json_t *
error_doc(const char *what, const char *word)
{
	return json_pack(
	    "{s:s++}", "error", what, word[0] != '\0' ? ": " : "", word);
}

static json_t *
request(struct own_volume *v, enum owner_event_type type, int peer)
{
	struct owner_event ev = {.type = type, .peer = peer};
	const char *no = owner_refuses(v->o, type, peer);

	if (no != NULL)
		return error_doc(no, "");
	log_notice("volume %s: an operator asks: %s", own_name(v),
	    owner_event_names[type]);
	agent_now(v->a);
	own_feed(v, &ev);
	agent_settle(v->a);
	return json_pack("{ss ss}", "volume", own_name(v), "state",
	    owner_state_names[owner_state(v->o)]);
}

json_t *
own_do_volume(void *agent, const char *words)
{
	char volume[CONFIG_NAME_MAX + 1], server[CONFIG_NAME_MAX + 1];
	struct agent *a = agent;
	struct own_volume *v;
	int peer;

	_Static_assert(CONFIG_NAME_MAX == 64, "the widths below");
	if (sscanf(words, "%64s move %64s", volume, server) != 2)
		return error_doc("write: volume VOLUME move SERVER", "");
	v = find(a, volume);
	if (v == NULL)
		return error_doc(
		    "not a volume with shared storage on this server", volume);
	peer = config_find_server(a->cfg, server);
	if (peer < 0)
		return error_doc("no such server", server);
	return request(v, OWNER_EV_MOVE, peer);
}

json_t *
own_do_drill(void *agent, const char *words)
{
	struct agent *a = agent;
	struct own_volume *v = find(a, words);
	int peer = -1;

	if (v == NULL)
		return error_doc(
		    "not a volume with shared storage on this server", words);
	for (unsigned i = 0; i < v->av->cfg->ncandidates && peer < 0; i++) {
		unsigned s = v->av->cfg->candidates[i];

		if (s != a->server && (a->own->verdict[s] == SUSPECT_ALIVE))
			peer = (int)s;
	}
	return request(v, OWNER_EV_DRILL, peer);
}
