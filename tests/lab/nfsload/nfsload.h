/*
 * nfsload: an NFSv3 client that knows what every answer has to be.
 *
 * It keeps one call outstanding in each of many slots.  A slot owns names
 * (in directories that all slots share), files, directories and links, and a
 * model of them, so the status, the attributes and every byte of an answer
 * are known before the call leaves.  Anything else is a violation.
 *
 *	main.c		options, the loop, control by standard input
 *	conn.c		TCP, record marking, sending again after a reconnect
 *	rpc.c		calls to bytes and bytes to answers (XDR by libnfs)
 *	content.c	what the bytes of a file must be
 *	model.c		objects and names of a slot, and how a call changes them
 *	choose.c	which call a slot makes next
 *	judge.c		is this answer the right one?
 *	pending.c	unstable WRITEs that a server may lose
 *	verify.c	the pass over everything at the end; dump and compare
 *	stats.c		records of calls, marks, violations; the JSON
 *
 * It shares no code with hanfs and sends nothing again by itself, unless an
 * option asks for what a kernel would do.
 */
#ifndef NFSLOAD_H
#define NFSLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <nfsc/libnfs-zdr.h>
#include <nfsc/libnfs-raw-nfs.h>

enum {
	BLOCK = 4096,               /* unit of content, bytes */
	FILE_BLOCKS = 512,          /* largest file, blocks */
	IO_MAX = 1 << 20,           /* largest READ and WRITE, bytes */
	SHARED_DIRS = 4,            /* directories that all slots use */
	NAMES_PER_DIR = 3,          /* names of a slot in each of them */
	INNER_NAMES = 2,            /* names in a directory that a slot made */
	CALL_MAX = IO_MAX + 4096,   /* largest record sent */
	REPLY_MAX = IO_MAX + 65536, /* largest record taken */
	NAME_LEN = 48,
	FH_MAX = 64,
	CONNS_MAX = 16,
	PENDING_MAX = 4, /* unstable WRITEs before their COMMIT */
	KINDS = 22, /* NFSv3 procedures; RFC 1813 section 3 */
};

struct handle {
	uint32_t len;
	uint8_t bytes[FH_MAX];
};

/* -- content.c: byte i of a file is a function of (file, block, version) -- */

struct block {
	uint32_t version; /* 0: never written, or cut off: zeros */
	uint32_t len;     /* bytes of the version still there; then zeros */
};

void content_fill(uint8_t *buf, uint64_t file, uint32_t first_block,
    uint32_t blocks, uint32_t version);
/* Position of the first wrong byte, or -1.  off is a multiple of BLOCK. */
int64_t content_check(const uint8_t *buf, size_t len, uint64_t file,
    const struct block *blocks, uint64_t off);

/* -- model.c -- */

struct object;

struct place { /* a name that a slot owns, and what it names now */
	struct object *dir;
	char name[NAME_LEN];
	struct object *object; /* NULL: there is nothing of that name */
};

struct object {
	struct object *next; /* of the slot */
	ftype3 type;
	uint32_t nlink;
	uint32_t mode;
	bool mode_known; /* not after an exclusive CREATE */
	uint64_t size;
	uint64_t id; /* seed of the content */
	uint64_t fileid;
	struct handle fh;
	char target[NAME_LEN];           /* of a symbolic link */
	struct block *blocks;            /* of a file */
	struct place inner[INNER_NAMES]; /* of a directory */
};

enum write_mix { MIX_MIXED, MIX_READ, MIX_WRITE, MIX_NAMES, MIX_BIG_WRITES };

struct op {                    /* the one call of a slot */
	int kind;              /* procedure */
	struct object *object; /* whose handle it carries, or whom it names */
	struct place *place, *to;
	uint64_t offset;
	uint32_t count;
	uint32_t version; /* of the blocks it writes */
	uint32_t stable;
	uint32_t how; /* createmode3 */
	bool set_mode, set_size;
	uint32_t mode;
	uint64_t size;
	uint8_t verifier[8];
	nfsstat3 want, want_too; /* the right statuses */
	struct object *made;     /* a new object, not yet in the model */
	uint32_t xid;
	double queued, sent; /* CLOCK_MONOTONIC seconds */
};

/*
 * With --crash: what a server that dies may lose.  Unstable WRITEs of one
 * file, kept until a COMMIT with their verifier; with another one they are
 * sent again, as a kernel does it (RFC 1813 section 4.8).  Meanwhile the
 * slot does nothing else, so no other answer depends on them.
 */
struct pending {
	struct object *object; /* NULL: there are none */
	int n, again;          /* how many; how many of them were sent again */
	bool lost;             /* the verifier changed: send all again */
	char verf[NFS3_WRITEVERFSIZE];
	struct {
		uint64_t offset;
		uint32_t count, version;
	} write[PENDING_MAX];
};

struct conn;

struct slot {
	int id;
	int generation; /* +1 after a violation: new names, empty model */
	struct conn *conn;
	struct slot *next; /* in the connection's queue */
	bool outstanding;  /* the call has no reply yet */
	bool queued;       /* the call waits to be sent */
	bool done;         /* no further call */
	uint64_t random;
	uint32_t versions; /* handed out so far */
	struct object *objects;
	struct place places[SHARED_DIRS * NAMES_PER_DIR];
	struct op op;
	struct pending pending;
	/* verify.c's position */
	struct object *check_object;
	int check_place;
	uint64_t check_offset;
};

struct load { /* everything */
	/* options */
	const char *host, *export, *directory;
	int port, mount_port;
	int slots_n, conns_n;
	uint32_t io_max; /* largest READ and WRITE, bytes */
	enum write_mix mix;
	double seconds, drain, timeo;
	bool reconnect, cross_renames, ticks, crash, full;
	uint64_t seed;
	/* state */
	struct slot *slots;
	struct conn *conns[CONNS_MAX];
	struct object root, shared[SHARED_DIRS];
	uint32_t xid;
	bool stopping, verifying;
	bool have_verf;
	char verf[NFS3_WRITEVERFSIZE];
	uint64_t next_id;
};

uint64_t slot_random(struct slot *s, uint64_t below);
void model_reset(struct load *l, struct slot *s);
void model_free(struct slot *s);
struct object *model_object_new(struct load *l, ftype3 type);
void model_object_free(struct object *o);
/* All names of a slot, those in its own directories too. */
int model_places(struct slot *s, struct place **out, int max);
int model_count(const struct slot *s, ftype3 type);
bool model_dir_empty(const struct object *dir);
/* The call succeeded: the model follows. */
void model_apply(struct slot *s, struct op *op);

/* -- choose.c -- */

void choose(struct load *l, struct slot *s);

/* -- rpc.c -- */

struct entry_list {
	const entry3 *first;
	bool eof;
};

struct answer {             /* a reply; pointers live until answer_free() */
	uint32_t rpc_error; /* accept_stat, or 1000 + reply_stat */
	nfsstat3 status;
	bool has_fh, has_attr;
	struct handle fh;
	fattr3 attr;
	uint32_t count;
	bool eof;
	uint32_t committed;
	char verf[NFS3_WRITEVERFSIZE];
	const uint8_t *data;
	uint32_t data_len;
	const char *target;
	struct entry_list entries;
	ZDR zdr;
};

const char *kind_name(int kind);
/* Writes a whole record; returns its length. */
size_t call_encode(const struct op *op, uint8_t *buf, size_t size);
/* A record without its marks; false if it is no answer to this kind. */
bool answer_decode(struct answer *a, int kind, const uint8_t *buf, size_t len);
void answer_free(struct answer *a);
/* MOUNT's MNT: args and reply by hand. */
size_t mount_encode(
    uint32_t xid, const char *export, uint8_t *buf, size_t size);
bool mount_decode(struct handle *fh, const uint8_t *buf, size_t len);

/* -- conn.c -- */

struct conn *conn_new(struct load *l, int number);
void conn_free(struct conn *c);
int conn_fd(const struct conn *c);
short conn_events(const struct conn *c);
void conn_send(struct conn *c, struct slot *s);
void conn_ready(struct conn *c, short revents, double now);
/* Reconnects, sends again: what time alone asks for. */
void conn_tick(struct conn *c, double now);
/* A connection of its own for one call at a time, before the load. */
int sync_connect(const struct load *l, int port);
ssize_t sync_call(
    int fd, const uint8_t *call, size_t len, uint8_t *reply, size_t size);

/* -- main.c -- */

double now_s(void);
/* A whole record has arrived. */
void load_reply(struct load *l, const uint8_t *buf, size_t len);

/* -- judge.c -- */

void judge(struct load *l, struct slot *s, const struct answer *a);

/* -- pending.c -- */

/* The slot's next call, if its unstable WRITEs ask for one. */
bool pending_choose(struct load *l, struct slot *s);
/* A WRITE or COMMIT succeeded; false when the file's attributes need not be
 * right yet. */
bool pending_judge(struct slot *s, const struct answer *a);

/* -- verify.c -- */

/* Chooses the slot's next check; false when all is checked. */
bool verify_next(struct load *l, struct slot *s);
void verify_shared(struct load *l, int fd);
void verify_dump(const struct load *l, FILE *f);
int verify_compare(const char *dump, const char *directory);
uint64_t verify_bytes(void);
uint64_t verify_names(void);
void verify_count(const struct op *op, const struct answer *a);

/* -- stats.c -- */

void stats_call(const struct slot *s, double done, bool verifying);
/* NFS status of the call that stats_call() was last told of. */
void stats_status(int status);
/* One line on how far the load is: see the usage. */
void stats_tick(const struct load *l, double now);
void stats_mark(const char *name, double at, double sure);
void stats_count(const char *what); /* a member of the JSON, +1 */
void violation(const struct slot *s, const char *form, ...)
    __attribute__((format(printf, 2, 3)));
uint64_t violations(void);
void stats_records(FILE *f);
void stats_json(const struct load *l, FILE *f, double began, double ended);

#endif
