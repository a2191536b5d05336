/* What logio.c and logio_dirs.c share. */
#ifndef HANFS_AGENT_LOGIO_INT_H
#define HANFS_AGENT_LOGIO_INT_H

#include "server-agent/agent.h"
#include "server-agent/logio.h"

/* The volume's own directories, by the form of the root handle that the
 * backend gives: no client may name them. */
void logio_forbid(struct agent *a, unsigned volume);

#endif
