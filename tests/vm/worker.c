/*
 * Load with an exact model, for file systems that must not be seen to fail.
 *
 *	worker run DIR PROCESSES SEED MANIFEST
 *	worker tree DIR
 *
 * `run` lets PROCESSES processes change DIR until SIGTERM. Each owns the names
 * that begin with its number, in a directory of its own, in others below that
 * come and go, and in one that all share; it knows what every call must
 * return, and the bytes of every file. Anything else is a violation: it is
 * printed, and that process ends. At the end MANIFEST is what must be there.
 * Lines on stdout (times: seconds of the monotonic clock):
 *	tick NOW CALLS OLDEST	OLDEST: when the oldest running call began
 *	stall BEGAN MS NAME	a call that took STALL_MS or more
 *	violation ...
 *	done CALLS VIOLATIONS LONGEST_MS
 * `tree` prints what is there in MANIFEST's form, for comparison: run it on
 * the server's own disk too.
 *
 * One process makes one call at a time: how calls of one process overlap in
 * the kernel (write-back, readdir-ahead) is the kernel's choice.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

#define PROCESSES_MAX 32
#define TICK_MS       200

static volatile sig_atomic_t stopping;
static size_t tree_skip;

static void
on_signal(int sig)
{
	(void)sig;
	stopping = 1;
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "worker: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* FNV-1a, 64 bits. */
uint64_t
hash(uint64_t h, const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

static void
child(const char *dir, unsigned number, uint64_t seed,
    struct progress *progress, const char *manifest)
{
	FILE *out;

	model_init(dir, number, seed, progress);
	while (!stopping)
		any_call();
	progress->began_ns = 0;
	if ((out = fopen(manifest, "a")) == NULL)
		die(manifest);
	setvbuf(out, NULL, _IOLBF, BUFSIZ); /* whole lines */
	model_print(out);
	if (fclose(out) != 0)
		die(manifest);
	exit(0);
}

/* One line on how far all are: see the head of this file. */
static void
tick(const struct progress *p, unsigned n)
{
	uint64_t calls = 0, now = now_ns(), oldest = now;

	for (unsigned i = 0; i < n; i++) {
		calls += p[i].calls;
		if (p[i].began_ns != 0 && p[i].began_ns < oldest)
			oldest = p[i].began_ns;
	}
	printf("tick %.3f %" PRIu64 " %.3f\n", (double)now / 1e9, calls,
	    (double)oldest / 1e9);
}

static int
report(const struct progress *p, unsigned n)
{
	uint64_t calls = 0, violations = 0, longest = 0;

	for (unsigned i = 0; i < n; i++) {
		calls += p[i].calls;
		violations += p[i].violations;
		if (p[i].longest_ms > longest)
			longest = p[i].longest_ms;
	}
	printf("done %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", calls, violations,
	    longest);
	return violations == 0 ? 0 : 1;
}

static int
run(const char *dir, unsigned n, uint64_t seed, const char *manifest)
{
	const struct timespec pause = {0, TICK_MS * 1000000L};
	struct progress *p;
	char shared[PATH_MAX];
	pid_t pid[PROCESSES_MAX];
	unsigned i, living = n;
	int status, failed = 0;
	FILE *out;

	p = mmap(NULL, n * sizeof(*p), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	snprintf(shared, sizeof(shared), "%s/shared", dir);
	if (mkdir(shared, 0755) == -1)
		die(shared);
	if ((out = fopen(manifest, "w")) == NULL)
		die(manifest);
	fprintf(out, "d shared\n");
	fclose(out);
	for (i = 0; i < n; i++) {
		if ((pid[i] = fork()) == -1)
			die("fork");
		if (pid[i] == 0)
			child(dir, i, seed, &p[i], manifest);
	}
	while (living > 0) {
		while (waitpid(-1, &status, WNOHANG) > 0) {
			living--;
			failed |= status;
		}
		tick(p, n);
		nanosleep(&pause, NULL);
		for (i = 0; stopping && i < n; i++)
			if (p[i].began_ns != 0)
				kill(pid[i], SIGTERM);
	}
	return report(p, n) | (failed != 0);
}

static int
tree_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static unsigned char buf[65536];
	char target[PATH_MAX];
	uint64_t h = HASH_START;
	ssize_t n;
	int fd;

	if (ftw->level == 0)
		return 0;
	if (type == FTW_D) {
		printf("d %s\n", path + tree_skip);
	} else if (type == FTW_SL) {
		if ((n = readlink(path, target, sizeof(target))) == -1)
			die(path);
		printf("l %s %.*s\n", path + tree_skip, (int)n, target);
	} else if (type == FTW_F) {
		if ((fd = open(path, O_RDONLY)) == -1)
			die(path);
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			h = hash(h, buf, (size_t)n);
		if (n == -1)
			die(path);
		close(fd);
		printf("f %s %o %jd %ju %016" PRIx64 "\n", path + tree_skip,
		    (unsigned)st->st_mode & 07777, (intmax_t)st->st_size,
		    (uintmax_t)st->st_nlink, h);
	} else {
		printf("? %s\n", path + tree_skip);
	}
	return 0;
}

static int
tree(const char *dir)
{
	tree_skip = strlen(dir) + 1;
	if (nftw(dir, tree_entry, 16, FTW_PHYS) == -1)
		die(dir);
	return 0;
}

int
main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	unsigned n;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	umask(0);
	if (argc == 3 && strcmp(argv[1], "tree") == 0)
		return tree(argv[2]);
	n = argc == 6 ? (unsigned)atoi(argv[3]) : 0;
	if (n < 1 || n > PROCESSES_MAX || strcmp(argv[1], "run") != 0) {
		fprintf(stderr, "usage: worker run DIR PROCESSES SEED MANIFEST"
				" | worker tree DIR\n");
		return 2;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	return run(argv[2], n, strtoull(argv[4], NULL, 0), argv[5]);
}
