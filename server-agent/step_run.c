/*
 * steps: what a child does. Commands are run by sh(1), with what they need
 * to know in the environment; the built-in steps are functions.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "server-agent/steps_int.h"

int
step_fail(const char *fmt, ...)
{
	char line[STEPS_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s\n", line);
	return 1;
}

bool
step_wait(const struct step_context *c, unsigned ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	if (clock_now_ms() + ms + 50 >= c->until_ms)
		return false;
	nanosleep(&ts, NULL);
	return true;
}

int
step_dir(const struct step_context *c, const char *name, char *buf, size_t size)
{
	char dir[CONFIG_TEXT_MAX * 2];

	snprintf(dir, sizeof(dir), "%s/%s", c->run_dir, c->v->name);
	if (mkdir(dir, 0755) == -1 && errno != EEXIST)
		return step_fail("%s: %s", dir, strerror(errno));
	snprintf(buf, size, "%s%s%s", dir, name[0] != '\0' ? "/" : "", name);
	return 0;
}

/* --- commands */

static void
set(const char *name, const char *value)
{
	setenv(name, value, 1);
}

static void
set_environment(const struct step_context *c)
{
	char number[24];

	set("HANFS_SERVER", c->cfg->servers[c->self].name);
	if (c->v == NULL)
		return;
	snprintf(number, sizeof(number), "%llu", (unsigned long long)c->epoch);
	set("HANFS_VOLUME", c->v->name);
	set("HANFS_EPOCH", number);
	set("HANFS_DEVICE", c->v->storage.device);
	set("HANFS_MOUNTPOINT", c->v->storage.mountpoint);
	set("HANFS_NETNS", c->v->backend.netns);
}

int
step_command(const struct step_context *c, const char *command, const char *env,
    size_t env_len)
{
	set_environment(c);
	while (env_len > 0) {
		size_t len = strnlen(env, env_len);

		if (len == env_len)
			return step_fail("the command is cut short");
		putenv((char *)env);
		env += len + 1;
		env_len -= len + 1;
	}
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	return step_fail("/bin/sh: %s", strerror(errno));
}

int
step_sh(const struct step_context *c, const char *script)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(step_command(c, script, NULL, 0));
	if (pid == -1)
		return step_fail("fork: %s", strerror(errno));
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return step_fail("wait: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* A command of the configuration in the place of nothing. */
static int
optional(const struct step_context *c, const char *command)
{
	return command[0] != '\0' ? step_command(c, command, NULL, 0) : 0;
}

/* --- the table */

static int
assemble(const struct step_context *c)
{
	return optional(c, c->v->storage.assemble);
}

static int
disassemble(const struct step_context *c)
{
	return optional(c, c->v->storage.disassemble);
}

int
step_run(const struct step_context *c, enum step_kind kind)
{
	static int (*const steps[STEP_KINDS])(const struct step_context *c) = {
	    [STEP_END_OLD] = step_end_old,
	    [STEP_PREPARE] = step_prepare,
	    [STEP_ASSEMBLE] = assemble,
	    [STEP_MOUNT] = step_mount,
	    [STEP_BACKEND] = step_backend,
	    [STEP_ROOT] = step_root,
	    [STEP_ADDRESS_UP] = step_address_up,
	    [STEP_ADDRESS_DOWN] = step_address_down,
	    [STEP_SYNC] = step_sync,
	    [STEP_FLUSH] = step_flush,
	    [STEP_STOP] = step_stop_other,
	    [STEP_UNMOUNT] = step_unmount,
	    [STEP_ABANDON] = step_abandon,
	    [STEP_DISASSEMBLE] = disassemble,
	};

	if (kind >= STEP_KINDS || c->v == NULL)
		return step_fail("no such step");
	return steps[kind](c);
}
