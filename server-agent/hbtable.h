/*
 * hbtable: what this server says in its heartbeats: the volume table, cut
 * into pages that fit, and the peers it hears.  Pure; the sender guards it
 * with its lock.
 */
#ifndef AGENT_HBTABLE_H
#define AGENT_HBTABLE_H

#include <stdbool.h>

#include "hanfs/heartbeat.h"

#define HBTABLE_VOLUMES_MAX 64u /* each its own page, at worst */

struct hbtable {
	uint32_t gen; /* raised at each change */
	unsigned nvolumes, npeers, npages;
	unsigned first[HB_PAGES_MAX + 1]; /* first volume of each page */
	struct hb_volume volumes[HBTABLE_VOLUMES_MAX];
	struct hb_peer peers[HB_PEERS_MAX];
};

/* An empty table: one page with nothing in it. */
void hbtable_init(struct hbtable *t);

/*
 * 1: replaced; 0: it was the same before; -1 with errno EINVAL: too many, or
 * one that hb_encode would refuse.
 */
int hbtable_set_volumes(
    struct hbtable *t, const struct hb_volume *v, unsigned n);
int hbtable_set_peers(struct hbtable *t, const struct hb_peer *p, unsigned n);

/* Sets hb's table_gen, page, pages, volumes and peers; page < t->npages. */
void hbtable_fill(const struct hbtable *t, unsigned page, struct heartbeat *hb);

#endif
