/*
 * child: runs tools as child processes for fence.h and arbiter.h, in a
 * program that keeps its privileges: hanfs-agent --check, and tests. (The
 * running agent has given up most of its own: it has its helper, steps.h.)
 *
 * Each command leads a process group that is killed at the deadline, and
 * when the command has ended.
 */
#ifndef AGENT_CHILD_H
#define AGENT_CHILD_H

#include "server-agent/fence.h"

struct child_runner;

/* NULL: no memory. */
struct child_runner *child_runner_new(struct event_base *base);
/* Kills what runs; nothing is called any more. */
void child_runner_free(struct child_runner *c);

/* As fence_new() and arbiter_start() want it. */
struct fence_runner child_runner_interface(struct child_runner *c);

#endif
