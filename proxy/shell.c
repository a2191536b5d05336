/*
 * What follows every event: the core's actions are carried out, queued
 * records are written, what ended is freed, decisions are logged.
 */
#include <errno.h>
#include <stdlib.h>

#include "hanfs/clock.h"
#include "hanfs/log.h"

#include "proxy.h"

uint64_t
proxy_now(const struct proxy *p)
{
	(void)p;
	return clock_now_ms();
}

uint64_t
proxy_now_us(const struct proxy *p)
{
	(void)p;
	return clock_now_us();
}

const char *
proxy_volume_name(const struct proxy *p, uint32_t volume)
{
	return p->pxcfg.volume[volume].name;
}

const char *
proxy_path_name(const struct proxy *p, uint32_t path)
{
	static char buf[2 * CONFIG_NAME_MAX + 2];

	snprintf(buf, sizeof(buf), "%s/%s",
	    p->pxcfg.server[path / p->pxcfg.nnetworks],
	    p->pxcfg.network[path % p->pxcfg.nnetworks]);
	return buf;
}

static void
carry_out(struct proxy *p, const struct px_action *a)
{
	switch (a->type) {
	case PX_SEND:
		upstream_send(p, a);
		break;
	case PX_CONNECT:
		if (a->uconn->state != UCONN_CONNECTING ||
		    a->uconn->generation != a->generation)
			break; /* given up again meanwhile */
		upstream_connect(p,
		    px_path_index(&p->pxcfg,
			px_volume(p->px, a->uconn->kconn->volume)->owner,
			a->uconn->network),
		    a->uconn);
		break;
	case PX_ABORT:
		upstream_abort(p, a->uconn->user);
		break;
	case PX_CONTROL_OPEN:
		upstream_connect(p, a->path, NULL);
		break;
	case PX_CONTROL_ABORT:
		upstream_abort(p, p->control[a->path]);
		break;
	case PX_PROBE:
		upstream_probe(p, a->path);
		break;
	case PX_FENCE:
		upstream_fence(p, a);
		break;
	case PX_SUBSCRIBE:
		upstream_subscribe(p, a->path);
		break;
	case PX_KCONN_FREE: /* the core does that itself */
		upstream_forget(p, a->kconn);
		break;
	}
}

static void
flush(struct proxy *p)
{
	struct wire *w;

	while ((w = p->dirty) != NULL) {
		p->dirty = w->next_dirty;
		w->dirty = false;
		if (w->fd != -1 && wire_flush(w) == -1)
			w->failed(w, errno);
	}
}

static void
log_events(struct proxy *p)
{
	static struct log_limit limit = LOG_LIMIT_INIT(200, 10000);
	struct px_event e;

	while (px_events(p->px, p->events_logged, &e, 1) == 1) {
		p->events_logged = e.number + 1;
		log_limited(&limit, e.when_ms, LOG_LEVEL_INFO, "%s", e.text);
	}
}

void
proxy_settle(struct proxy *p)
{
	struct px_action a;
	bool more;

	do {
		more = false;
		while (px_next(p->px, &a)) {
			carry_out(p, &a);
			more = true;
		}
		more |= p->dirty != NULL;
		flush(p);
		kernel_sweep(p);
		upstream_sweep(p);
	} while (more);
	kernel_unchoke(p);
	if (p->calls_freed) {
		p->calls_freed = false;
		kernel_resume(p);
	}
	if (p->replies_freed) {
		p->replies_freed = false;
		upstream_resume(p, NULL);
	}
	log_events(p);
}
