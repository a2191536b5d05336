/*
 * The bench client's side of ONC RPC (RFC 5531): one blocking connection,
 * calls encoded into fixed buffers, the head of each reply.
 *
 * Made to cost little: no allocation for a call, no copy of bulk data that
 * is sent, and of a reply only the head is kept.  It knows no NFS procedure.
 */
#ifndef BENCH_RPC_H
#define BENCH_RPC_H

#include <sys/types.h>
#include <sys/uio.h>

#include <stdint.h>

enum {
	CALL_MAX = 512,        /* header and arguments without bulk data */
	REPLY_HEAD = 256,      /* bytes kept of a reply */
	RECV_SIZE = 256 << 10, /* asked of the socket at once */
};

struct call {
	unsigned char head[CALL_MAX];
	size_t headlen;
	uint32_t xid;
	int busy;
	uint64_t number; /* of this job */
};

/* A connection, with how far the reply on its way has come. */
struct conn {
	int fd;
	uint32_t xid; /* of the next call */
	unsigned char *buf;
	unsigned char mark[4];
	size_t marklen;
	size_t left; /* bytes of the fragment that are still to come */
	int last;    /* it is the record's last one */
	unsigned char head[REPLY_HEAD];
	size_t headlen;
};

/* Connects to host (a name or address) from a reserved port, or exits. */
void conn_open(struct conn *, const char *host, const char *port);
void conn_close(struct conn *);

/* Starts a call of version 3 of a program, with an AUTH_SYS credential. */
void call_begin(struct conn *, struct call *, uint32_t prog, uint32_t proc);
void call_put32(struct call *, uint32_t);
void call_put64(struct call *, uint64_t);
void call_put_opaque(struct call *, const void *, size_t len);
/* Sets the record mark; bulklen bytes will be sent after the head. */
void call_end(struct call *, size_t bulklen);

/* Sends all of it, or exits.  Changes iov. */
void conn_send(struct conn *, struct iovec *iov, size_t n);
/* Waits for bytes in conn->buf; returns how many, exits when it ended. */
size_t conn_recv(struct conn *, const char *what);
/*
 * Takes bytes of the stream, no further than the end of one record (RFC
 * 5531, 11); returns how many.  *whole: the record ended, its beginning is
 * in conn->head.
 */
size_t conn_take(struct conn *, const unsigned char *, size_t len, int *whole);
/*
 * What follows the status word in the results of the reply in conn->head;
 * exits unless the call was accepted and its status (NFS3_OK, MNT3_OK) is 0.
 */
const unsigned char *reply_results(struct conn *, const char *what);
/* Sends one call without bulk data and waits for its reply. */
const unsigned char *call_wait(struct conn *, struct call *, const char *what);

uint32_t get32(const unsigned char *);

#endif
