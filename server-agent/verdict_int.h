/*
 * What the verdict's files share: small tools, and verdict_setattr.c.
 */
#ifndef AGENT_VERDICT_INT_H
#define AGENT_VERDICT_INT_H

#include "server-agent/verdict.h"

static inline void
judge(struct verdict *v, enum verdict_kind kind, enum verdict_reason reason)
{
	v->kind = kind;
	v->reason = reason;
}

static inline bool
is_there(const struct prestate_object *o)
{
	return o->known == PRESTATE_EXISTS;
}

static inline bool
is_absent(const struct prestate_object *o)
{
	return o->known == PRESTATE_ABSENT;
}

/* Both absent, or both the same inode. */
static inline bool
is_as_before(const struct prestate_object *before,
    const struct prestate_object *now, const struct verdict_options *opt)
{
	return (is_absent(before) && is_absent(now)) ||
	       prestate_same(before, now) ||
	       (opt->no_inode && is_there(before) && is_there(now));
}

static inline bool
time_equal(const struct nfs3_time *a, const struct nfs3_time *b)
{
	return a->sec == b->sec && a->nsec == b->nsec;
}

/* Giving a file away takes set-user-id and set-group-id from it, also when
 * it is given to whom it belongs: has that not happened yet? */
static inline bool
loses_bits(const struct nfs3_fattr *now)
{
	return now->type == NF3REG && (now->mode & 06000) != 0;
}

/* verdict_setattr.c: of an object that was there before, and is now. */
void verdict_judge_setattr(struct verdict *v, const struct prestate_call *call,
    const struct prestate_object *before, const struct prestate_object *now,
    const struct verdict_options *opt);

#endif
