/* Who changed what: append-only rows in the same transaction as the change. */
#ifndef STORE_AUDIT_STORE_H
#define STORE_AUDIT_STORE_H

#include "base/id.h"

#include "store/tx.h"

struct audit_entry {
    struct uuid id; /* new for each entry: the row proves that its transaction was committed */
    uint64_t at_us; /* microseconds since 1970 */
    struct uuid tenant_id;
    const char *action;         /* "tenant.create" */
    const char *reason;         /* "" when none was given */
    const char *const *changed; /* paths of changed fields, never their values */
    size_t changed_count;
    int64_t version; /* of the tenant after the change */
};

/* Queues the tenant's own audit row; actor, request id and trace come from the tx's ctx. */
void audit_store_append(struct tx *tx, const struct audit_entry *entry);
/* Queues the question whether the row of `entry` (id, time, tenant) is there: one row or none. */
void audit_store_find(struct tx *tx, const struct audit_entry *entry, struct rows *rows);
/* Queues a row of platform_audit: an operator acted across tenants.  target: what it was about. */
void platform_audit_append(struct tx *tx, const char *action, const char *target);

extern const struct stmt_list audit_statements;          /* app */
extern const struct stmt_list platform_audit_statements; /* platform */

#endif
