/*
 * The host: programs, mount point, addresses, rp_filter. See preflight.h.
 */
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server-agent/preflight.h"

/* --- the mount point */

/* Entries of a directory, or -1 with errno. */
static int
count_entries(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	if (d == NULL)
		return -1;
	while ((e = readdir(d)) != NULL)
		n +=
		    strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static bool
is_mounted(const char *path)
{
	char parent[PATH_MAX + 4];
	struct stat here, above;

	(void)snprintf(parent, sizeof(parent), "%s/..", path);
	return stat(path, &here) == 0 && stat(parent, &above) == 0 &&
	       here.st_dev != above.st_dev;
}

void
preflight_mountpoint(struct preflight *p)
{
	char path[PATH_MAX];
	int n;

	(void)snprintf(
	    path, sizeof(path), "%s%s", p->root, p->v->storage.mountpoint);
	n = count_entries(path);
	if (n == -1)
		preflight_say(p, PREFLIGHT_WRONG,
		    "mount point %s: %s\nmkdir -p %s, or correct mountpoint "
		    "(storage)",
		    path, strerror(errno), path);
	else if (p->area.owner == (int)p->self && p->area.agent)
		preflight_say(p, PREFLIGHT_OK, "%s: this server has it", path);
	else if (is_mounted(path))
		preflight_say(p, PREFLIGHT_WRONG,
		    "something is mounted at %s, and this server does not own "
		    "the volume\numount %s, and take it out of /etc/fstab: "
		    "nothing but hanfs-agent may mount it",
		    path, path);
	else if (n > 0)
		preflight_say(p, PREFLIGHT_WRONG,
		    "%s is not empty (%d entries), they would be out of "
		    "sight\nmove them away, or correct mountpoint (storage)",
		    path, n);
	else
		preflight_say(p, PREFLIGHT_OK, "%s is there, and empty", path);
}

/* --- programs */

bool
preflight_find_program(
    const struct preflight *p, const char *name, char *buf, size_t size)
{
	for (const char *at = p->path; *at != '\0';) {
		int len = (int)strcspn(at, ":");

		(void)snprintf(buf, size, "%s%.*s/%s", p->root, len, at, name);
		if (len > 0 && access(buf, X_OK) == 0)
			return true;
		at += len + (at[len] == ':');
	}
	return false;
}

static bool
need_program(struct preflight *p, const char *name, const char *package)
{
	char path[PATH_MAX];

	if (preflight_find_program(p, name, path, sizeof(path)))
		return true;
	preflight_say(p, PREFLIGHT_WRONG,
	    "%s is not to be found in %s\ninstall %s (Debian: apt install %s)",
	    name, p->path, name, package);
	return false;
}

/* Ganesha's back end for local file systems is a package of its own. */
static bool
need_vfs(struct preflight *p)
{
	static const char *const patterns[] = {
	    "/usr/lib/*/ganesha/libfsalvfs.so",
	    "/usr/lib*/ganesha/libfsalvfs.so",
	    "/usr/local/lib*/ganesha/libfsalvfs.so"};
	bool found = false;

	for (unsigned i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		char path[PATH_MAX];
		glob_t g;

		(void)snprintf(
		    path, sizeof(path), "%s%s", p->root, patterns[i]);
		found |= glob(path, 0, NULL, &g) == 0;
		globfree(&g);
	}
	if (!found)
		preflight_say(p, PREFLIGHT_WARNING,
		    "NFS-Ganesha's back end VFS is not where it usually is\n"
		    "install nfs-ganesha-vfs, unless it is elsewhere");
	return found;
}

void
preflight_programs(struct preflight *p)
{
	const struct config_backend *b = &p->v->backend;
	bool all;

	if (b->start[0] != '\0' || b->kind == CONFIG_BACKEND_EXTERNAL) {
		preflight_say(p, PREFLIGHT_NOT_TRIED,
		    "the backend is started by a command: %s", b->start);
		return;
	}
	all = need_program(p, "rpcbind", "rpcbind");
	if (b->kind == CONFIG_BACKEND_GANESHA) {
		all &= need_program(p, "ganesha.nfsd", "nfs-ganesha");
		all &= need_vfs(p);
	} else {
		all &= need_program(p, "rpc.nfsd", "nfs-kernel-server");
		all &= need_program(p, "rpc.mountd", "nfs-kernel-server");
	}
	if (all)
		preflight_say(p, PREFLIGHT_OK, "the backend's are installed");
}

/* --- this server's addresses */

void
preflight_addresses(struct preflight *p)
{
	const struct config_server *s = &p->cfg->servers[p->self];
	char text[ADDR_TEXT_SIZE];
	struct hanfs_addr bare;

	for (unsigned k = 0; k < s->naddrs; k++) {
		const struct preflight_if *i =
		    preflight_if_of(p, &s->addrs[k].addr);
		const char *network =
		    p->cfg->networks[s->addrs[k].network].name;

		bare = s->addrs[k].addr;
		bare.port = 0;
		addr_format(&bare, text, sizeof(text));
		if (i == NULL)
			preflight_say(p, PREFLIGHT_WRONG,
			    "no interface has %s, the address on network %s\n"
			    "add it (ip address add %s/LENGTH dev INTERFACE), "
			    "or correct addresses of server %s, or -n",
			    text, network, text, s->name);
		else if (!i->carrier)
			preflight_say(p, PREFLIGHT_WRONG,
			    "%s, with %s on network %s, has no carrier\nsee "
			    "to the cable and the switch",
			    i->name, text, network);
		else
			preflight_say(p, PREFLIGHT_OK, "%s on %s, network %s",
			    text, i->name, network);
	}
	if (s->naddrs < 2)
		preflight_say(p, PREFLIGHT_WARNING,
		    "this server has one network: its fault stops all\n"
		    "give it an address on a second one");
}

/* --- reverse path filters */

/* The stricter of `all` and the interface's own counts: the kernel's
 * Documentation/networking/ip-sysctl.rst. -1: there is none. */
static int
read_filter(const struct preflight *p, const char *name)
{
	char path[PATH_MAX];
	int value = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path),
	    "%s/proc/sys/net/ipv4/conf/%s/rp_filter", p->root, name);
	f = fopen(path, "re");
	if (f == NULL || fscanf(f, "%d", &value) != 1)
		value = -1;
	if (f != NULL)
		fclose(f);
	return value;
}

static bool
is_strict(const struct preflight *p, const char *name)
{
	int all = read_filter(p, "all"), own = read_filter(p, name);

	return (all > own ? all : own) == 1;
}

/* Does what we send to a neighbour there leave by that interface? */
static bool
comes_back(struct preflight *p, unsigned network, const struct preflight_if *i)
{
	for (unsigned k = 0; k < p->cfg->nservers; k++) {
		const struct config_server_addr *to =
		    config_server_addr_on(&p->cfg->servers[k], network);
		struct hanfs_addr from;
		const struct preflight_if *by;

		if (k == p->self || to == NULL ||
		    p->source(&to->addr, &from) == -1)
			continue;
		by = preflight_if_of(p, &from);
		if (by != NULL && strcmp(by->name, i->name) != 0)
			return false;
	}
	return true;
}

void
preflight_rp_filter(struct preflight *p)
{
	const struct config_server *s = &p->cfg->servers[p->self];
	unsigned before = p->n;

	for (unsigned k = 0; k < s->naddrs; k++) {
		const struct preflight_if *i =
		    preflight_if_of(p, &s->addrs[k].addr);
		const char *network =
		    p->cfg->networks[s->addrs[k].network].name;

		if (i == NULL || s->addrs[k].addr.family != 4 ||
		    !is_strict(p, i->name) ||
		    comes_back(p, s->addrs[k].network, i))
			continue;
		preflight_say(p, PREFLIGHT_WRONG,
		    "rp_filter is strict on %s, and the way back to network "
		    "%s is another interface: what comes in there is dropped\n"
		    "sysctl -w net.ipv4.conf.%s.rp_filter=2 (and "
		    "net.ipv4.conf.all.rp_filter=2), or correct the routes",
		    i->name, network, i->name);
	}
	if (p->n == before)
		preflight_say(p, PREFLIGHT_OK,
		    "no network's packets are dropped for their way back");
}
