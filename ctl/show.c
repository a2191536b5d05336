/*
 * hanfsctl show: asks the daemons on this host.
 */
#include <string.h>

#include "hanfs/ctlsock.h"

#include "ctl.h"

static const char *const daemons[] = {"proxy", "agent", "detector", NULL};

/* What each daemon can be asked; its control socket has the last word. */
static const struct topic {
	const char *name, *from; /* first letters of the daemons */
	const char *help;
} topics[] = {
    {"paths", "p", "each way to each server, its state and why"},
    {"volumes", "pa", "owner, network in use, switches"},
    {"calls", "pa", "calls that are outstanding"},
    {"connections", "p", "the kernel's connections and what carries them"},
    {"events", "pa", "decisions with their cause and evidence"},
    {"counters", "pad", "counters"},
    {"heartbeats", "d", "the last heartbeat of each server and network"},
    {"clients", "a", "clients with their incarnation"},
    {"kconns", "a", "kernel connections, their floors and backends"},
    {"peers", "a", "the other servers: alive, suspect, dead, and why"},
    {"tombs", "a", "calls whose replies expired: what the log names of them"},
    {"takeovers", "a", "the last ways of volumes, with each step's time"},
    {"all", "pad", "all of these"},
};
enum { NTOPICS = sizeof(topics) / sizeof(topics[0]), TIMEOUT_MS = 3000 };

static bool
answers(const struct topic *t, const char *daemon)
{
	return strchr(t->from, daemon[0]) != NULL;
}

/* 0: shown; 1: the daemon is not there or refused. */
static int
show_one(const struct ctl *ctl, const struct topic *t, const char *daemon,
    bool title, bool quiet, json_t *all)
{
	const char *why;
	char name[32], line[64];
	json_t *doc, *error;

	snprintf(name, sizeof(name), "%s.sock", daemon);
	snprintf(line, sizeof(line), "show %s", t->name);
	doc = ctlsock_ask(ctl->run_dir, name, line, TIMEOUT_MS, &why);
	if (doc == NULL) {
		if (!quiet)
			fprintf(stderr, "hanfsctl: %s\n", why);
		return 1;
	}
	error = json_object_get(doc, "error");
	if (json_is_string(error)) {
		fprintf(stderr, "hanfsctl: %s: %s\n", daemon,
		    json_string_value(error));
		json_decref(doc);
		return 1;
	}
	if (all != NULL) {
		snprintf(name, sizeof(name), "%s", t->name);
		if (json_object_get(all, daemon) == NULL)
			json_object_set_new(all, daemon, json_object());
		json_object_set(json_object_get(all, daemon), name, doc);
	} else if (ctl->json) {
		json_dumpf(doc, stdout, JSON_INDENT(1));
		putchar('\n');
	} else {
		if (title)
			printf("%s: %s\n", daemon, t->name);
		ctl_table(stdout, doc);
		if (title)
			putchar('\n');
	}
	json_decref(doc);
	return 0;
}

static int
show_all(const struct ctl *ctl, const char *daemon)
{
	json_t *all = ctl->json ? json_object() : NULL;
	int shown = 0;

	for (int d = 0; daemons[d] != NULL; d++)
		for (int i = 0; i < NTOPICS - 1; i++) {
			if (!answers(&topics[i], daemons[d]) ||
			    (daemon != NULL && daemons[d] != daemon))
				continue;
			if (show_one(ctl, &topics[i], daemons[d], true,
				daemon == NULL, all) != 0)
				break;
			shown++;
		}
	if (all != NULL) {
		json_dumpf(all, stdout, JSON_INDENT(1));
		putchar('\n');
		json_decref(all);
	}
	if (shown == 0)
		fprintf(stderr, "hanfsctl: no daemon of hanfs answers in %s; "
		    "another --run directory?\n", ctl->run_dir);
	return shown == 0;
}

/* Without a daemon named: the first that can answer and runs. */
static int
show_topic(const struct ctl *ctl, const struct topic *t, const char *daemon)
{
	const char *last = NULL;

	if (daemon != NULL && !answers(t, daemon)) {
		fprintf(stderr, "hanfsctl: the %s knows nothing of '%s'\n",
		    daemon, t->name);
		return 2;
	}
	for (int d = 0; daemons[d] != NULL; d++)
		if (answers(t, daemons[d]) &&
		    (daemon == NULL || daemons[d] == daemon)) {
			if (last != NULL &&
			    show_one(ctl, t, last, false, true, NULL) == 0)
				return 0;
			last = daemons[d];
		}
	return show_one(ctl, t, last, false, false, NULL);
}

int
ctl_show(const struct ctl *ctl, int argc, char **argv)
{
	struct ctl c = *ctl;
	const char *names[NTOPICS + 1] = {NULL}, *daemon = NULL;
	int i;

	if (argc > 1 && strcmp(argv[argc - 1], "--json") == 0) {
		c.json = true;
		argc--;
	}
	if (argc < 2 || argc > 3) {
		fputs("usage: hanfsctl show WHAT [proxy|agent|detector] "
		      "[--json]\n", stderr);
		for (i = 0; i < NTOPICS; i++)
			fprintf(stderr, "  %-12s %s\n", topics[i].name,
			    topics[i].help);
		return 2;
	}
	for (i = 0; i < NTOPICS; i++)
		names[i] = topics[i].name;
	i = ctl_word("thing to show", argv[1], names);
	if (i == -1)
		return 2;
	if (argc == 3) {
		int d = ctl_word("daemon", argv[2], daemons);

		if (d == -1)
			return 2;
		daemon = daemons[d];
	}
	if (i == NTOPICS - 1)
		return show_all(&c, daemon);
	return show_topic(&c, &topics[i], daemon);
}
