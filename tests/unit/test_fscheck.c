/*
 * Which file systems are refused: superblocks with one thing wrong each.
 * (tests/cuts/format has the same with real ones from mkfs.)
 */
#include <stdio.h>
#include <string.h>

#include "unit.h"
#include "server-agent/fscheck.h"

static uint8_t sb[FSCHECK_BYTES];
static struct fscheck c;

static void
le(unsigned at, uint32_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		sb[1024 + at + i] = (uint8_t)(v >> 8 * i);
}

static void
be(unsigned at, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		sb[at + i] = (uint8_t)(v >> (24 - 8 * i));
}

/* As mkfs.ext4 -J size=64 -e remount-ro makes it. */
static void
good_ext4(void)
{
	memset(sb, 0, sizeof(sb));
	le(0x18, 2, 4);      /* blocks of 4096 */
	le(0x38, 0xef53, 2); /* magic */
	le(0x3a, 1, 2);      /* clean */
	le(0x3c, 2, 2);      /* errors: remount-ro */
	le(0x58, 256, 2);    /* inodes */
	le(0x5c, 0x3c, 4);
	le(0x60, 0x2c2, 4);
	le(0x64, 0x46b, 4);
	le(0x100, 0x0c, 4); /* user_xattr, acl */
	sb[1024 + 0xfd] = 1;
	le(0x10c + 64, 64 << 20, 4);
}

static void
good_xfs(void)
{
	memset(sb, 0, sizeof(sb));
	memcpy(sb, "XFSB", 4);
	be(4, 4096);
	be(52, 131078); /* logstart's low half */
	be(96, 16384);  /* blocks of the log */
}

static void
check(enum config_fstype type, const char *options)
{
	fscheck(&c, type, sb, options, "/dev/x");
}

/* Exactly this, refused or not, and with a cure. */
static void
says(const char *text, bool refuse)
{
	assert_int_equal(c.n, 1);
	assert_non_null(strstr(c.found[0].text, text));
	assert_true(c.found[0].cure[0] != '\0');
	assert_int_equal(c.found[0].refuse, refuse);
	assert_int_equal(fscheck_refuses(&c), refuse);
}

static void
good(void **state)
{
	(void)state;
	good_ext4();
	check(CONFIG_FS_EXT4, "noatime");
	assert_int_equal(c.n, 0);
	assert_true(c.known && !c.dirty);
	assert_int_equal(c.journal_bytes, 64 << 20);
	good_xfs();
	check(CONFIG_FS_XFS, "noatime");
	assert_int_equal(c.n, 0);
	assert_int_equal(c.journal_bytes, 64 << 20);
}

static void
ext4(void **state)
{
	static const struct {
		unsigned at;
		uint32_t value;
		unsigned bytes;
		const char *text;
	} faults[] = {
	    {0x38, 0, 2, "no ext4"},
	    {0x5c, 0x38, 4, "no journal"},
	    {0x5c, 0x43c, 4, "fast_commit"},
	    {0x60, 0x6c2, 4, "ea_inode"},
	    {0x60, 0x202c2, 4, "casefold"},
	    {0x60, 0x3c2, 4, "mmp"},
	    {0x60, 0x2ca, 4, "is a journal"},
	    {0x18, 0, 4, "blocks have 1024"},
	    {0x18, 4, 4, "blocks have 16384"},
	    {0x18, 0xffffffff, 4, "blocks have 0"},
	    {0x58, 128, 2, "inodes have 128"},
	    {0x100, 0x2c, 4, "journal mode"},
	    {0x100, 0x6c, 4, "journal mode"},
	    {0x100, 0x10c, 4, "nobarrier"},
	    {0x3c, 1, 2, "errors=continue"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		good_ext4();
		le(faults[i].at, faults[i].value, faults[i].bytes);
		check(CONFIG_FS_EXT4, "noatime");
		says(faults[i].text, true);
	}
	good_ext4();
	le(0x100, 0x4c, 4); /* ordered, said in words */
	le(0x60, 0x2c6, 4); /* a journal to be replayed */
	check(CONFIG_FS_EXT4, "");
	assert_int_equal(c.n, 0);
	assert_true(c.dirty);
	good_ext4();
	le(0x10c + 60, 1, 4); /* 4 GiB and more */
	check(CONFIG_FS_EXT4, "");
	says("4160 MiB", false);
}

static void
xfs(void **state)
{
	(void)state;
	good_xfs();
	sb[0] = 'Y';
	check(CONFIG_FS_XFS, "");
	says("no xfs", true);
	good_xfs();
	be(4, 1024);
	check(CONFIG_FS_XFS, "");
	says("blocks have 1024", true);
	good_xfs();
	be(52, 0);
	check(CONFIG_FS_XFS, "");
	says("another device", true);
	good_xfs();
	be(96, 0xffffffff);
	check(CONFIG_FS_XFS, "");
	says("MiB", false);
}

static void
options(void **state)
{
	static const char *const bad[] = {"data=writeback", "data=journal",
	    "barrier=0", "nobarrier", "journal_async_commit", "errors=continue",
	    "noload", "norecovery", "ro"};
	char text[64];

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		good_ext4();
		snprintf(text, sizeof(text), "noatime,%s,,acl", bad[i]);
		check(CONFIG_FS_EXT4, text);
		says(bad[i], true);
		check(CONFIG_FS_EXT4, bad[i]);
		says(bad[i], true);
	}
	check(CONFIG_FS_EXT4, "data=ordered,barrier=1,errors=panic,rox,x=ro");
	assert_int_equal(c.n, 0);
	good_ext4();
	le(0x3c, 1, 2); /* an option outweighs the superblock */
	check(CONFIG_FS_EXT4, "errors=remount-ro");
	assert_int_equal(c.n, 0);
	good_xfs();
	check(CONFIG_FS_XFS, "data=writeback,norecovery");
	says("norecovery", true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good),
	    cmocka_unit_test(ext4),
	    cmocka_unit_test(xfs),
	    cmocka_unit_test(options),
	};

	return cmocka_run_group_tests_name("fscheck", tests, NULL, NULL);
}
