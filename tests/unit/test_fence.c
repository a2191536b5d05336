/*
 * Fencing, with tools that play the real ones: they record what they were
 * asked, keep keys and a reservation in files, and print as sg_persist 1.46,
 * mpathpersist 0.9 and nvme-cli 2 do.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server-agent/child.h"
#include "unit.h"

static const char scsi_tool[] =
    "#!/bin/sh\n"
    "echo \"${0##*/} $*\" >>log\n"
    "[ -e hang ] && sleep 60\n"
    "[ -e news ] && { rm news; echo 'PR out: Unit attention' >&2; exit 6; }\n"
    "touch keys holder\n"
    "for a; do case $a in\n"
    "--param-sark=*) sark=${a#*=} ;;\n"
    "--param-rk=*) rk=${a#*=} ;;\n"
    "--prout-type=5) five=yes ;;\n"
    "--read-keys | --read-reservation | --register-ignore |\\\n"
    "--preempt-abort | --reserve) what=$a ;;\n"
    "esac; done\n"
    "drop() { grep -vx \"$1\" keys >new; mv new keys\n"
    "  [ \"$(cat holder)\" = \"$1\" ] && : >holder; }\n"
    "case $what in\n"
    "--read-keys)\n"
    "  [ -e blind ] && { echo 'PR in: transport error' >&2; exit 5; }\n"
    "  [ -s keys ] || { echo '  PR generation=0x0, there are NO registered"
    " reservation keys'; exit; }\n"
    "  echo \"  PR generation=0x5, $(wc -l <keys) registered reservation"
    " keys follow:\"\n"
    "  sed 's/^/    /' keys ;;\n"
    "--read-reservation)\n"
    "  [ -s holder ] || { echo '  PR generation=0x5, there is NO"
    " reservation held'; exit; }\n"
    "  echo '  PR generation=0x5, Reservation follows:'\n"
    "  case $0 in\n"
    "  *mpath*) echo \"   Key = $(cat holder)\"\n"
    "    echo '  scope = LU_SCOPE, type = Write Exclusive, registrants only'"
    " ;;\n"
    "  *) echo \"    Key=$(cat holder)\"\n"
    "    echo \"    scope: LU_SCOPE,  type: $(cat type 2>&- || echo Write"
    " Exclusive, registrants only)\" ;;\n"
    "  esac ;;\n"
    "--register-ignore)\n"
    "  old=$(cat mine 2>&-); [ -n \"$old\" ] && drop \"$old\"; : >mine\n"
    "  [ \"$sark\" = 0 ] || { echo \"$sark\" >>keys; echo \"$sark\" >mine; }"
    " ;;\n"
    "--preempt-abort)\n"
    "  [ \"$five\" ] && grep -qx \"$rk\" keys || exit 24\n"
    "  [ -e stubborn ] && { echo 'PR out: conflict' >&2; exit 24; }\n"
    "  if [ \"$(cat holder)\" = \"$sark\" ]; then drop \"$sark\"\n"
    "    echo \"$rk\" >holder; else drop \"$sark\"; fi ;;\n"
    "--reserve)\n"
    "  [ \"$five\" ] && grep -qx \"$rk\" keys || exit 24\n"
    "  [ -s holder ] && [ \"$(cat holder)\" != \"$rk\" ] && exit 24\n"
    "  echo \"$rk\" >holder ;;\n"
    "esac\n"
    "exit 0\n";

static const char nvme_tool[] =
    "#!/bin/sh\n"
    "echo \"${0##*/} $*\" >>log\n"
    "touch keys holder\n"
    "what=$1\n"
    "for a; do case $a in\n"
    "--nrkey=*) nr=${a#*=} ;; --crkey=*) cr=${a#*=} ;;\n"
    "--prkey=*) pr=${a#*=} ;; --racqa=*) acqa=${a#*=} ;;\n"
    "--rrega=*) rega=${a#*=} ;;\n"
    "esac; done\n"
    "drop() { grep -vx \"$1\" keys >new; mv new keys\n"
    "  [ \"$(cat holder)\" = \"$1\" ] && : >holder; }\n"
    "case $what$rega$acqa in\n"
    "resv-report)\n"
    "  printf '\\nNVME Reservation status:\\n\\ngen       : 3\\n'\n"
    "  [ -s holder ] && t=3 || t=0\n"
    "  printf 'rtype     : %d\\nregctl    : %d\\nptpls     : 0\\n' $t"
    " $(wc -l <keys)\n"
    "  n=0; while read -r k; do\n"
    "    [ \"$k\" = \"$(cat holder)\" ] && h=1 || h=0\n"
    "    printf 'regctlext[%d] :\\n  cntlid     : %x\\n  rcsts      : %x\\n"
    "  rkey       : %s\\n  hostid     : f1fb42\\n\\n' $n $n $h \"${k#0x}\"\n"
    "    n=$((n + 1)); done <keys ;;\n"
    "resv-register0) old=$(cat mine 2>&-)\n"
    "  [ -n \"$old\" ] && drop \"$old\"\n"
    "  echo \"$nr\" >>keys; echo \"$nr\" >mine ;;\n"
    "resv-register1) old=$(cat mine 2>&-)\n"
    "  [ -n \"$old\" ] && drop \"$old\"; : >mine ;;\n"
    "resv-acquire2) grep -qx \"$cr\" keys || exit 1\n"
    "  if [ \"$(cat holder)\" = \"$pr\" ]; then drop \"$pr\"\n"
    "    echo \"$cr\" >holder; else drop \"$pr\"; fi ;;\n"
    "resv-acquire0) grep -qx \"$cr\" keys || exit 1\n"
    "  [ -s holder ] && [ \"$(cat holder)\" != \"$cr\" ] && exit 1\n"
    "  echo \"$cr\" >holder ;;\n"
    "esac\n"
    "exit 0\n";

static struct config cfg;
static struct event_base *base;
static struct child_runner *child;
static struct fence *f;
static struct fence_outcome last;
static unsigned outcomes;
static char dir[64], old_path[4096];

static void
put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *
get(const char *name)
{
	static char text[8192];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static int
setup(void **state)
{
	char here[2048], path[8192];
	struct fence_runner runner;

	(void)state;
	strcpy(dir, "fence.XXXXXX");
	if (mkdtemp(dir) == NULL || chdir(dir) != 0)
		return -1;
	put("sg_persist", scsi_tool);
	put("mpathpersist", scsi_tool);
	put("nvme", nvme_tool);
	if (getcwd(here, sizeof(here)) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s:%s", here, old_path);
	setenv("PATH", path, 1);

	memset(&cfg, 0, sizeof(cfg));
	cfg.nservers = 2;
	strcpy(cfg.servers[0].name, "s1");
	cfg.servers[0].id = 1;
	strcpy(cfg.servers[1].name, "s2");
	cfg.servers[1].id = 2;
	cfg.servers[1].naddrs = 2;
	addr_parse(&cfg.servers[1].addrs[0].addr, "10.81.1.12");
	addr_parse(&cfg.servers[1].addrs[1].addr, "10.82.1.12");
	cfg.nvolumes = 1;
	strcpy(cfg.volumes[0].name, "home");
	cfg.volumes[0].ncandidates = 2;
	cfg.volumes[0].candidates[1] = 1;
	strcpy(cfg.volumes[0].storage.device, "/dev/a b;reboot");
	cfg.volumes[0].storage.fence_ms = 20000;
	base = event_base_new();
	child = child_runner_new(base);
	runner = child_runner_interface(child);
	f = fence_new(base, &cfg, 0, 0, &runner);
	outcomes = 0;
	return f == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	fence_free(f);
	child_runner_free(child);
	event_base_free(base);
	setenv("PATH", old_path, 1);
	if (chdir("..") != 0)
		return -1;
	(void)snprintf(command, sizeof(command), "rm -r ./%s", dir);
	return system(command);
}

static void
on_done(void *arg, const struct fence_outcome *outcome)
{
	(void)arg;
	last = *outcome;
	outcomes++;
	event_base_loopbreak(base);
}

static void
wait_for_outcome(enum fence_result want)
{
	struct timeval patience = {30, 0};
	unsigned before = outcomes;

	event_base_loopexit(base, &patience);
	event_base_dispatch(base);
	assert_int_equal(outcomes, before + 1);
	if (last.result != want)
		fail_msg("%s, not %s: %s", fence_result_names[last.result],
		    fence_result_names[want], last.text);
	assert_true(last.text[0] != '\0');
	assert_true(last.ended_ms >= last.began_ms);
}

static void
peer(enum fence_result want)
{
	assert_true(fence_peer(f, 1, 41, on_done, NULL));
	assert_false(fence_peer(f, 1, 41, on_done, NULL)); /* one at a time */
	wait_for_outcome(want);
}

/* --- methods without keys */

static void
test_command(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_COMMAND;
	strcpy(cfg.volumes[0].storage.fence_command,
	    "env | grep ^HANFS_ | sort >log");
	peer(FENCE_CONFIRMED);
	assert_int_equal(last.evidence, LEASE_FENCED);
	assert_int_equal(last.server_id, 2);
	assert_int_equal(last.epoch, 41);
	assert_non_null(strstr(get("log"), "HANFS_PEER=s2\n"));
	assert_non_null(
	    strstr(get("log"), "HANFS_PEER_ADDRESSES=10.81.1.12 10.82.1.12\n"));
	assert_non_null(strstr(get("log"), "HANFS_EPOCH=41\n"));
	assert_non_null(strstr(get("log"), "HANFS_VOLUME=home\n"));
	assert_non_null(strstr(get("log"), "HANFS_SERVER=s1\n"));
	assert_non_null(strstr(get("log"), "HANFS_DEVICE=/dev/a b;reboot\n"));
}

static void
test_command_fails(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_COMMAND;
	strcpy(cfg.volumes[0].storage.fence_command,
	    "echo no answer from the power switch >&2; exit 3");
	peer(FENCE_FAILED);
	assert_int_equal(last.evidence, LEASE_NO_EVIDENCE);
	assert_non_null(strstr(last.text, "power switch"));
	strcpy(cfg.volumes[0].storage.fence_command, "/nonexistent/stonith");
	peer(FENCE_REFUSED);
	strcpy(cfg.volumes[0].storage.fence_command, "kill -9 $$");
	peer(FENCE_FAILED);
}

static void
test_command_hangs(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_COMMAND;
	cfg.volumes[0].storage.fence_ms = 100;
	strcpy(cfg.volumes[0].storage.fence_command,
	    "trap '' TERM; sleep 600 & wait");
	peer(FENCE_TIMEOUT);
	assert_int_equal(last.evidence, LEASE_NO_EVIDENCE);
	assert_true(fence_peer(f, 1, 41, on_done, NULL));
	fence_cancel(f);
	wait_for_outcome(FENCE_FAILED);
}

static void
test_by_time(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_WATCHDOG;
	peer(FENCE_BY_TIME);
	assert_int_equal(last.evidence, LEASE_WATCHDOG);
	assert_true(fence_check(f, on_done, NULL));
	wait_for_outcome(FENCE_REFUSED); /* none is configured */
	cfg.volumes[0].storage.fence = CONFIG_FENCE_LEASE_ONLY;
	peer(FENCE_BY_TIME);
	assert_int_equal(last.evidence, LEASE_END);
	assert_non_null(strstr(last.text, "UNSAFE"));
}

static void
test_none(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_NONE;
	peer(FENCE_REFUSED);
	assert_int_equal(last.evidence, LEASE_NO_EVIDENCE);
	assert_non_null(strstr(last.text, "configure fence"));
	assert_true(fence_prepare(f, 1, on_done, NULL));
	wait_for_outcome(FENCE_CONFIRMED);
}

/* --- reservations */

static void
test_keys(void **state)
{
	(void)state;
	assert_true(fence_key(2, 41) == 0x4846000200000029);
	assert_true(fence_key_is_of(0x4846000200000029, 2));
	assert_false(fence_key_is_of(0x4846000200000029, 1));
	assert_false(fence_key_is_of(0x0000000200000029, 2));
}

/* s2 holds it; s1 fences it, becomes owner, gives it back. */
static void
takeover(enum config_fence method)
{
	cfg.volumes[0].storage.fence = method;
	put("keys", "0x4846000200000029\n");
	put("holder", "0x4846000200000029\n");
	peer(FENCE_CONFIRMED);
	assert_int_equal(last.evidence, LEASE_FENCED);
	assert_string_equal(get("keys"), "0x484600010000002a\n");
	assert_string_equal(get("holder"), "0x484600010000002a\n");
	assert_true(fence_own_key(f) == 0x484600010000002a);
	assert_true(fence_withdraw(f, on_done, NULL));
	wait_for_outcome(FENCE_CONFIRMED);
	assert_string_equal(get("keys"), "");
	assert_true(fence_withdraw(f, on_done, NULL)); /* and again */
	wait_for_outcome(FENCE_CONFIRMED);
	assert_true(fence_prepare(f, 43, on_done, NULL));
	wait_for_outcome(FENCE_CONFIRMED);
	assert_string_equal(get("keys"), "0x484600010000002b\n");
	assert_string_equal(get("holder"), "0x484600010000002b\n");
	assert_true(fence_own_key(f) == 0x484600010000002b);
	assert_true(fence_check(f, on_done, NULL));
	wait_for_outcome(FENCE_CONFIRMED);
}

static void
test_scsi(void **state)
{
	(void)state;
	takeover(CONFIG_FENCE_SCSI);
	assert_non_null(strstr(get("log"),
	    "sg_persist --out --no-inquiry --preempt-abort "
	    "--param-rk=0x484600010000002a --param-sark=0x4846000200000029 "
	    "--prout-type=5 /dev/a b;reboot\n"));
}

static void
test_mpath(void **state)
{
	(void)state;
	takeover(CONFIG_FENCE_MPATH);
	assert_non_null(
	    strstr(get("log"), "mpathpersist --out --preempt-abort "));
}

static void
test_nvme(void **state)
{
	(void)state;
	takeover(CONFIG_FENCE_NVME);
	assert_non_null(
	    strstr(get("log"), "nvme resv-acquire /dev/a b;reboot --rtype=3 "
			       "--crkey=0x484600010000002a --racqa=2 "
			       "--prkey=0x4846000200000029\n"));
}

/* The tools' status proves nothing: the disk's state does. */
static void
test_not_gone(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_SCSI;
	put("keys", "0x4846000200000029\n");
	put("holder", "0x4846000200000029\n");
	put("stubborn", "");
	peer(FENCE_FAILED);
	assert_non_null(strstr(last.text, "its key is still on the disk"));
	assert_int_equal(last.evidence, LEASE_NO_EVIDENCE);
	unlink("stubborn");
	put("blind", "");
	peer(FENCE_FAILED);
	assert_non_null(strstr(last.text, "cannot be read"));
}

/* A reservation of somebody else, or one that shuts nobody out. */
/* Who was preempted is told so before anything else is done for it. */
static void
test_news_first(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_SCSI;
	put("news", "");
	assert_true(fence_prepare(f, 7, on_done, NULL));
	wait_for_outcome(FENCE_CONFIRMED);
	put("news", "");
	assert_true(fence_withdraw(f, on_done, NULL));
	wait_for_outcome(FENCE_CONFIRMED);
	assert_int_equal(access("news", F_OK), -1);
}

static void
test_wrong_reservation(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_SCSI;
	put("keys", "0xabc123\n");
	put("holder", "0xabc123\n");
	peer(FENCE_FAILED);
	assert_non_null(strstr(last.text, "reservation is not ours"));
	put("keys", "");
	put("holder", "");
	put("type", "Write Exclusive, all registrants");
	peer(FENCE_FAILED);
	assert_non_null(strstr(last.text, "registrants only"));
}

static void
test_no_tool(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_SCSI;
	unlink("sg_persist");
	setenv("PATH", "/nonexistent", 1);
	peer(FENCE_REFUSED);
	assert_non_null(strstr(last.text, "sg_persist"));
}

static void
test_large_id(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_NVME;
	cfg.servers[1].id = 65538;
	peer(FENCE_REFUSED);
	assert_non_null(strstr(last.text, "65535"));
}

static void
test_scsi_hangs(void **state)
{
	(void)state;
	cfg.volumes[0].storage.fence = CONFIG_FENCE_SCSI;
	cfg.volumes[0].storage.fence_ms = 100;
	put("hang", "");
	peer(FENCE_TIMEOUT);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_command),
	    T(test_command_fails),
	    T(test_command_hangs),
	    T(test_by_time),
	    T(test_none),
	    T(test_keys),
	    T(test_scsi),
	    T(test_mpath),
	    T(test_nvme),
	    T(test_not_gone),
	    T(test_news_first),
	    T(test_wrong_reservation),
	    T(test_no_tool),
	    T(test_large_id),
	    T(test_scsi_hangs),
	};

	(void)snprintf(old_path, sizeof(old_path), "%s", getenv("PATH"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
