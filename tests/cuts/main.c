/* cutload: the verbs. See cutload.h. */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuts/cutload.h"

struct store_done
next_done(struct store *s)
{
	struct pollfd p = {.fd = store_fd(s), .events = POLLIN};
	struct store_done d;

	while (!store_next(s, &d))
		if (poll(&p, 1, 60000) == 0)
			errx(3, "the store says nothing for a minute");
	return d;
}

int
main(int argc, char **argv)
{
	struct store_config c = {.cluster = CLUSTER, .volume = VOLUME};
	char error[STORE_ERROR_LEN];
	struct store *s;
	uint32_t seed;

	if (argc < 4)
		errx(2, "see cutload.h");
	c.mountpoint = argv[2];
	seed = (uint32_t)strtoul(argv[3], NULL, 10);
	setvbuf(stdout, NULL, _IOLBF, 0);
	s = store_open(&c, error);
	if (s == NULL)
		errx(3, "%s", error);
	if (strcmp(argv[1], "look") == 0)
		return look(s, seed);
	if (strcmp(argv[1], "full") == 0)
		return full(s, seed);
	if (strcmp(argv[1], "time") == 0)
		return take_time(s, c.mountpoint);
	if (strcmp(argv[1], "load") != 0 || argc < 6)
		errx(2, "see cutload.h");
	return load(s, c.mountpoint, seed, (unsigned)atoi(argv[4]),
	    (unsigned)atoi(argv[5]), argc > 6 ? argv[6] : "",
	    argc > 7 ? argv[7] : NULL);
}
