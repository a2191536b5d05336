/*
 * The control area: who owns a volume, written on the shared disk itself
 * (DESIGN section 6, arbiter "disk").
 *
 * Owns the layout, its codec, and making a new area. Decides nothing:
 * lease.h does. ctlio.h reads and writes a running agent's area.
 *
 * A partition, logical volume or image of at least 96 KiB, outside every
 * file system. All numbers are big-endian. Blocks are 4 KiB, so that direct
 * I/O works on every disk.
 *
 *	block  0      superblock: written by --format alone
 *	block  1..7   kept free: zero. (A copy on the other leg of a mirror
 *	              will be described here.)
 *	block  8..15  lease slots, one for each candidate
 *	block 16..23  mailboxes, one for each candidate
 *
 * Each block has one writer for ever: a candidate writes its own slot and
 * its own mailbox, and reads all others'. Its slot number is the place of
 * its server id in the superblock, whatever the configuration says later.
 *
 * A block holds one record eight times, once in each 512 bytes. A disk
 * writes 512 bytes whole or not at all; a write cut short leaves old and new
 * copies side by side, and the reader takes the newest good one: what was
 * acknowledged to its writer stands in all eight. A block without any good
 * copy is damaged: nothing is concluded from it.
 *
 * A copy:
 *
 *	 0  magic   "HFCA"
 *	 4  kind    u16 (1 superblock, 2 lease, 3 mailbox)
 *	 6  version u16 (1)
 *	 8  block   u32, the number of the block that it belongs into
 *	12  length  u32 of the body
 *	16  area    16 bytes, drawn at random by --format: a copy of another
 *	            or an older area is not taken for one of this
 *	32  seq     u64, +1 with each write
 *	40  body    by kind, `length` bytes
 *	508 crc     u32, CRC32C of bytes 0..507; what is unused is zero
 *
 * Body of a superblock:	Body of a lease slot:
 *	u64 format time, wall ms	u32 server id
 *	u64 epoch floor: all that	u32 holding (enum ctl_holding)
 *	    come are above		u64 boot id of the agent
 *	u32 volume id			u64 instance, random: one process
 *	u32 block size (4096)		u64 owned epoch    } the last that it
 *	u32 slots (8)			u64 owned ballot   } held, or holds
 *	8 x u32 server id, 0: none	u64 claimed epoch  } 0: claims none
 *	u8 length, cluster's name	u64 claimed ballot }
 *	u8 length, volume's name	u32 granted to, a server id or 0
 *					u32 lease ms
 *					u32 watchdog ms, 0: none armed
 *					u64 wall time of the write, ms
 *
 * Body of a mailbox:
 *	u32 server id
 *	u32 state, as heartbeats say it
 *	u32 age in ms of the sign of life of the agent's event loop
 *	u64 boot id
 *	8 x { u64 ping: nonce for the candidate in that slot, 0: none;
 *	      u64 pong: the last nonce of it that was answered;
 *	      u64 ask: number of the last wish for the volume, to that one;
 *	      u64 heard: the last number of it that was heard }
 */
#ifndef AGENT_CTLAREA_H
#define AGENT_CTLAREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_BLOCK       4096u
#define CTL_COPY        512u
#define CTL_SLOTS       8u /* = CONFIG_CANDIDATES_MAX */
#define CTL_FIRST_LEASE 8u
#define CTL_FIRST_MAIL  16u
#define CTL_BLOCKS      24u
#define CTL_AREA_SIZE   (CTL_BLOCKS * CTL_BLOCK)
#define CTL_NO_SLOT     UINT32_MAX
#define CTL_NAME_MAX    64u /* = CONFIG_NAME_MAX */
#define CTL_AREA_ID_LEN 16u
#define CTL_ERROR_LEN   512u

struct ctl_super {
	uint8_t area[CTL_AREA_ID_LEN];
	uint64_t format_wall_ms;
	uint64_t epoch_floor; /* the highest of the area before this one */
	uint32_t volume_id;
	uint32_t server_id[CTL_SLOTS]; /* 0: no candidate has this slot */
	char cluster[CTL_NAME_MAX + 1], volume[CTL_NAME_MAX + 1];
};

/* What a candidate is to the last epoch that it owned. */
enum ctl_holding {
	CTL_NOTHING,  /* it never owned one */
	CTL_HELD,     /* owns it (or is just about to: see lease.h) */
	CTL_STALE,    /* held by an earlier process of its agent */
	CTL_RELEASED, /* given up in good order: it writes nothing */
	CTL_NHOLDINGS,
};
extern const char *const ctl_holding_names[CTL_NHOLDINGS];

struct ctl_lease {
	uint64_t seq;
	uint32_t server_id;
	enum ctl_holding holding;
	uint64_t boot, instance;
	uint64_t owned_epoch, owned_ballot;
	uint64_t claim_epoch, claim_ballot;
	uint32_t granted_to; /* server id; 0: to whoever comes first */
	uint32_t lease_ms, watchdog_ms;
	uint64_t wall_ms;
};

struct ctl_mail {
	uint64_t seq;
	uint32_t server_id, state, loop_age_ms;
	uint64_t boot;
	uint64_t ping[CTL_SLOTS], pong[CTL_SLOTS];
	uint64_t ask[CTL_SLOTS], heard[CTL_SLOTS];
};

enum ctl_status {
	CTL_GOOD,
	CTL_MIXED,   /* good; some copies are older or damaged */
	CTL_EMPTY,   /* all zero: never written */
	CTL_DAMAGED, /* no good copy */
	CTL_FOREIGN, /* good, but of another area, kind or block */
	CTL_NEWER,   /* of a version that this program does not know */
	CTL_NSTATUS,
};
extern const char *const ctl_status_names[CTL_NSTATUS];

/* A slot as it was read. */
struct ctl_slot {
	enum ctl_status status; /* lease is set when GOOD or MIXED */
	struct ctl_lease lease;
};

/* --- codec: blocks are CTL_BLOCK bytes; area is the superblock's */

void ctl_super_put(uint8_t *block, const struct ctl_super *super);
void ctl_lease_put(uint8_t *block, const uint8_t *area, unsigned slot,
    const struct ctl_lease *lease);
void ctl_mail_put(uint8_t *block, const uint8_t *area, unsigned slot,
    const struct ctl_mail *mail);

/* GOOD and MIXED set *out; for all others it is zero. */
enum ctl_status ctl_super_get(const uint8_t *block, struct ctl_super *out);
enum ctl_status ctl_lease_get(const uint8_t *block, const uint8_t *area,
    unsigned slot, struct ctl_lease *out);
enum ctl_status ctl_mail_get(const uint8_t *block, const uint8_t *area,
    unsigned slot, struct ctl_mail *out);

static inline bool
ctl_usable(enum ctl_status status)
{
	return status == CTL_GOOD || status == CTL_MIXED;
}

/* The slot of a server, or CTL_NO_SLOT. */
unsigned ctl_slot_of(const struct ctl_super *super, uint32_t server_id);

/*
 * The slot whose owned (epoch, ballot) is the highest: the volume's owner,
 * or its last one. CTL_NO_SLOT: nobody ever owned it. Slots that are not
 * usable are passed over: the caller looks for these first.
 */
unsigned ctl_newest(const struct ctl_slot slots[CTL_SLOTS]);

/* --- files and devices */

/*
 * Opens for direct, synchronous I/O and checks the superblock against what
 * the configuration says. -1: error (CTL_ERROR_LEN bytes) says what is
 * wrong, with what, and what to do.
 */
struct ctl_want {
	const char *path;
	const char *cluster, *volume;
	uint32_t volume_id;
	uint32_t server_id; /* it must have a slot; 0: need not */
};
int ctlarea_open(const struct ctl_want *want, bool writable,
    struct ctl_super *super, char *error);

/*
 * Keeps out every other process of this host that wants the same slot
 * (CTL_NO_SLOT: any), until the last copy of fd is closed and the last I/O
 * through it has ended. 0, or an errno: EAGAIN when another has it.
 */
int ctlarea_lock(int fd, unsigned slot);

/*
 * Reads all slots through fd. 0, or an errno. For start-up, --format and
 * --check: a running agent's reads are ctlio's.
 */
int ctlarea_read_slots(
    int fd, const struct ctl_super *super, struct ctl_slot slots[CTL_SLOTS]);

/*
 * The highest boot id that this server wrote into the area, 0 when none:
 * one that starts must be above it, whatever its state directory says. -1
 * as above.
 */
int ctlarea_boot_floor(
    const struct ctl_want *want, uint64_t *boot, char *error);

/*
 * Makes a new area. Without force it refuses a path that holds anything but
 * zeros or an area of its own cluster and volume that nobody holds; it
 * looks twice, wait_ms apart (at least two renewals), and says whose it is
 * and whether that one's lease advances. A lease that advances is refused
 * even with force. Epochs go on above those of the area that was there, and
 * above wall_ms in seconds if it is damaged, or not surely the last one
 * (served). 0, or -1 as above.
 */
struct ctl_format {
	const char *path;
	const char *cluster, *volume;
	uint32_t volume_id;
	uint32_t server_id[CTL_SLOTS]; /* the candidates in order */
	const char *server[CTL_SLOTS]; /* their names, for messages */
	uint64_t wall_ms;
	uint64_t epoch_floor; /* known from elsewhere (the log); 0 */
	bool served; /* its volume had epochs already, maybe of another area */
	unsigned wait_ms;
	bool force;
};
int ctlarea_format(const struct ctl_format *what, char *error);

#endif
