/*
 * Which handles lead into a volume's own directories.
 *
 * A server's handle holds the kernel's handle of the object (open_by_handle_at
 * takes it), as bytes at a place that is the same for all objects of an
 * export: NFS-Ganesha whole, behind export id and file-system id. So where
 * the exported directory's kernel handle stands in its NFS handle, there
 * stands another directory's in one that a client forges: the volume's
 * root, which has the same handle on every file system, and .hanfs with what
 * is in it. What is kept by inode alone, as the slots are, has a generation
 * that nobody can guess without seeing its directory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hanfs/log.h"
#include "hanfs/nfs3.h"
#include "server-agent/logio_int.h"
#include "server-agent/volform.h"

struct kernel_handle {
	struct file_handle h;
	uint8_t b[MAX_HANDLE_SZ];
};

static bool
kernel_handle(const char *path, struct kernel_handle *kh)
{
	int mount_id;

	kh->h.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(AT_FDCWD, path, &kh->h, &mount_id, 0) == 0 &&
	       kh->h.handle_bytes <= RELAY_FORBID_MAX;
}

/* The root's NFS handle, as the takeover recorded it. Its length, or 0. */
static unsigned
root_handle(const char *mountpoint, uint8_t fh[NFS3_FHSIZE])
{
	char path[CONFIG_TEXT_MAX + 64], hex[2 * NFS3_FHSIZE + 2] = "";
	unsigned n = 0, byte;
	FILE *f;

	snprintf(
	    path, sizeof(path), "%s/" VOLFORM_STATE "/root-handle", mountpoint);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fgets(hex, sizeof(hex), f) == NULL)
		hex[0] = '\0';
	fclose(f);
	while (n < NFS3_FHSIZE && sscanf(hex + 2 * n, "%2x", &byte) == 1)
		fh[n++] = (uint8_t)byte;
	return n;
}

/* Where the exported directory's kernel handle stands in its NFS handle. */
static int
find_offset(const char *mountpoint)
{
	char path[CONFIG_TEXT_MAX + 64];
	uint8_t fh[NFS3_FHSIZE];
	unsigned len = root_handle(mountpoint, fh);
	struct kernel_handle kh;

	snprintf(path, sizeof(path), "%s/" VOLFORM_EXPORT, mountpoint);
	if (!kernel_handle(path, &kh) || kh.h.handle_bytes == 0)
		return -1;
	for (unsigned i = 0; i + kh.h.handle_bytes <= len; i++)
		if (memcmp(fh + i, kh.h.f_handle, kh.h.handle_bytes) == 0)
			return (int)i;
	return -1;
}

static void
forbid(struct agent *a, unsigned volume, unsigned offset, const char *path)
{
	struct kernel_handle kh;

	if (kernel_handle(path, &kh))
		relay_forbid(
		    a->relay, volume, offset, kh.h.f_handle, kh.h.handle_bytes);
}

/* The state directories, one an epoch. */
static void
forbid_states(
    struct agent *a, unsigned volume, unsigned offset, const char *mountpoint)
{
	char path[CONFIG_TEXT_MAX + 64], sub[CONFIG_TEXT_MAX + 400];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" VOLFORM_STATE, mountpoint);
	forbid(a, volume, offset, path);
	dir = opendir(path);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, d->d_name);
		forbid(a, volume, offset, sub);
	}
	if (dir != NULL)
		closedir(dir);
}

void
logio_forbid(struct agent *a, unsigned volume)
{
	static const char *const dirs[] = {
	    "", "/" VOLFORM_DIR, "/" VOLFORM_FILE, "/" VOLFORM_LOG};
	const struct config_volume *cv = a->volumes[volume].cfg;
	const char *mountpoint = cv->storage.mountpoint;
	char path[CONFIG_TEXT_MAX + 64];
	int offset = find_offset(mountpoint);

	relay_forbid(a->relay, volume, 0, NULL, 0);
	if (offset == -1) {
		log_warn("volume %s: its backend's handles do not hold the "
			 "kernel's: handles that are forged to lead into "
			 ".hanfs are not refused here",
		    cv->name);
		return;
	}
	for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", mountpoint, dirs[i]);
		forbid(a, volume, (unsigned)offset, path);
	}
	forbid_states(a, volume, (unsigned)offset, mountpoint);
}
