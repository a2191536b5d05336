/*
 * hanfsctl: asks the daemons over their control sockets and shows people
 * the answer. main.c has the table of commands; each command is a function
 * in a file of its own. What only reads and what changes something are two
 * tables from the start.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct ctl {
	const char *run_dir;
	bool json;
};

/* argv[0] is the command's name. The exit status: 0, 1, or 2 for usage. */
int ctl_keygen(const struct ctl *ctl, int argc, char **argv);
int ctl_show(const struct ctl *ctl, int argc, char **argv);
/* These change something, and wait until it is done. */
int ctl_volume(const struct ctl *ctl, int argc, char **argv);
int ctl_drill(const struct ctl *ctl, int argc, char **argv);
int ctl_verdict(const struct ctl *ctl, int argc, char **argv);
int ctl_forget(const struct ctl *ctl, int argc, char **argv);

/* Prints a document as aligned tables: an array of objects has a column for
 * each key, an object a line for each. */
void ctl_table(FILE *to, const json_t *doc);

/*
 * Finds word in names[] (ended by NULL) by its shortest unambiguous
 * beginning. The index; -1 when there is none or more than one, with a
 * message that lists the valid words.
 */
int ctl_word(const char *what, const char *word, const char *const *names);

#endif
