/*
 * JSON documents as aligned tables.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

enum { COLUMNS = 32 };

/* A value as one word or text; the caller frees it. */
static char *
cell(const json_t *v)
{
	char buf[64];

	if (json_is_string(v))
		return strdup(json_string_value(v));
	if (json_is_integer(v)) {
		snprintf(buf, sizeof(buf), "%" JSON_INTEGER_FORMAT,
		    json_integer_value(v));
		return strdup(buf);
	}
	if (json_is_real(v)) {
		snprintf(buf, sizeof(buf), "%.3f", json_real_value(v));
		return strdup(buf);
	}
	if (json_is_boolean(v))
		return strdup(json_is_true(v) ? "yes" : "no");
	if (v == NULL || json_is_null(v))
		return strdup("-");
	return json_dumps(v, JSON_COMPACT);
}

static size_t
cell_width(const json_t *v)
{
	char *text = cell(v);
	size_t n = text != NULL ? strlen(text) : 0;

	free(text);
	return n;
}

static void
put_cell(FILE *to, const json_t *v, size_t width, bool last)
{
	char *text = cell(v);
	const char *s = text != NULL ? text : "";

	if (json_is_number(v))
		fprintf(to, "%*s%s", (int)width, s, last ? "\n" : "  ");
	else if (last)
		fprintf(to, "%s\n", s);
	else
		fprintf(to, "%-*s  ", (int)width, s);
	free(text);
}

/* The first object's keys are the columns. */
static void
rows(FILE *to, const json_t *list)
{
	const char *key[COLUMNS];
	size_t width[COLUMNS], n = 0, i;
	json_t *first = json_array_get(list, 0), *row;
	const char *k;
	json_t *v;

	json_object_foreach(first, k, v)
		if (n < COLUMNS) {
			key[n] = k;
			width[n++] = strlen(k);
		}
	for (size_t c = 0; c < n; c++)
		json_array_foreach(list, i, row) {
			size_t w = cell_width(json_object_get(row, key[c]));

			if (w > width[c])
				width[c] = w;
		}
	for (size_t c = 0; c < n; c++)
		fprintf(to, json_is_number(json_object_get(first, key[c]))
			? "%*s%s" : "%-*s%s",
		    c + 1 < n ? (int)width[c] : 0, key[c],
		    c + 1 < n ? "  " : "\n");
	json_array_foreach(list, i, row)
		for (size_t c = 0; c < n; c++)
			put_cell(to, json_object_get(row, key[c]), width[c],
			    c + 1 == n);
}

void
ctl_table(FILE *to, const json_t *doc)
{
	size_t width = 0;
	const char *k;
	json_t *v;

	if (json_is_array(doc) && json_array_size(doc) == 0) {
		fputs("(none)\n", to);
	} else if (json_is_object(json_array_get(doc, 0))) {
		rows(to, doc);
	} else if (json_is_object(doc)) {
		json_t *o = (json_t *)(uintptr_t)doc;

		json_object_foreach(o, k, v)
			if (strlen(k) > width)
				width = strlen(k);
		json_object_foreach(o, k, v) {
			if (json_is_array(v) || json_is_object(v)) {
				fprintf(to, "%s:\n", k);
				ctl_table(to, v);
				continue;
			}
			fprintf(to, "%-*s  ", (int)width, k);
			put_cell(to, v, 0, true);
		}
	} else {
		json_dumpf(doc, to, JSON_INDENT(1) | JSON_ENCODE_ANY);
		fputc('\n', to);
	}
}
