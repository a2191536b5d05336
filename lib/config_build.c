/*
 * From sections of text to struct config: defaults, and all that must hold
 * between options. What cannot be converted is reported and left at its
 * default, so that one fault does not cause messages about others.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "config_int.h"

const struct conf_option *
build_option(const struct conf_section *section, const char *name)
{
	const struct conf_field *field = conf_field_find(section->kind, name);

	assert(field != NULL);
	return &section->options[field - conf_fields];
}

unsigned
build_line(const struct conf_section *section, const char *name)
{
	const struct conf_option *option = build_option(section, name);

	return option->line != 0 ? option->line : section->line;
}

bool
build_is_written(const struct conf_section *section, const char *name)
{
	return build_option(section, name)->line != 0;
}

/* "server "s1"", "proxy", or "the file" */
static const char *
section_text(const struct conf_section *section, char *buf, size_t size)
{
	const struct conf_kind_info *info = &conf_kinds[section->kind];

	if (section->kind == CONF_ROOT)
		snprintf(buf, size, "the file");
	else if (info->titled)
		snprintf(buf, size, "%s \"%.*s\"", info->name, CONFIG_NAME_MAX,
		    section->title);
	else
		snprintf(buf, size, "%s", info->name);
	return buf;
}

static void
report_missing(struct build *b, const struct conf_section *section,
    const struct conf_field *field)
{
	char where[128], usage[256];

	conf_error(b->errors, section->line, "%s has no %s: write %s",
	    section_text(section, where, sizeof(where)), field->name,
	    conf_field_usage(field, usage, sizeof(usage)));
}

static void
set_default(const struct conf_field *field, void *target)
{
	char why[160];

	if (field->fallback == CONF_MUST ||
	    strcmp(field->fallback, CONF_DERIVED) == 0)
		return;
	if (conf_field_set(field, target, field->fallback, why, sizeof(why)) <
	    0)
		assert(!"a default is not what its own line allows");
}

void
build_fill(struct build *b, enum conf_kind kind,
    const struct conf_section *section, void *target)
{
	char why[160];

	for (unsigned i = 0; i < conf_nfields; i++) {
		const struct conf_field *field = &conf_fields[i];
		const struct conf_option *option;

		if (field->kind != kind)
			continue;
		set_default(field, target);
		option = section != NULL ? &section->options[i] : NULL;
		if (option == NULL || option->nvalues == 0) {
			/* a file that was not read to its end misses much */
			if (field->fallback == CONF_MUST && !b->tree->cut)
				report_missing(b, section, field);
		} else if (field->type != CONF_LIST &&
			   conf_field_set(field, target, option->values[0].text,
			       why, sizeof(why)) < 0) {
			conf_error(b->errors, option->line, "%s = \"%s\" %s",
			    field->name, option->values[0].text, why);
		}
	}
}

const struct conf_section *
build_only_section(struct build *b, enum conf_kind kind, int parent)
{
	const struct conf_section *found = NULL;

	for (unsigned i = 0; i < b->tree->nsections; i++) {
		const struct conf_section *section = &b->tree->sections[i];

		if (section->kind != kind || section->parent != parent)
			continue;
		if (found != NULL)
			conf_error(b->errors, section->line,
			    "a second section %s; the first ends in line %u: "
			    "write all into one",
			    conf_kinds[kind].name, found->line);
		else
			found = section;
	}
	return found;
}

void
build_set_name(struct build *b, const struct conf_section *section,
    char name[CONFIG_NAME_MAX + 1])
{
	if (!conf_is_name(section->title))
		conf_error(b->errors, section->line,
		    "%s \"%s\" has no good name: write 1 to %d letters, "
		    "digits, '.', '_' and '-'",
		    conf_kinds[section->kind].name, section->title,
		    CONFIG_NAME_MAX);
	snprintf(name, CONFIG_NAME_MAX + 1, "%s", section->title);
}

bool
build_has_room(struct build *b, const struct conf_section *section,
    unsigned count, unsigned max)
{
	if (count == max)
		conf_error(b->errors, section->line,
		    "more than %u sections %s: write fewer", max,
		    conf_kinds[section->kind].name);
	return count < max;
}

void
build_check_identity(struct build *b, const struct conf_section *section,
    const struct conf_section *earlier, const char *name,
    const char *earlier_name, uint32_t id, uint32_t earlier_id)
{
	const char *kind = conf_kinds[section->kind].name;

	if (strcmp(name, earlier_name) == 0)
		conf_error(b->errors, section->line,
		    "a second %s \"%s\"; the first ends in line %u: give it "
		    "another name",
		    kind, name, earlier->line);
	else if (id == earlier_id && id != 0)
		conf_error(b->errors, build_line(section, "id"),
		    "%s \"%s\" has id %u, as \"%s\" has: give it another one",
		    kind, name, id, earlier_name);
}

/* -- networks */

static void
check_overlap(struct build *b, const struct hanfs_prefix *prefix,
    const char *text, unsigned line)
{
	struct config *c = b->config;

	for (unsigned n = 0; n < c->nnetworks; n++) {
		for (unsigned p = 0; p < c->networks[n].nprefixes; p++) {
			if (!prefix_overlap(
				prefix, &c->networks[n].prefixes[p]))
				continue;
			conf_error(b->errors, line,
			    "prefix %s overlaps one of network \"%s\": write "
			    "prefixes that share no address",
			    text, c->networks[n].name);
			return;
		}
	}
}

static void
add_prefixes(struct build *b, const struct conf_section *section,
    struct config_network *network)
{
	const struct conf_option *option = build_option(section, "prefix");
	struct hanfs_prefix prefix;
	const char *why;

	for (unsigned i = 0; i < option->nvalues; i++) {
		const struct conf_value *value = &option->values[i];

		if (prefix_parse(&prefix, value->text, &why) < 0) {
			conf_error(b->errors, value->line,
			    "prefix \"%s\": %s; write one like 10.81.1.0/24",
			    value->text, why);
			b->prefixes_good = false;
		} else if (network->nprefixes == CONFIG_PREFIXES_MAX) {
			conf_error(b->errors, value->line,
			    "more than %d prefixes: write fewer",
			    CONFIG_PREFIXES_MAX);
			return;
		} else {
			check_overlap(b, &prefix, value->text, value->line);
			network->prefixes[network->nprefixes++] = prefix;
		}
	}
}

static void
add_network(struct build *b, const struct conf_section *section)
{
	struct config *c = b->config;
	struct config_network *network = &c->networks[c->nnetworks];

	if (!build_has_room(b, section, c->nnetworks, CONFIG_NETWORKS_MAX))
		return;
	b->networks[c->nnetworks] = section;
	build_set_name(b, section, network->name);
	build_fill(b, CONF_NETWORK, section, network);
	if (!build_is_written(section, "id"))
		network->id = c->nnetworks + 1;
	/* counted before its prefixes: they may not overlap each other */
	c->nnetworks++;
	add_prefixes(b, section, network);
	if (network->nprefixes == 0)
		b->prefixes_good = false;
	for (unsigned i = 0; i + 1 < c->nnetworks; i++)
		build_check_identity(b, section, b->networks[i], network->name,
		    c->networks[i].name, network->id, c->networks[i].id);
}

/* -- servers */

static void
check_server_addr(struct build *b, const struct config_server *server,
    const struct hanfs_addr *addr, const struct conf_value *value, int network)
{
	struct config *c = b->config;

	for (unsigned s = 0; s < c->nservers; s++)
		for (unsigned a = 0; a < c->servers[s].naddrs; a++)
			if (addr_same_ip(&c->servers[s].addrs[a].addr, addr))
				conf_error(b->errors, value->line,
				    "address %s is one of server \"%s\": give "
				    "each address to one server",
				    value->text, c->servers[s].name);
	for (unsigned a = 0; a < server->naddrs; a++)
		if (server->addrs[a].network == (unsigned)network)
			conf_error(b->errors, value->line,
			    "server \"%s\" has a second address on network "
			    "\"%s\": write one for each network",
			    server->name, c->networks[network].name);
}

static void
add_server_addr(struct build *b, struct config_server *server,
    const struct conf_value *value)
{
	struct hanfs_addr addr;
	int network;

	if (addr_parse(&addr, value->text) < 0) {
		conf_error(b->errors, value->line,
		    "address \"%s\" must be an address like 10.81.1.11 or "
		    "fd00::1",
		    value->text);
		return;
	}
	network = config_network_of(b->config, &addr);
	if (network < 0) {
		if (b->prefixes_good && !b->tree->cut)
			conf_error(b->errors, value->line,
			    "address %s is in no network: write its prefix in "
			    "a network section",
			    value->text);
		return;
	}
	check_server_addr(b, server, &addr, value, network);
	if (server->naddrs == CONFIG_ADDRS_MAX)
		return;
	addr.port = server->port;
	server->addrs[server->naddrs].addr = addr;
	server->addrs[server->naddrs].network = (unsigned)network;
	server->naddrs++;
}

static void
add_server(struct build *b, const struct conf_section *section)
{
	struct config *c = b->config;
	struct config_server *server = &c->servers[c->nservers];
	const struct conf_option *addresses =
	    build_option(section, "addresses");

	if (!build_has_room(b, section, c->nservers, CONFIG_SERVERS_MAX))
		return;
	b->servers[c->nservers] = section;
	build_set_name(b, section, server->name);
	build_fill(b, CONF_SERVER, section, server);
	for (unsigned i = 0; i < addresses->nvalues; i++)
		add_server_addr(b, server, &addresses->values[i]);
	for (unsigned i = 0; i < c->nservers; i++) {
		build_check_identity(b, section, b->servers[i], server->name,
		    c->servers[i].name, server->id, c->servers[i].id);
		if (build_is_written(section, "public_key") &&
		    memcmp(server->public_key, c->servers[i].public_key,
			CONFIG_PUBLIC_KEY_LEN) == 0)
			conf_error(b->errors, build_line(section, "public_key"),
			    "server \"%s\" has the key of \"%s\": make each "
			    "its own with hanfsctl keygen",
			    server->name, c->servers[i].name);
	}
	c->nservers++;
}

/* -- all of it */

static void
add_all(struct build *b, enum conf_kind kind,
    void (*add)(struct build *, const struct conf_section *))
{
	for (unsigned i = 0; i < b->tree->nsections; i++)
		if (b->tree->sections[i].kind == kind)
			add(b, &b->tree->sections[i]);
}

/* `small` must not be above `large`. */
static void
check_order(struct build *b, const struct conf_section *section,
    const char *small, uint64_t small_value, const char *large,
    uint64_t large_value)
{
	const char *blame = build_is_written(section, small) ? small : large;

	if (small_value > large_value)
		conf_error(b->errors, build_line(section, blame),
		    "%s is greater than %s: write a smaller %s or a greater "
		    "%s",
		    small, large, small, large);
}

static void
set_proxy(struct build *b)
{
	const struct conf_section *section =
	    build_only_section(b, CONF_PROXY, 0);
	struct config_proxy *p = &b->config->proxy;

	build_fill(b, CONF_PROXY, section, p);
	if (section == NULL)
		return;
	if (p->reserve > p->replay_max / 2)
		conf_error(b->errors, build_line(section, "reserve"),
		    "reserve is more than half of replay_max: write a "
		    "smaller reserve or a greater replay_max");
	check_order(
	    b, section, "hold_ms", p->hold_ms, "hold_max_ms", p->hold_max_ms);
	check_order(b, section, "retry_ms", p->retry_ms, "retry_max_ms",
	    p->retry_max_ms);
}

void
conf_build(struct config *config, const struct conf_tree *tree,
    struct conf_errors *errors)
{
	const struct conf_section *root = &tree->sections[0];
	struct build b = {.config = config, .tree = tree, .errors = errors};

	b.prefixes_good = true;
	build_fill(&b, CONF_ROOT, root, config);
	add_all(&b, CONF_NETWORK, add_network);
	add_all(&b, CONF_SERVER, add_server);
	add_all(&b, CONF_VOLUME, build_volume);
	set_proxy(&b);
	build_fill(&b, CONF_DETECTOR, build_only_section(&b, CONF_DETECTOR, 0),
	    &config->detector);
	build_fill(&b, CONF_AGENT, build_only_section(&b, CONF_AGENT, 0),
	    &config->agent);
	if (tree->cut)
		return;
	if (config->nnetworks == 0)
		conf_error(errors, root->line,
		    "there is no network: write network \"A\" { prefix = "
		    "{\"10.81.1.0/24\"} }");
	if (config->nservers == 0)
		conf_error(errors, root->line,
		    "there is no server: write server \"s1\" { ... }");
}
