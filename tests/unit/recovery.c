/*
 * Stories of recovery: what happens, and what came out. See recovery.h.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/recovery.h"

static const uint8_t secret[CALL_KEYS_SECRET] = "not a secret";

static uint64_t rand_state;

unsigned
story_rand(unsigned below)
{
	rand_state = rand_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(rand_state >> 33) % below;
}

/* --- a call's life */

static void
journal(struct story *s)
{
	assert_true(s->n < STORY_JOURNAL);
	s->journal[s->n++] = s->w;
}

static void
op_ask(struct op *op)
{
	op->stage = OP_ASKS;
	prestate_begin(&op->before, &op->call, false);
}

static void
op_release(struct story *s, struct op *op)
{
	struct key_req *r = keys_release(s->keys, &op->req);

	for (; r != NULL; r = r->next)
		op_ask(r->owner);
}

static void
op_take(struct story *s, struct op *op, const struct key_set *set)
{
	op->req.owner = op;
	op->stage = OP_WAITS;
	if (keys_take(s->keys, &op->req, set))
		op_ask(op);
}

/* One query; and with the last the keys of what was found. */
static void
op_query(struct story *s, struct op *op)
{
	struct prestate_query q[PRESTATE_QUERIES_MAX];
	uint8_t ask[PRESTATE_QUERY_MAX], reply[NFS3_REPLY_MAX];
	unsigned n = prestate_queries(&op->before, &op->call, q);
	struct key_set all = {0};
	size_t len;

	if (n > 0) {
		len = prestate_query_write(
		    &q[0], &op->call, 0x700, ask, sizeof(ask));
		len = mini_call(&s->w.fs, ask, len, reply);
		assert_int_equal(
		    prestate_answer(&op->before, &op->call, &q[0], reply, len),
		    PRESTATE_TAKEN);
		return;
	}
	log_keys_all(&all, secret, 0, false, &op->call, &op->before);
	if (s->opt.no_inode_keys) {
		op->stage = OP_LOGS;
	} else if (!keys_more(s->keys, &op->req, &all)) {
		op_release(s, op);
		op_take(s, op, &all);
	} else if (log_keys_look_again(&op->call, &op->before) &&
		   !op->looked_again) {
		op->looked_again = true;
		op_ask(op);
	} else
		op->stage = OP_LOGS;
}

static void
op_step(struct story *s, struct op *op)
{
	struct slot *slot = &s->w.slot[op - s->op];
	struct key_set first = {0};

	switch (op->stage) {
	case OP_NEW:
		op->start = s->tick;
		if (!s->opt.no_name_keys)
			log_keys_first(&first, secret, 0, false, op->call.proc,
			    &op->call.names);
		op_take(s, op, &first);
		break;
	case OP_ASKS:
		op_query(s, op);
		break;
	case OP_LOGS:
		slot->state = SLOT_INTENT;
		slot->pre_len = prestate_encode(&op->before, slot->pre);
		journal(s);
		mini_begin(&op->run, op->record.p, op->record.len);
		op->stage = OP_RUNS;
		break;
	case OP_RUNS:
		if (mini_step(&s->w.fs, &op->run))
			journal(s);
		if (op->run.finished)
			op->stage = OP_ENDS;
		break;
	case OP_ENDS:
		slot->state = SLOT_DONE;
		slot->reply_len = mini_reply(&s->w.fs, &op->run, slot->reply);
		journal(s);
		op->stage = OP_COMPLETE;
		op_release(s, op);
		break;
	case OP_WAITS:
	case OP_COMPLETE:
	case OP_ACKED:
		break;
	}
}

/* Nobody knows the handle of a file that is being made; and what a WRITE
 * between two steps of a SETATTR gives no order explains, cut or no cut. */
static bool
is_being_changed(const struct story *s, unsigned ino)
{
	for (unsigned i = 0; i < STORY_CALLS; i++) {
		const struct op *op = &s->op[i];

		if ((op->stage == OP_RUNS || op->stage == OP_ENDS) &&
		    (op->call.proc == NFS3_CREATE ||
			op->call.proc == NFS3_SETATTR) &&
		    op->run.found && op->run.ino == ino)
			return true;
	}
	return false;
}

/* An unstable WRITE to some file, if its keys are free. */
static void
some_write(struct story *s)
{
	unsigned ino = story_rand(MINI_INODES);
	struct mini_inode *n = &s->w.fs.inode[ino];
	struct story_write *w = &s->write[s->nwrites];
	struct key_set set = {0};
	struct key_req req = {0}, *ready;
	struct nfs3_args args = {0};
	struct nfs3_fh fh;

	if (!n->used || n->type != NF3REG || s->nwrites == STORY_WRITES ||
	    is_being_changed(s, ino))
		return;
	mini_fh(&s->w.fs, ino, &fh);
	args.fh = nfs3_fh_bytes(&fh);
	call_keys(&set, secret, 0, NFS3_WRITE, &args);
	if (keys_take(s->keys, &req, &set)) {
		*w = (struct story_write){
		    ino, n->gen, 60 + 10 * story_rand(4), s->tick};
		mini_write(&s->w.fs, ino, w->end, true);
		journal(s);
		s->nwrites++;
	}
	for (ready = keys_release(s->keys, &req); ready != NULL;
	     ready = ready->next)
		op_ask(ready->owner);
}

static void
stranger(struct minifs *fs, unsigned dir, const char *name)
{
	if (mini_lookup(fs, dir, name) == -1)
		mini_put(fs, dir, name, NF3BLK, 0, 0600);
}

static void
some_stranger(struct story *s)
{
	unsigned dir;
	if (!s->opt.stranger || s->stranger_dir != 0)
		return;
	dir = 1 + story_rand(2);
	if (is_being_changed(s, dir))
		return;
	s->stranger_dir = dir;
	s->stranger_name = story_some_name();
	stranger(&s->w.fs, s->stranger_dir, s->stranger_name);
	journal(s);
}

static void
commit(struct story *s)
{
	s->committed = s->n - 1;
	for (unsigned i = 0; i < STORY_CALLS; i++)
		if (s->op[i].stage == OP_COMPLETE) {
			s->op[i].stage = OP_ACKED;
			s->op[i].ack = s->tick;
			s->op[i].status = vb_status(
			    s->w.slot[i].reply, s->w.slot[i].reply_len);
		}
}

static void
something(struct story *s)
{
	unsigned what = story_rand(20);

	s->tick++;
	if (what < 16)
		op_step(s, &s->op[story_rand(STORY_CALLS)]);
	else if (what < 18)
		some_write(s);
	else if (what == 18) {
		mini_writeback(&s->w.fs);
		journal(s);
		some_stranger(s);
	} else
		commit(s);
}

/* --- recovery */

static void
finish(struct story *s, struct op *op, struct verdict *v)
{
	uint8_t ask[PRESTATE_QUERY_MAX], reply[NFS3_REPLY_MAX];
	size_t len =
	    verdict_finish_write(v, &op->call, 0x800, ask, sizeof(ask));
	struct mini_run run;

	mini_begin(&run, ask, len);
	while (!run.finished)
		if (mini_step(&s->w.fs, &run))
			journal(s);
	len = mini_reply(&s->w.fs, &run, reply);
	(void)verdict_finished(v, reply, len);
}

static void
recover_one(struct story *s, unsigned i)
{
	struct op *op = &s->op[i];
	struct slot *slot = &s->w.slot[i];
	struct prestate before, now;
	struct verdict v;

	assert_int_equal(prestate_decode(&before, slot->pre, slot->pre_len), 0);
	vb_look(&s->w.fs, &op->call, &now, true);
	verdict_judge(&v, &op->call, &before, &now, &s->opt.verdict);
	snprintf(op->verdict, sizeof(op->verdict), "%s: %s",
	    verdict_kind_names[v.kind], verdict_reason_names[v.reason]);
	s->halves += v.kind == VERDICT_HALF;
	s->dones += v.kind == VERDICT_DONE;
	s->not_dones += v.kind == VERDICT_NOT_DONE;
	if (v.kind == VERDICT_HALF) {
		finish(s, op, &v);
		vb_look(&s->w.fs, &op->call, &now, true);
		verdict_settle(&v, &op->call, &now);
	}
	op->undecidable = v.kind == VERDICT_UNDECIDABLE;
	s->undecidable += op->undecidable;
	if (v.kind != VERDICT_DONE)
		return;
	slot->state = SLOT_DONE;
	slot->reply_len = verdict_reply_write(
	    &v, &op->call, &now, slot->reply, sizeof(slot->reply));
	journal(s);
}

/* The power goes, and comes back. */
static void
cut(struct story *s)
{
	s->w = s->journal[s->committed + story_rand(s->n - s->committed)];
	mini_cut(&s->w.fs);
	s->n = s->committed = 0;
	journal(s);
}

static void
recover(struct story *s)
{
	unsigned from = story_rand(STORY_CALLS);

	for (unsigned i = 0; i < STORY_CALLS; i++) {
		unsigned k = (from + i) % STORY_CALLS;

		if (s->w.slot[k].state == SLOT_INTENT)
			recover_one(s, k);
	}
}

/* Each client sends again what it has no reply to. */
static void
replay(struct story *s)
{
	unsigned from = story_rand(STORY_CALLS);

	for (unsigned i = 0; i < STORY_CALLS; i++) {
		struct op *op = &s->op[(from + i) % STORY_CALLS];
		struct slot *slot = &s->w.slot[op - s->op];

		if (op->stage == OP_ACKED || op->undecidable)
			continue;
		if (slot->state != SLOT_DONE)
			slot->reply_len = mini_call(&s->w.fs, op->record.p,
			    op->record.len, slot->reply);
		op->status = vb_status(slot->reply, slot->reply_len);
	}
}

void
story_run(struct story *s, unsigned seed, const struct story_options *opt)
{
	unsigned events;

	memset(s, 0, sizeof(*s));
	rand_state = seed * 0x9e3779b97f4a7c15u;
	story_rand(2);
	story_make_fs(&s->w.fs);
	s->opt = *opt;
	s->opt.verdict.verifier =
	    s->w.fs.knfsd ? VERDICT_VERF_KNFSD : VERDICT_VERF_GANESHA;
	s->first = s->w;
	s->keys = keys_new(STORY_CALLS + 1);
	for (unsigned i = 0; i < STORY_CALLS; i++) {
		do /* a stranger moves ctimes, too */
			story_make_call(&s->op[i], &s->w.fs, 0x100 + i);
		while (opt->stranger && s->op[i].call.values.guard);
		s->op[i].start = s->op[i].ack = STORY_NEVER;
	}
	journal(s);
	for (events = 10 + story_rand(50); events > 0; events--)
		something(s);
	cut(s);
	recover(s);
	while (story_rand(3) == 0) {
		s->recuts++;
		cut(s);
		recover(s);
	}
	replay(s);
	keys_free(s->keys);
}

/* --- is there an order? */

/* What is still to be placed, as bits. */
struct order {
	unsigned ops, writes, stranger;
};

static bool
may_come(const struct story *s, struct order left, int start)
{
	for (unsigned i = 0; i < STORY_CALLS; i++)
		if ((left.ops & 1u << i) && s->op[i].ack < start)
			return false;
	for (unsigned i = 0; i < s->nwrites; i++)
		if ((left.writes & 1u << i) && s->write[i].tick < start)
			return false;
	return true;
}

static bool order_exists(
    const struct story *s, const struct minifs *fs, struct order left);

/* A guard that held in the pre-state is not asked again after a cut; that a
 * WRITE came between is forgiven (verdict.h). */
static bool
is_forgiven(const struct story *s, const struct op *op)
{
	const struct nfs3_time *a = &op->call.values.guard_ctime;
	const struct nfs3_time *b = &op->before.obj[0].attr.ctime;

	return s->nwrites > 0 && op->verdict[0] != '\0' &&
	       op->call.values.guard && op->status == NFS3_OK &&
	       a->sec == b->sec && a->nsec == b->nsec;
}

static bool
try_op(const struct story *s, const struct minifs *fs, struct order left,
    unsigned i)
{
	const struct op *op = &s->op[i];
	struct minifs next = *fs;
	struct mini_run run;

	if (!may_come(s, left, op->start))
		return false;
	mini_begin(&run, op->record.p, op->record.len);
	if (is_forgiven(s, op))
		run.values.guard = false;
	while (!run.finished)
		mini_step(&next, &run);
	if (run.status != op->status)
		return false;
	left.ops &= ~(1u << i);
	return order_exists(s, &next, left);
}

/* An unstable WRITE may be lost, its size alone too. */
static bool
try_write(const struct story *s, const struct minifs *fs, struct order left,
    unsigned i)
{
	const struct story_write *w = &s->write[i];
	struct minifs next;

	if (!may_come(s, left, w->tick))
		return false;
	left.writes &= ~(1u << i);
	if (order_exists(s, fs, left))
		return true;
	if (!fs->inode[w->ino].used || fs->inode[w->ino].gen != w->gen)
		return false;
	for (unsigned size = 0; size < 2; size++) {
		next = *fs;
		mini_write(&next, w->ino, w->end, size);
		if (order_exists(s, &next, left))
			return true;
	}
	return false;
}

/* What the stranger did may be lost in the cut. */
static bool
try_stranger(const struct story *s, const struct minifs *fs, struct order left)
{
	struct minifs next = *fs;

	left.stranger = 0;
	stranger(&next, s->stranger_dir, s->stranger_name);
	return order_exists(s, &next, left) || order_exists(s, fs, left);
}

static bool
order_exists(const struct story *s, const struct minifs *fs, struct order left)
{
	if (left.ops == 0 && left.writes == 0 && left.stranger == 0)
		return mini_differ(fs, &s->w.fs) == NULL;
	if (left.stranger != 0 && try_stranger(s, fs, left))
		return true;
	for (unsigned i = 0; i < STORY_CALLS; i++)
		if ((left.ops & 1u << i) && try_op(s, fs, left, i))
			return true;
	for (unsigned i = 0; i < s->nwrites; i++)
		if ((left.writes & 1u << i) && try_write(s, fs, left, i))
			return true;
	return false;
}

bool
story_check(struct story *s)
{
	struct order left = {0, (1u << s->nwrites) - 1, s->stranger_dir != 0};

	for (unsigned i = 0; i < STORY_CALLS; i++)
		if (!s->op[i].undecidable)
			left.ops |= 1u << i;
	return order_exists(s, &s->first.fs, left);
}

static void
print_fs(const char *title, const struct minifs *fs)
{
	print_message("%s:\n", title);
	for (unsigned i = 0; i < MINI_ENTRIES; i++) {
		const struct mini_entry *e = &fs->entry[i];
		const struct mini_inode *n = &fs->inode[e->ino];

		if (e->used)
			print_message("  %u/%s = %u: type %u mode %o nlink %u "
				      "uid %u gid %u size %llu atime %u.%u "
				      "mtime %u.%u\n",
			    e->dir, e->name, e->ino, n->type, n->mode, n->nlink,
			    n->uid, n->gid, (unsigned long long)n->size,
			    n->atime.sec, n->atime.nsec, n->mtime.sec,
			    n->mtime.nsec);
	}
}

void
story_print(const struct story *s, unsigned seed)
{
	print_message("story %u: %u recovered again\n", seed, s->recuts);
	print_fs("first", &s->first.fs);
	for (unsigned i = 0; i < STORY_CALLS; i++)
		print_message("%s start %d ack %d stage %u verdict (%s) got "
			      "%s\n",
		    nfs3_proc_names[s->op[i].call.proc], s->op[i].start,
		    s->op[i].ack, s->op[i].stage, s->op[i].verdict,
		    nfs3_status_name(s->op[i].status));
	for (unsigned i = 0; i < s->nwrites; i++)
		print_message(
		    "WRITE of %u at %d\n", s->write[i].ino, s->write[i].tick);
	print_fs("at the end", &s->w.fs);
}
