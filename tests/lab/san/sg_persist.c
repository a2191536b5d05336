/*
 * sg_persist for the hosts of the lab: persistent reservations at the san.
 *
 * Takes those options of the real one (sg3-utils) that a fence uses, and
 * says what it says.  The device is a name in /run/san, or what one there
 * links to; /run/san/san names the host and the san's socket.  In C because
 * a fence runs several of them in the middle of a takeover.
 * Exit status: 0, 24 reservation conflict, 1 anything else.
 */
#include <dirent.h>
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define HERE "/run/san"
enum { CONFLICT = 24 /* SG_LIB_CAT_RES_CONFLICT */, ROWS_MAX = 32 };

static const char *const types[16] = {
    [1] = "Write Exclusive",
    [3] = "Exclusive Access",
    [5] = "Write Exclusive, registrants only",
    [6] = "Exclusive Access, registrants only",
    [7] = "Write Exclusive, all registrants",
    [8] = "Exclusive Access, all registrants",
};

static const struct option options[] = {{"in", 0, NULL, 'i'},
    {"out", 0, NULL, 'o'}, {"read-keys", 0, NULL, 'k'},
    {"read-reservation", 0, NULL, 'r'}, {"report-capabilities", 0, NULL, 'c'},
    {"register", 0, NULL, 'G'}, {"register-ignore", 0, NULL, 'I'},
    {"reserve", 0, NULL, 'R'}, {"release", 0, NULL, 'L'},
    {"clear", 0, NULL, 'C'}, {"preempt", 0, NULL, 'P'},
    {"preempt-abort", 0, NULL, 'A'}, {"no-inquiry", 0, NULL, 'n'},
    {"param-aptpl", 0, NULL, 'Z'}, {"verbose", 0, NULL, 'v'},
    {"readonly", 0, NULL, 'y'}, {"param-rk", 1, NULL, 'K'},
    {"param-sark", 1, NULL, 'S'}, {"prout-type", 1, NULL, 'T'},
    {"device", 1, NULL, 'd'}, {NULL, 0, NULL, 0}};

/* The volume that a device stands for, into buf. */
static void
volume_of(const char *device, char *buf, size_t size)
{
	char real[PATH_MAX], path[PATH_MAX], own[PATH_MAX];
	DIR *dir = opendir(HERE);
	struct dirent *e;

	if (dir == NULL || realpath(device, real) == NULL)
		err(1, "%s", device);
	while ((e = readdir(dir)) != NULL) {
		snprintf(path, sizeof path, HERE "/%s", e->d_name);
		if (e->d_type != DT_LNK || realpath(path, own) == NULL ||
		    strcmp(own, real) != 0)
			continue;
		snprintf(buf, size, "%s", e->d_name);
		if (strstr(buf, ".ctl") != NULL)
			*strstr(buf, ".ctl") = '\0';
		closedir(dir);
		return;
	}
	errx(1, "%s: no disk of the san", device);
}

static FILE *
reach(char *host, size_t size)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	FILE *f = fopen(HERE "/san", "r");
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char form[32];

	snprintf(form, sizeof form, "%%%zus %%%zus", size - 1,
	    sizeof to.sun_path - 1);
	if (f == NULL || fscanf(f, form, host, to.sun_path) != 2)
		errx(1, HERE "/san: no host and socket");
	fclose(f);
	if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof to) != 0 ||
	    (f = fdopen(s, "r+")) == NULL)
		err(1, "%s", to.sun_path);
	return f;
}

/* Asks the san; the answer's rows, and how many. */
static unsigned
ask(const char *device, const char *words, char (*rows)[128])
{
	char host[64], volume[NAME_MAX + 1];
	FILE *f = reach(host, sizeof host);
	unsigned n = 0;

	volume_of(device, volume, sizeof volume);
	fprintf(f, "pr %s/%s %s\n", host, volume, words);
	fflush(f);
	while (n < ROWS_MAX && fgets(rows[n], 128, f) != NULL) {
		if (strcmp(rows[n], "ok\n") == 0)
			return n;
		if (strstr(rows[n], "conflict") != NULL) {
			fprintf(stderr, "PR out: command failed, Reservation "
					"conflict\n");
			exit(CONFLICT);
		}
		if (strncmp(rows[n], "error", 5) == 0)
			errx(1, "%s", rows[n]);
		n++;
	}
	errx(1, "the san does not answer");
}

static unsigned
generation_of(const char *row)
{
	unsigned generation = 0;

	(void)sscanf(row, "generation %u", &generation);
	return generation;
}

static void
show_keys(const char *device)
{
	char rows[ROWS_MAX][128];
	unsigned n = ask(device, "keys", rows), keys = n ? n - 1 : 0;
	char key[64];

	printf("  PR generation=0x%x, ", generation_of(rows[0]));
	if (keys == 0)
		printf("there are NO registered reservation keys\n");
	else
		printf("%u registered reservation key%s follow:\n", keys,
		    keys > 1 ? "s" : "");
	for (unsigned i = 1; i < n; i++)
		if (sscanf(rows[i], "key %63s", key) == 1)
			printf("    %s\n", key);
}

static void
show_reservation(const char *device)
{
	char rows[ROWS_MAX][128], key[64];
	unsigned n = ask(device, "reservation", rows), type = 0;

	printf("  PR generation=0x%x, ", generation_of(rows[0]));
	if (n < 2 || sscanf(rows[1], "holder %63s type %u", key, &type) != 2 ||
	    type > 15 || types[type] == NULL)
		printf("there is NO reservation held\n");
	else
		printf("Reservation follows:\n    Key=%s\n"
		       "    scope: LU_SCOPE,  type: %s\n",
		    key, types[type]);
}

static void
show_capabilities(void)
{
	printf("Report capabilities response:\n"
	       "  Compatible Reservation Handling(CRH): 0\n"
	       "  Persist Through Power Loss Capable(PTPL_C): 1\n"
	       "    Write Exclusive, registrants only: 1\n"
	       "    Exclusive Access, registrants only: 1\n");
}

/* What the option asks of the san, in the words of its protocol. */
static const char *
request(int verb, uint64_t own, uint64_t other, unsigned type)
{
	static char words[128];

#define SAY(...) snprintf(words, sizeof words, __VA_ARGS__)
	switch (verb) {
	case 'G':
		SAY("register %" PRIu64 " %" PRIu64, own, other);
		break;
	case 'I':
		SAY("ignore %" PRIu64, other);
		break;
	case 'R':
		SAY("reserve %" PRIu64 " %u", own, type);
		break;
	case 'L':
		SAY("release %" PRIu64 " %u", own, type);
		break;
	case 'C':
		SAY("clear %" PRIu64, own);
		break;
	default: /* the san aborts always */
		SAY("preempt %" PRIu64 " %" PRIu64 " %u", own, other, type);
		break;
	}
#undef SAY
	return words;
}

int
main(int argc, char **argv)
{
	uint64_t own = 0, other = 0;
	const char *device = NULL;
	unsigned type = 0;
	int opt, verb = 'k';
	char rows[ROWS_MAX][128];

	while ((opt = getopt_long(argc, argv,
		    "iokrcGIRLCPAnZvyK:S:T:d:", options, NULL)) != -1) {
		if (opt == 'K')
			own = strtoull(optarg, NULL, 16);
		else if (opt == 'S')
			other = strtoull(optarg, NULL, 16);
		else if (opt == 'T')
			type = (unsigned)strtoul(optarg, NULL, 16);
		else if (opt == 'd')
			device = optarg;
		else if (opt == '?')
			return 1;
		else if (strchr("krcGIRLCPA", opt) != NULL)
			verb = opt;
	}
	if (device == NULL && optind < argc)
		device = argv[optind];
	if (device == NULL)
		errx(1, "no device");
	if (verb == 'k')
		show_keys(device);
	else if (verb == 'r')
		show_reservation(device);
	else if (verb == 'c')
		show_capabilities();
	else
		(void)ask(device, request(verb, own, other, type), rows);
	return 0;
}
