/*
 * Slots that are given back, and what is left of replies that expired before
 * their client acknowledged them.
 *
 * Of a client with expired replies *tombs* stay in the log, records that name
 * their calls: an unknown call that they name has run, nobody has its reply,
 * and it is undecidable (relay_undecided.c). What they do not name runs: HELLO
 * cannot be asked, for a proxy that was killed does not tell the next one what
 * it had sent. So no name is ever left out: a record that has
 * LOGREC_NAMES_MAX is full, and the slot of the next reply becomes the
 * client's next tomb. They count in its quota of slots: when that is all
 * tombs, its calls wait (relay_tombend.c says what ends them).
 *
 * The slot of such a reply is given back when the tomb that names its call is
 * in the log, not before: a cut leaves the reply, or its name.
 *
 * An older hanfs left the oldest names out when there was no room: of those,
 * what HELLO says may have been sent before is undecidable.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_tomb.h"

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

void
tomb_add_name(struct tomb *t, const uint8_t name[LOGREC_NAME_LEN])
{
	unsigned bit = name_bit(name);

	t->acked_ms = t->lived_ms = t->wall_ms = 0;
	if (has_name(t, name))
		return;
	t->seen[bit / 64] |= UINT64_C(1) << bit % 64;
	t->buried++;
	assert(t->n < LOGREC_NAMES_MAX);
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

/* One more of the client's. */
static struct tomb *
tomb_next(struct vlog *v, struct relay_table *table)
{
	struct tomb *t = tomb_new(v, table->client);

	if (t == NULL)
		return NULL;
	t->next = table->tomb;
	table->tomb = t;
	return t;
}

/* The client's that has room for so many names. */
static struct tomb *
tomb_with_room(struct vlog *v, struct relay_table *table, unsigned n)
{
	struct tomb *t;

	for (t = table->tomb; t != NULL; t = t->next)
		if (t->n + n <= LOGREC_NAMES_MAX && t->buried == t->n)
			return t;
	return tomb_next(v, table);
}

/* The client's that has that name already, or will. */
static struct tomb *
tomb_for(struct vlog *v, struct relay_table *table,
    const uint8_t name[LOGREC_NAME_LEN])
{
	for (struct tomb *t = table->tomb; t != NULL; t = t->next)
		if (has_name(t, name))
			return t;
	return tomb_with_room(v, table, 1);
}

static struct tomb *
tomb_found(struct vlog *v, struct relay_table *table, const struct logrec *rec,
    unsigned n)
{
	if (table == NULL)
		return tomb_new(v, NULL);
	if (rec->expired > n)
		return tomb_next(v, table);
	if (n == 1)
		return tomb_for(v, table, rec->names.p);
	return tomb_with_room(v, table, n);
}

void
tomb_forget(struct relay_table *table)
{
	struct tomb *t;

	while ((t = table->tomb) != NULL) {
		table->tomb = t->next;
		free(t);
	}
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

void
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
	if (t->wall_ms == 0)
		t->wall_ms = v->wall_ms;
	w->rec.last_wall_ms = t->wall_ms;
	memcpy(t->out, t->names, sizeof(t->out));
	w->rec.names = (struct nfs3_bytes){t->out[0], t->n * LOGREC_NAME_LEN};
	t->writing = true;
	t->covered = t->graves;
	t->graves = NULL;
	write_issue(w);
}

void
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

	if (e->slot == NULL)
		return;
	logrec_name(&e->id, name);
	t = tomb_for(v, e->table, name);
	if (t == NULL)
		return;
	r->n.tombs += t->slot == NULL;
	tomb_add_name(t, name);
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
	const struct tomb *t;
	unsigned n = 0;

	for (t = table->tomb; t != NULL; t = t->next)
		n += count_slots(t->covered) + count_slots(t->graves);
	return n;
}

void
tomb_make_common(struct tomb *t)
{
	t->client = NULL;
	t->next = t->v->commons;
	t->v->commons = t;
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
	const uint8_t *names = rec->names.p;
	unsigned n = rec->names.len / LOGREC_NAME_LEN;
	struct tomb *t = tomb_found(v, table, rec, n);

	if (t == NULL)
		return -1;
	if (table == NULL)
		tomb_make_common(t);
	v->found.tombs += t->slot == NULL;
	for (unsigned i = 0; i < n; i++)
		tomb_add_name(t, names + i * (size_t)LOGREC_NAME_LEN);
	if (rec->expired > n)
		t->buried += rec->expired - n;
	t->wall_ms = rec->last_wall_ms;
	tomb_take_slot(t, slot);
	return 0;
}

void
tomb_recovered(struct relay_table *table)
{
	for (struct tomb *t = table->tomb; t != NULL; t = t->next)
		if (t->graves != NULL)
			tomb_write(t);
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
	const struct tomb *t;
	bool sent = take_sent(k, id->xid);
	uint8_t name[LOGREC_NAME_LEN];

	logrec_name(id, name);
	for (t = k->r->logs[k->volume]->commons; t != NULL; t = t->next)
		if (has_name(t, name))
			return true;
	for (t = k->table->tomb; t != NULL; t = t->next)
		if (has_name(t, name) || (sent && t->buried > t->n))
			return true;
	return false;
}
