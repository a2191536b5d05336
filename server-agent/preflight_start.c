/*
 * Preflight at the agent's start, and what no agent may do at all. See
 * preflight.h.
 *
 * The agent does not wait for it: after a power cut its volumes matter more.
 * And it refuses nothing that the takeover itself looks at (fence, root
 * handle, form, control area): only what would fail in the middle of one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "server-agent/preflight.h"

enum { SETTLE_MS = 3000 }; /* so that peers and mounts are there */

static const char not_root[] =
    "the agent's user is not root, and so cannot open the devices of volumes "
    "with a storage section, nor cut itself off them\nset user = \"root\" "
    "(agent): it keeps no capability that it does not need, hanfs-agent(8)";

const char *
preflight_refuses(const struct config *cfg, unsigned self)
{
	if (strcmp(cfg->agent.user, "root") == 0)
		return NULL;
	for (unsigned i = 0; i < cfg->nvolumes; i++) {
		const struct config_volume *v = &cfg->volumes[i];

		for (unsigned k = 0; k < v->ncandidates; k++)
			if (v->candidates[k] == self &&
			    v->storage.device[0] != '\0')
				return not_root;
	}
	return NULL;
}

void
preflight_user(struct preflight *p)
{
	const char *why = preflight_refuses(p->cfg, p->self);

	if (why != NULL)
		preflight_say(p, PREFLIGHT_WRONG, "%s", why);
	else
		preflight_say(p, PREFLIGHT_OK, "the agent runs as root");
}

static void
report(const struct preflight *p)
{
	void (*say)(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
	unsigned bad = 0;

	for (unsigned i = 0; i < p->n; i++) {
		const struct preflight_finding *f = &p->found[i];
		const char *volume =
		    f->volume >= 0 ? p->cfg->volumes[f->volume].name : "";

		if (f->verdict != PREFLIGHT_WRONG &&
		    f->verdict != PREFLIGHT_WARNING)
			continue;
		bad++;
		say = f->verdict == PREFLIGHT_WRONG ? log_err : log_warn;
		say("check: %s%s%s: %s; cure: %s", volume,
		    volume[0] != '\0' ? " " : "", f->check, f->text, f->cure);
	}
	log_notice("check: %u of %u findings are not well%s", bad, p->n,
	    bad > 0 ? "; see hanfs-agent --check" : "");
}

static void
look(const struct config *cfg, unsigned self, int go)
{
	char up = 0;

	if (read(go, &up, 1) != 1 || up == 0)
		return;
	(void)poll(NULL, 0, SETTLE_MS);
	report(preflight_beside(cfg, self));
}

/* Twice a child: nobody has to wait for it. */
int
preflight_start(const struct config *cfg, unsigned self)
{
	int go[2];
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) == -1) {
		log_warn("no check at the start: %s", strerror(errno));
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		if (fork() == 0)
			look(cfg, self, go[0]);
		_exit(0);
	}
	close(go[0]);
	if (pid == -1)
		log_warn("no check at the start: %s", strerror(errno));
	else
		(void)waitpid(pid, NULL, 0);
	return go[1];
}

void
preflight_ready(int fd, bool up)
{
	if (fd == -1)
		return;
	(void)!write(fd, &up, 1);
	close(fd);
}
