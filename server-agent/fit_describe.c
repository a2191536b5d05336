/* fit: what this host has. The contract is in fit.h. */
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

static void add(struct fit *f, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
add(struct fit *f, const char *name, const char *fmt, ...)
{
	char value[FIT_VALUE_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	fit_put(f, name, value);
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
add_candidates(
    struct fit *f, const struct config *cfg, const struct config_volume *v)
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
		const struct config_server *s = &cfg->servers[v->candidates[k]];

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
