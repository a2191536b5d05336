/*
 * Slots that are given back, and what is left of replies that expired before
 * their client acknowledged them.
 *
 * Of a client with expired replies a *tomb* stays in the log, one record that
 * names their calls: an unknown call that it names has run, nobody has its
 * reply, and it is undecidable (relay_undecided.c). What it does not name
 * runs. The record has room for the LOGREC_NAMES_MAX that expired last; once
 * older ones are left out, an unknown call that HELLO says may have been sent
 * before is undecidable, too.
 *
 * The slot of such a reply is given back when the tomb that names its call is
 * in the log, not before: a cut leaves the reply, or its name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_log.h"

/* Of one client on one volume. */
struct tomb {
	struct slotmap_rec *slot;
	uint64_t buried; /* how many calls; more than n: some have no name */
	unsigned n;
	uint8_t names[LOGREC_NAMES_MAX][LOGREC_NAME_LEN]; /* oldest first */
	/* as it is being written; one write at a time */
	bool writing, again;
	uint8_t out[LOGREC_NAMES_MAX][LOGREC_NAME_LEN];
	/* given back when it is: by the write under way, by the next one */
	struct slotmap_rec *covered, *graves;
};

void
slot_release(struct relay *r, struct relay_entry *e)
{
	struct vlog *v = r->logs[e->table->volume];

	if (e->slot == NULL)
		return;
	slotmap_shrink(v->slots, e->slot);
	slotmap_release(v->slots, e->slot);
	e->slot = NULL;
}

/* --- names */

static bool
has_name(const struct tomb *t, const uint8_t name[LOGREC_NAME_LEN])
{
	for (unsigned i = t->n; i-- > 0;)
		if (memcmp(t->names[i], name, LOGREC_NAME_LEN) == 0)
			return true;
	return false;
}

static void
add_name(struct tomb *t, const uint8_t name[LOGREC_NAME_LEN])
{
	if (has_name(t, name))
		return;
	t->buried++;
	if (t->n == LOGREC_NAMES_MAX)
		memmove(
		    t->names[0], t->names[1], --t->n * (size_t)LOGREC_NAME_LEN);
	memcpy(t->names[t->n++], name, LOGREC_NAME_LEN);
}

static struct tomb *
tomb_get(struct vlog *v, struct relay_table *t)
{
	if (t->tomb == NULL)
		t->tomb = calloc(1, sizeof(*t->tomb));
	if (t->tomb == NULL)
		log_give_up(v, ENOMEM);
	return t->tomb;
}

void
tomb_forget(struct relay_table *t)
{
	free(t->tomb);
	t->tomb = NULL;
}

/* --- into the log */

static void tomb_write(struct vlog *v, struct relay_table *table);

static unsigned
count_slots(const struct slotmap_rec *s)
{
	unsigned n = 0;

	for (; s != NULL; s = s->next)
		n += s->nslots;
	return n;
}

static void
tomb_written(struct relay_log *w, uint64_t now_ms)
{
	struct relay_table *table = w->owner;
	struct tomb *t = table->tomb;
	struct slotmap_rec *s;

	(void)now_ms;
	t->writing = false;
	while ((s = t->covered) != NULL) {
		t->covered = s->next;
		slotmap_release(w->v->slots, s);
	}
	if (t->again)
		tomb_write(w->v, table);
	table_resume(w->v->r);
}

static void
tomb_write(struct vlog *v, struct relay_table *table)
{
	struct tomb *t = table->tomb;
	struct relay_log *w;

	t->again = t->writing;
	if (t->writing)
		return;
	w = write_new(v, LOGREC_TOMB, t->slot, table, tomb_written);
	if (w == NULL)
		return;
	memcpy(w->rec.client, table->client->id, CLIENT_ID_LEN);
	w->rec.incarnation = table->client->incarnation;
	w->rec.class = CALL_LOGGED;
	w->rec.expired = t->buried;
	w->rec.last_wall_ms = v->wall_ms;
	memcpy(t->out, t->names, sizeof(t->out));
	w->rec.names = (struct nfs3_bytes){t->out[0], t->n * LOGREC_NAME_LEN};
	t->writing = true;
	t->covered = t->graves;
	t->graves = NULL;
	write_issue(w);
}

/* The first slot is the tomb's own from here on. */
static void
tomb_take_slot(struct vlog *v, struct tomb *t, struct slotmap_rec *slot)
{
	slotmap_shrink(v->slots, slot);
	if (t->slot == NULL) {
		t->slot = slot;
		return;
	}
	slot->next = t->graves;
	t->graves = slot;
}

void
slot_entomb(struct relay *r, struct relay_entry *e)
{
	struct vlog *v = r->logs[e->table->volume];
	uint8_t name[LOGREC_NAME_LEN];
	struct tomb *t;

	if (e->slot == NULL || (t = tomb_get(v, e->table)) == NULL)
		return;
	r->n.tombs += t->slot == NULL;
	logrec_name(&e->id, name);
	add_name(t, name);
	tomb_take_slot(v, t, e->slot);
	e->slot = NULL;
	tomb_write(v, e->table);
}

void
slot_bury(struct relay *r, struct relay_entry *e)
{
	if (!e->table->client->plain && !r->cfg.rules.no_tomb &&
	    e->mark != MARK_NOT_RUN)
		slot_entomb(r, e);
}

unsigned
tomb_gives(const struct relay_table *table)
{
	const struct tomb *t = table->tomb;

	return t == NULL ? 0 : count_slots(t->covered) + count_slots(t->graves);
}

/* --- from the log */

int
tomb_recover(struct vlog *v, struct relay_table *table,
    const struct logrec *rec, struct slotmap_rec *slot)
{
	struct tomb *t = tomb_get(v, table);
	unsigned n = rec->names.len / LOGREC_NAME_LEN;

	if (t == NULL)
		return -1;
	v->found.tombs += t->slot == NULL;
	for (unsigned i = 0; i < n; i++)
		add_name(t, rec->names.p + i * (size_t)LOGREC_NAME_LEN);
	if (rec->expired > n)
		t->buried += rec->expired - n;
	tomb_take_slot(v, t, slot);
	return 0;
}

void
tomb_recovered(struct vlog *v, struct relay_table *table)
{
	if (table->tomb != NULL && table->tomb->graves != NULL)
		tomb_write(v, table);
}

void
tomb_of_one(struct relay_log *w, const struct call_id *id)
{
	logrec_name(id, w->pre);
	w->rec.names = (struct nfs3_bytes){w->pre, LOGREC_NAME_LEN};
	w->rec.expired = 1;
	w->rec.last_wall_ms = w->v->wall_ms;
}

/* --- what it says of a call */

/* Is it in HELLO's list? It is asked for once. */
static bool
take_sent(struct relay_kconn *k, uint32_t xid)
{
	for (unsigned i = 0; i < k->nsent; i++)
		if (k->sent[i] == xid) {
			k->sent[i] = k->sent[--k->nsent];
			return true;
		}
	return false;
}

bool
tomb_tells(struct relay_kconn *k, const struct call_id *id)
{
	const struct tomb *t = k->table->tomb;
	bool sent = take_sent(k, id->xid);
	uint8_t name[LOGREC_NAME_LEN];

	if (t == NULL)
		return false;
	logrec_name(id, name);
	return has_name(t, name) || (sent && t->buried > t->n);
}

/* --- HELLO's list */

static bool
is_sent(const uint32_t *sent, unsigned n, uint32_t xid)
{
	for (unsigned i = 0; i < n; i++)
		if (sent[i] == xid)
			return true;
	return false;
}

/*
 * A kernel connection comes for the first time after a recovery. What the
 * log knows of it, and what is not among the calls that it still wants an
 * answer to, has been answered: its ACK was lost with the old owner.
 */
static void
ack_answered(struct relay *r, struct relay_kconn *k,
    const struct relay_hello *h, uint64_t now_ms)
{
	struct relay_entry *e, *next;

	for (e = TAILQ_FIRST(&k->table->kept[KEPT_UNACKED]); e != NULL;
	     e = next) {
		next = TAILQ_NEXT(e, on_kept);
		if (!e->recovered || e->mark != MARK_NONE ||
		    e->kconn != k->number || e->incarnation != k->incarnation)
			continue;
		if (!is_sent(h->sent, h->nsent, e->id.xid)) {
			r->n.acked++;
			entry_acked(r, e, now_ms);
		}
	}
}

void
log_hello(struct relay *r, struct relay_kconn *k, const struct relay_hello *h,
    uint64_t now_ms)
{
	if (r->logs[k->volume] == NULL)
		return;
	if (!k->heard && !h->resend)
		ack_answered(r, k, h, now_ms);
	free(k->sent);
	k->sent = NULL;
	k->nsent = 0;
	if (h->nsent == 0)
		return;
	k->sent = calloc(h->nsent, sizeof(*k->sent));
	if (k->sent == NULL)
		return;
	k->nsent = h->nsent;
	memcpy(k->sent, h->sent, h->nsent * sizeof(*k->sent));
}
