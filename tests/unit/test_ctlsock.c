/*
 * The control socket: questions are answered, nonsense is refused, a second
 * instance is noticed, and a peer without the right may not change anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hanfs/ctlsock.h"

static char dir[] = "/tmp/hanfs-ctlsock-XXXXXX";

static json_t *
show_big(void *arg)
{
	json_t *list = json_array();

	for (int i = 0; i < *(int *)arg; i++)
		json_array_append_new(list, json_pack("{s:i}", "n", i));
	return list;
}

static json_t *
do_count(void *arg, const char *words)
{
	++*(int *)arg;
	return json_pack("{s:s}", "words", words);
}

/* Asks in a child, serves here; returns the child's exit status. */
static int
ask(struct event_base *base, const char *line, int (*check)(json_t *doc),
    uid_t uid)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const char *why = "";
		json_t *doc;

		if (uid != 0 && (setgroups(0, NULL) == -1 ||
		    setgid((gid_t)uid) == -1 || setuid(uid) == -1))
			_exit(9);
		doc = ctlsock_ask(dir, "x.sock", line, 3000, &why);
		_exit(doc == NULL ? 8 : check(doc));
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
	return WEXITSTATUS(status);
}

static int
is_big(json_t *doc)
{
	return json_array_size(doc) == 50000 ? 0 : 1;
}

static int
is_error(json_t *doc)
{
	return json_object_get(doc, "error") != NULL ? 0 : 1;
}

static int
has_words(json_t *doc)
{
	const char *w = json_string_value(json_object_get(doc, "words"));

	return w != NULL && strcmp(w, "one two") == 0 ? 0 : 1;
}

static void
answers(void **state)
{
	struct event_base *base = event_base_new();
	struct ctlsock *ctl = ctlsock_new(base, dir, "x.sock");
	int big = 50000, done = 0;

	(void)state;
	assert_non_null(ctl);
	ctlsock_show(ctl, "big", show_big, &big);
	ctlsock_do(ctl, "count", do_count, &done);
	assert_int_equal(ask(base, "show big", is_big, 0), 0);
	assert_int_equal(ask(base, "show small", is_error, 0), 0);
	assert_int_equal(ask(base, "do big", is_error, 0), 0);
	assert_int_equal(ask(base, "", is_error, 0), 0);
	assert_int_equal(ask(base, "show", is_error, 0), 0);
	assert_int_equal(done, 0);
	assert_int_equal(ask(base, "do count one two", has_words, 0), 0);
	assert_int_equal(done, 1);
	assert_null(ctlsock_new(base, dir, "x.sock"));
	ctlsock_free(ctl);
	ctl = ctlsock_new(base, dir, "x.sock"); /* and again */
	assert_non_null(ctl);
	ctlsock_free(ctl);
	event_base_free(base);
}

static void
changes_need_rights(void **state)
{
	struct event_base *base = event_base_new();
	struct ctlsock *ctl = ctlsock_new(base, dir, "x.sock");
	char path[100];
	int done = 0;

	(void)state;
	if (geteuid() != 0)
		skip();
	ctlsock_do(ctl, "count", do_count, &done);
	snprintf(path, sizeof(path), "%s/x.sock", dir);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(ask(base, "do count", is_error, 65534), 8);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(ask(base, "do count", is_error, 65534), 0);
	assert_int_equal(done, 0);
	ctlsock_free(ctl);
	event_base_free(base);
}

static void
nobody_there(void **state)
{
	const char *why = NULL;

	(void)state;
	assert_null(ctlsock_ask(dir, "none.sock", "show x", 100, &why));
	assert_non_null(strstr(why, "does the daemon run"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers),
	    cmocka_unit_test(changes_need_rights),
	    cmocka_unit_test(nobody_there),
	};
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	rc = cmocka_run_group_tests_name("ctlsock", tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
