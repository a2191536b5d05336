/*
 * relay, a volume's log: the part of relay.h that only volumes with storage
 * need (DESIGN section 5). Include relay.h.
 *
 * A logged call of a volume with a log: WAITING for its keys, ASKING for the
 * pre-state (calls of our own over its link), INTENT is written, RUNNING at
 * the backend, its completion is written (COMPLETING), COMMIT waits for a
 * sync that covers that; then the reply leaves and the entry is
 * FINISHED. The slot is held until the reply is acknowledged.
 *
 *   relay_log_clear()		nothing is known, nothing is in progress
 *   relay_recover_begin()	it has a log, with so many slots
 *   relay_recover_record()	for each record that the scan gave, any order
 *   relay_recover_judge()	asks the new backend about calls in doubt
 *   ... RELAY_RECOVERED	all that was decided is durable
 *   relay_volume_set(true)	clients may come
 *
 * The same after RELAY_SUSPECT or RELAY_GIVE_UP, or when the backend died.
 */
#ifndef HANFS_AGENT_RELAYLOG_H
#define HANFS_AGENT_RELAYLOG_H

#include "server-agent/logscan.h"
#include "server-agent/relay.h"

struct relay_recover {
	uint64_t epoch; /* of the ownership: in each record written */
	uint32_t id;    /* the volume's, in the configuration */
	unsigned slots;
	unsigned client_slots; /* one client holds at most so many */
	uint64_t seq, write;   /* logscan_seq(), logscan_write() */
	struct rec_pool *pool; /* for replies and calls of our own */
	bool knfsd;            /* the backend, instead of Ganesha */
};

/*
 * Forgets the volume's log: closes its connections and links, drops all its
 * calls and replies. Writes and syncs that were issued are void: nothing is
 * to be said of them any more. The volume has no log and is not served.
 */
void relay_log_clear(struct relay *r, unsigned volume, uint64_t now_ms);

/* After relay_log_clear(), or for the first time. 0, or -1: no memory. */
int relay_recover_begin(struct relay *r, unsigned volume,
    const struct relay_recover *recover, uint64_t now_ms);
/* Copied. 0, or -1: no memory or no room; the volume is not to be served. */
int relay_recover_record(struct relay *r, unsigned volume,
    const struct logscan_record *record, uint64_t now_ms);
/* The backend serves. Links are opened for its questions, too. */
void relay_recover_judge(struct relay *r, unsigned volume, uint64_t now_ms);

/*
 * RELAY_LOG_WRITE. Fills slots and values (LOGREC_PARTS_MAX of them) for
 * store_write(), to be called just before that, in the order of the actions:
 * the record's number is taken here. Returns how many.
 */
unsigned relay_log_values(struct relay_log *log, uint64_t wall_ms,
    uint64_t boot_ms, uint32_t *slots, uint8_t *values);
unsigned relay_log_volume(const struct relay_log *log);
/* It is in its slots, or will not be (errno). log is not to be used again. */
void relay_log_written(struct relay_log *log, int error, uint64_t now_ms);

/*
 * RELAY_LOG_SYNC: one may be delayed, so that more replies share it, but no
 * second one is asked for meanwhile. This, just before store_sync(). Without
 * an error the sync covers each record whose RELAY_LOG_WRITE was taken before
 * it began, and relay_log_written() was called for these before
 * relay_log_synced() is.
 */
void relay_log_sync_begins(struct relay *r, unsigned volume);
void relay_log_synced(
    struct relay *r, unsigned volume, int error, uint64_t now_ms);

/*
 * Handles that hold these bytes at that offset are refused (BADHANDLE): the
 * volume's own directories, to which no client may find its way by a forged
 * handle. Kept over relay_log_clear(), until len 0 forgets them all.
 */
#define RELAY_FORBID_MAX 32u
void relay_forbid(struct relay *r, unsigned volume, unsigned offset,
    const uint8_t *bytes, unsigned len);

/*
 * An operator knows whether an undecidable call has run. False: there is no
 * such call.
 */
bool relay_verdict(struct relay *r, unsigned volume,
    const uint8_t client[CLIENT_ID_LEN], uint32_t xid, bool done,
    uint64_t now_ms);

/* --- an operator: what stays of replies that expired (relay_tombend.c) */

struct relay_tomb_view {
	const uint8_t *client; /* NULL: of clients that went away */
	unsigned volume;
	uint64_t calls;   /* that it names; it takes one slot */
	uint64_t wall_ms; /* of the last one */
};

void relay_each_tomb(const struct relay *r,
    void (*fn)(void *arg, const struct relay_tomb_view *v), void *arg);
/*
 * Forgets a client's, or all of clients that went away (NULL): should one of
 * the calls come after all, it runs again. *calls is how many; returns how
 * many tombs are being written and stay, or -1: the volume's log is not here.
 */
int relay_tombs_forget(struct relay *r, unsigned volume, const uint8_t *client,
    uint64_t *calls);

#endif
