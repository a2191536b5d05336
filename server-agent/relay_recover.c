/*
 * A volume's log begins and ends: records that a scan found become entries
 * of the table again; all of it is forgotten. See relaylog.h.
 */
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_log.h"

/* --- the end */

static void
links_close(struct relay *r, struct relay_kconn *k)
{
	for (unsigned i = 0; i < RELAY_PROGRAMS; i++) {
		struct relay_link *l = &k->links[i];

		if (l->state != LINK_DOWN)
			relay_act(r, (struct relay_action){
					 .type = RELAY_CLOSE_LINK, .link = l});
		l->state = LINK_DOWN;
		l->retry_ms = 0;
	}
	k->heard = false;
}

static void
calls_drop(struct relay *r, struct relay_kconn *k)
{
	struct relay_entry *e;

	for (unsigned i = 0; i < RELAY_PROGRAMS; i++)
		while ((e = LIST_FIRST(&k->links[i].calls)) != NULL) {
			if (e->keys.missing > 0)
				r->n.waiting--;
			entry_release_keys(r, e);
			entry_free(r, e);
		}
}

static void
table_clear(struct relay *r, struct relay_table *t)
{
	for (unsigned i = 0; i < KEPT_LISTS; i++)
		while (!TAILQ_EMPTY(&t->kept[i]))
			entry_free(r, TAILQ_FIRST(&t->kept[i]));
	tomb_forget(t);
}

typedef void kconn_fn(struct relay *r, struct relay_kconn *k);

static void
each_kconn(struct relay *r, unsigned volume, kconn_fn *fn)
{
	struct relay_client *cl;
	struct relay_kconn *k;

	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(k, &cl->kconns, next)
			if (k->volume == volume)
				fn(r, k);
}

static void
vlog_free(struct vlog *v)
{
	doubts_free(v);
	writes_forget(v);
	tombs_free(v);
	slotmap_free(v->slots);
	free(v->filter);
	free(v);
}

void
relay_log_clear(struct relay *r, unsigned volume, uint64_t now_ms)
{
	struct vlog *v = r->logs[volume];
	struct relay_client *cl;
	struct relay_table *t;

	if (v != NULL)
		v->mode = VLOG_STOPPED;
	/* No call may start on a link when another gives up its keys. */
	each_kconn(r, volume, links_close);
	each_kconn(r, volume, calls_drop);
	LIST_FOREACH(cl, &r->clients, next)
		LIST_FOREACH(t, &cl->tables, next)
			if (t->volume == volume)
				table_clear(r, t);
	relay_volume_set(r, volume, false, now_ms);
	actions_forget(r, volume);
	r->logs[volume] = NULL;
	if (v != NULL)
		vlog_free(v);
}

/* --- the beginning */

int
relay_recover_begin(struct relay *r, unsigned volume,
    const struct relay_recover *recover, uint64_t now_ms)
{
	struct vlog *v = calloc(1, sizeof(*v));

	(void)now_ms;
	assert(volume < r->cfg.volumes && r->logs[volume] == NULL);
	if (v == NULL)
		return -1;
	v->r = r;
	v->volume = volume;
	v->cfg = *recover;
	TAILQ_INIT(&v->waiting);
	TAILQ_INIT(&v->under);
	v->xid = gate_hash(r->cfg.secret, sizeof(r->cfg.secret)) +
		 (uint32_t)recover->epoch;
	v->slots = slotmap_new(recover->slots, recover->client_slots);
	v->filter = calloc(GATE_SIZE, sizeof(*v->filter));
	if (v->slots == NULL || v->filter == NULL) {
		vlog_free(v);
		return -1;
	}
	slotmap_begin(v->slots, recover->seq, recover->write);
	r->logs[volume] = v;
	return 0;
}

struct relay_client *
recover_client(
    struct vlog *v, const uint8_t id[CLIENT_ID_LEN], uint64_t incarnation)
{
	struct relay_client *cl = client_find(v->r, id);

	if (cl == NULL) {
		/* As many as have slots: a limit is no reason to lose a log. */
		cl = client_add(v->r, id, NULL);
		if (cl == NULL)
			return NULL;
		/* Whoever has the id says the token, as for a new one. */
		cl->plain = incarnation == 0;
		cl->token_open = !cl->plain;
	}
	if (cl->incarnation < incarnation)
		cl->incarnation = incarnation;
	return cl;
}

static int
recover_reply(struct vlog *v, struct relay_table *t, const struct logrec *rec,
    struct slotmap_rec *slot, uint64_t now_ms)
{
	struct rec *reply;
	struct relay_entry *e;

	reply = rec_from(v->cfg.pool, rec->reply.p, rec->reply.len);
	if (reply == NULL)
		return -1;
	e = entry_recover(
	    v->r, t, &rec->id, rec->kconn, rec->incarnation, MARK_NONE, now_ms);
	if (e == NULL) {
		rec_unref(reply);
		return -1;
	}
	e->rec = reply;
	e->slot = slot;
	e->how = rec->how;
	v->found.replies++;
	return 0;
}

int
relay_recover_record(struct relay *r, unsigned volume,
    const struct logscan_record *record, uint64_t now_ms)
{
	struct vlog *v = r->logs[volume];
	const struct logrec *rec = &record->rec;
	struct relay_client *cl;
	struct relay_table *t = NULL;
	struct slotmap_rec *slot;

	assert(v != NULL && v->mode == VLOG_READING);
	slot = slotmap_adopt(
	    v->slots, rec->client, rec->seq, record->slots, record->parts);
	if (slot == NULL)
		return -1;
	if (v->wall_ms < rec->wall_ms)
		v->wall_ms = rec->wall_ms;
	if (rec->kind == LOGREC_TOMB && client_is_nobody(rec->client))
		return tomb_recover(v, NULL, rec, slot);
	cl = recover_client(v, rec->client, rec->incarnation);
	if (cl != NULL)
		t = table_get(cl, volume);
	if (t == NULL)
		return -1;
	switch (rec->kind) {
	case LOGREC_DONE:
		return recover_reply(v, t, rec, slot, now_ms);
	case LOGREC_INTENT:
		return doubt_new(v, record, slot);
	case LOGREC_TOMB:
		return tomb_recover(v, t, rec, slot);
	default:
		return -1;
	}
}

void
recover_tables(struct vlog *v, uint64_t now_ms)
{
	struct relay_client *cl;
	struct relay_table *t;

	LIST_FOREACH(cl, &v->r->clients, next)
		LIST_FOREACH(t, &cl->tables, next)
			if (t->volume == v->volume) {
				tomb_recovered(t);
				table_orphan_old(v->r, t, now_ms);
			}
}
