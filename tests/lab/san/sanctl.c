/*
 * sanctl: one command for the san (ctl.c has the list), and its answer.
 *
 * Usage: sanctl SOCKET WORD...	(or -: a command a line on standard input)
 * Exit status 0 when it was done, 1 when not. In C because a fence command
 * runs it in the middle of a takeover.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static FILE *
reach(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *f;

	if (strlen(path) >= sizeof to.sun_path)
		errx(1, "%s: too long", path);
	strcpy(to.sun_path, path);
	if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof to) != 0 ||
	    (f = fdopen(s, "r+")) == NULL)
		err(1, "%s", path);
	return f;
}

/* Sends a command and shows the answer; false if it was refused. */
static bool
ask(FILE *f, const char *command)
{
	char line[1024];

	if (fprintf(f, "%s\n", command) < 0 || fflush(f) != 0)
		err(1, "san");
	while (fgets(line, sizeof line, f) != NULL) {
		if (strcmp(line, "ok\n") == 0)
			return true;
		if (strncmp(line, "error ", 6) == 0) {
			fprintf(stderr, "sanctl: %s: %s", command, line + 6);
			return false;
		}
		fputs(line, stdout);
	}
	errx(1, "%s: no answer", command);
}

int
main(int argc, char **argv)
{
	char line[512] = "";
	bool good = true;
	FILE *f;

	if (argc < 3)
		errx(2, "usage: sanctl SOCKET WORD...");
	f = reach(argv[1]);
	if (strcmp(argv[2], "-") == 0) {
		while (fgets(line, sizeof line, stdin) != NULL) {
			line[strcspn(line, "\n")] = '\0';
			good = ask(f, line) && good;
		}
		return good ? 0 : 1;
	}
	for (int i = 2; i < argc; i++) {
		size_t used = strlen(line);

		if (used + strlen(argv[i]) + 2 > sizeof line)
			errx(2, "too long a command");
		snprintf(line + used, sizeof line - used, "%s%s",
		    i > 2 ? " " : "", argv[i]);
	}
	return ask(f, line) ? 0 : 1;
}
