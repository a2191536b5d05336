/*
 * A story of recovery: calls of several clients run at once against a minifs
 * under their order keys, each with pre-state, intent, the server's steps,
 * completion; WRITEs beside them. The journal is a list of snapshots. The
 * power goes; what was journaled up to some moment is there, sizes of data
 * that were not written back are not. Recovery judges; the power may go
 * again; then the clients replay. recovery_check() looks for an order in
 * which each call, run once and whole, gives the same answers and the same
 * file system.
 */
#ifndef HANFS_TESTS_RECOVERY_H
#define HANFS_TESTS_RECOVERY_H

#include "tests/unit/verdictbed.h"
#include "server-agent/callkeys.h"

enum {
	STORY_CALLS = 3,
	STORY_WRITES = 2,
	STORY_JOURNAL = 256,
	STORY_NEVER = 1 << 30,
};

enum op_stage {
	OP_NEW,
	OP_WAITS, /* for keys */
	OP_ASKS,  /* for the pre-state */
	OP_LOGS,  /* its intent is to be written */
	OP_RUNS,
	OP_ENDS, /* its completion is to be written */
	OP_COMPLETE,
	OP_ACKED, /* its client has the reply */
};

struct op {
	struct bytes record;
	struct prestate_call call;
	enum op_stage stage;
	int start, ack; /* ticks */
	struct key_req req;
	struct prestate before;
	bool looked_again;
	struct mini_run run;
	bool undecidable;
	uint32_t status;  /* that the client got in the end */
	char verdict[96]; /* for people */
};

struct story_write {
	unsigned ino;
	uint32_t gen;
	uint64_t end;
	int tick;
};

enum slot_state { SLOT_FREE, SLOT_INTENT, SLOT_DONE };

struct slot {
	enum slot_state state;
	uint8_t pre[PRESTATE_BYTES_MAX], reply[NFS3_REPLY_MAX];
	size_t pre_len, reply_len;
};

/* What is on the disk. */
struct world {
	struct minifs fs;
	struct slot slot[STORY_CALLS];
};

/* What is switched off, or comes beside. */
struct story_options {
	struct verdict_options verdict;
	bool no_name_keys, no_inode_keys; /* no order by these */
	bool stranger; /* somebody who asks no agent makes a device where
			* nothing is, once */
};

struct story {
	struct story_options opt;
	struct world first, w;
	struct world journal[STORY_JOURNAL];
	unsigned n, committed;
	struct op op[STORY_CALLS];
	struct story_write write[STORY_WRITES];
	unsigned nwrites;
	int tick;
	struct keys *keys;
	unsigned stranger_dir; /* 0: did not come */
	const char *stranger_name;
	unsigned halves, dones, not_dones, undecidable, recuts; /* seen */
};

/* The same story for the same seed. */
void story_run(struct story *s, unsigned seed, const struct story_options *opt);

/* Is there an order that explains what came out? */
bool story_check(struct story *s);
void story_print(const struct story *s, unsigned seed);

/* recovery_make.c: file system and calls */
unsigned story_rand(unsigned below);
void story_make_fs(struct minifs *fs);
const char *story_some_name(void);
void story_make_call(struct op *op, const struct minifs *fs, uint32_t xid);

#endif
