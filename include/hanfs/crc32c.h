/*
 * CRC-32C (Castagnoli), as RFC 3720, section 12.1 and appendix B.4 have it:
 * reflected polynomial 0x82f63b78, start and end inverted. It finds what a
 * disk or a cut damaged; it is no defence against anybody.
 */
#ifndef HANFS_CRC32C_H
#define HANFS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * The checksum of len bytes that follow bytes whose checksum is crc; crc is
 * 0 at the start: crc32c(crc32c(0, a, n), b, m) is that of a and b together.
 */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);

/* The same without the processor's instruction, for tests. */
uint32_t crc32c_table(uint32_t crc, const void *p, size_t len);

#endif
