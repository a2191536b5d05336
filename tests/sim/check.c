/*
 * What must hold (DESIGN section 7), as far as this world can tell. Without
 * a log (volumes without `storage`), a call that was outstanding when its
 * server's agent was killed may run twice: those are counted. With one, what
 * counts is what a cut left: each call that changes something has run once
 * in that history when its reply comes, and the reply is that run's.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

const char *const invariant_names[INVARIANTS] = {
    [I1] = "I1, one writer",
    [I2] = "I2, exactly once",
    [I3] = "I3, nothing acknowledged is lost",
    [I4] = "I4, no write after a newer one",
    [I5] = "I5, no error that the fault made",
    [I6] = "I6, answered in time",
    [I8] = "I8, bounds",
    [LIVE] = "liveness",
    [NEVER_RAN] = "I5, undecidable though it never ran",
};

void
broken(struct world *w, enum invariant i, const char *fmt, ...)
{
	va_list ap;

	if (w->out.failed)
		return;
	/* Without a log these cannot hold; they are counted. */
	if (w->opt.no_log && (i == I2 || i == I3 || i == I4 || i == I5)) {
		w->out.doubles++;
		return;
	}
	w->out.failed = true;
	w->out.invariant = i;
	va_start(ap, fmt);
	vsnprintf(w->out.what, sizeof(w->out.what), fmt, ap);
	va_end(ap);
	tell(w, "BROKEN %s: %s", invariant_names[i], w->out.what);
}

#define CALL "c%u call %08x, %s of name %c in slot %u"
#define CALL_OF(c)                                            \
	(c)->op.client + 1, (c)->xid, op_names[(c)->op.what], \
	    'a' + (int)(c)->op.name, (c)->op.slot

/* Was it under way when a server, an agent or a backend died? */
static bool
in_doubt(const struct world *w, const struct kcall *c)
{
	return w->doubts[c->slot->volume] > c->doubts;
}

/* --- runs */

/* A run that stands, and has done something. */
static bool
stands(const struct run *r)
{
	return !r->lost && r->changed;
}

/* The first step of a run is done. */
static void
begins(struct world *w, struct run *r)
{
	struct kcall *c = r->call;

	r->next = c->runs;
	c->runs = r;
	c->ran++;
	if (c->ran == 1 || !op_changes(c->op.what) || r->m->stale)
		return;
	if (!w->t.storage) {
		if (in_doubt(w, c))
			w->out.doubles++;
		else
			broken(w, I2, CALL ", ran %u times%s", CALL_OF(c),
			    c->ran,
			    c->done != 0 ? ", the last time after its reply"
					 : "");
		return;
	}
	for (const struct run *o = r->next; o != NULL; o = o->next)
		if (stands(o) && o->trace && !o->partial && o->finished)
			broken(w, I2, CALL ", ran once more (%u)%s", CALL_OF(c),
			    c->ran, c->done != 0 ? ", after its reply" : "");
}

void
check_step(struct world *w, struct run *r)
{
	struct mount *m = r->m;

	if (r->call->runs != r) {
		begins(w, r);
		if (m->stale)
			r->lost = true;
	}
	if (r->lost || r->last <= m->fs->durable)
		return;
	if (m->nruns > 0 && m->runs[m->nruns - 1] == r)
		return;
	m->runs =
	    sim_grow(w, m->runs, m->nruns, &m->runs_room, sizeof(struct run *));
	m->runs[m->nruns++] = r;
}

void
check_ran(struct world *w, struct run *r, bool newer_was_written)
{
	struct kcall *c = r->call;

	tell(w,
	    "s%u: backend: c%u call %08x %s slot %u value %llu ran%s: "
	    "status %u",
	    r->m->server + 1, c->op.client + 1, c->xid, op_names[c->op.what],
	    c->op.slot, (unsigned long long)c->op.value,
	    r->m->stale ? " on a stale mount" : "", r->status);
	if (newer_was_written)
		broken(w, I4, CALL " of value %llu, ran after a newer one did",
		    CALL_OF(c), (unsigned long long)c->op.value);
}

void
check_cut(struct mount *m, uint64_t pos)
{
	for (uint32_t i = 0; i < m->nruns; i++) {
		struct run *r = m->runs[i];
		struct kcall *c = r->call;

		r->lost = r->lost || r->first > pos;
		r->partial = r->partial || r->last > pos;
		if (c->done == 0 || !r->partial)
			continue;
		if (r->changed)
			broken(m->w, I3, CALL ", was acknowledged and is lost",
			    CALL_OF(c));
		else if (!c->slot->unstable)
			broken(m->w, I3,
			    CALL ", was answered from what is lost now",
			    CALL_OF(c));
	}
}

/* --- replies */

/* Up to where the disk itself has everything. */
static uint64_t
on_disk(const struct world *w, const struct run *r)
{
	return w->disk[r->m->volume].mount->fs->durable;
}

/* The run that the reply is of; NULL: none of those that stand. */
static const struct run *
run_of(const struct kcall *c, const struct nfs_answer *a)
{
	const struct run *r;

	for (r = c->runs; r != NULL; r = r->next)
		if (!r->lost && r->finished && r->len == a->len &&
		    memcmp(r->reply, a->bytes, a->len) == 0)
			return r;
	return NULL;
}

/* A reply that was made from what is there. */
static bool
fits(const struct run *r, const struct nfs_answer *a)
{
	struct nfs_answer mine;

	if (r->lost || !r->finished || a->status != r->status)
		return r->changed && !r->lost && a->status == NFS_OK;
	if (nfs_reply_decode(r->reply, r->len, r->call->op.what, &mine) &&
	    a->has_fh && mine.has_fh)
		return a->fh.inode == mine.fh.inode && a->fh.gen == mine.fh.gen;
	return true;
}

/* A SETATTR that left no trace, or half of one, is done by recovery. */
static bool
finished_for_it(
    const struct world *w, const struct kcall *c, const struct nfs_answer *a)
{
	return in_doubt(w, c) && op_proc(c->op.what) == NFS3_SETATTR &&
	       a->status == NFS_OK;
}

/* With a log: one run of it stands, is durable, and this is its reply. */
static void
check_once(struct world *w, struct kcall *c, const struct nfs_answer *a)
{
	const struct run *mine = run_of(c, a), *r;
	uint32_t n = 0;

	for (r = c->runs; r != NULL; r = r->next) {
		if (!stands(r))
			continue;
		n += r->trace && !r->partial;
		if (mine == NULL && in_doubt(w, c) && fits(r, a))
			mine = r;
		if (r->last > on_disk(w, r) && !r->partial)
			broken(w, I3,
			    CALL ", is acknowledged and not on the disk",
			    CALL_OF(c));
	}
	for (r = c->runs; mine == NULL && r != NULL; r = r->next)
		if (in_doubt(w, c) && fits(r, a))
			mine = r;
	if (mine == NULL && n == 0 && finished_for_it(w, c, a))
		return;
	else if (mine == NULL)
		broken(w, I2,
		    CALL ", got status %u: no run of it (%u) that "
			 "stands has that reply",
		    CALL_OF(c), a->status, c->ran);
	else if (n > 1)
		broken(
		    w, I2, CALL ", has taken effect %u times", CALL_OF(c), n);
	else if (n == 1 && a->status != NFS_OK)
		broken(w, I2, CALL ", has taken effect and got status %u",
		    CALL_OF(c), a->status);
}

/* What it shows must not be lost in a cut. */
static void
check_seen(struct world *w, struct kcall *c, const struct nfs_answer *a)
{
	const struct run *r = run_of(c, a);

	if (r == NULL && !in_doubt(w, c) && c->op.what != OP_READ)
		broken(
		    w, I2, CALL ", got the reply of another one", CALL_OF(c));
	else if (r != NULL && r->first > on_disk(w, r) && !c->slot->unstable)
		broken(w, I3, CALL ", shows what is not on the disk yet",
		    CALL_OF(c));
}

static void
check_content(struct world *w, struct kcall *c, const struct nfs_answer *a)
{
	const struct want *want = &c->slot->want;
	const struct want_name *n = &want->name[c->op.name];
	uint64_t mode = n->mode, owner = n->owner;

	if (c->op.what == OP_READ && a->value != c->expect_value)
		broken(w, I5, CALL ", got %llu, not %llu", CALL_OF(c),
		    (unsigned long long)a->value,
		    (unsigned long long)c->expect_value);
	if (!a->has_attr || a->status != NFS_OK)
		return;
	if (c->slot->number % 2 == 0) {
		mode = want->mode;
		owner = want->owner;
		if (!c->slot->unstable && a->size != want->data.size &&
		    c->op.what != OP_WRITE)
			broken(w, I5, CALL ", got size %llu, not %llu",
			    CALL_OF(c), (unsigned long long)a->size,
			    (unsigned long long)want->data.size);
	} else if (a->type != n->type) {
		broken(w, I5, CALL ", got type %d, not %d", CALL_OF(c), a->type,
		    n->type);
	}
	if (a->mode != (mode != 0 ? nfs_mode(mode) : 0600) ||
	    a->uid != (uint32_t)owner)
		broken(w, I5, CALL ", got mode %o of %u, not %o of %u",
		    CALL_OF(c), a->mode, a->uid,
		    mode != 0 ? nfs_mode(mode) : 0600, (uint32_t)owner);
}

/*
 * A call whose reply has expired (a proxy was killed, a kernel closed its
 * connection, and the log needed the slot): nobody can answer for it, it gets
 * an error, and is counted. Nothing is known of that slot from then on.
 */
static bool
is_undecidable(struct world *w, struct kcall *c, const struct nfs_answer *a)
{
	if (!w->t.storage || a->status != NFS_IO || !op_changes(c->op.what))
		return false;
	w->out.undecidable++;
	if (c->ran == 0)
		broken(w, NEVER_RAN, CALL ", is undecidable and never ran",
		    CALL_OF(c));
	c->slot->spoiled = true;
	return true;
}

void
check_reply(struct world *w, struct kcall *c, const struct nfs_answer *a)
{
	if (w->now > w->faults_end && w->now - w->faults_end > w->out.late)
		w->out.late = w->now - w->faults_end;
	if (is_undecidable(w, c, a))
		return;
	if (c->ran == 0 && !(w->t.storage && finished_for_it(w, c, a)))
		broken(w, I2, CALL ", was answered and never ran", CALL_OF(c));
	else if (!w->t.storage && c->ran > 1 && op_changes(c->op.what))
		return; /* counted as a double */
	else if (w->t.storage && op_changes(c->op.what))
		check_once(w, c, a);
	else if (op_changes(c->op.what) && run_of(c, a) == NULL)
		broken(w, I2, CALL ", got the reply of another execution",
		    CALL_OF(c));
	else if (w->t.storage)
		check_seen(w, c, a);
	if (c->slot->shared || w->out.failed)
		return;
	if (a->status != c->expect_status)
		broken(w, I5, CALL ", got status %u, not %u", CALL_OF(c),
		    a->status, c->expect_status);
	else
		check_content(w, c, a);
}

void
check_bounds(struct world *w)
{
	for (uint32_t i = 0; i < w->t.nclients; i++)
		proxy_audit(&w->client[i], false);
	for (uint32_t s = 0; s < w->t.nservers; s++)
		agent_audit(&w->server[s], false);
}

/* --- the whole */

static void
check_file(struct world *w, const struct slot *s, const struct fs *fs)
{
	const struct fs_inode *i =
	    &fs->inode[nfs_file_inode(s->cl->number, s->number)];
	const struct want *want = &s->want;
	const struct fs_data *d = fs_data(i);

	if (s->unstable)
		return;
	for (uint32_t b = 0; b < FS_BLOCKS; b++)
		if (d->block[b] != want->data.block[b])
			broken(w, I3,
			    "c%u slot %u: block %u has %llu, not %llu",
			    s->cl->number + 1, s->number, b,
			    (unsigned long long)d->block[b],
			    (unsigned long long)want->data.block[b]);
	if (d->size != want->data.size ||
	    i->mode != (want->mode != 0 ? nfs_mode(want->mode) : 0600) ||
	    i->uid != (uint32_t)want->owner)
		broken(w, I5,
		    "c%u slot %u: the file's attributes are not what they "
		    "must be",
		    s->cl->number + 1, s->number);
}

static void
check_names(struct world *w, const struct slot *s, const struct fs *fs)
{
	uint32_t dir = nfs_dir_inode(s->cl->number, false), inode[2];

	for (uint32_t k = 0; k < 2; k++) {
		const struct want_name *n = &s->want.name[k];
		const struct fs_name *is =
		    fs_look(fs, dir, nfs_name_text(s->number, k, false));
		const struct fs_inode *i;

		inode[k] = is != NULL ? is->inode : 0;
		i = &fs->inode[inode[k]];
		if ((inode[k] != 0 ? i->type : FS_FREE) != n->type)
			broken(w, I5,
			    "c%u slot %u: name %c is of type %d, not %d",
			    s->cl->number + 1, s->number, 'a' + (int)k,
			    inode[k] != 0 ? i->type : FS_FREE, n->type);
		else if (inode[k] != 0 &&
			 (i->mode !=
				 (n->mode != 0 ? nfs_mode(n->mode) : 0600) ||
			     i->uid != (uint32_t)n->owner))
			broken(w, I5,
			    "c%u slot %u: name %c has mode %o of %u, not %o "
			    "of %u",
			    s->cl->number + 1, s->number, 'a' + (int)k, i->mode,
			    i->uid, n->mode != 0 ? nfs_mode(n->mode) : 0600,
			    (uint32_t)n->owner);
	}
	if (inode[0] != 0 && inode[1] != 0 &&
	    (inode[0] == inode[1]) !=
		(s->want.name[0].object == s->want.name[1].object))
		broken(w, I5, "c%u slot %u: its names are links, or are not",
		    s->cl->number + 1, s->number);
}

static void
check_slot(struct world *w, const struct slot *s)
{
	const struct fs *fs = w->disk[s->volume].mount->fs;
	const struct kcall *c = s->call;

	if (c != NULL)
		broken(w, I6,
		    CALL ", is not answered %llu ms after the last fault's "
			 "end; it was made at %llu ms, sent %u times, ran %u "
			 "times",
		    CALL_OF(c),
		    (unsigned long long)((w->now - w->faults_end) / MS),
		    (unsigned long long)(c->issued / MS), c->tries, c->ran);
	else if (s->spoiled)
		return;
	else if (s->number % 2 == 0)
		check_file(w, s, fs);
	else if (!s->shared)
		check_names(w, s, fs);
}

void
check_end(struct world *w)
{
	for (uint32_t i = 0; i < w->t.nclients; i++)
		for (uint32_t s = 0; s < w->t.slots; s++)
			check_slot(w, &w->client[i].slot[s]);
	if (w->out.calls < w->t.nclients * w->t.slots)
		broken(w, LIVE, "only %llu calls were made",
		    (unsigned long long)w->out.calls);
	/* Nothing that fails is tried again without a pause. */
	if (w->ntcps > w->t.nclients * (100 + 20 * w->now / SEC))
		broken(w, LIVE, "%u connections were made in %llu s", w->ntcps,
		    (unsigned long long)(w->now / SEC));
}

void
check_tidy(struct world *w)
{
	for (uint32_t i = 0; i < w->t.nclients; i++)
		proxy_audit(&w->client[i], true);
	for (uint32_t s = 0; s < w->t.nservers; s++)
		agent_audit(&w->server[s], true);
}
