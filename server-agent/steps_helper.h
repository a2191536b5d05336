/*
 * steps: what the helper's two files share.
 *
 *   steps_helper.c  requests, backends, reaping, the end
 *   steps_child.c   children: start, what they say, deadlines
 */
#ifndef HANFS_AGENT_STEPS_HELPER_H
#define HANFS_AGENT_STEPS_HELPER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

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
	/* END_OLD found it mounted, and it was not unmounted since. */
	bool mounted[CONFIG_VOLUMES_MAX];
	struct steps_request q;
	struct steps_answer a;
};

/* Sends h->a with so much output. */
void helper_answer(struct helper *h, size_t out_len);
/* Forks for the request in h->q. NULL: it is answered already. */
struct child *child_start(struct helper *h);
/* Ends it: at its deadline (why NULL), or because of why. */
void child_end(struct child *c, const char *why);
/* It is gone, with its group: answers, frees. */
void child_finish(struct child *c);
/* Forks what runs all the time; its process id, or 0. */
pid_t service_start(struct helper *h, const struct steps_request *q,
    void (*exec)(const struct step_context *c));

#endif
