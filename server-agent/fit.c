/* fit: the contract is in fit.h. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sodium.h>

#include "server-agent/fit.h"

enum { FILE_MAX = 1 << 20, DIGEST_LEN = 16 };

static void
add(struct fit *f, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
add(struct fit *f, const char *name, const char *fmt, ...)
{
	struct fit_item *i = &f->item[f->n];
	va_list ap;

	if (f->n == FIT_ITEMS_MAX)
		return;
	(void)snprintf(i->name, sizeof(i->name), "%s", name);
	va_start(ap, fmt);
	(void)vsnprintf(i->value, sizeof(i->value), fmt, ap);
	va_end(ap);
	f->n++;
}

/* Whoever asks is not to learn what stands in it. */
static void
add_digest(struct fit *f, const char *name, const void *p, size_t len)
{
	uint8_t hash[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];

	(void)crypto_generichash(hash, sizeof(hash), p, len, NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	add(f, name, "digest %s", hex);
}

static void
add_command(struct fit *f, const char *name, const char *command)
{
	if (command[0] == '\0')
		add(f, name, "built in");
	else
		add_digest(f, name, command, strlen(command));
}

static void
add_file(struct fit *f, const char *name, const char *path)
{
	FILE *in = path[0] != '\0' ? fopen(path, "re") : NULL;
	char *text = NULL;
	size_t n;

	if (path[0] == '\0')
		add(f, name, "made by hanfs-agent");
	else if (in == NULL || (text = malloc(FILE_MAX)) == NULL)
		add(f, name, "%s", strerror(errno));
	else {
		n = fread(text, 1, FILE_MAX, in);
		add_digest(f, name, text, n);
	}
	if (in != NULL)
		fclose(in);
	free(text);
}

static void
add_candidates(struct fit *f, const struct config *cfg,
    const struct config_volume *v)
{
	char text[FIT_VALUE_MAX + 1] = "";

	for (unsigned k = 0; k < v->ncandidates; k++) {
		size_t at = strlen(text);

		(void)snprintf(text + at, sizeof(text) - at, "%s%s",
		    k > 0 ? ", " : "", cfg->servers[v->candidates[k]].name);
	}
	add(f, "candidates", "%s", text);
}

/* By name, id, key and addresses. */
static void
add_servers(
    struct fit *f, const struct config *cfg, const struct config_volume *v)
{
	crypto_generichash_state h;
	uint8_t hash[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];

	(void)crypto_generichash_init(&h, NULL, 0, sizeof(hash));
	for (unsigned k = 0; k < v->ncandidates; k++) {
		const struct config_server *s =
		    &cfg->servers[v->candidates[k]];

		(void)crypto_generichash_update(
		    &h, (const uint8_t *)s->name, strlen(s->name) + 1);
		(void)crypto_generichash_update(
		    &h, (const uint8_t *)&s->id, sizeof(s->id));
		(void)crypto_generichash_update(
		    &h, s->public_key, sizeof(s->public_key));
		for (unsigned i = 0; i < s->naddrs; i++)
			(void)crypto_generichash_update(&h,
			    (const uint8_t *)&s->addrs[i].addr,
			    sizeof(s->addrs[i].addr));
	}
	(void)crypto_generichash_final(&h, hash, sizeof(hash));
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	add(f, "servers", "digest %s", hex);
}

/* NFSv4's server scope and owner follow the host name that the NFS server
 * sees: the volume's, where the agent starts it (step_net.c). */
static void
add_scope(struct fit *f, const struct config_volume *v)
{
	char host[HOST_NAME_MAX + 1] = "";

	if (v->backend.start[0] == '\0')
		(void)snprintf(host, sizeof(host), "%s", v->name);
	else if (gethostname(host, sizeof(host) - 1) == -1)
		return;
	add(f, "nfs-scope", "%s", host);
}

void
fit_describe(const struct config *cfg, unsigned volume, struct fit *out)
{
	static const char *const kinds[] = {"ganesha", "knfsd", "external"};
	const struct config_volume *v = &cfg->volumes[volume];
	const struct config_storage *st = &v->storage;
	struct hanfs_addr service = st->service_address;
	char text[ADDR_TEXT_SIZE];

	out->n = 0;
	service.port = 0;
	add(out, "id", "%u", v->id);
	add(out, "export", "%s", v->export);
	add_candidates(out, cfg, v);
	add_servers(out, cfg, v);
	add(out, "fstype", "%s", config_fstype_name(st->fstype));
	add(out, "mount_options", "%s", st->mount_options);
	add_command(out, "assemble", st->assemble);
	add_command(out, "mount", st->mount);
	add(out, "backend", "%s", kinds[v->backend.kind]);
	add_file(out, "backend config", v->backend.config);
	add_command(out, "backend start", v->backend.start);
	add_scope(out, v);
	add(out, "service_address", "%s",
	    addr_format(&service, text, sizeof(text)));
	add(out, "arbiter", "%s",
	    st->arbiter == CONFIG_ARBITER_DISK ? "disk" : "external");
	add(out, "fence", "%s", config_fence_name(st->fence));
	add(out, "lease_ms", "%llu", (unsigned long long)cfg->agent.lease_ms);
	add(out, "renew_ms", "%llu", (unsigned long long)cfg->agent.renew_ms);
}

/* --- two of them */

static const struct {
	const char *name;
	enum fit_weight weight;
	const char *cure;
} rules[] = {
    {"id", FIT_WRONG,
	"it is the file system's id (fsid) to clients, who would see ESTALE: "
	"give the volume one id everywhere"},
    {"export", FIT_WRONG,
	"clients mount it by that path: write the same export everywhere"},
    {"candidates", FIT_WRONG,
	"they would claim out of turn: write the same candidates, in the "
	"same order, everywhere"},
    {"servers", FIT_WRONG,
	"name, id, public_key and addresses of each server must be the same "
	"everywhere: copy hanfs.conf"},
    {"fstype", FIT_WRONG, "write what the file system is"},
    {"mount_options", FIT_UNTIDY,
	"write the same mount_options everywhere, or know why not"},
    {"assemble", FIT_UNTIDY,
	"write the same assemble everywhere, or know why not"},
    {"mount", FIT_UNTIDY, "write the same mount everywhere, or know why not"},
    {"backend", FIT_WRONG,
	"file handles of one kind of NFS server are nothing to another, and "
	"clients would see ESTALE: use the same everywhere"},
    {"backend config", FIT_WRONG,
	"export id, Filesystem_Id, squashing and access must be the same, or "
	"clients would see ESTALE or EACCES: copy the file, and start the "
	"agents anew"},
    {"backend start", FIT_WRONG,
	"the command that exports it (fsid!) must be the same everywhere"},
    {"nfs-scope", FIT_UNTIDY,
	"NFSv4 clients would take it for another server: have the start "
	"command run the NFS server in a UTS namespace whose host name is "
	"the volume's (unshare --uts)"},
    {"service_address", FIT_WRONG,
	"clients without hanfs-proxy would not find it after a takeover: "
	"write the same service_address everywhere"},
    {"arbiter", FIT_WRONG,
	"two arbiters are none: both could own the volume; write the same "
	"everywhere, before another agent is started"},
    {"fence", FIT_WRONG,
	"the one would not be fenced as the other believes: write the same "
	"fence everywhere"},
    {"lease_ms", FIT_UNTIDY, "write the same lease_ms (agent) everywhere"},
    {"renew_ms", FIT_UNTIDY, "write the same renew_ms (agent) everywhere"},
};

static const char *
value_of(const struct fit *f, const char *name)
{
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->item[i].name, name) == 0)
			return f->item[i].value;
	return NULL;
}

unsigned
fit_compare(const struct fit *own, const struct fit *his,
    void (*differs)(void *arg, enum fit_weight weight, const char *name,
	const char *own, const char *his, const char *cure),
    void *arg)
{
	unsigned equal = 0;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const char *a = value_of(own, rules[i].name);
		const char *b = value_of(his, rules[i].name);

		if (a == NULL || b == NULL)
			continue;
		if (strcmp(a, b) == 0)
			equal++;
		else
			differs(arg, rules[i].weight, rules[i].name, a, b,
			    rules[i].cure);
	}
	return equal;
}
