/* An agent's connections to the backend of its volume. */
#include "agent.h"

void
link_open_for(struct server *s, struct relay_link *rl)
{
	struct link *l = sim_alloc(s->w, sizeof(*l));

	l->server = s;
	l->relay = rl;
	l->volume = relay_link_volume(rl);
	l->open = true;
	l->start = s->starts;
	l->next = s->links;
	s->links = l;
	relay_link_set_user(rl, l);
	at(s->w, rnd_between(s->w, 50, 500), EV_LINK_UP, l, 0);
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
	l->up = true;
	relay_link_up(l->relay, now_ms(s->w));
	agent_act(s);
}

void
link_close(struct relay_link *rl)
{
	struct link *l = relay_link_user(rl), **p;

	if (l == NULL)
		return;
	l->open = false;
	for (p = &l->server->links; *p != l; p = &(*p)->next)
		;
	*p = l->next;
	relay_link_set_user(rl, NULL);
}

void
agent_on_reply(struct link *l, const uint8_t *bytes)
{
	struct server *s = l->server;

	if (!s->alive || s->starts != l->start || !l->open)
		return;
	l->replies = sim_grow(s->w, l->replies, l->nreplies, &l->replies_room,
	    sizeof(*l->replies));
	l->replies[l->nreplies++] = bytes;
	agent_wake(s, rnd_between(s->w, 5, 60));
}

void
link_read(struct link *l)
{
	struct server *s = l->server;

	while (l->open && l->replies_read < l->nreplies) {
		const uint8_t *bytes = l->replies[l->replies_read++];
		struct rec *rec = rec_from(s->w->replies, bytes, NFS_REPLY_LEN);

		if (rec == NULL) {
			broken(s->w, I8, "no record left for a reply");
			return;
		}
		if (!relay_reply(l->relay, rec, now_ms(s->w)))
			broken(s->w, LIVE, "a reply was taken for nonsense");
		agent_act(s);
	}
}
