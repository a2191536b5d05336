/*
 * format: hanfs-agent --format VOLUME. Prepares a volume's file system and
 * control area, once; see volform.h for what it then looks like.
 *
 *   format.c       the order of things, what is refused, what is said
 *   format_disk.c  the device: is it in use, its superblock, mounting it
 *   format_tree.c  the tree: log, slots, exported directory, adoption
 *
 * Nothing is changed before everything has been looked at. A run that is
 * broken off leaves a file system without .hanfs/volume, which is written
 * last: the next run begins anew.
 */
#ifndef HANFS_AGENT_FORMAT_H
#define HANFS_AGENT_FORMAT_H

#include "hanfs/config.h"
#include "server-agent/volform.h"

struct format_options {
	const char *volume;
	bool force; /* also what is formatted, or was not cleanly unmounted */
	bool adopt; /* move what lies at the root into the exported directory */
};

/* Says what it does in the log. Returns the exit status. */
int format_volume(const struct config *cfg, const struct format_options *o);

/* --- between the files; each -1 after it has said why */

/* Is the device free on this host? */
int format_disk_free(const char *device);
int format_disk_super(const char *device, uint8_t *bytes);
/* Mounts it for this process alone. A descriptor of its root, or -1.
 * look: read-only, without replay of the journal. */
int format_disk_mount(const char *device, enum config_fstype type, bool look);
int format_disk_unmount(int root);
/* Is its log to be replayed? 1, 0, or -1. It asks the file system's own
 * mount, of a device that cannot be written to: for xfs, whose log says it
 * nowhere else. */
int format_disk_dirty(const char *device, enum config_fstype type);
void format_disk_end(void);

/* Entries of the root that are neither ours nor the file system's own:
 * how many, and the first of them. */
int format_tree_strangers(int root, unsigned *n, char *first, size_t size);
int format_tree_make(int root, const struct volform *v, bool adopt);

#endif
