/*
 * own: the agent ends. What it owns is handed over first: its dirty data is
 * written back, which takes as long as there is much of it. An agent that
 * ended before would leave the volume mounted and held, and the others would
 * have to fence a server that is well.
 */
#include "hanfs/daemon.h"
#include "hanfs/log.h"
#include "server-agent/own_int.h"

/* How long it takes without a word; then it is looked again and again
 * whether the disks still take what is to be written; and there is an end
 * to that. PROGRESS_KIB is more than our own leases write in LOOK_S. */
enum { END_S = 20, LOOK_S = 5, MOST_MS = 600000, PROGRESS_KIB = 1024 };

static void
end_if_stopped(struct own *w)
{
	for (unsigned i = 0; i < w->n; i++)
		if (!w->v[i].stopped)
			return;
	event_base_loopbreak(w->a->base);
}

void
own_end_tick(struct own *w)
{
	if (w->ending)
		end_if_stopped(w);
}

/* Has its disk taken more since the last look? */
static bool
is_written(struct own_volume *v)
{
	uint64_t kib = steps_written_kib(v->av->cfg->storage.device);
	uint64_t more = kib - v->end_kib;

	v->end_kib = kib;
	if (v->stopped || more < PROGRESS_KIB)
		return false;
	log_notice("volume %s: still %s, its disk has taken %llu MiB since "
		   "the last look; the agent ends when it is handed over (a "
		   "second signal ends it at once, and the others fence this "
		   "server)",
	    own_name(v), owner_state_names[owner_state(v->o)],
	    (unsigned long long)more >> 10);
	return true;
}

static bool
any_is_written(struct own *w)
{
	bool any = false;

	for (unsigned i = 0; i < w->n; i++)
		any = is_written(&w->v[i]) || any;
	return any;
}

static void
look_again(struct own *w, unsigned seconds)
{
	const struct timeval tv = {.tv_sec = seconds};

	evtimer_add(&w->end_timer, &tv);
}

static void
on_end_timer(evutil_socket_t fd, short what, void *arg)
{
	struct own *w = arg;

	(void)fd;
	(void)what;
	if (agent_now(w->a) < w->end_until_ms && any_is_written(w)) {
		daemon_stopping_takes(2 * LOOK_S);
		look_again(w, LOOK_S);
		return;
	}
	for (unsigned i = 0; i < w->n; i++)
		if (!w->v[i].stopped)
			log_err("volume %s: still %s; the agent ends without "
				"having released it, and the others fence "
				"this server",
			    own_name(&w->v[i]),
			    owner_state_names[owner_state(w->v[i].o)]);
	event_base_loopbreak(w->a->base);
}

void
own_end(struct agent *a)
{
	struct own *w = a->own;
	struct owner_event ev = {.type = OWNER_EV_STOP, .peer = -1};

	if (w == NULL || w->ending) {
		event_base_loopbreak(a->base);
		return;
	}
	w->ending = true;
	w->end_until_ms = agent_now(a) + MOST_MS;
	evtimer_assign(&w->end_timer, a->base, on_end_timer, w);
	look_again(w, END_S);
	for (unsigned i = 0; i < w->n; i++) {
		w->v[i].end_kib =
		    steps_written_kib(w->v[i].av->cfg->storage.device);
		own_feed(&w->v[i], &ev);
	}
	end_if_stopped(w);
}
