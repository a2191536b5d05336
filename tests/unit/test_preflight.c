/*
 * preflight: each check with a host made for it: a root directory, a PATH,
 * interfaces, a control area in a file. Right once, then wrong in one thing.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server-agent/preflight.h"
#include "unit.h"

static struct config cfg;
static struct preflight *p;
static char root[32];

/* --- a host */

static void
addr(struct hanfs_addr *a, const char *text)
{
	assert_int_equal(addr_parse(a, text), 0);
}

static void
shell(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s", root, command);
	assert_int_equal(system(line), 0);
}

static void
make_config(void)
{
	static const char *const at[2][2] = {
	    {"10.81.1.11", "10.82.1.11"}, {"10.81.1.12", "10.82.1.12"}};
	struct config_volume *v = &cfg.volumes[0];

	memset(&cfg, 0, sizeof(cfg));
	strcpy(cfg.cluster, "office");
	cfg.heartbeat_port = 9077;
	cfg.nnetworks = cfg.nservers = 2;
	strcpy(cfg.networks[0].name, "A");
	strcpy(cfg.networks[1].name, "B");
	for (unsigned s = 0; s < 2; s++) {
		snprintf(cfg.servers[s].name, CONFIG_NAME_MAX, "s%u", s + 1);
		cfg.servers[s].id = 11 + s;
		cfg.servers[s].naddrs = 2;
		for (unsigned n = 0; n < 2; n++) {
			addr(&cfg.servers[s].addrs[n].addr, at[s][n]);
			cfg.servers[s].addrs[n].network = n;
		}
	}
	cfg.agent.lease_ms = 5000;
	cfg.agent.renew_ms = 10;
	cfg.nvolumes = 1;
	strcpy(v->name, "home");
	v->id = 1;
	v->ncandidates = 2;
	v->candidates[1] = 1;
	strcpy(v->storage.mountpoint, "/srv/home");
	strcpy(v->storage.device, "disk");
	snprintf(v->storage.control, CONFIG_TEXT_MAX, "%s/area", root);
	v->storage.fence = CONFIG_FENCE_COMMAND;
	strcpy(v->storage.fence_command, "true --now");
}

static int
no_way(const struct hanfs_addr *to, struct hanfs_addr *from)
{
	(void)to;
	(void)from;
	return -1;
}

/* Everything leaves by the first interface. */
static int
first_way(const struct hanfs_addr *to, struct hanfs_addr *from)
{
	(void)to;
	*from = p->ifs[0].addr;
	return 0;
}

static int
make_host(void **state)
{
	(void)state;
	strcpy(root, "preflight.XXXXXX");
	if (mkdtemp(root) == NULL)
		return -1;
	make_config();
	p = calloc(1, sizeof(*p));
	p->cfg = &cfg;
	p->root = root;
	p->path = "/nowhere:/bin";
	p->source = no_way;
	p->base = event_base_new();
	p->v = &cfg.volumes[0];
	p->check = "it";
	p->area.owner = -1;
	for (unsigned n = 0; n < 2; n++) {
		snprintf(p->ifs[n].name, IF_NAMESIZE, "net%c", "ab"[n]);
		p->ifs[n].addr = cfg.servers[0].addrs[n].addr;
		p->ifs[n].carrier = true;
	}
	p->nifs = 2;
	shell("mkdir -p bin srv/home usr/lib/x/ganesha");
	shell("for i in all neta netb; do d=proc/sys/net/ipv4/conf/$i; "
	      "mkdir -p $d; echo 0 >$d/rp_filter; done");
	return 0;
}

static int
end_host(void **state)
{
	char line[64];

	(void)state;
	event_base_free(p->base);
	free(p);
	snprintf(line, sizeof(line), "rm -rf %s", root);
	return system(line);
}

/* --- what it found */

static const struct preflight_finding *
one(void (*check)(struct preflight *))
{
	p->n = 0;
	check(p);
	assert_int_equal(p->n, 1);
	/* what is wrong has a cure; what is not, needs none */
	assert_int_equal(p->found[0].cure[0] != '\0',
	    p->found[0].verdict == PREFLIGHT_WRONG ||
		p->found[0].verdict == PREFLIGHT_WARNING);
	return &p->found[0];
}

static void
is(void (*check)(struct preflight *), enum preflight_verdict verdict,
    const char *text)
{
	const struct preflight_finding *f = one(check);

	if (f->verdict != verdict || strstr(f->text, text) == NULL)
		fail_msg(
		    "%s: %s", preflight_verdict_names[f->verdict], f->text);
}

static unsigned
count(enum preflight_verdict verdict)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n; i++)
		n += p->found[i].verdict == verdict;
	return n;
}

/* --- the host */

static void
test_programs(void **state)
{
	(void)state;
	p->n = 0;
	preflight_programs(p);
	assert_int_equal(count(PREFLIGHT_WRONG), 2);
	assert_int_equal(count(PREFLIGHT_WARNING), 1);
	shell("for i in rpcbind ganesha.nfsd; do touch bin/$i; "
	      "chmod +x bin/$i; done; touch usr/lib/x/ganesha/libfsalvfs.so");
	is(preflight_programs, PREFLIGHT_OK, "installed");
	shell("chmod -x bin/rpcbind");
	is(preflight_programs, PREFLIGHT_WRONG, "rpcbind");
	cfg.volumes[0].backend.kind = CONFIG_BACKEND_EXTERNAL;
	is(preflight_programs, PREFLIGHT_NOT_TRIED, "command");
}

static void
test_mountpoint(void **state)
{
	(void)state;
	is(preflight_mountpoint, PREFLIGHT_OK, "empty");
	shell("touch srv/home/x");
	is(preflight_mountpoint, PREFLIGHT_WRONG, "not empty");
	p->area.owner = 0; /* it is the volume that is seen */
	p->area.agent = true;
	is(preflight_mountpoint, PREFLIGHT_OK, "this server");
	shell("rm -r srv");
	is(preflight_mountpoint, PREFLIGHT_WRONG, "No such file");
}

static void
test_addresses(void **state)
{
	(void)state;
	preflight_addresses(p);
	assert_int_equal(p->n, 2);
	assert_int_equal(count(PREFLIGHT_OK), 2);
	p->n = 0;
	p->ifs[1].carrier = false;
	preflight_addresses(p);
	assert_int_equal(p->found[1].verdict, PREFLIGHT_WRONG);
	assert_non_null(strstr(p->found[1].text, "carrier"));
	p->n = 0;
	p->nifs = 1;
	preflight_addresses(p);
	assert_int_equal(p->found[1].verdict, PREFLIGHT_WRONG);
	assert_non_null(strstr(p->found[1].text, "10.82.1.11"));
}

static void
test_rp_filter(void **state)
{
	(void)state;
	p->source = first_way;
	is(preflight_rp_filter, PREFLIGHT_OK, "no network");
	shell("echo 1 >proc/sys/net/ipv4/conf/all/rp_filter");
	is(preflight_rp_filter, PREFLIGHT_WRONG, "netb");
	shell("echo 2 >proc/sys/net/ipv4/conf/netb/rp_filter"); /* loose */
	is(preflight_rp_filter, PREFLIGHT_OK, "no network");
	shell("echo 1 >proc/sys/net/ipv4/conf/netb/rp_filter");
	p->source = no_way; /* no route is known to be wrong */
	is(preflight_rp_filter, PREFLIGHT_OK, "no network");
}

static void
test_clock(void **state)
{
	(void)state;
	preflight_judge_clock(p, 1030, 1000, 1790000000000);
	preflight_judge_clock(p, 0, 1000, 1790000000000);
	preflight_judge_clock(p, 1000, 1000, 1000);
	assert_int_equal(p->found[0].verdict, PREFLIGHT_OK);
	assert_int_equal(p->found[1].verdict, PREFLIGHT_WRONG);
	assert_int_equal(p->found[2].verdict, PREFLIGHT_WARNING);
}

/* --- others */

static void
test_peers(void **state)
{
	uint64_t heard[2] = {0, 3};

	(void)state;
	preflight_judge_peers(p, heard);
	assert_int_equal(p->n, 2);
	assert_int_equal(count(PREFLIGHT_OK), 2);
	p->n = 0;
	heard[1] = 1; /* on A alone */
	preflight_judge_peers(p, heard);
	assert_int_equal(p->found[1].verdict, PREFLIGHT_WRONG);
	assert_non_null(strstr(p->found[1].text, "network B"));
	p->n = 0;
	heard[1] = 0;
	preflight_judge_peers(p, heard);
	assert_int_equal(count(PREFLIGHT_NOT_TRIED), 2);
	p->n = 0;
	p->lives[1] = true; /* says its lease */
	preflight_judge_peers(p, heard);
	assert_int_equal(count(PREFLIGHT_WRONG), 2);
}

static void
test_fence(void **state)
{
	struct config_storage *st = &cfg.volumes[0].storage;

	(void)state;
	p->root = "";
	is(preflight_fence, PREFLIGHT_OK, "true --now");
	strcpy(st->fence_command, "/nowhere/stonith %s");
	is(preflight_fence, PREFLIGHT_WRONG, "/nowhere/stonith");
	st->fence = CONFIG_FENCE_NONE;
	is(preflight_fence, PREFLIGHT_WRONG, "no fence is configured");
	st->fence = CONFIG_FENCE_LEASE_ONLY;
	is(preflight_fence, PREFLIGHT_WARNING, "UNSAFE");
	st->fence = CONFIG_FENCE_WATCHDOG;
	is(preflight_fence, PREFLIGHT_WRONG, "watchdog");
	strcpy(cfg.agent.watchdog, "/nowhere/watchdog");
	is(preflight_fence, PREFLIGHT_WRONG, "/nowhere/watchdog");
}

static void
test_service_address(void **state)
{
	struct hanfs_addr *a = &cfg.volumes[0].storage.service_address;

	(void)state;
	preflight_service_address(p);
	assert_int_equal(p->n, 0); /* there is none */
	addr(a, "10.81.1.101");
	p->ifs[2] = p->ifs[0];
	p->ifs[2].addr = *a;
	p->nifs = 3;
	is(preflight_service_address, PREFLIGHT_WRONG, "does not own");
	p->area.owner = 0;
	is(preflight_service_address, PREFLIGHT_OK, "with the volume");
	p->nifs = 2;
	is(preflight_service_address, PREFLIGHT_WRONG, "no network");
}

/* --- the disk */

static void
make_area(const char *volume, uint32_t second)
{
	struct ctl_format f = {.path = cfg.volumes[0].storage.control,
	    .cluster = "office",
	    .volume = volume,
	    .volume_id = 1,
	    .server_id = {11, second},
	    .force = true};
	char error[CTL_ERROR_LEN] = "";

	shell("truncate -s 256K area");
	if (ctlarea_format(&f, error) == -1)
		fail_msg("%s", error);
}

static void
test_control(void **state)
{
	(void)state;
	is(preflight_control, PREFLIGHT_WRONG, "No such file");
	is(preflight_lease, PREFLIGHT_NOT_TRIED, "no control area");
	make_area("home", 12);
	is(preflight_control, PREFLIGHT_OK, "nobody owns it");
	is(preflight_lease, PREFLIGHT_OK, "writes");
	shell("cp area before");
	one(preflight_lease);
	shell("cmp area before"); /* not a bit has changed */
	make_area("home", 14);
	is(preflight_control, PREFLIGHT_WRONG, "no slot for candidate s2");
	make_area("work", 12);
	is(preflight_control, PREFLIGHT_WRONG, "\"work\"");
	make_area("home", 12);
	shell("printf x | dd of=area bs=4096 seek=9 conv=notrunc 2>/dev/null");
	is(preflight_control, PREFLIGHT_WRONG, "slot 1 is damaged");
	cfg.volumes[0].storage.arbiter = CONFIG_ARBITER_EXTERNAL;
	is(preflight_control, PREFLIGHT_NOT_TRIED, "external");
}

static void
test_lease(void **state)
{
	(void)state;
	preflight_judge_lease(p, 1250000, "writes");
	preflight_judge_lease(p, 1250001, "writes");
	assert_int_equal(p->found[0].verdict, PREFLIGHT_OK);
	assert_int_equal(p->found[1].verdict, PREFLIGHT_WRONG);
	assert_non_null(strstr(p->found[1].cure, "5001"));
}

static void
test_advancing(void **state)
{
	struct ctl_slot a[CTL_SLOTS] = {0}, b[CTL_SLOTS] = {0};

	(void)state;
	a[1].lease.server_id = 12;
	a[1].lease.holding = CTL_HELD;
	memcpy(b, a, sizeof(b));
	assert_int_equal(preflight_advancing(p, a, b), -1);
	b[1].lease.seq++;
	assert_int_equal(preflight_advancing(p, a, b), 1);
	b[1].lease.holding = CTL_RELEASED;
	assert_int_equal(preflight_advancing(p, a, b), -1);
	b[1].lease.holding = CTL_HELD;
	b[1].status = CTL_DAMAGED;
	assert_int_equal(preflight_advancing(p, a, b), -1);
}

static void
test_device(void **state)
{
	struct config_storage *st = &cfg.volumes[0].storage;

	(void)state;
	strcpy(st->device, "/nowhere/disk");
	is(preflight_device, PREFLIGHT_WRONG, "No such file");
	is(preflight_file_system, PREFLIGHT_NOT_TRIED, "cannot be read");
	is(preflight_form, PREFLIGHT_NOT_TRIED, "not known");
	snprintf(st->device, CONFIG_TEXT_MAX, "%s/disk", root);
	shell("truncate -s 64K disk");
	is(preflight_device, PREFLIGHT_WRONG, "no block device");
	is(preflight_file_system, PREFLIGHT_WRONG, "no ext4");
	p->area.known = true;
	p->area.owner = 1; /* it may be mounted there: we do not touch it */
	is(preflight_form, PREFLIGHT_NOT_TRIED, "in use");
}

/* --- all of it */

static void
test_status_and_print(void **state)
{
	char *text;
	size_t len;
	FILE *f;
	json_t *all;

	(void)state;
	preflight_say(p, PREFLIGHT_OK, "fine");
	preflight_say(p, PREFLIGHT_NOT_TRIED, "not now");
	assert_int_equal(preflight_exit_status(p), 0);
	preflight_say(p, PREFLIGHT_WARNING, "slow\nfaster");
	assert_int_equal(preflight_exit_status(p), 3);
	p->v = NULL;
	preflight_say(p, PREFLIGHT_WRONG, "%s\n%s", "broken", "mend it");
	assert_int_equal(preflight_exit_status(p), 1);

	f = open_memstream(&text, &len);
	preflight_print_json(p, f);
	fclose(f);
	all = json_loads(text, 0, NULL);
	free(text);
	assert_int_equal(json_array_size(all), 4);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(all, 3), "cure")),
	    "mend it");
	assert_true(
	    json_is_null(json_object_get(json_array_get(all, 3), "volume")));
	json_decref(all);

	f = open_memstream(&text, &len);
	preflight_print(p, f);
	fclose(f);
	assert_non_null(strstr(text, "cure: faster"));
	assert_non_null(strstr(text, "1 ok, 1 wrong, 1 warnings, 1 not"));
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_host, end_host)

int
main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_programs),
	    TEST(test_mountpoint), TEST(test_addresses), TEST(test_rp_filter),
	    TEST(test_clock), TEST(test_peers), TEST(test_fence),
	    TEST(test_service_address), TEST(test_control), TEST(test_lease),
	    TEST(test_advancing), TEST(test_device),
	    TEST(test_status_and_print)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
