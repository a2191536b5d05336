/*
 * hanfsctl: tables, shortened words, keys that are never lost, and what it
 * says when the daemon is not there or does not like the question.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ctl/ctl.h"
#include "hanfs/ctlsock.h"
#include "hanfs/keys.h"
#include "hanfs/log.h"
#include "unit.h"

#include "capture.h"

static char dir[] = "/tmp/hanfs-ctl-XXXXXX";
static struct capture out, err;

/* Runs a command with words, as from the command line; its status. */
static int
run(int (*command)(const struct ctl *, int, char **), int json, ...)
{
	const struct ctl ctl = {.run_dir = dir, .json = json != 0};
	char *argv[8] = {NULL};
	int argc = 0, status;
	va_list ap;

	va_start(ap, json);
	while ((argv[argc] = va_arg(ap, char *)) != NULL)
		argc++;
	va_end(ap);
	capture_start(&out, STDOUT_FILENO);
	capture_start(&err, STDERR_FILENO);
	status = command(&ctl, argc, argv);
	capture_stop(&err);
	capture_stop(&out);
	return status;
}

static void
assert_says(const struct capture *c, const char *text)
{
	if (strstr(c->text, text) == NULL)
		fail_msg("'%s' is not in: %s", text, c->text);
}

static void
assert_said_once(const struct capture *c, const char *text)
{
	const char *first = strstr(c->text, text);

	if (first == NULL || strstr(first + 1, text) != NULL)
		fail_msg("'%s' is not once in: %s", text, c->text);
}

static const char *
table(const char *json)
{
	static char text[4096];
	json_t *doc = json_loads(json, JSON_DECODE_ANY, NULL);
	FILE *f = fmemopen(text, sizeof(text), "w");

	assert_true(doc != NULL && f != NULL);
	ctl_table(f, doc);
	fclose(f);
	json_decref(doc);
	return text;
}

static void
table_of_rows(void **state)
{
	(void)state;
	assert_string_equal(table(
	    "[{\"path\": \"s1/A\", \"up\": true, \"calls\": 7},"
	    " {\"path\": \"server2/B\", \"up\": false, \"calls\": 12345}]"),
	    "path       up   calls\n"
	    "s1/A       yes      7\n"
	    "server2/B  no   12345\n");
	/* a last column of text ends where it ends; what is missing is "-" */
	assert_string_equal(table(
	    "[{\"n\": 1, \"why\": \"a\"}, {\"n\": 20},"
	    " {\"n\": null, \"why\": \"long\"}]"),
	    " n  why\n 1  a\n20  -\n-   long\n");
	assert_string_equal(table("[]"), "(none)\n");
}

static void
table_of_an_object(void **state)
{
	(void)state;
	assert_string_equal(table(
	    "{\"calls\": 3, \"share\": 0.5, \"name\": \"home\","
	    " \"of\": [{\"x\": 1}], \"none\": []}"),
	    "calls  3\nshare  0.500\nname   home\n"
	    "of:\nx\n1\nnone:\n(none)\n");
	assert_string_equal(table("\"done\""), "\"done\"\n");
	assert_string_equal(table("[1, 2]"), "[\n 1,\n 2\n]\n");
}

static int
word(const char *text)
{
	static const char *const names[] = {
	    "calls", "clients", "counters", "count", NULL};
	int i;

	capture_start(&err, STDERR_FILENO);
	i = ctl_word("thing", text, names);
	capture_stop(&err);
	return i;
}

static void
words_are_shortened(void **state)
{
	(void)state;
	assert_int_equal(word("ca"), 0);
	assert_int_equal(word("clients"), 1);
	assert_int_equal(word("counte"), 2);
	assert_int_equal(word("count"), 3); /* whole, though one goes on */
	assert_string_equal(err.text, "");
	assert_int_equal(word("c"), -1);
	assert_says(&err, "ambiguous thing: 'c'; there are: calls clients");
	assert_int_equal(word("callsx"), -1);
	assert_says(&err, "unknown thing: 'callsx'; there are: calls");
	assert_int_equal(word(""), -1);
}

static off_t
read_file(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
	return (off_t)n;
}

static void
key_is_made_once(void **state)
{
	char path[64], first[128], now[128], line[128], why[256];
	char text[KEY_PUBLIC_TEXT_SIZE];
	struct key_pair pair;
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/key", dir);
	assert_int_equal(run(ctl_keygen, false, "keygen", path, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	read_file(path, first, sizeof(first));
	/* what it prints is that key's line for the configuration */
	assert_int_equal(key_read(path, &pair, why, sizeof(why)), 0);
	key_public_format(pair.public_key, text);
	snprintf(line, sizeof(line), "public_key = \"%s\"\n", text);
	assert_string_equal(out.text, line);

	assert_int_equal(run(ctl_keygen, false, "keygen", path, NULL), 1);
	assert_string_equal(out.text, "");
	assert_says(&err, "exists; to replace that key for good, add -f");
	read_file(path, now, sizeof(now));
	assert_string_equal(now, first);

	assert_int_equal(run(ctl_keygen, false, "keygen", "-f", path, NULL),
	    0);
	read_file(path, now, sizeof(now));
	assert_string_not_equal(now, first);
	unlink(path);
}

static void
key_needs_a_place(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/none/key", dir);
	assert_int_equal(run(ctl_keygen, false, "keygen", path, NULL), 1);
	assert_says(&err, "cannot write");
	assert_int_equal(run(ctl_keygen, false, "keygen", NULL), 2);
	assert_says(&err, "usage: hanfsctl keygen");
	assert_int_equal(run(ctl_keygen, false, "keygen", "-f", NULL), 2);
	assert_int_equal(run(ctl_keygen, false, "keygen", "-x", path, NULL),
	    2);
	assert_int_equal(run(ctl_keygen, false, "keygen", "a", "b", NULL), 2);
}

static void
nobody_there(void **state)
{
	(void)state;
	assert_int_equal(run(ctl_show, false, "show", "paths", NULL), 1);
	assert_says(&err, "proxy.sock");
	assert_says(&err, "does the daemon run");
	assert_string_equal(out.text, "");
	assert_int_equal(run(ctl_show, false, "show", "all", NULL), 1);
	assert_says(&err, "no daemon of hanfs answers in");
	assert_int_equal(run(ctl_show, false, "show", NULL), 2);
	assert_says(&err, "usage: hanfsctl show");
	assert_int_equal(run(ctl_show, false, "show", "nosuch", NULL), 2);
	assert_says(&err, "unknown thing to show: 'nosuch'");
	assert_int_equal(
	    run(ctl_show, false, "show", "paths", "agent", NULL), 2);
	assert_says(&err, "the agent knows nothing of 'paths'");
}

static json_t *
show_calls(void *arg)
{
	(void)arg;
	return json_pack("[{s:s, s:i}]", "proc", "WRITE", "xid", 17);
}

/* A volume that moves at the second look after it was asked to. */
static int asked, looks;

static json_t *
show_takeovers(void *arg)
{
	bool new = asked > 0, done = new && ++looks > 2;

	(void)arg;
	return json_pack("[{ss si sb sb}, {ss si sb sb}]", "volume", "work",
	    "number", 9, "running", 0, "ok", 0, "volume", "home", "number",
	    new ? 4 : 3, "running", new && !done, "ok", done);
}

static json_t *
do_volume(void *arg, const char *words)
{
	(void)arg;
	if (strcmp(words, "home move s2") != 0)
		return json_pack("{ss}", "error", "no such server");
	asked++;
	return json_object();
}

/* A daemon of this name that knows its calls and its volumes alone. */
static pid_t
start_daemon(const char *sock)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct event_base *base = event_base_new();
		struct ctlsock *ctl = ctlsock_new(base, dir, sock);

		ctlsock_show(ctl, "calls", show_calls, NULL);
		ctlsock_show(ctl, "takeovers", show_takeovers, NULL);
		ctlsock_do(ctl, "volume", do_volume, NULL);
		if (write(ready[1], "", 1) == 1)
			event_base_dispatch(base);
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void
end_daemon(pid_t pid, const char *sock)
{
	char path[64];

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/%s", dir, sock);
	unlink(path);
}

static void
daemon_answers(void **state)
{
	pid_t pid = start_daemon("agent.sock");
	json_t *doc;

	(void)state;
	/* the proxy is asked first, but is not there */
	assert_int_equal(run(ctl_show, false, "show", "cal", NULL), 0);
	assert_string_equal(out.text, "proc   xid\nWRITE   17\n");
	assert_string_equal(err.text, "");
	assert_int_equal(run(ctl_show, true, "show", "calls", "a", NULL), 0);
	doc = json_loads(out.text, 0, NULL);
	assert_int_equal(json_array_size(doc), 1);
	json_decref(doc);
	assert_int_equal(
	    run(ctl_show, false, "show", "calls", "--json", NULL), 0);
	assert_int_equal(out.text[0], '[');
	/* the daemon's own refusal is passed on */
	assert_int_equal(run(ctl_show, false, "show", "clients", NULL), 1);
	assert_says(&err, "hanfsctl: agent: unknown word; there are: calls");
	assert_int_equal(
	    run(ctl_show, false, "show", "calls", "proxy", NULL), 1);
	assert_says(&err, "proxy.sock");
	end_daemon(pid, "agent.sock");
}

/* A socket that is left of a daemon that died. */
static void
daemon_died(void **state)
{
	pid_t pid = start_daemon("proxy.sock");

	(void)state;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(run(ctl_show, false, "show", "paths", NULL), 1);
	assert_says(&err, "Connection refused; does the daemon run");
	end_daemon(0x7fffffff, "proxy.sock");
}

/* One that holds the socket and says nothing. */
static void
daemon_hangs(void **state)
{
	pid_t pid = start_daemon("detector.sock");

	(void)state;
	kill(pid, SIGSTOP);
	assert_int_equal(run(ctl_show, false, "show", "heartbeats", NULL), 1);
	assert_says(&err, "no answer in 3000 ms");
	end_daemon(pid, "detector.sock");
}

/* It waits for the report of what it asked for, and for no older one. */
static void
volume_moves(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(run(ctl_volume, false, "volume", "home", NULL), 2);
	assert_says(&err, "usage: hanfsctl volume VOLUME show|move SERVER");
	assert_int_equal(
	    run(ctl_volume, false, "volume", "home", "move", NULL), 2);
	assert_says(&err, "usage: hanfsctl volume VOLUME show|move SERVER");
	assert_int_equal(run(ctl_drill, false, "drill", NULL), 2);
	assert_int_equal(run(ctl_drill, false, "drill", "home", NULL), 1);
	assert_said_once(&err, "agent.sock");
	assert_int_equal(
	    run(ctl_volume, false, "volume", "home", "move", "s2", NULL), 1);
	assert_said_once(&err, "agent.sock");
	assert_int_equal(
	    run(ctl_volume, false, "volume", "home", "show", NULL), 1);
	assert_said_once(&err, "hanfsctl:");
	pid = start_daemon("agent.sock");
	assert_int_equal(
	    run(ctl_volume, false, "volume", "home", "move", "s3", NULL), 1);
	assert_says(&err, "hanfsctl: agent: no such server");
	assert_int_equal(
	    run(ctl_volume, true, "volume", "home", "mo", "s2", NULL), 0);
	assert_says(&out, "\"number\": 4");
	end_daemon(pid, "agent.sock");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table_of_rows),
	    cmocka_unit_test(table_of_an_object),
	    cmocka_unit_test(words_are_shortened),
	    cmocka_unit_test(key_is_made_once),
	    cmocka_unit_test(key_needs_a_place),
	    cmocka_unit_test(nobody_there),
	    cmocka_unit_test(daemon_answers),
	    cmocka_unit_test(volume_moves),
	    cmocka_unit_test(daemon_died),
	    cmocka_unit_test(daemon_hangs),
	};
	int rc;

	log_open("test_ctl", LOG_LEVEL_ERR);
	if (mkdtemp(dir) == NULL)
		return 1;
	rc = cmocka_run_group_tests_name("ctl", tests, NULL, NULL);
	if (rmdir(dir) == -1)
		return 1;
	return rc;
}
