/* steps: the contract is in steps.h. The agent's side. */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
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
#include "hanfs/log.h"
#include "server-agent/steps_int.h"

const char *const steps_end_names[STEPS_ENDS] = {"done", "failed", "timed out"};
const char *const step_kind_names[STEP_KINDS] = {"end-old", "prepare",
    "assemble", "mount", "backend", "root", "address-up", "address-down",
    "sync", "flush", "stop", "unmount", "abandon", "disassemble"};

enum { RUNNING_MAX = 256 };

struct step {
	uint32_t id;
	uint64_t began_ms;
	steps_done_fn *done;
	void *arg;
	LIST_ENTRY(step) next;
};

struct steps {
	pid_t helper;
	int sock;
	uint32_t last_id;
	unsigned running;
	LIST_HEAD(, step) list;
	struct event ev;
	bool attached;
	void (*settle)(void *arg);
	void *settle_arg;
	void (*backend_end)(void *arg, unsigned volume, const char *how);
	void *backend_arg;
	struct steps_answer answer;
};

struct steps *
steps_new(const struct config *cfg, unsigned self, const char *run_dir)
{
	struct steps *s = calloc(1, sizeof(*s));
	int pair[2];

	if (s == NULL)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		goto fail;
	s->helper = fork();
	if (s->helper == -1) {
		close(pair[0]);
		close(pair[1]);
		goto fail;
	}
	if (s->helper == 0) {
		close(pair[0]);
		free(s);
		steps_helper(cfg, self, run_dir, pair[1]);
	}
	close(pair[1]);
	s->sock = pair[0];
	LIST_INIT(&s->list);
	return s;
fail:
	log_err("the helper for takeover's steps: %s", strerror(errno));
	free(s);
	return NULL;
}

/* --- answers */

static struct step *
find(struct steps *s, uint32_t id)
{
	struct step *t;

	LIST_FOREACH(t, &s->list, next)
		if (t->id == id)
			return t;
	return NULL;
}

static void
finish(struct steps *s, struct step *t, const struct steps_result *result)
{
	steps_done_fn *done = t->done;
	void *arg = t->arg;

	LIST_REMOVE(t, next);
	s->running--;
	free(t);
	done(arg, result);
}

static void
take(struct steps *s, struct steps_answer *a, size_t len)
{
	struct steps_result r = {
	    .end = a->end < STEPS_ENDS ? a->end : STEPS_FAILED,
	    .status = a->status,
	    .out = a->out};
	struct step *t;

	if (len < STEPS_ANSWER_HEAD || a->out_len >= STEPS_OUT_MAX ||
	    len - STEPS_ANSWER_HEAD < a->out_len)
		return;
	a->text[sizeof(a->text) - 1] = '\0';
	a->out[a->out_len] = '\0';
	r.out_len = a->out_len;
	memcpy(r.text, a->text, sizeof(r.text));
	if (a->what == STEPS_BACKEND_END) {
		if (s->backend_end != NULL)
			s->backend_end(
			    s->backend_arg, (unsigned)a->volume, a->text);
		return;
	}
	t = find(s, a->id);
	if (t == NULL)
		return;
	r.ms = (uint32_t)(clock_now_ms() - t->began_ms);
	finish(s, t, &r);
}

static void
helper_gone(struct steps *s)
{
	struct steps_result r = {.end = STEPS_FAILED,
	    .status = 1,
	    .text = "the helper process ended",
	    .out = ""};

	log_err("the helper for takeover's steps ended: nothing can be mounted "
		"or fenced any more; start hanfs-agent anew");
	event_del(&s->ev);
	s->attached = false;
	close(s->sock);
	s->sock = -1;
	while (!LIST_EMPTY(&s->list))
		finish(s, LIST_FIRST(&s->list), &r);
}

static void
on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct steps *s = arg;

	(void)what;
	for (;;) {
		ssize_t n =
		    recv(fd, &s->answer, sizeof(s->answer), MSG_DONTWAIT);

		if (n > 0) {
			take(s, &s->answer, (size_t)n);
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			helper_gone(s);
		if (n == -1 && errno == EINTR)
			continue;
		break;
	}
	if (s->settle != NULL)
		s->settle(s->settle_arg);
}

int
steps_attach(struct steps *s, struct event_base *base,
    void (*settle)(void *arg), void *arg)
{
	s->settle = settle;
	s->settle_arg = arg;
	event_assign(&s->ev, base, s->sock, EV_READ | EV_PERSIST, on_answer, s);
	s->attached = event_add(&s->ev, NULL) == 0;
	return s->attached ? 0 : -1;
}

void
steps_free(struct steps *s)
{
	struct step *t;

	if (s == NULL)
		return;
	if (s->attached)
		event_del(&s->ev);
	if (s->sock != -1)
		close(s->sock);
	while (waitpid(s->helper, NULL, 0) == -1 && errno == EINTR)
		;
	while ((t = LIST_FIRST(&s->list)) != NULL) {
		LIST_REMOVE(t, next);
		free(t);
	}
	free(s);
}

/* --- requests */

static int
say(struct steps *s, struct steps_request *q)
{
	size_t len = STEPS_REQUEST_HEAD + q->text_len;

	if (s->sock == -1) {
		errno = ECONNRESET;
		return -1;
	}
	return send(s->sock, q, len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
		       (ssize_t)len
		   ? 0
		   : -1;
}

static struct step *
ask(struct steps *s, struct steps_request *q, steps_done_fn *done, void *arg)
{
	struct step *t;

	if (s->running == RUNNING_MAX) {
		errno = EAGAIN;
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	q->id = t->id = ++s->last_id;
	if (say(s, q) == -1) {
		free(t);
		return NULL;
	}
	t->began_ms = clock_now_ms();
	t->done = done;
	t->arg = arg;
	LIST_INSERT_HEAD(&s->list, t, next);
	s->running++;
	return t;
}

struct step *
steps_start(struct steps *s, enum step_kind kind, const struct steps_volume *v,
    uint32_t deadline_ms, steps_done_fn *done, void *arg)
{
	struct steps_request q = {.what = kind,
	    .volume = (int32_t)v->volume,
	    .epoch = v->epoch,
	    .deadline_ms = deadline_ms};

	return ask(s, &q, done, arg);
}

static int
add_text(struct steps_request *q, const char *text)
{
	size_t len = strlen(text) + 1;

	if (len > sizeof(q->text) - q->text_len) {
		errno = E2BIG;
		return -1;
	}
	memcpy(q->text + q->text_len, text, len);
	q->text_len += (uint32_t)len;
	return 0;
}

struct step *
steps_command(struct steps *s, const char *command, const char *const *env,
    int volume, uint64_t epoch, uint32_t deadline_ms, steps_done_fn *done,
    void *arg)
{
	struct steps_request q = {.what = STEPS_COMMAND,
	    .volume = volume,
	    .epoch = epoch,
	    .deadline_ms = deadline_ms};

	if (add_text(&q, command) == -1)
		return NULL;
	for (unsigned i = 0; env != NULL && env[i] != NULL; i++) {
		if (i == STEPS_ENV_MAX) {
			errno = E2BIG;
			return NULL;
		}
		if (add_text(&q, env[i]) == -1)
			return NULL;
	}
	return ask(s, &q, done, arg);
}

void
steps_cancel(struct steps *s, struct step *step)
{
	struct steps_request q = {.what = STEPS_CANCEL, .id = step->id};

	if (say(s, &q) == -1)
		log_warn("a step could not be cancelled: %s", strerror(errno));
}

void
steps_on_backend_end(struct steps *s,
    void (*fn)(void *arg, unsigned volume, const char *how), void *arg)
{
	s->backend_end = fn;
	s->backend_arg = arg;
}
