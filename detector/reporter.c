/* reporter: SOCK_SEQPACKET to the readers; the contract is in reporter.h. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "reporter.h"

struct reporter_reader {
	struct reporter *owner;
	struct event *ev; /* NULL: this place is free */
	int fd;
	uint64_t number; /* of the next report */
};

struct reporter {
	struct event_base *base;
	struct event *ev;
	int fd;
	reporter_picture_fn *picture;
	void *arg;
	uint64_t dropped;
	struct reporter_reader readers[REPORT_READERS_MAX];
};

static void
drop(struct reporter_reader *to)
{
	event_free(to->ev);
	to->ev = NULL;
	close(to->fd);
}

/* A reader has nothing to say: this is its end, or noise. */
static void
on_reader(evutil_socket_t fd, short what, void *arg)
{
	struct reporter_reader *from = arg;
	char noise[64];
	ssize_t n;

	(void)what;
	n = recv(fd, noise, sizeof(noise), MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	log_info("report reader detached");
	drop(from);
}

static struct reporter_reader *
free_place(struct reporter *r)
{
	unsigned i;

	for (i = 0; i < REPORT_READERS_MAX; i++)
		if (r->readers[i].ev == NULL)
			return &r->readers[i];
	return NULL;
}

static void
on_listen(evutil_socket_t fd, short what, void *arg)
{
	struct reporter *r = arg;
	struct reporter_reader *to;
	int c;

	(void)what;
	c = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (c < 0)
		return;
	to = free_place(r);
	if (to == NULL) {
		log_warn("report reader refused: there are %u already",
		    REPORT_READERS_MAX);
		close(c);
		return;
	}
	*to = (struct reporter_reader){.owner = r, .fd = c};
	to->ev = event_new(r->base, c, EV_READ | EV_PERSIST, on_reader, to);
	if (to->ev == NULL || event_add(to->ev, NULL) < 0) {
		if (to->ev != NULL)
			event_free(to->ev);
		to->ev = NULL;
		close(c);
		return;
	}
	log_info("report reader attached");
	r->picture(to, r->arg);
}

/* The group may attach; without such a user only root may. */
static void
give_to_group(const char *path, const char *user)
{
	const struct passwd *pw = getpwnam(user);

	if (pw == NULL)
		log_warn("%s: there is no user '%s' (proxy's user): only root "
			 "can attach",
		    path, user);
	else if (chown(path, (uid_t)-1, pw->pw_gid) < 0)
		log_warn("%s: %s: only root can attach", path, strerror(errno));
}

static int
bind_at(int fd, const struct sockaddr_un *sun)
{
	mode_t mask;
	int r;

	(void)unlink(sun->sun_path); /* of one that ended */
	mask = umask(0117);
	r = bind(fd, (const struct sockaddr *)sun, sizeof(*sun));
	umask(mask);
	return r < 0 ? r : listen(fd, (int)REPORT_READERS_MAX);
}

int
reporter_listen(const char *run_dir, const char *user)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd, other, n;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", run_dir,
	    REPORT_SOCKET);
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path)) {
		log_err("%s/%s: the path is too long for a socket", run_dir,
		    REPORT_SOCKET);
		return -1;
	}
	other = report_attach(run_dir);
	if (other >= 0) {
		close(other);
		log_err("%s: another detector runs: end it first, or give "
			"this one its own --run directory",
		    sun.sun_path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind_at(fd, &sun) < 0) {
		log_err("%s: %s", sun.sun_path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	give_to_group(sun.sun_path, user);
	return fd;
}

struct reporter *
reporter_new(struct event_base *base, int listen_fd,
    reporter_picture_fn *picture, void *arg)
{
	struct reporter *r = calloc(1, sizeof(*r));

	if (r == NULL)
		goto fail;
	r->base = base;
	r->fd = listen_fd;
	r->picture = picture;
	r->arg = arg;
	r->ev = event_new(base, listen_fd, EV_READ | EV_PERSIST, on_listen, r);
	if (r->ev == NULL || event_add(r->ev, NULL) < 0)
		goto fail;
	return r;
fail:
	if (r != NULL && r->ev != NULL)
		event_free(r->ev);
	free(r);
	close(listen_fd);
	errno = ENOMEM;
	return NULL;
}

void
reporter_free(struct reporter *r)
{
	unsigned i;

	if (r == NULL)
		return;
	for (i = 0; i < REPORT_READERS_MAX; i++)
		if (r->readers[i].ev != NULL)
			drop(&r->readers[i]);
	event_free(r->ev);
	close(r->fd);
	free(r);
}

int
reporter_send_one(struct reporter_reader *to, struct report *report)
{
	size_t len = report_set_length(report);
	ssize_t n;

	if (to->ev == NULL)
		return -1;
	report->number = to->number++;
	n = send(to->fd, report, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == (ssize_t)len)
		return 0;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		to->owner->dropped++;
		log_warn("report reader dropped: it does not keep up");
	} else
		log_info("report reader detached");
	drop(to);
	return -1;
}

void
reporter_send(struct reporter *r, struct report *report)
{
	unsigned i;

	for (i = 0; i < REPORT_READERS_MAX; i++)
		if (r->readers[i].ev != NULL)
			(void)reporter_send_one(&r->readers[i], report);
}

unsigned
reporter_readers(const struct reporter *r)
{
	unsigned i, n = 0;

	for (i = 0; i < REPORT_READERS_MAX; i++)
		n += r->readers[i].ev != NULL;
	return n;
}

uint64_t
reporter_dropped(const struct reporter *r)
{
	return r->dropped;
}
