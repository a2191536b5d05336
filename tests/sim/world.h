/* The world, what goes wrong in it and what must hold in it. */
#ifndef HANFS_SIM_WORLD_H
#define HANFS_SIM_WORLD_H

#include "actors.h"

/* --- fault.c */

struct fault;
/* Chooses them; says when the last one ends. */
uint64_t faults_plan(struct world *w);
void fault_on_step(struct fault *f, uint64_t step);

/* --- check.c */

enum invariant { I2, I4, I5, I6, I8, LIVE, INVARIANTS };
extern const char *const invariant_names[INVARIANTS];

/* The run ends here. */
void broken(struct world *w, enum invariant i, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A call ran at the backend, with that result. */
void check_ran(struct world *w, struct kcall *c, uint32_t status,
    uint64_t value, bool newer_was_written);
/* Its reply came to the kernel. */
void check_reply(
    struct world *w, struct kcall *c, uint32_t status, uint64_t value);
void check_bounds(struct world *w);
/* Everything was answered, and the file system is as it must be. */
void check_end(struct world *w);
/* After the unmount nothing is left. */
void check_tidy(struct world *w);

/* --- the whole */

struct sim_options {
	bool no_fence, no_replay_table;
	bool story; /* lines are kept */
	bool verbose;
};

struct tuning {
	uint32_t nclients, nconnect, slots;
	uint32_t calls_max, replay_calls;
	enum px_paths_mode paths;
	uint32_t linger_ms, client_entries;
	uint64_t timeo, think;
	uint32_t slow; /* permille of calls that take long at the backend */
};

/* What a run came to. */
struct outcome {
	bool failed;
	enum invariant invariant;
	char what[400], summary[300];
	uint64_t hash, events, calls, replays, fences, doubles, attached;
	uint64_t replayed;
	uint64_t late; /* after the faults, until the last reply of then */
};

enum { STORY_LINES = 400, STORY_WIDTH = 200 };
/* I6: all is answered so long after the last fault's end; where flows died
 * without a trace, which only time shows, and then the next one. */
enum { SIM_BOUND_MS = 5000, SIM_BOUND_FLOW_MS = 15000 };

struct world {
	struct sim_options opt;
	struct tuning t;
	uint64_t seed, chance, now, numbers, hash;
	struct event *heap;
	size_t nheap, heap_room;
	struct arena *arena;
	struct rec_pool *calls, *replies;
	struct network net[NETS];
	struct client client[CLIENTS_MAX];
	struct server server[SERVERS];
	struct backend backend[VOLUMES];
	struct file_system fs[VOLUMES];
	struct tcp *tcps;
	uint32_t ntcps;
	uint64_t ran; /* numbers executions */
	uint64_t faults_end;
	bool dead_flows; /* among the faults */
	char faults[200];
	char (*story)[STORY_WIDTH];
	uint64_t lines;
	struct outcome out;
};

static inline uint64_t
now_ms(const struct world *w)
{
	return w->now / MS;
}

static inline uint32_t
volume_owner(uint32_t volume)
{
	return volume; /* each server has one */
}

/* engine.c: the earliest event, which there must be; the run's end. */
struct event next_event(struct world *w);
void sim_free_all(struct world *w);

/* Runs one seed; story gets its last lines, of *lines in all. */
void sim_run(uint64_t seed, const struct sim_options *opt, struct outcome *out,
    char (*story)[STORY_WIDTH], uint64_t *lines);

#endif
