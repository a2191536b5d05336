/*
 * The one place that writes messages; see hanfs/log.h. It keeps no file but
 * standard error, and no state but level, name and whether systemd reads.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/log.h"

#define LINE_MAX_LEN 1000

static const char *log_ident;
static enum log_level log_least = LOG_LEVEL_INFO;
static int log_to_journal;

static const struct {
	enum log_level level;
	const char *name;
} level_names[] = {
    {LOG_LEVEL_ERR, "err"},
    {LOG_LEVEL_WARN, "warn"},
    {LOG_LEVEL_NOTICE, "notice"},
    {LOG_LEVEL_INFO, "info"},
    {LOG_LEVEL_DEBUG, "debug"},
};
#define LEVELS (sizeof(level_names) / sizeof(level_names[0]))

void
log_open(const char *ident, enum log_level least)
{
	log_ident = ident;
	log_least = least;
	log_to_journal = getenv("JOURNAL_STREAM") != NULL;
}

int
log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < LEVELS; i++) {
		if (strcmp(level_names[i].name, name) == 0) {
			*level = level_names[i].level;
			return 0;
		}
	}
	return -1;
}

const char *
log_level_name(enum log_level level)
{
	for (size_t i = 0; i < LEVELS; i++)
		if (level_names[i].level == level)
			return level_names[i].name;
	return "unknown";
}

int
log_wants(enum log_level level)
{
	return level <= log_least;
}

/* What stands before the message. Time of day is for people alone. */
static size_t
format_head(char *line, size_t size, enum log_level level)
{
	char stamp[32] = "";
	uint64_t now_ms;
	time_t now;
	struct tm tm;
	int n;

	if (log_to_journal) {
		n = snprintf(line, size, "<%d>", (int)level);
	} else {
		now_ms = clock_wall_ms();
		now = (time_t)(now_ms / 1000);
		if (localtime_r(&now, &tm) != NULL)
			strftime(stamp, sizeof(stamp), "%H:%M:%S", &tm);
		n = snprintf(line, size, "%s.%03u %.40s%s%s: ", stamp,
		    (unsigned)(now_ms % 1000),
		    log_ident != NULL ? log_ident : "",
		    log_ident != NULL ? " " : "", log_level_name(level));
	}
	return n < 0 ? 0 : (size_t)n;
}

/* Bytes of UTF-8 pass; what could start a line or move a cursor does not. */
static void
replace_controls(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			text[i] = '?';
	}
}

static void __attribute__((format(printf, 2, 0)))
write_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[LINE_MAX_LEN + 2];
	size_t head, len;
	int n;

	head = format_head(line, LINE_MAX_LEN, level);
	n = vsnprintf(line + head, LINE_MAX_LEN - head + 1, fmt, ap);
	if (n < 0)
		n = 0;
	len = (size_t)n > LINE_MAX_LEN - head ? LINE_MAX_LEN : head + (size_t)n;
	replace_controls(line + head, len - head);
	line[len++] = '\n';
	/* Nothing can be said about a message that cannot be written. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

#define DEFINE_LOG(function, level)         \
	void function(const char *fmt, ...) \
	{                                   \
		va_list ap;                 \
                                            \
		if (!log_wants(level))      \
			return;             \
		va_start(ap, fmt);          \
		write_line(level, fmt, ap); \
		va_end(ap);                 \
	}

DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_notice, LOG_LEVEL_NOTICE)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN)
DEFINE_LOG(log_err, LOG_LEVEL_ERR)

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(LOG_LEVEL_ERR, fmt, ap);
	va_end(ap);
	exit(1);
}

static void __attribute__((format(printf, 2, 3)))
write_text(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(level, fmt, ap);
	va_end(ap);
}

void
log_limited(struct log_limit *limit, uint64_t now_ms, enum log_level level,
    const char *fmt, ...)
{
	va_list ap;

	if (!log_wants(level))
		return;
	if (now_ms - limit->begin_ms >= limit->interval_ms) {
		limit->begin_ms = now_ms;
		limit->written = 0;
	}
	if (limit->written >= limit->burst) {
		limit->suppressed++;
		return;
	}
	if (limit->suppressed > 0)
		write_text(level, "%llu messages like the next suppressed",
		    (unsigned long long)limit->suppressed);
	limit->suppressed = 0;
	limit->written++;
	va_start(ap, fmt);
	write_line(level, fmt, ap);
	va_end(ap);
}
