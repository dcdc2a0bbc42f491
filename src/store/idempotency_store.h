/* What was answered to which idempotency key, and the lock that keeps two calls with one key apart.
 *
 * The functions queue statements in a tx; the next run sends them. */
#ifndef STORE_IDEMPOTENCY_STORE_H
#define STORE_IDEMPOTENCY_STORE_H

#include "base/epoch.h"

#include "store/tx.h"

#define FINGERPRINT_BYTES 32

/* Whose key it is; the tenant is the tx's. */
struct idempotency_scope {
    const char *principal; /* the caller's identity */
    const char *method;    /* "/tenant.v1.TenantService/UpdateTenant" */
    const char *key;       /* as sent */
};

struct idempotency_record {
    const uint8_t *fingerprint; /* FINGERPRINT_BYTES: the SHA-256 of the canonical request */
    struct slice reply;         /* the packed response message */
    struct epoch epoch;         /* with the sequence: the answer's consistency token */
    int64_t sequence;
};

/* Takes the transaction's advisory lock `number`; released by its end, whatever that is.  When another
 * transaction has it, the run refuses with IDEMPOTENCY_IN_PROGRESS and nothing behind it happens. */
void idempotency_store_try_lock(struct tx *tx, int64_t number);
/* The same, but waits for it, at most as long as a statement may take. */
void idempotency_store_lock(struct tx *tx, int64_t number);

/* Looks for a record that has not expired; read it with idempotency_store_read() after the run. */
void idempotency_store_find(struct tx *tx, const struct idempotency_scope *scope,
                            struct rows *rows);
/* Reads a found record into the ctx's arena; *found is false when there is none. */
int idempotency_store_read(struct tx *tx, const struct rows *rows, bool *found,
                           struct idempotency_record *record) MUST_CHECK;
/* Keeps the record for `ttl_ns`, with the epoch and sequence that the tenant has now; an expired one under
 * the same key is overwritten.  Behind the statement that appends the event, so that its numbers are the
 * event's. */
void idempotency_store_insert(struct tx *tx, const struct idempotency_scope *scope,
                              const struct idempotency_record *record, uint64_t ttl_ns);

/* The same for keys that make a tenant: which one a key has made. */
void platform_idempotency_find(struct tx *tx, const struct idempotency_scope *scope,
                               struct rows *rows);
int platform_idempotency_read(struct tx *tx, const struct rows *rows, bool *found,
                              struct uuid *made, const uint8_t **fingerprint) MUST_CHECK;
void platform_idempotency_insert(struct tx *tx, const struct idempotency_scope *scope,
                                 const uint8_t *fingerprint, const struct uuid *made,
                                 uint64_t ttl_ns);

extern const struct stmt_list idempotency_statements; /* app */

#endif
