/*
 * steps: the service address, for clients without a proxy. It is put on the
 * interface that carries this server's address in the same network, then
 * told to everybody there by ARP in both forms (request and reply: some
 * believe only the one, some only the other), several times; and each time
 * to those that had a connection to it (step_plain.c).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server-agent/steps_int.h"

enum { ARP_TIMES = 5, ARP_FIRST_MS = 20 };

/* The interface with this server's address in that network. */
static int
find_interface(const struct step_context *c, char name[IF_NAMESIZE])
{
	const struct hanfs_addr *addr = &c->v->storage.service_address;
	int network = config_network_of(c->cfg, addr);
	const struct config_server_addr *own = NULL;
	struct ifaddrs *list, *i;
	struct hanfs_addr a;

	if (network >= 0)
		own = config_server_addr_on(
		    &c->cfg->servers[c->self], (unsigned)network);
	if (own == NULL)
		return step_fail("the service address is in none of this "
				 "server's networks");
	if (getifaddrs(&list) == -1)
		return step_fail("getifaddrs: %s", strerror(errno));
	name[0] = '\0';
	for (i = list; i != NULL; i = i->ifa_next)
		if (i->ifa_addr != NULL &&
		    addr_from_sockaddr(
			&a, i->ifa_addr, sizeof(struct sockaddr_in6)) == 0 &&
		    addr_same_ip(&a, &own->addr))
			snprintf(name, IF_NAMESIZE, "%s", i->ifa_name);
	freeifaddrs(list);
	if (name[0] == '\0')
		return step_fail("no interface has this server's address in "
				 "the service address's network");
	return 0;
}

static int
ip_address(const struct step_context *c, const char *verb)
{
	struct hanfs_addr addr = c->v->storage.service_address;
	char name[IF_NAMESIZE], text[ADDR_TEXT_SIZE], line[256];

	if (find_interface(c, name) != 0)
		return 1;
	addr.port = 0;
	addr_format(&addr, text, sizeof(text));
	snprintf(line, sizeof(line), "ip addr %s %s/%d dev %s%s", verb, text,
	    addr.family == 4 ? 32 : 128, name,
	    addr.family == 6 && strcmp(verb, "replace") == 0 ? " nodad" : "");
	return step_sh(c, line);
}

/* --- ARP, RFC 826; gratuitous, RFC 5227, section 3 */

struct arp_frame {
	struct ether_header eth;
	struct ether_arp arp;
} __attribute__((packed));

static void
fill(struct arp_frame *f, const uint8_t *mac, const uint8_t *ip, uint16_t op)
{
	memset(f, 0, sizeof(*f));
	memset(f->eth.ether_dhost, 0xff, ETH_ALEN);
	memcpy(f->eth.ether_shost, mac, ETH_ALEN);
	f->eth.ether_type = htons(ETHERTYPE_ARP);
	f->arp.arp_hrd = htons(ARPHRD_ETHER);
	f->arp.arp_pro = htons(ETHERTYPE_IP);
	f->arp.arp_hln = ETH_ALEN;
	f->arp.arp_pln = 4;
	f->arp.arp_op = htons(op);
	memcpy(f->arp.arp_sha, mac, ETH_ALEN);
	memcpy(f->arp.arp_spa, ip, 4);
	memset(f->arp.arp_tha, op == ARPOP_REPLY ? 0xff : 0, ETH_ALEN);
	memcpy(f->arp.arp_tpa, ip, 4);
}

static void
announce(int fd, int ifindex, const uint8_t *mac, const uint8_t *ip)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
	    .sll_protocol = htons(ETHERTYPE_ARP),
	    .sll_ifindex = ifindex,
	    .sll_halen = ETH_ALEN};
	static const uint16_t ops[] = {ARPOP_REQUEST, ARPOP_REPLY};
	struct arp_frame f;

	memset(to.sll_addr, 0xff, ETH_ALEN);
	for (unsigned i = 0; i < 2; i++) {
		fill(&f, mac, ip, ops[i]);
		if (sendto(fd, &f, sizeof(f), 0, (struct sockaddr *)&to,
			sizeof(to)) == -1)
			fprintf(
			    stderr, "gratuitous ARP: %s\n", strerror(errno));
	}
}

static int
gratuitous_arp(const struct step_context *c)
{
	const struct hanfs_addr *addr = &c->v->storage.service_address;
	struct ifreq ifr = {0};
	char name[IF_NAMESIZE];
	unsigned ms = ARP_FIRST_MS;
	int fd;

	if (addr->family != 4) {
		/* the kernel says it by neighbour advertisements */
		step_plain_tell(c);
		return 0;
	}
	if (find_interface(c, name) != 0)
		return 1;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE_ARP));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd == -1 || ioctl(fd, SIOCGIFHWADDR, &ifr) == -1)
		return step_fail(
		    "gratuitous ARP on %s: %s", name, strerror(errno));
	for (unsigned i = 0; i < ARP_TIMES; i++, ms *= 2) {
		announce(fd, (int)if_nametoindex(name),
		    (const uint8_t *)ifr.ifr_hwaddr.sa_data, addr->ip);
		step_plain_tell(c);
		if (i + 1 < ARP_TIMES && !step_wait(c, ms))
			break;
	}
	close(fd);
	return 0;
}

int
step_address_up(const struct step_context *c)
{
	const struct config_storage *st = &c->v->storage;

	if (st->service_address.family != 0 && ip_address(c, "replace") != 0)
		return 1;
	if (st->address_up[0] != '\0' && step_sh(c, st->address_up) != 0)
		return 1;
	return st->service_address.family != 0 ? gratuitous_arp(c) : 0;
}

int
step_address_down(const struct step_context *c)
{
	const struct config_storage *st = &c->v->storage;
	int status = 0;

	if (st->address_down[0] != '\0')
		status = step_sh(c, st->address_down);
	if (st->service_address.family == 0)
		return status;
	status |= ip_address(c, "del");
	step_plain_end(c);
	return status;
}
