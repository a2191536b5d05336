/*
 * What is in the log, and slots written where there is no space. See
 * cutload.h.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuts/cutload.h"

static struct logscan *
scan(struct store *s)
{
	struct store_done d;

	if (store_scan(s, NULL) == -1)
		err(3, "store_scan");
	d = next_done(s);
	if (d.error != 0)
		errx(3, "the scan: %s", strerror(d.error));
	return d.scan;
}

static bool
equal(struct nfs3_bytes a, struct nfs3_bytes b)
{
	return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

/* What differs from the record as it was written; NULL: nothing. */
static const char *
difference(const struct logrec *got, const struct logrec *want)
{
	if (got->class != want->class || got->id.proc != want->id.proc ||
	    got->id.prog != want->id.prog || got->epoch != want->epoch)
		return "the head";
	if (!equal(got->reply, want->reply))
		return "the reply";
	if (!equal(got->cred, want->cred))
		return "the credential";
	if (!equal(got->args, want->args) || got->args_len != want->args_len)
		return "the arguments";
	return equal(got->pre, want->pre) ? NULL : "the pre-state";
}

/* Records of earlier runs stay until their slots are used again. */
static void
show(const struct logrec *r, uint32_t seed)
{
	unsigned worker = be32_get(r->client);
	unsigned long long k = r->kconn;
	uint8_t bytes[2 * BYTES_MAX];
	struct logrec want;
	const char *wrong;

	if (r->epoch != seed)
		return;
	step_record(&want, r->kind, seed, worker, k, bytes);
	wrong = difference(r, &want);
	if (wrong != NULL)
		printf("wrong %u %llu %s\n", worker, k, wrong);
	else
		printf("r %u %llu %s\n", worker, k, logrec_kind_names[r->kind]);
}

static void
show_bad(const struct logscan *scanned)
{
	for (unsigned i = 0; i < logscan_nbad(scanned); i++) {
		const struct logscan_bad *b = logscan_bad(scanned, i);

		printf("bad %u %s %s\n", b->slot, logrec_error_names[b->error],
		    strerror(b->err));
	}
}

static bool
same(const struct logscan *a, const struct logscan *b)
{
	if (logscan_nrecords(a) != logscan_nrecords(b) ||
	    logscan_nbad(a) != logscan_nbad(b))
		return false;
	for (unsigned i = 0; i < logscan_nrecords(a); i++) {
		const struct logscan_record *x = logscan_record(a, i);
		const struct logscan_record *y = logscan_record(b, i);

		if (x->rec.seq != y->rec.seq || x->rec.write != y->rec.write ||
		    x->slots[0] != y->slots[0] ||
		    difference(&x->rec, &y->rec) != NULL)
			return false;
	}
	return true;
}

int
look(struct store *s, uint32_t seed)
{
	struct logscan *first = scan(s), *second;
	struct store_done d;

	show_bad(first);
	for (unsigned i = 0; i < logscan_nrecords(first); i++)
		show(&logscan_record(first, i)->rec, seed);
	if (store_remake(s, NULL) == -1)
		err(3, "store_remake");
	d = next_done(s);
	if (d.error != 0)
		errx(3, "slots made anew: %s", strerror(d.error));
	second = scan(s);
	if (!same(first, second))
		errx(3, "slots made anew differ");
	logscan_free(first);
	logscan_free(second);
	store_stop(s);
	while (next_done(s).what != STORE_STOPPED)
		continue;
	store_free(s);
	puts("end");
	return 0;
}

/* One round: each slot, in three threads' time at once. */
static unsigned
write_round(struct store *s, uint32_t seed, uint64_t round)
{
	uint8_t bytes[2 * BYTES_MAX], values[LOGREC_PARTS_MAX * LOGSLOT_LEN];
	unsigned failed = 0, slots = store_slots(s);

	for (uint32_t i = 0; i < slots; i++) {
		struct logrec r;

		step_record(&r, LOGREC_DONE, seed, i, round, bytes);
		r.seq = i + 1;
		r.write = round * slots + i + 1;
		memset(r.map.bits, 0xff, sizeof(r.map.bits));
		logrec_encode(&r, &i, values);
		if (store_write(s, &i, 1, values, NULL) == -1)
			err(3, "store_write");
	}
	for (uint32_t i = 0; i < slots; i++)
		failed += next_done(s).error != 0;
	return failed;
}

int
full(struct store *s, uint32_t seed)
{
	enum { ROUNDS = 8 };

	for (uint64_t round = 1; round <= ROUNDS; round++) {
		unsigned failed = write_round(s, seed, round);
		struct store_done d;

		if (store_sync(s, NULL) == -1)
			err(3, "store_sync");
		d = next_done(s);
		if (failed > 0 || d.error != 0)
			errx(4, "round %u: %u slots not written, sync: %s",
			    (unsigned)round, failed, strerror(d.error));
	}
	return 0;
}
