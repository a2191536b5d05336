/*
 * The state of one path. See path.h. Pure.
 */
#include <assert.h>
#include <string.h>

#include "path.h"

const char *const path_state_names[] = {"down", "up"};

const char *const path_reason_names[PATH_NREASONS] = {
    [PATH_NEW] = "no answer yet",
    [PATH_CARRIER] = "interface without carrier",
    [PATH_NO_ADDRESS] = "interface or address gone",
    [PATH_WITHDRAWN] = "the server's interface has no carrier",
    [PATH_ADDRESS] = "address changed",
    [PATH_SILENT] = "nothing heard, probe not acknowledged",
    [PATH_ONE_WAY] = "heard, but probe not acknowledged",
    [PATH_UNREACHABLE] = "unreachable",
    [PATH_ANSWERED] = "control connection answered",
};

/* Heartbeat loss: this many of the last LOSSY_WINDOW make a path lossy, none
 * of the last CLEAN_WINDOW end it. */
enum { LOSSY_COUNT = 3, LOSSY_WINDOW = 20, CLEAN_WINDOW = 40 };
enum { LOSSY_HOLD_MS = 5000 };

void
path_init(struct path *p, const struct path_config *cfg, bool exists)
{
	memset(p, 0, sizeof(*p));
	p->exists = exists;
	p->interval_ms = cfg->interval_ms;
	p->multiplier = cfg->multiplier;
}

uint32_t
path_detect_ms(const struct path *p)
{
	return p->interval_ms * p->multiplier;
}

bool
path_silent(const struct path *p, uint64_t now_ms)
{
	return now_ms - p->heard_ms >= path_detect_ms(p) / 2;
}

bool
path_held(const struct path *p, uint64_t now_ms)
{
	return now_ms < p->hold_until_ms;
}

static bool
set_state(struct path *p, enum path_state state, enum path_reason why,
    uint64_t now_ms)
{
	if (p->state == state)
		return false;
	p->state = state;
	p->reason = why;
	p->since_ms = now_ms;
	return true;
}

void
path_probe_void(struct path *p)
{
	p->probe_ms = 0;
	p->probe_acked = false;
}

static bool
go_down(struct path *p, const struct path_config *cfg, enum path_reason why,
    uint64_t now_ms)
{
	uint64_t hold = cfg->hold_ms;

	path_probe_void(p);
	p->loss_slots = 0;
	if (!set_state(p, PATH_DOWN, why, now_ms)) {
		p->reason = why;
		return false;
	}
	p->downs++;
	for (uint32_t i = 0; i < p->flaps && hold < cfg->hold_max_ms; i++)
		hold *= 2;
	/* Those past the longest hold-down need not be forgiven one by one. */
	if (hold < cfg->hold_max_ms && p->flaps < PATH_TIMES_MAX)
		p->flaps++;
	else
		hold = cfg->hold_max_ms;
	p->hold_ms = (uint32_t)hold;
	return true;
}

bool
path_interface(struct path *p, const struct path_config *cfg, bool up,
    enum path_reason why, uint64_t now_ms)
{
	p->interface_up = up;
	if (up && why != PATH_ADDRESS) {
		if (p->state == PATH_DOWN)
			p->reason = PATH_NEW;
		return false;
	}
	return go_down(p, cfg, why, now_ms);
}

static unsigned
lost_of(const struct path *p, unsigned window)
{
	unsigned n = p->loss_slots < window ? p->loss_slots : window;

	if (n == 0)
		return 0;
	return (unsigned)__builtin_popcountll(
	    n >= 64 ? p->loss_bits : p->loss_bits & ((1ull << n) - 1));
}

static void
mark_lossy(struct path *p, uint64_t now_ms)
{
	uint64_t hold = LOSSY_HOLD_MS;

	if (!p->lossy) {
		p->lossy = true;
		if (p->lossy_times < PATH_TIMES_MAX)
			p->lossy_times++;
	}
	for (uint32_t i = 1; i < p->lossy_times && hold < PATH_LOSSY_MAX_MS;
	     i++)
		hold *= 2;
	p->lossy_until_ms = now_ms +
	    (hold < PATH_LOSSY_MAX_MS ? hold : PATH_LOSSY_MAX_MS);
}

static void
count_loss(struct path *p, uint64_t lost, uint64_t now_ms)
{
	/* A long gap was an outage, and is known as one. */
	if (lost >= p->multiplier * 2ull || lost >= PATH_LOSS_SLOTS) {
		p->loss_slots = 0;
		return;
	}
	p->lost += lost;
	for (uint64_t i = 0; i < lost; i++)
		p->loss_bits = p->loss_bits << 1 | 1;
	p->loss_bits <<= 1;
	p->loss_slots += (unsigned)lost + 1;
	if (p->loss_slots > PATH_LOSS_SLOTS)
		p->loss_slots = PATH_LOSS_SLOTS;
	if (lost > 0 && lost_of(p, LOSSY_WINDOW) >= LOSSY_COUNT)
		mark_lossy(p, now_ms);
}

void
path_heartbeat(struct path *p, const struct path_config *cfg, uint64_t boot,
    uint64_t seq, uint32_t interval_ms, uint32_t multiplier, uint64_t now_ms)
{
	(void)cfg;
	if (boot == p->heartbeat_boot && seq <= p->heartbeat_seq)
		return;
	if (boot == p->heartbeat_boot && p->heartbeat_ms != 0)
		count_loss(p, seq - p->heartbeat_seq - 1, now_ms);
	else
		p->loss_slots = 0;
	p->heartbeat_boot = boot;
	p->heartbeat_seq = seq;
	p->heartbeat_ms = now_ms;
	p->heartbeats++;
	if (interval_ms > 0 && interval_ms <= PATH_INTERVAL_MAX &&
	    multiplier > 0 && multiplier <= PATH_MULTIPLIER_MAX) {
		p->interval_ms = interval_ms;
		p->multiplier = multiplier;
	}
	path_heard(p, now_ms);
}

bool
path_withdrawn(struct path *p, const struct path_config *cfg, uint64_t now_ms)
{
	if (p->state == PATH_DOWN)
		return false;
	return go_down(p, cfg, PATH_WITHDRAWN, now_ms);
}

void
path_heard(struct path *p, uint64_t now_ms)
{
	p->heard_ms = now_ms;
}

void
path_retransmits(struct path *p, uint32_t retrans, uint32_t sent,
    uint64_t now_ms)
{
	/* One loss in twenty, and not of a handful. */
	if (retrans >= LOSSY_COUNT && retrans * 20ull >= sent)
		mark_lossy(p, now_ms);
}

void
path_probe_sent(struct path *p, uint64_t now_ms)
{
	p->probe_ms = now_ms;
	p->probe_acked = false;
	p->probes++;
}

void
path_probe_acked(struct path *p, uint64_t now_ms)
{
	p->probe_acked = true;
	path_heard(p, now_ms);
}

void
path_probe_answered(struct path *p, uint32_t rtt_us, uint64_t now_ms)
{
	path_probe_void(p);
	p->answered_ms = now_ms;
	if (rtt_us == 0)
		rtt_us = 1;
	p->rtt_us = p->rtt_us == 0 || p->rtt_rough
	    ? rtt_us
	    : (uint32_t)((p->rtt_us * 7ull + rtt_us) / 8);
	p->rtt_rough = false;
	path_heard(p, now_ms);
}

void
path_connected(struct path *p, uint64_t took_ms, uint64_t now_ms)
{
	enum { TRIPS = 2, RTT_MAX_MS = 10000 };

	if (took_ms > RTT_MAX_MS)
		took_ms = RTT_MAX_MS;
	path_probe_void(p);
	p->answered_ms = now_ms;
	p->rtt_us = (uint32_t)(took_ms * 1000 / TRIPS) + 1;
	p->rtt_rough = true;
	path_heard(p, now_ms);
}

bool
path_control_up(struct path *p, uint64_t now_ms)
{
	path_heard(p, now_ms);
	p->answered_ms = now_ms;
	if (!set_state(p, PATH_UP, PATH_ANSWERED, now_ms))
		return false;
	if (p->flaps > 0)
		p->hold_until_ms = now_ms + p->hold_ms;
	p->calm_ms = now_ms;
	return true;
}

bool
path_control_lost(struct path *p, const struct path_config *cfg,
    bool unreachable, uint64_t now_ms)
{
	path_probe_void(p);
	if (!unreachable || p->state == PATH_DOWN)
		return false;
	if (p->heard_ms + path_detect_ms(p) > now_ms)
		return false;
	return go_down(p, cfg, PATH_UNREACHABLE, now_ms);
}

/* A probe may well take this long on a path that is only far. */
static uint32_t
patience_ms(const struct path *p)
{
	uint32_t half = path_detect_ms(p) / 2, far = p->rtt_us / 400 + 10;

	return half > far ? half : far;
}

bool
path_tick(struct path *p, const struct path_config *cfg, uint64_t now_ms)
{
	uint64_t unacked = 0;

	if (p->lossy && now_ms >= p->lossy_until_ms &&
	    lost_of(p, CLEAN_WINDOW) == 0)
		p->lossy = false;
	if (!p->lossy && p->lossy_times > 0 &&
	    now_ms >= p->lossy_until_ms + cfg->calm_ms) {
		p->lossy_times--;
		p->lossy_until_ms = now_ms;
	}
	if (p->state == PATH_DOWN)
		return false;
	if (p->flaps > 0 && now_ms >= p->hold_until_ms &&
	    now_ms - p->calm_ms >= cfg->calm_ms) {
		p->flaps--;
		p->calm_ms = now_ms;
	}
	if (p->probe_ms != 0 && !p->probe_acked)
		unacked = now_ms - p->probe_ms;
	if (now_ms >= p->heard_ms + path_detect_ms(p) &&
	    unacked >= patience_ms(p))
		return go_down(p, cfg, PATH_SILENT, now_ms);
	if (unacked >= cfg->oneway_ms && unacked >= patience_ms(p))
		return go_down(p, cfg, PATH_ONE_WAY, now_ms);
	return false;
}

bool
path_wants_probe(const struct path *p, const struct path_config *cfg,
    uint64_t oldest_sent_ms, uint64_t now_ms)
{
	uint64_t last = p->answered_ms;

	if (p->state != PATH_UP)
		return false;
	if (p->probe_ms != 0) {
		/* An agent that is busy or stopped need not be asked often;
		 * only its kernel's acknowledgement is wanted. */
		return p->probe_acked &&
		    path_silent(p, now_ms) &&
		    now_ms - p->probe_ms >= path_detect_ms(p) / 2;
	}
	if (p->rtt_rough || path_silent(p, now_ms))
		return true;
	return oldest_sent_ms != 0 &&
	    now_ms - oldest_sent_ms >= cfg->probe_after_ms &&
	    now_ms - last >= cfg->probe_after_ms;
}
