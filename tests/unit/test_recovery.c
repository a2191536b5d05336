/*
 * Exactly once through a cut, as stories (recovery.h): with all rules each
 * is explained by an order of whole calls; with any rule switched off some
 * are not.
 */
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "tests/unit/recovery.h"

enum { STORIES = 4000, TRIES = 40000 };

static struct story story;

static void
all_rules(void **state)
{
	const struct verdict_options opt = {.verifier = VERDICT_VERF_GANESHA};
	const char *many = getenv("HANFS_TEST_STORIES");
	unsigned n = many != NULL ? (unsigned)strtoul(many, NULL, 10) : STORIES;
	unsigned halves = 0, dones = 0, not_dones = 0, recuts = 0;

	(void)state;
	for (unsigned seed = 1; seed <= n; seed++) {
		story_run(&story, seed, &opt);
		if (story.undecidable > 0 || !story_check(&story)) {
			story_print(&story, seed);
			fail_msg("story %u", seed);
		}
		halves += story.halves;
		dones += story.dones;
		not_dones += story.not_dones;
		recuts += story.recuts;
	}
	/* They tell of everything. */
	assert_true(halves > n / 20 && dones > n / 10);
	assert_true(not_dones > n / 5 && recuts > n / 10);
}

/* How many stories it takes until one comes out wrong. */
static unsigned
broken_after(const struct verdict_options *opt)
{
	for (unsigned seed = 1; seed <= TRIES; seed++) {
		story_run(&story, seed, opt);
		if (story.undecidable == 0 && !story_check(&story))
			return seed;
	}
	return 0;
}

static void
needed(const char *rule, struct verdict_options opt)
{
	unsigned n = broken_after(&opt);

	if (n == 0)
		fail_msg("%s: nothing went wrong without it", rule);
	print_message("without %s: story %u is wrong\n", rule, n);
}

static void
each_rule_is_needed(void **state)
{
	(void)state;
	needed("the pre-state", (struct verdict_options){.no_before = true});
	needed("finishing", (struct verdict_options){.no_half = true});
	needed("the verifier", (struct verdict_options){.no_verifier = true});
	needed("lost sizes", (struct verdict_options){.no_size = true});
	needed(
	    "dropping the guard", (struct verdict_options){.no_unguard = true});
	needed("a trace", (struct verdict_options){.no_trace = true});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_rules),
	    cmocka_unit_test(each_rule_is_needed),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
