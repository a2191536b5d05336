/* The boot id: higher at each start, whatever happened in between. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server-agent/bootid.h"
#include "unit.h"

static char dir[] = "/tmp/bootid.XXXXXX";
static char path[64];
static char error[BOOTID_ERROR_LEN];

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/boot-id", dir);
	return 0;
}

static int
remove_file(void **state)
{
	(void)state;
	(void)rmdir(path);
	(void)unlink(path);
	return 0;
}

static int
teardown(void **state)
{
	remove_file(state);
	return rmdir(dir); /* fails when a temporary file was left */
}

static void
put(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void
test_raises(void **state)
{
	(void)state;
	assert_int_equal(bootid_raise(dir, 1700000000, error), 1700000001);
	assert_int_equal(bootid_raise(dir, 1800000000, error), 1700000002);
	assert_int_equal(bootid_raise(dir, 0, error), 1700000003);
	put("41\n");
	assert_int_equal(bootid_raise(dir, 0, error), 42);
}

/* A file that says nothing sensible is left for a person to look at. */
static void
test_refuses_rubbish(void **state)
{
	static const char *const rubbish[] = {"", "\n", "12", "-3\n", "0\n",
	    "12x\n", " 12\n", "18446744073709551615\n",
	    "99999999999999999999999\n"};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
		put(rubbish[i]);
		error[0] = '\0';
		assert_int_equal(bootid_raise(dir, 5, error), 0);
		assert_non_null(strstr(error, path));
	}
}

static void
test_no_directory(void **state)
{
	(void)state;
	assert_int_equal(bootid_raise("/nonexistent", 5, error), 0);
	assert_non_null(strstr(error, "state directory"));
}

/* As on a full disk: nothing can be written, the old number stays. */
static void
test_cannot_write(void **state)
{
	struct rlimit old, none;
	char temp[80];

	(void)state;
	put("41\n");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(bootid_raise(dir, 5, error), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(error, "cannot write"));
	(void)snprintf(temp, sizeof(temp), "%s.new", path);
	assert_int_equal(access(temp, F_OK), -1);
	assert_int_equal(bootid_raise(dir, 5, error), 42);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_raises, remove_file),
	    cmocka_unit_test_teardown(test_refuses_rubbish, remove_file),
	    cmocka_unit_test(test_no_directory),
	    cmocka_unit_test_teardown(test_cannot_write, remove_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
