/*
 * What fault.c and fault_plan.c share. Nobody else includes this.
 */
#ifndef HANFS_SIM_FAULT_H
#define HANFS_SIM_FAULT_H

#include "own.h"

enum fault_kind {
	CARRIER_CLIENT,
	CARRIER_SERVER,
	SWITCH_DEAD,
	ONE_WAY_TO_CLIENT,
	ONE_WAY_TO_SERVER,
	LOSS,
	DELAY,
	LATE,
	PAUSED,
	FLAP,
	NO_BROADCAST,
	BOTH_DOWN,
	ADDRESS,
	INTERFACE,
	PROXY_KILLED,
	PROXY_STALLED,
	PROXY_UPGRADED,
	KERNEL_CLOSES,
	DETECTOR_KILLED,
	AGENT_KILLED,
	AGENT_STALLED,
	SERVER_CRASH,
	BACKEND_STOPPED,
	BACKEND_DIES,
	RESET,
	DEAD_FLOW,
	/* with `storage` alone */
	POWER_CUT,
	BOTH_IN_TURN,
	CUT_AND_NETWORK,
	AGENT_STOPPED,
	NETS_LOST,
	APART,
	DISK_PATH,
	DISK_SLOW,
	FENCE_FAILS,
	FENCE_SLOW,
	MOVE,
	FAULTS
};

struct fault {
	struct world *w;
	enum fault_kind kind;
	uint32_t net, client, server, other, volume, times, turn;
	uint64_t lasts;
};

/* fault_plan.c */
const char *fault_name(enum fault_kind kind);

#endif
