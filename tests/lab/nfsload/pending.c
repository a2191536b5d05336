/*
 * Unstable WRITEs that a server may lose: which call comes next, and what
 * its verifier says.  See struct pending in nfsload.h.
 */
#include <string.h>

#include "nfsload.h"

bool
pending_choose(struct load *l, struct slot *s)
{
	struct pending *p = &s->pending;
	struct op *op = &s->op;

	if (!l->crash || p->object == NULL)
		return false;
	memset(op, 0, sizeof *op);
	op->object = p->object;
	if (p->lost) {
		op->kind = NFS3_WRITE;
		op->offset = p->write[p->again].offset;
		op->count = p->write[p->again].count;
		op->version = p->write[p->again].version;
		op->stable = FILE_SYNC;
		return true;
	}
	if (l->stopping || p->n == PENDING_MAX || slot_random(s, 2)) {
		op->kind = NFS3_COMMIT;
		return true;
	}
	op->kind = NFS3_WRITE;
	op->count = BLOCK << slot_random(s, 5);
	op->offset =
	    slot_random(s, FILE_BLOCKS - op->count / BLOCK + 1) * BLOCK;
	op->stable = UNSTABLE;
	op->version = ++s->versions;
	return true;
}

/* One of those that are sent again has arrived, stable now. */
static bool
sent_again(struct pending *p)
{
	if (++p->again < p->n)
		return false;
	p->object = NULL;
	return true;
}

static void
lost(struct pending *p)
{
	p->lost = true;
	p->again = 0;
	stats_count("verifier_changes");
}

static bool
written(struct slot *s, const struct answer *a)
{
	struct pending *p = &s->pending;
	const struct op *op = &s->op;

	if (p->object == NULL && op->stable != UNSTABLE)
		return true;
	if (p->object == NULL) {
		*p = (struct pending){.object = op->object};
		memcpy(p->verf, a->verf, sizeof p->verf);
	}
	p->write[p->n].offset = op->offset;
	p->write[p->n].count = op->count;
	p->write[p->n++].version = op->version;
	if (memcmp(p->verf, a->verf, sizeof p->verf) != 0)
		lost(p);
	return !p->lost;
}

bool
pending_judge(struct slot *s, const struct answer *a)
{
	struct pending *p = &s->pending;

	if (s->op.kind == NFS3_WRITE)
		return p->lost && p->object != NULL ? sent_again(p)
						    : written(s, a);
	if (p->object == NULL)
		return true;
	if (memcmp(p->verf, a->verf, sizeof p->verf) != 0) {
		lost(p);
		return false;
	}
	p->object = NULL;
	return true;
}
