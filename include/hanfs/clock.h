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

#endif
