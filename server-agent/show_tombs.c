/*
 * The control socket: what the log still knows of replies that expired
 * unacknowledged, and an operator's word that it may forget them.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server-agent/show.h"

struct list {
	struct agent *a;
	json_t *array;
};

static void
add_tomb(void *arg, const struct relay_tomb_view *v)
{
	struct list *l = arg;
	time_t t = (time_t)(v->wall_ms / 1000);
	char when[32] = "-";
	struct tm tm;

	if (t != 0 && gmtime_r(&t, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_array_append_new(
	    l->array, json_pack("{ss so sI ss}", "volume",
			  l->a->volumes[v->volume].cfg->name, "client",
			  v->client != NULL ? show_hex(v->client, CLIENT_ID_LEN)
					    : json_string("away"),
			  "calls", (json_int_t)v->calls, "last", when));
}

json_t *
show_tombs(void *arg)
{
	struct list l = {arg, json_array()};

	relay_each_tomb(l.a->relay, add_tomb, &l);
	return l.array;
}

/* VOLUME CLIENT|away */
json_t *
do_forget(void *arg, const char *words)
{
	struct agent *a = arg;
	char volume[CONFIG_NAME_MAX + 1], who[2 * CLIENT_ID_LEN + 2];
	uint8_t client[CLIENT_ID_LEN];
	bool away;
	uint64_t calls;
	int i, busy;

	_Static_assert(CONFIG_NAME_MAX == 64, "the widths below");
	if (sscanf(words, "%64s %33s", volume, who) != 2)
		return json_pack(
		    "{ss}", "error", "write: forget VOLUME CLIENT|away");
	away = strcmp(who, "away") == 0;
	i = config_find_volume(a->cfg, volume);
	if (i < 0 || (!away && show_unhex(who, client) == -1))
		return json_pack("{ss}", "error",
		    "VOLUME and CLIENT as 'show tombs' has them, or away for "
		    "those of clients that went away");
	agent_now(a);
	busy = relay_tombs_forget(
	    a->relay, (unsigned)i, away ? NULL : client, &calls);
	if (busy == -1)
		return json_pack("{ss}", "error",
		    "this server does not serve the volume, or it has no log; "
		    "ask its owner");
	agent_settle(a);
	if (calls == 0)
		return json_pack("{ss}", "error",
		    busy > 0 ? "they are being written; ask again"
			     : "there are none; see 'show tombs'");
	return json_pack(
	    "{sI si}", "forgotten", (json_int_t)calls, "being_written", busy);
}
