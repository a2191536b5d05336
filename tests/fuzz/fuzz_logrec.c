/*
 * A log of any bytes: read whole or refused, never beyond its end.
 *
 * The input is a list of slots: a length of two bytes, then so many bytes of
 * the value; the rest of it is zero, and the checksum is made right, so that
 * what comes after it is reached. A length with the highest bit set leaves
 * the checksum, and the value's length, as they are.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hanfs/crc32c.h"
#include "server-agent/logscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SLOTS = 8, VOLUME = 3 };

static void
add(struct logscan *s, uint32_t slot, const uint8_t *p, size_t len, int raw)
{
	uint8_t value[LOGSLOT_LEN] = {0};

	if (raw) {
		(void)logscan_add(s, slot, p, len);
		return;
	}
	len = len < sizeof(value) ? len : sizeof(value);
	memcpy(value, p, len);
	be32_put(
	    value + sizeof(value) - 4, crc32c(0, value, sizeof(value) - 4));
	(void)logscan_add(s, slot, value, sizeof(value));
}

static void
look_at(const struct logscan_record *r)
{
	volatile uint8_t sum = 0;

	for (uint32_t i = 0; i < r->rec.args.len; i++)
		sum ^= r->rec.args.p[i];
	for (uint32_t i = 0; i < r->rec.reply.len; i++)
		sum ^= r->rec.reply.p[i];
	for (uint32_t i = 0; i < r->rec.pre.len; i++)
		sum ^= r->rec.pre.p[i];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct logscan *s = logscan_new(VOLUME, SLOTS);

	for (uint32_t slot = 0; slot < SLOTS && size >= 2; slot++) {
		size_t len = (size_t)(data[0] & 0x7f) << 8 | data[1];
		int raw = data[0] >> 7;

		data += 2;
		size -= 2;
		len = len < size ? len : size;
		add(s, slot, data, len, raw);
		data += len;
		size -= len;
	}
	(void)logscan_finish(s);
	for (unsigned i = 0; i < logscan_nrecords(s); i++)
		look_at(logscan_record(s, i));
	logscan_free(s);
	return 0;
}
