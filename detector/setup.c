/*
 * setup: the configuration, at start and anew on SIGHUP.
 *
 * When SIGHUP comes the process has an empty root and no right to pass a
 * directory that its user may not.  So the file's directory is opened once
 * at the start, as a place to start from (O_PATH), and the file is opened in
 * there by its name each time: a file that was replaced, as editors do, is
 * seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detector.h"

static bool
is_wanted(const struct config *cfg, unsigned server)
{
	unsigned v, c;

	for (v = 0; v < cfg->nvolumes; v++)
		for (c = 0; c < cfg->volumes[v].ncandidates; c++)
			if (cfg->volumes[v].candidates[c] == server)
				return true;
	return false;
}

static void
make_guard_conf(const struct config *cfg, struct hbguard_conf *out)
{
	unsigned i;

	memset(out, 0, sizeof(*out));
	out->cluster = hb_cluster_hash(cfg->cluster);
	out->verify_per_second = (uint32_t)cfg->detector.verify_per_second;
	out->nservers = cfg->nservers;
	for (i = 0; i < cfg->nservers; i++) {
		out->servers[i].id = cfg->servers[i].id;
		out->servers[i].wanted = is_wanted(cfg, i);
		memcpy(out->servers[i].key, cfg->servers[i].public_key,
		    HB_KEY_LEN);
	}
}

static void
open_dir(struct detector *d)
{
	char *copy = strdup(d->opt.config_path);

	if (copy == NULL)
		fatal("no memory");
	d->conf_dir = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->conf_dir < 0)
		fatal("%s: its directory: %s", d->opt.config_path,
		    strerror(errno));
	free(copy);
}

static struct config *
load(const struct detector *d, char **errors)
{
	const char *slash = strrchr(d->opt.config_path, '/');

	return config_load_at(d->conf_dir,
	    slash != NULL ? slash + 1 : d->opt.config_path, d->opt.config_path,
	    errors);
}

static void
log_lines(char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")) != NULL)
		if (*line != '\0')
			log_err("%s", line);
}

void
setup_load(struct detector *d)
{
	struct hbguard_conf guard_conf;
	char *errors;

	open_dir(d);
	d->cfg = load(d, &errors);
	if (d->cfg == NULL) {
		log_lines(errors);
		fatal("the configuration has faults: nothing was started");
	}
	make_guard_conf(d->cfg, &guard_conf);
	d->guard = hbguard_new(&guard_conf);
	d->book = book_new();
	if (d->guard == NULL || d->book == NULL)
		fatal("no memory");
}

void
setup_check_reload(const struct detector *d)
{
	char *errors;
	struct config *cfg = load(d, &errors);

	if (cfg == NULL) {
		log_lines(errors);
		log_warn("a reload (SIGHUP) would fail: user %s must be able "
			 "to read %s, and it must not be a link to another "
			 "directory",
		    d->cfg->detector.user, d->opt.config_path);
		free(errors);
	}
	config_free(cfg);
}

/* Do places in the list of servers mean the same in both? */
static bool
same_servers(const struct config *a, const struct config *b)
{
	unsigned i;

	if (a->nservers != b->nservers)
		return false;
	for (i = 0; i < a->nservers; i++)
		if (a->servers[i].id != b->servers[i].id)
			return false;
	return true;
}

void
setup_reload(struct detector *d)
{
	struct config *old = d->cfg, *cfg;
	struct hbguard_conf guard_conf;
	char *errors;

	cfg = load(d, &errors);
	if (cfg == NULL) {
		log_lines(errors);
		free(errors);
		log_err("configuration not reloaded: the old one stays");
		return;
	}
	d->cfg = cfg;
	make_guard_conf(cfg, &guard_conf);
	hbguard_configure(d->guard, &guard_conf);
	if (!same_servers(old, cfg))
		book_forget_all(d->book);
	listen_configure(d, old->heartbeat_port != cfg->heartbeat_port);
	config_free(old);
	log_notice("configuration reloaded");
}
