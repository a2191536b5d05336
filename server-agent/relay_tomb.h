/*
 * A tomb: what relay_tomb.c and relay_tombend.c share. Nobody else includes
 * this.
 */
#ifndef HANFS_AGENT_RELAY_TOMB_H
#define HANFS_AGENT_RELAY_TOMB_H

#include "server-agent/relay_log.h"

/* One record of names, of a client or of nobody (a common one). */
struct tomb {
	struct vlog *v;
	const struct relay_client *client; /* NULL: a common one */
	struct tomb *next; /* of the client's, newest first; of the common */
	struct slotmap_rec *slot;
	uint64_t buried; /* how many calls; more than n: some have no name,
			  * in a log of an older hanfs */
	unsigned n;
	uint8_t names[LOGREC_NAMES_MAX][LOGREC_NAME_LEN]; /* oldest first */
	uint64_t seen[64]; /* a bit for some of an XID's: is it worth a look? */
	uint64_t wall_ms;  /* of the last name; 0: not written yet */
	uint64_t acked_ms, lived_ms; /* since the last name */
	/* as it is being written; one write at a time */
	bool writing, again;
	uint8_t out[LOGREC_NAMES_MAX][LOGREC_NAME_LEN];
	/* given back when it is: by the write under way, by the next one */
	struct slotmap_rec *covered, *graves;
};

void tomb_add_name(struct tomb *t, const uint8_t name[LOGREC_NAME_LEN]);
/* The first slot is the tomb's own from here on. */
void tomb_take_slot(struct tomb *t, struct slotmap_rec *slot);
void tomb_write(struct tomb *t);
void tomb_make_common(struct tomb *t);

#endif
