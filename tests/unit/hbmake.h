/* A key pair, a typical heartbeat and its bytes, for tests of both ends. */
#ifndef HANFS_TESTS_HBMAKE_H
#define HANFS_TESTS_HBMAKE_H

#include <string.h>

#include <sodium.h>

#include "hanfs/heartbeat.h"

struct hbmake_key {
	uint8_t public[HB_KEY_LEN];
	uint8_t secret[HB_SECRET_LEN];
};

/* The same number gives the same keys. */
static inline void
hbmake_key(struct hbmake_key *k, uint8_t number)
{
	uint8_t seed[crypto_sign_SEEDBYTES] = {number};

	crypto_sign_seed_keypair(k->public, k->secret, seed);
}

static inline void
hbmake_volume(struct hb_volume *v, uint32_t id, unsigned naddrs)
{
	unsigned i;

	memset(v, 0, sizeof(*v));
	v->id = id;
	v->epoch = 7000000000u + id;
	v->state = id % HB_STATES;
	v->naddrs = (uint8_t)naddrs;
	for (i = 0; i < naddrs; i++) {
		v->addrs[i].network = i + 1;
		v->addrs[i].addr.port = 2049;
		v->addrs[i].addr.family = i % 2 ? 6 : 4;
		memset(v->addrs[i].addr.ip, (int)(10 + i), i % 2 ? 16 : 4);
	}
}

/* Server 1 on network 1, cluster "test", two volumes, two peers. */
static inline void
hbmake_typical(struct heartbeat *hb)
{
	memset(hb, 0, sizeof(*hb));
	hb->version = hb->version_max = HB_VERSION;
	hb->version_min = HB_VERSION_MIN;
	hb->cluster = hb_cluster_hash("test");
	hb->server = 1;
	hb->network = 1;
	hb->boot = 5;
	hb->sequence = 100;
	hb->interval_ms = 50;
	hb->multiplier = 3;
	hb->table_gen = 9;
	hb->pages = 1;
	hb->nvolumes = 2;
	hbmake_volume(&hb->volumes[0], 1, 2);
	hbmake_volume(&hb->volumes[1], 2, 2);
	hb->npeers = 2;
	hb->peers[0] = (struct hb_peer){2, 0x3};
	hb->peers[1] = (struct hb_peer){3, 0x1};
}

#endif
