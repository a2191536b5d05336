/*
 * nfsbench: one NFSv3 connection that keeps a fixed number of calls in
 * flight, for a time or a number of calls, and reports how many came back
 * in how long and what CPU time that took here.
 *
 * It must cost little beside what it measures: blocking socket, one sendmsg
 * for all calls that may go, one recv for all replies that are there.  Of
 * each reply it checks XID, RPC status, NFS status and count, not the bytes
 * of a READ (the lab's test client does that).  It does not know about
 * proxies, rounds or statistics: tests/bench/run does.
 */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rpc.h"

enum {
	PROG_NFS = 100003,   /* RFC 1813, 2 */
	PROG_MOUNT = 100005, /* RFC 1813, appendix I */
	MOUNTPROC_MNT = 1,
	NFSPROC_GETATTR = 1,
	NFSPROC_READ = 6,
	NFSPROC_WRITE = 7,
	NFSPROC_CREATE = 8,
	NFSPROC_REMOVE = 12,
	CREATE_UNCHECKED = 0,
	CREATE_GUARDED = 1,
	WRITE_UNSTABLE = 0,
	FH_MAX = 64,
	POST_OP_ATTR = 84, /* fattr3 */
	IO_SIZE = 1 << 20,
	DEPTH_MAX = 256,
};

struct fh {
	uint32_t len;
	unsigned char data[FH_MAX];
};

struct job {
	const char *op;
	uint32_t proc;
	unsigned int depth;
	uint64_t count;            /* no more calls than this */
	uint64_t warm_ns;          /* before what is measured */
	uint64_t measure_ns;       /* 0: until the last call is answered */
	uint64_t filesize;         /* where offsets start again, bytes */
	const char *prefix;        /* of the names of CREATE and REMOVE */
	struct fh fh;              /* of the file, or the directory */
	uint64_t started, done;    /* calls */
	uint64_t begin_ns, end_ns; /* of what is measured */
	uint64_t begin_done, end_done;
	FILE *answered; /* the numbers of calls whose replies have come */
};

struct options {
	const char *server, *port, *mount_server, *mount_port;
	const char *export, *file;
};

static unsigned char bulk[IO_SIZE];
static struct call calls[DEPTH_MAX];

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
fh_get(struct fh *fh, const unsigned char *p)
{
	fh->len = get32(p);
	if (fh->len > FH_MAX)
		errx(1, "file handle of %u bytes", fh->len);
	memcpy(fh->data, p + 4, fh->len);
}

static void
mount_root(const char *host, const char *port, const char *path, struct fh *fh)
{
	struct conn cn;
	struct call *c = &calls[0];

	conn_open(&cn, host, port);
	call_begin(&cn, c, PROG_MOUNT, MOUNTPROC_MNT);
	call_put_opaque(c, path, strlen(path));
	fh_get(fh, call_wait(&cn, c, "MNT"));
	conn_close(&cn);
}

static void
put_create(struct call *c, const struct fh *dir, const char *name, int how)
{
	call_put_opaque(c, dir->data, dir->len);
	call_put_opaque(c, name, strlen(name));
	call_put32(c, (uint32_t)how);
	call_put32(c, 1);
	call_put32(c, 0644);
	call_put32(c, 0);
	call_put32(c, 0);
	call_put32(c, 0);
	call_put32(c, 0);
	call_put32(c, 0);
}

/* The bench's file, made if it is not there. */
static void
file_open(
    struct conn *cn, const struct fh *dir, const char *name, struct fh *fh)
{
	struct call *c = &calls[0];
	const unsigned char *p;

	call_begin(cn, c, PROG_NFS, NFSPROC_CREATE);
	put_create(c, dir, name, CREATE_UNCHECKED);
	p = call_wait(cn, c, "CREATE");
	if (get32(p) != 1)
		errx(1, "CREATE: no file handle");
	fh_get(fh, p + 4);
}

static void
call_build(struct conn *cn, struct job *j, struct call *c)
{
	uint64_t i = j->started++, off;
	char name[64];

	call_begin(cn, c, PROG_NFS, j->proc);
	off = j->filesize == 0 ? 0 : i * IO_SIZE % j->filesize;
	snprintf(
	    name, sizeof(name), "%s%llu", j->prefix, (unsigned long long)i);
	switch (j->proc) {
	case NFSPROC_CREATE:
		put_create(c, &j->fh, name, CREATE_GUARDED);
		break;
	case NFSPROC_REMOVE:
		call_put_opaque(c, j->fh.data, j->fh.len);
		call_put_opaque(c, name, strlen(name));
		break;
	default:
		call_put_opaque(c, j->fh.data, j->fh.len);
		break;
	}
	if (j->proc == NFSPROC_READ || j->proc == NFSPROC_WRITE) {
		call_put64(c, off);
		call_put32(c, IO_SIZE);
	}
	if (j->proc == NFSPROC_WRITE) {
		call_put32(c, WRITE_UNSTABLE);
		call_put32(c, IO_SIZE);
	}
	c->busy = 1;
	c->number = i;
	call_end(c, j->proc == NFSPROC_WRITE ? IO_SIZE : 0);
}

/* Fills every idle place with a new call and sends them together. */
static void
job_send(struct conn *cn, struct job *j)
{
	struct iovec iov[2 * DEPTH_MAX];
	size_t n = 0;

	for (unsigned int i = 0; i < j->depth; i++) {
		struct call *c = &calls[i];

		if (c->busy || j->started == j->count)
			continue;
		call_build(cn, j, c);
		iov[n++] = (struct iovec){c->head, c->headlen};
		if (j->proc == NFSPROC_WRITE)
			iov[n++] = (struct iovec){bulk, IO_SIZE};
	}
	conn_send(cn, iov, n);
}

static void
job_reply(struct conn *cn, struct job *j)
{
	const unsigned char *p;
	uint32_t xid = get32(cn->head), follows;
	unsigned int i;

	for (i = 0; i < j->depth; i++)
		if (calls[i].busy && calls[i].xid == xid)
			break;
	if (i == j->depth)
		errx(1, "reply to XID %08x, which is not outstanding", xid);
	calls[i].busy = 0;
	j->done++;
	p = reply_results(cn, j->op);
	if (j->answered != NULL)
		fprintf(
		    j->answered, "%llu\n", (unsigned long long)calls[i].number);
	if (j->proc == NFSPROC_READ) {
		follows = get32(p);
		if (get32(p + 4 + (follows ? POST_OP_ATTR : 0)) != IO_SIZE)
			errx(1, "READ: short");
	}
}

/* Notes when the measured span begins and ends; true when it is over. */
static int
job_clock(struct job *j, uint64_t start_ns)
{
	uint64_t now = now_ns();

	if (j->begin_ns == 0) {
		if (now - start_ns < j->warm_ns)
			return 0;
		j->begin_ns = now;
		j->begin_done = j->done;
	}
	if (j->end_ns == 0 &&
	    (j->done == j->count ||
		(j->measure_ns != 0 && now - j->begin_ns >= j->measure_ns))) {
		j->end_ns = now;
		j->end_done = j->done;
	}
	return j->end_ns != 0;
}

/* Runs the job; calls under way when the time is over are waited for. */
static void
job_run(struct conn *cn, struct job *j)
{
	uint64_t start_ns = now_ns();
	size_t n, used;
	int whole, over;

	for (;;) {
		over = job_clock(j, start_ns);
		if (over && j->done == j->started)
			return;
		if (!over)
			job_send(cn, j);
		n = conn_recv(cn, j->op);
		for (used = 0; used < n;) {
			used += conn_take(cn, cn->buf + used, n - used, &whole);
			if (whole)
				job_reply(cn, j);
		}
		if (j->answered != NULL && fflush(j->answered) != 0)
			err(1, "numbers of answered calls");
	}
}

static void
job_print(const struct job *j, double cpu_s)
{
	printf("{\"op\":\"%s\",\"inflight\":%u,\"calls\":%llu,"
	       "\"seconds\":%.6f,\"all_calls\":%llu,\"cpu_s\":%.6f}\n",
	    j->op, j->depth, (unsigned long long)(j->end_done - j->begin_done),
	    (double)(j->end_ns - j->begin_ns) / 1e9,
	    (unsigned long long)j->done, cpu_s);
}

static double
cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static const struct {
	const char *name;
	uint32_t proc;
} ops[] = {
    {"read", NFSPROC_READ},
    {"write", NFSPROC_WRITE},
    {"getattr", NFSPROC_GETATTR},
    {"create", NFSPROC_CREATE},
    {"remove", NFSPROC_REMOVE},
};

static uint32_t
op_proc(const char *name)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].name, name) == 0)
			return ops[i].proc;
	errx(2, "no operation %s", name);
}

static void
usage(void)
{
	fprintf(stderr,
	    "usage: nfsbench -s server -e export -o operation "
	    "[-q calls-in-flight]\n"
	    "\t[-n calls] [-t seconds [-w warm-up-seconds]]\n"
	    "\t[-p nfs-port] [-m mount-port] [-M mount-server]\n"
	    "\t[-f file] [-z file-MiB] [-x prefix-of-names] "
	    "[-a answered-numbers]\n"
	    "operations: read write getattr create remove; reads and writes "
	    "are of 1 MiB\n");
	exit(2);
}

static void
options_read(int argc, char **argv, struct options *o, struct job *j)
{
	int ch;

	while (
	    (ch = getopt(argc, argv, "s:e:o:q:n:t:w:p:m:M:f:z:x:a:")) != -1) {
		switch (ch) {
		case 's':
			o->server = optarg;
			break;
		case 'e':
			o->export = optarg;
			break;
		case 'o':
			j->op = optarg;
			break;
		case 'q':
			j->depth = (unsigned int)atoi(optarg);
			break;
		case 'n':
			j->count = strtoull(optarg, NULL, 10);
			break;
		case 't':
			j->measure_ns = (uint64_t)(atof(optarg) * 1e9);
			break;
		case 'w':
			j->warm_ns = (uint64_t)(atof(optarg) * 1e9);
			break;
		case 'p':
			o->port = optarg;
			break;
		case 'm':
			o->mount_port = optarg;
			break;
		case 'M':
			o->mount_server = optarg;
			break;
		case 'f':
			o->file = optarg;
			break;
		case 'z':
			j->filesize = strtoull(optarg, NULL, 10) << 20;
			break;
		case 'x':
			j->prefix = optarg;
			break;
		case 'a':
			if ((j->answered = fopen(optarg, "w")) == NULL)
				err(1, "%s", optarg);
			break;
		default:
			usage();
		}
	}
	if (o->server == NULL || o->export == NULL || j->op == NULL ||
	    j->depth == 0 || j->depth > DEPTH_MAX ||
	    (j->count == UINT64_MAX && j->measure_ns == 0))
		usage();
	if (o->mount_server == NULL)
		o->mount_server = o->server;
	j->proc = op_proc(j->op);
}

int
main(int argc, char **argv)
{
	struct options o = {
	    .port = "2049", .mount_port = "2049", .file = "bench.dat"};
	struct job j = {.depth = 1, .count = UINT64_MAX, .prefix = "n"};
	struct conn cn;
	struct fh root;
	double cpu_s;

	options_read(argc, argv, &o, &j);
	memset(bulk, 'x', sizeof(bulk));
	mount_root(o.mount_server, o.mount_port, o.export, &root);
	conn_open(&cn, o.server, o.port);
	if (j.proc == NFSPROC_CREATE || j.proc == NFSPROC_REMOVE)
		j.fh = root;
	else
		file_open(&cn, &root, o.file, &j.fh);
	cpu_s = cpu_seconds();
	job_run(&cn, &j);
	job_print(&j, cpu_seconds() - cpu_s);
	return 0;
}
