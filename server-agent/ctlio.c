/* ctlio: what the event loop calls; the contract is in ctlio.h. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <sodium.h>

#include "hanfs/clock.h"
#include "hanfs/thread.h"
#include "server-agent/ctlio_int.h"

/* --- events */

void
ctlio_tell(struct ctlio *io, const struct ctlio_done *done)
{
	uint64_t one = 1;

	if (io->count == CTLIO_QUEUE)
		return; /* mail alone: I/O is bounded by what is asked for */
	io->queue[(io->first + io->count++) % CTLIO_QUEUE] = *done;
	(void)!write(io->event_fd, &one, sizeof(one));
}

bool
ctlio_next(struct ctlio *io, struct ctlio_done *out)
{
	bool any;
	uint64_t n;

	pthread_mutex_lock(&io->lock);
	any = io->count > 0;
	if (any) {
		*out = io->queue[io->first];
		io->first = (io->first + 1) % CTLIO_QUEUE;
		io->count--;
	} else {
		(void)!read(io->event_fd, &n, sizeof(n));
	}
	pthread_mutex_unlock(&io->lock);
	return any;
}

int
ctlio_fd(const struct ctlio *io)
{
	return io->event_fd;
}

/* --- requests */

bool
ctlio_read(struct ctlio *io)
{
	bool free_;

	pthread_mutex_lock(&io->lock);
	free_ = !io->reader.wanted;
	io->reader.wanted = true;
	pthread_cond_signal(&io->reader.wake);
	pthread_mutex_unlock(&io->lock);
	return free_;
}

bool
ctlio_write(struct ctlio *io, const struct ctl_lease *lease)
{
	bool free_;

	pthread_mutex_lock(&io->lock);
	free_ = !io->writer.wanted;
	if (free_)
		io->lease = *lease;
	io->writer.wanted = true;
	pthread_cond_signal(&io->writer.wake);
	pthread_mutex_unlock(&io->lock);
	return free_;
}

static void
wake_mailer(struct ctlio *io)
{
	uint64_t one = 1;

	(void)!write(io->wake_fd, &one, sizeof(one));
}

uint64_t
ctlio_ping(struct ctlio *io, unsigned slot, unsigned timeout_ms)
{
	uint64_t nonce = 0;

	assert(slot < CTL_SLOTS && slot != io->own);
	pthread_mutex_lock(&io->lock);
	if (io->pings[slot].nonce == 0 && slot < io->used) {
		nonce = ++io->next_nonce;
		io->pings[slot] = (struct ctlio_ping){
		    .nonce = nonce, .timeout_ms = timeout_ms};
	}
	pthread_mutex_unlock(&io->lock);
	wake_mailer(io);
	return nonce;
}

void
ctlio_ask(struct ctlio *io, unsigned slot)
{
	assert(slot < CTL_SLOTS && slot != io->own);
	pthread_mutex_lock(&io->lock);
	io->asks[slot] = ++io->next_nonce;
	pthread_mutex_unlock(&io->lock);
	wake_mailer(io);
}

/* --- stalls: a thread that is inside an I/O for too long */

static bool
is_stuck(const struct ctlio *io, const struct ctlio_thread *t, uint64_t now)
{
	uint64_t since = __atomic_load_n(&t->since_us, __ATOMIC_ACQUIRE);

	return since != 0 && now >= since + (uint64_t)io->cfg.stall_ms * 1000;
}

void
ctlio_alive(struct ctlio *io, uint32_t state)
{
	uint64_t now = clock_now_us();
	bool mail, stuck;

	pthread_mutex_lock(&io->lock);
	io->state = state;
	io->alive_ms = now / 1000;
	mail = is_stuck(io, &io->mailer, now);
	stuck = mail || is_stuck(io, &io->reader, now) ||
		is_stuck(io, &io->writer, now);
	if (mail)
		ctlio_mail_failed(io, ETIMEDOUT);
	if (stuck != io->stalled) {
		struct ctlio_done done = {
		    .what = stuck ? CTLIO_STALLED : CTLIO_FLOWS,
		    .done_ms = now / 1000};

		io->stalled = stuck;
		ctlio_tell(io, &done);
	}
	pthread_mutex_unlock(&io->lock);
}

/* --- start and end */

static int
fail(char *error, const char *path, const char *what, int e)
{
	(void)snprintf(error, CTL_ERROR_LEN, "control area %s: %s: %s", path,
	    what, strerror(e));
	return -1;
}

static int
open_area(struct ctlio *io, char *error)
{
	const char *path = io->cfg.want.path;
	int e;

	io->fd = ctlarea_open(&io->cfg.want, true, &io->super, error);
	if (io->fd < 0)
		return -1;
	io->own = ctl_slot_of(&io->super, io->cfg.want.server_id);
	e = ctlarea_lock(io->fd, io->own);
	if (e != 0)
		return fail(error, path,
		    e == EAGAIN ? "another agent of this server uses it, or "
				  "one that ended has a write in the kernel "
				  "yet; end it, or wait"
				: "cannot be locked",
		    e);
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		if (io->super.server_id[i] != 0)
			io->used = i + 1;
	return 0;
}

static int
init_locks(struct ctlio *io)
{
	pthread_mutexattr_t attr;
	int e = pthread_mutexattr_init(&attr);

	if (e == 0)
		e = pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (e == 0)
		e = pthread_mutex_init(&io->lock, &attr);
	if (e == 0)
		e = pthread_cond_init(&io->reader.wake, NULL);
	if (e == 0)
		e = pthread_cond_init(&io->writer.wake, NULL);
	return e;
}

static int
start_thread(struct ctlio *io, struct ctlio_thread *t, void *(*run)(void *))
{
	bool realtime;
	void *buf;
	int e;

	e = posix_memalign(&buf, CTL_BLOCK, (size_t)CTL_SLOTS * CTL_BLOCK);
	if (e != 0)
		return e;
	memset(buf, 0, (size_t)CTL_SLOTS * CTL_BLOCK);
	t->buf = buf;
	e = thread_start(&t->id, io->cfg.rt_priority, run, io, &realtime);
	t->started = e == 0;
	io->stats.realtime &= realtime;
	return e;
}

static int
start_threads(struct ctlio *io)
{
	int e;

	io->stats.realtime = io->cfg.rt_priority > 0;
	e = start_thread(io, &io->writer, ctlio_run_writer);
	if (e == 0)
		e = start_thread(io, &io->reader, ctlio_run_reader);
	if (e == 0)
		e = start_thread(io, &io->mailer, ctlio_run_mailer);
	return e;
}

struct ctlio *
ctlio_open(const struct ctlio_config *cfg, char *error)
{
	struct ctlio *io = calloc(1, sizeof(*io));
	int e = io == NULL ? ENOMEM : init_locks(io);

	if (e != 0) {
		free(io);
		fail(error, cfg->want.path, "cannot begin", e);
		return NULL;
	}
	io->cfg = *cfg;
	io->fd = io->event_fd = io->wake_fd = -1;
	io->alive_ms = clock_now_ms();
	randombytes_buf(&io->next_nonce, sizeof(io->next_nonce));
	io->next_nonce >>= 1;
	if (open_area(io, error) == -1)
		goto fail;
	io->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e = io->event_fd < 0 || io->wake_fd < 0 ? errno : start_threads(io);
	if (e == 0)
		return io;
	fail(error, cfg->want.path, "cannot start its threads", e);
fail:
	ctlio_close(io);
	return NULL;
}

static void
end_thread(struct ctlio_thread *t)
{
	if (t->started)
		pthread_join(t->id, NULL);
	free(t->buf);
}

void
ctlio_close(struct ctlio *io)
{
	if (io == NULL)
		return;
	pthread_mutex_lock(&io->lock);
	io->ending = true;
	pthread_cond_signal(&io->reader.wake);
	pthread_cond_signal(&io->writer.wake);
	pthread_mutex_unlock(&io->lock);
	if (io->wake_fd >= 0)
		wake_mailer(io);
	end_thread(&io->writer);
	end_thread(&io->reader);
	end_thread(&io->mailer);
	if (io->fd >= 0)
		close(io->fd);
	if (io->event_fd >= 0)
		close(io->event_fd);
	if (io->wake_fd >= 0)
		close(io->wake_fd);
	pthread_cond_destroy(&io->reader.wake);
	pthread_cond_destroy(&io->writer.wake);
	pthread_mutex_destroy(&io->lock);
	free(io);
}

/* --- what is there */

const struct ctl_super *
ctlio_super(const struct ctlio *io)
{
	return &io->super;
}

unsigned
ctlio_slot(const struct ctlio *io)
{
	return io->own;
}

void
ctlio_stats(struct ctlio *io, struct ctlio_stats *out)
{
	pthread_mutex_lock(&io->lock);
	*out = io->stats;
	pthread_mutex_unlock(&io->lock);
}
