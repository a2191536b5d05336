/*
 * fit: what two servers of a volume must have in common, so that the one can
 * go on where the other stopped: file handles (file-system id, export), what
 * clients mount, the way an NFS server is started, NFS scope, leases. Each
 * describes it as names with values in words; what differs is said with a
 * cure. Pure, but for fit_describe().
 */
#ifndef AGENT_FIT_H
#define AGENT_FIT_H

#include "hanfs/config.h"

enum { FIT_ITEMS_MAX = 32, FIT_NAME_MAX = 32, FIT_VALUE_MAX = 160 };

struct fit_item {
	char name[FIT_NAME_MAX + 1];
	char value[FIT_VALUE_MAX + 1];
};

struct fit {
	unsigned n;
	struct fit_item item[FIT_ITEMS_MAX];
};

/* One more, as far as there is room, cut at its longest. Both may come from
 * outside: of control characters question marks are left. */
void fit_put(struct fit *f, const char *name, const char *value);

/* fit_describe.c: of a volume (index), as this host has it now. Reads the
 * backend's file. */
void fit_describe(const struct config *cfg, unsigned volume, struct fit *out);

/* Does a difference stop a takeover, or do damage? Else it is untidy. */
enum fit_weight { FIT_UNTIDY, FIT_WRONG };

/* Calls differs() for each name with two values; a name that only one of
 * them knows is of another version, and passed over. How many were equal. */
unsigned fit_compare(const struct fit *own, const struct fit *his,
    void (*differs)(void *arg, enum fit_weight weight, const char *name,
	const char *own, const char *his, const char *cure),
    void *arg);

#endif
