/*
 * fscheck: is a file system fit to hold a volume with its log? Pure: it
 * reads a superblock's bytes and the mount options, and says what is wrong
 * with each thing's cure. --format and preflight ask it.
 *
 * What is refused either breaks the journal's order or its durability
 * (DESIGN section 5), or the constant cost of a slot. What is only warned
 * about makes a takeover slow (section 6, "Time of a mount is journal size").
 */
#ifndef HANFS_AGENT_FSCHECK_H
#define HANFS_AGENT_FSCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/config.h"

/* The first bytes of the device that the check wants. */
#define FSCHECK_BYTES     4096u
#define FSCHECK_TEXT_MAX  400u
#define FSCHECK_FOUND_MAX 16u
/* A journal of up to this size is replayed in 0.3 s (ext4), 1.1 s (xfs). */
#define FSCHECK_JOURNAL_MAX (64u << 20)

struct fscheck_found {
	bool refuse; /* else a warning */
	char text[FSCHECK_TEXT_MAX];
	char cure[FSCHECK_TEXT_MAX];
};

struct fscheck {
	bool known; /* a superblock of the type that was asked for */
	bool dirty; /* ext4: not unmounted cleanly, or mounted somewhere */
	uint64_t journal_bytes;
	unsigned n;
	struct fscheck_found found[FSCHECK_FOUND_MAX];
};

/*
 * The superblock of `device` (a name for messages), and the mount options it
 * is to get, as mount(8) takes them.
 */
void fscheck(struct fscheck *c, enum config_fstype type,
    const uint8_t bytes[FSCHECK_BYTES], const char *options,
    const char *device);

/* Did anything say no? */
bool fscheck_refuses(const struct fscheck *c);

#endif
