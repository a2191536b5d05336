/* What agent.c, sconn.c and link.c, a simulated agent's process, share. */
#ifndef HANFS_SIM_AGENT_H
#define HANFS_SIM_AGENT_H

#include "world.h"

/* An accepted connection. */
struct sconn {
	struct server *s;
	struct tcp *c;
	struct relay_conn *rc;
	struct rec *held;
	bool ended, hello_kconn;
	uint32_t hello_volume;
};

/* agent.c: its loop runs after so long, unless it does before. */
void agent_wake(struct server *s, uint64_t delay);
void sconn_end(struct sconn *sc);

/* sconn.c: a message came; what the core wants is done. */
void sconn_take(struct sconn *sc, const struct msg *m);
void agent_act(struct server *s);

/* link.c */
void link_open_for(struct server *s, struct relay_link *rl);
void link_close(struct relay_link *rl);
void link_read(struct link *l);

#endif
