/*
 * Threads beside a program's event loop: signals stay the loop's, the stack
 * is small (all memory may be locked), the priority real-time if that is
 * allowed.
 */
#ifndef HANFS_THREAD_H
#define HANFS_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/*
 * Starts run(arg) with all signals blocked, at SCHED_FIFO `priority` (1 to
 * 99; 0: none is wanted). Where that is not permitted it runs without;
 * *realtime (may be NULL) says whether it has it, and is written before the
 * thread begins. Returns 0, or an errno value: no thread then.
 */
int thread_start(pthread_t *id, int priority, void *(*run)(void *), void *arg,
    bool *realtime);

#endif
