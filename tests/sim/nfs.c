/*
 * The calls of this world's clients, as NFSv3 (RFC 1813), and what they
 * read in replies. Each client has a directory of its own on each volume,
 * with two names or a file for each of its slots, and one is shared by all.
 */
#include <assert.h>
#include <string.h>

#include "hanfs/cursor.h"
#include "hanfs/rpc.h"
#include "nfsd.h"
#include "world.h"

const char *const op_names[OPS] = {
    [OP_WRITE] = "WRITE",
    [OP_READ] = "READ",
    [OP_COMMIT] = "COMMIT",
    [OP_SETATTR] = "SETATTR",
    [OP_TRUNCATE] = "SETATTR of size",
    [OP_GETATTR] = "GETATTR",
    [OP_CREATE] = "CREATE",
    [OP_MKDIR] = "MKDIR",
    [OP_SYMLINK] = "SYMLINK",
    [OP_MKNOD] = "MKNOD",
    [OP_REMOVE] = "REMOVE",
    [OP_RMDIR] = "RMDIR",
    [OP_RENAME] = "RENAME",
    [OP_LINK] = "LINK",
    [OP_LOOKUP] = "LOOKUP",
};

static const uint32_t procs[OPS] = {
    [OP_WRITE] = NFS3_WRITE,
    [OP_READ] = NFS3_READ,
    [OP_COMMIT] = NFS3_COMMIT,
    [OP_SETATTR] = NFS3_SETATTR,
    [OP_TRUNCATE] = NFS3_SETATTR,
    [OP_GETATTR] = NFS3_GETATTR,
    [OP_CREATE] = NFS3_CREATE,
    [OP_MKDIR] = NFS3_MKDIR,
    [OP_SYMLINK] = NFS3_SYMLINK,
    [OP_MKNOD] = NFS3_MKNOD,
    [OP_REMOVE] = NFS3_REMOVE,
    [OP_RMDIR] = NFS3_RMDIR,
    [OP_RENAME] = NFS3_RENAME,
    [OP_LINK] = NFS3_LINK,
    [OP_LOOKUP] = NFS3_LOOKUP,
};

bool
op_changes(enum nfs_op op)
{
	return nfs3_class(procs[op]) == CALL_LOGGED;
}

uint32_t
op_proc(enum nfs_op op)
{
	return procs[op];
}

void
client_uuid(uint32_t client, uint8_t id[CLIENT_ID_LEN])
{
	memset(id, 0xc0 + (int)client, CLIENT_ID_LEN);
}

/* --- what is there from the start */

enum { FIRST_DIR = 2, SHARED_DIR = FIRST_DIR + CLIENTS_MAX };

void
nfs_populate(struct fs *fs)
{
	uint32_t n = SHARED_DIR + 1 + CLIENTS_MAX * SLOTS_MAX;

	for (uint32_t i = 1; i < n; i++) {
		fs->inode[i] = (struct fs_inode){
		    .gen = 1,
		    .type = i <= SHARED_DIR ? FS_DIR : FS_REG,
		    .nlink = i <= SHARED_DIR ? 2 : 1,
		    .mode = i <= SHARED_DIR ? 0755 : 0600,
		};
	}
	fs->ninodes = fs->free_hint = n;
}

uint32_t
nfs_dir_inode(uint32_t client, bool shared)
{
	return shared ? SHARED_DIR : FIRST_DIR + client;
}

uint32_t
nfs_file_inode(uint32_t client, uint32_t slot)
{
	return SHARED_DIR + 1 + client * SLOTS_MAX + slot;
}

uint64_t
nfs_name_text(uint32_t slot, uint32_t name, bool shared)
{
	uint8_t text[4] = {'s', (uint8_t)('0' + slot / 10),
	    (uint8_t)('0' + slot % 10), (uint8_t)('a' + name)};

	if (shared)
		text[1] = text[2] = 'x';
	return fs_text(text, sizeof(text));
}

/* --- calls */

static void
fill_sattr(const struct op *op, struct nfs_sattr *s)
{
	memset(s, 0, sizeof(*s));
	s->set = op->set;
	if (op->set & SET_MODE)
		s->mode = nfs_mode(op->value);
	if (op->set & SET_OWNER) {
		s->set_uid = true;
		s->uid = (uint32_t)op->value;
	}
	if (op->set & SET_SIZE)
		s->size = op->size;
	if (op->set & SET_TIMES) {
		s->mtime_how = 2;
		s->mtime = op->value << 32;
	}
}

uint32_t
nfs_mode(uint64_t value)
{
	return 0400 | (uint32_t)(value & 0377);
}

static uint8_t *
put_what(uint8_t *p, const struct op *op, const struct nfs_sattr *s)
{
	switch (op->what) {
	case OP_CREATE:
		p = nfs_put(p, op->how);
		return op->how == EXCLUSIVE ? nfs_put64(p, op->verf)
					    : nfs_put_sattr(p, s);
	case OP_MKNOD:
		return nfs_put_sattr(nfs_put(p, FS_FIFO), s);
	case OP_SYMLINK:
		return nfs_put_text(nfs_put_sattr(p, s), op->value % 251 + 1);
	default:
		return nfs_put_sattr(p, s);
	}
}

size_t
nfs_call_encode(uint8_t buf[NFS_CALL_MAX], uint32_t xid, const struct op *op)
{
	uint8_t *p = nfs_put_call(buf, xid, procs[op->what], op->client);
	struct nfs_sattr s;

	fill_sattr(op, &s);
	p = nfs_put_fh(p, &op->fh);
	switch (op->what) {
	case OP_WRITE:
		p = nfs_put64(p, op->block * FS_BLOCK_LEN);
		p = nfs_put(nfs_put(p, FS_BLOCK_LEN), op->stable);
		p = nfs_put64(nfs_put(p, FS_BLOCK_LEN), op->value);
		break;
	case OP_READ:
	case OP_COMMIT:
		p = nfs_put64(p, op->block * FS_BLOCK_LEN);
		p = nfs_put(p, FS_BLOCK_LEN);
		break;
	case OP_SETATTR:
	case OP_TRUNCATE:
		p = nfs_put(nfs_put_sattr(p, &s), op->guard != 0);
		if (op->guard != 0)
			p = nfs_put64(p, op->guard);
		break;
	case OP_GETATTR:
		break;
	case OP_CREATE:
	case OP_MKDIR:
	case OP_SYMLINK:
	case OP_MKNOD:
		p = put_what(nfs_put_text(p, op->text), op, &s);
		break;
	case OP_REMOVE:
	case OP_RMDIR:
	case OP_LOOKUP:
		p = nfs_put_text(p, op->text);
		break;
	case OP_RENAME:
		p = nfs_put_text(p, op->text);
		p = nfs_put_text(nfs_put_fh(p, &op->fh), op->text2);
		break;
	case OP_LINK:
		p = nfs_put_text(nfs_put_fh(p, &op->fh2), op->text2);
		break;
	case OPS:
		assert(0);
	}
	assert(p - buf <= NFS_CALL_MAX);
	return (size_t)(p - buf);
}

/* --- replies */

static bool
take_attr(struct cursor *c, struct nfs_answer *a)
{
	uint32_t type, skip;
	uint64_t wide;

	a->has_attr = true;
	return cursor_u32(c, &type) && cursor_u32(c, &a->mode) &&
	       cursor_u32(c, &a->nlink) && cursor_u32(c, &a->uid) &&
	       cursor_u32(c, &skip) && cursor_u64(c, &a->size) &&
	       cursor_u64(c, &wide) && cursor_u64(c, &wide) &&
	       cursor_u64(c, &wide) && cursor_u64(c, &wide) &&
	       cursor_u64(c, &wide) && cursor_u64(c, &wide) &&
	       cursor_u64(c, &a->ctime) &&
	       ((a->type = (enum fs_type)type), true);
}

static bool
take_post(struct cursor *c, struct nfs_answer *a)
{
	uint32_t follows;

	return cursor_u32(c, &follows) && follows <= 1 &&
	       (follows == 0 || take_attr(c, a));
}

static bool
take_wcc(struct cursor *c, struct nfs_answer *a)
{
	uint32_t follows;
	const uint8_t *p;

	return cursor_u32(c, &follows) && follows <= 1 &&
	       (follows == 0 || cursor_take(c, 24, &p)) && take_post(c, a);
}

static bool
take_fh(struct cursor *c, bool optional, struct nfs_answer *a)
{
	const uint8_t *p;
	uint32_t len, follows = 1;

	if (optional && !cursor_u32(c, &follows))
		return false;
	a->has_fh = follows != 0;
	return !a->has_fh || (cursor_opaque(c, NFS3_FHSIZE, &p, &len) &&
				 nfs_handle_get(p, len, &a->fh));
}

static bool
take_good(struct cursor *c, enum nfs_op what, struct nfs_answer *a)
{
	struct nfs_answer dir;
	uint32_t n, eof;

	switch (what) {
	case OP_GETATTR:
		return take_attr(c, a);
	case OP_SETATTR:
	case OP_TRUNCATE:
		return take_wcc(c, a);
	case OP_LOOKUP:
		return take_fh(c, false, a) && take_post(c, a) &&
		       take_post(c, &dir);
	case OP_READ:
		if (!take_post(c, a) || !cursor_u32(c, &n) ||
		    !cursor_u32(c, &eof) || !cursor_u32(c, &n))
			return false;
		return n == 0 || cursor_u64(c, &a->value);
	case OP_WRITE:
		return take_wcc(c, a) && cursor_u32(c, &n) &&
		       cursor_u32(c, &a->committed) && cursor_u64(c, &a->verf);
	case OP_COMMIT:
		return take_wcc(c, a) && cursor_u64(c, &a->verf);
	case OP_REMOVE:
	case OP_RMDIR:
		return take_wcc(c, &dir);
	case OP_RENAME:
		return take_wcc(c, &dir) && take_wcc(c, &dir);
	case OP_LINK:
		return take_post(c, a) && take_wcc(c, &dir);
	default:
		return take_fh(c, true, a) && take_post(c, a) &&
		       take_wcc(c, &dir);
	}
}

bool
nfs_reply_xid(const uint8_t *buf, size_t len, uint32_t *xid)
{
	struct rpc_reply reply;

	if (rpc_reply_parse(buf, len, &reply) == -1)
		return false;
	*xid = reply.xid;
	return true;
}

bool
nfs_reply_decode(
    const uint8_t *buf, size_t len, enum nfs_op what, struct nfs_answer *a)
{
	struct rpc_reply reply;
	struct cursor c;

	memset(a, 0, sizeof(*a));
	if (rpc_reply_parse(buf, len, &reply) == -1 || reply.reply_stat != 0 ||
	    reply.accept_stat != 0)
		return false;
	c = reply.results;
	a->bytes = buf;
	a->len = len;
	if (!cursor_u32(&c, &a->status))
		return false;
	return a->status != NFS_OK || (take_good(&c, what, a) && c.left == 0);
}
