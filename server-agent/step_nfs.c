/*
 * steps: NFS servers. NFS-Ganesha is started as a child of the helper, from a
 * file made here; knfsd by its tools; any other by commands. Whatever it is,
 * it has come when it answers NULL, and it is right when the handle of the
 * export is the one that clients hold.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hanfs/clock.h"
#include "hanfs/cursor.h"
#include "hanfs/rpc.h"
#include "server-agent/steps_int.h"

enum { RECORD_MAX = 1024, HANDLE_MAX = 64, MNT = 1 };

/* --- starting */

static const char ganesha_text[] = "NFS_CORE_PARAM {\n"
				   "	Protocols = 3;\n"
				   "	Enable_UDP = false;\n"
				   "	NFS_Port = %u;\n"
				   "	MNT_Port = %u;\n"
				   "	Enable_NLM = false;\n"
				   "	Enable_RQUOTA = false;\n"
				   "	mount_path_pseudo = true;\n"
				   "	RPC_Idle_Timeout_S = 3600;\n"
				   "	RPC_Ioq_ThrdMax = %u;\n"
				   "}\n"
				   "NFSv4 { Graceless = true; }\n"
				   "NFS_KRB5 { Active_krb5 = false; }\n"
				   "EXPORT_DEFAULTS {\n"
				   "	Access_Type = RW;\n"
				   "	Squash = No_Root_Squash;\n"
				   "	SecType = sys;\n"
				   "	Protocols = 3;\n"
				   "	Transports = TCP;\n"
				   "	PrivilegedPort = true;\n"
				   "}\n"
				   "EXPORT {\n"
				   "	Export_Id = %u;\n"
				   "	Path = \"%s/export\";\n"
				   "	Pseudo = \"%s\";\n"
				   "	Filesystem_Id = %u.%u;\n"
				   "	FSAL { Name = VFS; }\n"
				   "}\n"
				   "LOG { Default_Log_Level = EVENT; }\n";

/*
 * The same on all candidates: the handles that clients hold depend on it.
 * Fewer threads than Ganesha's own default: those of calls that change one
 * directory stand in a queue at its lock, and what the kernel spends on
 * putting them to sleep and waking them is missing elsewhere.
 */
void
step_ganesha_text(const struct config_volume *v, FILE *f)
{
	unsigned id = v->id & 0x7fff;

	fprintf(f, ganesha_text, v->backend.nfs_port, v->backend.mount_port,
	    v->backend.threads, id, v->storage.mountpoint, v->export, v->id,
	    v->id);
}

static int
write_config(const struct step_context *c)
{
	FILE *f = fopen("/run/ganesha.conf", "we");

	if (f == NULL)
		return step_fail("/run/ganesha.conf: %s", strerror(errno));
	step_ganesha_text(c->v, f);
	if (fclose(f) == EOF)
		return step_fail("/run/ganesha.conf: %s", strerror(errno));
	return 0;
}

void
step_exec_backend(const struct step_context *c)
{
	const char *config = c->v->backend.config;
	char epoch[24];

	if (step_enter(c, true, true) == -1)
		return;
	if (config[0] == '\0') {
		if (write_config(c) != 0)
			return;
		config = "/run/ganesha.conf";
	}
	/* Its instance: write verifiers change with each start. */
	snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)c->epoch);
	execlp("ganesha.nfsd", "ganesha.nfsd", "-F", "-L", "STDOUT", "-N",
	    "NIV_EVENT", "-f", config, "-p", "/run/ganesha/pid", "-E", epoch,
	    (char *)NULL);
	step_fail("ganesha.nfsd: %s; install nfs-ganesha and nfs-ganesha-vfs, "
		  "or configure another backend",
	    strerror(errno));
}

void
step_exec_rpcbind(const struct step_context *c)
{
	if (step_enter(c, true, false) == -1)
		return;
	execlp("rpcbind", "rpcbind", "-f", "-s", (char *)NULL);
	step_fail(
	    "rpcbind: %s; NFS-Ganesha wants it for NFSv3", strerror(errno));
}

/* Small on purpose; what it leaves in the namespace is killed at its stop. */
static const char knfsd_start[] =
    "mount -t nfsd nfsd /proc/fs/nfsd 2>/dev/null; "
    "mkdir -p \"$HANFS_EXPORT\" && "
    "mount --bind \"$HANFS_MOUNTPOINT/export\" \"$HANFS_EXPORT\" && "
    "{ rpcbind -s 2>/dev/null || true; } && "
    "exportfs -i -o rw,sync,no_root_squash,no_subtree_check,"
    "fsid=$HANFS_VOLUME_ID \"*:$HANFS_EXPORT\" && "
    "rpc.mountd --port $HANFS_MOUNT_PORT && "
    "rpc.nfsd --no-udp --port $HANFS_NFS_PORT 8";
static const char knfsd_stop[] =
    "mount -t nfsd nfsd /proc/fs/nfsd 2>/dev/null; rpc.nfsd 0; exportfs -au";

static void
knfsd_environment(const struct step_context *c)
{
	char number[24];

	setenv("HANFS_EXPORT", c->v->export, 1);
	snprintf(number, sizeof(number), "%u", c->v->id);
	setenv("HANFS_VOLUME_ID", number, 1);
	snprintf(number, sizeof(number), "%u", c->v->backend.nfs_port);
	setenv("HANFS_NFS_PORT", number, 1);
	snprintf(number, sizeof(number), "%u", c->v->backend.mount_port);
	setenv("HANFS_MOUNT_PORT", number, 1);
}

static int
start_other(const struct step_context *c)
{
	const struct config_backend *be = &c->v->backend;
	pid_t pid;

	if (be->kind == CONFIG_BACKEND_GANESHA)
		return 0;
	if (be->start[0] != '\0')
		return step_sh(c, be->start);
	/* In a process of its own: this one stays in its namespaces. */
	pid = fork();
	if (pid == 0) {
		knfsd_environment(c);
		if (step_enter(c, true, true) == -1)
			_exit(1);
		_exit(step_sh(c, knfsd_start));
	}
	return pid == -1 ? step_fail("fork: %s", strerror(errno)) : 0;
}

int
step_stop_other(const struct step_context *c)
{
	const struct config_backend *be = &c->v->backend;

	if (be->kind == CONFIG_BACKEND_GANESHA)
		return 0; /* the helper does it */
	if (be->stop[0] != '\0')
		return step_sh(c, be->stop);
	if (be->kind == CONFIG_BACKEND_KNFSD) {
		pid_t pid = fork();

		if (pid == 0) {
			knfsd_environment(c);
			_exit(step_enter(c, true, false) == -1 ||
			      step_sh(c, knfsd_stop) != 0);
		}
	}
	return step_kill_all(c);
}

/* --- asking it, by blocking sockets: this is a child */

static int
connect_port(const struct step_context *c, uint16_t port)
{
	struct hanfs_addr to = c->v->backend.address, from = {0};
	struct timeval tv = {1, 0};
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	to.port = port;
	len = addr_to_sockaddr(&to, &ss);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	from.family = to.family;
	for (from.port = 1023; from.port >= 900; from.port--) {
		struct sockaddr_storage own;
		socklen_t n = addr_to_sockaddr(&from, &own);

		if (bind(fd, (struct sockaddr *)&own, n) == 0)
			break;
	}
	if (connect(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One call, one reply in one fragment. The reply's length, or -1. */
static ssize_t
call(int fd, uint8_t *msg, size_t len, uint8_t *reply)
{
	struct linger off = {.l_onoff = 1, .l_linger = 0};
	uint8_t mark[4];
	ssize_t n = -1;

	be32_put(mark, 0x80000000u | (uint32_t)len);
	if (send(fd, mark, 4, MSG_NOSIGNAL | MSG_MORE) == 4 &&
	    send(fd, msg, len, MSG_NOSIGNAL) == (ssize_t)len &&
	    recv(fd, mark, 4, MSG_WAITALL) == 4) {
		size_t want = be32_get(mark) & 0x7fffffffu;

		if (want <= RECORD_MAX &&
		    recv(fd, reply, want, MSG_WAITALL) == (ssize_t)want)
			n = (ssize_t)want;
	}
	/* A reset: the reserved port is free again at once. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(fd);
	return n;
}

static bool
null_answered(const struct step_context *c)
{
	uint8_t msg[64], reply[RECORD_MAX];
	struct rpc_reply r;
	int fd = connect_port(c, c->v->backend.nfs_port);
	ssize_t n;

	if (fd == -1)
		return false;
	n = call(fd, msg, rpc_call_write(msg, 1, RPC_PROG_NFS, 3, 0), reply);
	return n > 0 && rpc_reply_parse(reply, (size_t)n, &r) == 0;
}

int
step_backend(const struct step_context *c)
{
	if (start_other(c) != 0 || step_enter(c, false, false) == -1)
		return 1;
	while (!null_answered(c))
		if (!step_wait(c, 2))
			return step_fail("the backend of volume %s does not "
					 "answer NULL on port %u",
			    c->v->name, c->v->backend.nfs_port);
	return 0;
}

/* --- the export's handle */

static size_t
mnt_call(const struct step_context *c, uint8_t *msg)
{
	size_t n = rpc_call_write(msg, 2, RPC_PROG_MOUNT, 3, MNT);
	size_t len = strlen(c->v->export);

	/* AUTH_SYS, RFC 5531 appendix A: stamp, name "", uid, gid, gids 0 */
	n -= 16;
	memset(msg + n, 0, 4 + 4 + 20 + 8);
	be32_put(msg + n, RPC_AUTH_SYS);
	be32_put(msg + n + 4, 20);
	n += 8 + 20 + 8;
	be32_put(msg + n, (uint32_t)len);
	memset(msg + n + 4 + len, 0, 4);
	memcpy(msg + n + 4, c->v->export, len);
	return n + 4 + (len + 3) / 4 * 4;
}

/* RFC 1813, section 5.2.1: status, then the handle. Length, or -1. */
static int
ask_handle(const struct step_context *c, uint8_t handle[HANDLE_MAX])
{
	uint8_t msg[RECORD_MAX], reply[RECORD_MAX];
	int fd = connect_port(c, c->v->backend.mount_port);
	struct rpc_reply r;
	uint32_t status = 1, len = 0;
	const uint8_t *bytes;
	ssize_t n;

	if (fd == -1)
		return -1;
	n = call(fd, msg, mnt_call(c, msg), reply);
	if (n <= 0 || rpc_reply_parse(reply, (size_t)n, &r) == -1 ||
	    r.reply_stat != 0 || r.accept_stat != 0)
		return -1;
	if (!cursor_u32(&r.results, &status))
		return -1;
	if (status != 0) {
		errno = (int)status;
		return -1;
	}
	if (!cursor_opaque(&r.results, HANDLE_MAX, &bytes, &len) || len == 0)
		return -1;
	memcpy(handle, bytes, len);
	return (int)len;
}

static int
record(const char *dir, const char *path, const char *hex)
{
	FILE *f = fopen(path, "we");
	int fd;

	if (f == NULL)
		return step_fail("%s: %s", path, strerror(errno));
	fprintf(f, "%s\n", hex);
	if (fflush(f) == EOF || fsync(fileno(f)) == -1 || fclose(f) == EOF)
		return step_fail("%s: %s", path, strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1) {
		(void)fsync(fd);
		close(fd);
	}
	return 0;
}

static int
compare(const struct step_context *c, const char *hex)
{
	char dir[CONFIG_TEXT_MAX + 32], path[CONFIG_TEXT_MAX + 64];
	char known[2 * HANDLE_MAX + 2] = "";
	FILE *f;

	snprintf(dir, sizeof(dir), "%s/.hanfs/state", c->v->storage.mountpoint);
	snprintf(path, sizeof(path), "%s/root-handle", dir);
	f = fopen(path, "re");
	if (f == NULL && errno == ENOENT)
		return record(dir, path, hex);
	if (f == NULL || fgets(known, sizeof(known), f) == NULL) {
		if (f != NULL)
			fclose(f);
		return step_fail(
		    "%s cannot be read: %s", path, strerror(errno));
	}
	fclose(f);
	known[strcspn(known, "\n")] = '\0';
	if (strcmp(known, hex) == 0)
		return 0;
	return step_fail("the export's handle is %.60s, recorded is %.60s: "
			 "clients would see ESTALE; give the backend the "
			 "export id and fsid that it had",
	    hex, known);
}

int
step_root(const struct step_context *c)
{
	uint8_t handle[HANDLE_MAX];
	char hex[2 * HANDLE_MAX + 1];
	int len;

	if (step_enter(c, false, false) == -1)
		return 1;
	while ((len = ask_handle(c, handle)) == -1)
		if (!step_wait(c, 10))
			return step_fail("the backend does not give the "
					 "handle of %s: %s",
			    c->v->export, strerror(errno));
	for (int i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", handle[i]);
	puts(hex);
	return compare(c, hex);
}
