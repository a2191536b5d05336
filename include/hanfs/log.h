/*
 * Messages to the operator, on standard error.
 *
 * Owns the level, the program's name and the form of a line. Under systemd
 * (JOURNAL_STREAM set) a line starts with the level as "<N>", which the
 * journal reads; elsewhere with the time of day. A line is written by one
 * write(2), is cut at 1,000 bytes and never holds a control character:
 * names in it may come from outside.
 *
 * It does not open files, does not fork, does not use syslog(3).
 */
#ifndef HANFS_LOG_H
#define HANFS_LOG_H

#include <stdint.h>

/* The numbers are those of syslog(3), which systemd reads. */
enum log_level {
	LOG_LEVEL_ERR = 3,
	LOG_LEVEL_WARN = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/*
 * Say who we are and what is worth saying. `ident` is borrowed for ever.
 * Before this call messages of LOG_LEVEL_INFO and more important ones are
 * written, without a name.
 */
void log_open(const char *ident, enum log_level least);

/* 0 and the level, or -1 when `name` is none of err, warn, notice, ... */
int log_level_parse(const char *name, enum log_level *level);

const char *log_level_name(enum log_level level);

/* Would a message of this level be written? Guards costly arguments. */
int log_wants(enum log_level level);

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Start-up only: write the message, exit with status 1. */
void fatal(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/*
 * What input from outside can cause is logged through one of these, static
 * at the place of the call: `burst` lines in each `interval_ms`, then
 * silence; the first line after it says how many were suppressed.
 *
 *	static struct log_limit limit = LOG_LIMIT_INIT(5, 10000);
 *	log_limited(&limit, now_ms, LOG_LEVEL_WARN, "bad record from %s", ...);
 */
struct log_limit {
	uint32_t burst;
	uint32_t interval_ms;
	uint64_t begin_ms; /* of the running interval */
	uint32_t written;
	uint64_t suppressed;
};
#define LOG_LIMIT_INIT(burst, interval_ms)      \
	{                                       \
		(burst), (interval_ms), 0, 0, 0 \
	}

void log_limited(struct log_limit *limit, uint64_t now_ms, enum log_level level,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
