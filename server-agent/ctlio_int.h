/*
 * What ctlio's files share: ctlio.c is what the event loop calls,
 * ctlio_slots.c the threads that read and write lease slots, ctlio_mail.c
 * the mailbox's.
 */
#ifndef AGENT_CTLIO_INT_H
#define AGENT_CTLIO_INT_H

#include <pthread.h>

#include "server-agent/ctlio.h"

#define CTLIO_QUEUE 64u

/* One thread and the I/O that it is inside of. */
struct ctlio_thread {
	pthread_t id;
	bool started;
	pthread_cond_t wake; /* the slots' threads */
	bool wanted;         /* an I/O was asked for, or is under way */
	uint8_t *buf;
	uint64_t since_us; /* of the I/O under way; 0: none */
};

struct ctlio_ping {
	uint64_t nonce; /* 0: none */
	unsigned timeout_ms;
	uint64_t deadline_ms; /* once it is on the disk */
	bool mailed;
};

struct ctlio {
	struct ctlio_config cfg;
	int fd;
	struct ctl_super super;
	unsigned own, used; /* slots; those from `used` on are nobody's */
	int event_fd;       /* to the event loop */
	int wake_fd;        /* to the mailbox's thread */

	pthread_mutex_t lock; /* all below */
	bool ending;
	struct ctlio_thread reader, writer, mailer;
	struct ctl_lease lease; /* to be written */
	struct ctl_slot slots[CTL_SLOTS];
	struct ctlio_done queue[CTLIO_QUEUE];
	unsigned first, count;

	struct ctlio_ping pings[CTL_SLOTS];
	uint64_t next_nonce;
	uint64_t asks[CTL_SLOTS]; /* to be written; 0: none */
	uint32_t state;
	uint64_t alive_ms;
	bool stalled;
	struct ctlio_stats stats;
};

/* With the lock held: an event for the loop; what does not fit is lost. */
void ctlio_tell(struct ctlio *io, const struct ctlio_done *done);

/* One transfer by a thread, without the lock: 0 or an errno, with stamps. */
struct ctlio_stamps {
	uint64_t issued_us, done_us;
};
int ctlio_transfer(struct ctlio *io, struct ctlio_thread *t, bool write,
    unsigned first, unsigned blocks, struct ctlio_stamps *stamps);

void *ctlio_run_reader(void *io);
void *ctlio_run_writer(void *io);
void *ctlio_run_mailer(void *io);
/* With the lock held: pings end, since our own disk fails with e. */
void ctlio_mail_failed(struct ctlio *io, int e);

/* Touches the stack that a thread may need, so that it is in memory. */
void ctlio_warm_stack(void);

#endif
