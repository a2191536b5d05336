/*
 * san: options, the files of the store, the end.  See san.h.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "san.h"

static const char usage[] =
    "usage: san -d DIRECTORY -h HOST... -v VOLUME=DISK,CONTROL...\n"
    "  -d DIRECTORY         DIRECTORY/HOST/VOLUME.img and .ctl appear here,\n"
    "                       DIRECTORY/HOST/watchdog, DIRECTORY/socket and\n"
    "                       DIRECTORY/log\n"
    "  -h HOST              a host that has a way to every volume\n"
    "  -v VOLUME=DISK,CONTROL   the files with the content, both there and\n"
    "                       of their full size\n"
    "Says \"ready\" on standard error once all of it is there; ends on\n"
    "SIGTERM.\n";

static void
add_host(struct san *san, const char *name)
{
	if (san->hosts_n == HOSTS_MAX || strlen(name) >= NAME_LEN)
		errx(2, "too many hosts, or too long a name: %s", name);
	snprintf(san->hosts[san->hosts_n++], NAME_LEN, "%s", name);
}

static void
open_area(struct volume *v, enum area area, const char *path)
{
	struct stat st;

	v->fd[area] = open(path, O_RDWR | O_CLOEXEC);
	if (v->fd[area] < 0 || fstat(v->fd[area], &st) != 0)
		err(1, "%s", path);
	v->size[area] = (uint64_t)st.st_size;
	if (v->size[area] == 0 || v->size[area] % PAGE != 0)
		errx(1, "%s: its size is no multiple of %d", path, PAGE);
}

static void
add_volume(struct san *san, char *words)
{
	struct volume *v = &san->volumes[san->volumes_n];
	char *disk = strchr(words, '=');
	char *control = disk == NULL ? NULL : strchr(disk, ',');

	if (control == NULL || san->volumes_n == VOLUMES_MAX)
		errx(2, "%s", usage);
	*disk++ = *control++ = '\0';
	if (strlen(words) >= NAME_LEN)
		errx(2, "too long a name: %s", words);
	snprintf(v->name, NAME_LEN, "%s", words);
	open_area(v, AREA_DISK, disk);
	open_area(v, AREA_CONTROL, control);
	resv_init(&v->resv);
	san->volumes_n++;
}

static const char *
parse(struct san *san, int argc, char **argv)
{
	const char *directory = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "d:h:v:")) != -1) {
		if (opt == 'd')
			directory = optarg;
		else if (opt == 'h')
			add_host(san, optarg);
		else if (opt == 'v')
			add_volume(san, optarg);
		else
			errx(2, "%s", usage);
	}
	if (directory == NULL || san->hosts_n == 0 || san->volumes_n == 0 ||
	    optind != argc)
		errx(2, "%s", usage);
	return directory;
}

static void
start_sessions(struct san *san, const char *directory)
{
	for (unsigned i = 0; i < san->hosts_n; i++) {
		struct session *s = &san->sessions[i];

		s->san = san;
		s->host = i;
		for (unsigned j = 0; j < san->volumes_n; j++) {
			struct port *p = &san->ports[i][j];

			p->san = san;
			p->host = i;
			p->volume = &san->volumes[j];
			port_init(p);
		}
		snprintf(s->mountpoint, sizeof s->mountpoint, "%s/%s",
		    directory, san->hosts[i]);
		if (mkdir(s->mountpoint, 0700) != 0 && errno != EEXIST)
			err(1, "%s", s->mountpoint);
		if (fs_start(s) != 0)
			errx(1, "%s: cannot mount (is /dev/fuse there?)",
			    s->mountpoint);
	}
}

struct control {
	struct san *san;
	int listener;
};

static void *
control_thread(void *arg)
{
	struct control *c = arg;

	ctl_serve(c->san, c->listener);
	return NULL;
}

static int
in_directory(const char *directory, const char *name, char *buf, size_t size)
{
	return snprintf(buf, size, "%s/%s", directory, name) < (int)size;
}

int
main(int argc, char **argv)
{
	static struct san san;
	static struct control control;
	const char *directory = parse(&san, argc, argv);
	char path[256];
	sigset_t set;
	pthread_t thread;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (!in_directory(directory, "log", path, sizeof path) ||
	    log_open(path) != 0)
		err(1, "%s/log", directory);
	if (dog_start(&san) != 0)
		errx(1, "no thread");
	start_sessions(&san, directory);
	in_directory(directory, "socket", path, sizeof path);
	control = (struct control){&san, ctl_listen(path)};
	if (control.listener < 0)
		err(1, "%s", path);
	if (pthread_create(&thread, NULL, control_thread, &control) != 0)
		errx(1, "no thread");
	fprintf(stderr, "ready\n");
	sigwait(&set, &number);
	for (unsigned i = 0; i < san.hosts_n; i++)
		fs_stop(&san.sessions[i]);
	log_flush();
	_exit(0); /* requests may wait in threads, for ever */
}
