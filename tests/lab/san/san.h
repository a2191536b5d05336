/*
 * san: the shared disks of the lab, one file for each host and volume.
 *
 * One process holds the content of every volume's disk and control area and
 * shows it to each host as files of its own, through FUSE:
 *
 *	DIRECTORY/HOST/VOLUME.img	the disk
 *	DIRECTORY/HOST/VOLUME.ctl	the control area
 *	DIRECTORY/HOST/watchdog		the host's watchdog device
 *
 * A host puts a loop device with direct I/O on its file.  Between the file
 * and the content stands the host's *port* to the volume, where all that can
 * happen to a disk's path happens: it is cut, dead, slow, stalled, read-only
 * or reserved by others.  Every write is logged with its host, place, epoch
 * and whether the disk took it: the tests' oracle of who wrote when.
 *
 *	main.c	options, sessions, the end
 *	fs.c	FUSE: requests of one host
 *	port.c	what a request meets on its way; cut and heal
 *	cache.c	writes that no flush has followed, if they are to be lost
 *	resv.c	SCSI-3 persistent reservations of a volume, as SPC-4 has them
 *	lease.c	the epoch that a host writes in
 *	dog.c	a host's watchdog
 *	log.c	the log of writes
 *	ctl.c	the line protocol on a UNIX socket (see there)
 *
 * It shares no code with hanfs, on purpose; it knows where in the control
 * area a lease's epoch stands.
 */
#ifndef SAN_H
#define SAN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
	NAME_LEN = 32,
	HOSTS_MAX = 8,
	VOLUMES_MAX = 8,
	SECTOR = 512,
	PAGE = 4096,
	IO_MAX = 1 << 20, /* bytes of one request */
};

enum area { AREA_DISK, AREA_CONTROL, AREAS };

/* What became of a write; names in log.c. */
enum verdict {
	WRITE_TAKEN,
	WRITE_CUT,      /* the host's port is cut */
	WRITE_DEAD,     /* its path is dead */
	WRITE_READONLY, /* the disk takes no writes from it */
	WRITE_RESERVED, /* another one's reservation */
	WRITE_TORN,     /* landed in part, at a cut */
	WRITE_LOST,     /* was taken, and lost before its flush, at a cut */
	WRITE_FAILED,   /* the store itself failed */
	VERDICTS,
};

/* -- resv.c: pure; what a reservation allows -- */

struct resv {
	uint32_t generation;
	uint64_t key[HOSTS_MAX]; /* by host; 0: not registered */
	int holder;              /* host, or -1 */
	unsigned type;           /* of the reservation, while there is one */
};

enum resv_type { /* SPC-4 table 67 */
	RESV_WRITE_EXCLUSIVE = 1,
	RESV_EXCLUSIVE = 3,
	RESV_WRITE_REGISTRANTS = 5,
	RESV_EXCLUSIVE_REGISTRANTS = 6,
	RESV_WRITE_ALL = 7,
	RESV_EXCLUSIVE_ALL = 8,
};

void resv_init(struct resv *r);
bool resv_allows(const struct resv *r, unsigned host, bool write);
/* Each is 0, or -1: reservation conflict. `own` is the key the host says it
 * has; resv_register with `ignore` does not ask for it. */
int resv_register(
    struct resv *r, unsigned host, uint64_t own, uint64_t key, bool ignore);
int resv_reserve(struct resv *r, unsigned host, uint64_t own, unsigned type);
int resv_release(struct resv *r, unsigned host, uint64_t own, unsigned type);
int resv_clear(struct resv *r, unsigned host, uint64_t own);
int resv_preempt(struct resv *r, unsigned host, uint64_t own, uint64_t victim,
    unsigned type);

/* -- cache.c -- */

struct volume {
	char name[NAME_LEN];
	int fd[AREAS]; /* the store: a file, sparse, maybe in memory */
	uint64_t size[AREAS];
	/* Of the disk; the control area is a LUN of its own, and has none.
	 * All ports' locks are held to change it. */
	struct resv resv;
};

struct page;

struct cache {
	struct page **bucket; /* NULL: off */
	size_t pages;
	pthread_mutex_t lock;
};

void cache_init(struct cache *c);
bool cache_is_on(const struct cache *c);
void cache_on(struct cache *c);
/* Destages all and is off from then on. */
int cache_off(struct cache *c, struct volume *v);
int cache_write(struct cache *c, struct volume *v, enum area area,
    const char *buf, size_t len, uint64_t offset);
/* Reads the store with the cache over it. */
int cache_read(struct cache *c, struct volume *v, enum area area, char *buf,
    size_t len, uint64_t offset);
int cache_flush(struct cache *c, struct volume *v);
/* Drops pages, `percent` of them, and destages the others. Tells each. */
typedef void cache_lost(void *arg, enum area area, uint64_t offset);
void cache_drop(struct cache *c, struct volume *v, unsigned percent,
    cache_lost *lost, void *arg);

int store_read(
    struct volume *v, enum area area, char *buf, size_t len, uint64_t offset);
int store_write(struct volume *v, enum area area, const char *buf, size_t len,
    uint64_t offset);

/* -- port.c -- */

enum port_state { PORT_UP, PORT_CUTTING, PORT_CUT };

struct port {
	struct san *san;
	unsigned host;
	struct volume *volume;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t change;
	enum port_state state;
	bool dead, stalled, readonly, torn;
	unsigned lose;        /* percent of unflushed pages, at a cut */
	unsigned delay_ms[2]; /* of a read, of a write */
	uint64_t rate;        /* bytes a second; 0: as fast as it goes */
	int64_t rate_free_us; /* when the next request may begin */
	unsigned inside;      /* requests that have arrived */
	unsigned running;     /* and are past every obstacle */
	uint64_t epoch;       /* of the host's ownership */
	uint64_t reads, writes, flushes, refused;
	struct cache cache;
};

void port_init(struct port *p);
/* A request; 0 or an errno value. */
int port_write(struct port *p, enum area area, const char *buf, size_t len,
    uint64_t offset);
int port_read(
    struct port *p, enum area area, char *buf, size_t len, uint64_t offset);
int port_flush(struct port *p, enum area area);

/* Once it returns, no write of the host lands any more; what was under way
 * has landed or never will. */
void port_cut(struct port *p);
/* All faults end; reservations stay. */
void port_heal(struct port *p);
int port_lose(struct port *p, unsigned percent);
/* Changes the reservations of a volume under all its ports' locks, and
 * returns when no write that is now forbidden is still running. */
int port_reserve(struct san *san, struct volume *v,
    int (*change)(struct resv *r, const void *arg), const void *arg);

/* -- lease.c -- */

/* Is this a lease that says "held"? Then *epoch is which. */
bool lease_epoch(const char *buf, size_t len, uint64_t offset, uint64_t *epoch);

/* -- log.c -- */

int64_t now_us(void); /* CLOCK_MONOTONIC */
int log_open(const char *path);
void log_write(const struct port *p, enum area area, uint64_t offset,
    size_t len, int64_t began_us, enum verdict verdict);
void log_note(const char *text);
void log_flush(void);

/* -- dog.c -- */

struct dog {
	pthread_mutex_t lock; /* of what follows */
	bool opened, armed, fired, may_stop;
	int timeout_s;
	int64_t due_us;
	unsigned long fed;
	uint64_t life; /* of the host: what was opened in another is void */
};

struct san;
int dog_start(struct san *san); /* all of them */
/* Each 0 or an errno value. */
int dog_open(struct dog *d, uint64_t *life);
int dog_write(struct dog *d, const char *buf, size_t len);
int dog_control(
    struct dog *d, unsigned command, const void *in, void *out, size_t *len);
void dog_close(struct dog *d, uint64_t life);
/* The host is off, or has been: as it is before anybody opens it. */
void dog_power_off(struct dog *d);
void dog_show(struct dog *d, const char *host, FILE *out);

/* -- the whole -- */

struct session {
	struct san *san;
	unsigned host;
	struct fuse_session *fuse;
	char mountpoint[256];
	pthread_t thread;
};

struct san {
	unsigned hosts_n, volumes_n;
	char hosts[HOSTS_MAX][NAME_LEN];
	struct volume volumes[VOLUMES_MAX];
	struct port ports[HOSTS_MAX][VOLUMES_MAX];
	struct session sessions[HOSTS_MAX];
	struct dog dogs[HOSTS_MAX];
};

/* Mounts a host's files and serves them in threads of its own. */
int fs_start(struct session *s);
void fs_stop(struct session *s);
/* Listens; answers for ever. */
int ctl_listen(const char *path);
void ctl_serve(struct san *san, int listener);

#endif
