/*
 * volform: what a volume's file system looks like, and the file in it that
 * says so. Pure but for volform_read_at() and volform_write_at().
 *
 *	VOLUME'S ROOT/			+i
 *	    export/			the only part that clients see
 *	    .hanfs/			+i
 *	        volume			this file
 *	        state/			the backend's own, a directory an epoch
 *	        log/			+i; see store.h
 *
 * `volume` is text, so that a person with a rescue system can tell what the
 * disk is; its last line is the CRC-32C of what stands before it:
 *
 *	hanfs volume 1
 *	cluster office
 *	volume 1 home
 *	instance 0123456789abcdef0123456789abcdef
 *	slots 1024
 *	crc32c 1c291ca3
 *
 * `instance` is a number drawn by each --format: two disks are never the
 * same volume by chance.
 */
#ifndef HANFS_AGENT_VOLFORM_H
#define HANFS_AGENT_VOLFORM_H

#include <stddef.h>
#include <stdint.h>

#include "hanfs/config.h"

#define VOLFORM_VERSION   1u
#define VOLFORM_EXPORT    "export"
#define VOLFORM_DIR       ".hanfs"
#define VOLFORM_FILE      VOLFORM_DIR "/volume"
#define VOLFORM_STATE     VOLFORM_DIR "/state"
#define VOLFORM_LOG       VOLFORM_DIR "/log"
#define VOLFORM_SENTINEL  "sentinel" /* in VOLFORM_LOG */
#define VOLFORM_TEXT_MAX  512u
#define VOLFORM_SLOTS_MAX 65536u

#define VOLFORM_INSTANCE_LEN 16u

struct volform {
	char cluster[CONFIG_NAME_MAX + 1];
	char name[CONFIG_NAME_MAX + 1];
	uint32_t id;
	uint8_t instance[VOLFORM_INSTANCE_LEN];
	unsigned slots;
};

enum volform_error {
	VOLFORM_OK,
	VOLFORM_E_NONE,    /* there is no such file: not formatted */
	VOLFORM_E_READ,    /* it cannot be read; errno */
	VOLFORM_E_VERSION, /* of a later hanfs */
	VOLFORM_E_DAMAGED,
	VOLFORM_ERRORS
};
extern const char *const volform_error_names[VOLFORM_ERRORS];

/* The text into buf of VOLFORM_TEXT_MAX; its length. */
size_t volform_write(const struct volform *v, char *buf);
enum volform_error volform_parse(
    const char *text, size_t len, struct volform *v);

/* The same with the file, below the root that root_fd stands for. */
enum volform_error volform_read_at(int root_fd, struct volform *v);
int volform_write_at(int root_fd, const struct volform *v);

/* A slot's file name, "00042", into buf of VOLFORM_SLOT_NAME. */
#define VOLFORM_SLOT_NAME 12u
void volform_slot_name(char *buf, uint32_t slot);

#endif
