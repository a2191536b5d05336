/*
 * wire: a cable with a delay.
 *
 * Moves every frame that arrives on one interface to the other, a fixed time
 * later, both ways.  Frames travel with their virtio header, so large TCP
 * segments and unfinished checksums stay as the kernel made them and the
 * wire carries some GB/s.  At most QUEUE_MAX bytes are on their way in each
 * direction; what comes beyond is lost, as in a switch.
 *
 * It does not lose, reorder or shape on purpose: nft and tc do that.
 * Usage: wire IF1 IF2 MILLISECONDS      (says "ready" once frames pass)
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <assert.h>
#include <err.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum {
	FRAME_MAX = 70000,
	BUFFER = 8 << 20,      /* socket buffers, bytes */
	QUEUE_MAX = 256 << 20, /* bytes under way in one direction */
	BURST = 64,            /* frames taken before the other way is served */
};

struct frame {
	struct frame *next;
	uint64_t due_ns;
	size_t len;
	uint8_t bytes[];
};

struct way { /* one direction */
	int in, out;
	size_t bytes;
	struct frame *first, **last;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int
port_open(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET};
	int one = 1, size = BUFFER;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);

	if (fd < 0)
		err(1, "packet socket");
	at.sll_ifindex = (int)if_nametoindex(name);
	at.sll_protocol = htons(ETH_P_ALL);
	if (at.sll_ifindex == 0)
		err(1, "%s", name);
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) ||
	    setsockopt(
		fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) ||
	    bind(fd, (struct sockaddr *)&at, sizeof at))
		err(1, "%s", name);
	return fd;
}

/* Takes the frames that have arrived; returns when the queue may sleep. */
static void
way_take(struct way *w, uint64_t delay_ns)
{
	static uint8_t buf[FRAME_MAX];

	for (int i = 0; i < BURST; i++) {
		ssize_t n = recv(w->in, buf, sizeof buf, 0);
		struct frame *f;

		if (n <= 0)
			return;
		if (w->bytes + (size_t)n > QUEUE_MAX)
			continue;
		f = malloc(sizeof *f + (size_t)n);
		if (f == NULL)
			err(1, "malloc");
		memcpy(f->bytes, buf, (size_t)n);
		f->len = (size_t)n;
		f->next = NULL;
		f->due_ns = now_ns() + delay_ns;
		*w->last = f;
		w->last = &f->next;
		w->bytes += f->len;
	}
}

/* Sends what is due.  A frame the interface refuses is lost. */
static void
way_give(struct way *w)
{
	while (w->first != NULL && w->first->due_ns <= now_ns()) {
		struct frame *f = w->first;

		w->first = f->next;
		if (w->first == NULL)
			w->last = &w->first;
		assert(w->bytes >= f->len);
		w->bytes -= f->len;
		(void)!send(w->out, f->bytes, f->len, 0);
		free(f);
	}
}

/* How long both ways can sleep. */
static struct timespec
time_left(const struct way *ways)
{
	uint64_t left = 1000000000, now = now_ns();

	for (int i = 0; i < 2; i++) {
		const struct frame *f = ways[i].first;

		if (f == NULL)
			continue;
		if (f->due_ns <= now)
			left = 0;
		else if (f->due_ns - now < left)
			left = f->due_ns - now;
	}
	return (struct timespec){
	    (time_t)(left / 1000000000), (long)(left % 1000000000)};
}

int
main(int argc, char **argv)
{
	struct way ways[2];
	struct pollfd fds[2];
	uint64_t delay_ns;

	if (argc != 4)
		errx(2, "usage: wire IF1 IF2 MILLISECONDS");
	delay_ns = (uint64_t)(strtod(argv[3], NULL) * 1e6);
	for (int i = 0; i < 2; i++)
		fds[i] = (struct pollfd){port_open(argv[1 + i]), POLLIN, 0};
	for (int i = 0; i < 2; i++)
		ways[i] = (struct way){
		    fds[i].fd, fds[1 - i].fd, 0, NULL, &ways[i].first};
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct timespec left = time_left(ways);

		if (ppoll(fds, 2, &left, NULL) < 0)
			err(1, "ppoll");
		for (int i = 0; i < 2; i++) {
			if (fds[i].revents != 0)
				way_take(&ways[i], delay_ns);
			way_give(&ways[i]);
		}
	}
}
