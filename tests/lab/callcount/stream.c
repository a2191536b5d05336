/*
 * TCP: gives each connection's bytes to record.c in order.
 *
 * On a loopback interface segments come in order but for a rare exchange
 * between processors, so what is ahead waits in a short list; a hole that
 * AHEAD_MAX bytes do not fill is a lost segment, and then the rest of that
 * stream tells nothing.  Bytes seen before are cut off.
 */
#include <assert.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "callcount.h"

enum { AHEAD_MAX = 8 << 20, STREAMS_MAX = 4096 };

struct segment {
	struct segment *next;
	uint32_t seq;
	size_t len;
	uint8_t bytes[];
};

struct stream {
	uint8_t key[36]; /* both addresses and ports */
	uint32_t next_seq;
	bool dead; /* a hole, or bytes that made no sense */
	size_t ahead_len;
	struct segment *ahead; /* in no order; few */
	struct record record;
};

struct streams {
	struct calls *calls;
	uint16_t port;
	struct stream_stats stats;
	struct stream **at;
	size_t n;
};

struct packet { /* what a stream needs of one packet */
	uint8_t key[36];
	uint16_t port, to_port;
	uint32_t seq;
	bool syn, fin;
	const uint8_t *data;
	size_t len;
	double time;
};

struct streams *
streams_new(struct calls *calls, uint16_t port)
{
	struct streams *s = calloc(1, sizeof *s);

	if (s == NULL || (s->at = calloc(STREAMS_MAX, sizeof *s->at)) == NULL)
		err(1, "calloc");
	s->calls = calls;
	s->port = port;
	return s;
}

static void
ahead_drop(struct stream *st)
{
	while (st->ahead != NULL) {
		struct segment *seg = st->ahead;

		st->ahead = seg->next;
		free(seg);
	}
	st->ahead_len = 0;
}

void
streams_free(struct streams *s)
{
	for (size_t i = 0; i < s->n; i++) {
		ahead_drop(s->at[i]);
		free(s->at[i]);
	}
	free(s->at);
	free(s);
}

static uint16_t
be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

/* Finds the TCP segment inside an IP packet; false if there is none or a
 * part of it is missing (then *cut). */
static bool
packet_parse(struct packet *pk, const uint8_t *ip, size_t len, bool *cut)
{
	size_t head, total, address = 4, at = 12;

	*cut = false;
	memset(pk, 0, sizeof *pk);
	if (len < 20)
		return false;
	if (ip[0] >> 4 == 4) {
		head = (size_t)(ip[0] & 15) * 4;
		total = be16(ip + 2);
		if (ip[9] != 6)
			return false;
	} else {
		if (len < 40 || ip[6] != 6)
			return false;
		head = 40;
		total = (size_t)be16(ip + 4) + 40;
		address = 16;
		at = 8;
	}
	if (total > len || head + 20 > total) {
		*cut = true;
		return false;
	}
	const uint8_t *tcp = ip + head;
	size_t tcp_head = (size_t)(tcp[12] >> 4) * 4;

	if (tcp_head < 20 || tcp_head > total - head)
		return false;
	memcpy(pk->key, ip + at, 2 * address);
	memcpy(pk->key + 32, tcp, 4);
	pk->port = be16(tcp);
	pk->to_port = be16(tcp + 2);
	pk->seq = be32(tcp + 4);
	pk->syn = tcp[13] & 2;
	pk->fin = tcp[13] & 5; /* FIN or RST */
	pk->data = tcp + tcp_head;
	pk->len = total - head - tcp_head;
	return true;
}

static struct stream *
stream_find(struct streams *s, const struct packet *pk)
{
	for (size_t i = s->n; i-- > 0;)
		if (memcmp(s->at[i]->key, pk->key, sizeof pk->key) == 0)
			return s->at[i];
	return NULL;
}

/* A new connection; one of the same addresses and ports before it is over. */
static struct stream *
stream_begin(struct streams *s, const struct packet *pk)
{
	struct stream *st = calloc(1, sizeof *st);

	if (st == NULL)
		err(1, "calloc");
	if (s->n == STREAMS_MAX)
		errx(1, "more than %d connections", STREAMS_MAX);
	memcpy(st->key, pk->key, sizeof st->key);
	st->next_seq = pk->seq + (pk->syn ? 1 : 0);
	s->at[s->n++] = st;
	s->stats.connections++;
	if (!pk->syn)
		s->stats.midstream++;
	return st;
}

static void
stream_feed(struct streams *s, struct stream *st, const struct packet *pk)
{
	struct origin from = {pk->time, pk->port};

	st->next_seq += (uint32_t)pk->len;
	if (record_feed(&st->record, pk->data, pk->len, s->calls, from))
		return;
	s->stats.broken++;
	st->dead = true;
	ahead_drop(st);
}

static void
ahead_add(struct streams *s, struct stream *st, const struct packet *pk)
{
	struct segment *seg;

	if (st->ahead_len + pk->len > AHEAD_MAX) {
		s->stats.lost_segments++;
		st->dead = true;
		ahead_drop(st);
		return;
	}
	seg = malloc(sizeof *seg + pk->len);
	if (seg == NULL)
		err(1, "malloc");
	seg->seq = pk->seq;
	seg->len = pk->len;
	memcpy(seg->bytes, pk->data, pk->len);
	seg->next = st->ahead;
	st->ahead = seg;
	st->ahead_len += seg->len;
}

/* Cuts off what was seen before; false if nothing is left. */
static bool
trim_seen(const struct stream *st, struct packet *pk)
{
	int32_t seen = (int32_t)(st->next_seq - pk->seq);

	if (seen <= 0)
		return pk->len > 0;
	if ((size_t)seen >= pk->len)
		return false;
	pk->seq += (uint32_t)seen;
	pk->data += seen;
	pk->len -= (size_t)seen;
	return true;
}

/* Feeds the segments that waited for the bytes just fed. */
static void
ahead_use(struct streams *s, struct stream *st, struct packet pk)
{
	struct segment **at = &st->ahead;

	while (*at != NULL) {
		struct segment *seg = *at;

		if ((int32_t)(seg->seq - st->next_seq) > 0) {
			at = &seg->next;
			continue;
		}
		*at = seg->next;
		assert(st->ahead_len >= seg->len);
		st->ahead_len -= seg->len;
		pk.seq = seg->seq;
		pk.data = seg->bytes;
		pk.len = seg->len;
		if (trim_seen(st, &pk))
			stream_feed(s, st, &pk);
		free(seg);
		at = &st->ahead;
	}
}

void
streams_packet(struct streams *s, const uint8_t *ip, size_t len, double time)
{
	struct packet pk;
	struct stream *st;
	bool cut;

	if (!packet_parse(&pk, ip, len, &cut)) {
		s->stats.truncated += cut;
		return;
	}
	if (pk.to_port != s->port)
		return;
	pk.time = time;
	st = stream_find(s, &pk);
	if (st == NULL && !pk.syn && pk.len == 0)
		return; /* the end of what began before */
	if (st == NULL || (pk.syn && st->next_seq != pk.seq + 1))
		st = stream_begin(s, &pk);
	if (st->dead || pk.syn || !trim_seen(st, &pk))
		return;
	if (pk.seq != st->next_seq) {
		ahead_add(s, st, &pk);
		return;
	}
	stream_feed(s, st, &pk);
	ahead_use(s, st, pk);
}

struct stream_stats
streams_finish(struct streams *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct stream *st = s->at[i];

		if (st->ahead != NULL)
			s->stats.lost_segments++;
		if (!st->dead &&
		    (st->record.len > 0 || st->record.mark_len > 0 ||
			st->record.fragment_left > 0))
			s->stats.cut++;
	}
	return s->stats;
}
