/* Reports: which packets a reader takes, and which it refuses. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hanfs/report.h"
#include "hbmake.h"
#include "unit.h"

static int fds[2];

static int
setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds);
}

static int
teardown(void **state)
{
	(void)state;
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static void
make(struct report *r, enum report_type type)
{
	memset(r, 0, sizeof(*r));
	r->type = (uint16_t)type;
	if (type == REPORT_INTERFACE) {
		r->interface.naddrs = 2;
		strcpy(r->interface.name, "eth0");
	}
	if (type == REPORT_HEARTBEAT) {
		r->heartbeat.nvolumes = 2;
		hbmake_volume(&r->heartbeat.volumes[0], 1, 2);
		hbmake_volume(&r->heartbeat.volumes[1], 2, 2);
	}
	report_set_length(r);
}

static void
test_round_trip(void **state)
{
	struct report r, back;
	unsigned type;

	(void)state;
	memset(&back, 0xff, sizeof(back));
	for (type = REPORT_HELLO; type < REPORT_TYPES; type++) {
		make(&r, type);
		assert_int_equal(send(fds[0], &r, r.length, 0), r.length);
		assert_int_equal(report_recv(fds[1], &back), 1);
		assert_memory_equal(&r, &back, sizeof(r));
		assert_string_not_equal(report_type_name(type), "?");
	}
	assert_int_equal(report_recv(fds[1], &back), 0);
	shutdown(fds[0], SHUT_WR);
	assert_int_equal(report_recv(fds[1], &back), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void
assert_refused(const struct report *r, size_t len, int error)
{
	assert_int_equal(report_check(r, len), -1);
	assert_int_equal(errno, error);
}

/* Also when the length inside says the same as the packet's. */
static void
test_lengths(void **state)
{
	struct report r;
	unsigned type;
	uint32_t len, n;

	(void)state;
	for (type = REPORT_HELLO; type < REPORT_TYPES; type++) {
		make(&r, type);
		len = r.length;
		assert_int_equal(report_check(&r, len), 0);
		for (n = 0; n < len + 8; n++) {
			if (n == len)
				continue;
			assert_refused(&r, n, EPROTO);
			r.length = n;
			assert_refused(&r, n, EPROTO);
			r.length = len;
		}
	}
}

static void
test_values(void **state)
{
	struct report r;

	(void)state;
#define REFUSED(type, change, error)                 \
	do {                                         \
		make(&r, type);                      \
		change;                              \
		assert_refused(&r, r.length, error); \
	} while (0)
	REFUSED(REPORT_TICK, r.version++, EPROTONOSUPPORT);
	REFUSED(REPORT_TICK, r.type = REPORT_TYPES, EPROTO);
	REFUSED(REPORT_TICK, r.type = 0, EPROTO);
	REFUSED(REPORT_INTERFACE, r.interface.naddrs = UINT32_MAX, EPROTO);
	REFUSED(REPORT_INTERFACE, r.interface.naddrs++, EPROTO);
	REFUSED(REPORT_INTERFACE,
	    memset(r.interface.name, 'x', REPORT_IFNAME_MAX), EPROTO);
	REFUSED(REPORT_HEARTBEAT, r.heartbeat.nvolumes = UINT32_MAX, EPROTO);
	REFUSED(REPORT_HEARTBEAT, r.heartbeat.nvolumes--, EPROTO);
	REFUSED(
	    REPORT_HEARTBEAT, r.heartbeat.npeers = HB_PEERS_MAX + 1, EPROTO);
	REFUSED(
	    REPORT_HEARTBEAT, r.heartbeat.volumes[1].state = HB_STATES, EPROTO);
	REFUSED(REPORT_HEARTBEAT,
	    r.heartbeat.volumes[1].naddrs = HB_ADDRS_MAX + 1, EPROTO);
	REFUSED(REPORT_HEARTBEAT,
	    r.heartbeat.volumes[1].addrs[1].addr.family = 5, EPROTO);
#undef REFUSED
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
