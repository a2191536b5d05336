/* What a test's own process writes to stdout or stderr, caught. */
#ifndef HANFS_TESTS_CAPTURE_H
#define HANFS_TESTS_CAPTURE_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct capture {
	int fd, saved, file;
	char text[16384];
};

/* From here on, what is written to fd (1 or 2) goes to c. */
static inline void
capture_start(struct capture *c, int fd)
{
	fflush(NULL);
	c->fd = fd;
	c->saved = dup(fd);
	c->file = memfd_create("capture", MFD_CLOEXEC);
	assert_true(c->saved >= 0 && c->file >= 0);
	assert_int_equal(dup2(c->file, fd), fd);
}

/* What was written so far; valid until the next call. */
static inline const char *
capture_text(struct capture *c)
{
	ssize_t n;

	fflush(NULL);
	n = pread(c->file, c->text, sizeof(c->text) - 1, 0);
	assert_true(n >= 0);
	c->text[n] = '\0';
	return c->text;
}

/* fd is again what it was; c keeps the text. */
static inline void
capture_stop(struct capture *c)
{
	capture_text(c);
	dup2(c->saved, c->fd);
	close(c->saved);
	close(c->file);
}

#endif
