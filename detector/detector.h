/*
 * hanfs-detector: hears the servers' heartbeats on every network, verifies
 * them, and tells the proxy.  It sends nothing and decides nothing: whether
 * a heartbeat is missing is the proxy's business.
 *
 *	kernel -> sniff.c (libpcap) -> frame.c --+
 *	kernel -> hbudp.c (--udp) ---------------+-> receive.c -> hbguard
 *	                                                            |
 *	hanfsctl <- control.c <- book.c (last heard) <- deliver.c <-+ event
 *	                         reporter.c (proxy)  <--+
 *	                         print.c   (--print) <--+
 *
 *	main.c	    set-up, privileges dropped, the loop
 *	listen.c    interfaces come and go, and with them what is listened on
 *	receive.c   packets in, through the guards
 *	deliver.c   what an accepted heartbeat and a changed interface cause
 *	setup.c	    configuration, also anew on SIGHUP from an empty root
 *	frame.c, stats.c, book.c, print.c and lib/hbguard.c are pure
 */
#ifndef DETECTOR_DETECTOR_H
#define DETECTOR_DETECTOR_H

#include <event2/event.h>

#include "book.h"
#include "hanfs/config.h"
#include "hanfs/hbguard.h"
#include "hanfs/ifwatch.h"
#include "hanfs/log.h"
#include "hanfs/report.h"
#include "reporter.h"
#include "sniff.h"
#include "hanfs/hbudp.h"

struct detector;
struct ctlsock;

#define DETECTOR_EVENTS 8u

struct options {
	const char *config_path;
	const char *run_dir;
	bool print; /* lines on stdout, no sockets */
	bool udp;
	bool verbose;          /* with print: dropped packets too */
	const char *interface; /* this one alone; NULL: all */
	enum log_level level;
};

/* An interface on a configured network. Its place is its guard slot. */
struct listener {
	struct detector *d;
	bool used;
	struct ifwatch_if state;
	unsigned network; /* index in the configuration */
	uint32_t network_id;
	bool listening;              /* the guard slot is open */
	struct sniff *sniff;         /* NULL with --udp */
	struct event *ev;            /* of sniff */
	uint64_t drained_us;         /* nothing that came before it is unread */
	uint64_t lost;               /* frames, of handles that are closed */
	bool failing;                /* could not be opened; said once */
	char name[IFWATCH_NAME_MAX]; /* stays when not used */
};

struct detector {
	struct options opt;
	struct event_base *base;
	struct config *cfg;
	int conf_dir; /* descriptor of the directory of the file */
	struct hbguard *guard;
	struct book *book;
	struct ifwatch *watch;
	struct listener listeners[HBG_SLOTS_MAX];
	struct hbudp udp;
	int udp_claim; /* with --udp: nobody else's */
	struct event *udp_evs[HBUDP_SOCKETS];
	struct reporter *reporter; /* NULL with --print */
	uint64_t drop_second;      /* of the printed drops */
	unsigned drops_printed;
	uint64_t started_ms, accepted, dropped;
	bool retry; /* an interface could not be opened */
	uint64_t ticks;
	bool failed;      /* the exit status */
	unsigned nevents; /* main.c's own */
	struct event *events[DETECTOR_EVENTS];
};

/* options.c */

/* Takes the command line; ends the program for --help and when it is wrong. */
void options_parse(int argc, char **argv, struct options *o);

/* listen.c */

/* An interface changed, or is told of anew; arg is the struct detector. */
void listen_interface(const struct ifwatch_if *i, void *arg);

/* Opens the sockets of --udp. 0, or -1: error was logged. */
int listen_open_udp(struct detector *d);

/* Is there an interface on a configured network? */
bool listen_any(const struct detector *d);

/* Tries again what could not be opened. */
void listen_retry(struct detector *d);

/*
 * After a change of configuration: only what it concerns is opened anew, so
 * that no heartbeat is missed elsewhere.
 */
void listen_configure(struct detector *d, bool port_changed);
void listen_close_all(struct detector *d);

/* Not any more, until the interface changes or listen_retry. */
void listen_stop(struct listener *l);

/* Frames that the kernel had no room for. */
uint64_t listen_lost(const struct listener *l);

/* receive.c: callbacks of libevent */

/* arg: the struct listener whose frames are there. */
void receive_frames(evutil_socket_t fd, short what, void *arg);
/* arg: the struct detector. */
void receive_udp(evutil_socket_t fd, short what, void *arg);

/* deliver.c */

void deliver_heartbeat(
    struct detector *d, const struct hb_event *ev, uint64_t arrival_us);
void deliver_drop(struct detector *d, const struct listener *l,
    enum hb_reason reason, const struct hanfs_addr *source);
void deliver_interface(struct detector *d, const struct listener *l);
void deliver_tick(struct detector *d);

/* For the reporter: everything that a new reader must know. */
void deliver_picture(struct reporter_reader *to, void *arg);

/* control.c: what ctl may ask for. */
void control_register(struct ctlsock *ctl, struct detector *d);

/* setup.c */

/* Loads the file at start. Exits with a message when it is wrong. */
void setup_load(struct detector *d);

/*
 * After privileges were dropped: would a reload be able to read the file?
 * Says so if not.
 */
void setup_check_reload(const struct detector *d);

/* Loads it anew and takes it over; keeps the old one when it is wrong. */
void setup_reload(struct detector *d);

#endif
