/*
 * A call's order keys: which it takes, and what starts when another gives up
 * its own. See callkeys.h.
 */
#include "server-agent/relay_log.h"

/* A call that holds all its keys goes to the backend, or into the log. */
static void
entry_start(struct relay *r, struct relay_entry *e)
{
	struct vlog *v = link_log(e->link);

	if (e->link->state == LINK_DOWN)
		return; /* it is about to be dropped, too */
	if (v != NULL && v->mode != VLOG_ON)
		return; /* all is about to be forgotten */
	if (e->log != NULL) {
		log_start(v, e);
		return;
	}
	if (v != NULL && e->class == CALL_LOGGED)
		gate_enter(v, e);
	entry_send(r, e);
}

void
entries_start(struct relay *r, struct key_req *ready)
{
	struct key_req *next;

	for (; ready != NULL; ready = next) {
		next = ready->next;
		r->n.waiting--;
		entry_start(r, ready->owner);
	}
}

void
entry_release_keys(struct relay *r, struct relay_entry *e)
{
	entries_start(r, keys_release(r->keys, &e->keys));
}

/* Does its backend sleep in a RENAME (callkeys.h)? What a volume without a
 * log has is not known here. */
static bool
backend_sleeps(const struct relay_entry *e)
{
	const struct vlog *v = link_log(e->link);

	return v == NULL || !v->cfg.knfsd;
}

static bool
takes_none(const struct relay_entry *e)
{
	return e->id.prog != RPC_PROG_NFS ||
	       (e->class == CALL_PASSED && !backend_sleeps(e));
}

void
entry_take_keys(
    struct relay *r, struct relay_entry *e, const struct nfs3_args *args)
{
	struct key_set set = {0};
	unsigned volume = e->table->volume;

	if (takes_none(e))
		;
	else if (e->log != NULL && !r->cfg.rules.no_inode_keys)
		log_keys_first(&set, r->cfg.secret, volume, backend_sleeps(e),
		    e->id.proc, args);
	else
		call_keys(&set, r->cfg.secret, volume, e->id.proc, args);
	if (keys_take(r->keys, &e->keys, &set))
		entry_start(r, e);
	else {
		r->n.waiting++;
		r->n.key_waits++;
	}
}

void
entry_keys_all(
    const struct relay *r, const struct relay_entry *e, struct key_set *all)
{
	log_keys_all(all, r->cfg.secret, e->table->volume, backend_sleeps(e),
	    &e->log->call, &e->log->ask.ps);
}
