/*
 * What the fence's files share: fence.c runs, fence_keys.c knows
 * reservations.
 */
#ifndef AGENT_FENCE_INT_H
#define AGENT_FENCE_INT_H

#include "server-agent/fence.h"

enum fence_op { FENCE_PEER, FENCE_PREPARE, FENCE_WITHDRAW, FENCE_CHECK };

/* Does the method keep keys on the disk? */
bool fence_has_keys(enum config_fence method);
/* What sh runs for it; uses HANFS_DEVICE and HANFS_KEY (0x...). */
const char *fence_keys_command(enum config_fence method, enum fence_op op);
/*
 * Holds what the tools printed at the end against what must be: NULL when it
 * is right, else what is not, for people. own: our key; victim: the server
 * id whose keys must be gone, 0: none.
 */
const char *fence_keys_judge(enum config_fence method, enum fence_op op,
    const char *out, uint64_t own, uint32_t victim);

#endif
