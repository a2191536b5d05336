/* What servers of a volume must have in common, and what --check says of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server-agent/fit.h"
#include "server-agent/preflight.h"
#include "unit.h"

static struct config a, b;
static struct preflight p;

static void
configure(struct config *cfg)
{
	struct config_volume *v = &cfg->volumes[0];

	memset(cfg, 0, sizeof(*cfg));
	strcpy(cfg->agent.user, "root");
	cfg->agent.lease_ms = 5000;
	cfg->agent.renew_ms = 500;
	cfg->nservers = 2;
	for (unsigned i = 0; i < 2; i++) {
		cfg->servers[i].id = 11 + i;
		snprintf(cfg->servers[i].name, sizeof(cfg->servers[i].name),
		    "s%u", i + 1);
		v->candidates[i] = i;
	}
	cfg->nvolumes = 1;
	v->ncandidates = 2;
	v->id = 7;
	strcpy(v->name, "home");
	strcpy(v->export, "/home");
	strcpy(v->storage.device, "/dev/mapper/home");
}

static int
set_up(void **state)
{
	(void)state;
	configure(&a);
	configure(&b);
	memset(&p, 0, sizeof(p));
	p.cfg = &a;
	p.v = &a.volumes[0];
	p.check = "fit";
	return 0;
}

static void
compare(void)
{
	struct fit own, his;

	p.n = 0;
	fit_describe(&a, 0, &own);
	fit_describe(&b, 0, &his);
	preflight_judge_fit(&p, "s2", &own, &his);
}

/* One difference, with the words that name it, both sides, and a cure. */
static void
differs(enum preflight_verdict verdict, const char *name, const char *own,
    const char *his)
{
	compare();
	assert_int_equal(p.n, 1);
	assert_int_equal(p.found[0].verdict, verdict);
	assert_ptr_equal(strstr(p.found[0].text, name), p.found[0].text);
	assert_non_null(strstr(p.found[0].text, own));
	assert_non_null(strstr(p.found[0].text, his));
	assert_true(p.found[0].cure[0] != '\0');
	configure(&b);
}

static void
test_equal(void **state)
{
	(void)state;
	/* what may well differ from host to host */
	strcpy(b.volumes[0].storage.device, "/dev/disk/by-id/x");
	strcpy(b.volumes[0].storage.mountpoint, "/mnt/home");
	strcpy(b.volumes[0].storage.fence_command, "off s1");
	compare();
	assert_int_equal(p.n, 1);
	assert_int_equal(p.found[0].verdict, PREFLIGHT_OK);
}

static void
test_differences(void **state)
{
	(void)state;
	b.volumes[0].id = 8; /* the fsid */
	differs(PREFLIGHT_WRONG, "id is", "7 here", "8 on s2");
	strcpy(b.volumes[0].export, "/srv/home");
	differs(PREFLIGHT_WRONG, "export is", "/home", "/srv/home on s2");
	b.volumes[0].candidates[0] = 1;
	b.volumes[0].candidates[1] = 0;
	compare(); /* the servers' digest follows their order */
	assert_int_equal(p.n, 2);
	configure(&b);
	b.servers[1].public_key[3] = 1;
	differs(PREFLIGHT_WRONG, "servers is", "digest", "digest");
	b.volumes[0].backend.kind = CONFIG_BACKEND_KNFSD;
	differs(PREFLIGHT_WRONG, "backend is", "ganesha", "knfsd");
	b.volumes[0].storage.fence = CONFIG_FENCE_SCSI;
	differs(PREFLIGHT_WRONG, "fence is", "none", "scsi");
	b.agent.lease_ms = 1500;
	differs(PREFLIGHT_WARNING, "lease_ms is", "5000", "1500");
}

/* A command may hold a password: it is compared, not told. */
static void
test_commands(void **state)
{
	char host[256] = "";

	(void)state;
	strcpy(b.volumes[0].storage.assemble, "attach -p secret");
	differs(PREFLIGHT_WARNING, "assemble is", "built in", "digest");
	assert_null(strstr(p.found[0].text, "secret"));
	/* a start command of its own also has the host's name as its scope */
	gethostname(host, sizeof(host) - 1);
	strcpy(b.volumes[0].backend.start, "start-nfs");
	compare();
	assert_int_equal(p.n, 2);
	assert_non_null(strstr(p.found[1].text, "nfs-scope is home here"));
	assert_non_null(strstr(p.found[1].text, host));
	assert_int_equal(p.found[1].verdict, PREFLIGHT_WARNING);
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
test_backend_file(void **state)
{
	char x[] = "fit.XXXXXX", y[] = "fit.XXXXXX";

	(void)state;
	close(mkstemp(x));
	close(mkstemp(y));
	write_file(x, "EXPORT { Filesystem_Id = 7.7; }");
	write_file(y, "EXPORT { Filesystem_Id = 7.7; }");
	strcpy(a.volumes[0].backend.config, x);
	strcpy(b.volumes[0].backend.config, y);
	compare(); /* another path, the same file */
	assert_int_equal(p.found[0].verdict, PREFLIGHT_OK);
	write_file(y, "EXPORT { Filesystem_Id = 8.8; }");
	compare();
	assert_int_equal(p.found[0].verdict, PREFLIGHT_WRONG);
	assert_non_null(strstr(p.found[0].text, "backend config"));
	unlink(y);
	compare();
	assert_non_null(strstr(p.found[0].text, "No such file"));
	unlink(x);
}

/* Another version may say more, or less. */
static void
test_versions(void **state)
{
	struct fit own, his;

	(void)state;
	fit_describe(&a, 0, &own);
	his = own;
	strcpy(his.item[0].name, "news"); /* in the place of the id */
	preflight_judge_fit(&p, "s2", &own, &his);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.found[0].verdict, PREFLIGHT_OK);
}

/* What another server says of itself: too much, too long, not for a line. */
static void
test_from_outside(void **state)
{
	char longest[FIT_VALUE_MAX + 20];
	struct fit f = {.n = 0};

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	fit_put(&f, "export", "/home\ncure: rm\x1b[2J\x7f");
	assert_string_equal(f.item[0].value, "/home?cure: rm?[2J?");
	for (unsigned i = 0; i < 2 * FIT_ITEMS_MAX; i++)
		fit_put(&f, longest, longest);
	assert_int_equal(f.n, FIT_ITEMS_MAX);
	assert_int_equal(strlen(f.item[1].name), FIT_NAME_MAX);
	assert_int_equal(strlen(f.item[1].value), FIT_VALUE_MAX);
}

static void
test_user(void **state)
{
	(void)state;
	assert_null(preflight_refuses(&a, 0));
	preflight_user(&p);
	assert_int_equal(p.found[0].verdict, PREFLIGHT_OK);
	strcpy(a.agent.user, "hanfs");
	assert_non_null(strstr(preflight_refuses(&a, 0), "not root"));
	p.n = 0;
	preflight_user(&p);
	assert_int_equal(p.found[0].verdict, PREFLIGHT_WRONG);
	assert_non_null(strstr(p.found[0].cure, "user = \"root\""));
	/* without a device of this server's there is nothing to open */
	assert_null(preflight_refuses(&a, 2));
	a.volumes[0].storage.device[0] = '\0';
	assert_null(preflight_refuses(&a, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_equal, set_up),
	    cmocka_unit_test_setup(test_differences, set_up),
	    cmocka_unit_test_setup(test_commands, set_up),
	    cmocka_unit_test_setup(test_backend_file, set_up),
	    cmocka_unit_test_setup(test_versions, set_up),
	    cmocka_unit_test_setup(test_from_outside, set_up),
	    cmocka_unit_test_setup(test_user, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
