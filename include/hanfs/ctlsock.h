/*
 * The daemons' end of hanfsctl: a UNIX stream socket in the run directory.
 *
 *   client:  one line, "show NAME\n" or "do NAME [WORD...]\n", <= 1,000 bytes
 *   daemon:  one JSON document, then end of file
 *
 * An error is a document {"error": "..."}. What only reads (show) may be
 * asked by whom the socket's mode lets in; what changes something (do) only
 * by root or the daemon's own user, as SO_PEERCRED says. A peer has five
 * seconds and at most CTLSOCK_PEERS are served at once.
 */
#ifndef HANFS_CTLSOCK_H
#define HANFS_CTLSOCK_H

#include <jansson.h>

struct ctlsock;
struct event_base;

#define CTLSOCK_PEERS 16u
#define CTLSOCK_NAMES 32u

/* Returns a new document; NULL: no memory. */
typedef json_t *ctlsock_show_fn(void *arg);
/* words: what followed the name, separated by single blanks. */
typedef json_t *ctlsock_do_fn(void *arg, const char *words);

/*
 * Listens on run_dir/name, mode 0660. NULL with a message in the log: the
 * directory cannot be written, or another one of us answers there.
 */
struct ctlsock *ctlsock_new(struct event_base *base, const char *run_dir,
    const char *name);
void ctlsock_free(struct ctlsock *ctl); /* NULL is nothing */

/* Registers what can be asked. name is borrowed for ever. */
void ctlsock_show(struct ctlsock *ctl, const char *name, ctlsock_show_fn *fn,
    void *arg);
void ctlsock_do(struct ctlsock *ctl, const char *name, ctlsock_do_fn *fn,
    void *arg);

/*
 * The other end: asks the daemon at run_dir/name and waits up to timeout_ms
 * for its document. NULL with *why set (static storage) when it does not
 * run or does not answer.
 */
json_t *ctlsock_ask(const char *run_dir, const char *name, const char *line,
    int timeout_ms, const char **why);

#endif
