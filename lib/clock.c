/* See hanfs/clock.h. No other file calls clock_gettime(2). */
#include <assert.h>
#include <time.h>

#include "hanfs/clock.h"

uint64_t
clock_now_us(void)
{
	struct timespec ts;
	int rc = clock_gettime(CLOCK_BOOTTIME, &ts);

	assert(rc == 0);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t
clock_now_ms(void)
{
	return clock_now_us() / 1000;
}

uint64_t
clock_wall_us(void)
{
	struct timespec ts;
	int rc = clock_gettime(CLOCK_REALTIME, &ts);

	assert(rc == 0);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t
clock_wall_ms(void)
{
	return clock_wall_us() / 1000;
}
