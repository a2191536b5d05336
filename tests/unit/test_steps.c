/* Steps outside the process: commands with a deadline, through the helper. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/log.h"
#include "server-agent/steps_int.h"
#include "unit.h"

static struct config cfg;
static char run_dir[] = "/tmp/hanfs-steps-XXXXXX";

struct bed {
	struct steps *s;
	struct event_base *base;
	unsigned ends;
	struct steps_result last;
	char out[STEPS_OUT_MAX];
};

static void
on_end(void *arg, const struct steps_result *r)
{
	struct bed *b = arg;

	b->ends++;
	b->last = *r;
	memcpy(b->out, r->out, r->out_len + 1);
}

static int
set_up(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	b->s = steps_new(&cfg, 0, run_dir);
	b->base = event_base_new();
	assert_int_equal(steps_attach(b->s, b->base, NULL, NULL), 0);
	*state = b;
	return 0;
}

static int
tear_down(void **state)
{
	struct bed *b = *state;

	steps_free(b->s);
	event_base_free(b->base);
	free(b);
	return 0;
}

static struct step *
run(struct bed *b, const char *command, uint32_t deadline_ms)
{
	static const char *const env[] = {"HANFS_PEER=s2", NULL};
	struct step *t =
	    steps_command(b->s, command, env, 0, 7, deadline_ms, on_end, b);

	assert_non_null(t);
	return t;
}

static void
wait_ends(struct bed *b, unsigned n)
{
	uint64_t end = clock_now_ms() + 10000;

	while (b->ends < n) {
		struct timeval tv = {1, 0};

		assert_true(clock_now_ms() < end);
		event_base_loopexit(b->base, &tv);
		event_base_loop(b->base, EVLOOP_ONCE);
	}
}

static void
test_done(void **state)
{
	struct bed *b = *state;

	run(b,
	    "echo $HANFS_VOLUME $HANFS_SERVER $HANFS_PEER $HANFS_EPOCH "
	    "$HANFS_DEVICE",
	    5000);
	wait_ends(b, 1);
	assert_int_equal(b->last.end, STEPS_DONE);
	assert_string_equal(b->out, "home s1 s2 7 /dev/x\n");
	assert_string_equal(b->last.text, "");
}

static void
test_failed(void **state)
{
	struct bed *b = *state;

	run(b, "echo first >&2; echo the reason >&2; exit 3", 5000);
	wait_ends(b, 1);
	assert_int_equal(b->last.end, STEPS_FAILED);
	assert_int_equal(b->last.status, 3);
	assert_string_equal(b->last.text, "the reason");
	run(b, "kill -9 $$", 5000);
	wait_ends(b, 2);
	assert_int_equal(b->last.status, 128 + SIGKILL);
	run(b, "/no/such/tool", 5000);
	wait_ends(b, 3);
	assert_int_equal(b->last.status, 127);
}

/* All of its group is gone when it is reported. */
static void
test_timed_out(void **state)
{
	struct bed *b = *state;
	uint64_t began = clock_now_ms();
	pid_t pid;

	run(b, "trap '' TERM; sleep 100 & echo $!; wait; sleep 100", 200);
	wait_ends(b, 1);
	assert_int_equal(b->last.end, STEPS_TIMED_OUT);
	assert_non_null(strstr(b->last.text, "200 ms"));
	assert_in_range(clock_now_ms() - began, 200, 5000);
	pid = atoi(b->out);
	assert_true(pid > 1);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void
test_cancel(void **state)
{
	struct bed *b = *state;

	steps_cancel(b->s, run(b, "sleep 100", 60000));
	wait_ends(b, 1);
	assert_int_equal(b->last.end, STEPS_FAILED);
	assert_string_equal(b->last.text, "cancelled");
}

/* More output than is kept does not stop it. */
static void
test_much_output(void **state)
{
	struct bed *b = *state;

	run(b, "head -c 300000 /dev/zero | tr '\\0' x; echo end >&2", 9000);
	wait_ends(b, 1);
	assert_int_equal(b->last.end, STEPS_DONE);
	assert_int_equal(b->last.out_len, STEPS_OUT_MAX - 1);
	assert_string_equal(b->last.text, "end");
}

static void
test_many(void **state)
{
	struct bed *b = *state;

	for (unsigned i = 0; i < 40; i++)
		run(b, "exit 0", 9000);
	wait_ends(b, 40);
	assert_int_equal(b->last.end, STEPS_DONE);
}

/* What still runs ends with the agent's side. */
static void
test_end(void **state)
{
	struct bed *b = *state;
	char path[64], line[16] = "";
	FILE *f;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/pid", run_dir);
	(void)unlink(path);
	setenv("PIDFILE", path, 1);
	steps_free(b->s);
	b->s = steps_new(&cfg, 0, run_dir);
	assert_int_equal(steps_attach(b->s, b->base, NULL, NULL), 0);
	run(b, "sleep 100 & echo $! > $PIDFILE.new; mv $PIDFILE.new $PIDFILE; "
	       "wait",
	    60000);
	for (int i = 0; access(path, F_OK) == -1; i++) {
		assert_true(i < 5000);
		usleep(1000);
	}
	f = fopen(path, "r");
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	unlink(path);
	pid = atoi(line);
	assert_int_equal(kill(pid, 0), 0);
	steps_free(b->s);
	assert_int_equal(kill(pid, 0), -1);
	b->s = steps_new(&cfg, 0, run_dir);
	assert_int_equal(steps_attach(b->s, b->base, NULL, NULL), 0);
}

/* Ganesha's file, where none is named: what is configured stands in it. */
static void
test_ganesha_text(void **state)
{
	struct config_volume v = {.id = 0x18001};
	char text[2048] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	(void)state;
	v.backend.nfs_port = 2050;
	v.backend.mount_port = 20050;
	v.backend.threads = 33;
	strcpy(v.storage.mountpoint, "/srv/home");
	strcpy(v.export, "/home");
	step_ganesha_text(&v, f);
	assert_int_equal(fclose(f), 0);
	assert_non_null(strstr(text, "NFS_Port = 2050;"));
	assert_non_null(strstr(text, "MNT_Port = 20050;"));
	assert_non_null(strstr(text, "RPC_Ioq_ThrdMax = 33;"));
	assert_non_null(strstr(text, "Export_Id = 1;"));
	assert_non_null(strstr(text, "Path = \"/srv/home/export\";"));
	assert_non_null(strstr(text, "Pseudo = \"/home\";"));
	assert_non_null(strstr(text, "Filesystem_Id = 98305.98305;"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_done, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_failed, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_timed_out, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_much_output, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
	    cmocka_unit_test(test_ganesha_text),
	};
	int failed;

	log_open("test_steps", LOG_LEVEL_ERR);
	assert_non_null(mkdtemp(run_dir));
	strcpy(cfg.servers[0].name, "s1");
	cfg.nservers = cfg.nvolumes = 1;
	strcpy(cfg.volumes[0].name, "home");
	strcpy(cfg.volumes[0].storage.device, "/dev/x");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(run_dir);
	return failed;
}
