/*
 * Bytes of a record copied out of its chunks and into them. See hanfs/rec.h.
 */
#include <string.h>

#include "hanfs/rec.h"

size_t
rec_copy_out(const struct rec *r, size_t offset, void *to, size_t n)
{
	size_t at = 0, done = 0;

	for (unsigned i = 0; done < n; i++) {
		const struct rec_seg *s = NULL;
		const uint8_t *p = r->raw + 4;
		size_t len = r->head_len, skip, take;

		if (i > 0) {
			if (r->body == NULL || i > r->body->nsegs)
				break;
			s = &r->body->seg[i - 1];
			if (s->kind != REC_SEG_CHUNK)
				break;
			p = s->chunk;
			len = s->len;
		}
		if (offset + done < at + len) {
			skip = offset + done - at;
			take = len - skip < n - done ? len - skip : n - done;
			memcpy((uint8_t *)to + done, p + skip, take);
			done += take;
		}
		at += len;
	}
	return done;
}

int
rec_append(struct rec *r, const void *from, size_t n)
{
	const uint8_t *p = from;

	if (n > REC_MAX - r->len)
		return -1;
	while (n > 0) {
		struct rec_seg *s = NULL;
		uint8_t *to = rec_head(r) + r->head_len;
		size_t room = REC_HEAD - r->head_len, take;

		if (room == 0) {
			if (r->body != NULL && r->body->nsegs > 0)
				s = &r->body->seg[r->body->nsegs - 1];
			if (s == NULL || s->kind != REC_SEG_CHUNK ||
			    s->len == REC_CHUNK)
				s = rec_add_chunk(r, r->len > REC_CHUNK);
			if (s == NULL)
				return -1;
			to = s->chunk + s->len;
			room = REC_CHUNK - s->len;
		}
		take = n < room ? n : room;
		memcpy(to, p, take);
		if (s != NULL)
			s->len += (uint32_t)take;
		else
			r->head_len += (uint32_t)take;
		r->len += (uint32_t)take;
		p += take;
		n -= take;
	}
	return 0;
}
