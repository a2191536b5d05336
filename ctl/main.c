/*
 * hanfsctl: options and the table of commands.
 */
#include "config.h"

#include <getopt.h>
#include <sodium.h>
#include <stdlib.h>

#include "hanfs/daemon.h"

#include "ctl.h"

struct command {
	const char *name, *args, *help;
	int (*run)(const struct ctl *ctl, int argc, char **argv);
};

static const struct command commands[] = {
    /* What only reads or writes files of its own. */
    {"keygen", "[-f] FILE",
	"makes a server's key; prints the line for its section", ctl_keygen},
    {"show", "WHAT [proxy|agent|detector]",
	"what the daemons on this host know; `show` alone lists WHAT",
	ctl_show},
    /* What changes something; only root may. */
    {"volume", "VOLUME show|move SERVER",
	"shows a volume, or moves it to another server", ctl_volume},
    {"drill", "VOLUME",
	"a rehearsed takeover and return, with its report", ctl_drill},
    {"verdict", "VOLUME CLIENT XID done|not-done",
	"whether a call ran that the agent cannot decide about",
	ctl_verdict},
    {"forget", "VOLUME CLIENT|away",
	"a client's expired calls: none of them will be asked for again",
	ctl_forget},
};
enum { NCOMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void
usage(FILE *to)
{
	fputs("usage: hanfsctl [--run DIR] [--json] COMMAND ...\n", to);
	for (int i = 0; i < NCOMMANDS; i++)
		fprintf(to, "  %-7s %-28s %s\n", commands[i].name,
		    commands[i].args, commands[i].help);
	fputs("Words can be shortened as long as they stay clear.\n", to);
}

static int
options(int argc, char **argv, struct ctl *ctl)
{
	static const struct option longs[] = {
	    {"run", required_argument, NULL, 'r'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "+jh", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			ctl->run_dir = optarg;
			break;
		case 'j':
			ctl->json = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("hanfsctl " VERSION);
			exit(0);
		default:
			return -1;
		}
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct ctl ctl = {.run_dir = DAEMON_RUN_DIR};
	const char *names[NCOMMANDS + 1] = {NULL};
	int i;

	if (options(argc, argv, &ctl) == -1 || optind == argc) {
		usage(stderr);
		return 2;
	}
	if (sodium_init() == -1) {
		fputs("hanfsctl: libsodium does not start\n", stderr);
		return 1;
	}
	for (i = 0; i < NCOMMANDS; i++)
		names[i] = commands[i].name;
	i = ctl_word("command", argv[optind], names);
	if (i == -1)
		return 2;
	return commands[i].run(&ctl, argc - optind, argv + optind);
}
