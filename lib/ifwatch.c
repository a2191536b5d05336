/*
 * ifwatch: rtnetlink through libmnl; the contract is in hanfs/ifwatch.h.
 *
 * Two sockets: one subscribed to changes, and for each reading of the whole
 * a short-lived one of its own.  Subscribing comes first, so a change during
 * the reading is seen after it; messages say the new state, not a
 * difference, so seeing one twice does no harm.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "ifwatch_int.h"

#define RECV_BUFFER (256 * 1024)
#define READ_BATCH  64 /* messages taken in one call */

struct entry {
	struct ifwatch_if now, told;
	bool was_told;
	bool link_seen; /* in the reading under way */
};

struct ifwatch {
	struct mnl_socket *nl;
	ifwatch_changed_fn *changed;
	void *arg;
	struct entry *entries;
	unsigned n, room;
};

/* --- the table --- */

static struct entry *
entry_find(const struct ifwatch *w, int ifindex)
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		if (w->entries[i].now.ifindex == ifindex)
			return &w->entries[i];
	return NULL;
}

static struct entry *
entry_get(struct ifwatch *w, int ifindex)
{
	struct entry *e = entry_find(w, ifindex);

	if (e != NULL)
		return e;
	if (w->n == IFWATCH_INTERFACES_MAX)
		return NULL;
	if (w->n == w->room) {
		unsigned room = w->room ? w->room * 2 : 16;

		e = realloc(w->entries, room * sizeof(*e));
		if (e == NULL)
			return NULL;
		w->entries = e;
		w->room = room;
	}
	e = &w->entries[w->n++];
	memset(e, 0, sizeof(*e));
	e->now.ifindex = ifindex;
	return e;
}

static bool
addr_equal(const struct ifwatch_addr *a, const struct ifwatch_addr *b)
{
	return a->prefix_len == b->prefix_len &&
	       addr_cmp(&a->addr, &b->addr) == 0;
}

static void
addr_remove(struct ifwatch_if *i, const struct ifwatch_addr *a)
{
	unsigned k;

	for (k = 0; k < i->naddrs && !addr_equal(&i->addrs[k], a); k++)
		;
	if (k == i->naddrs)
		return;
	i->naddrs--;
	memmove(&i->addrs[k], &i->addrs[k + 1],
	    (i->naddrs - k) * sizeof(i->addrs[0]));
	memset(&i->addrs[i->naddrs], 0, sizeof(i->addrs[0]));
}

static void
addr_add(struct ifwatch_if *i, const struct ifwatch_addr *a)
{
	unsigned k;

	for (k = 0; k < i->naddrs; k++)
		if (addr_equal(&i->addrs[k], a))
			return;
	if (i->naddrs < IFWATCH_ADDRS_MAX)
		i->addrs[i->naddrs++] = *a;
}

/* Tells what differs from what was told last; forgets what is gone. */
static void
tell(struct ifwatch *w)
{
	unsigned i = 0;

	while (i < w->n) {
		struct entry *e = &w->entries[i];
		struct ifwatch_if now; /* what `changed` does may move e */

		memcpy(&now, &e->now, sizeof(now));
		if (e->was_told ? memcmp(&now, &e->told, sizeof(now)) != 0
				: !now.gone) {
			memcpy(&e->told, &now, sizeof(now));
			e->was_told = true;
			w->changed(&now, w->arg);
		}
		if (now.gone)
			w->entries[i] = w->entries[--w->n];
		else
			i++;
	}
}

/* --- messages --- */

static void
on_link(struct ifwatch *w, const struct nlmsghdr *h)
{
	struct ifwatch_if link;
	struct entry *e;

	if (!ifwatch_parse_link(h, &link))
		return;
	e = link.gone ? entry_find(w, link.ifindex)
		      : entry_get(w, link.ifindex);
	if (e == NULL)
		return;
	e->now.gone = link.gone;
	if (link.gone)
		return;
	e->link_seen = true;
	e->now.up = link.up;
	e->now.carrier = link.carrier;
	e->now.loopback = link.loopback;
	memcpy(e->now.name, link.name, sizeof(e->now.name));
}

static void
on_addr(struct ifwatch *w, const struct nlmsghdr *h)
{
	struct ifwatch_addr addr;
	struct entry *e;
	int ifindex;
	bool there;

	if (!ifwatch_parse_addr(h, &addr, &ifindex, &there))
		return;
	e = entry_find(w, ifindex);
	if (e == NULL) /* its link is gone, or will be told later */
		return;
	if (there)
		addr_add(&e->now, &addr);
	else
		addr_remove(&e->now, &addr);
}

static int
on_message(const struct nlmsghdr *h, void *arg)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(arg, h);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		on_addr(arg, h);
		break;
	}
	return MNL_CB_OK;
}

/* One message from the kernel, from nobody else.  As recv(2). */
static ssize_t
receive(const struct mnl_socket *nl, void *buf, size_t size, int flags)
{
	struct sockaddr_nl from = {0};
	socklen_t len;
	ssize_t n;

	do {
		len = sizeof(from);
		n = recvfrom(mnl_socket_get_fd(nl), buf, size, flags,
		    (struct sockaddr *)&from, &len);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	return n;
}

/* --- reading the whole --- */

static int
dump(struct ifwatch *w, struct mnl_socket *nl, unsigned type, void *buf,
    size_t size)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct rtgenmsg *g;
	ssize_t n;
	int r = MNL_CB_OK;

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = type;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->rtgen_family = AF_UNSPEC;
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return -1;
	while (r > MNL_CB_STOP) {
		n = receive(nl, buf, size, 0);
		if (n < 0)
			return -1;
		r = mnl_cb_run(buf, (size_t)n, type, mnl_socket_get_portid(nl),
		    on_message, w);
	}
	return r;
}

static void
forget_unseen(struct ifwatch *w)
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		if (!w->entries[i].link_seen)
			w->entries[i].now.gone = true;
}

/* EINTR says that a dump was torn by a change: once more, a few times. */
static int
read_whole(struct ifwatch *w)
{
	char buf[32768]; /* the kernel's largest dump message */
	struct mnl_socket *nl;
	int r = -1, tries, e;
	unsigned i;

	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (nl == NULL)
		return -1;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		goto out;
	for (tries = 0; tries < 10; tries++) {
		for (i = 0; i < w->n; i++) {
			w->entries[i].link_seen = false;
			w->entries[i].now.naddrs = 0;
			memset(w->entries[i].now.addrs, 0,
			    sizeof(w->entries[i].now.addrs));
		}
		r = dump(w, nl, RTM_GETLINK, buf, sizeof(buf));
		if (r >= 0)
			r = dump(w, nl, RTM_GETADDR, buf, sizeof(buf));
		if (r >= 0 || errno != EINTR)
			break;
	}
	if (r >= 0)
		forget_unseen(w);
out:
	e = errno;
	mnl_socket_close(nl);
	errno = e;
	return r < 0 ? -1 : 0;
}

/* --- public --- */

struct ifwatch *
ifwatch_new(ifwatch_changed_fn *changed, void *arg)
{
	struct ifwatch *w = calloc(1, sizeof(*w));
	int size = RECV_BUFFER;

	if (w == NULL)
		return NULL;
	w->changed = changed;
	w->arg = arg;
	w->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (w->nl == NULL)
		goto fail;
	/* Best effort: ENOBUFS is handled. */
	(void)setsockopt(mnl_socket_get_fd(w->nl), SOL_SOCKET, SO_RCVBUF, &size,
	    sizeof(size));
	if (mnl_socket_bind(w->nl,
		RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
		MNL_SOCKET_AUTOPID) < 0)
		goto fail;
	return w;
fail:
	ifwatch_free(w);
	return NULL;
}

void
ifwatch_free(struct ifwatch *w)
{
	int e = errno;

	if (w == NULL)
		return;
	if (w->nl != NULL)
		mnl_socket_close(w->nl);
	free(w->entries);
	free(w);
	errno = e;
}

int
ifwatch_start(struct ifwatch *w)
{
	if (read_whole(w) < 0)
		return -1;
	tell(w);
	return 0;
}

int
ifwatch_fd(const struct ifwatch *w)
{
	return mnl_socket_get_fd(w->nl);
}

int
ifwatch_read(struct ifwatch *w)
{
	char buf[32768];
	ssize_t n;
	int i, r = 0;

	for (i = 0; i < READ_BATCH; i++) {
		n = receive(w->nl, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0 && errno == ENOBUFS)
			r = read_whole(w);
		else if (n < 0)
			r = -1;
		else /* a malformed message cannot come from the kernel */
			(void)mnl_cb_run(buf, (size_t)n, 0, 0, on_message, w);
		if (r < 0)
			return -1;
	}
	tell(w);
	return 0;
}

const struct ifwatch_if *
ifwatch_find(const struct ifwatch *w, int ifindex)
{
	const struct entry *e = entry_find(w, ifindex);

	return e != NULL ? &e->now : NULL;
}

void
ifwatch_each(const struct ifwatch *w, ifwatch_changed_fn *each, void *arg)
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		each(&w->entries[i].now, arg);
}
