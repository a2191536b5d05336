/*
 * ONC RPC version 2 message headers (RFC 5531, section 9), read in place.
 *
 *   call:  xid | CALL=0 | rpcvers=2 | prog | vers | proc | cred | verf | args
 *   reply: xid | REPLY=1 | MSG_ACCEPTED=0 | verf | accept_stat | results
 *          xid | REPLY=1 | MSG_DENIED=1 | reject_stat | ...
 *
 * Nothing here allocates or keeps a pointer beyond the caller's buffer.
 */
#ifndef HANFS_RPC_H
#define HANFS_RPC_H

#include <stddef.h>
#include <stdint.h>

#include "hanfs/cursor.h"

#define RPC_AUTH_MAX 400u /* RFC 5531, section 8.2: opaque body<400> */
/* A call header with the longest credential and verifier. */
#define RPC_CALL_HEADER_MAX (6 * 4 + 2 * (8 + RPC_AUTH_MAX))

enum rpc_program {
	RPC_PROG_PORTMAP = 100000,
	RPC_PROG_NFS = 100003,
	RPC_PROG_MOUNT = 100005,
	RPC_PROG_NLM = 100021,
	RPC_PROG_NSM = 100024,
	RPC_PROG_NFSACL = 100227,
};

enum rpc_flavor {
	RPC_AUTH_NONE = 0,
	RPC_AUTH_SYS = 1,
	RPC_AUTH_GSS = 6,
};

struct rpc_call {
	uint32_t xid, prog, vers, proc;
	uint32_t cred_flavor, cred_len, verf_flavor, verf_len;
	const uint8_t *cred, *verf;
	struct cursor args; /* what follows the verifier, as far as given */
};

/* What a call header turned out to be; the names are in rpc_parse_names. */
enum rpc_parse {
	RPC_PARSE_OK,
	RPC_PARSE_SHORT,    /* ends inside the header: nonsense */
	RPC_PARSE_NOT_CALL, /* a reply, or neither */
	RPC_PARSE_RPCVERS,  /* RPC version other than 2: RPC_MISMATCH */
	RPC_PARSE_BADCRED,  /* credential too long or malformed: AUTH_ERROR */
};

struct rpc_reply {
	uint32_t xid, reply_stat, accept_stat; /* accept_stat if accepted */
	struct cursor results;
};

/* The answers an RPC layer gives by itself, RFC 5531, section 9. */
enum rpc_answer {
	RPC_ANSWER_SUCCESS,	 /* accepted, no results (NULL procedure) */
	RPC_ANSWER_PROG_UNAVAIL,
	RPC_ANSWER_PROG_MISMATCH, /* with the versions that are served */
	RPC_ANSWER_PROC_UNAVAIL,
	RPC_ANSWER_GARBAGE_ARGS,
	RPC_ANSWER_SYSTEM_ERR,
	RPC_ANSWER_RPC_MISMATCH,
	RPC_ANSWER_AUTH_BADCRED,
	RPC_ANSWER_AUTH_TOOWEAK,
};

/*
 * Reads a call header from the first len bytes of a record (the record may
 * be longer; then args holds only what was given). *call is valid for
 * RPC_PARSE_OK; for RPC_PARSE_RPCVERS and RPC_PARSE_BADCRED its xid is.
 */
enum rpc_parse rpc_call_parse(const void *buf, size_t len,
    struct rpc_call *call);

/* Reads a reply header. 0, or -1 when it is no reply or is cut short. */
int rpc_reply_parse(const void *buf, size_t len, struct rpc_reply *reply);

#define RPC_ANSWER_MAX 32u
/*
 * Writes a whole reply record without results (and without record mark) for
 * xid into buf of at least RPC_ANSWER_MAX bytes. low and high are the
 * versions for the two MISMATCH answers, else ignored. Returns its length.
 */
size_t rpc_answer_write(void *buf, uint32_t xid, enum rpc_answer what,
    uint32_t low, uint32_t high);

/*
 * Writes a call header with AUTH_NONE for a program of our own into buf of
 * at least 40 bytes. Returns its length; the arguments follow it.
 */
size_t rpc_call_write(void *buf, uint32_t xid, uint32_t prog, uint32_t vers,
    uint32_t proc);

/* "NFS" or the number, for messages; static or thread-local storage. */
const char *rpc_program_name(uint32_t prog);

#endif
