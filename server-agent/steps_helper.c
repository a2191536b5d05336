/*
 * steps: the helper. One child a step, one a backend and its rpcbind; it
 * reaps whatever is left of them (a child subreaper), and ends them all when
 * the agent's end of the socket is closed.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/steps_int.h"

struct helper;

struct child {
	struct helper *h;
	struct steps_request q; /* head only */
	pid_t pid;              /* 0: reaped */
	pid_t group;            /* which it led */
	int status;
	bool over;       /* past its deadline, or cancelled */
	const char *why; /* then */
	struct event timer, err, out;
	size_t line_len, out_len;
	char line[STEPS_TEXT_MAX], out_text[STEPS_OUT_MAX];
	LIST_ENTRY(child) next;
};

/* What runs for a volume all the time. */
struct service {
	pid_t pid;          /* 0: none */
	struct child *stop; /* the step that ends it */
};

struct helper {
	const struct config *cfg;
	unsigned self;
	const char *run_dir;
	int sock;
	struct event_base *base;
	struct event ev, chld;
	LIST_HEAD(, child) children;
	struct service backend[CONFIG_VOLUMES_MAX];
	struct service rpcbind[CONFIG_VOLUMES_MAX];
	struct steps_request q;
	struct steps_answer a;
};

/* --- answers */

static void
answer(struct helper *h, size_t out_len)
{
	size_t len = STEPS_ANSWER_HEAD + out_len;

	h->a.out_len = (uint32_t)out_len;
	/* The agent reads; if not, there is nobody to answer. */
	if (send(h->sock, &h->a, len, MSG_NOSIGNAL) == -1)
		fprintf(stderr, "hanfs-agent: helper: answer lost: %s\n",
		    strerror(errno));
}

static void
answer_child(struct child *c)
{
	struct helper *h = c->h;

	memset(&h->a, 0, STEPS_ANSWER_HEAD);
	h->a.what = c->q.what;
	h->a.id = c->q.id;
	h->a.volume = c->q.volume;
	h->a.status = WIFEXITED(c->status) ? WEXITSTATUS(c->status)
					   : 128 + WTERMSIG(c->status);
	h->a.end = h->a.status == 0 ? STEPS_DONE : STEPS_FAILED;
	if (c->over && c->why == NULL)
		h->a.end = STEPS_TIMED_OUT;
	else if (c->over)
		h->a.end = STEPS_FAILED;
	if (c->over && c->why != NULL)
		snprintf(h->a.text, sizeof(h->a.text), "%s", c->why);
	else if (c->over)
		snprintf(h->a.text, sizeof(h->a.text),
		    "ended after %u ms, its deadline%s%.150s", c->q.deadline_ms,
		    c->line[0] != '\0' ? "; it said: " : "", c->line);
	else if (c->line[0] != '\0')
		snprintf(h->a.text, sizeof(h->a.text), "%s", c->line);
	else if (h->a.end == STEPS_FAILED)
		snprintf(h->a.text, sizeof(h->a.text), "%s %d",
		    WIFEXITED(c->status) ? "status" : "signal",
		    WIFEXITED(c->status) ? WEXITSTATUS(c->status)
					 : WTERMSIG(c->status));
	memcpy(h->a.out, c->out_text, c->out_len);
	answer(h, c->out_len);
}

static void
free_child(struct child *c)
{
	evtimer_del(&c->timer);
	event_del(&c->err);
	event_del(&c->out);
	close(event_get_fd(&c->err));
	close(event_get_fd(&c->out));
	LIST_REMOVE(c, next);
	free(c);
}

/* --- what children say */

static void
keep_line(struct child *c, const char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (buf[i] == '\n') {
			c->line_len = 0;
			continue;
		}
		if (c->line_len == 0)
			memset(c->line, 0, sizeof(c->line));
		if (c->line_len < sizeof(c->line) - 1)
			c->line[c->line_len++] = buf[i];
	}
}

static void
read_err(struct child *c)
{
	char buf[1024];
	ssize_t n;

	while ((n = read(event_get_fd(&c->err), buf, sizeof(buf))) > 0) {
		keep_line(c, buf, (size_t)n);
		if (write(STDERR_FILENO, buf, (size_t)n) == -1)
			break;
	}
	if (n == 0)
		event_del(&c->err);
}

static void
read_out(struct child *c)
{
	char more[1024];
	ssize_t n;

	for (;;) {
		size_t room = sizeof(c->out_text) - 1 - c->out_len;
		char *to = room > 0 ? c->out_text + c->out_len : more;

		n = read(
		    event_get_fd(&c->out), to, room > 0 ? room : sizeof(more));
		if (n <= 0)
			break;
		if (room > 0)
			c->out_len += (size_t)n;
	}
	if (n == 0)
		event_del(&c->out);
}

static void
on_err(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_err(arg);
}

static void
on_out(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_out(arg);
}

/* --- deadlines */

static void
end_child(struct child *c, const char *why)
{
	static const struct timeval grace = {
	    STEPS_GRACE_MS / 1000, STEPS_GRACE_MS % 1000 * 1000};

	if (c->over) {
		if (c->pid != 0)
			kill(-c->pid, SIGKILL);
		return;
	}
	c->over = true;
	c->why = why;
	if (c->pid != 0)
		kill(-c->pid, SIGTERM);
	evtimer_add(&c->timer, &grace);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	end_child(arg, NULL);
}

/* --- starting */

static void
context(const struct helper *h, const struct steps_request *q,
    struct step_context *c)
{
	memset(c, 0, sizeof(*c));
	c->cfg = h->cfg;
	c->self = h->self;
	c->run_dir = h->run_dir;
	c->epoch = q->epoch;
	c->until_ms = clock_now_ms() + q->deadline_ms;
	if (q->volume >= 0 && (unsigned)q->volume < h->cfg->nvolumes) {
		c->volume = (unsigned)q->volume;
		c->v = &h->cfg->volumes[q->volume];
	}
}

static void
reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
}

/* In the new child: nothing of the helper stays with it. */
static void
become_child(struct helper *h, int out, int err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	reset_signals();
	dup2(null, STDIN_FILENO);
	dup2(out == -1 ? STDERR_FILENO : out, STDOUT_FILENO);
	if (err != -1)
		dup2(err, STDERR_FILENO);
	close(h->sock);
}

static pid_t
start_service(struct helper *h, const struct steps_request *q,
    void (*exec)(const struct step_context *c))
{
	pid_t pid = fork();
	struct step_context c;

	if (pid != 0)
		return pid == -1 ? 0 : pid;
	become_child(h, -1, -1);
	context(h, q, &c);
	exec(&c);
	_exit(127);
}

static int
child_main(struct helper *h)
{
	struct step_context c;
	const char *env = h->q.text + strlen(h->q.text) + 1;

	context(h, &h->q, &c);
	if (h->q.what != STEPS_COMMAND)
		return step_run(&c, h->q.what);
	return step_command(
	    &c, h->q.text, env, h->q.text_len - (size_t)(env - h->q.text));
}

static struct child *
fork_child(struct helper *h)
{
	struct timeval tv = {
	    h->q.deadline_ms / 1000, h->q.deadline_ms % 1000 * 1000};
	struct child *c = calloc(1, sizeof(*c));
	int err[2], out[2];

	if (c == NULL || pipe2(err, O_CLOEXEC) == -1)
		abort();
	if (pipe2(out, O_CLOEXEC) == -1)
		abort();
	c->h = h;
	memcpy(&c->q, &h->q, STEPS_REQUEST_HEAD);
	c->pid = fork();
	if (c->pid == 0) {
		become_child(h, out[1], err[1]);
		exit(child_main(h)); /* and writes out what stdio has */
	}
	close(err[1]);
	close(out[1]);
	c->group = c->pid;
	if (c->pid == -1)
		c->pid = 0;
	else
		setpgid(c->pid, c->pid);
	evutil_make_socket_nonblocking(err[0]);
	evutil_make_socket_nonblocking(out[0]);
	event_assign(&c->err, h->base, err[0], EV_READ | EV_PERSIST, on_err, c);
	event_assign(&c->out, h->base, out[0], EV_READ | EV_PERSIST, on_out, c);
	evtimer_assign(&c->timer, h->base, on_deadline, c);
	event_add(&c->err, NULL);
	event_add(&c->out, NULL);
	evtimer_add(&c->timer, &tv);
	LIST_INSERT_HEAD(&h->children, c, next);
	if (c->pid == 0) {
		snprintf(c->line, sizeof(c->line), "fork: %s", strerror(errno));
		c->status = 1 << 8;
		answer_child(c);
		free_child(c);
		return NULL;
	}
	return c;
}

/* --- backends */

static void
start_backend(struct helper *h)
{
	struct service *b = &h->backend[h->q.volume];
	struct service *r = &h->rpcbind[h->q.volume];

	if (h->cfg->volumes[h->q.volume].backend.kind ==
	    CONFIG_BACKEND_GANESHA) {
		if (r->pid == 0)
			r->pid = start_service(h, &h->q, step_exec_rpcbind);
		b->pid = start_service(h, &h->q, step_exec_backend);
	}
	fork_child(h); /* waits for its NULL reply */
}

/* The child that waits for it fails with its last words. */
static void
fail_waiting(struct helper *h, unsigned volume)
{
	struct child *c;

	LIST_FOREACH(c, &h->children, next)
		if (c->q.what == STEP_BACKEND && c->q.volume == (int32_t)volume)
			end_child(c, "the backend ended; its log says why");
}

static void
stop_backend(struct helper *h)
{
	struct service *b = &h->backend[h->q.volume];
	struct child *c = fork_child(h);

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
		read_err(c);
		read_out(c);
		answer_child(c);
		if (c->q.volume >= 0 && h->backend[c->q.volume].stop == c)
			h->backend[c->q.volume].stop = NULL;
		free_child(c);
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
	answer(h, 0);
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
				end_child(c, "cancelled");
		break;
	case STEP_BACKEND:
		start_backend(h);
		break;
	case STEP_STOP:
		stop_backend(h);
		break;
	default:
		fork_child(h);
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
