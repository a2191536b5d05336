/*
 * The NFS server behind an agent, and the file system: calls run side by
 * side, take effect at once at some moment, and answer later, in any order.
 * It has no duplicate cache. What ran, check.c is told.
 */
#include <assert.h>

#include "world.h"

enum { NFS_OK = 0, NFS_NOENT = 2, NFS_EXIST = 17 };

struct job {
	struct link *link;
	uint32_t volume, life, xid, status;
	struct op op;
	uint64_t value;
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
	j->volume = l->volume;
	j->life = w->backend[l->volume].life;
	whole = nfs_call_decode(rec, &j->xid, &j->op);
	assert(whole);
	rec_unref(rec);
	tell(w, "backend takes call %08x", j->xid);
	at(w, (l->up ? 0 : 1 * MS) + service(w), EV_EFFECT, j, 0);
}

static uint32_t
run_name(bool name[2], const struct op *op)
{
	bool *n = &name[op->name];

	switch (op->what) {
	case OP_CREATE:
	case OP_MKDIR:
		if (*n)
			return NFS_EXIST;
		*n = true;
		return NFS_OK;
	case OP_REMOVE:
	case OP_RMDIR:
		if (!*n)
			return NFS_NOENT;
		*n = false;
		return NFS_OK;
	case OP_RENAME:
		if (!*n)
			return NFS_NOENT;
		*n = false;
		name[!op->name] = true;
		return NFS_OK;
	default:
		return *n ? NFS_OK : NFS_NOENT;
	}
}

/* The call's effect; the number it gives back is unique unless it reads. */
static void
run(struct world *w, struct job *j)
{
	struct fs_slot *s = &w->fs[j->volume].slot[j->op.client][j->op.slot];
	struct kcall *c = kernel_call(&w->client[j->op.client], j->xid);
	bool newer = false;

	j->status = NFS_OK;
	j->value = ++w->ran;
	switch (j->op.what) {
	case OP_WRITE:
		newer = s->written > j->op.value;
		s->written = j->op.value;
		break;
	case OP_READ:
		j->value = s->written;
		break;
	case OP_SETATTR:
		newer = s->attr > j->op.value;
		s->attr = j->op.value;
		break;
	case OP_GETATTR:
		j->value = s->attr;
		break;
	case OP_COMMIT:
		break;
	default:
		j->status = run_name(s->name, &j->op);
	}
	check_ran(w, c, j->status, j->value, newer);
}

/* A backend that is stopped goes on later. */
static bool
waits(struct world *w, struct job *j, enum event_kind kind)
{
	const struct backend *b = &w->backend[j->volume];

	if (w->now >= b->stopped_until)
		return false;
	at(w, b->stopped_until - w->now + rnd(w, 2 * MS), kind, j, 0);
	return true;
}

void
backend_on_effect(struct world *w, void *job)
{
	struct job *j = job;

	if (j->life != w->backend[j->volume].life || j->link->broken ||
	    w->now < w->backend[j->volume].dead_until || waits(w, j, EV_EFFECT))
		return;
	run(w, j);
	at(w, service(w), EV_ANSWER, j, 0);
}

void
backend_on_answer(struct world *w, void *job)
{
	struct job *j = job;
	uint8_t *bytes;

	if (j->life != w->backend[j->volume].life || waits(w, j, EV_ANSWER))
		return;
	bytes = sim_alloc(w, NFS_REPLY_LEN);
	nfs_reply_encode(bytes, j->xid, j->status, j->value);
	agent_on_reply(j->link, bytes);
}

void
backend_end(struct world *w, uint32_t volume)
{
	w->backend[volume].life++;
	tell(w, "backend of volume %u is ended and started anew", volume);
}

void
backend_die(struct world *w, uint32_t volume, uint64_t until)
{
	struct server *s = &w->server[volume_owner(volume)];

	w->backend[volume].life++;
	w->backend[volume].dead_until = until;
	s->kills++;
	agent_links_break(s);
}
