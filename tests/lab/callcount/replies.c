/*
 * What the backend answered: the NFS status of each reply.
 *
 * Of what comes from the port only the first bytes are captured, so streams
 * cannot be put together.  It is not needed: a reply to a call that changes
 * something is small, and begins a segment or follows other small ones in
 * it.  Bytes that are no such reply are passed over; a call without a known
 * status has none.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "callcount.h"

enum {
	HEAD = 28, /* RFC 5531: xid, type, status, verifier, accepted */
	SHORTEST = 4 + HEAD + 4, /* with its mark and an NFS status */
	REPLY_MOST = 1 << 20,
};

struct reply {
	uint32_t xid;
	uint16_t port;
	uint32_t status;
	double time;
};

struct replies {
	struct reply *at;
	size_t n, size;
	uint16_t port;
	bool sorted;
};

struct replies *
replies_new(uint16_t port)
{
	struct replies *r = calloc(1, sizeof *r);

	if (r == NULL)
		err(1, "calloc");
	r->port = port;
	return r;
}

void
replies_free(struct replies *r)
{
	free(r->at);
	free(r);
}

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

/* The TCP segment's data in an IP packet from the port; NULL: none. */
static const uint8_t *
data_of(const struct replies *r, const uint8_t *ip, size_t *len, uint16_t *to)
{
	size_t head = ip[0] >> 4 == 4 ? (size_t)(ip[0] & 15) * 4 : 40;
	size_t all;

	if (*len < head + 20 || ip[ip[0] >> 4 == 4 ? 9 : 6] != 6)
		return NULL;
	if ((ip[head] << 8 | ip[head + 1]) != r->port)
		return NULL;
	*to = (uint16_t)(ip[head + 2] << 8 | ip[head + 3]);
	all = head + (size_t)(ip[head + 12] >> 4) * 4;
	if (*len < all)
		return NULL;
	*len -= all;
	return ip + all;
}

static void
add(struct replies *r, struct reply reply)
{
	if (r->n == r->size) {
		r->size = r->size ? r->size * 2 : 4096;
		r->at = realloc(r->at, r->size * sizeof *r->at);
		if (r->at == NULL)
			err(1, "realloc");
	}
	r->at[r->n++] = reply;
	r->sorted = false;
}

void
replies_packet(struct replies *r, const uint8_t *ip, size_t len, double time)
{
	uint16_t port;
	const uint8_t *p = len < 20 ? NULL : data_of(r, ip, &len, &port);

	while (p != NULL && len >= SHORTEST) {
		static const uint8_t verifier[8];
		uint32_t mark = be32(p), body = mark & 0x7fffffff;

		/* last fragment; REPLY, MSG_ACCEPTED, AUTH_NONE, SUCCESS */
		if (!(mark >> 31) || body < HEAD || body > REPLY_MOST ||
		    be32(p + 8) != 1 || be32(p + 12) != 0 ||
		    memcmp(p + 16, verifier, sizeof verifier) != 0 ||
		    be32(p + 24) != 0)
			return;
		add(r, (struct reply){be32(p + 4), port, be32(p + 28), time});
		if (body + 4 > len)
			return;
		p += body + 4;
		len -= body + 4;
	}
}

static int
by_call(const void *a, const void *b)
{
	const struct reply *x = a, *y = b;

	if (x->xid != y->xid)
		return x->xid < y->xid ? -1 : 1;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return (x->time > y->time) - (x->time < y->time);
}

int64_t
replies_status(struct replies *r, uint32_t xid, struct origin call)
{
	struct reply key = {.xid = xid, .port = call.port, .time = call.time};
	size_t low = 0, high = r->n;

	if (!r->sorted)
		qsort(r->at, r->n, sizeof *r->at, by_call);
	r->sorted = true;
	while (low < high) { /* the first one after the call */
		size_t middle = (low + high) / 2;

		if (by_call(&r->at[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == r->n || r->at[low].xid != xid ||
	    r->at[low].port != call.port)
		return -1;
	return r->at[low].status;
}
