/*
 * The line protocol, on a UNIX socket: a command a line, answered by lines
 * and then "ok", or by "error TEXT".  TARGET is HOST, HOST/VOLUME, or has *
 * for all of either.
 *
 *	cut TARGET		no write lands after the answer
 *	heal TARGET		all of these faults end
 *	path-dead TARGET	errors
 *	stall TARGET		requests wait
 *	readonly TARGET		writes fail
 *	delay TARGET MS [read|write]
 *	rate TARGET BYTES-A-SECOND	0: no limit
 *	lose-unflushed TARGET PERCENT	of what no flush has followed, at a cut
 *	torn TARGET on|off	a write that waits at a cut lands in part
 *	epoch TARGET N		what the log says from now on
 *	pr HOST/VOLUME register OWN KEY | ignore KEY | clear OWN |
 *	    reserve OWN TYPE | release OWN TYPE |
 *	    preempt OWN VICTIM TYPE | keys | reservation
 *	power-off HOST		its watchdog is off, too; no cut
 *	dogs			a line for each watchdog
 *	note TEXT		into the log
 *	flush-log		all of it is in its file
 *	status			a line for each port
 *
 * preempt aborts, too: nothing of the victim's lands after the answer.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "san.h"

enum { WORDS_MAX = 8, LINE_MAX_LEN = 512 };

struct request {
	struct san *san;
	FILE *out;
	char *word[WORDS_MAX]; /* of the line; "" where there is none */
	char line[LINE_MAX_LEN];
	const char *error; /* NULL: all was well */
};

typedef void port_verb(struct request *r, struct port *p);

static bool
name_matches(const char *pattern, size_t len, const char *name)
{
	return (len == 1 && pattern[0] == '*') ||
	       (strlen(name) == len && memcmp(name, pattern, len) == 0);
}

/* Does it to every port that the target names. */
static void
each_port(struct request *r, const char *target, port_verb *verb)
{
	struct san *san = r->san;
	const char *slash = strchr(target, '/');
	size_t len = slash ? (size_t)(slash - target) : strlen(target);
	const char *volume = slash ? slash + 1 : "*";
	unsigned found = 0;

	for (unsigned i = 0; i < san->hosts_n; i++) {
		if (!name_matches(target, len, san->hosts[i]))
			continue;
		for (unsigned j = 0; j < san->volumes_n; j++) {
			if (!name_matches(
				volume, strlen(volume), san->volumes[j].name))
				continue;
			verb(r, &san->ports[i][j]);
			found++;
		}
	}
	if (found == 0)
		r->error = "no such host or volume";
}

static bool
number(struct request *r, const char *text, uint64_t *value)
{
	char *end;

	*value = strtoull(text, &end, 0);
	if (text[0] != '\0' && *end == '\0')
		return true;
	r->error = "a number is missing, or is none";
	return false;
}

/* -- verbs of ports -- */

static void
do_cut(struct request *r, struct port *p)
{
	(void)r;
	port_cut(p);
}

static void
do_heal(struct request *r, struct port *p)
{
	(void)r;
	port_heal(p);
}

/* Under the lock, and told to all that wait. */
#define SETTER(name, statement)                             \
	static void name(struct request *r, struct port *p) \
	{                                                   \
		uint64_t n = 0;                             \
                                                            \
		(void)r;                                    \
		(void)n;                                    \
		pthread_mutex_lock(&p->lock);               \
		statement;                                  \
		pthread_cond_broadcast(&p->change);         \
		pthread_mutex_unlock(&p->lock);             \
	}

SETTER(do_dead, p->dead = true)
SETTER(do_stall, p->stalled = true)
SETTER(do_readonly, p->readonly = true)
SETTER(do_torn, p->torn = strcmp(r->word[2], "on") == 0)
SETTER(do_epoch, if (number(r, r->word[2], &n)) p->epoch = n)
SETTER(do_rate, if (number(r, r->word[2], &n)) p->rate = n)

static void
set_delay(struct request *r, struct port *p)
{
	const char *kind = r->word[3];
	uint64_t ms;

	if (!number(r, r->word[2], &ms))
		return;
	if (strcmp(kind, "write") != 0)
		p->delay_ms[0] = (unsigned)ms;
	if (strcmp(kind, "read") != 0)
		p->delay_ms[1] = (unsigned)ms;
}
SETTER(do_delay, set_delay(r, p))

static void
do_lose(struct request *r, struct port *p)
{
	uint64_t percent;

	if (!number(r, r->word[2], &percent))
		return;
	if (percent > 100)
		r->error = "more than 100 percent";
	else if (port_lose(p, (unsigned)percent) != 0)
		r->error = "the store failed";
}

static const char *
state_name(const struct port *p)
{
	return p->state != PORT_UP ? "cut"
	       : p->dead           ? "dead"
	       : p->stalled        ? "stalled"
	       : p->readonly       ? "readonly"
				   : "up";
}

static void
do_status(struct request *r, struct port *p)
{
	pthread_mutex_lock(&p->lock);
	fprintf(r->out,
	    "%s/%s %s epoch=%" PRIu64 " reads=%" PRIu64 " writes=%" PRIu64
	    " flushes=%" PRIu64 " refused=%" PRIu64
	    " waiting=%u unflushed=%zu delay=%u,%u rate=%" PRIu64 "\n",
	    p->san->hosts[p->host], p->volume->name, state_name(p), p->epoch,
	    p->reads, p->writes, p->flushes, p->refused, p->inside - p->running,
	    p->cache.pages * PAGE, p->delay_ms[0], p->delay_ms[1], p->rate);
	pthread_mutex_unlock(&p->lock);
}

/* -- reservations -- */

struct pr {
	const char *verb;
	unsigned host;
	uint64_t a, b, c;
};

static int
pr_change(struct resv *r, const void *arg)
{
	const struct pr *pr = arg;

	if (strcmp(pr->verb, "register") == 0)
		return resv_register(r, pr->host, pr->a, pr->b, false);
	if (strcmp(pr->verb, "ignore") == 0)
		return resv_register(r, pr->host, 0, pr->a, true);
	if (strcmp(pr->verb, "reserve") == 0)
		return resv_reserve(r, pr->host, pr->a, (unsigned)pr->b);
	if (strcmp(pr->verb, "release") == 0)
		return resv_release(r, pr->host, pr->a, (unsigned)pr->b);
	if (strcmp(pr->verb, "clear") == 0)
		return resv_clear(r, pr->host, pr->a);
	if (strcmp(pr->verb, "preempt") == 0)
		return resv_preempt(r, pr->host, pr->a, pr->b, (unsigned)pr->c);
	return -2;
}

static void
pr_show(struct request *r, const struct port *p)
{
	const struct resv *resv = &p->volume->resv;

	fprintf(r->out, "generation %" PRIu32 "\n", resv->generation);
	if (strcmp(r->word[2], "keys") == 0) {
		for (unsigned i = 0; i < p->san->hosts_n; i++)
			if (resv->key[i] != 0)
				fprintf(r->out, "key 0x%" PRIx64 " %s\n",
				    resv->key[i], p->san->hosts[i]);
	} else if (resv->holder >= 0) {
		fprintf(r->out, "holder 0x%" PRIx64 " type %u %s\n",
		    resv->key[resv->holder], resv->type,
		    p->san->hosts[resv->holder]);
	}
}

static void
do_pr(struct request *r, struct port *p)
{
	struct pr pr = {.verb = r->word[2], .host = p->host};
	int status;

	if (strcmp(pr.verb, "keys") == 0 ||
	    strcmp(pr.verb, "reservation") == 0) {
		pr_show(r, p);
		return;
	}
	pr.a = strtoull(r->word[3], NULL, 0);
	pr.b = strtoull(r->word[4], NULL, 0);
	pr.c = strtoull(r->word[5], NULL, 0);
	status = port_reserve(p->san, p->volume, pr_change, &pr);
	if (status == -2)
		r->error = "no such verb of pr";
	else if (status != 0)
		r->error = "reservation conflict";
}

/* -- watchdogs -- */

static void
do_power_off(struct request *r)
{
	for (unsigned i = 0; i < r->san->hosts_n; i++)
		if (strcmp(r->word[1], r->san->hosts[i]) == 0) {
			dog_power_off(&r->san->dogs[i]);
			return;
		}
	r->error = "no such host";
}

static void
do_dogs(struct request *r)
{
	for (unsigned i = 0; i < r->san->hosts_n; i++)
		dog_show(&r->san->dogs[i], r->san->hosts[i], r->out);
}

/* -- lines -- */

static const struct {
	const char *name;
	port_verb *verb;
} verbs[] = {
    {"cut", do_cut},
    {"heal", do_heal},
    {"path-dead", do_dead},
    {"stall", do_stall},
    {"readonly", do_readonly},
    {"delay", do_delay},
    {"rate", do_rate},
    {"lose-unflushed", do_lose},
    {"torn", do_torn},
    {"epoch", do_epoch},
    {"pr", do_pr},
};

/* The log says what was done, once it is done. */
static void
perform(struct request *r, const char *line)
{
	const char *verb = r->word[0];

	if (strcmp(verb, "status") == 0) {
		each_port(r, r->word[1][0] ? r->word[1] : "*", do_status);
		return;
	}
	if (strcmp(verb, "flush-log") == 0) {
		log_flush();
		return;
	}
	if (strcmp(verb, "power-off") == 0) {
		do_power_off(r);
		return;
	}
	if (strcmp(verb, "dogs") == 0) {
		do_dogs(r);
		return;
	}
	if (strcmp(verb, "note") == 0) {
		log_note(line);
		return;
	}
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (strcmp(verb, verbs[i].name) != 0)
			continue;
		each_port(r, r->word[1], verbs[i].verb);
		if (r->error == NULL)
			log_note(line);
		return;
	}
	r->error = "no such command";
}

static void
answer(struct request *r, const char *line)
{
	char *rest = r->line, *word;
	unsigned n = 0;

	r->error = NULL;
	snprintf(r->line, sizeof r->line, "%s", line);
	for (unsigned i = 0; i < WORDS_MAX; i++)
		r->word[i] = (char *)"";
	while (n < WORDS_MAX && (word = strsep(&rest, " ")) != NULL)
		if (word[0] != '\0')
			r->word[n++] = word;
	perform(r, line);
	if (r->error != NULL)
		fprintf(r->out, "error %s\n", r->error);
	else
		fprintf(r->out, "ok\n");
	fflush(r->out);
}

static void *
converse(void *arg)
{
	struct request *r = arg;
	FILE *in = fdopen(dup(fileno(r->out)), "r");
	char line[LINE_MAX_LEN];

	while (in != NULL && fgets(line, sizeof line, in) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		answer(r, line);
	}
	if (in != NULL)
		fclose(in);
	fclose(r->out);
	free(r);
	return NULL;
}

int
ctl_listen(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
	unlink(path);
	if (s < 0 || bind(s, (struct sockaddr *)&to, sizeof to) != 0 ||
	    listen(s, 64) != 0)
		return -1;
	return s;
}

void
ctl_serve(struct san *san, int listener)
{
	for (;;) {
		int s = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		struct request *r;
		pthread_t thread;

		if (s < 0)
			continue;
		r = calloc(1, sizeof *r);
		if (r == NULL || (r->out = fdopen(s, "w")) == NULL)
			err(1, "control connection");
		r->san = san;
		if (pthread_create(&thread, NULL, converse, r) != 0)
			errx(1, "no thread");
		pthread_detach(thread);
	}
}
