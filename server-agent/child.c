/* child: the contract is in child.h. */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server-agent/child.h"

#define OUT_MAX 8192u
#define ERR_MAX 256u
#define ENV_MAX 256u

struct run {
	struct child_runner *c;
	fence_ran_fn *done;
	void *arg;
	pid_t pid;
	int pid_fd;
	int out_fd, err_fd;
	struct event ended, timer, out, err;
	size_t out_len, err_len;
	char out_text[OUT_MAX + 1], err_text[ERR_MAX + 1];
	bool timed_out;
	LIST_ENTRY(run) next;
};

struct child_runner {
	struct event_base *base;
	LIST_HEAD(, run) runs;
};

/* --- what it says */

static void
read_out(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;
	char rest[512];
	ssize_t n;

	(void)what;
	for (;;) {
		if (r->out_len < OUT_MAX) {
			n = read(
			    fd, r->out_text + r->out_len, OUT_MAX - r->out_len);
			if (n > 0)
				r->out_len += (size_t)n;
		} else {
			n = read(fd, rest, sizeof(rest));
		}
		if (n <= 0)
			break;
	}
	if (n == 0)
		event_del(&r->out);
}

/* The last line that is not empty is what counts. */
static void
read_err(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;
	char buf[512];
	bool ended = false;
	ssize_t n;

	(void)what;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] == '\n') {
				ended = true;
				continue;
			}
			if (ended)
				r->err_len = 0;
			ended = false;
			if (r->err_len < ERR_MAX)
				r->err_text[r->err_len++] = buf[i];
		}
		r->err_text[r->err_len] = '\0';
	}
	if (n == 0)
		event_del(&r->err);
}

/* --- its end */

static void
free_run(struct run *r)
{
	LIST_REMOVE(r, next);
	event_del(&r->ended);
	event_del(&r->timer);
	event_del(&r->out);
	event_del(&r->err);
	close(r->pid_fd);
	close(r->out_fd);
	close(r->err_fd);
	free(r);
}

static void
kill_run(struct run *r)
{
	(void)kill(-r->pid, SIGKILL);
}

static void
on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;
	struct fence_ran ran = {.out = r->out_text, .err = r->err_text};
	int status = 0;

	(void)fd;
	(void)what;
	kill_run(r); /* what it left behind */
	(void)waitpid(r->pid, &status, 0);
	read_out(r->out_fd, 0, r);
	read_err(r->err_fd, 0, r);
	r->out_text[r->out_len] = '\0';
	ran.status =
	    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	ran.timed_out = r->timed_out;
	r->done(r->arg, &ran);
	free_run(r);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;

	(void)fd;
	(void)what;
	r->timed_out = true;
	kill_run(r);
}

/* --- its start */

/* Ours, and what is given; later ones are found first by nobody: a name that
 * is given twice is taken from the given ones. */
static void
make_env(const char *const *given, const char *env[ENV_MAX])
{
	unsigned n = 0;

	for (; given != NULL && *given != NULL && n < ENV_MAX - 1; given++)
		env[n++] = *given;
	for (char **e = environ; *e != NULL && n < ENV_MAX - 1; e++)
		env[n++] = *e;
	env[n] = NULL;
}

static int
spawn(struct run *r, const char *command, const char *const *given, int out,
    int err)
{
	const char *argv[] = {"sh", "-c", command, NULL};
	const char *env[ENV_MAX];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int e;

	make_env(given, env);
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(
	    &attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(
	    &files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
	e = posix_spawn(&r->pid, "/bin/sh", &files, &attr,
	    (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return e;
}

static int
open_pipes(int out[2], int err[2])
{
	if (pipe2(out, O_CLOEXEC) < 0)
		return -1;
	if (pipe2(err, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		return -1;
	}
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(err[0], F_SETFL, O_NONBLOCK);
	return 0;
}

static void
watch(struct run *r, uint32_t deadline_ms)
{
	struct event_base *base = r->c->base;
	struct timeval tv = {.tv_sec = deadline_ms / 1000,
	    .tv_usec = (suseconds_t)(deadline_ms % 1000) * 1000};

	event_assign(&r->ended, base, r->pid_fd, EV_READ, on_ended, r);
	event_assign(&r->timer, base, -1, 0, on_deadline, r);
	event_assign(
	    &r->out, base, r->out_fd, EV_READ | EV_PERSIST, read_out, r);
	event_assign(
	    &r->err, base, r->err_fd, EV_READ | EV_PERSIST, read_err, r);
	event_add(&r->ended, NULL);
	event_add(&r->timer, &tv);
	event_add(&r->out, NULL);
	event_add(&r->err, NULL);
	LIST_INSERT_HEAD(&r->c->runs, r, next);
}

static void *
start(void *runner, const char *command, const char *const *env,
    uint32_t deadline_ms, fence_ran_fn *done, void *arg)
{
	struct run *r = calloc(1, sizeof(*r));
	int out[2], err[2], e;

	if (r == NULL || open_pipes(out, err) == -1) {
		free(r);
		return NULL;
	}
	*r = (struct run){.c = runner,
	    .done = done,
	    .arg = arg,
	    .out_fd = out[0],
	    .err_fd = err[0],
	    .pid_fd = -1};
	e = spawn(r, command, env, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	if (e == 0) {
		r->pid_fd = (int)syscall(SYS_pidfd_open, r->pid, 0);
		e = r->pid_fd < 0 ? errno : 0;
		if (e != 0) {
			kill_run(r);
			(void)waitpid(r->pid, NULL, 0);
		}
	}
	if (e != 0) {
		close(out[0]);
		close(err[0]);
		free(r);
		errno = e;
		return NULL;
	}
	watch(r, deadline_ms);
	return r;
}

static void
cancel(void *runner, void *run)
{
	struct run *r = run;

	(void)runner;
	kill_run(r);
	(void)waitpid(r->pid, NULL, 0);
	free_run(r);
}

/* --- the runner */

struct child_runner *
child_runner_new(struct event_base *base)
{
	struct child_runner *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->base = base;
	LIST_INIT(&c->runs);
	return c;
}

void
child_runner_free(struct child_runner *c)
{
	if (c == NULL)
		return;
	while (!LIST_EMPTY(&c->runs))
		cancel(c, LIST_FIRST(&c->runs));
	free(c);
}

struct fence_runner
child_runner_interface(struct child_runner *c)
{
	return (struct fence_runner){
	    .start = start, .cancel = cancel, .runner = c};
}
