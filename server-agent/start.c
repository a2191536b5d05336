/*
 * What a server that owns volumes by lease does before anything else: is it
 * allowed to, its helper, the boot id that the control areas know.
 */
#include <stdlib.h>
#include <string.h>

#include "hanfs/log.h"
#include "server-agent/agent.h"
#include "server-agent/bootid.h"
#include "server-agent/ctlarea.h"
#include "server-agent/preflight.h"
#include "server-agent/steps.h"

static bool
is_managed(const struct agent *a, const struct config_volume *v)
{
	bool here = false;

	for (unsigned k = 0; k < v->ncandidates; k++)
		here |= v->candidates[k] == a->server;
	return here && v->storage.device[0] != '\0';
}

static bool
any_managed(const struct agent *a)
{
	for (unsigned i = 0; i < a->nvolumes; i++)
		if (is_managed(a, &a->cfg->volumes[i]))
			return true;
	return false;
}

int
start_check(const struct agent *a)
{
	const char *why = preflight_refuses(a->cfg, a->server);

	if (why != NULL)
		fatal("%.*s; cure: %s", (int)strcspn(why, "\n"), why,
		    strchr(why, '\n') + 1);
	return any_managed(a) ? preflight_start(a->cfg, a->server) : -1;
}

/* Before anything that makes this process large, or takes its powers. */
void
start_helper(struct agent *a, const char *run_dir)
{
	if (!any_managed(a))
		return;
	a->steps = steps_new(a->cfg, a->server, run_dir);
	if (a->steps == NULL)
		exit(1);
}

/* Where the state directory was lost, the control areas know a boot id. */
void
start_boot(const struct agent *a, const char *state_dir)
{
	char error[CTL_ERROR_LEN + BOOTID_ERROR_LEN];

	for (unsigned i = 0; i < a->nvolumes; i++) {
		const struct config_volume *v = &a->cfg->volumes[i];
		struct ctl_want want = {.path = v->storage.control,
		    .cluster = a->cfg->cluster,
		    .volume = v->name,
		    .volume_id = v->id,
		    .server_id = a->cfg->servers[a->server].id};
		uint64_t boot = 0;

		if (!is_managed(a, v) ||
		    v->storage.arbiter != CONFIG_ARBITER_DISK)
			continue;
		if (ctlarea_boot_floor(&want, &boot, error) == -1)
			fatal("%s", error);
		if (boot > 0 && bootid_floor(state_dir, boot, error) == -1)
			fatal("%s", error);
	}
}
