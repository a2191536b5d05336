/*
 * What a slot of a client does next, and what must come of it: its model of
 * the file system. Even slots have a file, odd ones two names, either their
 * own or the two that all clients share; of those nothing is known before.
 */
#include <assert.h>

#include "kernel.h"

/* --- files */

static void
write_next(struct world *w, struct slot *s, struct kcall *c)
{
	struct op *op = &c->op;
	struct fs_data *d = &s->want.data;

	op->what = OP_WRITE;
	if (!s->unstable && chance(w, 100))
		s->block = rnd(w, FS_BLOCKS);
	op->block = s->block;
	op->stable = !s->again && chance(w, w->t.storage ? 300 : 50)
			 ? UNSTABLE
			 : FILE_SYNC;
	op->value = ++s->version;
	s->again = false;
	s->block = op->block;
	d->block[op->block] = op->value;
	if (d->size < (op->block + 1) * FS_BLOCK_LEN)
		d->size = (op->block + 1) * FS_BLOCK_LEN;
	s->want.ctime = 0;
}

static void
set_next(struct world *w, struct slot *s, struct kcall *c)
{
	struct op *op = &c->op;

	op->what = chance(w, 400) ? OP_TRUNCATE : OP_SETATTR;
	op->value = ++s->version;
	if (op->what == OP_TRUNCATE)
		op->set = SET_SIZE;
	if (op->what == OP_SETATTR || chance(w, 300))
		op->set |= chance(w, 500)   ? SET_MODE | SET_OWNER
			   : chance(w, 500) ? SET_MODE
					    : SET_OWNER;
	if (chance(w, 300))
		op->guard = s->want.ctime;
	s->want.ctime = 0;
	if (op->set & SET_MODE)
		s->want.mode = op->value;
	if (op->set & SET_OWNER)
		s->want.owner = op->value;
	if (op->set & SET_SIZE) {
		op->size = rnd(w, FS_BLOCKS + 1) * FS_BLOCK_LEN;
		s->want.data.size = op->size;
		for (uint64_t b = op->size / FS_BLOCK_LEN; b < FS_BLOCKS; b++)
			s->want.data.block[b] = 0;
	}
}

static void
choose_file(struct world *w, struct slot *s, struct kcall *c)
{
	uint32_t r = rnd(w, 10);

	c->op.fh = (struct nfs_handle){
	    s->volume, nfs_file_inode(s->cl->number, s->number), 1};
	if (s->again || (s->unstable && r < 4)) {
		write_next(w, s, c);
	} else if (s->unstable) {
		c->op.what = OP_COMMIT;
	} else if (r < (w->t.storage ? 5 : 7)) {
		write_next(w, s, c);
	} else if (r < 8) {
		c->op.what = OP_READ;
		c->op.block = rnd(w, FS_BLOCKS);
		c->expect_value = s->want.data.block[c->op.block];
	} else if (r < 9) {
		set_next(w, s, c);
	} else {
		c->op.what = OP_GETATTR;
	}
}

/* --- names */

static const enum fs_type made[OPS] = {
    [OP_CREATE] = FS_REG,
    [OP_MKDIR] = FS_DIR,
    [OP_SYMLINK] = FS_LNK,
    [OP_MKNOD] = FS_FIFO,
};

/* What makes things. */
static void
make_next(struct world *w, struct slot *s, struct kcall *c)
{
	static const enum nfs_op ops[] = {
	    OP_CREATE, OP_CREATE, OP_CREATE, OP_MKDIR, OP_SYMLINK, OP_MKNOD};
	struct op *op = &c->op;

	op->what = ops[rnd(w, 6)];
	op->value = ++s->version;
	if (op->what == OP_CREATE)
		op->how = (enum create_how)rnd(w, 3);
	if (op->how == EXCLUSIVE) {
		op->verf = (uint64_t)(s->cl->number + 1) << 56 |
			   (uint64_t)s->number << 48 | c->xid;
		return;
	}
	op->set = SET_MODE;
	if (chance(w, 500))
		op->set |= SET_OWNER;
	if (chance(w, 200))
		op->set |= SET_TIMES;
	if (op->how == UNCHECKED && op->what == OP_CREATE && chance(w, 500)) {
		op->set |= SET_SIZE;
		op->size = 0;
	}
}

/* By its name, without knowing what is there. */
static void
pick_truncate(struct world *w, struct slot *s, struct kcall *c)
{
	struct op *op = &c->op;

	op->what = OP_CREATE;
	op->name = rnd(w, 2);
	op->value = ++s->version;
	op->how = UNCHECKED;
	op->set = SET_MODE | SET_SIZE;
	op->size = 0;
}

static void
pick(struct world *w, struct slot *s, struct kcall *c)
{
	struct op *op = &c->op;
	bool a = s->want.name[0].type != FS_FREE;
	bool b = s->want.name[1].type != FS_FREE;
	uint32_t r = rnd(w, 20);

	op->name = s->shared || a == b ? rnd(w, 2) : b;
	if (r < 4) {
		op->what = OP_LOOKUP;
		op->name = rnd(w, 2);
	} else if (r < 10) {
		make_next(w, s, c);
		if (a != b && chance(w, 700))
			op->name = !op->name;
	} else if (r < 14) {
		op->what = OP_RENAME;
	} else if (r < 16 && !s->shared && s->want.name[op->name].known) {
		op->what = OP_LINK;
		if (s->want.name[op->name].type == FS_DIR)
			op->what = OP_LOOKUP;
	} else {
		bool dir = s->shared ? chance(w, 300)
				     : s->want.name[op->name].type == FS_DIR;

		op->what = dir != chance(w, 50) ? OP_RMDIR : OP_REMOVE;
	}
	op->name2 = !op->name;
}

/* What a name of all clients stood for when it was looked at last: it is
 * changed by its handle while others change it by its names. */
static void
pick_handle(struct world *w, struct slot *s, struct kcall *c)
{
	struct op *op = &c->op;

	op->name = rnd(w, 2);
	if (!s->want.name[op->name].known)
		op->name = !op->name;
	op->name2 = rnd(w, 2);
	op->value = ++s->version * CLIENTS_MAX + s->cl->number;
	if (chance(w, 200)) {
		op->what = OP_LINK;
	} else if (chance(w, 500)) {
		op->what = OP_TRUNCATE;
		op->set = SET_SIZE;
		op->size = (1 + rnd(w, FS_BLOCKS)) * FS_BLOCK_LEN;
	} else {
		op->what = OP_SETATTR;
		op->set = chance(w, 500) ? SET_MODE | SET_OWNER : SET_MODE;
	}
}

static enum nfs_status
expect_make(struct slot *s, const struct op *op)
{
	struct want_name *n = &s->want.name[op->name];
	struct want_name made_now = {
	    .type = made[op->what], .object = s->version};

	if (n->type != FS_FREE) {
		if (op->what != OP_CREATE || op->how != UNCHECKED ||
		    n->type != FS_REG)
			return NFS_EXIST;
		return NFS_OK; /* servers set its size at most */
	}
	if (op->set & SET_MODE)
		made_now.mode = op->value;
	if (op->set & SET_OWNER)
		made_now.owner = op->value;
	*n = made_now;
	return NFS_OK;
}

static enum nfs_status
expect_rename(struct want_name *from, struct want_name *to)
{
	if (from->type == FS_FREE)
		return NFS_NOENT;
	if (to->type != FS_FREE && from->object == to->object)
		return NFS_OK;
	if (to->type != FS_FREE &&
	    (from->type == FS_DIR) != (to->type == FS_DIR))
		return from->type == FS_DIR ? NFS_NOTDIR : NFS_ISDIR;
	*to = *from;
	*from = (struct want_name){0};
	return NFS_OK;
}

static enum nfs_status
expect(struct slot *s, const struct op *op)
{
	struct want_name *n = &s->want.name[op->name];
	struct want_name *other = &s->want.name[!op->name];

	switch (op->what) {
	case OP_REMOVE:
	case OP_RMDIR:
		if (n->type == FS_FREE)
			return NFS_NOENT;
		if ((n->type == FS_DIR) != (op->what == OP_RMDIR))
			return n->type == FS_DIR ? NFS_ISDIR : NFS_NOTDIR;
		*n = (struct want_name){0};
		return NFS_OK;
	case OP_RENAME:
		return expect_rename(n, other);
	case OP_LINK:
		if (other->type != FS_FREE)
			return NFS_EXIST;
		*other = *n;
		return NFS_OK;
	case OP_LOOKUP:
		return n->type != FS_FREE ? NFS_OK : NFS_NOENT;
	default:
		return expect_make(s, op);
	}
}

static void
choose_name(struct world *w, struct slot *s, struct kcall *c)
{
	struct op *op = &c->op;
	bool known = s->want.name[0].known || s->want.name[1].known;

	if (s->shared && known && chance(w, w->t.duels ? 400 : 300))
		pick_handle(w, s, c);
	else if (s->shared && w->t.duels && chance(w, 600))
		pick_truncate(w, s, c);
	else
		pick(w, s, c);
	op->fh = (struct nfs_handle){
	    s->volume, nfs_dir_inode(s->cl->number, s->shared), 1};
	op->text = nfs_name_text(s->number, op->name, s->shared);
	op->text2 = nfs_name_text(s->number, op->name2, s->shared);
	if (op->what == OP_LINK || op->what == OP_SETATTR ||
	    op->what == OP_TRUNCATE) {
		op->fh2 = op->fh;
		op->fh = s->want.name[op->name].fh;
	}
	if (!s->shared)
		c->expect_status = expect(s, op);
}

void
choose(struct slot *s, struct kcall *c)
{
	if (s->number % 2 == 0)
		choose_file(s->cl->w, s, c);
	else
		choose_name(s->cl->w, s, c);
}

/* --- replies */

static void
learn_file(struct slot *s, const struct kcall *c, const struct nfs_answer *a)
{
	switch (c->op.what) {
	case OP_WRITE:
		s->unstable = a->committed == UNSTABLE;
		s->verf = a->verf;
		break;
	case OP_COMMIT:
		s->again = a->verf != s->verf;
		s->unstable = s->again;
		break;
	case OP_SETATTR:
		s->want.ctime = a->has_attr ? a->ctime : 0;
		break;
	default:
		break;
	}
}

void
learn(struct kcall *c, const struct nfs_answer *a)
{
	struct slot *s = c->slot;
	struct want_name *n = &s->want.name[c->op.name];

	if (a->status != NFS_OK)
		return;
	if (s->shared) {
		n->known = n->known || a->has_fh;
		n->fh = a->has_fh ? a->fh : n->fh;
		return;
	}
	if (s->number % 2 == 0) {
		learn_file(s, c, a);
		return;
	}
	if (!a->has_fh || n->type == FS_FREE)
		return;
	n->known = true;
	n->fh = a->fh;
}
