/*~ The keys that sign tokens: a file of one key per line, `ID:HEX` or `ID HEX`, HEX being 64 hexadecimal
 * digits.
 *
 * The first key signs, all of them verify, so a key is rotated by putting a new one first and taking the old
 * one away when the tokens it signed no longer matter.  Lines that begin with '#' and empty lines are
 * skipped. */
#ifndef TOKENS_TOKEN_KEYS_H
#define TOKENS_TOKEN_KEYS_H

#include "base/ctx.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_KEYS_MAX 16
#define TOKEN_KEY_ID_MAX 16 /* letters, digits, '_' and '-' */
#define TOKEN_KEY_BYTES 32
#define TOKEN_MAC_BYTES                                                                            \
    16 /* HMAC-SHA-256, truncated (RFC 2104 section 5: not below half the hash) */

/* Shared by all threads; replaced as a whole.  Key bytes are cleansed when they go. */
struct token_keys;

/* One random key with the id "own": tokens that no other replica and no later process will accept. */
struct token_keys *token_keys_random(void);
/* Parses the content of a keys file.  FAULT_CONFIG with line and rule, never with the key. */
int token_keys_parse(struct ctx *ctx, struct slice text, struct token_keys **keys) MUST_CHECK;
/* Reads and parses a file of at most 16 KiB.  FAULT_CONFIG. */
int token_keys_load(struct ctx *ctx, const char *path, struct token_keys **keys) MUST_CHECK;
/* From now on `keys` has what `fresh` had; frees `fresh`.  Any thread. */
void token_keys_replace(struct token_keys *keys, struct token_keys *fresh);
/* Accepts NULL. */
void token_keys_free(struct token_keys *keys);

/* The id of the key that signs now.  Any thread. */
void token_keys_signer(struct token_keys *keys, char id[TOKEN_KEY_ID_MAX + 1]);
/* The MAC of `bytes` under the key `id`.  False: there is no such key (any more).  Any thread. */
bool token_keys_mac(struct token_keys *keys, struct slice id, struct slice bytes,
                    uint8_t mac[TOKEN_MAC_BYTES]);

#endif
