/*
 * The order keys of an NFSv3 call (DESIGN section 5, rule 1):
 *
 *   name    (directory, name)   exclusive for what makes, removes or moves it
 *   object  a file or directory exclusive for SETATTR and the object of LINK;
 *                               a parent directory: shared, but exclusive for
 *                               RMDIR and RENAME
 *   data    of a file           WRITE shared, SETATTR with a size exclusive
 *   all     data of the volume  for a CREATE that may truncate a file which
 *                               its arguments do not name: it shares it with
 *                               its like, WRITEs with theirs
 *
 * Calls that change nothing, and COMMIT, have none. Objects are told apart
 * by their handles' bytes. File id and generation, the inodes behind names
 * and the second look under the keys come with the log, which reads them
 * before the call anyhow; RENAME then needs its parents exclusively only
 * when it moves a directory.
 *
 * Pure.
 */
#ifndef HANFS_AGENT_CALLKEYS_H
#define HANFS_AGENT_CALLKEYS_H

#include "hanfs/nfs3.h"
#include "server-agent/keys.h"

#define CALL_KEYS_SECRET 16u

/*
 * Fills set with the keys of a call of NFSv3 procedure proc on the volume
 * of that number. secret keys the hashes: the same for all calls, unknown
 * to clients.
 */
void call_keys(struct key_set *set, const uint8_t secret[CALL_KEYS_SECRET],
    uint32_t volume, uint32_t proc, const struct nfs3_args *args);

#endif
