/*
 * The NFS server behind an agent: calls run side by side, in one or more
 * steps (nfsd.c), and answer later, in any order. It has no duplicate cache.
 * What ran, check.c is told.
 */
#include <assert.h>

#include "agent.h"

struct job {
	struct link *link;
	struct backend *b;
	uint32_t life;
	bool begun, newer;
	struct nfsd_call c;
	struct run *run; /* NULL: an agent's own question */
	struct kcall *call;
	uint8_t reply[NFSD_REPLY_MAX];
	uint32_t len;
};

/* How long a call takes until it has its effect, and from there on. */
static uint64_t
service(struct world *w)
{
	if (chance(w, w->t.slow))
		return rnd_between(w, 5 * MS, 800 * MS);
	return rnd_between(w, 20, 400);
}

void
backend_take(struct link *l, struct rec *rec)
{
	struct world *w;
	struct job *j;
	bool whole;

	assert(l != NULL);
	if (l->broken) {
		rec_unref(rec);
		return;
	}
	w = l->server->w;
	j = sim_alloc(w, sizeof(*j));
	j->link = l;
	j->b = l->backend;
	j->life = j->b->life;
	whole = nfsd_decode(rec_head(rec), rec->len, &j->c);
	assert(whole);
	j->call = kernel_made(w, &j->c, rec_head(rec), rec->len);
	rec_unref(rec);
	tell(w, "s%u: backend of volume %u takes %s %08x", j->b->server + 1,
	    j->b->volume, j->call != NULL ? "call" : "a question,", j->c.xid);
	at(w, (l->up ? 0 : 1 * MS) + service(w), EV_EFFECT, j, 0);
}

/* Would this call put something older over what is there? */
static bool
is_older(const struct job *j)
{
	const struct fs_inode *i = &j->b->m->fs->inode[j->c.fh.inode];

	if (j->call == NULL || j->call->slot->shared || j->b->m->stale)
		return false;
	if (j->call->op.what == OP_WRITE)
		return fs_data(i)->block[j->c.offset / FS_BLOCK_LEN] >
		       j->c.value;
	if (j->call->op.what == OP_SETATTR || j->call->op.what == OP_TRUNCATE)
		return i->number > j->call->op.value;
	return false;
}

static void
begin(struct job *j)
{
	struct fs *fs = j->b->m->fs;
	struct run *r;

	j->begun = true;
	j->newer = is_older(j);
	nfsd_begin(fs, j->b->volume, &j->c);
	if (j->call == NULL)
		return;
	if (j->c.proc == NFS3_SETATTR && j->c.changed && !j->call->slot->shared)
		fs->inode[j->c.obj].number = j->call->op.value;
	r = j->run = sim_alloc(j->b->w, sizeof(*r));
	r->call = j->call;
	r->m = j->b->m;
	r->life = j->life;
}

/* All its steps are done. */
static void
finish(struct job *j)
{
	struct backend *b = j->b;
	struct world *w = b->w;

	j->len =
	    (uint32_t)nfsd_reply(b->m->fs, &j->c, b->volume, b->verf, j->reply);
	if (j->run != NULL) {
		j->run->reply = j->reply;
		j->run->len = j->len;
		j->run->status = j->c.status;
		j->run->finished = true;
		check_ran(w, j->run, j->newer);
	}
	if (j->c.sync && w->t.storage)
		mount_sync(b->m, j, backend_on_synced);
	else
		at(w, service(w), EV_ANSWER, j, 0);
}

/* A backend that is stopped goes on later. */
static bool
waits(struct world *w, struct job *j, enum event_kind kind)
{
	const struct backend *b = j->b;

	if (w->now >= b->stopped_until)
		return false;
	at(w, b->stopped_until - w->now + rnd(w, 2 * MS), kind, j, 0);
	return true;
}

void
backend_on_effect(struct world *w, void *job)
{
	struct job *j = job;

	if (j->life != j->b->life || j->link->broken ||
	    w->now < j->b->dead_until || waits(w, j, EV_EFFECT))
		return;
	if (!j->begun)
		begin(j);
	else
		nfsd_go_on(j->b->m->fs, &j->c);
	if (j->run != NULL) {
		j->run->changed = j->c.changed;
		j->run->trace = j->c.trace;
		j->run->first = j->c.changed ? j->c.first : j->c.saw;
		j->run->last = j->c.changed || j->c.sync ? j->c.last : j->c.saw;
		check_step(w, j->run);
	}
	if (!w->t.storage)
		fs_durable(j->b->m->fs, j->b->m->fs->end);
	if (j->c.todo != 0)
		at(w, 5 + rnd(w, 40), EV_EFFECT, j, 0);
	else
		finish(j);
}

void
backend_on_synced(void *job, bool good)
{
	struct job *j = job;

	if (!good) {
		j->c.status = NFS_IO;
		j->len = (uint32_t)nfsd_reply(
		    j->b->m->fs, &j->c, j->b->volume, j->b->verf, j->reply);
		if (j->run != NULL)
			j->run->status = NFS_IO;
	}
	at(j->b->w, rnd_between(j->b->w, 5, 50), EV_ANSWER, j, 0);
}

void
backend_on_answer(struct world *w, void *job)
{
	struct job *j = job;

	if (j->life == j->b->life && !waits(w, j, EV_ANSWER))
		agent_on_reply(j->link, j->reply, j->len);
}

/* --- life */

void
backend_start(struct backend *b, struct mount *m)
{
	b->life++;
	b->m = m;
	b->runs = true;
	b->verf = ++b->w->ran << 8 | b->volume;
}

void
backend_end(struct backend *b)
{
	b->life++;
	b->runs = false;
	if (b->w->t.storage)
		agent_links_break(b);
	tell(b->w, "s%u: backend of volume %u is ended", b->server + 1,
	    b->volume);
}

void
backend_die(struct backend *b, uint64_t until)
{
	b->life++;
	b->dead_until = until;
	b->verf = ++b->w->ran << 8 | b->volume;
	b->w->doubts[b->volume]++;
	agent_links_break(b);
}
