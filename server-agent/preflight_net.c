/*
 * What is asked of others: the fence's tools, and whoever has the service
 * address. See preflight.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/child.h"
#include "server-agent/fence.h"
#include "server-agent/preflight.h"

enum { ARP_WAIT_MS = 300 };

/* --- the fence */

struct fence_wait {
	struct event_base *base;
	struct fence_outcome outcome;
};

static void
on_fence(void *arg, const struct fence_outcome *outcome)
{
	struct fence_wait *w = arg;

	w->outcome = *outcome;
	event_base_loopbreak(w->base);
}

/* The program that a plain command begins with is there? */
static void
judge_command(struct preflight *p, const char *text)
{
	const char *command = p->v->storage.fence_command;
	char name[CONFIG_TEXT_MAX + 1], path[PATH_MAX];
	size_t len = strcspn(command, " \t");
	bool there;

	(void)snprintf(name, sizeof(name), "%.*s", (int)len, command);
	if (strpbrk(name, "=\"'$(;&|`") != NULL)
		there = true; /* the shell's business */
	else if (strchr(name, '/') != NULL)
		there = access(name, X_OK) == 0;
	else
		there = preflight_find_program(p, name, path, sizeof(path));
	if (there)
		preflight_say(p, PREFLIGHT_OK, "%s: %s", command, text);
	else
		preflight_say(p, PREFLIGHT_WRONG,
		    "fence command: %s cannot be run\ninstall it, or correct "
		    "fence_command (storage)",
		    name);
}

static void
judge_fence(struct preflight *p, const struct fence_outcome *o)
{
	enum config_fence method = p->v->storage.fence;
	const char *device = p->cfg->agent.watchdog;

	if (o->result != FENCE_CONFIRMED && o->result != FENCE_BY_TIME)
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s: %s\ntry the fence's tools by hand on this server, "
		    "and see hanfs.conf(5), fence",
		    fence_result_names[o->result], o->text);
	else if (method == CONFIG_FENCE_COMMAND)
		judge_command(p, o->text);
	else if (method == CONFIG_FENCE_LEASE_ONLY)
		preflight_say(p, PREFLIGHT_WARNING,
		    "%s\nconfigure a fence that is one (storage)", o->text);
	else if (method == CONFIG_FENCE_WATCHDOG && access(device, W_OK) == -1)
		preflight_say(p, PREFLIGHT_WRONG,
		    "watchdog %s: %s\nload its driver (modprobe softdog, if "
		    "there is no other), or correct watchdog (agent)",
		    device, strerror(errno));
	else
		preflight_say(p, PREFLIGHT_OK, "%s: %s",
		    config_fence_name(method), o->text);
}

void
preflight_fence(struct preflight *p)
{
	struct fence_wait w = {.base = p->base};
	struct child_runner *child = child_runner_new(p->base);
	struct fence_runner runner;
	struct fence *f;

	if (child == NULL)
		return;
	runner = child_runner_interface(child);
	f = fence_new(p->base, p->cfg, (unsigned)(p->v - p->cfg->volumes),
	    p->self, &runner);
	if (f != NULL && fence_check(f, on_fence, &w)) {
		event_base_dispatch(p->base);
		judge_fence(p, &w.outcome);
	}
	if (f != NULL)
		fence_free(f);
	child_runner_free(child);
}

/* --- the service address */

struct arp_frame {
	struct ether_header eth;
	struct ether_arp arp;
} __attribute__((packed));

/* RFC 5227, 2.1.1: a probe, with no sender's address. */
static int
send_probe(int fd, const struct preflight_if *i, const uint8_t *ip)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
	    .sll_protocol = htons(ETHERTYPE_ARP),
	    .sll_ifindex = (int)if_nametoindex(i->name),
	    .sll_halen = ETH_ALEN};
	struct arp_frame f = {.eth.ether_type = htons(ETHERTYPE_ARP)};
	struct ifreq r = {0};

	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", i->name);
	if (ioctl(fd, SIOCGIFHWADDR, &r) == -1 ||
	    bind(fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		return -1;
	memset(to.sll_addr, 0xff, ETH_ALEN);
	memset(f.eth.ether_dhost, 0xff, ETH_ALEN);
	memcpy(f.eth.ether_shost, r.ifr_hwaddr.sa_data, ETH_ALEN);
	f.arp.arp_hrd = htons(ARPHRD_ETHER);
	f.arp.arp_pro = htons(ETHERTYPE_IP);
	f.arp.arp_hln = ETH_ALEN;
	f.arp.arp_pln = 4;
	f.arp.arp_op = htons(ARPOP_REQUEST);
	memcpy(f.arp.arp_sha, f.eth.ether_shost, ETH_ALEN);
	memcpy(f.arp.arp_tpa, ip, 4);
	return sendto(fd, &f, sizeof(f), 0, (struct sockaddr *)&to,
		   sizeof(to)) == (ssize_t)sizeof(f)
		   ? 0
		   : -1;
}

/* 1: somebody has it, mac; 0: nobody; -1 with errno. */
static int
probe(const struct preflight_if *i, const uint8_t *ip, uint8_t *mac)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    htons(ETHERTYPE_ARP));
	uint64_t end = clock_now_ms() + ARP_WAIT_MS, now;
	struct arp_frame f;
	int found = 0;

	if (fd == -1 || send_probe(fd, i, ip) == -1) {
		found = -1;
		end = 0;
	}
	while (found == 0 && (now = clock_now_ms()) < end) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};

		(void)poll(&pfd, 1, (int)(end - now));
		while (found == 0 &&
		       recv(fd, &f, sizeof(f), 0) == (ssize_t)sizeof(f))
			found = ntohs(f.arp.arp_op) == ARPOP_REPLY &&
				memcmp(f.arp.arp_spa, ip, 4) == 0;
	}
	memcpy(mac, f.arp.arp_sha, ETH_ALEN);
	if (fd != -1)
		close(fd);
	return found;
}

static void
judge_probe(struct preflight *p, const char *text, const struct preflight_if *i,
    const uint8_t *ip)
{
	uint8_t m[ETH_ALEN];
	int found = probe(i, ip, m);

	if (found == -1)
		preflight_say(p, PREFLIGHT_NOT_TRIED, "%s on %s: %s", text,
		    i->name, strerror(errno));
	else if (found == 0)
		preflight_say(p, PREFLIGHT_OK, "nobody has %s", text);
	else if (!p->area.known)
		preflight_say(p, PREFLIGHT_NOT_TRIED,
		    "%s is in use; whether by the volume's owner is not known",
		    text);
	else if (p->area.owner >= 0)
		preflight_say(p, PREFLIGHT_OK, "%s: the volume is %s's", text,
		    p->cfg->servers[p->area.owner].name);
	else
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s is in use, by %02x:%02x:%02x:%02x:%02x:%02x on %s, "
		    "though no server owns the volume\nend that use, or give "
		    "the volume another service_address (storage)",
		    text, m[0], m[1], m[2], m[3], m[4], m[5], i->name);
}

void
preflight_service_address(struct preflight *p)
{
	const struct hanfs_addr *a = &p->v->storage.service_address;
	const struct config_server_addr *own;
	const struct preflight_if *i = preflight_if_of(p, a);
	char text[ADDR_TEXT_SIZE];
	int network = config_network_of(p->cfg, a);

	if (a->family == 0)
		return;
	addr_format(a, text, sizeof(text));
	if (i != NULL && p->area.owner == (int)p->self) {
		preflight_say(p, PREFLIGHT_OK, "%s is on %s, with the volume",
		    text, i->name);
		return;
	}
	if (i != NULL) {
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s is on %s, though this server does not own the "
		    "volume: clients would come here\nip address del %s/32 "
		    "dev %s, and take it out of this host's own network "
		    "configuration",
		    text, i->name, text, i->name);
		return;
	}
	own = network < 0 ? NULL
			  : config_server_addr_on(
				&p->cfg->servers[p->self], (unsigned)network);
	i = own != NULL ? preflight_if_of(p, &own->addr) : NULL;
	if (i == NULL && p->v->storage.address_up[0] == '\0')
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s is on no network that this server has\ncorrect "
		    "service_address (storage), or set address_up",
		    text);
	else if (i == NULL || a->family != 4)
		preflight_say(p, PREFLIGHT_NOT_TRIED,
		    "%s: ARP does not tell who has it", text);
	else
		judge_probe(p, text, i, a->ip);
}
