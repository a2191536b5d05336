/* hbtable: the contract is in hbtable.h. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "hbtable.h"

_Static_assert(HBTABLE_VOLUMES_MAX <= HB_PAGES_MAX, "pages may not suffice");

static void
cut_pages(struct hbtable *t)
{
	unsigned at = 0;

	t->npages = 0;
	do {
		t->first[t->npages++] = at;
		at +=
		    hb_page_fill(t->volumes + at, t->nvolumes - at, t->npeers);
	} while (at < t->nvolumes);
	t->first[t->npages] = at;
	t->gen++;
}

void
hbtable_init(struct hbtable *t)
{
	memset(t, 0, sizeof(*t));
	cut_pages(t);
}

static bool
volume_ok(const struct hb_volume *v)
{
	unsigned i;

	if (v->state >= HB_STATES || v->naddrs > HB_ADDRS_MAX)
		return false;
	for (i = 0; i < v->naddrs; i++)
		if (addr_ip_len(&v->addrs[i].addr) == 0 ||
		    v->addrs[i].addr.port == 0)
			return false;
	return true;
}

int
hbtable_set_volumes(struct hbtable *t, const struct hb_volume *v, unsigned n)
{
	unsigned i;

	errno = EINVAL;
	if (n > HBTABLE_VOLUMES_MAX)
		return -1;
	for (i = 0; i < n; i++)
		if (!volume_ok(&v[i]))
			return -1;
	if (n == t->nvolumes && memcmp(t->volumes, v, n * sizeof(*v)) == 0)
		return 0;
	memcpy(t->volumes, v, n * sizeof(*v));
	t->nvolumes = n;
	cut_pages(t);
	return 1;
}

int
hbtable_set_peers(struct hbtable *t, const struct hb_peer *p, unsigned n)
{
	if (n > HB_PEERS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (n == t->npeers && memcmp(t->peers, p, n * sizeof(*p)) == 0)
		return 0;
	memcpy(t->peers, p, n * sizeof(*p));
	t->npeers = n;
	cut_pages(t);
	return 1;
}

void
hbtable_fill(const struct hbtable *t, unsigned page, struct heartbeat *hb)
{
	unsigned first, n;

	assert(page < t->npages);
	first = t->first[page];
	n = t->first[page + 1] - first;
	hb->table_gen = t->gen;
	hb->page = page;
	hb->pages = t->npages;
	hb->nvolumes = n;
	memcpy(hb->volumes, t->volumes + first, n * sizeof(hb->volumes[0]));
	hb->npeers = t->npeers;
	memcpy(hb->peers, t->peers, t->npeers * sizeof(hb->peers[0]));
}
