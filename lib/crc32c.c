/*
 * CRC-32C. See hanfs/crc32c.h. With the processor's instruction where it has
 * one, which is known at the first call; else eight tables of 256.
 */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "hanfs/crc32c.h"

enum { SLICES = 8 };

static uint32_t table[SLICES][256];
static bool have_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
set_up(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
		table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int k = 1; k < SLICES; k++)
			table[k][i] = table[k - 1][i] >> 8 ^
				      table[0][table[k - 1][i] & 0xff];
#if defined(__x86_64__)
	have_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

static uint32_t
by_table(uint32_t c, const uint8_t *p, size_t len)
{
	for (; len >= SLICES; p += SLICES, len -= SLICES) {
		c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 |
		     (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
		c = table[7][c & 0xff] ^ table[6][c >> 8 & 0xff] ^
		    table[5][c >> 16 & 0xff] ^ table[4][c >> 24] ^
		    table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
		    table[0][p[7]];
	}
	while (len-- > 0)
		c = c >> 8 ^ table[0][(c ^ *p++) & 0xff];
	return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t c, const uint8_t *p, size_t len)
{
	uint64_t wide = c, word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}
	c = (uint32_t)wide;
	while (len-- > 0)
		c = __builtin_ia32_crc32qi(c, *p++);
	return c;
}
#endif

uint32_t
crc32c_table(uint32_t crc, const void *p, size_t len)
{
	pthread_once(&once, set_up);
	return ~by_table(~crc, p, len);
}

uint32_t
crc32c(uint32_t crc, const void *p, size_t len)
{
	pthread_once(&once, set_up);
#if defined(__x86_64__)
	if (have_instruction)
		return ~by_instruction(~crc, p, len);
#endif
	return ~by_table(~crc, p, len);
}
