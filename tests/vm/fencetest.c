/*
 * fencetest: the agent's fence, guard and watchdog on real devices, for
 * tests/vm/fences.
 *
 *	fencetest fence DEVICE SELF prepare|withdraw|check EPOCH
 *	fencetest fence DEVICE SELF peer EPOCH VICTIM
 *	fencetest guard DEVICE MS [KEY]		the lease ends in MS
 *	fencetest watchdog DEVICE SECONDS good MS	renewed, then released
 *	fencetest watchdog DEVICE SECONDS lapse MS	the lease ends in MS
 *
 * SELF and VICTIM are server ids, 1 and 2. Prints what came out; status 0
 * when the fence is confirmed, the guard has cut.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/child.h"
#include "server-agent/fence.h"
#include "server-agent/guard.h"
#include "server-agent/watchdog.h"

static struct config cfg;
static struct fence_outcome last;

static void
on_done(void *base, const struct fence_outcome *outcome)
{
	last = *outcome;
	event_base_loopbreak(base);
}

static void
configure(const char *device)
{
	struct config_volume *v = &cfg.volumes[0];

	cfg.nservers = 2;
	for (unsigned i = 0; i < 2; i++) {
		cfg.servers[i].id = i + 1;
		snprintf(cfg.servers[i].name, sizeof(cfg.servers[i].name),
		    "s%u", i + 1);
		v->candidates[i] = i;
	}
	cfg.nvolumes = 1;
	v->ncandidates = 2;
	snprintf(v->name, sizeof(v->name), "home");
	snprintf(v->storage.device, sizeof(v->storage.device), "%s", device);
	v->storage.fence = CONFIG_FENCE_SCSI;
	v->storage.fence_ms = 30000;
}

static int
do_fence(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct child_runner *child = child_runner_new(base);
	struct fence_runner runner = child_runner_interface(child);
	uint64_t epoch = strtoull(argc > 3 ? argv[3] : "0", NULL, 0);
	struct fence *f;
	bool begun;

	configure(argv[0]);
	f = fence_new(base, &cfg, 0, (unsigned)atoi(argv[1]) - 1, &runner);
	if (strcmp(argv[2], "peer") == 0 && argc == 5)
		begun = fence_peer(
		    f, (unsigned)atoi(argv[4]) - 1, epoch, on_done, base);
	else if (strcmp(argv[2], "prepare") == 0)
		begun = fence_prepare(f, epoch, on_done, base);
	else if (strcmp(argv[2], "withdraw") == 0)
		begun = fence_withdraw(f, on_done, base);
	else
		begun = fence_check(f, on_done, base);
	if (begun)
		event_base_dispatch(base);
	printf("%s: %s\n", fence_result_names[last.result], last.text);
	return begun && last.result == FENCE_CONFIRMED ? 0 : 1;
}

static int
do_guard(int argc, char **argv)
{
	struct guard_config gc = {
	    .volume = "home", .device = argv[0], .dm = true, .rt_priority = 10};
	char error[GUARD_ERROR_LEN];
	struct guard *g = guard_start(&gc, error);
	enum guard_method method = GUARD_NOTHING;
	struct pollfd fired;

	if (g == NULL || guard_open(g, error) == -1) {
		printf("%s\n", error);
		return 1;
	}
	if (argc > 2)
		guard_key(g, strtoull(argv[2], NULL, 0));
	guard_until(g, clock_now_ms() + strtoull(argv[1], NULL, 0));
	fired.fd = guard_fd(g);
	fired.events = POLLIN;
	if (poll(&fired, 1, 20000) != 1 || !guard_fired(g, &method))
		printf("it did not fire\n");
	else
		printf("%s\n", guard_method_names[method]);
	guard_stop(g);
	return method == GUARD_NOTHING;
}

static int
do_watchdog(int argc, char **argv)
{
	struct watchdog_config wc = {.fd = open(argv[0], O_WRONLY),
	    .device = argv[0],
	    .timeout_s = (unsigned)atoi(argv[1]),
	    .rt_priority = 10};
	uint64_t end_ms = clock_now_ms() + strtoull(argv[3], NULL, 0);
	char error[WATCHDOG_ERROR_LEN];
	struct watchdog *w;

	if (argc != 4 || wc.fd == -1) {
		perror(argv[0]);
		return 1;
	}
	w = watchdog_start(&wc, error);
	if (w == NULL) {
		printf("%s\n", error);
		return 1;
	}
	printf("armed: %u ms\n", watchdog_armed_ms(w));
	fflush(stdout);
	if (strcmp(argv[2], "lapse") == 0) {
		watchdog_until(w, 0, end_ms);
		for (;;)
			pause();
	}
	while (clock_now_ms() < end_ms) {
		watchdog_until(w, 0, clock_now_ms() + 2000);
		usleep(100000);
	}
	watchdog_off(w, 0);
	watchdog_stop(w);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "fence") == 0)
		return do_fence(argc - 2, argv + 2);
	if (argc >= 4 && strcmp(argv[1], "guard") == 0)
		return do_guard(argc - 2, argv + 2);
	if (argc == 6 && strcmp(argv[1], "watchdog") == 0)
		return do_watchdog(argc - 2, argv + 2);
	fprintf(stderr, "fencetest: see its source\n");
	return 2;
}
