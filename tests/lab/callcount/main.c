/*
 * callcount: libpcap in, JSON out.  See callcount.h.
 *
 * Runs until its standard input ends or SIGINT or SIGTERM comes, says
 * "ready" on standard error once it listens.  Exit status: 0 the capture was
 * whole, 3 it was not (the JSON says "valid": false), 1 it could not work.
 * Usage: callcount [-i INTERFACE] [-p PORT] [-B MIB] [-m] [-o] [-v] [-l LIST]
 *        callcount -r FILE [-m] [-v] [-l LIST]  (what tcpdump -w wrote)
 * With -o it counts what goes out of the interface, not what comes in; with
 * -v it shows every call; -l writes all different calls to a file.
 * With -m a connection may have begun before the capture: right only if it
 * was idle when the capture began.
 */
#include <err.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "callcount.h"

enum {
	SNAPLEN = 262144, /* a segment of lo is up to 64 KiB and more */
	REPLY_SNAPLEN = 2048,
	REPLY_BUFFER_MIB = 32,
	BUFFER_MIB = 128,
	WAIT_MS = 20,        /* how long the kernel may keep a packet from us */
	DISPATCH_MAX = 1000, /* blocks of packets between looks at the end */
};

struct capture {
	pcap_t *pcap, *back; /* what goes there; the beginnings of answers */
	struct streams *streams;
	struct replies *replies; /* NULL: not wanted */
	int link_len;      /* bytes before the IP header */
	bool offline;      /* a file, not an interface */
	bool midstream_ok; /* connections may be older than the capture */
};

static void
reply_in(u_char *arg, const struct pcap_pkthdr *h, const u_char *p)
{
	struct capture *c = (struct capture *)(void *)arg;
	double t = (double)h->ts.tv_sec + (double)h->ts.tv_usec * 1e-6;

	if (h->caplen >= (unsigned)c->link_len)
		replies_packet(c->replies, p + c->link_len,
		    h->caplen - (unsigned)c->link_len, t);
}

static void
packet_in(u_char *arg, const struct pcap_pkthdr *h, const u_char *p)
{
	struct capture *c = (struct capture *)(void *)arg;
	double t = (double)h->ts.tv_sec + (double)h->ts.tv_usec * 1e-6;

	if (h->caplen >= (unsigned)c->link_len)
		streams_packet(c->streams, p + c->link_len,
		    h->caplen - (unsigned)c->link_len, t);
	if (c->offline && c->replies != NULL)
		reply_in(arg, h, p);
}

/*
 * Only towards the port, each packet once (a loopback shows it going out and
 * coming in), and no bare acknowledgements.  The kernel gets the filter from
 * us: pcap_setfilter() would have libpcap run it, too, on the first ringful
 * of packets, and there "inbound" is never true.
 */
static void
set_filter(pcap_t *p, uint16_t port, const char *direction, const char *end)
{
	static const char form[] =
	    "%s and tcp %s port %u and (ip6 or "
	    "tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0 or "
	    "ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) != 0)";
	struct bpf_program program;
	struct sock_fprog kernel;
	char text[512];

	(void)snprintf(text, sizeof text, form, direction, end, port);
	if (pcap_compile(p, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0)
		errx(1, "filter: %s", pcap_geterr(p));
	kernel.len = (unsigned short)program.bf_len;
	kernel.filter = (struct sock_filter *)program.bf_insns;
	if (setsockopt(pcap_fileno(p), SOL_SOCKET, SO_ATTACH_FILTER, &kernel,
		sizeof kernel) != 0)
		err(1, "filter");
	pcap_freecode(&program);
}

/* A capture that tcpdump -w made, to look at again. */
static pcap_t *
capture_read(const char *file)
{
	char why[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_offline(file, why);

	if (p == NULL)
		errx(1, "%s", why);
	return p;
}

static pcap_t *
capture_open(const char *interface, int snaplen, int buffer_mib)
{
	char why[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_create(interface, why);

	if (p == NULL)
		errx(1, "%s: %s", interface, why);
	pcap_set_snaplen(p, snaplen);
	pcap_set_timeout(p, WAIT_MS);
	pcap_set_buffer_size(p, buffer_mib << 20);
	if (pcap_activate(p) < 0)
		errx(1, "%s: %s", interface, pcap_geterr(p));
	if (pcap_setnonblock(p, 1, why) != 0)
		errx(1, "%s: %s", interface, why);
	return p;
}

/* What goes to the port, and, if it is wanted, the other way. */
static void
capture_both(struct capture *c, const char *interface, uint16_t port,
    int buffer_mib, bool outbound)
{
	bool loopback = strcmp(interface, "lo") == 0;

	c->pcap = capture_open(interface, SNAPLEN, buffer_mib);
	set_filter(c->pcap, port, outbound ? "outbound" : "inbound", "dst");
	if (c->replies == NULL)
		return;
	c->back = capture_open(interface, REPLY_SNAPLEN, REPLY_BUFFER_MIB);
	set_filter(c->back, port,
	    outbound || loopback ? "inbound" : "outbound", "src");
}

static int
stop_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");
	return fd;
}

static void
dispatch(struct capture *c)
{
	while (c->back != NULL &&
	       pcap_dispatch(c->back, -1, reply_in, (u_char *)c) > 0)
		;
	for (int i = 0; i < DISPATCH_MAX; i++)
		if (pcap_dispatch(c->pcap, -1, packet_in, (u_char *)c) <= 0)
			return;
}

/* Whether standard input has ended. */
static bool
input_ended(void)
{
	char buf[256];

	return read(STDIN_FILENO, buf, sizeof buf) <= 0;
}

static void
capture_run(struct capture *c, int signals)
{
	int back = c->back ? pcap_get_selectable_fd(c->back) : -1;
	struct pollfd fds[] = {{pcap_get_selectable_fd(c->pcap), POLLIN, 0},
	    {signals, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0},
	    {back, POLLIN, 0}};
	bool over = false;

	(void)!nice(-10);
	fprintf(stderr, "ready\n");
	while (!over) {
		if (poll(fds, 4, 1000) < 0)
			err(1, "poll");
		dispatch(c);
		over = fds[1].revents != 0 ||
		       (fds[2].revents != 0 && input_ended());
	}
	for (int i = 0; i < 3; i++) { /* what the kernel still keeps */
		(void)poll(NULL, 0, WAIT_MS);
		dispatch(c);
	}
}

static bool
report(struct capture *c, const struct calls *calls)
{
	struct stream_stats st = streams_finish(c->streams);
	struct pcap_stat ps = {0};
	bool valid;

	if (!c->offline && pcap_stats(c->pcap, &ps) != 0)
		errx(1, "statistics: %s", pcap_geterr(c->pcap));
	valid = calls_garbage(calls) == 0 && ps.ps_drop == 0 &&
		ps.ps_ifdrop == 0 && st.lost_segments == 0 && st.broken == 0 &&
		st.truncated == 0 && (st.midstream == 0 || c->midstream_ok);
	printf("{\"valid\": %s, \"connections\": %" PRIu64
	       ", \"midstream\": %" PRIu64 ", \"cut\": %" PRIu64
	       ",\n \"lost_segments\": %" PRIu64 ", \"dropped\": %u"
	       ", \"broken\": %" PRIu64 ", \"truncated\": %" PRIu64 ",\n",
	    valid ? "true" : "false", st.connections, st.midstream, st.cut,
	    st.lost_segments, ps.ps_drop + ps.ps_ifdrop, st.broken,
	    st.truncated);
	calls_print(calls, stdout);
	printf("}\n");
	return valid;
}

static void
write_list(const struct calls *calls, struct replies *replies,
    const char *path)
{
	FILE *f = fopen(path, "we");

	if (f == NULL)
		err(1, "%s", path);
	calls_list(calls, replies, f);
	if (fclose(f) != 0)
		err(1, "%s", path);
}

static const char usage[] =
    "usage: callcount [-i INTERFACE] [-p PORT] [-B MIB] [-r FILE] [-m] "
    "[-o] [-v] [-l LIST]";

int
main(int argc, char **argv)
{
	const char *interface = "lo", *file = NULL, *list = NULL;
	int opt, buffer_mib = BUFFER_MIB;
	uint16_t port = 2049;
	bool trace = false, outbound = false, valid;
	struct capture c = {0};
	struct calls *calls;

	while ((opt = getopt(argc, argv, "i:p:B:r:l:mov")) != -1) {
		if (opt == 'i')
			interface = optarg;
		else if (opt == 'p')
			port = (uint16_t)atoi(optarg);
		else if (opt == 'B')
			buffer_mib = atoi(optarg);
		else if (opt == 'r')
			file = optarg;
		else if (opt == 'l')
			list = optarg;
		else if (opt == 'o')
			outbound = true;
		else if (opt == 'm')
			c.midstream_ok = true;
		else if (opt == 'v')
			trace = true;
		else
			errx(2, "%s", usage);
	}
	c.offline = file != NULL;
	c.replies = list != NULL ? replies_new(port) : NULL;
	if (c.offline)
		c.pcap = capture_read(file);
	else
		capture_both(&c, interface, port, buffer_mib, outbound);
	if (pcap_datalink(c.pcap) != DLT_EN10MB)
		errx(1, "neither Ethernet nor loopback");
	c.link_len = 14;
	calls = calls_new(trace);
	c.streams = streams_new(calls, port);
	if (c.offline)
		pcap_loop(c.pcap, -1, packet_in, (u_char *)&c);
	else
		capture_run(&c, stop_signals());
	valid = report(&c, calls);
	if (list != NULL)
		write_list(calls, c.replies, list);
	streams_free(c.streams);
	calls_free(calls);
	if (c.replies != NULL)
		replies_free(c.replies);
	if (c.back != NULL)
		pcap_close(c.back);
	pcap_close(c.pcap);
	return valid ? 0 : 3;
}
