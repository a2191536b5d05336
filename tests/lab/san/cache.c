/*
 * The store, and the volatile cache of one host before it.
 *
 * The cache stands for a write-back cache in the host itself (its
 * controller's): what it holds the host reads back, the others do not see
 * it, a flush destages all of it, and a cut of the host loses it.  (The
 * cache of an array, which all hosts see, outlives a host and is the store.)
 * Off, which is the default, every write goes to the store at once.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "san.h"

enum { BUCKETS = 1 << 14, PAGES_MAX = 1 << 15 /* then all is destaged */ };

struct page {
	struct page *next;
	uint64_t offset;
	enum area area;
	uint8_t valid; /* a bit for each sector */
	char data[PAGE];
};

int
store_read(
    struct volume *v, enum area area, char *buf, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pread(v->fd[area], buf, len, (off_t)offset);

		if (n < 0)
			return errno;
		if (n == 0)
			return EIO; /* the store has its full size */
		buf += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int
store_write(struct volume *v, enum area area, const char *buf, size_t len,
    uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pwrite(v->fd[area], buf, len, (off_t)offset);

		if (n < 0)
			return errno;
		buf += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

void
cache_init(struct cache *c)
{
	c->bucket = NULL;
	c->pages = 0;
	pthread_mutex_init(&c->lock, NULL);
}

bool
cache_is_on(const struct cache *c)
{
	return c->bucket != NULL;
}

void
cache_on(struct cache *c)
{
	if (c->bucket != NULL)
		return;
	c->bucket = calloc(BUCKETS, sizeof *c->bucket);
	if (c->bucket == NULL)
		err(1, "calloc");
}

static struct page **
place(struct cache *c, enum area area, uint64_t offset)
{
	uint64_t hash =
	    (offset / PAGE * 2 + area) * UINT64_C(0x9e3779b97f4a7c15);
	struct page **at = &c->bucket[hash >> 50];

	while (*at != NULL && ((*at)->offset != offset || (*at)->area != area))
		at = &(*at)->next;
	return at;
}

static int
destage_page(struct volume *v, const struct page *page)
{
	int bad = 0;

	for (unsigned i = 0; i < PAGE / SECTOR && bad == 0; i++)
		if (page->valid & 1 << i)
			bad =
			    store_write(v, page->area, page->data + i * SECTOR,
				SECTOR, page->offset + i * SECTOR);
	return bad;
}

/* Every page is either told as lost or written, and forgotten. */
static int
empty(struct cache *c, struct volume *v, unsigned percent, cache_lost *lost,
    void *arg)
{
	int bad = 0;

	for (size_t i = 0; i < BUCKETS && c->pages > 0; i++) {
		while (c->bucket[i] != NULL) {
			struct page *page = c->bucket[i];

			c->bucket[i] = page->next;
			c->pages--;
			if ((unsigned)(random() % 100) < percent)
				lost(arg, page->area, page->offset);
			else
				bad |= destage_page(v, page);
			free(page);
		}
	}
	return bad;
}

static void
page_write(struct page *page, const char *buf, size_t len, size_t in)
{
	memcpy(page->data + in, buf, len);
	for (size_t i = in / SECTOR; i * SECTOR < in + len; i++)
		page->valid |= (uint8_t)(1 << i);
}

int
cache_write(struct cache *c, struct volume *v, enum area area, const char *buf,
    size_t len, uint64_t offset)
{
	int bad = 0;

	pthread_mutex_lock(&c->lock);
	if (c->pages > PAGES_MAX)
		bad = empty(c, v, 0, NULL, NULL);
	while (len > 0) {
		size_t in = offset % PAGE;
		size_t n = len < PAGE - in ? len : PAGE - in;
		struct page **at = place(c, area, offset - in);

		if (*at == NULL) {
			*at = calloc(1, sizeof **at);
			if (*at == NULL)
				err(1, "calloc");
			(*at)->offset = offset - in;
			(*at)->area = area;
			c->pages++;
		}
		page_write(*at, buf, n, in);
		buf += n;
		len -= n;
		offset += n;
	}
	pthread_mutex_unlock(&c->lock);
	return bad;
}

static void
overlay(const struct page *page, char *buf, size_t len, uint64_t offset)
{
	for (unsigned i = 0; i < PAGE / SECTOR; i++) {
		uint64_t at = page->offset + i * SECTOR;

		if (page->valid & 1 << i && at >= offset &&
		    at + SECTOR <= offset + len)
			memcpy(buf + (at - offset), page->data + i * SECTOR,
			    SECTOR);
	}
}

int
cache_read(struct cache *c, struct volume *v, enum area area, char *buf,
    size_t len, uint64_t offset)
{
	int bad;

	pthread_mutex_lock(&c->lock);
	bad = store_read(v, area, buf, len, offset);
	for (uint64_t at = offset - offset % PAGE; at < offset + len;
	     at += PAGE) {
		struct page **page = place(c, area, at);

		if (*page != NULL)
			overlay(*page, buf, len, offset);
	}
	pthread_mutex_unlock(&c->lock);
	return bad;
}

int
cache_flush(struct cache *c, struct volume *v)
{
	int bad;

	pthread_mutex_lock(&c->lock);
	bad = empty(c, v, 0, NULL, NULL);
	pthread_mutex_unlock(&c->lock);
	return bad;
}

void
cache_drop(struct cache *c, struct volume *v, unsigned percent,
    cache_lost *lost, void *arg)
{
	pthread_mutex_lock(&c->lock);
	(void)empty(c, v, percent, lost, arg);
	pthread_mutex_unlock(&c->lock);
}

int
cache_off(struct cache *c, struct volume *v)
{
	int bad;

	if (c->bucket == NULL)
		return 0;
	bad = cache_flush(c, v);
	free(c->bucket);
	c->bucket = NULL;
	return bad;
}
