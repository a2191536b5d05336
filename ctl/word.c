/*
 * Words of the command line, which may be shortened.
 */
#include <string.h>

#include "ctl.h"

int
ctl_word(const char *what, const char *word, const char *const *names)
{
	int found = -1, n = 0;

	for (int i = 0; names[i] != NULL; i++) {
		if (strcmp(names[i], word) == 0)
			return i;
		if (strncmp(names[i], word, strlen(word)) == 0) {
			found = i;
			n++;
		}
	}
	if (n == 1)
		return found;
	fprintf(stderr, "hanfsctl: %s %s: '%s'; there are:",
	    n == 0 ? "unknown" : "ambiguous", what, word);
	for (int i = 0; names[i] != NULL; i++)
		fprintf(stderr, " %s", names[i]);
	fputc('\n', stderr);
	return -1;
}
