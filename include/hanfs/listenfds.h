/*
 * Listening sockets that whoever started us holds open and hands over:
 * systemd's socket activation, sd_listen_fds(3), without its library.
 *
 * While a daemon is away, connections to such a socket are not refused: they
 * wait in its backlog until the next process accepts them. For the kernel's
 * NFS client that is the difference between a restart that takes as long as
 * it takes and one of 3 s and more, which it waits after a refusal.
 *
 * Sockets are asked for by address, not by name or place. Owns the
 * descriptors until somebody asks for them.
 */
#ifndef HANFS_LISTENFDS_H
#define HANFS_LISTENFDS_H

#include <sys/types.h>

#include "hanfs/addr.h"

#define LISTENFDS_FIRST 3    /* descriptors from here on, without a gap */
#define LISTENFDS_MAX	1024 /* more are taken for a mistake */

struct listenfds {
	unsigned n;
	struct {
		int fd; /* -1: given away, or closed */
		struct hanfs_addr addr;
	} at[LISTENFDS_MAX];
};

/*
 * How many sockets LISTEN_PID and LISTEN_FDS (their texts, NULL: not set)
 * promise to the process `self`; 0 when they are not meant for it; -1 when
 * they make no sense.
 */
int listenfds_count(const char *pid, const char *fds, pid_t self);

/*
 * Takes n descriptors from `first` on. Each becomes close-on-exec and
 * non-blocking. What is no listening TCP socket of an address is closed, with
 * a message.
 */
void listenfds_take(struct listenfds *l, int first, unsigned n);

/*
 * Takes what this process was started with, and removes the variables from
 * the environment. To be called before anything else is opened.
 */
void listenfds_receive(struct listenfds *l);

/*
 * The socket that listens on exactly this address and port, or -1. It is the
 * caller's from now on.
 */
int listenfds_give(struct listenfds *l, const struct hanfs_addr *addr);

/* Closes those that nobody asked for, with a message for each. Returns how
 * many these were. */
unsigned listenfds_close(struct listenfds *l);

#endif
