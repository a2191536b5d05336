/*
 * Records and slots as bytes. See logrec.h. Pure.
 */
#include <assert.h>
#include <string.h>

#include "hanfs/crc32c.h"
#include "server-agent/logrec.h"

enum {
	MAGIC = 0x68616e4c, /* "hanL" */
	CRC_AT = LOGSLOT_LEN - 4,
	/* What each record begins with. */
	MAP_AT = 3 * 8 + CLIENT_ID_LEN + 2 * 8 + 3 * 4 + 16 + 4,
	FIXED = MAP_AT + 4 + LOGREC_MAP_LEN,
};

/* A completion is never longer than one slot: it replaces the head alone,
 * at once. And what comes first is all in the head. */
_Static_assert(FIXED + 4 + 4 + LOGREC_REPLY_MAX <= LOGSLOT_ROOM,
    "a completion does not fit into one slot");
_Static_assert(
    FIXED + 8 + 8 + 4 + LOGREC_NAME_LEN * LOGREC_NAMES_MAX <= LOGSLOT_ROOM,
    "a tomb does not fit into one slot");
_Static_assert(FIXED + 8 + RPC_AUTH_MAX + 8 + LOGREC_ARGS_MAX +
		       LOGREC_REST_LEN + 4 + LOGREC_PRE_MAX <=
		   LOGREC_MAX,
    "an intent does not fit into its slots");

const char *const logrec_kind_names[LOGREC_KINDS] = {
    "free", "intent", "done", "tomb"};

const char *const logrec_how_names[LOGREC_HOWS] = {
    "ran", "rebuilt", "operator"};

const char *const logrec_error_names[LOGREC_ERRORS] = {
    "no error",
    "of the wrong length",
    "not a slot of this log",
    "damaged (checksum)",
    "written by a later version of hanfs",
    "another volume's",
    "another slot's",
    "damaged (header)",
    "damaged (contents)",
    "damaged (a part of the record is missing)",
    "damaged (two records with one number)",
    "not readable",
};

/* --- writing */

/* Counts what would be written; writes what there is room for. */
struct writer {
	uint8_t *p;
	size_t at, size;
};

static void
put_bytes(struct writer *w, const void *p, size_t len)
{
	if (w->at <= w->size && len <= w->size - w->at && len > 0)
		memcpy(w->p + w->at, p, len);
	w->at += len;
}

static void
put_u32(struct writer *w, uint32_t v)
{
	uint8_t b[4];

	be32_put(b, v);
	put_bytes(w, b, sizeof(b));
}

static void
put_u64(struct writer *w, uint64_t v)
{
	uint8_t b[8];

	be64_put(b, v);
	put_bytes(w, b, sizeof(b));
}

static void
put_opaque(struct writer *w, const struct nfs3_bytes *b)
{
	static const uint8_t zero[4];

	put_u32(w, b->len);
	put_bytes(w, b->p, b->len);
	put_bytes(w, zero, (0u - b->len) & 3u);
}

static void
put_fixed(struct writer *w, const struct logrec *r)
{
	put_u64(w, r->epoch);
	put_u64(w, r->wall_ms);
	put_u64(w, r->boot_ms);
	put_bytes(w, r->client, sizeof(r->client));
	put_u64(w, r->kconn);
	put_u64(w, r->incarnation);
	put_u32(w, r->id.xid);
	put_u32(w, r->id.prog);
	put_u32(w, r->id.proc);
	put_bytes(w, r->id.digest.b, sizeof(r->id.digest.b));
	put_u32(w, r->class);
	put_u32(w, r->map.first);
	put_bytes(w, r->map.bits, sizeof(r->map.bits));
}

static void
put_record(struct writer *w, const struct logrec *r)
{
	put_fixed(w, r);
	switch (r->kind) {
	case LOGREC_INTENT:
		put_u32(w, r->cred_flavor);
		put_opaque(w, &r->cred);
		put_u32(w, r->args_len);
		put_opaque(w, &r->args);
		if (r->args.len < r->args_len)
			put_bytes(w, r->rest, sizeof(r->rest));
		put_opaque(w, &r->pre);
		break;
	case LOGREC_DONE:
		put_u32(w, r->how);
		put_opaque(w, &r->reply);
		break;
	case LOGREC_TOMB:
		put_u64(w, r->expired);
		put_u64(w, r->last_wall_ms);
		put_opaque(w, &r->names);
		break;
	case LOGREC_FREE:
	case LOGREC_KINDS:
		break;
	}
}

static bool
within_bounds(const struct logrec *r)
{
	switch (r->kind) {
	case LOGREC_INTENT:
		return r->cred.len <= RPC_AUTH_MAX &&
		       r->args.len <= LOGREC_ARGS_MAX &&
		       r->args.len <= r->args_len &&
		       r->pre.len <= LOGREC_PRE_MAX;
	case LOGREC_DONE:
		return r->reply.len <= LOGREC_REPLY_MAX && r->how < LOGREC_HOWS;
	case LOGREC_TOMB:
		return r->names.len % LOGREC_NAME_LEN == 0 &&
		       r->names.len / LOGREC_NAME_LEN <= LOGREC_NAMES_MAX;
	case LOGREC_FREE:
	case LOGREC_KINDS:
		break;
	}
	return false;
}

/* The lowest that has it. */
static uint8_t
version_of(enum logrec_kind kind)
{
	return kind == LOGREC_TOMB ? 2 : 1;
}

static unsigned
parts_of(size_t len)
{
	return (unsigned)((len + LOGSLOT_ROOM - 1) / LOGSLOT_ROOM);
}

unsigned
logrec_parts(const struct logrec *r)
{
	struct writer w = {0};

	if (!within_bounds(r))
		return 0;
	put_record(&w, r);
	return parts_of(w.at);
}

struct header {
	uint32_t volume, slot, first, len;
	uint64_t seq, write;
	uint8_t kind, part, parts;
};

/* Header, padding and checksum around len bytes at out + LOGSLOT_HEAD. */
static void
seal(uint8_t *out, const struct header *h, size_t len)
{
	be32_put(out, MAGIC);
	out[4] = version_of(h->kind);
	out[5] = h->kind;
	out[6] = h->part;
	out[7] = h->parts;
	be32_put(out + 8, h->volume);
	be32_put(out + 12, h->slot);
	be32_put(out + 16, h->first);
	be32_put(out + 20, h->len);
	be64_put(out + 24, h->seq);
	be64_put(out + 32, h->write);
	memset(out + LOGSLOT_HEAD + len, 0, LOGSLOT_ROOM - len);
	be32_put(out + CRC_AT, crc32c(0, out, CRC_AT));
}

unsigned
logrec_encode(const struct logrec *r, const uint32_t *slots, uint8_t *out)
{
	uint8_t buf[LOGREC_MAX];
	struct writer w = {.p = buf, .size = sizeof(buf)};
	struct header h = {.volume = r->volume,
	    .first = slots[0],
	    .seq = r->seq,
	    .write = r->write,
	    .kind = (uint8_t)r->kind};

	if (!within_bounds(r) || r->seq == 0 || r->write == 0)
		return 0;
	put_record(&w, r);
	assert(w.at <= sizeof(buf));
	h.len = (uint32_t)w.at;
	h.parts = (uint8_t)parts_of(w.at);
	for (; h.part < h.parts; h.part++) {
		size_t at = h.part * (size_t)LOGSLOT_ROOM;
		size_t len = w.at - at;

		len = len < LOGSLOT_ROOM ? len : LOGSLOT_ROOM;
		memcpy(out + LOGSLOT_HEAD, buf + at, len);
		h.slot = slots[h.part];
		seal(out, &h, len);
		out += LOGSLOT_LEN;
	}
	return h.parts;
}

void
logrec_encode_free(uint32_t volume, uint32_t slot, uint64_t seq, uint64_t write,
    uint8_t out[LOGSLOT_LEN])
{
	struct header h = {.volume = volume,
	    .slot = slot,
	    .first = slot,
	    .seq = seq,
	    .write = write,
	    .kind = LOGREC_FREE,
	    .parts = 1};

	seal(out, &h, 0);
}

/* --- reading */

static enum logrec_error
check_header(const uint8_t *p, struct logslot *s)
{
	if (p[5] >= LOGREC_KINDS || s->parts == 0 ||
	    s->parts > LOGREC_PARTS_MAX || s->part >= s->parts ||
	    s->record_len > LOGREC_MAX ||
	    (s->part == 0) != (s->first == s->slot))
		return LOGREC_E_HEADER;
	s->kind = p[5];
	if (s->version > version_of(s->kind))
		return LOGREC_E_HEADER;
	if (s->kind == LOGREC_FREE)
		return s->record_len == 0 && s->parts == 1 ? LOGREC_OK
							   : LOGREC_E_HEADER;
	if (s->record_len < FIXED || s->parts != parts_of(s->record_len) ||
	    (s->kind != LOGREC_INTENT && s->parts != 1) || s->seq == 0 ||
	    s->write == 0)
		return LOGREC_E_HEADER;
	return LOGREC_OK;
}

enum logrec_error
logslot_parse(const uint8_t *value, size_t len, uint32_t volume, uint32_t slot,
    struct logslot *out)
{
	enum logrec_error e;
	size_t at;

	memset(out, 0, sizeof(*out));
	if (len != LOGSLOT_LEN)
		return LOGREC_E_LENGTH;
	if (be32_get(value) != MAGIC)
		return LOGREC_E_MAGIC;
	if (be32_get(value + CRC_AT) != crc32c(0, value, CRC_AT))
		return LOGREC_E_CRC;
	out->version = value[4];
	if (out->version == 0 || out->version > LOGREC_VERSION)
		return LOGREC_E_VERSION;
	if (be32_get(value + 8) != volume)
		return LOGREC_E_VOLUME;
	out->slot = be32_get(value + 12);
	if (out->slot != slot)
		return LOGREC_E_SLOT;
	out->part = value[6];
	out->parts = value[7];
	out->first = be32_get(value + 16);
	out->record_len = be32_get(value + 20);
	out->seq = be64_get(value + 24);
	out->write = be64_get(value + 32);
	e = check_header(value, out);
	if (e != LOGREC_OK)
		return e;
	at = out->part * (size_t)LOGSLOT_ROOM;
	out->bytes = value + LOGSLOT_HEAD;
	out->len = out->part + 1 < out->parts
		       ? LOGSLOT_ROOM
		       : (uint32_t)(out->record_len - at);
	return LOGREC_OK;
}

static bool
take_copy(struct cursor *c, void *to, size_t len)
{
	const uint8_t *p;

	if (!cursor_take(c, len, &p))
		return false;
	memcpy(to, p, len);
	return true;
}

static bool
take_fixed(struct cursor *c, struct logrec *r)
{
	uint32_t class;

	if (!cursor_u64(c, &r->epoch) || !cursor_u64(c, &r->wall_ms) ||
	    !cursor_u64(c, &r->boot_ms) ||
	    !take_copy(c, r->client, sizeof(r->client)) ||
	    !cursor_u64(c, &r->kconn) || !cursor_u64(c, &r->incarnation) ||
	    !cursor_u32(c, &r->id.xid) || !cursor_u32(c, &r->id.prog) ||
	    !cursor_u32(c, &r->id.proc) ||
	    !take_copy(c, r->id.digest.b, sizeof(r->id.digest.b)) ||
	    !cursor_u32(c, &class) || class > CALL_LOGGED ||
	    !cursor_u32(c, &r->map.first) ||
	    !take_copy(c, r->map.bits, sizeof(r->map.bits)))
		return false;
	r->class = class;
	return true;
}

static bool
take_bytes(struct cursor *c, uint32_t max, struct nfs3_bytes *b)
{
	return cursor_opaque(c, max, &b->p, &b->len);
}

static bool
take_intent(struct cursor *c, struct logrec *r)
{
	return cursor_u32(c, &r->cred_flavor) &&
	       take_bytes(c, RPC_AUTH_MAX, &r->cred) &&
	       cursor_u32(c, &r->args_len) &&
	       take_bytes(c, LOGREC_ARGS_MAX, &r->args) &&
	       r->args.len <= r->args_len &&
	       (r->args.len == r->args_len ||
		   take_copy(c, r->rest, sizeof(r->rest))) &&
	       take_bytes(c, LOGREC_PRE_MAX, &r->pre);
}

static bool
take_done(struct cursor *c, struct logrec *r)
{
	uint32_t how;

	if (!cursor_u32(c, &how) || how >= LOGREC_HOWS)
		return false;
	r->how = how;
	return take_bytes(c, LOGREC_REPLY_MAX, &r->reply);
}

static bool
take_tomb(struct cursor *c, unsigned version, struct logrec *r)
{
	return cursor_u64(c, &r->expired) && cursor_u64(c, &r->last_wall_ms) &&
	       (version < 2 || take_bytes(c, LOGREC_NAME_LEN * LOGREC_NAMES_MAX,
				   &r->names)) &&
	       r->names.len % LOGREC_NAME_LEN == 0;
}

static bool
take_record(struct cursor *c, unsigned version, struct logrec *r)
{
	switch (r->kind) {
	case LOGREC_INTENT:
		return take_intent(c, r);
	case LOGREC_DONE:
		return take_done(c, r);
	case LOGREC_TOMB:
		return take_tomb(c, version, r);
	case LOGREC_FREE:
	case LOGREC_KINDS:
		break;
	}
	return false;
}

enum logrec_error
logrec_parse(const struct logslot *head, uint32_t volume, const uint8_t *bytes,
    size_t len, struct logrec *r)
{
	struct cursor c = cursor_make(bytes, len);

	memset(r, 0, sizeof(*r));
	r->kind = head->kind;
	r->volume = volume;
	r->seq = head->seq;
	r->write = head->write;
	if (len != head->record_len || !take_fixed(&c, r) ||
	    !take_record(&c, head->version, r) || c.left != 0)
		return LOGREC_E_BODY;
	return LOGREC_OK;
}

const uint8_t *
logrec_map_of(const struct logslot *head, uint32_t *first)
{
	if (head->part != 0 || head->len < FIXED)
		return NULL;
	*first = be32_get(head->bytes + MAP_AT);
	return head->bytes + MAP_AT + 4;
}
