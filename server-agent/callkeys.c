/*
 * Which keys a call takes. See callkeys.h.
 */
#include <string.h>
#include <sodium.h>

#include "server-agent/callkeys.h"

_Static_assert(CALL_KEYS_SECRET == crypto_shorthash_KEYBYTES &&
		   crypto_shorthash_BYTES == sizeof(uint64_t),
    "the secret keys SipHash");

enum kind { KIND_NAME, KIND_OBJECT, KIND_DATA, KIND_ALL };

struct maker {
	struct key_set *set;
	const uint8_t *secret;
	uint32_t volume;
};

static void
add(struct maker *m, enum kind kind, const struct nfs3_bytes *fh,
    const struct nfs3_bytes *name, enum key_mode mode)
{
	uint8_t buf[12 + NFS3_FHSIZE + NFS3_NAMEMAX];
	size_t len = 12;
	uint64_t key;

	be32_put(buf, (uint32_t)kind);
	be32_put(buf + 4, m->volume);
	be32_put(buf + 8, fh != NULL ? fh->len : 0);
	if (fh != NULL) {
		memcpy(buf + len, fh->p, fh->len);
		len += fh->len;
	}
	if (name != NULL) {
		memcpy(buf + len, name->p, name->len);
		len += name->len;
	}
	crypto_shorthash((uint8_t *)&key, buf, len, m->secret);
	key_set_add(m->set, key, mode);
}

/* A name in a directory, and the directory in the given mode. */
static void
add_name(struct maker *m, const struct nfs3_bytes *dir,
    const struct nfs3_bytes *name, enum key_mode mode)
{
	add(m, KIND_NAME, dir, name, KEY_EXCLUSIVE);
	add(m, KIND_OBJECT, dir, NULL, mode);
}

void
call_keys(struct key_set *set, const uint8_t secret[CALL_KEYS_SECRET],
    uint32_t volume, uint32_t proc, const struct nfs3_args *a)
{
	struct maker m = {set, secret, volume};

	set->n = 0;
	switch (proc) {
	case NFS3_WRITE:
		add(&m, KIND_DATA, &a->fh, NULL, KEY_SHARED);
		add(&m, KIND_ALL, NULL, NULL, KEY_SHARED);
		break;
	case NFS3_SETATTR:
		add(&m, KIND_OBJECT, &a->fh, NULL, KEY_EXCLUSIVE);
		if (a->sets_size)
			add(&m, KIND_DATA, &a->fh, NULL, KEY_EXCLUSIVE);
		break;
	case NFS3_CREATE:
		add_name(&m, &a->fh, &a->name, KEY_SHARED);
		if (a->sets_size)
			add(&m, KIND_ALL, NULL, NULL, KEY_OTHERS);
		break;
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
	case NFS3_MKNOD:
	case NFS3_REMOVE:
		add_name(&m, &a->fh, &a->name, KEY_SHARED);
		break;
	case NFS3_RMDIR:
		add_name(&m, &a->fh, &a->name, KEY_EXCLUSIVE);
		break;
	case NFS3_RENAME:
		add_name(&m, &a->fh, &a->name, KEY_EXCLUSIVE);
		add_name(&m, &a->fh2, &a->name2, KEY_EXCLUSIVE);
		break;
	case NFS3_LINK:
		add(&m, KIND_OBJECT, &a->fh, NULL, KEY_EXCLUSIVE);
		add_name(&m, &a->fh2, &a->name2, KEY_SHARED);
		break;
	case NFS3_LOOKUP:
	case NFS3_READDIR:
	case NFS3_READDIRPLUS:
		add(&m, KIND_OBJECT, &a->fh, NULL, KEY_SHARED);
		break;
	}
}

/* --- with a log: two steps */

static bool
is_same(const struct nfs3_bytes *a, const struct nfs3_bytes *b)
{
	return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

void
log_keys_first(struct key_set *set, const uint8_t secret[CALL_KEYS_SECRET],
    uint32_t volume, bool sleeps, uint32_t proc, const struct nfs3_args *a)
{
	struct maker m = {set, secret, volume};
	enum key_mode mode = KEY_SHARED;

	switch (proc) {
	case NFS3_CREATE:
		set->n = 0;
		add_name(&m, &a->fh, &a->name, KEY_SHARED);
		return;
	case NFS3_RENAME:
		set->n = 0;
		if (sleeps && !is_same(&a->fh, &a->fh2))
			mode = KEY_EXCLUSIVE;
		add_name(&m, &a->fh, &a->name, mode);
		add_name(&m, &a->fh2, &a->name2, mode);
		return;
	}
	call_keys(set, secret, volume, proc, a);
}

static bool
is_there(const struct prestate_object *o)
{
	return o->known == PRESTATE_EXISTS;
}

static void
add_found(struct maker *m, enum kind kind, const struct prestate_object *o)
{
	struct nfs3_bytes fh = nfs3_fh_bytes(&o->fh);

	if (is_there(o))
		add(m, kind, &fh, NULL, KEY_EXCLUSIVE);
}

static void
add_renamed(
    struct maker *m, const struct nfs3_args *a, const struct prestate *before)
{
	bool dir = false;

	for (unsigned i = 0; i < before->n; i++) {
		add_found(m, KIND_OBJECT, &before->obj[i]);
		dir = dir || (is_there(&before->obj[i]) &&
				 before->obj[i].attr.type == NF3DIR);
	}
	if (!dir)
		return;
	add(m, KIND_OBJECT, &a->fh, NULL, KEY_EXCLUSIVE);
	add(m, KIND_OBJECT, &a->fh2, NULL, KEY_EXCLUSIVE);
}

void
log_keys_all(struct key_set *set, const uint8_t secret[CALL_KEYS_SECRET],
    uint32_t volume, bool sleeps, const struct prestate_call *call,
    const struct prestate *before)
{
	struct maker m = {set, secret, volume};
	const struct prestate_object *o = &before->obj[0];

	log_keys_first(set, secret, volume, sleeps, call->proc, &call->names);
	switch (call->proc) {
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		add_found(&m, KIND_OBJECT, o);
		break;
	case NFS3_RENAME:
		add_renamed(&m, &call->names, before);
		break;
	case NFS3_CREATE:
		if (call->values.how != NFS3_UNCHECKED)
			break;
		add_found(&m, KIND_OBJECT, o);
		if (call->values.sattr.set_size)
			add_found(&m, KIND_DATA, o);
		break;
	}
}

bool
log_keys_look_again(
    const struct prestate_call *call, const struct prestate *before)
{
	return call->proc == NFS3_CREATE &&
	       call->values.how == NFS3_UNCHECKED &&
	       call->values.sattr.set_size && is_there(&before->obj[0]);
}
