/*
 * An agent's calls and their log, as the owner machine wants them.
 */
#include "own.h"

void
logio_recover(struct own *own)
{
	at(own->s->w, rnd_between(own->s->w, 1 * MS, 10 * MS), EV_OWN_STEP, own,
	    own->step);
}

void
logio_sync_all(struct own *own)
{
	at(own->s->w, disk_latency(own->s->w, own->volume), EV_OWN_STEP, own,
	    own->step);
}

void
logio_drain(struct own *own)
{
	logio_hold(own);
	at(own->s->w, rnd_between(own->s->w, 1 * MS, 10 * MS), EV_OWN_STEP, own,
	    own->step);
}

void
logio_serve(struct own *own)
{
	struct server *s = own->s;

	own->serving = true;
	relay_volume_set(s->relay, own->volume, true, now_ms(s->w));
	agent_act(s);
}

void
logio_hold(struct own *own)
{
	struct server *s = own->s;

	own->serving = false;
	relay_volume_set(s->relay, own->volume, false, now_ms(s->w));
	agent_act(s);
}

void
logio_close(struct own *own)
{
	if (own->serving)
		logio_hold(own);
}
