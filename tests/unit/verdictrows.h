/*
 * The rows of test_verdict.c: a call, what is there before, after how many
 * steps it is cut, what happens meanwhile, and the verdict.
 */
#ifndef HANFS_TESTS_VERDICTROWS_H
#define HANFS_TESTS_VERDICTROWS_H

#include "tests/unit/verdictbed.h"

enum { UID = 1, DIR = 1, DIR2 = 2 };
enum { ALL = 99 }; /* steps: until it is finished */

static const struct nfs3_sattr mode_only = {.set_mode = true, .mode = 0644};
static const struct nfs3_sattr many = {
    .set_mode = true,
    .mode = 0640,
    .set_uid = true,
    .uid = UID,
    .set_gid = true,
    .gid = 9,
    .set_size = true,
    .size = 30,
    .set_atime = NFS3_SERVER_TIME,
    .set_mtime = NFS3_CLIENT_TIME,
    .mtime = {77, 500},
};
static const struct nfs3_sattr suid_mine = {
    .set_mode = true, .mode = 04755, .set_uid = true, .uid = UID};
static const struct nfs3_sattr truncate_30 = {.set_size = true, .size = 30};
static const struct nfs3_sattr truncate_0 = {
    .set_mode = true, .mode = 0644, .set_size = true};
static const struct nfs3_sattr touch = {
    .set_atime = NFS3_SERVER_TIME, .set_mtime = NFS3_SERVER_TIME};
static const struct nfs3_sattr nothing = {.set_mode = false};

/* --- the calls */

static void
make(struct vbed *b, uint32_t proc, const struct nfs3_sattr *s)
{
	vb_put_call(&b->record, proc, UID);
	vb_put_dirop(&b->record, &b->fs, DIR, "a");
	if (proc == NFS3_MKNOD)
		put32(&b->record, NF3FIFO);
	vb_put_sattr(&b->record, s);
	if (proc == NFS3_SYMLINK)
		put_string(&b->record, "../to");
}

static void
create(struct vbed *b, enum nfs3_createmode how, const struct nfs3_sattr *s)
{
	vb_put_call(&b->record, NFS3_CREATE, UID);
	vb_put_dirop(&b->record, &b->fs, DIR, "a");
	put32(&b->record, how);
	if (how == NFS3_EXCLUSIVE)
		put_raw(&b->record, "\5\6\7\200\1\2\3\4", 8);
	else
		vb_put_sattr(&b->record, s);
}

static void
guarded(struct vbed *b)
{
	create(b, NFS3_GUARDED, &many);
}

static void
guarded_mode(struct vbed *b)
{
	create(b, NFS3_GUARDED, &mode_only);
}

static void
guarded_suid(struct vbed *b)
{
	create(b, NFS3_GUARDED, &suid_mine);
}

static void
unchecked(struct vbed *b)
{
	create(b, NFS3_UNCHECKED, &many);
}

static void
truncating(struct vbed *b)
{
	create(b, NFS3_UNCHECKED, &truncate_0);
}

static void
unchecked_mode(struct vbed *b)
{
	create(b, NFS3_UNCHECKED, &mode_only);
}

static void
exclusive(struct vbed *b)
{
	create(b, NFS3_EXCLUSIVE, NULL);
}

static void
mkdir_(struct vbed *b)
{
	make(b, NFS3_MKDIR, &many);
}

static void
symlink_(struct vbed *b)
{
	make(b, NFS3_SYMLINK, &many);
}

static void
mknod_(struct vbed *b)
{
	make(b, NFS3_MKNOD, &many);
}

static void
remove_(struct vbed *b)
{
	vb_put_call(&b->record, NFS3_REMOVE, UID);
	vb_put_dirop(&b->record, &b->fs, DIR, "a");
}

static void
rmdir_(struct vbed *b)
{
	vb_put_call(&b->record, NFS3_RMDIR, UID);
	vb_put_dirop(&b->record, &b->fs, DIR, "a");
}

static void
rename_(struct vbed *b)
{
	vb_put_call(&b->record, NFS3_RENAME, UID);
	vb_put_dirop(&b->record, &b->fs, DIR, "a");
	vb_put_dirop(&b->record, &b->fs, DIR2, "b");
}

static void
link_(struct vbed *b)
{
	vb_put_call(&b->record, NFS3_LINK, UID);
	vb_put_fh(&b->record, &b->fs, (unsigned)mini_lookup(&b->fs, DIR, "f"));
	vb_put_dirop(&b->record, &b->fs, DIR, "a");
}

static void
setattr(struct vbed *b, const struct nfs3_sattr *s, int guard)
{
	unsigned ino = (unsigned)mini_lookup(&b->fs, DIR, "f");
	const struct nfs3_time *c = &b->fs.inode[ino].ctime;

	vb_put_call(&b->record, NFS3_SETATTR, UID);
	vb_put_fh(&b->record, &b->fs, ino);
	vb_put_sattr(&b->record, s);
	put32(&b->record, guard != 0);
	if (guard != 0) {
		put32(&b->record, guard > 0 ? c->sec : 5);
		put32(&b->record, c->nsec);
	}
}

static void
set_many(struct vbed *b)
{
	setattr(b, &many, 0);
}

static void
set_many_guarded(struct vbed *b)
{
	setattr(b, &many, 1);
}

static void
set_many_misguarded(struct vbed *b)
{
	setattr(b, &many, -1);
}

static void
set_mode(struct vbed *b)
{
	setattr(b, &mode_only, 0);
}

static void
set_mode_guarded(struct vbed *b)
{
	setattr(b, &mode_only, 1);
}

static void
set_size(struct vbed *b)
{
	setattr(b, &truncate_30, 0);
}

static void
set_server_times(struct vbed *b)
{
	setattr(b, &touch, 0);
}

static void
set_nothing(struct vbed *b)
{
	setattr(b, &nothing, 0);
}

/* --- what is there before, and what happens meanwhile */

static void
file_a(struct minifs *fs)
{
	unsigned ino = mini_put(fs, DIR, "a", NF3REG, UID, 0600);

	fs->inode[ino].size = fs->inode[ino].disk_size = 100;
}

static void
file_a_empty(struct minifs *fs)
{
	mini_put(fs, DIR, "a", NF3REG, UID, 0600);
}

static void
dir_a(struct minifs *fs)
{
	mini_put(fs, DIR, "a", NF3DIR, UID, 0755);
}

static void
fifo_a(struct minifs *fs)
{
	mini_put(fs, DIR, "a", NF3FIFO, UID, 0644);
}

static void
link_a(struct minifs *fs)
{
	unsigned ino = mini_put(fs, DIR, "a", NF3LNK, UID, 0777);

	strcpy(fs->inode[ino].target, "other");
}

static void
file_a_b(struct minifs *fs)
{
	file_a(fs);
	mini_put(fs, DIR2, "b", NF3REG, UID, 0600);
}

static void
one_inode(struct minifs *fs)
{
	file_a(fs);
	mini_put_link(fs, DIR2, "b", (unsigned)mini_lookup(fs, DIR, "a"));
}

static void
dir_2_shut(struct minifs *fs)
{
	file_a(fs);
	fs->inode[DIR2].mode = 0;
}

static void
another_a(struct minifs *fs)
{
	mini_drop(fs, DIR, "a");
	file_a(fs);
}

static void
another_b(struct minifs *fs)
{
	mini_drop(fs, DIR2, "b");
	mini_put(fs, DIR2, "b", NF3REG, UID, 0600);
}

static void
shut(struct minifs *fs)
{
	fs->inode[DIR].mode = 0;
}

static void
f_lost(struct minifs *fs)
{
	mini_drop(fs, DIR, "f");
}

static void
f_644(struct minifs *fs)
{
	fs->inode[mini_lookup(fs, DIR, "f")].mode = 0644;
}

static void
f_4644(struct minifs *fs)
{
	fs->inode[mini_lookup(fs, DIR, "f")].mode = 04644;
}

static void
f_unwritten(struct minifs *fs)
{
	fs->inode[mini_lookup(fs, DIR, "f")].disk_size = 7;
}

static void
f_short(struct minifs *fs)
{
	fs->inode[mini_lookup(fs, DIR, "f")].size = 20;
	mini_writeback(fs);
}

static void
f_written(struct minifs *fs)
{
	mini_write(fs, (unsigned)mini_lookup(fs, DIR, "f"), 10, true);
}

struct row {
	const char *name;
	void (*call)(struct vbed *b);
	void (*prepare)(struct minifs *fs);
	unsigned steps;
	void (*meanwhile)(struct minifs *fs);
	enum verdict_kind kind;
	enum verdict_reason reason;
};

#define NOT_DONE    VERDICT_NOT_DONE
#define DONE        VERDICT_DONE
#define HALF        VERDICT_HALF
#define UNDECIDABLE VERDICT_UNDECIDABLE

/* clang-format off */
static const struct row rows[] = {
	{"guarded", guarded, NULL, 0, NULL, NOT_DONE, V_STILL_ABSENT},
	{"guarded, made", guarded, NULL, 1, NULL, HALF, V_MADE_HALF},
	{"guarded, sized", guarded, NULL, 2, NULL, HALF, V_MADE_HALF},
	{"guarded, owned", guarded, NULL, 3, NULL, HALF, V_MADE_HALF},
	{"guarded, all", guarded, NULL, ALL, NULL, DONE, V_MADE},
	{"guarded, mode alone", guarded_mode, NULL, 1, NULL, DONE, V_MADE},
	{"guarded, there", guarded, file_a, ALL, NULL, NOT_DONE, V_WAS_THERE},
	{"guarded, a fifo came", guarded, NULL, 0, fifo_a, UNDECIDABLE,
	    V_FOREIGN},
	{"guarded, shut before", guarded, shut, ALL, NULL, NOT_DONE,
	    V_WOULD_FAIL},
	{"guarded, shut now", guarded, NULL, 1, shut, UNDECIDABLE,
	    V_NOW_FAILED},
	{"guarded, not given yet", guarded_suid, NULL, 1, NULL, HALF,
	    V_MADE_HALF},
	{"guarded, given", guarded_suid, NULL, ALL, NULL, DONE, V_MADE},
	{"unchecked", unchecked, NULL, 0, NULL, NOT_DONE, V_STILL_ABSENT},
	{"unchecked, made", unchecked, NULL, 1, NULL, HALF, V_MADE_HALF},
	{"unchecked, all", unchecked, NULL, ALL, NULL, DONE, V_MADE},
	{"unchecked, there", unchecked, file_a, 0, NULL, NOT_DONE,
	    V_WAS_THERE},
	{"truncating", truncating, file_a, 0, NULL, NOT_DONE, V_WAS_THERE},
	{"truncating, all", truncating, file_a, ALL, NULL, HALF, V_PERHAPS},
	{"truncating, empty", truncating, file_a_empty, ALL, NULL, NOT_DONE,
	    V_WAS_THERE},
	{"unchecked, no size", unchecked_mode, file_a, ALL, NULL, NOT_DONE,
	    V_WAS_THERE},
	{"unchecked, a directory", unchecked, dir_a, ALL, NULL, NOT_DONE,
	    V_WAS_THERE},
	{"unchecked, another came", unchecked, file_a, 0, another_a,
	    UNDECIDABLE, V_FOREIGN},
	{"exclusive", exclusive, NULL, 0, NULL, NOT_DONE, V_STILL_ABSENT},
	{"exclusive, made", exclusive, NULL, 1, NULL, HALF, V_MADE_HALF},
	{"exclusive, all", exclusive, NULL, ALL, NULL, DONE, V_MADE},
	{"exclusive, there", exclusive, file_a, ALL, NULL, NOT_DONE,
	    V_WAS_THERE},
	{"mkdir", mkdir_, NULL, 0, NULL, NOT_DONE, V_STILL_ABSENT},
	{"mkdir, made", mkdir_, NULL, 1, NULL, HALF, V_MADE_HALF},
	{"mkdir, all", mkdir_, NULL, ALL, NULL, DONE, V_MADE},
	{"mkdir, there", mkdir_, dir_a, ALL, NULL, NOT_DONE, V_WAS_THERE},
	{"mkdir, a file came", mkdir_, NULL, 0, file_a, UNDECIDABLE,
	    V_FOREIGN},
	{"symlink", symlink_, NULL, 0, NULL, NOT_DONE, V_STILL_ABSENT},
	{"symlink, made", symlink_, NULL, 1, NULL, HALF, V_MADE_HALF},
	{"symlink, all", symlink_, NULL, ALL, NULL, DONE, V_MADE},
	{"symlink, another came", symlink_, NULL, 0, link_a, UNDECIDABLE,
	    V_FOREIGN},
	{"mknod, made", mknod_, NULL, 1, NULL, HALF, V_MADE_HALF},
	{"mknod, all", mknod_, NULL, ALL, NULL, DONE, V_MADE},
	{"mknod, there", mknod_, fifo_a, ALL, NULL, NOT_DONE, V_WAS_THERE},
	{"remove", remove_, file_a, 0, NULL, NOT_DONE, V_STILL_THERE},
	{"remove, all", remove_, file_a, ALL, NULL, DONE, V_GONE},
	{"remove, absent", remove_, NULL, ALL, NULL, NOT_DONE, V_WAS_ABSENT},
	{"remove, absent, now there", remove_, NULL, 0, file_a, UNDECIDABLE,
	    V_FOREIGN},
	{"rename, absent, now there", rename_, NULL, 0, file_a, UNDECIDABLE,
	    V_FOREIGN},
	{"mkdir, there, now another", mkdir_, file_a, 0, another_a,
	    UNDECIDABLE, V_FOREIGN},
	{"link, there, now another", link_, file_a, 0, another_a,
	    UNDECIDABLE, V_FOREIGN},
	{"remove, another came", remove_, file_a, ALL, file_a, UNDECIDABLE,
	    V_FOREIGN},
	{"remove of a directory", remove_, dir_a, ALL, NULL, NOT_DONE,
	    V_STILL_THERE},
	{"rmdir", rmdir_, dir_a, 0, NULL, NOT_DONE, V_STILL_THERE},
	{"rmdir, all", rmdir_, dir_a, ALL, NULL, DONE, V_GONE},
	{"rename", rename_, file_a, 0, NULL, NOT_DONE, V_STILL_THERE},
	{"rename, all", rename_, file_a, ALL, NULL, DONE, V_MOVED},
	{"rename over", rename_, file_a_b, 0, NULL, NOT_DONE, V_STILL_THERE},
	{"rename over, all", rename_, file_a_b, ALL, NULL, DONE, V_MOVED},
	{"rename, absent", rename_, NULL, ALL, NULL, NOT_DONE, V_WAS_ABSENT},
	{"rename, one inode", rename_, one_inode, ALL, NULL, NOT_DONE,
	    V_ONE_INODE},
	{"rename, target changed", rename_, file_a_b, 0, another_b,
	    UNDECIDABLE, V_FOREIGN},
	{"rename, moved, target changed", rename_, file_a, ALL, another_b,
	    UNDECIDABLE, V_FOREIGN},
	{"rename, source changed", rename_, file_a, 0, another_a,
	    UNDECIDABLE, V_FOREIGN},
	{"rename, target's shut", rename_, dir_2_shut, ALL, NULL, NOT_DONE,
	    V_WOULD_FAIL},
	{"link", link_, NULL, 0, NULL, NOT_DONE, V_STILL_ABSENT},
	{"link, all", link_, NULL, ALL, NULL, DONE, V_LINKED},
	{"link, there", link_, file_a, ALL, NULL, NOT_DONE, V_WAS_THERE},
	{"link, another came", link_, NULL, 0, file_a, UNDECIDABLE,
	    V_FOREIGN},
	{"link, lost", link_, NULL, 0, f_lost, UNDECIDABLE, V_NOW_FAILED},
	{"set", set_many, NULL, 0, NULL, NOT_DONE, V_UNCHANGED},
	{"set, size", set_many, NULL, 1, NULL, HALF, V_SET_HALF},
	{"set, mode", set_many, NULL, 2, NULL, HALF, V_SET_HALF},
	{"set, owner", set_many, NULL, 3, NULL, HALF, V_SET_HALF},
	{"set, all", set_many, NULL, ALL, NULL, DONE, V_SET},
	{"guard", set_many_guarded, NULL, 0, NULL, HALF, V_UNCHANGED},
	{"guard, size", set_many_guarded, NULL, 1, NULL, HALF, V_SET_HALF},
	{"guard, all", set_many_guarded, NULL, ALL, NULL, DONE, V_SET},
	{"guard, no change", set_mode_guarded, f_644, ALL, NULL, HALF,
	    V_NO_TRACE},
	{"wrong guard", set_many_misguarded, NULL, ALL, NULL, NOT_DONE,
	    V_GUARD},
	{"set, no change", set_mode, f_644, ALL, NULL, NOT_DONE, V_NO_TRACE},
	{"set, bits gone", set_mode, f_4644, ALL, NULL, HALF, V_PERHAPS},
	{"set nothing", set_nothing, NULL, ALL, NULL, NOT_DONE, V_NO_TRACE},
	{"set size", set_size, NULL, ALL, NULL, HALF, V_PERHAPS},
	{"set size, grown", set_size, f_short, ALL, NULL, DONE, V_SET},
	{"set, lost writes", set_size, f_unwritten, 0, NULL, HALF,
	    V_SET_HALF},
	{"set, a write beside", set_many, NULL, 0, f_written, HALF,
	    V_SET_HALF},
	{"set, lost", set_many, NULL, 0, f_lost, UNDECIDABLE, V_NOW_FAILED},
	{"touch", set_server_times, NULL, 0, NULL, NOT_DONE, V_UNCHANGED},
	{"touch, all", set_server_times, NULL, ALL, NULL, HALF, V_PERHAPS},
};
/* clang-format on */

enum { NROWS = sizeof(rows) / sizeof(rows[0]) };

#endif
