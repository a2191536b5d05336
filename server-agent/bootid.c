/* bootid: the contract is in bootid.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bootid.h"

#define FILE_NAME "boot-id"
#define TEMP_NAME "boot-id.new"
#define TEXT_MAX  32

static uint64_t
fail(char *error, const char *dir, const char *what, const char *why)
{
	(void)snprintf(error, BOOTID_ERROR_LEN, "%s/%s: %s: %s", dir, FILE_NAME,
	    what, why);
	return 0;
}

/* 1: *number is what the file says; 0: there is no file; -1: error. */
static int
read_number(int dir_fd, uint64_t *number)
{
	char text[TEXT_MAX], *end;
	ssize_t n;
	int fd;

	fd = openat(dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	close(fd);
	text[n] = '\0';
	*number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || strcmp(end, "\n") != 0 ||
	    *number == 0 || *number >= UINT64_MAX - 1) {
		errno = EBADMSG;
		return -1;
	}
	return 1;
}

static int
write_number(int dir_fd, uint64_t number)
{
	char text[TEXT_MAX];
	int fd, len, e;

	len = snprintf(text, sizeof(text), "%" PRIu64 "\n", number);
	fd = openat(dir_fd, TEMP_NAME,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -1;
	errno = ENOSPC; /* for a short write */
	if (write(fd, text, (size_t)len) != len || fsync(fd) < 0) {
		e = errno;
		close(fd);
		goto fail;
	}
	if (close(fd) < 0 ||
	    renameat(dir_fd, TEMP_NAME, dir_fd, FILE_NAME) < 0) {
		e = errno;
		goto fail;
	}
	return fsync(dir_fd);
fail:
	(void)unlinkat(dir_fd, TEMP_NAME, 0);
	errno = e;
	return -1;
}

uint64_t
bootid_raise(const char *state_dir, uint64_t seconds, char *error)
{
	uint64_t number = 0;
	int dir_fd, r;

	dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return fail(error, state_dir, "cannot open the state directory",
		    strerror(errno));
	r = read_number(dir_fd, &number);
	if (r < 0) {
		fail(error, state_dir,
		    errno == EBADMSG ? "not a number; remove it, then the "
				       "next start begins with the time"
				     : "cannot read",
		    strerror(errno));
		close(dir_fd);
		return 0;
	}
	if (r == 0)
		number = seconds;
	number++;
	if (write_number(dir_fd, number) < 0) {
		fail(error, state_dir,
		    errno == ENOSPC || errno == EDQUOT
			? "cannot write, the disk is full; free some space"
			: "cannot write",
		    strerror(errno));
		number = 0;
	}
	close(dir_fd);
	return number;
}

int
bootid_floor(const char *state_dir, uint64_t floor, char *error)
{
	uint64_t number = 0;
	int dir_fd, r;

	dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		fail(error, state_dir, "cannot open the state directory",
		    strerror(errno));
		return -1;
	}
	r = read_number(dir_fd, &number);
	/* What cannot be read is bootid_raise()'s to say. */
	if (r >= 0 && (r == 0 || number < floor))
		r = write_number(dir_fd, floor);
	if (r < 0)
		fail(error, state_dir, "cannot write the boot id",
		    strerror(errno));
	close(dir_fd);
	return r < 0 ? -1 : 0;
}
