/*
 * Calls to bytes, bytes to answers.  The RPC header (RFC 5531) and MOUNT are
 * written by hand; NFSv3's arguments and results by libnfs' XDR.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "nfsload.h"

enum { MOUNT_PROGRAM = 100005, MOUNT_VERSION = 3, MNT = 1, REPLY_ERROR = 1000 };

static const char *const kind_names[KINDS] = {"NULL", "GETATTR", "SETATTR",
    "LOOKUP", "ACCESS", "READLINK", "READ", "WRITE", "CREATE", "MKDIR",
    "SYMLINK", "MKNOD", "REMOVE", "RMDIR", "RENAME", "LINK", "READDIR",
    "READDIRPLUS", "FSSTAT", "FSINFO", "PATHCONF", "COMMIT"};

const char *
kind_name(int kind)
{
	return kind >= 0 && kind < KINDS ? kind_names[kind] : "?";
}

static uint8_t *
put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return ntohl(v);
}

/* A call's header with an AUTH_SYS credential of root; the mark's place is
 * left at the front. */
static uint8_t *
put_header(uint8_t *p, uint32_t xid, uint32_t program, uint32_t version,
    uint32_t procedure)
{
	static const char machine[8] = "nfsload";

	p = put32(p, 0);
	p = put32(p, xid);
	p = put32(p, 0); /* CALL */
	p = put32(p, 2);
	p = put32(p, program);
	p = put32(p, version);
	p = put32(p, procedure);
	p = put32(p, 1); /* AUTH_SYS */
	p = put32(p, 4 + 4 + 8 + 4 + 4 + 4);
	p = put32(p, 0); /* stamp */
	p = put32(p, 7);
	memcpy(p, machine, 8);
	p += 8;
	for (int i = 0; i < 3 + 2; i++) /* uid, gid, no groups; no verifier */
		p = put32(p, 0);
	return p;
}

static size_t
put_mark(uint8_t *buf, size_t len)
{
	put32(buf, 0x80000000 | (uint32_t)(len - 4));
	return len;
}

static nfs_fh3
fh3(const struct object *o)
{
	nfs_fh3 fh;

	fh.data.data_len = o->fh.len;
	fh.data.data_val = (char *)o->fh.bytes;
	return fh;
}

static diropargs3
name3(const struct place *p)
{
	return (diropargs3){fh3(p->dir), (char *)p->name};
}

static sattr3
sattr(const struct op *op, bool mode, bool size)
{
	sattr3 a;

	memset(&a, 0, sizeof a);
	a.mode.set_it = mode;
	a.mode.set_mode3_u.mode = op->mode;
	a.size.set_it = size;
	a.size.set_size3_u.size = op->size;
	return a;
}

static bool
put_create(ZDR *z, const struct op *op)
{
	CREATE3args a;

	memset(&a, 0, sizeof a);
	a.where = name3(op->place);
	a.how.mode = (createmode3)op->how;
	if (op->how == EXCLUSIVE)
		memcpy(a.how.createhow3_u.verf, op->verifier, 8);
	else
		a.how.createhow3_u.obj_attributes =
		    sattr(op, true, op->set_size);
	return zdr_CREATE3args(z, &a);
}

static bool
put_write(ZDR *z, const struct op *op)
{
	static char data[IO_MAX];
	WRITE3args a;

	content_fill((uint8_t *)data, op->object->id,
	    (uint32_t)(op->offset / BLOCK), op->count / BLOCK, op->version);
	a.file = fh3(op->object);
	a.offset = op->offset;
	a.count = op->count;
	a.stable = (stable_how)op->stable;
	a.data.data_len = op->count;
	a.data.data_val = data;
	return zdr_WRITE3args(z, &a);
}

static bool
put_symlink(ZDR *z, const struct op *op)
{
	SYMLINK3args a;

	a.where = name3(op->place);
	a.symlink.symlink_attributes = sattr(op, true, false);
	a.symlink.symlink_data = op->made->target;
	return zdr_SYMLINK3args(z, &a);
}

static bool
put_setattr(ZDR *z, const struct op *op)
{
	SETATTR3args a;

	memset(&a, 0, sizeof a);
	a.object = fh3(op->object);
	a.new_attributes = sattr(op, op->set_mode, op->set_size);
	return zdr_SETATTR3args(z, &a);
}

static bool
put_args(ZDR *z, const struct op *op)
{
	switch (op->kind) {
	case NFS3_CREATE:
		return put_create(z, op);
	case NFS3_WRITE:
		return put_write(z, op);
	case NFS3_SYMLINK:
		return put_symlink(z, op);
	case NFS3_SETATTR:
		return put_setattr(z, op);
	case NFS3_MKDIR: {
		MKDIR3args a = {name3(op->place), sattr(op, true, false)};
		return zdr_MKDIR3args(z, &a);
	}
	case NFS3_LOOKUP:
	case NFS3_REMOVE:
	case NFS3_RMDIR: { /* all three are one diropargs3 */
		LOOKUP3args a = {name3(op->place)};
		return zdr_LOOKUP3args(z, &a);
	}
	case NFS3_RENAME: {
		RENAME3args a = {name3(op->place), name3(op->to)};
		return zdr_RENAME3args(z, &a);
	}
	case NFS3_LINK: {
		LINK3args a = {fh3(op->object), name3(op->place)};
		return zdr_LINK3args(z, &a);
	}
	case NFS3_READ: {
		READ3args a = {fh3(op->object), op->offset, op->count};
		return zdr_READ3args(z, &a);
	}
	case NFS3_COMMIT: {
		COMMIT3args a = {fh3(op->object), 0, 0};
		return zdr_COMMIT3args(z, &a);
	}
	case NFS3_READDIR: {
		READDIR3args a = {fh3(op->object), 0, {0}, 60000};
		a.cookie = op->offset;
		memcpy(a.cookieverf, op->verifier, 8);
		return zdr_READDIR3args(z, &a);
	}
	default: { /* GETATTR, READLINK: a handle */
		GETATTR3args a = {fh3(op->object)};
		return zdr_GETATTR3args(z, &a);
	}
	}
}

size_t
call_encode(const struct op *op, uint8_t *buf, size_t size)
{
	uint8_t *p =
	    put_header(buf, op->xid, NFS_PROGRAM, NFS_V3, (uint32_t)op->kind);
	size_t head = (size_t)(p - buf), len;
	ZDR z;

	zdrmem_create(&z, (caddr_t)p, (uint32_t)(size - head), ZDR_ENCODE);
	if (!put_args(&z, op))
		errx(1, "cannot encode a %s", kind_name(op->kind));
	len = head + zdr_getpos(&z);
	zdr_destroy(&z);
	return put_mark(buf, len);
}

size_t
mount_encode(uint32_t xid, const char *export, uint8_t *buf, size_t size)
{
	uint8_t *p = put_header(buf, xid, MOUNT_PROGRAM, MOUNT_VERSION, MNT);
	size_t n = strlen(export);

	assert((size_t)(p - buf) + 4 + n + 4 <= size);
	p = put32(p, (uint32_t)n);
	memset(p, 0, (n + 3) & ~(size_t)3);
	memcpy(p, export, n);
	p += (n + 3) & ~(size_t)3;
	return put_mark(buf, (size_t)(p - buf));
}

/* Where the results begin; NULL if the call was not accepted (then *why). */
static const uint8_t *
skip_header(const uint8_t *buf, size_t len, uint32_t *why)
{
	*why = REPLY_ERROR;
	if (len < 24 || get32(buf + 4) != 1)
		return NULL;
	*why = REPLY_ERROR + get32(buf + 8);
	if (*why != REPLY_ERROR) /* MSG_DENIED */
		return NULL;
	size_t verf = get32(buf + 16);

	if (verf > 400 || len < 24 + verf)
		return NULL;
	*why = get32(buf + 20 + verf); /* accept_stat */
	return *why == 0 ? buf + 24 + verf : NULL;
}

bool
mount_decode(struct handle *fh, const uint8_t *buf, size_t len)
{
	uint32_t why;
	const uint8_t *p = skip_header(buf, len, &why);
	size_t left = p == NULL ? 0 : len - (size_t)(p - buf);

	if (left < 8 || get32(p) != 0 || get32(p + 4) > FH_MAX ||
	    left - 8 < get32(p + 4))
		return false;
	fh->len = get32(p + 4);
	memcpy(fh->bytes, p + 8, fh->len);
	return true;
}

static void
take_attr(struct answer *a, const post_op_attr *p)
{
	a->has_attr = p->attributes_follow;
	if (a->has_attr)
		a->attr = p->post_op_attr_u.attributes;
}

static void
take_fh(struct answer *a, const nfs_fh3 *fh)
{
	a->has_fh = fh->data.data_len <= FH_MAX;
	if (!a->has_fh)
		return;
	a->fh.len = fh->data.data_len;
	memcpy(a->fh.bytes, fh->data.data_val, a->fh.len);
}

/* CREATE, MKDIR and SYMLINK answer in the same form. */
static bool
take_created(struct answer *a, ZDR *z)
{
	CREATE3res r;

	memset(&r, 0, sizeof r);
	if (!zdr_CREATE3res(z, &r))
		return false;
	a->status = r.status;
	if (r.status != NFS3_OK)
		return true;
	if (r.CREATE3res_u.resok.obj.handle_follows)
		take_fh(a, &r.CREATE3res_u.resok.obj.post_op_fh3_u.handle);
	take_attr(a, &r.CREATE3res_u.resok.obj_attributes);
	return true;
}

static bool
take_lookup(struct answer *a, ZDR *z)
{
	LOOKUP3res r;

	memset(&r, 0, sizeof r);
	if (!zdr_LOOKUP3res(z, &r))
		return false;
	a->status = r.status;
	if (r.status != NFS3_OK)
		return true;
	take_fh(a, &r.LOOKUP3res_u.resok.object);
	take_attr(a, &r.LOOKUP3res_u.resok.obj_attributes);
	return true;
}

static bool
take_read(struct answer *a, ZDR *z)
{
	READ3res r;
	const READ3resok *ok = &r.READ3res_u.resok;

	memset(&r, 0, sizeof r);
	if (!zdr_READ3res(z, &r))
		return false;
	a->status = r.status;
	if (r.status != NFS3_OK)
		return true;
	take_attr(a, &ok->file_attributes);
	a->count = ok->count;
	a->eof = ok->eof;
	a->data = (const uint8_t *)ok->data.data_val;
	a->data_len = ok->data.data_len;
	return true;
}

static bool
take_write(struct answer *a, ZDR *z)
{
	WRITE3res r;
	const WRITE3resok *ok = &r.WRITE3res_u.resok;

	memset(&r, 0, sizeof r);
	if (!zdr_WRITE3res(z, &r))
		return false;
	a->status = r.status;
	if (r.status != NFS3_OK)
		return true;
	take_attr(a, &ok->file_wcc.after);
	a->count = ok->count;
	a->committed = ok->committed;
	memcpy(a->verf, ok->verf, sizeof a->verf);
	return true;
}

static bool
take_commit(struct answer *a, ZDR *z)
{
	COMMIT3res r;

	memset(&r, 0, sizeof r);
	if (!zdr_COMMIT3res(z, &r))
		return false;
	a->status = r.status;
	if (r.status != NFS3_OK)
		return true;
	take_attr(a, &r.COMMIT3res_u.resok.file_wcc.after);
	memcpy(a->verf, r.COMMIT3res_u.resok.verf, sizeof a->verf);
	return true;
}

static bool
take_link(struct answer *a, ZDR *z)
{
	LINK3res r;

	memset(&r, 0, sizeof r);
	if (!zdr_LINK3res(z, &r))
		return false;
	a->status = r.status;
	if (r.status == NFS3_OK)
		take_attr(a, &r.LINK3res_u.resok.file_attributes);
	return true;
}

static bool
take_readlink(struct answer *a, ZDR *z)
{
	READLINK3res r;

	memset(&r, 0, sizeof r);
	if (!zdr_READLINK3res(z, &r))
		return false;
	a->status = r.status;
	if (r.status != NFS3_OK)
		return true;
	take_attr(a, &r.READLINK3res_u.resok.symlink_attributes);
	a->target = r.READLINK3res_u.resok.data;
	return true;
}

static bool
take_readdir(struct answer *a, ZDR *z)
{
	READDIR3res r;
	const READDIR3resok *ok = &r.READDIR3res_u.resok;

	memset(&r, 0, sizeof r);
	if (!zdr_READDIR3res(z, &r))
		return false;
	a->status = r.status;
	if (r.status != NFS3_OK)
		return true;
	take_attr(a, &ok->dir_attributes);
	memcpy(a->verf, ok->cookieverf, sizeof a->verf);
	a->entries = (struct entry_list){ok->reply.entries, ok->reply.eof};
	return true;
}

static bool
take_getattr(struct answer *a, ZDR *z)
{
	GETATTR3res r;

	memset(&r, 0, sizeof r);
	if (!zdr_GETATTR3res(z, &r))
		return false;
	a->status = r.status;
	a->has_attr = r.status == NFS3_OK;
	a->attr = r.GETATTR3res_u.resok.obj_attributes;
	return true;
}

/* SETATTR, REMOVE and RMDIR answer with one wcc_data (of the object, or of
 * the directory); RENAME with two, of which the model needs none. */
static bool
take_wcc(struct answer *a, ZDR *z, bool of_object)
{
	SETATTR3res r;

	memset(&r, 0, sizeof r);
	if (!zdr_SETATTR3res(z, &r))
		return false;
	a->status = r.status;
	if (of_object && r.status == NFS3_OK)
		take_attr(a, &r.SETATTR3res_u.resok.obj_wcc.after);
	return true;
}

static bool
take_results(struct answer *a, int kind, ZDR *z)
{
	switch (kind) {
	case NFS3_GETATTR:
		return take_getattr(a, z);
	case NFS3_LOOKUP:
		return take_lookup(a, z);
	case NFS3_READLINK:
		return take_readlink(a, z);
	case NFS3_READ:
		return take_read(a, z);
	case NFS3_WRITE:
		return take_write(a, z);
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
		return take_created(a, z);
	case NFS3_LINK:
		return take_link(a, z);
	case NFS3_READDIR:
		return take_readdir(a, z);
	case NFS3_COMMIT:
		return take_commit(a, z);
	default:
		return take_wcc(a, z, kind == NFS3_SETATTR);
	}
}

bool
answer_decode(struct answer *a, int kind, const uint8_t *buf, size_t len)
{
	const uint8_t *p;

	memset(a, 0, sizeof *a);
	p = skip_header(buf, len, &a->rpc_error);
	zdrmem_create(&a->zdr, (caddr_t)(p == NULL ? buf : p),
	    (uint32_t)(p == NULL ? 0 : len - (size_t)(p - buf)), ZDR_DECODE);
	return p == NULL || take_results(a, kind, &a->zdr);
}

void
answer_free(struct answer *a)
{
	zdr_destroy(&a->zdr);
}
