/* Threads beside an event loop: no signal is theirs, real-time if allowed. */
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hanfs/thread.h"
#include "unit.h"

struct seen {
	int policy, priority;
	bool blocked;
};

static void *
look(void *arg)
{
	struct seen *s = arg;
	struct sched_param param;
	sigset_t set;

	pthread_getschedparam(pthread_self(), &s->policy, &param);
	s->priority = param.sched_priority;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	s->blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGINT) &&
		     sigismember(&set, SIGCHLD);
	return NULL;
}

static struct seen
start(int priority, bool *realtime)
{
	struct seen s = {.policy = -1};
	pthread_t id;
	sigset_t set;

	assert_int_equal(thread_start(&id, priority, look, &s, realtime), 0);
	pthread_join(id, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	assert_false(sigismember(&set, SIGTERM)); /* ours are as before */
	return s;
}

static void
test_plain(void **state)
{
	bool realtime = true;
	struct seen s = start(0, &realtime);

	(void)state;
	assert_true(s.blocked);
	assert_false(realtime);
	assert_int_not_equal(s.policy, SCHED_FIFO);
	start(0, NULL);
}

static void
test_realtime(void **state)
{
	bool realtime = false;
	struct seen s = start(7, &realtime);

	(void)state;
	assert_true(s.blocked);
	if (!realtime)
		skip(); /* not permitted here */
	assert_int_equal(s.policy, SCHED_FIFO);
	assert_int_equal(s.priority, 7);
}

/* Without the permission it runs all the same, and it is said. */
static void
test_not_permitted(void **state)
{
	const struct rlimit none = {0, 0};
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		bool realtime = true;
		struct seen s = {.policy = -1};
		pthread_t id;

		if (setrlimit(RLIMIT_RTPRIO, &none) == -1 ||
		    (geteuid() == 0 && setuid(65534) == -1))
			_exit(2);
		if (thread_start(&id, 7, look, &s, &realtime) != 0)
			_exit(3);
		pthread_join(id, NULL);
		_exit(realtime || s.policy == SCHED_FIFO || !s.blocked);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_realtime),
	    cmocka_unit_test(test_not_permitted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
