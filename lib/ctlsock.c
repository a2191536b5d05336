/*
 * The daemons' control socket. See hanfs/ctlsock.h. Owns the listener, the
 * peers and their buffers; what is answered belongs to who registered it.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hanfs/ctlsock.h"
#include "hanfs/log.h"

enum { LINE_MAX_BYTES = 1000, PEER_SECONDS = 5 };

struct command {
	const char *name;
	ctlsock_show_fn *show;
	ctlsock_do_fn *act;
	void *arg;
};

struct peer {
	struct ctlsock *ctl;
	struct peer *next;
	struct event *ev;
	int fd;
	size_t have, sent, len;
	char line[LINE_MAX_BYTES + 1];
	char *answer; /* while it is written */
};

struct ctlsock {
	struct event_base *base;
	struct event *ev;
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct peer *peers;
	unsigned npeers, ncommands;
	struct command command[CTLSOCK_NAMES];
};

static void
peer_free(struct peer *peer)
{
	struct peer **at = &peer->ctl->peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	peer->ctl->npeers--;
	event_free(peer->ev);
	close(peer->fd);
	free(peer->answer);
	free(peer);
}

static json_t *
error_doc(const char *what, const char *word)
{
	return json_pack("{s:s++}", "error", what, word != NULL ? ": " : "",
	    word != NULL ? word : "");
}

static json_t *
unknown(const struct ctlsock *ctl, bool acts)
{
	char names[512] = "unknown word; there are:";
	size_t at = strlen(names);

	for (unsigned i = 0; i < ctl->ncommands; i++)
		if ((ctl->command[i].act != NULL) == acts &&
		    at < sizeof(names))
			at += (size_t)snprintf(names + at, sizeof(names) - at,
			    " %s", ctl->command[i].name);
	return error_doc(names, NULL);
}

static bool
may_change(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return false;
	return cred.uid == 0 || cred.uid == geteuid();
}

/* Finds and runs what the line asks for. */
static json_t *
obey(struct peer *peer)
{
	struct ctlsock *ctl = peer->ctl;
	char *save, *verb = strtok_r(peer->line, " ", &save);
	char *name = strtok_r(NULL, " ", &save);
	bool acts = verb != NULL && strcmp(verb, "do") == 0;

	if (verb == NULL || (!acts && strcmp(verb, "show") != 0))
		return error_doc("a line is 'show NAME' or 'do NAME'", NULL);
	if (acts && !may_change(peer->fd))
		return error_doc("only root may change anything", NULL);
	for (unsigned i = 0; name != NULL && i < ctl->ncommands; i++) {
		const struct command *c = &ctl->command[i];

		if ((c->act != NULL) != acts || strcmp(c->name, name) != 0)
			continue;
		return acts ? c->act(c->arg, save != NULL ? save : "")
			    : c->show(c->arg);
	}
	return unknown(ctl, acts);
}

enum peer_state { PEER_GONE, PEER_MORE, PEER_ANSWER };

static enum peer_state
gone(struct peer *peer)
{
	peer_free(peer);
	return PEER_GONE;
}

static enum peer_state
answer(struct peer *peer)
{
	json_t *doc = obey(peer);

	peer->answer = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	if (peer->answer == NULL)
		return gone(peer);
	peer->len = strlen(peer->answer);
	return PEER_ANSWER;
}

static enum peer_state
read_line(struct peer *peer)
{
	ssize_t n = recv(peer->fd, peer->line + peer->have,
	    LINE_MAX_BYTES - peer->have, 0);
	char *end;

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return PEER_MORE;
	if (n <= 0)
		return gone(peer);
	peer->have += (size_t)n;
	end = memchr(peer->line, '\n', peer->have);
	if (end == NULL && peer->have < LINE_MAX_BYTES)
		return PEER_MORE;
	if (end == NULL || memchr(peer->line, '\0', peer->have) != NULL)
		return gone(peer);
	*end = '\0';
	return answer(peer);
}

static void on_peer(evutil_socket_t fd, short what, void *arg);

static void
wait_for(struct peer *peer, short what)
{
	struct timeval tv = {.tv_sec = PEER_SECONDS};

	event_del(peer->ev);
	event_assign(peer->ev, peer->ctl->base, peer->fd, what, on_peer, peer);
	event_add(peer->ev, &tv);
}

static void
write_answer(struct peer *peer)
{
	while (peer->sent < peer->len) {
		ssize_t n = send(peer->fd, peer->answer + peer->sent,
		    peer->len - peer->sent, MSG_NOSIGNAL);

		if (n == -1 && errno == EAGAIN) {
			wait_for(peer, EV_WRITE);
			return;
		}
		if (n <= 0)
			break;
		peer->sent += (size_t)n;
	}
	peer_free(peer);
}

static void
on_peer(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;

	(void)fd;
	if (what & EV_TIMEOUT) {
		peer_free(peer);
		return;
	}
	if (peer->answer == NULL) {
		switch (read_line(peer)) {
		case PEER_GONE:
			return;
		case PEER_MORE:
			wait_for(peer, EV_READ);
			return;
		case PEER_ANSWER:
			break;
		}
	}
	write_answer(peer);
}

static void
on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct ctlsock *ctl = arg;
	struct timeval tv = {.tv_sec = PEER_SECONDS};
	struct peer *peer;
	int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd == -1)
		return;
	peer = ctl->npeers < CTLSOCK_PEERS ? calloc(1, sizeof(*peer)) : NULL;
	if (peer == NULL) {
		close(fd);
		return;
	}
	peer->ctl = ctl;
	peer->fd = fd;
	peer->ev = event_new(ctl->base, fd, EV_READ, on_peer, peer);
	if (peer->ev == NULL) {
		close(fd);
		free(peer);
		return;
	}
	peer->next = ctl->peers;
	ctl->peers = peer;
	ctl->npeers++;
	event_add(peer->ev, &tv);
}

static int
connect_to(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == -1) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static int
listen_at(struct ctlsock *ctl)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	mode_t mask;
	int rc, other = connect_to(ctl->path);

	if (other != -1) {
		close(other);
		errno = EADDRINUSE;
		return -1;
	}
	unlink(ctl->path);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", ctl->path);
	ctl->fd = socket(AF_UNIX,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ctl->fd == -1)
		return -1;
	mask = umask(0117);
	rc = bind(ctl->fd, (struct sockaddr *)&un, sizeof(un));
	umask(mask);
	return rc == -1 ? -1 : listen(ctl->fd, 16);
}

struct ctlsock *
ctlsock_new(struct event_base *base, const char *run_dir, const char *name)
{
	struct ctlsock *ctl = calloc(1, sizeof(*ctl));
	int n;

	if (ctl == NULL)
		return NULL;
	ctl->base = base;
	ctl->fd = -1;
	n = snprintf(ctl->path, sizeof(ctl->path), "%s/%s", run_dir, name);
	if (n < 0 || (size_t)n >= sizeof(ctl->path))
		errno = ENAMETOOLONG;
	else if (listen_at(ctl) == 0) {
		ctl->ev = event_new(base, ctl->fd, EV_READ | EV_PERSIST,
		    on_accept, ctl);
		if (ctl->ev != NULL && event_add(ctl->ev, NULL) == 0)
			return ctl;
	}
	log_err("control socket %s/%s: %s%s", run_dir, name, strerror(errno),
	    errno == EADDRINUSE ? "; another instance runs: end it first, or "
				  "give this one its own --run directory"
				: "");
	if (ctl->ev != NULL)
		event_free(ctl->ev);
	if (ctl->fd != -1)
		close(ctl->fd);
	free(ctl);
	return NULL;
}

void
ctlsock_free(struct ctlsock *ctl)
{
	if (ctl == NULL)
		return;
	while (ctl->peers != NULL)
		peer_free(ctl->peers);
	event_free(ctl->ev);
	close(ctl->fd);
	unlink(ctl->path);
	free(ctl);
}

static void
add(struct ctlsock *ctl, struct command c)
{
	if (ctl->ncommands == CTLSOCK_NAMES)
		fatal("control socket: no room for '%s'", c.name);
	ctl->command[ctl->ncommands++] = c;
}

void
ctlsock_show(struct ctlsock *ctl, const char *name, ctlsock_show_fn *fn,
    void *arg)
{
	add(ctl, (struct command){.name = name, .show = fn, .arg = arg});
}

void
ctlsock_do(struct ctlsock *ctl, const char *name, ctlsock_do_fn *fn, void *arg)
{
	add(ctl, (struct command){.name = name, .act = fn, .arg = arg});
}

json_t *
ctlsock_ask(const char *run_dir, const char *name, const char *line,
    int timeout_ms, const char **why)
{
	struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	static char text[512];
	char path[256];
	json_error_t err;
	json_t *doc;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", run_dir, name);
	fd = connect_to(path);
	if (fd == -1 || (f = fdopen(fd, "r+")) == NULL) {
		snprintf(text, sizeof(text), "%s: %s%s", path,
		    strerror(errno),
		    errno == ENOENT || errno == ECONNREFUSED
			? "; does the daemon run, with this --run directory?"
			: "");
		if (fd != -1)
			close(fd);
		*why = text;
		return NULL;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (dprintf(fd, "%s\n", line) < 0 ||
	    (doc = json_loadf(f, JSON_DECODE_ANY, &err)) == NULL) {
		snprintf(text, sizeof(text), "%s: no answer in %d ms", path,
		    timeout_ms);
		*why = text;
		doc = NULL;
	}
	fclose(f);
	return doc;
}
