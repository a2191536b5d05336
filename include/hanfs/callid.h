/*
 * The identity of a call: what makes a replay the same call.
 *
 *   (client id, XID, program and procedure, digest of the arguments)
 *
 * The digest covers the arguments without credential and verifier, and of a
 * WRITE the header fields only. No address, port, connection or process is
 * part of it, so that it survives a change of any of them. It is SipHash-2-4
 * of 128 bits, keyed with the client id: 50 ns, the same on every machine.
 * It tells calls of one client apart; it is no protection against a client
 * that wants to collide with itself.
 */
#ifndef HANFS_CALLID_H
#define HANFS_CALLID_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "hanfs/rpc.h"
#include "hanfs/nfs3.h"

#define CLIENT_ID_LEN 16u

struct call_digest {
	uint8_t b[16];
};

struct call_id {
	uint32_t xid, prog, proc;
	struct call_digest digest;
};

bool call_id_equal(const struct call_id *a, const struct call_id *b);

/* A hash for tables. Not for anything that leaves the process. */
uint64_t call_id_hash(const struct call_id *id);

/*
 * What a relay knows of one call after looking at its first bytes.
 */
struct call_info {
	struct rpc_call rpc;	/* borrows from the record */
	struct nfs3_args nfs;	/* for NFS; borrows */
	struct call_id id;
	enum call_class class;
	uint32_t reply_max;	/* bytes; an estimate for back-pressure */
};

/* What is to be done with a record that came as a call. */
enum call_verdict {
	CALL_FORWARD, /* info is complete */
	CALL_ANSWER,  /* answer it with *answer, for info->rpc.xid */
	CALL_DROP,    /* nonsense: close the connection */
};

/*
 * Looks at a call to NFS version 3 or MOUNT version 3 (and 1, for UMNT).
 *
 *  client  the client id that keys the digest
 *  head    the record's first head_len bytes: all of it, or at least the
 *          first CALL_HEAD_MIN
 *  len     the record's whole length in bytes
 *  answer  set for CALL_ANSWER; low and high as rpc_answer_write() wants
 */
#define CALL_HEAD_MIN (RPC_CALL_HEADER_MAX + 4 + NFS3_FHSIZE + 20)
enum call_verdict call_look(const uint8_t client[CLIENT_ID_LEN],
    const uint8_t *head, size_t head_len, size_t len, struct call_info *info,
    enum rpc_answer *answer, uint32_t *low, uint32_t *high);

#endif
