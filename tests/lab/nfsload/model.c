/*
 * The model of a slot: what exists under its names, and how a call that
 * succeeded changes it.  Nothing here sends or judges.
 */
#include <assert.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "nfsload.h"

uint64_t
slot_random(struct slot *s, uint64_t below)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random % below;
}

struct object *
model_object_new(struct load *l, ftype3 type)
{
	struct object *o = calloc(1, sizeof *o);

	if (o == NULL)
		err(1, "calloc");
	o->type = type;
	o->id = l->next_id++;
	o->nlink = type == NF3DIR ? 2 : 1;
	if (type == NF3REG) {
		o->blocks = calloc(FILE_BLOCKS, sizeof *o->blocks);
		if (o->blocks == NULL)
			err(1, "calloc");
	}
	for (int i = 0; type == NF3DIR && i < INNER_NAMES; i++) {
		o->inner[i].dir = o;
		(void)snprintf(o->inner[i].name, NAME_LEN, "in%d", i);
	}
	return o;
}

void
model_object_free(struct object *o)
{
	if (o == NULL)
		return;
	free(o->blocks);
	free(o);
}

void
model_free(struct slot *s)
{
	while (s->objects != NULL) {
		struct object *o = s->objects;

		s->objects = o->next;
		model_object_free(o);
	}
}

/* Empties the model and gives the slot names that were never used. */
void
model_reset(struct load *l, struct slot *s)
{
	model_free(s);
	model_object_free(s->op.made);
	s->op.made = NULL;
	s->check_object = NULL;
	s->pending.object = NULL;
	for (int i = 0; i < SHARED_DIRS * NAMES_PER_DIR; i++) {
		struct place *p = &s->places[i];

		p->dir = &l->shared[i / NAMES_PER_DIR];
		p->object = NULL;
		(void)snprintf(p->name, NAME_LEN, "s%dg%d-%d", s->id,
		    s->generation, i % NAMES_PER_DIR);
	}
}

int
model_places(struct slot *s, struct place **out, int max)
{
	int n = 0;

	for (int i = 0; i < SHARED_DIRS * NAMES_PER_DIR && n < max; i++)
		out[n++] = &s->places[i];
	for (struct object *o = s->objects; o != NULL; o = o->next)
		for (int i = 0; o->type == NF3DIR && i < INNER_NAMES && n < max;
		     i++)
			out[n++] = &o->inner[i];
	return n;
}

int
model_count(const struct slot *s, ftype3 type)
{
	int n = 0;

	for (const struct object *o = s->objects; o != NULL; o = o->next)
		n += o->type == type;
	return n;
}

bool
model_dir_empty(const struct object *dir)
{
	for (int i = 0; i < INNER_NAMES; i++)
		if (dir->inner[i].object != NULL)
			return false;
	return true;
}

static void
object_remove(struct slot *s, struct object *gone)
{
	struct object **at = &s->objects;

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	if (s->check_object == gone)
		s->check_object = NULL;
	model_object_free(gone);
}

/* A name goes; with the last one its object. */
static void
unlink_place(struct slot *s, struct place *p)
{
	struct object *o = p->object;

	p->object = NULL;
	if (o->type != NF3DIR && --o->nlink > 0)
		return;
	object_remove(s, o);
}

static void
resize(struct object *o, uint64_t size)
{
	for (uint32_t i = 0; i < FILE_BLOCKS; i++) {
		uint64_t start = (uint64_t)i * BLOCK;
		uint64_t left = size > start ? size - start : 0;

		if (left < o->blocks[i].len)
			o->blocks[i].len = (uint32_t)left;
		if (left == 0)
			o->blocks[i].version = 0;
	}
	o->size = size;
}

static void
write_blocks(struct object *o, const struct op *op)
{
	for (uint32_t i = 0; i < op->count / BLOCK; i++)
		o->blocks[op->offset / BLOCK + i] =
		    (struct block){op->version, BLOCK};
	if (op->offset + op->count > o->size)
		o->size = op->offset + op->count;
}

static void
created(struct slot *s, struct op *op)
{
	if (op->made == NULL) { /* an unchecked CREATE of what is there */
		if (op->set_size)
			resize(op->place->object, op->size);
		return;
	}
	op->made->next = s->objects;
	s->objects = op->made;
	op->place->object = op->made;
	op->made = NULL;
}

static void
renamed(struct slot *s, struct op *op)
{
	if (op->to->object != NULL)
		unlink_place(s, op->to);
	op->to->object = op->place->object;
	op->place->object = NULL;
}

void
model_apply(struct slot *s, struct op *op)
{
	switch (op->kind) {
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
		created(s, op);
		break;
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		unlink_place(s, op->place);
		break;
	case NFS3_RENAME:
		renamed(s, op);
		break;
	case NFS3_LINK:
		op->place->object = op->object;
		op->object->nlink++;
		break;
	case NFS3_WRITE:
		write_blocks(op->object, op);
		break;
	case NFS3_SETATTR:
		if (op->set_size)
			resize(op->object, op->size);
		if (op->set_mode) {
			op->object->mode = op->mode;
			op->object->mode_known = true;
		}
		break;
	default:
		break;
	}
}
