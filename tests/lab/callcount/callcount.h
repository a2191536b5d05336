/*
 * callcount: what ran at the backend, seen from outside.
 *
 * Watches the TCP streams towards a backend's NFS port, puts them together
 * again and counts each NFSv3 call that changes something.  A call seen
 * twice is one that the backend ran twice.  It shares no code with hanfs, on
 * purpose: a double must not hide behind the same mistake made twice.
 *
 *	main.c		libpcap: packets in, the end, the verdict
 *	stream.c	TCP: bytes in order, or a hole noticed
 *	record.c	record marking (RFC 5531 section 11): whole calls
 *	calls.c		the table of calls, and the JSON
 *	replies.c	what the backend answered
 *
 * What cannot be seen must not count as good: a packet the kernel dropped,
 * a hole in a stream or bytes that are no record make the result invalid.
 */
#ifndef CALLCOUNT_H
#define CALLCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The first bytes of a record; all of its arguments but a WRITE's data. */
enum { HEAD_MAX = 8192 };

struct record { /* one record being collected */
	uint8_t head[HEAD_MAX];
	size_t head_len;
	uint64_t len;    /* bytes of the record so far */
	uint8_t mark[4]; /* the record mark being collected */
	size_t mark_len;
	uint32_t fragment_left; /* bytes of this fragment still to come */
	bool last;              /* this fragment ends the record */
	bool broken;            /* bytes that are no record: nothing counts */
};

struct origin {        /* where and when a call was seen */
	double time;   /* seconds, capture clock */
	uint16_t port; /* the backend connection's source port */
};

struct calls;

/* Feeds bytes of a stream, in order; whole calls go into the table.
 * Returns false once the bytes make no sense as records. */
bool record_feed(struct record *r, const uint8_t *p, size_t n,
    struct calls *calls, struct origin from);

/* A hole of n bytes inside a WRITE's data or the like cannot be told from
 * one that hid a whole call, so there is no record_skip(). */

struct streams;

/* Only what goes to this TCP port counts. */
struct streams *streams_new(struct calls *calls, uint16_t port);
void streams_free(struct streams *s);

/* Takes one IP packet (from its IP header on). */
void streams_packet(
    struct streams *s, const uint8_t *ip, size_t len, double time);

struct stream_stats {
	uint64_t connections;
	uint64_t lost_segments; /* holes that were never filled */
	uint64_t broken;        /* streams whose bytes made no sense */
	uint64_t midstream;     /* began before we looked */
	uint64_t cut;           /* ended inside a record */
	uint64_t truncated;     /* packets longer than the capture */
};

/* Counts the holes that are open now as lost, and what ended in the middle
 * of a record; call it once, at the end. */
struct stream_stats streams_finish(struct streams *s);

struct calls *calls_new(bool trace);
void calls_free(struct calls *c);

/* One whole call record: head_len bytes of its start, its full length. */
void calls_seen(struct calls *c, const uint8_t *head, size_t head_len,
    uint64_t len, struct origin from);
/* Records that were no RPC call. */
uint64_t calls_garbage(const struct calls *c);
void calls_print(const struct calls *c, FILE *f);

struct replies;

struct replies *replies_new(uint16_t port);
void replies_free(struct replies *r);
/* Takes one IP packet, or its beginning. */
void replies_packet(
    struct replies *r, const uint8_t *ip, size_t len, double time);
/* The NFS status of the reply to a call; -1: not seen. */
int64_t replies_status(struct replies *r, uint32_t xid, struct origin call);

/* A line for each different call: XID HASH PROCEDURE TIMES FIRST LATEST
 * STATUS STATUS (of the first and of the latest; - where no reply was seen),
 * so that the captures of two backends can be held together. */
void calls_list(const struct calls *c, struct replies *r, FILE *f);

/* Bounded reader of XDR. */
struct cursor {
	const uint8_t *p;
	size_t left;
	bool bad;
};
uint32_t cursor_u32(struct cursor *c);
const uint8_t *cursor_skip(struct cursor *c, size_t n);

#endif
