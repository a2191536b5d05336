/*
 * ifwatch: the interfaces of this host and their addresses, kept up to date
 * by netlink (rtnetlink(7)).
 *
 * Owns the netlink socket and the table.  Tells about each change once, with
 * the interface's whole new state; changes of one batch of messages are
 * merged.  When the kernel had to drop messages (ENOBUFS) it asks for
 * everything anew and tells what differs.  Needs no privilege.
 *
 * It does not choose interfaces: members of bonds and VLANs are told of like
 * any other; one that matters is known by its carrying an address.
 */
#ifndef HANFS_IFWATCH_H
#define HANFS_IFWATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "hanfs/addr.h"

#define IFWATCH_NAME_MAX       16u /* IFNAMSIZ, with the NUL */
#define IFWATCH_ADDRS_MAX      8u  /* further ones of an interface: left out */
#define IFWATCH_INTERFACES_MAX 1024u

struct ifwatch_addr {
	struct hanfs_addr addr; /* the host's own; port 0 */
	uint8_t prefix_len;
	uint8_t pad;
};

struct ifwatch_if {
	int ifindex;
	char name[IFWATCH_NAME_MAX];
	bool up;      /* administratively */
	bool carrier; /* the lower layer is there; false when not up */
	bool loopback;
	bool gone; /* removed; the rest is what it was */
	unsigned naddrs;
	/* Without IPv6 addresses that are link-local, or whose uniqueness is
	 * still being checked. */
	struct ifwatch_addr addrs[IFWATCH_ADDRS_MAX];
};

struct ifwatch;

/* Must not call ifwatch_start or ifwatch_read. */
typedef void ifwatch_changed_fn(const struct ifwatch_if *i, void *arg);

/* NULL with errno (EMFILE, ENOMEM, ...).  Tells nothing yet. */
struct ifwatch *ifwatch_new(ifwatch_changed_fn *changed, void *arg);
void ifwatch_free(struct ifwatch *w);

/* Reads everything and tells it.  0, or -1 with errno. */
int ifwatch_start(struct ifwatch *w);

/* Readable when ifwatch_read has something to do.  Owned by w. */
int ifwatch_fd(const struct ifwatch *w);

/* Takes what is there, never blocks.  0, or -1 with errno: do not go on. */
int ifwatch_read(struct ifwatch *w);

/* Tells of every interface, as it is now. */
void ifwatch_each(const struct ifwatch *w, ifwatch_changed_fn *each, void *arg);

/* The interface with this index, or NULL.  Valid until the next read. */
const struct ifwatch_if *ifwatch_find(const struct ifwatch *w, int ifindex);

#endif
