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
	size_t nlocks, fresh; /* from here on mem was never used, nor touched */
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
	k->mem = malloc(nlocks * sizeof(*k->mem));
	if (k->bucket == NULL || k->mem == NULL) {
		keys_free(k);
		return NULL;
	}
	k->nlocks = nlocks;
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

const struct key_req *
keys_holder(const struct key_req *req)
{
	for (unsigned i = 0; i < req->n; i++) {
		const struct key_slot *s = req->slot[i].lock->head;

		if (req->slot[i].held)
			continue;
		while (s != NULL && !s->held)
			s = s->next;
		if (s != NULL)
			return s->req;
	}
	return NULL;
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
	if (l != NULL) {
		k->free = l->chain;
	} else {
		/* requests_max bounds the requests */
		assert(k->fresh < k->nlocks);
		l = &k->mem[k->fresh++];
	}
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

static void
slot_add(struct keys *k, struct key_req *req, struct key_slot *s,
    const struct key_want *want)
{
	struct key_lock *l = lock_get(k, want->key);

	*s = (struct key_slot){
	    .lock = l, .req = req, .prev = l->tail, .mode = want->mode};
	*(l->tail != NULL ? &l->tail->next : &l->head) = s;
	l->tail = s;
	if (l->waiting == NULL)
		l->waiting = s;
	req->missing++;
	lock_grant(l, NULL);
}

bool
keys_take(struct keys *k, struct key_req *req, const struct key_set *set)
{
	req->next = NULL;
	req->n = set->n;
	req->missing = 0;
	for (unsigned i = 0; i < set->n; i++)
		slot_add(k, req, &req->slot[i], &set->want[i]);
	return req->missing == 0;
}

static struct key_lock *
lock_find(struct keys *k, uint64_t key)
{
	struct key_lock *l = k->bucket[key & k->mask];

	while (l != NULL && l->key != key)
		l = l->chain;
	return l;
}

static struct key_slot *
req_slot(struct key_req *req, uint64_t key)
{
	for (unsigned i = 0; i < req->n; i++)
		if (req->slot[i].lock->key == key)
			return &req->slot[i];
	return NULL;
}

/* Could req hold this key in this mode, too, now and before all others? */
static bool
is_free_for(struct keys *k, struct key_req *req, const struct key_want *w)
{
	const struct key_slot *s = req_slot(req, w->key);
	const struct key_lock *l = lock_find(k, w->key);

	if (s != NULL && (s->mode == w->mode || s->mode == KEY_EXCLUSIVE))
		return true;
	if (l == NULL)
		return true;
	if (l->waiting != NULL)
		return false;
	if (s != NULL)
		return l->holders == 1;
	return l->mode == w->mode && w->mode != KEY_EXCLUSIVE;
}

bool
keys_more(struct keys *k, struct key_req *req, const struct key_set *set)
{
	unsigned n = req->n;

	assert(req->missing == 0);
	for (unsigned i = 0; i < set->n; i++) {
		if (!is_free_for(k, req, &set->want[i]))
			return false;
		n += req_slot(req, set->want[i].key) == NULL;
	}
	if (n > KEYS_MAX)
		return false; /* with what it holds from an earlier look */
	for (unsigned i = 0; i < set->n; i++) {
		const struct key_want *w = &set->want[i];
		struct key_slot *s = req_slot(req, w->key);

		if (s == NULL)
			slot_add(k, req, &req->slot[req->n++], w);
		else if (s->mode != w->mode && s->mode != KEY_EXCLUSIVE)
			s->mode = s->lock->mode = KEY_EXCLUSIVE;
	}
	assert(req->missing == 0);
	return true;
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
