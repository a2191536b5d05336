/* options: the detector's command line. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "detector.h"
#include "hanfs/daemon.h"

static void
usage(FILE *to)
{
	fputs("usage: hanfs-detector [-c FILE] [--run DIR] [--udp] "
	      "[--log LEVEL]\n"
	      "       hanfs-detector --print [-v] [-i INTERFACE] [-c FILE] "
	      "[--udp]\n"
	      "Hears the servers' heartbeats and tells hanfs-proxy.\n"
	      "  -c, --config FILE  default " CONFIG_DEFAULT_PATH "\n"
	      "  --run DIR          sockets; default " DAEMON_RUN_DIR "\n"
	      "  --udp              plain UDP sockets instead of libpcap\n"
	      "  --print            a line for each heartbeat, tells nobody; "
	      "ends with a summary\n"
	      "  -v                 with --print: dropped packets too, with "
	      "their reason\n"
	      "  -i INTERFACE       only this one\n"
	      "  --log LEVEL        err, warn, notice, info or debug\n",
	    to);
}

/* 0: unknown. */
static int
take_option(struct options *o, int c)
{
	switch (c) {
	case 'c':
		o->config_path = optarg;
		return 1;
	case 'r':
		o->run_dir = optarg;
		return 1;
	case 's': /* this program keeps nothing; same options everywhere */
		return 1;
	case 'i':
		o->interface = optarg;
		return 1;
	case 'u':
		o->udp = true;
		return 1;
	case 'p':
		o->print = true;
		return 1;
	case 'v':
		o->verbose = true;
		return 1;
	case 'l':
		return log_level_parse(optarg, &o->level) == 0;
	case 'h':
		usage(stdout);
		exit(0);
	case 'V':
		puts("hanfs-detector " VERSION);
		exit(0);
	default:
		return 0;
	}
}

void
options_parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"run", required_argument, NULL, 'r'},
	    {"state", required_argument, NULL, 's'},
	    {"interface", required_argument, NULL, 'i'},
	    {"udp", no_argument, NULL, 'u'},
	    {"print", no_argument, NULL, 'p'},
	    {"verbose", no_argument, NULL, 'v'},
	    {"log", required_argument, NULL, 'l'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){.config_path = CONFIG_DEFAULT_PATH,
	    .run_dir = DAEMON_RUN_DIR,
	    .level = LOG_LEVEL_INFO};
	while ((c = getopt_long(argc, argv, "c:i:vh", longs, NULL)) != -1)
		if (!take_option(o, c)) {
			usage(stderr);
			exit(2);
		}
	if (optind < argc || (o->verbose && !o->print)) {
		fprintf(stderr, "hanfs-detector: %s%s\n",
		    optind < argc ? "unexpected word: " : "-v goes with ",
		    optind < argc ? argv[optind] : "--print");
		usage(stderr);
		exit(2);
	}
}
