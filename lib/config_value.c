/*
 * How one option's text becomes a value. Which options there are:
 * config_table.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_int.h"
#include "hanfs/keys.h"

/* Digits alone, and for sizes one letter: no sign, no fraction, no blank. */
static int
parse_number(const struct conf_field *field, const char *text, uint64_t *n)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long long value;
	unsigned shift = 0;
	char *end;

	if (digits == 0)
		return -1;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0)
		return -1;
	if (field->type == CONF_SIZE && *end != '\0') {
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
		if (strchr("KMG", *end) == NULL || value > UINT64_MAX >> shift)
			return -1;
		end++;
	}
	*n = (uint64_t)value << shift;
	return *end == '\0' && *n >= field->min && *n <= field->max ? 0 : -1;
}

static int
set_number(const struct conf_field *field, void *member, const char *text)
{
	uint64_t n;

	if (parse_number(field, text, &n) < 0)
		return -1;
	switch (field->size) {
	case 2:
		*(uint16_t *)member = (uint16_t)n;
		return 0;
	case 4:
		*(uint32_t *)member = (uint32_t)n;
		return 0;
	case 8:
		*(uint64_t *)member = n;
		return 0;
	}
	abort();
}

static int
set_bool(bool *member, const char *text)
{
	static const char *const yes[] = {"true", "yes", "on", NULL};
	static const char *const no[] = {"false", "no", "off", NULL};

	for (unsigned i = 0; yes[i] != NULL; i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*member = strcmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -1;
}

static int
set_word(const struct conf_field *field, void *member, const char *text)
{
	for (unsigned i = 0; field->words[i] != NULL; i++) {
		if (strcmp(field->words[i], text) == 0) {
			*(unsigned *)member = i;
			return 0;
		}
	}
	return -1;
}

static int
set_text(const struct conf_field *field, char *member, const char *text)
{
	size_t len = strlen(text);

	if (field->type == CONF_NAME && !conf_is_name(text))
		return -1;
	if (field->type == CONF_PATH && text[0] != '/')
		return -1;
	if (len == 0 || len >= field->size)
		return -1;
	memcpy(member, text, len + 1);
	return 0;
}

static int
set_member(const struct conf_field *field, void *member, const char *text)
{
	switch (field->type) {
	case CONF_NAME:
	case CONF_TEXT:
	case CONF_PATH:
		return set_text(field, member, text);
	case CONF_NUMBER:
	case CONF_SIZE:
		return set_number(field, member, text);
	case CONF_BOOL:
		return set_bool(member, text);
	case CONF_WORD:
		return set_word(field, member, text);
	case CONF_ADDRESS:
		return addr_parse(member, text);
	case CONF_KEY:
		return key_public_parse(member, text);
	case CONF_LIST:
		break;
	}
	abort();
}

int
conf_field_set(const struct conf_field *field, void *section, const char *text,
    char *why, size_t size)
{
	char what[128];

	if (set_member(field, (char *)section + field->offset, text) == 0)
		return 0;
	snprintf(why, size, "must be %s",
	    conf_field_describe(field, what, sizeof(what)));
	return -1;
}
