/*
 * Order keys. See keys.h.
 */
#include <assert.h>
#include <stdlib.h>

#include "server-agent/keys.h"

enum { BUCKETS_MAX = 4096 };

struct key_lock {
	struct key_lock *chain; /* in the bucket, or in the free list */
	uint64_t key;
	struct key_slot *head, *tail; /* the queue, oldest first */
	struct key_slot *waiting;     /* the first that does not hold it */
	unsigned holders;
	enum key_mode mode; /* of the holders */
};

struct keys {
	struct key_lock *mem, *free;
	struct key_lock **bucket;
	uint64_t mask;
	unsigned in_use;
};

struct keys *
keys_new(unsigned requests_max)
{
	struct keys *k = calloc(1, sizeof(*k));
	size_t nlocks = (size_t)requests_max * KEYS_MAX, nbuckets = 16;

	if (k == NULL)
		return NULL;
	/* Few keys are in use at a time: better a small, warm table. */
	while (nbuckets < nlocks && nbuckets < BUCKETS_MAX)
		nbuckets *= 2;
	k->mask = nbuckets - 1;
	k->bucket = calloc(nbuckets, sizeof(struct key_lock *));
	k->mem = calloc(nlocks, sizeof(*k->mem));
	if (k->bucket == NULL || k->mem == NULL) {
		keys_free(k);
		return NULL;
	}
	for (size_t i = nlocks; i-- > 0;) {
		k->mem[i].chain = k->free;
		k->free = &k->mem[i];
	}
	return k;
}

void
keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	free(k->mem);
	free(k->bucket);
	free(k);
}

unsigned
keys_in_use(const struct keys *k)
{
	return k->in_use;
}

void
key_set_add(struct key_set *set, uint64_t key, enum key_mode mode)
{
	for (unsigned i = 0; i < set->n; i++) {
		if (set->want[i].key != key)
			continue;
		if (set->want[i].mode != mode)
			set->want[i].mode = KEY_EXCLUSIVE;
		return;
	}
	assert(set->n < KEYS_MAX);
	set->want[set->n++] = (struct key_want){key, mode};
}

static struct key_lock *
lock_get(struct keys *k, uint64_t key)
{
	struct key_lock **bucket = &k->bucket[key & k->mask], *l;

	for (l = *bucket; l != NULL; l = l->chain)
		if (l->key == key)
			return l;
	l = k->free;
	assert(l != NULL); /* requests_max bounds the requests */
	k->free = l->chain;
	*l = (struct key_lock){.key = key, .chain = *bucket};
	*bucket = l;
	k->in_use++;
	return l;
}

static void
lock_put(struct keys *k, struct key_lock *l)
{
	struct key_lock **p = &k->bucket[l->key & k->mask];

	while (*p != l)
		p = &(*p)->chain;
	*p = l->chain;
	l->chain = k->free;
	k->free = l;
	k->in_use--;
}

/* Gives the lock to those next in the queue, as far as they get along. */
static void
lock_grant(struct key_lock *l, struct key_req ***ready)
{
	struct key_slot *s;

	while ((s = l->waiting) != NULL) {
		if (l->holders > 0 &&
		    (s->mode != l->mode || s->mode == KEY_EXCLUSIVE))
			return;
		l->mode = s->mode;
		l->holders++;
		l->waiting = s->next;
		s->held = true;
		if (--s->req->missing == 0 && ready != NULL) {
			**ready = s->req;
			*ready = &s->req->next;
		}
	}
}

bool
keys_take(struct keys *k, struct key_req *req, const struct key_set *set)
{
	req->next = NULL;
	req->n = req->missing = set->n;
	for (unsigned i = 0; i < set->n; i++) {
		struct key_slot *s = &req->slot[i];
		struct key_lock *l = lock_get(k, set->want[i].key);

		*s = (struct key_slot){.lock = l,
		    .req = req,
		    .prev = l->tail,
		    .mode = set->want[i].mode};
		*(l->tail != NULL ? &l->tail->next : &l->head) = s;
		l->tail = s;
		if (l->waiting == NULL)
			l->waiting = s;
		lock_grant(l, NULL);
	}
	return req->missing == 0;
}

static void
slot_remove(struct key_slot *s)
{
	struct key_lock *l = s->lock;

	if (s->held)
		l->holders--;
	if (l->waiting == s)
		l->waiting = s->next;
	*(s->prev != NULL ? &s->prev->next : &l->head) = s->next;
	*(s->next != NULL ? &s->next->prev : &l->tail) = s->prev;
}

struct key_req *
keys_release(struct keys *k, struct key_req *req)
{
	struct key_req *ready = NULL, **last = &ready;

	for (unsigned i = 0; i < req->n; i++) {
		struct key_lock *l = req->slot[i].lock;

		slot_remove(&req->slot[i]);
		if (l->head == NULL)
			lock_put(k, l);
		else
			lock_grant(l, &last);
	}
	*last = NULL;
	req->n = req->missing = 0;
	return ready;
}
