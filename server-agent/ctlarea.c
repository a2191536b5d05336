/* The control area's codec: layout and contract are in ctlarea.h. */
#include <assert.h>
#include <string.h>

#include "hanfs/config.h"
#include "hanfs/crc32c.h"
#include "hanfs/cursor.h"
#include "server-agent/ctlarea.h"

_Static_assert(CTL_SLOTS == CONFIG_CANDIDATES_MAX, "a slot for each");
_Static_assert(CTL_NAME_MAX == CONFIG_NAME_MAX, "names fit");

enum {
	COPIES = CTL_BLOCK / CTL_COPY,
	HEAD = 40,
	CRC_AT = CTL_COPY - 4,
	BODY_MAX = CRC_AT - HEAD,
	VERSION = 1,
};

enum kind { KIND_SUPER = 1, KIND_LEASE, KIND_MAIL };

#define MAGIC 0x48464341u /* HFCA */

const char *const ctl_holding_names[CTL_NHOLDINGS] = {
    [CTL_NOTHING] = "nothing",
    [CTL_HELD] = "held",
    [CTL_STALE] = "stale",
    [CTL_RELEASED] = "released",
};

const char *const ctl_status_names[CTL_NSTATUS] = {
    [CTL_GOOD] = "good",
    [CTL_MIXED] = "mixed",
    [CTL_EMPTY] = "empty",
    [CTL_DAMAGED] = "damaged",
    [CTL_FOREIGN] = "foreign",
    [CTL_NEWER] = "newer",
};

/* --- writing */

struct writer {
	uint8_t body[BODY_MAX];
	size_t len;
};

static void
put_bytes(struct writer *w, const void *p, size_t n)
{
	assert(n <= BODY_MAX - w->len);
	memcpy(w->body + w->len, p, n);
	w->len += n;
}

static void
put32(struct writer *w, uint32_t v)
{
	uint8_t b[4];

	be32_put(b, v);
	put_bytes(w, b, sizeof(b));
}

static void
put64(struct writer *w, uint64_t v)
{
	put32(w, (uint32_t)(v >> 32));
	put32(w, (uint32_t)v);
}

static void
put_name(struct writer *w, const char *name)
{
	uint8_t len = (uint8_t)strnlen(name, CTL_NAME_MAX);

	put_bytes(w, &len, 1);
	put_bytes(w, name, len);
}

/* The record into all copies of its block. */
static void
put_block(uint8_t *block, const struct writer *w, enum kind kind,
    unsigned number, const uint8_t *area, uint64_t seq)
{
	uint8_t copy[CTL_COPY] = {0};

	be32_put(copy, MAGIC);
	be32_put(copy + 4, (uint32_t)kind << 16 | VERSION);
	be32_put(copy + 8, number);
	be32_put(copy + 12, (uint32_t)w->len);
	memcpy(copy + 16, area, CTL_AREA_ID_LEN);
	be32_put(copy + 32, (uint32_t)(seq >> 32));
	be32_put(copy + 36, (uint32_t)seq);
	memcpy(copy + HEAD, w->body, w->len);
	be32_put(copy + CRC_AT, crc32c(0, copy, CRC_AT));
	for (unsigned i = 0; i < COPIES; i++)
		memcpy(block + (size_t)i * CTL_COPY, copy, CTL_COPY);
}

void
ctl_super_put(uint8_t *block, const struct ctl_super *super)
{
	struct writer w = {.len = 0};

	put64(&w, super->format_wall_ms);
	put64(&w, super->epoch_floor);
	put32(&w, super->volume_id);
	put32(&w, CTL_BLOCK);
	put32(&w, CTL_SLOTS);
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		put32(&w, super->server_id[i]);
	put_name(&w, super->cluster);
	put_name(&w, super->volume);
	put_block(block, &w, KIND_SUPER, 0, super->area, 1);
}

void
ctl_lease_put(uint8_t *block, const uint8_t *area, unsigned slot,
    const struct ctl_lease *lease)
{
	struct writer w = {.len = 0};

	assert(slot < CTL_SLOTS && lease->holding < CTL_NHOLDINGS);
	put32(&w, lease->server_id);
	put32(&w, lease->holding);
	put64(&w, lease->boot);
	put64(&w, lease->instance);
	put64(&w, lease->owned_epoch);
	put64(&w, lease->owned_ballot);
	put64(&w, lease->claim_epoch);
	put64(&w, lease->claim_ballot);
	put32(&w, lease->granted_to);
	put32(&w, lease->lease_ms);
	put32(&w, lease->watchdog_ms);
	put64(&w, lease->wall_ms);
	put_block(
	    block, &w, KIND_LEASE, CTL_FIRST_LEASE + slot, area, lease->seq);
}

void
ctl_mail_put(uint8_t *block, const uint8_t *area, unsigned slot,
    const struct ctl_mail *mail)
{
	struct writer w = {.len = 0};

	assert(slot < CTL_SLOTS);
	put32(&w, mail->server_id);
	put32(&w, mail->state);
	put32(&w, mail->loop_age_ms);
	put64(&w, mail->boot);
	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		put64(&w, mail->ping[i]);
		put64(&w, mail->pong[i]);
		put64(&w, mail->ask[i]);
		put64(&w, mail->heard[i]);
	}
	put_block(block, &w, KIND_MAIL, CTL_FIRST_MAIL + slot, area, mail->seq);
}

/* --- reading */

/* What the reader of a block expects; area NULL: any. */
struct expect {
	enum kind kind;
	unsigned number;
	const uint8_t *area;
};

static bool
is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static enum ctl_status
look_at_copy(const uint8_t *copy, const struct expect *e)
{
	uint32_t kind = be32_get(copy + 4);

	if (is_zero(copy, CTL_COPY))
		return CTL_EMPTY;
	if (be32_get(copy) != MAGIC ||
	    be32_get(copy + CRC_AT) != crc32c(0, copy, CRC_AT))
		return CTL_DAMAGED;
	if ((kind & 0xffff) > VERSION)
		return CTL_NEWER;
	if (kind >> 16 != (uint32_t)e->kind ||
	    be32_get(copy + 8) != e->number ||
	    (e->area != NULL &&
		memcmp(copy + 16, e->area, CTL_AREA_ID_LEN) != 0))
		return CTL_FOREIGN;
	return be32_get(copy + 12) <= BODY_MAX ? CTL_GOOD : CTL_DAMAGED;
}

static uint64_t
copy_seq(const uint8_t *copy)
{
	return (uint64_t)be32_get(copy + 32) << 32 | be32_get(copy + 36);
}

/*
 * The newest good copy of a block, and how its copies stand to each other.
 * Without one the worst is said: damage before what only is not ours.
 */
static enum ctl_status
choose_copy(
    const uint8_t *block, const struct expect *e, const uint8_t **newest)
{
	unsigned seen[CTL_NSTATUS] = {0}, equal = 0;

	*newest = NULL;
	for (unsigned i = 0; i < COPIES; i++) {
		const uint8_t *copy = block + (size_t)i * CTL_COPY;
		enum ctl_status status = look_at_copy(copy, e);

		seen[status]++;
		if (status != CTL_GOOD)
			continue;
		if (*newest == NULL || copy_seq(copy) > copy_seq(*newest))
			*newest = copy;
	}
	if (seen[CTL_NEWER] > 0)
		return CTL_NEWER;
	for (unsigned i = 0; *newest != NULL && i < COPIES; i++)
		equal += memcmp(*newest, block + (size_t)i * CTL_COPY,
			     CTL_COPY) == 0;
	if (*newest != NULL)
		return equal == COPIES ? CTL_GOOD : CTL_MIXED;
	if (seen[CTL_EMPTY] == COPIES)
		return CTL_EMPTY;
	return seen[CTL_FOREIGN] > 0 ? CTL_FOREIGN : CTL_DAMAGED;
}

static struct cursor
copy_body(const uint8_t *copy)
{
	return cursor_make(copy + HEAD, be32_get(copy + 12));
}

static bool
get_name(struct cursor *c, char *name)
{
	const uint8_t *len, *p;

	if (!cursor_take(c, 1, &len) || *len > CTL_NAME_MAX ||
	    !cursor_take(c, *len, &p))
		return false;
	memcpy(name, p, *len);
	name[*len] = '\0';
	return memchr(name, '\0', *len) == NULL;
}

static bool
get_super(struct cursor c, struct ctl_super *s)
{
	uint32_t block, slots;

	if (!cursor_u64(&c, &s->format_wall_ms) ||
	    !cursor_u64(&c, &s->epoch_floor) ||
	    !cursor_u32(&c, &s->volume_id) || !cursor_u32(&c, &block) ||
	    !cursor_u32(&c, &slots) || block != CTL_BLOCK || slots != CTL_SLOTS)
		return false;
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		if (!cursor_u32(&c, &s->server_id[i]))
			return false;
	return get_name(&c, s->cluster) && get_name(&c, s->volume) &&
	       c.left == 0;
}

static bool
get_lease(struct cursor c, struct ctl_lease *l)
{
	uint32_t holding;

	if (!cursor_u32(&c, &l->server_id) || !cursor_u32(&c, &holding) ||
	    !cursor_u64(&c, &l->boot) || !cursor_u64(&c, &l->instance) ||
	    !cursor_u64(&c, &l->owned_epoch) ||
	    !cursor_u64(&c, &l->owned_ballot) ||
	    !cursor_u64(&c, &l->claim_epoch) ||
	    !cursor_u64(&c, &l->claim_ballot) ||
	    !cursor_u32(&c, &l->granted_to) || !cursor_u32(&c, &l->lease_ms) ||
	    !cursor_u32(&c, &l->watchdog_ms) || !cursor_u64(&c, &l->wall_ms))
		return false;
	l->holding = (enum ctl_holding)holding;
	return holding < CTL_NHOLDINGS && c.left == 0 &&
	       (holding == CTL_NOTHING) == (l->owned_epoch == 0);
}

static bool
get_mail(struct cursor c, struct ctl_mail *m)
{
	if (!cursor_u32(&c, &m->server_id) || !cursor_u32(&c, &m->state) ||
	    !cursor_u32(&c, &m->loop_age_ms) || !cursor_u64(&c, &m->boot))
		return false;
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		if (!cursor_u64(&c, &m->ping[i]) ||
		    !cursor_u64(&c, &m->pong[i]) ||
		    !cursor_u64(&c, &m->ask[i]) ||
		    !cursor_u64(&c, &m->heard[i]))
			return false;
	return c.left == 0;
}

enum ctl_status
ctl_super_get(const uint8_t *block, struct ctl_super *out)
{
	const struct expect e = {.kind = KIND_SUPER, .number = 0};
	const uint8_t *copy;
	enum ctl_status status = choose_copy(block, &e, &copy);

	memset(out, 0, sizeof(*out));
	if (!ctl_usable(status))
		return status;
	memcpy(out->area, copy + 16, CTL_AREA_ID_LEN);
	if (get_super(copy_body(copy), out))
		return status;
	memset(out, 0, sizeof(*out));
	return CTL_DAMAGED;
}

enum ctl_status
ctl_lease_get(const uint8_t *block, const uint8_t *area, unsigned slot,
    struct ctl_lease *out)
{
	const struct expect e = {KIND_LEASE, CTL_FIRST_LEASE + slot, area};
	const uint8_t *copy;
	enum ctl_status status = choose_copy(block, &e, &copy);

	memset(out, 0, sizeof(*out));
	if (!ctl_usable(status))
		return status;
	out->seq = copy_seq(copy);
	if (get_lease(copy_body(copy), out))
		return status;
	memset(out, 0, sizeof(*out));
	return CTL_DAMAGED;
}

enum ctl_status
ctl_mail_get(const uint8_t *block, const uint8_t *area, unsigned slot,
    struct ctl_mail *out)
{
	const struct expect e = {KIND_MAIL, CTL_FIRST_MAIL + slot, area};
	const uint8_t *copy;
	enum ctl_status status = choose_copy(block, &e, &copy);

	memset(out, 0, sizeof(*out));
	if (!ctl_usable(status))
		return status;
	out->seq = copy_seq(copy);
	if (get_mail(copy_body(copy), out))
		return status;
	memset(out, 0, sizeof(*out));
	return CTL_DAMAGED;
}

/* --- what stands in it */

unsigned
ctl_slot_of(const struct ctl_super *super, uint32_t server_id)
{
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		if (server_id != 0 && super->server_id[i] == server_id)
			return i;
	return CTL_NO_SLOT;
}

unsigned
ctl_newest(const struct ctl_slot slots[CTL_SLOTS])
{
	unsigned newest = CTL_NO_SLOT;

	for (unsigned i = 0; i < CTL_SLOTS; i++) {
		const struct ctl_lease *l = &slots[i].lease, *n;

		if (!ctl_usable(slots[i].status) || l->owned_epoch == 0)
			continue;
		n = newest == CTL_NO_SLOT ? NULL : &slots[newest].lease;
		if (n == NULL || l->owned_epoch > n->owned_epoch ||
		    (l->owned_epoch == n->owned_epoch &&
			l->owned_ballot > n->owned_ballot))
			newest = i;
	}
	return newest;
}
