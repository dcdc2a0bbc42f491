/* NKeys: NATS's Ed25519 keys in base 32 text (https://docs.nats.io, "NKeys"). */
#ifndef EVENTS_NKEY_H
#define EVENTS_NKEY_H

#include "base/result.h"
#include "base/slice.h"

#define NKEY_PUBLIC_SIZE 57 /* "U" + 55 characters + terminator */
#define NKEY_SEED_SIZE 59   /* "SU" + 56 characters + terminator */

/* The public key of a user's seed ("SU…"), because the client library wants both and the seed file holds
 * one.  Surrounding white space is ignored.  Fault: not a user seed, or its check sum is wrong; the
 * message never shows the seed. */
int nkey_public_of(struct ctx *ctx, struct slice seed_text, char out[NKEY_PUBLIC_SIZE]) MUST_CHECK;

#endif
