/*
 * The one clock of all programs: CLOCK_BOOTTIME, which never goes back and
 * counts time spent suspended, so that nothing looks fresh after a resume.
 *
 * Only a daemon's shell asks it; decisions get the time as an argument.
 */
#ifndef HANFS_CLOCK_H
#define HANFS_CLOCK_H

#include <stdint.h>

/* Time since some moment before this boot's first process. */
uint64_t clock_now_ms(void);
uint64_t clock_now_us(void);

/* The wall clock, since 1970: for people, and for numbers that must have
 * grown by the next boot. Never for intervals. In microseconds: to place a
 * time stamp that the kernel made by it, of a packet. */
uint64_t clock_wall_ms(void);
uint64_t clock_wall_us(void);

/*
 * A descriptor that becomes readable each period_ms; -1 with errno. Reading
 * it gives the ticks since it was read last. Better than a timer of the
 * event loop, which is set and taken back around every wait: that is a good
 * part of what a small call costs where the machine is a virtual one.
 */
int clock_ticker(unsigned period_ms);
uint64_t clock_ticker_read(int fd);

#endif
