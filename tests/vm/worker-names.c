/*
 * The worker's calls on names: links, renames, directories.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

static void
drop(unsigned d, unsigned s)
{
	if (model.name[d][s] >= FIRST_FILE)
		model.file[model.name[d][s] - FIRST_FILE].names--;
	model.name[d][s] = NONE;
}

void
do_unlink(void)
{
	unsigned d, s;
	const char *path;

	pick_name(&d, &s);
	path = path_of(d, s);
	begin();
	end("unlink", path, unlink(path),
	    model.name[d][s] == NONE ? ENOENT : 0);
	drop(d, s);
}

void
do_link(void)
{
	unsigned d, s, td, ts;
	int expected = 0;
	const char *path;

	if (!pick_file(&d, &s))
		return;
	pick_name(&td, &ts);
	path = path_of(td, ts);
	if (!model.have_dir[td])
		expected = ENOENT;
	else if (model.name[td][ts] != NONE)
		expected = EEXIST;
	begin();
	end("link", path, link(path_of(d, s), path), expected);
	if (expected != 0)
		return;
	model.name[td][ts] = model.name[d][s];
	model.file[model.name[d][s] - FIRST_FILE].names++;
}

void
do_rename(void)
{
	unsigned d, s, td, ts;
	int expected = 0;
	const char *path;

	pick_name(&d, &s);
	pick_name(&td, &ts);
	path = path_of(d, s);
	if (model.name[d][s] == NONE || !model.have_dir[td])
		expected = ENOENT;
	begin();
	end("rename", path, rename(path, path_of(td, ts)), expected);
	if (expected != 0 || (d == td && s == ts) ||
	    (model.name[d][s] >= FIRST_FILE &&
		model.name[d][s] == model.name[td][ts]))
		return; /* two names of one file both stay */
	drop(td, ts);
	model.name[td][ts] = model.name[d][s];
	model.link_target[td][ts] = model.link_target[d][s];
	model.name[d][s] = NONE;
}

void
do_symlink(void)
{
	unsigned d, s;
	char target[32];
	int expected = 0;
	uint64_t value = rnd();
	const char *path;

	pick_name(&d, &s);
	path = path_of(d, s);
	if (!model.have_dir[d])
		expected = ENOENT;
	else if (model.name[d][s] != NONE)
		expected = EEXIST;
	snprintf(target, sizeof(target), "%016" PRIx64, value);
	begin();
	end("symlink", path, symlink(target, path), expected);
	if (expected != 0)
		return;
	model.name[d][s] = LINK;
	model.link_target[d][s] = value;
}

void
do_readlink(void)
{
	unsigned d, s;
	char target[64], right[32];
	ssize_t n;
	int expected;
	const char *path;

	pick_name(&d, &s);
	path = path_of(d, s);
	expected = model.name[d][s] == NONE ? ENOENT : EINVAL;
	if (model.name[d][s] == LINK)
		expected = 0;
	begin();
	n = readlink(path, target, sizeof(target));
	end("readlink", path, n, expected);
	snprintf(right, sizeof(right), "%016" PRIx64, model.link_target[d][s]);
	if (expected == 0 && (n != 16 || memcmp(target, right, 16) != 0))
		violation("readlink", path, "wrong target");
}

void
do_mkdir(void)
{
	unsigned d = FIXED_DIRS + pick(DIRS - FIXED_DIRS);
	const char *path = dir_path(d);

	begin();
	end("mkdir", path, mkdir(path, 0755), model.have_dir[d] ? EEXIST : 0);
	model.have_dir[d] = 1;
}

void
do_rmdir(void)
{
	unsigned d = FIXED_DIRS + pick(DIRS - FIXED_DIRS), s;
	int expected = model.have_dir[d] ? 0 : ENOENT;
	const char *path = dir_path(d);

	for (s = 0; s < SLOTS; s++)
		if (model.name[d][s] != NONE)
			expected = ENOTEMPTY;
	begin();
	end("rmdir", path, rmdir(path), expected);
	if (expected == 0)
		model.have_dir[d] = 0;
}

void
do_list(void)
{
	unsigned d, s, seen = 0, there = 0;
	struct dirent *e;
	const char *path;
	DIR *dp;

	pick_name(&d, &s);
	path = dir_path(d);
	begin();
	dp = opendir(path);
	end("opendir", path, dp ? 0 : -1, model.have_dir[d] ? 0 : ENOENT);
	if (dp == NULL)
		return;
	begin();
	while (errno = 0, (e = readdir(dp)) != NULL) {
		if ((s = own_slot(e->d_name)) == SLOTS)
			continue;
		if (model.name[d][s] == NONE || seen & 1u << s)
			violation("readdir", path, "a name too many");
		seen |= 1u << s;
	}
	end("readdir", path, errno ? -1 : 0, 0);
	closedir(dp);
	for (s = 0; s < SLOTS; s++)
		there |= model.name[d][s] != NONE ? 1u << s : 0;
	if (seen != there)
		violation("readdir", path, "a name too few");
}
