/* CRC-32C: the vectors of RFC 3720, appendix B.4, both ways of computing. */
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "hanfs/crc32c.h"

static void
is(const void *p, size_t len, uint32_t want)
{
	assert_int_equal(crc32c(0, p, len), want);
	assert_int_equal(crc32c_table(0, p, len), want);
}

static void
vectors(void **state)
{
	/* An iSCSI SCSI Read (10) command PDU */
	static const uint8_t pdu[48] = {0x01, 0xc0, [16] = 0x14, [22] = 0x04,
	    [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02};
	uint8_t b[32];

	(void)state;
	memset(b, 0, sizeof(b));
	is(b, sizeof(b), 0x8a9136aa);
	memset(b, 0xff, sizeof(b));
	is(b, sizeof(b), 0x62a8ab43);
	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)i;
	is(b, sizeof(b), 0x46dd794e);
	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(31 - i);
	is(b, sizeof(b), 0x113fdb5c);
	is(pdu, sizeof(pdu), 0xd9963a56);
	is("123456789", 9, 0xe3069283);
	is("", 0, 0);
}

/* Any alignment, any length, any cut: the same. */
static void
pieces(void **state)
{
	uint8_t b[300];

	(void)state;
	srand(1);
	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)rand();
	for (unsigned at = 0; at < 9; at++)
		for (unsigned len = 0; at + len <= sizeof(b); len += 7) {
			uint32_t whole = crc32c(0, b + at, len);
			unsigned cut = len ? (unsigned)rand() % len : 0;
			uint32_t part = crc32c(0, b + at, cut);

			assert_int_equal(whole, crc32c_table(0, b + at, len));
			assert_int_equal(
			    whole, crc32c(part, b + at + cut, len - cut));
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vectors),
	    cmocka_unit_test(pieces),
	};

	return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
