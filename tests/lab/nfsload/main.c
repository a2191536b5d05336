/*
 * nfsload: options, the loop, control.  See nfsload.h.
 */
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "nfsload.h"

enum { TICK_MS = 10, TELL_MS = 200 };

static const char usage[] =
    "usage: nfsload [OPTION...] HOST EXPORT\n"
    "  -p, --port N         NFS port (2049)\n"
    "  -m, --mount-port N   MOUNT port (the NFS port)\n"
    "  -n, --slots N        calls in flight (16)\n"
    "  -c, --connections N  TCP connections they are spread over (1)\n"
    "  -t, --seconds S      how long (10)\n"
    "  -x, --mix NAME       mixed, read, write or names (mixed)\n"
    "      --writes-1m N    N slots that only write 1 MiB blocks\n"
    "  -s, --seed N         of every choice (from the clock)\n"
    "  -d, --directory NAME made in the export for this run (load-SEED)\n"
    "      --io-max BYTES   largest READ and WRITE (1 MiB)\n"
    "      --cross-renames  between directories that all slots use, too\n"
    "      --drain S        how long to wait for the last replies (60)\n"
    "      --reconnect      come back from the same port with the same XIDs\n"
    "                       when the connection is lost, as a kernel does\n"
    "      --timeo S        send a call again on the same connection when\n"
    "                       it has had no reply for S seconds, likewise\n"
    "  -o, --json FILE      the result (standard output)\n"
    "      --crash          the server may die: unstable WRITEs are sent\n"
    "                       again when the verifier says that they were lost\n"
    "      --full           the volume may be full: NOSPC is no violation\n"
    "      --ticks          every 200 ms on standard output, which is not\n"
    "                       the result's then: tick NOW CALLS OLDEST\n"
    "                       (calls answered; when the oldest call that\n"
    "                       waits was made)\n"
    "      --records FILE   every call's times, as CSV\n"
    "      --dump FILE      what must be on the server at the end\n"
    "      --compare FILE DIRECTORY   hold such a dump against a file\n"
    "                       system, where it is mounted\n"
    "Standard input: `mark NAME [AT [SURE]]` (CLOCK_MONOTONIC), `stop`.\n"
    "Exit status: 0 all as the model says, 3 violations.\n";

double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The slot makes its next call, or has none to make. */
static void
slot_go(struct load *l, struct slot *s)
{
	if (l->verifying) {
		if (!verify_next(l, s)) {
			s->done = true;
			return;
		}
	} else if (l->stopping && s->pending.object == NULL) {
		s->done = true;
		return;
	} else {
		choose(l, s);
	}
	s->op.xid = l->xid++;
	s->op.queued = now_s();
	s->op.sent = 0;
	s->outstanding = true;
	conn_send(s->conn, s);
}

static uint32_t
xid_of(const uint8_t *buf)
{
	return (uint32_t)buf[0] << 24 | (uint32_t)buf[1] << 16 |
	       (uint32_t)buf[2] << 8 | buf[3];
}

void
load_reply(struct load *l, const uint8_t *buf, size_t len)
{
	struct slot *s = NULL;
	struct answer a;

	for (int i = 0; i < l->slots_n && len >= 4 && s == NULL; i++)
		if (l->slots[i].outstanding &&
		    l->slots[i].op.xid == xid_of(buf))
			s = &l->slots[i];
	if (s == NULL) {
		violation(NULL, "a reply to no call that waits, xid %08x",
		    len >= 4 ? xid_of(buf) : 0);
		return;
	}
	s->outstanding = false;
	stats_call(s, now_s(), l->verifying);
	if (answer_decode(&a, s->op.kind, buf, len)) {
		if (a.rpc_error == 0)
			stats_status((int)a.status);
		if (l->verifying)
			verify_count(&s->op, &a);
		judge(l, s, &a);
	} else {
		violation(s, "%s: no such reply", kind_name(s->op.kind));
		s->generation++;
		model_reset(l, s);
	}
	answer_free(&a);
	slot_go(l, s);
}

/* -- before the load: MOUNT, and the directories that all share -- */

static struct handle
mount_root(const struct load *l)
{
	uint8_t call[2048], reply[2048];
	int fd = sync_connect(l, l->mount_port);
	struct handle fh;
	ssize_t n = sync_call(fd, call,
	    mount_encode(1, l->export, call, sizeof call), reply, sizeof reply);

	if (n < 0 || !mount_decode(&fh, reply, (size_t)n))
		errx(1, "MOUNT of %s refused", l->export);
	close(fd);
	return fh;
}

static void
make_directory(int fd, struct object *in, const char *name, struct object *made,
    uint32_t xid)
{
	static uint8_t call[CALL_MAX], reply[REPLY_MAX];
	struct place place = {.dir = in};
	struct op op = {.kind = NFS3_MKDIR, .place = &place, .mode = 0777};
	struct answer a;
	ssize_t n;

	(void)snprintf(place.name, NAME_LEN, "%s", name);
	op.xid = xid;
	n = sync_call(
	    fd, call, call_encode(&op, call, sizeof call), reply, sizeof reply);
	if (n < 0 || !answer_decode(&a, op.kind, reply, (size_t)n) ||
	    a.rpc_error != 0)
		errx(1, "no reply to MKDIR");
	if (a.status != NFS3_OK || !a.has_fh)
		errx(1, "MKDIR %s: status %d (does it exist already?)", name,
		    (int)a.status);
	made->type = NF3DIR;
	made->fh = a.fh;
	answer_free(&a);
}

static void
load_begin(struct load *l)
{
	struct object top = {.type = NF3DIR};
	int fd;

	l->root.fh = mount_root(l);
	fd = sync_connect(l, l->port);
	make_directory(fd, &l->root, l->directory, &top, l->xid++);
	for (int i = 0; i < SHARED_DIRS; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "d%d", i);
		make_directory(fd, &top, name, &l->shared[i], l->xid++);
	}
	close(fd);
	for (int i = 0; i < l->conns_n; i++)
		l->conns[i] = conn_new(l, i);
	for (int i = 0; i < l->slots_n; i++) {
		struct slot *s = &l->slots[i];

		s->id = i;
		s->conn = l->conns[i % l->conns_n];
		s->random = (l->seed + 1) * 0x9e3779b97f4a7c15 + (uint64_t)i;
		for (int j = 0; j < 8; j++)
			(void)slot_random(s, 2);
		model_reset(l, s);
	}
}

/* -- the loop -- */

static void
control_line(struct load *l, char *line)
{
	char name[NAME_LEN];
	double at = now_s(), sure = 0;

	if (sscanf(line, "mark %47s %lf %lf", name, &at, &sure) >= 1)
		stats_mark(name, at, sure);
	else if (strncmp(line, "stop", 4) == 0)
		l->stopping = true;
	else
		warnx("not understood: %s", line);
}

/* Takes what standard input has; false once it has ended. */
static bool
control_read(struct load *l)
{
	static char buf[4096];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, buf + len, sizeof buf - 1 - len);
	char *line = buf, *end;

	if (n <= 0)
		return false;
	len += (size_t)n;
	buf[len] = '\0';
	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		control_line(l, line);
		line = end + 1;
	}
	len -= (size_t)(line - buf);
	memmove(buf, line, len);
	if (len == sizeof buf - 1)
		len = 0;
	return true;
}

static int
busy(const struct load *l)
{
	int n = 0;

	for (int i = 0; i < l->slots_n; i++)
		n += l->slots[i].outstanding;
	return n;
}

static bool
connected(const struct load *l)
{
	for (int i = 0; i < l->conns_n; i++)
		if (conn_fd(l->conns[i]) < 0 && !l->reconnect)
			return false;
	return true;
}

/* One turn: what is ready on the connections, control and signals. */
static void
turn(struct load *l, int signals)
{
	static bool deaf; /* standard input has ended */
	static double told;
	struct pollfd fds[CONNS_MAX + 2];
	double now;

	for (int i = 0; i < l->conns_n; i++)
		fds[i] = (struct pollfd){
		    conn_fd(l->conns[i]), conn_events(l->conns[i]), 0};
	fds[l->conns_n] = (struct pollfd){signals, POLLIN, 0};
	fds[l->conns_n + 1] =
	    (struct pollfd){deaf ? -1 : STDIN_FILENO, POLLIN, 0};
	if (poll(fds, (nfds_t)l->conns_n + 2, TICK_MS) < 0 && errno != EINTR)
		err(1, "poll");
	now = now_s();
	for (int i = 0; i < l->conns_n; i++) {
		if (fds[i].revents != 0 && conn_fd(l->conns[i]) >= 0)
			conn_ready(l->conns[i], fds[i].revents, now);
		conn_tick(l->conns[i], now);
	}
	if (l->ticks && now - told >= TELL_MS / 1e3) {
		stats_tick(l, now);
		told = now;
	}
	if (fds[l->conns_n].revents != 0)
		l->stopping = true;
	if (fds[l->conns_n + 1].revents != 0)
		deaf = !control_read(l);
}

/* Starts every slot and runs until all are done; false if some are not
 * `patience` seconds after the stop. */
static bool
phase(struct load *l, int signals, double seconds, double patience)
{
	double end = now_s() + seconds, give_up = 0;

	for (int i = 0; i < l->slots_n; i++) {
		l->slots[i].done = false;
		slot_go(l, &l->slots[i]);
	}
	while (busy(l) > 0 && connected(l)) {
		turn(l, signals);
		if (now_s() >= end)
			l->stopping = true;
		if (l->stopping && give_up == 0)
			give_up = now_s() + patience;
		if (give_up > 0 && now_s() > give_up)
			break;
	}
	return busy(l) == 0;
}

static void
count_lost(struct load *l)
{
	for (int i = 0; i < l->slots_n; i++) {
		struct slot *s = &l->slots[i];

		if (!s->outstanding)
			continue;
		stats_call(s, 0, l->verifying);
		violation(s, "%s: no reply", kind_name(s->op.kind));
	}
}

static FILE *
output(const char *name)
{
	FILE *f = fopen(name, "w");

	if (f == NULL)
		err(1, "%s", name);
	return f;
}

/* -- options -- */

struct files {
	const char *json, *records, *dump, *compare;
};

static enum write_mix
mix_named(const char *name)
{
	static const char *const names[] = {"mixed", "read", "write", "names"};

	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			return (enum write_mix)i;
	errx(2, "no mix %s\n%s", name, usage);
}

static const struct option options[] = {{"port", 1, NULL, 'p'},
    {"mount-port", 1, NULL, 'm'}, {"slots", 1, NULL, 'n'},
    {"connections", 1, NULL, 'c'}, {"seconds", 1, NULL, 't'},
    {"mix", 1, NULL, 'x'}, {"seed", 1, NULL, 's'}, {"directory", 1, NULL, 'd'},
    {"json", 1, NULL, 'o'}, {"writes-1m", 1, NULL, 'W'},
    {"drain", 1, NULL, 'D'}, {"reconnect", 0, NULL, 'R'},
    {"cross-renames", 0, NULL, 'X'}, {"io-max", 1, NULL, 'I'},
    {"timeo", 1, NULL, 'T'}, {"crash", 0, NULL, 'A'}, {"full", 0, NULL, 'F'},
    {"ticks", 0, NULL, 'K'}, {"records", 1, NULL, 'C'},
    {"dump", 1, NULL, 'U'}, {"compare", 1, NULL, 'V'}, {NULL, 0, NULL, 0}};

/* clang-format off */
static void
option(struct load *l, struct files *f, int opt, const char *arg)
{
	switch (opt) {
	case 'p': l->port = atoi(arg); break;
	case 'm': l->mount_port = atoi(arg); break;
	case 'n': l->slots_n = atoi(arg); break;
	case 'c': l->conns_n = atoi(arg); break;
	case 't': l->seconds = atof(arg); break;
	case 'x': l->mix = mix_named(arg); break;
	case 's': l->seed = strtoull(arg, NULL, 0); break;
	case 'd': l->directory = arg; break;
	case 'o': f->json = arg; break;
	case 'W': l->mix = MIX_BIG_WRITES; l->slots_n = atoi(arg); break;
	case 'D': l->drain = atof(arg); break;
	case 'I': l->io_max = (uint32_t)atoi(arg); break;
	case 'X': l->cross_renames = true; break;
	case 'R': l->reconnect = true; break;
	case 'A': l->crash = true; break;
	case 'F': l->full = true; break;
	case 'K': l->ticks = true; break;
	case 'T': l->timeo = atof(arg); break;
	case 'C': f->records = arg; break;
	case 'U': f->dump = arg; break;
	case 'V': f->compare = arg; break;
	default: errx(2, "%s", usage);
	}
}
/* clang-format on */

static void
parse(struct load *l, struct files *f, int argc, char **argv)
{
	static char directory[NAME_LEN];
	int opt;

	*l = (struct load){.port = 2049,
	    .slots_n = 16,
	    .io_max = IO_MAX,
	    .conns_n = 1,
	    .seconds = 10,
	    .drain = 60,
	    .next_id = 1,
	    .seed = (uint64_t)(now_s() * 1e6)};
	while ((opt = getopt_long(
		    argc, argv, "p:m:n:c:t:x:s:d:o:", options, NULL)) != -1)
		option(l, f, opt, optarg);
	if (f->compare != NULL && argc - optind == 1)
		exit(verify_compare(f->compare, argv[optind]));
	if (argc - optind != 2 || l->slots_n < 1 || l->slots_n > 4096 ||
	    l->conns_n < 1 || l->conns_n > CONNS_MAX || l->io_max < BLOCK ||
	    l->io_max > IO_MAX)
		errx(2, "%s", usage);
	if (l->ticks && f->json == NULL)
		errx(2, "--ticks needs --json FILE");
	l->host = argv[optind];
	l->export = argv[optind + 1];
	if (l->mount_port == 0)
		l->mount_port = l->port;
	(void)snprintf(directory, sizeof directory, "load-%llu",
	    (unsigned long long)l->seed);
	if (l->directory == NULL)
		l->directory = directory;
	l->xid = (uint32_t)(l->seed * 2654435761u) ^ (uint32_t)getpid() << 16;
	l->slots = calloc((size_t)l->slots_n, sizeof *l->slots);
	if (l->slots == NULL)
		err(1, "calloc");
}

static int
stop_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");
	return fd;
}

/* The pass over everything, slots beside each other. */
static void
verify(struct load *l, int signals)
{
	int fd;

	l->verifying = true;
	l->stopping = true;
	if (!phase(l, signals, 0, 120)) {
		count_lost(l);
		return;
	}
	fd = sync_connect(l, l->port);
	verify_shared(l, fd);
	close(fd);
}

int
main(int argc, char **argv)
{
	struct load l;
	struct files files = {0};
	double began, ended;
	int signals;
	FILE *f;

	parse(&l, &files, argc, argv);
	load_begin(&l);
	signals = stop_signals();
	began = now_s();
	fprintf(stderr, "running\n");
	if (phase(&l, signals, l.seconds, l.drain)) {
		ended = now_s();
		verify(&l, signals);
	} else {
		ended = now_s();
		count_lost(&l);
	}
	f = files.json ? output(files.json) : stdout;
	stats_json(&l, f, began, ended);
	fflush(f);
	if (files.records != NULL)
		stats_records(output(files.records));
	if (files.dump != NULL) {
		f = output(files.dump);
		verify_dump(&l, f);
		fclose(f);
	}
	for (int i = 0; i < l.conns_n; i++)
		conn_free(l.conns[i]);
	for (int i = 0; i < l.slots_n; i++)
		model_free(&l.slots[i]);
	free(l.slots);
	return violations() ? 3 : 0;
}
