/*
 * What the store costs on this disk. See cutload.h.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "tests/cuts/cutload.h"

enum { BATCHES_US = 2000000 };

static uint64_t numbers; /* seq and write of what is written */

static void
put(struct store *s, uint32_t slot, enum logrec_kind kind)
{
	uint8_t bytes[2 * BYTES_MAX], values[LOGREC_PARTS_MAX * LOGSLOT_LEN];
	struct logrec r;

	step_record(&r, kind, 1, slot, 1, bytes);
	r.args.len = r.args_len = 150;
	r.pre.len = 100;
	r.seq = r.write = ++numbers;
	logrec_encode(&r, &slot, values);
	if (store_write(s, &slot, 1, values, NULL) == -1)
		err(3, "store_write");
}

static void
wait_for(struct store *s, unsigned n)
{
	while (n-- > 0) {
		struct store_done d = next_done(s);

		if (d.error != 0)
			errx(3, "%s: %s", store_what_names[d.what],
			    strerror(d.error));
		logscan_free(d.scan);
	}
}

/* A new name each time, also when it is run again. */
static void
create(int dir)
{
	static uint64_t number;
	char name[32];
	int fd;

	if (number == 0)
		number = clock_wall_us();
	snprintf(name, sizeof(name), "t%llu", (unsigned long long)number++);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd == -1)
		err(3, "%s", name);
	close(fd);
}

/* Calls in batches of n: intents, creates, completions, one sync. */
static void
batches(struct store *s, int dir, unsigned n)
{
	uint64_t begin = clock_now_us(), calls = 0, us;
	struct store_counts c;

	do {
		for (uint32_t i = 0; i < n; i++)
			put(s, i, LOGREC_INTENT);
		wait_for(s, n);
		for (uint32_t i = 0; i < n; i++)
			create(dir);
		for (uint32_t i = 0; i < n; i++)
			put(s, i, LOGREC_DONE);
		if (store_sync(s, NULL) == -1)
			err(3, "store_sync");
		wait_for(s, n + 1);
		calls += n;
		us = clock_now_us() - begin;
	} while (us < BATCHES_US);
	store_count(s, &c);
	printf("batches of %2u: %6.0f creates/s; write p50 %llu p99 %llu max "
	       "%llu us; commit p50 %llu p99 %llu max %llu us\n",
	    n, (double)calls * 1e6 / (double)us,
	    (unsigned long long)store_latency_at(&c.writes, 500),
	    (unsigned long long)store_latency_at(&c.writes, 990),
	    (unsigned long long)c.writes.max_us,
	    (unsigned long long)store_latency_at(&c.commit, 500),
	    (unsigned long long)store_latency_at(&c.commit, 990),
	    (unsigned long long)c.commit.max_us);
}

static void
took(const char *what, uint64_t begin)
{
	printf("%s: %.1f ms\n", what, (double)(clock_now_us() - begin) / 1000);
}

int
take_time(struct store *s, const char *mountpoint)
{
	static const unsigned sizes[] = {1, 16, 64};
	uint64_t begin = clock_now_us();
	char path[1024];
	int dir;

	if (store_scan(s, NULL) == -1)
		err(3, "store_scan");
	wait_for(s, 1);
	took("scan", begin);
	begin = clock_now_us();
	if (store_remake(s, NULL) == -1)
		err(3, "store_remake");
	wait_for(s, 1);
	took("slots made anew", begin);
	snprintf(path, sizeof(path), "%s/export", mountpoint);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	if (dir == -1)
		err(3, "%s", path);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		batches(s, dir, sizes[i]);
	return 0;
}
