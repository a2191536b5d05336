/*
 * preflight: hanfs-agent --check. Is all that a server needs to own its
 * volumes there, and right (DESIGN section 6)? What is wrong is said with
 * its cure. Changes nothing, and may run beside a running agent.
 *
 *   preflight.c       the table of checks, what is said, in text and JSON
 *   preflight_disk.c  control area, lease, device
 *   preflight_fs.c    file system, and its form
 *   preflight_host.c  programs, mount point, addresses, rp_filter, clock
 *   preflight_net.c   fence, service address
 *   preflight_fit.c   what the other servers' agents say of themselves
 *   preflight_peers.c peers' heartbeats, clock
 *   preflight_start.c at the agent's start; its user
 *
 * A check sees the host through struct preflight: tests give it a root
 * directory, a PATH and interfaces of their own.
 */
#ifndef HANFS_AGENT_PREFLIGHT_H
#define HANFS_AGENT_PREFLIGHT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>

#include "hanfs/addr.h"
#include "hanfs/config.h"
#include "server-agent/ctlarea.h"

#define PREFLIGHT_TEXT_MAX     640u
#define PREFLIGHT_FINDINGS_MAX 1024u
#define PREFLIGHT_IFS_MAX      256u

enum preflight_verdict {
	PREFLIGHT_OK,
	PREFLIGHT_WARNING,   /* it works, but slowly or less safely */
	PREFLIGHT_WRONG,     /* a takeover would fail, or do damage */
	PREFLIGHT_NOT_TRIED, /* cannot be seen now; text says why */
	PREFLIGHT_VERDICTS
};
extern const char *const preflight_verdict_names[PREFLIGHT_VERDICTS];

struct preflight_finding {
	const char *check;
	int volume; /* index, or -1: of the host */
	enum preflight_verdict verdict;
	char text[PREFLIGHT_TEXT_MAX];
	char cure[PREFLIGHT_TEXT_MAX]; /* "" for OK and NOT_TRIED */
};

struct preflight_if {
	char name[IF_NAMESIZE];
	struct hanfs_addr addr; /* without port */
	bool carrier;
};

/* What the control area said of the volume that is being looked at. */
struct preflight_area {
	bool known; /* it could be read */
	bool agent; /* an agent of this server runs on this host */
	int owner;  /* whose lease advances: index of a server, or -1 */
	unsigned slot;
	struct ctl_super super;
};

struct event_base;

struct preflight {
	const struct config *cfg;
	unsigned self;
	const char *root; /* before paths of files that are looked at; "" */
	const char *path; /* as $PATH */
	/* The address that packets to `to` would leave with; 0, or -1. */
	int (*source)(const struct hanfs_addr *to, struct hanfs_addr *from);
	struct event_base *base;
	unsigned nifs;
	struct preflight_if ifs[PREFLIGHT_IFS_MAX];
	bool beside; /* an agent that starts: not all can be looked at */

	/* Since a peer's lease was seen to advance, or it was heard. */
	bool lives[CONFIG_SERVERS_MAX];
	/* The volume and the check that run. */
	const struct config_volume *v; /* NULL: of the host */
	const char *check;
	struct preflight_area area;

	unsigned n;
	struct preflight_finding found[PREFLIGHT_FINDINGS_MAX];
};

/* Runs it for server `self`; prints; the exit status: 0 all is well, 1
 * something is wrong, 3 there are only warnings. */
int preflight_run(const struct config *cfg, unsigned self, bool json);

/*
 * For the agent's own start: a process beside it, which waits for
 * preflight_ready(), looks at all that can be looked at while an agent may
 * mount at any moment, and logs what is wrong, with its cure. Before threads
 * and privileges' end; a descriptor for preflight_ready(), or -1 after
 * logging why.
 */
int preflight_start(const struct config *cfg, unsigned self);
/* The agent is up; or was not, and then nothing is looked at (-1 too). */
void preflight_ready(int fd, bool up);
/* Why a server with this configuration may not own volumes at all: static
 * text with its cure; NULL: it may. Nothing is looked at. */
const char *preflight_refuses(const struct config *cfg, unsigned self);

/* --- between the files, and for tests */

enum { PREFLIGHT_EXIT_WRONG = 1, PREFLIGHT_EXIT_WARNING = 3 };

/* "what is wrong\ncure"; for OK and NOT_TRIED the text alone. */
void preflight_say(struct preflight *p, enum preflight_verdict verdict,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int preflight_exit_status(const struct preflight *p);
void preflight_print(const struct preflight *p, FILE *to);
void preflight_print_json(const struct preflight *p, FILE *to);

/* Is a lease's length right for a control area whose worst I/O of those
 * measured took that long? */
void preflight_judge_lease(
    struct preflight *p, uint64_t worst_us, const char *what);
/* Of the slots, read twice: whose lease advanced? */
int preflight_advancing(const struct preflight *p,
    const struct ctl_slot before[CTL_SLOTS],
    const struct ctl_slot after[CTL_SLOTS]);
/* The clock of leases went boot_ms while the event loop waited waited_ms. */
void preflight_judge_clock(struct preflight *p, uint64_t boot_ms,
    uint64_t waited_ms, uint64_t wall_ms);
/* heard[server]: bits of the networks on which it was. */
void preflight_judge_peers(struct preflight *p, const uint64_t *heard);
const struct preflight_if *preflight_if_of(
    const struct preflight *p, const struct hanfs_addr *addr);
/* The path of a program along p->path, into buf; false: there is none. */
bool preflight_find_program(
    const struct preflight *p, const char *name, char *buf, size_t size);

/* All but what must not be done beside an agent that starts; never NULL. */
struct preflight *preflight_beside(const struct config *cfg, unsigned self);

/* preflight_start.c */
void preflight_user(struct preflight *p);
/* preflight_disk.c */
void preflight_control(struct preflight *p);
void preflight_lease(struct preflight *p);
void preflight_device(struct preflight *p);
/* preflight_fs.c */
void preflight_file_system(struct preflight *p);
void preflight_form(struct preflight *p);
/* preflight_host.c */
void preflight_mountpoint(struct preflight *p);
void preflight_programs(struct preflight *p);
void preflight_addresses(struct preflight *p);
void preflight_rp_filter(struct preflight *p);
/* preflight_net.c */
void preflight_fence(struct preflight *p);
void preflight_service_address(struct preflight *p);
/* preflight_fit.c: and of what a server has said of itself (fit.h). */
void preflight_fit(struct preflight *p);
struct fit;
void preflight_judge_fit(struct preflight *p, const char *server,
    const struct fit *own, const struct fit *his);
/* preflight_peers.c */
void preflight_peers(struct preflight *p); /* and the clock */

#endif
