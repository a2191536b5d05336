/*
 * steps: the helper's children. Each leads a group of its own, has its output
 * read, and ends at its deadline.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/steps_helper.h"

/* --- answers */

void
helper_answer(struct helper *h, size_t out_len)
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
	helper_answer(h, c->out_len);
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

void
child_end(struct child *c, const char *why)
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
	child_end(arg, NULL);
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
		c->mounted = h->mounted[q->volume];
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

pid_t
service_start(struct helper *h, const struct steps_request *q,
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

struct child *
child_start(struct helper *h)
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

/* Which mounts of an earlier life are known of. */
static void
learn_mount(struct child *c)
{
	if (c->q.volume < 0 || c->status != 0)
		return;
	if (c->q.what == STEP_END_OLD)
		c->h->mounted[c->q.volume] = c->out_len > 0;
	else if (c->q.what == STEP_UNMOUNT || c->q.what == STEP_ABANDON)
		c->h->mounted[c->q.volume] = false;
}

void
child_finish(struct child *c)
{
	read_err(c);
	read_out(c);
	learn_mount(c);
	answer_child(c);
	free_child(c);
}
