/* What a service manager is told, also from another root directory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hanfs/daemon.h"
#include "hanfs/log.h"
#include "unit.h"

static void
test_told(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char got[64] = "";
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	(void)state;
	daemon_ready(); /* nobody asked for it */
	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/hanfs-notify-%d",
	    (int)getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	setenv("NOTIFY_SOCKET", un.sun_path, 1);
	daemon_notify_open();
	unlink(un.sun_path); /* as if the root were another one by now */
	daemon_ready();
	assert_int_equal(recv(fd, got, sizeof(got), 0), 7);
	assert_string_equal(got, "READY=1");
	daemon_stopping();
	assert_int_equal(recv(fd, got, sizeof(got), 0), 10);
	assert_memory_equal(got, "STOPPING=1", 10);
	assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
	close(fd);
	daemon_alive(); /* nobody is there any more: no harm */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_told)};

	log_open("test_notify", LOG_LEVEL_ERR);
	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
