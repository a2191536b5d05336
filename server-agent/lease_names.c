/* The lease: its words, for logs, hanfsctl and JSON. */
#include "server-agent/lease.h"

const char *const lease_evidence_names[LEASE_NEVIDENCE] = {
    [LEASE_NO_EVIDENCE] = "none",
    [LEASE_FENCED] = "fenced",
    [LEASE_END] = "lease-end",
    [LEASE_WATCHDOG] = "watchdog",
};

const char *const lease_state_names[LEASE_NSTATES] = {
    [LEASE_STARTING] = "starting",
    [LEASE_STANDBY] = "standby",
    [LEASE_CLAIMING] = "claiming",
    [LEASE_CLAIMED] = "claimed",
    [LEASE_TAKING] = "taking",
    [LEASE_OWNER] = "owner",
    [LEASE_LAPSED] = "lapsed",
    [LEASE_RELEASING] = "releasing",
    [LEASE_BROKEN] = "broken",
};

const char *const lease_news_names[LEASE_NNEWS] = {
    [LEASE_READY] = "ready",
    [LEASE_LOOKED] = "looked",
    [LEASE_WON] = "claim-won",
    [LEASE_GAINED] = "gained",
    [LEASE_REFUSED] = "refused",
    [LEASE_WAITING] = "waiting",
    [LEASE_RENEWED] = "renewed",
    [LEASE_SUSPENDED] = "suspended",
    [LEASE_RESUMED] = "resumed",
    [LEASE_LOST] = "lost",
    [LEASE_GIVEN_UP] = "given-up",
    [LEASE_NEWEST] = "newest-owner",
    [LEASE_ADVANCED] = "advanced",
    [LEASE_TROUBLE] = "trouble",
    [LEASE_DISK_LOST] = "disk-lost",
    [LEASE_DISK_BACK] = "disk-back",
};

const char *const lease_why_names[LEASE_NWHY] = {
    [LEASE_WHY_NONE] = "none",
    [LEASE_WHY_UNFENCED] = "unfenced",
    [LEASE_WHY_NEWER] = "newer-owner",
    [LEASE_WHY_ALIVE] = "owner-alive",
    [LEASE_WHY_RIVAL] = "rival",
    [LEASE_WHY_GRANT] = "granted-to-another",
    [LEASE_WHY_DAMAGED] = "slot-damaged",
    [LEASE_WHY_DISK] = "disk",
    [LEASE_WHY_TWIN] = "twin",
    [LEASE_WHY_FORMATTED] = "formatted",
    [LEASE_WHY_CANCELLED] = "cancelled",
    [LEASE_WHY_BUSY] = "busy",
    [LEASE_WHY_LEASE_END] = "lease-must-end",
    [LEASE_WHY_BACKOFF] = "after-a-rival",
};
