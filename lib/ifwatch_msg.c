/* ifwatch's messages, rtnetlink(7), taken apart; see ifwatch_int.h. */
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "ifwatch_int.h"

#ifndef IFF_LOWER_UP /* in linux/if.h, which net/if.h excludes */
#define IFF_LOWER_UP 0x10000
#endif

bool
ifwatch_parse_link(const struct nlmsghdr *h, struct ifwatch_if *out)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*m))
		return false;
	if (m->ifi_family != AF_UNSPEC) /* a bridge tells of its ports */
		return false;
	memset(out, 0, sizeof(*out));
	out->ifindex = m->ifi_index;
	out->gone = h->nlmsg_type == RTM_DELLINK;
	out->up = (m->ifi_flags & IFF_UP) != 0;
	out->carrier = out->up && (m->ifi_flags & IFF_LOWER_UP) != 0;
	out->loopback = (m->ifi_flags & IFF_LOOPBACK) != 0;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		if (mnl_attr_get_type(a) == IFLA_IFNAME &&
		    mnl_attr_validate(a, MNL_TYPE_STRING) == 0)
			strncpy(out->name, mnl_attr_get_str(a),
			    sizeof(out->name) - 1);
	}
	return true;
}

static bool
set_addr(struct ifwatch_addr *out, unsigned family, const void *ip)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};

	if (family == AF_INET) {
		memcpy(&sin.sin_addr, ip, 4);
		return addr_from_sockaddr(&out->addr, (struct sockaddr *)&sin,
			   sizeof(sin)) == 0;
	}
	memcpy(&sin6.sin6_addr, ip, 16);
	return addr_from_sockaddr(
		   &out->addr, (struct sockaddr *)&sin6, sizeof(sin6)) == 0;
}

/* The host's own address: IFA_LOCAL where there is a peer, IFA_ADDRESS. */
static bool
get_addr(const struct nlmsghdr *h, struct ifwatch_addr *out, uint32_t *flags)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const void *local = NULL, *address = NULL;
	const struct nlattr *a;
	unsigned ip_len = m->ifa_family == AF_INET ? 4 : 16;

	memset(out, 0, sizeof(*out));
	if (m->ifa_family != AF_INET && m->ifa_family != AF_INET6)
		return false;
	out->prefix_len = m->ifa_prefixlen;
	*flags = m->ifa_flags;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		unsigned type = mnl_attr_get_type(a);
		unsigned len = mnl_attr_get_payload_len(a);

		if (type == IFA_LOCAL && len == ip_len)
			local = mnl_attr_get_payload(a);
		else if (type == IFA_ADDRESS && len == ip_len)
			address = mnl_attr_get_payload(a);
		else if (type == IFA_FLAGS && len == sizeof(uint32_t))
			*flags = mnl_attr_get_u32(a);
	}
	if (local == NULL)
		local = address;
	if (local == NULL || out->prefix_len > ip_len * 8)
		return false;
	return set_addr(out, m->ifa_family, local);
}

bool
ifwatch_parse_addr(const struct nlmsghdr *h, struct ifwatch_addr *out,
    int *ifindex, bool *there)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	uint32_t flags;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*m) ||
	    !get_addr(h, out, &flags))
		return false;
	*ifindex = (int)m->ifa_index;
	*there = h->nlmsg_type == RTM_NEWADDR &&
		 (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0;
	return true;
}
