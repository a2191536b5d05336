/* own: the contract is in own.h. Set-up, time, what peers say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/own_int.h"
#include "server-agent/peers.h"

const char *
own_name(const struct own_volume *v)
{
	return v->av->cfg->name;
}

int
own_server(const struct own_volume *v, uint32_t server_id)
{
	return server_id == 0 ? -1
			      : config_find_server_id(v->a->cfg, server_id);
}

/* --- the machine's events, and what follows */

static void
set_timer(struct own_volume *v)
{
	uint64_t at = owner_next_ms(v->o), ms;
	struct timeval tv;

	if (at == UINT64_MAX) {
		evtimer_del(&v->timer);
		return;
	}
	ms = at > v->a->now_ms ? at - v->a->now_ms : 0;
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	evtimer_add(&v->timer, &tv);
}

void
own_settle(struct own_volume *v)
{
	struct owner_action x;

	while (owner_next(v->o, &x))
		own_act(v, &x);
	set_timer(v);
}

void
own_feed(struct own_volume *v, const struct owner_event *ev)
{
	owner_event(v->o, ev, v->a->now_ms);
	own_settle(v);
}

void
own_feed_end(struct own_volume *v, bool done, const char *text)
{
	struct owner_event ev = {.type = done ? OWNER_EV_DONE : OWNER_EV_FAILED,
	    .peer = -1,
	    .text = text};

	own_feed(v, &ev);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct own_volume *v = arg;

	(void)fd;
	(void)what;
	owner_tick(v->o, agent_now(v->a));
	own_settle(v);
	agent_settle(v->a);
}

/* --- set-up */

bool
own_managed(const struct agent *a, unsigned volume)
{
	return a->cfg->volumes[volume].storage.device[0] != '\0' &&
	       a->volumes[volume].here;
}

bool
own_any(const struct agent *a)
{
	for (unsigned i = 0; i < a->nvolumes; i++)
		if (own_managed(a, i))
			return true;
	return false;
}

static int
start_volume(struct own *w, unsigned index)
{
	struct own_volume *v = &w->v[w->n++];
	struct owner_config oc;

	w->by_index[index] = v;
	v->a = w->a;
	v->index = index;
	v->av = &w->a->volumes[index];
	v->disk_works = true;
	for (unsigned i = 0; i < LANES; i++)
		v->lanes[i].v = v;
	evtimer_assign(&v->timer, w->a->base, on_timer, v);
	v->runner = own_runner(v);
	v->fence =
	    fence_new(w->a->base, w->a->cfg, index, w->a->server, &v->runner);
	owner_configure(&oc, w->a->cfg, index, w->a->server);
	v->o = owner_new(&oc, w->a->now_ms);
	if (v->fence == NULL || v->o == NULL) {
		log_err("volume %s: no memory", own_name(v));
		return -1;
	}
	if (own_arbiter_start(v) == -1)
		return -1;
	own_settle(v);
	return 0;
}

static void
on_backend_end(void *arg, unsigned volume, const char *how)
{
	struct agent *a = arg;
	struct own_volume *v = a->own->by_index[volume];
	struct owner_event ev = {
	    .type = OWNER_EV_BACKEND_DIED, .peer = -1, .text = how};

	agent_now(a);
	log_err("volume %s: its backend ended: %s", own_name(v), how);
	v->backend_runs = false;
	own_feed(v, &ev);
}

int
own_start(struct agent *a)
{
	if (!own_any(a))
		return 0;
	a->own = calloc(1, sizeof(*a->own));
	if (a->own == NULL)
		return -1;
	a->own->a = a;
	steps_on_backend_end(a->steps, on_backend_end, a);
	logio_start(a, &own_log_calls, a);
	if (steps_attach(a->steps, a->base, agent_settle, a) == -1 ||
	    peers_start(a) == -1)
		return -1;
	for (unsigned i = 0; i < a->nvolumes; i++)
		if (own_managed(a, i) && start_volume(a->own, i) == -1)
			return -1;
	return 0;
}

void
own_stop(struct agent *a)
{
	struct own *w = a->own;

	if (w == NULL)
		return;
	peers_stop(a);
	logio_end(a);
	for (unsigned i = 0; i < w->n; i++) {
		struct own_volume *v = &w->v[i];

		own_arbiter_stop(v);
		own_guard_stop(v);
		if (v->timer.ev_base != NULL)
			evtimer_del(&v->timer);
		fence_free(v->fence);
		owner_free(v->o);
	}
	if (w->ending)
		evtimer_del(&w->end_timer);
	own_watchdog_stop(w);
	free(w);
	a->own = NULL;
}

/* --- what peers say */

void
own_told(struct agent *a, unsigned volume, unsigned peer, enum hb_state state,
    uint64_t epoch)
{
	struct own_volume *v = a->own != NULL ? a->own->by_index[volume] : NULL;
	struct owner_event ev = {.type = OWNER_EV_TOLD,
	    .peer = (int)peer,
	    .told = state,
	    .epoch = epoch};

	if (v != NULL && v->o != NULL)
		own_feed(v, &ev);
}

void
own_verdict(struct agent *a, unsigned peer, enum suspect_state verdict,
    const char *evidence)
{
	struct own *w = a->own;
	struct owner_event ev = {.type = OWNER_EV_PEER,
	    .peer = (int)peer,
	    .verdict = verdict,
	    .text = evidence};

	w->verdict[peer] = verdict;
	snprintf(w->evidence[peer], sizeof(w->evidence[peer]), "%s", evidence);
	for (unsigned i = 0; i < w->n; i++) {
		arbiter_peer(w->v[i].arbiter, peer,
		    verdict == SUSPECT_DEAD || verdict == SUSPECT_SILENT);
		own_feed(&w->v[i], &ev);
	}
}

void
own_networks(struct agent *a, bool lost)
{
	struct own *w = a->own;
	struct owner_event ev = {
	    .type = lost ? OWNER_EV_NETS_LOST : OWNER_EV_NETS_BACK, .peer = -1};

	if (w == NULL || w->nets_lost == lost)
		return;
	w->nets_lost = lost;
	for (unsigned i = 0; i < w->n; i++)
		own_feed(&w->v[i], &ev);
}

bool
own_ping(struct agent *a, unsigned volume, unsigned peer, uint32_t timeout_ms)
{
	struct own_volume *v = a->own->by_index[volume];

	return v != NULL && v->arbiter != NULL &&
	       arbiter_ping(v->arbiter, peer, timeout_ms);
}

void
own_disk_lost(struct agent *a, unsigned volume, const char *why)
{
	struct own_volume *v = a->own != NULL ? a->own->by_index[volume] : NULL;
	struct owner_event ev = {
	    .type = OWNER_EV_DISK_LOST, .peer = -1, .text = why};

	if (v != NULL)
		own_feed(v, &ev);
}

/* --- time, the end */

static void
report_disk(struct own_volume *v)
{
	struct ctlio_stats io;

	if (v->disk_works && arbiter_io_stats(v->arbiter, &io))
		peers_disk(
		    v->a, v->index, true, (uint32_t)(io.mean_write_us / 1000));
}

void
own_tick(struct agent *a)
{
	if (a->own == NULL)
		return;
	for (unsigned i = 0; i < a->own->n; i++) {
		struct own_volume *v = &a->own->v[i];

		arbiter_alive(v->arbiter, (uint32_t)v->av->told);
		report_disk(v);
		own_take_again(v);
		own_flush_tick(v);
		own_plain_tick(v);
	}
	peers_tick(a);
	own_end_tick(a->own);
}
