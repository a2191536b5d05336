/*
 * hanfsctl keygen: a server's Ed25519 key.
 */
#include <string.h>

#include "hanfs/keys.h"

#include "ctl.h"

int
ctl_keygen(const struct ctl *ctl, int argc, char **argv)
{
	char text[KEY_PUBLIC_TEXT_SIZE], why[512];
	bool force = argc > 2 && strcmp(argv[1], "-f") == 0;
	struct key_pair pair;
	int rc;

	(void)ctl;
	if (argc != (force ? 3 : 2) || argv[argc - 1][0] == '-') {
		fputs("usage: hanfsctl keygen [-f] FILE\n"
		      "  -f  replace a key that is there\n", stderr);
		return 2;
	}
	if (key_generate(&pair) == -1) {
		fputs("hanfsctl: no key could be made\n", stderr);
		return 1;
	}
	rc = key_write(argv[argc - 1], &pair, force, why, sizeof(why));
	key_public_format(pair.public_key, text);
	key_wipe(&pair);
	if (rc == -1) {
		fprintf(stderr, "hanfsctl: %s\n", why);
		return 1;
	}
	printf("public_key = \"%s\"\n", text);
	return 0;
}
