/* sniff: libpcap; the contract is in sniff.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "sniff.h"

/* A heartbeat (1,400), UDP, IPv6, Ethernet and a tag, with room to spare. */
#define SNAPLEN     1600
#define BUFFER_SIZE (1024 * 1024)

struct sniff {
	pcap_t *pcap;
	enum frame_link link;
	sniff_frame_fn *fn;
	void *arg;
};

static int
errno_of(int pcap_error)
{
	switch (pcap_error) {
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		return EPERM;
	case PCAP_ERROR_NO_SUCH_DEVICE:
		return ENODEV;
	case PCAP_ERROR_IFACE_NOT_UP:
		return ENETDOWN;
	default:
		return EIO;
	}
}

static void
say(char *error, const char *ifname, const char *what, const char *why)
{
	(void)snprintf(error, SNIFF_ERROR_LEN, "%s: %s: %s", ifname, what, why);
}

static int
activate(struct sniff *s, const char *ifname, char *error)
{
	const char *more;
	int r;

	/* These fail only on a handle that is active already. */
	(void)pcap_set_snaplen(s->pcap, SNAPLEN);
	(void)pcap_set_promisc(s->pcap, 0);
	(void)pcap_set_immediate_mode(s->pcap, 1);
	(void)pcap_set_buffer_size(s->pcap, BUFFER_SIZE);
	r = pcap_activate(s->pcap);
	if (r >= 0) /* positive: a warning */
		return 0;
	more = pcap_geterr(s->pcap);
	say(error, ifname, "cannot listen",
	    *more != '\0' ? more : pcap_statustostr(r));
	errno = errno_of(r);
	return -1;
}

static int
set_filter(struct sniff *s, const char *ifname, uint16_t port, char *error)
{
	struct bpf_program prog;
	char text[64];
	int r;

	(void)snprintf(text, sizeof(text), "udp dst port %u", port);
	r = pcap_compile(s->pcap, &prog, text, 1, PCAP_NETMASK_UNKNOWN);
	if (r == 0) {
		r = pcap_setfilter(s->pcap, &prog);
		pcap_freecode(&prog);
	}
	if (r < 0) {
		say(error, ifname, text, pcap_geterr(s->pcap));
		errno = EIO;
	}
	return r < 0 ? -1 : 0;
}

static int
set_link(struct sniff *s, const char *ifname, char *error)
{
	int dlt = pcap_datalink(s->pcap);

	if (dlt == DLT_EN10MB)
		s->link = FRAME_ETHERNET;
	else if (dlt == DLT_RAW || dlt == DLT_IPV4 || dlt == DLT_IPV6)
		s->link = FRAME_RAW;
	else {
		say(error, ifname, "link layer not supported",
		    pcap_datalink_val_to_description_or_dlt(dlt));
		errno = EIO;
		return -1;
	}
	return 0;
}

struct sniff *
sniff_open(const char *ifname, uint16_t port, char *error)
{
	char errbuf[PCAP_ERRBUF_SIZE] = "";
	struct sniff *s = calloc(1, sizeof(*s));
	int e;

	if (s == NULL) {
		say(error, ifname, "cannot listen", strerror(errno));
		return NULL;
	}
	s->pcap = pcap_create(ifname, errbuf);
	if (s->pcap == NULL) {
		say(error, ifname, "cannot listen", errbuf);
		errno = EIO;
		goto fail;
	}
	if (activate(s, ifname, error) < 0 || set_link(s, ifname, error) < 0 ||
	    set_filter(s, ifname, port, error) < 0)
		goto fail;
	if (pcap_setnonblock(s->pcap, 1, errbuf) < 0 ||
	    pcap_setdirection(s->pcap, PCAP_D_IN) < 0) {
		say(error, ifname, "cannot listen", pcap_geterr(s->pcap));
		errno = EIO;
		goto fail;
	}
	return s;
fail:
	e = errno;
	sniff_close(s);
	errno = e;
	return NULL;
}

void
sniff_close(struct sniff *s)
{
	if (s == NULL)
		return;
	if (s->pcap != NULL)
		pcap_close(s->pcap);
	free(s);
}

int
sniff_fd(const struct sniff *s)
{
	return pcap_get_selectable_fd(s->pcap);
}

enum frame_link
sniff_link(const struct sniff *s)
{
	return s->link;
}

static void
on_frame(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct sniff *s = (struct sniff *)(void *)user;
	uint64_t wall_us =
	    (uint64_t)h->ts.tv_sec * 1000000 + (uint64_t)h->ts.tv_usec;

	s->fn(bytes, h->caplen, wall_us, s->arg);
}

int
sniff_read(struct sniff *s, int most, sniff_frame_fn *fn, void *arg)
{
	int n;

	s->fn = fn;
	s->arg = arg;
	n = pcap_dispatch(s->pcap, most, on_frame, (u_char *)s);
	return n < 0 ? -1 : n;
}

const char *
sniff_error(struct sniff *s)
{
	return pcap_geterr(s->pcap);
}

uint64_t
sniff_lost(struct sniff *s)
{
	struct pcap_stat st;

	return pcap_stats(s->pcap, &st) == 0 ? st.ps_drop : 0;
}
