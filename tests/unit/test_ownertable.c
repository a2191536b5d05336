/* The table of owner_table.c: a row, and one alone, for what must be known. */
#include "ownerbed.h"

static bool
fits(enum owner_state s, enum owner_event_type e, unsigned n,
    const struct owner_row *rows)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		found += rows[i].event == e && (rows[i].states >> s & 1);
	assert_true(found <= 1);
	return found == 1;
}

/* Every state that waits for a step knows its end, its failure and STOP. */
static void
test_table(void **state)
{
	const struct owner_row *rows;
	unsigned n;

	(void)state;
	rows = owner_rows(&n);
	for (unsigned s = 0; s < OWNER_STATES; s++) {
		assert_non_null(owner_state_names[s]);
		for (unsigned e = 0; e < OWNER_EVENTS; e++)
			(void)fits(s, e, n, rows);
		assert_true(fits(s, OWNER_EV_STOP, n, rows));
		switch (s) {
		case OWNER_STANDBY:
		case OWNER_FAILED:
		case OWNER_STUCK:
		case OWNER_SUSPENDED:
			assert_true(fits(s, OWNER_EV_TIME, n, rows));
			break;
		case OWNER_SERVING:
			break;
		default:
			assert_true(fits(s, OWNER_EV_FAILED, n, rows));
		}
	}
	for (unsigned i = 0; i < OWNER_EVENTS; i++)
		assert_non_null(owner_event_names[i]);
	for (unsigned i = 0; i < OWNER_ACTIONS; i++)
		assert_non_null(owner_action_names[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
