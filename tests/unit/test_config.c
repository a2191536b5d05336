/*
 * The configuration: what a good file means, and that each fault is named
 * with its line. A case is the good file with some text replaced.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/config.h"
#include "unit.h"

#define KEY1 "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define KEY2 "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="

static const char good[] =
    "cluster = \"lab\"\n"                                /* 1 */
    "network \"A\" { prefix = {\"10.81.1.0/24\"} }\n"    /* 2 */
    "network \"B\" {\n"                                  /* 3 */
    "	id = 7\n"                                        /* 4 */
    "	prefix = {\"10.82.1.0/24\", \"fd00:82::/64\"}\n" /* 5 */
    "}\n"                                                /* 6 */
    "server \"s1\" {\n"                                  /* 7 */
    "	id = 1\n"                                        /* 8 */
    "	public_key = \"" KEY1 "\"\n"                     /* 9 */
    "	addresses = {\"10.81.1.11\", \"10.82.1.11\"}\n"  /* 10 */
    "}\n"                                                /* 11 */
    "server \"s2\" {\n"                                  /* 12 */
    "	id = 2\n"                                        /* 13 */
    "	public_key = \"" KEY2 "\"\n"                     /* 14 */
    "	port = 2050\n"                                   /* 15 */
    "	addresses = {\"fd00:82::12\",\n"                 /* 16 */
    "	    \"10.81.1.12\"}\n"                           /* 17 */
    "}\n"                                                /* 18 */
    "volume \"home\" {\n"                                /* 19 */
    "	id = 1\n"                                        /* 20 */
    "	candidates = {\"s2\", \"s1\"}\n"                 /* 21 */
    "}\n"                                                /* 22 */
    "volume \"work\" {\n"                                /* 23 */
    "	backend { nfs_port = 12049 }\n"                  /* 24 */
    "	id = 2\n"                                        /* 25 */
    "	loopback = \"127.9.9.9\"\n"                      /* 26 */
    "	port = 3049\n"                                   /* 27 */
    "	candidates = {\"s1\"}\n"                         /* 28 */
    "	export = \"/srv/work\"\n"                        /* 29 */
    "}\n"                                                /* 30 */
    "proxy { replay_max = \"128M\" paths = all\n"        /* 31 */
    "	insecure = yes }\n"                              /* 32 */
    "agent { multiplier = 5 }\n";                        /* 33 */

static char path[] = "/tmp/hanfs-test-config.XXXXXX";

static struct config *
load(const char *text, char **errors)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	return config_load(path, errors);
}

/* The good file with the first `from` replaced. */
static char *
changed(const char *from, const char *to)
{
	const char *at = strstr(good, from);
	char *text;

	assert_non_null(at);
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - good), good, to,
			at + strlen(from)) > 0);
	return text;
}

/* Loading must fail with exactly n messages; what they are. */
static char *
faults(const char *text, unsigned n)
{
	char *errors;
	unsigned lines = 0;

	assert_null(load(text, &errors));
	assert_non_null(errors);
	for (const char *p = errors; *p != '\0'; p++)
		lines += *p == '\n';
	if (lines != n)
		print_message("%s", errors);
	assert_int_equal(lines, n);
	return errors;
}

static void
assert_says(const char *errors, unsigned line, const char *words)
{
	char head[64], *at;

	snprintf(head, sizeof(head), "%s:%u: ", path, line);
	at = strstr(errors, head);
	while (at != NULL) {
		const char *end = strchr(at, '\n');
		const char *found = strstr(at, words);

		if (found != NULL && found < end)
			return;
		at = strstr(at + 1, head);
	}
	fail_msg("no \"%s\" for line %u in:\n%s", words, line, errors);
}

static void
test_good_file(void **state)
{
	char *errors;
	struct config *c = load(good, &errors);
	char buf[256];

	(void)state;
	if (c == NULL)
		fail_msg("%s", errors);
	assert_null(errors);
	assert_string_equal(c->cluster, "lab");
	assert_int_equal(c->nnetworks, 2);
	assert_int_equal(c->networks[0].id, 1);
	assert_int_equal(c->networks[1].id, 7);
	assert_int_equal(c->networks[1].nprefixes, 2);
	assert_int_equal(c->nservers, 2);
	assert_int_equal(c->servers[0].public_key[0], 0xd7);
	assert_int_equal(c->servers[0].addrs[1].network, 1);
	assert_int_equal(c->servers[1].naddrs, 2);
	assert_int_equal(c->servers[1].addrs[0].network, 1);
	assert_string_equal(
	    addr_format(&c->servers[1].addrs[0].addr, buf, sizeof(buf)),
	    "[fd00:82::12]:2050");
	assert_int_equal(c->nvolumes, 2);
	assert_int_equal(c->volumes[0].candidates[0], 1);
	assert_int_equal(c->volumes[0].candidates[1], 0);
	assert_int_equal(c->volumes[1].ncandidates, 1);
	assert_true(c->proxy.paths == CONFIG_PATHS_ALL && c->proxy.insecure);
	assert_int_equal(c->proxy.replay_max, 128 << 20);
	assert_int_equal(c->agent.multiplier, 5);
	config_free(c);
}

static void
test_defaults(void **state)
{
	char *errors;
	struct config *c = load(good, &errors);
	const struct config_volume *home = &c->volumes[0];
	const struct config_volume *work = &c->volumes[1];
	char buf[256];

	(void)state;
	assert_int_equal(c->heartbeat_port, 9077);
	assert_string_equal(
	    addr_format(&home->loopback, buf, sizeof(buf)), "127.77.0.1:2049");
	assert_string_equal(home->export, "/home");
	assert_string_equal(home->backend.netns, "/run/netns/home");
	assert_int_equal(home->backend.mount_port, 20048);
	assert_int_equal(home->backend.threads, 24);
	assert_string_equal(
	    addr_format(&work->loopback, buf, sizeof(buf)), "127.9.9.9:3049");
	assert_string_equal(work->export, "/srv/work");
	assert_int_equal(work->backend.nfs_port, 12049);
	assert_string_equal(work->backend.netns, "/run/netns/work");
	assert_int_equal(c->agent.heartbeat_interval_ms, 50);
	assert_string_equal(c->detector.user, "hanfs");
	assert_int_equal(c->detector.verify_per_second, 2000);
	assert_int_equal(c->proxy.reserve, 4 << 20);
	assert_int_equal(
	    config_key_path(c, &c->servers[1], buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/etc/hanfs/s2.key");
	assert_int_equal(config_key_path(c, &c->servers[1], buf, 17), -1);
	config_free(c);
}

static void
test_lookups(void **state)
{
	char *errors;
	struct config *c = load(good, &errors);
	struct hanfs_addr addr;

	(void)state;
	assert_int_equal(config_find_network(c, "B"), 1);
	assert_int_equal(config_find_network_id(c, 7), 1);
	assert_int_equal(config_find_network(c, "C"), -1);
	assert_int_equal(config_find_server(c, "s2"), 1);
	assert_int_equal(config_find_server_id(c, 3), -1);
	assert_int_equal(config_find_volume_id(c, 2), 1);
	addr_parse(&addr, "fd00:82::77");
	assert_int_equal(config_network_of(c, &addr), 1);
	addr_parse(&addr, "10.83.1.1");
	assert_int_equal(config_network_of(c, &addr), -1);
	assert_ptr_equal(
	    config_server_addr_on(&c->servers[1], 0), &c->servers[1].addrs[1]);
	assert_null(config_server_addr_on(&c->servers[1], 2));
	config_free(c);
}

/* A name given twice is missed elsewhere: both are told. */
static void
test_same_server(void **state)
{
	char *text = changed("server \"s2\"", "server \"s1\"");
	char *errors = faults(text, 2);

	(void)state;
	assert_says(errors, 18, "second server \"s1\"");
	free(errors);
	free(text);
}

/* One replacement, one message with the line and these words. */
static void
test_single_faults(void **state)
{
	static const struct {
		const char *from, *to;
		unsigned line;
		const char *words;
	} cases[] = {
	    {"cluster = \"lab\"", "", 33, "no cluster: write cluster ="},
	    {"\"lab\"", "\"a b\"", 1, "letters, digits"},
	    {"cluster = \"lab\"", "cluster = x colour = red", 1,
		"colour is no option here: write one of cluster, "},
	    {"id = 7", "idd = 7", 4, "idd is no option of network"},
	    {"id = 7", "id = 1", 4, "id 1, as \"A\" has"},
	    {"id = 7", "id = 0", 4, "a number from 1 to 4294967295"},
	    {"id = 7", "id = -1", 4, "a number from 1"},
	    {"id = 7", "id = 7 id = 8", 4, "given twice, first in line 4"},
	    {"10.82.1.0/24\"", "10.82.1.0/24\", \"10.81.0.0/16\"", 5,
		"overlaps one of"},
	    {"\"10.82.1.0/24\"", "\"10.82.1.1/24\"", 5, "beyond its length"},
	    {"\"10.82.1.0/24\", ", "", 10, "10.82.1.11 is in no network"},
	    {"network \"B\"", "network \"A\"", 6, "second network \"A\""},
	    {"network \"B\"", "network \"B/\"", 6, "no good name"},
	    {"id = 2\n", "id = 1\n", 13, "id 1, as \"s1\" has"},
	    {KEY2, KEY1, 14, "key of \"s1\""},
	    {KEY2, "AAAA", 14, "that hanfsctl keygen printed"},
	    {"port = 2050", "port = 70000", 15, "from 1 to 65535"},
	    {"10.81.1.12", "10.81.1.999", 17, "must be an address"},
	    {"10.81.1.12", "10.81.1.11", 17, "one of server \"s1\""},
	    {"10.81.1.12", "10.82.1.12", 17, "second address on network"},
	    {"{\"s2\", \"s1\"}", "{\"s2\", \"s3\"}", 21, "is no server"},
	    {"{\"s2\", \"s1\"}", "{\"s2\", \"s2\"}", 21, "named twice"},
	    {"{\"s2\", \"s1\"}", "{}", 22, "no candidates: write"},
	    {"127.9.9.9", "10.0.0.1", 26, "not in 127.0.0.0/8"},
	    {"nfs_port", "nfs", 24, "no option of backend: write one of netns"},
	    {"nfs_port = 12049", "threads = 15", 24, "from 16 to 1024"},
	    {"\"/srv/work\"", "\"srv\"", 29, "begins with /"},
	    {"backend {", "backend { } backend {", 24, "second section"},
	    {"128M", "128X", 31, "a size from 8M to 64G"},
	    {"128M", "99999999999999999999G", 31, "a size from"},
	    {"paths = all", "paths = both", 31, "\"primary-first\" or \"all\""},
	    {"insecure = yes", "insecure = 2", 32, "true or false"},
	    {"insecure = yes", "reserve = \"100M\"", 32, "more than half"},
	    {"insecure = yes", "hold_ms = 70000", 32, "hold_max_ms"},
	    {"agent {", "agent { } agent {", 33, "second section agent"},
	    {"multiplier = 5 }", "multiplier = 5", 33, "} that is missing"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = changed(cases[i].from, cases[i].to);
		char *errors = faults(text, 1);

		assert_says(errors, cases[i].line, cases[i].words);
		free(errors);
		free(text);
	}
}

static void
test_same_loopback(void **state)
{
	char *text = changed("	loopback = \"127.9.9.9\"\n	port = 3049\n",
	    "	loopback = \"127.77.0.1\"\n\n");
	char *errors = faults(text, 1);

	(void)state;
	assert_says(errors, 26, "loopback of \"home\"");
	free(errors);
	free(text);
}

static void
test_all_faults_in_order(void **state)
{
	char *errors = faults("cluster = \"\"\n"
			      "heartbeat_port = no\n"
			      "network \"A\" { prefix = {\"x\", \"y\"} }\n"
			      "server \"s\" { id = 0\n"
			      "addresses = {\"10.1.1.1\"} }\n"
			      "volume \"v\" { candidates = {\"q\"} }\n",
	    8);

	(void)state;
	assert_says(errors, 1, "cluster");
	assert_says(errors, 2, "heartbeat_port");
	assert_says(errors, 3, "\"x\"");
	assert_says(errors, 3, "\"y\"");
	assert_says(errors, 4, "id = \"0\"");
	assert_says(errors, 5, "no public_key");
	assert_says(errors, 6, "\"q\" is no server");
	assert_says(errors, 6, "no id");
	assert_true(strstr(errors, ":2: ") < strstr(errors, ":3: "));
	assert_true(strstr(errors, ":5: ") < strstr(errors, ":6: "));
	free(errors);
}

/* A fault of the grammar is not followed by what it alone makes missing. */
static void
test_grammar(void **state)
{
	static const struct {
		const char *text;
		unsigned faults, line;
		const char *words;
	} cases[] = {
	    {"cluster \"x\"\n", 1, 1, "missing equal sign"},
	    {"cluster = \"x\n", 1, 2, "premature end"},
	    {"cluster = x\n}\n", 1, 2, "unexpected closing brace"},
	    {"\nsever \"s1\" { id = 1 }\n", 2, 2, "sever is no option here"},
	    {"network A {\nprefx = {a} }\n", 2, 2, "no option of network"},
	    {"proxy {\n", 1, 1, "} that is missing"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *errors = faults(cases[i].text, cases[i].faults);

		assert_says(errors, cases[i].line, cases[i].words);
		free(errors);
		/* nothing of it is left behind in the parser */
		config_free(load(good, &errors));
		assert_null(errors);
	}
}

static void
test_caps(void **state)
{
	char *text, *errors;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	(void)state;
	fputs(good, stream);
	for (int i = 0; i < 300; i++)
		fprintf(stream,
		    "network \"N%d\" { prefix = {\"10.1.%d.0/24\"} }"
		    "\n",
		    i, i % 256);
	fclose(stream);
	assert_null(load(text, &errors));
	assert_non_null(strstr(errors, "more than 256 sections"));
	assert_non_null(strstr(errors, "more than 4 sections network"));
	assert_non_null(strstr(errors, "further messages are left out"));
	free(errors);
	free(text);
}

static void
test_no_file(void **state)
{
	char *errors;

	(void)state;
	assert_null(config_load("/nonexistent/hanfs.conf", &errors));
	assert_non_null(strstr(errors, "No such file"));
	free(errors);
	assert_null(config_load("/tmp", &errors));
	assert_non_null(strstr(errors, "Is a directory"));
	free(errors);
}

static int
make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good_file),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_lookups),
	    cmocka_unit_test(test_same_server),
	    cmocka_unit_test(test_single_faults),
	    cmocka_unit_test(test_same_loopback),
	    cmocka_unit_test(test_all_faults_in_order),
	    cmocka_unit_test(test_grammar),
	    cmocka_unit_test(test_caps),
	    cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests_name(
	    "config", tests, make_file, remove_file);
}
