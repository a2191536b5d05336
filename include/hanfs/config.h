/*
 * The cluster's configuration: one file, the same on servers and clients.
 *
 * Owns reading it, every default, every bound, and the messages about what
 * is wrong in it. The result is plain data that never changes: arrays with
 * counts; things refer to each other by index. A reload loads anew.
 *
 *	cluster = "office"
 *	network "A" { prefix = {"10.81.1.0/24"} }
 *	network "B" { prefix = {"10.82.1.0/24"} }
 *	server "s1" {
 *		id = 1
 *		public_key = "..."
 *		addresses = {"10.81.1.11", "10.82.1.11"}
 *	}
 *	volume "home" { id = 1  candidates = {"s1"} }
 *	proxy { replay_max = "64M" }
 *
 * All options with type, bounds, default and meaning: the table in
 * lib/config_table.c. A new option is a member here and a line there.
 */
#ifndef HANFS_CONFIG_H
#define HANFS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hanfs/addr.h"

#define CONFIG_DEFAULT_PATH   "/etc/hanfs/hanfs.conf"
#define CONFIG_NAME_MAX       64 /* bytes of a name, without NUL */
#define CONFIG_TEXT_MAX       255
#define CONFIG_NETWORKS_MAX   4
#define CONFIG_PREFIXES_MAX   8 /* of a network */
#define CONFIG_SERVERS_MAX    16
#define CONFIG_ADDRS_MAX      8 /* of a server */
#define CONFIG_VOLUMES_MAX    64
#define CONFIG_CANDIDATES_MAX 8
#define CONFIG_PUBLIC_KEY_LEN 32 /* Ed25519 */

/* Order in the file is order of preference: index 0 is the primary one. */
struct config_network {
	char name[CONFIG_NAME_MAX + 1];
	uint32_t id; /* on the wire; by default the place in the file from 1 */
	unsigned nprefixes;
	struct hanfs_prefix prefixes[CONFIG_PREFIXES_MAX];
};

struct config_server_addr {
	struct hanfs_addr addr; /* with the server's port */
	unsigned network;       /* index */
};

struct config_server {
	char name[CONFIG_NAME_MAX + 1];
	uint32_t id;
	uint8_t public_key[CONFIG_PUBLIC_KEY_LEN];
	uint16_t port; /* TCP, of the agent on each of the addresses */
	unsigned naddrs;
	struct config_server_addr addrs[CONFIG_ADDRS_MAX];
};

/* How the agent starts a volume's NFS server. */
enum config_backend_kind {
	CONFIG_BACKEND_GANESHA,  /* one NFS-Ganesha for the volume */
	CONFIG_BACKEND_KNFSD,    /* the kernel's, in a namespace of its own */
	CONFIG_BACKEND_EXTERNAL, /* by start and stop commands alone */
};

/* Where the agent finds a volume's NFS server, and how it comes to be. */
struct config_backend {
	enum config_backend_kind kind;
	char config[CONFIG_TEXT_MAX + 1]; /* Ganesha's file; "": made */
	char start[CONFIG_TEXT_MAX + 1];  /* command; "": by kind */
	char stop[CONFIG_TEXT_MAX + 1];
	char netns[CONFIG_TEXT_MAX + 1]; /* path of its network namespace */
	struct hanfs_addr address;       /* in there; without a port */
	uint16_t nfs_port;
	uint16_t mount_port;
	uint32_t threads; /* of Ganesha, when its file is made */
};

/* How a claimant makes sure that a silent owner writes no more. */
enum config_fence {
	CONFIG_FENCE_NONE,       /* nobody takes over from a silent owner */
	CONFIG_FENCE_COMMAND,    /* STONITH: status 0 means it is off */
	CONFIG_FENCE_SCSI,       /* SCSI-3 persistent reservation */
	CONFIG_FENCE_MPATH,      /* the same through multipath */
	CONFIG_FENCE_NVME,       /* NVMe reservation */
	CONFIG_FENCE_WATCHDOG,   /* armed on each host; timeout added */
	CONFIG_FENCE_LEASE_ONLY, /* unsafe: the lease's end is believed */
};

enum config_arbiter {
	CONFIG_ARBITER_DISK,     /* leases in the control area */
	CONFIG_ARBITER_EXTERNAL, /* commands, e.g. of a cluster manager */
};

enum config_failback {
	CONFIG_FAILBACK_AUTO,    /* once the primary is ready */
	CONFIG_FAILBACK_DELAYED, /* and failback_delay_s have passed */
	CONFIG_FAILBACK_MANUAL,  /* by hanfsctl alone */
};

enum config_fstype { CONFIG_FS_EXT4, CONFIG_FS_XFS };

/*
 * The storage of a volume, and who owns it. With no device the agent does
 * not manage it: the volume is its first candidate's for ever, without log.
 */
struct config_storage {
	char device[CONFIG_TEXT_MAX + 1];     /* with the file system; "" */
	char control[CONFIG_TEXT_MAX + 1];    /* the control area */
	char mountpoint[CONFIG_TEXT_MAX + 1]; /* /srv/NAME */
	char mount_options[CONFIG_TEXT_MAX + 1];
	enum config_fstype fstype;
	uint64_t slots; /* of the log */
	enum config_arbiter arbiter;
	char arbiter_command[CONFIG_TEXT_MAX + 1];
	enum config_fence fence;
	char fence_command[CONFIG_TEXT_MAX + 1];
	uint64_t fence_ms; /* it may take so long */
	/* When the own lease has lapsed; see server-agent/guard.h. */
	char guard_command[CONFIG_TEXT_MAX + 1];
	bool guard_reboot;
	/* Commands in the place of what is built in; "": built in. */
	char assemble[CONFIG_TEXT_MAX + 1];
	char disassemble[CONFIG_TEXT_MAX + 1];
	char mount[CONFIG_TEXT_MAX + 1];
	char unmount[CONFIG_TEXT_MAX + 1];
	char address_up[CONFIG_TEXT_MAX + 1]; /* after ours */
	char address_down[CONFIG_TEXT_MAX + 1];
	uint64_t mount_ms, unmount_ms; /* deadlines of these steps */
	uint64_t backend_ms;
	/* For clients without a proxy; family 0: none. */
	struct hanfs_addr service_address;
	enum config_failback failback;
	uint64_t failback_delay_s;
};

struct config_volume {
	char name[CONFIG_NAME_MAX + 1];
	uint32_t id;
	struct hanfs_addr loopback; /* what clients mount; with the port */
	uint16_t port;
	unsigned ncandidates;
	unsigned candidates[CONFIG_CANDIDATES_MAX]; /* index of servers */
	char export[CONFIG_TEXT_MAX + 1];           /* path that is mounted */
	struct config_backend backend;
	struct config_storage storage;
};

enum config_paths {
	CONFIG_PATHS_PRIMARY_FIRST, /* one path; the first network's if up */
	CONFIG_PATHS_ALL,           /* all healthy paths carry calls */
};

struct config_proxy {
	char user[CONFIG_NAME_MAX + 1];
	uint64_t replay_max; /* bytes of calls and replies held */
	uint64_t reserve;    /* of these, kept for small calls */
	uint64_t linger_ms;  /* an answered call's identity is remembered */
	enum config_paths paths;
	bool insecure; /* peers from ports of 1024 and above are served */

	uint64_t calls_max;       /* held at once */
	uint64_t connections_max; /* of the kernel, at once */
	uint64_t replay_calls;    /* under way at first in a replay */
	uint64_t probe_after_ms;  /* a call outstanding so long: probe */
	uint64_t oneway_ms;       /* probe unacknowledged so long: down */
	uint64_t user_timeout_ms; /* TCP data unacknowledged so long: dead */
	uint64_t connect_ms;      /* an attempt to connect may take this */
	uint64_t retry_ms;        /* between attempts, at first */
	uint64_t retry_max_ms;    /* and at most */
	uint64_t hold_ms;         /* a path is avoided after a fault */
	uint64_t hold_max_ms;     /* and at most, when it flaps */
	uint64_t calm_ms;         /* up so long: one flap is forgotten */
};

struct config_detector {
	char user[CONFIG_NAME_MAX + 1];
	uint64_t verify_per_second; /* signatures, budget of all servers */
};

struct config_agent {
	char user[CONFIG_NAME_MAX + 1];
	char key[CONFIG_TEXT_MAX + 1]; /* see config_key_path */
	uint64_t heartbeat_interval_ms;
	uint64_t multiplier;  /* so many missed: down */
	uint64_t retain_s;    /* a reply never acknowledged is kept */
	uint64_t linger_ms;   /* an acknowledged one is kept */
	uint64_t rt_priority; /* SCHED_FIFO of heartbeats; 0: none */
	uint64_t clients_max;
	uint64_t calls_per_client; /* in progress or finished, not acked */
	uint64_t reply_memory;     /* bytes of replies kept */
	uint64_t idle_s; /* a kernel connection without networks is kept */
	uint64_t lease_ms;     /* an owner's, from the issue of a renewal */
	uint64_t renew_ms;     /* between renewals */
	uint64_t suspicion_ms; /* a peer silent so long on all networks */
	uint64_t silent_s;     /* agent silent, kernel alive: then fenced */
	uint64_t undecidable_wait_s; /* for an operator's verdict */
	uint64_t answer_s; /* a backend may take so long; 0: for ever */
	char watchdog[CONFIG_TEXT_MAX + 1]; /* device, "": none */
	uint64_t watchdog_s;
	bool test_no_replay_table; /* replays run again: for tests */
	char test_rules_off[CONFIG_TEXT_MAX + 1]; /* of the log: for tests */
};

struct config {
	char cluster[CONFIG_NAME_MAX + 1];
	uint16_t heartbeat_port; /* UDP */
	unsigned nnetworks;
	struct config_network networks[CONFIG_NETWORKS_MAX];
	unsigned nservers;
	struct config_server servers[CONFIG_SERVERS_MAX];
	unsigned nvolumes;
	struct config_volume volumes[CONFIG_VOLUMES_MAX];
	struct config_proxy proxy;
	struct config_detector detector;
	struct config_agent agent;
};

/*
 * Reads the file. NULL when anything in it is wrong: *errors is then a text
 * with one line for each fault, "file:line: what is wrong, and what to write
 * instead", ended by newlines; the caller frees it. Else *errors is NULL.
 */
struct config *config_load(const char *path, char **errors);

/*
 * The same for the file `name` in the directory that dir_fd stands for (an
 * O_PATH descriptor will do), in messages called `shown`: for a program that
 * cannot reach the directory by its path any more.
 */
struct config *config_load_at(
    int dir_fd, const char *name, const char *shown, char **errors);

/* For start-up: as config_load, but logs the errors and exits. */
struct config *config_load_or_exit(const char *path);

void config_free(struct config *config);

/* Look-ups by what the wire or a person names: the index, or -1. */
int config_find_network(const struct config *config, const char *name);
int config_find_network_id(const struct config *config, uint32_t id);
int config_find_server(const struct config *config, const char *name);
int config_find_server_id(const struct config *config, uint32_t id);
int config_find_volume(const struct config *config, const char *name);
int config_find_volume_id(const struct config *config, uint32_t id);

/* The network that an address lies in: index, or -1. */
int config_network_of(
    const struct config *config, const struct hanfs_addr *addr);

/* The address of a server on a network, or NULL when it has none there. */
const struct config_server_addr *config_server_addr_on(
    const struct config_server *server, unsigned network);

/*
 * The file of a server's secret key, into buf[size]: agent.key, in which the
 * word SERVER stands for the server's name. 0, or -1: too long.
 */
int config_key_path(const struct config *config,
    const struct config_server *server, char *buf, size_t size);

const char *config_paths_name(enum config_paths paths);
const char *config_fence_name(enum config_fence fence);
const char *config_fstype_name(enum config_fstype type);

#endif
