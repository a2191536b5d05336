/*
 * The agent program: what this server would serve a volume with (fit.h), for
 * hanfs-agent --check on another one. It is described once, at the start:
 * files are not read in the event loop.
 */
#include <stdlib.h>
#include <string.h>

#include "hanfs/rpc.h"
#include "server-agent/agent.h"
#include "server-agent/fit.h"

enum { REPLY_MAX = 8192 };

_Static_assert((int)FIT_ITEMS_MAX == HANFS_FIT_ITEMS, "as on the wire");
_Static_assert((int)FIT_VALUE_MAX == HANFS_FIT_VALUE, "as on the wire");
_Static_assert(FIT_ITEMS_MAX * (FIT_NAME_MAX + FIT_VALUE_MAX + 16) < REPLY_MAX,
    "the longest fits");

void
proc_fit_start(struct agent *a, unsigned volume)
{
	struct agent_volume *v = &a->volumes[volume];

	if (!v->here || v->fit != NULL)
		return;
	v->fit = calloc(1, sizeof(*v->fit));
	if (v->fit != NULL)
		fit_describe(a->cfg, volume, v->fit);
}

void
proc_fit_stop(struct agent *a)
{
	for (unsigned i = 0; i < a->nvolumes; i++) {
		free(a->volumes[i].fit);
		a->volumes[i].fit = NULL;
	}
}

static void
fill(hanfs_fit_res *res, struct fit *f, hanfs_fit_item *items)
{
	for (unsigned i = 0; i < f->n; i++) {
		items[i].name = f->item[i].name;
		items[i].value = f->item[i].value;
	}
	res->items.items_len = f->n;
	res->items.items_val = items;
}

static void
answer(struct netconn *c, uint32_t xid, hanfs_fit_res *res)
{
	uint8_t buf[REPLY_MAX];
	size_t head = rpc_answer_write(buf, xid, RPC_ANSWER_SUCCESS, 0, 0);
	struct rec *rec = NULL;
	XDR x;

	xdrmem_create(
	    &x, (char *)buf + head, (u_int)(sizeof(buf) - head), XDR_ENCODE);
	if (xdr_hanfs_fit_res(&x, res))
		rec = rec_from(c->a->calls, buf, head + xdr_getpos(&x));
	xdr_destroy(&x);
	if (rec == NULL)
		conn_end(c, "no memory for an answer");
	else
		conn_send(c, rec);
}

/* False: GARBAGE_ARGS. */
bool
proc_fit(struct netconn *c, uint32_t xid, struct cursor args)
{
	char cluster[HANFS_NAME_MAX + 1], volume[HANFS_NAME_MAX + 1];
	hanfs_fit_args in = {.cluster = cluster, .volume = volume};
	hanfs_fit_item items[HANFS_FIT_ITEMS];
	hanfs_fit_res res = {.status = HANFS_OK};
	bool ok;
	int i;
	XDR x;

	xdrmem_create(
	    &x, (char *)(uintptr_t)args.p, (u_int)args.left, XDR_DECODE);
	ok = xdr_hanfs_fit_args(&x, &in) && xdr_getpos(&x) == args.left;
	xdr_destroy(&x);
	if (!ok)
		return false;
	i = config_find_volume(c->a->cfg, volume);
	if (strcmp(cluster, c->a->cfg->cluster) != 0)
		res.status = HANFS_WRONG_CLUSTER;
	else if (i < 0 || c->a->volumes[i].fit == NULL)
		res.status = HANFS_NO_VOLUME;
	else
		fill(&res, c->a->volumes[i].fit, items);
	answer(c, xid, &res);
	return true;
}
