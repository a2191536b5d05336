/*
 * Every option of the configuration. A new option is a member of a struct in
 * hanfs/config.h, a line here and one in hanfs.conf(5). How its text becomes
 * a value: config_value.c.
 */
#include <stdio.h>
#include <string.h>

#include "config_int.h"

const struct conf_kind_info conf_kinds[CONF_KINDS] = {
    [CONF_ROOT] = {"", false, CONF_ROOT},
    [CONF_NETWORK] = {"network", true, CONF_ROOT},
    [CONF_SERVER] = {"server", true, CONF_ROOT},
    [CONF_VOLUME] = {"volume", true, CONF_ROOT},
    [CONF_BACKEND] = {"backend", false, CONF_VOLUME},
    [CONF_STORAGE] = {"storage", false, CONF_VOLUME},
    [CONF_PROXY] = {"proxy", false, CONF_ROOT},
    [CONF_DETECTOR] = {"detector", false, CONF_ROOT},
    [CONF_AGENT] = {"agent", false, CONF_ROOT},
};

const char *const conf_paths_words[] = {
    [CONFIG_PATHS_PRIMARY_FIRST] = "primary-first",
    [CONFIG_PATHS_ALL] = "all",
    NULL,
};

const char *const conf_fence_words[] = {
    [CONFIG_FENCE_NONE] = "none",
    [CONFIG_FENCE_COMMAND] = "command",
    [CONFIG_FENCE_SCSI] = "scsi",
    [CONFIG_FENCE_MPATH] = "mpath",
    [CONFIG_FENCE_NVME] = "nvme",
    [CONFIG_FENCE_WATCHDOG] = "watchdog",
    [CONFIG_FENCE_LEASE_ONLY] = "lease-only-unsafe",
    NULL,
};

const char *const conf_fstype_words[] = {
    [CONFIG_FS_EXT4] = "ext4",
    [CONFIG_FS_XFS] = "xfs",
    NULL,
};

static const char *const backend_words[] = {
    [CONFIG_BACKEND_GANESHA] = "ganesha",
    [CONFIG_BACKEND_KNFSD] = "knfsd",
    [CONFIG_BACKEND_EXTERNAL] = "external",
    NULL,
};

static const char *const arbiter_words[] = {
    [CONFIG_ARBITER_DISK] = "disk",
    [CONFIG_ARBITER_EXTERNAL] = "external",
    NULL,
};

static const char *const failback_words[] = {
    [CONFIG_FAILBACK_AUTO] = "auto",
    [CONFIG_FAILBACK_DELAYED] = "delayed",
    [CONFIG_FAILBACK_MANUAL] = "manual",
    NULL,
};

#define MEMBER(s, m) offsetof(struct s, m), sizeof(((struct s *)0)->m)
#define K            UINT64_C(1024)
#define M            (K * K)
#define G            (K * K * K)
#define DAY_MS       UINT64_C(86400000)

#define ROOT(name, type, m, min, max, fallback)                           \
	{                                                                 \
		CONF_ROOT, name, type, MEMBER(config, m), min, max, NULL, \
		    fallback, NULL                                        \
	}
#define SECTION(kind, s, m, type, min, max, fallback)                        \
	{                                                                    \
		kind, #m, type, MEMBER(s, m), min, max, NULL, fallback, NULL \
	}
#define LIST(kind, name, example)                                           \
	{                                                                   \
		kind, name, CONF_LIST, 0, 0, 0, 0, NULL, CONF_MUST, example \
	}
#define CHOICE(kind, s, m, words, fallback)                                  \
	{                                                                    \
		kind, #m, CONF_WORD, MEMBER(s, m), 0, 0, words, fallback,    \
		    NULL                                                     \
	}
#define NETWORK(...)  SECTION(CONF_NETWORK, config_network, __VA_ARGS__)
#define SERVER(...)   SECTION(CONF_SERVER, config_server, __VA_ARGS__)
#define VOLUME(...)   SECTION(CONF_VOLUME, config_volume, __VA_ARGS__)
#define BACKEND(...)  SECTION(CONF_BACKEND, config_backend, __VA_ARGS__)
#define STORAGE(...)  SECTION(CONF_STORAGE, config_storage, __VA_ARGS__)
#define PROXY(...)    SECTION(CONF_PROXY, config_proxy, __VA_ARGS__)
#define DETECTOR(...) SECTION(CONF_DETECTOR, config_detector, __VA_ARGS__)
#define AGENT(...)    SECTION(CONF_AGENT, config_agent, __VA_ARGS__)

/* clang-format off */
const struct conf_field conf_fields[] = {
	ROOT("cluster", CONF_NAME, cluster, 0, 0, CONF_MUST),
	ROOT("heartbeat_port", CONF_NUMBER, heartbeat_port, 1, 65535, "9077"),

	NETWORK(id, CONF_NUMBER, 1, UINT32_MAX, CONF_DERIVED),
	LIST(CONF_NETWORK, "prefix", "prefix = {\"10.81.1.0/24\"}"),

	SERVER(id, CONF_NUMBER, 1, UINT32_MAX, CONF_MUST),
	SERVER(public_key, CONF_KEY, 0, 0, CONF_MUST),
	SERVER(port, CONF_NUMBER, 1, 65535, "2049"),
	LIST(CONF_SERVER, "addresses",
	    "addresses = {\"10.81.1.11\", \"10.82.1.11\"}"),

	VOLUME(id, CONF_NUMBER, 1, UINT32_MAX, CONF_MUST),
	VOLUME(loopback, CONF_ADDRESS, 0, 0, CONF_DERIVED),
	VOLUME(port, CONF_NUMBER, 1, 65535, "2049"),
	LIST(CONF_VOLUME, "candidates", "candidates = {\"s1\", \"s2\"}"),
	VOLUME(export, CONF_PATH, 0, 0, CONF_DERIVED),

	BACKEND(netns, CONF_PATH, 0, 0, CONF_DERIVED),
	BACKEND(address, CONF_ADDRESS, 0, 0, "10.0.0.1"),
	BACKEND(nfs_port, CONF_NUMBER, 1, 65535, "2049"),
	BACKEND(mount_port, CONF_NUMBER, 1, 65535, "20048"),
	BACKEND(threads, CONF_NUMBER, 16, 1024, "24"),
	CHOICE(CONF_BACKEND, config_backend, kind, backend_words, "ganesha"),
	BACKEND(config, CONF_PATH, 0, 0, CONF_DERIVED),
	BACKEND(start, CONF_TEXT, 0, 0, CONF_DERIVED),
	BACKEND(stop, CONF_TEXT, 0, 0, CONF_DERIVED),

	STORAGE(device, CONF_PATH, 0, 0, CONF_MUST),
	STORAGE(control, CONF_PATH, 0, 0, CONF_DERIVED),
	STORAGE(mountpoint, CONF_PATH, 0, 0, CONF_DERIVED),
	STORAGE(mount_options, CONF_TEXT, 0, 0, "noatime"),
	CHOICE(CONF_STORAGE, config_storage, fstype, conf_fstype_words,
	    "ext4"),
	STORAGE(slots, CONF_NUMBER, 64, 65536, "1024"),
	CHOICE(CONF_STORAGE, config_storage, arbiter, arbiter_words, "disk"),
	STORAGE(arbiter_command, CONF_TEXT, 0, 0, CONF_DERIVED),
	CHOICE(CONF_STORAGE, config_storage, fence, conf_fence_words, "none"),
	STORAGE(fence_command, CONF_TEXT, 0, 0, CONF_DERIVED),
	STORAGE(fence_ms, CONF_NUMBER, 100, 600000, "30000"),
	STORAGE(guard_command, CONF_TEXT, 0, 0, CONF_DERIVED),
	STORAGE(guard_reboot, CONF_BOOL, 0, 0, "false"),
	STORAGE(assemble, CONF_TEXT, 0, 0, CONF_DERIVED),
	STORAGE(disassemble, CONF_TEXT, 0, 0, CONF_DERIVED),
	STORAGE(mount, CONF_TEXT, 0, 0, CONF_DERIVED),
	STORAGE(unmount, CONF_TEXT, 0, 0, CONF_DERIVED),
	STORAGE(address_up, CONF_TEXT, 0, 0, CONF_DERIVED),
	STORAGE(address_down, CONF_TEXT, 0, 0, CONF_DERIVED),
	STORAGE(mount_ms, CONF_NUMBER, 100, 600000, "30000"),
	STORAGE(unmount_ms, CONF_NUMBER, 100, 600000, "30000"),
	STORAGE(backend_ms, CONF_NUMBER, 100, 600000, "10000"),
	STORAGE(service_address, CONF_ADDRESS, 0, 0, CONF_DERIVED),
	CHOICE(CONF_STORAGE, config_storage, failback, failback_words, "auto"),
	STORAGE(failback_delay_s, CONF_NUMBER, 0, 604800, "60"),

	PROXY(user, CONF_NAME, 0, 0, "hanfs"),
	PROXY(replay_max, CONF_SIZE, 8 * M, 64 * G, "64M"),
	PROXY(reserve, CONF_SIZE, 1 * M, 16 * G, "4M"),
	PROXY(linger_ms, CONF_NUMBER, 1000, DAY_MS, "120000"),
	{CONF_PROXY, "paths", CONF_WORD, MEMBER(config_proxy, paths), 0, 0,
	    conf_paths_words, "primary-first", NULL},
	PROXY(insecure, CONF_BOOL, 0, 0, "false"),
	PROXY(calls_max, CONF_NUMBER, 64, 65536, "4096"),
	PROXY(connections_max, CONF_NUMBER, 1, 1024, "64"),
	PROXY(replay_calls, CONF_NUMBER, 1, 4096, "16"),
	PROXY(probe_after_ms, CONF_NUMBER, 10, 60000, "250"),
	PROXY(oneway_ms, CONF_NUMBER, 10, 60000, "250"),
	PROXY(user_timeout_ms, CONF_NUMBER, 100, 600000, "1000"),
	PROXY(connect_ms, CONF_NUMBER, 50, 60000, "500"),
	PROXY(retry_ms, CONF_NUMBER, 10, 60000, "50"),
	PROXY(retry_max_ms, CONF_NUMBER, 10, 600000, "1000"),
	PROXY(hold_ms, CONF_NUMBER, 10, 600000, "1000"),
	PROXY(hold_max_ms, CONF_NUMBER, 10, 3600000, "60000"),
	PROXY(calm_ms, CONF_NUMBER, 10, DAY_MS, "60000"),

	DETECTOR(user, CONF_NAME, 0, 0, "hanfs"),
	DETECTOR(verify_per_second, CONF_NUMBER, 10, 100000, "2000"),

	AGENT(user, CONF_NAME, 0, 0, "root"),
	AGENT(key, CONF_PATH, 0, 0, "/etc/hanfs/SERVER.key"),
	AGENT(heartbeat_interval_ms, CONF_NUMBER, 5, 60000, "50"),
	AGENT(multiplier, CONF_NUMBER, 1, 100, "3"),
	AGENT(retain_s, CONF_NUMBER, 10, 30 * 86400, "3600"),
	AGENT(linger_ms, CONF_NUMBER, 1000, DAY_MS, "120000"),
	AGENT(rt_priority, CONF_NUMBER, 0, 99, "20"),
	AGENT(clients_max, CONF_NUMBER, 1, 65536, "1024"),
	AGENT(calls_per_client, CONF_NUMBER, 64, 1048576, "4096"),
	AGENT(reply_memory, CONF_SIZE, 1 * M, 64 * G, "64M"),
	AGENT(idle_s, CONF_NUMBER, 1, 86400, "900"),
	AGENT(lease_ms, CONF_NUMBER, 500, 600000, "5000"),
	AGENT(renew_ms, CONF_NUMBER, 50, 60000, "500"),
	AGENT(suspicion_ms, CONF_NUMBER, 50, 600000, "300"),
	AGENT(silent_s, CONF_NUMBER, 1, 3600, "10"),
	AGENT(undecidable_wait_s, CONF_NUMBER, 0, 86400, "300"),
	AGENT(answer_s, CONF_NUMBER, 0, 86400, "300"),
	AGENT(watchdog, CONF_PATH, 0, 0, CONF_DERIVED),
	AGENT(watchdog_s, CONF_NUMBER, 1, 600, "10"),
	AGENT(test_no_replay_table, CONF_BOOL, 0, 0, "false"),
	AGENT(test_rules_off, CONF_TEXT, 0, 0, CONF_DERIVED),
};
/* clang-format on */
const unsigned conf_nfields = sizeof(conf_fields) / sizeof(conf_fields[0]);

const struct conf_field *
conf_field_find(enum conf_kind kind, const char *name)
{
	for (unsigned i = 0; i < conf_nfields; i++)
		if (conf_fields[i].kind == kind &&
		    strcmp(conf_fields[i].name, name) == 0)
			return &conf_fields[i];
	return NULL;
}

bool
conf_is_name(const char *text)
{
	size_t len =
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789._-");

	return len > 0 && len <= CONFIG_NAME_MAX && text[len] == '\0';
}

static void
format_number(const struct conf_field *field, uint64_t n, char *buf, size_t len)
{
	static const char units[] = "GMK";

	if (field->type == CONF_SIZE) {
		for (unsigned i = 0; i < 3; i++) {
			uint64_t unit = UINT64_C(1) << (30 - 10 * i);

			if (n >= unit && n % unit == 0) {
				snprintf(buf, len, "%llu%c",
				    (unsigned long long)(n / unit), units[i]);
				return;
			}
		}
	}
	snprintf(buf, len, "%llu", (unsigned long long)n);
}

const char *
conf_field_describe(const struct conf_field *field, char *buf, size_t size)
{
	char min[32], max[32];
	size_t used = 0;

	switch (field->type) {
	case CONF_NAME:
		return "a name of letters, digits, '.', '_' and '-'";
	case CONF_TEXT:
		return "a text";
	case CONF_PATH:
		return "a path that begins with /, of at most 255 bytes";
	case CONF_BOOL:
		return "true or false";
	case CONF_ADDRESS:
		return "an address like 10.0.0.1 or fd00::1";
	case CONF_KEY:
		return "the public key that hanfsctl keygen printed, 44 "
		       "characters";
	case CONF_LIST:
		return "a list";
	case CONF_NUMBER:
	case CONF_SIZE:
		format_number(field, field->min, min, sizeof(min));
		format_number(field, field->max, max, sizeof(max));
		snprintf(buf, size, "a %s from %s to %s",
		    field->type == CONF_SIZE ? "size" : "number", min, max);
		return buf;
	case CONF_WORD:
		buf[0] = '\0';
		for (unsigned i = 0; field->words[i] != NULL; i++) {
			if (used >= size)
				break;
			used += (size_t)snprintf(buf + used, size - used,
			    "%s\"%s\"", i > 0 ? " or " : "", field->words[i]);
		}
		return buf;
	}
	return "";
}

const char *
conf_field_usage(const struct conf_field *field, char *buf, size_t size)
{
	char what[128];

	if (field->example != NULL)
		snprintf(buf, size, "%s", field->example);
	else
		snprintf(buf, size, "%s = ..., %s", field->name,
		    conf_field_describe(field, what, sizeof(what)));
	return buf;
}
