/*
 * Random file systems and calls for stories of recovery. See recovery.h.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tests/unit/recovery.h"

static const char *const some_names[] = {"a", "b", "c"};
enum { NAMES = 3 };

const char *
story_some_name(void)
{
	return some_names[story_rand(NAMES)];
}

static void
make_object(struct minifs *fs, unsigned dir, const char *name)
{
	static const uint32_t types[] = {
	    NF3REG, NF3REG, NF3REG, NF3REG, NF3DIR, NF3FIFO, NF3LNK};
	static const uint32_t modes[] = {0644, 0600, 0666, 04755, 0444};
	uint32_t type = types[story_rand(7)], mode = modes[story_rand(5)];
	unsigned ino =
	    mini_put(fs, dir, name, type, story_rand(2) ? 1 : 3, mode);

	if (fs->inode[ino].type == NF3DIR)
		fs->inode[ino].mode = story_rand(4) ? 0777 : 0755;
	if (fs->inode[ino].type == NF3REG)
		fs->inode[ino].size = 10 * story_rand(8);
	if (fs->inode[ino].type == NF3LNK)
		strcpy(fs->inode[ino].target, "old");
}

void
story_make_fs(struct minifs *fs)
{
	static const uint32_t dir_modes[] = {0777, 0777, 0777, 02777, 0755};

	mini_init(fs);
	fs->squash = story_rand(3) == 0;
	fs->no_attr = story_rand(4) == 0;
	fs->coarse = story_rand(4) == 0;
	fs->knfsd = story_rand(2);
	fs->masked = story_rand(4) ? 0 : 01000;
	for (unsigned dir = 1; dir <= 2; dir++) {
		fs->inode[dir].mode = dir_modes[story_rand(5)];
		for (unsigned i = 0; i < NAMES; i++) {
			unsigned k = story_rand(10);

			if (k < 5)
				make_object(fs, dir, some_names[i]);
			else if (k == 5 && mini_lookup(fs, 1, "a") > 0 &&
				 mini_lookup(fs, dir, some_names[i]) == -1 &&
				 fs->inode[mini_lookup(fs, 1, "a")].type ==
				     NF3REG)
				mini_put_link(fs, dir, some_names[i],
				    (unsigned)mini_lookup(fs, 1, "a"));
		}
	}
	mini_writeback(fs);
}

/* --- calls */

static unsigned
some_dir(const struct minifs *fs)
{
	unsigned dir = 1 + story_rand(2);
	int sub = mini_lookup(fs, dir, story_some_name());

	if (sub != -1 && story_rand(3) == 0)
		return (unsigned)sub; /* maybe no directory: NOTDIR */
	return dir;
}

static unsigned
some_inode(const struct minifs *fs)
{
	unsigned dir = 1 + story_rand(2);
	int ino = mini_lookup(fs, dir, story_some_name());

	return ino != -1 ? (unsigned)ino : dir;
}

static void
some_time(enum nfs3_time_how *how, struct nfs3_time *t)
{
	*how = (enum nfs3_time_how)story_rand(3);
	*t = (struct nfs3_time){50 + story_rand(3), 500};
}

static void
some_values(struct nfs3_sattr *s, uint32_t uid, bool any_owner)
{
	static const uint32_t modes[] = {0644, 0600, 04755, 02755, 01777};
	static const uint32_t groups[] = {1, 7, 9};

	memset(s, 0, sizeof(*s));
	s->set_mode = story_rand(2);
	s->mode = modes[story_rand(5)];
	s->set_uid = story_rand(4) == 0;
	s->uid = any_owner && story_rand(2) ? 3 : uid;
	s->set_gid = story_rand(3) == 0;
	s->gid = groups[story_rand(3)];
	s->set_size = story_rand(2);
	s->size = 10 * story_rand(5);
	if (story_rand(2))
		some_time(&s->set_atime, &s->atime);
	if (story_rand(2))
		some_time(&s->set_mtime, &s->mtime);
}

static void
put_name(struct bytes *b, const struct minifs *fs)
{
	unsigned dir = some_dir(fs);

	vb_put_dirop(b, fs, dir, story_some_name());
}

static void
put_setattr(struct bytes *b, const struct minifs *fs, uint32_t uid)
{
	unsigned ino = some_inode(fs);
	struct nfs3_sattr s;
	bool guard = story_rand(3) == 0;

	some_values(&s, uid, true);
	if (fs->inode[ino].type != NF3REG)
		s.set_size = false;
	if (s.set_size && story_rand(3) == 0) { /* that alone */
		memset(&s, 0, sizeof(s));
		s.set_size = true;
		s.size = 10 * story_rand(10);
	} else if (story_rand(3) == 0) { /* what is so already */
		memset(&s, 0, sizeof(s));
		s.set_mode = true;
		s.mode = fs->inode[ino].mode;
	}
	vb_put_fh(b, fs, ino);
	vb_put_sattr(b, &s);
	put32(b, guard);
	if (!guard)
		return;
	put32(b, story_rand(4) ? fs->inode[ino].ctime.sec : 5);
	put32(b, fs->inode[ino].ctime.nsec);
}

static void
put_create(struct bytes *b, const struct minifs *fs, uint32_t uid)
{
	uint32_t how = story_rand(3);
	struct nfs3_sattr s;
	uint8_t verf[8] = {0};

	put_name(b, fs);
	put32(b, how);
	if (how == NFS3_EXCLUSIVE) {
		verf[0] = (uint8_t)(20 + story_rand(10));
		verf[4] = (uint8_t)(40 + story_rand(10));
		put_raw(b, verf, 8);
		return;
	}
	some_values(&s, uid, false);
	vb_put_sattr(b, &s);
}

static void
put_made(struct bytes *b, const struct minifs *fs, uint32_t proc, uint32_t uid)
{
	static const uint32_t types[] = {NF3FIFO, NF3SOCK, NF3CHR};
	uint32_t type = types[story_rand(3)];
	struct nfs3_sattr s;

	some_values(&s, uid, false);
	s.set_size = false;
	put_name(b, fs);
	if (proc == NFS3_MKNOD)
		put32(b, type);
	vb_put_sattr(b, &s);
	if (proc == NFS3_MKNOD && type == NF3CHR)
		put64(b, 5);
	if (proc == NFS3_SYMLINK)
		put_string(b, story_rand(2) ? "old" : "new");
}

void
story_make_call(struct op *op, const struct minifs *fs, uint32_t xid)
{
	static const uint32_t procs[] = {NFS3_SETATTR, NFS3_SETATTR,
	    NFS3_CREATE, NFS3_CREATE, NFS3_MKDIR, NFS3_SYMLINK, NFS3_MKNOD,
	    NFS3_REMOVE, NFS3_RMDIR, NFS3_RENAME, NFS3_RENAME, NFS3_LINK};
	static const uint32_t uids[] = {0, 1, 1, 3};
	uint32_t proc = procs[story_rand(12)], uid = uids[story_rand(4)];
	struct bytes *b = &op->record;

	b->len = 0;
	put_call(b, xid, RPC_PROG_NFS, 3, proc, uid);
	switch (proc) {
	case NFS3_SETATTR:
		put_setattr(b, fs, uid);
		break;
	case NFS3_CREATE:
		put_create(b, fs, uid);
		break;
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		put_name(b, fs);
		break;
	case NFS3_RENAME:
		put_name(b, fs);
		put_name(b, fs);
		break;
	case NFS3_LINK:
		vb_put_fh(b, fs, some_inode(fs));
		put_name(b, fs);
		break;
	default:
		put_made(b, fs, proc, uid);
		break;
	}
	vb_parse(&op->call, b);
}
