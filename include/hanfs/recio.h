/*
 * Records over a non-blocking stream socket: record marking, RFC 5531,
 * section 11.
 *
 *    0                   1                   2                   3
 *   +-+-------------------------------------------------------------+
 *   |L|             length of the fragment in bytes                 |
 *   +-+-------------------------------------------------------------+
 *
 * L is set on a record's last fragment. A reader joins fragments; a writer
 * always sends one. Both only move bytes: what a record means, and what
 * becomes of the socket, is the caller's.
 */
#ifndef HANFS_RECIO_H
#define HANFS_RECIO_H

#include "hanfs/rec.h"

#define REC_MARK_LAST 0x80000000u /* L */
#define REC_FRAGS_MAX 64u	/* fragments in one record */
#define RECIO_AHEAD   16384u	/* bytes read ahead at a record's start */
#define RECIO_LOW     262144u	/* of a long record so much is waited for */

enum rec_result {
	REC_DONE,    /* *out is a whole record */
	REC_AGAIN,   /* nothing more now */
	REC_WAIT,    /* the pool is empty: stop reading, try after a free */
	REC_EOF,     /* the peer closed, between two records */
	REC_CUT,     /* the peer closed inside a record */
	REC_BAD,     /* record or fragment count over its cap */
	REC_ERROR,   /* errno */
};

/* How a reader keeps the body of a long record. */
enum rec_store {
	REC_STORE_CHUNKS,
	REC_STORE_PIPES,
};

struct rec_reader {
	struct rec_pool *pool;
	enum rec_store store;
	struct rec *rec;	/* the one that is being read */
	uint32_t len_max;	/* longest record taken; REC_MAX at first */
	uint32_t frag_left;	/* of the present fragment */
	unsigned frags;
	bool last;		/* the present fragment is the last */
	bool bulk;		/* the record before was long: read less ahead */
	bool dry;		/* the socket gave less than was asked of it */
	bool urgent;		/* may take what the pool keeps in reserve */
	bool patient;		/* the owner's: wait for much of a record */
	uint32_t low;		/* bytes that make the socket readable */
	uint32_t ahead_at, ahead_len;
	uint64_t bytes;		/* read since the start */
	uint8_t ahead[RECIO_AHEAD];
};

/*
 * A reader is impatient at first. A patient one sets SO_RCVLOWAT, so that the
 * rest of a long record is a few events and not one for each segment; the
 * end of the connection is an event all the same.
 */
void rec_reader_init(struct rec_reader *rd, struct rec_pool *pool,
    enum rec_store store);
void rec_reader_clear(struct rec_reader *rd);

/*
 * Reads on. For REC_DONE *out is the caller's, and he calls again before he
 * waits for the socket: bytes read ahead may hold more records.
 */
enum rec_result rec_reader_run(struct rec_reader *rd, int fd,
    struct rec **out);

/*
 * The long record that is being read, once its head is full and its length
 * is known: it may be put into a writer now, which writes what there is of
 * it and goes on when it is run again. NULL while there is none such. The
 * reference stays the reader's. If the reader is cleared then, the writer's
 * peer has half a record: its connection is of no use any more.
 */
struct rec *rec_reader_begun(struct rec_reader *rd);

struct rec_writer {
	struct rec *first, **last;
	uint32_t sent;	  /* of the first record, mark included */
	size_t queued;	  /* bytes not yet taken by the kernel */
	unsigned records; /* queued */
	uint64_t bytes;	  /* written since the start */
};

void rec_writer_init(struct rec_writer *w);
/* Drops what is queued. The socket then cannot be used any further. */
void rec_writer_clear(struct rec_writer *w);

/*
 * Queues a record and takes a reference to it. It must be in no other
 * writer's queue; one whose body is in pipes can be queued only once.
 */
void rec_writer_put(struct rec_writer *w, struct rec *r);

/*
 * Writes what the socket takes. 0: all gone that there is; 1: the socket is full, call
 * again when it can be written; -1: errno.
 */
int rec_writer_run(struct rec_writer *w, int fd);

#endif
