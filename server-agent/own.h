/*
 * own: the shell around owner.h: the volumes of this server that have shared
 * storage, each with its owner machine, its arbiter, its fence and its
 * steps. Also what hanfsctl may do to them.
 *
 *   own.c          set-up, time, what peers say; the end
 *   own_act.c      what the owner machine decided
 *   own_steps.c    steps, one after the other, in lanes
 *   own_log.c      the log: opened, judged, closed
 *   own_guard.c    cuts this host off when the lease has ended
 *   own_watchdog.c resets it when even that was not done
 *   own_arbiter.c  the arbiter's news, fencing, taking, releasing
 *   own_plain.c    whose connections come to the service address
 *   own_show.c     hanfsctl: show and do
 *
 * Work is done in lanes: the main one in the order in which the machine asked
 * for it, the address and the flush beside it. What was cancelled is not
 * started, or its end is waited for and not told: two steps never overlap in
 * a lane.
 */
#ifndef HANFS_AGENT_OWN_H
#define HANFS_AGENT_OWN_H

#include <jansson.h>

#include "server-agent/arbiter.h"
#include "server-agent/owner.h"
#include "server-agent/steps.h"

struct agent;
struct own; /* all managed volumes of this server */

/* 0, or -1 after logging why. Needs a->steps. Does nothing, with success,
 * where no volume is managed here. */
int own_start(struct agent *a);
/* Whatever is held stays as it is. */
void own_stop(struct agent *a);
/* Hands over and releases everything, then ends the event loop; at once if
 * it is asked twice. */
void own_end(struct agent *a);
/* Has the volume (index) storage, and is this server a candidate? */
bool own_managed(const struct agent *a, unsigned volume);
bool own_any(const struct agent *a);
void own_tick(struct agent *a);

/* What peers.c hears and judges. */
void own_told(struct agent *a, unsigned volume, unsigned peer,
    enum hb_state state, uint64_t epoch);
void own_verdict(struct agent *a, unsigned peer, enum suspect_state verdict,
    const char *evidence);
/* None of our own networks has carrier, or one has again. */
void own_networks(struct agent *a, bool lost);
/* A message in the volume's mailbox; its end goes to peers_mail_end(). False:
 * that is not possible. */
bool own_ping(
    struct agent *a, unsigned volume, unsigned peer, uint32_t timeout_ms);
/* The volume's log cannot be written, its file system has errors: it is
 * given up. */
void own_disk_lost(struct agent *a, unsigned volume, const char *why);

/* own_plain.c: a connection of a client without proxy has come, or ends. */
struct netconn;
void own_plain_changed(struct agent *a, const struct netconn *c);

/* own_show.c */
void own_show_volume(const struct agent *a, unsigned volume, json_t *to);
json_t *own_show_takeovers(void *agent);
json_t *own_show_events(void *agent);
/* "VOLUME move SERVER" */
json_t *own_do_volume(void *agent, const char *words);
/* "VOLUME" */
json_t *own_do_drill(void *agent, const char *words);

#endif
