/*
 * logio: the shell of a volume's log: the store (store.h) on one side, the
 * relay's core on the other (relay.h, "the log"). Event loop's thread only.
 *
 *	mounted ->	logio_open()	opens the store, reads all slots
 *		<-	opened		the scan is in the relay's core
 *	backend serves
 *	  and opened ->	logio_judge()	calls in doubt are judged; one sync
 *		<-	recovered	serve: agent_volume_serve() and announce
 *	before unmount
 *	  or recovery ->logio_close()	connections end, nothing is known
 *		<-	closed		no thread and no descriptor is in the
 *					file system any more
 *
 * Called from the loop's callbacks, which end in agent_settle() as all do.
 * `opened` and `closed` can come before the call returns.
 *
 * `closed` may never come while the disk hangs: logio_forget(), and the
 * mount stays busy.
 */
#ifndef HANFS_AGENT_LOGIO_H
#define HANFS_AGENT_LOGIO_H

#include <stdbool.h>
#include <stdint.h>

#include "server-agent/relay.h"

struct agent;

/* Who is told. text is for people, and borrowed. One set for all volumes. */
struct logio_calls {
	/* ok, or: the log cannot be used, text says why (nothing is open) */
	void (*opened)(void *arg, unsigned volume, bool ok, const char *text);
	void (*recovered)(void *arg, unsigned volume, const char *text);
	/* after relay_volume_drain() */
	void (*drained)(void *arg, unsigned volume);
	/* End the backend, new epoch, logio_close(), logio_open()... */
	void (*suspect)(void *arg, unsigned volume, const char *text);
	/* The log cannot be written: hand the volume over, or fence oneself.
	 * No reply leaves any more. */
	void (*give_up)(void *arg, unsigned volume, const char *text);
	void (*closed)(void *arg, unsigned volume);
};

void logio_start(struct agent *a, const struct logio_calls *calls, void *arg);
/* At the program's end; whatever is open is forgotten. */
void logio_end(struct agent *a);

/* The volume has a storage section, is mounted, and its log is not open.
 * epoch: of the ownership, higher than any before. */
void logio_open(struct agent *a, unsigned volume, uint64_t epoch);
/* Once opened, and once the backend can be connected to. */
void logio_judge(struct agent *a, unsigned volume);
/*
 * The lease has lapsed (or is good again): no commit begins, so that no reply
 * leaves that might have to be taken back.
 */
void logio_suspend(struct agent *a, unsigned volume, bool suspended);
/* From any state; `closed` follows, at once if it was not open. */
void logio_close(struct agent *a, unsigned volume);
/* Gives up waiting for `closed`. */
void logio_forget(struct agent *a, unsigned volume);
bool logio_is_open(const struct agent *a, unsigned volume);

/* What the core asks for. */
void logio_act(struct agent *a, const struct relay_action *x);
/* At the end of each event: issues the syncs that were asked for. True: the
 * core has heard something. */
bool logio_settle(struct agent *a);

#endif
