/*
 * The steps of a worker, and their records. After each step the directory
 * looks different, so that what a cut left tells how far it came. model.py
 * has the same table; change both.
 */
#include <stdio.h>
#include <string.h>

#include "tests/cuts/cutload.h"

enum { STEPS = 9 };

static void
name(char *buf, char kind, uint64_t round)
{
	snprintf(buf, STEP_NAME, "%c%llu", kind, (unsigned long long)round);
}

/* The file of a round: every second one is renamed over the last one's. */
static void
file(char *buf, uint64_t round)
{
	name(buf, 'g', round - round % 2);
}

/* One of the last three steps of a round: makes, or later removes. */
static void
make_or_remove(struct step *s, uint64_t r, char make, enum op op, char kind)
{
	s->op = r < 4 ? STEP_MKDIR : op;
	if (r < 4)
		name(s->a, make, r);
	else
		name(s->a, kind, r - 4);
}

void
step_of(uint64_t k, struct step *s)
{
	uint64_t r = (k - 1) / STEPS;

	memset(s, 0, sizeof(*s));
	file(s->a, r);
	switch ((k - 1) % STEPS) {
	case 0:
		s->op = STEP_CREATE;
		name(s->a, 'f', r);
		break;
	case 1:
		s->op = STEP_RENAME;
		name(s->a, 'f', r);
		file(s->b, r);
		break;
	case 2:
		s->op = STEP_TRUNCATE;
		s->n = k;
		break;
	case 3:
		s->op = STEP_CHMOD;
		s->n = 0601 + k % 7;
		break;
	case 4:
		s->op = STEP_LINK;
		name(s->b, 'l', r);
		break;
	case 5:
		s->op = STEP_SYMLINK;
		name(s->a, 's', r);
		break;
	case 6:
		s->op = STEP_MKDIR;
		name(s->a, 'd', r);
		break;
	case 7:
		make_or_remove(s, r, 'e', STEP_RMDIR, 'd');
		break;
	case 8:
		make_or_remove(s, r, 'x', STEP_UNLINK, 'l');
		break;
	}
}

/* --- records */

static uint64_t
draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* Most are small; some go to the bounds. */
static uint32_t
length(uint64_t *state, uint32_t usual, uint32_t max)
{
	return (uint32_t)(draw(state) %
			  (draw(state) % 8 == 0 ? max + 1u : usual + 1u));
}

void
step_record(struct logrec *r, enum logrec_kind kind, uint32_t seed,
    unsigned worker, uint64_t k, uint8_t *bytes)
{
	uint64_t state = (uint64_t)seed << 32 ^ (uint64_t)worker << 24 ^
			 k * 11 ^ (uint64_t)kind << 60;

	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < 2 * BYTES_MAX; i += 4)
		be32_put(bytes + i, (uint32_t)draw(&state));
	r->kind = kind;
	r->volume = VOLUME;
	r->epoch = seed;
	be32_put(r->client, worker);
	be32_put(r->client + 4, seed);
	r->kconn = k;
	r->id.xid = (uint32_t)k;
	r->id.prog = RPC_PROG_NFS;
	r->id.proc = NFS3_CREATE;
	r->class = CALL_LOGGED;
	if (kind == LOGREC_INTENT) {
		r->cred_flavor = RPC_AUTH_SYS;
		r->cred = (struct nfs3_bytes){bytes, length(&state, 80, 400)};
		r->args = (struct nfs3_bytes){
		    bytes + 400, length(&state, 200, LOGREC_ARGS_MAX)};
		r->args_len = r->args.len;
		r->pre = (struct nfs3_bytes){
		    bytes + BYTES_MAX, length(&state, 150, LOGREC_PRE_MAX)};
	} else {
		r->reply = (struct nfs3_bytes){
		    bytes, length(&state, 300, LOGREC_REPLY_MAX)};
	}
}
