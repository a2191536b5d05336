/*
 * Who this client is: an id and a token, made once and kept in the state
 * directory, and an incarnation that grows with each start of the proxy. The
 * file is bound to the machine: a cloned image makes itself a new id.
 *
 * Written at start only; the running proxy never waits for a disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/log.h"

#include "proxy.h"

#define FILE_NAME "client"
#define FILE_FORM "hanfs-client 1 %32s %32s %32s %" SCNu64 "\n"

/* A digest of the machine's id, since that itself must stay private:
 * machine-id(5). All zeros where there is none. */
static void
machine_digest(uint8_t out[16])
{
	static const char salt[] = "hanfs client";
	char id[64] = "";
	FILE *f = fopen("/etc/machine-id", "re");

	if (f != NULL) {
		if (fgets(id, sizeof(id), f) == NULL)
			id[0] = '\0';
		fclose(f);
	}
	crypto_generichash(out, 16, (const uint8_t *)id, strlen(id),
	    (const uint8_t *)salt, sizeof(salt));
}

static bool
hex(uint8_t out[16], const char *text)
{
	size_t n;

	return sodium_hex2bin(out, 16, text, strlen(text), NULL, &n, NULL) ==
	    0 && n == 16;
}

/* 1: read; 0: there is none; -1: there is one that cannot be used. */
static int
read_file(const char *path, struct identity *who, uint8_t machine[16])
{
	char client[33], token[33], on[33];
	FILE *f = fopen(path, "re");
	int n;

	if (f == NULL)
		return errno == ENOENT ? 0 : -1;
	n = fscanf(f, FILE_FORM, client, token, on, &who->incarnation);
	fclose(f);
	if (n != 4 || !hex(who->client, client) || !hex(who->token, token) ||
	    !hex(machine, on)) {
		errno = EINVAL;
		return -1;
	}
	return 1;
}

static int
write_file(const char *path, const struct identity *who,
    const uint8_t machine[16])
{
	char tmp[512], client[33], token[33], on[33];
	FILE *f;
	int fd;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1 || (f = fdopen(fd, "w")) == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	sodium_bin2hex(client, sizeof(client), who->client, 16);
	sodium_bin2hex(token, sizeof(token), who->token, 16);
	sodium_bin2hex(on, sizeof(on), machine, 16);
	fprintf(f, "hanfs-client 1 %s %s %s %" PRIu64 "\n", client, token, on,
	    who->incarnation);
	if (fflush(f) == EOF || fsync(fd) == -1) {
		int saved = errno;

		fclose(f);
		unlink(tmp);
		errno = saved;
		return -1;
	}
	if (fclose(f) == EOF)
		return -1;
	return rename(tmp, path);
}

int
identity_load(struct identity *who, const char *state_dir)
{
	uint8_t here[16], there[16];
	uint64_t wall_ms = clock_wall_ms();
	char path[500];
	int rc;

	if (mkdir(state_dir, 0755) == -1 && errno != EEXIST) {
		log_err("state directory %s: %s", state_dir, strerror(errno));
		return -1;
	}
	snprintf(path, sizeof(path), "%s/%s", state_dir, FILE_NAME);
	machine_digest(here);
	rc = read_file(path, who, there);
	if (rc == -1) {
		log_err("%s: %s; move it away to start as a new client (calls "
		    "outstanding from before are then not known as such)",
		    path, errno == EINVAL ? "not in the form that it was "
					    "written in" : strerror(errno));
		return -1;
	}
	if (rc == 1 && memcmp(here, there, sizeof(here)) != 0) {
		log_notice("%s is of another machine: this one is a new "
		    "client", path);
		rc = 0;
	}
	if (rc == 0) {
		randombytes_buf(who->client, sizeof(who->client));
		randombytes_buf(who->token, sizeof(who->token));
		who->incarnation = 0;
	}
	/* The wall clock too, so that it grows even when a full disk kept
	 * the last one from being written. */
	who->incarnation = who->incarnation + 1 > wall_ms
	    ? who->incarnation + 1
	    : wall_ms;
	if (write_file(path, who, here) == -1) {
		log_err("%s cannot be written: %s; %s", path, strerror(errno),
		    rc == 1 ? "going on, the clock keeps the incarnation "
			      "growing"
			    : "this client's new id will be lost at the "
			      "next start");
	}
	return 0;
}
