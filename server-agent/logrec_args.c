/*
 * What a record keeps of a call: its arguments, or its name. See logrec.h.
 * Pure.
 */
#include <sodium.h>
#include <string.h>

#include "server-agent/logrec.h"

void
logrec_rest(uint8_t out[LOGREC_REST_LEN], const uint8_t *target, uint32_t len)
{
	static const uint8_t zero[4];
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, LOGREC_REST_LEN);
	crypto_generichash_update(&st, target, len);
	crypto_generichash_update(&st, zero, (0u - len) & 3u);
	crypto_generichash_final(&st, out, LOGREC_REST_LEN);
}

int
logrec_set_args(struct logrec *r, const struct call_info *info)
{
	const struct nfs3_bytes *target = &info->nfs.target;
	size_t len = info->rpc.args.left;

	memset(r->rest, 0, sizeof(r->rest));
	r->args.p = info->rpc.args.p;
	if (len > LOGREC_MAX)
		return -1;
	r->args_len = (uint32_t)len;
	if (len > LOGREC_ARGS_MAX) {
		if (target->p == NULL)
			return -1;
		len = (size_t)(target->p - r->args.p);
		logrec_rest(r->rest, target->p, target->len);
	}
	r->args.len = (uint32_t)len;
	return len <= LOGREC_ARGS_MAX ? 0 : -1;
}

void
logrec_name(const struct call_id *id, uint8_t out[LOGREC_NAME_LEN])
{
	be32_put(out, id->xid);
	memcpy(out + 4, id->digest.b, LOGREC_NAME_LEN - 4);
}
