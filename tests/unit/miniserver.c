/*
 * An NFSv3 server in memory: calls, their steps, replies. See minifs.h.
 */
#include <assert.h>
#include <string.h>

#include "tests/unit/minifs.h"

/* --- calls */

void
mini_begin(struct mini_run *run, const uint8_t *call, size_t len)
{
	struct rpc_call rpc;
	struct cursor c;
	const uint8_t *name;
	uint32_t stamped, name_len;

	memset(run, 0, sizeof(*run));
	run->denied = rpc_call_parse(call, len, &rpc) != RPC_PARSE_OK ||
		      rpc.cred_flavor != RPC_AUTH_SYS;
	assert(!run->denied);
	run->xid = rpc.xid;
	run->proc = rpc.proc;
	c = cursor_make(rpc.cred, rpc.cred_len);
	run->denied = !cursor_u32(&c, &stamped) ||
		      !cursor_opaque(&c, 255, &name, &name_len) ||
		      !cursor_u32(&c, &run->uid) || !cursor_u32(&c, &run->gid);
	if (nfs3_class(rpc.proc) == CALL_LOGGED)
		run->denied = nfs3_values_parse(rpc.proc, rpc.args,
				  (uint32_t)rpc.args.left, &run->names,
				  &run->values) == -1;
	else
		run->denied = nfs3_args_parse(rpc.proc, rpc.args,
				  (uint32_t)rpc.args.left, &run->names) == -1;
	assert(!run->denied);
}

static uint32_t
caller(const struct minifs *fs, const struct mini_run *run)
{
	return fs->squash && run->uid == 0 ? MINI_NOBODY : run->uid;
}

static bool
may(const struct minifs *fs, const struct mini_run *run, unsigned ino,
    uint32_t bits)
{
	const struct mini_inode *n = &fs->inode[ino];
	uint32_t uid = caller(fs, run);

	return uid == 0 || (n->mode >> (uid == n->uid ? 6 : 0) & bits) == bits;
}

static bool
finish(struct mini_run *run, uint32_t status)
{
	run->finished = true;
	run->status = status;
	return false;
}

static const char *
name_of(const struct nfs3_bytes *name, char buf[MINI_NAME])
{
	assert(name->len < MINI_NAME);
	memcpy(buf, name->p, name->len);
	buf[name->len] = '\0';
	return buf;
}

/* A directory named by its handle, with the rights: its index, or -1 and the
 * call is finished. */
static int
dir_of(const struct minifs *fs, struct mini_run *run,
    const struct nfs3_bytes *fh, uint32_t bits)
{
	int dir = mini_by_fh(fs, fh);

	if (dir == -1)
		finish(run, NFS3ERR_STALE);
	else if (fs->inode[dir].type != NF3DIR)
		finish(run, NFS3ERR_NOTDIR);
	else if (!may(fs, run, (unsigned)dir, bits))
		finish(run, NFS3ERR_ACCES);
	else
		return dir;
	return -1;
}

/* --- the steps that set attributes, in the order of a server */

enum { SET_SIZE, SET_MODE, SET_OWNER, SET_TIMES, SET_STEPS };

static void
set_time(struct minifs *fs, enum nfs3_time_how how,
    const struct nfs3_time *want, struct nfs3_time *t)
{
	if (how == NFS3_SERVER_TIME)
		mini_stamp(fs, t);
	else if (how == NFS3_CLIENT_TIME)
		*t = (struct nfs3_time){want->sec, fs->coarse ? 0 : want->nsec};
}

static bool
set_owner(struct minifs *fs, const struct nfs3_sattr *s, struct mini_inode *n)
{
	if (!s->set_uid && !s->set_gid)
		return false;
	if (s->set_uid)
		n->uid = fs->squash && s->uid == 0 ? MINI_NOBODY : s->uid;
	if (s->set_gid)
		n->gid = s->gid;
	if (n->type == NF3REG)
		n->mode &= ~06000u;
	return true;
}

static bool
set_one(struct minifs *fs, const struct nfs3_sattr *s, unsigned what,
    struct mini_inode *n)
{
	bool did = false;

	switch (what) {
	case SET_SIZE:
		if ((did = s->set_size)) {
			n->size = n->disk_size = s->size;
			mini_stamp(fs, &n->mtime);
		}
		break;
	case SET_MODE:
		if ((did = s->set_mode && n->type != NF3LNK))
			n->mode = s->mode & 07777 & ~fs->masked;
		break;
	case SET_OWNER:
		did = set_owner(fs, s, n);
		break;
	case SET_TIMES:
		did =
		    n->type != NF3LNK && (s->set_atime != NFS3_DONT_CHANGE ||
					     s->set_mtime != NFS3_DONT_CHANGE);
		if (did) {
			set_time(fs, s->set_atime, &s->atime, &n->atime);
			set_time(fs, s->set_mtime, &s->mtime, &n->mtime);
		}
		break;
	}
	if (did)
		mini_stamp(fs, &n->ctime);
	return did;
}

/* The first step from `what` on that there is to do; true: done. */
static bool
set_next(struct minifs *fs, struct mini_run *run, const struct nfs3_sattr *s,
    unsigned *what)
{
	while (*what < SET_STEPS)
		if (set_one(fs, s, (*what)++, &fs->inode[run->ino]))
			return true;
	return false;
}

static uint32_t
setattr_check(const struct minifs *fs, const struct mini_run *run)
{
	const struct mini_inode *n = &fs->inode[run->ino];
	const struct nfs3_values *v = &run->values;
	const struct nfs3_sattr *s = &v->sattr;
	uint32_t uid = caller(fs, run);
	uint32_t wanted = fs->squash && s->uid == 0 ? MINI_NOBODY : s->uid;
	bool owner = uid == 0 || uid == n->uid;

	if (v->guard && (v->guard_ctime.sec != n->ctime.sec ||
			    v->guard_ctime.nsec != n->ctime.nsec))
		return NFS3ERR_NOT_SYNC;
	if (s->set_size && n->type != NF3REG)
		return NFS3ERR_INVAL;
	if (s->set_size && !owner && !may(fs, run, run->ino, 2))
		return NFS3ERR_ACCES;
	if (s->set_uid && uid != 0 && (wanted != n->uid || !owner))
		return NFS3ERR_PERM;
	if ((s->set_mode || s->set_gid || s->set_atime || s->set_mtime) &&
	    !owner)
		return NFS3ERR_PERM;
	return NFS3_OK;
}

static bool
step_setattr(struct minifs *fs, struct mini_run *run)
{
	uint32_t status;
	int ino;

	if (run->pc == 0) {
		ino = mini_by_fh(fs, &run->names.fh);
		if (ino == -1)
			return finish(run, NFS3ERR_STALE);
		run->ino = (unsigned)ino;
		run->found = true;
		status = setattr_check(fs, run);
		if (status != NFS3_OK)
			return finish(run, status);
		run->pc = 1;
	}
	run->pc--;
	if (set_next(fs, run, &run->values.sattr, &run->pc)) {
		run->pc++;
		return true;
	}
	return finish(run, NFS3_OK);
}

/* --- the steps that make an object */

static uint32_t
make_type(const struct mini_run *run)
{
	switch (run->proc) {
	case NFS3_MKDIR:
		return NF3DIR;
	case NFS3_SYMLINK:
		return NF3LNK;
	case NFS3_MKNOD:
		return run->values.type;
	}
	return NF3REG;
}

static bool
make_there(struct minifs *fs, struct mini_run *run, unsigned ino)
{
	const struct nfs3_values *v = &run->values;
	struct mini_inode *n = &fs->inode[ino];

	run->ino = ino;
	run->found = true;
	if (run->proc != NFS3_CREATE || v->how == NFS3_GUARDED ||
	    n->type != NF3REG)
		return finish(run, NFS3ERR_EXIST);
	if (v->how == NFS3_EXCLUSIVE)
		return finish(run, NFS3ERR_EXIST); /* no test repeats one */
	if (caller(fs, run) != n->uid && !may(fs, run, ino, 6))
		return finish(run, NFS3ERR_ACCES);
	finish(run, NFS3_OK);
	if (!v->sattr.set_size || (v->sattr.size > 0 && !fs->knfsd))
		return false;
	return set_one(fs, &v->sattr, SET_SIZE, n);
}

/* What is left to be set once it is made. */
static void
make_values(const struct minifs *fs, struct mini_run *run)
{
	struct nfs3_sattr *s = &run->values.sattr;
	const uint8_t *verf = run->values.verf;

	if (run->proc == NFS3_CREATE && run->values.how == NFS3_EXCLUSIVE) {
		s->set_atime = s->set_mtime = NFS3_CLIENT_TIME;
		memcpy(&s->atime.sec, verf + (fs->knfsd ? 4 : 0), 4);
		memcpy(&s->mtime.sec, verf + (fs->knfsd ? 0 : 4), 4);
	}
	s->set_mode = false;
	if (make_type(run) != NF3REG)
		s->set_size = false;
}

static bool
make_first(struct minifs *fs, struct mini_run *run)
{
	const struct nfs3_values *v = &run->values;
	int dir = dir_of(fs, run, &run->names.fh, 3), ino;
	char name[MINI_NAME];
	struct mini_inode *n;

	if (dir == -1)
		return false;
	ino = mini_lookup(fs, (unsigned)dir, name_of(&run->names.name, name));
	if (ino != -1)
		return make_there(fs, run, (unsigned)ino);
	run->ino = mini_inode_new(fs, make_type(run), caller(fs, run),
	    v->sattr.set_mode ? v->sattr.mode : 0600);
	run->found = true;
	n = &fs->inode[run->ino];
	n->gid = run->gid;
	if (fs->inode[dir].mode & 02000) {
		n->gid = fs->inode[dir].gid;
		if (n->type == NF3DIR)
			n->mode |= 02000;
	}
	if (n->type == NF3LNK) {
		n->mode = 0777;
		assert(v->target.len < MINI_TARGET);
		memcpy(n->target, v->target.p, v->target.len);
	}
	mini_entry_add(fs, (unsigned)dir, name, run->ino);
	make_values(fs, run);
	return true;
}

static bool
step_make(struct minifs *fs, struct mini_run *run)
{
	if (run->pc == 0) {
		run->pc = 1;
		return make_first(fs, run);
	}
	run->pc--;
	if (set_next(fs, run, &run->values.sattr, &run->pc)) {
		run->pc++;
		return true;
	}
	return finish(run, NFS3_OK);
}

/* --- names */

static bool
step_remove(struct minifs *fs, struct mini_run *run)
{
	int dir = dir_of(fs, run, &run->names.fh, 3);
	char name[MINI_NAME];
	struct mini_entry *e;
	uint32_t type;

	if (dir == -1)
		return false;
	e = mini_entry_find(fs, (unsigned)dir, name_of(&run->names.name, name));
	if (e == NULL)
		return finish(run, NFS3ERR_NOENT);
	type = fs->inode[e->ino].type;
	if (run->proc == NFS3_REMOVE && type == NF3DIR)
		return finish(run, NFS3ERR_ISDIR);
	if (run->proc == NFS3_RMDIR && type != NF3DIR)
		return finish(run, NFS3ERR_NOTDIR);
	if (run->proc == NFS3_RMDIR && !mini_dir_is_empty(fs, e->ino))
		return finish(run, NFS3ERR_NOTEMPTY);
	mini_entry_remove(fs, e);
	finish(run, NFS3_OK);
	return true;
}

static uint32_t
rename_check(const struct minifs *fs, unsigned from, unsigned to)
{
	const struct mini_inode *a = &fs->inode[from], *b = &fs->inode[to];

	if (a->type == NF3DIR && b->type != NF3DIR)
		return NFS3ERR_NOTDIR;
	if (a->type != NF3DIR && b->type == NF3DIR)
		return NFS3ERR_ISDIR;
	if (b->type == NF3DIR && !mini_dir_is_empty(fs, to))
		return NFS3ERR_NOTEMPTY;
	return NFS3_OK;
}

static bool
step_rename(struct minifs *fs, struct mini_run *run)
{
	int dir = dir_of(fs, run, &run->names.fh, 3), dir2;
	char name[MINI_NAME], name2[MINI_NAME];
	struct mini_entry *from, *to;
	uint32_t status;

	if (dir == -1)
		return false;
	dir2 = dir_of(fs, run, &run->names.fh2, 3);
	if (dir2 == -1)
		return false;
	from =
	    mini_entry_find(fs, (unsigned)dir, name_of(&run->names.name, name));
	to = mini_entry_find(
	    fs, (unsigned)dir2, name_of(&run->names.name2, name2));
	if (from == NULL)
		return finish(run, NFS3ERR_NOENT);
	if (from->ino == (unsigned)dir2)
		return finish(run, NFS3ERR_INVAL);
	if (to != NULL && to->ino == from->ino)
		return finish(run, NFS3_OK);
	status = to != NULL ? rename_check(fs, from->ino, to->ino) : NFS3_OK;
	if (status != NFS3_OK)
		return finish(run, status);
	if (to != NULL)
		mini_entry_remove(fs, to);
	mini_entry_add(fs, (unsigned)dir2, name2, from->ino);
	mini_entry_remove(fs, from);
	finish(run, NFS3_OK);
	return true;
}

static bool
step_link(struct minifs *fs, struct mini_run *run)
{
	int ino = mini_by_fh(fs, &run->names.fh), dir;
	char name[MINI_NAME];

	if (ino == -1)
		return finish(run, NFS3ERR_STALE);
	run->ino = (unsigned)ino;
	run->found = true;
	dir = dir_of(fs, run, &run->names.fh2, 3);
	if (dir == -1)
		return false;
	if (fs->inode[ino].type == NF3DIR)
		return finish(run, NFS3ERR_ISDIR);
	if (mini_entry_find(
		fs, (unsigned)dir, name_of(&run->names.name2, name)))
		return finish(run, NFS3ERR_EXIST);
	mini_entry_add(fs, (unsigned)dir, name, (unsigned)ino);
	finish(run, NFS3_OK);
	return true;
}

/* --- queries */

static void
step_query(const struct minifs *fs, struct mini_run *run)
{
	char name[MINI_NAME];
	int ino = mini_by_fh(fs, &run->names.fh), dir;

	if (run->proc == NFS3_LOOKUP) {
		dir = dir_of(fs, run, &run->names.fh, 1);
		if (dir == -1)
			return;
		ino = mini_lookup(
		    fs, (unsigned)dir, name_of(&run->names.name, name));
		if (ino == -1) {
			finish(run, NFS3ERR_NOENT);
			return;
		}
	}
	run->found = ino != -1;
	run->ino = run->found ? (unsigned)ino : 0;
	finish(run, run->found ? NFS3_OK : NFS3ERR_STALE);
}

bool
mini_step(struct minifs *fs, struct mini_run *run)
{
	assert(!run->finished);
	switch (run->proc) {
	case NFS3_SETATTR:
		return step_setattr(fs, run);
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
	case NFS3_MKNOD:
		return step_make(fs, run);
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		return step_remove(fs, run);
	case NFS3_RENAME:
		return step_rename(fs, run);
	case NFS3_LINK:
		return step_link(fs, run);
	}
	step_query(fs, run);
	return false;
}

/* --- replies */

static void
attr_of(const struct minifs *fs, unsigned ino, struct nfs3_fattr *a)
{
	const struct mini_inode *n = &fs->inode[ino];

	memset(a, 0, sizeof(*a));
	a->type = n->type;
	a->mode = n->mode;
	a->nlink = n->nlink;
	a->uid = n->uid;
	a->gid = n->gid;
	a->size = n->size;
	a->fileid = ino;
	a->atime = n->atime;
	a->mtime = n->mtime;
	a->ctime = n->ctime;
}

static size_t
query_reply(const struct minifs *fs, const struct mini_run *run, uint8_t *buf)
{
	struct nfs3_out o = {.p = buf, .left = NFS3_REPLY_MAX};
	struct nfs3_fattr a, dir;
	struct nfs3_fh fh;
	int at = mini_by_fh(fs, &run->names.fh);
	bool ok = run->status == NFS3_OK;

	if (ok)
		attr_of(fs, run->ino, &a);
	if (at != -1)
		attr_of(fs, (unsigned)at, &dir);
	for (unsigned i = 0; i < 6; i++) /* accepted, AUTH_NONE, SUCCESS */
		nfs3_put_u32(&o, i == 0 ? run->xid : i == 1);
	nfs3_put_u32(&o, run->status);
	if (run->proc == NFS3_LOOKUP) {
		if (ok) {
			mini_fh(fs, run->ino, &fh);
			nfs3_put_opaque(&o, fh.b, fh.len);
			nfs3_put_post_attr(&o, fs->no_attr ? NULL : &a);
		}
		nfs3_put_post_attr(&o, at != -1 ? &dir : NULL);
	} else if (run->proc == NFS3_READLINK) {
		nfs3_put_post_attr(&o, ok ? &a : NULL);
		if (ok)
			nfs3_put_opaque(&o, fs->inode[run->ino].target,
			    (uint32_t)strlen(fs->inode[run->ino].target));
	} else if (ok)
		nfs3_put_fattr(&o, &a);
	assert(!o.short_of);
	return NFS3_REPLY_MAX - o.left;
}

size_t
mini_reply(const struct minifs *fs, const struct mini_run *run,
    uint8_t buf[NFS3_REPLY_MAX])
{
	struct nfs3_reply r = {
	    .xid = run->xid, .proc = run->proc, .status = run->status};
	struct nfs3_fattr a;
	struct nfs3_fh fh;

	assert(run->finished);
	if (nfs3_class(run->proc) != CALL_LOGGED)
		return query_reply(fs, run, buf);
	if (run->found && run->status == NFS3_OK) {
		attr_of(fs, run->ino, &a);
		mini_fh(fs, run->ino, &fh);
		r.attr = &a;
		r.fh = &fh;
	}
	return nfs3_reply_write(buf, NFS3_REPLY_MAX, &r);
}

size_t
mini_call(struct minifs *fs, const uint8_t *call, size_t len,
    uint8_t reply[NFS3_REPLY_MAX])
{
	struct mini_run run;

	mini_begin(&run, call, len);
	while (!run.finished)
		mini_step(fs, &run);
	return mini_reply(fs, &run, reply);
}
