/*
 * hanfs-sim: options, many runs, one process a processor, the story of a
 * bad one.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>

#include "world.h"

enum { JOBS_MAX = 64, SHOWN_MAX = 3 };

static const char usage[] =
    "usage: hanfs-sim [--seeds N] [--from S] [--jobs N] [--lines N] [--RULE]\n"
    "                 [--until INVARIANT]\n"
    "       hanfs-sim --seed S [--verbose] [--RULE]\n";

/* Rules that can be switched off. */
static struct sim_options chosen;
static const struct {
	const char *name;
	bool *flag;
	const char *what;
} switches[] = {
    {"no-fence", &chosen.no_fence, "FENCE does nothing: I4 must break"},
    {"no-replay-table", &chosen.no_replay_table,
	"replays run again: I2 must break"},
    {"servers", &chosen.servers, "servers share disks, and die"},
    {"no-log", &chosen.no_log, "without a log; what breaks of I2 to I5 counts"},
    {"no-fence-server", &chosen.no_fence_server,
	"a silent owner is not really fenced: I1 must break"},
    {"lease-only", &chosen.lease_only, "its lease's end must do: I1"},
    {"no-intent", &chosen.rules.no_intent, "calls run without an intent: I2"},
    {"no-completion", &chosen.rules.no_completion, "no completion: I2"},
    {"no-sync", &chosen.rules.no_sync, "replies wait for no commit: I3"},
    {"no-gate", &chosen.rules.no_gate,
	"nor those that show what is not durable: I3"},
    {"no-hold", &chosen.rules.no_hold, "errors of a dying disk leave: I5"},
    {"no-inode-keys", &chosen.rules.no_inode_keys,
	"keys by handles and names alone: I5"},
    {"no-tomb", &chosen.rules.no_tomb, "what expired leaves no trace: I2"},
    {"no-suspect", &chosen.rules.no_suspect, "a lost link is nothing: I2"},
    {"no-judge", &chosen.rules.no_judge, "calls in doubt have not run: I2"},
};
enum { NSWITCHES = sizeof(switches) / sizeof(switches[0]), OPT_SWITCH = 512 };

static bool
expected_to_break(void)
{
	for (unsigned i = 0; i < NSWITCHES; i++)
		if (*switches[i].flag && switches[i].flag != &chosen.servers &&
		    switches[i].flag != &chosen.no_log)
			return true;
	return false;
}

/* As they were given. */
static const char *
switches_text(void)
{
	static char text[200];
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < NSWITCHES; i++)
		if (*switches[i].flag)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    " --%s", switches[i].name);
	return text;
}

/* What a process has to tell of its runs; shared memory. */
struct tally {
	uint64_t runs, failed, events, calls, replays, fences, doubles;
	uint64_t attached, replayed, takeovers, doubts, undecidable;
	uint64_t late_worst;
	uint64_t by_invariant[INVARIANTS];
	uint64_t shown;
};

static unsigned story_lines = 60;
static const char *until; /* the first letters of an invariant's name */

static void
print_story(uint64_t seed, const struct sim_options *opt)
{
	static char story[STORY_LINES][STORY_WIDTH];
	struct sim_options o = *opt;
	struct outcome out;
	uint64_t lines = 0, first;

	o.story = true;
	sim_run(seed, &o, &out, story, &lines);
	first = lines > story_lines ? lines - story_lines : 0;
	if (lines - first > STORY_LINES)
		first = lines - STORY_LINES;
	printf("%s\n", out.summary);
	for (uint64_t i = first; i < lines; i++)
		printf("  %s\n", story[i % STORY_LINES]);
	printf("seed %llu broke %s (again: hanfs-sim --seed %llu%s; "
	       "hash %016llx)\n",
	    (unsigned long long)seed, invariant_names[out.invariant],
	    (unsigned long long)seed, switches_text(),
	    (unsigned long long)out.hash);
	fflush(stdout);
}

static void
add(struct tally *t, const struct outcome *o)
{
	t->runs++;
	t->events += o->events;
	t->calls += o->calls;
	t->replays += o->replays;
	t->fences += o->fences;
	t->doubles += o->doubles;
	t->attached += o->attached;
	t->replayed += o->replayed;
	t->takeovers += o->takeovers;
	t->doubts += o->doubts;
	t->undecidable += o->undecidable;
	if (o->late > t->late_worst)
		t->late_worst = o->late;
	if (o->failed) {
		t->failed++;
		t->by_invariant[o->invariant]++;
	}
}

static void
run_seeds(uint64_t first, uint64_t end, uint64_t step,
    const struct sim_options *opt, struct tally *t)
{
	bool expected = expected_to_break();

	for (uint64_t seed = first; seed < end; seed += step) {
		struct outcome out;

		sim_run(seed, opt, &out, NULL, NULL);
		add(t, &out);
		if (out.failed && !expected && t->shown++ < SHOWN_MAX)
			print_story(seed, opt);
		if (out.failed && until != NULL &&
		    strncmp(invariant_names[out.invariant], until,
			strlen(until)) == 0)
			return;
	}
}

static void
sum(struct tally *to, const struct tally *from)
{
	uint64_t worst = to->late_worst > from->late_worst ? to->late_worst
							   : from->late_worst;

	for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
		((uint64_t *)to)[i] += ((const uint64_t *)from)[i];
	to->late_worst = worst;
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* One process for each processor. False: one of them crashed. */
static bool
run_parallel(uint64_t first, uint64_t n, unsigned jobs,
    const struct sim_options *opt, struct tally *t)
{
	struct tally *each = mmap(NULL, sizeof(*each) * JOBS_MAX,
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool good = true;

	if (each == MAP_FAILED)
		return false;
	fflush(stdout);
	for (unsigned j = 0; j < jobs; j++) {
		pid_t pid = fork();

		if (pid == 0) {
			run_seeds(first + j, first + n, jobs, opt, &each[j]);
			_exit(0);
		}
		good = good && pid != -1;
	}
	for (unsigned j = 0; j < jobs; j++) {
		int status;

		if (wait(&status) == -1 || status != 0)
			good = false;
	}
	for (unsigned j = 0; j < jobs; j++)
		sum(t, &each[j]);
	return good;
}

static void
print_tally(const struct tally *t, double took)
{
	printf("%llu seeds in %.1f s, %.0f a minute; %llu events, %llu calls, "
	       "%llu replays, %llu fences; agents attached %llu and answered "
	       "%llu again; %llu doubles by killed agents; %llu times a volume "
	       "began to be served, %llu calls in doubt, %llu undecidable; "
	       "last answer %.3f s after the faults\n",
	    (unsigned long long)t->runs, took, (double)t->runs * 60 / took,
	    (unsigned long long)t->events, (unsigned long long)t->calls,
	    (unsigned long long)t->replays, (unsigned long long)t->fences,
	    (unsigned long long)t->attached, (unsigned long long)t->replayed,
	    (unsigned long long)t->doubles, (unsigned long long)t->takeovers,
	    (unsigned long long)t->doubts, (unsigned long long)t->undecidable,
	    (double)t->late_worst / 1e6);
	for (unsigned i = 0; i < INVARIANTS; i++)
		if (t->by_invariant[i] > 0)
			printf("broken in %llu seeds: %s\n",
			    (unsigned long long)t->by_invariant[i],
			    invariant_names[i]);
	printf("%llu seeds, %llu failed\n", (unsigned long long)t->runs,
	    (unsigned long long)t->failed);
}

static int
run_one(uint64_t seed, const struct sim_options *opt)
{
	struct outcome out;

	if (!opt->verbose) {
		sim_run(seed, opt, &out, NULL, NULL);
		if (out.failed) {
			print_story(seed, opt);
			return 1;
		}
	} else {
		sim_run(seed, opt, &out, NULL, NULL);
	}
	printf("%s\nseed %llu: %s, hash %016llx, %llu events, %llu calls, "
	       "last answer %llu ms after the faults\n",
	    out.summary, (unsigned long long)seed,
	    out.failed ? "failed" : "good", (unsigned long long)out.hash,
	    (unsigned long long)out.events, (unsigned long long)out.calls,
	    (unsigned long long)(out.late / MS));
	return out.failed;
}

enum { OPTIONS_MAX = 48 };
enum { OPT_SEEDS = 256, OPT_SEED, OPT_FROM, OPT_JOBS, OPT_LINES, OPT_UNTIL };

static struct option options[OPTIONS_MAX] = {
    {"seeds", required_argument, NULL, OPT_SEEDS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"from", required_argument, NULL, OPT_FROM},
    {"jobs", required_argument, NULL, OPT_JOBS},
    {"lines", required_argument, NULL, OPT_LINES},
    {"until", required_argument, NULL, OPT_UNTIL},
    {"verbose", no_argument, NULL, 'v'},
};

static void
add_switches(void)
{
	unsigned n = 0;

	while (options[n].name != NULL)
		n++;
	for (unsigned i = 0; i < NSWITCHES; i++)
		options[n++] = (struct option){
		    switches[i].name, no_argument, NULL, OPT_SWITCH + (int)i};
}

static void
print_usage(void)
{
	fputs(usage, stderr);
	for (unsigned i = 0; i < NSWITCHES; i++)
		fprintf(stderr, "  --%-16s %s\n", switches[i].name,
		    switches[i].what);
}

static uint64_t
number(const char *text)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno != 0 || *end != '\0' || end == text) {
		print_usage();
		exit(2);
	}
	return v;
}

int
main(int argc, char **argv)
{
	uint64_t seeds = 100, from = 1, seed = 0;
	long jobs = sysconf(_SC_NPROCESSORS_ONLN);
	struct tally t = {0};
	bool one = false, good;
	double begin;
	int c;

	add_switches();
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case OPT_SEEDS:
			seeds = number(optarg);
			break;
		case OPT_SEED:
			seed = number(optarg);
			one = true;
			break;
		case OPT_FROM:
			from = number(optarg);
			break;
		case OPT_JOBS:
			jobs = (long)number(optarg);
			break;
		case OPT_LINES:
			story_lines = (unsigned)number(optarg);
			break;
		case OPT_UNTIL:
			until = optarg;
			break;
		case 'v':
			chosen.verbose = true;
			break;
		default:
			if (c < OPT_SWITCH) {
				print_usage();
				return 2;
			}
			*switches[c - OPT_SWITCH].flag = true;
		}
	if (sodium_init() < 0 || optind < argc) {
		print_usage();
		return 2;
	}
	if (one)
		return run_one(seed, &chosen);
	jobs = jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs;
	begin = seconds();
	good = run_parallel(from, seeds, (unsigned)jobs, &chosen, &t);
	print_tally(&t, seconds() - begin);
	if (!good)
		puts("a process crashed");
	return !good || t.failed > 0;
}
