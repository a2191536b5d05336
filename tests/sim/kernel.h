/* What kernel.c and choose.c, a kernel's client, share. */
#ifndef HANFS_SIM_KERNEL_H
#define HANFS_SIM_KERNEL_H

#include "world.h"

/* choose.c: the slot's next call, and what must come of it. */
void choose(struct slot *s, struct kcall *c);
/* What its reply says that later calls need. */
void learn(struct kcall *c, const struct nfs_answer *a);

#endif
