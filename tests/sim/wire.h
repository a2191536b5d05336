/* Hosts, networks and connections between them: net.c, tcp.c. */
#ifndef HANFS_SIM_WIRE_H
#define HANFS_SIM_WIRE_H

#include "sim.h"

/* --- net.c: hosts and networks */

struct iface {
	uint32_t gone, no_carrier; /* so many faults */
	uint32_t address;          /* how often it was changed */
};

struct network {
	uint32_t dead;     /* so many faults: nothing gets through */
	uint32_t loss;     /* permille */
	uint64_t delay;    /* more than usual */
	uint32_t late;     /* permille of packets that are held up... */
	uint64_t late_max; /* ... for up to this long */
	uint64_t paused_until;
	uint32_t blocked[HOSTS][HOSTS]; /* one way, so many faults */
	uint32_t no_broadcast[HOSTS];
	struct iface iface[HOSTS];
};

static inline uint32_t
client_host(uint32_t client)
{
	return client;
}

static inline uint32_t
server_host(uint32_t server)
{
	return CLIENTS_MAX + server;
}

/* Can the host send and receive there? */
bool iface_up(const struct world *w, uint32_t net, uint32_t host);
/* Sends; the event comes when and if it arrives. */
void net_send(struct world *w, uint32_t net, uint32_t from, uint32_t to,
    enum event_kind kind, void *obj, uint64_t arg);
/* Whether what arrives now gets in. */
bool net_arrives(
    const struct world *w, uint32_t net, uint32_t from, uint32_t to);

/* --- tcp.c: connections. One message is one record and one segment. */

enum msg_kind {
	M_HELLO,
	M_NULL,
	M_FENCE,
	M_ACK,
	M_SUBSCRIBE,
	M_RESULT, /* of one of those: of, tag */
	M_RPC,    /* NFS: bytes */
	M_FIN,
};

struct msg {
	enum msg_kind kind, of;
	uint32_t tag, volume, network;
	enum hanfs_status status;
	uint64_t kconn, generation, incarnation;
	uint64_t boot, highest, floor, epoch;
	bool resend;
	uint32_t n; /* of xids, or of bytes */
	const void *body;
};

enum tcp_why {
	TCP_RESET,
	TCP_REFUSED,
	TCP_EOF,
	TCP_UNREACHABLE,
};
extern const char *const tcp_why_names[];

enum { CLIENT_END, SERVER_END };

/* One direction's sender is end[i], its receiver end[!i]. */
struct tcp_end {
	bool open;         /* its application has it */
	bool dead;         /* nothing more is sent or taken */
	struct msg **sent; /* all there ever were */
	uint8_t *got;      /* by the other end, out of order too */
	uint32_t n, room, got_room, acked;
	uint32_t next;     /* received in order up to here */
	uint32_t read;     /* by the application */
	uint32_t repeats;  /* timeouts in a row */
	uint32_t twice;    /* acknowledgements of the same */
	uint32_t again_to; /* sent again up to here after a timeout */
	uint32_t segs, retrans;
	uint64_t deadline, since, heard;
	uint32_t keeps;
	bool timer;
	bool failed; /* reset by the peer, or given up */
};

struct tcp {
	struct tcp *next; /* of all */
	struct world *w;
	uint32_t id, net, client, server, address;
	bool connecting; /* SYN sent, no answer yet */
	bool known;      /* by the server's kernel */
	bool flow_dead;  /* what it sends vanishes, what others send not */
	struct tcp_end end[2];
	void *client_user, *server_user;
};

/* NULL: the client's interface is down. */
struct tcp *tcp_connect(struct world *w, uint32_t client, uint32_t server,
    uint32_t net, void *user);
void tcp_send(struct tcp *c, int end, struct msg *m);
/* A reset: what is not acknowledged is forgotten. */
void tcp_abort(struct tcp *c, int end);
/* As close(2) does it, also when the process dies: what was sent still goes
 * out, then FIN; a reset if there is something unread. */
void tcp_close(struct tcp *c, int end);
/* Somebody on the way forges a reset to that end. */
void tcp_reset(struct tcp *c, int end);
bool tcp_all_acked(const struct tcp *c, int end);
/* The next message that its application can read, or NULL. */
struct msg *tcp_read(struct tcp *c, int end);
bool tcp_readable(const struct tcp *c, int end);
void tcp_on_packet(struct world *w, void *packet);
void tcp_on_timer(struct tcp *c, int end);
void tcp_on_keepalive(struct tcp *c);

#endif
