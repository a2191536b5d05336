/*
 * Exactly once through a cut, as stories (recovery.h): with all rules each
 * is explained by an order of whole calls; with any rule switched off some
 * are not. HANFS_TEST_STORIES=1000000 runs more of them.
 */
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "tests/unit/recovery.h"

enum { STORIES = 4000, TRIES = 40000 };

static struct story story;

static unsigned
story_count(void)
{
	const char *many = getenv("HANFS_TEST_STORIES");

	return many != NULL ? (unsigned)strtoul(many, NULL, 10) : STORIES;
}

static void
all_rules(void **state)
{
	const struct story_options opt = {.stranger = false};
	unsigned n = story_count();
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

/* Somebody beside, whom no key orders: undecidable, but nothing wrong. */
static void
a_stranger(void **state)
{
	const struct story_options opt = {.stranger = true};
	unsigned n = story_count() * 5, undecidable = 0;

	(void)state;
	for (unsigned seed = 1; seed <= n; seed++) {
		story_run(&story, seed, &opt);
		undecidable += story.undecidable;
		if (story.undecidable == 0 && !story_check(&story)) {
			story_print(&story, seed);
			fail_msg("story %u", seed);
		}
	}
	assert_true(undecidable > 0);
}

/* The first story that comes out wrong; or, where that is asked for, one
 * that nobody can decide. */
static void
needed(const char *rule, struct story_options opt, bool decidable)
{
	for (unsigned seed = 1; seed <= TRIES; seed++) {
		story_run(&story, seed, &opt);
		if (story.undecidable > 0 ? decidable : !story_check(&story)) {
			print_message(
			    "without %s: story %u is wrong\n", rule, seed);
			return;
		}
	}
	fail_msg("%s: nothing went wrong without it", rule);
}

static void
each_rule_is_needed(void **state)
{
	(void)state;
#define WITHOUT(rule) ((struct story_options){.verdict = {.rule = true}})
	needed("the pre-state", WITHOUT(no_before), false);
	needed("finishing", WITHOUT(no_half), false);
	needed("the verifier", WITHOUT(no_verifier), false);
	needed("lost sizes", WITHOUT(no_size), false);
	needed("dropping the guard", WITHOUT(no_unguard), false);
	needed("a trace", WITHOUT(no_trace), false);
	needed("inodes",
	    (struct story_options){
		.stranger = true, .verdict = {.no_inode = true}},
	    false);
	needed("keys of names", (struct story_options){.no_name_keys = true},
	    true);
	needed("keys of inodes", (struct story_options){.no_inode_keys = true},
	    true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_rules),
	    cmocka_unit_test(a_stranger),
	    cmocka_unit_test(each_rule_is_needed),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
