/* For tests of records over sockets: a pool's limits, and who sends. */
#ifndef HANFS_TESTS_RECBED_H
#define HANFS_TESTS_RECBED_H

#include <unistd.h>

#include "hanfs/rec.h"

static const struct rec_pool_limits limits = {
    .recs = 64, .chunks = 80, .reserve = 8, .pipes = 4};

static inline void
send_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w <= 0)
			_exit(1);
		p += w;
		n -= (size_t)w;
	}
}

#endif
