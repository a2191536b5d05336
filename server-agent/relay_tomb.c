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
 *
 * How long? A kernel waits for ever for an answer, also through weeks with
 * its host asleep: absence proves nothing, and no time of it ends a tomb. What
 * ends it is presence: a client sends what it has again as soon as it is
 * there, so one that has had other replies, and acknowledged them, for an hour
 * (for retain_ms, if that is more) has none of those calls any more
 * (tomb_age()).
 *
 * Tombs of clients that went away are joined, as many in one as there is room
 * for (tomb_leave()): such a *common* tomb is nobody's, its record has a
 * client id of zeros. It costs one slot for LOGREC_NAMES_MAX calls, and its
 * clients need not be known any more. It stays.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_log.h"

/* PRESENT_MS, or retain_ms: the presence that ends a tomb. At most ACK_STEP_MS
 * between two ACKs counts: a proxy that is stopped keeps its connections. */
enum { PRESENT_MS = 3600000, ACK_STEP_MS = 60000 };

/* Of one volume. */
struct tomb {
	struct vlog *v;
	const struct relay_client *client; /* NULL: a common one */
	struct tomb *next;                 /* of the common ones */
	struct slotmap_rec *slot;
	uint64_t buried; /* how many calls; more than n: some have no name */
	unsigned n;
	uint8_t names[LOGREC_NAMES_MAX][LOGREC_NAME_LEN]; /* oldest first */
	uint64_t seen[64]; /* a bit for some of an XID's: is it worth a look? */
	uint64_t acked_ms, lived_ms; /* since the last name */
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

static unsigned
name_bit(const uint8_t name[LOGREC_NAME_LEN])
{
	return (name[2] & 15u) << 8 | name[3];
}

static bool
has_name(const struct tomb *t, const uint8_t name[LOGREC_NAME_LEN])
{
	unsigned bit = name_bit(name);

	if ((t->seen[bit / 64] >> bit % 64 & 1) == 0)
		return false;
	for (unsigned i = t->n; i-- > 0;)
		if (memcmp(t->names[i], name, LOGREC_NAME_LEN) == 0)
			return true;
	return false;
}

static void
add_name(struct tomb *t, const uint8_t name[LOGREC_NAME_LEN])
{
	unsigned bit = name_bit(name);

	t->acked_ms = t->lived_ms = 0;
	if (has_name(t, name))
		return;
	t->seen[bit / 64] |= UINT64_C(1) << bit % 64;
	t->buried++;
	if (t->n == LOGREC_NAMES_MAX)
		memmove(
		    t->names[0], t->names[1], --t->n * (size_t)LOGREC_NAME_LEN);
	memcpy(t->names[t->n++], name, LOGREC_NAME_LEN);
}

static struct tomb *
tomb_new(struct vlog *v, const struct relay_client *client)
{
	struct tomb *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		log_give_up(v, ENOMEM);
		return NULL;
	}
	t->v = v;
	t->client = client;
	return t;
}

static struct tomb *
tomb_get(struct vlog *v, struct relay_table *t)
{
	if (t->tomb == NULL)
		t->tomb = tomb_new(v, t->client);
	return t->tomb;
}

void
tomb_forget(struct relay_table *t)
{
	free(t->tomb);
	t->tomb = NULL;
}

void
tombs_free(struct vlog *v)
{
	struct tomb *t;

	while ((t = v->commons) != NULL) {
		v->commons = t->next;
		free(t);
	}
}

/* --- into the log */

static void tomb_write(struct tomb *t);

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
	struct tomb *t = w->owner;
	struct slotmap_rec *s;

	(void)now_ms;
	t->writing = false;
	while ((s = t->covered) != NULL) {
		t->covered = s->next;
		slotmap_release(w->v->slots, s);
	}
	if (t->again)
		tomb_write(t);
	table_resume(w->v->r);
}

static void
tomb_write(struct tomb *t)
{
	struct vlog *v = t->v;
	struct relay_log *w;

	t->again = t->writing;
	if (t->writing)
		return;
	w = write_new(v, LOGREC_TOMB, t->slot, t, tomb_written);
	if (w == NULL)
		return;
	if (t->client != NULL) {
		memcpy(w->rec.client, t->client->id, CLIENT_ID_LEN);
		w->rec.incarnation = t->client->incarnation;
	}
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
tomb_take_slot(struct tomb *t, struct slotmap_rec *slot)
{
	slotmap_shrink(t->v->slots, slot);
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
	tomb_take_slot(t, e->slot);
	e->slot = NULL;
	tomb_write(t);
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

/* --- the end of a tomb */

void
tomb_age(struct relay *r, struct relay_table *table, uint64_t now_ms)
{
	struct vlog *v = r->logs[table->volume];
	struct tomb *t = table->tomb;
	uint64_t step;
	char name[9];

	if (t == NULL || v->mode != VLOG_ON)
		return;
	step = t->acked_ms == 0 ? 0 : now_ms - t->acked_ms;
	t->lived_ms += step < ACK_STEP_MS ? step : ACK_STEP_MS;
	t->acked_ms = now_ms;
	if (t->lived_ms < PRESENT_MS || t->lived_ms < r->cfg.retain_ms ||
	    t->writing)
		return;
	relay_note(r, "client %s: %llu calls that expired are not asked for "
		      "any more",
	    relay_client_name(t->client, name), (unsigned long long)t->buried);
	slotmap_release(v->slots, t->slot);
	tomb_forget(table);
	table_resume(r);
}

static void
common_add(struct tomb *t)
{
	t->client = NULL;
	t->next = t->v->commons;
	t->v->commons = t;
}

/* The first that goes leaves its record, as one of nobody's; the next ones'
 * slots are free when that names their calls. */
void
tomb_leave(struct relay_table *table)
{
	struct tomb *t = table->tomb, *c;

	/* Names that are left out are its client's alone. */
	if (t == NULL || t->writing || t->buried > t->n)
		return;
	table->tomb = NULL;
	for (c = t->v->commons; c != NULL; c = c->next)
		if (c->n + t->n <= LOGREC_NAMES_MAX)
			break;
	if (c == NULL) {
		common_add(t);
		tomb_write(t);
		return;
	}
	for (unsigned i = 0; i < t->n; i++)
		add_name(c, t->names[i]);
	tomb_take_slot(c, t->slot);
	tomb_write(c);
	free(t);
}

/* --- from the log */

bool
client_is_nobody(const uint8_t id[CLIENT_ID_LEN])
{
	static const uint8_t nobody[CLIENT_ID_LEN];

	return memcmp(id, nobody, CLIENT_ID_LEN) == 0;
}

int
tomb_recover(struct vlog *v, struct relay_table *table,
    const struct logrec *rec, struct slotmap_rec *slot)
{
	struct tomb *t =
	    table != NULL ? tomb_get(v, table) : tomb_new(v, NULL);
	unsigned n = rec->names.len / LOGREC_NAME_LEN;

	if (t == NULL)
		return -1;
	if (table == NULL)
		common_add(t);
	v->found.tombs += t->slot == NULL;
	for (unsigned i = 0; i < n; i++)
		add_name(t, rec->names.p + i * (size_t)LOGREC_NAME_LEN);
	if (rec->expired > n)
		t->buried += rec->expired - n;
	tomb_take_slot(t, slot);
	return 0;
}

void
tomb_recovered(struct relay_table *table)
{
	if (table->tomb != NULL && table->tomb->graves != NULL)
		tomb_write(table->tomb);
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
	const struct tomb *t = k->table->tomb, *c;
	bool sent = take_sent(k, id->xid);
	uint8_t name[LOGREC_NAME_LEN];

	logrec_name(id, name);
	for (c = k->r->logs[k->volume]->commons; c != NULL; c = c->next)
		if (has_name(c, name))
			return true;
	if (t == NULL)
		return false;
	return has_name(t, name) || (sent && t->buried > t->n);
}
