/*
 * The worker's model of what one process made, and the clock and verdict
 * that every call ends with. The calls are in worker-files.c, worker-names.c.
 */
#include <sys/stat.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

static unsigned me;
static const char *top;
static uint64_t rnd_state;
static struct progress *self;

struct model model = {.have_dir = {1, 1}};

uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t
rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

unsigned
pick(unsigned n)
{
	return (unsigned)(rnd() >> 11) % n;
}

const char *
dir_path(unsigned d)
{
	static char path[4][PATH_MAX];
	static unsigned turn;
	char *p = path[turn++ % 4];

	if (d == 0)
		snprintf(p, PATH_MAX, "%s/%u", top, me);
	else if (d == 1)
		snprintf(p, PATH_MAX, "%s/shared", top);
	else
		snprintf(p, PATH_MAX, "%s/%u/d%u", top, me, d);
	return p;
}

const char *
path_of(unsigned d, unsigned s)
{
	static char path[4][PATH_MAX + 16];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%u-%u", dir_path(d), me, s);
	return p;
}

/* The slot that a directory entry belongs to; SLOTS: not one of ours. */
unsigned
own_slot(const char *entry)
{
	unsigned number, s;
	char rest;

	if (sscanf(entry, "%u-%u%c", &number, &s, &rest) != 2 || number != me ||
	    s >= SLOTS)
		return SLOTS;
	return s;
}

/* A name at random, more often one in a directory that is there. */
void
pick_name(unsigned *d, unsigned *s)
{
	*d = pick(DIRS);
	if (!model.have_dir[*d] && pick(4) != 0)
		*d = pick(FIXED_DIRS);
	*s = pick(SLOTS);
}

/* A file at random by one of its names; 0: there is none near. */
int
pick_file(unsigned *d, unsigned *s)
{
	for (unsigned i = 0; i < 50; i++) {
		pick_name(d, s);
		if (model.name[*d][*s] >= FIRST_FILE)
			return 1;
	}
	return 0;
}

_Noreturn void
violation(const char *call, const char *path, const char *why)
{
	printf("violation %.3f process %u: %s %s: %s\n", (double)now_ns() / 1e9,
	    me, call, path, why);
	self->violations++;
	self->began_ns = 0;
	exit(1);
}

void
begin(void)
{
	self->began_ns = now_ns();
}

/* Every call ends here: its time, and its errno (0: none) as it must be. */
void
end(const char *call, const char *path, long rc, int expected)
{
	int got = rc == -1 ? errno : 0;
	uint64_t began = self->began_ns, ms = (now_ns() - began) / 1000000;
	char why[128];

	self->calls++;
	if (ms > self->longest_ms)
		self->longest_ms = ms;
	if (ms >= STALL_MS)
		printf("stall %.3f %" PRIu64 " %s\n", (double)began / 1e9, ms,
		    call);
	if (got != expected) {
		snprintf(why, sizeof(why), "%s, expected %s",
		    got ? strerrorname_np(got) : "success",
		    expected ? strerrorname_np(expected) : "success");
		violation(call, path, why);
	}
	self->began_ns = now_ns();
}

static const struct {
	void (*call)(void);
	unsigned weight;
} calls[] = {
    {do_create, 10},
    {do_write, 20},
    {do_read, 20},
    {do_truncate, 4},
    {do_chmod, 4},
    {do_stat, 10},
    {do_unlink, 6},
    {do_link, 6},
    {do_rename, 12},
    {do_symlink, 3},
    {do_readlink, 3},
    {do_mkdir, 5},
    {do_rmdir, 4},
    {do_list, 5},
};

void
any_call(void)
{
	unsigned i, sum = 0, n;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		sum += calls[i].weight;
	n = pick(sum);
	for (i = 0; n >= calls[i].weight; i++)
		n -= calls[i].weight;
	calls[i].call();
}

/*
 * The model of process `number`: its names and files below `dir` (borrowed),
 * none yet, and random choices by `seed`. Makes its own directory.
 */
void
model_init(
    const char *dir, unsigned number, uint64_t seed, struct progress *progress)
{
	top = dir;
	me = number;
	self = progress;
	rnd_state = (seed + 1) * 0x9e3779b97f4a7c15 ^ (number + 1) << 20;
	for (unsigned f = 0; f < FILES; f++)
		if ((model.file[f].bytes = malloc(SIZE_MAX_B)) == NULL)
			abort();
	begin();
	end("mkdir", dir_path(0), mkdir(dir_path(0), 0755), 0);
}

/* Prints the model in the form of tree(). */
void
model_print(FILE *out)
{
	size_t skip = strlen(top) + 1;
	struct file *f;

	for (unsigned d = 0; d < DIRS; d++) {
		if (model.have_dir[d] && d != 1)
			fprintf(out, "d %s\n", dir_path(d) + skip);
		for (unsigned s = 0; s < SLOTS; s++) {
			const char *path = path_of(d, s) + skip;

			if (model.name[d][s] == LINK)
				fprintf(out, "l %s %016" PRIx64 "\n", path,
				    model.link_target[d][s]);
			if (model.name[d][s] < FIRST_FILE)
				continue;
			f = &model.file[model.name[d][s] - FIRST_FILE];
			fprintf(out, "f %s %o %zu %u %016" PRIx64 "\n", path,
			    (unsigned)f->mode, f->size, f->names,
			    hash(HASH_START, f->bytes, f->size));
		}
	}
}
