/* The world, what goes wrong in it and what must hold in it. */
#ifndef HANFS_SIM_WORLD_H
#define HANFS_SIM_WORLD_H

#include "actors.h"
#include "hanfs/config.h"

/* --- fault.c */

struct fault;
/* Chooses them; says when the last one ends. */
uint64_t faults_plan(struct world *w);
void fault_on_step(struct fault *f, uint64_t step);
/* How long nothing will go wrong; 0 around each fault's begin and end. */
uint64_t faults_quiet(const struct world *w);

/* --- check.c */

enum invariant { I1, I2, I3, I4, I5, I6, I8, LIVE, NEVER_RAN, INVARIANTS };
extern const char *const invariant_names[INVARIANTS];

/* The run ends here. */
void broken(struct world *w, enum invariant i, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A call's run at the backend: a step of it is done, all of it is. */
void check_step(struct world *w, struct run *r);
void check_ran(struct world *w, struct run *r, bool newer_was_written);
/* A cut leaves of that mount what is up to there. */
void check_cut(struct mount *m, uint64_t pos);
/* Its reply came to the kernel. */
void check_reply(struct world *w, struct kcall *c, const struct nfs_answer *a);
void check_bounds(struct world *w);
/* Everything was answered, and the file system is as it must be. */
void check_end(struct world *w);
/* After the unmount nothing is left. */
void check_tidy(struct world *w);

/* --- the whole */

struct sim_options {
	bool no_fence, no_replay_table;
	bool servers; /* volumes are hanfs' own, and servers die */
	bool no_fence_server, lease_only, no_log;
	struct relay_rules rules;
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
	uint32_t nservers, log_slots;
	uint32_t retain_ms, orphan_ms; /* replies that nobody acknowledges */
	bool storage; /* volumes are hanfs' own: log, lease, takeover */
	uint32_t lease_ms, renew_ms;
	uint32_t fence; /* enum fence_kind */
	enum config_failback failback;
	uint32_t shared; /* permille of slots with names that all share */
	bool duels; /* for the size of a file, one by name, one by handle */
};

/* What a run came to. */
struct outcome {
	bool failed;
	enum invariant invariant;
	char what[400], summary[300];
	uint64_t hash, events, calls, replays, fences, doubles, attached;
	uint64_t replayed, undecidable, takeovers, doubts;
	uint64_t late; /* after the faults, until the last reply of then */
};

enum { TURNS_MAX = 256 };
enum { STORY_LINES = 400, STORY_WIDTH = 200 };
/* I6: all is answered so long after the last fault's end; where flows died
 * without a trace, which only time shows, and then the next one. */
enum { SIM_BOUND_MS = 5000, SIM_BOUND_FLOW_MS = 15000 };
/* Where there are fewer slots than calls. */
enum { SIM_BOUND_SLOTS_MS = 40000 };

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
	struct backend backend[SERVERS][VOLUMES];
	struct disk disk[VOLUMES];
	uint32_t doubts[VOLUMES]; /* times that calls came into doubt */
	struct ctl_area *area;    /* by volume */
	uint64_t fence_fails_until, fence_slow_until;
	struct tcp *tcps;
	uint32_t ntcps;
	uint64_t ran; /* numbers executions */
	uint64_t faults_end;
	uint64_t turns[TURNS_MAX]; /* when faults begin and end, in order */
	uint32_t nturns;
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

/* Its servers in order. */
static inline uint32_t
volume_candidate(const struct world *w, uint32_t volume, uint32_t i)
{
	return (volume + i) % w->t.nservers;
}

/* engine.c: the earliest event, which there must be; the run's end. */
struct event next_event(struct world *w);
void sim_free_all(struct world *w);

/* Runs one seed; story gets its last lines, of *lines in all. */
void sim_run(uint64_t seed, const struct sim_options *opt, struct outcome *out,
    char (*story)[STORY_WIDTH], uint64_t *lines);

#endif
