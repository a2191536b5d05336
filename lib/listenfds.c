/*
 * Listening sockets that were handed over. See hanfs/listenfds.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/listenfds.h"
#include "hanfs/log.h"

/* Digits alone, 1 to max; -1 for anything else. */
static long
number(const char *text, long max)
{
	long n = 0;

	for (; *text >= '0' && *text <= '9'; text++) {
		if (n > (max - (*text - '0')) / 10)
			return -1;
		n = n * 10 + (*text - '0');
	}
	return *text == '\0' && n > 0 ? n : -1;
}

int
listenfds_count(const char *pid, const char *fds, pid_t self)
{
	long to;

	if (pid == NULL || fds == NULL)
		return 0;
	to = number(pid, INT32_MAX);
	if (to == -1)
		return -1;
	if (to != (long)self) /* left there by a program that started us */
		return 0;
	if (strcmp(fds, "0") == 0)
		return 0;
	return (int)number(fds, LISTENFDS_MAX);
}

static bool
option_is(int fd, int option, int wanted)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 &&
	    value == wanted;
}

/* What is wrong with a descriptor, or NULL and where it listens. */
static const char *
look(int fd, struct hanfs_addr *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return strerror(errno);
	if (addr_from_sockaddr(addr, (struct sockaddr *)&ss, len) == -1)
		return "no socket of an IP address";
	if (!option_is(fd, SO_TYPE, SOCK_STREAM))
		return "no TCP socket";
	if (!option_is(fd, SO_ACCEPTCONN, 1))
		return "it does not listen";
	return NULL;
}

static int
set_flags(int fd)
{
	int flags;

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		return -1;
	flags = fcntl(fd, F_GETFL);
	return flags == -1 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void
listenfds_take(struct listenfds *l, int first, unsigned n)
{
	l->n = 0;
	for (int fd = first; fd < first + (int)n; fd++) {
		struct hanfs_addr addr;
		const char *wrong;

		wrong = set_flags(fd) == -1 ? strerror(errno)
					    : look(fd, &addr);
		if (wrong != NULL) {
			log_warn("descriptor %d was handed over as a "
			    "listening socket, but cannot be used: %s", fd,
			    wrong);
			close(fd);
			continue;
		}
		l->at[l->n].fd = fd;
		l->at[l->n++].addr = addr;
	}
}

void
listenfds_receive(struct listenfds *l)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int n = listenfds_count(pid, fds, getpid());

	if (n == -1) {
		log_warn("LISTEN_PID=%s LISTEN_FDS=%s make no sense: no "
		    "socket is taken over", pid, fds);
		n = 0;
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	unsetenv("LISTEN_PIDFDID");
	listenfds_take(l, LISTENFDS_FIRST, (unsigned)n);
}

int
listenfds_give(struct listenfds *l, const struct hanfs_addr *addr)
{
	for (unsigned i = 0; i < l->n; i++) {
		int fd = l->at[i].fd;

		if (fd == -1 || addr_cmp(&l->at[i].addr, addr) != 0)
			continue;
		l->at[i].fd = -1;
		return fd;
	}
	return -1;
}

unsigned
listenfds_close(struct listenfds *l)
{
	char name[ADDR_TEXT_SIZE];
	unsigned n = 0;

	for (unsigned i = 0; i < l->n; i++) {
		if (l->at[i].fd == -1)
			continue;
		close(l->at[i].fd);
		l->at[i].fd = -1;
		n++;
		log_warn("a socket on %s was handed over, but nothing of the "
		    "configuration is there: closed; while it is held, "
		    "connections to it hang: take that address out of the "
		    "socket unit",
		    addr_format(&l->at[i].addr, name, sizeof(name)));
	}
	l->n = 0;
	return n;
}
