/* Who changed what: append-only rows in the same transaction as the change. */
#ifndef STORE_AUDIT_STORE_H
#define STORE_AUDIT_STORE_H

#include "base/id.h"

#include "store/tx.h"

struct audit_entry {
    struct uuid tenant_id;
    const char *action;         /* "tenant.create" */
    const char *reason;         /* "" when none was given */
    const char *const *changed; /* paths of changed fields, never their values */
    size_t changed_count;
    int64_t version;            /* of the tenant after the change */
};

/* Queues the tenant's own audit row; actor, request id and trace come from the tx's ctx. */
void audit_store_append(struct tx *tx, const struct audit_entry *entry);
/* Queues a row of platform_audit: an operator acted across tenants.  target: what it was about. */
void platform_audit_append(struct tx *tx, const char *action, const char *target);

extern const struct stmt_list audit_statements; /* app */

#endif
