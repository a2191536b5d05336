/*
 * The file that says what a volume is. See volform.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/crc32c.h"
#include "server-agent/volform.h"

const char *const volform_error_names[VOLFORM_ERRORS] = {
    "no error",
    "is not there: the file system is not a hanfs volume",
    "cannot be read",
    "is of a later version of hanfs",
    "is damaged",
};

/* --- the text */

size_t
volform_write(const struct volform *v, char *buf)
{
	char hex[2 * VOLFORM_INSTANCE_LEN + 1];
	int n, end;

	for (unsigned i = 0; i < VOLFORM_INSTANCE_LEN; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", v->instance[i]);
	n = snprintf(buf, VOLFORM_TEXT_MAX,
	    "hanfs volume %u\ncluster %s\nvolume %u %s\ninstance %s\n"
	    "slots %u\n",
	    VOLFORM_VERSION, v->cluster, v->id, v->name, hex, v->slots);
	end = snprintf(buf + n, VOLFORM_TEXT_MAX - (size_t)n, "crc32c %08x\n",
	    crc32c(0, buf, (size_t)n));
	return (size_t)n + (size_t)end;
}

/* What stands after `word` and a space on the next line; NULL: other text. */
static char *
line(char **at, const char *word)
{
	char *begin = *at, *end;
	size_t n = strlen(word);

	if (begin == NULL || strncmp(begin, word, n) != 0 || begin[n] != ' ')
		return NULL;
	end = strchr(begin, '\n');
	if (end == NULL)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return begin + n + 1;
}

static bool
take_number(const char **s, unsigned long max, unsigned long *out)
{
	char *end;

	if (**s < '0' || **s > '9')
		return false;
	errno = 0;
	*out = strtoul(*s, &end, 10);
	*s = end;
	return errno == 0 && *out <= max;
}

static bool
take_name(const char *s, char *name)
{
	size_t n = s == NULL ? 0 : strlen(s);

	if (n == 0 || n > CONFIG_NAME_MAX)
		return false;
	memcpy(name, s, n + 1);
	return true;
}

static bool
take_instance(const char *s, uint8_t *out)
{
	if (s == NULL || strlen(s) != 2 * (size_t)VOLFORM_INSTANCE_LEN ||
	    strspn(s, "0123456789abcdef") != 2 * (size_t)VOLFORM_INSTANCE_LEN)
		return false;
	for (unsigned i = 0; i < VOLFORM_INSTANCE_LEN; i++) {
		char two[3] = {s[2 * i], s[2 * i + 1], '\0'};

		out[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return true;
}

/* The lines between the first one and the checksum. */
static bool
take_lines(char *at, struct volform *v)
{
	const char *s;
	unsigned long n;

	if (!take_name(line(&at, "cluster"), v->cluster))
		return false;
	s = line(&at, "volume");
	if (s == NULL || !take_number(&s, UINT32_MAX, &n) || *s != ' ' ||
	    !take_name(s + 1, v->name))
		return false;
	v->id = (uint32_t)n;
	if (!take_instance(line(&at, "instance"), v->instance))
		return false;
	s = line(&at, "slots");
	if (s == NULL || !take_number(&s, VOLFORM_SLOTS_MAX, &n) ||
	    *s != '\0' || n == 0)
		return false;
	v->slots = (unsigned)n;
	return *at == '\0';
}

enum volform_error
volform_parse(const char *text, size_t len, struct volform *v)
{
	enum { CRC_LINE = 7 + 8 + 1 };
	char buf[VOLFORM_TEXT_MAX + 1], want[CRC_LINE + 1];
	const char *s = buf;
	char *at = buf, *first;
	unsigned long version;

	memset(v, 0, sizeof(*v));
	if (len > VOLFORM_TEXT_MAX || len < CRC_LINE ||
	    memchr(text, '\0', len) != NULL)
		return VOLFORM_E_DAMAGED;
	memcpy(buf, text, len);
	buf[len] = '\0';
	snprintf(want, sizeof(want), "crc32c %08x\n",
	    crc32c(0, buf, len - CRC_LINE));
	if (strcmp(buf + len - CRC_LINE, want) != 0)
		return VOLFORM_E_DAMAGED;
	buf[len - CRC_LINE] = '\0';
	first = line(&at, "hanfs volume");
	s = first;
	if (first == NULL || !take_number(&s, UINT32_MAX, &version) ||
	    *s != '\0')
		return VOLFORM_E_DAMAGED;
	if (version != VOLFORM_VERSION)
		return VOLFORM_E_VERSION;
	return take_lines(at, v) ? VOLFORM_OK : VOLFORM_E_DAMAGED;
}

/* --- the file */

enum volform_error
volform_read_at(int root_fd, struct volform *v)
{
	char buf[VOLFORM_TEXT_MAX + 1];
	ssize_t n;
	int fd, err;

	fd = openat(root_fd, VOLFORM_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT || errno == ENOTDIR ? VOLFORM_E_NONE
							   : VOLFORM_E_READ;
	n = read(fd, buf, sizeof(buf));
	err = errno;
	close(fd);
	errno = err;
	if (n == -1)
		return VOLFORM_E_READ;
	return volform_parse(buf, (size_t)n, v);
}

int
volform_write_at(int root_fd, const struct volform *v)
{
	static const char temp[] = VOLFORM_FILE ".new";
	char buf[VOLFORM_TEXT_MAX];
	size_t len = volform_write(v, buf);
	int fd;

	fd = openat(root_fd, temp,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1)
		return -1;
	if (write(fd, buf, len) != (ssize_t)len || fsync(fd) == -1) {
		close(fd);
		return -1;
	}
	close(fd);
	return renameat(root_fd, temp, root_fd, VOLFORM_FILE);
}

void
volform_slot_name(char *buf, uint32_t slot)
{
	snprintf(buf, VOLFORM_SLOT_NAME, "%05u", slot);
}
