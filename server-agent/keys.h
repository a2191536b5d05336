/*
 * Order keys: which calls must not run at the same time (DESIGN section 5,
 * rule 1).
 *
 * A request names up to KEYS_MAX keys and takes its place in the queues of
 * all of them at once; it holds a key when no earlier request in that key's
 * queue is in its way, and runs when it holds all. Since every request
 * stands in the same order in all its queues, the oldest one always runs:
 * no deadlock, and no request is overtaken by one that it is in the way of.
 *
 * A key is 64 bits of a keyed hash of what it stands for. Two things with
 * one hash only wait for each other more than they must.
 *
 * Pure: no I/O, no clock; nothing is allocated after keys_new().
 */
#ifndef HANFS_AGENT_KEYS_H
#define HANFS_AGENT_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#define KEYS_MAX 6u /* RENAME: two names, two parents, two inodes */

/* Any number may hold a key together if all hold it in one mode that is not
 * exclusive. KEY_OTHERS is a second kind of sharing: its holders get along
 * with each other, but not with those of KEY_SHARED. */
enum key_mode {
	KEY_EXCLUSIVE,
	KEY_SHARED,
	KEY_OTHERS,
};

struct key_want {
	uint64_t key;
	enum key_mode mode;
};

/* The keys of one call, none of them twice. */
struct key_set {
	unsigned n;
	struct key_want want[KEYS_MAX];
};

struct key_lock;
struct key_req;

struct key_slot {
	struct key_lock *lock;
	struct key_req *req;
	struct key_slot *prev, *next; /* in the lock's queue */
	enum key_mode mode;
	bool held;
};

/* Part of what waits; the caller's memory. */
struct key_req {
	struct key_req *next; /* in the list that keys_release() returns */
	void *owner;          /* the caller's */
	unsigned n, missing;
	struct key_slot slot[KEYS_MAX];
};

struct keys;

/* For up to requests_max requests at a time. NULL: no memory. */
struct keys *keys_new(unsigned requests_max);
void keys_free(struct keys *keys);

/* Adds a key to a set; of two modes for one key the stricter one stays. */
void key_set_add(struct key_set *set, uint64_t key, enum key_mode mode);

/* Takes req's place. True: it holds all its keys and may run. */
bool keys_take(
    struct keys *keys, struct key_req *req, const struct key_set *set);

/*
 * Makes req, which holds all its keys, hold all of `set`, too (a stricter
 * mode of a key that it shares included), if that needs no waiting and
 * overtakes nobody. False: nothing has changed.
 */
bool keys_more(
    struct keys *keys, struct key_req *req, const struct key_set *set);

/*
 * Gives up what req holds and its places in queues. Returns the list of
 * requests that hold all their keys by that, oldest first for each key.
 */
struct key_req *keys_release(struct keys *keys, struct key_req *req);

/* Of one that waits: a request that holds a key it waits for; else NULL. */
const struct key_req *keys_holder(const struct key_req *req);

/* How many keys are in use now; 0 when no request is about. */
unsigned keys_in_use(const struct keys *keys);

#endif
