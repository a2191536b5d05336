/*
 * The table of calls: one entry for each different call that changes
 * something, with how often it was seen.
 *
 * Two calls are the same when XID, procedure and arguments are: of a WRITE
 * its header fields, of anything else all of them, and never the credential
 * or verifier, which a client may make anew when it sends a call again.
 */
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "callcount.h"

enum { NFS_PROGRAM = 100003, WRITE = 7, COMMIT = 21, PROCEDURES = 22 };

static const struct {
	const char *name;
	bool mutating;
} procedures[PROCEDURES] = {/* RFC 1813 section 3 */
    {"NULL", false}, {"GETATTR", false}, {"SETATTR", true}, {"LOOKUP", false},
    {"ACCESS", false}, {"READLINK", false}, {"READ", false}, {"WRITE", true},
    {"CREATE", true}, {"MKDIR", true}, {"SYMLINK", true}, {"MKNOD", true},
    {"REMOVE", true}, {"RMDIR", true}, {"RENAME", true}, {"LINK", true},
    {"READDIR", false}, {"READDIRPLUS", false}, {"FSSTAT", false},
    {"FSINFO", false}, {"PATHCONF", false}, {"COMMIT", true}};

struct call {
	uint64_t hash; /* of the arguments */
	uint32_t xid;
	uint32_t procedure;
	uint32_t seen; /* how often; 0: an empty entry */
	struct origin first, latest;
};

struct calls {
	struct call *at;
	size_t size, used; /* size is a power of two */
	uint64_t total, mutating, other, garbage;
	uint64_t count[PROCEDURES];
	bool trace;
};

struct calls *
calls_new(bool trace)
{
	struct calls *c = calloc(1, sizeof *c);

	if (c == NULL)
		err(1, "calloc");
	c->size = 1 << 16;
	c->at = calloc(c->size, sizeof *c->at);
	if (c->at == NULL)
		err(1, "calloc");
	c->trace = trace;
	return c;
}

void
calls_free(struct calls *c)
{
	free(c->at);
	free(c);
}

const uint8_t *
cursor_skip(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (n > c->left) {
		c->bad = true;
		c->left = 0;
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

uint32_t
cursor_u32(struct cursor *c)
{
	const uint8_t *p = cursor_skip(c, 4);

	return p == NULL ? 0
			 : (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
			       (uint32_t)p[2] << 8 | p[3];
}

static size_t
padded(uint32_t n)
{
	return ((size_t)n + 3) & ~(size_t)3;
}

static uint64_t
fnv1a(uint64_t h, const uint8_t *p, size_t n)
{
	while (n-- > 0)
		h = (h ^ *p++) * 0x100000001b3;
	return h;
}

/* The length of a WRITE's arguments before its data (RFC 1813 3.3.7):
 * file handle, offset, count, stable, length of the data. */
static size_t
write_header(struct cursor c)
{
	size_t before = c.left;

	(void)cursor_skip(&c, padded(cursor_u32(&c)));
	(void)cursor_skip(&c, 8 + 4 + 4 + 4);
	return c.bad ? before : before - c.left;
}

static struct call *
slot(struct call *at, size_t size, const struct call *key)
{
	size_t i = (size_t)((key->hash ^ key->xid) * 0x9e3779b97f4a7c15 >> 20);

	for (;; i++) {
		struct call *e = &at[i & (size - 1)];

		if (e->seen == 0 ||
		    (e->hash == key->hash && e->xid == key->xid &&
			e->procedure == key->procedure))
			return e;
	}
}

static void
grow(struct calls *c)
{
	size_t size = c->size * 2;
	struct call *at = calloc(size, sizeof *at);

	if (at == NULL)
		err(1, "calloc");
	for (size_t i = 0; i < c->size; i++)
		if (c->at[i].seen != 0)
			*slot(at, size, &c->at[i]) = c->at[i];
	free(c->at);
	c->at = at;
	c->size = size;
}

static void
count(struct calls *c, struct call key, struct origin from)
{
	struct call *e = slot(c->at, c->size, &key);

	c->mutating++;
	if (e->seen == 0) {
		*e = key;
		e->first = from;
		c->used++;
	}
	e->seen++;
	e->latest = from;
	if (c->used > c->size / 2)
		grow(c);
}

void
calls_seen(struct calls *c, const uint8_t *head, size_t head_len, uint64_t len,
    struct origin from)
{
	struct cursor in = {head, head_len, false};
	struct call key = {0};
	uint32_t type, rpc, program, version;
	size_t args;

	key.xid = cursor_u32(&in);
	type = cursor_u32(&in);
	rpc = cursor_u32(&in);
	program = cursor_u32(&in);
	version = cursor_u32(&in);
	key.procedure = cursor_u32(&in);
	for (int i = 0; i < 2; i++) { /* credential, verifier */
		(void)cursor_u32(&in);
		(void)cursor_skip(&in, padded(cursor_u32(&in)));
	}
	if (in.bad || type != 0 || rpc != 2) {
		c->garbage++;
		return;
	}
	c->total++;
	if (program != NFS_PROGRAM || version != 3 ||
	    key.procedure >= PROCEDURES) {
		c->other++;
		return;
	}
	c->count[key.procedure]++;
	if (c->trace)
		fprintf(stderr, "%.6f port %u xid %08" PRIx32 " %s\n",
		    from.time, from.port, key.xid,
		    procedures[key.procedure].name);
	if (!procedures[key.procedure].mutating)
		return;
	args = key.procedure == WRITE ? write_header(in) : in.left;
	key.hash = fnv1a(0xcbf29ce484222325, in.p, args);
	key.hash = fnv1a(key.hash, (const uint8_t *)&len, sizeof len);
	count(c, key, from);
}

uint64_t
calls_garbage(const struct calls *c)
{
	return c->garbage;
}

static void
print_double(const struct call *e, FILE *f)
{
	fprintf(f,
	    "{\"xid\": %" PRIu32 ", \"procedure\": \"%s\", \"times\": %" PRIu32
	    ", \"first\": %.6f, \"latest\": %.6f"
	    ", \"ports\": [%u, %u]}",
	    e->xid, procedures[e->procedure].name, e->seen, e->first.time,
	    e->latest.time, e->first.port, e->latest.port);
}

void
calls_print(const struct calls *c, FILE *f)
{
	const char *sep = "";

	fprintf(f,
	    " \"calls\": %" PRIu64 ", \"mutating\": %" PRIu64
	    ", \"different\": %zu, \"other\": %" PRIu64
	    ", \"garbage\": %" PRIu64 ",\n \"procedures\": {",
	    c->total, c->mutating, c->used, c->other, c->garbage);
	for (int i = 0; i < PROCEDURES; i++) {
		if (c->count[i] == 0)
			continue;
		fprintf(f, "%s\"%s\": %" PRIu64, sep, procedures[i].name,
		    c->count[i]);
		sep = ", ";
	}
	fprintf(f, "},\n \"doubles\": [");
	sep = "";
	for (size_t i = 0; i < c->size; i++) {
		if (c->at[i].seen < 2)
			continue;
		fputs(sep, f);
		print_double(&c->at[i], f);
		sep = ",\n  ";
	}
	fprintf(f, "]");
}

static void
print_status(FILE *f, int64_t status)
{
	if (status < 0)
		fprintf(f, " -");
	else
		fprintf(f, " %" PRId64, status);
}

void
calls_list(const struct calls *c, struct replies *r, FILE *f)
{
	for (size_t i = 0; i < c->size; i++) {
		const struct call *e = &c->at[i];

		if (e->seen == 0)
			continue;
		fprintf(f, "%08" PRIx32 " %016" PRIx64 " %s %" PRIu32
			   " %.6f %.6f",
		    e->xid, e->hash, procedures[e->procedure].name, e->seen,
		    e->first.time, e->latest.time);
		print_status(f, replies_status(r, e->xid, e->first));
		print_status(f, replies_status(r, e->xid, e->latest));
		fprintf(f, "\n");
	}
}
