/* See hanfs/clock.h. No other file calls clock_gettime(2). */
#include <assert.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

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

int
clock_ticker(unsigned period_ms)
{
	struct itimerspec every = {
	    .it_interval = {.tv_sec = period_ms / 1000,
		.tv_nsec = period_ms % 1000 * 1000000L}};
	int fd = timerfd_create(
	    CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);

	assert(period_ms > 0);
	every.it_value = every.it_interval;
	if (fd != -1 && timerfd_settime(fd, 0, &every, NULL) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

uint64_t
clock_ticker_read(int fd)
{
	uint64_t ticks = 0;

	if (read(fd, &ticks, sizeof(ticks)) != sizeof(ticks))
		return 0;
	return ticks;
}
