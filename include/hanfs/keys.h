/*
 * Ed25519 keys of servers (RFC 8032), as text and in files.
 *
 * A key file has one line, "ed25519-secret BASE64" (32 bytes: the seed), and
 * is readable by its owner alone. The public key stands in the configuration
 * as public_key = "BASE64". Signing and verifying are heartbeat.h's.
 */
#ifndef HANFS_KEYS_H
#define HANFS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_PUBLIC_LEN       32
#define KEY_SECRET_LEN       64 /* libsodium's form: seed and public key */
#define KEY_PUBLIC_TEXT_SIZE 45 /* base64 with its NUL */

struct key_pair {
	uint8_t public_key[KEY_PUBLIC_LEN];
	uint8_t secret[KEY_SECRET_LEN];
};

/* A new random pair. 0, or -1: no randomness to be had. */
int key_generate(struct key_pair *pair);

/* Forgets the secret. */
void key_wipe(struct key_pair *pair);

/*
 * Writes the secret to `path`, mode 0600, durably, and either whole or not
 * at all. 0; or -1 and in why[size] what went wrong, in words. Without
 * `force` a file that exists stays as it is, and that is an error.
 */
int key_write(const char *path, const struct key_pair *pair, bool force,
    char *why, size_t size);

/*
 * Reads a secret key file. 0; or -1 and in why[size] what is wrong and what
 * to do. Refuses one that group or others can read or write, or that belongs
 * to neither root nor this process' user.
 */
int key_read(const char *path, struct key_pair *pair, char *why, size_t size);

void key_public_format(
    const uint8_t public_key[KEY_PUBLIC_LEN], char text[KEY_PUBLIC_TEXT_SIZE]);

/* 0, or -1: not the base64 of 32 bytes. */
int key_public_parse(uint8_t public_key[KEY_PUBLIC_LEN], const char *text);

#endif
