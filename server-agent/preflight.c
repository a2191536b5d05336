/*
 * What is checked, and what is said of it. See preflight.h.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <ifaddrs.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "server-agent/preflight.h"

const char *const preflight_verdict_names[PREFLIGHT_VERDICTS] = {
    [PREFLIGHT_OK] = "ok",
    [PREFLIGHT_WARNING] = "warning",
    [PREFLIGHT_WRONG] = "wrong",
    [PREFLIGHT_NOT_TRIED] = "not-tried",
};

/* In this order, for each volume: later ones use what earlier ones saw.
 * `alone`: not beside an agent that starts. It has the device, or this
 * server's slot, for itself for a moment, in which the agent would fail; or
 * it takes the volume to be where `control` saw it. */
static const struct check {
	const char *name;
	void (*run)(struct preflight *p);
	bool alone;
} volume_checks[] =
    {
	{"user", preflight_user, false},
	{"control", preflight_control, false},
	{"lease", preflight_lease, true},
	{"device", preflight_device, true},
	{"file-system", preflight_file_system, false},
	{"form", preflight_form, true},
	{"mountpoint", preflight_mountpoint, true},
	{"fence", preflight_fence, false},
	{"programs", preflight_programs, false},
	{"service-address", preflight_service_address, true},
	{"fit", preflight_fit, false},
},
  host_checks[] = {
      {"addresses", preflight_addresses, false},
      {"rp-filter", preflight_rp_filter, false},
      {"peers", preflight_peers, false},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* --- what was found */

void
preflight_say(
    struct preflight *p, enum preflight_verdict verdict, const char *fmt, ...)
{
	char both[2 * PREFLIGHT_TEXT_MAX], *cure;
	struct preflight_finding *f = &p->found[p->n];
	va_list ap;

	if (p->n == PREFLIGHT_FINDINGS_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(both, sizeof(both), fmt, ap);
	va_end(ap);
	cure = strchr(both, '\n');
	if (cure != NULL)
		*cure++ = '\0';
	f->check = p->check;
	f->volume = p->v != NULL ? (int)(p->v - p->cfg->volumes) : -1;
	f->verdict = verdict;
	(void)snprintf(
	    f->text, sizeof(f->text), "%.*s", PREFLIGHT_TEXT_MAX - 1, both);
	(void)snprintf(f->cure, sizeof(f->cure), "%.*s", PREFLIGHT_TEXT_MAX - 1,
	    cure != NULL ? cure : "");
	p->n++;
}

int
preflight_exit_status(const struct preflight *p)
{
	int status = 0;

	for (unsigned i = 0; i < p->n; i++) {
		if (p->found[i].verdict == PREFLIGHT_WRONG)
			return PREFLIGHT_EXIT_WRONG;
		if (p->found[i].verdict == PREFLIGHT_WARNING)
			status = PREFLIGHT_EXIT_WARNING;
	}
	return status;
}

static const char *
volume_name(const struct preflight *p, const struct preflight_finding *f)
{
	return f->volume >= 0 ? p->cfg->volumes[f->volume].name : NULL;
}

void
preflight_print(const struct preflight *p, FILE *to)
{
	unsigned count[PREFLIGHT_VERDICTS] = {0};

	for (unsigned i = 0; i < p->n; i++) {
		const struct preflight_finding *f = &p->found[i];
		const char *volume = volume_name(p, f);

		count[f->verdict]++;
		fprintf(to, "%-9s %s%s%-15s %s\n",
		    preflight_verdict_names[f->verdict],
		    volume != NULL ? volume : "", volume != NULL ? " " : "",
		    f->check, f->text);
		if (f->cure[0] != '\0')
			fprintf(to, "          cure: %s\n", f->cure);
	}
	fprintf(to, "%u ok, %u wrong, %u warnings, %u not tried\n",
	    count[PREFLIGHT_OK], count[PREFLIGHT_WRONG],
	    count[PREFLIGHT_WARNING], count[PREFLIGHT_NOT_TRIED]);
}

void
preflight_print_json(const struct preflight *p, FILE *to)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < p->n; i++) {
		const struct preflight_finding *f = &p->found[i];

		json_array_append_new(
		    all, json_pack("{s:s,s:s?,s:s,s:s,s:s}", "check", f->check,
			     "volume", volume_name(p, f), "verdict",
			     preflight_verdict_names[f->verdict], "text",
			     f->text, "cure", f->cure));
	}
	json_dumpf(all, to, JSON_INDENT(1));
	fputc('\n', to);
	json_decref(all);
}

/* --- the host */

const struct preflight_if *
preflight_if_of(const struct preflight *p, const struct hanfs_addr *addr)
{
	for (unsigned i = 0; i < p->nifs; i++)
		if (addr_same_ip(&p->ifs[i].addr, addr))
			return &p->ifs[i];
	return NULL;
}

static void
find_interfaces(struct preflight *p)
{
	struct ifaddrs *all, *i;

	if (getifaddrs(&all) == -1)
		return;
	for (i = all; i != NULL && p->nifs < PREFLIGHT_IFS_MAX;
	     i = i->ifa_next) {
		struct preflight_if *f = &p->ifs[p->nifs];
		socklen_t len = sizeof(struct sockaddr_in);

		if (i->ifa_addr == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET6)
			len = sizeof(struct sockaddr_in6);
		if (addr_from_sockaddr(&f->addr, i->ifa_addr, len) == -1)
			continue;
		f->addr.port = 0;
		(void)snprintf(f->name, sizeof(f->name), "%.*s",
		    IF_NAMESIZE - 1, i->ifa_name);
		f->carrier = (i->ifa_flags & IFF_RUNNING) != 0;
		p->nifs++;
	}
	freeifaddrs(all);
}

/* By the routing table alone: nothing is sent. */
static int
find_source(const struct hanfs_addr *to, struct hanfs_addr *from)
{
	struct hanfs_addr port = *to;
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, rc = -1;

	port.port = 9;
	len = addr_to_sockaddr(&port, &ss);
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&ss, len) == 0) {
		len = sizeof(ss);
		if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
			rc = addr_from_sockaddr(
			    from, (struct sockaddr *)&ss, len);
	}
	close(fd);
	from->port = 0;
	return rc;
}

/* --- all of it */

static bool
is_candidate(const struct preflight *p, const struct config_volume *v)
{
	for (unsigned k = 0; k < v->ncandidates; k++)
		if (v->candidates[k] == p->self)
			return true;
	return false;
}

static void
check_volume(struct preflight *p, const struct config_volume *v)
{
	p->v = v;
	memset(&p->area, 0, sizeof(p->area));
	p->area.owner = -1;
	for (unsigned i = 0; i < COUNT(volume_checks); i++) {
		p->check = volume_checks[i].name;
		if (!p->beside || !volume_checks[i].alone)
			volume_checks[i].run(p);
	}
}

static void
check_all(struct preflight *p)
{
	unsigned volumes = 0;

	for (unsigned i = 0; i < p->cfg->nvolumes; i++) {
		const struct config_volume *v = &p->cfg->volumes[i];

		if (v->storage.device[0] == '\0' || !is_candidate(p, v))
			continue;
		check_volume(p, v);
		volumes++;
	}
	p->v = NULL;
	p->check = "volumes";
	if (volumes == 0)
		preflight_say(p, PREFLIGHT_WARNING,
		    "server %s is a candidate of no volume with a storage "
		    "section: it owns what it is the first of, for ever\n"
		    "add a storage section to its volumes, hanfs.conf(5)",
		    p->cfg->servers[p->self].name);
	for (unsigned i = 0; i < COUNT(host_checks); i++) {
		p->check = host_checks[i].name;
		host_checks[i].run(p);
	}
}

static struct preflight *
make(const struct config *cfg, unsigned self)
{
	static char path[4096];
	struct preflight *p = calloc(1, sizeof(*p));

	if (p == NULL || (p->base = event_base_new()) == NULL)
		fatal("no memory for --check");
	/* as the agent's helper looks for programs */
	(void)snprintf(path, sizeof(path), "%s:/usr/local/sbin:/usr/sbin:/sbin",
	    getenv("PATH") != NULL ? getenv("PATH") : "/usr/bin:/bin");
	p->cfg = cfg;
	p->self = self;
	p->root = "";
	p->path = path;
	p->source = find_source;
	find_interfaces(p);
	return p;
}

int
preflight_run(const struct config *cfg, unsigned self, bool json)
{
	struct preflight *p;
	int status;

	if (geteuid() != 0)
		fatal("--check needs to be root: it opens devices");
	p = make(cfg, self);
	check_all(p);
	if (json)
		preflight_print_json(p, stdout);
	else
		preflight_print(p, stdout);
	status = preflight_exit_status(p);
	event_base_free(p->base);
	free(p);
	return status;
}

/* For preflight_start.c. */
struct preflight *
preflight_beside(const struct config *cfg, unsigned self)
{
	struct preflight *p = make(cfg, self);

	p->beside = true;
	check_all(p);
	return p;
}
