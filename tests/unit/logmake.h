/* Records for the tests of the log: every member set, drawn by a seed. */
#ifndef HANFS_TESTS_LOGMAKE_H
#define HANFS_TESTS_LOGMAKE_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/logrec.h"

static uint8_t logmake_bytes[4096];

static inline uint64_t
logmake_u64(void)
{
	return (uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^
	       (uint64_t)rand();
}

static inline struct nfs3_bytes
logmake_some(uint32_t max)
{
	struct nfs3_bytes b = {.p = logmake_bytes + rand() % 64,
	    .len = (uint32_t)rand() % (max + 1)};

	return b;
}

/* The bytes that records borrow; once. */
static inline void
logmake_init(unsigned seed)
{
	srand(seed);
	for (unsigned i = 0; i < sizeof(logmake_bytes); i++)
		logmake_bytes[i] = (uint8_t)rand();
}

/* No more than some: half of all records are small. */
static inline void
logmake_intent(struct logrec *r)
{
	r->cred_flavor = 1;
	r->cred = logmake_some(rand() % 2 ? 60 : RPC_AUTH_MAX);
	r->args = logmake_some(rand() % 2 ? 200 : LOGREC_ARGS_MAX);
	r->args_len = r->args.len;
	if (rand() % 8 == 0) {
		r->args_len += 1 + (uint32_t)rand() % 4096;
		memcpy(r->rest, logmake_bytes, sizeof(r->rest));
	}
	r->pre = logmake_some(rand() % 2 ? 120 : LOGREC_PRE_MAX);
}

static inline void
logmake_record(struct logrec *r, enum logrec_kind kind, uint32_t volume,
    uint64_t seq, uint64_t write)
{
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->volume = volume;
	r->seq = seq;
	r->write = write;
	r->epoch = 1 + logmake_u64() % 9;
	r->wall_ms = logmake_u64();
	r->boot_ms = logmake_u64();
	memcpy(r->client, logmake_bytes + rand() % 8, sizeof(r->client));
	r->kconn = logmake_u64();
	r->incarnation = logmake_u64();
	r->id.xid = (uint32_t)logmake_u64();
	r->id.prog = RPC_PROG_NFS;
	r->id.proc = (uint32_t)rand() % NFS3_NPROC;
	memcpy(r->id.digest.b, logmake_bytes + rand() % 99, 16);
	r->class = CALL_LOGGED;
	switch (kind) {
	case LOGREC_INTENT:
		logmake_intent(r);
		break;
	case LOGREC_DONE:
		r->how = (enum logrec_how)(rand() % LOGREC_HOWS);
		r->reply = logmake_some(LOGREC_REPLY_MAX);
		break;
	default:
		r->expired = logmake_u64();
		r->last_wall_ms = logmake_u64();
		r->names.p = logmake_bytes;
		r->names.len = LOGREC_NAME_LEN *
			       (r->id.xid % (LOGREC_NAMES_MAX + 1));
	}
}

static inline bool
logmake_bytes_equal(struct nfs3_bytes a, struct nfs3_bytes b)
{
	return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

static inline bool
logmake_bodies_equal(const struct logrec *a, const struct logrec *b)
{
	switch (a->kind) {
	case LOGREC_INTENT:
		return a->cred_flavor == b->cred_flavor &&
		       logmake_bytes_equal(a->cred, b->cred) &&
		       a->args_len == b->args_len &&
		       logmake_bytes_equal(a->args, b->args) &&
		       memcmp(a->rest, b->rest, sizeof(a->rest)) == 0 &&
		       logmake_bytes_equal(a->pre, b->pre);
	case LOGREC_DONE:
		return a->how == b->how &&
		       logmake_bytes_equal(a->reply, b->reply);
	default:
		return a->expired == b->expired &&
		       a->last_wall_ms == b->last_wall_ms &&
		       logmake_bytes_equal(a->names, b->names);
	}
}

static inline bool
logmake_equal(const struct logrec *a, const struct logrec *b)
{
	return a->kind == b->kind && a->volume == b->volume &&
	       a->seq == b->seq && a->write == b->write &&
	       a->epoch == b->epoch && a->wall_ms == b->wall_ms &&
	       a->boot_ms == b->boot_ms && a->class == b->class &&
	       memcmp(a->client, b->client, sizeof(a->client)) == 0 &&
	       a->kconn == b->kconn && a->incarnation == b->incarnation &&
	       call_id_equal(&a->id, &b->id) && a->map.first == b->map.first &&
	       memcmp(a->map.bits, b->map.bits, sizeof(a->map.bits)) == 0 &&
	       logmake_bodies_equal(a, b);
}

#endif
