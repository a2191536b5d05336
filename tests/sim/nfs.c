/*
 * The calls of this world, as NFSv3 (RFC 1813) and back. Each client has a
 * directory of its own on each volume, with two names and a file for each
 * of its slots; the data of a file is one number.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "hanfs/cursor.h"
#include "hanfs/rpc.h"
#include "world.h"

const char *const op_names[OPS] = {
    [OP_WRITE] = "WRITE",
    [OP_READ] = "READ",
    [OP_COMMIT] = "COMMIT",
    [OP_SETATTR] = "SETATTR",
    [OP_GETATTR] = "GETATTR",
    [OP_CREATE] = "CREATE",
    [OP_MKDIR] = "MKDIR",
    [OP_REMOVE] = "REMOVE",
    [OP_RMDIR] = "RMDIR",
    [OP_RENAME] = "RENAME",
    [OP_LOOKUP] = "LOOKUP",
};

static const uint32_t procs[OPS] = {
    [OP_WRITE] = NFS3_WRITE,
    [OP_READ] = NFS3_READ,
    [OP_COMMIT] = NFS3_COMMIT,
    [OP_SETATTR] = NFS3_SETATTR,
    [OP_GETATTR] = NFS3_GETATTR,
    [OP_CREATE] = NFS3_CREATE,
    [OP_MKDIR] = NFS3_MKDIR,
    [OP_REMOVE] = NFS3_REMOVE,
    [OP_RMDIR] = NFS3_RMDIR,
    [OP_RENAME] = NFS3_RENAME,
    [OP_LOOKUP] = NFS3_LOOKUP,
};

bool
op_changes(enum nfs_op op)
{
	return nfs3_class(procs[op]) == CALL_LOGGED;
}

void
client_uuid(uint32_t client, uint8_t id[CLIENT_ID_LEN])
{
	memset(id, 0xc0 + (int)client, CLIENT_ID_LEN);
}

/* --- writing */

static uint8_t *
put(uint8_t *p, uint32_t v)
{
	be32_put(p, v);
	return p + 4;
}

static uint8_t *
put64(uint8_t *p, uint64_t v)
{
	return put(put(p, (uint32_t)(v >> 32)), (uint32_t)v);
}

/* A handle: client and object; object 0 is the directory. */
static uint8_t *
put_fh(uint8_t *p, uint32_t client, uint32_t object)
{
	return put(put(put(p, 8), client), object);
}

static uint8_t *
put_name(uint8_t *p, uint32_t slot, uint32_t name)
{
	char text[8];

	snprintf(text, sizeof(text), "s%02u%c", slot, 'a' + (int)name);
	p = put(p, 4);
	memcpy(p, text, 4);
	return p + 4;
}

/* sattr3 with nothing set but, if wanted, the mode. */
static uint8_t *
put_sattr(uint8_t *p, bool set, uint32_t mode)
{
	p = put(p, set);
	if (set)
		p = put(p, mode);
	for (int i = 0; i < 5; i++) /* uid, gid, size, atime, mtime */
		p = put(p, 0);
	return p;
}

size_t
nfs_call_encode(uint8_t buf[NFS_CALL_MAX], uint32_t xid, const struct op *op)
{
	uint32_t file = op->slot + 1;
	uint8_t *p = buf;

	p += rpc_call_write(p, xid, RPC_PROG_NFS, 3, procs[op->what]);
	switch (op->what) {
	case OP_WRITE:
		p = put64(put_fh(p, op->client, file), 0);
		p = put(put(put(p, 8), 2), 8); /* count, FILE_SYNC, data */
		p = put64(p, op->value);
		break;
	case OP_READ:
	case OP_COMMIT:
		p = put(put64(put_fh(p, op->client, file), 0), 8);
		break;
	case OP_SETATTR:
		p = put_sattr(
		    put_fh(p, op->client, file), true, (uint32_t)op->value);
		p = put(p, 0);
		break;
	case OP_GETATTR:
		p = put_fh(p, op->client, file);
		break;
	case OP_CREATE:
		p = put_name(put_fh(p, op->client, 0), op->slot, op->name);
		p = put_sattr(put(p, 1), false, 0); /* GUARDED */
		break;
	case OP_MKDIR:
		p = put_name(put_fh(p, op->client, 0), op->slot, op->name);
		p = put_sattr(p, false, 0);
		break;
	case OP_REMOVE:
	case OP_RMDIR:
	case OP_LOOKUP:
		p = put_name(put_fh(p, op->client, 0), op->slot, op->name);
		break;
	case OP_RENAME:
		p = put_name(put_fh(p, op->client, 0), op->slot, op->name);
		p = put_name(put_fh(p, op->client, 0), op->slot, !op->name);
		break;
	case OPS:
		assert(0);
	}
	assert(p - buf <= NFS_CALL_MAX);
	return (size_t)(p - buf);
}

/* --- reading, as the backend does it */

static void
take_fh(const struct nfs3_bytes *fh, struct op *op)
{
	uint32_t object = be32_get(fh->p + 4);

	op->client = be32_get(fh->p);
	if (object > 0)
		op->slot = object - 1;
}

bool
nfs_call_decode(const struct rec *rec, uint32_t *xid, struct op *op)
{
	static const uint8_t nobody[CLIENT_ID_LEN];
	const uint8_t *p = rec->raw + 4;
	enum rpc_answer answer;
	struct call_info info;
	uint32_t low, high;

	memset(op, 0, sizeof(*op));
	if (call_look(nobody, p, rec->head_len, rec->len, &info, &answer, &low,
		&high) != CALL_FORWARD)
		return false;
	*xid = info.id.xid;
	while (op->what < OPS && procs[op->what] != info.id.proc)
		op->what++;
	if (op->what == OPS || info.nfs.fh.len != 8)
		return false;
	take_fh(&info.nfs.fh, op);
	if (info.nfs.name.p != NULL) {
		op->slot = (uint32_t)(info.nfs.name.p[1] - '0') * 10 +
			   (uint32_t)(info.nfs.name.p[2] - '0');
		op->name = info.nfs.name.p[3] - 'a';
	}
	if (op->what == OP_WRITE)
		op->value = (uint64_t)be32_get(p + rec->len - 8) << 32 |
			    be32_get(p + rec->len - 4);
	else if (op->what == OP_SETATTR) /* fh, set_mode, mode */
		op->value = be32_get(info.nfs.fh.p + 8 + 4);
	return true;
}

/* --- replies: a header, a status, a number */

enum { REPLY_HEADER = 24 };

void
nfs_reply_encode(
    uint8_t buf[NFS_REPLY_LEN], uint32_t xid, uint32_t status, uint64_t value)
{
	size_t n = rpc_answer_write(buf, xid, RPC_ANSWER_SUCCESS, 0, 0);

	assert(n == REPLY_HEADER);
	put64(put(buf + n, status), value);
}

bool
nfs_reply_decode(const uint8_t *buf, size_t len, uint32_t *xid,
    uint32_t *status, uint64_t *value)
{
	struct rpc_reply reply;
	struct cursor c;

	if (rpc_reply_parse(buf, len, &reply) == -1 || reply.reply_stat != 0 ||
	    reply.accept_stat != 0)
		return false;
	c = reply.results;
	*xid = reply.xid;
	return cursor_u32(&c, status) && cursor_u64(&c, value);
}
