/*
 * A host's watchdog, as the Linux watchdog API shows one (watchdog-api.rst):
 * HOST/watchdog is opened, given a timeout by ioctl and fed by writing; the
 * magic character stops it at the close. When it was not fed in time the
 * host is reset: as far as the disks go that is a cut of all its ports, done
 * here and at once; its processes are the lab's to end ("dogs" tells it).
 */
#include <errno.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "san.h"

enum { FIRST_TIMEOUT_S = 60, LOOK_MS = 2, REST_MS = 100 };

static void
reset_host(struct san *san, unsigned host)
{
	char line[NAME_LEN + 16];

	for (unsigned i = 0; i < san->volumes_n; i++)
		port_cut(&san->ports[host][i]);
	snprintf(line, sizeof line, "cut %s", san->hosts[host]);
	log_note(line);
	snprintf(line, sizeof line, "watchdog %s", san->hosts[host]);
	log_note(line);
}

static bool
is_due(struct dog *d, bool *any)
{
	bool due;

	pthread_mutex_lock(&d->lock);
	*any |= d->armed;
	due = d->armed && now_us() >= d->due_us;
	if (due) {
		d->armed = false;
		d->fired = true;
	}
	pthread_mutex_unlock(&d->lock);
	return due;
}

static void *
watch(void *arg)
{
	struct san *san = arg;

	for (;;) {
		struct timespec pause = {0, REST_MS * 1000000L};
		bool any = false;

		for (unsigned i = 0; i < san->hosts_n; i++)
			if (is_due(&san->dogs[i], &any))
				reset_host(san, i);
		if (any)
			pause.tv_nsec = LOOK_MS * 1000000L;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int
dog_start(struct san *san)
{
	pthread_t thread;

	for (unsigned i = 0; i < san->hosts_n; i++) {
		pthread_mutex_init(&san->dogs[i].lock, NULL);
		san->dogs[i].timeout_s = FIRST_TIMEOUT_S;
	}
	return pthread_create(&thread, NULL, watch, san);
}

static void
feed(struct dog *d)
{
	d->due_us = now_us() + d->timeout_s * INT64_C(1000000);
	d->fed++;
}

int
dog_open(struct dog *d, uint64_t *life)
{
	int bad = 0;

	pthread_mutex_lock(&d->lock);
	if (d->opened) {
		bad = EBUSY;
	} else {
		d->opened = d->armed = true;
		d->may_stop = false;
		*life = d->life;
		feed(d);
	}
	pthread_mutex_unlock(&d->lock);
	return bad;
}

int
dog_write(struct dog *d, const char *buf, size_t len)
{
	int bad = 0;

	pthread_mutex_lock(&d->lock);
	if (d->fired) {
		bad = EIO;
	} else {
		d->may_stop = memchr(buf, 'V', len) != NULL;
		feed(d);
	}
	pthread_mutex_unlock(&d->lock);
	return bad;
}

void
dog_close(struct dog *d, uint64_t life)
{
	pthread_mutex_lock(&d->lock);
	if (d->life == life) {
		d->opened = false;
		if (d->may_stop)
			d->armed = false;
	}
	pthread_mutex_unlock(&d->lock);
}

/* What the ioctl has as its argument, in and out. */
int
dog_control(
    struct dog *d, unsigned command, const void *in, void *out, size_t *len)
{
	struct watchdog_info info = {.options = WDIOF_SETTIMEOUT |
						WDIOF_MAGICCLOSE |
						WDIOF_KEEPALIVEPING,
	    .identity = "san"};
	int bad = 0, seconds;

	pthread_mutex_lock(&d->lock);
	*len = sizeof seconds;
	switch (command) {
	case WDIOC_GETSUPPORT:
		memcpy(out, &info, *len = sizeof info);
		break;
	case WDIOC_SETTIMEOUT:
		memcpy(&seconds, in, sizeof seconds);
		if (seconds <= 0)
			bad = EINVAL;
		else
			d->timeout_s = seconds;
		feed(d); /* as the kernel's core does */
		memcpy(out, &d->timeout_s, *len);
		break;
	case WDIOC_GETTIMEOUT:
		memcpy(out, &d->timeout_s, *len);
		break;
	default:
		bad = ENOTTY;
	}
	pthread_mutex_unlock(&d->lock);
	return bad;
}

void
dog_power_off(struct dog *d)
{
	pthread_mutex_lock(&d->lock);
	d->armed = d->opened = d->fired = d->may_stop = false;
	d->timeout_s = FIRST_TIMEOUT_S;
	d->fed = 0;
	d->life++;
	pthread_mutex_unlock(&d->lock);
}

void
dog_show(struct dog *d, const char *host, FILE *out)
{
	pthread_mutex_lock(&d->lock);
	fprintf(out, "%s %s timeout=%d fed=%lu\n", host,
	    d->fired   ? "fired"
	    : d->armed ? "armed"
		       : "off",
	    d->timeout_s, d->fed);
	pthread_mutex_unlock(&d->lock);
}
