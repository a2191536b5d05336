/*
 * The worker's calls on files: content, size, mode.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

static int
open_file(const char *path, int flags)
{
	int fd;

	begin();
	fd = open(path, flags, 0644);
	end("open", path, fd, 0);
	return fd;
}

static void
close_file(const char *path, int fd)
{
	begin();
	end("close", path, close(fd), 0);
}

void
do_create(void)
{
	unsigned d, s, f;
	int fd, excl = pick(2) ? O_EXCL : 0, expected = 0;
	const char *path;

	pick_name(&d, &s);
	for (f = 0; f < FILES && model.file[f].names != 0; f++)
		;
	if (f == FILES || model.name[d][s] == LINK)
		return;
	path = path_of(d, s);
	if (!model.have_dir[d])
		expected = ENOENT;
	else if (model.name[d][s] != NONE && excl)
		expected = EEXIST;
	begin();
	fd = open(path, O_RDWR | O_CREAT | excl, 0644);
	end(excl ? "create-excl" : "create", path, fd, expected);
	if (fd == -1)
		return;
	if (model.name[d][s] == NONE) {
		model.name[d][s] = FIRST_FILE + f;
		model.file[f].names = 1;
		model.file[f].size = 0;
		model.file[f].mode = 0644;
	}
	close_file(path, fd);
}

/* Up to 32 KiB, seldom up to 1 MiB; may leave a hole before it. */
void
do_write(void)
{
	unsigned d, s;
	struct file *f;
	size_t off, len, i;
	const char *path;
	int fd;

	if (!pick_file(&d, &s))
		return;
	f = &model.file[model.name[d][s] - FIRST_FILE];
	path = path_of(d, s);
	off = pick((unsigned)f->size + 4096);
	if (off >= SIZE_MAX_B)
		off = 0;
	len = 1 + pick(pick(8) ? 32 * 1024 : 1024 * 1024);
	if (len > SIZE_MAX_B - off)
		len = SIZE_MAX_B - off;
	if (off > f->size)
		memset(f->bytes + f->size, 0, off - f->size);
	for (i = 0; i < len; i++)
		f->bytes[off + i] = (unsigned char)(rnd() >> 24);
	if (off + len > f->size)
		f->size = off + len;
	fd = open_file(path, O_WRONLY);
	begin();
	end("write", path,
	    pwrite(fd, f->bytes + off, len, (off_t)off) == (ssize_t)len ? 0
									: -1,
	    0);
	if (pick(2)) {
		begin();
		end("fsync", path, fsync(fd), 0);
	}
	close_file(path, fd);
}

/* The whole file, half of the times not from the kernel's cache. */
void
do_read(void)
{
	static unsigned char buf[SIZE_MAX_B + 1];
	unsigned d, s;
	struct file *f;
	const char *path;
	ssize_t n;
	int fd;

	if (!pick_file(&d, &s))
		return;
	f = &model.file[model.name[d][s] - FIRST_FILE];
	path = path_of(d, s);
	fd = open_file(path, O_RDONLY);
	if (pick(2))
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	begin();
	n = pread(fd, buf, sizeof(buf), 0);
	end("read", path, n, 0);
	if ((size_t)n != f->size)
		violation("read", path, "wrong length");
	if (memcmp(buf, f->bytes, f->size) != 0)
		violation("read", path, "wrong content");
	close_file(path, fd);
}

void
do_truncate(void)
{
	unsigned d, s;
	struct file *f;
	size_t size;
	const char *path;

	if (!pick_file(&d, &s))
		return;
	f = &model.file[model.name[d][s] - FIRST_FILE];
	path = path_of(d, s);
	size = pick((unsigned)f->size + 8192);
	if (size > SIZE_MAX_B)
		size = SIZE_MAX_B;
	begin();
	end("truncate", path, truncate(path, (off_t)size), 0);
	if (size > f->size)
		memset(f->bytes + f->size, 0, size - f->size);
	f->size = size;
}

void
do_chmod(void)
{
	unsigned d, s;
	struct file *f;
	const char *path;

	if (!pick_file(&d, &s))
		return;
	f = &model.file[model.name[d][s] - FIRST_FILE];
	path = path_of(d, s);
	f->mode = 0600 | (mode_t)pick(0200);
	begin();
	end("chmod", path, chmod(path, f->mode), 0);
}

void
do_stat(void)
{
	unsigned d, s;
	struct file *f;
	struct stat st;
	const char *path;

	pick_name(&d, &s);
	path = path_of(d, s);
	begin();
	end("stat", path, lstat(path, &st),
	    model.name[d][s] == NONE ? ENOENT : 0);
	if (model.name[d][s] == LINK && !S_ISLNK(st.st_mode))
		violation("stat", path, "not a symbolic link");
	if (model.name[d][s] < FIRST_FILE)
		return;
	f = &model.file[model.name[d][s] - FIRST_FILE];
	if (!S_ISREG(st.st_mode) || (st.st_mode & 07777) != f->mode)
		violation("stat", path, "wrong mode");
	if (st.st_size != (off_t)f->size)
		violation("stat", path, "wrong size");
	if (st.st_nlink != f->names)
		violation("stat", path, "wrong number of names");
}
