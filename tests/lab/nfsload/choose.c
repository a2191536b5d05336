/*
 * Which call a slot makes next, and what the right answer to it is: mostly
 * success, sometimes an error that the model asks for (a name that exists,
 * one that does not, a directory that is not empty).
 */
#include <assert.h>
#include <string.h>

#include "nfsload.h"

enum { FILES_MAX = 4, DIRS_MAX = 3, SYMLINKS_MAX = 3, PLACES_MAX = 64 };

/* Weights of kinds in each mix; a kind that cannot be is drawn again. */
/* clang-format off */
static const struct {
	int kind;
	int weight[5]; /* by enum write_mix */
} weights[] = {
	/*		  mixed read write names big */
	{NFS3_READ,	  {20, 90, 10, 0, 0}},
	{NFS3_WRITE,	  {20, 2, 80, 0, 1}},
	{NFS3_GETATTR,	  {8, 5, 2, 8, 0}},
	{NFS3_LOOKUP,	  {8, 2, 0, 8, 0}},
	{NFS3_CREATE,	  {8, 1, 2, 10, 0}},
	{NFS3_MKDIR,	  {4, 0, 0, 6, 0}},
	{NFS3_SYMLINK,	  {4, 0, 0, 6, 0}},
	{NFS3_REMOVE,	  {6, 0, 0, 9, 0}},
	{NFS3_RMDIR,	  {3, 0, 0, 5, 0}},
	{NFS3_RENAME,	  {8, 0, 0, 12, 0}},
	{NFS3_LINK,	  {4, 0, 0, 6, 0}},
	{NFS3_SETATTR,	  {6, 0, 2, 8, 0}},
	{NFS3_READDIR,	  {3, 0, 0, 3, 0}},
	{NFS3_READLINK,	  {1, 0, 0, 2, 0}},
	{NFS3_COMMIT,	  {3, 0, 4, 0, 0}},
};
/* clang-format on */
enum { WEIGHTS = sizeof weights / sizeof weights[0] };

static bool
in_shared(const struct load *l, const struct place *p)
{
	return p->dir >= l->shared && p->dir < l->shared + SHARED_DIRS;
}

/* Any of the slot's names: free ones, taken ones, or all. */
static struct place *
any_place(struct slot *s, bool taken, bool free_too)
{
	struct place *all[PLACES_MAX], *fit[PLACES_MAX];
	int n = model_places(s, all, PLACES_MAX), m = 0;

	for (int i = 0; i < n; i++)
		if (all[i]->object != NULL ? taken : free_too)
			fit[m++] = all[i];
	return m == 0 ? NULL : fit[slot_random(s, (uint64_t)m)];
}

static struct object *
any_object(struct slot *s, ftype3 type)
{
	int n = model_count(s, type);
	uint64_t pick;

	if (n == 0)
		return NULL;
	pick = slot_random(s, (uint64_t)n);
	for (struct object *o = s->objects; o != NULL; o = o->next)
		if (o->type == type && pick-- == 0)
			return o;
	return NULL;
}

/* Sizes from 4 KiB to io_max, each power of two as likely. */
static uint32_t
any_length(const struct load *l, struct slot *s)
{
	uint64_t steps = 1;

	while ((uint32_t)BLOCK << steps <= l->io_max)
		steps++;
	return BLOCK << slot_random(s, steps);
}

static bool
choose_read(struct load *l, struct slot *s, struct op *op)
{
	uint64_t blocks;

	op->object = any_object(s, NF3REG);
	if (op->object == NULL)
		return false;
	blocks = op->object->size / BLOCK + 2;
	if (blocks > FILE_BLOCKS)
		blocks = FILE_BLOCKS;
	op->offset = slot_random(s, blocks) * BLOCK;
	op->count = any_length(l, s);
	return true;
}

static bool
choose_write(struct load *l, struct slot *s, struct op *op)
{
	static const uint32_t how[] = {
	    UNSTABLE, UNSTABLE, UNSTABLE, DATA_SYNC, FILE_SYNC};
	uint32_t blocks;

	op->object = any_object(s, NF3REG);
	if (op->object == NULL)
		return false;
	op->count = l->mix == MIX_BIG_WRITES ? IO_MAX : any_length(l, s);
	blocks = op->count / BLOCK;
	op->offset = slot_random(s, FILE_BLOCKS - blocks + 1) * BLOCK;
	op->stable = how[slot_random(s, 5)];
	op->version = ++s->versions;
	if (l->mix == MIX_BIG_WRITES) { /* one block each: as many as slots */
		op->offset = 0;
		op->stable = UNSTABLE;
	}
	return true;
}

static uint32_t
any_mode(struct slot *s)
{
	return 0600 | (uint32_t)slot_random(s, 0200);
}

/* CREATE in its three modes (RFC 1813 section 3.3.8). */
static bool
choose_create(struct load *l, struct slot *s, struct op *op)
{
	op->how = (uint32_t)slot_random(s, 3);
	op->mode = any_mode(s);
	op->place = any_place(s, slot_random(s, 4) == 0, true);
	if (op->place == NULL)
		return false;
	for (size_t i = 0; i < sizeof op->verifier; i++)
		op->verifier[i] = (uint8_t)slot_random(s, 256);
	if (op->place->object == NULL) {
		if (model_count(s, NF3REG) >= FILES_MAX)
			return false;
		op->made = model_object_new(l, NF3REG);
		op->made->mode = op->mode;
		op->made->mode_known = op->how != EXCLUSIVE;
		return true;
	}
	if (op->how != UNCHECKED) {
		op->want = op->want_too = NFS3ERR_EXIST;
		return true;
	}
	if (op->place->object->type != NF3REG || !op->place->object->mode_known)
		return false;
	/* With a size of 0 it should truncate; Ganesha 4.3 does not. */
	op->mode = op->place->object->mode;
	return true;
}

static bool
choose_make(struct load *l, struct slot *s, struct op *op)
{
	ftype3 type = op->kind == NFS3_MKDIR ? NF3DIR : NF3LNK;
	int max = type == NF3DIR ? DIRS_MAX : SYMLINKS_MAX;

	op->mode = any_mode(s) | 0700;
	op->place = any_place(s, slot_random(s, 4) == 0, true);
	if (op->place == NULL || (type == NF3DIR && !in_shared(l, op->place)))
		return false;
	if (op->place->object != NULL) {
		op->want = op->want_too = NFS3ERR_EXIST;
	} else if (model_count(s, type) >= max) {
		return false;
	}
	op->made = model_object_new(l, type);
	op->made->mode = op->mode;
	op->made->mode_known = type == NF3DIR;
	(void)snprintf(op->made->target, NAME_LEN, "to-%d-%llu", s->id,
	    (unsigned long long)op->made->id);
	return true;
}

static bool
choose_remove(struct slot *s, struct op *op)
{
	op->place = any_place(s, true, slot_random(s, 4) == 0);
	if (op->place == NULL)
		return false;
	if (op->place->object == NULL) {
		op->want = op->want_too = NFS3ERR_NOENT;
		return true;
	}
	if (op->kind == NFS3_REMOVE)
		return op->place->object->type != NF3DIR;
	if (op->place->object->type != NF3DIR)
		return false;
	if (!model_dir_empty(op->place->object)) {
		op->want = NFS3ERR_NOTEMPTY;
		op->want_too = NFS3ERR_EXIST;
	}
	return true;
}

static bool
choose_rename(struct load *l, struct slot *s, struct op *op)
{
	const struct object *from, *to;

	op->place = any_place(s, true, slot_random(s, 8) == 0);
	op->to = any_place(s, slot_random(s, 2), true);
	if (op->place == NULL || op->to == NULL || op->place == op->to)
		return false;
	from = op->place->object;
	to = op->to->object;
	if (from == NULL) {
		op->want = op->want_too = NFS3ERR_NOENT;
		return true;
	}
	if (from == to) /* two links to one file: rename() does nothing */
		return false;
	/* Ganesha 4.3 sleeps a second when it finds one of two directories
	 * locked, so by default only directories of the slot's own. */
	if (op->place->dir != op->to->dir && !l->cross_renames &&
	    (in_shared(l, op->place) || in_shared(l, op->to)))
		return false;
	if (from->type == NF3DIR && !in_shared(l, op->to))
		return false;
	if (to == NULL)
		return true;
	if ((from->type == NF3DIR) != (to->type == NF3DIR))
		return false;
	if (to->type == NF3DIR && op->place->dir == to)
		return false;
	if (to->type == NF3DIR && !model_dir_empty(to)) {
		op->want = NFS3ERR_NOTEMPTY;
		op->want_too = NFS3ERR_EXIST;
	}
	return true;
}

static bool
choose_link(struct slot *s, struct op *op)
{
	op->object = any_object(s, NF3REG);
	op->place = any_place(s, slot_random(s, 4) == 0, true);
	if (op->object == NULL || op->place == NULL)
		return false;
	if (op->place->object != NULL)
		op->want = op->want_too = NFS3ERR_EXIST;
	return true;
}

static bool
choose_setattr(struct slot *s, struct op *op)
{
	op->object = any_object(s, slot_random(s, 4) == 0 ? NF3DIR : NF3REG);
	if (op->object == NULL)
		return false;
	op->set_size = op->object->type == NF3REG && slot_random(s, 2);
	op->set_mode = !op->set_size || slot_random(s, 3) == 0;
	op->mode = any_mode(s) | (op->object->type == NF3DIR ? 0700 : 0);
	op->size = slot_random(s, (uint64_t)FILE_BLOCKS * BLOCK / 2);
	return true;
}

static bool
choose_lookup(struct slot *s, struct op *op)
{
	op->place = any_place(s, true, true);
	if (op->place != NULL && op->place->object == NULL)
		op->want = op->want_too = NFS3ERR_NOENT;
	return op->place != NULL;
}

static bool
choose_getattr(struct slot *s, struct op *op)
{
	struct place *p = any_place(s, true, false);

	op->object = p == NULL ? NULL : p->object;
	return op->object != NULL;
}

static bool
choose_kind(struct load *l, struct slot *s, struct op *op)
{
	switch (op->kind) {
	case NFS3_READ:
		return choose_read(l, s, op);
	case NFS3_WRITE:
		return choose_write(l, s, op);
	case NFS3_GETATTR:
		return choose_getattr(s, op);
	case NFS3_LOOKUP:
		return choose_lookup(s, op);
	case NFS3_CREATE:
		return choose_create(l, s, op);
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
		return choose_make(l, s, op);
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		return choose_remove(s, op);
	case NFS3_RENAME:
		return choose_rename(l, s, op);
	case NFS3_LINK:
		return choose_link(s, op);
	case NFS3_SETATTR:
		return choose_setattr(s, op);
	case NFS3_READDIR:
		/* Only of the slot's own: Ganesha 4.3 answers NOENT when
		 * others remove names meanwhile, and may then show their
		 * files with attributes of before. */
		op->object = any_object(s, NF3DIR);
		return op->object != NULL;
	case NFS3_READLINK:
		op->object = any_object(s, NF3LNK);
		return op->object != NULL;
	case NFS3_COMMIT:
		op->object = any_object(s, NF3REG);
		return op->object != NULL;
	default:
		return false;
	}
}

static int
any_kind(struct slot *s, enum write_mix mix)
{
	int total = 0, pick;

	for (int i = 0; i < WEIGHTS; i++)
		total += weights[i].weight[mix];
	pick = (int)slot_random(s, (uint64_t)total);
	for (int i = 0; i < WEIGHTS; i++) {
		pick -= weights[i].weight[mix];
		if (pick < 0)
			return weights[i].kind;
	}
	return NFS3_GETATTR;
}

void
choose(struct load *l, struct slot *s)
{
	struct op *op = &s->op;
	bool first = l->mix != MIX_NAMES && model_count(s, NF3REG) == 0;

	if (pending_choose(l, s))
		return;
	do {
		model_object_free(op->made);
		memset(op, 0, sizeof *op);
		op->kind = any_kind(s, l->mix);
		if (first) /* something to read and write, to begin with */
			op->kind = NFS3_CREATE;
	} while (!choose_kind(l, s, op));
}
