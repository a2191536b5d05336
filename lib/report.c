/*
 * report: layout checks and the reader's end of the detector's reports.
 * The detector's end (who is attached, what is sent) is detector/reporter.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hanfs/report.h"

#define HEAD_LEN offsetof(struct report, hello)

_Static_assert(HEAD_LEN == 24, "hole in struct report");
_Static_assert(sizeof(struct report_ifaddr) == 22, "hole in report_ifaddr");
_Static_assert(sizeof(struct report_interface) ==
		   32 + REPORT_ADDRS_MAX * sizeof(struct report_ifaddr),
    "hole in report_interface");
_Static_assert(sizeof(struct report_heartbeat) ==
		   88 + HB_PEERS_MAX * sizeof(struct hb_peer) +
		       HB_VOLUMES_MAX * sizeof(struct hb_volume),
    "hole in report_heartbeat");

static const char *const type_names[REPORT_TYPES] = {
    [REPORT_HELLO] = "hello",
    [REPORT_INTERFACE] = "interface",
    [REPORT_HEARTBEAT] = "heartbeat",
    [REPORT_SYNCED] = "synced",
    [REPORT_TICK] = "tick",
};

const char *
report_type_name(unsigned type)
{
	return type < REPORT_TYPES && type_names[type] ? type_names[type] : "?";
}

/* The length that r's type and counts ask for, or 0 if they are wrong. */
static size_t
right_length(const struct report *r)
{
	switch ((enum report_type)r->type) {
	case REPORT_HELLO:
		return HEAD_LEN + sizeof(r->hello);
	case REPORT_INTERFACE:
		return r->interface.naddrs > REPORT_ADDRS_MAX
			   ? 0
			   : offsetof(struct report, interface.addrs) +
				 r->interface.naddrs *
				     sizeof(r->interface.addrs[0]);
	case REPORT_HEARTBEAT:
		return r->heartbeat.nvolumes > HB_VOLUMES_MAX ||
			       r->heartbeat.npeers > HB_PEERS_MAX
			   ? 0
			   : offsetof(struct report, heartbeat.volumes) +
				 r->heartbeat.nvolumes *
				     sizeof(struct hb_volume);
	case REPORT_SYNCED:
		return HEAD_LEN;
	case REPORT_TICK:
		return HEAD_LEN + sizeof(r->tick);
	case REPORT_TYPES:
		break;
	}
	return 0;
}

size_t
report_set_length(struct report *r)
{
	size_t len = right_length(r);

	assert(len != 0);
	r->version = REPORT_VERSION;
	r->length = (uint32_t)len;
	return len;
}

/* The least that must be there before a type's counts may be read. */
static size_t
fixed_length(unsigned type)
{
	switch (type) {
	case REPORT_INTERFACE:
		return offsetof(struct report, interface.addrs);
	case REPORT_HEARTBEAT:
		return offsetof(struct report, heartbeat.volumes);
	default:
		return HEAD_LEN;
	}
}

static int
volumes_ok(const struct report_heartbeat *h)
{
	unsigned i, j;

	for (i = 0; i < h->nvolumes; i++) {
		if (h->volumes[i].naddrs > HB_ADDRS_MAX ||
		    h->volumes[i].state >= HB_STATES)
			return 0;
		for (j = 0; j < h->volumes[i].naddrs; j++)
			if (addr_ip_len(&h->volumes[i].addrs[j].addr) == 0)
				return 0;
	}
	return 1;
}

int
report_check(const struct report *r, size_t len)
{
	errno = EPROTO;
	if (len < HEAD_LEN || r->length != len)
		return -1;
	if (r->version != REPORT_VERSION) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	if (len < fixed_length(r->type) || len != right_length(r))
		return -1;
	if (r->type == REPORT_INTERFACE &&
	    memchr(r->interface.name, '\0', REPORT_IFNAME_MAX) == NULL)
		return -1;
	if (r->type == REPORT_HEARTBEAT && !volumes_ok(&r->heartbeat))
		return -1;
	return 0;
}

int
report_attach(const char *run_dir)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd, n, e;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", run_dir,
	    REPORT_SOCKET);
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

int
report_recv(int fd, struct report *r)
{
	ssize_t n;

	do
		n = recv(fd, r, sizeof(*r), MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	if (n == 0) {
		errno = ECONNRESET;
		return -1;
	}
	if ((size_t)n > sizeof(*r)) {
		errno = EPROTO;
		return -1;
	}
	if (report_check(r, (size_t)n) < 0)
		return -1;
	memset((uint8_t *)r + n, 0, sizeof(*r) - (size_t)n);
	return 1;
}
