/*
 * The order keys of an NFSv3 call (DESIGN section 5, rule 1):
 *
 *   name    (directory, name)   exclusive for what makes, removes or moves it
 *   object  a file or directory exclusive for SETATTR and the object of LINK;
 *                               a parent directory: shared, but exclusive for
 *                               RMDIR and RENAME; what reads a directory's
 *                               names shares it, too
 *   data    of a file           WRITE shared, SETATTR with a size exclusive
 *   all     data of the volume  for a CREATE that may truncate a file which
 *                               its arguments do not name: it shares it with
 *                               its like, WRITEs with theirs
 *
 * Other calls that change nothing, and COMMIT, have none. Objects are told
 * apart by their handles' bytes (prestate.h says what that takes for granted).
 * What names stand for is known only to volumes with a log: see below.
 *
 * Order alone would not ask that LOOKUP, READDIR and READDIRPLUS wait: they do
 * for the sake of NFS-Ganesha (4.3, FSAL_MDCACHE). Its RENAME from one
 * directory to another must have both to itself, and when somebody is in one
 * of them it sleeps for a whole second, with all that wait for it; so it is
 * given both only when they are empty.
 *
 * Pure.
 */
#ifndef HANFS_AGENT_CALLKEYS_H
#define HANFS_AGENT_CALLKEYS_H

#include "hanfs/nfs3.h"
#include "server-agent/keys.h"
#include "server-agent/prestate.h"

#define CALL_KEYS_SECRET 16u

/*
 * Fills set with the keys of a call of NFSv3 procedure proc on the volume
 * of that number. secret keys the hashes: the same for all calls, unknown
 * to clients.
 */
void call_keys(struct key_set *set, const uint8_t secret[CALL_KEYS_SECRET],
    uint32_t volume, uint32_t proc, const struct nfs3_args *args);

/*
 * Volumes with a log take keys in two steps, since what a name stands for is
 * known only from the pre-state:
 *
 *	log_keys_first(&set, ...)		from the arguments alone
 *	keys_take(req, &set) ... the pre-state is read under these keys
 *	log_keys_all(&all, ..., &before)	the same and what was found
 *	keys_more(req, &all)			true: the call may run
 *	false, somebody is in the way: keys_release(req), keys_take(req, &all);
 *	once these are held the pre-state is read again, log_keys_all() and
 *	keys_more() asked again: what the names stand for can have changed
 *	while nothing was held.
 *	It ends: only calls that ran in between can have changed it.
 *
 * keys_more() true, but log_keys_look_again(): the same, the attributes that
 * were read may be of a moment when somebody else held the inode's key.
 *
 * Waiting for more keys while some are held is what a request never does: it
 * could wait for one that waits for it (keys.h).
 *
 * First: as call_keys(), but CREATE does not touch `all`, and RENAME shares
 * its parents, unless they are two and the backend sleeps (see above). Then,
 * by pre-state, exclusively:
 *	REMOVE, RMDIR	the object that the name stands for
 *	RENAME		source and overwritten target; if either is a
 *			directory, both parents
 *	CREATE		unchecked, of a file that is there: that file; and its
 *			data if a size is given
 * (LINK's and SETATTR's objects are in the arguments.) A removed or moved
 * directory's key is the one that calls inside it share: none of them is
 * under way then.
 */
void log_keys_first(struct key_set *set, const uint8_t secret[CALL_KEYS_SECRET],
    uint32_t volume, bool sleeps, uint32_t proc, const struct nfs3_args *args);
void log_keys_all(struct key_set *set, const uint8_t secret[CALL_KEYS_SECRET],
    uint32_t volume, bool sleeps, const struct prestate_call *call,
    const struct prestate *before);
/* Do verdicts on this call need attributes (a size) that were read before
 * the keys of log_keys_all() were held? */
bool log_keys_look_again(
    const struct prestate_call *call, const struct prestate *before);

#endif
