/* Key files and their text; see hanfs/keys.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hanfs/keys.h"

#define LINE_HEAD "ed25519-secret "
#define SEED_LEN  crypto_sign_SEEDBYTES
#define SEED_TEXT 44 /* base64 of a seed */
#define LINE_LEN  (sizeof(LINE_HEAD) - 1 + SEED_TEXT + 1)

_Static_assert(KEY_PUBLIC_LEN == crypto_sign_PUBLICKEYBYTES, "public key");
_Static_assert(KEY_SECRET_LEN == crypto_sign_SECRETKEYBYTES, "secret key");

static int __attribute__((format(printf, 3, 4)))
explain(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -1;
}

int
key_generate(struct key_pair *pair)
{
	if (sodium_init() < 0)
		return -1;
	return crypto_sign_keypair(pair->public_key, pair->secret);
}

void
key_wipe(struct key_pair *pair)
{
	sodium_memzero(pair, sizeof(*pair));
}

void
key_public_format(
    const uint8_t public_key[KEY_PUBLIC_LEN], char text[KEY_PUBLIC_TEXT_SIZE])
{
	sodium_bin2base64(text, KEY_PUBLIC_TEXT_SIZE, public_key,
	    KEY_PUBLIC_LEN, sodium_base64_VARIANT_ORIGINAL);
}

/* Exactly len bytes, nothing before or after them. */
static int
decode(uint8_t *bytes, size_t len, const char *text, size_t text_len)
{
	size_t got;
	const char *end;

	if (sodium_base642bin(bytes, len, text, text_len, NULL, &got, &end,
		sodium_base64_VARIANT_ORIGINAL) < 0)
		return -1;
	return got == len && end == text + text_len ? 0 : -1;
}

int
key_public_parse(uint8_t public_key[KEY_PUBLIC_LEN], const char *text)
{
	return decode(public_key, KEY_PUBLIC_LEN, text, strlen(text));
}

static int
write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return fsync(fd);
}

/* The directory's own entry is made durable as well. */
static int
sync_directory_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, rc;

	if (slash == NULL)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(
		    dir, sizeof(dir), "%.*s", (int)(slash - path + 1), path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* Under a name of its own first: a cut leaves the old file or the new. */
static int
write_beside(const char *path, const char *line, bool force)
{
	char temporary[PATH_MAX];
	int fd, saved;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >=
	    sizeof(temporary)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return -1;
	if (write_all(fd, line, LINE_LEN) < 0)
		goto fail;
	/* link(2) never replaces what is there */
	if (force ? rename(temporary, path) < 0 : link(temporary, path) < 0)
		goto fail;
	if (!force)
		unlink(temporary);
	close(fd);
	return sync_directory_of(path);
fail:
	saved = errno;
	unlink(temporary);
	close(fd);
	errno = saved;
	return -1;
}

int
key_write(const char *path, const struct key_pair *pair, bool force, char *why,
    size_t size)
{
	uint8_t seed[SEED_LEN];
	char text[SEED_TEXT + 1], line[LINE_LEN + 1];
	int rc, error;

	crypto_sign_ed25519_sk_to_seed(seed, pair->secret);
	sodium_bin2base64(text, sizeof(text), seed, sizeof(seed),
	    sodium_base64_VARIANT_ORIGINAL);
	snprintf(line, sizeof(line), LINE_HEAD "%s\n", text);
	rc = write_beside(path, line, force);
	error = errno;
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(text, sizeof(text));
	sodium_memzero(line, sizeof(line));
	if (rc == 0)
		return 0;
	if (error == EEXIST)
		return explain(why, size,
		    "%s exists; to replace that key for good, add -f", path);
	return explain(why, size, "cannot write %s: %s", path, strerror(error));
}

/* A secret that others could have read or put there is none. */
static int
check_owner(int fd, const char *path, char *why, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return explain(why, size, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return explain(why, size, "%s is not a plain file", path);
	if (st.st_mode & 077)
		return explain(why, size,
		    "%s can be read or written by others (mode %04o): the key "
		    "may be known to them; make a new one with hanfsctl "
		    "keygen, or if you are sure, chmod 600 %s",
		    path, (unsigned)(st.st_mode & 07777), path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return explain(why, size,
		    "%s belongs to user %u, not to root or to user %u who "
		    "reads it: chown root %s",
		    path, (unsigned)st.st_uid, (unsigned)geteuid(), path);
	return 0;
}

static int
parse_line(const char *line, size_t len, struct key_pair *pair)
{
	uint8_t seed[SEED_LEN];
	int rc = -1;

	if (len == LINE_LEN && line[len - 1] == '\n' &&
	    memcmp(line, LINE_HEAD, sizeof(LINE_HEAD) - 1) == 0)
		rc = decode(seed, sizeof(seed), line + sizeof(LINE_HEAD) - 1,
		    SEED_TEXT);
	if (rc == 0)
		rc = crypto_sign_seed_keypair(
		    pair->public_key, pair->secret, seed);
	sodium_memzero(seed, sizeof(seed));
	return rc;
}

int
key_read(const char *path, struct key_pair *pair, char *why, size_t size)
{
	char line[LINE_LEN + 1];
	ssize_t n;
	int rc, fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return explain(why, size, "cannot open the key %s: %s%s", path,
		    strerror(errno),
		    errno == ENOENT ? "; hanfsctl keygen makes one" : "");
	rc = check_owner(fd, path, why, size);
	if (rc == 0) {
		n = read(fd, line, sizeof(line));
		if (n < 0 || parse_line(line, (size_t)n, pair) < 0)
			rc = explain(why, size,
			    "%s is not a key that hanfsctl keygen wrote", path);
		sodium_memzero(line, sizeof(line));
	}
	close(fd);
	return rc;
}
