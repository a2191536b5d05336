/*
 * Who owns a volume: what stands in a simulated agent around the real
 * server-agent/owner.h, lease.h and suspect.h.
 *
 *   own.c   the owner machine, and what it is told and wants
 *   own_step.c, own_lease.c   its steps, and what the lease says
 *   ctl.c   the control areas on the shared disks, and their mailboxes
 *   peer.c  what the servers hear of each other; fences
 *   host.c  power
 */
#ifndef HANFS_SIM_OWN_H
#define HANFS_SIM_OWN_H

#include "agent.h"
#include "server-agent/lease.h"
#include "server-agent/owner.h"

/* A volume's control area: a slot for each candidate. */
struct ctl_area {
	struct ctl_slot slot[CTL_SLOTS];
};

enum fence_kind {
	FENCE_STONITH, /* the other host's power is cut */
	FENCE_SCSI,    /* the disk refuses all but one host */
	FENCE_LEASE,   /* none: the lease's end must do, unsafe */
	FENCE_KINDS
};
extern const char *const fence_kind_names[FENCE_KINDS];

/* One server's part in one volume; lives as long as its agent's process. */
struct own {
	struct server *s;
	uint32_t volume, start;
	struct owner *o;
	struct lease *lease;
	struct mount *m;
	uint32_t step; /* the running one's number; an older one is void */
	enum owner_action_type doing;
	bool taking, reading, writing, gone, acting, died;
	bool serving; /* calls run */
	/* the log: logio.c */
	bool open, wanted, suspended, lost;
	uint32_t life; /* writes and syncs of an earlier one are void */
	uint32_t writes, outstanding;
	struct log_sync *syncs; /* that wait for writes */
	uint32_t victim;    /* server to be fenced */
	uint64_t old_epoch; /* that it held */
	struct lease_proof proof;
	enum hb_state told; /* what heartbeats say */
	uint64_t told_epoch, valid_until_ms;
};

static inline bool
own_lives(const struct own *own)
{
	return !own->gone && own->s->alive && own->s->starts == own->start;
}

/* The host's own clock. */
uint64_t host_ms(const struct server *s);

/* own.c */
void own_start(struct server *s);
void own_end(struct server *s); /* the process is gone */
void own_on_step(struct own *own, uint64_t step);
void own_on_tick(struct server *s);
void own_look(struct server *s);
void own_act(struct own *own);
void own_event(struct own *own, const struct owner_event *ev);
void own_backend_dies(struct own *own);
/* The file system fails under it. */
void own_disk_lost(struct own *own, const char *why);

/* between these three: */
void own_say(
    struct own *own, enum owner_event_type type, int peer, const char *text);
void own_act_owner(struct own *own);
void own_act_lease(struct own *own);
/* own_step.c */
void own_begin_step(struct own *own, const struct owner_action *a);
void own_step_in(struct own *own, const struct owner_action *a, uint64_t delay);

/* logio.c: what the owner machine wants of the calls and their log. The
 * first three end as steps. */
void logio_recover(struct own *own);
void logio_act(struct server *s, const struct relay_action *a);
void logio_settle(struct server *s);
void logio_format(struct fs *fs, uint32_t volume, uint32_t slots);
void logio_on_write(void *log_write);
void logio_on_synced(void *log_sync);
void logio_sync_all(struct own *own);
void logio_drain(struct own *own);
void logio_serve(struct own *own);
void logio_hold(struct own *own);
void logio_close(struct own *own);

/* ctl.c */
void ctl_read(struct own *own);
void ctl_write(struct own *own, const struct ctl_lease *lease);
void ctl_on_io(void *io);
void ctl_mail(
    struct server *s, uint32_t peer, uint32_t volume, uint32_t timeout_ms);
void ctl_ask(struct own *own, uint32_t peer);
void ctl_on_mail(void *mail);

/* peer.c */
void peers_start(struct server *s);
void peers_end(struct server *s);
void peers_beat(struct server *s); /* heartbeats to the other servers */
void peers_on_heard(void *heard);
void peers_on_echo(void *echo);
void peers_act(struct server *s);
void peers_tick(struct server *s);
/* Fences own->victim; the step's end comes as for any other. */
void peers_fence(struct own *own);
bool peers_on_fenced(struct own *own, const char **why);

/* host.c */
void host_cut(struct server *s);
void host_boot(struct server *s);
void host_on_boot(struct server *s, uint64_t starts);

#endif
