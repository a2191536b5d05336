/*
 * What there is: clients, kernel connections, and which network connection
 * belongs to which. What may be there is decided in relay_hello.c.
 */
#include <stdlib.h>
#include <string.h>

#include "server-agent/relay_int.h"

uint64_t
client_clock(const struct relay_client *cl, uint64_t now_ms)
{
	if (cl->plain)
		return now_ms;
	return cl->clock_ms +
	       (cl->nconns > 0 ? now_ms - cl->clock_since_ms : 0);
}

struct relay_client *
client_find(struct relay *r, const uint8_t id[CLIENT_ID_LEN])
{
	struct relay_client *cl;

	LIST_FOREACH(cl, &r->clients, next)
		if (memcmp(cl->id, id, CLIENT_ID_LEN) == 0)
			return cl;
	return NULL;
}

static bool
is_here(const struct relay_client *cl)
{
	return !LIST_EMPTY(&cl->conns) || !LIST_EMPTY(&cl->kconns);
}

static unsigned
count_entries(const struct relay_client *cl)
{
	const struct relay_table *t;
	unsigned n = 0;

	LIST_FOREACH(t, &cl->tables, next) {
		n += t->in_progress;
		for (unsigned i = 0; i < KEPT_LISTS; i++)
			n += t->nkept[i];
	}
	return n;
}

static bool
has_tomb(const struct relay_client *cl)
{
	const struct relay_table *t;

	LIST_FOREACH(t, &cl->tables, next)
		if (t->tomb != NULL)
			return true;
	return false;
}

static bool
client_empty(const struct relay_client *cl)
{
	return !is_here(cl) && count_entries(cl) == 0 && !has_tomb(cl);
}

void
client_settle(struct relay *r, struct relay_client *cl)
{
	struct relay_table *t;

	if (!client_empty(cl))
		return;
	while ((t = LIST_FIRST(&cl->tables)) != NULL) {
		LIST_REMOVE(t, next);
		free(t);
	}
	LIST_REMOVE(cl, next);
	free(cl);
	r->n.clients--;
}

/* It is away, and all that it left in memory are replies that it has taken,
 * or whose calls a tomb names. */
static bool
can_go(const struct relay_client *cl)
{
	const struct relay_table *t;
	const struct relay_entry *e;

	if (is_here(cl))
		return false;
	LIST_FOREACH(t, &cl->tables, next) {
		if (t->in_progress > 0 || t->nkept[KEPT_UNACKED] > 0)
			return false;
		TAILQ_FOREACH(e, &t->kept[KEPT_ORPHAN], on_kept)
			if (!e->expired || e->mark != MARK_NONE)
				return false;
	}
	return true;
}

static void
drop_entries(struct relay *r, struct relay_client *cl)
{
	struct relay_table *t;

	LIST_FOREACH(t, &cl->tables, next)
		for (unsigned i = 0; i < KEPT_LISTS; i++)
			while (!TAILQ_EMPTY(&t->kept[i])) {
				r->n.evicted++;
				entry_free(r, TAILQ_FIRST(&t->kept[i]));
			}
}

/*
 * Is there room for a client? If all places are taken, the one goes that can
 * and was here longest, an empty one first. One that is away and left but a
 * tomb takes no place: that has its slot, of which there are so many.
 */
static bool
client_room(struct relay *r)
{
	struct relay_client *cl, *empty = NULL, *goes = NULL;
	unsigned tombs = 0;

	if (r->n.clients < r->cfg.clients_max)
		return true;
	LIST_FOREACH(cl, &r->clients, next) /* newest first */
		if (client_empty(cl))
			empty = cl;
		else if (!is_here(cl) && count_entries(cl) == 0)
			tombs++;
		else if (can_go(cl))
			goes = cl;
	if (empty == NULL && r->n.clients - tombs < r->cfg.clients_max)
		return true;
	if (empty == NULL && goes != NULL)
		drop_entries(r, goes);
	if (empty == NULL && goes == NULL)
		return false;
	client_settle(r, empty != NULL ? empty : goes);
	return true;
}

struct relay_client *
client_new(
    struct relay *r, const uint8_t id[CLIENT_ID_LEN], const uint8_t *token)
{
	if (client_room(r)) {
		r->told_limit = false;
		return client_add(r, id, token);
	}
	if (!r->told_limit)
		relay_note(r,
		    "a new client is refused: %u are here, or have replies "
		    "that they did not acknowledge; raise clients_max (agent)",
		    r->n.clients);
	r->told_limit = true;
	return NULL;
}

struct relay_client *
client_add(
    struct relay *r, const uint8_t id[CLIENT_ID_LEN], const uint8_t *token)
{
	struct relay_client *cl = calloc(1, sizeof(*cl));

	if (cl == NULL)
		return NULL;
	memcpy(cl->id, id, CLIENT_ID_LEN);
	if (token != NULL)
		memcpy(cl->token, token, RELAY_TOKEN_LEN);
	cl->plain = token == NULL;
	LIST_INSERT_HEAD(&r->clients, cl, next);
	r->n.clients++;
	return cl;
}

/* --- kernel connections */

struct relay_table *
table_get(struct relay_client *cl, unsigned volume)
{
	struct relay_table *t;

	LIST_FOREACH(t, &cl->tables, next)
		if (t->volume == volume)
			return t;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->client = cl;
	t->volume = volume;
	for (unsigned i = 0; i < KEPT_LISTS; i++)
		TAILQ_INIT(&t->kept[i]);
	LIST_INSERT_HEAD(&cl->tables, t, next);
	return t;
}

struct relay_kconn *
kconn_find(struct relay_client *cl, unsigned volume, uint64_t number)
{
	struct relay_kconn *k;

	LIST_FOREACH(k, &cl->kconns, next)
		if (!k->retired && k->number == number &&
		    k->table->volume == volume)
			return k;
	return NULL;
}

struct relay_kconn *
kconn_new(struct relay *r, struct relay_client *cl, unsigned volume,
    uint64_t number, uint64_t now_ms)
{
	struct relay_table *t = table_get(cl, volume);
	struct relay_kconn *k;

	if (t == NULL || r->n.kconns >= r->cfg.kconns_max ||
	    (k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	k->r = r;
	k->client = cl;
	k->table = t;
	k->volume = volume;
	k->number = number;
	k->incarnation = cl->incarnation;
	k->idle_since_ms = now_ms;
	for (unsigned i = 0; i < RELAY_PROGRAMS; i++) {
		k->links[i].kconn = k;
		k->links[i].program = i;
		LIST_INIT(&k->links[i].calls);
	}
	LIST_INSERT_HEAD(&cl->kconns, k, next);
	r->n.kconns++;
	return k;
}

void
kconn_settle(struct relay *r, struct relay_kconn *k)
{
	if (!(k->retired || k->over) || k->freed || k->nconns > 0)
		return;
	for (unsigned i = 0; i < RELAY_PROGRAMS; i++)
		if (!LIST_EMPTY(&k->links[i].calls))
			return;
	for (unsigned i = 0; i < RELAY_PROGRAMS; i++) {
		if (k->links[i].state != LINK_DOWN)
			relay_act(
			    r, (struct relay_action){.type = RELAY_CLOSE_LINK,
				   .link = &k->links[i]});
		k->links[i].state = LINK_DOWN;
	}
	if (!k->retired)
		return;
	LIST_REMOVE(k, next);
	k->freed = true;
	k->dead_next = r->dead_kconns;
	r->dead_kconns = k;
	r->n.kconns--;
}

void
kconn_close_all(struct relay_kconn *k, enum relay_reason why, uint64_t now_ms)
{
	for (unsigned i = 0; i < RELAY_NETWORKS_MAX; i++)
		if (k->conns[i] != NULL)
			conn_close(k->conns[i], why, now_ms);
}

void
kconn_retire(struct relay *r, struct relay_kconn *k, enum relay_reason why,
    uint64_t now_ms)
{
	if (k->retired)
		return;
	k->retired = true;
	kconn_close_all(k, why, now_ms);
	kconn_settle(r, k);
}

/* Its client says that it is over. The floors stay for what is late. */
unsigned
kconn_end(struct relay *r, struct relay_kconn *k, uint64_t now_ms)
{
	unsigned closed = k->nconns;
	char name[9];

	k->over = true;
	for (unsigned i = 0; i < RELAY_NETWORKS_MAX; i++)
		k->floors[i] = UINT64_MAX;
	kconn_close_all(k, RELAY_R_IDLE, now_ms);
	table_orphan(r, k->table, k, now_ms);
	k->idle_since_ms = now_ms;
	relay_note(r, "client %s kconn %llu is over",
	    relay_client_name(k->client, name), (unsigned long long)k->number);
	kconn_settle(r, k);
	return closed;
}

/* --- network connections */

void
conn_attach(struct relay_conn *c, struct relay_client *cl,
    struct relay_kconn *k, unsigned network, uint64_t generation,
    uint64_t now_ms)
{
	c->client = cl;
	c->incarnation = cl->incarnation;
	LIST_INSERT_HEAD(&cl->conns, c, on_client);
	if (cl->nconns++ == 0)
		cl->clock_since_ms = now_ms;
	c->kconn = k;
	c->network = network;
	c->generation = generation;
	if (k == NULL)
		return;
	assert(k->conns[network] == NULL);
	k->conns[network] = c;
	k->nconns++;
}

/* Takes a connection from its kernel connection and client. */
void
conn_detach(struct relay_conn *c, uint64_t now_ms)
{
	struct relay_client *cl = c->client;
	struct relay_kconn *k = c->kconn;
	struct relay *r = c->r;

	if (c->stalled)
		TAILQ_REMOVE(&r->stalled, c, on_stalled);
	c->stalled = false;
	while (!LIST_EMPTY(&c->asked))
		entry_unask(LIST_FIRST(&c->asked));
	if (cl == NULL)
		return;
	LIST_REMOVE(c, on_client);
	cl->clock_ms = client_clock(cl, now_ms);
	cl->clock_since_ms = now_ms;
	cl->nconns--;
	c->client = NULL;
	c->kconn = NULL;
	if (k != NULL) {
		k->conns[c->network] = NULL;
		k->nconns--;
		k->idle_since_ms = now_ms;
		if (cl->plain)
			k->retired = true;
		kconn_settle(r, k);
	}
	if (cl->plain)
		client_settle(r, cl);
}
