/*
 * A server of which only the heartbeats are there: hbsend, told what to do by
 * lines on standard input. Answers each with one line: "ok ..." or "no ...".
 *
 *	sender keygen FILE		prints the public key, and ends
 *	sender CONFIG SERVER STATE_DIR ALIVE_MAX_MS
 *	volume ID EPOCH STATE		a table of this one volume
 *	subscribe ADDRESS PORT TTL_MS
 *	hang | live			the main loop, as hbsend sees it
 *	stats | quit
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/keys.h"
#include "hanfs/log.h"
#include "server-agent/hbsend.h"

static struct hbsend *sender;
static const struct config *cfg;
static unsigned self;

static void
answer(int failed)
{
	if (failed)
		printf("no %s\n", strerror(errno));
	else
		printf("ok\n");
}

static void
do_volume(uint32_t id, unsigned long long epoch, const char *state)
{
	struct hb_volume v = {.id = id, .epoch = epoch};
	unsigned i;

	while (
	    v.state < HB_STATES && strcmp(hb_state_name(v.state), state) != 0)
		v.state++;
	v.naddrs = (uint8_t)cfg->servers[self].naddrs;
	for (i = 0; i < v.naddrs; i++) {
		const struct config_server_addr *a =
		    &cfg->servers[self].addrs[i];

		v.addrs[i].network = cfg->networks[a->network].id;
		v.addrs[i].addr = a->addr;
	}
	answer(hbsend_set_volumes(sender, &v, 1));
}

static void
do_stats(void)
{
	struct hbsend_stats s;
	unsigned i;

	hbsend_get_stats(sender, &s);
	printf("ok boot %llu realtime %d locked %d skipped %llu late_us %llu "
	       "silences %llu subscribers %u",
	    (unsigned long long)hbsend_boot(sender), s.realtime, s.locked,
	    (unsigned long long)s.skipped, (unsigned long long)s.worst_late_us,
	    (unsigned long long)s.silences, s.subscribers);
	for (i = 0; i < s.nlinks; i++)
		printf(" link %u %s sent %llu unicasts %llu failed %llu",
		    s.links[i].network, s.links[i].up ? "up" : "down",
		    (unsigned long long)s.links[i].sent,
		    (unsigned long long)s.links[i].unicasts,
		    (unsigned long long)s.links[i].failed);
	printf("\n");
}

/* False: the end. */
static bool
do_line(char *line, bool *live)
{
	char text[64], state[32];
	unsigned long long epoch;
	unsigned id, port, ttl;
	struct hanfs_addr to;

	if (sscanf(line, "volume %u %llu %31s", &id, &epoch, state) == 3)
		do_volume(id, epoch, state);
	else if (sscanf(line, "subscribe %63s %u %u", text, &port, &ttl) == 3) {
		if (addr_parse(&to, text) < 0)
			return false;
		to.port = (uint16_t)port;
		answer(hbsend_subscribe(sender, &to, clock_now_ms(), ttl));
	} else if (strcmp(line, "hang\n") == 0 || strcmp(line, "live\n") == 0) {
		*live = line[0] == 'l';
		answer(0);
	} else if (strcmp(line, "stats\n") == 0)
		do_stats();
	else
		return false;
	return true;
}

static void
loop(void)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	bool live = true;
	char line[256];

	for (;;) {
		if (live)
			hbsend_alive(sender, clock_now_ms());
		if (poll(&in, 1, 20) <= 0)
			continue;
		if (fgets(line, sizeof(line), stdin) == NULL ||
		    !do_line(line, &live))
			return;
	}
}

static int
make_key(const char *path)
{
	char why[256], text[KEY_PUBLIC_TEXT_SIZE];
	struct key_pair pair;

	if (key_generate(&pair) < 0)
		fatal("no random numbers");
	if (key_write(path, &pair, true, why, sizeof(why)) < 0)
		fatal("%s", why);
	key_public_format(pair.public_key, text);
	printf("%s\n", text);
	return 0;
}

int
main(int argc, char **argv)
{
	char error[HBSEND_ERROR_LEN], path[256];
	struct key_pair pair;
	int index;

	if (argc == 3 && strcmp(argv[1], "keygen") == 0)
		return make_key(argv[2]);
	if (argc != 5)
		fatal("usage: sender CONFIG SERVER STATE_DIR ALIVE_MAX_MS");
	setvbuf(stdin, NULL, _IONBF, 0); /* else poll sees no second line */
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_open("sender", LOG_LEVEL_INFO);
	cfg = config_load_or_exit(argv[1]);
	index = config_find_server(cfg, argv[2]);
	if (index < 0)
		fatal("no server %s", argv[2]);
	self = (unsigned)index;
	if (config_key_path(cfg, &cfg->servers[self], path, sizeof(path)) < 0)
		fatal("key's path is too long");
	if (key_read(path, &pair, error, sizeof(error)) < 0)
		fatal("%s", error);
	hbsend_prepare(cfg);
	sender = hbsend_start(cfg, self, pair.secret, argv[3],
	    (uint32_t)strtoul(argv[4], NULL, 10), error);
	if (sender == NULL)
		fatal("%s", error);
	printf("ok started\n");
	loop();
	hbsend_stop(sender);
	return 0;
}
