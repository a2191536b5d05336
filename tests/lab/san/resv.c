/*
 * Persistent reservations: SPC-4 section 5.9, of which a fence needs
 * register, reserve, release, clear, preempt.  A host is one I_T nexus.
 */
#include "san.h"

void
resv_init(struct resv *r)
{
	*r = (struct resv){.holder = -1};
}

static bool
all_registrants(unsigned type)
{
	return type == RESV_WRITE_ALL || type == RESV_EXCLUSIVE_ALL;
}

static bool
registrants_only(unsigned type)
{
	return type == RESV_WRITE_REGISTRANTS ||
	       type == RESV_EXCLUSIVE_REGISTRANTS || all_registrants(type);
}

static bool
write_only(unsigned type)
{
	return type == RESV_WRITE_EXCLUSIVE || type == RESV_WRITE_ALL ||
	       type == RESV_WRITE_REGISTRANTS;
}

static bool
valid_type(unsigned type)
{
	return type == RESV_WRITE_EXCLUSIVE || type == RESV_EXCLUSIVE ||
	       registrants_only(type);
}

bool
resv_allows(const struct resv *r, unsigned host, bool write)
{
	if (r->holder < 0 || r->holder == (int)host)
		return true;
	if (!write && write_only(r->type))
		return true;
	return registrants_only(r->type) && r->key[host] != 0;
}

static void
free_reservation(struct resv *r)
{
	r->holder = -1;
	r->type = 0;
}

/* A registration ends; with the holder's, its reservation. */
static void
unregister(struct resv *r, unsigned host)
{
	r->key[host] = 0;
	if (r->holder != (int)host)
		return;
	r->holder = -1;
	for (unsigned i = 0; i < HOSTS_MAX; i++)
		if (all_registrants(r->type) && r->key[i] != 0)
			r->holder = (int)i;
	if (r->holder < 0)
		r->type = 0;
}

int
resv_register(
    struct resv *r, unsigned host, uint64_t own, uint64_t key, bool ignore)
{
	if (!ignore && own != r->key[host])
		return -1;
	r->generation++;
	if (key == 0)
		unregister(r, host);
	else
		r->key[host] = key;
	return 0;
}

static bool
registered(const struct resv *r, unsigned host, uint64_t own)
{
	return own != 0 && r->key[host] == own;
}

int
resv_reserve(struct resv *r, unsigned host, uint64_t own, unsigned type)
{
	if (!registered(r, host, own) || !valid_type(type))
		return -1;
	if (r->holder >= 0 && (r->holder != (int)host || r->type != type))
		return -1;
	r->holder = (int)host;
	r->type = type;
	return 0;
}

int
resv_release(struct resv *r, unsigned host, uint64_t own, unsigned type)
{
	if (!registered(r, host, own))
		return -1;
	if (r->holder != (int)host)
		return 0; /* SPC-4: nothing to do is no error */
	if (r->type != type)
		return -1;
	free_reservation(r);
	return 0;
}

int
resv_clear(struct resv *r, unsigned host, uint64_t own)
{
	if (!registered(r, host, own))
		return -1;
	r->generation++;
	free_reservation(r);
	for (unsigned i = 0; i < HOSTS_MAX; i++)
		r->key[i] = 0;
	return 0;
}

/*
 * Those registered with the victim's key are so no more; the reservation,
 * if it was theirs, is the preempting host's. A key that nobody has is a
 * conflict; 0 means all others, and only with an all-registrants type.
 */
int
resv_preempt(
    struct resv *r, unsigned host, uint64_t own, uint64_t victim, unsigned type)
{
	bool takes, found = false;

	if (!registered(r, host, own) || !valid_type(type))
		return -1;
	if (victim == 0 && (r->holder < 0 || !all_registrants(r->type)))
		return -1;
	takes = r->holder >= 0 && (victim == 0 || r->key[r->holder] == victim);
	for (unsigned i = 0; i < HOSTS_MAX; i++) {
		if (r->key[i] == 0 || (victim != 0 && r->key[i] != victim))
			continue;
		found = true;
		if (i != host)
			r->key[i] = 0;
	}
	if (!found)
		return -1;
	r->generation++;
	if (takes) {
		r->holder = (int)host;
		r->type = type;
	}
	return 0;
}
