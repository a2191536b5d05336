/*
 * Carries out what the core decides. See agent.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/daemon.h"
#include "hanfs/log.h"
#include "server-agent/agent.h"
#include "server-agent/logio.h"
#include "server-agent/own.h"

enum { TICK_MS = 200 };

uint64_t
agent_now(struct agent *a)
{
	a->now_ms = clock_now_ms();
	return a->now_ms;
}

static void
act(struct agent *a, const struct relay_action *x)
{
	switch (x->type) {
	case RELAY_SEND_CONN:
		conn_send(relay_conn_user(x->conn), x->rec);
		break;
	case RELAY_SEND_LINK:
		backend_send(x->link, x->rec);
		break;
	case RELAY_CLOSE_CONN:
		conn_end(
		    relay_conn_user(x->conn), relay_reason_names[x->reason]);
		break;
	case RELAY_OPEN_LINK:
		backend_open(a, x->link);
		break;
	case RELAY_CLOSE_LINK:
		backend_close(x->link);
		break;
	case RELAY_RESUME:
		conn_again(relay_conn_user(x->conn));
		break;
	case RELAY_HELLO:
		proc_hello_answer(relay_conn_user(x->conn), &x->hello);
		break;
	case RELAY_LOG_WRITE:
	case RELAY_LOG_SYNC:
	case RELAY_RECOVERED:
	case RELAY_DRAINED:
	case RELAY_SUSPECT:
	case RELAY_GIVE_UP:
		logio_act(a, x);
		break;
	}
}

void
agent_act(struct agent *a)
{
	struct relay_action x;

	while (relay_next(a->relay, &x))
		act(a, &x);
}

static void
free_dead(struct agent *a)
{
	struct netconn *c;
	struct blink *b;

	while ((c = LIST_FIRST(&a->dead_conns)) != NULL) {
		LIST_REMOVE(c, next);
		free(c);
	}
	while ((b = LIST_FIRST(&a->dead_blinks)) != NULL) {
		LIST_REMOVE(b, next);
		free(b);
	}
}

void
agent_settle(void *arg)
{
	struct agent *a = arg;

	/* Writing may lose connections, which is news for the core. */
	do
		agent_act(a);
	while (logio_settle(a) || stream_loop_flush(&a->loop));
	free_dead(a);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;

	(void)what;
	clock_ticker_read(fd);
	relay_tick(a->relay, agent_now(a));
	flow_tick(a);
	stranger_tick(a);
	own_tick(a);
	agent_settle(a);
	/* The heartbeats' thread falls silent when this stays out. */
	if (a->hb != NULL)
		hbsend_alive(a->hb, a->now_ms);
	daemon_alive();
}

/* A volume without shared storage belongs to its first candidate, for ever
 * in epoch 1. One that has it belongs to nobody until own.h says so. */
static void
start_volume(struct agent *a, unsigned i)
{
	struct agent_volume *v = &a->volumes[i];

	v->cfg = &a->cfg->volumes[i];
	for (unsigned k = 0; k < v->cfg->ncandidates; k++)
		v->here |= v->cfg->candidates[k] == a->server;
	v->told = HB_STANDBY;
	v->backend = -1;
	v->next_port = 1023;
	if (v->cfg->storage.device[0] == '\0') {
		v->serving = v->cfg->candidates[0] == a->server;
		v->told = v->serving ? HB_SERVING : HB_STANDBY;
		v->epoch = 1;
	}
	proc_fit_start(a, i);
	relay_volume_set(a->relay, i, v->serving, a->now_ms);
	if (v->here)
		log_info("volume %s: %s", v->cfg->name,
		    v->serving ? "serving" : "standby");
}

int
agent_start(struct agent *a)
{
	stream_loop_init(&a->loop, a->base, agent_settle, a);
	stream_group_init(&a->from_clients, &a->loop, a->calls);
	stream_group_init(&a->from_backends, &a->loop, a->replies);
	agent_now(a);
	for (unsigned i = 0; i < a->nvolumes; i++)
		start_volume(a, i);
	if (a->hb != NULL)
		hbsend_alive(a->hb, a->now_ms);
	a->ticker = clock_ticker(TICK_MS);
	if (a->ticker == -1) {
		log_err("no timer: %s", strerror(errno));
		return -1;
	}
	if (listen_start(a) == -1)
		return -1;
	announce_volumes(a);
	if (own_start(a) == -1)
		return -1;
	event_assign(
	    &a->tick, a->base, a->ticker, EV_READ | EV_PERSIST, on_tick, a);
	event_add(&a->tick, NULL);
	return 0;
}

void
agent_stop(struct agent *a)
{
	own_stop(a);
	listen_stop(a);
	proc_fit_stop(a);
	event_del(&a->tick);
	close(a->ticker);
	agent_now(a);
	while (!LIST_EMPTY(&a->conns))
		conn_end(LIST_FIRST(&a->conns), NULL);
	agent_act(a);
	while (!LIST_EMPTY(&a->blinks))
		backend_close(LIST_FIRST(&a->blinks)->link);
	agent_settle(a);
	stream_group_fini(&a->from_clients);
	stream_group_fini(&a->from_backends);
}
