/* ctlio: the threads that read all lease slots, and write the own one. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/ctlio_int.h"

#define STACK_WARM 16384u

void
ctlio_warm_stack(void)
{
	volatile uint8_t page[STACK_WARM];

	for (unsigned i = 0; i < sizeof(page); i += 1024)
		page[i] = 0;
}

int
ctlio_transfer(struct ctlio *io, struct ctlio_thread *t, bool write,
    unsigned first, unsigned blocks, struct ctlio_stamps *stamps)
{
	size_t len = (size_t)blocks * CTL_BLOCK;
	off_t at = (off_t)first * CTL_BLOCK;
	ssize_t n;
	int e;

	stamps->issued_us = clock_now_us();
	__atomic_store_n(&t->since_us, stamps->issued_us, __ATOMIC_RELEASE);
	n = write ? pwrite(io->fd, t->buf, len, at)
		  : pread(io->fd, t->buf, len, at);
	e = n < 0 ? errno : (size_t)n != len ? ENODATA : 0;
	stamps->done_us = clock_now_us();
	__atomic_store_n(&t->since_us, 0, __ATOMIC_RELEASE);
	return e;
}

static void
count(struct ctlio_stats *s, bool write, int error,
    const struct ctlio_stamps *stamps)
{
	uint64_t us = stamps->done_us - stamps->issued_us;
	uint64_t *worst = write ? &s->worst_write_us : &s->worst_read_us;

	if (write)
		s->writes++;
	else
		s->reads++;
	s->errors += error != 0;
	if (us > *worst)
		*worst = us;
	if (write && error == 0)
		s->mean_write_us = s->mean_write_us == 0
				       ? us
				       : (s->mean_write_us * 15 + us) / 16;
}

/* With the lock held: waits for work. False: the end. */
static bool
wait_for_work(struct ctlio *io, struct ctlio_thread *t)
{
	while (!t->wanted && !io->ending)
		pthread_cond_wait(&t->wake, &io->lock);
	return !io->ending;
}

/* Issue is rounded down, completion up: a lease is never longer by it. */
static void
stamp(struct ctlio_done *done, const struct ctlio_stamps *s)
{
	done->issued_ms = s->issued_us / 1000;
	done->done_ms = (s->done_us + 999) / 1000;
}

static void
read_once(struct ctlio *io)
{
	struct ctlio_done done = {.what = CTLIO_READ};
	struct ctlio_stamps s;

	pthread_mutex_unlock(&io->lock);
	done.error = ctlio_transfer(
	    io, &io->reader, false, CTL_FIRST_LEASE, io->used, &s);
	for (unsigned i = 0; done.error == 0 && i < io->used; i++)
		done.slots[i].status =
		    ctl_lease_get(io->reader.buf + (size_t)i * CTL_BLOCK,
			io->super.area, i, &done.slots[i].lease);
	for (unsigned i = io->used; i < CTL_SLOTS; i++)
		done.slots[i].status = CTL_EMPTY;
	stamp(&done, &s);
	pthread_mutex_lock(&io->lock);
	io->reader.wanted = false;
	count(&io->stats, false, done.error, &s);
	ctlio_tell(io, &done);
}

static void
write_once(struct ctlio *io)
{
	struct ctlio_done done = {.what = CTLIO_WRITE};
	struct ctl_lease lease = io->lease;
	struct ctlio_stamps s;

	pthread_mutex_unlock(&io->lock);
	lease.wall_ms = clock_wall_ms();
	ctl_lease_put(io->writer.buf, io->super.area, io->own, &lease);
	done.error = ctlio_transfer(
	    io, &io->writer, true, CTL_FIRST_LEASE + io->own, 1, &s);
	stamp(&done, &s);
	pthread_mutex_lock(&io->lock);
	io->writer.wanted = false;
	count(&io->stats, true, done.error, &s);
	ctlio_tell(io, &done);
}

void *
ctlio_run_reader(void *arg)
{
	struct ctlio *io = arg;

	ctlio_warm_stack();
	pthread_mutex_lock(&io->lock);
	while (wait_for_work(io, &io->reader))
		read_once(io);
	pthread_mutex_unlock(&io->lock);
	return NULL;
}

void *
ctlio_run_writer(void *arg)
{
	struct ctlio *io = arg;

	ctlio_warm_stack();
	pthread_mutex_lock(&io->lock);
	while (wait_for_work(io, &io->writer))
		write_once(io);
	pthread_mutex_unlock(&io->lock);
	return NULL;
}
