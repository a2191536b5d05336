/*
 * logrec: the log's records as bytes (DESIGN section 5). Pure.
 *
 * A *record* is what the log knows of one logged call: first its INTENT,
 * then, in the place of that, its completion (DONE). It has a number, `seq`,
 * that stays the same from intent to completion, belongs to the volume and
 * only grows, over epochs too. It is laid out over 1 to LOGREC_PARTS_MAX
 * *slots*; a slot's value always has the one length LOGSLOT_LEN, the rest is
 * zero. Each time a record is written it takes a new `write` number, so no
 * two values on a disk are ever equal. All integers are big-endian.
 *
 *	 0               1               2               3
 *	+---------------+---------------+---------------+---------------+
 *  0	|  magic "hanL"                                                 |
 *	+---------------+---------------+---------------+---------------+
 *  4	|  version      |  kind         |  part         |  parts        |
 *	+---------------+---------------+---------------+---------------+
 *  8	|  volume id                                                    |
 * 12	|  slot: the one that this is in                                |
 * 16	|  first: the slot of part 0, the record's head                 |
 * 20	|  length of the whole record in bytes, all parts, no padding   |
 * 24	|  seq                                                 (8 byte) |
 * 32	|  write                                               (8 byte) |
 *	+---------------------------------------------------------------+
 * 40	|  the record's bytes from part * LOGSLOT_ROOM on               |
 *	|  ...                                           zero to the end|
 *	+---------------------------------------------------------------+
 * -4	|  CRC-32C of all before it                                     |
 *	+---------------------------------------------------------------+
 *
 * Parts are written from the last to the first, the head at the end; parts
 * belong together when seq, write and first agree. So a continuation whose
 * head says something else is what a cut left of a record that was never
 * there, and counts for nothing. A head whose continuation is missing is
 * damage: once a head is written its continuations stay until another value
 * is in the head's slot (slotmap.h, slotmap_shrink()).
 *
 * The record's bytes (XDR's rule of four-byte units, RFC 4506):
 *
 *	epoch 8 | wall_ms 8 | boot_ms 8 | client id 16 | kconn 8 |
 *	incarnation 8 | xid 4 | prog 4 | proc 4 | digest 16 | class 4 |
 *	first slot 4 | LOGREC_MAP_LEN bytes		what is free, see below
 *   INTENT	flavor 4 | credential opaque<400> |
 *	whole length of the arguments 4 | arguments opaque<LOGREC_ARGS_MAX> |
 *	if these are fewer: BLAKE2b of the rest 32 |
 *	pre-state opaque<LOGREC_PRE_MAX>
 *   DONE	how 4 | reply opaque<LOGREC_REPLY_MAX>
 *   TOMB	expired 8 | last_wall_ms 8 | names opaque<8 * LOGREC_NAMES_MAX>
 *   FREE	has no bytes, also none of the above
 *
 * Arguments. All but SYMLINK's fit whole: the longest, RENAME with two names
 * of 1,024 bytes, has 2,192. Of a SYMLINK with a long target everything up
 * to and with the target's length is kept, and the 32-byte BLAKE2b of the
 * target with its padding: a verdict compares that with what READLINK says,
 * and nobody runs a call from the log, the client brings its bytes again.
 *
 * Tombs. A tomb names the calls that it stands for, each by its XID and the
 * first four bytes of its digest: what is not among its client's has not run.
 * A client can have many. An older hanfs had one record for each, and left the
 * oldest names out where there was no room; then expired, which counts all, is
 * more than there are names, and of an unknown call it cannot be told. A
 * client id of zeros: its calls are of many clients that went away; a digest
 * is keyed by the client id, so the names of two do not meet. last_wall_ms is
 * for people.
 *
 * Version. A slot says the lowest one that has what is in it, so that a log
 * without tombs can go back to an older hanfs: 2 for a TOMB, else 1. A TOMB
 * of version 1 has no names, as if all of them had been left out.
 *
 * What is free. A slot whose record is acknowledged is not written again for
 * that. Instead each record brings a map of LOGREC_MAP_SLOTS slots as it is
 * written: a bit for each that is in use then. With more slots the records
 * take turns (slotmap.h). A value whose slot was free, by the map of a record
 * with a higher `write`, is stale. What was freed after the last map came
 * to the disk looks live after a cut: a reply that nobody asks for again.
 */
#ifndef HANFS_AGENT_LOGREC_H
#define HANFS_AGENT_LOGREC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/callid.h"

#define LOGSLOT_LEN      1896u
#define LOGSLOT_HEAD     40u
#define LOGSLOT_ROOM     (LOGSLOT_LEN - LOGSLOT_HEAD - 4u) /* 1,852 */
#define LOGREC_PARTS_MAX 3u
#define LOGREC_MAX       (LOGREC_PARTS_MAX * LOGSLOT_ROOM)
#define LOGREC_VERSION   2u /* the highest; all from 1 on are read */

#define LOGREC_ARGS_MAX  2304u
#define LOGREC_REST_LEN  32u
#define LOGREC_PRE_MAX   1024u
#define LOGREC_REPLY_MAX 1024u
#define LOGREC_NAME_LEN  8u
#define LOGREC_NAMES_MAX 200u
#define LOGREC_MAP_SLOTS 1024u
#define LOGREC_MAP_LEN   (LOGREC_MAP_SLOTS / 8)

enum logrec_kind {
	LOGREC_FREE,   /* as formatted, or given back */
	LOGREC_INTENT, /* this call may run, or have run */
	LOGREC_DONE,   /* it ran, with this reply; always one slot */
	LOGREC_TOMB,   /* replies that this client never acknowledged are
			* gone: the calls that it names have run */
	LOGREC_KINDS
};
extern const char *const logrec_kind_names[LOGREC_KINDS];

/* How a completion came to be. */
enum logrec_how {
	LOGREC_RAN,      /* the backend's own reply */
	LOGREC_REBUILT,  /* a verdict: it had taken effect */
	LOGREC_OPERATOR, /* an operator's verdict, or NFS3ERR_IO for want of it
			  */
	LOGREC_HOWS
};
extern const char *const logrec_how_names[LOGREC_HOWS];

/* What is wrong with a slot's value, or with a record. */
enum logrec_error {
	LOGREC_OK,
	LOGREC_E_LENGTH,  /* the value has not LOGSLOT_LEN bytes */
	LOGREC_E_MAGIC,   /* not ours */
	LOGREC_E_CRC,     /* damaged */
	LOGREC_E_VERSION, /* of a later hanfs */
	LOGREC_E_VOLUME,  /* another volume's */
	LOGREC_E_SLOT,    /* another slot's */
	LOGREC_E_HEADER,  /* kind, parts or length contradict each other */
	LOGREC_E_BODY,    /* the record's bytes do not decode */
	LOGREC_E_PARTS,   /* a continuation is missing */
	LOGREC_E_TWICE,   /* two records with one number */
	LOGREC_E_READ,    /* the slot could not be read, or has no value */
	LOGREC_ERRORS
};
/* "damaged (CRC)" and the like, for messages. */
extern const char *const logrec_error_names[LOGREC_ERRORS];

/* Bit i % 8 of bits[i / 8], counted from the lowest: slot first + i. */
struct logrec_map {
	uint32_t first;
	uint8_t bits[LOGREC_MAP_LEN];
};

/* One record. Bytes are borrowed, from the caller or the parsed buffer. */
struct logrec {
	enum logrec_kind kind;
	uint32_t volume;
	uint64_t seq, write;

	uint64_t epoch;   /* the owner's that wrote it */
	uint64_t wall_ms; /* when: since 1970, for people and expiry */
	uint64_t boot_ms; /* and by the writer's clock_now_ms() */
	uint8_t client[CLIENT_ID_LEN];
	uint64_t kconn, incarnation;
	struct call_id id;
	enum call_class class;
	struct logrec_map map;

	/* INTENT */
	uint32_t cred_flavor;
	struct nfs3_bytes cred;        /* the body; at most RPC_AUTH_MAX */
	uint32_t args_len;             /* of the call's arguments, whole */
	struct nfs3_bytes args;        /* as much of them as is kept */
	uint8_t rest[LOGREC_REST_LEN]; /* if args.len < args_len */
	struct nfs3_bytes pre;

	/* DONE */
	enum logrec_how how;
	struct nfs3_bytes reply; /* the whole RPC reply record */

	/* TOMB */
	uint64_t expired, last_wall_ms; /* how many, when the last */
	struct nfs3_bytes names;        /* LOGREC_NAME_LEN each, oldest first */
};

/* What a tomb calls a call. */
void logrec_name(const struct call_id *id, uint8_t out[LOGREC_NAME_LEN]);

/*
 * Sets args_len, args and rest for the call of info, whose arguments are
 * whole in its record (as they are for each logged call). 0, or -1: too long
 * to be logged, which no well-formed call of a logged procedure is.
 */
int logrec_set_args(struct logrec *r, const struct call_info *info);

/*
 * BLAKE2b of a SYMLINK's target as in `rest`: len bytes and their padding.
 */
void logrec_rest(
    uint8_t out[LOGREC_REST_LEN], const uint8_t *target, uint32_t len);

/*
 * How many slots the record takes; seq, write and map need not be set. 0: a
 * member is past its bound.
 */
unsigned logrec_parts(const struct logrec *r);

/*
 * Writes the values of the record's slots to out, part 0 first, each
 * LOGSLOT_LEN bytes; slots[i] is where part i goes. Returns logrec_parts(r);
 * 0: a member is past its bound, or seq or write is 0, and nothing was
 * written.
 */
unsigned logrec_encode(
    const struct logrec *r, const uint32_t *slots, uint8_t *out);

/* The value of a free slot. write is 0 when it is formatted. */
void logrec_encode_free(uint32_t volume, uint32_t slot, uint64_t seq,
    uint64_t write, uint8_t out[LOGSLOT_LEN]);

/* A slot's value, checked, taken apart; bytes borrows from the value. */
struct logslot {
	enum logrec_kind kind;
	unsigned version, part, parts;
	uint32_t slot, first, record_len;
	uint64_t seq, write;
	const uint8_t *bytes; /* of the record, this part's */
	uint32_t len;
};

/*
 * Takes a value of len bytes, read from `slot` of `volume`, apart. *out is
 * whole for LOGREC_OK only.
 */
enum logrec_error logslot_parse(const uint8_t *value, size_t len,
    uint32_t volume, uint32_t slot, struct logslot *out);

/*
 * Takes the record's bytes, all parts joined, apart. head is its part 0 and
 * gives kind, seq, write and volume's place. r borrows from bytes.
 */
enum logrec_error logrec_parse(const struct logslot *head, uint32_t volume,
    const uint8_t *bytes, size_t len, struct logrec *r);

/* The map, from a head alone: borrowed, LOGREC_MAP_LEN bytes. NULL: it has
 * none. */
const uint8_t *logrec_map_of(const struct logslot *head, uint32_t *first);

#endif
