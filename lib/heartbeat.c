/*
 * heartbeat: codec and signature; the contract is in hanfs/heartbeat.h.
 *
 * Owns the translation between struct heartbeat and what rpcgen made from
 * heartbeat.x.  All arrays are given to the XDR routines ready-made and as
 * large as the bounds in the .x: those then allocate nothing, and a count
 * beyond the bound ends the decode.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "hanfs/heartbeat.h"
#include "heartbeat_xdr.h"

_Static_assert(HB_VOLUMES_MAX == HBX_VOLUMES, "bound differs from .x");
_Static_assert(HB_ADDRS_MAX == HBX_ADDRS, "bound differs from .x");
_Static_assert(HB_PEERS_MAX == HBX_PEERS, "bound differs from .x");
_Static_assert(sizeof(struct hb_addr) == 24, "hole in hb_addr");
_Static_assert(
    sizeof(struct hb_volume) == 16 + HB_ADDRS_MAX * 24u, "hole in hb_volume");

/* Storage for one body's arrays. */
struct wire {
	struct hbx_body body;
	struct hbx_volume volumes[HBX_VOLUMES];
	struct hbx_addr addrs[HBX_VOLUMES][HBX_ADDRS];
	struct hbx_peer peers[HBX_PEERS];
	char ip[HBX_VOLUMES][HBX_ADDRS][16];
};

static const char *const state_names[HB_STATES] = {
    [HB_SERVING] = "serving",
    [HB_TAKING_OVER] = "taking-over",
    [HB_DRAINING] = "draining",
    [HB_STANDBY] = "standby",
};

const char *
hb_state_name(unsigned state)
{
	return state < HB_STATES ? state_names[state] : "?";
}

uint64_t
hb_cluster_hash(const char *name)
{
	uint8_t h[crypto_generichash_BYTES_MIN];
	uint64_t v = 0;
	unsigned i;

	crypto_generichash(
	    h, sizeof(h), (const uint8_t *)name, strlen(name), NULL, 0);
	for (i = 0; i < 8; i++)
		v = v << 8 | h[i];
	return v;
}

static void
wire_init(struct wire *w)
{
	unsigned i, j;

	memset(w, 0, sizeof(*w));
	w->body.volumes.volumes_val = w->volumes;
	w->body.peers.peers_val = w->peers;
	for (i = 0; i < HBX_VOLUMES; i++) {
		w->volumes[i].addrs.addrs_val = w->addrs[i];
		for (j = 0; j < HBX_ADDRS; j++)
			w->addrs[i][j].ip.ip_val = w->ip[i][j];
	}
}

static bool
addr_ok(const struct hanfs_addr *a)
{
	return (a->family == 4 || a->family == 6) && a->port != 0;
}

/* The rules that both directions keep, beyond the counts of the .x. */
static bool
heartbeat_ok(const struct heartbeat *hb)
{
	unsigned i, j;

	if (hb->nvolumes > HB_VOLUMES_MAX || hb->npeers > HB_PEERS_MAX)
		return false;
	if (hb->pages == 0 || hb->pages > HB_PAGES_MAX || hb->page >= hb->pages)
		return false;
	if (hb->interval_ms < HB_INTERVAL_MIN ||
	    hb->interval_ms > HB_INTERVAL_MAX)
		return false;
	if (hb->multiplier == 0 || hb->multiplier > HB_MULT_MAX)
		return false;
	for (i = 0; i < hb->nvolumes; i++) {
		const struct hb_volume *v = &hb->volumes[i];

		if (v->state >= HB_STATES || v->naddrs > HB_ADDRS_MAX)
			return false;
		for (j = 0; j < v->naddrs; j++)
			if (!addr_ok(&v->addrs[j].addr))
				return false;
	}
	return true;
}

static void
volume_to_wire(const struct hb_volume *v, struct hbx_volume *x)
{
	unsigned j;

	x->id = v->id;
	x->epoch = v->epoch;
	x->state = v->state;
	x->addrs.addrs_len = v->naddrs;
	for (j = 0; j < v->naddrs; j++) {
		struct hbx_addr *xa = &x->addrs.addrs_val[j];
		const struct hanfs_addr *addr = &v->addrs[j].addr;

		xa->network = v->addrs[j].network;
		xa->port = addr->port;
		xa->ip.ip_len = (unsigned)addr_ip_len(addr);
		memcpy(xa->ip.ip_val, addr->ip, xa->ip.ip_len);
	}
}

static void
to_wire(const struct heartbeat *hb, struct wire *w)
{
	struct hbx_body *b = &w->body;
	unsigned i;

	wire_init(w);
	b->magic = HB_MAGIC;
	b->vers = HB_VERSION;
	b->vers_min = HB_VERSION_MIN;
	b->vers_max = HB_VERSION;
	b->cluster = hb->cluster;
	b->server = hb->server;
	b->network = hb->network;
	b->boot = hb->boot;
	b->sequence = hb->sequence;
	b->interval_ms = hb->interval_ms;
	b->multiplier = hb->multiplier;
	b->table_gen = hb->table_gen;
	b->page = hb->page;
	b->pages = hb->pages;
	b->volumes.volumes_len = hb->nvolumes;
	for (i = 0; i < hb->nvolumes; i++)
		volume_to_wire(&hb->volumes[i], &w->volumes[i]);
	b->peers.peers_len = hb->npeers;
	for (i = 0; i < hb->npeers; i++) {
		w->peers[i].server = hb->peers[i].server;
		w->peers[i].networks = hb->peers[i].networks;
	}
}

/* The prefix and the message, side by side as the signature wants them. */
static size_t
signed_bytes(const uint8_t *msg, size_t len, uint8_t *out)
{
	memcpy(out, HB_SIGN_PREFIX, sizeof(HB_SIGN_PREFIX));
	memcpy(out + sizeof(HB_SIGN_PREFIX), msg, len);
	return sizeof(HB_SIGN_PREFIX) + len;
}

int
hb_encode(const struct heartbeat *hb, const uint8_t *secret, uint8_t *buf)
{
	uint8_t text[sizeof(HB_SIGN_PREFIX) + HB_LEN_MAX];
	struct wire w;
	XDR xdrs;
	unsigned len;

	if (!heartbeat_ok(hb)) {
		errno = EINVAL;
		return -1;
	}
	to_wire(hb, &w);
	xdrmem_create(&xdrs, (char *)buf, HB_LEN_MAX - HB_SIG_LEN, XDR_ENCODE);
	if (!xdr_hbx_body(&xdrs, &w.body)) {
		errno = EMSGSIZE;
		return -1;
	}
	len = xdr_getpos(&xdrs);
	assert(len <= HB_LEN_MAX - HB_SIG_LEN);
	crypto_sign_detached(
	    buf + len, NULL, text, signed_bytes(buf, len, text), secret);
	return (int)(len + HB_SIG_LEN);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static uint64_t
get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

void
hb_peek(const uint8_t *buf, struct hb_head *head)
{
	head->magic = get32(buf);
	head->version = get32(buf + 4);
	head->version_min = get32(buf + 8);
	head->version_max = get32(buf + 12);
	head->cluster = get64(buf + 16);
	head->server = get32(buf + 24);
	head->network = get32(buf + 28);
	head->boot = get64(buf + 32);
	head->sequence = get64(buf + 40);
	head->interval_ms = get32(buf + 48);
	head->multiplier = get32(buf + 52);
}

bool
hb_verify(const uint8_t *buf, size_t len, const uint8_t *key)
{
	uint8_t text[sizeof(HB_SIGN_PREFIX) + HB_LEN_MAX];
	size_t n;

	assert(len >= HB_LEN_MIN && len <= HB_LEN_MAX);
	n = signed_bytes(buf, len - HB_SIG_LEN, text);
	return crypto_sign_verify_detached(
		   buf + len - HB_SIG_LEN, text, n, key) == 0;
}

static int
addr_from_wire(const struct hbx_addr *x, struct hanfs_addr *addr)
{
	if (x->port > UINT16_MAX || (x->ip.ip_len != 4 && x->ip.ip_len != 16))
		return -1;
	addr->family = x->ip.ip_len == 4 ? 4 : 6;
	addr->port = (uint16_t)x->port;
	memcpy(addr->ip, x->ip.ip_val, x->ip.ip_len);
	return 0;
}

/* *v is zeroed. */
static int
volume_from_wire(const struct hbx_volume *x, struct hb_volume *v)
{
	unsigned j;

	if (x->state >= HB_STATES)
		return -1;
	v->id = x->id;
	v->epoch = x->epoch;
	v->state = (uint8_t)x->state;
	v->naddrs = (uint8_t)x->addrs.addrs_len;
	for (j = 0; j < v->naddrs; j++) {
		v->addrs[j].network = x->addrs.addrs_val[j].network;
		if (addr_from_wire(&x->addrs.addrs_val[j], &v->addrs[j].addr) <
		    0)
			return -1;
	}
	return 0;
}

static int
from_wire(const struct wire *w, struct heartbeat *hb)
{
	const struct hbx_body *b = &w->body;
	unsigned i;

	memset(hb, 0, sizeof(*hb));
	hb->version = b->vers;
	hb->version_min = b->vers_min;
	hb->version_max = b->vers_max;
	hb->cluster = b->cluster;
	hb->server = b->server;
	hb->network = b->network;
	hb->boot = b->boot;
	hb->sequence = b->sequence;
	hb->interval_ms = b->interval_ms;
	hb->multiplier = b->multiplier;
	hb->table_gen = b->table_gen;
	hb->page = b->page;
	hb->pages = b->pages;
	hb->nvolumes = b->volumes.volumes_len;
	for (i = 0; i < hb->nvolumes; i++)
		if (volume_from_wire(&w->volumes[i], &hb->volumes[i]) < 0)
			return -1;
	hb->npeers = b->peers.peers_len;
	for (i = 0; i < hb->npeers; i++) {
		hb->peers[i].server = w->peers[i].server;
		hb->peers[i].networks = w->peers[i].networks;
	}
	return 0;
}

int
hb_decode(const uint8_t *buf, size_t len, struct heartbeat *hb)
{
	struct wire w;
	XDR xdrs;

	if (len < HB_LEN_MIN || len > HB_LEN_MAX)
		return -1;
	wire_init(&w);
	xdrmem_create(&xdrs, (char *)(uintptr_t)buf,
	    (unsigned)(len - HB_SIG_LEN), XDR_DECODE);
	if (!xdr_hbx_body(&xdrs, &w.body))
		return -1;
	if (w.body.magic != HB_MAGIC || from_wire(&w, hb) < 0)
		return -1;
	if (!heartbeat_ok(hb))
		return -1;
	/* Only a later version may go on after the last field. */
	if (xdr_getpos(&xdrs) != len - HB_SIG_LEN && hb->version <= HB_VERSION)
		return -1;
	return 0;
}

/* XDR lengths, RFC 4506: everything in units of 4. */
static unsigned
volume_len(const struct hb_volume *v)
{
	unsigned j, n = 4 + 8 + 4 + 4;

	for (j = 0; j < v->naddrs; j++)
		n += 4 + 4 + 4 + (unsigned)addr_ip_len(&v->addrs[j].addr);
	return n;
}

unsigned
hb_page_fill(const struct hb_volume *v, unsigned n, unsigned npeers)
{
	unsigned room = HB_LEN_MAX - HB_LEN_MIN - 8 * npeers;
	unsigned i;

	assert(npeers <= HB_PEERS_MAX);
	for (i = 0; i < n && i < HB_VOLUMES_MAX; i++) {
		unsigned len = volume_len(&v[i]);

		if (len > room)
			break;
		room -= len;
	}
	return i;
}
