/*
 * The shared disks: who can reach them, what a write takes, what was written
 * by whom (the oracle of I1), mounts of the file systems on them. disk.c
 */
#ifndef HANFS_SIM_DISK_H
#define HANFS_SIM_DISK_H

#include "fs.h"

struct run;

/* A volume's disk. */
struct disk {
	bool fenced[SERVERS];        /* no write of it is accepted */
	uint32_t path_dead[SERVERS]; /* so many faults */
	uint64_t slow_until, slow;   /* a write takes so much longer */
	/* the first write of the newest epoch was accepted from */
	uint64_t epoch;
	uint32_t writer;
	struct mount *mount; /* the last one; its file system is the disk's */
};

/* A file system as one host has it mounted. */
struct mount {
	struct mount *next; /* of its host's */
	struct world *w;
	uint32_t volume, server;
	uint64_t epoch;
	struct fs *fs;
	bool gone;         /* unmounted, or its host is */
	bool clean;        /* all was written back before */
	bool stale;        /* another host has mounted the same disk since */
	bool failed;       /* a commit did: it is shut down */
	struct run **runs; /* of calls, that are not durable yet */
	uint32_t nruns, runs_room;
};

struct sync {
	struct mount *m;
	uint64_t pos;
	void *obj;
	void (*done)(void *obj, bool good);
};

bool disk_reached(const struct world *w, uint32_t volume, uint32_t server);
uint64_t disk_latency(struct world *w, uint32_t volume);
/* A write by that owner arrives. False: an error. */
bool disk_write(
    struct world *w, uint32_t volume, uint32_t server, uint64_t epoch);

/* The journal is played back if it has to be. NULL: not reached. */
struct mount *disk_mount(
    struct world *w, uint32_t volume, uint32_t server, uint64_t epoch);
/* All is written back first. False: that failed; it is gone all the same. */
bool disk_unmount(struct mount *m);
/* Makes all that was done in it durable; done is told, unless the host is
 * gone by then. */
void mount_sync(struct mount *m, void *obj, void (*done)(void *obj, bool));
void mount_on_synced(void *sync);
void mount_on_writeback(struct mount *m);

#endif
