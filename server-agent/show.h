/* What the files of the agent's control socket share. */
#ifndef HANFS_AGENT_SHOW_H
#define HANFS_AGENT_SHOW_H

#include <jansson.h>

#include "server-agent/agent.h"

json_t *show_hex(const uint8_t *p, size_t len);
/* 0, or -1: that is no client id. */
int show_unhex(const char *text, uint8_t client[CLIENT_ID_LEN]);

/* show_tombs.c */
json_t *show_tombs(void *arg);
json_t *do_forget(void *arg, const char *words);

#endif
