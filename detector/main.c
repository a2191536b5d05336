/*
 * hanfs-detector: set-up, privileges, the loop.  What happens in
 * the loop is drawn in detector.h.
 */
#include <cap-ng.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "detector.h"
#include "hanfs/clock.h"
#include "hanfs/ctlsock.h"
#include "hanfs/daemon.h"
#include "hanfs/privs.h"
#include "print.h"

#define TICKS_TO_RETRY (1000 / REPORT_TICK_MS)

static struct detector detector;

/* --- the loop's other events --- */

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct detector *d = arg;

	(void)fd;
	(void)what;
	if (ifwatch_read(d->watch) == 0)
		return;
	log_err("interfaces cannot be watched: %s", strerror(errno));
	d->failed = true;
	event_base_loopbreak(d->base);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct detector *d = arg;

	(void)fd;
	(void)what;
	if (d->reporter != NULL)
		deliver_tick(d);
	if (++d->ticks % TICKS_TO_RETRY == 0)
		listen_retry(d);
}

static void
on_reload(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	setup_reload(arg);
}

static void
on_end(evutil_socket_t sig, short what, void *arg)
{
	struct detector *d = arg;

	(void)sig;
	(void)what;
	event_base_loopbreak(d->base);
}

static void
add_event(struct detector *d, int fd, short what, event_callback_fn fn,
    const struct timeval *every)
{
	struct event *ev = event_new(d->base, fd, what | EV_PERSIST, fn, d);

	if (ev == NULL || event_add(ev, every) < 0 ||
	    d->nevents == DETECTOR_EVENTS)
		fatal("no memory");
	d->events[d->nevents++] = ev;
}

static void
add_events(struct detector *d)
{
	const struct timeval tick = {.tv_usec = REPORT_TICK_MS * 1000};

	add_event(d, SIGINT, EV_SIGNAL, on_end, NULL);
	add_event(d, SIGTERM, EV_SIGNAL, on_end, NULL);
	add_event(d, SIGHUP, EV_SIGNAL, on_reload, NULL);
	add_event(d, -1, 0, on_tick, &tick);
	add_event(d, ifwatch_fd(d->watch), EV_READ, on_watch, NULL);
}

/* --- set-up --- */

/* What needs the file system: before the root is emptied. */
static void
open_sockets(struct detector *d, struct ctlsock **ctl)
{
	int fd;

	if (d->opt.print)
		return;
	if (daemon_run_dir(d->opt.run_dir) < 0)
		exit(1);
	daemon_notify_open();
	fd = reporter_listen(d->opt.run_dir, d->cfg->proxy.user);
	if (fd < 0)
		exit(1);
	d->reporter = reporter_new(d->base, fd, deliver_picture, d);
	if (d->reporter == NULL)
		fatal("no memory");
	*ctl = ctlsock_new(d->base, d->opt.run_dir, "detector.sock");
	if (*ctl == NULL)
		exit(1);
	control_register(*ctl, d);
}

static void
drop_privileges(const struct detector *d)
{
	static const int raw[] = {CAP_NET_RAW};

	if (!d->opt.udp &&
	    capng_have_capability(CAPNG_PERMITTED, CAP_NET_RAW) != 1)
		fatal("listening with libpcap needs CAP_NET_RAW: start as "
		      "root, or use --udp");
	privs_drop_in_empty_root(
	    d->cfg->detector.user, raw, d->opt.udp ? 0 : 1);
}

static void
start(struct detector *d)
{
	if (d->opt.interface != NULL && if_nametoindex(d->opt.interface) == 0)
		fatal("there is no interface %s", d->opt.interface);
	d->watch = ifwatch_new(listen_interface, d);
	if (d->watch == NULL)
		fatal("netlink: %s", strerror(errno));
	if (d->opt.udp && listen_open_udp(d) < 0)
		exit(1);
	if (ifwatch_start(d->watch) < 0)
		fatal("netlink: %s", strerror(errno));
	if (!listen_any(d))
		log_warn("no interface has an address on a network of the "
			 "configuration yet");
	add_events(d);
}

static void
print_summary(const struct detector *d)
{
	unsigned i, s, r;

	for (i = 0; i < HBG_SLOTS_MAX; i++) {
		const struct listener *l = &d->listeners[i];

		if (l->name[0] == '\0')
			continue;
		for (s = 0; s < d->cfg->nservers; s++)
			if (book_get(d->book, i, s) != NULL)
				print_total(stdout, d->cfg, l->name,
				    book_get(d->book, i, s));
		for (r = HB_PASSED + 1; r < HB_REASONS; r++)
			if (hbguard_counter(d->guard, i, r) > 0)
				printf("%s dropped: %s %llu\n", l->name,
				    hb_reason_name(r),
				    (unsigned long long)hbguard_counter(
					d->guard, i, r));
		if (listen_lost(l) > 0)
			printf("%s: the kernel had no room for %llu\n", l->name,
			    (unsigned long long)listen_lost(l));
	}
}

static void
end(struct detector *d, struct ctlsock *ctl)
{
	unsigned i;

	if (d->opt.print)
		print_summary(d);
	listen_close_all(d);
	for (i = 0; i < d->nevents; i++)
		event_free(d->events[i]);
	reporter_free(d->reporter);
	ctlsock_free(ctl);
	ifwatch_free(d->watch);
	hbguard_free(d->guard);
	book_free(d->book);
	config_free(d->cfg);
	event_base_free(d->base);
}

int
main(int argc, char **argv)
{
	struct detector *d = &detector;
	struct ctlsock *ctl = NULL;

	options_parse(argc, argv, &d->opt);
	log_open("hanfs-detector", d->opt.level);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!d->opt.print)
		signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0)
		fatal("libsodium does not start");
	d->started_ms = clock_now_ms();
	setup_load(d);
	d->base = event_base_new();
	if (d->base == NULL)
		fatal("no memory");
	tzset(); /* its files are out of reach later */
	open_sockets(d, &ctl);
	drop_privileges(d);
	setup_check_reload(d);
	start(d);
	daemon_ready();
	event_base_dispatch(d->base);
	daemon_stopping();
	end(d, ctl);
	return d->failed ? 1 : 0;
}
