/*
 * The parts of the configuration's reader, in the order in which they work:
 *
 *	config_text.c	the file -> sections of options with line numbers
 *	config_table.c	which options there are
 *	config_value.c	one option's text -> value
 *	config_build.c	sections -> struct config, and what must hold in it
 *	config_volume.c	the same for volumes
 *	config.c	what hanfs/config.h promises
 */
#ifndef HANFS_CONFIG_INT_H
#define HANFS_CONFIG_INT_H

#include "hanfs/config.h"

#define CONF_SECTIONS_MAX 256
#define CONF_VALUES_MAX   64 /* of one option */

/* The messages, in the order of their lines. */
struct conf_errors {
	const char *file;
	unsigned count;
	struct conf_error {
		unsigned line; /* 0: the file as a whole */
		char *text;
	} list[64];
};

/* Add a message: what is wrong, and what to write instead. */
void conf_error(struct conf_errors *errors, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

enum conf_kind {
	CONF_ROOT,
	CONF_NETWORK,
	CONF_SERVER,
	CONF_VOLUME,
	CONF_BACKEND,
	CONF_STORAGE,
	CONF_PROXY,
	CONF_DETECTOR,
	CONF_AGENT,
	CONF_KINDS
};

struct conf_kind_info {
	const char *name; /* of the section */
	bool titled;
	enum conf_kind parent;
};
extern const struct conf_kind_info conf_kinds[CONF_KINDS];

enum conf_type {
	CONF_NAME,   /* char[CONFIG_NAME_MAX + 1] */
	CONF_TEXT,   /* char[CONFIG_TEXT_MAX + 1] */
	CONF_PATH,   /* the same, begins with a slash */
	CONF_NUMBER, /* uint16_t, uint32_t, uint64_t: by the member's size */
	CONF_SIZE,   /* the same, in bytes; K, M, G may follow */
	CONF_BOOL,
	CONF_WORD,    /* enum: index of the word */
	CONF_ADDRESS, /* struct hanfs_addr */
	CONF_KEY,     /* uint8_t[CONFIG_PUBLIC_KEY_LEN] */
	CONF_LIST,    /* taken apart by config_build.c */
};

/* An option: where it is written, what it may be, where it goes. */
struct conf_field {
	enum conf_kind kind;
	const char *name;
	enum conf_type type;
	size_t offset, size; /* of the member in the section's struct */
	uint64_t min, max;   /* of numbers */
	const char *const *words;
	const char *fallback; /* as if written; CONF_MUST, CONF_DERIVED */
	const char *example;  /* what to write; where words do not say it */
};
#define CONF_MUST    NULL /* must be written */
#define CONF_DERIVED ""   /* when not written, follows from the rest */

extern const struct conf_field conf_fields[];
extern const unsigned conf_nfields;
extern const char *const conf_paths_words[];
extern const char *const conf_fence_words[];
extern const char *const conf_fstype_words[];

/* The field of a section's option, or NULL. */
const struct conf_field *conf_field_find(enum conf_kind kind, const char *name);

/*
 * Converts the text and stores it in `section`, the struct that the field's
 * offset counts in. 0; or -1, and why[size] ends a sentence that begins with
 * the option: "... must be a number from 1 to 65535".
 */
int conf_field_set(const struct conf_field *field, void *section,
    const char *text, char *why, size_t size);

/* What the option must be: ends "... must be" and fills "write ...". Returns
 * buf, or a text that is always the same. */
const char *conf_field_describe(
    const struct conf_field *field, char *buf, size_t size);

/* Into buf: how this option is written, "id = NUMBER". Returns buf. */
const char *conf_field_usage(
    const struct conf_field *field, char *buf, size_t size);

/* Is it a name: letters, digits, '.', '_', '-', not too long, not empty? */
bool conf_is_name(const char *text);

struct conf_value {
	char *text;
	unsigned line;
};

struct conf_option {
	unsigned line; /* of its first value; 0: not written */
	unsigned nvalues;
	struct conf_value *values;
	bool closed; /* a list that has seen its brace */
};

struct conf_section {
	enum conf_kind kind;
	int parent; /* index; -1: the root's or not known */
	char *title;
	unsigned line;    /* of its last line */
	const void *open; /* the parser's name for it, until closed */
	struct conf_option *options; /* as many as conf_nfields */
};

struct conf_tree {
	bool cut;           /* a fault of the grammar ended reading */
	unsigned nsections; /* section 0 is the file itself */
	struct conf_section sections[CONF_SECTIONS_MAX];
};

/* NULL without memory; errors say what else went wrong. */
struct conf_tree *conf_tree_read(
    int dir_fd, const char *path, struct conf_errors *errors);
void conf_tree_free(struct conf_tree *tree);

/* Fills *config, which is all zero, from the tree. */
void conf_build(struct config *config, const struct conf_tree *tree,
    struct conf_errors *errors);

/* What the build works on; with each thing's section. */
struct build {
	struct config *config;
	const struct conf_tree *tree;
	struct conf_errors *errors;
	const struct conf_section *networks[CONFIG_NETWORKS_MAX];
	const struct conf_section *servers[CONFIG_SERVERS_MAX];
	const struct conf_section *volumes[CONFIG_VOLUMES_MAX];
	bool prefixes_good; /* so far */
};

const struct conf_option *build_option(
    const struct conf_section *section, const char *name);
bool build_is_written(const struct conf_section *section, const char *name);

/* The line to blame: the option's when it is written, else its section's. */
unsigned build_line(const struct conf_section *section, const char *name);

/* All options of one section but its lists. NULL section: defaults alone. */
void build_fill(struct build *b, enum conf_kind kind,
    const struct conf_section *section, void *target);

/* The first section of a kind that parent has; further ones are reported. */
const struct conf_section *build_only_section(
    struct build *b, enum conf_kind kind, int parent);

/* Takes the section's title as a name. */
void build_set_name(struct build *b, const struct conf_section *section,
    char name[CONFIG_NAME_MAX + 1]);

/* May one more be taken? Says so when not. */
bool build_has_room(struct build *b, const struct conf_section *section,
    unsigned count, unsigned max);

/* Name and id must differ from those of an earlier one of the kind. */
void build_check_identity(struct build *b, const struct conf_section *section,
    const struct conf_section *earlier, const char *name,
    const char *earlier_name, uint32_t id, uint32_t earlier_id);

/* Adds one volume; networks and servers are there. */
void build_volume(struct build *b, const struct conf_section *section);

#endif
