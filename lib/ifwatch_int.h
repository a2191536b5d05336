/* Inside of ifwatch: what one netlink message says.  Pure. */
#ifndef HANFS_IFWATCH_INT_H
#define HANFS_IFWATCH_INT_H

#include <linux/netlink.h>

#include "hanfs/ifwatch.h"

/*
 * RTM_NEWLINK, RTM_DELLINK: everything but the addresses.  False: it is no
 * such message, or not about an interface itself.
 */
bool ifwatch_parse_link(const struct nlmsghdr *h, struct ifwatch_if *out);

/*
 * RTM_NEWADDR, RTM_DELADDR: an address of an interface, and whether it can be
 * used from now on.  False: none that we know how to use.
 */
bool ifwatch_parse_addr(const struct nlmsghdr *h, struct ifwatch_addr *out,
    int *ifindex, bool *there);

#endif
