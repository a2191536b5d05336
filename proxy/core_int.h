/*
 * What the core's files share: the object itself and its small tools. The
 * split: core.c objects and queues, calls.c a call's life, route.c paths and
 * choice, owner.c who serves a volume, conns.c connections, fences.c fences,
 * late.c calls without a reply for long, state.c and
 * state_kconn.c writing out and back.
 */
#ifndef PROXY_CORE_INT_H
#define PROXY_CORE_INT_H

#include "core.h"

/* Higher ones an agent cannot make us use: there is always a next one. */
#define PX_GENERATION_MAX (UINT64_MAX / 2)
/* A replay that has no answer for so long does not count for the pace. */
#define PX_SLOW_MS 1000u
#define PX_RULES	  5u /* of the comparator of paths */

struct px {
	struct px_config cfg;
	uint32_t npaths;
	struct path path[PX_PATHS];
	struct control control[PX_PATHS];
	bool lossy[PX_PATHS];		/* as last explained */
	uint32_t announced[PX_SERVERS];	/* networks, bit n: index n */
	uint32_t announced_gen[PX_SERVERS];
	uint64_t boot[PX_SERVERS];	/* of the agent; 0: unknown */
	uint64_t boot_learned[PX_SERVERS]; /* attempts begun before that */
	struct px_volume volume[PX_VOLUMES];
	struct kconn *kconns;
	uint32_t nkconns;
	struct call *call_mem, *call_free;
	struct call **hash;
	uint32_t hash_mask;
	uint64_t orders;
	uint64_t generations;		/* attempts of all connections */

	struct px_action *act;		/* ring */
	uint32_t act_size, act_at, act_n;
	struct kconn *given;		/* by px_next() for the last time */
	struct px_event event[PX_EVENTS]; /* ring, by number */
	uint64_t events;
	uint64_t late_look_ms;
	struct px_counters count;
};

/* core.c */
struct px_action *px_act(struct px *px, enum px_action_type type);
void px_explain(struct px *px, enum px_event_id id, uint32_t volume,
    uint32_t path, uint64_t now_ms, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
void px_list_add(struct px_list *l, struct call *c);
void px_list_insert(struct px_list *l, struct call *c); /* by order */
void px_list_remove(struct px_list *l, struct call *c);
struct kconn *px_kconn_find(struct px *px, uint64_t id);
/* In front of the others; NULL: too many. */
struct kconn *px_kconn_new(struct px *px, uint32_t volume, uint64_t id);

static inline uint32_t
px_owner_path(const struct px *px, const struct kconn *k, uint32_t network)
{
	return px_path_index(&px->cfg, px->volume[k->volume].owner, network);
}

static inline uint32_t
px_path_server(const struct px *px, uint32_t path)
{
	return path / px->cfg.nnetworks;
}

static inline uint32_t
px_path_network(const struct px *px, uint32_t path)
{
	return path % px->cfg.nnetworks;
}

/* calls.c */
void px_pump(struct px *px, struct kconn *k, uint64_t now_ms);
void px_pump_volume(struct px *px, uint32_t volume, uint64_t now_ms);
void px_pump_server(struct px *px, uint32_t server, uint64_t now_ms);
/* Takes back what was sent over a connection that ended. */
void px_calls_hold(struct px *px, struct uconn *u, uint64_t now_ms);
void px_calls_drop(struct px *px, struct kconn *k);
bool px_fence_missing(const struct px *px, const struct call *c);
struct call *px_call_find(struct px *px, const struct kconn *k, uint32_t xid);
/* Puts a call where lookups find it (state_kconn.c needs it, too). */
struct call *px_call_new(struct px *px, struct kconn *k,
    const struct call_id *id);

/* route.c */
void px_route(struct px *px, uint32_t volume, uint64_t now_ms);
void px_route_server(struct px *px, uint32_t server, uint64_t now_ms);
void px_path_changed(struct px *px, uint32_t path, uint64_t now_ms);

/* owner.c: it said a moment ago that it does not serve the volume. */
bool px_owner_away(const struct px *px, uint32_t volume, uint64_t now_ms);

/* late.c */
void px_late(struct px *px, uint64_t now_ms);

/* conns.c */
void px_conns_maintain(struct px *px, struct kconn *k, uint64_t now_ms);
void px_conns_path_down(struct px *px, uint32_t path, uint64_t now_ms);
void px_conn_drop(struct px *px, struct uconn *u, bool abort_it,
    uint64_t now_ms);
void px_control_drop(struct px *px, uint32_t path, bool abort_it,
    uint64_t now_ms);
void px_control_maintain(struct px *px, uint32_t path, uint64_t now_ms);

/* fences.c */
/* At most to max: an agent's word does not cover what is sent later. */
void px_floor_raise(struct uconn *u, uint64_t floor, uint64_t max);
bool px_fence_wanted(struct px *px, struct call *c, uint64_t now_ms);
void px_fence_retired(struct px *px, struct kconn *k, uint64_t now_ms);
void px_retired_release(struct px *px, struct kconn *k, uint64_t now_ms);

/* state.c: the last 16 bytes of a state, over those before them. */
void px_state_seal(const uint8_t *buf, size_t len, uint8_t seal[16]);

#endif
