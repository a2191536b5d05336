/*
 * What a file system must be like. See fscheck.h. Pure.
 *
 * Offsets of ext4's superblock, at byte 1024 of the device, little-endian:
 * the kernel's Documentation/filesystems/ext4/globals.rst. XFS's, at byte 0,
 * big-endian: the XFS Algorithms & Data Structures book, "Superblocks".
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hanfs/cursor.h"
#include "server-agent/fscheck.h"

enum ext4_at {
	E4_SUPER = 1024,
	E4_LOG_BLOCK_SIZE = 0x18,
	E4_MAGIC = 0x38,  /* u16 0xef53 */
	E4_STATE = 0x3a,  /* u16 */
	E4_ERRORS = 0x3c, /* u16 */
	E4_INODE_SIZE = 0x58,
	E4_COMPAT = 0x5c,
	E4_INCOMPAT = 0x60,
	E4_DEFAULTS = 0x100, /* default mount options */
	E4_JOURNAL_BACKUP = 0xfd,
	E4_JOURNAL_HIGH = 0x10c + 15 * 4,
	E4_JOURNAL_SIZE = 0x10c + 16 * 4,
};

enum ext4_bits {
	E4_HAS_JOURNAL = 0x4,
	E4_FAST_COMMIT = 0x400,
	E4_RECOVER = 0x4, /* incompat from here on */
	E4_JOURNAL_DEV = 0x8,
	E4_MMP = 0x100,
	E4_EA_INODE = 0x400,
	E4_CASEFOLD = 0x20000,
	E4_DEFM_JMODE = 0x60,
	E4_DEFM_ORDERED = 0x40,
	E4_DEFM_NOBARRIER = 0x100,
	E4_ERRORS_CONTINUE = 1,
};

enum xfs_at {
	X_BLOCK_SIZE = 4,
	X_LOG_START = 48, /* u64; 0: the log is on another device */
	X_LOG_BLOCKS = 96,
};

static uint32_t
le16(const uint8_t *p)
{
	return (uint32_t)p[1] << 8 | p[0];
}

static uint32_t
le32(const uint8_t *p)
{
	return le16(p + 2) << 16 | le16(p);
}

/* fmt is "text|cure". */
static void add(struct fscheck *c, bool refuse, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
add(struct fscheck *c, bool refuse, const char *fmt, ...)
{
	char both[2 * FSCHECK_TEXT_MAX], *cure;
	struct fscheck_found *f = &c->found[c->n];
	va_list ap;

	if (c->n == FSCHECK_FOUND_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(both, sizeof(both), fmt, ap);
	va_end(ap);
	cure = strchr(both, '|');
	if (cure != NULL)
		*cure++ = '\0';
	f->refuse = refuse;
	snprintf(f->text, sizeof(f->text), "%.*s", FSCHECK_TEXT_MAX - 1, both);
	snprintf(f->cure, sizeof(f->cure), "%.*s", FSCHECK_TEXT_MAX - 1,
	    cure != NULL ? cure : "");
	c->n++;
}

static void
check_journal_size(struct fscheck *c, const char *what, const char *cure)
{
	if (c->journal_bytes > FSCHECK_JOURNAL_MAX)
		add(c, false,
		    "its %s is %llu MiB: after a power cut the next owner "
		    "needs longer to mount it than with 64 MiB|%s",
		    what, (unsigned long long)c->journal_bytes >> 20, cure);
}

static void
check_ext4_features(struct fscheck *c, const uint8_t *s, const char *device)
{
	uint32_t compat = le32(s + E4_COMPAT);
	uint32_t incompat = le32(s + E4_INCOMPAT);

	if (compat & E4_FAST_COMMIT)
		add(c, true,
		    "it has fast_commit, with which changes do not come to "
		    "the disk in order|tune2fs -O ^fast_commit %s",
		    device);
	if (incompat & E4_EA_INODE)
		add(c, true,
		    "it has ea_inode, with which a slot can need an inode "
		    "more|make the file system without -O ea_inode");
	if (incompat & E4_CASEFOLD)
		add(c, true,
		    "it has casefold: two names that clients tell apart can "
		    "be one|make the file system without -O casefold");
	if (incompat & E4_MMP)
		add(c, true,
		    "it has mmp, with which mounting takes up to a minute; "
		    "hanfs has its own arbiter|tune2fs -O ^mmp %s",
		    device);
	if (incompat & E4_JOURNAL_DEV)
		add(c, true,
		    "it is a journal, no file system|name the device of the "
		    "file system");
}

static void
check_ext4_rest(struct fscheck *c, const uint8_t *s, const char *device)
{
	uint32_t defaults = le32(s + E4_DEFAULTS);
	uint32_t shift = le32(s + E4_LOG_BLOCK_SIZE);

	if (shift != 2)
		add(c, true,
		    "its blocks have %u bytes: a slot needs one of 4096|mkfs."
		    "ext4 -b 4096",
		    shift < 7 ? 1024u << shift : 0);
	if (le16(s + E4_INODE_SIZE) < 256)
		add(c, true,
		    "its inodes have %u bytes, no room for times finer than "
		    "a second|mkfs.ext4 -I 256",
		    le16(s + E4_INODE_SIZE));
	if ((defaults & E4_DEFM_JMODE) != 0 &&
	    (defaults & E4_DEFM_JMODE) != E4_DEFM_ORDERED)
		add(c, true,
		    "its default is a journal mode other than data=ordered|"
		    "tune2fs -o ^journal_data,^journal_data_writeback %s",
		    device);
	if (defaults & E4_DEFM_NOBARRIER)
		add(c, true,
		    "its default is nobarrier: what is said to be on disk "
		    "may not be|tune2fs -o ^nobarrier %s",
		    device);
}

static void
check_ext4(struct fscheck *c, const uint8_t *s, const char *device)
{
	char cure[FSCHECK_TEXT_MAX / 2];

	c->known = le16(s + E4_MAGIC) == 0xef53;
	if (!c->known) {
		add(c, true,
		    "it holds no ext4|mkfs.ext4 -J size=64 -e remount-ro %s, "
		    "or name the right device",
		    device);
		return;
	}
	c->dirty = (le32(s + E4_INCOMPAT) & E4_RECOVER) != 0;
	check_ext4_features(c, s, device);
	check_ext4_rest(c, s, device);
	if (!(le32(s + E4_COMPAT) & E4_HAS_JOURNAL)) {
		add(c, true, "it has no journal|tune2fs -J size=64 %s", device);
		return;
	}
	if (s[E4_JOURNAL_BACKUP] == 1)
		c->journal_bytes = (uint64_t)le32(s + E4_JOURNAL_HIGH) << 32 |
				   le32(s + E4_JOURNAL_SIZE);
	snprintf(cure, sizeof(cure),
	    "tune2fs -O ^has_journal %s && tune2fs -J size=64 %s", device,
	    device);
	check_journal_size(c, "journal", cure);
}

static void
check_xfs(struct fscheck *c, const uint8_t *s, const char *device)
{
	c->known = memcmp(s, "XFSB", 4) == 0;
	if (!c->known) {
		add(c, true,
		    "it holds no xfs|mkfs.xfs -l size=64m %s, or name the "
		    "right device",
		    device);
		return;
	}
	if (be32_get(s + X_BLOCK_SIZE) < 4096)
		add(c, true,
		    "its blocks have %u bytes: a slot needs one of 4096|mkfs."
		    "xfs -b size=4096",
		    be32_get(s + X_BLOCK_SIZE));
	if (be64_get(s + X_LOG_START) == 0)
		add(c, true,
		    "its log is on another device, which hanfs does not move "
		    "with it|make the file system with an internal log");
	c->journal_bytes =
	    (uint64_t)be32_get(s + X_LOG_BLOCKS) * be32_get(s + X_BLOCK_SIZE);
	check_journal_size(c, "log",
	    "a log's size is chosen when the file system is made: mkfs.xfs "
	    "-l size=64m");
}

/* --- mount options */

static bool
is_option(const char *p, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(p, word, len) == 0;
}

static const struct {
	const char *word, *why;
	bool ext4, xfs; /* of which it is one */
} bad_options[] = {
    {"data=writeback", "data and names lose their order", true, false},
    {"data=journal", "a slot's order with data is not known", true, false},
    {"barrier=0", "what is said to be on disk may not be", true, false},
    {"nobarrier", "what is said to be on disk may not be", true, true},
    {"journal_async_commit", "a commit may be torn", true, false},
    {"errors=continue", "it goes on after errors", true, false},
    {"noload", "a cut's journal is not replayed", true, false},
    {"norecovery", "a cut's journal is not replayed", true, true},
    {"ro", "nothing can be written", true, true},
};

/* One option; true: it says what happens after an error. */
static bool
check_option(struct fscheck *c, bool xfs, const char *p, size_t len)
{
	for (unsigned i = 0; i < sizeof(bad_options) / sizeof(bad_options[0]);
	     i++)
		if (is_option(p, len, bad_options[i].word) &&
		    (xfs ? bad_options[i].xfs : bad_options[i].ext4))
			add(c, true,
			    "it is to be mounted with %s: %s|take it out of "
			    "mount_options (storage)",
			    bad_options[i].word, bad_options[i].why);
	return len > 7 && memcmp(p, "errors=", 7) == 0;
}

void
fscheck(struct fscheck *c, enum config_fstype type,
    const uint8_t bytes[FSCHECK_BYTES], const char *options, const char *device)
{
	const uint8_t *errors = bytes + E4_SUPER + E4_ERRORS;
	bool xfs = type == CONFIG_FS_XFS, says_errors = false;

	memset(c, 0, sizeof(*c));
	if (xfs)
		check_xfs(c, bytes, device);
	else
		check_ext4(c, bytes + E4_SUPER, device);
	for (const char *p = options; *p != '\0';) {
		size_t len = strcspn(p, ",");

		says_errors |= check_option(c, xfs, p, len);
		p += len + (p[len] == ',');
	}
	if (!xfs && c->known && !says_errors &&
	    le16(errors) == E4_ERRORS_CONTINUE)
		add(c, true,
		    "it goes on after errors (errors=continue)|tune2fs -e "
		    "remount-ro %s",
		    device);
}

bool
fscheck_refuses(const struct fscheck *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->found[i].refuse)
			return true;
	return false;
}
