/*
 * The side of the kernel's NFS client: connections, calls coming in, replies
 * going out, and which of those the kernel has taken. listen.c accepts them.
 *
 * A connection is closed from here only when its peer talks nonsense. What
 * happens to servers and networks never closes it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "hanfs/log.h"

#include "proxy.h"

/* Replies queued to one kernel connection: beyond HIGH no more are read. */
enum { OUT_HIGH = 8 << 20, OUT_LOW = 2 << 20 };
enum { RECORDS_HIGH = 512, RECORDS_LOW = 128 };
enum { READ_BUDGET = 64 }; /* records for each turn of the loop */

static struct log_limit sense_limit = LOG_LIMIT_INIT(3, 60000);

static void
nonsense(struct kernel_conn *kc, const char *what)
{
	struct proxy *p = kc->w.p;

	p->count.nonsense++;
	log_limited(&sense_limit, proxy_now(p), LOG_LEVEL_WARN,
	    "volume %s: a local peer sent %s; its connection is closed",
	    proxy_volume_name(p, kc->volume), what);
	kc->dead = true;
}

static void
answer(struct kernel_conn *kc, uint32_t xid, enum rpc_answer what,
    uint32_t low, uint32_t high)
{
	struct proxy *p = kc->w.p;
	uint8_t buf[RPC_ANSWER_MAX];
	size_t len = rpc_answer_write(buf, xid, what, low, high);
	struct rec *r = rec_from(p->replies, buf, len);

	if (r == NULL) {
		nonsense(kc, "more bad calls than can be answered");
		return;
	}
	p->count.answered_here++;
	wire_put(&kc->w, r);
	rec_unref(r);
}

/* One call. False when it cannot be taken now: it stays in kc->stalled. */
static bool
take_call(struct kernel_conn *kc, struct rec *r)
{
	struct proxy *p = kc->w.p;
	enum rpc_answer what = RPC_ANSWER_SYSTEM_ERR;
	uint32_t low = 0, high = 0;
	struct call_info info;

	if (r->head_len < r->len && r->head_len < CALL_HEAD_MIN) {
		nonsense(kc, "a call in tiny fragments");
		rec_unref(r);
		return true;
	}
	switch (call_look(p->who.client, rec_head(r), r->head_len, r->len,
	    &info, &what, &low, &high)) {
	case CALL_FORWARD:
		break;
	case CALL_ANSWER:
		answer(kc, info.rpc.xid, what, low, high);
		rec_unref(r);
		return true;
	case CALL_DROP:
		nonsense(kc, "a record that is no call");
		rec_unref(r);
		return true;
	}
	switch (px_call(p->px, kc->k, &info, r, proxy_now(p))) {
	case PX_TOOK:
		return true;
	case PX_DUPLICATE:
		break;
	case PX_CLASH:
		nonsense(kc, "two calls with one XID");
		break;
	case PX_FULL:
		kc->stalled = r;
		return false;
	}
	rec_unref(r);
	return true;
}

/*
 * A long call may leave while it is still coming in: the agent acts on whole
 * records alone. Whatever is odd about it is seen to when it is whole.
 */
static enum kernel_begun
begin_call(struct kernel_conn *kc, struct rec *r)
{
	struct proxy *p = kc->w.p;
	enum rpc_answer what;
	uint32_t low, high;
	struct call_info info;

	if (call_look(p->who.client, rec_head(r), r->head_len, rec_total(r),
		&info, &what, &low, &high) != CALL_FORWARD)
		return BEGUN_LATER;
	/* One reference is the core's, the reader has its own. */
	switch (px_call(p->px, kc->k, &info, rec_ref(r), proxy_now(p))) {
	case PX_TOOK:
		return BEGUN_TAKEN;
	case PX_DUPLICATE:
		rec_unref(r);
		return BEGUN_IGNORED;
	case PX_CLASH:
	case PX_FULL:
		break;
	}
	rec_unref(r);
	return BEGUN_LATER;
}

/* The socket has no more now. */
static void
look_at_begun(struct kernel_conn *kc)
{
	struct rec *r = rec_reader_begun(&kc->w.in);

	if (r != NULL && kc->begun == BEGUN_NOT)
		kc->begun = begin_call(kc, r);
	if (kc->begun == BEGUN_TAKEN)
		upstream_more(kc->w.p, kc->k);
}

/* A whole call. False when it cannot be taken now. */
static bool
end_call(struct kernel_conn *kc, struct rec *r)
{
	enum kernel_begun begun = kc->begun;

	kc->begun = BEGUN_NOT;
	if (begun == BEGUN_NOT || begun == BEGUN_LATER)
		return take_call(kc, r);
	rec_unref(r);
	if (begun == BEGUN_TAKEN)
		upstream_more(kc->w.p, kc->k);
	return true;
}

static const char *
why_ended(enum rec_result res)
{
	switch (res) {
	case REC_CUT:
		return "half a record and closed";
	case REC_BAD:
		return "a record over the length that is allowed";
	default:
		return NULL;
	}
}

static void
read_calls(struct kernel_conn *kc)
{
	struct rec *r;

	if (kc->stalled != NULL) {
		r = kc->stalled;
		kc->stalled = NULL;
		if (!take_call(kc, r)) {
			wire_pause(&kc->w);
			return;
		}
	}
	for (int i = 0; i < READ_BUDGET && !kc->dead; i++) {
		enum rec_result res = rec_reader_run(&kc->w.in, kc->w.fd, &r);

		if (res == REC_AGAIN) {
			look_at_begun(kc);
			return;
		}
		if (res == REC_WAIT || (res == REC_DONE && !end_call(kc, r))) {
			wire_pause(&kc->w);
			return;
		}
		if (res == REC_DONE)
			continue;
		if (why_ended(res) != NULL)
			nonsense(kc, why_ended(res));
		kc->dead = true;
		return;
	}
	/* Read ahead there may be more, which the socket does not know. */
	if (!kc->dead)
		event_active(&kc->w.ev_read, EV_READ, 0);
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
	struct kernel_conn *kc = arg;
	struct proxy *p = kc->w.p;

	(void)fd;
	(void)what;
	if (!kc->w.paused && !kc->dead)
		read_calls(kc);
	proxy_settle(p);
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	struct kernel_conn *kc = arg;
	struct proxy *p = kc->w.p;

	(void)fd;
	(void)what;
	if (!kc->dead && wire_flush(&kc->w) == -1)
		kc->dead = true;
	proxy_settle(p);
}

static void
write_failed(struct wire *w, int error)
{
	struct kernel_conn *kc = (struct kernel_conn *)w;

	(void)error;
	kc->dead = true;
}

struct kernel_conn *
kernel_conn_new(struct proxy *p, uint32_t volume, int fd)
{
	struct kernel_conn *kc = calloc(1, sizeof(*kc));
	int one = 1;

	if (kc == NULL)
		return NULL;
	kc->id = ++p->kconn_ids;
	kc->volume = volume;
	kc->k = px_kconn_open(p->px, volume, kc->id, kc, proxy_now(p));
	if (kc->k == NULL) {
		free(kc);
		return NULL;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	wire_open(&kc->w, p, fd, p->calls, REC_STORE_CHUNKS, on_read, on_write,
	    write_failed);
	kc->next = p->kernels;
	p->kernels = kc;
	p->count.accepted++;
	log_info("volume %s: connection %llu from the kernel's client",
	    proxy_volume_name(p, kc->volume), (unsigned long long)kc->id);
	return kc;
}

static void
conn_free(struct kernel_conn *kc)
{
	struct proxy *p = kc->w.p;

	log_info("volume %s: connection %llu ended",
	    proxy_volume_name(p, kc->volume), (unsigned long long)kc->id);
	kernel_acks_last(kc);
	rec_unref(kc->stalled);
	wire_close(&kc->w, false);
	kc->k->user = NULL;
	px_kconn_close(p->px, kc->k, proxy_now(p));
	free(kc);
}

void
kernel_sweep(struct proxy *p)
{
	for (struct kernel_conn **at = &p->kernels, *kc; (kc = *at) != NULL;) {
		if (!kc->dead) {
			at = &kc->next;
			continue;
		}
		*at = kc->next;
		conn_free(kc);
	}
}

void
kernel_unchoke(struct proxy *p)
{
	for (struct kernel_conn *kc = p->kernels; kc != NULL; kc = kc->next)
		if (kc->choked && kc->w.out.queued < OUT_LOW &&
		    kc->w.out.records < RECORDS_LOW) {
			kc->choked = false;
			upstream_resume(p, kc->k);
		}
}

void
kernel_end(struct proxy *p)
{
	kernel_listen_end(p);
	for (struct kernel_conn *kc = p->kernels; kc != NULL; kc = kc->next)
		kc->dead = true;
	kernel_sweep(p);
}

void
kernel_resume(struct proxy *p)
{
	for (struct kernel_conn *kc = p->kernels; kc != NULL; kc = kc->next)
		wire_resume(&kc->w);
}

/* Remembers a reply whose call the agent keeps until we name it. */
static void
note_taken(struct kernel_conn *kc, uint32_t xid, uint64_t at)
{
	struct taken *t;

	if (kc->taken_n == TAKEN_MAX) { /* the agent will let it expire */
		kc->taken_at = (kc->taken_at + 1) % TAKEN_MAX;
		kc->taken_n--;
		kc->w.p->count.taken_lost++;
	}
	t = &kc->taken[(kc->taken_at + kc->taken_n++) % TAKEN_MAX];
	t->xid = xid;
	t->at = at;
}

void
kernel_reply(struct kernel_conn *kc, struct rec *r,
    const struct px_answered *a)
{
	wire_put(&kc->w, r);
	rec_unref(r);
	if (a->class != CALL_PASSED)
		note_taken(kc, a->id.xid,
		    kc->w.out.bytes + kc->w.out.queued);
	if (kc->w.out.queued > OUT_HIGH || kc->w.out.records > RECORDS_HIGH)
		kc->choked = true;
}

void
kernel_taken_again(struct proxy *p, uint64_t kconn_id, const uint32_t *xids,
    uint32_t n)
{
	struct kernel_conn *kc = p->kernels;

	while (kc != NULL && kc->id != kconn_id)
		kc = kc->next;
	for (uint32_t i = 0; kc != NULL && i < n; i++)
		note_taken(kc, xids[i], kc->w.out.bytes);
}
