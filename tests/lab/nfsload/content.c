/*
 * The bytes of files: each block is filled from a number made of the file,
 * the block's place and the version written there, a different 8 byte word
 * at each position, so that a stale, shifted or foreign block shows.
 */
#include <string.h>

#include "nfsload.h"

enum { WORDS = BLOCK / 8 };

static uint64_t
mix(uint64_t x) /* splitmix64's finish */
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static void
block_fill(uint64_t *w, uint64_t file, uint32_t block, uint32_t version)
{
	uint64_t v = mix(mix(file) ^ ((uint64_t)version << 32 | block));

	for (int i = 0; i < WORDS; i++, v += 0x9e3779b97f4a7c15)
		w[i] = v;
}

void
content_fill(uint8_t *buf, uint64_t file, uint32_t first_block, uint32_t blocks,
    uint32_t version)
{
	uint64_t w[WORDS];

	for (uint32_t i = 0; i < blocks; i++) {
		block_fill(w, file, first_block + i, version);
		memcpy(buf + (size_t)i * BLOCK, w, BLOCK);
	}
}

/* What a block must be now: its version as far as that was kept, zeros. */
static void
block_expect(uint64_t *w, uint64_t file, uint32_t block, const struct block *b)
{
	if (b->version == 0 || b->len == 0) {
		memset(w, 0, BLOCK);
		return;
	}
	block_fill(w, file, block, b->version);
	memset((uint8_t *)w + b->len, 0, BLOCK - b->len);
}

int64_t
content_check(const uint8_t *buf, size_t len, uint64_t file,
    const struct block *blocks, uint64_t off)
{
	uint64_t w[WORDS];

	for (size_t at = 0; at < len; at += BLOCK) {
		uint32_t block = (uint32_t)((off + at) / BLOCK);
		size_t n = len - at < BLOCK ? len - at : BLOCK;

		block_expect(w, file, block, &blocks[block]);
		if (memcmp(buf + at, w, n) == 0)
			continue;
		for (size_t i = 0; i < n; i++)
			if (buf[at + i] != ((uint8_t *)w)[i])
				return (int64_t)(at + i);
	}
	return -1;
}
