/*
 * What a long-running program does at its start: directories, memory,
 * readiness. Each says in the log what it could not have, and what follows
 * from that; only the directories are worth an end.
 */
#ifndef HANFS_DAEMON_H
#define HANFS_DAEMON_H

#define DAEMON_RUN_DIR	 "/run/hanfs"
#define DAEMON_STATE_DIR "/var/lib/hanfs"

/* Makes the directory of sockets, mode 0755. 0, or -1 with a message. */
int daemon_run_dir(const char *dir);
/* Makes the directory of what lasts, mode 0755. 0, or -1 with a message. */
int daemon_state_dir(const char *dir);

/* All memory, now and later, stays in memory: mlockall(2). */
void daemon_lock_memory(void);
/* The OOM killer passes by: oom_score_adj(5), proc(5). */
void daemon_oom_protect(void);
/* Write-back may wait for us: PR_SET_IO_FLUSHER, prctl(2). */
void daemon_io_flusher(void);
/* The soft limit of open files becomes the hard one. */
void daemon_raise_files(void);

/*
 * The service manager's socket, NOTIFY_SOCKET of sd_notify(3), if there is
 * one. To be called by those who change their root directory, before that;
 * for all others the first message does it.
 */
void daemon_notify_open(void);
/* READY=1, WATCHDOG=1, STOPPING=1; nothing without a service manager. */
void daemon_ready(void);
void daemon_alive(void);
void daemon_stopping(void);
/* The end takes so many seconds more, from now on, at least: the service
 * manager is not to kill us before (EXTEND_TIMEOUT_USEC). */
void daemon_stopping_takes(unsigned seconds);

#endif
