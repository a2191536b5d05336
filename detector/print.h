/*
 * print: heartbeats as lines for a person.  Pure: text out of values.
 *
 *	14:03:22.123456 neta A s1 boot 5 seq 120 home 7 serving, work 3
 *	standby; jitter 0.05 ms, lost 0		(on one line)
 */
#ifndef DETECTOR_PRINT_H
#define DETECTOR_PRINT_H

#include <stdio.h>

#include "book.h"
#include "hanfs/config.h"

/* Time of day, local, of a wall clock's microseconds: "14:03:22.123456". */
#define PRINT_TIME_SIZE 24
const char *print_time(uint64_t wall_us, char *buf);

/* One line for the entry's last heartbeat, heard on interface ifname. */
void print_heartbeat(FILE *out, const struct config *cfg, const char *ifname,
    uint64_t wall_us, const struct book_entry *e);

/* One line for a packet that was dropped; source may be of family 0. */
void print_drop(FILE *out, const char *ifname, uint64_t wall_us,
    enum hb_reason reason, const struct hanfs_addr *source);

/* One line for all that came from one server on one interface. */
void print_total(FILE *out, const struct config *cfg, const char *ifname,
    const struct book_entry *e);

#endif
