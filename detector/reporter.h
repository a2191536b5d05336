/*
 * reporter: the detector's end of the reports (hanfs/report.h).
 *
 * Owns the listening socket's event and the attached readers.  A reader gets
 * the whole picture when it attaches, then what is sent to all.  Sending
 * never waits: a reader whose socket is full is dropped, and may attach
 * again.  What is in a report is the caller's business.
 */
#ifndef DETECTOR_REPORTER_H
#define DETECTOR_REPORTER_H

#include <event2/event.h>

#include "hanfs/report.h"

struct reporter;
struct reporter_reader;

/* Called for a new reader: send it the picture with reporter_send_one. */
typedef void reporter_picture_fn(struct reporter_reader *to, void *arg);

/*
 * Listens on <run_dir>/detector.report, for root and for the group of
 * `user`, which is the proxy's.  A descriptor, or -1 with a message in the
 * log: another detector answers there, or the directory cannot be written.
 */
int reporter_listen(const char *run_dir, const char *user);

/*
 * listen_fd: a listening, non-blocking SOCK_SEQPACKET socket; owned by the
 * reporter from here on.  NULL with errno: ENOMEM.
 */
struct reporter *reporter_new(struct event_base *base, int listen_fd,
    reporter_picture_fn *picture, void *arg);
void reporter_free(struct reporter *r);

/* Fills in length, version and number, and sends.  Type, when and content
 * are the caller's.  0, or -1: that reader was dropped. */
int reporter_send_one(struct reporter_reader *to, struct report *report);
void reporter_send(struct reporter *r, struct report *report);

unsigned reporter_readers(const struct reporter *r);

/* Readers dropped since the start because they did not keep up. */
uint64_t reporter_dropped(const struct reporter *r);

#endif
