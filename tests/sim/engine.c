/*
 * What a run stands on: memory that is its own, chance that follows from
 * the seed, events in the order of their time, the lines of the story.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { ARENA_BLOCK = 1 << 20 };

/* --- memory: blocks that are kept from run to run */

struct arena {
	struct arena *next;
	size_t used, size;
	uint8_t bytes[];
};

static struct arena *spare_blocks;

static struct arena *
arena_block(size_t size)
{
	struct arena *a = spare_blocks;

	if (size <= ARENA_BLOCK && a != NULL) {
		spare_blocks = a->next;
	} else {
		size = size > ARENA_BLOCK ? size : ARENA_BLOCK;
		a = malloc(sizeof(*a) + size);
		if (a == NULL)
			abort();
		a->size = size;
	}
	a->used = 0;
	return a;
}

void *
sim_alloc(struct world *w, size_t size)
{
	struct arena *a = w->arena;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (a == NULL || size > a->size - a->used) {
		a = arena_block(size);
		a->next = w->arena;
		w->arena = a;
	}
	p = a->bytes + a->used;
	a->used += size;
	return memset(p, 0, size);
}

void *
sim_grow(struct world *w, void *p, uint32_t n, uint32_t *room, size_t size)
{
	void *bigger;

	if (n < *room)
		return p;
	*room = *room * 2 + 16;
	bigger = sim_alloc(w, *room * size);
	if (n > 0)
		memcpy(bigger, p, n * size);
	return bigger;
}

void
sim_free_all(struct world *w)
{
	struct arena *a;

	while ((a = w->arena) != NULL) {
		w->arena = a->next;
		if (a->size > ARENA_BLOCK) {
			free(a);
			continue;
		}
		a->next = spare_blocks;
		spare_blocks = a;
	}
	free(w->heap);
	w->heap = NULL;
}

/* --- chance: splitmix64 */

static uint64_t
chance_next(struct world *w)
{
	uint64_t z = w->chance += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t
rnd(struct world *w, uint32_t n)
{
	return n == 0 ? 0 : (uint32_t)((chance_next(w) >> 32) * n >> 32);
}

uint64_t
rnd_between(struct world *w, uint64_t low, uint64_t high)
{
	return low + (chance_next(w) >> 11) % (high - low + 1);
}

bool
chance(struct world *w, uint32_t permille)
{
	return rnd(w, 1000) < permille;
}

/* --- events: a heap of four branches, by time, then by number */

void
at(struct world *w, uint64_t delay, enum event_kind kind, void *obj,
    uint64_t arg)
{
	struct event e = {(w->now + delay) << EVENT_NUMBER_BITS | w->numbers++,
	    obj, arg, kind};
	size_t i = w->nheap++;

	assert(w->numbers >> EVENT_NUMBER_BITS == 0);
	if (i == w->heap_room) {
		w->heap_room = w->heap_room * 2 + 1024;
		w->heap = realloc(w->heap, w->heap_room * sizeof(e));
		if (w->heap == NULL)
			abort();
	}
	for (; i > 0 && e.order < w->heap[(i - 1) / 4].order; i = (i - 1) / 4)
		w->heap[i] = w->heap[(i - 1) / 4];
	w->heap[i] = e;
}

/* The earliest of the up to four below i; n or more: there is none. */
static size_t
first_below(const struct event *heap, size_t i, size_t n)
{
	size_t child = 4 * i + 1, best = child;
	size_t end = child + 4 < n ? child + 4 : n;

	while (++child < end)
		if (heap[child].order < heap[best].order)
			best = child;
	return best;
}

struct event
next_event(struct world *w)
{
	struct event *heap = w->heap, first = heap[0];
	size_t n = --w->nheap, i = 0, child;
	struct event last = heap[n];

	while ((child = first_below(heap, i, n)) < n &&
	       heap[child].order < last.order) {
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return first;
}

/* --- the story */

void
tell(struct world *w, const char *fmt, ...)
{
	char line[STORY_WIDTH];
	va_list ap;
	int n;

	if (!w->opt.story && !w->opt.verbose)
		return;
	n = snprintf(line, sizeof(line), "%4llu.%06llu  ",
	    (unsigned long long)(w->now / SEC),
	    (unsigned long long)(w->now % SEC));
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	if (w->opt.verbose)
		puts(line);
	if (w->story != NULL)
		memcpy(w->story[w->lines++ % STORY_LINES], line, sizeof(line));
}
