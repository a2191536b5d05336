/*
 * The arbiter as the owner machine's shell uses it: two servers on one
 * control area in one event loop; and another cluster manager, played by a
 * command.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "hanfs/clock.h"
#include "server-agent/arbiter.h"
#include "server-agent/child.h"
#include "unit.h"

#define PATIENCE_MS 20000

struct side {
	struct arbiter *a;
	unsigned got[LEASE_NNEWS];
	struct lease_action last[LEASE_NNEWS];
	unsigned mail[CTLIO_NWHAT];
	unsigned from; /* the last mail */
};

static struct config cfg;
static struct event_base *base;
static struct child_runner *child;
static struct fence_runner runner;
static struct side sides[2];
static char dir[64];

static void
on_news(void *arg, const struct lease_action *what)
{
	struct side *s = arg;

	s->got[what->news]++;
	s->last[what->news] = *what;
}

static void
on_mail(void *arg, unsigned server, const struct ctlio_done *what)
{
	struct side *s = arg;

	s->mail[what->what]++;
	s->from = server;
}

static void
open_side(unsigned self)
{
	struct arbiter_config ac = {.base = base,
	    .cfg = &cfg,
	    .self = self,
	    .boot = 10 + self,
	    .news = on_news,
	    .mail = on_mail,
	    .runner = &runner,
	    .arg = &sides[self]};
	char error[CTL_ERROR_LEN];

	memset(&sides[self], 0, sizeof(sides[self]));
	sides[self].a = arbiter_start(&ac, error);
	if (sides[self].a == NULL)
		fail_msg("%s", error);
}

static void
close_side(unsigned self)
{
	arbiter_stop(sides[self].a);
	sides[self].a = NULL;
}

static void
wait_for(const unsigned *count, unsigned want)
{
	const struct timeval step = {0, 20000};
	uint64_t until = clock_now_ms() + PATIENCE_MS;

	while (*count < want) {
		assert_true(clock_now_ms() < until);
		event_base_loopexit(base, &step);
		event_base_loop(base, EVLOOP_ONCE);
	}
}

static void
expect(unsigned side, enum lease_news news)
{
	struct side *s = &sides[side];

	wait_for(&s->got[news], 1);
	s->got[news] = 0;
}

static int
setup(void **state)
{
	struct ctl_format f = {.path = "area",
	    .cluster = "office",
	    .volume = "home",
	    .volume_id = 1,
	    .server_id = {1, 2},
	    .server = {"s1", "s2"}};
	char error[CTL_ERROR_LEN];
	int fd;

	(void)state;
	strcpy(dir, "arbiter.XXXXXX");
	if (mkdtemp(dir) == NULL || chdir(dir) != 0)
		return -1;
	fd = open("area", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, CTL_AREA_SIZE) < 0)
		return -1;
	close(fd);
	memset(&cfg, 0, sizeof(cfg));
	strcpy(cfg.cluster, "office");
	cfg.nservers = 2;
	strcpy(cfg.servers[0].name, "s1");
	cfg.servers[0].id = 1;
	strcpy(cfg.servers[1].name, "s2");
	cfg.servers[1].id = 2;
	cfg.nvolumes = 1;
	strcpy(cfg.volumes[0].name, "home");
	cfg.volumes[0].id = 1;
	cfg.volumes[0].ncandidates = 2;
	cfg.volumes[0].candidates[1] = 1;
	strcpy(cfg.volumes[0].storage.control, "area");
	cfg.agent.lease_ms = 1000;
	cfg.agent.renew_ms = 100;
	base = event_base_new();
	child = child_runner_new(base);
	runner = child_runner_interface(child);
	return ctlarea_format(&f, error);
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	close_side(0);
	close_side(1);
	child_runner_free(child);
	event_base_free(base);
	if (chdir("..") != 0)
		return -1;
	(void)snprintf(command, sizeof(command), "rm -r ./%s", dir);
	return system(command);
}

static void
become_owner(unsigned side, uint64_t epoch)
{
	struct arbiter *a = sides[side].a;

	arbiter_claim(a, false);
	expect(side, LEASE_WON);
	arbiter_take(a, NULL);
	expect(side, LEASE_GAINED);
	assert_int_equal(arbiter_epoch(a), epoch);
	assert_true(arbiter_valid(a, clock_now_ms()));
}

/* --- disk */

static void
test_grant(void **state)
{
	enum ctl_holding holding;
	uint64_t epoch;

	(void)state;
	open_side(0);
	open_side(1);
	expect(0, LEASE_READY);
	expect(1, LEASE_READY);
	become_owner(0, 1);
	expect(0, LEASE_RENEWED);
	expect(1, LEASE_ADVANCED);
	assert_true(arbiter_peer_advanced_ms(sides[1].a, 0) > 0);
	arbiter_look(sides[1].a);
	expect(1, LEASE_LOOKED);
	assert_int_equal(arbiter_newest(sides[1].a, &epoch, &holding), 0);
	assert_int_equal(epoch, 1);
	assert_int_equal(holding, CTL_HELD);

	arbiter_release(sides[0].a, 1);
	expect(0, LEASE_GIVEN_UP);
	assert_false(arbiter_valid(sides[0].a, clock_now_ms()));
	arbiter_claim(sides[0].a, false); /* it was granted to s2 */
	expect(0, LEASE_REFUSED);
	assert_int_equal(sides[0].last[LEASE_REFUSED].why, LEASE_WHY_GRANT);
	become_owner(1, 2);
}

/* s1's agent ends without a word. */
static void
test_takeover(void **state)
{
	struct lease_proof proof = {
	    .evidence = LEASE_FENCED, .server_id = 1, .epoch = 1};
	struct lease_event ev[16];

	(void)state;
	open_side(0);
	open_side(1);
	expect(0, LEASE_READY);
	expect(1, LEASE_READY);
	become_owner(0, 1);
	close_side(0);
	arbiter_claim(sides[1].a, true);
	expect(1, LEASE_WON);
	assert_int_equal(sides[1].last[LEASE_WON].server_id, 1);
	assert_int_equal(sides[1].last[LEASE_WON].old_epoch, 1);
	arbiter_take(sides[1].a, &proof);
	expect(1, LEASE_GAINED);
	assert_int_equal(arbiter_epoch(sides[1].a), 2);
	assert_true(arbiter_events(sides[1].a, 0, ev, 16) >= 3);

	/* and is back: what it held is no use any more */
	open_side(0);
	expect(0, LEASE_READY);
	arbiter_claim(sides[0].a, false);
	expect(0, LEASE_WON);
	arbiter_take(sides[0].a, NULL);
	expect(0, LEASE_REFUSED);
	assert_int_equal(sides[0].last[LEASE_REFUSED].why, LEASE_WHY_UNFENCED);
	assert_true(arbiter_valid(sides[1].a, clock_now_ms()));
}

static void
test_mail(void **state)
{
	struct ctlio_stats stats;

	(void)state;
	open_side(0);
	open_side(1);
	assert_false(arbiter_ping(sides[0].a, 0, 100)); /* ourselves */
	assert_true(arbiter_ping(sides[0].a, 1, PATIENCE_MS));
	wait_for(&sides[0].mail[CTLIO_PONG], 1);
	assert_int_equal(sides[0].mail[CTLIO_MAILED], 1);
	assert_int_equal(sides[0].from, 1);
	assert_true(arbiter_ask(sides[0].a, 1));
	wait_for(&sides[1].mail[CTLIO_ASKED], 1);
	assert_int_equal(sides[1].from, 0);
	assert_true(arbiter_io_stats(sides[0].a, &stats));
	assert_true(stats.mail_reads > 0);
}

/* --- external: a manager that keeps the owner in a file */

static const char manager[] =
    "#!/bin/sh\n"
    "echo \"$* e=$HANFS_EVIDENCE p=$HANFS_PEER\" >>log\n"
    "[ -e broken ] && exit 7\n"
    "[ -e owner ] || echo none 4 >owner\n"
    "read -r who epoch <owner\n"
    "case $1 in\n"
    "owner) cat owner ;;\n"
    "claim) [ \"$2\" = $((epoch + 1)) ] && [ ! -e taken ] || {\n"
    "  echo it is \"$who\"; exit 1; }\n"
    "  echo \"$HANFS_SERVER $2\" >owner ;;\n"
    "renew) [ \"$who $epoch\" = \"$HANFS_SERVER $2\" ] || exit 1 ;;\n"
    "release) echo \"none $epoch\" >owner; echo \"$3\" >granted ;;\n"
    "esac\n";

static void
put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static bool
file_says(const char *name, const char *words)
{
	char text[8192] = "";
	int fd = open(name, O_RDONLY);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	return strstr(text, words) != NULL;
}

static void
open_external(void)
{
	put("manager", manager);
	cfg.volumes[0].storage.arbiter = CONFIG_ARBITER_EXTERNAL;
	strcpy(cfg.volumes[0].storage.arbiter_command, "./manager");
	cfg.agent.lease_ms = 5000;
	open_side(0);
	expect(0, LEASE_READY);
}

static void
test_external(void **state)
{
	(void)state;
	open_external();
	assert_false(arbiter_ping(sides[0].a, 1, 100));
	become_owner(0, 5);
	assert_true(file_says("owner", "s1 5"));
	assert_true(file_says("log", "claim 5 e=none p=\n"));
	expect(0, LEASE_RENEWED);
	arbiter_take(sides[0].a, NULL); /* the next epoch */
	expect(0, LEASE_GAINED);
	assert_int_equal(arbiter_epoch(sides[0].a), 6);
	arbiter_release(sides[0].a, 1);
	expect(0, LEASE_GIVEN_UP);
	assert_true(file_says("owner", "none 6"));
	assert_true(file_says("granted", "s2"));
}

static void
test_external_refuses(void **state)
{
	struct lease_proof proof = {
	    .evidence = LEASE_FENCED, .server_id = 2, .epoch = 8};

	(void)state;
	put("owner", "s2 8\n");
	open_external();
	arbiter_look(sides[0].a);
	expect(0, LEASE_LOOKED);
	assert_int_equal(sides[0].last[LEASE_LOOKED].server_id, 2);
	assert_int_equal(sides[0].last[LEASE_LOOKED].epoch, 8);
	assert_int_equal(sides[0].last[LEASE_LOOKED].holding, CTL_HELD);
	put("taken", "");
	arbiter_claim(sides[0].a, false);
	expect(0, LEASE_WON);
	arbiter_take(sides[0].a, &proof);
	expect(0, LEASE_REFUSED);
	assert_int_equal(sides[0].last[LEASE_REFUSED].why, LEASE_WHY_RIVAL);
	assert_non_null(strstr(sides[0].last[LEASE_REFUSED].text, "it is s2"));
	assert_true(file_says("log", "claim 9 e=fenced p=s2\n"));
}

/* The manager fails for a while: suspended, resumed; then it says no. */
static void
test_external_lapse(void **state)
{
	(void)state;
	open_external();
	become_owner(0, 5);
	cfg.agent.lease_ms = 600;
	expect(0, LEASE_RENEWED);
	sides[0].got[LEASE_RENEWED] = 0;
	expect(0, LEASE_RENEWED); /* by the shorter lease */
	put("broken", "");
	expect(0, LEASE_DISK_LOST);
	expect(0, LEASE_SUSPENDED);
	assert_false(arbiter_valid(sides[0].a, clock_now_ms()));
	unlink("broken");
	expect(0, LEASE_RESUMED);
	put("owner", "s2 6\n");
	expect(0, LEASE_LOST);
	assert_int_equal(arbiter_epoch(sides[0].a), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_grant),
	    T(test_takeover),
	    T(test_mail),
	    T(test_external),
	    T(test_external_refuses),
	    T(test_external_lapse),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
