/* thread: the contract is in hanfs/thread.h. */
#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "hanfs/thread.h"

#define STACK_SIZE (128u * 1024)

static int
create(pthread_t *id, int priority, void *(*run)(void *), void *arg)
{
	struct sched_param param = {.sched_priority = priority};
	pthread_attr_t attr;
	int e = pthread_attr_init(&attr);

	if (e != 0)
		return e;
	(void)pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (priority > 0) {
		(void)pthread_attr_setinheritsched(
		    &attr, PTHREAD_EXPLICIT_SCHED);
		(void)pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
		(void)pthread_attr_setschedparam(&attr, &param);
	}
	e = pthread_create(id, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return e;
}

int
thread_start(pthread_t *id, int priority, void *(*run)(void *), void *arg,
    bool *realtime)
{
	sigset_t all, before;
	bool unused;
	int e;

	if (realtime == NULL)
		realtime = &unused;
	*realtime = priority > 0;
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	e = create(id, priority, run, arg);
	if (e == EPERM && priority > 0) {
		*realtime = false;
		e = create(id, 0, run, arg);
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return e;
}
