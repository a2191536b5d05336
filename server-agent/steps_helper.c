/*
 * steps: the helper. One child a step, one a backend and its rpcbind; it
 * reaps whatever is left of them (a child subreaper), and ends them all when
 * the agent's end of the socket is closed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server-agent/steps_helper.h"

/* --- backends */

static bool
is_ganesha(const struct helper *h, const struct steps_request *q)
{
	return h->cfg->volumes[q->volume].backend.kind ==
	       CONFIG_BACKEND_GANESHA;
}

/* It needs no disk: it is there before the volume comes. */
static void
start_rpcbind(struct helper *h, const struct steps_request *q)
{
	struct service *r = &h->rpcbind[q->volume];

	if (is_ganesha(h, q) && r->pid == 0)
		r->pid = service_start(h, q, step_exec_rpcbind);
}

static void
start_backend(struct helper *h)
{
	struct service *b = &h->backend[h->q.volume];

	start_rpcbind(h, &h->q);
	if (is_ganesha(h, &h->q))
		b->pid = service_start(h, &h->q, step_exec_backend);
	child_start(h); /* waits for its NULL reply */
}

/* The child that waits for it fails with its last words. */
static void
fail_waiting(struct helper *h, unsigned volume)
{
	struct child *c;

	LIST_FOREACH(c, &h->children, next)
		if (c->q.what == STEP_BACKEND && c->q.volume == (int32_t)volume)
			child_end(c, "the backend ended; its log says why");
}

static void
stop_backend(struct helper *h)
{
	struct service *b = &h->backend[h->q.volume];
	struct child *c = child_start(h);

	/* The step's own child does what there is beside our service. */
	if (b->pid == 0 || c == NULL)
		return;
	b->stop = c;
	kill(-b->pid, SIGKILL);
	kill(b->pid, SIGKILL);
}

static void
how_ended(int status, char *buf, size_t size)
{
	if (WIFEXITED(status))
		snprintf(
		    buf, size, "it exited with status %d", WEXITSTATUS(status));
	else
		snprintf(buf, size, "signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
}

static bool
child_ended(struct child *c)
{
	struct service *b =
	    c->q.volume >= 0 ? &c->h->backend[c->q.volume] : NULL;

	/* Stragglers of its group. */
	if (kill(-c->group, 0) == 0)
		return false;
	return b == NULL || b->stop != c || b->pid == 0;
}

static void
finish_children(struct helper *h)
{
	struct child *c, *after;

	for (c = LIST_FIRST(&h->children); c != NULL; c = after) {
		after = LIST_NEXT(c, next);
		if (c->pid != 0 || !child_ended(c))
			continue;
		if (c->q.volume >= 0 && h->backend[c->q.volume].stop == c)
			h->backend[c->q.volume].stop = NULL;
		if (c->q.what == STEP_PREPARE && c->status == 0)
			start_rpcbind(h, &c->q);
		child_finish(c);
	}
}

static void
service_ended(struct helper *h, unsigned volume, int status)
{
	struct service *b = &h->backend[volume];

	b->pid = 0;
	if (b->stop != NULL)
		return;
	fail_waiting(h, volume);
	memset(&h->a, 0, STEPS_ANSWER_HEAD);
	h->a.what = STEPS_BACKEND_END;
	h->a.volume = (int32_t)volume;
	how_ended(status, h->a.text, sizeof(h->a.text));
	helper_answer(h, 0);
}

static void
reaped(struct helper *h, pid_t pid, int status)
{
	struct child *c;

	LIST_FOREACH(c, &h->children, next)
		if (c->pid == pid) {
			c->status = status;
			c->pid = 0;
			kill(-pid, SIGKILL);
			return;
		}
	for (unsigned v = 0; v < h->cfg->nvolumes; v++) {
		if (h->backend[v].pid == pid)
			service_ended(h, v, status);
		if (h->rpcbind[v].pid == pid)
			h->rpcbind[v].pid = 0;
	}
}

static void
reap(struct helper *h)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		reaped(h, pid, status);
	finish_children(h);
}

static void
on_chld(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	reap(arg);
}

/* --- requests */

/* The agent is gone: nothing of it may go on. */
static void
end_all(struct helper *h)
{
	struct child *c;

	LIST_FOREACH(c, &h->children, next)
		if (c->pid != 0)
			kill(-c->pid, SIGKILL);
	for (unsigned v = 0; v < h->cfg->nvolumes; v++) {
		if (h->backend[v].pid != 0)
			kill(h->backend[v].pid, SIGKILL);
		if (h->rpcbind[v].pid != 0)
			kill(h->rpcbind[v].pid, SIGKILL);
	}
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	_exit(0);
}

static void
obey(struct helper *h, size_t len)
{
	struct child *c;

	if (len < STEPS_REQUEST_HEAD)
		return;
	switch (h->q.what) {
	case STEPS_CANCEL:
		LIST_FOREACH(c, &h->children, next)
			if (c->q.id == h->q.id)
				child_end(c, "cancelled");
		break;
	case STEP_BACKEND:
		start_backend(h);
		break;
	case STEP_STOP:
		stop_backend(h);
		break;
	default:
		child_start(h);
	}
}

static void
on_request(evutil_socket_t fd, short what, void *arg)
{
	struct helper *h = arg;
	ssize_t n = recv(fd, &h->q, sizeof(h->q), MSG_DONTWAIT);

	(void)what;
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		end_all(h);
	if (n > 0)
		obey(h, (size_t)n);
}

/* Tools of administration are in sbin, which a service's PATH may lack. */
static void
add_to_path(void)
{
	const char *path = getenv("PATH");
	char longer[4096];

	snprintf(longer, sizeof(longer), "%s%s%s", path != NULL ? path : "",
	    path != NULL ? ":" : "",
	    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	setenv("PATH", longer, 1);
}

void
steps_helper(
    const struct config *cfg, unsigned self, const char *run_dir, int sock)
{
	static struct helper h;

	prctl(PR_SET_NAME, "hanfs-steps");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	add_to_path();
	setpgid(0, 0); /* the terminal's Ctrl-C is for the agent */
	signal(SIGPIPE, SIG_IGN);
	h.cfg = cfg;
	h.self = self;
	h.run_dir = run_dir;
	h.sock = sock;
	LIST_INIT(&h.children);
	h.base = event_base_new();
	if (h.base == NULL)
		_exit(1);
	event_assign(&h.ev, h.base, sock, EV_READ | EV_PERSIST, on_request, &h);
	evsignal_assign(&h.chld, h.base, SIGCHLD, on_chld, &h);
	event_add(&h.ev, NULL);
	event_add(&h.chld, NULL);
	event_base_dispatch(h.base);
	_exit(1);
}
