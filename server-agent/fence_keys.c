/*
 * fence: reservations of SCSI disks (SPC-4, 5.12), through multipath, and of
 * NVMe namespaces (NVMe Base 2.0, 8.19). One command of sh does the steps,
 * and ends with the keys and the reservation as the disk has them: these
 * alone are judged, no tool's status.
 *
 * Write exclusive, registrants only: a host without a key can read, and
 * nothing else. Every key of ours ("HF") but the own one is preempted, with
 * the tasks of its host aborted: a claim was won, so nobody else may have
 * one. Keys that are not of hanfs are left alone, and fail the judgement if
 * they hold the reservation.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "server-agent/fence_int.h"

#define KEY_MAGIC 0x4846u /* HF */

uint64_t
fence_key(uint32_t server_id, uint64_t epoch)
{
	return (uint64_t)KEY_MAGIC << 48 |
	       (uint64_t)(server_id & 0xffff) << 32 | (epoch & 0xffffffff);
}

static bool
is_ours(uint64_t key)
{
	return key >> 48 == KEY_MAGIC;
}

bool
fence_key_is_of(uint64_t key, uint32_t server_id)
{
	return is_ours(key) && (key >> 32 & 0xffff) == (server_id & 0xffff);
}

bool
fence_has_keys(enum config_fence method)
{
	return method == CONFIG_FENCE_SCSI || method == CONFIG_FENCE_MPATH ||
	       method == CONFIG_FENCE_NVME;
}

/* --- commands. The tools' words go to standard error; what the disk has, to
 * standard output. */

#define SCSI_SHOW                                    \
	"echo '== keys'; look --read-keys || exit\n" \
	"echo '== reservation'; look --read-reservation || exit\n"
#define SCSI_TAKE                                                           \
	"change --register-ignore --param-sark=\"$HANFS_KEY\" || exit\n"    \
	"for k in $(look --read-keys | grep -io '0x4846[0-9a-f]\\{12\\}' |" \
	" sort -u); do\n"                                                   \
	"[ \"$k\" = \"$HANFS_KEY\" ] || change --preempt-abort"             \
	" --param-rk=\"$HANFS_KEY\" --param-sark=\"$k\" --prout-type=5\n"   \
	"done\n"                                                            \
	"change --reserve --param-rk=\"$HANFS_KEY\" --prout-type=5\n"
#define SCSI_GIVE "change --register-ignore --param-sark=0 || exit\n"

/* Status 6: the disk first says what has happened to us (unit attention: we
 * were preempted), and has not run the command. */
#define SG                                                                  \
	"again() { n=0\n"                                                   \
	"while \"$@\"; s=$?; [ $s = 6 ] && [ $n -lt 4 ]; do n=$((n + 1)); " \
	"done\n"                                                            \
	"return $s; }\n"                                                    \
	"look() { again sg_persist --in --no-inquiry \"$1\" "               \
	"\"$HANFS_DEVICE\"; }\n"                                            \
	"change() { again sg_persist --out --no-inquiry \"$@\" "            \
	"\"$HANFS_DEVICE\" >&2; }\n"
#define MP                                                         \
	"look() { mpathpersist --in \"$1\" \"$HANFS_DEVICE\"; }\n" \
	"change() { mpathpersist --out \"$@\" \"$HANFS_DEVICE\" >&2; }\n"

/* Registers whatever key was there; type 3 is SCSI's 5. */
#define NV                                                                 \
	"look() { nvme resv-report \"$HANFS_DEVICE\" --eds; }\n"           \
	"register() { nvme resv-register \"$HANFS_DEVICE\" --iekey \"$@\"" \
	" >&2; }\n"                                                        \
	"acquire() { nvme resv-acquire \"$HANFS_DEVICE\" --rtype=3"        \
	" --crkey=\"$HANFS_KEY\" \"$@\" >&2; }\n"
#define NV_SHOW "echo '== keys'; look || exit\n"
#define NV_TAKE                                                             \
	"register --rrega=0 --nrkey=\"$HANFS_KEY\" || exit\n"               \
	"for k in $(look | sed -n"                                          \
	" 's/^ *rkey *: *\\(0x\\)\\{0,1\\}\\(4846[0-9a-f]\\{12\\}\\) "      \
	"*$/0x\\2/p'"                                                       \
	" | sort -u); do\n"                                                 \
	"[ \"$k\" = \"$HANFS_KEY\" ] || acquire --racqa=2 --prkey=\"$k\"\n" \
	"done\n"                                                            \
	"acquire --racqa=0\n"
/* Without the key it is not registered any more: that is no failure. */
#define NV_GIVE "register --rrega=1 --crkey=\"$HANFS_KEY\"\n"

const char *
fence_keys_command(enum config_fence method, enum fence_op op)
{
	static const char *const commands[3][3] = {
	    {SG SCSI_TAKE SCSI_SHOW, SG SCSI_GIVE SCSI_SHOW, SG SCSI_SHOW},
	    {MP SCSI_TAKE SCSI_SHOW, MP SCSI_GIVE SCSI_SHOW, MP SCSI_SHOW},
	    {NV NV_TAKE NV_SHOW, NV NV_GIVE NV_SHOW, NV NV_SHOW}};
	unsigned which = op == FENCE_WITHDRAW ? 1 : op == FENCE_CHECK ? 2 : 0;

	switch (method) {
	case CONFIG_FENCE_SCSI:
		return commands[0][which];
	case CONFIG_FENCE_MPATH:
		return commands[1][which];
	default:
		return commands[2][which];
	}
}

/* --- what the disk has */

struct found {
	bool keys_seen, reservation_seen; /* these parts were there */
	bool own, mine, others, victim;   /* mine: of any epoch */
	uint64_t holder;                  /* 0: none */
	bool type_right;
};

static void
found_key(struct found *f, uint64_t key, uint64_t own, uint32_t victim)
{
	if (key == own)
		f->own = true;
	else if (is_ours(key))
		f->others = true;
	f->mine |= fence_key_is_of(key, (uint32_t)(own >> 32 & 0xffff));
	if (victim != 0 && fence_key_is_of(key, victim))
		f->victim = true;
}

/* The number after the first colon or equals sign. */
static uint64_t
value_of(const char *line, int base)
{
	const char *p = strpbrk(line, ":=");

	return p == NULL ? 0 : strtoull(p + 1, NULL, base);
}

static void
scsi_line(struct found *f, const char *line, uint64_t own, uint32_t victim)
{
	if (strncmp(line, "== keys", 7) == 0) {
		f->keys_seen = true;
	} else if (strncmp(line, "== reservation", 14) == 0) {
		f->reservation_seen = true;
	} else if (!f->reservation_seen && strncmp(line, "0x", 2) == 0) {
		found_key(f, strtoull(line, NULL, 16), own, victim);
	} else if (f->reservation_seen && strncasecmp(line, "key", 3) == 0) {
		f->holder = value_of(line, 16);
	}
	if (f->reservation_seen && strstr(line, "registrants only") != NULL &&
	    (strstr(line, "Write Exclusive") != NULL ||
		strstr(line, "Exclusive Access") != NULL))
		f->type_right = true;
}

static void
nvme_line(struct found *f, const char *line, uint64_t own, uint32_t victim)
{
	static const char rtype[] = "rtype", rcsts[] = "rcsts", rkey[] = "rkey";
	uint64_t value;

	if (strncmp(line, "== keys", 7) == 0)
		f->keys_seen = true;
	if (strncmp(line, rtype, sizeof(rtype) - 1) == 0) {
		value = value_of(line, 10);
		f->type_right = value == 3 || value == 4;
		f->reservation_seen = true;
	} else if (strncmp(line, rcsts, sizeof(rcsts) - 1) == 0) {
		/* bit 0: the next key's host holds it */
		f->holder = value_of(line, 16) & 1 ? UINT64_MAX : f->holder;
	} else if (strncmp(line, rkey, sizeof(rkey) - 1) == 0) {
		value = value_of(line, 16);
		if (f->holder == UINT64_MAX)
			f->holder = value;
		found_key(f, value, own, victim);
	}
}

static void
read_lines(struct found *f, enum config_fence method, const char *out,
    uint64_t own, uint32_t victim)
{
	char line[256];

	while (*out != '\0') {
		size_t len = strcspn(out, "\n"), skip = 0;

		while (skip < len && isspace((unsigned char)out[skip]))
			skip++;
		if (len - skip < sizeof(line)) {
			memcpy(line, out + skip, len - skip);
			line[len - skip] = '\0';
			if (method == CONFIG_FENCE_NVME)
				nvme_line(f, line, own, victim);
			else
				scsi_line(f, line, own, victim);
		}
		out += len + (out[len] == '\n');
	}
}

const char *
fence_keys_judge(enum config_fence method, enum fence_op op, const char *out,
    uint64_t own, uint32_t victim)
{
	struct found f = {.holder = 0};

	read_lines(&f, method, out, own, victim);
	if (!f.keys_seen || !f.reservation_seen)
		return "the disk's keys and reservation cannot be read";
	if (op == FENCE_CHECK)
		return NULL;
	if (op == FENCE_WITHDRAW)
		return f.mine ? "our key is still on the disk" : NULL;
	if (f.victim)
		return "its key is still on the disk: it can write";
	if (f.others)
		return "another server's key is still on the disk";
	if (!f.own)
		return "our key is not on the disk";
	if (f.holder != own)
		return "the reservation is not ours";
	return f.type_right ? NULL
			    : "the reservation is not \"registrants only\": "
			      "others could write";
}
