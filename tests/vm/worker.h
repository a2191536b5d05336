/* What the files of the worker share: see worker.c. */
#ifndef WORKER_H
#define WORKER_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define STALL_MS   100
#define HASH_START 0xcbf29ce484222325u

#define DIRS       6 /* own, shared, and four that come and go */
#define FIXED_DIRS 2
#define SLOTS      8  /* names in each */
#define FILES      12 /* inodes at most */
#define SIZE_MAX_B (1280 * 1024)

enum name { NONE, LINK, FIRST_FILE }; /* FIRST_FILE + a file's number */

struct file {
	unsigned names; /* 0: not in use */
	size_t size;
	mode_t mode;
	unsigned char *bytes;
};

/* What one process knows to be there. */
struct model {
	int have_dir[DIRS];
	unsigned name[DIRS][SLOTS];
	uint64_t link_target[DIRS][SLOTS];
	struct file file[FILES];
};

/* One for each process, in memory shared with the parent, who reads it. */
struct progress {
	volatile uint64_t calls;
	volatile uint64_t began_ns; /* the running call; 0: none more */
	volatile uint64_t longest_ms;
	volatile uint64_t violations;
};

extern struct model model;

/* worker.c */
uint64_t hash(uint64_t, const unsigned char *, size_t);

/* worker-model.c */
uint64_t now_ns(void);
uint64_t rnd(void);
unsigned pick(unsigned);
void pick_name(unsigned *, unsigned *);
int pick_file(unsigned *, unsigned *);
const char *dir_path(unsigned);
const char *path_of(unsigned, unsigned);
unsigned own_slot(const char *);
void begin(void);
void end(const char *, const char *, long, int);
_Noreturn void violation(const char *, const char *, const char *);
void model_init(const char *, unsigned, uint64_t, struct progress *);
void model_print(FILE *);
void any_call(void);

/* worker-files.c, worker-names.c: each makes one call and checks it */
void do_create(void);
void do_write(void);
void do_read(void);
void do_truncate(void);
void do_chmod(void);
void do_stat(void);
void do_unlink(void);
void do_link(void);
void do_rename(void);
void do_symlink(void);
void do_readlink(void);
void do_mkdir(void);
void do_rmdir(void);
void do_list(void);

#endif
