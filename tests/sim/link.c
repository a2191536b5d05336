/* An agent's connections to the backend of its volume. */
#include "agent.h"

void
link_open_for(struct server *s, struct relay_link *rl)
{
	struct link *l = sim_alloc(s->w, sizeof(*l));

	l->server = s;
	l->relay = rl;
	l->volume = relay_link_volume(rl);
	l->backend = &s->w->backend[s->number][l->volume];
	l->open = true;
	l->start = s->starts;
	l->next = s->links;
	s->links = l;
	relay_link_set_user(rl, l);
	at(s->w, rnd_between(s->w, 50, 500), EV_LINK_UP, l, 0);
}

static void
forget(struct link *l)
{
	struct link **p = &l->server->links;

	l->open = false;
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	relay_link_set_user(l->relay, NULL);
}

static void
lost(struct link *l, const char *why)
{
	forget(l);
	relay_link_down(l->relay, why, now_ms(l->server->w));
	agent_act(l->server);
}

void
agent_links_break(struct backend *b)
{
	struct server *s = &b->w->server[b->server];

	for (struct link *l = s->links; l != NULL; l = l->next)
		l->broken = l->broken || (l->up && l->backend == b);
	agent_wake(s, 10);
}

void
agent_on_link_up(struct link *l)
{
	struct server *s = l->server;

	if (!s->alive || s->starts != l->start || !l->open)
		return;
	if (s->w->now < s->stalled_until) {
		at(s->w, s->stalled_until - s->w->now + 1, EV_LINK_UP, l, 0);
		return;
	}
	if (!l->backend->runs || s->w->now < l->backend->dead_until) {
		lost(l, "refused");
		return;
	}
	l->up = true;
	relay_link_up(l->relay, now_ms(s->w));
	agent_act(s);
}

void
link_close(struct relay_link *rl)
{
	struct link *l = relay_link_user(rl);

	if (l != NULL)
		forget(l);
}

void
agent_on_reply(struct link *l, const uint8_t *bytes, uint32_t len)
{
	struct server *s = l->server;

	if (!s->alive || s->starts != l->start || !l->open)
		return;
	l->replies = sim_grow(s->w, l->replies, l->nreplies, &l->replies_room,
	    sizeof(*l->replies));
	l->replies[l->nreplies++] = (struct reply){bytes, len};
	agent_wake(s, rnd_between(s->w, 5, 60));
}

void
link_read(struct link *l)
{
	struct server *s = l->server;

	while (l->open && l->replies_read < l->nreplies) {
		struct reply *r = &l->replies[l->replies_read++];
		struct rec *rec = rec_from(s->w->replies, r->bytes, r->len);

		if (rec == NULL) {
			broken(s->w, I8, "no record left for a reply");
			return;
		}
		if (!relay_reply(l->relay, rec, now_ms(s->w)))
			broken(s->w, LIVE, "a reply was taken for nonsense");
		agent_act(s);
	}
	if (l->open && l->broken)
		lost(l, "reset");
}
