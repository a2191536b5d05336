/* Shared disks and mounts of them. See disk.h. */
#include <assert.h>
#include <string.h>

#include "disk.h"
#include "world.h"

bool
disk_reached(const struct world *w, uint32_t volume, uint32_t server)
{
	const struct disk *d = &w->disk[volume];

	return d->path_dead[server] == 0 && !w->server[server].off;
}

uint64_t
disk_latency(struct world *w, uint32_t volume)
{
	const struct disk *d = &w->disk[volume];
	uint64_t t = rnd_between(w, 80, 600);

	return w->now < d->slow_until ? t + rnd_between(w, 0, d->slow) : t;
}

bool
disk_write(struct world *w, uint32_t volume, uint32_t server, uint64_t epoch)
{
	struct disk *d = &w->disk[volume];

	if (!disk_reached(w, volume, server) || d->fenced[server])
		return false;
	if (epoch > d->epoch) {
		d->epoch = epoch;
		d->writer = server;
	} else if (epoch < d->epoch || server != d->writer) {
		broken(w, I1,
		    "s%u wrote to volume %u as of epoch %llu, after s%u did "
		    "as of epoch %llu",
		    server + 1, volume, (unsigned long long)epoch,
		    d->writer + 1, (unsigned long long)d->epoch);
	}
	return true;
}

/* --- mounts */

/* What a cut leaves: the durable part and some more. */
static void
play_back(struct mount *m)
{
	struct fs *fs = m->fs;
	uint64_t pos = fs->durable, lost = fs->end - pos;

	/* Data that was on its way may have come through. */
	for (uint32_t i = 1; i < fs->ninodes; i++)
		if (fs->inode[i].dirty && chance(m->w, 300)) {
			fs_step(fs);
			fs_flush(fs, i);
		}
	if (chance(m->w, 700))
		pos = rnd_between(m->w, fs->durable, fs->end);
	else if (chance(m->w, 500))
		pos = fs->end;
	tell(m->w,
	    "volume %u: journal played back to %llu of %llu (durable "
	    "%llu)",
	    m->volume, (unsigned long long)pos, (unsigned long long)fs->end,
	    (unsigned long long)(fs->end - lost));
	check_cut(m, pos);
	fs_cut(fs, pos);
}

struct mount *
disk_mount(struct world *w, uint32_t volume, uint32_t server, uint64_t epoch)
{
	struct disk *d = &w->disk[volume];
	struct mount *m, *old = d->mount;
	bool here;

	if (!disk_reached(w, volume, server) || d->fenced[server])
		return NULL;
	for (m = w->server[server].mounts; m != NULL; m = m->next)
		if (m->volume == volume && !m->gone && m->stale)
			broken(w, I1,
			    "s%u uses its old mount of volume %u, of epoch "
			    "%llu, as if nobody had had it since",
			    server + 1, volume, (unsigned long long)m->epoch);
	m = sim_alloc(w, sizeof(*m));
	m->w = w;
	m->volume = volume;
	m->server = server;
	m->epoch = epoch;
	m->next = w->server[server].mounts;
	/* It is still mounted here, from an earlier life of the agent. */
	here = old->server == server && !old->gone && !old->stale;
	m->fs = old->clean || here ? old->fs : fs_copy(old->fs);
	if (here) {
		m->nruns = old->nruns;
		m->runs = old->runs;
		m->runs_room = old->runs_room;
		m->failed = old->failed;
		old->gone = true;
	} else if (!old->gone) {
		tell(w, "volume %u: mounted on s%u, still so on s%u", volume,
		    server + 1, old->server + 1);
		old->stale = true;
	}
	if (m->fs != old->fs) {
		m->nruns = old->nruns;
		m->runs = old->runs;
		m->runs_room = old->nruns; /* shared until it grows */
		play_back(m);
		m->nruns = m->runs_room = 0;
		m->runs = NULL;
	}
	/* The superblock, the journal's start. */
	if (!disk_write(w, volume, server, epoch))
		return NULL;
	d->mount = m;
	w->server[server].mounts = m;
	w->doubts[volume]++;
	at(w, rnd_between(w, 100 * MS, 3 * SEC), EV_WRITEBACK, m, 0);
	return m;
}

static void
landed(struct mount *m, uint64_t pos)
{
	uint32_t n = 0;

	fs_durable(m->fs, pos);
	for (uint32_t i = 0; i < m->nruns; i++)
		if (m->runs[i]->last > m->fs->durable)
			m->runs[n++] = m->runs[i];
	m->nruns = n;
}

bool
disk_unmount(struct mount *m)
{
	bool good;

	assert(!m->gone);
	for (uint32_t i = 1; i < m->fs->ninodes; i++)
		if (m->fs->inode[i].dirty) {
			fs_step(m->fs);
			fs_flush(m->fs, i);
		}
	good = !m->failed && disk_write(m->w, m->volume, m->server, m->epoch);
	if (good && !m->stale)
		landed(m, m->fs->end);
	m->gone = true;
	m->clean = good;
	return good;
}

void
mount_sync(struct mount *m, void *obj, void (*done)(void *obj, bool))
{
	struct sync *s = sim_alloc(m->w, sizeof(*s));

	*s = (struct sync){m, m->fs->end, obj, done};
	at(m->w, disk_latency(m->w, m->volume), EV_SYNCED, s, 0);
}

void
mount_on_synced(void *obj)
{
	struct sync *s = obj;
	struct mount *m = s->m;
	bool good;

	if (m->w->server[m->server].off || (m->gone && s->done == NULL))
		return;
	good = !m->gone && !m->failed &&
	       disk_write(m->w, m->volume, m->server, m->epoch);
	if (good && !m->stale)
		landed(m, s->pos);
	else if (!good)
		m->failed = true; /* errors=remount-ro, and forced shutdown */
	if (s->done != NULL)
		s->done(s->obj, good);
}

/* The kernel writes back what it has, whatever its processes do. */
void
mount_on_writeback(struct mount *m)
{
	if (m->gone || m->failed)
		return;
	for (uint32_t i = 1; i < m->fs->ninodes; i++)
		if (m->fs->inode[i].dirty && chance(m->w, 500)) {
			fs_step(m->fs);
			fs_flush(m->fs, i);
		}
	if (m->fs->end > m->fs->durable)
		mount_sync(m, NULL, NULL);
	at(m->w, rnd_between(m->w, 200 * MS, 5 * SEC), EV_WRITEBACK, m, 0);
}
