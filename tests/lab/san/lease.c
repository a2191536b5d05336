/*
 * Which epoch does a host write in? Read from what it writes itself into
 * its lease slot of the control area (server-agent/ctlarea.h draws it):
 * blocks 8..15 of 4 KiB, a record repeated in each 512 bytes:
 *
 *	 0  "HFCA"	 4  kind u16, 2: a lease
 *	44  holding u32, 1: held		64  owned epoch u64
 */
#include <string.h>

#include "san.h"

enum {
	FIRST_LEASE = 8,
	LEASES = 8,
	KIND_LEASE = 2,
	HELD = 1,
	AT_KIND = 4,
	AT_HOLDING = 44,
	AT_EPOCH = 64,
};

static uint64_t
be(const char *p, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | (uint8_t)p[i];
	return value;
}

bool
lease_epoch(const char *buf, size_t len, uint64_t offset, uint64_t *epoch)
{
	bool found = false;

	for (size_t at = 0; at + SECTOR <= len; at += SECTOR) {
		const char *p = buf + at;
		uint64_t block = (offset + at) / PAGE;

		if (block < FIRST_LEASE || block >= FIRST_LEASE + LEASES ||
		    memcmp(p, "HFCA", 4) != 0 ||
		    be(p + AT_KIND, 2) != KIND_LEASE ||
		    be(p + AT_HOLDING, 4) != HELD)
			continue;
		*epoch = be(p + AT_EPOCH, 8);
		found = true;
	}
	return found;
}
