/* Messages: levels, the form of a line, the limit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "unit.h"

#include "capture.h"

static struct capture err;

static int
start(void **state)
{
	(void)state;
	capture_start(&err, STDERR_FILENO);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	capture_stop(&err);
	return 0;
}

static const char *
captured(void)
{
	return capture_text(&err);
}

static unsigned
captured_lines(void)
{
	unsigned lines = 0;

	for (const char *p = captured(); *p != '\0'; p++)
		lines += *p == '\n';
	return lines;
}

static void
test_levels(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_open("unit", LOG_LEVEL_NOTICE);
	log_info("must not appear");
	log_debug("must not appear");
	log_notice("port %d", 9077);
	assert_int_equal(captured_lines(), 1);
	assert_non_null(strstr(captured(), "unit notice: port 9077\n"));
	assert_false(log_wants(LOG_LEVEL_INFO));
	assert_true(log_wants(LOG_LEVEL_ERR));
}

static void
test_journal(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_open("unit", LOG_LEVEL_DEBUG);
	log_warn("one");
	log_debug("two");
	unsetenv("JOURNAL_STREAM");
	assert_string_equal(captured(), "<4>one\n<7>two\n");
}

static void
test_long_line_is_cut(void **state)
{
	char big[4000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_open("unit", LOG_LEVEL_INFO);
	log_err("%s", big);
	assert_int_equal(captured_lines(), 1);
	assert_int_equal(strlen(captured()), 1001);
}

static void
test_controls_are_replaced(void **state)
{
	(void)state;
	log_open("unit", LOG_LEVEL_INFO);
	log_err("%s", "a\nb\033[2Jc");
	assert_int_equal(captured_lines(), 1);
	assert_non_null(strstr(captured(), "a?b?[2Jc\n"));
}

static void
test_limit(void **state)
{
	struct log_limit limit = LOG_LIMIT_INIT(2, 1000);

	(void)state;
	log_open("unit", LOG_LEVEL_INFO);
	for (int i = 0; i < 10; i++)
		log_limited(&limit, 5000, LOG_LEVEL_WARN, "flood %d", i);
	assert_int_equal(captured_lines(), 2);
	log_limited(&limit, 5999, LOG_LEVEL_WARN, "still");
	assert_int_equal(captured_lines(), 2);
	log_limited(&limit, 6000, LOG_LEVEL_WARN, "again");
	assert_int_equal(captured_lines(), 4);
	assert_non_null(
	    strstr(captured(), "9 messages like the next suppressed\n"));
	assert_non_null(strstr(captured(), "again\n"));
	assert_null(strstr(captured(), "flood 2"));
}

static void
test_level_names(void **state)
{
	enum log_level level;

	(void)state;
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud", &level), -1);
	assert_string_equal(log_level_name(LOG_LEVEL_ERR), "err");
}

static void
test_fatal_exits(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		fatal("no such server: %s", "s9");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_non_null(strstr(captured(), "no such server: s9\n"));
}

#define CAPTURED(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CAPTURED(test_levels),
	    CAPTURED(test_journal),
	    CAPTURED(test_long_line_is_cut),
	    CAPTURED(test_controls_are_replaced),
	    CAPTURED(test_limit),
	    cmocka_unit_test(test_level_names),
	    CAPTURED(test_fatal_exits),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
