/*
 * Did it take effect? The table in verdict.h, row by row; SETATTR's rows are
 * in verdict_setattr.c. Pure.
 */
#include "server-agent/verdict_int.h"

const char *const verdict_kind_names[VERDICT_KINDS] = {
    "not done", "done", "half done", "undecidable"};

const char *const verdict_reason_names[VERDICT_REASONS] = {
    "the name was there before",
    "still absent",
    "made",
    "made, but not all its values set",
    "as wanted, but perhaps not by it",
    "longer",
    "the name was absent before",
    "gone",
    "still there",
    "both names are one inode",
    "moved",
    "linked",
    "its guard did not hold",
    "no trace of an effect",
    "set",
    "set in part",
    "unchanged",
    "it fails without an effect",
    "half done, finished now",
    "something else is there, which it cannot have made",
    "what was there before cannot be read from the log",
    "an error of the disk came before it",
    "what worked before it fails now",
    "half done, and the server refuses to finish it",
    "half done, and gone while it was finished",
};

/* By what was there before it did nothing; so nothing may have changed. */
static void
judge_idle(struct verdict *v, enum verdict_reason reason,
    const struct prestate_object *before, const struct prestate_object *now,
    unsigned n, const struct verdict_options *opt)
{
	judge(v, VERDICT_NOT_DONE, reason);
	for (unsigned i = 0; i < n; i++)
		if (!is_as_before(&before[i], &now[i], opt))
			judge(v, VERDICT_UNDECIDABLE, V_FOREIGN);
}

/* --- CREATE, MKDIR, SYMLINK, MKNOD */

static uint32_t
made_type(const struct prestate_call *call)
{
	switch (call->proc) {
	case NFS3_MKDIR:
		return NF3DIR;
	case NFS3_SYMLINK:
		return NF3LNK;
	case NFS3_MKNOD:
		return call->values.type;
	}
	return NF3REG;
}

/* What a backend makes of an exclusive verifier: seconds of two times. The
 * bytes are the server's own words, and this runs on that server. */
static void
verifier_times(const uint8_t verf[8], enum verdict_verifier how,
    uint32_t *atime, uint32_t *mtime)
{
	bool knfsd = how == VERDICT_VERF_KNFSD;

	memcpy(atime, verf + (knfsd ? 4 : 0), sizeof(*atime));
	memcpy(mtime, verf + (knfsd ? 0 : 4), sizeof(*mtime));
	if (knfsd) {
		*atime &= INT32_MAX;
		*mtime &= INT32_MAX;
	}
}

static bool
has_verifier(const uint8_t verf[8], const struct nfs3_fattr *now)
{
	uint32_t a, m;

	verifier_times(verf, VERDICT_VERF_GANESHA, &a, &m);
	if ((now->atime.sec == a && now->mtime.sec == m) ||
	    (now->atime.sec == (a & INT32_MAX) &&
		now->mtime.sec == (m & INT32_MAX)))
		return true;
	verifier_times(verf, VERDICT_VERF_KNFSD, &a, &m);
	return now->atime.sec == a && now->mtime.sec == m;
}

/* Fills set with what an exclusively made file lacks; false: nothing. */
static bool
lacks_verifier(struct nfs3_sattr *set, const struct prestate_call *call,
    const struct nfs3_fattr *now, const struct verdict_options *opt)
{
	if (opt->no_verifier || has_verifier(call->values.verf, now))
		return false;
	set->set_atime = set->set_mtime = NFS3_CLIENT_TIME;
	verifier_times(
	    call->values.verf, opt->verifier, &set->atime.sec, &set->mtime.sec);
	return true;
}

/* Fills set with those of the given values that a made object lacks; false:
 * it lacks none. Which are looked at, and why: verdict.h. */
static bool
lacks_values(struct nfs3_sattr *set, const struct nfs3_sattr *want,
    const struct nfs3_fattr *now)
{
	bool again = loses_bits(now);

	set->uid = want->uid;
	set->gid = want->gid;
	set->size = want->size;
	set->atime = want->atime;
	set->mtime = want->mtime;
	set->set_uid = want->set_uid && (want->uid != now->uid || again);
	set->set_gid = want->set_gid && (want->gid != now->gid || again);
	if (now->type == NF3LNK)
		return set->set_uid || set->set_gid;
	set->set_size =
	    want->set_size && now->type == NF3REG && want->size != now->size;
	if (want->set_atime == NFS3_CLIENT_TIME &&
	    !time_equal(&want->atime, &now->atime))
		set->set_atime = NFS3_CLIENT_TIME;
	if (want->set_mtime == NFS3_CLIENT_TIME &&
	    !time_equal(&want->mtime, &now->mtime))
		set->set_mtime = NFS3_CLIENT_TIME;
	return set->set_uid || set->set_gid || set->set_size ||
	       set->set_atime != NFS3_DONT_CHANGE ||
	       set->set_mtime != NFS3_DONT_CHANGE;
}

static void
judge_made(struct verdict *v, const struct prestate_call *call,
    const struct prestate_object *now, const struct verdict_options *opt)
{
	bool lacks;

	if (!opt->no_inode &&
	    (now->attr.type != made_type(call) ||
		(call->proc == NFS3_SYMLINK && !now->target_same))) {
		judge(v, VERDICT_UNDECIDABLE, V_FOREIGN);
		return;
	}
	v->fh = now->fh;
	if (call->proc == NFS3_CREATE && call->values.how == NFS3_EXCLUSIVE)
		lacks = lacks_verifier(&v->set, call, &now->attr, opt);
	else
		lacks = lacks_values(&v->set, &call->values.sattr, &now->attr);
	if (lacks && !opt->no_half)
		judge(v, VERDICT_HALF, V_MADE_HALF);
	else
		judge(v, VERDICT_DONE, V_MADE);
}

/* An unchecked CREATE of a name that was there. */
static void
judge_unchecked(struct verdict *v, const struct nfs3_sattr *want,
    const struct prestate_object *before, const struct prestate_object *now,
    const struct verdict_options *opt)
{
	if (!is_as_before(before, now, opt))
		judge(v, VERDICT_UNDECIDABLE, V_FOREIGN);
	else if (!want->set_size || now->attr.size != want->size ||
		 (before->attr.size == want->size && !opt->no_trace))
		judge(v, VERDICT_NOT_DONE, V_WAS_THERE);
	else if (before->attr.size < want->size || opt->no_half)
		judge(v, VERDICT_DONE, V_GROWN);
	else {
		v->fh = now->fh;
		v->set.set_size = true;
		v->set.size = want->size;
		judge(v, VERDICT_HALF, V_PERHAPS);
	}
}

static void
judge_make(struct verdict *v, const struct prestate_call *call,
    const struct prestate_object *before, const struct prestate_object *now,
    const struct verdict_options *opt)
{
	if (is_there(before) && !opt->no_before) {
		if (call->proc == NFS3_CREATE &&
		    call->values.how == NFS3_UNCHECKED)
			judge_unchecked(
			    v, &call->values.sattr, before, now, opt);
		else
			judge_idle(v, V_WAS_THERE, before, now, 1, opt);
	} else if (is_absent(now))
		judge(v, VERDICT_NOT_DONE, V_STILL_ABSENT);
	else
		judge_made(v, call, now, opt);
}

/* --- REMOVE, RMDIR, RENAME, LINK */

static void
judge_remove(struct verdict *v, const struct prestate_object *before,
    const struct prestate_object *now, const struct verdict_options *opt)
{
	if (is_absent(before) && !opt->no_before)
		judge_idle(v, V_WAS_ABSENT, before, now, 1, opt);
	else if (is_absent(now))
		judge(v, VERDICT_DONE, V_GONE);
	else if (is_as_before(before, now, opt))
		judge(v, VERDICT_NOT_DONE, V_STILL_THERE);
	else
		judge(v, VERDICT_UNDECIDABLE, V_FOREIGN);
}

static void
judge_rename(struct verdict *v, const struct prestate *before,
    const struct prestate *now, const struct verdict_options *opt)
{
	const struct prestate_object *from = &before->obj[0];
	const struct prestate_object *to = &before->obj[1];

	if (is_absent(from) && !opt->no_before)
		judge_idle(v, V_WAS_ABSENT, before->obj, now->obj, 2, opt);
	else if (prestate_same(from, to) && !opt->no_inode)
		judge_idle(v, V_ONE_INODE, before->obj, now->obj, 2, opt);
	else if (is_absent(&now->obj[0]) &&
		 is_as_before(from, &now->obj[1], opt))
		judge(v, VERDICT_DONE, V_MOVED);
	else if (is_as_before(from, &now->obj[0], opt) &&
		 is_as_before(to, &now->obj[1], opt))
		judge(v, VERDICT_NOT_DONE, V_STILL_THERE);
	else
		judge(v, VERDICT_UNDECIDABLE, V_FOREIGN);
}

static void
judge_link(struct verdict *v, const struct prestate *before,
    const struct prestate *now, const struct verdict_options *opt)
{
	if (is_there(&before->obj[1]) && !opt->no_before)
		judge_idle(v, V_WAS_THERE, before->obj, now->obj, 2, opt);
	else if (is_absent(&now->obj[1]))
		judge(v, VERDICT_NOT_DONE, V_STILL_ABSENT);
	else if (is_as_before(&before->obj[0], &now->obj[1], opt))
		judge(v, VERDICT_DONE, V_LINKED);
	else
		judge(v, VERDICT_UNDECIDABLE, V_FOREIGN);
}

/* --- all */

static bool
any_failed(const struct prestate *ps)
{
	for (unsigned i = 0; i < ps->n; i++)
		if (ps->obj[i].known == PRESTATE_FAILED)
			return true;
	return false;
}

void
verdict_judge(struct verdict *v, const struct prestate_call *call,
    const struct prestate *before, const struct prestate *now,
    const struct verdict_options *opt)
{
	static const struct verdict_options all = {
	    .verifier = VERDICT_VERF_GANESHA};

	memset(v, 0, sizeof(*v));
	if (opt == NULL)
		opt = &all;
	if (before == NULL || before->n != now->n) {
		judge(v, VERDICT_UNDECIDABLE, V_NO_BEFORE);
		return;
	}
	if (prestate_is_sick(before)) {
		judge(v, VERDICT_UNDECIDABLE, V_SICK);
		return;
	}
	if (any_failed(before)) {
		judge(v, VERDICT_NOT_DONE, V_WOULD_FAIL);
		return;
	}
	if (any_failed(now)) {
		judge(v, VERDICT_UNDECIDABLE, V_NOW_FAILED);
		return;
	}
	switch (call->proc) {
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		judge_remove(v, &before->obj[0], &now->obj[0], opt);
		break;
	case NFS3_RENAME:
		judge_rename(v, before, now, opt);
		break;
	case NFS3_LINK:
		judge_link(v, before, now, opt);
		break;
	case NFS3_SETATTR:
		verdict_judge_setattr(v, call, &before->obj[0], &now->obj[0], opt);
		break;
	default:
		judge_make(v, call, &before->obj[0], &now->obj[0], opt);
		break;
	}
}
