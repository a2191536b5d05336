/*
 * The configuration file as sections of options, each value with its line.
 *
 * libconfuse knows the grammar; that values are numbers or names is not its
 * business here: all are strings to it. It reports each value through the
 * "validate" callback while the line is known, and drops same-named sections
 * silently: so what it holds at the end is not looked at, only what it
 * reported. Its callbacks carry no argument, hence `reader`.
 *
 * An option that does not exist is reported and reading goes on; at a fault
 * of the grammar, which an unknown section is too, reading ends.
 */
#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_int.h"

#define FILE_MAX     (1024 * 1024)
#define PER_KIND_MAX 32 /* options and sections in one kind of section */

/*
 * libconfuse takes the end of the file for the end of open sections. This
 * option is put at the end of the text: where it is unknown, a brace misses.
 */
#define END_MARK "end-of-configuration"
#define END_TEXT "\n" END_MARK " = 1" /* on a line of its own */

static struct {
	struct conf_tree *tree;
	struct conf_errors *errors;
	bool out_of_memory;
	char unknown[256]; /* last option that is none */
} reader;

static char *
copy_text(const char *text)
{
	char *copy = strdup(text != NULL ? text : "");

	if (copy == NULL)
		reader.out_of_memory = true;
	return copy;
}

static enum conf_kind
kind_of(const char *name)
{
	for (enum conf_kind kind = CONF_NETWORK; kind < CONF_KINDS; kind++)
		if (strcmp(conf_kinds[kind].name, name) == 0)
			return kind;
	return CONF_ROOT;
}

static struct conf_section *
add_section(enum conf_kind kind, const cfg_t *cfg)
{
	struct conf_tree *tree = reader.tree;
	struct conf_section *section = &tree->sections[tree->nsections];

	if (tree->nsections == CONF_SECTIONS_MAX)
		return NULL;
	section->kind = kind;
	section->parent = -1;
	section->open = cfg;
	section->title = copy_text(cfg->title);
	section->options = calloc(conf_nfields, sizeof(*section->options));
	if (section->options == NULL || section->title == NULL) {
		reader.out_of_memory = true;
		free(section->options);
		free(section->title);
		memset(section, 0, sizeof(*section));
		return NULL;
	}
	tree->nsections++;
	return section;
}

/* The open section that the parser knows as cfg; made when it is new. */
static struct conf_section *
section_of(cfg_t *cfg)
{
	struct conf_tree *tree = reader.tree;

	for (unsigned i = tree->nsections; i-- > 0;)
		if (tree->sections[i].open == cfg)
			return &tree->sections[i];
	return add_section(kind_of(cfg->name), cfg);
}

static void
add_value(struct conf_option *option, const char *text, unsigned line)
{
	struct conf_value *values;

	values =
	    realloc(option->values, (option->nvalues + 1) * sizeof(*values));
	if (values == NULL) {
		reader.out_of_memory = true;
		return;
	}
	option->values = values;
	values[option->nvalues].line = line;
	values[option->nvalues].text = copy_text(text);
	if (values[option->nvalues].text != NULL)
		option->nvalues++;
}

/*
 * A list is reported after each of its values, and once more at its brace:
 * then the number of values has not changed.
 */
static void
take_list(struct conf_option *option, cfg_opt_t *opt, unsigned line)
{
	unsigned n = cfg_opt_size(opt);

	if (option->closed || n < option->nvalues) {
		conf_error(reader.errors, line,
		    "%s is given twice, first in line %u: keep one of them",
		    opt->name, option->line);
		option->closed = false;
		option->nvalues = n; /* no second message for each value */
	} else if (n == option->nvalues) {
		option->closed = true;
	} else if (n > CONF_VALUES_MAX) {
		if (n == CONF_VALUES_MAX + 1)
			conf_error(reader.errors, line,
			    "%s has more than %u values: write fewer",
			    opt->name, CONF_VALUES_MAX);
	} else {
		add_value(option, cfg_opt_getnstr(opt, n - 1), line);
	}
}

/* libconfuse: a value was read. 0: go on. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	struct conf_section *section = section_of(cfg);
	const struct conf_field *field;
	struct conf_option *option;
	unsigned line = (unsigned)cfg->line;

	if (section == NULL)
		return 0;
	field = conf_field_find(section->kind, opt->name);
	option = &section->options[field - conf_fields];
	if (field->type == CONF_LIST)
		take_list(option, opt, line);
	else if (option->line != 0)
		conf_error(reader.errors, line,
		    "%s is given twice, first in line %u: keep one of them",
		    opt->name, option->line);
	else
		add_value(option, cfg_opt_getstr(opt), line);
	if (option->line == 0)
		option->line = line;
	return 0;
}

/* libconfuse: the section that is opt's last ended, in the section cfg. */
static int
on_section_end(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *ended = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct conf_section *section, *parent;

	/* with a title that was there before it may not be the last */
	for (unsigned i = 0; i < cfg_opt_size(opt); i++)
		for (unsigned j = 1; j < reader.tree->nsections; j++)
			if (reader.tree->sections[j].open ==
			    cfg_opt_getnsec(opt, i))
				ended = cfg_opt_getnsec(opt, i);
	parent = section_of(cfg);
	section = section_of(ended);
	if (section == NULL || parent == NULL) {
		conf_error(reader.errors, (unsigned)cfg->line,
		    "more than %u sections: write fewer", CONF_SECTIONS_MAX);
		return -1;
	}
	section->parent = (int)(parent - reader.tree->sections);
	section->line = (unsigned)cfg->line;
	section->open = NULL;
	return 0;
}

/* The options and sections that may be written in a section, in words. */
static void
list_options(enum conf_kind kind, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < conf_nfields && used < size; i++)
		if (conf_fields[i].kind == kind)
			used += (size_t)snprintf(buf + used, size - used,
			    "%s%s", used > 0 ? ", " : "", conf_fields[i].name);
	for (enum conf_kind k = CONF_NETWORK; k < CONF_KINDS; k++)
		if (conf_kinds[k].parent == kind && used < size)
			used += (size_t)snprintf(buf + used, size - used,
			    "%s%s { }", used > 0 ? ", " : "",
			    conf_kinds[k].name);
}

static void
report_unknown(const cfg_t *cfg, const char *name, unsigned line)
{
	enum conf_kind kind = kind_of(cfg->name);
	char options[1024];

	if (strcmp(name, END_MARK) == 0) {
		reader.tree->cut = true;
		conf_error(reader.errors, line - 1,
		    "the file ends within %s: write the } that is missing",
		    cfg->name);
		return;
	}
	snprintf(reader.unknown, sizeof(reader.unknown), "%s", name);
	list_options(kind, options, sizeof(options));
	conf_error(reader.errors, line, "%s is no option %s%s: write one of %s",
	    name, kind == CONF_ROOT ? "here" : "of ",
	    kind == CONF_ROOT ? "" : cfg->name, options);
}

/* libconfuse: its own messages, all but one of them about the grammar. */
static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char no_option[] = "no such option '";
	unsigned line = (unsigned)cfg->line;
	char text[256];
	size_t len;

	vsnprintf(text, sizeof(text), fmt, ap);
	len = strlen(text);
	if (strncmp(text, no_option, sizeof(no_option) - 1) == 0) {
		text[len - 1] = '\0';
		report_unknown(cfg, text + sizeof(no_option) - 1, line);
	} else if (reader.unknown[0] != '\0' && len > 0 &&
		   (strstr(text, reader.unknown) != NULL ||
		       strcmp(text, "unexpected token '{'") == 0)) {
		conf_error(reader.errors, line,
		    "nothing after %s was read: put that right first",
		    reader.unknown);
	} else {
		conf_error(reader.errors, line,
		    "%s, and nothing after it was read: write option = value, "
		    "option = {value, value}, or section \"name\" { ... }",
		    text);
	}
}

/* The tables that libconfuse wants, made from ours. */
static void
make_options(cfg_opt_t opts[CONF_KINDS][PER_KIND_MAX])
{
	const int flags = CFGF_MULTI | CFGF_KEYSTRVAL | CFGF_NODEFAULT;
	unsigned n[CONF_KINDS] = {0};

	for (unsigned i = 0; i < conf_nfields; i++) {
		const struct conf_field *field = &conf_fields[i];
		cfg_opt_t *opt = &opts[field->kind][n[field->kind]++];

		if (field->type == CONF_LIST)
			*opt = (cfg_opt_t)CFG_STR_LIST(
			    field->name, NULL, CFGF_NODEFAULT);
		else
			*opt = (cfg_opt_t)CFG_STR(
			    field->name, NULL, CFGF_NODEFAULT);
		opt->validcb = on_value;
	}
	for (enum conf_kind k = CONF_NETWORK; k < CONF_KINDS; k++) {
		const struct conf_kind_info *info = &conf_kinds[k];
		cfg_opt_t *opt = &opts[info->parent][n[info->parent]++];

		*opt = (cfg_opt_t)CFG_SEC(info->name, opts[k],
		    flags | (info->titled ? CFGF_TITLE : 0));
		opt->validcb = on_section_end;
	}
	opts[CONF_ROOT][n[CONF_ROOT]++] =
	    (cfg_opt_t)CFG_STR(END_MARK, NULL, CFGF_NODEFAULT);
	for (enum conf_kind k = CONF_ROOT; k < CONF_KINDS; k++) {
		if (n[k] >= PER_KIND_MAX)
			abort();
		opts[k][n[k]] = (cfg_opt_t)CFG_END();
	}
}

/* The whole file as a string, or NULL with a message. */
static char *
read_file(int dir_fd, const char *path, struct conf_errors *errors)
{
	char *text = NULL;
	size_t len = 0;
	ssize_t n = -1;
	struct stat st;
	int fd;

	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		conf_error(errors, 0, "cannot be read: %s", strerror(errno));
		goto done;
	}
	text = malloc(FILE_MAX + sizeof(END_TEXT));
	if (text == NULL)
		goto done;
	while (len <= FILE_MAX) {
		n = read(fd, text + len, FILE_MAX + 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (n < 0)
		conf_error(errors, 0, "cannot be read: %s", strerror(errno));
	else if (len > FILE_MAX || memchr(text, '\0', len) != NULL)
		conf_error(
		    errors, 0, "is no text of at most %d KiB", FILE_MAX / 1024);
	else
		strcpy(text + len, &END_TEXT[len > 0 && text[len - 1] == '\n']);
done:
	if (fd >= 0)
		close(fd);
	if (errors->count > 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void
parse(char *text)
{
	cfg_opt_t opts[CONF_KINDS][PER_KIND_MAX];
	struct conf_section *root;
	unsigned before;
	cfg_t *cfg;
	int rc;

	make_options(opts);
	cfg = cfg_init(opts[CONF_ROOT], CFGF_KEYSTRVAL);
	if (cfg == NULL) {
		reader.out_of_memory = true;
		return;
	}
	cfg_set_error_function(cfg, on_error);
	root = add_section(CONF_ROOT, cfg);
	before = reader.errors->count;
	rc = cfg_parse_buf(cfg, text);
	if (rc != CFG_SUCCESS)
		reader.tree->cut = true;
	if (rc != CFG_SUCCESS && reader.errors->count == before)
		conf_error(reader.errors, (unsigned)cfg->line,
		    "is not understood, and nothing after it was read");
	if (root != NULL) {
		/* without the mark's */
		root->line = (unsigned)cfg->line - (cfg->line > 1);
		root->open = NULL;
	}
	cfg_free(cfg);
}

struct conf_tree *
conf_tree_read(int dir_fd, const char *path, struct conf_errors *errors)
{
	char *text = read_file(dir_fd, path, errors);
	struct conf_tree *tree;

	if (text == NULL)
		return NULL;
	memset(&reader, 0, sizeof(reader));
	reader.errors = errors;
	reader.tree = tree = calloc(1, sizeof(*tree));
	if (tree != NULL)
		parse(text);
	free(text);
	reader.tree = NULL;
	if (tree == NULL || reader.out_of_memory) {
		conf_error(errors, 0, "cannot be read: no memory");
		conf_tree_free(tree);
		return NULL;
	}
	return tree;
}

void
conf_tree_free(struct conf_tree *tree)
{
	if (tree == NULL)
		return;
	for (unsigned i = 0; i < tree->nsections; i++) {
		struct conf_section *section = &tree->sections[i];

		for (unsigned f = 0; f < conf_nfields; f++) {
			struct conf_option *option = &section->options[f];

			for (unsigned v = 0; v < option->nvalues; v++)
				free(option->values[v].text);
			free(option->values);
		}
		free(section->options);
		free(section->title);
	}
	free(tree);
}
