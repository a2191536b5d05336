/*
 * What must hold (DESIGN section 7), as far as this world can tell. A call
 * that was outstanding when its server's agent was killed may run twice:
 * the table died with the agent, the durable log is not there yet. Those
 * are counted.
 */
#include <stdarg.h>
#include <stdio.h>

#include "world.h"

const char *const invariant_names[INVARIANTS] = {
    [I2] = "I2, exactly once",
    [I4] = "I4, no write after a newer one",
    [I5] = "I5, no error that the fault made",
    [I6] = "I6, answered in time",
    [I8] = "I8, bounds",
    [LIVE] = "liveness",
};

void
broken(struct world *w, enum invariant i, const char *fmt, ...)
{
	va_list ap;

	if (w->out.failed)
		return;
	w->out.failed = true;
	w->out.invariant = i;
	va_start(ap, fmt);
	vsnprintf(w->out.what, sizeof(w->out.what), fmt, ap);
	va_end(ap);
	tell(w, "BROKEN %s: %s", invariant_names[i], w->out.what);
}

/* Did its agent die while it was outstanding? Then it may be a double. */
static bool
in_doubt(const struct world *w, const struct kcall *c)
{
	return w->server[volume_owner(c->slot->volume)].kills > c->kills;
}

void
check_ran(struct world *w, struct kcall *c, uint32_t status, uint64_t value,
    bool newer_was_written)
{
	if (c == NULL) {
		broken(w, LIVE, "a call ran that was never made");
		return;
	}
	tell(w, "backend: c%u call %08x %s slot %u value %llu ran: status %u",
	    c->op.client + 1, c->xid, op_names[c->op.what], c->op.slot,
	    (unsigned long long)c->op.value, status);
	if (newer_was_written) {
		broken(w, I4,
		    "c%u call %08x, %s of value %llu to slot %u, "
		    "ran after a newer one did",
		    c->op.client + 1, c->xid, op_names[c->op.what],
		    (unsigned long long)c->op.value, c->op.slot);
		return;
	}
	if (c->ran++ == 0) {
		c->status = status;
		c->value = value;
		return;
	}
	if (!op_changes(c->op.what))
		return;
	if (in_doubt(w, c))
		w->out.doubles++;
	else
		broken(w, I2, "c%u call %08x, %s in slot %u, ran %u times%s",
		    c->op.client + 1, c->xid, op_names[c->op.what], c->op.slot,
		    c->ran,
		    c->done != 0 ? ", the last time after its reply" : "");
}

void
check_reply(struct world *w, struct kcall *c, uint32_t status, uint64_t value)
{
	enum nfs_op op = c->op.what;

	if (w->now > w->faults_end && w->now - w->faults_end > w->out.late)
		w->out.late = w->now - w->faults_end;
	if (c->ran == 0)
		broken(w, I2, "c%u call %08x, %s, was answered and never ran",
		    c->op.client + 1, c->xid, op_names[op]);
	else if (c->ran > 1 && op_changes(op))
		return; /* counted as a double */
	else if (status != c->expect_status)
		broken(w, I5,
		    "c%u call %08x, %s in slot %u, got status %u, "
		    "not %u",
		    c->op.client + 1, c->xid, op_names[op], c->op.slot, status,
		    c->expect_status);
	else if ((op == OP_READ || op == OP_GETATTR) &&
		 value != c->expect_value)
		broken(w, I5,
		    "c%u call %08x, %s of slot %u, got %llu, not "
		    "%llu",
		    c->op.client + 1, c->xid, op_names[op], c->op.slot,
		    (unsigned long long)value,
		    (unsigned long long)c->expect_value);
	else if (op_changes(op) && value != c->value)
		broken(w, I2,
		    "c%u call %08x, %s, got the reply of another "
		    "execution",
		    c->op.client + 1, c->xid, op_names[op]);
}

void
check_bounds(struct world *w)
{
	for (uint32_t i = 0; i < w->t.nclients; i++)
		proxy_audit(&w->client[i], false);
	for (uint32_t s = 0; s < SERVERS; s++)
		agent_audit(&w->server[s], false);
}

static void
check_slot(struct world *w, const struct slot *s)
{
	const struct fs_slot *is =
	    &w->fs[s->volume].slot[s->cl->number][s->number];
	const struct kcall *c = s->call;

	if (c != NULL)
		broken(w, I6,
		    "c%u call %08x, %s in slot %u, is not answered "
		    "%llu ms after the last fault's end; it was made at "
		    "%llu ms, sent %u times, ran %u times",
		    s->cl->number + 1, c->xid, op_names[c->op.what], s->number,
		    (unsigned long long)((w->now - w->faults_end) / MS),
		    (unsigned long long)(c->issued / MS), c->tries, c->ran);
	else if (is->written != s->want.written || is->attr != s->want.attr ||
		 is->name[0] != s->want.name[0] ||
		 is->name[1] != s->want.name[1])
		broken(w, I5,
		    "c%u slot %u: the file system is not as it "
		    "must be (data %llu, not %llu)",
		    s->cl->number + 1, s->number,
		    (unsigned long long)is->written,
		    (unsigned long long)s->want.written);
}

void
check_end(struct world *w)
{
	for (uint32_t i = 0; i < w->t.nclients; i++)
		for (uint32_t s = 0; s < w->t.slots; s++)
			check_slot(w, &w->client[i].slot[s]);
	if (w->out.calls < w->t.nclients * w->t.slots)
		broken(w, LIVE, "only %llu calls were made",
		    (unsigned long long)w->out.calls);
	/* Nothing that fails is tried again without a pause. */
	if (w->ntcps > w->t.nclients * (100 + 20 * w->now / SEC))
		broken(w, LIVE, "%u connections were made in %llu s", w->ntcps,
		    (unsigned long long)(w->now / SEC));
}

void
check_tidy(struct world *w)
{
	for (uint32_t i = 0; i < w->t.nclients; i++)
		proxy_audit(&w->client[i], true);
	for (uint32_t s = 0; s < SERVERS; s++)
		agent_audit(&w->server[s], true);
}
