/*
 * The volumes of the configuration: candidates, loopback, backend, and what
 * must differ between them.
 */
#include <stdio.h>

#include "config_int.h"

static void
add_candidates(struct build *b, const struct conf_section *section,
    struct config_volume *volume)
{
	const struct conf_option *option = build_option(section, "candidates");

	for (unsigned i = 0; i < option->nvalues; i++) {
		const struct conf_value *value = &option->values[i];
		int server = config_find_server(b->config, value->text);
		bool twice = false;

		for (unsigned k = 0; k < volume->ncandidates; k++)
			twice |= (int)volume->candidates[k] == server;
		if (server < 0 && b->tree->cut)
			continue; /* it may have come later */
		if (server < 0)
			conf_error(b->errors, value->line,
			    "candidate \"%s\" is no server: write the name of "
			    "a server section",
			    value->text);
		else if (twice)
			conf_error(b->errors, value->line,
			    "candidate \"%s\" is named twice: name it once",
			    value->text);
		else if (volume->ncandidates == CONFIG_CANDIDATES_MAX)
			conf_error(b->errors, value->line,
			    "more than %d candidates: write fewer",
			    CONFIG_CANDIDATES_MAX);
		else
			volume->candidates[volume->ncandidates++] =
			    (unsigned)server;
	}
}

/* 127.77.0.N for volume N, when the file does not say another. */
static void
set_loopback(struct build *b, const struct conf_section *section,
    struct config_volume *volume)
{
	unsigned line = build_line(section, "loopback");
	struct config *c = b->config;

	if (!build_is_written(section, "loopback")) {
		if (volume->id > 254) {
			conf_error(b->errors, line,
			    "volume \"%s\" has no loopback, and its id is no "
			    "number up to 254 to make one from: write "
			    "loopback = \"127.77.1.1\" or another in 127/8",
			    volume->name);
			return;
		}
		addr_parse(&volume->loopback, "127.77.0.0");
		volume->loopback.ip[3] = (uint8_t)volume->id;
	} else if (volume->loopback.family != 0 &&
		   (volume->loopback.family != 4 ||
		       volume->loopback.ip[0] != 127)) {
		conf_error(b->errors, line,
		    "loopback is not in 127.0.0.0/8: write one like "
		    "127.77.0.1");
	}
	volume->loopback.port = volume->port;
	for (unsigned i = 0; i < c->nvolumes; i++)
		if (addr_cmp(&volume->loopback, &c->volumes[i].loopback) == 0 &&
		    volume->loopback.family != 0)
			conf_error(b->errors, line,
			    "volume \"%s\" has the loopback of \"%s\": give "
			    "it another one",
			    volume->name, c->volumes[i].name);
}

static void
set_backend(struct build *b, const struct conf_section *section,
    struct config_volume *volume)
{
	const struct conf_section *backend;

	backend = build_only_section(
	    b, CONF_BACKEND, (int)(section - b->tree->sections));
	build_fill(b, CONF_BACKEND, backend, &volume->backend);
	if (volume->backend.netns[0] == '\0')
		snprintf(volume->backend.netns, sizeof(volume->backend.netns),
		    "/run/netns/%s", section->title);
}

/* What must hold of a volume's storage, once it has a section of its own. */
static void
set_storage(struct build *b, const struct conf_section *section,
    struct config_volume *volume)
{
	struct config_storage *st = &volume->storage;
	const struct conf_section *own;

	own = build_only_section(
	    b, CONF_STORAGE, (int)(section - b->tree->sections));
	if (own == NULL)
		return; /* not managed */
	build_fill(b, CONF_STORAGE, own, st);
	if (st->mountpoint[0] == '\0')
		snprintf(st->mountpoint, sizeof(st->mountpoint), "/srv/%s",
		    section->title);
	if (st->arbiter == CONFIG_ARBITER_DISK && st->control[0] == '\0')
		conf_error(b->errors, own->line,
		    "volume \"%s\" has no control area for its leases: write "
		    "control = \"/dev/...\", or arbiter = \"external\"",
		    volume->name);
	if (st->arbiter == CONFIG_ARBITER_EXTERNAL &&
	    st->arbiter_command[0] == '\0')
		conf_error(b->errors, build_line(own, "arbiter"),
		    "arbiter is \"external\", but there is no "
		    "arbiter_command: write it");
	if (st->fence == CONFIG_FENCE_COMMAND && st->fence_command[0] == '\0')
		conf_error(b->errors, build_line(own, "fence"),
		    "fence is \"command\", but there is no fence_command: "
		    "write it");
	if (volume->backend.kind == CONFIG_BACKEND_EXTERNAL &&
	    (volume->backend.start[0] == '\0' ||
		volume->backend.stop[0] == '\0'))
		conf_error(b->errors, own->line,
		    "the backend of volume \"%s\" is \"external\": write its "
		    "start and stop commands",
		    volume->name);
}

void
build_volume(struct build *b, const struct conf_section *section)
{
	struct config *c = b->config;
	struct config_volume *volume = &c->volumes[c->nvolumes];

	if (!build_has_room(b, section, c->nvolumes, CONFIG_VOLUMES_MAX))
		return;
	b->volumes[c->nvolumes] = section;
	build_set_name(b, section, volume->name);
	build_fill(b, CONF_VOLUME, section, volume);
	if (volume->export[0] == '\0')
		snprintf(volume->export, sizeof(volume->export), "/%s",
		    section->title);
	add_candidates(b, section, volume);
	set_loopback(b, section, volume);
	set_backend(b, section, volume);
	set_storage(b, section, volume);
	for (unsigned i = 0; i < c->nvolumes; i++)
		build_check_identity(b, section, b->volumes[i], volume->name,
		    c->volumes[i].name, volume->id, c->volumes[i].id);
	c->nvolumes++;
}
