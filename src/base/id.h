/* Ids: stored as uuid (version 7, RFC 9562: time-ordered), shown as prefix + 26-character Crockford
 * ULID text ("tnt_01J…").  Both are the same 128 bits. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct uuid {
    uint8_t bytes[16]; /* network order */
};

/* The kinds differ in their prefix only. */
enum id_kind { ID_TENANT, ID_AUDIT, ID_EVENT, ID_REQUEST, ID_OPERATION };

#define ID_TEXT_SIZE 31   /* "tnt_" + 26 + terminator */
#define UUID_TEXT_SIZE 37 /* 8-4-4-4-12 + terminator */

/* A new version-7 uuid: 48 bits of milliseconds, then random bits.  Unique across replicas. */
struct uuid uuid_new(void);
/* The same for what only has to be told apart in logs, at a tenth of the cost: see random_name_bytes(). */
struct uuid uuid_new_name(void);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *uuid);

/* Lower-case hex with dashes, as PostgreSQL prints it. */
void uuid_format(const struct uuid *uuid, char out[UUID_TEXT_SIZE]);
/* Accepts exactly the 36-character form, either case.  False: not a uuid, *out untouched. */
bool uuid_parse(struct slice text, struct uuid *out);

/* "tnt_01…" in upper-case Crockford base 32. */
void id_format(enum id_kind kind, const struct uuid *uuid, char out[ID_TEXT_SIZE]);
/* Accepts the prefix of the kind (for tenants also "ten_") and 26 Crockford digits, upper or lower
 * case, value below 2^128 (first digit 0–7).  I, L, O and U are refused: one id has one spelling but
 * for case.  False: malformed, *out untouched. */
bool id_parse(enum id_kind kind, struct slice text, struct uuid *out);

/* The prefix with its underscore: "tnt_". */
const char *id_prefix(enum id_kind kind);

#endif
