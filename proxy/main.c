/*
 * hanfs-proxy: options, set-up, privileges, the loop. What happens in the
 * loop is drawn in proxy.h.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanfs/ctlsock.h"
#include "hanfs/daemon.h"
#include "hanfs/log.h"
#include "hanfs/privs.h"

#include "proxy.h"

/* Replies on their way: see memory_new(). */
enum { REPLY_RECS = 2048, REPLY_CHUNKS = 96, REPLY_PIPES = 32 };

struct options {
	const char *config, *run_dir, *state_dir;
	enum log_level level;
};

static void
usage(FILE *to)
{
	fputs("usage: hanfs-proxy [-c FILE] [--run DIR] [--state DIR] "
	      "[--log LEVEL]\n"
	      "The local NFS server that this client's hanfs mounts talk "
	      "to.\n"
	      "  -c, --config FILE  default " CONFIG_DEFAULT_PATH "\n"
	      "  --run DIR          sockets; default " DAEMON_RUN_DIR "\n"
	      "  --state DIR        client id; default " DAEMON_STATE_DIR "\n"
	      "  --log LEVEL        err, warn, notice, info or debug\n",
	    to);
}

static void
parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"run", required_argument, NULL, 'r'},
	    {"state", required_argument, NULL, 's'},
	    {"log", required_argument, NULL, 'l'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0}};
	int c;

	*o = (struct options){CONFIG_DEFAULT_PATH, DAEMON_RUN_DIR,
	    DAEMON_STATE_DIR, LOG_LEVEL_INFO};
	while ((c = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		if (c == 'c')
			o->config = optarg;
		else if (c == 'r')
			o->run_dir = optarg;
		else if (c == 's')
			o->state_dir = optarg;
		else if (c == 'l' && log_level_parse(optarg, &o->level) == 0)
			continue;
		else if (c == 'h') {
			usage(stdout);
			exit(0);
		} else if (c == 'V') {
			puts("hanfs-proxy " VERSION);
			exit(0);
		} else {
			usage(stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "hanfs-proxy: unexpected word: %s\n",
		    argv[optind]);
		usage(stderr);
		exit(2);
	}
}

static void
volume_config(struct px_volume_config *v, const struct config_volume *c)
{
	v->name = c->name;
	v->id = c->id;
	v->ncandidates = c->ncandidates;
	for (unsigned i = 0; i < c->ncandidates; i++)
		v->candidate[i] = c->candidates[i];
}

/* Earlier than a kernel client sends a call again by itself, after 60 s. */
enum { RESEND_MS = 30000 };

/* The core's view of the configuration; borrows its strings. */
void
proxy_config(struct px_config *px, const struct config *cfg)
{
	const struct config_proxy *c = &cfg->proxy;

	memset(px, 0, sizeof(*px));
	px->nnetworks = cfg->nnetworks;
	px->nservers = cfg->nservers;
	px->nvolumes = cfg->nvolumes;
	for (unsigned n = 0; n < cfg->nnetworks; n++)
		px->network[n] = cfg->networks[n].name;
	for (unsigned s = 0; s < cfg->nservers; s++) {
		px->server[s] = cfg->servers[s].name;
		for (unsigned n = 0; n < cfg->nnetworks; n++)
			px->address[s][n] = config_server_addr_on(
						&cfg->servers[s], n) != NULL;
	}
	for (unsigned v = 0; v < cfg->nvolumes; v++)
		volume_config(&px->volume[v], &cfg->volumes[v]);
	px->paths = c->paths == CONFIG_PATHS_ALL ? PX_ALL_PATHS
						 : PX_PRIMARY_FIRST;
	px->path = (struct path_config){
	    .interval_ms = (uint32_t)cfg->agent.heartbeat_interval_ms,
	    .multiplier = (uint32_t)cfg->agent.multiplier,
	    .probe_after_ms = (uint32_t)c->probe_after_ms,
	    .oneway_ms = (uint32_t)c->oneway_ms,
	    .hold_ms = (uint32_t)c->hold_ms,
	    .hold_max_ms = (uint32_t)c->hold_max_ms,
	    .calm_ms = (uint32_t)c->calm_ms};
	px->calls_max = (uint32_t)c->calls_max;
	px->kconns_max = (uint32_t)c->connections_max;
	px->replay_calls = (uint32_t)c->replay_calls;
	px->linger_ms = (uint32_t)c->linger_ms;
	px->connect_ms = (uint32_t)c->connect_ms;
	px->retry_ms = (uint32_t)c->retry_ms;
	px->retry_max_ms = (uint32_t)c->retry_max_ms;
	px->resend_ms = RESEND_MS;
}

static void
calls_freed(void *arg)
{
	((struct proxy *)arg)->calls_freed = true;
}

static void
replies_freed(void *arg)
{
	((struct proxy *)arg)->replies_freed = true;
}

/*
 * All memory for calls is taken now: replay_max bytes of it, the records'
 * heads included.
 */
static int
memory_new(struct proxy *p)
{
	const struct config_proxy *c = &p->cfg->proxy;
	struct rec_pool_limits calls = {.recs = (unsigned)c->calls_max};
	struct rec_pool_limits replies = {.recs = REPLY_RECS,
	    .chunks = REPLY_CHUNKS, .pipes = REPLY_PIPES};
	uint64_t heads = c->calls_max * sizeof(struct rec);

	if (c->replay_max < heads + c->reserve + 2 * REC_MAX) {
		log_err("replay_max is too small: %llu calls take %llu bytes "
		    "without their data; raise it, or lower calls_max",
		    (unsigned long long)c->calls_max,
		    (unsigned long long)heads);
		return -1;
	}
	calls.chunks = (unsigned)((c->replay_max - heads) / REC_CHUNK);
	calls.reserve = (unsigned)(c->reserve / REC_CHUNK);
	p->calls = rec_pool_new(&calls);
	p->replies = rec_pool_new(&replies);
	if (p->calls == NULL || p->replies == NULL) {
		log_err("no memory for calls: %s", strerror(errno));
		return -1;
	}
	rec_pool_on_free(p->calls, calls_freed, p);
	rec_pool_on_free(p->replies, replies_freed, p);
	return 0;
}

static int
setup(struct proxy *p, const struct options *o)
{
	p->run_dir = o->run_dir;
	p->state_dir = o->state_dir;
	daemon_raise_files();
	if (daemon_run_dir(o->run_dir) == -1 ||
	    identity_load(&p->who, o->state_dir) == -1)
		return -1;
	p->kconn_ids = p->who.incarnation << 20;
	proxy_config(&p->pxcfg, p->cfg);
	p->npaths = p->pxcfg.nservers * p->pxcfg.nnetworks;
	for (unsigned s = 0; s < p->cfg->nservers; s++)
		for (unsigned n = 0; n < p->cfg->nnetworks; n++)
			if (p->pxcfg.address[s][n])
				p->agent_addr[s][n] = config_server_addr_on(
				    &p->cfg->servers[s], n)->addr;
	if (memory_new(p) == -1)
		return -1;
	p->base = event_base_new();
	p->px = px_new(&p->pxcfg, proxy_now(p));
	if (p->base == NULL || p->px == NULL) {
		log_err("no memory");
		return -1;
	}
	return 0;
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct proxy *p = arg;

	(void)what;
	if (sig == SIGHUP) {
		log_notice("hang-up: the configuration is read at the start "
			   "alone; a restart reads it");
		return;
	}
	log_notice("signal %d: ending", (int)sig);
	event_base_loopbreak(p->base);
}

/* Ends what was begun; also half-way through a failed start. */
static void
end(struct proxy *p, struct ctlsock *ctl)
{
	ctlsock_free(ctl);
	if (p->px != NULL && p->base != NULL) {
		kernel_end(p);
		proxy_settle(p);
		upstream_end(p);
		evidence_end(p);
	}
	px_free(p->px);
	rec_pool_free(p->calls);
	rec_pool_free(p->replies);
	if (p->base != NULL)
		event_base_free(p->base);
}

int
main(int argc, char **argv)
{
	static struct proxy proxy;
	static struct listenfds handed_over;
	static const int keep[] = {CAP_NET_BIND_SERVICE};
	struct proxy *p = &proxy;
	struct ctlsock *ctl = NULL;
	struct event on_term, on_int, on_hup;
	struct options o;
	int status = 1;

	parse(argc, argv, &o);
	log_open("hanfs-proxy", o.level);
	listenfds_receive(&handed_over);
	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() == -1)
		fatal("libsodium does not start");
	p->cfg = config_load_or_exit(o.config);
	if (setup(p, &o) == -1 || kernel_listen(p, &handed_over) == -1)
		goto done;
	ctl = ctlsock_new(p->base, o.run_dir, "proxy.sock");
	if (ctl == NULL)
		goto done;
	view_register(p, ctl);
	daemon_lock_memory();
	daemon_oom_protect();
	daemon_io_flusher();
	privs_drop(p->cfg->proxy.user, keep, 1);
	if (evidence_start(p) == -1)
		goto done;
	evsignal_assign(&on_term, p->base, SIGTERM, on_signal, p);
	evsignal_assign(&on_int, p->base, SIGINT, on_signal, p);
	evsignal_assign(&on_hup, p->base, SIGHUP, on_signal, p);
	event_add(&on_term, NULL);
	event_add(&on_int, NULL);
	event_add(&on_hup, NULL);
	proxy_settle(p);
	daemon_ready();
	log_notice("ready: %u volumes, %u servers, %u networks, incarnation "
	    "%llu", p->pxcfg.nvolumes, p->pxcfg.nservers, p->pxcfg.nnetworks,
	    (unsigned long long)p->who.incarnation);
	event_base_dispatch(p->base);
	daemon_stopping();
	event_del(&on_term);
	event_del(&on_int);
	event_del(&on_hup);
	status = 0;
done:
	end(p, ctl);
	return status;
}
