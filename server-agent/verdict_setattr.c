/*
 * Did a SETATTR take effect? Its rows of the table in verdict.h. Pure.
 */
#include "server-agent/verdict_int.h"

/* The values that a SETATTR gives, counted by what became of them. */
struct tally {
	unsigned had;     /* as wanted, and as before */
	unsigned reached; /* as wanted, and not as before */
	unsigned lacks;   /* as before, and not as wanted */
	unsigned strange; /* neither */
	unsigned perhaps; /* as reached, but a WRITE, a READ or what the cut
			   * lost can have brought it there */
};

static void
tally_add(struct tally *t, bool wanted, bool before)
{
	if (wanted)
		(*(before ? &t->had : &t->reached))++;
	else
		(*(before ? &t->lacks : &t->strange))++;
}

static void
tally_time(struct tally *t, enum nfs3_time_how how,
    const struct nfs3_time *want, const struct nfs3_time *before,
    const struct nfs3_time *now)
{
	bool same = time_equal(before, now);

	if (how == NFS3_SERVER_TIME)
		(*(same ? &t->lacks : &t->perhaps))++;
	else if (how == NFS3_CLIENT_TIME)
		tally_add(t, time_equal(want, now), same);
}

static void
tally_mode(struct tally *t, const struct nfs3_sattr *want,
    const struct nfs3_fattr *before, const struct nfs3_fattr *now)
{
	enum { MODE = 07777 };
	bool wanted = (want->mode & MODE) == (now->mode & MODE);
	bool same = (before->mode & MODE) == (now->mode & MODE);

	if (wanted && !same && loses_bits(before))
		t->perhaps++;
	else
		tally_add(t, wanted, same);
}

static void
tally_size(struct tally *t, uint64_t want, uint64_t before, uint64_t now,
    const struct verdict_options *opt)
{
	bool wanted = want == now || (opt->no_size && before != now);

	if (wanted && now < before && !opt->no_size)
		t->perhaps++;
	else
		tally_add(t, wanted, before == now);
}

static struct tally
tally_values(const struct nfs3_sattr *want, const struct nfs3_fattr *before,
    const struct nfs3_fattr *now, const struct verdict_options *opt)
{
	struct tally t = {0};

	if (want->set_mode)
		tally_mode(&t, want, before, now);
	if (want->set_uid)
		tally_add(&t, want->uid == now->uid, before->uid == now->uid);
	if (want->set_gid)
		tally_add(&t, want->gid == now->gid, before->gid == now->gid);
	if ((want->set_uid || want->set_gid) && loses_bits(now))
		tally_add(&t, false, loses_bits(before));
	if (want->set_size)
		tally_size(&t, want->size, before->size, now->size, opt);
	tally_time(
	    &t, want->set_atime, &want->atime, &before->atime, &now->atime);
	tally_time(
	    &t, want->set_mtime, &want->mtime, &before->mtime, &now->mtime);
	return t;
}

void
verdict_judge_setattr(struct verdict *v, const struct prestate_call *call,
    const struct prestate_object *before, const struct prestate_object *now,
    const struct verdict_options *opt)
{
	const struct nfs3_values *want = &call->values;
	bool unguard = want->guard && !opt->no_unguard;
	enum verdict_kind again = unguard ? VERDICT_HALF : VERDICT_NOT_DONE;
	struct tally t;

	if (want->guard &&
	    !time_equal(&want->guard_ctime, &before->attr.ctime)) {
		judge(v, VERDICT_NOT_DONE, V_GUARD);
		return;
	}
	if (!is_as_before(before, now, opt)) {
		judge(v, VERDICT_UNDECIDABLE, V_FOREIGN);
		return;
	}
	v->fh = before->fh;
	v->set = want->sattr;
	v->guard = want->guard && opt->no_unguard;
	t = tally_values(&want->sattr, &before->attr, &now->attr, opt);
	if (t.lacks + t.strange == 0 && (t.reached > 0 || opt->no_trace))
		judge(v, VERDICT_DONE, V_SET);
	else if (t.lacks + t.strange + t.perhaps == 0)
		judge(v, again, V_NO_TRACE);
	else if (t.lacks + t.strange == 0 && !opt->no_half)
		judge(v, VERDICT_HALF, V_PERHAPS);
	else if (t.reached + t.strange + t.perhaps == 0)
		judge(v, again, V_UNCHANGED);
	else if (opt->no_half)
		judge(v, VERDICT_DONE, V_SET);
	else
		judge(v, VERDICT_HALF, V_SET_HALF);
}
