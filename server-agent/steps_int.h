/*
 * steps: what its files share.
 *
 *   steps.c         the agent's side: requests, answers
 *   steps_helper.c, steps_child.c  the helper: children, deadlines, backends
 *   step_run.c      what a child does: commands, the table of built-in steps
 *   step_fs.c       mounting, unmounting
 *   step_sync.c     writing back
 *   step_net.c      namespaces, what runs in them
 *   step_nfs.c      NFS servers: start, NULL, root handle
 *   step_addr.c     the service address
 *   step_plain.c    connections of clients without a proxy, when it moves
 *
 * A message is one record of the SEQPACKET socket: its head, then text.
 */
#ifndef HANFS_AGENT_STEPS_INT_H
#define HANFS_AGENT_STEPS_INT_H

#include <stdio.h>

#include "server-agent/steps.h"

enum { STEPS_CANCEL = STEP_KINDS, STEPS_COMMAND, STEPS_BACKEND_END };
enum { STEPS_REQUEST_TEXT = 8192 };

struct steps_request {
	uint32_t what; /* enum step_kind, STEPS_CANCEL, STEPS_COMMAND */
	uint32_t id;
	int32_t volume; /* -1: none */
	uint32_t deadline_ms;
	uint64_t epoch;
	uint32_t text_len;
	char text[STEPS_REQUEST_TEXT]; /* COMMAND: the command, then its
					* environment, each ended by NUL */
};
#define STEPS_REQUEST_HEAD offsetof(struct steps_request, text)

struct steps_answer {
	uint32_t what; /* as in the request; STEPS_BACKEND_END */
	uint32_t id;
	int32_t volume;
	uint32_t end; /* enum steps_end */
	int32_t status;
	uint32_t out_len;
	char text[STEPS_TEXT_MAX];
	char out[STEPS_OUT_MAX];
};
#define STEPS_ANSWER_HEAD offsetof(struct steps_answer, out)

/* What a child knows. */
struct step_context {
	const struct config *cfg;
	const struct config_volume *v; /* NULL: none */
	unsigned volume, self;
	uint64_t epoch;
	const char *run_dir;
	uint64_t until_ms; /* clock_now_ms(): the deadline */
	bool mounted; /* the owner machine knows of an earlier life's mount */
};

/* steps_helper.c: never returns. */
void steps_helper(const struct config *cfg, unsigned self, const char *run_dir,
    int sock) __attribute__((noreturn));

/* step_run.c: in a child; the exit status. */
int step_run(const struct step_context *c, enum step_kind kind);
int step_command(const struct step_context *c, const char *command,
    const char *env, size_t env_len);
/* One line to standard error: the reason that is reported. Returns 1. */
int step_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Sleeps a little; false when the deadline is near. */
bool step_wait(const struct step_context *c, unsigned ms);
/* Runs a shell script or command and waits for it; its status. */
int step_sh(const struct step_context *c, const char *script);
/* run_dir/VOLUME and what follows, made if need be. */
int step_dir(
    const struct step_context *c, const char *name, char *buf, size_t size);

/* The built-in steps: exit status. */
int step_mount(const struct step_context *c);
int step_unmount(const struct step_context *c);
int step_abandon(const struct step_context *c);
int step_sync(const struct step_context *c);
int step_flush(const struct step_context *c);
int step_end_old(const struct step_context *c);
int step_prepare(const struct step_context *c);
int step_backend(const struct step_context *c); /* waits for NULL */
int step_stop_other(const struct step_context *c);
int step_root(const struct step_context *c);
int step_address_up(const struct step_context *c);
int step_address_down(const struct step_context *c);

/* step_plain.c: the service address has gone; it has come. Whose connections
 * there were stands in this file of the volume, "ADDRESS PORT" in each line
 * (own_plain.c writes it). What fails is said on standard error. */
#define STEP_PLAIN_FILE ".hanfs/state/plain"
void step_plain_end(const struct step_context *c);
void step_plain_tell(const struct step_context *c);
/* The segment that does it. tcp->check is 0 for IPv6. */
struct tcphdr;
void step_plain_segment(struct tcphdr *tcp, const struct hanfs_addr *from,
    const struct hanfs_addr *to);

/* step_fs.c */
bool step_is_mounted(const char *mountpoint, dev_t device);
/* The number of the block device, or 0. */
dev_t step_device(const char *path);

/* step_net.c: enters the volume's network namespace; with `own` also mount
 * and UTS namespaces of its own, with a /run of the volume's and no other
 * volume's mount. 0, or -1 after step_fail(). */
int step_enter(const struct step_context *c, bool own, bool own_volume);
/* Ends every backend in the volume's network namespace. */
int step_kill_all(const struct step_context *c);
/* Calls fn for each process there that is a backend's; how many. */
unsigned step_each_backend(
    const struct step_context *c, void (*fn)(void *arg, pid_t pid), void *arg);

/* A long-running child: exec; returns only on failure. */
void step_exec_backend(const struct step_context *c);
/* The file that Ganesha gets where none is configured. */
void step_ganesha_text(const struct config_volume *v, FILE *f);
void step_exec_rpcbind(const struct step_context *c);

#endif
