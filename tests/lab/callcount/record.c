/*
 * Record marking (RFC 5531 section 11): cuts a byte stream into records and
 * keeps each one's first HEAD_MAX bytes.
 */
#include <string.h>

#include "callcount.h"

enum { FRAGMENT_MAX = 64 << 20 }; /* more is not NFS */

static size_t
min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Takes the four bytes of a record mark; false if they can be none. */
static bool
take_mark(struct record *r)
{
	uint32_t mark = (uint32_t)r->mark[0] << 24 |
			(uint32_t)r->mark[1] << 16 | (uint32_t)r->mark[2] << 8 |
			r->mark[3];

	r->mark_len = 0;
	r->last = mark >> 31;
	r->fragment_left = mark & 0x7fffffff;
	return r->fragment_left <= FRAGMENT_MAX;
}

static void
record_done(struct record *r, struct calls *calls, struct origin from)
{
	calls_seen(calls, r->head, r->head_len, r->len, from);
	r->head_len = 0;
	r->len = 0;
	r->last = false;
}

bool
record_feed(struct record *r, const uint8_t *p, size_t n, struct calls *calls,
    struct origin from)
{
	while (n > 0 && !r->broken) {
		size_t take;

		if (r->fragment_left == 0) {
			r->mark[r->mark_len++] = *p++;
			n--;
			if (r->mark_len < sizeof r->mark)
				continue;
			r->broken = !take_mark(r);
		} else {
			take = min_size(n, r->fragment_left);
			size_t keep =
			    min_size(take, sizeof r->head - r->head_len);

			memcpy(r->head + r->head_len, p, keep);
			r->head_len += keep;
			r->len += take;
			r->fragment_left -= (uint32_t)take;
			p += take;
			n -= take;
		}
		if (r->fragment_left == 0 && r->mark_len == 0 && r->last)
			record_done(r, calls, from);
	}
	return !r->broken;
}
