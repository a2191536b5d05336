/* What proxy.c and upstream.c, a simulated proxy's process, share. */
#ifndef HANFS_SIM_UPSTREAM_H
#define HANFS_SIM_UPSTREAM_H

#include "world.h"

struct request { /* a call of the agent program that is outstanding */
	struct request *next;
	struct msg *m;
	uint64_t sent;
};

enum up_state { UP_CONNECTING, UP_HELLO, UP_READY };

struct upstream {
	struct upstream *next;
	struct client *cl;
	struct tcp *c;
	uint32_t path;
	struct uconn *u; /* NULL: control */
	enum up_state state;
	bool closed;
	struct request *requests;
	uint32_t retrans, segs;
};

void upstream_connect(struct client *cl, uint32_t path, struct uconn *u);
void upstream_abort(struct upstream *up);
void upstream_call(struct upstream *up, struct call *c);
void upstream_fence(struct upstream *up, const struct px_action *a);
void upstream_simple(struct upstream *up, enum msg_kind kind);
void upstream_ack(struct upstream *up, struct proxy_conn *p);
void upstream_look_probe(struct client *cl, uint32_t path);
void upstream_look(struct client *cl);
void upstream_end(struct client *cl);

/* proxy.c */
void proxy_settle(struct client *cl);
void proxy_reply(
    struct proxy_conn *p, const struct msg *m, enum call_class class);
/* The ACK was lost with its connection. */
void proxy_taken_again(struct client *cl, const struct msg *m);

#endif
