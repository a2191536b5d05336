/* The file that says what a volume is: written, read, damaged, missing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"
#include "server-agent/volform.h"

static const struct volform sample = {.cluster = "office",
    .name = "home",
    .id = 4000000000u,
    .instance = {1, 2, 0xfe, [15] = 0xab},
    .slots = 1024};

static void
same(const struct volform *a, const struct volform *b)
{
	assert_string_equal(a->cluster, b->cluster);
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->id, b->id);
	assert_memory_equal(a->instance, b->instance, sizeof(a->instance));
	assert_int_equal(a->slots, b->slots);
}

static void
text(void **state)
{
	char buf[VOLFORM_TEXT_MAX];
	size_t len = volform_write(&sample, buf);
	struct volform v;

	(void)state;
	assert_int_equal(volform_parse(buf, len, &v), VOLFORM_OK);
	same(&v, &sample);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(volform_parse(buf, i, &v), VOLFORM_E_DAMAGED);
	for (size_t i = 0; i < 8 * len; i++) {
		buf[i / 8] ^= (char)(1 << i % 8);
		assert_int_equal(
		    volform_parse(buf, len, &v), VOLFORM_E_DAMAGED);
		buf[i / 8] ^= (char)(1 << i % 8);
	}
}

static void
longest_names(void **state)
{
	char buf[VOLFORM_TEXT_MAX];
	struct volform v = sample, back;

	(void)state;
	memset(v.cluster, 'c', CONFIG_NAME_MAX);
	memset(v.name, 'n', CONFIG_NAME_MAX);
	assert_int_equal(
	    volform_parse(buf, volform_write(&v, buf), &back), VOLFORM_OK);
	same(&v, &back);
}

static void
file(void **state)
{
	char dir[] = "/tmp/hanfs-volform-XXXXXX", name[64];
	struct volform v;
	int root;

	(void)state;
	assert_non_null(mkdtemp(dir));
	root = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(volform_read_at(root, &v), VOLFORM_E_NONE);
	assert_int_equal(mkdirat(root, VOLFORM_DIR, 0700), 0);
	assert_int_equal(volform_read_at(root, &v), VOLFORM_E_NONE);
	assert_int_equal(volform_write_at(root, &sample), 0);
	assert_int_equal(volform_read_at(root, &v), VOLFORM_OK);
	same(&v, &sample);
	/* again, over the first */
	assert_int_equal(volform_write_at(root, &sample), 0);
	assert_int_equal(unlinkat(root, VOLFORM_FILE, 0), 0);
	/* a link instead of it leads nowhere */
	assert_int_equal(symlinkat("/etc/passwd", root, VOLFORM_FILE), 0);
	assert_int_equal(volform_read_at(root, &v), VOLFORM_E_READ);
	assert_int_equal(unlinkat(root, VOLFORM_FILE, 0), 0);
	assert_int_equal(unlinkat(root, VOLFORM_DIR, AT_REMOVEDIR), 0);
	close(root);
	assert_int_equal(rmdir(dir), 0);
	volform_slot_name(name, 42);
	assert_string_equal(name, "00042");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text),
	    cmocka_unit_test(longest_names),
	    cmocka_unit_test(file),
	};

	return cmocka_run_group_tests_name("volform", tests, NULL, NULL);
}
