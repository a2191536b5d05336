/*
 * own: whose connections come to the service address: clients without a
 * proxy. The owner keeps a list of them in the volume, so that the next one
 * can have them connect anew at once (step_plain.c). It is written by the
 * helper, a moment after a change, and never waited for; what a power cut
 * loses of it costs such a client its own time-out.
 */
#include <stdio.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/own_int.h"
#include "server-agent/steps_int.h"

enum { LIST_MAX = 7000, MOMENT_MS = 100, AGAIN_MS = 5000, WRITE_MS = 10000 };

static const char command[] =
    "umask 077; f=\"$HANFS_MOUNTPOINT/" STEP_PLAIN_FILE "\"; "
    "printf '%s' \"$HANFS_PLAIN\" >\"$f.new\" && sync -d \"$f.new\" && "
    "mv -f \"$f.new\" \"$f\"";

void
own_plain_changed(struct agent *a, const struct netconn *c)
{
	struct own_volume *v = NULL;

	if (a->own != NULL && c->kind == KIND_PLAIN && c->volume >= 0)
		v = a->own->by_index[c->volume];
	if (v == NULL || v->plain_due_ms != 0 ||
	    !addr_same_ip(&c->local, &v->av->cfg->storage.service_address))
		return;
	v->plain_due_ms = a->now_ms + MOMENT_MS;
}

/* Those that do not fit find out by themselves. */
static void
list(const struct own_volume *v, char *buf, size_t size)
{
	const struct hanfs_addr *own = &v->av->cfg->storage.service_address;
	char ip[ADDR_TEXT_SIZE], line[ADDR_TEXT_SIZE + 8];
	const struct netconn *c;
	size_t len = strlen(buf);

	LIST_FOREACH(c, &v->a->conns, next) {
		struct hanfs_addr peer = c->peer;
		int n;

		if (c->kind != KIND_PLAIN || c->volume != (int)v->index ||
		    !addr_same_ip(&c->local, own))
			continue;
		peer.port = 0;
		n = snprintf(line, sizeof(line), "%s %u\n",
		    addr_format(&peer, ip, sizeof(ip)), c->peer.port);
		if (n < 0 || len + (size_t)n >= size)
			break;
		memcpy(buf + len, line, (size_t)n + 1);
		len += (size_t)n;
	}
}

static void
on_written(void *arg, const struct steps_result *r)
{
	struct own_volume *v = arg;

	agent_now(v->a);
	v->plain_writing = false;
	if (r->end == STEPS_DONE)
		return;
	log_info("volume %s: the list of clients without proxy is not "
		 "written: %s",
	    own_name(v), r->text);
	if (v->plain_due_ms == 0)
		v->plain_due_ms = v->a->now_ms + AGAIN_MS;
}

/*
 * Not before the service address is up: until then the list of the owner
 * before us is being read. And not on the way down: what was there last is
 * for the next one.
 */
void
own_plain_tick(struct own_volume *v)
{
	char text[LIST_MAX] = "HANFS_PLAIN=";
	const char *env[] = {text, NULL};

	if (v->plain_due_ms == 0 || v->plain_due_ms > v->a->now_ms ||
	    v->plain_writing || owner_state(v->o) != OWNER_SERVING ||
	    v->lanes[LANE_ADDRESS].busy)
		return;
	list(v, text, sizeof(text));
	v->plain_writing =
	    steps_command(v->a->steps, command, env, (int)v->index,
		owner_epoch(v->o), WRITE_MS, on_written, v) != NULL;
	v->plain_due_ms = v->plain_writing ? 0 : v->a->now_ms + AGAIN_MS;
}
