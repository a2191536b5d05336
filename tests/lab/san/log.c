/*
 * The log of writes, one line each, in the order in which the disk took
 * them:
 *
 *	SEQUENCE BEGAN ENDED HOST VOLUME AREA OFFSET LENGTH EPOCH VERDICT
 *
 * Times are CLOCK_MONOTONIC in microseconds; AREA is img or ctl.  A line is
 * written once the write has landed and before anyone waiting for that is
 * told: what a cut came after stands before the cut's own note, a line
 * "# TIME TEXT".
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "san.h"

static const char *const verdicts[VERDICTS] = {
    [WRITE_TAKEN] = "taken",
    [WRITE_CUT] = "cut",
    [WRITE_DEAD] = "dead",
    [WRITE_READONLY] = "readonly",
    [WRITE_RESERVED] = "reserved",
    [WRITE_TORN] = "torn",
    [WRITE_LOST] = "lost",
    [WRITE_FAILED] = "failed",
};

static FILE *file;
static uint64_t sequence;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

int
log_open(const char *path)
{
	static char buffer[1 << 18];

	file = fopen(path, "ae");
	if (file == NULL)
		return -1;
	return setvbuf(file, buffer, _IOFBF, sizeof buffer);
}

void
log_write(const struct port *p, enum area area, uint64_t offset, size_t len,
    int64_t began_us, enum verdict verdict)
{
	pthread_mutex_lock(&lock);
	fprintf(file,
	    "%" PRIu64 " %" PRId64 " %" PRId64 " %s %s %s %" PRIu64
	    " %zu %" PRIu64 " %s\n",
	    ++sequence, began_us, now_us(), p->san->hosts[p->host],
	    p->volume->name, area == AREA_DISK ? "img" : "ctl", offset, len,
	    p->epoch, verdicts[verdict]);
	pthread_mutex_unlock(&lock);
}

void
log_note(const char *text)
{
	pthread_mutex_lock(&lock);
	fprintf(file, "# %" PRId64 " %s\n", now_us(), text);
	pthread_mutex_unlock(&lock);
}

void
log_flush(void)
{
	pthread_mutex_lock(&lock);
	if (fflush(file) != 0)
		warn("log");
	pthread_mutex_unlock(&lock);
}
