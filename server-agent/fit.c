/* fit: the contract is in fit.h. Pure. */
#include <stdio.h>
#include <string.h>

#include "server-agent/fit.h"

static void
put_text(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from);
	for (; *to != '\0'; to++)
		if ((unsigned char)*to < ' ' || *to == 0x7f)
			*to = '?';
}

void
fit_put(struct fit *f, const char *name, const char *value)
{
	struct fit_item *i = &f->item[f->n];

	if (f->n == FIT_ITEMS_MAX)
		return;
	put_text(i->name, sizeof(i->name), name);
	put_text(i->value, sizeof(i->value), value);
	f->n++;
}

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
