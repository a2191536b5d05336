/*
 * What is told at the end: every call's times, the marks that a test set,
 * the violations, and a few counters.
 *
 * A mark is a moment (a fault), and a later one at which the fault is sure
 * to be in force.  What was on its way is still answered; then there is a
 * pause: the longest time without any reply that begins between the mark and
 * SOON_S after the fault is sure, if it is PAUSE_S at least.  Of the calls
 * that were outstanding in it (without a pause: at the later moment):
 *   first_ms  from the mark until one of them was answered;
 *   all_ms    until all of them were;
 * and of everything until the next mark:
 *   stall_ms  the longest a call took;
 *   gap_ms    the longest time without any reply.
 */
#include <err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "nfsload.h"

enum { MARKS_MAX = 64, KEPT_MAX = 100, COUNTERS_MAX = 16 };

static const double PAUSE_S = 0.020, SOON_S = 0.050;

struct record {
	double queued, sent, done;
	uint32_t xid;
	int status; /* of the answer; -1: none */
	uint8_t kind;
	bool verifying;
	uint16_t slot;
};

static struct record *records;
static size_t records_n, records_size;
static struct {
	char name[NAME_LEN];
	double at, sure;
} marks[MARKS_MAX];
static int marks_n;
static char *kept[KEPT_MAX];
static uint64_t violations_n;
static struct {
	const char *what;
	uint64_t n;
} counters[COUNTERS_MAX];

static void
record_add(const struct slot *s, double done, bool verifying)
{
	if (records_n == records_size) {
		records_size = records_size ? records_size * 2 : 4096;
		records = realloc(records, records_size * sizeof *records);
		if (records == NULL)
			err(1, "realloc");
	}
	records[records_n++] = (struct record){s->op.queued, s->op.sent, done,
	    s->op.xid, -1, (uint8_t)s->op.kind, verifying, (uint16_t)s->id};
}

void
stats_status(int status)
{
	records[records_n - 1].status = status;
}

void
stats_call(const struct slot *s, double done, bool verifying)
{
	record_add(s, done, verifying);
}

void
stats_mark(const char *name, double at, double sure)
{
	if (marks_n == MARKS_MAX)
		return;
	(void)snprintf(marks[marks_n].name, NAME_LEN, "%s", name);
	marks[marks_n].at = at;
	marks[marks_n++].sure = sure > at ? sure : at;
}

void
stats_count(const char *what)
{
	for (int i = 0; i < COUNTERS_MAX; i++) {
		if (counters[i].what == NULL)
			counters[i].what = what;
		if (strcmp(counters[i].what, what) == 0) {
			counters[i].n++;
			return;
		}
	}
}

void
stats_tick(const struct load *l, double now)
{
	double oldest = now;

	for (int i = 0; i < l->slots_n; i++)
		if (l->slots[i].outstanding && l->slots[i].op.queued < oldest)
			oldest = l->slots[i].op.queued;
	printf("tick %.3f %zu %.3f\n", now, records_n, oldest);
	fflush(stdout);
}

uint64_t
violations(void)
{
	return violations_n;
}

void
violation(const struct slot *s, const char *form, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, form);
	(void)vsnprintf(what, sizeof what, form, ap);
	va_end(ap);
	if (violations_n < KEPT_MAX &&
	    asprintf(&kept[violations_n], "%.6f %s%d xid %08x: %s", now_s(),
		s ? "slot " : "load ", s ? s->id : -1, s ? s->op.xid : 0,
		what) < 0)
		err(1, "asprintf");
	if (violations_n < KEPT_MAX)
		fprintf(stderr, "nfsload: %s\n", kept[violations_n]);
	violations_n++;
}

void
stats_records(FILE *f)
{
	fprintf(f, "kind,slot,queued,sent,done,xid,status\n");
	for (size_t i = 0; i < records_n; i++) {
		const struct record *r = &records[i];

		if (!r->verifying)
			fprintf(f, "%s,%u,%.6f,%.6f,%.6f,%08x,%d\n",
			    kind_name(r->kind), r->slot, r->queued, r->sent,
			    r->done, r->xid, r->status);
	}
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Latencies in ms of one kind, or of all (-1), sorted. */
static double *
latencies(int kind, size_t *n)
{
	double *v = malloc((records_n + 1) * sizeof *v);

	if (v == NULL)
		err(1, "malloc");
	*n = 0;
	for (size_t i = 0; i < records_n; i++)
		if (!records[i].verifying && records[i].done > 0 &&
		    (kind < 0 || records[i].kind == kind))
			v[(*n)++] = (records[i].done - records[i].queued) * 1e3;
	qsort(v, *n, sizeof *v, by_value);
	return v;
}

static void
print_latency(FILE *f, int kind)
{
	size_t n;
	double *v = latencies(kind, &n);

	if (n == 0)
		fprintf(f, "{\"calls\": 0}");
	else
		fprintf(f,
		    "{\"calls\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f"
		    ", \"max_ms\": %.3f}",
		    n, v[n / 2], v[n * 99 / 100], v[n - 1]);
	free(v);
}

/* Replies to what was outstanding at a moment, sorted; *lost: how many of
 * these calls were never answered. */
static double *
outstanding_at(double at, size_t *n, size_t *lost)
{
	double *v = malloc((records_n + 1) * sizeof *v);

	if (v == NULL)
		err(1, "malloc");
	*n = *lost = 0;
	for (size_t i = 0; i < records_n; i++) {
		const struct record *r = &records[i];

		if (r->verifying || r->queued > at)
			continue;
		if (r->done == 0)
			++*lost;
		else if (r->done > at)
			v[(*n)++] = r->done;
	}
	qsort(v, *n, sizeof *v, by_value);
	return v;
}

/* All replies in (from, to], sorted. */
static double *
replies_between(double from, double to, size_t *n)
{
	double *v = malloc((records_n + 1) * sizeof *v);

	if (v == NULL)
		err(1, "malloc");
	*n = 0;
	for (size_t i = 0; i < records_n; i++) {
		const struct record *r = &records[i];

		if (!r->verifying && r->done > from && r->done <= to)
			v[(*n)++] = r->done;
	}
	qsort(v, *n, sizeof *v, by_value);
	return v;
}

/* A moment within the pause that a mark's fault made, just before its end;
 * `sure` if it made none. */
static double
in_pause(double at, double sure, double ended)
{
	double before = at, longest = 0, when = sure;
	size_t n;
	double *v = replies_between(at, ended, &n);

	for (size_t i = 0; i < n && before <= sure + SOON_S; i++) {
		if (v[i] - before >= PAUSE_S && v[i] - before > longest) {
			longest = v[i] - before;
			when = v[i] - 1e-6;
		}
		before = v[i];
	}
	free(v);
	return when;
}

/* The longest time between replies, from `at` on. */
static double
longest_gap(const double *v, size_t n, double at)
{
	double gap = 0;

	for (size_t i = 0; i < n; i++) {
		double from = i == 0 ? at : v[i - 1];

		if (v[i] - from > gap)
			gap = v[i] - from;
	}
	return gap;
}

/* Of everything in (from, to]: the longest call and the longest silence. */
static void
stall_between(double from, double to, double *stall, double *gap)
{
	size_t n;
	double *v = replies_between(from, to, &n);

	*gap = longest_gap(v, n, from);
	free(v);
	*stall = 0;
	for (size_t i = 0; i < records_n; i++) {
		const struct record *r = &records[i];

		if (!r->verifying && r->done > from && r->queued <= to &&
		    r->done - r->queued > *stall)
			*stall = r->done - r->queued;
	}
}

static void
print_mark(FILE *f, int i, double ended)
{
	double at = marks[i].at, stall, gap;
	double to = i + 1 < marks_n ? marks[i + 1].at : ended;
	size_t n, lost;
	double pause = in_pause(at, marks[i].sure, ended);
	double *v = outstanding_at(pause, &n, &lost);

	stall_between(at, to, &stall, &gap);
	fprintf(f,
	    "%s{\"name\": \"%s\", \"at\": %.6f, \"outstanding\": %zu"
	    ", \"lost\": %zu, \"first_ms\": %.3f, \"all_ms\": %.3f"
	    ", \"stall_ms\": %.3f, \"gap_ms\": %.3f}",
	    i ? ",\n  " : "", marks[i].name, at, n + lost, lost,
	    n ? (v[0] - at) * 1e3 : 0, n ? (v[n - 1] - at) * 1e3 : 0,
	    stall * 1e3, gap * 1e3);
	free(v);
}

static void
print_text(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		fputc(*text, f);
	}
	fputc('"', f);
}

void
stats_json(const struct load *l, FILE *f, double began, double ended)
{
	const char *sep = "";

	fprintf(f,
	    "{\"seconds\": %.3f, \"slots\": %d, \"connections\": %d"
	    ", \"seed\": %llu,\n \"latency\": ",
	    ended - began, l->slots_n, l->conns_n, (unsigned long long)l->seed);
	print_latency(f, -1);
	fprintf(f, ",\n \"kinds\": {");
	for (int k = 0; k < KINDS; k++) {
		bool any = false;

		for (size_t i = 0; i < records_n && !any; i++)
			any = records[i].kind == k && !records[i].verifying;
		if (!any)
			continue;
		fprintf(f, "%s\"%s\": ", sep, kind_name(k));
		print_latency(f, k);
		sep = ",\n  ";
	}
	fprintf(f, "},\n \"marks\": [");
	for (int i = 0; i < marks_n; i++)
		print_mark(f, i, ended);
	fprintf(f, "],\n");
	for (int i = 0; i < COUNTERS_MAX && counters[i].what; i++)
		fprintf(f, " \"%s\": %llu,\n", counters[i].what,
		    (unsigned long long)counters[i].n);
	fprintf(f,
	    " \"verified\": {\"names\": %llu, \"bytes\": %llu},\n"
	    " \"errors\": %llu, \"violations\": [",
	    (unsigned long long)verify_names(),
	    (unsigned long long)verify_bytes(),
	    (unsigned long long)violations_n);
	for (uint64_t i = 0; i < violations_n && i < KEPT_MAX; i++) {
		fputs(i ? ",\n  " : "", f);
		print_text(f, kept[i]);
	}
	fprintf(f, "]}\n");
}
