/*
 * Network connections: what comes over one is for the agent program or a
 * call for the core; what the core sends goes out. See agent.h.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sodium.h>

#include "hanfs/log.h"
#include "hanfs/rpc.h"
#include "server-agent/agent.h"
#include "server-agent/own.h"

const char *const conn_kind_names[] = {"new", "proxy", "plain"};

static const struct stream_ops conn_ops;

static const char *
peer_name(const struct netconn *c, char buf[ADDR_TEXT_SIZE])
{
	return addr_format(&c->peer, buf, ADDR_TEXT_SIZE);
}

void
conn_new(struct agent *a, int fd, const struct hanfs_addr *peer,
    const struct hanfs_addr *local)
{
	static struct log_limit limit = LOG_LIMIT_INIT(1, 10000);
	struct netconn *c = calloc(1, sizeof(*c));
	char name[ADDR_TEXT_SIZE];

	if (c != NULL)
		c->rc = relay_conn_new(a->relay, c);
	if (c == NULL || c->rc == NULL) {
		log_limited(&limit, a->now_ms, LOG_LEVEL_WARN,
		    "connection refused: as many as there may be are here");
		a->n.refused++;
		free(c);
		close(fd);
		return;
	}
	a->n.accepted++;
	c->a = a;
	c->volume = -1;
	c->moved_ms = a->now_ms;
	c->peer = *peer;
	c->local = *local;
	LIST_INIT(&c->stopped);
	LIST_INSERT_HEAD(&a->conns, c, next);
	stream_open(&c->s, &a->from_clients, fd, &conn_ops, false);
	if (!stranger_new(c)) {
		log_limited(&limit, a->now_ms, LOG_LEVEL_WARN,
		    "%s closed: too many connections of its host have not "
		    "said whose they are",
		    peer_name(c, name));
		a->n.refused++;
		conn_end(c, NULL);
	}
}

void
conn_end(struct netconn *c, const char *why)
{
	static struct log_limit limit = LOG_LIMIT_INIT(100, 10000);
	struct agent *a = c->a;
	char peer[ADDR_TEXT_SIZE];

	if (c->s.fd == -1)
		return;
	if (why != NULL && c->kind != KIND_NEW)
		log_limited(&limit, a->now_ms, LOG_LEVEL_INFO, "%s closed: %s",
		    peer_name(c, peer), why);
	stream_close(&c->s);
	rec_unref(c->held);
	c->held = NULL;
	flow_conn_end(c);
	own_plain_changed(a, c);
	stranger_end(c);
	relay_conn_gone(c->rc, a->now_ms);
	LIST_REMOVE(c, next);
	LIST_INSERT_HEAD(&a->dead_conns, c, next);
}

/* Nonsense from outside ends its connection, and nobody else notices. */
static void
malformed(struct netconn *c, const char *what)
{
	static struct log_limit limit = LOG_LIMIT_INIT(5, 10000);
	char peer[ADDR_TEXT_SIZE];

	c->a->n.malformed++;
	log_limited(&limit, c->a->now_ms, LOG_LEVEL_WARN, "%s closed: %s",
	    peer_name(c, peer), what);
	conn_end(c, NULL);
}

/* The volume that a client without HELLO means: the only one served. */
static int
only_volume(const struct agent *a)
{
	int found = -1;

	for (unsigned i = 0; i < a->nvolumes; i++) {
		if (!a->volumes[i].serving)
			continue;
		if (found != -1)
			return -1;
		found = (int)i;
	}
	return found;
}

/* The volume whose service address the client came to, or -1. */
static int
volume_of_address(const struct agent *a, const struct hanfs_addr *local)
{
	for (unsigned i = 0; i < a->nvolumes; i++) {
		const struct config_storage *s = &a->cfg->volumes[i].storage;

		if (s->service_address.family != 0 &&
		    addr_same_ip(&s->service_address, local))
			return (int)i;
	}
	return -1;
}

/* For clients without HELLO: address and port stand for the client. */
static bool
make_plain(struct netconn *c)
{
	static struct log_limit limit = LOG_LIMIT_INIT(5, 10000);
	struct agent *a = c->a;
	char peer[ADDR_TEXT_SIZE];
	uint8_t id[CLIENT_ID_LEN];
	int volume = volume_of_address(a, &c->local);

	if (volume == -1)
		volume = only_volume(a);
	crypto_generichash(id, sizeof(id), (const uint8_t *)&c->peer,
	    sizeof(c->peer), NULL, 0);
	if (volume == -1 || !relay_plain(c->rc, (unsigned)volume, id, &c->peer,
				sizeof(c->peer), a->now_ms)) {
		log_limited(&limit, a->now_ms, LOG_LEVEL_WARN,
		    "%s: a client without hanfs-proxy is served only at its "
		    "volume's service address, or where exactly one volume "
		    "is; mount through the proxy",
		    peer_name(c, peer));
		conn_end(c, NULL);
		return false;
	}
	c->kind = KIND_PLAIN;
	stranger_known(c);
	flow_conn_volume(c, volume);
	own_plain_changed(a, c);
	log_info("%s: client without proxy, volume %s", peer_name(c, peer),
	    a->volumes[volume].cfg->name);
	return true;
}

static void
offer(struct netconn *c, struct rec *rec)
{
	if (relay_call(c->rc, rec, c->a->now_ms) == RELAY_HELD) {
		c->held = rec;
		stream_pause(&c->s, PAUSE_QUOTA);
	} else
		stream_resume(&c->s, PAUSE_QUOTA);
}

/* Any user of a host may have such a port, and could claim to be root. */
static bool
port_is_reserved(struct netconn *c, struct rec *rec)
{
	static struct log_limit limit = LOG_LIMIT_INIT(5, 10000);
	char peer[ADDR_TEXT_SIZE];

	if (c->peer.port < IPPORT_RESERVED)
		return true;
	log_limited(&limit, c->a->now_ms, LOG_LEVEL_WARN,
	    "%s: calls from a port of 1024 and above are refused",
	    peer_name(c, peer));
	c->a->n.insecure++;
	proc_send_answer(c, be32_get(rec_head(rec)), RPC_ANSWER_AUTH_TOOWEAK);
	rec_unref(rec);
	return false;
}

static void
on_record(struct stream *s, struct rec *rec)
{
	struct netconn *c = (struct netconn *)s;
	bool ours = proc_is_ours(rec);

	agent_now(c->a);
	c->a->offering = c;
	if (c->kind == KIND_NEW && ours)
		c->kind = KIND_PROXY;
	if (rec->head_len < 8) {
		rec_unref(rec);
		malformed(c, "record too short for a call");
	} else if (ours)
		proc_call(c, rec);
	else if (!port_is_reserved(c, rec))
		; /* answered */
	else if (c->kind == KIND_NEW && !make_plain(c))
		rec_unref(rec);
	else
		offer(c, rec);
	agent_act(c->a);
	c->a->offering = NULL;
}

/* The core has room for the call it refused. */
void
conn_again(struct netconn *c)
{
	struct rec *rec = c->held;

	if (rec == NULL)
		return;
	c->held = NULL;
	offer(c, rec);
}

static void
on_lost(struct stream *s, const char *why)
{
	struct netconn *c = (struct netconn *)s;

	agent_now(c->a);
	conn_end(c, why);
}

static void
on_written(struct stream *s)
{
	flow_conn((struct netconn *)s);
}

void
conn_send(struct netconn *c, struct rec *rec)
{
	/* A kept reply may still be queued for another connection. */
	if (rec->queued) {
		struct rec *copy = rec_from(rec->pool, rec_head(rec), rec->len);

		rec_unref(rec);
		rec = copy;
	}
	if (rec == NULL) {
		conn_end(c, "no memory for a reply");
		return;
	}
	stream_put(&c->s, rec);
	rec_unref(rec);
	flow_conn(c);
}

static const struct stream_ops conn_ops = {
    .record = on_record,
    .lost = on_lost,
    .written = on_written,
};
