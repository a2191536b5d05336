/*
 * hanfs-agent: options, set-up, privileges, the event loop. See agent.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sodium.h>

#include "hanfs/daemon.h"
#include "hanfs/keys.h"
#include "hanfs/log.h"
#include "hanfs/privs.h"
#include "server-agent/agent.h"
#include "server-agent/format.h"
#include "server-agent/own.h"
#include "server-agent/preflight.h"

struct options {
	const char *config, *name, *run, *state;
	enum log_level level;
	struct format_options format; /* volume NULL: not asked for */
	bool check, json;
};

static void
usage(FILE *to)
{
	fputs("usage: hanfs-agent [-c FILE] -n SERVER [--run DIR] "
	      "[--state DIR] [--log LEVEL]\n"
	      "       hanfs-agent [-c FILE] -n SERVER --format VOLUME "
	      "[--adopt] [--force]\n"
	      "       hanfs-agent [-c FILE] -n SERVER --check [--json]\n"
	      "  -c, --config FILE  the cluster's configuration "
	      "(" CONFIG_DEFAULT_PATH ")\n"
	      "  -n, --name SERVER  which of its servers this is\n"
	      "  --run DIR          sockets (" DAEMON_RUN_DIR ")\n"
	      "  --state DIR        boot id (" DAEMON_STATE_DIR ")\n"
	      "  --log LEVEL        err, warn, notice, info or debug\n"
	      "  --format VOLUME    prepare its file system and control area\n"
	      "  --adopt            with what lies at its root moved into "
	      "export/\n"
	      "  --force            also if it is formatted already\n"
	      "  --check            is this server fit to own its volumes?\n"
	      "  --json             what --check found, as JSON\n",
	    to);
}

static void
parse_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"name", required_argument, NULL, 'n'},
	    {"run", required_argument, NULL, 'r'},
	    {"state", required_argument, NULL, 's'},
	    {"log", required_argument, NULL, 'l'},
	    {"format", required_argument, NULL, 'F'},
	    {"adopt", no_argument, NULL, 'A'},
	    {"force", no_argument, NULL, 'O'},
	    {"check", no_argument, NULL, 'C'}, {"json", no_argument, NULL, 'J'},
	    {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int ch;

	while ((ch = getopt_long(argc, argv, "c:n:h", longs, NULL)) != -1) {
		switch (ch) {
		case 'c':
			o->config = optarg;
			break;
		case 'n':
			o->name = optarg;
			break;
		case 'r':
			o->run = optarg;
			break;
		case 's':
			o->state = optarg;
			break;
		case 'l':
			if (log_level_parse(optarg, &o->level) == -1)
				fatal("--log %s: write err, warn, notice, "
				      "info or debug",
				    optarg);
			break;
		case 'F':
			o->format.volume = optarg;
			break;
		case 'A':
			o->format.adopt = true;
			break;
		case 'O':
			o->format.force = true;
			break;
		case 'C':
			o->check = true;
			break;
		case 'J':
			o->json = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (o->name == NULL || optind != argc) {
		usage(stderr);
		exit(2);
	}
}

/* --- what this server is */

static void
find_self(struct agent *a, const struct options *o)
{
	char names[512] = "";
	int i = config_find_server(a->cfg, o->name);

	for (unsigned k = 0; k < a->cfg->nservers; k++) {
		size_t at = strlen(names);

		snprintf(names + at, sizeof(names) - at, "%s%s",
		    k > 0 ? ", " : "", a->cfg->servers[k].name);
	}
	if (i < 0)
		fatal("%s names no server \"%s\"; it has %s", o->config,
		    o->name, names);
	a->server = (unsigned)i;
}

static void
read_key(const struct agent *a, struct key_pair *pair)
{
	const struct config_server *s = &a->cfg->servers[a->server];
	char path[512], why[512];

	if (config_key_path(a->cfg, s, path, sizeof(path)) == -1)
		fatal("the path of the key (agent, key) is too long");
	if (key_read(path, pair, why, sizeof(why)) == -1)
		fatal("%s", why);
	if (memcmp(pair->public_key, s->public_key, KEY_PUBLIC_LEN) != 0)
		fatal("%s is not the key whose public half stands at server "
		      "\"%s\": clients would not believe its heartbeats; write "
		      "the right public_key, or install the right file",
		    path, s->name);
}

/* --- memory and descriptors, once */

enum {
	CONNS_MAX = 2048,
	CALL_RECS = 8192,
	REPLY_RECS = 8192, /* beside those that are kept */
	CHUNKS = 256,      /* of 64 KiB, in each pool */
	CHUNKS_RESERVE = 64,
	PIPES = 192,      /* in each pool */
	KEPT_SIZE = 2048, /* bytes of one kept reply, with its entry */
};

static unsigned
entries_max(const struct config *cfg)
{
	uint64_t n = cfg->agent.reply_memory / KEPT_SIZE;

	return n < 1024 ? 1024 : n > 1000000 ? 1000000 : (unsigned)n;
}

static void
make_pools(struct agent *a)
{
	struct rec_pool_limits calls = {.recs = CALL_RECS,
	    .chunks = CHUNKS,
	    .reserve = CHUNKS_RESERVE,
	    .pipes = PIPES};
	struct rec_pool_limits replies = calls;

	replies.recs = REPLY_RECS + entries_max(a->cfg);
	a->calls = rec_pool_new(&calls);
	a->replies = rec_pool_new(&replies);
	if (a->calls == NULL || a->replies == NULL)
		fatal("no memory for records: %s; lower reply_memory (agent), "
		      "or raise the limit of open files",
		    strerror(errno));
}

static void
note(void *arg, const char *line)
{
	(void)arg;
	log_info("%s", line);
}

static void
take_rules(struct relay_rules *r, const char *off)
{
	const struct {
		const char *word;
		bool *rule;
	} words[] = {{"intent", &r->no_intent},
	    {"completion", &r->no_completion}, {"sync", &r->no_sync},
	    {"gate", &r->no_gate}, {"hold", &r->no_hold},
	    {"inode-keys", &r->no_inode_keys}, {"tomb", &r->no_tomb},
	    {"suspect", &r->no_suspect}, {"judge", &r->no_judge}};
	char text[CONFIG_TEXT_MAX + 1], *word, *rest = text;

	snprintf(text, sizeof(text), "%s", off);
	while ((word = strtok_r(rest, " ,", &rest)) != NULL) {
		unsigned i = 0, n = sizeof(words) / sizeof(words[0]);

		while (i < n && strcmp(word, words[i].word) != 0)
			i++;
		if (i == n)
			fatal("test_rules_off (agent): no rule is called "
			      "\"%s\"; hanfs.conf(5) lists them",
			    word);
		*words[i].rule = true;
		log_warn("test_rules_off: rule %s of the log does not hold; "
			 "data will be damaged by it",
		    word);
	}
}

static void
make_relay(struct agent *a)
{
	const struct config_agent *ca = &a->cfg->agent;
	struct relay_config rc = {.volumes = a->cfg->nvolumes,
	    .networks = a->cfg->nnetworks,
	    .clients_max = (unsigned)ca->clients_max,
	    .kconns_max = CONNS_MAX,
	    .conns_max = CONNS_MAX,
	    .entries_max = entries_max(a->cfg),
	    .client_entries_max = (unsigned)ca->calls_per_client,
	    .linger_ms = (uint32_t)ca->linger_ms,
	    .orphan_ms = 600000,
	    .retain_ms = ca->retain_s * 1000,
	    .plain_ms = 120000,
	    .kconn_idle_ms = (uint32_t)ca->idle_s * 1000,
	    .backoff_ms = 100,
	    .no_replay_table = ca->test_no_replay_table,
	    .undecidable_ms = ca->undecidable_wait_s * 1000,
	    .answer_ms = ca->answer_s * 1000,
	    .note = note};

	if (rc.no_replay_table)
		log_warn("test_no_replay_table is set: calls that are sent "
			 "again RUN AGAIN; data will be damaged by it");
	take_rules(&rc.rules, ca->test_rules_off);
	randombytes_buf(rc.secret, sizeof(rc.secret));
	a->relay = relay_new(&rc);
	if (a->relay == NULL)
		fatal("no memory for the table of calls; lower reply_memory "
		      "(agent)");
}

static void
make_base(struct agent *a)
{
	a->base = event_base_new();
	if (a->base == NULL)
		fatal("cannot make an event loop: %s", strerror(errno));
	a->own_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (a->own_netns == -1)
		fatal("/proc/self/ns/net: %s; is /proc mounted?",
		    strerror(errno));
	LIST_INIT(&a->conns);
	LIST_INIT(&a->blinks);
	LIST_INIT(&a->dead_conns);
	LIST_INIT(&a->dead_blinks);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct agent *a = arg;

	(void)what;
	if (sig == SIGHUP) {
		log_notice("hang-up: the configuration is read at the start "
			   "alone; a restart hands over, and reads it");
		return;
	}
	log_notice("%s: ending", strsignal((int)sig));
	own_end(a);
	agent_settle(a);
}

/*
 * What stays: reserved ports, other network namespaces, heartbeats bound to
 * an interface, addresses and mounts (which takeover needs), the log's slots
 * (CAP_SYS_ADMIN) and making them anew (CAP_LINUX_IMMUTABLE).
 */
static void
drop_privileges(const struct config *cfg)
{
	static const int keep[] = {CAP_NET_BIND_SERVICE, CAP_NET_ADMIN,
	    CAP_NET_RAW, CAP_SYS_ADMIN, CAP_LINUX_IMMUTABLE};

	hbsend_prepare(cfg);
	daemon_raise_files();
	daemon_lock_memory();
	daemon_oom_protect();
	privs_drop(cfg->agent.user, keep, sizeof(keep) / sizeof(keep[0]));
}

static void
start_heartbeats(
    struct agent *a, const struct options *o, struct key_pair *pair)
{
	char error[HBSEND_ERROR_LEN];

	a->hb = hbsend_start(a->cfg, a->server, pair->secret, o->state,
	    HBSEND_ALIVE_MAX_MS, error);
	key_wipe(pair);
	if (a->hb == NULL)
		fatal("%s", error);
	a->boot = hbsend_boot(a->hb);
}

static int /* for preflight_ready() */
set_up(struct agent *a, const struct options *o)
{
	struct key_pair pair;
	int go;

	a->cfg = config_load_or_exit(o->config);
	a->nvolumes = a->cfg->nvolumes;
	find_self(a, o);
	if (daemon_run_dir(o->run) == -1 || daemon_state_dir(o->state) == -1)
		exit(1);
	go = start_check(a);
	start_helper(a, o->run);
	make_base(a);
	make_pools(a);
	make_relay(a);
	if (show_start(a, o->run) == -1)
		exit(1);
	read_key(a, &pair);
	start_boot(a, o->state);
	drop_privileges(a->cfg);
	start_heartbeats(a, o, &pair);
	evsignal_assign(&a->term, a->base, SIGTERM, on_signal, a);
	evsignal_assign(&a->intr, a->base, SIGINT, on_signal, a);
	evsignal_assign(&a->hup, a->base, SIGHUP, on_signal, a);
	event_add(&a->term, NULL);
	event_add(&a->intr, NULL);
	event_add(&a->hup, NULL);
	return go;
}

static void
tear_down(struct agent *a)
{
	reach_stop(a);
	hbsend_stop(a->hb);
	a->hb = NULL;
	agent_stop(a);
	event_del(&a->term);
	event_del(&a->intr);
	event_del(&a->hup);
	ctlsock_free(a->ctl);
	relay_free(a->relay);
	rec_pool_free(a->calls);
	rec_pool_free(a->replies);
	steps_free(a->steps);
	event_base_free(a->base);
	close(a->own_netns);
}

/* --format, --check: nothing of a running agent is needed. */
static int
run_tool(struct agent *a, const struct options *o)
{
	struct config *cfg = config_load_or_exit(o->config);
	int status;

	a->cfg = cfg;
	find_self(a, o);
	status = o->check ? preflight_run(cfg, a->server, o->json)
			  : format_volume(cfg, &o->format);
	config_free(cfg);
	return status;
}

int
main(int argc, char **argv)
{
	static struct agent a;
	struct options o = {.config = CONFIG_DEFAULT_PATH,
	    .run = DAEMON_RUN_DIR,
	    .state = DAEMON_STATE_DIR,
	    .level = LOG_LEVEL_INFO};
	int go;

	parse_options(&o, argc, argv);
	log_open("hanfs-agent", o.level);
	if (sodium_init() == -1)
		fatal("libsodium cannot be used");
	signal(SIGPIPE, SIG_IGN);
	if (o.format.volume != NULL || o.check)
		return run_tool(&a, &o);
	go = set_up(&a, &o);
	if (agent_start(&a) == -1 || reach_start(&a) == -1)
		return 1;
	log_notice("server %s of cluster %s: ready", o.name, a.cfg->cluster);
	daemon_ready();
	preflight_ready(go, true);
	event_base_dispatch(a.base);
	daemon_stopping();
	tear_down(&a);
	return 0;
}
