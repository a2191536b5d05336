/*
 * The pass over everything once the load has stopped: each name looked up,
 * each object's attributes, every byte of every file, every link and
 * directory.  And the model as text, so that the server's own file system
 * can be held against it without NFS (dump, compare).
 *
 * The text: "dir PATH MODE", "link PATH TARGET", "file PATH MODE NLINK SIZE
 * ID VERSION:LENGTH ...", and "old PREFIX" for names that a violation left
 * behind.  MODE is - where it is not known.
 */
#include <assert.h>
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsload.h"

enum { PLACES_MAX = 64, LINE = 1 << 15, PATH = 512 };

static uint64_t bytes_n, names_n;

uint64_t
verify_bytes(void)
{
	return bytes_n;
}

uint64_t
verify_names(void)
{
	return names_n;
}

void
verify_count(const struct op *op, const struct answer *a)
{
	names_n += op->kind == NFS3_LOOKUP;
	bytes_n += op->kind == NFS3_READ ? a->data_len : 0;
}

/* The next check of the object at hand; false when it has had all. */
static bool
check_object(struct slot *s, struct op *op)
{
	struct object *o = s->check_object;
	uint64_t step = s->check_offset++;

	op->object = o;
	if (step == 0) {
		op->kind = NFS3_GETATTR;
	} else if (o->type == NF3REG) {
		op->kind = NFS3_READ;
		op->offset = (step - 1) * IO_MAX;
		op->count = IO_MAX;
		return op->offset < o->size || step == 1;
	} else {
		op->kind = o->type == NF3DIR ? NFS3_READDIR : NFS3_READLINK;
		return step == 1;
	}
	return true;
}

bool
verify_next(struct load *l, struct slot *s)
{
	struct place *all[PLACES_MAX];
	int n = model_places(s, all, PLACES_MAX);
	struct op *op = &s->op;

	(void)l;
	memset(op, 0, sizeof *op);
	if (s->check_place < n) {
		op->kind = NFS3_LOOKUP;
		op->place = all[s->check_place++];
		if (op->place->object == NULL)
			op->want = op->want_too = NFS3ERR_NOENT;
		return true;
	}
	if (s->check_place == n) {
		s->check_place++;
		s->check_object = s->objects;
		s->check_offset = 0;
	}
	while (s->check_object != NULL) {
		if (check_object(s, op))
			return true;
		memset(op, 0, sizeof *op);
		s->check_object = s->check_object->next;
		s->check_offset = 0;
	}
	return false;
}

/* -- the shared directories: nothing more and nothing less -- */

struct names {
	char (*at)[NAME_LEN];
	size_t n;
};

static void
names_take(struct names *names, const entry3 *e)
{
	for (; e != NULL; e = e->nextentry) {
		if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
			continue;
		names->at =
		    realloc(names->at, (names->n + 1) * sizeof *names->at);
		if (names->at == NULL)
			err(1, "realloc");
		(void)snprintf(names->at[names->n++], NAME_LEN, "%s", e->name);
	}
}

static bool
read_names(int fd, struct object *dir, struct names *names)
{
	static uint8_t call[CALL_MAX], reply[REPLY_MAX];
	struct op op = {.kind = NFS3_READDIR, .object = dir};
	bool eof = false;

	while (!eof) {
		struct answer a;
		ssize_t n;

		op.xid++;
		n = sync_call(fd, call, call_encode(&op, call, sizeof call),
		    reply, sizeof reply);
		if (n < 0 ||
		    !answer_decode(&a, NFS3_READDIR, reply, (size_t)n) ||
		    a.rpc_error != 0 || a.status != NFS3_OK)
			return false;
		names_take(names, a.entries.first);
		for (const entry3 *e = a.entries.first; e; e = e->nextentry)
			op.offset = e->cookie;
		memcpy(op.verifier, a.verf, sizeof a.verf);
		eof = a.entries.eof || a.entries.first == NULL;
		answer_free(&a);
	}
	return true;
}

/* A name in a shared directory: is it one that the model has there? */
static bool
name_right(struct load *l, const struct object *dir, const char *name)
{
	int id, generation;

	if (sscanf(name, "s%dg%d-", &id, &generation) != 2 || id < 0 ||
	    id >= l->slots_n)
		return false;
	if (generation < l->slots[id].generation)
		return true; /* left behind by a violation */
	for (int i = 0; i < SHARED_DIRS * NAMES_PER_DIR; i++) {
		const struct place *p = &l->slots[id].places[i];

		if (p->dir == dir && strcmp(p->name, name) == 0)
			return p->object != NULL;
	}
	return false;
}

static size_t
names_wanted(const struct load *l, const struct object *dir)
{
	size_t n = 0;

	for (int s = 0; s < l->slots_n; s++)
		for (int i = 0; i < SHARED_DIRS * NAMES_PER_DIR; i++)
			n += l->slots[s].places[i].dir == dir &&
			     l->slots[s].places[i].object != NULL;
	return n;
}

void
verify_shared(struct load *l, int fd)
{
	for (int d = 0; d < SHARED_DIRS; d++) {
		struct names names = {NULL, 0};
		size_t right = 0, old = 0;

		if (!read_names(fd, &l->shared[d], &names)) {
			violation(NULL, "READDIR of d%d failed", d);
			continue;
		}
		for (size_t i = 0; i < names.n; i++) {
			int id, generation;

			if (!name_right(l, &l->shared[d], names.at[i])) {
				violation(NULL, "d%d: %s should not be there",
				    d, names.at[i]);
				continue;
			}
			(void)sscanf(names.at[i], "s%dg%d-", &id, &generation);
			if (generation < l->slots[id].generation)
				old++;
			else
				right++;
		}
		if (right != names_wanted(l, &l->shared[d]))
			violation(NULL, "d%d: %zu names, not %zu", d, right,
			    names_wanted(l, &l->shared[d]));
		free(names.at);
	}
}

/* -- dump -- */

static void
dump_object(FILE *f, const char *path, const struct object *o)
{
	char mode[16] = "-";

	if (o->mode_known)
		(void)snprintf(mode, sizeof mode, "%o", o->mode);
	if (o->type == NF3DIR) {
		fprintf(f, "dir %s %s\n", path, mode);
	} else if (o->type == NF3LNK) {
		fprintf(f, "link %s %s\n", path, o->target);
	} else {
		fprintf(f, "file %s %s %u %llu %llu", path, mode, o->nlink,
		    (unsigned long long)o->size, (unsigned long long)o->id);
		for (uint64_t i = 0; i * BLOCK < o->size; i++)
			fprintf(f, " %u:%u", o->blocks[i].version,
			    o->blocks[i].len);
		fprintf(f, "\n");
	}
}

static void
dump_place(const struct load *l, FILE *f, const struct place *p, const char *up)
{
	char path[PATH];

	if (p->object == NULL)
		return;
	if (up == NULL)
		(void)snprintf(path, sizeof path, "d%d/%s",
		    (int)(p->dir - l->shared), p->name);
	else
		(void)snprintf(path, sizeof path, "%s/%s", up, p->name);
	dump_object(f, path, p->object);
	for (int i = 0; p->object->type == NF3DIR && i < INNER_NAMES; i++)
		dump_place(l, f, &p->object->inner[i], path);
}

void
verify_dump(const struct load *l, FILE *f)
{
	for (int s = 0; s < l->slots_n; s++) {
		const struct slot *slot = &l->slots[s];

		for (int g = 0; g < slot->generation; g++)
			fprintf(f, "old s%dg%d-\n", s, g);
		for (int i = 0; i < SHARED_DIRS * NAMES_PER_DIR; i++)
			dump_place(l, f, &slot->places[i], NULL);
	}
}

/* -- compare -- */

static struct {
	char **path, **old;
	size_t paths_n, old_n;
	const char *top;
	int wrong;
} cmp;

static void
wrong(const char *path, const char *what)
{
	printf("%s: %s\n", path, what);
	cmp.wrong++;
}

static void
keep(char ***list, size_t *n, const char *text)
{
	*list = realloc(*list, (*n + 1) * sizeof **list);
	if (*list == NULL || ((*list)[*n] = strdup(text)) == NULL)
		err(1, "realloc");
	++*n;
}

static void
compare_data(const char *path, char *versions, uint64_t size, uint64_t id)
{
	static uint8_t buf[FILE_BLOCKS * BLOCK];
	struct block blocks[FILE_BLOCKS] = {0};
	int fd = open(path, O_RDONLY), n = 0;
	char *word = strtok(versions, " \n");
	ssize_t got;

	for (; word != NULL && n < FILE_BLOCKS; n++) {
		(void)sscanf(word, "%u:%u", &blocks[n].version, &blocks[n].len);
		word = strtok(NULL, " \n");
	}
	got = fd < 0 ? -1 : read(fd, buf, sizeof buf);
	if (fd >= 0)
		close(fd);
	if (got < 0 || (uint64_t)got != size)
		wrong(path, "cannot be read, or another size");
	else if (content_check(buf, (size_t)got, id, blocks, 0) >= 0)
		wrong(path, "wrong data");
}

static void
compare_line(const char *top, char *line)
{
	char kind[8], name[PATH], third[PATH], path[2 * PATH], to[PATH];
	unsigned long long size = 0, id = 0;
	unsigned nlink = 0;
	int at = 0;
	struct stat st;

	third[0] = '\0';
	if (sscanf(line, "%7s %511s %511s %u %llu %llu%n", kind, name, third,
		&nlink, &size, &id, &at) < 2)
		errx(1, "not a dump: %s", line);
	if (strcmp(kind, "old") == 0) {
		keep(&cmp.old, &cmp.old_n, name);
		return;
	}
	keep(&cmp.path, &cmp.paths_n, name);
	(void)snprintf(path, sizeof path, "%s/%s", top, name);
	if (lstat(path, &st) != 0) {
		wrong(path, "is missing");
	} else if (strcmp(kind, "link") == 0) {
		ssize_t n = readlink(path, to, sizeof to - 1);

		to[n < 0 ? 0 : n] = '\0';
		if (strcmp(to, third) != 0)
			wrong(path, "another target");
	} else {
		if (third[0] != '-' &&
		    (st.st_mode & 07777) != strtoul(third, NULL, 8))
			wrong(path, "another mode");
		if (S_ISDIR(st.st_mode) != (strcmp(kind, "dir") == 0))
			wrong(path, "another type");
		else if (S_ISREG(st.st_mode) && st.st_nlink != nlink)
			wrong(path, "another link count");
		if (S_ISREG(st.st_mode) && at > 0)
			compare_data(path, line + at, size, id);
	}
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
compare_found(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + strlen(cmp.top);
	const char *last = path + ftw->base;

	(void)st;
	(void)type;
	name += *name == '/';
	if (ftw->level < 2) /* the directory itself, the shared ones */
		return 0;
	for (size_t i = 0; i < cmp.old_n; i++)
		if (strncmp(last, cmp.old[i], strlen(cmp.old[i])) == 0 ||
		    strstr(name, cmp.old[i]) != NULL)
			return 0;
	if (cmp.paths_n == 0 || bsearch(&name, cmp.path, cmp.paths_n,
				    sizeof *cmp.path, by_text) == NULL)
		wrong(path, "should not be there");
	return 0;
}

int
verify_compare(const char *dump, const char *directory)
{
	static char line[LINE];
	FILE *f = fopen(dump, "r");

	if (f == NULL)
		err(1, "%s", dump);
	while (fgets(line, sizeof line, f) != NULL)
		compare_line(directory, line);
	fclose(f);
	if (cmp.paths_n > 0)
		qsort(cmp.path, cmp.paths_n, sizeof *cmp.path, by_text);
	cmp.top = directory;
	if (nftw(directory, compare_found, 16, FTW_PHYS) != 0)
		err(1, "%s", directory);
	printf("%zu names compared, %d wrong\n", cmp.paths_n, cmp.wrong);
	return cmp.wrong ? 1 : 0;
}
