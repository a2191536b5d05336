/*
 * What hanfs/config.h promises: loading, with all messages in the order of
 * their lines, and the look-ups.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_int.h"
#include "hanfs/log.h"

#define ERRORS_MAX \
	(sizeof(((struct conf_errors *)0)->list) / sizeof(struct conf_error))

void
conf_error(struct conf_errors *errors, unsigned line, const char *fmt, ...)
{
	struct conf_error *error;
	va_list ap;

	if (errors->count == ERRORS_MAX)
		return;
	error = &errors->list[errors->count];
	error->line = line;
	va_start(ap, fmt);
	if (vasprintf(&error->text, fmt, ap) < 0)
		error->text = NULL;
	va_end(ap);
	errors->count++;
}

/* Stable, by line. There are few. */
static void
sort_errors(struct conf_errors *errors)
{
	for (unsigned i = 1; i < errors->count; i++) {
		struct conf_error moving = errors->list[i];
		unsigned k = i;

		for (; k > 0 && errors->list[k - 1].line > moving.line; k--)
			errors->list[k] = errors->list[k - 1];
		errors->list[k] = moving;
	}
}

/* All messages as one text; they are freed. */
static char *
join_errors(struct conf_errors *errors)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	sort_errors(errors);
	for (unsigned i = 0; i < errors->count; i++) {
		const struct conf_error *error = &errors->list[i];
		const char *what =
		    error->text != NULL ? error->text : "no memory";

		if (stream != NULL && error->line > 0)
			fprintf(stream, "%s:%u: %s\n", errors->file,
			    error->line, what);
		else if (stream != NULL)
			fprintf(stream, "%s: %s\n", errors->file, what);
		free(errors->list[i].text);
	}
	if (stream != NULL && errors->count == ERRORS_MAX)
		fprintf(stream, "%s: further messages are left out\n",
		    errors->file);
	if (stream != NULL)
		fclose(stream);
	return text;
}

struct config *
config_load(const char *path, char **errors)
{
	return config_load_at(AT_FDCWD, path, path, errors);
}

struct config *
config_load_at(int dir_fd, const char *name, const char *shown, char **errors)
{
	struct conf_errors list = {.file = shown};
	struct config *config = calloc(1, sizeof(*config));
	struct conf_tree *tree = NULL;

	*errors = NULL;
	if (config == NULL)
		conf_error(&list, 0, "cannot be read: no memory");
	else
		tree = conf_tree_read(dir_fd, name, &list);
	if (tree != NULL)
		conf_build(config, tree, &list);
	conf_tree_free(tree);
	if (list.count == 0)
		return config;
	*errors = join_errors(&list);
	config_free(config);
	return NULL;
}

struct config *
config_load_or_exit(const char *path)
{
	struct config *config;
	char *errors, *rest, *line;

	config = config_load(path, &errors);
	if (config != NULL)
		return config;
	rest = errors;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0')
			log_err("%s", line);
	free(errors);
	fatal("the configuration has faults: nothing was started");
}

void
config_free(struct config *config)
{
	free(config);
}

#define DEFINE_FIND(thing, things)                                             \
	int config_find_##thing(const struct config *config, const char *name) \
	{                                                                      \
		for (unsigned i = 0; i < config->n##things; i++)               \
			if (strcmp(config->things[i].name, name) == 0)         \
				return (int)i;                                 \
		return -1;                                                     \
	}                                                                      \
	int config_find_##thing##_id(const struct config *config, uint32_t id) \
	{                                                                      \
		for (unsigned i = 0; i < config->n##things; i++)               \
			if (config->things[i].id == id)                        \
				return (int)i;                                 \
		return -1;                                                     \
	}

DEFINE_FIND(network, networks)
DEFINE_FIND(server, servers)
DEFINE_FIND(volume, volumes)

int
config_network_of(const struct config *config, const struct hanfs_addr *addr)
{
	for (unsigned n = 0; n < config->nnetworks; n++)
		for (unsigned p = 0; p < config->networks[n].nprefixes; p++)
			if (prefix_match(
				&config->networks[n].prefixes[p], addr))
				return (int)n;
	return -1;
}

const struct config_server_addr *
config_server_addr_on(const struct config_server *server, unsigned network)
{
	for (unsigned a = 0; a < server->naddrs; a++)
		if (server->addrs[a].network == network)
			return &server->addrs[a];
	return NULL;
}

int
config_key_path(const struct config *config, const struct config_server *server,
    char *buf, size_t size)
{
	static const char word[] = "SERVER";
	const char *path = config->agent.key, *at = strstr(path, word);
	int n;

	if (at == NULL)
		n = snprintf(buf, size, "%s", path);
	else
		n = snprintf(buf, size, "%.*s%s%s", (int)(at - path), path,
		    server->name, at + sizeof(word) - 1);
	return n < 0 || (size_t)n >= size ? -1 : 0;
}

const char *
config_paths_name(enum config_paths paths)
{
	return conf_paths_words[paths];
}

const char *
config_fence_name(enum config_fence fence)
{
	return conf_fence_words[fence];
}

const char *
config_fstype_name(enum config_fstype type)
{
	return conf_fstype_words[type];
}
