/*
 * hanfs-sim: the decision objects of proxies and agents in virtual time.
 *
 *   kernel.c    the kernel's NFS client: calls, retransmissions, what it
 *               expects of each result
 *   proxy.c     what stands around a proxy's core (proxy/core.h): a process;
 *   upstream.c, proxy_life.c
 *   tcp.c       connections, with what TCP leaves to chance: bytes that come
 *               late, resets that are lost, connections half open
 *   net.c       hosts and networks, and what is wrong with them
 *   agent.c     what stands around an agent's core (server-agent/relay.h);
 *   sconn.c, link.c
 *   backend.c   the NFS server behind it; nfsd.c, nfsd_xdr.c: what it does
 *   fs.c        a file system with a journal
 *   disk.c      the shared disks: who can reach them, who has mounted them
 *   choose.c    what a client does next, and what must come of it
 *   nfs.c       its calls and replies as bytes
 *   own.c       an agent's part in owning a volume: owner.h and lease.h;
 *   own_step.c, own_lease.c, ctl.c, peer.c, host.c, logio.c
 *   fault.c     what goes wrong; fault_plan.c: what of it, and when
 *   check.c     what must hold (DESIGN section 7)
 *   world.c     one run
 *   engine.c    memory, chance, time, the story
 *   main.c      options, many runs, the story of a bad one
 *
 * The cores are the real ones; the files around them stand for the daemons'
 * shells, the kernels and the wires. A run follows from its seed alone: all
 * chance comes from the world's generator, and memory is the run's own, so
 * that objects stay where they are until its end. The events' hash tells
 * whether two runs were the same.
 *
 * Times are microseconds of the world's clock, unless their name says ms.
 */
#ifndef HANFS_SIM_H
#define HANFS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/core.h"
#include "server-agent/relay.h"

#define MS  1000ull
#define SEC 1000000ull

enum { NETS = 2, SERVERS = 3, VOLUMES = 2, CLIENTS_MAX = 3 };
enum { HOSTS = CLIENTS_MAX + SERVERS };
enum { SLOTS_MAX = 16, KCONNS_EACH = 2 };

struct world;
struct heartbeat_event;

/* --- world.c: time, chance, memory */

enum event_kind {
	EV_PACKET,     /* obj packet */
	EV_TCP_TIMER,  /* obj tcp, arg end */
	EV_KEEPALIVE,  /* obj tcp */
	EV_TCP_TELL,   /* obj tcp, arg what its client's process is told */
	EV_BEAT,       /* obj server: sends heartbeats */
	EV_HEARD,      /* obj heartbeat at a client */
	EV_AGENT_RUN,  /* obj server */
	EV_AGENT_TICK, /* obj server, arg its start */
	EV_LINK_UP,    /* obj link of a backend */
	EV_EFFECT,     /* obj job: takes effect in the file system */
	EV_ANSWER,     /* obj job: the backend answers */
	EV_SYNCED,     /* obj sync: a commit has reached the disk */
	EV_WRITEBACK,  /* obj mount: the kernel writes what it has */
	EV_OWN_TICK,   /* obj server, arg its start */
	EV_OWN_STEP,   /* obj own, arg the step's number */
	EV_CTL,        /* obj ctl_io: at the disk, or back from it */
	EV_MAIL,       /* obj ctl_mail_msg */
	EV_PEER,       /* obj heard: a heartbeat at another server */
	EV_ECHO,       /* obj echo */
	EV_BOOT,       /* obj server, arg its boots */
	EV_LOG,        /* obj log_write: in its slots, or told so */
	EV_LOGGED,     /* obj log_sync: the agent is told */
	EV_PROXY_TICK, /* obj client, arg its start */
	EV_TO_PROXY,   /* obj proxy_conn, arg call's number */
	EV_TO_KERNEL,  /* obj delivery */
	EV_HANGUP,     /* obj proxy_conn: the proxy sees its end */
	EV_RECONNECT,  /* obj kernel_conn */
	EV_RETRANSMIT, /* obj client: looks what is due */
	EV_SLOT,       /* obj slot: its next call */
	EV_FAULT,      /* obj fault, arg step */
	EV_AUDIT,
	EV_KINDS
};

struct event {
	uint64_t order; /* its time, then its number */
	void *obj;
	uint64_t arg;
	enum event_kind kind;
};
enum { EVENT_NUMBER_BITS = 24 };

static inline uint64_t
event_at(const struct event *e)
{
	return e->order >> EVENT_NUMBER_BITS;
}

/* After delay microseconds. */
void at(struct world *w, uint64_t delay, enum event_kind kind, void *obj,
    uint64_t arg);
/* 0 <= result < n; low <= result <= high; so many times of a thousand */
uint32_t rnd(struct world *w, uint32_t n);
uint64_t rnd_between(struct world *w, uint64_t low, uint64_t high);
bool chance(struct world *w, uint32_t permille);
/* Zeroed; gone at the end of the run. */
void *sim_alloc(struct world *w, size_t size);
/* Room for one more than n things of that size. */
void *sim_grow(
    struct world *w, void *p, uint32_t n, uint32_t *room, size_t size);
/* A line of the story; formatted only when somebody reads it. */
void tell(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
