/*
 * The owner's guard: a real-time thread that cuts this host off its volume
 * when the lease has lapsed, whatever the event loop, the backend or the
 * file system do (DESIGN section 6).
 *
 * It sleeps until the lease's end, looks again, and acts when nobody has
 * moved that end. Everything that it needs is opened, allocated and locked
 * in memory before, by guard_start() and, for the device, guard_open(); it
 * makes system calls only (no fork, but for the command).
 *
 * Ladder: each configured method is tried in this order until one is done.
 *
 *	dm	loads an error table into the device-mapper device and
 *		resumes it without flushing: I/O that comes to this device
 *		after that fails; what the driver below already has is not
 *		called back. Needs a device-mapper device under the file
 *		system.
 *	key	takes back the own reservation key (ioctl IOC_PR_REGISTER, as
 *		SCSI, NVMe and multipath devices know it): from then on the
 *		disk itself refuses this host. What it had accepted before is
 *		written. Nothing while no key is known (guard_key).
 *	command	guard_command, by sh: whatever it does; killed after
 *		command_ms. It is the only one that forks.
 *	reboot	reboot(2) without sync: the host ends at once. In-flight I/O
 *		of the adapter may still land for milliseconds.
 *
 * None of these is a fence for the claimant, who has one of its own; they
 * make the time shorter in which this host could do harm.
 */
#ifndef AGENT_GUARD_H
#define AGENT_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#define GUARD_ERROR_LEN 256u

enum guard_method {
	GUARD_NOTHING, /* not fired, or none is left */
	GUARD_DM,
	GUARD_KEY,
	GUARD_COMMAND,
	GUARD_REBOOT,
	GUARD_NMETHODS,
};
extern const char *const guard_method_names[GUARD_NMETHODS];

struct guard_config {
	const char *volume;   /* name */
	const char *device;   /* under the file system; borrowed */
	bool dm;              /* cut it if it is a device-mapper device */
	const char *command;  /* NULL or "": none */
	char *const *environ; /* of the command; NULL: empty */
	unsigned command_ms;
	bool reboot;
	int rt_priority;
};

struct guard;

/* NULL: error says what is wrong. Not armed, and no device is open yet. */
struct guard *guard_start(const struct guard_config *cfg, char *error);
void guard_stop(struct guard *g);

/*
 * The device is there: opens what "dm" and "key" need. -1: error says what is
 * wrong, and what could be opened is. Opened twice, it is opened anew.
 */
int guard_open(struct guard *g, char *error);
/* The device is about to go, and nobody may have it open. What a guard that
 * has fired has in its hands stays open until guard_stop(). */
void guard_close(struct guard *g);

/* The lease holds until then (CLOCK_BOOTTIME): arms it, or moves the end.
 * Never blocks. False: it has fired already. */
bool guard_until(struct guard *g, uint64_t valid_until_ms);
/* Released in good order. False: it has fired. */
bool guard_disarm(struct guard *g);
/* The own reservation key (fence_key) as long as it is registered; 0: none. */
void guard_key(struct guard *g, uint64_t key);
/*
 * Has it fired, and is it done? *method then says what has cut; NOTHING: all
 * failed. The device must be made anew before it is used.
 */
bool guard_fired(const struct guard *g, enum guard_method *method);
/* Readable once it has fired. */
int guard_fd(const struct guard *g);

#endif
