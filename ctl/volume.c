/*
 * hanfsctl verdict, hanfsctl forget; hanfsctl volume, hanfsctl drill: has this
 * server's agent move a volume, waits until that is done, and shows how long
 * each step took.
 */
#include <string.h>
#include <time.h>

#include "hanfs/ctlsock.h"

#include "ctl.h"

enum { TIMEOUT_MS = 3000, LOOK_MS = 50, MOST_S = 300 };

static json_t *
ask(const struct ctl *ctl, const char *line)
{
	const char *why;
	json_t *doc =
	    ctlsock_ask(ctl->run_dir, "agent.sock", line, TIMEOUT_MS, &why);
	json_t *error = json_object_get(doc, "error");

	if (doc == NULL)
		fprintf(stderr, "hanfsctl: %s\n", why);
	else if (json_is_string(error)) {
		fprintf(stderr, "hanfsctl: agent: %s\n",
		    json_string_value(error));
		json_decref(doc);
		doc = NULL;
	}
	return doc;
}

static void
print(const struct ctl *ctl, const json_t *doc)
{
	if (ctl->json) {
		json_dumpf(doc, stdout, JSON_INDENT(1));
		putchar('\n');
	} else
		ctl_table(stdout, doc);
}

static bool
is_of(const json_t *o, const char *volume)
{
	const char *name = json_string_value(json_object_get(o, "volume"));

	return name != NULL && strcmp(name, volume) == 0;
}

/* The first entry of a list that is the volume's: a reference, or NULL. False:
 * no list came, which has been said. */
static bool
first_of(const struct ctl *ctl, const char *line, const char *volume,
    json_t **first)
{
	json_t *list = ask(ctl, line), *o, *found = NULL;
	size_t i;

	*first = NULL;
	if (list == NULL)
		return false;
	json_array_foreach(list, i, o)
		if (found == NULL && is_of(o, volume))
			found = json_incref(o);
	json_decref(list);
	*first = found;
	return true;
}

static json_int_t
number_of(const json_t *report)
{
	return json_integer_value(json_object_get(report, "number"));
}

/* The report after number `last`, once it is finished. */
static json_t *
wait_report(const struct ctl *ctl, const char *volume, json_int_t last)
{
	static const struct timespec a_while = {0, LOOK_MS * 1000000};

	for (int i = 0; i < MOST_S * 1000 / LOOK_MS; i++) {
		json_t *r;

		if (!first_of(ctl, "show takeovers", volume, &r))
			return NULL;
		if (r == NULL && i > 0) {
			fputs("hanfsctl: the agent has no report of it; "
			      "'hanfsctl show events' says what it did\n",
			    stderr);
			return NULL;
		}
		if (number_of(r) > last &&
		    !json_is_true(json_object_get(r, "running")))
			return r;
		json_decref(r);
		nanosleep(&a_while, NULL);
	}
	fprintf(stderr, "hanfsctl: not done in %d s; 'hanfsctl show events' "
			"says how far it is\n",
	    MOST_S);
	return NULL;
}

static int
do_and_wait(const struct ctl *ctl, const char *volume, const char *line)
{
	json_t *before, *doc, *report;
	json_int_t last;
	int status;

	if (!first_of(ctl, "show takeovers", volume, &before))
		return 1;
	last = number_of(before);
	json_decref(before);
	doc = ask(ctl, line);
	if (doc == NULL)
		return 1;
	json_decref(doc);
	report = wait_report(ctl, volume, last);
	if (report == NULL)
		return 1;
	print(ctl, report);
	status = json_is_true(json_object_get(report, "ok")) ? 0 : 1;
	json_decref(report);
	return status;
}

static int
show_volume(const struct ctl *ctl, const char *volume)
{
	json_t *v;

	if (!first_of(ctl, "show volumes", volume, &v))
		return 1;
	if (v == NULL) {
		fprintf(stderr, "hanfsctl: this server's agent has no volume "
				"'%s'\n",
		    volume);
		return 1;
	}
	print(ctl, v);
	json_decref(v);
	return 0;
}

/* --json may stand at the end, too. */
static struct ctl
take_json(const struct ctl *ctl, int *argc, char **argv)
{
	struct ctl c = *ctl;

	if (*argc > 1 && strcmp(argv[*argc - 1], "--json") == 0) {
		c.json = true;
		--*argc;
	}
	return c;
}

static int
volume_usage(void)
{
	fputs("usage: hanfsctl volume VOLUME show|move SERVER [--json]\n",
	    stderr);
	return 2;
}

int
ctl_volume(const struct ctl *ctl, int argc, char **argv)
{
	static const char *const verbs[] = {"show", "move", NULL};
	struct ctl c = take_json(ctl, &argc, argv);
	char line[300];
	int verb;

	if (argc < 3)
		return volume_usage();
	verb = ctl_word("verb", argv[2], verbs);
	if (verb == -1)
		return 2;
	if (argc != (verb == 0 ? 3 : 4))
		return volume_usage();
	if (verb == 0)
		return show_volume(&c, argv[1]);
	snprintf(line, sizeof(line), "do volume %.64s move %.64s", argv[1],
	    argv[3]);
	return do_and_wait(&c, argv[1], line);
}

int
ctl_drill(const struct ctl *ctl, int argc, char **argv)
{
	struct ctl c = take_json(ctl, &argc, argv);
	char line[300];

	if (argc != 2) {
		fputs("usage: hanfsctl drill VOLUME [--json]\n", stderr);
		return 2;
	}
	snprintf(line, sizeof(line), "do drill %.64s", argv[1]);
	return do_and_wait(&c, argv[1], line);
}

int
ctl_verdict(const struct ctl *ctl, int argc, char **argv)
{
	static const char *const verdicts[] = {"done", "not-done", NULL};
	struct ctl c = take_json(ctl, &argc, argv);
	char line[300];
	json_t *doc;
	int v;

	if (argc != 5) {
		fputs("usage: hanfsctl verdict VOLUME CLIENT XID "
		      "done|not-done\n",
		    stderr);
		return 2;
	}
	v = ctl_word("verdict", argv[4], verdicts);
	if (v == -1)
		return 2;
	snprintf(line, sizeof(line), "do verdict %.64s %.33s %.10s %s", argv[1],
	    argv[2], argv[3], verdicts[v]);
	doc = ask(&c, line);
	if (doc == NULL)
		return 1;
	print(&c, doc);
	json_decref(doc);
	return 0;
}

int
ctl_forget(const struct ctl *ctl, int argc, char **argv)
{
	struct ctl c = take_json(ctl, &argc, argv);
	char line[300];
	json_t *doc;

	if (argc != 3) {
		fputs("usage: hanfsctl forget VOLUME CLIENT|away\n", stderr);
		return 2;
	}
	snprintf(line, sizeof(line), "do forget %.64s %.33s", argv[1], argv[2]);
	doc = ask(&c, line);
	if (doc == NULL)
		return 1;
	print(&c, doc);
	json_decref(doc);
	return 0;
}
