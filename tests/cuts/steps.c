/*
 * The steps of a worker: one system call each, and after each the directory
 * looks different, so that what a cut left tells how far it came. model.py
 * has the same table; change both.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cuts/cutload.h"

enum { STEPS = 9 };

static const char *
name(char *buf, char kind, uint64_t round)
{
	snprintf(buf, 32, "%c%llu", kind, (unsigned long long)round);
	return buf;
}

/* The file of a round: every second one is renamed over the last one's. */
static const char *
file(char *buf, uint64_t round)
{
	return name(buf, 'g', round - round % 2);
}

static int
create(int dir, const char *path)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	return fd == -1 ? -1 : close(fd);
}

static int
cut_to(int dir, const char *path, uint64_t size)
{
	int fd = openat(dir, path, O_WRONLY), result;

	if (fd == -1)
		return -1;
	result = ftruncate(fd, (off_t)size);
	close(fd);
	return result;
}

int
step_run(int dir, uint64_t k)
{
	uint64_t r = (k - 1) / STEPS, old = r - 4;
	char a[32], b[32];
	int result = -1;

	switch ((k - 1) % STEPS) {
	case 0:
		result = create(dir, name(a, 'f', r));
		break;
	case 1:
		result = renameat(dir, name(a, 'f', r), dir, file(b, r));
		break;
	case 2:
		result = cut_to(dir, file(a, r), k);
		break;
	case 3:
		result = fchmodat(dir, file(a, r), 0601 + k % 7, 0);
		break;
	case 4:
		result = linkat(dir, file(a, r), dir, name(b, 'l', r), 0);
		break;
	case 5:
		result = symlinkat("target", dir, name(a, 's', r));
		break;
	case 6:
		result = mkdirat(dir, name(a, 'd', r), 0700);
		break;
	case 7:
		result = r < 4 ? mkdirat(dir, name(a, 'e', r), 0700)
			       : unlinkat(dir, name(a, 'd', old), AT_REMOVEDIR);
		break;
	case 8:
		result = r < 4 ? mkdirat(dir, name(a, 'x', r), 0700)
			       : unlinkat(dir, name(a, 'l', old), 0);
		break;
	}
	return result == -1 ? errno : 0;
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
