/*
 * bootid: a number that is higher at each start of the agent than at any
 * start before, kept in a file.  Heartbeats carry it; clients drop what
 * carries an older one.
 *
 * Owns <state_dir>/boot-id, one decimal number.  The new number is on disk
 * before it is returned (temporary file, fsync, rename, fsync of the
 * directory), so that a power cut cannot bring an old one back.
 *
 * Without a file (a first start, or a lost state directory) the number is
 * the time in seconds: higher than any counter that was raised by one at a
 * start could have become, so clients that remember the old one follow.
 */
#ifndef AGENT_BOOTID_H
#define AGENT_BOOTID_H

#include <stddef.h>
#include <stdint.h>

#define BOOTID_ERROR_LEN 512

/*
 * Raises the number in state_dir and returns it; `seconds` is the wall
 * clock, for a first start.  0: `error` (BOOTID_ERROR_LEN bytes) says what
 * failed and what to do; the old number is still in its place.
 */
uint64_t bootid_raise(const char *state_dir, uint64_t seconds, char *error);

/*
 * Makes sure that the next number is above floor, which this server is known
 * to have used. 0, or -1 as above.
 */
int bootid_floor(const char *state_dir, uint64_t floor, char *error);

#endif
